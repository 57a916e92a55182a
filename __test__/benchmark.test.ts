import { setTimeout as wait } from 'node:timers/promises'
import { type BenchmarkProgress, benchmark, MobileNet, MobileNetError, presets } from 'mobilenet-native'
import { describe, expect, it } from 'vitest'
import { cli, jsonLines, startListening } from './cli.js'
import { positive, share } from './measured.js'

// How fast it is, no test can say: these measure the smallest network as briefly as possible.
const short = { presets: ['quick'], seconds: 0.01 } satisfies Parameters<typeof benchmark>[0]
const flags = ['--preset', 'quick', '--seconds', '0.01']

const repetitions = expect.toSatisfy((value) => value >= 2, 'at least 2')

const report = {
  processor: expect.stringMatching(/\w/),
  device: 'cpu',
  deviceNote: null,
  simd: expect.stringMatching(/^(avx512|avx2|neon|plain)$/),
  threads: 1,
  multiplyAddsPerSecond: positive,
  bytesPerSecond: positive,
  presets: [
    {
      name: 'quick',
      precision: 'float32',
      multiplyAdds: 17_507_328,
      training: {
        batchSize: 64,
        stepSeconds: positive,
        imagesPerSecond: positive,
        shareOfPeak: share,
        repetitions,
      },
      evaluation: {
        batchSize: positive,
        batchSeconds: positive,
        imagesPerSecond: positive,
        shareOfPeak: share,
        repetitions,
      },
      prediction: { latencySeconds: positive, shareOfPeak: share, repetitions },
      presetSeconds: positive,
    },
  ],
  seconds: positive,
}

describe('benchmark', () => {
  it('measures the machine and tells how far it is', async () => {
    const told: BenchmarkProgress[] = []
    const options = { ...short, threads: 1, device: 'cpu', onProgress: told.push.bind(told) } as const
    expect(await benchmark(options)).toEqual(report)
    expect(told[0]).toEqual({ work: 'peak', share: 0 })
    expect(told.map(({ share }) => share)).toEqual(told.map(({ share }) => share).sort((a, b) => a - b))
    for (const { work, preset } of told) expect(preset === undefined).toBe(['peak', 'memory'].includes(work))
  })

  it('counts the multiply-adds of the layers', async () => {
    const { layers } = await MobileNet.create(presets().quick.model)
    const [quick] = report.presets
    expect(layers.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0)).toBe(quick?.multiplyAdds)
  })

  it.each([
    [{ threads: 0 }, 'INVALID_OPTION', 'threads must be from 1 to 1024'],
    [{ threads: 1.5 }, 'INVALID_OPTION', 'threads must be a whole number'],
    [{ seconds: 0 }, 'INVALID_OPTION', 'seconds must be above 0'],
    [{ seconds: Number.NaN }, 'INVALID_OPTION', 'seconds must be above 0'],
    [{ presets: [] }, 'INVALID_OPTION', 'presets must name at least one'],
    [{ precision: 'float16' }, 'INVALID_OPTION', 'precision must be one of float32, tf32, bfloat16'],
    [
      { precision: 'tf32', device: 'cpu' },
      'INVALID_OPTION',
      'precision must be float32 or bfloat16 on the CPU',
    ],
    [{ presets: ['fast'] }, 'INVALID_OPTION', 'presets must be one of course, cifar, quick, not fast'],
    [{ device: 'tpu' }, 'INVALID_OPTION', 'tpu'],
    [{ device: 'cuda:99' }, 'DEVICE_UNAVAILABLE', 'cuda:99'],
    [{ thread: 1 }, 'INVALID_OPTION', 'thread'],
    [3, 'INVALID_OPTION', 'object of options'],
  ])('with %j is refused', async (options, code, message) => {
    await expect(benchmark(options as never)).rejects.toEqual(
      expect.objectContaining({
        constructor: MobileNetError,
        code,
        message: expect.stringContaining(message),
      }),
    )
  })

  it('ends when its signal aborts, or when who listens throws', async () => {
    const reason = new Error('enough')
    await expect(benchmark({ ...short, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const abort = ({ work }: BenchmarkProgress) => {
      if (work === 'training') controller.abort(reason)
    }
    await expect(benchmark({ ...short, signal: controller.signal, onProgress: abort })).rejects.toBe(reason)
    const listener = () => {
      throw reason
    }
    await expect(benchmark({ presets: ['quick'], seconds: 3600, onProgress: listener })).rejects.toBe(reason)
  })

  it('leaves the event loop free', async () => {
    let settled = false
    const running = benchmark(short).finally(() => {
      settled = true
    })
    await wait(1)
    expect(settled).toBe(false)
    await running
  })
})

describe('the command bench', () => {
  it('prints a line of JSON', async () => {
    const { status, stdout, stderr } = await cli(['bench', ...flags, '--threads', '1', '--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(jsonLines(stdout)).toEqual([{ type: 'bench', ...report }])
  })

  it('prints a table for people, and nothing but that where there is no terminal', async () => {
    const { status, stdout, stderr } = await cli(['bench', ...flags, '--threads', '2'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^machine +.+, cpu, (avx512|avx2|neon|plain), 2 threads$/m)
    expect(stdout).toMatch(/^peak +[\d.]+ billion multiply-adds a second/m)
    expect(stdout).toMatch(
      /^quick +v3-small cifar, width 1( +[\d.,]+ (ms|img\/s)( +\d+%)?)+ +(\d+ h )?\d+ (min|s)$/m,
    )
  })

  it('measures in another precision where the processor has it', async (context) => {
    const { status, stdout, stderr } = await cli([
      'bench',
      ...flags,
      '--precision',
      'bfloat16',
      '--device',
      'cpu',
    ])
    if (stderr.includes('DEVICE_UNAVAILABLE')) context.skip('this processor has no AVX512_BF16')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^quick +v3-small cifar, width 1, bfloat16 /m)
    expect(stdout).toMatch(/^of peak .+ that of float32/m)
  })

  it.each([
    ['no number', ['--seconds', 'many'], /--seconds <n>.*'many' is invalid. It must be a number/],
    ['no time', ['--seconds', '0'], /^seconds must be above 0 and at most 3600, not 0$/],
    ['no thread', ['--threads', '0'], /^threads must be from 1 to 1024$/],
    [
      'a preset that is not there',
      ['--preset', 'fast'],
      /^preset must be one of course, cifar, quick, not fast$/,
    ],
    [
      'a precision that only cards have',
      ['--precision', 'tf32', '--device', 'cpu'],
      /^precision must be float32 or bfloat16 on the CPU, not tf32/,
    ],
    ['another device', ['--device', 'tpu'], /^device must be one of auto, cpu, cuda, cuda:N, not tpu$/],
    ['too many arguments', ['more'], /^too many arguments/],
  ])('refuses %s', async (_, args, message) => {
    const { status, stdout, stderr } = await cli(['bench', ...args, '--json'])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(jsonLines(stderr)).toEqual([
      { type: 'error', code: 'INVALID_OPTION', message: expect.stringMatching(message) },
    ])
  })

  it.skipIf(process.platform === 'win32')('ends at Ctrl-C without a word', async () => {
    const child = await startListening(['bench', '--preset', 'quick', '--seconds', '3600'])
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    const ended = new Promise((resolve) => child.on('close', (status) => resolve(status)))
    // By now it measures, if the machine isn't very busy; if it is, it ends before that in the same way.
    await wait(1000)
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(output).toBe('')
  })
})
