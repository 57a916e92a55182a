import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  benchmark,
  Cifar10,
  compare,
  type Dataset,
  findPictures,
  ImageFolder,
  isPictureName,
  listRuns,
  MobileNet,
  MobileNetError,
  nearest,
  readConfig,
  readRun,
  resolveRecipe,
  separableCost,
  writeReport,
} from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'
import { network, openSample, recipe } from './tiny.js'

const scratch = new Scratch()
let model: MobileNet
let data: Dataset
beforeAll(async () => {
  ;[model, data] = [await MobileNet.create(network), await openSample()]
})
afterAll(() => scratch.remove())

// biome-ignore lint/suspicious/noExplicitAny: what JavaScript may pass, TypeScript would refuse
type Any = any
const wrong = (value: unknown) => value as Any
const pixels = 3 * 32 * 32
const picture = { width: 32, height: 32 }

/** A call with values of the wrong type, and what its error must say. */
const calls: [name: string, call: () => unknown, message: RegExp][] = [
  [
    'load()',
    () => MobileNet.load(wrong(undefined)),
    /a checkpoint must be a string or a file: URL, not undef/,
  ],
  ["load('')", () => MobileNet.load(''), /^a checkpoint must not be empty$/],
  ["out: ''", () => model.train({ data, out: '' }).result, /^out must not be empty$/],
  ['load(5)', () => MobileNet.load(wrong(5)), /a checkpoint must be a string or a file: URL, not 5$/],
  ['load(x, null)', () => MobileNet.load('x', wrong(null)), /load takes an object of options, not null$/],
  ['create(null)', () => MobileNet.create(wrong(null)), /create takes an object of options, not null$/],
  ['create([])', () => MobileNet.create(wrong([])), /create takes an object of options, not an array$/],
  ['create from 5', () => MobileNet.create({ from: wrong(5) }), /from must be a string or a file: URL/],
  [
    'classes as text',
    () => MobileNet.create({ classes: wrong('3') }),
    /^classes must be a number, not of type/,
  ],
  ['import()', () => MobileNet.import(wrong(undefined)), /weights must be a string or a file: URL/],
  [
    'a directory of 5',
    () => MobileNet.import('torchvision:mobilenet_v2', { directory: wrong(5) }),
    /directory must be a string/,
  ],
  ['train()', () => model.train(wrong(undefined)).result, /train takes an object of options, not undefined$/],
  ['train(null)', () => model.train(wrong(null)).result, /train takes an object of options, not null$/],
  ['train({})', () => model.train(wrong({})).result, /data must be a data set, .* not undefined$/],
  [
    'epochs as text',
    () => model.train({ data, epochs: wrong('3') }).result,
    /^epochs must be a number, not of/,
  ],
  [
    'augment as text',
    () => model.train({ data, augment: wrong('crop') }).result,
    /^augment must be true, false/,
  ],
  [
    'resume as text',
    () => model.train({ data, resume: wrong('yes') }).result,
    /^resume must be true or false/,
  ],
  [
    'milestones of 3',
    () => resolveRecipe({ schedule: { type: 'multi-step', milestones: wrong(3) } }),
    /^milestones must be an array$/,
  ],
  ['seed as text', () => MobileNet.create({ seed: wrong('1') }), /^seed must be a number, not "1"$/],
  [
    'device 5',
    () => MobileNet.create({ device: wrong(5) }),
    /^device must be auto, cpu, cuda or cuda:N, not 5$/,
  ],
  [
    'tta 5',
    () => model.evaluate(data.test, { tta: wrong(5) }),
    /^tta must be none, mirror or mirror-shift, not 5$/,
  ],
  ['out as number', () => model.train({ data, out: wrong(5) }).result, /out must be a string or a file: URL/],
  ['resolveRecipe()', () => resolveRecipe(wrong(undefined)), /resolveRecipe takes an object of options/],
  ['readRun(5)', () => readRun(wrong(5)), /the folder of a run must be a string or a file: URL, not 5$/],
  ['listRuns(5)', () => listRuns(wrong(5)), /a folder of runs must be a string or a file: URL, not 5$/],
  ['readConfig(5)', () => readConfig(wrong(5)), /a run must be a string or a file: URL, not 5$/],
  ['writeReport(5)', () => writeReport(wrong(5)), /a report takes the folder of a run, or an array of them/],
  ['findPictures(5)', () => findPictures(wrong(5)), /pictures must be a path or an iterable, .*, not 5$/],
  ['findPictures([5])', () => findPictures(wrong([5])), /must be a string or a file: URL, not 5$/],
  ['isPictureName(5)', () => isPictureName(wrong(5)), /must be a string or a file: URL, not 5$/],
  ['split', () => data.split(wrong('0.5')), /validationFraction must be at least 0 and below 1, not "0\.5"$/],
  [
    'evaluate(data)',
    () => model.evaluate(wrong(data)),
    /a part of a data set, .*, not an object of Dataset$/,
  ],
  ['predict(5)', () => model.predict(wrong(5)), /a picture must be a path, .*, not 5$/],
  ['predict([null])', () => model.predict(wrong([null])), /a picture must be a path, .*, not null$/],
  ['an array of bytes', () => model.predict(wrong({ ...picture, data: [1] })), /data of a picture must be/],
  [
    'a picture without height',
    () => model.predict(wrong({ data: new Uint8Array(3), width: 1 })),
    /height of a picture must be a number, not undefined$/,
  ],
  ['predictEach(5)', () => model.predictEach(wrong(5)).next(), /pictures must be a path or an iterable/],
  ['rank()', () => model.rank(wrong(undefined)), /logits must be a Float32Array, not undefined$/],
  [
    'rank of another network',
    () => model.rank(new Float32Array(3)),
    /^logits must have .* 10 classes, not 3$/,
  ],
  ['top as text', () => model.predict('x.png', { top: wrong('1') }), /^top must be a whole .*, not "1"$/],
  ['new MobileNet()', () => new (wrong(MobileNet))(), /MobileNet\.create, load or import/],
  [
    'an async generator of pictures',
    () => model.predictEach(wrong((async function* () {})())).next(),
    /a path or an iterable, .*, not an object of no class$/,
  ],
  ['separableCost({})', () => separableCost(wrong({})), /^input is missing$/],
  ['save()', () => model.save(wrong(undefined)), /must be a string or a file: URL, not undefined$/],
  ['exportOnnx null', () => model.exportOnnx('x', wrong(null)), /exportOnnx takes an object of options/],
  ['a data set elsewhere', () => Cifar10.open({ directory: wrong(5) }), /directory must be a string/],
  [
    'a folder of 5',
    () => ImageFolder.open(wrong(5)),
    /the folder of pictures must be a string or a file: URL/,
  ],
  ['nearest', () => nearest(new Float32Array(2), wrong(5)), /candidates must be an iterable of pairs/],
  ['presets of 5', () => benchmark({ presets: wrong(5) }), /presets must be an array of names, not 5$/],
  ['variants of 5', () => compare({ variants: wrong(5) }), /variants must be an array of names, not 5$/],
  ...[1n, 1.5, -1, 10, '1'].map((label): (typeof calls)[number] => [
    `the label ${typeof label} ${label}`,
    () => model.backward(new Float32Array(pixels), wrong([label])),
    /^a label must be a whole number from 0 to 9, not /,
  ]),
]

describe('a value of the wrong type is INVALID_OPTION, and is told what was expected', () => {
  it.each(calls)('%s', async (_, call, message) => {
    const error = await (async () => call())().then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error).toBeInstanceOf(MobileNetError)
    expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(message) })
  })
})

describe('a signal that is none', () => {
  const message =
    /^(signal|stop) must be an AbortSignal \(the \.signal of an AbortController\), not an object of/
  it.each([
    ['a controller', new AbortController()],
    ['an object', {}],
  ])('is refused everywhere: %s', async (_, value) => {
    const signal = wrong(value)
    const attempts = [
      model.train({ ...recipe, data, signal }).result,
      model.evaluate(data.test, { signal }),
      model.predict('x.png', { signal }),
      model.embed('x.png', { signal }),
      model.predictEach(['x.png'], { signal }).next(),
      model.embedEach(['x.png'], { signal }).next(),
      model.exportOnnx('x.onnx', { quantize: 'int8', calibration: data, signal }),
      MobileNet.create({ signal }),
      MobileNet.import('x.pth', { signal }),
      Cifar10.open({ signal }),
      ImageFolder.open('photos', { signal }),
      benchmark({ signal }),
      compare({ signal }),
      compare({ stop: signal }),
    ]
    for (const attempt of attempts) {
      await expect(attempt).rejects.toMatchObject({
        name: 'MobileNetError',
        code: 'INVALID_OPTION',
        message: expect.stringMatching(message),
      })
    }
  })

  it('may be absent in every way', async () => {
    for (const signal of [undefined, null]) await model.evaluate(data.test, { signal: wrong(signal) })
  })
})

it('a listener that is none is refused', async () => {
  await expect(model.evaluate(data.test, { onProgress: wrong(5) })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: 'onProgress must be a function, not 5',
  })
})

it("the pixels of a browser's ImageData are taken", async () => {
  const bytes = Uint8ClampedArray.from({ length: 4 * 32 * 32 + 8 }, (_, i) => i)
  // A part of a larger buffer.
  const clamped = bytes.subarray(8)
  const [given, plain] = await model.logits([
    { ...picture, data: clamped, channels: 4 },
    { ...picture, data: Uint8Array.from(clamped), channels: 4 },
  ])
  expect(given).toEqual(plain)
})

it("a run's folder may be a URL", async () => {
  const out = scratch.at('by url')
  const url = pathToFileURL(out)
  const { checkpoint } = await (await MobileNet.create(network)).train({ ...recipe, data, out: url }).result
  expect(checkpoint).toBe(join(out, 'last.safetensors'))
  expect(await readRun(url)).toMatchObject({ folder: out, state: 'finished' })
  expect(resolveRecipe({ out: url }).epochs).toBe(50)
  await expect(model.train({ data, out: new URL('http://x/y') }).result).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: 'http://x/y is no URL of a file here',
  })
})
