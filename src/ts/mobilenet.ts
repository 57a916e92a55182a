import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { abortable } from './abort.js'
import { ask, askEach, type Features, type PictureAnswer, type PictureFeatures } from './answers.js'
import { countOf, labelsOf } from './batch.js'
import { checkDataset, Dataset, Part } from './dataset.js'
import { selectDevice } from './devices.js'
import { MobileNetError, native } from './errors.js'
import type { Normalization, TrainedOn } from './events.js'
import { measured } from './measure.js'
import type {
  EvaluationProgress,
  Layer,
  Metrics,
  Model as NativeModel,
  OnnxOptions,
  QuantizationReport,
  SelectedDevice,
} from './native/binding.js'
import { binding } from './native/load.js'
import type { EvaluateOptions } from './options/evaluate.js'
import { checkEvaluateOptions } from './options/evaluate.js'
import { checkKeys, withoutNulls } from './options/keys.js'
import type { ImportOptions, LoadOptions, ModelConfig, ModelOptions } from './options/network.js'
import { checkImportOptions, checkLoadOptions, checkModelOptions } from './options/network.js'
import type { QuantizeOptions } from './options/onnx.js'
import { checkOnnxOptions, isQuantized } from './options/onnx.js'
import type { TrainOptions } from './options/train.js'
import { checkTrainOptions, nativeRecipe, presets } from './options/train.js'
import { isNumbers, mustBe } from './options/types.js'
import { toPath } from './paths.js'
import {
  checkPredict,
  isSeveral,
  type LogitsOptions,
  type Picture,
  type PredictOptions,
  type ReadingOptions,
} from './pictures.js'
import { type Logits, type Prediction, rank } from './prediction.js'
import type { WeightsOrigin } from './record/config.js'
import { files } from './record/files.js'
import { TrainRun } from './run.js'
import { weightsFile } from './weights.js'

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
  /** Null once they were trained. */
  #weights: WeightsOrigin | null
  readonly #device: SelectedDevice

  private constructor(model: NativeModel, device: SelectedDevice, weights: WeightsOrigin) {
    mustBe(model !== undefined, 'a MobileNet is made by MobileNet.create, load or import: the model', model)
    this.#native = device.name === 'cpu' ? model : native(() => model.on(device.name))
    this.#device = device
    this.#weights = weights
  }

  /** What trains and runs it: `cpu`, or `cuda:N`. */
  get device(): string {
    return this.#device.name
  }

  /** Why `auto` is the processor although there is an NVIDIA driver; null otherwise. */
  get deviceNote(): string | null {
    return this.#device.note
  }

  /**
   * A new network: with random weights, initialised as PyTorch does it, or with `from` those of another network and a new
   * classifier.
   *
   * @example await MobileNet.create({ from: 'torchvision:mobilenet_v3_small', classes: data.classes.length })
   */
  static async create(options: ModelOptions = {}): Promise<MobileNet> {
    checkModelOptions(options)
    options.signal?.throwIfAborted()
    const { device, seed, from, directory, onProgress, signal, ...network } = options
    const chosen = await selectDevice(device ?? 'auto')
    const drawn = seed ?? presets().course.train.seed
    if (from === undefined) {
      if (directory !== undefined) {
        throw new MobileNetError('INVALID_OPTION', 'directory is for published weights, which from names')
      }
      const model = await native(() => binding().Model.create(withoutNulls(network), seed))
      return new MobileNet(model, chosen, { seed: drawn })
    }
    const { path, origin } = await weightsFile(toPath(from, 'from'), { directory, onProgress, signal })
    const begin = () => native(() => binding().Model.createFrom(path, withoutNulls(network), seed))
    return new MobileNet(await abortable(begin, signal), chosen, { from: origin, seed: drawn })
  }

  /**
   * The network in a checkpoint that `save` or a training run wrote.
   *
   * @param options What the network must be, besides the device: a checkpoint of another one is CHECKPOINT_MISMATCH.
   */
  static async load(path: string | URL, options: LoadOptions = {}): Promise<MobileNet> {
    checkLoadOptions(options)
    const { device, ...expected } = options
    const file = toPath(path, 'a checkpoint')
    const checkpoint = resolve(file)
    const chosen = await selectDevice(device ?? 'auto')
    const loaded = await native(() => binding().Model.load(file)).catch((error: unknown) => {
      throw ofRun(file, error)
    })
    const model = new MobileNet(loaded, chosen, { checkpoint })
    const config: Record<string, unknown> = { ...model.config }
    for (const [key, value] of Object.entries(expected)) {
      if (value == null || value === config[key]) continue
      throw new MobileNetError(
        'CHECKPOINT_MISMATCH',
        `${file} holds a network with ${key} ${config[key]}, not ${value}`,
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
   * resolution, what pictures are resized to, and V1's activation, which is `relu6` for timm's weights.
   *
   * @param weights A path, or `torchvision:mobilenet_v2`, `torchvision:mobilenet_v3_large` or
   *   `torchvision:mobilenet_v3_small`: torchvision's newest, or with `:IMAGENET1K_V1` behind it the older ones.
   * @example await MobileNet.import('torchvision:mobilenet_v3_small', { directory: 'downloads' })
   */
  static async import(weights: string | URL, options: ImportOptions = {}): Promise<MobileNet> {
    checkImportOptions(options)
    const { device, directory, resize, onProgress, signal, ...network } = options
    const name = toPath(weights, 'weights')
    const chosen = await selectDevice(device ?? 'auto')
    const file = await weightsFile(name, { directory, onProgress, signal })
    const resized = resize ?? file.resize
    const read = () => native(() => binding().Model.import(file.path, withoutNulls(network), resized))
    return new MobileNet(await abortable(read, signal), chosen, { import: file.origin })
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

  /**
   * What a picture's shorter side is resized to, in pixels, before the middle is cut out: what the pictures were resized to that
   * it was trained on, the resolution in a new network, or what imported weights expect.
   */
  get resize(): number {
    return this.#native.resize
  }

  /**
   * How the pictures were divided that it was trained on, so that the same ones can be opened again; null when it wasn't
   * trained, or by a version that didn't say.
   */
  get trainedOn(): TrainedOn | null {
    return native(() => this.#native.trainedOn) as TrainedOn | null
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

  /**
   * Writes an ONNX file, which other programs run: any number of pictures at a time, with the configuration, the classes' names
   * and the normalisation in its metadata; in one rename.
   *
   * With `quantize: 'int8'` it holds weights and maps in whole numbers of 8 bits, whose ranges are found in the training
   * pictures of `calibration`; its test pictures are evaluated before and after, which the promise gives.
   *
   * @example const { before, after } = await model.exportOnnx('small.onnx', { quantize: 'int8', calibration: data })
   */
  exportOnnx(path: string | URL, options: QuantizeOptions): Promise<QuantizationReport>
  exportOnnx(path: string | URL, options?: OnnxOptions): Promise<void>
  async exportOnnx(path: string | URL, options: OnnxOptions | QuantizeOptions = {}): Promise<unknown> {
    checkOnnxOptions(options)
    const { softmax, preprocess } = options
    const onnx = withoutNulls({ softmax: softmax ?? null, preprocess: preprocess ?? null })
    if (!isQuantized(options)) return native(() => this.#native.exportOnnx(toPath(path), onnx))
    const { calibration, signal, onProgress } = options
    const right = calibration instanceof Dataset
    mustBe(right, 'quantize needs calibration: a data set for this network', calibration)
    return measured(
      (cancel, listener: (progress: EvaluationProgress) => void) =>
        this.#native.exportQuantized(toPath(path), onnx, calibration.native, cancel, listener),
      signal,
      onProgress,
    )
  }

  /**
   * Throws what a run with these options would fail with, as far as that can be told without pictures. So who opens them, or
   * downloads them, knows first that the rest is right.
   *
   * @example
   * model.checkTraining({ epochs: 9, precision: 'bfloat16' })
   * model.train({ epochs: 9, precision: 'bfloat16', data: await Cifar10.open({ download: true }) })
   */
  checkTraining(options: Omit<TrainOptions, 'data'>): void {
    checkTrainOptions(options)
    const { recipe, resume } = parted(options)
    native(() => binding().checkTraining(this.#native, recipe, resume))
  }

  /** Starts training, and returns at once. The network has the new weights when the run has ended. */
  train(options: TrainOptions): TrainRun {
    let taken: ReturnType<typeof takenApart>
    try {
      taken = takenApart(options)
    } catch (error) {
      return TrainRun.failed(error)
    }
    const { data, recipe, resume, evaluationEvents, signal } = taken
    const folder = recipe.out ? { path: recipe.out, weights: this.#weights } : undefined
    return new TrainRun(
      (onMessage) => {
        const start = binding().startTraining
        return start(this.#native, data.native, recipe, resume, (message) => {
          const { type } = message as Parameters<typeof onMessage>[0]
          if (type !== 'start' && type !== 'error') this.#weights = null
          onMessage(message as Parameters<typeof onMessage>[0])
        })
      },
      { signal, folder, evaluationEvents },
    )
  }

  /**
   * Mean loss and accuracy over a part of a data set, in evaluation mode.
   *
   * @example await model.evaluate(data.test, { tta: 'mirror' })
   */
  async evaluate(part: Part, options: EvaluateOptions = {}): Promise<Metrics> {
    mustBe(part instanceof Part, 'evaluate takes a part of a data set, for example data.test', part)
    const { dataset, name, validationFraction } = part
    checkEvaluateOptions(options)
    const { tta, signal, onProgress } = options
    return measured(
      (cancel, listener: (progress: EvaluationProgress) => void) =>
        this.#native.evaluate(dataset.native, name, validationFraction, tta, cancel, listener),
      signal,
      onProgress,
    )
  }

  /**
   * The most probable classes of a picture, best first; of several pictures in one call, a list for each.
   *
   * One that can't be read is IMAGE_UNREADABLE; `predictEach` goes on with the others.
   *
   * @param options `top`: how many classes; default all.
   */
  predict(picture: Picture, options?: PredictOptions): Promise<Prediction[]>
  predict(pictures: readonly Picture[], options?: PredictOptions): Promise<Prediction[][]>
  predict(
    pictures: Picture | readonly Picture[],
    options?: PredictOptions,
  ): Promise<Prediction[] | Prediction[][]>
  async predict(
    pictures: Picture | readonly Picture[],
    options: PredictOptions = {},
  ): Promise<Prediction[] | Prediction[][]> {
    checkPredict(options)
    const { top, ...reading } = options
    if (!isSeveral(pictures)) return this.rank(await this.logits(pictures, reading), { top })
    return (await this.logits(pictures, reading)).map((logits) => this.rank(logits, { top }))
  }

  /**
   * The most probable classes of any number of pictures, one by one in their order, of which a few are in memory at a time.
   *
   * @param pictures Pictures, or the path of one, of a folder, or a glob (see `findPictures`).
   * @example
   * for await (const { picture, predictions, error } of model.predictEach('photos', { top: 1 }))
   *   console.log(picture, error ? error.message : predictions[0].label)
   */
  predictEach(
    pictures: string | URL | Iterable<string>,
    options?: PredictOptions,
  ): AsyncGenerator<PictureAnswer<string>, void, undefined>
  predictEach<P extends Picture>(
    pictures: Iterable<P>,
    options?: PredictOptions,
  ): AsyncGenerator<PictureAnswer<P>, void, undefined>
  predictEach(
    pictures: string | URL | Iterable<Picture>,
    options?: PredictOptions,
  ): AsyncGenerator<PictureAnswer, void, undefined>
  async *predictEach(
    pictures: string | URL | Iterable<Picture>,
    options: PredictOptions = {},
  ): AsyncGenerator<PictureAnswer, void, undefined> {
    checkPredict(options)
    const { top, ...reading } = options
    for await (const [picture, answer] of askEach(this.#native, pictures, 'logits', reading)) {
      yield answer instanceof MobileNetError
        ? { picture, predictions: null, logits: null, error: answer }
        : { picture, predictions: this.rank(answer, { top }), logits: answer, error: null }
    }
  }

  /** The logits `[classes]` of a picture; of several pictures in one call, one for each. */
  logits(picture: Picture, options?: LogitsOptions): Promise<Logits>
  logits(pictures: readonly Picture[], options?: LogitsOptions): Promise<Logits[]>
  logits(pictures: Picture | readonly Picture[], options?: LogitsOptions): Promise<Logits | Logits[]>
  async logits(
    pictures: Picture | readonly Picture[],
    options: LogitsOptions = {},
  ): Promise<Logits | Logits[]> {
    return ask(this.#native, pictures, 'logits', options)
  }

  /**
   * The pooled features of a picture: what the classifier reads, in V3 its first layer. Pictures of like things have like
   * features; `nearest` finds them. Of several pictures in one call, one for each.
   */
  embed(picture: Picture, options?: ReadingOptions): Promise<Features>
  embed(pictures: readonly Picture[], options?: ReadingOptions): Promise<Features[]>
  embed(pictures: Picture | readonly Picture[], options?: ReadingOptions): Promise<Features | Features[]>
  async embed(
    pictures: Picture | readonly Picture[],
    options: ReadingOptions = {},
  ): Promise<Features | Features[]> {
    return ask(this.#native, pictures, 'features', options)
  }

  /** The pooled features of any number of pictures, like `predictEach`. */
  embedEach(
    pictures: string | URL | Iterable<string>,
    options?: ReadingOptions,
  ): AsyncGenerator<PictureFeatures<string>, void, undefined>
  embedEach<P extends Picture>(
    pictures: Iterable<P>,
    options?: ReadingOptions,
  ): AsyncGenerator<PictureFeatures<P>, void, undefined>
  embedEach(
    pictures: string | URL | Iterable<Picture>,
    options?: ReadingOptions,
  ): AsyncGenerator<PictureFeatures, void, undefined>
  async *embedEach(
    pictures: string | URL | Iterable<Picture>,
    options: ReadingOptions = {},
  ): AsyncGenerator<PictureFeatures, void, undefined> {
    for await (const [picture, answer] of askEach(this.#native, pictures, 'features', options)) {
      yield answer instanceof MobileNetError
        ? { picture, features: null, error: answer }
        : { picture, features: answer, error: null }
    }
  }

  /** Turns logits `[classes]` into labels and probabilities (softmax), best first. */
  rank(logits: Logits, options: { top?: number | undefined } = {}): Prediction[] {
    checkKeys('rank', options, { top: true })
    mustBe(isNumbers(logits), 'logits must be a Float32Array', logits)
    return rank(logits, this.classes, options.top)
  }

  /**
   * Logits `[N, classes]` in evaluation mode.
   *
   * @param input Normalised pictures `[N, 3, resolution, resolution]`, row-major.
   */
  async forward(input: Float32Array): Promise<Float32Array> {
    const count = countOf(input, this.config.resolution)
    return native(() => this.#native.forward(input, count))
  }

  /**
   * A training step without the update: loss, logits and gradients in training mode. Running statistics stay.
   *
   * @param input Normalised pictures `[N, 3, resolution, resolution]`, row-major.
   * @param labels `[N]`, from 0.
   */
  async backward(input: Float32Array, labels: ArrayLike<number>): Promise<Backward> {
    const count = countOf(input, this.config.resolution)
    const numbers = labelsOf(labels, count, this.config.classes)
    const out = await native(() => this.#native.backward(input, numbers))
    return { ...out, gradients: byName(out.gradients) }
  }
}

/** The options of a run, checked: those of the recipe, and those that are for others. */
function takenApart(options: TrainOptions) {
  checkTrainOptions(options)
  checkDataset('data', options.data)
  return { ...parted(options), data: options.data }
}

/** The recipe, and what is not of it. */
function parted(options: Omit<TrainOptions, 'data'> & { data?: Dataset }) {
  const { data: _, resume, evaluationEvents = false, signal, ...rest } = options
  return { recipe: nativeRecipe(rest), resume: resume ?? false, evaluationEvents, signal }
}

/** Why a checkpoint can't be read: of a run's folder, which one was meant. */
function ofRun(path: string, error: unknown): unknown {
  const best = join(path, files.best)
  if (!existsSync(best)) return error
  return new MobileNetError('IO', `${path} is the folder of a run; its weights are in ${best}`, {
    cause: error,
  })
}

function byName(tensors: (Tensor & { name: string })[]): Map<string, Tensor> {
  return new Map(tensors.map(({ name, shape, data }) => [name, { shape, data }]))
}
