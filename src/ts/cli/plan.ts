import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type DeviceName,
  MobileNetError,
  type ModelConfig,
  type ModelOptions,
  type TrainOptions,
} from '../../../index.js'
import { type NetworkFlags, networkOf, presetOf } from './options.js'
import { type RecipeFlags, recipeOf } from './recipe.js'

/** The options of `train`, as commander gives them. */
export interface TrainFlags extends NetworkFlags, RecipeFlags {
  preset?: string
  data?: string
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
  /** Whether the checkpoint's run goes on. */
  resume: boolean
  /** The network to make; of a checkpoint, what it must be. */
  network: ModelOptions
  options: Omit<TrainOptions, 'data' | 'resume' | 'signal'> & { out: string }
}

const usualPreset = 'course'

/** Puts what was given over the preset, or, when a run goes on, over nothing: then the run's own values stay. */
export function planOf(flags: TrainFlags): Plan {
  if (flags.precision === 'tf32') {
    throw invalid('precision must be float32 or bfloat16 on the CPU, not tf32, which only NVIDIA cards have')
  }
  const given = networkOf(flags)
  const resume = flags.resume === undefined ? undefined : checkpointOf(flags.resume)
  if (resume !== undefined) checkResume(flags, given)
  const name = flags.preset ?? usualPreset
  const preset = presetOf(name)
  const base = resume === undefined ? preset.train : undefined
  const checkpoint = resume ?? flags.init
  return {
    checkpoint,
    resume: resume !== undefined,
    network: {
      ...(checkpoint === undefined
        ? { ...modelOf(preset.model, given), seed: flags.seed ?? preset.train.seed }
        : {}),
      ...given,
      device: (flags.device ?? 'auto') as DeviceName,
    } as ModelOptions,
    options: {
      ...base,
      ...recipeOf(flags, base),
      out: flags.out ?? (resume === undefined ? newFolder(name) : dirname(resume)),
    },
  }
}

/** The preset's network; of another variant than the preset's, what is not the variant's own. */
function modelOf(preset: ModelConfig, given: ModelOptions): Partial<ModelConfig> {
  if (given.variant == null || given.variant === preset.variant) return preset
  const { width, resolution, classes } = preset
  return { width, resolution, classes }
}

/** The options that begin a run have no place in one that goes on. */
function checkResume(flags: TrainFlags, given: ModelOptions): void {
  const wrong = [
    ...(flags.preset === undefined ? [] : ['preset']),
    ...(flags.init === undefined ? [] : ['init']),
    ...Object.keys(given),
  ]
  if (wrong.length > 0) {
    const names = wrong.map((name) => `--${name}`).join(', ')
    throw invalid(`--resume goes on with the network of its run, so ${names} can't be given with it`)
  }
  // The rest of a half-given pair would be the default, not what the run had.
  if (flags.optimizer !== undefined && flags.learningRate === undefined) {
    throw invalid('--optimizer with --resume needs --learning-rate, too')
  }
  const { schedule, stepSize, gamma } = flags
  const half = schedule === 'step' && (stepSize === undefined || gamma === undefined)
  if (half || (schedule === undefined && (stepSize !== undefined || gamma !== undefined))) {
    throw invalid('with --resume a step schedule is given whole: --schedule step --step-size N --gamma X')
  }
}

function checkpointOf(run: string): string {
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
