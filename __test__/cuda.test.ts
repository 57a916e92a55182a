import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeLibrary } from 'mobilenet-native'
import { describe, expect, it } from 'vitest'
import { cli, data, type Json, jsonLines, Scratch } from './cli.js'

const root = join(import.meta.dirname, '..')

/** A library that stands in for NVIDIA's driver: the kernels run on the processor. */
function mock(): string | null {
  if (process.platform !== 'linux') return null
  try {
    execFileSync('g++', ['--version'], { stdio: 'ignore' })
  } catch {
    return null
  }
  // The same folder as cargo's tests, which have built it where they ran before.
  const folder = join(root, 'target', 'tmp', 'mock-cuda')
  execFileSync('sh', [join(root, 'crates', 'cuda', 'emulation', 'build.sh'), folder], { stdio: 'inherit' })
  return join(folder, 'libcuda.so.1')
}

const library = mock()
const scratch = new Scratch()
const small = [
  ...['train', '--variant', 'v3-small', '--layout', 'cifar', '--width', '0.25', '--data', data, '--json'],
  ...['--limit', '10', '--batch-size', '8', '--epochs', '2', '--learning-rate', '0.001', '--log-every', '2'],
]

/**
 * How far apart two of this network may be, as a share, after so many passes: both sum in float32, in another order, as if each of
 * its 71 layers rounded the result by 2^-24, and always in the same direction. After four steps and an evaluation that is 2e-5;
 * measured are at most 5e-7 with three seeds.
 */
const rounding = (passes: number) => passes * 71 * 2 ** -24

/** What a call that writes JSON told of, but for the note about the sample of pictures. */
const failures = (stderr: string): Json[] => jsonLines(stderr).filter(({ type }) => type !== 'note')

/** Calls the command line on the mock; gives what it wrote and the mock's books. */
async function onCard(args: string[], more: NodeJS.ProcessEnv = {}) {
  const report = scratch.at(`report-${Math.random()}.json`)
  const env = { MOBILENET_NATIVE_CUDA_PATH: library ?? '', MOCK_CUDA_REPORT: report, ...more }
  const outcome = await cli(args, { env })
  const books: Json[] = jsonLines(readFileSync(report, 'utf8'))
  return { ...outcome, books: books.at(-1) }
}

describe.skipIf(library === null)('on a card (emulated)', { timeout: 120_000 }, () => {
  const on = scratch.at('on-card')

  it('train learns what it learns on the processor', async () => {
    const card = await onCard([...small, '--device', 'cuda', '--out', on])
    expect(failures(card.stderr)).toEqual([])
    expect(card.status).toBe(0)
    const events = jsonLines(card.stdout)
    expect(events[0].config.device).toBe('cuda:0')
    // What a whole process takes from the driver it gives back, but for the card and its kernels, which go with it.
    expect(card.books.launches).toBeGreaterThan(1000)
    expect(card.books.graphLaunches).toBeGreaterThanOrEqual(4)
    expect(card.books.left).toMatchObject({
      deviceMemory: 0,
      hostMemory: 0,
      streams: 0,
      events: 0,
      graphExecs: 0,
    })
    const processor = await cli([...small, '--device', 'cpu', '--out', scratch.at('on-cpu')])
    const expected = jsonLines(processor.stdout)
    const losses = (lines: Json[]) => lines.filter(({ type }) => type === 'step').map(({ loss }) => loss)
    expect(losses(events)).toHaveLength(2)
    // The second and the fourth step are told.
    losses(events).forEach((loss, index) => {
      expect(Math.abs(loss / losses(expected)[index] - 1)).toBeLessThan(rounding(2 * index + 2))
    })
    const [epoch, same] = [events, expected].map((lines) =>
      lines.filter(({ type }) => type === 'epoch').at(-1),
    )
    expect(Math.abs(epoch.test.loss / same.test.loss - 1)).toBeLessThan(rounding(5))
  })

  it('its checkpoint goes on on the processor, and answers on the card', async () => {
    const resumed = await cli([
      'train',
      '--resume',
      on,
      '--data',
      data,
      '--epochs',
      '3',
      '--device',
      'cpu',
      '--json',
    ])
    expect(failures(resumed.stderr)).toEqual([])
    const [start, ...rest] = jsonLines(resumed.stdout)
    expect(start.config).toMatchObject({ device: 'cpu', resumedEpochs: 2 })
    expect(rest.at(-1)).toMatchObject({ type: 'done', report: { epochs: 3 } })
    const picture = join(import.meta.dirname, 'fixtures', 'images', 'cat-0.png')
    const ask = ['predict', join(on, 'last.safetensors'), picture, '--json']
    const [here] = jsonLines((await cli([...ask, '--device', 'cpu'])).stdout)
    const [there] = jsonLines((await onCard([...ask, '--device', 'cuda:0'])).stdout)
    expect(there.predictions[0].label).toBe(here.predictions[0].label)
    const largest = Math.max(...here.logits.map(Math.abs))
    here.logits.forEach((logit: number, index: number) => {
      expect(Math.abs(logit - there.logits[index]) / largest).toBeLessThan(rounding(1))
    })
  })

  it('a failure of the driver is an error, and Node ends as ever', async () => {
    for (const [call, code] of [
      [30, 2],
      [400, 719],
    ] as const) {
      const env = { MOCK_CUDA_FAIL_AT: String(call), MOCK_CUDA_FAIL_CODE: String(code) }
      const { status, stderr, books } = await onCard(
        [...small, '--device', 'cuda', '--out', scratch.at(`fail-${call}`)],
        env,
      )
      expect(books.failures).toBe(1)
      expect(status).toBe(1)
      const [error] = failures(stderr)
      expect(error.code).toBe(code === 2 ? 'OUT_OF_MEMORY' : 'DEVICE_UNAVAILABLE')
      expect(error.message).toContain('--device cpu')
    }
  })

  it('devices and doctor name it', async () => {
    const env = { MOCK_CUDA_DEVICES: '2' }
    const { stdout } = await onCard(['doctor', '--json'], env)
    const [{ checks }] = jsonLines(stdout)
    const { status, detail } = checks.find(({ name }: Json) => name === 'graphics card')
    expect(status).toBe('ok')
    expect(detail).toContain('cuda:0: Mock card 0, 8.0 GiB, compute capability 9.0')
    expect(detail).toContain('cuda:1: Mock card 1')
    expect(detail).toContain(`driver for CUDA 13.0: ${library}`)
  })

  it('auto takes it, and the processor with one line of why where it does not work', async () => {
    const checkpoint = join(on, 'last.safetensors')
    const picture = join(import.meta.dirname, 'fixtures', 'images', 'cat-0.png')
    const ask = ['predict', checkpoint, picture]
    const works = await onCard(ask)
    expect(works.stderr).toBe('')
    expect(works.books.launches).toBeGreaterThan(10)
    const old = await onCard(ask, { MOCK_CUDA_DRIVER_VERSION: '11020' })
    expect(old.status).toBe(0)
    expect(old.stderr).toMatch(/^note: this runs on the processor: .*for CUDA 11\.2.*\n$/)
    const asked = await onCard([...ask, '--device', 'cuda'], { MOCK_CUDA_DRIVER_VERSION: '11020' })
    expect(asked.status).toBe(1)
    expect(asked.stderr).toMatch(/^error DEVICE_UNAVAILABLE cuda:0 can't be used: .*for CUDA 11\.2/)
  })
})

describe('without a driver', () => {
  it.skipIf(process.platform !== 'linux')('the native library asks the loader for nothing of CUDA', () => {
    const { path } = nativeLibrary()
    const undefinedSymbols = execFileSync('nm', ['-D', '--undefined-only', path], { encoding: 'utf8' })
    // There are others, so this does look at something.
    expect(undefinedSymbols).toMatch(/\bnapi_create_function\b/)
    expect(undefinedSymbols).not.toMatch(/\b(cu[A-Z]|cuda|cublas|nvrtc|nvml)/)
    expect(execFileSync('readelf', ['-d', path], { encoding: 'utf8' })).not.toMatch(/NEEDED.*(cuda|nv)/)
  })

  it('cuda is refused with where it was looked for, auto takes the processor silently', async () => {
    const env = { MOBILENET_NATIVE_CUDA_PATH: '/no/such/libcuda.so.1' }
    const asked = await cli([...small, '--device', 'cuda', '--out', scratch.at('none')], { env })
    expect(asked.status).toBe(1)
    const [error] = failures(asked.stderr)
    expect(error.code).toBe('DEVICE_UNAVAILABLE')
    expect(error.message).toContain('/no/such/libcuda.so.1: there is no such file')
    expect(error.message).toContain('MOBILENET_NATIVE_CUDA_PATH')
    const { stdout } = await cli(['doctor'], { env })
    expect(stdout).toMatch(/^ok +graphics card +no NVIDIA driver found: runs use the processor$/m)
    expect(stdout).toContain('looked for /no/such/libcuda.so.1: there is no such file')
  })
})
