import { once } from 'node:events'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ImageFolder, MobileNet, MobileNetError, readConfig, readRun } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
    const again = await ImageFolder.open(photos, { ...options, cache: pathToFileURL(cache), onProgress })
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
    // CIFAR-10 is neither downloaded for it nor taken for its pictures.
    const nowhere = scratch.at('no-cache')
    for (const call of [['evaluate'], ['export', '--out', `${out}.onnx`, '--quantize', 'int8']]) {
      const [command = '', ...more] = call
      const options = { env: { MOBILENET_NATIVE_CACHE: nowhere } }
      const refused = await cli([command, `${out}/best.safetensors`, ...more], options)
      expect(refused).toMatchObject({ status: 2, stdout: '' })
      expect(refused.stderr).toMatch(/INVALID_OPTION .* folder of pictures \(dog, frog\), .* with --data/)
    }
    expect(existsSync(nowhere)).toBe(false)
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

  describe('of a run that divided it in another way', () => {
    const out = scratch.at('divided')
    const options = { resolution: 32, resize: 40, testFraction: 0.3, seed: 5, cache }
    const more = ['--cache-dir', cache, '--json']
    beforeAll(async () => {
      const data = await ImageFolder.open(photos, options)
      const model = await MobileNet.create({ ...network, classes: 10 })
      await model.train({ ...recipe, limit: null, validationFraction: 0.2, data, out }).result
    })

    it('is divided so again', async () => {
      const { folder, pictures, official } = await readConfig(out)
      expect({ folder, official }).toEqual({
        folder: { resize: 40, testFraction: 0.3, seed: 5 },
        official: false,
      })
      const again = scratch.at('divided-again')
      await cli(['train', '--config', out, ...more, '--out', again])
      expect(await readConfig(again)).toEqual(await readConfig(out))
      const [last] = jsonLines(
        (await cli(['train', '--config', again, ...more, '--out', scratch.at('third')])).stdout,
      ).slice(-1)
      expect(last.report.test).toEqual((await readRun(out)).report?.test)

      const { trainedOn } = await MobileNet.load(join(out, 'best.safetensors'))
      expect(trainedOn).toEqual({ validationFraction: 0.2, folder })
      for (const split of ['validation', 'test'] as const) {
        const best = join(out, 'best.safetensors')
        const evaluated = await cli(['evaluate', best, '--data', photos, '--split', split, ...more])
        const { accuracy, count } = jsonLines(evaluated.stdout)[0]
        expect({ accuracy, count }).toEqual({
          accuracy: (await readRun(out)).report?.[split]?.accuracy,
          count: pictures[split],
        })
      }
    })

    it('goes on with the same pictures, and with no others', async () => {
      // Where they are, the run itself knows.
      const resumed = await cli(['train', '--resume', out, '--epochs', '2', ...more])
      expect(resumed.status).toBe(0)
      const [begin] = jsonLines(resumed.stdout)
      expect(begin.config).toMatchObject({
        data: photos,
        folder: { resize: 40, testFraction: 0.3, seed: 5 },
        resumedEpochs: 1,
      })
      const data = await ImageFolder.open(photos, { ...options, seed: 6 })
      const model = await MobileNet.load(join(out, 'last.safetensors'))
      await expect(model.train({ data, resume: true, epochs: 3, out }).result).rejects.toMatchObject({
        code: 'CHECKPOINT_MISMATCH',
        message: expect.stringContaining('other pictures in its parts'),
      })
    })

    it('goes on with the pictures of this data from a checkpoint that says nothing of its own', async () => {
      const file = readFileSync(join(out, 'last.safetensors'))
      const length = Number(file.readBigUInt64LE())
      const header = JSON.parse(file.toString('utf8', 8, 8 + length))
      const { trainedOn, training, ...metadata } = header.__metadata__
      const { digest, ...progress } = JSON.parse(training)
      expect(digest).toMatch(/^[0-9a-f]{32}$/)
      const older = JSON.stringify({
        ...header,
        __metadata__: { ...metadata, training: JSON.stringify(progress) },
      })
      const path = scratch.at('older.safetensors')
      writeFileSync(
        path,
        Buffer.concat([file.subarray(0, 8), Buffer.from(older.padEnd(length)), file.subarray(8 + length)]),
      )
      const model = await MobileNet.load(path)
      expect(model.trainedOn).toBeNull()
      const data = await ImageFolder.open(photos, options)
      const run = model.train({ data, resume: true, epochs: 4, out: scratch.at('older') })
      expect((await run.result).epochs).toBe(4)
      await model.save(path)
      expect((await MobileNet.load(path)).trainedOn).toMatchObject({ folder: { seed: 5 } })
    })

    it('takes no share of a folder that has parts', async () => {
      const parts = scratch.at('parts-of-ten')
      writePhotos(`${parts}/train`)
      writePhotos(`${parts}/test`)
      const evaluated = await cli(['evaluate', join(out, 'best.safetensors'), '--data', parts, ...more])
      expect(jsonLines(evaluated.stdout)[0]).toMatchObject({ split: 'test', count: 256 })
    })
  })

  it('is not repeated with CIFAR-10 when its pictures are gone', async () => {
    const [there, out] = [scratch.at('soon-gone'), scratch.at('of-the-gone')]
    writePhotos(there, ['dog', 'frog'])
    const data = await ImageFolder.open(there, options)
    const model = await MobileNet.create({ ...network, classes: 2 })
    await model.train({ ...recipe, data, out }).result
    renameSync(there, `${there}-moved`)
    const env = { MOBILENET_NATIVE_CACHE: scratch.at('empty') }
    const gone = await cli(['train', '--config', out], { env })
    expect(gone).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /DATASET_NOT_FOUND the pictures of this run are not in .*soon-gone any more; .*--data/,
      ),
    })
    const again = ['--data', `${there}-moved`, '--cache-dir', cache, '--out', scratch.at('of-the-moved')]
    expect((await cli(['train', '--config', out, ...again, '--quiet'])).status).toBe(0)
  })

  it('is repeated with its own augmentation', async () => {
    const [first, again] = [scratch.at('as-they-are'), scratch.at('as-they-are-again')]
    await cli(['train', ...args, '--no-augment', '--out', first, '--quiet'])
    await cli(['train', '--config', first, '--cache-dir', cache, '--out', again, '--quiet'])
    expect((await readConfig(again)).train.augment).toEqual([])
    expect((await readConfig(again)).train).toEqual((await readConfig(first)).train)
  })

  it('says what a folder without pictures lacks, and what options have no place', async () => {
    const bare = scratch.at('bare')
    mkdirSync(bare)
    const missing = await cli(['train', ...brief, '--data', bare])
    expect(missing).toMatchObject({ status: 1, stderr: expect.stringContaining('no CIFAR-10 in') })
    expect(missing.stderr).toContain('no folders of pictures, one a class')
    // With an empty cache, and no word of a download.
    const empty = await cli(['train', ...brief, '--cache-dir', cache], {
      env: { MOBILENET_NATIVE_CACHE: scratch.at('empty') },
    })
    const without = expect.stringMatching(
      /^error INVALID_OPTION --cache-dir is for a folder of pictures, which --data names\s*$/,
    )
    expect(empty).toMatchObject({ status: 2, stdout: '', stderr: without })
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

it.skipIf(process.platform === 'win32')(
  'Ctrl-C while pictures are decoded leaves no unfinished file',
  async () => {
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
  },
)
