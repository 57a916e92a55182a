import { native } from './errors.js'
import type { ConvolutionSize, ModelCost as NativeModelCost, SeparableCost } from './native/binding.js'
import { binding } from './native/load.js'
import { checkKeys, type Keys, withoutNulls } from './options/keys.js'
import { checkNetworkOptions, type ModelConfig, type NetworkOptions } from './options/network.js'

/** A network beside the same one with a standard convolution in place of each depthwise separable one. */
export interface ModelCost extends NativeModelCost {
  /** Which network it is, complete. */
  config: ModelConfig
}

const sizeKeys: Keys<ConvolutionSize> = { input: true, channels: true, kernel: true, outputs: true }

/**
 * What a K x K convolution from C to M channels costs on an F x F map (stride 1, padding `same`), and the depthwise
 * separable convolution in its place: 1/M + 1/K^2 of it (arXiv 1704.04861, section 3.1). Throws INVALID_OPTION for
 * sizes that are not whole numbers from 1 to 1,000,000, or too large together (2^52 multiply-adds).
 *
 * @example
 * const { standard, separable, ratio } = separableCost({ input: 14, channels: 512, kernel: 3, outputs: 512 })
 * console.log(standard.multiplyAdds, separable.multiplyAdds, ratio) // 462422016 52283392 0.113...
 */
export function separableCost(size: ConvolutionSize): SeparableCost {
  checkKeys('separableCost', size, sizeKeys)
  return native(() => binding().separableCost(size))
}

/**
 * What a network costs, and what it would cost with a standard convolution in place of each depthwise convolution and
 * the pointwise one behind it (table 4 of V1's paper; in V2 and V3 that is the projection, and the standard convolution
 * reads the expanded channels). No network is made for it.
 *
 * @example
 * const { multiplyAdds, standard } = modelCost({ layout: 'imagenet' })
 * console.log(standard.multiplyAdds / multiplyAdds) // 8.55...
 */
export function modelCost(options: NetworkOptions = {}): ModelCost {
  checkNetworkOptions('modelCost', options)
  return native(() => binding().modelCost(withoutNulls(options))) as ModelCost
}
