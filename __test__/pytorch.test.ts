import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MobileNet } from 'mobilenet-native'
import { afterAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'
import { openSample, recipe } from './tiny.js'

/** A Python that has torch, timm and safetensors: gigabytes, so that only who wants this test installs them. */
const python = process.env.MOBILENET_TEST_PYTHON

const scratch = new Scratch()
afterAll(() => scratch.remove())

describe.skipIf(!python)('PyTorch', () => {
  it('loads a trained checkpoint as it is, computes the same, and its weights come back', async () => {
    // timm has the paper's released network, at full width: with ReLU6.
    const options = { layout: 'cifar', activation: 'relu6' } as const
    const model = await MobileNet.create(options)
    const out = scratch.at('run')
    const { best } = await model.train({ ...recipe, limit: 32, data: await openSample(), out }).result
    const pictures = Float32Array.from({ length: 4 * 3 * 32 * 32 }, (_, i) => Math.sin(i * i))
    writeFileSync(scratch.at('pictures'), pictures)

    const files = [best ?? '', scratch.at('pictures'), scratch.at('logits'), scratch.at('weights.pth')]
    execFileSync(python ?? '', [join(import.meta.dirname, 'round_trip.py'), ...files])

    const theirs = new Float32Array(new Uint8Array(readFileSync(scratch.at('logits'))).buffer)
    const ours = await model.forward(pictures)
    expect(theirs).toHaveLength(ours.length)
    // Both round to float32 in 27 layers; the largest logit sets the scale.
    const size = Math.max(...theirs.map(Math.abs))
    for (const [i, logit] of ours.entries())
      expect(Math.abs(logit - (theirs[i] ?? 0)) / size).toBeLessThan(1e-5)

    const back = await MobileNet.import(scratch.at('weights.pth'), options)
    expect(back.tensors()).toEqual(model.tensors())
  }, 300_000)
})
