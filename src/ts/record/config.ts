import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { cannotRead, MobileNetError } from '../errors.js'
import type { RunConfig } from '../events.js'
import { processorName } from '../measure.js'
import { version } from '../native/info.js'
import { toPath } from '../paths.js'
import { files } from './files.js'

/** Where the weights came from with which a run began. */
export type WeightsOrigin =
  /** New ones, drawn from this seed. */
  | { seed: number }
  /** A checkpoint's. */
  | { checkpoint: string }
  /** Another program's: a file, or published ones by their name, as in `torchvision:mobilenet_v2:IMAGENET1K_V2`. */
  | { import: string }
  /** Those of a file, or published ones by their name, with a new classifier drawn from the seed. */
  | { from: string; seed: number }

/** What `config.json` holds: everything that decides a run, and where it ran. */
export interface SavedConfig extends Omit<RunConfig, 'out' | 'resumedEpochs'> {
  /** Null when a program had changed the weights before it started the run. */
  weights: WeightsOrigin | null
  environment: {
    /** This package's version. */
    version: string
    node: string
    platform: string
    processor: string
  }
}

/** What `config.json` is to hold of a run that begins. */
export function savedConfig(
  { out: _, resumedEpochs: __, ...config }: RunConfig,
  weights: WeightsOrigin | null,
): SavedConfig {
  const environment = {
    version,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    processor: processorName(),
  }
  // So that it is found from anywhere.
  const data = existsSync(config.data) ? resolve(config.data) : config.data
  return { ...config, data, weights, environment }
}

/**
 * Reads a run's configuration: the folder of a run, or its `config.json`, wherever it lies now.
 *
 * @example
 * const { model, train } = await readConfig('runs/first')
 */
export async function readConfig(path: string | URL): Promise<SavedConfig> {
  let text: string
  let file = toPath(path, 'a run')
  try {
    if ((await stat(file)).isDirectory()) file = join(file, files.config)
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw cannotRead(file, error)
  }
  const config = parsed(text)
  const parts = ['model', 'train', 'normalization', 'pictures', 'environment'] as const
  const missing = parts.find((part) => typeof config?.[part] !== 'object' || config[part] === null)
  if (config === undefined || missing !== undefined || typeof config.data !== 'string') {
    const lacks = config === undefined ? 'it is no JSON' : `it has no ${missing ?? 'data'}`
    throw new MobileNetError('INVALID_OPTION', `${file} is not the config.json of a run: ${lacks}`)
  }
  return config
}

function parsed(text: string): SavedConfig | undefined {
  try {
    return (JSON.parse(text) ?? undefined) as SavedConfig | undefined
  } catch {
    return undefined
  }
}
