import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  MobileNetError,
  type ModelConfig,
  type ModelOptions,
  modelCost,
  type PresetName,
  presets,
  type TestTimeAugmentation,
  type TrainConfig,
} from '../../../index.js'

/** Reads a number; what range it must be in, the core knows. */
export function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('It must be a number.')
  return value
}

/** Reads how many are wanted. */
export function count(text: string): number {
  const value = number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1.')
  return value
}

/** Reads a list of numbers, none of which may be left out. */
export function numbers(text: string): number[] {
  const values = list(text).map((part) => (part === '' ? Number.NaN : Number(part)))
  if (values.every((value) => !Number.isNaN(value))) return values
  throw new InvalidArgumentError('It must be numbers with commas between.')
}

/** What stands between commas, without the spaces around it. */
export function list(text: string): string[] {
  return text.split(',').map((part) => part.trim())
}

const views: Record<TestTimeAugmentation, true> = { none: true, mirror: true, 'mirror-shift': true }

/** Test-time augmentation, of the commands that ask a network. */
export function viewsOption(): Option {
  return new Option('--tta <views>', 'average over views of a picture: mirror has 2, mirror-shift 6')
    .choices(Object.keys(views))
    .default('none')
}

/** The options that describe a network, as commander gives them. */
export interface NetworkFlags {
  variant?: string
  layout?: string
  activation?: string
  width?: number
  resolution?: number
  classes?: number
  dropout?: number
}

const networkKeys = ['variant', 'layout', 'activation', 'width', 'resolution', 'classes', 'dropout'] as const

/** What a command does with the options that describe a network. */
interface NetworkUse {
  /** What the value of an option that isn't given follows from; in a comparison all variants have one layout. */
  of: 'preset' | 'variant' | 'comparison' | 'weights'
  /** Options that the command hasn't. */
  without?: (keyof NetworkFlags)[]
}

/** Adds the options that describe a network. */
export function addNetworkOptions(command: Command, { of, without = [] }: NetworkUse): Command {
  const rows: [flags: string, key: keyof NetworkFlags, text: string][] = [
    ['--variant <v>', 'variant', 'which MobileNet: v1, v2, v3-large or v3-small'],
    [
      '--layout <layout>',
      'layout',
      "unpadded (the course's V1), cifar (the paper's, for 32x32) or imagenet (the paper's)",
    ],
    ['--activation <a>', 'activation', "of V1: relu or relu6 (timm's weights)"],
    ['--width <alpha>', 'width', 'width multiplier'],
    ['--resolution <n>', 'resolution', 'height and width of a picture'],
    ['--classes <n>', 'classes', 'number of classes'],
    ['--dropout <x>', 'dropout', "share of the classifier's inputs that a training step leaves out"],
  ]
  for (const [flags, key, text] of rows.filter(([, key]) => !without.includes(key))) {
    const option = new Option(flags, text + networkDefault(of, key))
    if (['width', 'resolution', 'classes', 'dropout'].includes(key)) option.argParser(number)
    command.addOption(option)
  }
  return command
}

/** The default of such an option for the help. */
function networkDefault(of: NetworkUse['of'], key: keyof NetworkFlags): string {
  if (of === 'preset') return defaultOf((preset) => preset.model[key])
  if (of === 'comparison' && key === 'layout') return ' (default: cifar)'
  if (of === 'weights' && key === 'layout') return ' (default: see below)'
  if (of === 'weights' && ['variant', 'width', 'classes'].includes(key)) {
    return ' (default: found from the weights)'
  }
  const ofNetworks = (networks: ModelOptions[], name: 'variant' | 'layout') =>
    defaultText(() => networks.map((network) => [`${network[name]}`, modelCost(network).config[key]]))
  if (key === 'variant') return defaultText(() => [[key, modelCost().config.variant]])
  if (key === 'activation') return ofNetworks([{ variant: 'v1' }], 'variant')
  if (key === 'resolution' || key === 'classes') {
    return ofNetworks([{ layout: 'unpadded' }, { layout: 'cifar' }, { layout: 'imagenet' }], 'layout')
  }
  const all = [
    { variant: 'v1' },
    { variant: 'v2' },
    { variant: 'v3-large' },
    { variant: 'v3-small' },
  ] as const
  return ofNetworks([...all], 'variant')
}

/** Those of the options that were given. */
export function networkOf(flags: NetworkFlags): ModelOptions {
  const given = networkKeys.filter((key) => flags[key] !== undefined).map((key) => [key, flags[key]])
  return Object.fromEntries(given) as ModelOptions
}

/** A default for the help, from the core: one value, or one for each preset where they differ. */
export function defaultOf(pick: (preset: { model: ModelConfig; train: TrainConfig }) => unknown): string {
  return defaultText(() => Object.entries(presets()).map(([name, preset]) => [name, pick(preset)]))
}

/**
 * Defaults by name for the help: one value where all have the same. Empty when the native library can't be loaded, so
 * that help and `doctor` work even then.
 */
export function defaultText(defaults: () => [name: string, value: unknown][]): string {
  let all: [string, unknown][]
  try {
    all = defaults()
  } catch (error) {
    if (error instanceof MobileNetError) return ''
    throw error
  }
  const values = new Set(all.map(([, value]) => value))
  if (values.size === 1) return ` (default: ${[...values][0]})`
  const known = all.filter(([, value]) => value !== undefined)
  return ` (default: ${known.map(([name, value]) => `${name} ${value}`).join(', ')})`
}

/** The preset of this name. */
export function presetOf(name: string): { model: ModelConfig; train: TrainConfig } {
  const all = presets()
  const preset = Object.hasOwn(all, name) ? all[name as PresetName] : undefined
  if (preset) return preset
  const names = Object.keys(all).join(', ')
  throw new MobileNetError('INVALID_OPTION', `preset must be one of ${names}, not ${name}`)
}
