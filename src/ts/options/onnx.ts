import type { Dataset } from '../dataset.js'
import { MobileNetError } from '../errors.js'
import type { EvaluationProgress, OnnxOptions } from '../native/binding.js'
import { checkKeys, checkObject, type Keys } from './keys.js'
import { mustBe } from './types.js'

/** What an ONNX file in whole numbers of 8 bits is made from. */
export interface QuantizeOptions extends OnnxOptions {
  /** Weights and maps in whole numbers of 8 bits. */
  quantize: 'int8'
  /** Its training pictures (512 of them) give the ranges of the maps, its test pictures say what rounding costs. */
  calibration: Dataset
  /** Ends the work. */
  signal?: AbortSignal | undefined
  /** Hears how far the evaluation before and after is. */
  onProgress?: ((progress: EvaluationProgress) => void) | undefined
}

const keys: Keys<QuantizeOptions> = {
  softmax: true,
  preprocess: true,
  quantize: true,
  calibration: true,
  signal: true,
  onProgress: true,
}

/** Null and undefined stand for the default, as in every option. */
export function isQuantized(options: OnnxOptions | QuantizeOptions): options is QuantizeOptions {
  return 'quantize' in options && options.quantize != null
}

/** Rejects options that don't exist, and those of a quantization where there is none. */
export function checkOnnxOptions(options: OnnxOptions | QuantizeOptions): void {
  checkObject('exportOnnx', options)
  checkKeys('exportOnnx', options, keys)
  if (isQuantized(options)) {
    mustBe(options.quantize === 'int8', 'quantize must be int8', options.quantize)
    return
  }
  // Without it they would be ignored, and the file be in float32.
  const stray = (['calibration', 'signal', 'onProgress'] as const).find(
    (key) => (options as Partial<QuantizeOptions>)[key] != null,
  )
  if (stray) throw new MobileNetError('INVALID_OPTION', `${stray} is for quantize; give both`)
}
