import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MobileNet, type ModelOptions } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'
import { pictures } from './reference.js'
import { digest, openSample, recipe } from './tiny.js'

/** A Python that has torch, torchvision, timm and safetensors; `.ci/run` makes one. */
const python = process.env.MOBILENET_TEST_PYTHON

// The yardstick is PyTorch's own rounding, the largest distance of a float32 logit from the float64 one. We may be at most 4
// of these away from the float64 one, as in parity.test.ts.
const factor = 4

const scratch = new Scratch()
afterAll(() => scratch.remove())

/** At 32x32, so that it takes seconds. timm's V1 is with ReLU6. */
const shown = { layout: 'imagenet', resolution: 32, classes: 10 } as const
const ours = {
  v1: { ...shown, variant: 'v1', activation: 'relu6' },
  v2: { ...shown, variant: 'v2' },
  'v3-large': { ...shown, variant: 'v3-large' },
  'v3-small': { ...shown, variant: 'v3-small' },
} satisfies Record<string, ModelOptions>

/** What is found from the tensors of PyTorch's networks. */
const theirs: Record<string, { variant: string; width: number }> = {
  'torchvision-v2': { variant: 'v2', width: 1 },
  'torchvision-v2-035': { variant: 'v2', width: 0.35 },
  'torchvision-v3-large': { variant: 'v3-large', width: 1 },
  'torchvision-v3-small': { variant: 'v3-small', width: 1 },
  'torchvision-v3-small-06': { variant: 'v3-small', width: 0.6 },
  'timm-v1': { variant: 'v1', width: 1 },
  'timm-v2': { variant: 'v2', width: 1 },
  'timm-v3-large': { variant: 'v3-large', width: 1 },
  'timm-v3-small': { variant: 'v3-small', width: 1 },
}

const { input } = pictures('test_batch.bin', 8)

async function expectSameLogits(name: string, model: MobileNet): Promise<void> {
  const [float32, float64] = ['float32', 'float64'].map((type) => {
    return new Float64Array(new Uint8Array(readFileSync(scratch.at(`${name}.${type}`))).buffer)
  }) as [Float64Array, Float64Array]
  const logits = await model.forward(input)
  expect(logits).toHaveLength(float64.length)
  const distance = (of: ArrayLike<number>) =>
    float64.reduce((most, value, i) => Math.max(most, Math.abs((of[i] ?? Number.NaN) - value)), 0)
  const size = float64.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const words = `${name}: ${distance(logits) / size} of the largest logit, PyTorch ${distance(float32) / size}`
  if (process.env.MOBILENET_TEST_DISTANCES) console.log(words)
  expect(distance(logits), words).toBeLessThanOrEqual(factor * distance(float32))
}

describe.skipIf(!python)('PyTorch', () => {
  const models = new Map<string, MobileNet>()

  beforeAll(async () => {
    writeFileSync(scratch.at('pictures'), input)
    const data = await openSample()
    for (const [name, options] of Object.entries(ours)) {
      const model = await MobileNet.create(options)
      // So that no tensor is as it began.
      await model.train({ ...recipe, limit: 32, data }).result
      await model.save(scratch.at(`${name}.safetensors`))
      models.set(name, model)
    }
    execFileSync(python ?? '', [join(import.meta.dirname, 'round_trip.py'), scratch.path])
  }, 600_000)

  it.each(Object.keys(ours))(
    'loads %s strictly, computes the same, and its weights come back',
    async (name) => {
      const model = models.get(name) as MobileNet
      await expectSameLogits(name, model)
      for (const file of [`${name}.pth`, `${name}.legacy.pth`, `${name}.plain.safetensors`]) {
        const { activation } = model.config
        const back = await MobileNet.import(scratch.at(file), { resolution: 32, activation } as ModelOptions)
        expect(back.config).toEqual(model.config)
        // Millions of values: comparing them one by one takes a minute.
        expect(digest(back)).toBe(digest(model))
      }
    },
  )

  it.each(Object.keys(theirs))('%s comes in, and computes the same', async (name) => {
    const { variant, width } = theirs[name] ?? {}
    const activation = variant === 'v1' ? ({ activation: 'relu6' } as const) : {}
    const model = await MobileNet.import(scratch.at(`${name}.pth`), { resolution: 32, ...activation })
    expect(model.config).toMatchObject({ variant, width, layout: 'imagenet', classes: 10 })
    await expectSameLogits(name, model)
  })
})
