import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modelCost } from './cost.js'
import { checkDataset, type Dataset } from './dataset.js'
import { selectDevice } from './devices.js'
import { MobileNetError, native } from './errors.js'
import type { EpochEvent, Report, TrainEvent } from './events.js'
import { measured, processorName } from './measure.js'
import { MobileNet } from './mobilenet.js'
import type {
  ComparisonOptions,
  ComparisonProgress,
  ComparisonSpeeds,
  SelectedDevice,
  VariantSpeed,
} from './native/binding.js'
import { binding } from './native/load.js'
import { checkKeys, type Keys, withoutNulls } from './options/keys.js'
import type { DeviceName, ModelConfig, ModelOptions, NetworkOptions } from './options/network.js'
import { checkRecipe, type RecipeOptions, resolveRecipe, type TrainConfig } from './options/train.js'
import { isIterable, mustBe } from './options/types.js'
import { toPath } from './paths.js'

/** Which MobileNet. */
export type Variant = ModelConfig['variant']

/** A recipe for all networks alike. */
export type CompareRecipe = Omit<RecipeOptions, 'out' | 'threads'>

/** Which networks to compare, and by what. */
export interface CompareOptions {
  /** Which variants, in this order; default all four. */
  variants?: readonly Variant[] | null
  /** Of all of them, V1 included: `cifar` (default) or `imagenet`; `unpadded` only where V1 stands alone. */
  layout?: ModelConfig['layout'] | null
  /** Width multiplier of all of them; default 1. */
  width?: number | null
  /** Height and width of a picture in pixels; default 32, or 224 in layout `imagenet`. */
  resolution?: number | null
  /** Number of classes; default 10, or 1000 in layout `imagenet`. */
  classes?: number | null
  /** Share of the classifier's inputs that a training step leaves out; default each variant's own. */
  dropout?: number | null
  /** The recipe: the speed of training is measured at its batch size, and with `data` every network is trained by it. */
  recipe?: CompareRecipe
  /** Trains every network on these pictures, one after the other; default: only speeds are measured. */
  data?: Dataset
  /** A folder in which each trained network's checkpoints go into one of their own, by the variant's name. */
  out?: string | URL | null
  /** About how long the speeds are measured, above 0 and at most 3600; default 30. */
  seconds?: number | null
  /** Threads that compute; default one a core. */
  threads?: number | null
  /** `auto` (the best that works; default), `cpu`, `cuda` or `cuda:N`. */
  device?: DeviceName
  /** When it aborts, `compare` rejects with the signal's reason; a run ends after its batch, a step unheard. */
  signal?: AbortSignal | undefined
  /**
   * When it aborts, no more is trained: the run in work ends after its batch, and `compare` resolves with what there
   * is, marked as stopped. Speeds are measured to the end all the same.
   */
  stop?: AbortSignal | undefined
  /** Hears what is going on. What it throws ends the comparison. */
  onProgress?: ((progress: CompareProgress) => void) | undefined
}

/** What a comparison is doing: measuring speeds, or training a network; `type` tells which. */
export type CompareProgress =
  | ({ type: 'speed' } & ComparisonProgress)
  | { type: 'train'; variant: Variant; model: MobileNet; event: TrainEvent }

/** What a comparison found. Can be written as JSON. */
export interface Comparison {
  /** The processor's name, as the system has it. */
  processor: string
  /** `cpu`, or `cuda:N`. */
  device: string
  /** Why `auto` is the processor although there is an NVIDIA driver; null otherwise. */
  deviceNote: string | null
  /** The instruction set in use. */
  simd: ComparisonSpeeds['simd']
  /** Threads that computed. */
  threads: number
  /** The machine's peak: float32 multiplications with addition in a second, in registers. */
  multiplyAddsPerSecond: number
  /** Bytes read and written in a second, in a copy of main memory. */
  bytesPerSecond: number
  /** The recipe of all runs, complete. */
  recipe: TrainConfig
  /** Where the pictures came from; null when nothing was trained. */
  data: string | null
  /** The training was stopped before its end. */
  stopped: boolean
  /** In the order asked for. */
  networks: ComparedNetwork[]
  /** How long the whole comparison took. */
  seconds: number
}

/** One network of a comparison. */
export interface ComparedNetwork extends VariantSpeed {
  /** The network, complete. */
  model: ModelConfig
  /** Trainable values (running statistics not counted). */
  parameters: number
  /** Size of the checkpoint that `save` writes. */
  checkpointBytes: number
  /** How its training went; null when it was not trained. */
  run: ComparedRun | null
}

/** How a network of a comparison was trained. */
export interface ComparedRun {
  /** Share of right answers on the test pictures, from 0 to 1; null without test pictures or a complete epoch. */
  accuracy: number | null
  /** After which epoch (from 1) that was. */
  accuracyEpoch: number | null
  /** Why after that one: it was the best on the validation pictures, or, where none are kept, the last. */
  accuracyBy: 'validation' | 'last'
  /** Every complete epoch. */
  epochs: Omit<EpochEvent, 'type'>[]
  /** The end of the run; `stopped` when it did not come to its last epoch. */
  report: Report
}

const keys: Keys<CompareOptions> = {
  variants: true,
  layout: true,
  width: true,
  resolution: true,
  classes: true,
  dropout: true,
  recipe: true,
  data: true,
  out: true,
  seconds: true,
  threads: true,
  device: true,
  signal: true,
  stop: true,
  onProgress: true,
}

/**
 * Compares variants of MobileNet on this machine: parameters, multiply-adds, size, memory and speeds; with `data` also
 * the accuracy that each reaches by the same recipe. The speeds are medians over several turns of each network. It
 * uses every core, so nothing else should run meanwhile.
 *
 * @example
 * const { networks } = await compare({ variants: ['v1', 'v2'], seconds: 10 })
 * for (const { variant, prediction } of networks) console.log(variant, prediction.latencySeconds)
 */
export async function compare(options: CompareOptions = {}): Promise<Comparison> {
  const device = await check(options)
  const { data, signal, onProgress } = options
  const recipe = resolveRecipe(options.recipe ?? {})
  const started = performance.now()
  const {
    variants,
    seconds: _,
    ...machine
  } = await measured(
    (cancel, listener: (progress: ComparisonProgress) => void) =>
      binding().compareSpeeds(speedOptions(options), device.name, cancel, listener),
    signal,
    (progress) => onProgress?.({ type: 'speed', ...progress }),
  )
  const networks: ComparedNetwork[] = []
  for (const speed of variants) networks.push(await describe(speed, options))
  for (const network of networks) {
    if (data && !options.stop?.aborted) network.run = await train(network, recipe, data, options)
  }
  return {
    processor: processorName(),
    device: device.name,
    deviceNote: device.note,
    ...machine,
    recipe,
    data: data?.source ?? null,
    stopped: data !== undefined && networks.some(({ run }) => run === null || run.report.stopped),
    networks,
    seconds: (performance.now() - started) / 1000,
  }
}

/**
 * Rejects with what `compare` would reject with before it measures. So who opens pictures for it, or downloads them, knows
 * first that the rest is right.
 *
 * @example
 * await checkComparison(options)
 * await compare({ ...options, data: await Cifar10.open({ download: true }) })
 */
export async function checkComparison(options: CompareOptions): Promise<void> {
  await check(options)
}

/** Gives the device that is asked for. */
async function check(options: CompareOptions): Promise<SelectedDevice> {
  checkKeys('compare', options, keys)
  const { data, variants, recipe } = options
  if (data) checkDataset('data', data)
  if (variants) mustBe(isIterable(variants), 'variants must be an array of names', variants)
  if (recipe) checkRecipe('recipe', recipe)
  checkTraining(options)
  const asked = speedOptions(options)
  native(() => binding().checkComparison(asked))
  const device = await selectDevice(options.device ?? 'auto')
  native(() => binding().checkComparison(asked, device.name))
  return device
}

/** Finds what would only come to light when the networks are trained, after the measuring. */
function checkTraining({ data, out, layout, resolution, classes }: CompareOptions): void {
  if (out != null) toPath(out, 'out')
  if (!data) {
    if (out == null) return
    throw new MobileNetError('INVALID_OPTION', 'without data nothing is trained, so out can not be given')
  }
  // All variants have the same defaults of both, and V1 has every layout.
  const { config } = modelCost(
    withoutNulls({ layout: layout ?? 'cifar', resolution, classes }) as NetworkOptions,
  )
  const [size, count] = [config.resolution, data.classes.length]
  if (config.classes < count) {
    const message = `the pictures are of ${count} classes, so classes can't be ${config.classes}`
    throw new MobileNetError('INVALID_OPTION', message)
  }
  if (data.resolution !== null && data.resolution !== size) {
    const opened = `${data.source} was opened for ${data.resolution}x${data.resolution}`
    const message = `the networks take pictures of ${size}x${size} pixels, and ${opened}; open it with resolution ${size}`
    throw new MobileNetError('INVALID_OPTION', message)
  }
}

/** What the native side is asked for. */
function speedOptions(options: CompareOptions): ComparisonOptions {
  const { variants, seconds, threads, layout, width, resolution, classes, dropout, recipe } = options
  const model = { layout, width, resolution, classes, dropout }
  const asked = withoutNulls({ model, recipe: recipe ?? {}, seconds, threads }) as ComparisonOptions
  return variants ? { ...asked, variants: [...variants] } : asked
}

/** A variant with the weights that it begins with. */
function create(variant: Variant, options: CompareOptions): Promise<MobileNet> {
  const { width, resolution, classes, dropout, device, recipe } = options
  const shared = { width, resolution, classes, dropout, device, seed: recipe?.seed }
  return MobileNet.create(
    withoutNulls({ ...shared, variant, layout: options.layout ?? 'cifar' }) as ModelOptions,
  )
}

async function describe(speed: VariantSpeed, options: CompareOptions): Promise<ComparedNetwork> {
  const model = await create(speed.variant, options)
  const { variant, multiplyAdds, ...rest } = speed
  const { config, parameters } = model
  const checkpointBytes = await savedBytes(model)
  return { variant, model: config, parameters, multiplyAdds, checkpointBytes, ...rest, run: null }
}

/** How large the file is that `save` writes. */
async function savedBytes(model: MobileNet): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'mobilenet-native-compare-'))
  try {
    const path = join(folder, 'model.safetensors')
    await model.save(path)
    return (await stat(path)).size
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Trains one network; it ends early, with a report, when `stop` aborts. */
async function train(
  { variant }: ComparedNetwork,
  recipe: TrainConfig,
  data: Dataset,
  { threads, out, signal, stop, onProgress, ...network }: CompareOptions,
): Promise<ComparedRun> {
  const model = await create(variant, network)
  const run = model.train({
    ...recipe,
    data,
    evaluationEvents: true,
    ...(threads == null ? {} : { threads }),
    ...(out == null ? {} : { out: join(toPath(out, 'out'), variant) }),
    ...(signal ? { signal } : {}),
  })
  // If stopping fails, the loop below hears of it.
  const end = () => void run.stop().catch(() => {})
  stop?.addEventListener('abort', end)
  const epochs: ComparedRun['epochs'] = []
  try {
    for await (const event of run) {
      if (event.type === 'epoch') {
        const { type: _, ...epoch } = event
        epochs.push(epoch)
      }
      onProgress?.({ type: 'train', variant, model, event })
    }
  } finally {
    stop?.removeEventListener('abort', end)
  }
  const report = await run.result
  return { ...chosenEpoch(epochs, report), epochs, report }
}

/** The test pictures must not choose the epoch that is tested: the validation pictures do, or else it is the last. */
function chosenEpoch(
  epochs: ComparedRun['epochs'],
  { bestEpoch }: Report,
): Pick<ComparedRun, 'accuracy' | 'accuracyEpoch' | 'accuracyBy'> {
  const validated = epochs.some(({ validation }) => validation !== null)
  const chosen = validated ? epochs.find(({ epoch }) => epoch === bestEpoch) : epochs.at(-1)
  return {
    accuracy: chosen?.test?.accuracy ?? null,
    accuracyEpoch: chosen?.epoch ?? null,
    accuracyBy: validated ? 'validation' : 'last',
  }
}
