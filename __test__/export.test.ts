import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { MobileNet, type ModelOptions } from 'mobilenet-native'
import { afterAll, describe, expect, it } from 'vitest'
import { cli, data, images, Scratch } from './cli.js'
import { hasOnnxRuntime, session } from './onnxruntime.js'
import { courseName, madeUp, parityCase, pictures, writeFilled } from './reference.js'
import { network, openSample } from './tiny.js'

// The yardstick is that of parity.test.ts: at most 4 times as far from PyTorch's float64 logits as PyTorch's own float32 ones,
// as a share of the largest logit, plus the last of the digits that the figures have.
const factor = 4
const lastDigit = 1e-8

const scratch = new Scratch()
afterAll(() => scratch.remove())

/** What ONNX Runtime gives for an exported model, as rows. */
async function run(path: string, input: Float32Array | Uint8Array, shape: number[]): Promise<Float32Array> {
  const model = await session(path)
  const { Tensor } = await import('onnxruntime-node')
  const type = input instanceof Uint8Array ? 'uint8' : 'float32'
  const feeds = { [model.inputNames[0] as string]: new Tensor(type, input, shape) }
  const results = await model.run(feeds)
  return results[model.outputNames[0] as string]?.data as Float32Array
}

async function filled(options: ModelOptions, name: (tensor: string) => string): Promise<MobileNet> {
  const path = scratch.at('filled.safetensors')
  const tensors = (await MobileNet.create(options)).tensors()
  writeFilled(
    path,
    [...tensors].map(([tensor, { shape }]) => ({ name: name(tensor), shape })),
  )
  return MobileNet.import(path, options)
}

/** The largest distance, as a share of the largest of `of`. */
function distance(a: ArrayLike<number>, of: ArrayLike<number>): number {
  expect(a).toHaveLength(of.length)
  const largest = Array.from(of).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return (
    Array.from(of).reduce((most, value, i) => Math.max(most, Math.abs((a[i] ?? NaN) - value)), 0) / largest
  )
}

/** PyTorch's own rounding in one case of parity.json. */
function yardstick(name: string): { float64: number[]; own: number } {
  const { float32, float64 } = parityCase(name)
  const [single, double] = [float32.eval_logits.flat(), float64.eval_logits.flat()]
  return { float64: double, own: distance(single, double) }
}

const same = (name: string) => name

/** A test that runs what was exported. */
const itRuns = it.skipIf(!hasOnnxRuntime)

describe('an ONNX file', () => {
  itRuns.each([
    ['v1-unpadded-10', {}, courseName],
    ['v1-cifar-relu-10', { layout: 'cifar' }, same],
    ['v1-224-relu6-1000', { layout: 'imagenet', activation: 'relu6' }, same],
    ['v2-224-1000', { variant: 'v2', layout: 'imagenet' }, same],
    ['v3-large-224-1000', { variant: 'v3-large', layout: 'imagenet' }, same],
    ['v3-small-224-1000', { variant: 'v3-small', layout: 'imagenet' }, same],
  ] satisfies [string, ModelOptions, (name: string) => string][])(
    'gives the logits that PyTorch gives: %s',
    async (name, options, theirs) => {
      const model = await filled(options, theirs)
      const path = scratch.at(`${name}.onnx`)
      await model.exportOnnx(path)
      const { resolution, classes } = model.config
      const input =
        resolution === 32 ? pictures('test_batch.bin', 8).input : madeUp(1, resolution, classes).input
      const shape = [input.length / (3 * resolution * resolution), 3, resolution, resolution]
      const { float64, own } = yardstick(name)
      expect(distance(await run(path, input, shape), float64)).toBeLessThanOrEqual(factor * own + lastDigit)
    },
  )

  itRuns.each([
    ['v2', 'v2-64-10'],
    ['v3-large', 'v3-large-64-10'],
    ['v3-small', 'v3-small-64-10'],
  ] as const)('gives our logits in layout cifar, for any number of pictures: %s', async (variant, name) => {
    const model = await filled({ variant, layout: 'cifar' }, same)
    const path = scratch.at(`${variant}-cifar.onnx`)
    await model.exportOnnx(path)
    const { input } = pictures('test_batch.bin', 5)
    // Each may be so far from the truth.
    const allowed = 2 * (factor * yardstick(name).own + lastDigit)
    const logits = await model.forward(input)
    expect(distance(await run(path, input, [5, 3, 32, 32]), logits)).toBeLessThanOrEqual(allowed)
    const first = await run(path, input.subarray(0, 3072), [1, 3, 32, 32])
    expect(distance(first, logits.subarray(0, 10))).toBeLessThanOrEqual(allowed)
  })

  itRuns('takes bytes and gives probabilities when it is asked to', async () => {
    const model = await filled(network, same)
    const path = scratch.at('whole.onnx')
    await model.exportOnnx(path, { softmax: true, preprocess: true })
    const pixels = Uint8Array.from({ length: 2 * 32 * 32 * 3 }, (_, i) => (i * i) % 251)
    // Both logits may be so far from the truth; where two classes' logits part by that, their odds change by twice as much.
    const { own } = yardstick('v1-cifar-relu-10')
    const allowed = (logits: Float32Array) =>
      2 * 2 * (factor * own + lastDigit) * Math.max(...logits.map(Math.abs))
    const probabilities = await run(path, pixels, [2, 32, 32, 3])
    for (const i of [0, 1]) {
      const data = pixels.subarray(i * 3072, (i + 1) * 3072)
      const raw = { data, width: 32, height: 32 }
      const predictions = await model.predict(raw)
      const expected = predictions.sort((a, b) => a.index - b.index).map(({ probability }) => probability)
      expect(distance(probabilities.subarray(i * 10, (i + 1) * 10), expected)).toBeLessThan(
        allowed(await model.logits(raw)),
      )
    }
    const { inputNames, outputNames } = await session(path)
    expect([inputNames, outputNames]).toEqual([['pixels'], ['probabilities']])
  })

  it('is refused with an option that there is not, and where it cannot be written', async () => {
    const model = await MobileNet.create(network)
    await expect(model.exportOnnx(scratch.at('x.onnx'), { soft: true } as never)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('softmax'),
    })
    await expect(model.exportOnnx(scratch.at('none', 'x.onnx'))).rejects.toMatchObject({ code: 'IO' })
  })

  const python = process.env.MOBILENET_TEST_PYTHON
  it.skipIf(!python)("is sound by ONNX's own checker, and says what it is", async () => {
    const path = scratch.at('checked.onnx')
    for (const variant of ['v1', 'v2', 'v3-large', 'v3-small'] as const) {
      const model = await MobileNet.create({ variant, layout: 'cifar', width: 0.25 })
      if (variant === 'v3-small') {
        const calibration = await openSample()
        await model.exportOnnx(path, { softmax: true, preprocess: true, quantize: 'int8', calibration })
      } else await model.exportOnnx(path, { softmax: true, preprocess: true })
      const script = `import json, onnx, sys
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
print(json.dumps({entry.key: entry.value for entry in model.metadata_props}))`
      const metadata = JSON.parse(execFileSync(python ?? '', ['-c', script, path], { encoding: 'utf8' }))
      expect(JSON.parse(metadata.classes)).toEqual(model.classes)
      expect(JSON.parse(metadata.normalization)).toEqual(model.normalization)
      expect(JSON.parse(metadata.config)).toEqual(model.config)
      expect([metadata.resize, metadata.crop]).toEqual(['32', '32'])
    }
  })
})

describe('an ONNX file in whole numbers of 8 bits', () => {
  // What a byte in place of a float32 does to logits depends on the network, and no number format says it: batch norm makes much of
  // little in V1. So `apart`, the root mean square of what it moves logits by as a share of theirs, is twice the most that was
  // measured with four seeds: 0.22, 0.029 and 0.0023. `size` is what the file takes of the float32 one, which a seed doesn't change:
  // 0.345, 0.408 and 0.534; weights take a quarter, but scales, names and the graph are as large as before, or larger.
  // Every kind of layer is in one of them.
  itRuns.each([
    [
      { layout: 'cifar', width: 0.25 },
      { apart: 0.44, size: 0.35 },
    ],
    [
      { variant: 'v2', layout: 'cifar', width: 0.25 },
      { apart: 0.058, size: 0.415 },
    ],
    [
      { variant: 'v3-small', layout: 'cifar', width: 0.25 },
      { apart: 0.0046, size: 0.54 },
    ],
  ] satisfies [ModelOptions, object][])(
    'answers as was said, and nearly as in float32: %j',
    async (options, most) => {
      const data = await openSample()
      const model = await MobileNet.create(options)
      const optimizer = { type: 'adam', learningRate: 3e-3 } as const
      const training = { augment: false, batchSize: 16, epochs: 3, validationFraction: 0, optimizer } as const
      await model.train({ ...training, data }).result
      const [path, float] = [scratch.at('int8.onnx'), scratch.at('float.onnx')]
      const { calibrated, before, after } = await model.exportOnnx(path, {
        quantize: 'int8',
        calibration: data,
      })
      await model.exportOnnx(float)
      expect(calibrated).toBe(data.counts.train)
      expect(before).toEqual(await model.evaluate(data.test))
      expect(statSync(path).size).toBeLessThan(most.size * statSync(float).size)
      // What was computed here in float32 with rounded values, ONNX Runtime computes in whole numbers.
      const { input, labels } = pictures('test_batch.bin', data.counts.test)
      const shape = [data.counts.test, 3, 32, 32]
      const [whole, exact] = [await run(path, input, shape), await run(float, input, shape)]
      // A value between two whole numbers may go to either side. Measured with four seeds: losses at most 0.0025 apart, and not one
      // more or less that is right; four times that is allowed, and of the 128 pictures two.
      const { loss, correct } = figuresOf(whole, labels)
      expect(Math.abs(loss - (after?.loss ?? 0))).toBeLessThan(0.01)
      expect(Math.abs(correct - (after?.correct ?? 0))).toBeLessThanOrEqual(2)
      expect(meanDistance(whole, exact)).toBeLessThan(most.apart)
      // In float32 it would be 1e-6, and of 8 bits the last is 2e-3 or more.
      expect(meanDistance(whole, exact)).toBeGreaterThan(1e-4)
      const inFloat32 = async (path: string) =>
        (await operatorsOf(path)).filter((name) => /^(Fused)?(Conv|Gemm|MatMul)$/.test(name))
      expect(await inFloat32(path)).toEqual([])
      expect((await inFloat32(float)).length).toBeGreaterThan(0)
    },
  )

  it.each([undefined, null])('quantize: %s is none', async (quantize) => {
    const path = scratch.at('not-quantized.onnx')
    await (await MobileNet.create(network)).exportOnnx(path, { quantize } as never)
    expect(existsSync(path)).toBe(true)
  })

  it('is refused without a data set for it, and can be stopped', async () => {
    const model = await MobileNet.create(network)
    const path = scratch.at('none.onnx')
    const data = await openSample()
    const failure = (options: object) => expect(model.exportOnnx(path, options as never)).rejects
    await failure({ quantize: 'int4', calibration: data }).toThrow('quantize must be int8, not "int4"')
    await failure({ quantize: 'int8' }).toThrow('quantize needs calibration')
    await failure({ calibration: data }).toThrow('calibration is for quantize; give both')
    await failure({ quantize: null, calibration: data }).toThrow('calibration is for quantize; give both')
    const three = await MobileNet.create({ ...network, classes: 3 })
    await expect(three.exportOnnx(path, { quantize: 'int8', calibration: data })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
    })
    const reason = new Error('enough')
    const stop = new AbortController()
    const onProgress = () => stop.abort(reason)
    await failure({ quantize: 'int8', calibration: data, signal: stop.signal, onProgress }).toBe(reason)
    expect(existsSync(path)).toBe(false)
  })

  it('comes from the command line', async ({ skip }) => {
    const checkpoint = scratch.at('model.safetensors')
    await (await MobileNet.create(network)).save(checkpoint)
    const out = scratch.at('cli.onnx')
    const { status, stdout, stderr } = await cli([
      'export',
      checkpoint,
      '--out',
      out,
      '--quantize',
      'int8',
      '--data',
      data,
    ])
    expect(status).toBe(0)
    expect(stderr).toMatch(/^note: .*not the official CIFAR-10/)
    expect(stdout).toMatch(
      /^Ranges from 256 training pictures\nBefore: Test set: .*\/128 .*\nAfter: Test set: .*\/128 .*\n.*cli\.onnx: /,
    )
    skip(!hasOnnxRuntime, 'what it computes')
    const { inputNames } = await session(out)
    expect(inputNames).toEqual(['input'])
  })

  /** The mean cross-entropy, and how many of the labels have the largest of their logits. */
  function figuresOf(logits: Float32Array, labels: number[]): { loss: number; correct: number } {
    const classes = logits.length / labels.length
    let [loss, correct] = [0, 0]
    for (const [i, label] of labels.entries()) {
      const row = logits.subarray(i * classes, (i + 1) * classes)
      const largest = Math.max(...row)
      const sum = row.reduce((all, logit) => all + Math.exp(logit - largest), 0)
      loss += (largest + Math.log(sum) - (row[label] ?? Number.NaN)) / labels.length
      if (row.indexOf(largest) === label) correct++
    }
    return { loss, correct }
  }

  /** The root mean square of the distances, as a share of that of `of`. */
  function meanDistance(a: Float32Array, of: Float32Array): number {
    expect(a).toHaveLength(of.length)
    const square = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)
    return Math.sqrt(square(of.map((value, i) => (a[i] ?? Number.NaN) - value)) / square(of))
  }

  /** The operators that ONNX Runtime really runs: it makes one of whole numbers of a layer and what rounds it. */
  async function operatorsOf(path: string): Promise<string[]> {
    const optimized = scratch.at('optimized.onnx')
    await session(path, { optimizedModelFilePath: optimized, graphOptimizationLevel: 'extended' })
    // Enough of the file's form to find the names: they stand there as text.
    const text = readFileSync(optimized, 'latin1')
    return [...text.matchAll(/"[^\w]([A-Z]\w+)/g)].map(([, name]) => name as string)
  }
})

describe('export', () => {
  it('writes ONNX and safetensors', async ({ skip }) => {
    const checkpoint = scratch.at('model.safetensors')
    const model = await MobileNet.create(network)
    await model.save(checkpoint)
    const [onnx, weights] = [scratch.at('model.onnx'), scratch.at('weights.safetensors')]
    const { status, stdout } = await cli(['export', checkpoint, '--out', onnx, '--softmax'])
    expect(status).toBe(0)
    expect(stdout).toBe(`${onnx}: MobileNet v1 cifar, width 0.25, 32x32, 10 classes, relu\n`)
    expect((await cli(['export', checkpoint, '--out', weights])).status).toBe(0)
    expect((await MobileNet.load(weights)).tensors()).toEqual((await MobileNet.load(checkpoint)).tensors())
    const picture = join(images, 'cat-0.png')
    expect(await (await MobileNet.load(weights)).logits(picture)).toEqual(await model.logits(picture))
    skip(!hasOnnxRuntime, 'what it computes')
    const { outputNames } = await session(onnx)
    expect(outputNames).toEqual(['probabilities'])
  })

  it.each([
    [['--out', 'model.pth'], /must end with \.onnx or \.safetensors/],
    [['--out', 'model.safetensors', '--softmax'], /are for ONNX/],
    [['--out', 'model.onnx', '--quantize', 'int4'], /must be int8/],
    [['--out', 'model.onnx', '--data', 'photos'], /are for --quantize/],
  ])('refuses %j', async (args, message) => {
    const checkpoint = scratch.at('model.safetensors')
    const { status, stderr } = await cli(['export', checkpoint, ...args])
    expect(status).toBe(2)
    expect(stderr).toMatch(message)
    expect(existsSync(args[1] ?? '')).toBe(false)
  })
})
