import { selectDevice } from './devices.js'
import { measured, processorName } from './measure.js'
import type {
  BenchmarkProgress,
  BenchmarkOptions as NativeBenchmarkOptions,
  BenchmarkReport as NativeBenchmarkReport,
} from './native/binding.js'
import { binding } from './native/load.js'
import { checkKeys, type Keys, withoutNulls } from './options/keys.js'
import type { DeviceName } from './options/network.js'
import { isIterable, mustBe } from './options/types.js'

/** What to measure, and for how long. */
export interface BenchmarkOptions extends NativeBenchmarkOptions {
  /** `auto` (the best that works; default), `cpu`, `cuda` or `cuda:N`. */
  device?: DeviceName
  /** When it aborts, the benchmark rejects at once with the signal's reason; the step in work still ends, unheard. */
  signal?: AbortSignal | undefined
  /** Hears what is being measured, a few times a second. What it throws ends the benchmark. */
  onProgress?: ((progress: BenchmarkProgress) => void) | undefined
}

/** What a benchmark found. */
export interface BenchmarkReport extends NativeBenchmarkReport {
  /** The processor's name, as the system has it. */
  processor: string
  /** `cpu`, or `cuda:N`. */
  device: string
  /** Why `auto` is the processor although there is an NVIDIA driver; null otherwise. */
  deviceNote: string | null
}

const keys: Keys<BenchmarkOptions> = {
  presets: true,
  precision: true,
  seconds: true,
  threads: true,
  device: true,
  signal: true,
  onProgress: true,
}

/**
 * Measures this machine: how fast it trains and runs the presets' networks, what share of its peak that is, and how
 * long each preset's run would take. It uses every core, so nothing else should run meanwhile.
 *
 * @example
 * const { presets } = await benchmark({ presets: ['quick'], seconds: 5 })
 * console.log(presets[0]?.training.imagesPerSecond)
 */
export async function benchmark(options: BenchmarkOptions = {}): Promise<BenchmarkReport> {
  checkKeys('benchmark', options, keys)
  const { device: deviceName, signal, onProgress, presets, ...rest } = options
  if (presets) mustBe(isIterable(presets), 'presets must be an array of names', presets)
  const device = await selectDevice(deviceName ?? 'auto')
  const asked = { ...withoutNulls(rest), ...(presets ? { presets: [...presets] } : {}) }
  const found = await measured<BenchmarkProgress, NativeBenchmarkReport>(
    (cancel, listener) => binding().benchmark(asked, device.name, cancel, listener),
    signal,
    onProgress,
  )
  return { processor: processorName(), device: device.name, deviceNote: device.note, ...found }
}
