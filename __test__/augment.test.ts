import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AugmentationOptions, Cifar10, MobileNet, MobileNetError, resolveRecipe } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, data, images, jsonLines, Scratch, small } from './cli.js'
import { fixtures, sample, writeFilled } from './reference.js'
import { digest, network, openSample, recipe } from './tiny.js'

interface Views {
  logits: number[][]
  loss: number
}

/** See make_augment.py. */
const figures: {
  test_time: Record<'float32' | 'float64', Record<'mirror' | 'mirror-shift', Views>>
  label_smoothing: Record<'float32' | 'float64', number[]>
} = JSON.parse(readFileSync(join(fixtures, 'augment', 'augment.json'), 'utf8'))

const scratch = new Scratch()
afterAll(() => scratch.remove())

/** At most four of PyTorch's own distances, float32 from float64, from its float64; and the last digit in the file. */
function expectNear(ours: ArrayLike<number>, float32: number[], float64: number[]): void {
  const size = Math.max(...float64.map(Math.abs))
  const distance = (a: ArrayLike<number>) =>
    Math.max(...float64.map((value, i) => Math.abs((a[i] as number) - value))) / size
  expect(ours.length).toBe(float64.length)
  expect(distance(ours)).toBeLessThanOrEqual(4 * distance(float32) + 1e-8)
}

/** The network of parity.json's case `v1-cifar-relu-10`. */
async function filled(): Promise<MobileNet> {
  const folder = mkdtempSync(join(tmpdir(), 'mobilenet-augment-'))
  try {
    const path = join(folder, 'filled.safetensors')
    const tensors = (await MobileNet.create({ layout: 'cifar' })).tensors()
    writeFilled(
      path,
      [...tensors].map(([name, { shape }]) => ({ name, shape })),
    )
    return await MobileNet.import(path, { layout: 'cifar' })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The sample's first test pictures as bytes. */
function testPictures(count: number) {
  const records = readFileSync(join(sample, 'test_batch.bin'))
  return Array.from({ length: count }, (_, record) => {
    const planes = records.subarray(record * 3073 + 1, (record + 1) * 3073)
    const data = Uint8Array.from({ length: 3072 }, (_, i) => planes[(i % 3) * 1024 + Math.floor(i / 3)] ?? 0)
    return { data, width: 32, height: 32 }
  })
}

describe('test-time augmentation', () => {
  it.each(['mirror', 'mirror-shift'] as const)('by %s gives what PyTorch gives', async (tta) => {
    const model = await filled()
    const { float32, float64 } = figures.test_time
    const rows = await model.logits(testPictures(8), { tta })
    const ours = rows.flatMap((row) => [...row])
    expectNear(ours, float32[tta].logits.flat(), float64[tta].logits.flat())
    const { loss, count } = await model.evaluate((await Cifar10.open({ directory: sample })).test, { tta })
    expect(count).toBe(128)
    expectNear([loss], [float32[tta].loss], [float64[tta].loss])
    const plain = await model.logits(testPictures(1)[0] as never)
    expect([...plain]).not.toEqual([...(rows[0] as Float32Array)])
    const none = await model.logits(testPictures(1)[0] as never, { tta: 'none' })
    expect([...none]).toEqual([...plain])
  })

  it('ranks by the mean logits', async () => {
    const model = await MobileNet.create(network)
    const picture = join(images, 'cat-0.png')
    const best = await model.predict(picture, { tta: 'mirror', top: 2 })
    expect(best).toEqual(model.rank(await model.logits(picture, { tta: 'mirror' }), { top: 2 }))
  })

  it('refuses views and options that are not there', async () => {
    const model = await MobileNet.create(network)
    const { test } = await openSample()
    const failure = (message: RegExp) =>
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) })
    const names = failure(/tta must be .*none, mirror, mirror-shift, not sideways$/)
    await expect(model.evaluate(test, { tta: 'sideways' as never })).rejects.toEqual(names)
    await expect(model.logits(testPictures(1), { tta: 'sideways' as never })).rejects.toEqual(names)
    await expect(model.evaluate(test, { views: 2 } as never)).rejects.toEqual(failure(/no option views/))
    await expect(model.predict(testPictures(1), { views: 2 } as never)).rejects.toEqual(
      failure(/no option views/),
    )
  })
})

describe('label smoothing', () => {
  it('trains like PyTorch', async () => {
    const model = await filled()
    const losses: number[] = []
    const run = model.train({
      data: await Cifar10.open({ directory: sample }),
      epochs: 1,
      batchSize: 16,
      limit: 80,
      optimizer: { type: 'adam', learningRate: 1e-4 },
      schedule: { type: 'constant' },
      validationFraction: 0,
      augment: false,
      labelSmoothing: 0.1,
      shuffle: false,
    })
    for await (const event of run) if (event.type === 'step') losses.push(event.loss)
    expectNear(losses, figures.label_smoothing.float32, figures.label_smoothing.float64)
  })
})

describe('the steps of augmentation', () => {
  it('take their defaults', () => {
    const types = [
      ...(['resizedcrop', 'crop', 'flip', 'randaugment', 'trivialaugment'] as const),
      ...(['colorjitter', 'cutout', 'mixup', 'cutmix'] as const),
    ]
    expect(resolveRecipe({ augment: types.map((type) => ({ type })) }).augment).toEqual([
      { type: 'resizedcrop', area: 0.08, ratio: 4 / 3 },
      { type: 'crop', padding: 4 },
      { type: 'flip' },
      { type: 'randaugment', operations: 2, magnitude: 9 },
      { type: 'trivialaugment' },
      { type: 'colorjitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
      { type: 'cutout', size: 16 },
      { type: 'mixup', alpha: 1, probability: 1 },
      { type: 'cutmix', alpha: 1, probability: 1 },
    ])
    const course = [{ type: 'crop', padding: 4 }, { type: 'flip' }]
    expect(resolveRecipe({}).augment).toEqual(course)
    expect(resolveRecipe({ augment: true }).augment).toEqual(course)
    expect(resolveRecipe({ augment: false }).augment).toEqual([])
    expect(resolveRecipe({ augment: [{ type: 'crop', padding: null }] }).augment).toEqual(course.slice(0, 1))
  })

  it.each<[unknown, RegExp]>([
    [[{ type: 'rotate' }], /type is one of resizedcrop, crop, .*, not \{"type":"rotate"\}$/],
    [['flip'], /is an object whose type is one of .*, not "flip"$/],
    [[{ type: 'flip', padding: 4 }], /^flip has no option padding; there are type$/],
    [[{ type: 'crop', padding: 0 }], /^padding of crop must be a whole number from 1 to 1024, not 0$/],
    [[{ type: 'crop', padding: 1.5 }], /^padding must be a whole number .*, not 1.5$/],
    [[{ type: 'randaugment', magnitude: 31 }], /^magnitude of randaugment .* from 0 to 30, not 31$/],
    [[{ type: 'resizedcrop', area: 2 }], /^area of resizedcrop must be a number from 0.001 to 1, not 2$/],
    [[{ type: 'flip' }, { type: 'resizedcrop' }], /^augment must have resizedcrop before flip: /],
    [[{ type: 'mixup', alpha: 0 }], /^alpha of mixup must be above 0 .*, not 0$/],
    [[{ type: 'cutmix', probability: 2 }], /^probability of cutmix must be above 0 and at most 1, not 2$/],
    [[{ type: 'cutout' }, { type: 'flip' }], /^augment must have flip before cutout: /],
  ])('that make no sense are refused: %j', async (augment, message) => {
    const model = await MobileNet.create(network)
    const run = model.train({
      ...recipe,
      data: await openSample(),
      augment: augment as AugmentationOptions[],
    })
    const error = await run.result.catch((error: unknown) => error)
    expect(error).toBeInstanceOf(MobileNetError)
    expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(message) })
  })

  it('change what is learnt, the same way each time', async () => {
    const train = async (augment: boolean | AugmentationOptions[]) => {
      const model = await MobileNet.create(network)
      await model.train({ ...recipe, data: await openSample(), augment }).result
      return digest(model)
    }
    const [course, same, ...others] = await Promise.all([
      train(true),
      train([{ type: 'crop' }, { type: 'flip' }]),
      train(false),
      ...(
        ['randaugment', 'trivialaugment', 'cutout', 'mixup', 'cutmix', 'resizedcrop', 'colorjitter'] as const
      ).map((type) => train([{ type }])),
    ])
    expect(same).toBe(course)
    expect(new Set([course, ...others]).size).toBe(9)
    expect(await train([{ type: 'mixup' }])).toBe(others[4])
  })
})

describe('on the command line', () => {
  const run = scratch.at('run')
  const steps = ['--augment', 'crop:2,flip,randaugment:1:12,cutout:8,mixup:0.2,cutmix:1:0.5']
  let first: Awaited<ReturnType<typeof cli>>
  beforeAll(async () => {
    first = await cli(['train', ...small, ...steps, '--label-smoothing', '0.1', '--out', run, '--json'])
  })

  it('steps are a name and its values, and the run remembers them', async () => {
    expect(first.status).toBe(0)
    expect(jsonLines(first.stdout)[0].config.train).toMatchObject({
      augment: [
        { type: 'crop', padding: 2 },
        { type: 'flip' },
        { type: 'randaugment', operations: 1, magnitude: 12 },
        { type: 'cutout', size: 8 },
        { type: 'mixup', alpha: 0.2, probability: 1 },
        { type: 'cutmix', alpha: 1, probability: 0.5 },
      ],
      labelSmoothing: 0.1,
    })
    const changed = await cli(['train', '--resume', run, '--epochs', '2', '--data', data, '--no-augment'])
    expect(changed.status).toBe(2)
    expect(changed.stderr).toMatch(/augment can't change when a run is resumed/)
    const resumed = await cli(['train', '--resume', run, '--epochs', '2', '--data', data])
    expect(resumed.status).toBe(0)
    expect(resumed.stdout).toContain('augment crop:2,flip,randaugment:1:12,cutout:8,mixup:0.2:1,cutmix:1:0.5')
    expect(resumed.stdout).toContain('label smoothing 0.1')
  })

  it.each([
    ['rotate', /"rotate" is no step; they are resizedcrop, crop, flip, /],
    ['', /"" is no step/],
    ['crop:4:5', /crop takes padding, not "crop:4:5"/],
    ['flip:1', /flip takes no value/],
    ['cutout:big', /must be a number/],
    ['cutout:8,crop', /augment must have crop before cutout/],
  ])('a wrong --augment is told: %s', async (text, message) => {
    const { status, stdout, stderr } = await cli(['train', ...small, '--augment', text])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('evaluate and predict take views', async () => {
    const checkpoint = join(run, 'best.safetensors')
    const evaluation = async (...more: string[]) => {
      const { stdout } = await cli(['evaluate', checkpoint, '--data', data, '--json', ...more])
      return jsonLines(stdout)[0]
    }
    const [plain, mirror] = [await evaluation(), await evaluation('--tta', 'mirror')]
    expect([plain.tta, mirror.tta]).toEqual(['none', 'mirror'])
    expect(mirror.loss).not.toBe(plain.loss)
    const picture = join(images, 'cat-0.png')
    const { stdout } = await cli(['predict', checkpoint, picture, '--tta', 'mirror-shift', '--json'])
    const model = await MobileNet.load(checkpoint)
    expect(jsonLines(stdout)[0].logits).toEqual([...(await model.logits(picture, { tta: 'mirror-shift' }))])
    const wrong = await cli(['evaluate', checkpoint, '--data', data, '--tta', 'sideways'])
    expect(wrong.status).toBe(2)
    expect(wrong.stderr).toMatch(
      /'--tta <views>' argument 'sideways' is invalid. Allowed choices are none, mirror, mirror-shift\./,
    )
  })
})
