import { copyFileSync, mkdirSync, openAsBlob, readFileSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { findPictures, MobileNet, MobileNetError, nearest, type Picture } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Model } from '../dist/src/ts/native/binding.js'
import { binding } from '../dist/src/ts/native/load.js'
import { images, Scratch } from './cli.js'
import { network, openSample, recipe } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let model: MobileNet
beforeAll(async () => {
  model = await MobileNet.create(network)
  // An untrained network says the same of every picture, to the last digit.
  await model.train({ ...recipe, data: await openSample() }).result
})

const cat = join(images, 'cat-0.png')
const kinds = join(import.meta.dirname, 'fixtures', 'pictures')

const failure = (code: string, message: RegExp | string) =>
  expect.objectContaining({ constructor: MobileNetError, code, message: expect.stringMatching(message) })

/** All that an async iterable gives. */
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** Pixels of one colour, which the network answers to in its own way. */
const pixels = (grey: number): Picture => ({
  data: new Uint8Array(40 * 40).fill(grey),
  width: 40,
  height: 40,
  channels: 1,
})

describe('a picture', () => {
  it('is the same from wherever it comes', async () => {
    const expected = await model.logits(cat)
    const bytes = readFileSync(cat)
    for (const picture of [pathToFileURL(cat), bytes, new Uint8Array(bytes), new Blob([bytes])]) {
      expect(await model.logits(picture)).toEqual(expected)
    }
  })

  it('can be in every format', async () => {
    const names = ['rgb.bmp', 'rgb.tiff', 'lossless.webp', 'interlaced.png']
    const expected = await model.logits(join(kinds, 'rgb.png'))
    expect(await model.logits(names.map((name) => join(kinds, name)))).toEqual(names.map(() => expected))
  })

  it('is resized as asked for', async () => {
    const large = join(kinds, 'rgb.png')
    expect(model.resize).toBe(32)
    expect(await model.logits(large, { resize: 32 })).toEqual(await model.logits(large))
    expect(await model.logits(large, { resize: 40 })).not.toEqual(await model.logits(large))
    await expect(model.logits(large, { resize: 31 })).rejects.toEqual(failure('INVALID_OPTION', /from 32/))
  })

  it('is resized as imported weights expect it', async () => {
    const [weights, checkpoint] = [scratch.at('weights.safetensors'), scratch.at('checkpoint.safetensors')]
    await model.save(weights)
    const imported = await MobileNet.import(weights, { layout: 'cifar', resize: 36 })
    expect(imported.resize).toBe(36)
    await imported.save(checkpoint)
    const again = await MobileNet.load(checkpoint)
    expect(again.resize).toBe(36)
    const large = join(kinds, 'rgb.png')
    expect(await again.logits(large)).toEqual(await model.logits(large, { resize: 36 }))
    const usual = await MobileNet.import(weights, { layout: 'imagenet', resolution: 224 })
    expect([usual.config.resolution, usual.resize]).toEqual([224, 256])
  })

  it('may not have more pixels than allowed', async () => {
    const options = { maxPixels: 97 * 61 - 1 }
    await expect(model.logits(join(kinds, 'rgb.png'), options)).rejects.toEqual(
      failure('IMAGE_UNREADABLE', /97x61 pixels.*at most 5916 pixels/),
    )
  })

  it('is refused with an option that there is not', async () => {
    await expect(model.predict(cat, { maxPixel: 1 } as never)).rejects.toEqual(
      failure('INVALID_OPTION', /no option maxPixel; there are .*maxPixels.*top/),
    )
    await expect(model.predict(new URL('https://example.org/cat.png'))).rejects.toEqual(
      failure('INVALID_OPTION', 'no URL of a file'),
    )
  })
})

describe('many pictures', () => {
  it('are answered in their order, whatever their number', async () => {
    const list = Array.from({ length: 150 }, (_, i) => pixels(i))
    const answers = await all(model.predictEach(list, { top: 1 }))
    expect(answers.map(({ picture }) => picture)).toEqual(list)
    for (const i of [0, 1, 63, 64, 65, 149]) {
      const logits = await model.logits(list[i] as Picture)
      expect(answers[i]?.logits).toEqual(logits)
      expect(answers[i]?.predictions).toEqual(model.rank(logits, { top: 1 }))
    }
  })

  it('go on behind one that cannot be read', async () => {
    const broken = scratch.at('broken.png')
    writeFileSync(broken, readFileSync(cat).subarray(0, 500))
    const [first, second, third] = await all(model.predictEach([cat, broken, pixels(9)]))
    expect(second).toEqual({
      picture: broken,
      predictions: null,
      logits: null,
      error: failure('IMAGE_UNREADABLE', 'broken.png'),
    })
    expect([first?.logits, third?.logits]).toEqual(await model.logits([cat, pixels(9)]))
    await expect(model.predict([cat, broken])).rejects.toEqual(failure('IMAGE_UNREADABLE', 'broken.png'))
  })

  it('go on behind a Blob that cannot be read', async () => {
    const changed = scratch.at('changed.png')
    copyFileSync(cat, changed)
    const blob = await openAsBlob(changed)
    writeFileSync(changed, 'of another length')
    const broken = new Blob([Buffer.from('no picture')])
    const answers = await all(model.predictEach([blob, cat, broken, pixels(9)]))
    const error = failure('IMAGE_UNREADABLE', /^cannot read the picture given as a Blob: .*read/)
    expect(answers[0]).toEqual({ picture: blob, predictions: null, logits: null, error })
    expect(answers[2]?.error).toEqual(failure('IMAGE_UNREADABLE', 'no picture'))
    expect([answers[1]?.logits, answers[3]?.logits]).toEqual(await model.logits([cat, pixels(9)]))
    await expect(model.predict(blob)).rejects.toEqual(error)
    await expect(model.embed([cat, blob])).rejects.toEqual(error)
  })

  it('have their bytes before the call returns', async () => {
    const picture = { data: new Uint8Array(32 * 32 * 3).fill(200), width: 32, height: 32 }
    const expected = await model.logits({ ...picture, data: picture.data.slice() })
    const asked = model.logits(picture)
    picture.data.fill(0)
    expect(await asked).toEqual(expected)
  })

  it('end early when their reader or their signal wants it', async () => {
    let given = 0
    const endless = function* () {
      for (;;) yield pixels(given++ % 256)
    }
    for await (const { predictions } of model.predictEach(endless())) {
      expect(predictions).toHaveLength(10)
      if (given > 300) break
    }
    const reason = new Error('enough')
    const controller = new AbortController()
    const each = model.predictEach(endless(), { signal: controller.signal })
    await each.next()
    controller.abort(reason)
    await expect(all(each)).rejects.toBe(reason)
    await expect(all(model.predictEach([cat], { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
  })
})

it('what is being decoded ahead is cancelled when whoever iterates leaves', async () => {
  const cancel = vi.spyOn(binding().Cancel.prototype, 'cancel')
  const { prototype } = binding().Model
  const predict = prototype.predict
  // The second batch is held back until it is cancelled: a quick machine has it ready before the first answer is heard.
  const asked = vi.spyOn(prototype, 'predict').mockImplementation(async function (
    this: Model,
    ...question: Parameters<typeof predict>
  ) {
    if (asked.mock.calls.length === 2) await vi.waitFor(() => expect(cancel).toHaveBeenCalled(), 10_000)
    return predict.apply(this, question)
  })
  const list = Array.from({ length: 100 }, (_, i) => pixels(i))
  for await (const { error } of model.predictEach(list)) {
    expect(error).toBeNull()
    break
  }
  expect(asked).toHaveBeenCalledTimes(2)
  expect(cancel).toHaveBeenCalledOnce()
  asked.mockRestore()
  cancel.mockClear()
  for await (const { error } of model.embedEach(list.slice(0, 20))) expect(error).toBeNull()
  expect(cancel).not.toHaveBeenCalled()
  cancel.mockRestore()
})

describe('findPictures', () => {
  const folder = scratch.at('folder')
  const below = (...names: string[]) => names.map((name) => join(folder, ...name.split('/')))

  beforeAll(() => {
    mkdirSync(join(folder, 'deep', 'er'), { recursive: true })
    mkdirSync(scratch.at('none'))
    for (const path of below('b.png', 'a[1].PNG', 'deep/er/c.png')) copyFileSync(cat, path)
    writeFileSync(join(folder, 'notes.txt'), 'no picture')
  })

  it('knows files, folders and globs', async () => {
    const every = below('a[1].PNG', 'b.png', 'deep/er/c.png')
    expect(await findPictures(folder)).toEqual(every)
    expect(await findPictures(pathToFileURL(folder))).toEqual(every)
    expect(await findPictures(below('a[1].PNG', 'b.png'))).toEqual(below('a[1].PNG', 'b.png'))
    // With the system's separators, too, which are backslashes on Windows.
    for (const glob of [`${folder.split(sep).join('/')}/**/*.png`, join(folder, '**', '*.png')]) {
      expect(await findPictures([glob, cat])).toEqual([...below('b.png', 'deep/er/c.png'), cat])
    }
    expect((await all(model.predictEach(folder))).map(({ picture }) => picture)).toEqual(every)
  })

  it('says where there is none', async () => {
    await expect(findPictures(scratch.at('none'))).rejects.toEqual(failure('IMAGE_UNREADABLE', /none.*\bpng/))
    await expect(findPictures(`${folder}/*.gif`)).rejects.toEqual(
      failure('IMAGE_UNREADABLE', 'no file matches'),
    )
    // Whoever reads it says that it is missing.
    expect(await findPictures('missing.png')).toEqual(['missing.png'])
  })
})

describe('features', () => {
  it('are what the classifier reads', async () => {
    const [logits, features] = [await model.logits(cat), await model.embed(cat)]
    expect(features).toHaveLength(256)
    const { weight, bias } = classifier(model, 'classifier')
    for (const [k, logit] of logits.entries()) {
      const sum = features.reduce((sum, value, i) => sum + value * (weight[k * 256 + i] ?? 0), bias[k] ?? 0)
      expect(sum).toBeCloseTo(logit, 4)
    }
  })

  it('are those before the first linear layer in V3', async () => {
    const v3 = await MobileNet.create({ variant: 'v3-small', layout: 'cifar' })
    const [logits, features] = [await v3.logits(cat), await v3.embed(cat)]
    expect(features).toHaveLength(576)
    const [first, last] = [classifier(v3, 'classifier.0'), classifier(v3, 'classifier.3')]
    const linear = (input: ArrayLike<number>, { weight, bias }: typeof first) =>
      Array.from(bias, (bias, k) => {
        return Array.from(input).reduce((sum, x, i) => sum + x * (weight[k * input.length + i] ?? 0), bias)
      })
    const hidden = linear(features, first).map((x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6)
    for (const [k, logit] of linear(hidden, last).entries()) expect(logits[k]).toBeCloseTo(logit, 4)
  })

  it('find what is alike', async () => {
    const names = ['cat-0.png', 'ship-1.png', 'dog-12.png'].map((name) => join(images, name))
    const candidates = (await all(model.embedEach(names))).map(({ picture, features }) => {
      return [picture, features ?? new Float32Array(256)] as const
    })
    const [best, ...others] = nearest(await model.embed(cat), candidates)
    expect(best?.item).toBe(cat)
    expect(best?.similarity).toBeCloseTo(1, 6)
    expect(others).toHaveLength(2)
    expect(others[0]?.similarity).toBeGreaterThanOrEqual(others[1]?.similarity ?? 1)
    const vectors = [
      [3, 4],
      [4, -3],
      [-3, -4],
      [0, 0],
    ].map((v, i) => [i, Float32Array.from(v)] as const)
    expect(nearest(Float32Array.of(6, 8), vectors)).toEqual([
      { item: 0, similarity: 1 },
      { item: 1, similarity: 0 },
      { item: 3, similarity: 0 },
      { item: 2, similarity: -1 },
    ])
    expect(nearest(Float32Array.of(6, 8), vectors, { top: 1 })).toHaveLength(1)
    expect(() => nearest(Float32Array.of(1), vectors)).toThrow(failure('INVALID_OPTION', 'same length'))
  })
})

function classifier(model: MobileNet, name: string) {
  const tensor = (part: string) => model.tensors().get(`${name}.${part}`)?.data ?? new Float32Array()
  return { weight: tensor('weight'), bias: tensor('bias') }
}
