import type { DownloadProgress } from '../dataset/download.js'
import { native } from '../errors.js'
import type { ModelOptions as NativeModelOptions } from '../native/binding.js'
import { binding } from '../native/load.js'
import { checkKeys, type Keys, withoutNulls } from './keys.js'
import { mustBe } from './types.js'

/** MobileNet V1. */
export interface V1Options extends NativeModelOptions {
  variant?: 'v1' | null
  activation?: 'relu' | 'relu6' | null
}

/** MobileNet V2. */
export interface V2Options extends NativeModelOptions {
  variant: 'v2'
  layout?: 'cifar' | 'imagenet' | null
  activation?: 'relu6' | null
}

/** MobileNet V3, large or small. */
export interface V3Options extends NativeModelOptions {
  variant: 'v3-large' | 'v3-small'
  layout?: 'cifar' | 'imagenet' | null
  activation?: 'hard-swish' | null
}

/** A network. What is absent takes its default. */
export type NetworkOptions = V1Options | V2Options | V3Options

/** A network that stands in a file, and where it is to compute. */
export type LoadOptions = NetworkOptions & {
  /** `auto` (the best that works; default), `cpu`, `cuda` or `cuda:N`. */
  device?: DeviceName
}

/** What weights to import must be, and how to get published ones. */
export type ImportOptions = LoadOptions & {
  /**
   * What the weights expect a picture's shorter side to be resized to, in pixels, before the middle is cut out. Default: what
   * published weights ask for; otherwise 8/7 of the resolution in layout `imagenet` (256 for 224), and the resolution in
   * the others.
   */
  resize?: number
  /** Of published weights: the folder that holds their file; default: they are downloaded into the cache. */
  directory?: string
  /** Hears how the download goes. What it throws ends the download. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Ends the download; the part that has come is kept for the next time. */
  signal?: AbortSignal | undefined
}

/** A network, and how to make it. */
export type ModelOptions = LoadOptions & {
  /** Decides the initial weights: a whole number from 0 to 4294967295; default 1. */
  seed?: number
  /**
   * Weights to begin with, in place of random ones: a checkpoint, a file that `import` can read, or published weights by
   * their name (`torchvision:mobilenet_v2`). Only the classifier is new then, and `classes`, `resolution` and `dropout` may
   * be others than there; what else the options say must be right.
   */
  from?: string | URL
  /** Of published weights: the folder that holds their file; default: they are downloaded into the cache. */
  directory?: string
  /** Hears how the download goes. What it throws ends the download. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Ends the download; the part that has come is kept for the next time. */
  signal?: AbortSignal | undefined
}

/** A device as options name it. */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/** A network with every default filled in. */
export type ModelConfig = {
  /** Width multiplier. */
  width: number
  /** Height and width of a picture in pixels. */
  resolution: number
  /** Number of classes. */
  classes: number
  /** Share of the classifier's inputs that a training step leaves out. */
  dropout: number
} & (
  | { variant: 'v1'; layout: 'unpadded' | 'cifar' | 'imagenet'; activation: 'relu' | 'relu6' }
  | { variant: 'v2'; layout: 'cifar' | 'imagenet'; activation: 'relu6' }
  | { variant: 'v3-large' | 'v3-small'; layout: 'cifar' | 'imagenet'; activation: 'hard-swish' }
)

const networkKeys: Keys<NativeModelOptions> = {
  variant: true,
  layout: true,
  activation: true,
  width: true,
  resolution: true,
  classes: true,
  dropout: true,
}

const loadKeys: Keys<LoadOptions> = { ...networkKeys, device: true }

const downloadKeys = { directory: true, onProgress: true, signal: true } as const

const modelKeys: Keys<ModelOptions> = { ...loadKeys, ...downloadKeys, seed: true, from: true }

const importKeys: Keys<ImportOptions> = { ...loadKeys, ...downloadKeys, resize: true }

/** Rejects options that don't exist; before weights are read or downloaded, also what no network is. */
export function checkModelOptions(options: ModelOptions): void {
  checkKeys('MobileNet.create', options, modelKeys)
  const { seed, from, device, directory, onProgress, signal, ...network } = options
  mustBe(seed == null || typeof seed === 'number', 'seed must be a number', seed)
  if (from !== undefined) checkNetwork(network)
}

/** Rejects options that don't exist, and what no network is. */
export function checkLoadOptions(options: LoadOptions): void {
  checkKeys('MobileNet.load', options, loadKeys)
  const { device, ...network } = options
  checkNetwork(network)
}

/** Rejects options that describe no network. */
export function checkNetworkOptions(where: string, options: NetworkOptions): void {
  checkKeys(where, options, networkKeys)
}

/** Rejects options that don't exist, and what no network is. */
export function checkImportOptions(options: ImportOptions): void {
  checkKeys('MobileNet.import', options, importKeys)
  const { device, directory, resize, onProgress, signal, ...network } = options
  checkNetwork(network)
}

function checkNetwork(network: NativeModelOptions): void {
  native(() => binding().checkModelOptions(withoutNulls(network)))
}
