import { once } from 'node:events'
import { linkSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ImageFolder, MobileNet, MobileNetError } from 'mobilenet-native'
import { afterAll, describe, expect, it } from 'vitest'
import { brief, data as cifar10, cli, filesBelow, type Json, jsonLines, Scratch, start } from './cli.js'
import { writePhotos } from './photos.js'
import { network, recipe } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())
const photos = scratch.at('photos')
writePhotos(photos)
writeFileSync(`${photos}/cat/broken.jpg`, 'no picture')
const cache = scratch.at('cache')
const options = { resolution: 32, cache }

describe('ImageFolder.open', () => {
  it('decodes once, tells how it goes, and names what it can not read', async () => {
    const heard: { done: number; total: number; skipped: number }[] = []
    const onProgress = (progress: (typeof heard)[number]) => heard.push(progress)
    const data = await ImageFolder.open(photos, { ...options, onProgress })
    expect(data.classes).toEqual('airplane automobile bird cat deer dog frog horse ship truck'.split(' '))
    expect(data.counts.train + data.counts.test).toBe(256)
    expect(data).toMatchObject({ resolution: 32, official: false, source: photos })
    expect(data.skipped).toEqual([{ file: 'cat/broken.jpg', reason: expect.any(String) }])
    expect(data.note).toContain('1 of 257 files could not be read')
    expect(heard.at(-1)).toEqual({ done: 257, total: 257, skipped: 1 })
    heard.length = 0
    const again = await ImageFolder.open(photos, { ...options, onProgress })
    expect(heard).toEqual([])
    expect(again.counts).toEqual(data.counts)
    expect(readdirSync(cache)).toHaveLength(1)
  })

  it('gives pictures to train and to evaluate with', async () => {
    const data = await ImageFolder.open(photos, options)
    const model = await MobileNet.create({ ...network, classes: data.classes.length })
    const run = model.train({ ...recipe, data })
    const events = []
    for await (const event of run) events.push(event)
    expect(events[0]).toMatchObject({
      type: 'start',
      config: { skipped: 1, data: photos, pictures: { train: 64 } },
    })
    expect(model.classes).toEqual(data.classes)
    const metrics = await model.evaluate(data.test)
    expect(metrics.count).toBe(data.counts.test)
    const { validation } = data.split()
    expect((await model.evaluate(validation)).count).toBeGreaterThan(0)
  })

  it('refuses what it can not do', async () => {
    const refused = async (directory: string, more: object, code: string, words: string) => {
      const error = await ImageFolder.open(directory, { ...options, ...more }).catch((error) => error)
      expect(error).toBeInstanceOf(MobileNetError)
      expect(error).toMatchObject({ code, message: expect.stringContaining(words) })
    }
    await refused(scratch.at('nowhere'), {}, 'DATASET_NOT_FOUND', 'there is no folder')
    await refused(cifar10, {}, 'DATASET_NOT_FOUND', 'no folders of pictures, one a class')
    await refused(photos, { resolution: 1.5 }, 'INVALID_OPTION', 'resolution must be a whole number')
    await refused(photos, { folder: 'x' }, 'INVALID_OPTION', 'ImageFolder.open has no option folder')
    const data = await ImageFolder.open(photos, { ...options, resolution: 48 })
    const model = await MobileNet.create(network)
    await expect(model.evaluate(data.test)).rejects.toThrow('open it with resolution 32')
    await expect(model.train({ ...recipe, data }).result).rejects.toThrow('open it with resolution 32')
    const two = scratch.at('two')
    writePhotos(two, ['dog', 'frog'])
    const other = await ImageFolder.open(two, options)
    const pair = await MobileNet.create({ ...network, classes: 2 })
    await pair.train({ ...recipe, data: other }).result
    await expect(pair.evaluate((await ImageFolder.open(photos, options)).test)).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringContaining('knows the classes dog, frog'),
    })
  })

  it('ends when its signal aborts, and leaves nothing', async () => {
    const empty = scratch.at('empty-cache')
    const controller = new AbortController()
    const opened = ImageFolder.open(photos, {
      ...options,
      cache: empty,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(opened).rejects.toThrow('enough')
    expect(filesBelow(empty)).toEqual([])
  })
})

describe('train --data FOLDER', () => {
  const args = [...brief, '--data', photos, '--cache-dir', cache]

  it('trains on the classes of the folder, and evaluate and predict know them', async () => {
    const two = scratch.at('two-classes')
    writePhotos(two, ['dog', 'frog'])
    const out = scratch.at('run')
    const data = ['--data', two, '--cache-dir', cache]
    const { status, stdout, stderr } = await cli(['train', ...brief, ...data, '--out', out])
    expect(stderr).toMatch(/^decode .*two-classes: 0% \(0 of \d+ pictures\)\n.*100%/)
    expect(status).toBe(0)
    expect(stdout).toContain('2 classes')
    const evaluated = await cli(['evaluate', `${out}/best.safetensors`, ...data, '--json'])
    expect(evaluated.stderr).toBe('')
    expect(jsonLines(evaluated.stdout)[0]).toMatchObject({ type: 'evaluation', split: 'test' })
    const predicted = await cli([
      'predict',
      `${out}/best.safetensors`,
      `${two}/dog/${readdirSync(`${two}/dog`)[0]}`,
    ])
    expect(predicted.stdout).toMatch(/dog|frog/)
    const other = await cli(['evaluate', `${out}/best.safetensors`, '--data', photos, '--cache-dir', cache])
    expect(other).toMatchObject({ status: 1, stderr: expect.stringContaining('CHECKPOINT_MISMATCH') })
    // Going on needs the same classes.
    const resumed = await cli([
      'train',
      '--resume',
      out,
      '--epochs',
      '2',
      '--data',
      photos,
      '--cache-dir',
      cache,
    ])
    expect(resumed).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('knows the classes dog, frog'),
    })
  })

  it('names what it leaves out, in text and as JSON', async () => {
    const text = await cli(['train', ...args, '--out', scratch.at('text')])
    expect(text.status).toBe(0)
    expect(text.stderr).toMatch(/^skipped cat\/broken\.jpg: .+$/m)
    expect(text.stdout).toContain('1 of 257 files could not be read as pictures and are left out')
    const json = await cli(['train', ...args, '--out', scratch.at('json'), '--json'])
    expect(jsonLines(json.stderr)).toEqual([
      { type: 'skipped', file: 'cat/broken.jpg', reason: expect.any(String) },
      { type: 'note', message: expect.stringContaining('left out') },
    ])
    const begin: Json = jsonLines(json.stdout)[0]
    expect(begin.config).toMatchObject({ skipped: 1, model: { classes: 10 } })
  })

  it('says what a folder without pictures lacks, and what options have no place', async () => {
    const bare = scratch.at('bare')
    mkdirSync(bare)
    const missing = await cli(['train', ...brief, '--data', bare])
    expect(missing).toMatchObject({ status: 1, stderr: expect.stringContaining('no CIFAR-10 in') })
    expect(missing.stderr).toContain('no folders of pictures, one a class')
    const cached = await cli(['train', ...brief, '--data', cifar10, '--cache-dir', cache])
    expect(cached).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--cache-dir is for a folder'),
    })
    const parts = scratch.at('parts')
    writePhotos(`${parts}/train`, ['dog', 'frog'])
    writePhotos(`${parts}/val`, ['dog', 'frog'])
    const fraction = await cli([
      'train',
      ...brief,
      '--data',
      parts,
      '--cache-dir',
      cache,
      '--validation-fraction',
      '0.2',
    ])
    expect(fraction).toMatchObject({ status: 2, stderr: expect.stringContaining('to validate with') })
  })
})

describe('classWeights', () => {
  it('are counted from the training pictures, or given', async () => {
    const uneven = scratch.at('uneven')
    writePhotos(uneven, ['dog', 'frog'])
    const data = await ImageFolder.open(uneven, options)
    const start = async (classWeights: 'balanced' | number[] | null) => {
      const model = await MobileNet.create({ ...network, classes: 2 })
      const run = model.train({ ...recipe, data, classWeights })
      for await (const event of run) if (event.type === 'start') return event.config
      throw new Error('a run begins with its start')
    }
    const balanced = await start('balanced')
    expect(balanced.train.classWeights).toBe('balanced')
    const [dog = 0, frog = 0] = balanced.classWeights ?? []
    expect(dog).not.toBe(frog)
    // Both classes count alike: n / (2 * count) each.
    expect(1 / (2 * dog) + 1 / (2 * frog)).toBeCloseTo(1, 12)
    expect((await start([1, 2.5])).classWeights).toEqual([1, 2.5])
    expect((await start(null)).classWeights).toBeNull()
    await expect(start([1])).rejects.toThrow('a number for each of the 2 classes')
    await expect(start('even' as 'balanced')).rejects.toThrow('classWeights must be')
    const out = ['--out', scratch.at('weighted')]
    const args = [
      '--layout',
      'cifar',
      '--width',
      '0.25',
      '--epochs',
      '1',
      '--batch-size',
      '16',
      '--cache-dir',
      cache,
    ]
    const { stdout } = await cli(['train', ...args, '--data', uneven, '--class-weights', 'balanced', ...out])
    expect(stdout).toMatch(/recipe .*class weights balanced/)
  })
})

it('Ctrl-C while pictures are decoded leaves no unfinished file', async () => {
  const [large, cache] = [scratch.at('large'), scratch.at('large-cache')]
  // Of a megapixel, so that there are seconds of work; all the same file, so that they take no room.
  const header = Buffer.alloc(54)
  header.write('BM')
  for (const [at, value] of [
    [10, 54],
    [14, 40],
    [18, 1000],
    [22, 1000],
  ] as const) {
    header.writeUInt32LE(value, at)
  }
  header.writeUInt16LE(1, 26)
  header.writeUInt16LE(24, 28)
  const [first, ...others] = ['a', 'b'].flatMap((name) => {
    mkdirSync(join(large, name), { recursive: true })
    return Array.from({ length: 300 }, (_, n) => join(large, name, `${n}.bmp`))
  }) as [string, ...string[]]
  writeFileSync(first, Buffer.concat([header, Buffer.alloc(3_000_000, 99)]))
  for (const other of others) linkSync(first, other)

  const out = scratch.at('interrupted')
  const child = start(['train', '--layout', 'cifar', '--data', large, '--cache-dir', cache, '--out', out])
  child.stderr.once('data', () => child.kill('SIGINT'))
  const [status] = await once(child, 'close')
  expect(status).toBe(130)
  expect(filesBelow(cache)).toEqual([])
})
