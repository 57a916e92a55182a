import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { MobileNet } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'
import { digest } from './tiny.js'

// Published files can't be downloaded everywhere, so PyTorch writes files that are like them, and like what training scripts
// leave: of a thousand classes, in both formats, from a card's storages.

/** A Python that has torch, torchvision and safetensors. */
const python = process.env.MOBILENET_TEST_PYTHON

const scratch = new Scratch()
afterAll(() => scratch.remove())

describe.skipIf(!python)('weights that are saved by PyTorch', () => {
  const values = new Map<string, string>()
  const digestOf = async (file: string) => digest(await MobileNet.import(scratch.at(file)))

  beforeAll(async () => {
    execFileSync(python ?? '', [join(import.meta.dirname, 'published.py'), scratch.path])
    for (const name of ['mobilenet_v2', 'mobilenet_v3_small', 'mobilenet_v3_small.half']) {
      values.set(name, await digestOf(`${name}.safetensors`))
    }
  }, 120_000)

  it.each([
    ['mobilenet_v2', 'published', 'as torchvision publishes them'],
    ['mobilenet_v3_small', 'published', 'as torchvision publishes them'],
    ['mobilenet_v3_small', 'half', 'in half precision'],
    ['mobilenet_v3_small', 'channels-last', 'channels last'],
    ['mobilenet_v3_small', 'transposed', 'transposed in their storages'],
    ['mobilenet_v3_small', 'every-second', 'with gaps in their storages'],
    ['mobilenet_v3_small', 'parameters', 'as parameters'],
    ['mobilenet_v3_small', 'one-storage', 'in one storage'],
  ])('come in to the bit: %s, %s, %s', async (name, form) => {
    const expected = values.get(form === 'half' ? `${name}.half` : name)
    expect(await digestOf(`${name}.${form}.zip.pth`)).toBe(expected)
    expect(await digestOf(`${name}.${form}.legacy.pth`)).toBe(expected)
  })
})
