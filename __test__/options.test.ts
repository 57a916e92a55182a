import { join } from 'node:path'
import {
  ImageFolder,
  MobileNet,
  nearest,
  type OptimizerConfig,
  resolveRecipe,
  type ScheduleConfig,
  type TrainConfig,
} from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, data, images, type Json, jsonLines, Scratch } from './cli.js'
import { hasOnnxRuntime, session } from './onnxruntime.js'
import { writePhotos } from './photos.js'
import { network, openSample } from './tiny.js'

// Every option arrives: a value that is not the default comes out where it takes effect. What is ignored would otherwise go
// unnoticed, because a run with the default goes well, too.

const scratch = new Scratch()
afterAll(() => scratch.remove())

const ofAll = { learningRate: 0.002, weightDecay: 0.03, decayNormsAndBiases: true }

const optimizers: OptimizerConfig[] = [
  { type: 'adamw', ...ofAll, beta1: 0.8, beta2: 0.95, eps: 1e-5, clipNorm: 2.5, clipValue: null },
  { type: 'sgd', ...ofAll, momentum: 0.7, nesterov: true, clipNorm: null, clipValue: 0.5 },
  { type: 'rmsprop', ...ofAll, alpha: 0.8, momentum: 0.6, eps: 1e-4, clipNorm: null, clipValue: 0.5 },
  { type: 'rmsprop-tf', ...ofAll, alpha: 0.7, momentum: 0.5, eps: 1e-6, clipNorm: 3.5, clipValue: null },
]

const warmup = { epochs: 1, startFactor: 0.25, every: 'epoch' } as const

const schedules: ScheduleConfig[] = [
  { type: 'step', stepSize: 7, gamma: 0.3, warmup },
  { type: 'multi-step', milestones: [2, 3], gamma: 0.2, warmup },
  { type: 'cosine', minimumLearningRate: 1e-5, warmup },
  { type: 'one-cycle', riseFraction: 0.4, divFactor: 10, finalDivFactor: 500, warmup: null },
  { type: 'exponential', gamma: 0.9, warmup },
]

const [ofOptimizer, ofSchedule] = [optimizers[0], schedules[0]] as [OptimizerConfig, ScheduleConfig]

/** All but the classes' weights; no value is the default. */
const whole: TrainConfig = {
  epochs: 4,
  batchSize: 16,
  optimizer: ofOptimizer,
  schedule: ofSchedule,
  validationFraction: 0.2,
  seed: 7,
  augment: [{ type: 'cutout', size: 8 }],
  labelSmoothing: 0.05,
  classWeights: 'balanced',
  freeze: 'backbone',
  freezeEpochs: 1,
  backboneRate: 0.5,
  shuffle: false,
  limit: 64,
  logEvery: 3,
  precision: 'tf32',
  ema: { decay: 0.9, warmup: false },
  patience: 2,
  saveEvery: 2,
  keep: 3,
}

/** The options that there are, as the error for one that there isn't names them. */
async function known(call: () => unknown): Promise<string[]> {
  const error = await (async () => call())().then(
    () => undefined,
    (error: Error) => error,
  )
  const names = /has no option nothing; there are (.*)$/.exec(error?.message ?? '')?.[1]
  return names?.split(', ').sort() ?? []
}

// biome-ignore lint/suspicious/noExplicitAny: an option that is not there
const none: any = { nothing: 1 }
const keysOf = (objects: object[]) => [...new Set(objects.flatMap((one) => Object.keys(one)))].sort()

describe('a recipe through the library', () => {
  it('has a case here for every option', async () => {
    expect(await known(() => resolveRecipe({ optimizer: none }))).toEqual(keysOf(optimizers))
    expect(await known(() => resolveRecipe({ schedule: none }))).toEqual(keysOf(schedules))
    expect(await known(() => resolveRecipe({ schedule: { warmup: none } }))).toEqual(keysOf([warmup]))
    expect(await known(() => resolveRecipe({ ema: none }))).toEqual(keysOf([whole.ema ?? {}]))
    const model = await MobileNet.create(network)
    // These belong to one run and are in no recipe.
    const ofRun = { data: 0, out: 0, threads: 0, resume: 0, evaluationEvents: 0, signal: 0 }
    expect(await known(() => model.train(none).result)).toEqual(keysOf([whole, ofRun]))
  })

  it('has no case here that the default would pass', () => {
    const usual = resolveRecipe({})
    const same = Object.entries(whole).filter(([key, value]) => {
      return JSON.stringify(value) === JSON.stringify(usual[key as keyof TrainConfig])
    })
    expect(same).toEqual([])
    for (const optimizer of optimizers) {
      const { type } = optimizer
      const own = resolveRecipe({ optimizer: { type } }).optimizer as Json
      const alike = Object.entries(optimizer).filter(([key, value]) => value !== null && value === own[key])
      expect(alike).toEqual([['type', type]])
    }
    for (const schedule of schedules) {
      const { type } = schedule
      const least: Json = type === 'multi-step' ? { type, milestones: [1] } : { type }
      const own = resolveRecipe({ schedule: least }).schedule as Json
      const alike = Object.entries(schedule).filter(([key, value]) => value !== null && value === own[key])
      expect(alike).toEqual([['type', type]])
    }
  })

  it('arrives whole', () => {
    expect(resolveRecipe(whole)).toEqual(whole)
    expect(resolveRecipe({ classWeights: [1, 2, 3] }).classWeights).toEqual([1, 2, 3])
  })

  it.each(optimizers)('arrives with the optimizer $type', (optimizer) => {
    expect(resolveRecipe({ optimizer }).optimizer).toEqual(optimizer)
  })

  it.each(schedules)('arrives with the schedule $type', (schedule) => {
    expect(resolveRecipe({ epochs: 4, schedule }).schedule).toEqual(schedule)
  })
})

/** Calls of `train` that give each of its options a value that is not the default, and what the run's first event has to say. */
const runs: [
  name: string,
  flags: Record<string, string>,
  config: { model?: Json; train?: Json; threads?: number },
][] = [
  [
    'adamw, cosine, and the recipe',
    {
      ...{
        optimizer: 'adamw',
        'learning-rate': '0.002',
        'weight-decay': '0.03',
        'decay-norms-and-biases': '',
      },
      ...{ beta1: '0.8', beta2: '0.95', eps: '1e-5', 'clip-norm': '2.5' },
      ...{ schedule: 'cosine', 'minimum-learning-rate': '1e-5' },
      ...{ 'warmup-epochs': '1', 'warmup-start-factor': '0.25', 'warmup-every': 'epoch' },
      ...{ epochs: '2', 'batch-size': '4', 'validation-fraction': '0.25', seed: '7', augment: 'cutout:8' },
      ...{ 'label-smoothing': '0.05', 'class-weights': 'balanced', freeze: 'backbone', 'freeze-epochs': '1' },
      ...{ 'backbone-rate': '0.5', 'no-shuffle': '', ema: '0.9', 'no-ema-warmup': '', patience: '2' },
      ...{ 'save-every': '2', keep: '3', 'log-every': '3', threads: '1' },
    },
    {
      train: {
        ...whole,
        ...{ optimizer: optimizers[0], schedule: schedules[2], epochs: 2, batchSize: 4 },
        ...{ validationFraction: 0.25, limit: 8, precision: 'float32' },
      },
      threads: 1,
    },
  ],
  [
    'rmsprop, one-cycle, and the network',
    {
      ...{
        optimizer: 'rmsprop',
        'learning-rate': '0.002',
        'weight-decay': '0.03',
        'decay-norms-and-biases': '',
      },
      ...{ alpha: '0.8', momentum: '0.6', eps: '1e-4', 'clip-value': '0.5' },
      ...{ schedule: 'one-cycle', 'rise-fraction': '0.4', 'div-factor': '10', 'final-div-factor': '500' },
      ...{
        variant: 'v1',
        activation: 'relu6',
        dropout: '0.3',
        resolution: '48',
        classes: '11',
        'no-augment': '',
      },
    },
    {
      model: {
        variant: 'v1',
        layout: 'cifar',
        activation: 'relu6',
        width: 0.25,
        dropout: 0.3,
        resolution: 48,
        classes: 11,
      },
      train: { optimizer: optimizers[2], schedule: schedules[3], augment: [] },
    },
  ],
  [
    'sgd, step',
    { optimizer: 'sgd', momentum: '0.7', nesterov: '', schedule: 'step', 'step-size': '7', gamma: '0.3' },
    {
      train: {
        optimizer: expect.objectContaining({ type: 'sgd', momentum: 0.7, nesterov: true }),
        schedule: { ...schedules[0], warmup: null },
      },
    },
  ],
  [
    'multi-step, and plain momentum',
    { preset: 'cifar', schedule: 'multi-step', milestones: '2,3', gamma: '0.2', 'no-nesterov': '' },
    {
      train: {
        optimizer: expect.objectContaining({ type: 'sgd', nesterov: false }),
        schedule: expect.objectContaining({ type: 'multi-step', milestones: [2, 3], gamma: 0.2 }),
      },
    },
  ],
]

/** In every one of these calls. */
const always = { data, layout: 'cifar', width: '0.25', limit: '8' }
const least = { epochs: '1', 'batch-size': '8' }

describe('train at the command line', () => {
  it('has a case here for every option', async () => {
    const { stdout } = await cli(['train', '--help'])
    const there = [...stdout.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, name]) => name)
    // Where a run begins and ends, what it prints, and what the machine has: tests of their own.
    const elsewhere = [
      'from',
      'weights-dir',
      'config',
      'init',
      'resume',
      'cache-dir',
      'precision',
      'quiet',
      'help',
    ]
    const given = runs.flatMap(([, flags]) => Object.keys(flags))
    const here = [...Object.keys(always), ...given, 'out', 'device', 'json', ...elsewhere]
    expect([...new Set(here)].sort()).toEqual(there.sort())
  })

  it.each(runs)('takes %s', async (name, flags, { model = {}, train = {}, threads }) => {
    const out = scratch.at(name)
    const all = { ...always, ...least, ...flags, out, device: 'cpu', json: '' }
    const args = Object.entries(all).flatMap(([flag, value]) => [
      `--${flag}`,
      ...(value === '' ? [] : [value]),
    ])
    const { status, stdout, stderr } = await cli(['train', ...args])
    expect({ status, notes: jsonLines(stderr).map(({ type }) => type) }).toEqual({
      status: 0,
      notes: ['note'],
    })
    const { config } = jsonLines(stdout)[0]
    expect(config.model).toEqual({ ...config.model, ...model })
    expect(config.train).toEqual({ ...config.train, ...train })
    if (threads !== undefined) expect(config.threads).toBe(threads)
  })
})

/** A network whose answers depend on the picture, which those of a new one hardly do. */
async function trained(): Promise<MobileNet> {
  const model = await MobileNet.create(network)
  await model.train({ data: await openSample(), epochs: 1, batchSize: 16 }).result
  return model
}

describe('a folder of pictures', () => {
  const photos = scratch.at('photos')
  const options = { resolution: 32, cache: scratch.at('cache') }
  beforeAll(() => writePhotos(photos))
  const open = (more: object) => ImageFolder.open(photos, { ...options, ...more })

  it('is split as testFraction says', async () => {
    const { counts } = await open({ testFraction: 0.5 })
    expect(counts.train + counts.test).toBe(256)
    // Of each of the ten classes a half.
    expect(Math.abs(counts.test - 128)).toBeLessThanOrEqual(10)
    expect((await open({})).counts.test).toBeLessThan(100)
  })

  it('is split otherwise by another seed', async () => {
    const model = await trained()
    const loss = async (more: object) => (await model.evaluate((await open(more)).test)).loss
    expect(await loss({ seed: 2 })).not.toBe(await loss({}))
  })

  it('is made smaller to what resize says, which the network learns', async () => {
    const model = await MobileNet.create(network)
    expect(model.resize).not.toBe(48)
    await model.train({ data: await open({ resize: 48 }), epochs: 1, batchSize: 8, limit: 8 }).result
    expect(model.resize).toBe(48)
  })

  it('takes the number of threads', async () => {
    await expect(open({ threads: 0 })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('threads'),
    })
  })
})

describe('a checkpoint at the command line', () => {
  const checkpoint = scratch.at('model.safetensors')
  const photos = scratch.at('candidates')
  const cat = join(images, 'cat-0.png')
  beforeAll(async () => {
    await (await trained()).save(checkpoint)
    writePhotos(photos, ['dog'])
  })

  it.skipIf(!hasOnnxRuntime)('is exported with --preprocess', async () => {
    const path = scratch.at('model.onnx')
    expect(await cli(['export', checkpoint, '--out', path, '--preprocess'])).toMatchObject({ status: 0 })
    expect((await session(path)).inputNames).toEqual(['pixels'])
  })

  it('names 3 classes, and 10 pictures', async () => {
    const [answer] = jsonLines((await cli(['predict', checkpoint, cat, '--json'])).stdout)
    expect(answer.predictions).toHaveLength(3)
    const { stdout } = await cli(['similar', checkpoint, cat, photos, '--json'])
    expect(jsonLines(stdout)).toHaveLength(10)
  })

  it('compares pictures resized with --resize', async () => {
    const model = await MobileNet.load(checkpoint)
    const ship = join(images, 'ship-1.png')
    const similarity = async (resize: number | null) => {
      const features = await model.embed(ship, { resize })
      return nearest(await model.embed(cat, { resize }), [[ship, features]])[0]?.similarity
    }
    const { stdout } = await cli(['similar', checkpoint, cat, ship, '--resize', '48', '--json'])
    expect(jsonLines(stdout)).toEqual([{ type: 'neighbour', file: ship, similarity: await similarity(48) }])
    expect(await similarity(48)).not.toBe(await similarity(null))
  })

  it.each([
    ['evaluate', [checkpoint, '--data', data]],
    ['predict', [checkpoint, cat]],
    ['similar', [checkpoint, cat, cat]],
    ['compare', ['--out', scratch.at('compared')]],
  ])('%s asks for the device that --device names', async (command, args) => {
    const { status, stdout, stderr } = await cli([command, ...args, '--device', 'tpu', '--json'])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(jsonLines(stderr).at(-1)).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/^device must be one of .*, not tpu$/),
    })
  })
})
