import { resolve } from 'node:path'
import { MobileNetError } from './errors.js'
import { toPath } from './paths.js'
import type { FetchWeightsOptions } from './weights/fetch.js'
import { publishedWeights } from './weights/torchvision.js'

/** A file of weights, and what is known of them beside it. */
export interface WeightsFile {
  path: string
  /** By what they are found again: published ones by their name, on every machine; others by their whole path. */
  origin: string
  /** What they expect a picture's shorter side to be resized to, in pixels. */
  resize: number | undefined
}

/**
 * The file of weights that are named by their path, or by the name under which they are published: then it is taken
 * from `directory`, or downloaded.
 */
export async function weightsFile(name: string, options: FetchWeightsOptions): Promise<WeightsFile> {
  const published = publishedWeights(name)
  if (published) {
    // Loaded when it is needed, with the cryptography that it needs.
    const { fetchWeights } = require('./weights/fetch.js') as typeof import('./weights/fetch.js')
    const directory = options.directory && toPath(options.directory, 'directory')
    const path = await fetchWeights(published, { ...options, directory })
    return { path, origin: published.name, resize: published.resize }
  }
  if (options.directory === undefined) return { path: name, origin: resolve(name), resize: undefined }
  throw new MobileNetError(
    'INVALID_OPTION',
    `directory is for published weights (torchvision:mobilenet_v2, ...), and ${name} is a path`,
  )
}
