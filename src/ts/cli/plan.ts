import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type DeviceName,
  type FolderSplit,
  fineTuning,
  MobileNetError,
  type ModelConfig,
  type ModelOptions,
  type SavedConfig,
  type TrainOptions,
} from '../../../index.js'
import { type NetworkFlags, networkOf, presetOf } from './options.js'
import { type RecipeFlags, recipeOf } from './recipe.js'

/** The options of `train`, as commander gives them. */
export interface TrainFlags extends NetworkFlags, RecipeFlags {
  preset?: string
  data?: string
  cacheDir?: string
  config?: string
  from?: string
  weightsDir?: string
  init?: string
  resume?: string
  out?: string
  device?: string
  json?: boolean
  quiet?: boolean
}

/** What `train` is to do. */
export interface Plan {
  /** The checkpoint to take network and weights from. */
  checkpoint: string | undefined
  /** Another program's weights to take them from. */
  imported?: string
  /** Weights to begin with, under a new classifier. */
  from?: string
  /** Where the pictures are, if that is known. */
  data: string | undefined
  /** How the pictures of the run that is repeated were taken from a folder. */
  folder?: FolderSplit
  /** Whether the checkpoint's run goes on. */
  resume: boolean
  /** The network to make; of a checkpoint, what it must be. */
  network: ModelOptions
  options: Omit<TrainOptions, 'data' | 'resume' | 'signal'> & { out: string }
}

const usualPreset = 'course'

/** Refuses options that don't go together, whatever the files say that they name. */
export function checkFlags(flags: TrainFlags): void {
  const { config, resume, init, from, weightsDir } = flags
  if (config !== undefined) {
    checkRepetition(flags)
    return
  }
  if (resume !== undefined) checkResume(flags)
  if (from !== undefined && (resume ?? init) !== undefined) {
    throw invalid(
      '--from begins with other weights and a new classifier, so --init and --resume have no place with it',
    )
  }
  if (weightsDir !== undefined && from === undefined) {
    throw invalid('--weights-dir is for the weights that --from names')
  }
}

/**
 * Puts what was given over the preset, or over the configuration of the run that is repeated, or, when a run goes on, over
 * nothing: then the run's own values stay.
 *
 * @param saved Of the run that is repeated, or that goes on, where it is known.
 */
export function planOf(flags: TrainFlags, saved: SavedConfig | undefined): Plan {
  const given = networkOf(flags)
  if (saved && flags.config !== undefined) return repetitionOf(saved, flags, given)
  const resume = flags.resume === undefined ? undefined : checkpointOf(flags.resume)
  const name = flags.preset ?? usualPreset
  const preset = presetOf(name)
  const begin = flags.from !== undefined && flags.preset === undefined ? fineTuning() : preset.train
  const base = resume === undefined ? begin : undefined
  const checkpoint = resume ?? flags.init
  return {
    checkpoint,
    ...(flags.from === undefined ? {} : { from: flags.from }),
    data: flags.data ?? (saved && dataOf(saved)),
    resume: resume !== undefined,
    network: {
      ...(checkpoint === undefined ? { seed: flags.seed ?? preset.train.seed } : {}),
      // Weights say which network they are of.
      ...(checkpoint === undefined && flags.from === undefined ? modelOf(preset.model, given) : {}),
      ...given,
      device: (flags.device ?? 'auto') as DeviceName,
    } as ModelOptions,
    options: {
      ...base,
      ...recipeOf(flags, base),
      out:
        flags.out ??
        (resume === undefined
          ? newFolder(flags.from !== undefined && flags.preset === undefined ? 'fine-tuned' : name)
          : dirname(resume)),
    },
  }
}

/** The options that choose network and weights have no place in a run that is repeated. */
function checkRepetition(flags: TrainFlags): void {
  const wrong = (['preset', 'init', 'resume', 'from'] as const).filter((name) => flags[name] !== undefined)
  if (wrong.length > 0) {
    const names = wrong.map((name) => `--${name}`).join(', ')
    throw invalid(
      `--config begins with the network and the weights of its run, so ${names} can't be given with it`,
    )
  }
}

/** A run that begins as an earlier one did. */
function repetitionOf(saved: SavedConfig, flags: TrainFlags, given: ModelOptions): Plan {
  const { model, train, device, folder } = saved
  const { seed, checkpoint, import: imported, from } = weightsOf(saved)
  if (flags.weightsDir !== undefined && (imported ?? from) === undefined) {
    throw invalid('--weights-dir is for published weights, and the run of --config did not begin with such')
  }
  return {
    checkpoint,
    ...(imported === undefined ? {} : { imported }),
    ...(from === undefined ? {} : { from }),
    data: flags.data ?? dataOf(saved),
    // Older runs don't say it.
    ...(folder ? { folder } : {}),
    resume: false,
    network: {
      ...model,
      ...(seed === undefined ? {} : { seed: flags.seed ?? seed }),
      ...given,
      device: (flags.device ?? device) as DeviceName,
    } as ModelOptions,
    options: { ...train, ...recipeOf(flags, train), out: flags.out ?? newFolder('repeated') },
  }
}

/** Where the pictures of a run are; nothing of CIFAR-10 that lies elsewhere now, which is the same everywhere. */
function dataOf({ data, official }: SavedConfig): string | undefined {
  if (existsSync(data)) return data
  if (official) return undefined
  throw new MobileNetError(
    'DATASET_NOT_FOUND',
    `the pictures of this run are not in ${data} any more; say with --data where they are`,
  )
}

interface Weights {
  seed?: number
  checkpoint?: string
  import?: string
  from?: string
}

function weightsOf({ weights }: SavedConfig): Weights {
  if (weights) return weights
  throw invalid(
    "this run began with weights that a program had changed, so its config.json can't repeat it; begin with --init CHECKPOINT",
  )
}

/** The preset's network; of another variant or layout than the preset's, what is not the variant's or the layout's own. */
function modelOf(preset: ModelConfig, given: ModelOptions): Partial<ModelConfig> {
  const { layout, width, resolution, classes } = preset
  const alike = given.variant == null || given.variant === preset.variant
  // All variants have the preset's layout but `unpadded`, which is V1's.
  const shared = { ...(layout === 'unpadded' ? {} : { layout }), width, resolution, classes }
  const network = alike ? preset : shared
  if (given.layout !== 'imagenet' || preset.layout === 'imagenet') return network
  const { resolution: small, ...rest } = network
  return rest
}

/** The options that begin a run have no place in one that goes on. */
function checkResume(flags: TrainFlags): void {
  const wrong = [
    ...(flags.preset === undefined ? [] : ['preset']),
    ...(flags.init === undefined ? [] : ['init']),
    ...Object.keys(networkOf(flags)),
  ]
  if (wrong.length > 0) {
    const names = wrong.map((name) => `--${name}`).join(', ')
    throw invalid(`--resume goes on with the network of its run, so ${names} can't be given with it`)
  }
}

/** The state that a run goes on from: its newest, if its folder is named. */
export function checkpointOf(run: string): string {
  return statSync(run, { throwIfNoEntry: false })?.isDirectory() ? join(run, 'last.safetensors') : run
}

/** `runs/2026-01-31-235959-<what>`, in local time; with a number after it when that is taken. */
export function newFolder(what: string): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const now = new Date()
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join('-')
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join('')
  const path = join('runs', `${day}-${time}-${what}`)
  for (let n = 1; ; n++) {
    const free = n === 1 ? path : `${path}-${n}`
    if (!existsSync(free)) return free
  }
}

function invalid(message: string): MobileNetError {
  return new MobileNetError('INVALID_OPTION', message)
}
