import { MobileNetError } from './errors.js'
import type { FetchWeightsOptions } from './weights/fetch.js'
import { publishedWeights } from './weights/torchvision.js'

/**
 * The file of weights that are named by their path, or by the name under which they are published: then it is taken
 * from `directory`, or downloaded.
 */
export async function weightsFile(name: string, options: FetchWeightsOptions): Promise<string> {
  const published = publishedWeights(name)
  if (published) {
    // Loaded when it is needed, with the cryptography that it needs.
    const { fetchWeights } = require('./weights/fetch.js') as typeof import('./weights/fetch.js')
    return fetchWeights(published, options)
  }
  if (options.directory === undefined) return name
  throw new MobileNetError(
    'INVALID_OPTION',
    `directory is for published weights (torchvision:mobilenet_v2, ...), and ${name} is a path`,
  )
}
