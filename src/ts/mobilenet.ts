import { fileURLToPath } from 'node:url'
import { abortable } from './abort.js'
import { Part } from './dataset.js'
import { selectDevice } from './devices.js'
import { MobileNetError, native } from './errors.js'
import type { Normalization } from './events.js'
import { measured } from './measure.js'
import type {
  EvaluationProgress,
  Layer,
  Metrics,
  Model as NativeModel,
  TrainOptions as NativeTrainOptions,
} from './native/binding.js'
import { binding } from './native/load.js'
import type { ImportOptions, LoadOptions, ModelConfig, ModelOptions, TrainOptions } from './options.js'
import { checkImportOptions, checkModelOptions, checkTrainOptions, withoutNulls } from './options.js'
import { type Logits, type Prediction, rank } from './prediction.js'
import { TrainRun } from './run.js'
import { weightsFile } from './weights.js'

/** A picture as bytes, rows from the top. */
export interface RawPicture {
  /** `height * width * channels` bytes, the channels of a pixel together. */
  data: Uint8Array
  /** In pixels. */
  width: number
  /** In pixels. */
  height: number
  /** 1 (grey), 3 (red, green, blue) or 4 (with alpha, which is ignored); default 3. */
  channels?: number
}

/** A picture: a file's path or `file:` URL, the bytes of such a file, or its pixels. Of any size. */
export type Picture = string | URL | Uint8Array | RawPicture

/** A tensor in PyTorch's shape and order. */
export interface Tensor {
  shape: number[]
  /** Row-major. */
  data: Float32Array
}

/** What `backward` gives. */
export interface Backward {
  /** Mean cross-entropy of the batch. */
  loss: number
  /** `[N, classes]`, row-major, in training mode (batch statistics). */
  logits: Float32Array
  /** By name, one for each trainable tensor. */
  gradients: Map<string, Tensor>
}

/** A network with its weights. They live outside the JavaScript heap, and go when the object does. */
export class MobileNet {
  readonly #native: NativeModel

  private constructor(model: NativeModel) {
    this.#native = model
  }

  /** A new network with random weights, initialised as PyTorch does it. */
  static async create(options: ModelOptions = {}): Promise<MobileNet> {
    const { device, seed, ...network } = options
    checkModelOptions(options)
    selectDevice(device ?? 'auto')
    return new MobileNet(await native(() => binding().Model.create(withoutNulls(network), seed)))
  }

  /**
   * The network in a checkpoint that `save` or a training run wrote.
   *
   * @param options What the network must be, besides the device: a checkpoint of another one is CHECKPOINT_MISMATCH.
   */
  static async load(path: string | URL, options: LoadOptions = {}): Promise<MobileNet> {
    const { device, ...expected } = options
    checkModelOptions(options)
    selectDevice(device ?? 'auto')
    const model = new MobileNet(await native(() => binding().Model.load(toPath(path))))
    const config: Record<string, unknown> = { ...model.config }
    for (const [key, value] of Object.entries(expected)) {
      if (value == null || value === config[key]) continue
      throw new MobileNetError(
        'CHECKPOINT_MISMATCH',
        `${toPath(path)} holds a network with ${key} ${config[key]}, not ${value}`,
      )
    }
    return model
  }

  /**
   * A network from weights that PyTorch or another program saved: a `.pth` state dict or a `.safetensors` file with
   * torchvision's, timm's or the course's names; or published weights by their name, which are downloaded once.
   *
   * Variant, width and classes are found from the tensors; `options` that say something else are CHECKPOINT_MISMATCH.
   * What weights don't show is for `options` to say: whether the layout is `imagenet` (default) or `cifar`, the
   * resolution, and V1's activation, which is `relu6` for timm's weights.
   *
   * @param weights A path, or `torchvision:mobilenet_v2`, `torchvision:mobilenet_v3_large` or
   *   `torchvision:mobilenet_v3_small`: torchvision's newest, or with `:IMAGENET1K_V1` behind it the older ones.
   * @example await MobileNet.import('torchvision:mobilenet_v3_small', { directory: 'downloads' })
   */
  static async import(weights: string | URL, options: ImportOptions = {}): Promise<MobileNet> {
    const { device, directory, onProgress, signal, ...network } = options
    checkImportOptions(options)
    selectDevice(device ?? 'auto')
    const path = await weightsFile(toPath(weights), { directory, onProgress, signal })
    return new MobileNet(
      await abortable(() => native(() => binding().Model.import(path, withoutNulls(network))), signal),
    )
  }

  /** Which network it is, complete. */
  get config(): ModelConfig {
    return native(() => this.#native.config) as ModelConfig
  }

  /** Names of the classes in the order of the logits; their numbers when the network knows no names. */
  get classes(): string[] {
    return this.#native.classNames
  }

  /** What pictures are normalised with. */
  get normalization(): Normalization {
    return native(() => this.#native.normalization) as Normalization
  }

  /** Trainable values (running statistics not counted). */
  get parameters(): number {
    return this.#native.parameters
  }

  /** Multiplications with an addition for one picture; batch norm, activations and pooling not counted. */
  get multiplyAdds(): number {
    return this.layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0)
  }

  /** Its checkpoint holds the training state of a run, with which `train({ resume: true })` goes on. */
  get canResume(): boolean {
    return this.#native.canResume
  }

  /** Every layer, from the picture to the logits. */
  get layers(): Layer[] {
    return native(() => this.#native.layers())
  }

  /** A copy of every tensor of the state dict by its name, running statistics included. */
  tensors(): Map<string, Tensor> {
    return byName(native(() => this.#native.tensors()))
  }

  /** Writes a checkpoint that `load`, and PyTorch, can read; in one rename, so that it is whole or not there. */
  async save(path: string | URL): Promise<void> {
    await native(() => this.#native.save(toPath(path)))
  }

  /** Starts training, and returns at once. The network has the new weights when the run has ended. */
  train(options: TrainOptions): TrainRun {
    const { data, resume, evaluationEvents = false, signal, ...recipe } = options
    return new TrainRun(
      (onMessage) => {
        checkTrainOptions(options)
        const start = binding().startTraining
        return start(
          this.#native,
          data.native,
          withoutNulls(recipe) as NativeTrainOptions,
          resume ?? false,
          (message) => onMessage(message as Parameters<typeof onMessage>[0]),
        )
      },
      { signal, hasFolder: Boolean(recipe.out), evaluationEvents },
    )
  }

  /**
   * Mean loss and accuracy over a part of a data set, in evaluation mode.
   *
   * @param options `onProgress` hears after each batch how many pictures are done; what it throws ends the evaluation.
   * @example await model.evaluate(data.test)
   */
  async evaluate(
    part: Part,
    options: { signal?: AbortSignal; onProgress?: (progress: EvaluationProgress) => void } = {},
  ): Promise<Metrics> {
    if (!(part instanceof Part)) {
      throw new MobileNetError('INVALID_OPTION', 'evaluate takes a part of a data set, for example data.test')
    }
    const { dataset, name, validationFraction } = part
    return measured(
      (cancel, listener: (progress: EvaluationProgress) => void) =>
        this.#native.evaluate(dataset.native, name, validationFraction, cancel, listener),
      options.signal,
      options.onProgress,
    )
  }

  /**
   * The most probable classes of a picture, best first; of several pictures in one call, a list for each.
   *
   * @param options `top`: how many classes; default all.
   */
  predict(picture: Picture, options?: { top?: number; signal?: AbortSignal }): Promise<Prediction[]>
  predict(pictures: Picture[], options?: { top?: number; signal?: AbortSignal }): Promise<Prediction[][]>
  async predict(
    pictures: Picture | Picture[],
    options: { top?: number; signal?: AbortSignal } = {},
  ): Promise<Prediction[] | Prediction[][]> {
    if (!Array.isArray(pictures)) return this.rank(await this.logits(pictures, options), options)
    return (await this.logits(pictures, options)).map((logits) => this.rank(logits, options))
  }

  /** The logits `[classes]` of a picture; of several pictures in one call, one for each. */
  logits(picture: Picture, options?: { signal?: AbortSignal }): Promise<Logits>
  logits(pictures: Picture[], options?: { signal?: AbortSignal }): Promise<Logits[]>
  async logits(
    pictures: Picture | Picture[],
    options: { signal?: AbortSignal } = {},
  ): Promise<Logits | Logits[]> {
    const list = (Array.isArray(pictures) ? pictures : [pictures]).map(toNativePicture)
    const flat = await abortable(() => native(() => this.#native.predict(list)), options.signal)
    const { classes } = this.config
    const rows = list.map((_, i) => flat.slice(i * classes, (i + 1) * classes))
    return Array.isArray(pictures) ? rows : (rows[0] as Logits)
  }

  /** Turns logits `[classes]` into labels and probabilities (softmax), best first. */
  rank(logits: Logits, options: { top?: number } = {}): Prediction[] {
    return rank(logits, this.classes, options.top)
  }

  /**
   * Logits `[N, classes]` in evaluation mode.
   *
   * @param input Normalised pictures `[N, 3, resolution, resolution]`, row-major.
   */
  async forward(input: Float32Array): Promise<Float32Array> {
    const count = this.#countOf(input)
    return native(() => this.#native.forward(input, count))
  }

  /**
   * A training step without the update: loss, logits and gradients in training mode. Running statistics stay.
   *
   * @param input Normalised pictures `[N, 3, resolution, resolution]`, row-major.
   * @param labels `[N]`, from 0.
   */
  async backward(input: Float32Array, labels: ArrayLike<number>): Promise<Backward> {
    const count = this.#countOf(input)
    if (labels.length !== count) {
      throw new MobileNetError(
        'INVALID_OPTION',
        `${count} pictures need ${count} labels, not ${labels.length}`,
      )
    }
    const out = await native(() => this.#native.backward(input, Uint32Array.from(labels)))
    return { ...out, gradients: byName(out.gradients) }
  }

  #countOf(input: Float32Array): number {
    const { resolution } = this.config
    const size = 3 * resolution * resolution
    if (input instanceof Float32Array && input.length > 0 && input.length % size === 0)
      return input.length / size
    throw new MobileNetError(
      'INVALID_OPTION',
      `input must be a Float32Array of whole pictures of 3 * ${resolution} * ${resolution} values`,
    )
  }
}

function byName(tensors: (Tensor & { name: string })[]): Map<string, Tensor> {
  return new Map(tensors.map(({ name, shape, data }) => [name, { shape, data }]))
}

function toNativePicture(picture: Picture): string | Uint8Array | RawPicture {
  return picture instanceof URL ? toPath(picture) : picture
}

function toPath(path: string | URL): string {
  return path instanceof URL ? fileURLToPath(path) : path
}
