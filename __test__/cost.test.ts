import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MobileNet, MobileNetError, modelCost, separableCost } from 'mobilenet-native'
import { describe, expect, it } from 'vitest'
import { cli, jsonLines, literally } from './cli.js'

/** An inner layer of the network: table 3 of the paper. */
const size = { input: 14, channels: 512, kernel: 3, outputs: 512 }
const found = {
  standard: { multiplyAdds: 462_422_016, parameters: 2_359_296 },
  separable: {
    depthwise: { multiplyAdds: 903_168, parameters: 4_608 },
    pointwise: { multiplyAdds: 51_380_224, parameters: 262_144 },
    multiplyAdds: 52_283_392,
    parameters: 266_752,
  },
  ratio: expect.closeTo(1 / 512 + 1 / 9, 15),
  courseNoteRatio: expect.closeTo(1 / 512 + 1 / 196, 15),
}

/** The paper's network, and what it costs with standard convolutions: table 4. */
const whole = {
  config: expect.objectContaining({
    variant: 'v1',
    layout: 'imagenet',
    activation: 'relu',
    width: 1,
    resolution: 224,
    classes: 1000,
  }),
  multiplyAdds: 568_740_352,
  parameters: 4_231_976,
  standard: { multiplyAdds: 4_867_293_184, parameters: 29_294_088 },
  ratio: expect.closeTo(568_740_352 / 4_867_293_184, 15),
}

/** The options of the command for a layer. */
function flagsOf({ input, channels, kernel, outputs }: typeof size): string[] {
  const values = { '--input': input, '--channels': channels, '--kernel': kernel, '--outputs': outputs }
  return Object.entries(values).flatMap(([flag, value]) => [flag, String(value)])
}

function refused(code: string, message: string | RegExp): MobileNetError {
  const text = typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message)
  return expect.objectContaining({ constructor: MobileNetError, code, message: text })
}

describe('separableCost', () => {
  it('counts both convolutions', () => {
    expect(separableCost(size)).toEqual(found)
  })

  it('gives a ratio that does not depend on the input', () => {
    for (const input of [1, 3, 7, 224]) {
      const { ratio, courseNoteRatio } = separableCost({ ...size, input })
      expect(ratio).toBeCloseTo(1 / 512 + 1 / 9, 15)
      expect(courseNoteRatio === ratio).toBe(input === size.kernel)
    }
  })

  it.each([
    [{ ...size, input: 0 }, 'input must be from 1 to 1000000, not 0'],
    [{ ...size, channels: -1 }, 'channels must be a whole number'],
    [{ ...size, kernel: 1.5 }, 'kernel must be a whole number'],
    [{ ...size, outputs: Number.NaN }, 'outputs must be a whole number'],
    [{ ...size, outputs: 1_000_001 }, 'outputs must be from 1 to 1000000, not 1000001'],
    [{ ...size, input: 1_000_000, outputs: 1_000_000 }, 'too large together'],
    [{ ...size, kernel: '3' }, 'kernel'],
    [{ input: 14, channels: 512, kernel: 3 }, 'outputs'],
    [{ ...size, stride: 2 }, 'separableCost has no option stride'],
    [3, 'object of options'],
  ])('refuses %j', (wrong, message) => {
    expect(() => separableCost(wrong as never)).toThrow(refused('INVALID_OPTION', message))
  })
})

describe('modelCost', () => {
  it('counts the network and the same one with standard convolutions', () => {
    expect(modelCost({ layout: 'imagenet' })).toEqual(whole)
  })

  it("agrees with the network's own layers", async () => {
    const options = { variant: 'v3-small', layout: 'cifar', width: 0.25, classes: 7 } as const
    const { config, layers, parameters } = await MobileNet.create(options)
    const multiplyAdds = layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0)
    expect(modelCost(options)).toMatchObject({ config, multiplyAdds, parameters })
  })

  it.each([
    [{ variant: 'v2' }, 300_774_272, 1_224_972_288],
    [{ variant: 'v3-large' }, 216_589_760, 1_331_974_016],
    [{ variant: 'v3-small' }, 56_510_400, 410_116_352],
  ] as const)('takes %j with a standard convolution of its expanded channels', (options, own, standard) => {
    const cost = modelCost({ ...options, layout: 'imagenet' })
    expect([cost.multiplyAdds, cost.standard.multiplyAdds]).toEqual([own, standard])
  })

  it('takes null and nothing for the defaults', () => {
    const { config } = modelCost()
    expect(config).toMatchObject({ layout: 'unpadded', width: 1, resolution: 32 })
    expect(modelCost({ layout: null, width: null })).toEqual(modelCost())
  })

  it.each([
    [{ width: 0 }, 'width must be above 0 and at most 4, not 0'],
    [{ layout: 'wide' }, 'layout must be one of'],
    [{ seed: 1 }, 'modelCost has no option seed'],
    ['v1', 'object of options'],
  ])('refuses %j', (wrong, message) => {
    expect(() => modelCost(wrong as never)).toThrow(refused('INVALID_OPTION', message))
  })
})

describe('the command cost', () => {
  it('prints a line of JSON about a layer', async () => {
    const { status, stdout, stderr } = await cli(['cost', ...flagsOf(size), '--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(jsonLines(stdout)).toEqual([{ type: 'cost', ...size, ...found }])
  })

  it('derives the ratio step by step', async () => {
    const { status, stdout, stderr } = await cli(['cost', ...flagsOf(size)])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^standard 3x3 +462,422,016 +2,359,296$/m)
    expect(stdout).toMatch(/^separable +52,283,392 +266,752$/m)
    for (const step of [
      'K*K*C*M*F*F = 3*3*512*512*14*14 = 462,422,016',
      'K*K*C*F*F = 3*3*512*14*14 = 903,168',
      'C*M*F*F = 512*512*14*14 = 51,380,224',
      '903,168 + 51,380,224 = 52,283,392',
      '(K*K*C*F*F) / (K*K*C*M*F*F) = 1/M',
      '(C*M*F*F) / (K*K*C*M*F*F) = 1/K^2',
      '1/M + 1/K^2 = 1/512 + 1/3^2 ≈ 0.113064',
      '52,283,392 / 462,422,016 ≈ 0.113064',
      '1/M + 1/F^2 = 1/512 + 1/14^2 ≈ 0.00705517',
    ]) {
      expect(stdout).toMatch(new RegExp(`^ +${literally(step)}$`, 'm'))
    }
    expect(stdout).toContain('mixes up K and F')
    expect(stdout).toContain('With F = 14 and K = 3 it is not the ratio of the two costs.')
    expect(stdout).not.toMatch(/[$\\{}\u00a0]/)
  })

  it('says where the two ratios are one', async () => {
    const { stdout } = await cli(['cost', ...flagsOf({ ...size, input: 3 })])
    expect(stdout).toContain('Here F = K = 3, so that the two are the same number.')
    expect(stdout).toContain('1/M + 1/F^2 = 1/512 + 1/3^2 ≈ 0.113064')
    expect(stdout).not.toContain('it is not the ratio')
  })

  it('tells two ratios apart that are nearly the same', async () => {
    const { stdout } = await cli(['cost', ...flagsOf({ input: 1001, channels: 1, kernel: 1000, outputs: 1 })])
    expect(stdout).toContain('1/M + 1/F^2 = 1/1 + 1/1001^2 ≈ 1.000000998')
    expect(stdout).toContain('≈ 1.000001000')
    expect(stdout).toContain('The separable convolution costs more here')
  })

  it('compares a whole network, with the tables of the paper', async () => {
    const { status, stdout, stderr } = await cli(['cost', '--variant', 'v1', '--layout', 'imagenet'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(
      /^network {2}MobileNet v1 imagenet, width 1, 224x224, 1000 classes, relu\n\nTable 4/,
    )
    expect(stdout).toMatch(/^standard +4,867,293,184 +4866 +29,294,088 +29\.3$/m)
    expect(stdout).toMatch(/^separable +568,740,352 +569 +4,231,976 +4\.2$/m)
    expect(stdout).toMatch(/^0\.5 +149,497,088 +149 +1,331,592 +1\.3$/m)
    expect(stdout).toMatch(/^160x160 +290,675,200 +290 +4,231,976 +4\.2$/m)
  })

  it('prints a line of JSON about a network, with the tables only where the paper has them', async () => {
    const [line] = jsonLines((await cli(['cost', '--layout', 'imagenet', '--json'])).stdout)
    const { tables, ...rest } = line
    expect(rest).toEqual({ type: 'cost', ...whole })
    const [widths, resolutions] = tables
    expect(widths.of).toBe('width')
    expect(widths.rows.map((row: { width: number }) => row.width)).toEqual([1, 0.75, 0.5, 0.25])
    expect(resolutions.of).toBe('resolution')
    for (const row of [...widths.rows, ...resolutions.rows]) {
      const { multiplyAdds, parameters } = modelCost({
        layout: 'imagenet',
        width: row.width,
        resolution: row.resolution,
      })
      expect(row).toMatchObject({ multiplyAdds, parameters })
      expect(Math.abs(row.paper.multiplyAdds - multiplyAdds)).toBeLessThan(1e6)
      expect(Math.abs(row.paper.parameters - parameters)).toBeLessThan(0.05e6)
    }
    const [cifar] = jsonLines((await cli(['cost', '--layout', 'cifar', '--json'])).stdout)
    expect(cifar.tables).toEqual([])
    expect((await cli(['cost', '--layout', 'cifar'])).stdout).not.toContain('paper')
    // Of another network than its own the paper says nothing.
    expect((await cli(['cost', '--layout', 'imagenet', '--classes', '10'])).stdout).not.toContain('4866')
  })

  it.each([
    ['neither a layer nor a network', [], /^cost needs --input, .* or options of a network/],
    ['half a layer', ['--input', '14', '--kernel', '3'], /missing: --channels, --outputs$/],
    ['both', [...flagsOf(size), '--layout', 'cifar'], /^give --input, .* not both$/],
    ['a size of 0', flagsOf({ ...size, kernel: 0 }), /^kernel must be from 1 to 1000000, not 0$/],
    ['no number', ['--input', 'many'], /--input <F>.*'many' is invalid. It must be a number/],
    ['a layout that is not there', ['--layout', 'wide'], /^layout must be one of .*, not wide$/],
    ['Markdown in JSON', [...flagsOf(size), '--markdown'], /^give --json or --markdown, not both$/],
    ['what costs nothing', ['--layout', 'cifar', '--dropout', '0.2'], /unknown option '--dropout'/],
    ['an argument', ['best.safetensors'], /^too many arguments/],
  ])('refuses %s', async (_, args, message) => {
    const { status, stdout, stderr } = await cli(['cost', ...args, '--json'])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(jsonLines(stderr)).toEqual([
      { type: 'error', code: 'INVALID_OPTION', message: expect.stringMatching(message) },
    ])
  })
})

describe('docs/separable-convolution.md', () => {
  const path = join(import.meta.dirname, '..', 'docs', 'separable-convolution.md')
  const text = readFileSync(path, 'utf8').replaceAll('\r\n', '\n')

  it.each([
    ['the layer', flagsOf(size)],
    ['the network', ['--variant', 'v1', '--layout', 'imagenet']],
  ])('has what the command prints about %s', async (_, args) => {
    expect(text).toContain(`mobilenet-native cost ${args.join(' ')} --markdown`)
    const { status, stdout } = await cli(['cost', ...args, '--markdown'])
    expect(status).toBe(0)
    expect(text).toContain(stdout)
  })
})
