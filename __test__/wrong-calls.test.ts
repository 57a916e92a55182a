import { existsSync } from 'node:fs'
import { checkComparison, MobileNet, MobileNetError } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, filesBelow, Scratch } from './cli.js'
import { network, openSample, recipe } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

// What isn't there can't be read: whoever tries says so, and not what is wrong with the call.
const nowhere = scratch.at('nowhere')
const nothing = scratch.at('nothing.safetensors')
const picture = scratch.at('nothing.png')
const imported = ['--out', scratch.at('imported.safetensors')]
/** The folder of a run that was stopped after its first epoch of two. */
const begun = scratch.at('begun')
const published = 'torchvision:mobilenet_v2'

beforeAll(async () => {
  const model = await MobileNet.create(network)
  const run = model.train({ ...recipe, epochs: 2, data: await openSample(), out: begun })
  for await (const { type } of run) if (type === 'epoch') run.stop()
})

/** That a call is wrong is told, and nothing else. */
async function refused(args: string[], message: RegExp) {
  const { status, stdout, stderr } = await cli(args, { env: { MOBILENET_NATIVE_CACHE: nowhere } })
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toContain('INVALID_OPTION')
  expect(stderr).toMatch(message)
  // Neither was anything downloaded.
  expect(filesBelow(nowhere)).toEqual([])
}

describe('is told before the pictures are opened', () => {
  it.each([
    [['--epochs', '0'], /epochs must be at least 1/],
    [['--class-weights', '1,-1'], /classWeights must be numbers above 0, not -1/],
    [['--precision', 'tf32', '--device', 'cpu'], /precision must be float32 or bfloat16 on the CPU/],
    [['--augment', 'cutout:1'], /size of cutout must be/],
    [['--threads', '0'], /threads must be from 1/],
    [['--width', '0'], /width must be above 0/],
    [['--save-every', '0'], /saveEvery must be at least 1/],
    [['--cache-dir', nowhere], /--cache-dir is for a folder of pictures/],
    [['--config', nowhere, '--preset', 'quick'], /--preset can't be given/],
    [['--config', nowhere, '--resume', nowhere], /--resume can't be given/],
  ])('train %j', (args, message) => refused(['train', ...args], message))

  it.each([
    [['--epochs', '1'], /the one epoch of this run is done/],
    [['--epochs', '0'], /epochs must be at least 1/],
    [['--learning-rate', '0'], /learningRate must be/],
    [['--optimizer', 'sgd'], /the optimizer can't change from adam to sgd/],
    [['--seed', '7'], /seed can't change when a run is resumed/],
    [['--limit', '32'], /limit can't change/],
    [['--threads', '100000'], /threads must be from 1 to 1024/],
    [['--precision', 'tf32'], /precision must be float32 or bfloat16 on the CPU/],
  ])('train --resume %j', (args, message) =>
    refused(['train', '--resume', begun, '--data', nowhere, ...args], message),
  )

  it('train --resume of what has no run', () =>
    refused(['train', '--resume', `${begun}/best.safetensors`], /there is no run to resume/))

  it.each([
    [['--seconds', '0'], /seconds must be above 0 and at most 3600, not 0/],
    [['--seconds', '1e9'], /seconds must be above 0 and at most 3600/],
    [['--variants', 'v1,v2,v1'], /variants names v1 twice/],
    [['--class-weights', '0,1'], /classWeights must be numbers above 0, not 0/],
    [['--precision', 'tf32', '--device', 'cpu'], /precision must be float32 or bfloat16 on the CPU/],
  ])('compare --train %j', (args, message) => refused(['compare', '--train', ...args], message))
})

describe('is told before a network is read', () => {
  it.each([
    ['evaluate', [nothing, '--tta', 'sideways'], /Allowed choices are none, mirror, mirror-shift/],
    ['evaluate', [nothing, '--cache-dir', nowhere], /--cache-dir is for a folder of pictures/],
    ['predict', [nothing, picture, '--tta', 'sideways'], /Allowed choices are none, mirror/],
    ['predict', [nothing, picture, '--top', '0'], /It must be a whole number from 1/],
    ['predict', [nothing, '--watch', nowhere, '--top', '1.5'], /It must be a whole number from 1/],
    ['predict', [nothing, picture, '--json', '--csv'], /choose one of --json and --csv/],
    ['similar', [nothing, picture, nowhere, '--top', '0'], /It must be a whole number from 1/],
    [
      'export',
      [nothing, '--out', `${nowhere}.onnx`, '--quantize', 'int8', '--cache-dir', nowhere],
      /--cache-dir is for a folder/,
    ],
    ['import', [nothing, ...imported, '--width', '0'], /width must be above 0/],
    ['import', [published, ...imported, '--classes', '1'], /classes must be from 2/],
    ['import', [published, ...imported, '--variant', 'v9'], /variant must be one of v1, .*, not v9/],
    ['import', [published, ...imported, '--variant', 'v2', '--layout', 'unpadded'], /unpadded is V1's/],
    ['train', ['--from', published, '--resolution', '28'], /resolution must be from 32/],
    ['train', ['--from', nothing, '--dropout', '1'], /dropout must be at least 0/],
    ['train', ['--init', nothing, '--width', '5'], /width must be above 0/],
  ])('%s %j', (command, args, message) => refused([command, ...args], message))
})

describe('is told to programs, too', () => {
  const failure = (words: string) =>
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(words) })

  it('by checkTraining', async () => {
    const model = await MobileNet.load(`${begun}/last.safetensors`)
    const out = scratch.at('unwritten')
    model.checkTraining({ epochs: 2, out })
    model.checkTraining({ epochs: 2, resume: true })
    expect(existsSync(out)).toBe(false)
    expect(() => model.checkTraining({ epochs: 0 })).toThrow(failure('epochs must be at least 1'))
    expect(() => model.checkTraining({ epochs: 1, resume: true })).toThrow(failure('the one epoch'))
    expect(() => model.checkTraining({ seed: 7, resume: true })).toThrow(failure("seed can't change"))
    expect(() => model.checkTraining({ saveEvery: 1 })).toThrow(
      failure("saveEvery keeps states in the run's"),
    )
    expect(() => model.checkTraining({ epoch: 1 } as never)).toThrow(failure('train has no option epoch'))
    expect(() => model.checkTraining({ precision: 'tf32' })).toThrow(MobileNetError)
  })

  it('by checkComparison', async () => {
    await checkComparison({ seconds: 1, variants: ['v2'] })
    await expect(checkComparison({ seconds: 0 })).rejects.toEqual(failure('seconds must be above 0'))
    await expect(checkComparison({ variants: ['v2', 'v2'] })).rejects.toEqual(failure('names v2 twice'))
    await expect(checkComparison({ device: 'tpu' as never })).rejects.toEqual(failure('not tpu'))
    await expect(checkComparison({ out: nowhere })).rejects.toEqual(failure('without data'))
  })

  it('by load, whatever the network in the file is', async () => {
    const file = `${begun}/best.safetensors`
    await expect(MobileNet.load(file, { width: 0 })).rejects.toEqual(failure('width must be above 0'))
    await expect(MobileNet.load(file, { width: 1 })).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
  })
})
