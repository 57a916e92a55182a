import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Cifar10, devices, MobileNet, MobileNetError, type ModelOptions, presets } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { data, images, Scratch } from './cli.js'
import { digest, network, openSample } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let model: MobileNet
beforeAll(async () => {
  model = await MobileNet.create(network)
})

/** Two pictures of noise, normalised: `[2, 3, 32, 32]`. */
const noise = Float32Array.from({ length: 2 * 3 * 32 * 32 }, (_, i) => Math.sin(i * i))

/** A failure is a `MobileNetError` with this code, whose message says this. */
const failure = (code: string, message: RegExp | string) =>
  expect.objectContaining({
    constructor: MobileNetError,
    name: 'MobileNetError',
    code,
    message: expect.stringMatching(message),
  })

describe('a network', () => {
  it('is complete when it was made with few options', async () => {
    expect(model.config).toEqual({
      ...network,
      variant: 'v1',
      activation: 'relu',
      resolution: 32,
      classes: 10,
      dropout: 0,
    })
    expect(model.normalization.mean).toEqual([0.485, 0.456, 0.406])
    expect(model.classes[6]).toBe('frog')
    expect((await MobileNet.create({ ...network, classes: 3 })).classes).toEqual(['0', '1', '2'])
    expect(model.canResume).toBe(false)
  })

  it.each([
    [{ layout: 'unpadded' }, 3_217_194],
    [{ layout: 'cifar' }, 3_217_226],
    [{ layout: 'imagenet' }, 4_231_976],
  ] satisfies [ModelOptions, number][])(
    '%j has as many parameters as PyTorch counts',
    async (options, count) => {
      const large = await MobileNet.create(options)
      expect(large.parameters).toBe(count)
      expect(large.layers.reduce((sum, layer) => sum + layer.parameters, 0)).toBe(count)
    },
  )

  it('is not made when its signal has aborted', async () => {
    const reason = new Error('enough')
    await expect(MobileNet.create({ ...network, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  it('begins with the weights that its seed decides', async () => {
    const [same, other] = [
      await MobileNet.create({ ...network, seed: 1 }),
      await MobileNet.create({ ...network, seed: 2 }),
    ]
    expect(digest(same)).toBe(digest(model))
    expect(digest(other)).not.toBe(digest(model))
  })

  it('gives copies of its tensors, by their names in PyTorch', () => {
    const tensors = model.tensors()
    expect(tensors.get('conv_stem.weight')?.shape).toEqual([8, 3, 3, 3])
    expect(tensors.get('classifier.weight')?.shape).toEqual([10, 256])
    expect(tensors.get('bn1.running_var')?.data).toEqual(new Float32Array(8).fill(1))
    for (const { shape, data } of tensors.values()) {
      expect(data).toHaveLength(shape.reduce((product, size) => product * size, 1))
    }
    tensors.get('bn1.weight')?.data.fill(5)
    expect(model.tensors().get('bn1.weight')?.data).toEqual(new Float32Array(8).fill(1))
  })

  it('comes back from its checkpoint as it was', async () => {
    const path = scratch.at('model.safetensors')
    await model.save(path)
    for (const loaded of [await MobileNet.load(path), await MobileNet.load(pathToFileURL(path), network)]) {
      expect(loaded.config).toEqual(model.config)
      expect(digest(loaded)).toBe(digest(model))
      expect(await loaded.forward(noise)).toEqual(await model.forward(noise))
    }
    await expect(MobileNet.load(path, { width: 1 })).rejects.toEqual(
      failure('CHECKPOINT_MISMATCH', /width 0\.25, not 1/),
    )
  })

  it('is imported from weights without a configuration', async () => {
    const path = scratch.at('weights.safetensors')
    await model.save(path)
    expect(digest(await MobileNet.import(path, network))).toBe(digest(model))
    await expect(MobileNet.import(path, { ...network, width: 0.5 })).rejects.toEqual(
      failure('CHECKPOINT_MISMATCH', 'conv_stem.weight'),
    )
  })
})

describe('forward and backward', () => {
  it('treat each picture of a batch by itself in evaluation mode', async () => {
    const both = await model.forward(noise)
    expect(both).toHaveLength(20)
    const second = await model.forward(noise.subarray(noise.length / 2))
    for (const [i, logit] of second.entries()) expect(both[10 + i]).toBeCloseTo(logit, 5)
  })

  it('give the loss and the gradients that follow from the logits', async () => {
    const labels = [3, 8]
    const { loss, logits, gradients } = await model.backward(noise, labels)
    const probabilities = labels.map((_, i) => softmax(logits.subarray(i * 10, i * 10 + 10)))
    const losses = labels.map((label, i) => -Math.log(probabilities[i]?.[label] ?? 0))
    expect(loss).toBeCloseTo(mean(losses), 5)
    // d loss / d bias is softmax minus one at the label, and the mean over the batch.
    const bias = gradients.get('classifier.bias')?.data ?? []
    for (const [k, gradient] of bias.entries()) {
      const expected = mean(labels.map((label, i) => (probabilities[i]?.[k] ?? 0) - Number(label === k)))
      expect(gradient).toBeCloseTo(expected, 6)
    }
    const trainable = [...model.tensors().keys()].filter((name) => !/running_|num_batches/.test(name))
    expect([...gradients.keys()].sort()).toEqual(trainable.sort())
  })

  it('leave the network as it was', async () => {
    const before = digest(model)
    await model.backward(noise, [0, 1])
    await model.forward(noise)
    expect(digest(model)).toBe(before)
  })

  it('refuse what is not whole pictures, and labels that do not fit', async () => {
    await expect(model.forward(noise.subarray(1))).rejects.toEqual(failure('INVALID_OPTION', '3 . 32 . 32'))
    await expect(model.backward(noise, [0])).rejects.toEqual(
      failure('INVALID_OPTION', '2 pictures need 2 labels'),
    )
    await expect(model.backward(noise, [0, 10])).rejects.toEqual(failure('INVALID_OPTION', '10'))
  })
})

describe('predict', () => {
  const cat = `${images}/cat-0.png`

  it('takes a path, a URL, the bytes of a file and pixels', async () => {
    const fromPath = await model.logits(cat)
    expect(await model.logits(pathToFileURL(cat))).toEqual(fromPath)
    expect(await model.logits(readFileSync(cat))).toEqual(fromPath)
    expect(await model.logits([new Uint8Array(readFileSync(cat)), cat])).toEqual([fromPath, fromPath])
  })

  it('normalises pixels as the network was trained with them', async () => {
    const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7) % 256)
    const { mean, std } = model.normalization
    const input = Float32Array.from({ length: pixels.length }, (_, i) => {
      const channel = Math.floor(i / 1024) as 0 | 1 | 2
      return ((pixels[(i % 1024) * 3 + channel] ?? 0) / 255 - mean[channel]) / std[channel]
    })
    const expected = await model.forward(input)
    const logits = await model.logits({ data: pixels, width: 32, height: 32 })
    for (const [i, logit] of logits.entries()) expect(logit).toBeCloseTo(expected[i] ?? Number.NaN, 4)
    const withAlpha = Uint8Array.from({ length: 4096 }, (_, i) =>
      i % 4 < 3 ? (pixels[(i >> 2) * 3 + (i % 4)] ?? 0) : 9,
    )
    expect(await model.logits({ data: withAlpha, width: 32, height: 32, channels: 4 })).toEqual(logits)
  })

  it('ranks the classes', async () => {
    const all = await model.predict(cat)
    expect(all).toHaveLength(10)
    expect(all.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 10)
    expect(all.map(({ probability }) => probability)).toEqual(
      all.map(({ probability }) => probability).sort((a, b) => b - a),
    )
    const top = await model.predict([cat, cat], { top: 3 })
    expect(top).toEqual([all.slice(0, 3), all.slice(0, 3)])
    for (const { label, index } of all) expect(label).toBe(model.classes[index])
    const logits = new Float32Array(10).with(1, 1)
    expect(model.rank(logits, { top: 1 })[0]).toMatchObject({ label: 'automobile', index: 1 })
  })

  it('says what is wrong with a picture', async () => {
    const text = scratch.at('text.png')
    writeFileSync(text, 'not a picture')
    await expect(model.predict(text)).rejects.toEqual(failure('IMAGE_UNREADABLE', 'text.png'))
    await expect(model.predict(scratch.at('none.png'))).rejects.toEqual(
      failure('IMAGE_UNREADABLE', 'none.png'),
    )
    const short = { data: new Uint8Array(5), width: 32, height: 32 }
    await expect(model.predict(short)).rejects.toEqual(failure('INVALID_OPTION', '5 given'))
    await expect(model.predict(cat, { top: 0 })).rejects.toEqual(failure('INVALID_OPTION', 'top'))
    const reason = new Error('enough')
    await expect(model.predict(cat, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('data and evaluation', () => {
  it('opens a folder of records', async () => {
    const sample = await openSample()
    expect(sample.counts).toEqual({ train: 256, validation: 0, test: 128 })
    const written = JSON.parse(JSON.stringify({ sample, part: sample.split(0.25).validation }))
    expect(written).toMatchObject({
      sample: { counts: sample.counts, test: { name: 'test', validationFraction: 0 } },
      part: { name: 'validation', validationFraction: 0.25 },
    })
    expect(sample.classes).toHaveLength(10)
    expect(sample.classes[3]).toBe('cat')
    expect(sample.official).toBe(false)
    expect(sample.note).toContain('official')
    expect(sample.source).toContain(data)
  })

  it('evaluates each part', async () => {
    const sample = await openSample()
    const { train, validation } = sample.split(0.25)
    const counts = { test: sample.test, train: sample.train, share: train, validation }
    for (const [name, count] of Object.entries({ test: 128, train: 256, share: 192, validation: 64 })) {
      const metrics = await model.evaluate(counts[name as keyof typeof counts])
      expect(metrics.count).toBe(count)
      expect(metrics.accuracy).toBe(metrics.correct / count)
      expect(metrics.loss).toBeGreaterThan(0)
    }
  })

  it('tells how far an evaluation is, and ends it when who listens throws', async () => {
    const { train } = await openSample()
    const heard: { done: number; count: number }[] = []
    await model.evaluate(train, { onProgress: (progress) => heard.push(progress) })
    // What was sent before the end may arrive after it, so the last one may be missing.
    expect(heard[0]?.count).toBe(256)
    const done = heard.map((progress) => progress.done)
    expect(done).toEqual([...new Set(done)].sort((a, b) => a - b))
    expect(Math.max(...done)).toBeLessThanOrEqual(256)
    const failure = new Error('enough')
    const onProgress = () => {
      throw failure
    }
    await expect(model.evaluate(train, { onProgress })).rejects.toBe(failure)
  })

  it('refuses what is no part, and stops when aborted', async () => {
    const sample = await openSample()
    await expect(model.evaluate(sample as never)).rejects.toEqual(failure('INVALID_OPTION', 'data.test'))
    expect(() => sample.split(1)).toThrow(failure('INVALID_OPTION', 'validationFraction'))
    const reason = new Error('enough')
    await expect(model.evaluate(sample.test, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const evaluation = model.evaluate(sample.train, { signal: controller.signal })
    controller.abort(reason)
    await expect(evaluation).rejects.toBe(reason)
  })

  it('says where it looked when there is no data set', async () => {
    const directory = scratch.at('nothing')
    await expect(Cifar10.open({ directory })).rejects.toEqual(
      failure(
        'DATASET_NOT_FOUND',
        /nothing; give as directory .*, or download it with \{ download: true \}$/,
      ),
    )
    await expect(Cifar10.open({ folder: directory } as never)).rejects.toEqual(
      failure('INVALID_OPTION', 'folder'),
    )
  })
})

describe('what there is', () => {
  it('the course is the default', () => {
    const { model, train } = presets().course
    expect(model).toMatchObject({ variant: 'v1', layout: 'unpadded', width: 1, classes: 10 })
    expect(train).toMatchObject({
      epochs: 50,
      batchSize: 64,
      optimizer: { type: 'adam', learningRate: 0.01 },
      schedule: { type: 'step', stepSize: 10, gamma: 0.5 },
      validationFraction: 0.1,
    })
    expect(Object.keys(presets())).toEqual(['course', 'cifar', 'quick'])
  })

  it.each(['course', 'cifar', 'quick'] as const)('the network of preset %s can be made', async (name) => {
    const { model } = presets()[name]
    expect((await MobileNet.create(model)).config).toEqual(model)
  })

  it('the processor is always among the devices', () => {
    const [processor] = devices().filter(({ name }) => name === 'cpu')
    expect(processor).toMatchObject({
      threads: expect.any(Number),
      simd: expect.any(String),
      memoryBytes: null,
    })
    if (processor?.simd !== 'avx512') expect(processor?.bfloat16).toBeNull()
  })

  it.each([
    [{ layout: 'x' }, 'INVALID_OPTION', 'unpadded'],
    [{ width: -1 }, 'INVALID_OPTION', 'width'],
    [{ classes: 1.5 }, 'INVALID_OPTION', 'classes'],
    [{ seed: -1 }, 'INVALID_OPTION', 'seed'],
    [{ widht: 1 }, 'INVALID_OPTION', 'widht'],
    [{ width: '1' }, 'INVALID_OPTION', ''],
    [{ device: 'tpu' }, 'INVALID_OPTION', 'tpu'],
    [{ device: 'cuda:99' }, 'DEVICE_UNAVAILABLE', 'cuda:99'],
  ])('a network with %j is refused with %s', async (options, code, message) => {
    await expect(MobileNet.create(options as never)).rejects.toEqual(failure(code, message))
  })

  it('a checkpoint that is missing or something else is refused', async () => {
    await expect(MobileNet.load(scratch.at('none.safetensors'))).rejects.toEqual(
      failure('IO', 'none.safetensors'),
    )
    const text = scratch.at('text.safetensors')
    writeFileSync(text, 'not a checkpoint, but long enough to hold a header')
    await expect(MobileNet.load(text)).rejects.toEqual(failure('CHECKPOINT_CORRUPT', 'text.safetensors'))
  })
})

function softmax(logits: Float32Array): number[] {
  const weights = Array.from(logits, Math.exp)
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / sum)
}

function mean(values: number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}
