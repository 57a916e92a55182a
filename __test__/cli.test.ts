import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, data, filesBelow, images, type Json, jsonLines, Scratch, small } from './cli.js'

const scratch = new Scratch()
const run = scratch.at('run')
const checkpoint = join(run, 'best.safetensors')
const cache = scratch.at('cache')
let report: Json

beforeAll(async () => {
  const { stdout } = await cli(['train', ...small, '--out', run, '--json'])
  report = jsonLines(stdout).at(-1).report
})
afterAll(() => scratch.remove())

describe('help', () => {
  it('names every command, and their defaults as the core has them', async () => {
    const { status, stdout } = await cli(['--help'])
    expect(status).toBe(0)
    const names = [
      'train',
      'evaluate',
      'predict',
      'similar',
      'import',
      'export',
      'summary',
      'cost',
      'download',
      'bench',
    ]
    for (const name of [...names, 'compare', 'doctor']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
    }
    const train = (await cli(['train', '--help'])).stdout.replaceAll(/\s+/g, ' ')
    expect(train).toContain('--batch-size <n> pictures a step (default: 64)')
    expect(train).toContain(
      "--layout <layout> unpadded (the course's V1), cifar (the paper's, for 32x32) or imagenet (the paper's) (default: course unpadded, cifar cifar, quick cifar)",
    )
  })

  it('goes with the version', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
    expect(await cli(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('is the answer to a call without a command', async () => {
    const { status, stdout, stderr } = await cli([])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain('Usage: mobilenet-native')
    expect(stderr).not.toContain('error')
  })
})

describe('evaluate', () => {
  it('measures the test pictures', async () => {
    const { status, stdout, stderr } = await cli(['evaluate', checkpoint, '--data', data, '--json'])
    expect(status).toBe(0)
    expect(jsonLines(stderr)).toEqual([
      { type: 'note', message: expect.stringContaining('not the official CIFAR-10') },
    ])
    const [line, ...rest] = jsonLines(stdout)
    expect(rest).toEqual([])
    expect(Object.keys(line)).toEqual(['type', 'split', 'tta', 'loss', 'accuracy', 'correct', 'count'])
    expect(line).toMatchObject({
      type: 'evaluation',
      split: 'test',
      count: 128,
      accuracy: line.correct / 128,
    })
  })

  it("gives the run's own numbers for the validation pictures", async () => {
    const args = ['evaluate', checkpoint, '--data', data, '--split', 'validation']
    const [line] = jsonLines((await cli([...args, '--json'])).stdout)
    expect(line).toEqual({ type: 'evaluation', split: 'validation', tta: 'none', ...report.validation })
    const { correct, accuracy, loss } = line
    const text = `Average loss: ${loss.toFixed(4)}, Accuracy: ${correct}/25 (${(100 * accuracy).toFixed(2)}%)`
    const { stdout, stderr } = await cli(args)
    expect(stdout).toBe(`Validation set: ${text}\n`)
    expect(stderr).toMatch(/^note: .*not the official CIFAR-10/)
  })

  it('takes the rest of the split as training pictures', async () => {
    const [line] = jsonLines(
      (await cli(['evaluate', checkpoint, '--data', data, '--split', 'train', '--json'])).stdout,
    )
    expect(line).toMatchObject({ split: 'train', count: 231 })
  })
})

describe('predict', () => {
  const [cat, ship] = [join(images, 'cat-0.png'), join(images, 'ship-1.png')]

  it('gives a line of JSON for each picture', async () => {
    const { status, stdout } = await cli(['predict', checkpoint, cat, ship, '--top', '10', '--json'])
    expect(status).toBe(0)
    const lines = jsonLines(stdout)
    expect(lines.map(({ type, file }) => [type, file])).toEqual([
      ['prediction', cat],
      ['prediction', ship],
    ])
    for (const { predictions, logits } of lines) {
      expect(logits).toHaveLength(10)
      const sum = logits.reduce((all: number, logit: number) => all + Math.exp(logit), 0)
      const ranked = logits
        .map((logit: number, index: number) => ({ index, probability: Math.exp(logit) / sum }))
        .sort((a: Json, b: Json) => b.probability - a.probability)
      expect(predictions.map(({ index }: Json) => index)).toEqual(ranked.map(({ index }: Json) => index))
      for (const [i, { label, probability }] of predictions.entries()) {
        expect(probability).toBeCloseTo(ranked[i].probability, 6)
        expect(label).toMatch(/^[a-z]+$/)
      }
    }
  })

  it('aligns its lines for people', async () => {
    const { stdout } = await cli(['predict', checkpoint, cat, ship, '--top', '2'])
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[0]).toMatch(/cat-0\.png {3}[a-z]+ +\d+\.\d\d%$/)
    expect(lines[1]).toMatch(/^ +[a-z]+ +\d+\.\d\d%$/)
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
  })
})

describe('summary', () => {
  it.each([
    [[], 3_217_194, 10],
    [['--layout', 'cifar'], 3_217_226, 10],
    [['--layout', 'imagenet'], 4_231_976, 1000],
  ])('counts the parameters of %j', async (args, parameters, classes) => {
    const [line] = jsonLines((await cli(['summary', ...args, '--json'])).stdout)
    expect(line).toMatchObject({ type: 'summary', parameters, config: { classes } })
    const sum = (key: string) => line.layers.reduce((all: number, layer: Json) => all + layer[key], 0)
    expect([sum('parameters'), sum('multiplyAdds')]).toEqual([parameters, line.multiplyAdds])
  })

  it('shows a checkpoint as a table', async () => {
    const { status, stdout } = await cli(['summary', checkpoint])
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /^MobileNet v1 cifar, width 0.25, 32x32, 10 classes, relu\n\nlayer +kind +output +parameters/,
    )
    expect(stdout).toMatch(/^conv_stem +convolution 3x3 +8x32x32 +232 +221,184 +\d+\.\d\d%$/m)
    expect(stdout).toMatch(/^total +215,642 +[\d,]+ +100\.00%$/m)
  })
})

describe('import', () => {
  it('makes a checkpoint that answers as the weights did', async () => {
    const out = scratch.at('imported.safetensors')
    const network = ['--variant', 'v1', '--layout', 'cifar', '--width', '0.25']
    const { status, stdout } = await cli(['import', checkpoint, ...network, '--out', out])
    expect(status).toBe(0)
    expect(stdout).toBe(
      `${out}: MobileNet v1 cifar, width 0.25, 32x32, 10 classes, relu, 215,642 parameters\n`,
    )
    const found = await cli(['import', checkpoint, '--out', scratch.at('found.safetensors')])
    expect(found.stdout).toBe(stdout.replace(out, scratch.at('found.safetensors')))
    const picture = join(images, 'dog-12.png')
    const answer = async (path: string) => (await cli(['predict', path, picture, '--json'])).stdout
    expect(await answer(out)).toBe(await answer(checkpoint))
  })
})

describe('download', () => {
  it('says where the pictures are that are there already', async () => {
    const { status, stdout, stderr } = await cli(['download', '--data', data, '--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(jsonLines(stdout)).toEqual([
      {
        type: 'dataset',
        name: 'cifar10',
        path: data,
        official: false,
        note: expect.stringContaining('not the official CIFAR-10'),
        counts: { train: 256, validation: 0, test: 128 },
      },
    ])
  })
})

describe('doctor', () => {
  it('tells what is installed, and what is not there yet', async () => {
    const { status, stdout, stderr } = await cli(['doctor', '--json'], {
      env: { MOBILENET_NATIVE_CACHE: cache },
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [{ type, ok, checks }] = jsonLines(stdout)
    expect({ type, ok }).toEqual({ type: 'doctor', ok: true })
    const byName = Object.fromEntries(checks.map((check: Json) => [check.name, check]))
    expect(byName.Node.detail).toContain(process.version)
    expect(byName['native library'].detail).toContain('.node')
    expect(byName['native library'].detail).toContain('named by MOBILENET_NATIVE_LIBRARY_PATH')
    expect(byName.platform.detail).toMatch(
      process.platform === 'linux' ? /^linux \w+, (glibc|musl) \d/ : /^\w+ \w+$/,
    )
    expect(byName.processor.detail).toMatch(
      /\w+, (avx512|avx2|neon|plain) in use, (no bfloat16|bfloat16 by (amx|avx512)), \d+ threads?$/,
    )
    expect(byName['graphics card'].detail).toMatch(/\S/)
    expect(byName.data).toMatchObject({ status: 'note', fix: expect.stringContaining('download') })
    expect(byName['space for data'].detail).toMatch(/GB free in/)
    expect(filesBelow(cache)).toEqual([])
  })

  it.skipIf(process.platform === 'win32')('works for a user whom the system does not know', async () => {
    // As for a number without a line in /etc/passwd; those of Linux on ARM call no processor by its name, either.
    const strange = scratch.at('strange.cjs')
    writeFileSync(
      strange,
      `const os = require('node:os')
      os.homedir = () => { throw Object.assign(new Error('uv_os_homedir returned ENOENT'), { code: 'ERR_SYSTEM_ERROR' }) }
      const { cpus } = os
      os.cpus = () => cpus().map((cpu) => ({ ...cpu, model: 'unknown' }))`,
    )
    const none = { HOME: undefined, XDG_CACHE_HOME: undefined, MOBILENET_NATIVE_CACHE: undefined }
    const env = { ...none, NODE_OPTIONS: `--require=${strange}` }
    const { status, stdout, stderr } = await cli(['doctor', '--json'], { env })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [{ checks }] = jsonLines(stdout)
    const details = (name: string) => checks.find((check: Json) => check.name === name).detail
    expect(details('data')).toContain(join(tmpdir(), `cache-${process.getuid?.()}`, 'mobilenet-native'))
    expect(details('processor')).toMatch(new RegExp(`^${process.arch} processor, `))
    const help = await cli(['train', '--help'], { env })
    expect({ status: help.status, stderr: help.stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('finds pictures that are there', async () => {
    const { status, stdout, stderr } = await cli(['doctor'], { env: { MOBILENET_NATIVE_CACHE: data } })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('256 + 128 pictures')
  })

  // A superuser may write anywhere.
  it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'says where files can not be written',
    async () => {
      const closed = scratch.at('closed')
      mkdirSync(closed)
      chmodSync(closed, 0o555)
      // The folder of the cache would be made in one that is closed.
      const env = { MOBILENET_NATIVE_CACHE: join(closed, 'cache') }
      const { status, stdout } = await cli(['doctor', '--json'], { env, cwd: closed })
      expect(status).toBe(0)
      const [{ checks }] = jsonLines(stdout)
      for (const [name, other] of [
        ['space for data', 'MOBILENET_NATIVE_CACHE'],
        ['space for runs', '--out'],
      ])
        expect(checks.find((check: Json) => check.name === name)).toMatchObject({
          status: 'note',
          detail: expect.stringMatching(/GB free in .*closed, which can't be written to$/),
          fix: expect.stringMatching(`may write to ${closed}, or name another folder .* ${other}$`),
        })
    },
  )

  it.skipIf(process.platform === 'win32')('asks the NVIDIA driver what cards there are', async () => {
    const card = async (script: string) => {
      writeFileSync(scratch.at('nvidia-smi'), `#!/bin/sh\n${script}\n`)
      chmodSync(scratch.at('nvidia-smi'), 0o755)
      const env = { PATH: `${scratch.path}:${process.env.PATH}`, MOBILENET_NATIVE_CACHE: cache }
      const [{ checks }] = jsonLines((await cli(['doctor', '--json'], { env })).stdout)
      return checks.find(({ name }: Json) => name === 'graphics card')
    }
    const { detail } = await card("echo 'NVIDIA L4, 23034 MiB, 8.9, 580.82.07'")
    expect(detail).toContain('NVIDIA L4, 23034 MiB, compute capability 8.9, driver 580.82.07')
    expect(await card("echo 'Driver/library version mismatch'; exit 18")).toMatchObject({
      status: 'note',
      detail: 'nvidia-smi failed: Driver/library version mismatch',
      fix: expect.stringContaining('reinstall the NVIDIA driver'),
    })
    // The system's answer is the same where PATH has a folder that this user may not look into.
    chmodSync(scratch.at('nvidia-smi'), 0o644)
    const env = { PATH: `${scratch.path}:${dirname(process.execPath)}`, MOBILENET_NATIVE_CACHE: cache }
    expect((await cli(['doctor'], { env })).stdout).not.toContain('nvidia-smi failed')
  })

  it('works without the native library, and says how to get it', async () => {
    const env = { MOBILENET_NATIVE_LIBRARY_PATH: scratch.at('none.node'), MOBILENET_NATIVE_CACHE: cache }
    const { status, stdout, stderr } = await cli(['doctor'], { env })
    expect(status).toBe(1)
    expect(stdout).toMatch(/^broken +native library /m)
    expect(stdout).toMatch(/^ +-> Set MOBILENET_NATIVE_LIBRARY_PATH to a native library of version \d/m)
    expect(stderr).toMatch(/^error NATIVE_NOT_FOUND /)
    expect((await cli(['train', '--help'], { env })).status).toBe(0)
  })
})
