import type { Dataset } from '../dataset.js'
import { MobileNetError } from '../errors.js'
import type { EvaluationProgress, OnnxOptions } from '../native/binding.js'
import { checkKeys, checkObject, type Keys } from './keys.js'

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

const onnxKeys: Keys<OnnxOptions> = { softmax: true, preprocess: true }

const quantizeKeys: Keys<QuantizeOptions> = {
  ...onnxKeys,
  quantize: true,
  calibration: true,
  signal: true,
  onProgress: true,
}

/** Rejects options that don't exist. */
export function checkOnnxOptions(options: OnnxOptions | QuantizeOptions): void {
  checkObject('exportOnnx', options)
  checkKeys('exportOnnx', options, 'quantize' in options ? quantizeKeys : onnxKeys)
  if ('quantize' in options && options.quantize !== 'int8') {
    throw new MobileNetError('INVALID_OPTION', `quantize must be int8, not ${options.quantize}`)
  }
}
