import {
  type Augmentation,
  type AugmentationOptions,
  type BenchmarkOptions,
  type BenchmarkProgress,
  type BenchmarkReport,
  benchmark,
  Cifar10,
  type ComparedNetwork,
  type ComparedRun,
  type CompareOptions,
  type CompareProgress,
  type Comparison,
  type ConvolutionSize,
  type Cost,
  compare,
  type Dataset,
  type EpochEvent,
  type ErrorCode,
  type Features,
  findPictures,
  ImageFolder,
  type LogitsOptions,
  type Metrics,
  MobileNet,
  MobileNetError,
  type ModelConfig,
  type ModelCost,
  type ModelOptions,
  modelCost,
  type Neighbour,
  nearest,
  type Part,
  type Picture,
  type PictureAnswer,
  type PictureFeatures,
  type Prediction,
  type PresetName,
  presets,
  type Report,
  type RunConfig,
  readRun,
  type SeparableCost,
  separableCost,
  type TrainEvent,
  type TrainOptions,
  type TrainRun,
  type Variant,
  writeReport,
} from 'mobilenet-native'
import { describe, expectTypeOf, it } from 'vitest'

declare const model: MobileNet
declare const data: Dataset
declare const run: TrainRun

describe('events', () => {
  it('narrow on their type', () => {
    const event = {} as TrainEvent
    expectTypeOf(event.type).toEqualTypeOf<
      'start' | 'step' | 'evaluating' | 'epoch' | 'learningRate' | 'checkpoint' | 'warning' | 'done'
    >()
    if (event.type === 'start') expectTypeOf(event.config).toEqualTypeOf<RunConfig>()
    if (event.type === 'step') expectTypeOf(event.imagesPerSecond).toBeNumber()
    if (event.type === 'evaluating') expectTypeOf(event.split).toEqualTypeOf<'validation' | 'test'>()
    if (event.type === 'epoch') expectTypeOf(event.validation).toEqualTypeOf<Metrics | null>()
    if (event.type === 'learningRate') expectTypeOf(event.scheduled).toBeNumber()
    if (event.type === 'checkpoint') expectTypeOf(event.path).toBeString()
    if (event.type === 'done') expectTypeOf(event.report).toEqualTypeOf<Report>()
    // @ts-expect-error a step has no report
    if (event.type === 'step') event.report
    // @ts-expect-error not before the type is known
    event.loss
  })

  it('come from a run, which is no promise itself', () => {
    expectTypeOf(run).toExtend<AsyncIterable<TrainEvent>>()
    expectTypeOf(run.result).resolves.toEqualTypeOf<Report>()
    expectTypeOf(run.stop).returns.resolves.toEqualTypeOf<Report>()
    expectTypeOf(run.checkpoint).returns.resolves.toBeString()
    expectTypeOf(run.setLearningRate).parameters.toEqualTypeOf<[learningRate: number]>()
    expectTypeOf(run.setLearningRate).returns.resolves.toBeVoid()
    expectTypeOf(run.epochs()).toExtend<AsyncIterable<EpochEvent>>()
    expectTypeOf(run).not.toHaveProperty('then')
  })
})

describe('options', () => {
  it('know their values', () => {
    expectTypeOf<ModelOptions['layout']>().toEqualTypeOf<
      'unpadded' | 'cifar' | 'imagenet' | null | undefined
    >()
    expectTypeOf<{ device: 'cuda:1' }>().toExtend<ModelOptions>()
    expectTypeOf<{ device: 'gpu' }>().not.toExtend<ModelOptions>()
    expectTypeOf<{ data: Dataset; epochs: string }>().not.toExtend<TrainOptions>()
    expectTypeOf<{ data: Dataset; schedule: { type: 'cosine' } }>().toExtend<TrainOptions>()
    expectTypeOf<{ epochs: number }>().not.toExtend<TrainOptions>()
  })

  it('know which network has which', () => {
    MobileNet.create({ variant: 'v3-small', layout: 'imagenet', dropout: 0.2 })
    MobileNet.create({ activation: 'relu6' })
    // @ts-expect-error there is none
    MobileNet.create({ variant: 'v4' })
    // @ts-expect-error the course's layout is V1's
    MobileNet.create({ variant: 'v2', layout: 'unpadded' })
    // @ts-expect-error V2 has ReLU6
    MobileNet.create({ variant: 'v2', activation: 'relu' })
  })

  it('that do not exist are refused', () => {
    // @ts-expect-error misspelt
    MobileNet.create({ widht: 1 })
    // @ts-expect-error it belongs to the optimizer
    model.train({ data, learningRate: 0.1 })
    // @ts-expect-error a checkpoint has its weights already
    MobileNet.load('model.safetensors', { seed: 1 })
    // @ts-expect-error a part, not the whole set
    model.evaluate(data)
    // @ts-expect-error the path goes by the name of directory
    Cifar10.open({ folder: '.' })
  })

  it('know the steps of augmentation and the values of each', () => {
    model.train({ data, augment: true })
    model.train({
      data,
      augment: [{ type: 'crop' }, { type: 'crop', padding: 2 }, { type: 'mixup', alpha: 0.2 }],
    })
    // @ts-expect-error there is none
    model.train({ data, augment: [{ type: 'rotate' }] })
    // @ts-expect-error it belongs to the crop
    model.train({ data, augment: [{ type: 'flip', padding: 2 }] })
    expectTypeOf<RunConfig['train']['augment']>().toEqualTypeOf<Augmentation[]>()
    expectTypeOf<Augmentation[]>().toExtend<AugmentationOptions[]>()
  })

  it('know the views at test time', () => {
    model.evaluate(data.test, { tta: 'mirror' })
    model.predict('cat.png', { tta: 'mirror-shift', top: 1 })
    // @ts-expect-error there is none
    model.evaluate(data.test, { tta: 'shift' })
  })

  it('know which optimizer and which schedule has which', () => {
    model.train({ data, optimizer: { type: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 5e-4 } })
    model.train({ data, optimizer: { learningRate: 0.1, beta2: 0.99 } })
    model.train({
      data,
      schedule: { type: 'multi-step', milestones: [30, 60], warmup: { epochs: 5, every: 'epoch' } },
    })
    model.train({ data, ema: { decay: 0.999 }, patience: 5, optimizer: { clipNorm: 1 } })
    // @ts-expect-error there is none
    model.train({ data, optimizer: { type: 'lion' } })
    // @ts-expect-error Adam has no momentum of this name
    model.train({ data, optimizer: { type: 'adam', momentum: 0.9 } })
    // @ts-expect-error one-cycle rises by itself
    model.train({ data, schedule: { type: 'one-cycle', warmup: { epochs: 5 } } })
    // @ts-expect-error of step and its like
    model.train({ data, schedule: { type: 'cosine', gamma: 0.5 } })
    const { optimizer } = presets().cifar.train
    if (optimizer.type === 'rmsprop-tf') expectTypeOf(optimizer.alpha).toBeNumber()
    // @ts-expect-error not before the type is known
    optimizer.alpha
  })

  it('take undefined for a signal or a listener that there may be', () => {
    const [signal, onProgress] = [undefined, undefined] as [AbortSignal | undefined, undefined]
    expectTypeOf(model.train).toBeCallableWith({ data, signal })
    expectTypeOf(model.evaluate).toBeCallableWith(data.test, { signal, onProgress })
    expectTypeOf(model.predict).toBeCallableWith('cat.png', { signal })
    expectTypeOf(MobileNet.create).toBeCallableWith({ signal, onProgress })
    expectTypeOf(MobileNet.import).toBeCallableWith('weights.pth', { signal, onProgress })
    expectTypeOf(Cifar10.open).toBeCallableWith({ signal, onProgress })
    expectTypeOf(ImageFolder.open).toBeCallableWith('photos', { signal, onProgress })
    expectTypeOf(benchmark).toBeCallableWith({ signal, onProgress })
    expectTypeOf(compare).toBeCallableWith({ signal, stop: signal, onProgress })
  })

  it('take the URL of a folder', () => {
    const out = new URL('file:///runs/first')
    expectTypeOf(writeReport).toBeCallableWith(out, out)
    expectTypeOf(writeReport).toBeCallableWith([out, 'runs/second'])
    expectTypeOf(ImageFolder.open).toBeCallableWith(out, { cache: out })
    expectTypeOf(model.train).toBeCallableWith({ data, out })
    expectTypeOf(compare).toBeCallableWith({ data, out })
    expectTypeOf(readRun).toBeCallableWith(out)
  })

  it('can be spread from a preset', () => {
    const { model: network, train } = presets().quick
    expectTypeOf(network).toExtend<ModelOptions>()
    expectTypeOf({ ...train, data }).toExtend<TrainOptions>()
    // @ts-expect-error no such preset
    presets().fast
  })
})

describe('the benchmark', () => {
  it('takes nothing, or options that exist', () => {
    expectTypeOf(benchmark).toBeCallableWith()
    expectTypeOf(benchmark).toBeCallableWith({ presets: ['quick'], seconds: 5, threads: 2, device: 'cpu' })
    expectTypeOf<BenchmarkOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>()
    // @ts-expect-error no such preset
    benchmark({ presets: ['fast'] })
    // @ts-expect-error misspelt
    benchmark({ thread: 2 })
    benchmark({
      onProgress: (progress) => {
        expectTypeOf(progress).toEqualTypeOf<BenchmarkProgress>()
        expectTypeOf(progress.preset).toEqualTypeOf<PresetName | null | undefined>()
      },
    })
  })

  it('says what it measured in which unit', () => {
    expectTypeOf(benchmark()).resolves.toEqualTypeOf<BenchmarkReport>()
    const report = {} as BenchmarkReport
    expectTypeOf(report.multiplyAddsPerSecond).toBeNumber()
    expectTypeOf(report.bytesPerSecond).toBeNumber()
    expectTypeOf(report.simd).toEqualTypeOf<'avx512' | 'avx2' | 'neon' | 'plain'>()
    const [preset] = report.presets
    expectTypeOf(preset?.name).toEqualTypeOf<PresetName | undefined>()
    expectTypeOf(preset?.training.stepSeconds).toEqualTypeOf<number | undefined>()
    expectTypeOf(preset?.prediction.latencySeconds).toEqualTypeOf<number | undefined>()
    // @ts-expect-error one picture has no batches
    preset?.prediction.batchSize
  })
})

describe('costs', () => {
  it('of a layer need all four sizes', () => {
    const size = { input: 14, channels: 512, kernel: 3, outputs: 512 }
    expectTypeOf(size).toExtend<ConvolutionSize>()
    expectTypeOf(separableCost(size)).toEqualTypeOf<SeparableCost>()
    expectTypeOf(separableCost(size).separable.depthwise).toEqualTypeOf<Cost>()
    expectTypeOf(separableCost(size).separable).toExtend<Cost>()
    expectTypeOf<SeparableCost['ratio']>().toBeNumber()
    // @ts-expect-error no outputs
    separableCost({ input: 14, channels: 512, kernel: 3 })
    // @ts-expect-error the stride is always 1
    separableCost({ ...size, stride: 2 })
  })

  it('of a network need nothing, and no weights', () => {
    expectTypeOf(modelCost()).toEqualTypeOf<ModelCost>()
    expectTypeOf(modelCost({ layout: 'imagenet', width: 0.5 }).standard).toEqualTypeOf<Cost>()
    expectTypeOf<ModelCost>().toExtend<Cost>()
    expectTypeOf<ModelCost['config']>().toEqualTypeOf<ModelConfig>()
    expectTypeOf(modelCost).toBeCallableWith(presets().quick.model)
    expectTypeOf(modelCost).toBeCallableWith({ variant: 'v3-small', layout: 'imagenet' })
    // @ts-expect-error the course's layout is V1's
    modelCost({ variant: 'v2', layout: 'unpadded' })
    // @ts-expect-error it has no weights, so nothing to begin with
    modelCost({ seed: 1 })
  })
})

describe('the comparison', () => {
  it('takes nothing, or options that exist', () => {
    expectTypeOf(compare).toBeCallableWith()
    expectTypeOf(compare).toBeCallableWith({
      variants: ['v1', 'v3-small'],
      width: 0.5,
      seconds: 5,
      threads: 2,
    })
    expectTypeOf(compare).toBeCallableWith({ data, out: 'runs/all', recipe: presets().quick.train })
    expectTypeOf<CompareOptions['variants']>().toEqualTypeOf<readonly Variant[] | null | undefined>()
    // @ts-expect-error no such variant
    compare({ variants: ['v4'] })
    // @ts-expect-error several, so it goes by the name of variants
    compare({ variant: 'v1' })
    // @ts-expect-error each network has a folder of its own
    compare({ recipe: { out: 'runs/all' } })
    // @ts-expect-error they are for all of the work
    compare({ recipe: { threads: 2 } })
  })

  it('tells what it does', () => {
    const progress = {} as CompareProgress
    expectTypeOf(progress.type).toEqualTypeOf<'speed' | 'train'>()
    if (progress.type === 'train') expectTypeOf(progress.event).toEqualTypeOf<TrainEvent>()
    if (progress.type === 'train') expectTypeOf(progress.variant).toEqualTypeOf<Variant>()
    if (progress.type === 'speed') expectTypeOf(progress.share).toBeNumber()
    // @ts-expect-error not before the type is known
    progress.event
  })

  it('says what it found in which unit', () => {
    expectTypeOf(compare()).resolves.toEqualTypeOf<Comparison>()
    const network = {} as ComparedNetwork
    expectTypeOf(network.variant).toEqualTypeOf<Variant>()
    expectTypeOf(network.checkpointBytes).toBeNumber()
    expectTypeOf(network.trainingBytes).toBeNumber()
    expectTypeOf(network.training.imagesPerSecond).toBeNumber()
    expectTypeOf(network.prediction.latencySeconds).toBeNumber()
    expectTypeOf(network.run).toEqualTypeOf<ComparedRun | null>()
    // @ts-expect-error it may not have been trained
    network.run.accuracy
  })
})

describe('the network', () => {
  it('predicts one picture or several', () => {
    expectTypeOf(model.predict('cat.png')).resolves.toEqualTypeOf<Prediction[]>()
    expectTypeOf(model.predict([new URL('file:///cat.png'), new Uint8Array()])).resolves.toEqualTypeOf<
      Prediction[][]
    >()
    const [list, either] = [{} as readonly string[], {} as Picture | Picture[]]
    expectTypeOf(model.predict(list)).resolves.toEqualTypeOf<Prediction[][]>()
    expectTypeOf(model.predict(either)).resolves.toEqualTypeOf<Prediction[] | Prediction[][]>()
    expectTypeOf(model.logits(either)).resolves.toEqualTypeOf<Float32Array | Float32Array[]>()
    expectTypeOf(model.embed(list)).resolves.toEqualTypeOf<Features[]>()
    expectTypeOf(model.logits('cat.png')).resolves.toEqualTypeOf<Float32Array>()
    expectTypeOf(model.logits).toBeCallableWith('cat.png', {} as LogitsOptions)
    expectTypeOf(model.train).toBeCallableWith({ data, epochs: 3, signal: new AbortController().signal })
  })

  it('answers for many pictures, of which some may be unreadable', () => {
    expectTypeOf(model.predictEach).toBeCallableWith('photos', { top: 1, maxPixels: 1e6, resize: null })
    expectTypeOf(model.predictEach).toBeCallableWith(new Set([new Blob([]), 'cat.png']))
    const answer = {} as PictureAnswer
    if (answer.error === null) expectTypeOf(answer.predictions).toEqualTypeOf<Prediction[]>()
    else expectTypeOf(answer.error).toEqualTypeOf<MobileNetError>()
    // @ts-expect-error it may not have been read
    answer.predictions.length
    expectTypeOf<PictureAnswer['picture']>().toEqualTypeOf<Picture>()
    expectTypeOf(model.embed(['a.png', 'b.png'])).resolves.toEqualTypeOf<Features[]>()
    const [best] = nearest(new Float32Array(2), [['a.png', new Float32Array(2)]])
    expectTypeOf(best).toEqualTypeOf<Neighbour<string> | undefined>()
    expectTypeOf(findPictures).toBeCallableWith(['photos', new URL('file:///more')])
    expectTypeOf(model.exportOnnx).toBeCallableWith('x.onnx', { softmax: true, preprocess: null })
    // @ts-expect-error no such option
    model.predict('cat.png', { maxPixel: 1 })
  })

  it('gives each picture back as it was given', async () => {
    for await (const answer of model.predictEach('photos'))
      expectTypeOf(answer.picture).toEqualTypeOf<string>()
    for await (const { picture } of model.predictEach(['a.png']))
      expectTypeOf(picture).toEqualTypeOf<string>()
    for await (const { picture } of model.embedEach(new URL('file:///photos')))
      expectTypeOf(picture).toEqualTypeOf<string>()
    for await (const { picture } of model.embedEach([new Blob([])]))
      expectTypeOf(picture).toEqualTypeOf<Blob>()
    const either = {} as string | Picture[]
    for await (const { picture } of model.predictEach(either)) expectTypeOf(picture).toEqualTypeOf<Picture>()
    for await (const answer of model.embedEach(either)) expectTypeOf(answer).toEqualTypeOf<PictureFeatures>()
  })

  it('is not made by new, and shows nothing of the native side', () => {
    // @ts-expect-error the constructor is private
    new MobileNet()
    // @ts-expect-error so is this one
    new Cifar10()
    expectTypeOf<Dataset>().not.toHaveProperty('native')
    expectTypeOf<Dataset['test']>().toEqualTypeOf<Part>()
  })
})

it('errors have a code of a known set', () => {
  const error = new MobileNetError('IO', 'disk full')
  expectTypeOf(error).toExtend<Error>()
  expectTypeOf(error.code).toEqualTypeOf<ErrorCode>()
  // @ts-expect-error no such code
  new MobileNetError('OOPS', '')
})
