import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cifar10, MobileNet, type ModelOptions, type TrainOptions } from 'mobilenet-native'
import { afterAll, expect, test } from 'vitest'
import { courseName, type Figures, madeUp, parityCase, pictures, sample, writeFilled } from './reference.js'

// The yardstick is PyTorch's own rounding: for each kind of figure the largest distance between its float32 and its
// float64 result, relative to the size of the figure's tensor. We may be at most 4 of these away from the float64
// result, plus the last of the nine digits that the file holds.
const factor = 4
const lastDigit = 1e-8

const folder = mkdtempSync(join(tmpdir(), 'mobilenet-parity-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Row {
  ours: ArrayLike<number>
  float32: number[]
  float64: number[]
  /** What distances are relative to; default the largest of the float64 figures. */
  size?: number
}

function check(what: string, rows: Row[]): void {
  const distance = (a: ArrayLike<number>, b: number[]) =>
    b.reduce((largest, value, i) => Math.max(largest, Math.abs((a[i] as number) - value)), 0)
  const sizes = rows.map(({ float64, size }) => size ?? Math.max(...float64.map(Math.abs)))
  const worst = (of: (row: Row) => ArrayLike<number>) =>
    Math.max(...rows.map((row, i) => distance(of(row), row.float64) / (sizes[i] as number)))
  for (const { ours, float64 } of rows) expect(ours.length, what).toBe(float64.length)
  const torch = worst((row) => row.float32)
  const ours = worst((row) => row.ours)
  expect(ours, `${what}: PyTorch's float32 is ${torch} from its float64`).toBeLessThanOrEqual(
    factor * torch + lastDigit,
  )
}

/** A network of these options with the case's weights, brought in as another program's file. */
async function load(
  name: string,
  options: ModelOptions,
  theirs: (name: string) => string,
): Promise<MobileNet> {
  const path = join(folder, `${name}.safetensors`)
  const ours = (await MobileNet.create(options)).tensors()
  writeFilled(
    path,
    [...ours].map(([tensor, { shape }]) => ({ name: theirs(tensor), shape })),
  )
  return MobileNet.import(path, options)
}

async function train(model: MobileNet, limit: number): Promise<number[]> {
  const data = await Cifar10.open({ directory: sample })
  const recipe: Omit<TrainOptions, 'data'> = {
    epochs: 1,
    batchSize: 16,
    limit,
    optimizer: { type: 'adam', learningRate: 1e-4 },
    schedule: { type: 'constant' },
    validationFraction: 0,
    augment: false,
    shuffle: false,
  }
  const losses: number[] = []
  for await (const event of model.train({ data, ...recipe })) {
    if (event.type === 'step') losses.push(event.loss)
  }
  return losses
}

const flat = (rows: number[][]) => rows.flat()

for (const { name, options, theirs } of [
  { name: 'v1-unpadded-10', options: {} as ModelOptions, theirs: courseName },
  {
    name: 'v1-cifar-relu-10',
    options: { layout: 'cifar' } as ModelOptions,
    theirs: (tensor: string) => tensor,
  },
]) {
  test(`${name}: evaluates, differentiates and trains like PyTorch`, async () => {
    const { float32, float64 } = parityCase(name)
    const both = (get: (figures: Figures) => number[]) => ({ float32: get(float32), float64: get(float64) })
    const evaluation = pictures('test_batch.bin', 8)
    const first = pictures('data_batch_1.bin', 16)

    const model = await load(name, options, theirs)
    check('evaluation logits', [
      { ours: await model.forward(evaluation.input), ...both((f) => flat(f.eval_logits)) },
    ])

    const { logits, gradients } = await model.backward(first.input, first.labels)
    check('training logits', [{ ours: logits.subarray(0, 40), ...both((f) => flat(f.train_logits)) }])
    expect(gradients.size).toBe(Object.keys(float64.gradient_norms).length)
    const named = [...gradients].map(([tensor, { data }]) => ({ tensor: theirs(tensor), data }))
    check(
      'gradient norms',
      named.map(({ tensor, data }) => ({
        ours: [Math.sqrt(data.reduce((sum, value) => sum + value * value, 0))],
        ...both((f) => [f.gradient_norms[tensor] as number]),
      })),
    )
    check(
      'gradient heads',
      named.map(({ tensor, data }) => {
        const figures = both((f) => f.gradient_heads[tensor] as number[])
        // Against the tensor's typical value where its first four happen to be small.
        const typical = (float64.gradient_norms[tensor] as number) / Math.sqrt(data.length)
        const size = Math.max(typical, ...figures.float64.map(Math.abs))
        return { ours: data.subarray(0, 4), ...figures, size }
      }),
    )

    // The gradients above left the network as it was, so a first step starts from the same weights.
    await train(model, 16)
    const running = [...model.tensors()].filter(([tensor]) => tensor.includes('running'))
    expect(running.length).toBe(Object.keys(float64.running).length)
    check(
      'running statistics',
      running.map(([tensor, { data }]) => ({
        ours: data.subarray(0, 4),
        ...both((f) => f.running[theirs(tensor)] as number[]),
      })),
    )

    const fresh = await load(name, options, theirs)
    check('losses of five steps', [{ ours: await train(fresh, 80), ...both((f) => f.losses) }])
    check('logits after five steps', [
      { ours: await fresh.forward(evaluation.input), ...both((f) => flat(f.eval_logits_after)) },
    ])
  })
}

test.for([
  ['v1-224-relu6-1000', { layout: 'imagenet', activation: 'relu6' }],
  ['v2-224-1000', { variant: 'v2', layout: 'imagenet' }],
  ['v3-large-224-1000', { variant: 'v3-large', layout: 'imagenet' }],
  ['v3-small-224-1000', { variant: 'v3-small', layout: 'imagenet' }],
] satisfies [string, ModelOptions][])('%s: evaluates like PyTorch', async ([name, options]) => {
  const { float32, float64 } = parityCase(name)
  const model = await load(name, options, (tensor) => tensor)
  const { input } = madeUp(1, 224, 1000)
  check('evaluation logits', [
    {
      ours: await model.forward(input),
      float32: flat(float32.eval_logits),
      float64: flat(float64.eval_logits),
    },
  ])
})

// V2's ReLU6 makes its gradients depend on a picture's last digit; the Rust parity tests measure it with PyTorch's own
// spread.
test.for([
  ['v2-64-10', 'v2'],
  ['v3-large-64-10', 'v3-large'],
  ['v3-small-64-10', 'v3-small'],
] satisfies [string, ModelOptions['variant']][])('%s: trains like PyTorch', async ([name, variant]) => {
  const { float32, float64 } = parityCase(name)
  const options = { variant, layout: 'imagenet', resolution: 64, classes: 10, dropout: 0 } as ModelOptions
  const model = await load(name, options, (tensor) => tensor)
  const { input, labels } = madeUp(20, 64, 10)
  const { logits, gradients } = await model.backward(
    input.subarray(0, 4 * 3 * 64 * 64),
    labels.subarray(0, 4),
  )
  check('training logits', [
    { ours: logits, float32: flat(float32.train_logits), float64: flat(float64.train_logits) },
  ])
  expect(gradients.size).toBe(Object.keys(float64.gradient_norms).length)
  if (variant === 'v2') return
  const norms = [...gradients].map(([tensor, { data }]) => ({
    ours: [Math.sqrt(data.reduce((sum, value) => sum + value * value, 0))],
    float32: [float32.gradient_norms[tensor] as number],
    float64: [float64.gradient_norms[tensor] as number],
  }))
  // A bias in front of another batch norm has no gradient but rounding.
  const vanishes = ({ float64: [norm] }: { float64: number[] }) => (norm as number) < 1e-12
  check(
    'gradient norms',
    norms.filter((row) => !vanishes(row)),
  )
  const zeros = norms.filter(vanishes)
  expect(zeros.length).toBeGreaterThan(0)
  const largest = (of: (row: (typeof zeros)[number]) => number[]) => Math.max(...zeros.flatMap(of))
  expect(largest((row) => row.ours)).toBeLessThanOrEqual(factor * largest((row) => row.float32))
})
