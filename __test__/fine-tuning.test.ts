import { fineTuning, ImageFolder, MobileNet } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, data, jsonLines, Scratch } from './cli.js'
import { writePhotos } from './photos.js'
import { network, openSample, recipe } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())
const source = scratch.at('source.safetensors')
const photos = scratch.at('photos')
const cache = scratch.at('cache')
writePhotos(photos, ['cat', 'dog', 'ship'])
beforeAll(async () => {
  const model = await MobileNet.create({ ...network, seed: 7 })
  await model.save(source)
})

describe('MobileNet.create({ from })', () => {
  it('takes all weights but those of the classifier', async () => {
    const [model, from] = [await MobileNet.create({ from: source, classes: 3 }), await MobileNet.load(source)]
    expect(model.config).toEqual({ ...from.config, classes: 3 })
    const theirs = from.tensors()
    for (const [name, { data }] of model.tensors()) {
      if (name.startsWith('classifier')) expect(data).not.toEqual(theirs.get(name)?.data)
      else expect(data).toEqual(theirs.get(name)?.data)
    }
  })

  it('refuses what is not so', async () => {
    await expect(MobileNet.create({ from: source, variant: 'v2' })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
    })
    await expect(MobileNet.create({ from: scratch.at('none.safetensors') })).rejects.toMatchObject({
      code: 'IO',
    })
    await expect(MobileNet.create({ directory: 'x' })).rejects.toThrow('directory is for published weights')
    // @ts-expect-error a checkpoint has weights
    await expect(MobileNet.load(source, { from: source })).rejects.toThrow(
      'MobileNet.load has no option from',
    )
  })
})

describe('a frozen backbone', () => {
  it('stays as it is, and is slower afterwards', async () => {
    const model = await MobileNet.create({ from: source })
    const before = model.tensors()
    const options = { ...recipe, data: await openSample(), augment: false, freeze: 'backbone' as const }
    await model.train(options).result
    const changed = () =>
      [...model.tensors()].filter(([name, { data }]) => {
        return (
          Buffer.compare(
            Buffer.from(data.buffer),
            Buffer.from(before.get(name)?.data.buffer ?? new ArrayBuffer()),
          ) !== 0
        )
      })
    expect(changed().map(([name]) => name)).toEqual(['classifier.weight', 'classifier.bias'])
    await model.train({ ...options, epochs: 2, freezeEpochs: 1, backboneRate: 0.5 }).result
    expect(changed().length).toBeGreaterThan(10)
    await expect(model.train({ ...options, freeze: null, freezeEpochs: 1 }).result).rejects.toThrow(
      'give both',
    )
    await expect(model.train({ ...options, freeze: 'head' as 'backbone' }).result).rejects.toThrow(
      'freeze must be',
    )
  })
})

describe('train --from', () => {
  it('fine-tunes on a folder by a recipe for it', async () => {
    const out = scratch.at('run')
    const args = [
      '--data',
      photos,
      '--cache-dir',
      cache,
      '--from',
      source,
      '--epochs',
      '2',
      '--freeze-epochs',
      '1',
    ]
    const { status, stdout, stderr } = await cli(['train', ...args, '--out', out, '--json'])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const [{ config }] = jsonLines(stdout)
    expect(config).toMatchObject({ model: { layout: 'cifar', width: 0.25, classes: 3 } })
    const { augment, ...usual } = fineTuning()
    expect(config.train).toEqual({
      ...usual,
      epochs: 2,
      freezeEpochs: 1,
      augment: [{ type: 'resizedcrop', area: 0.08, ratio: 4 / 3 }, { type: 'flip' }],
    })
    const model = await MobileNet.load(`${out}/best.safetensors`)
    expect(model.classes).toEqual(['cat', 'dog', 'ship'])
    const { test } = await ImageFolder.open(photos, { resolution: 32, cache })
    expect((await model.evaluate(test)).count).toBeGreaterThan(0)
    const text = await cli(['train', ...args, '--out', scratch.at('text')])
    expect(text.stdout).toMatch(/recipe .*backbone frozen for 1 epochs, backbone x /)
  })

  it('says what has no place beside it', async () => {
    const both = await cli(['train', '--from', source, '--init', source, '--data', data])
    expect(both).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--from begins with other weights'),
    })
    const folder = await cli(['train', '--weights-dir', scratch.path, '--data', data])
    expect(folder).toMatchObject({ status: 2, stderr: expect.stringContaining('--weights-dir is for') })
  })
})
