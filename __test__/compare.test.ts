import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import {
  type CompareOptions,
  type CompareProgress,
  type Comparison,
  compare,
  ImageFolder,
  MobileNet,
  MobileNetError,
} from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesOfRun, runFiles, Scratch } from './cli.js'
import { courseRecipe } from './events.js'
import { positive, share } from './measured.js'
import { writePhotos } from './photos.js'
import { openSample } from './tiny.js'

// Two networks as small and as briefly as possible: how fast they are, no test can say.
const short = {
  variants: ['v3-small', 'v1'],
  width: 0.25,
  seconds: 0.01,
  threads: 1,
  recipe: { batchSize: 4, limit: 24, epochs: 2 },
} satisfies CompareOptions

const scratch = new Scratch()
afterAll(() => scratch.remove())

const speed = { imagesPerSecond: positive, shareOfPeak: share, repetitions: positive }

const network = {
  parameters: positive,
  multiplyAdds: positive,
  checkpointBytes: positive,
  training: { ...speed, batchSize: 4, stepSeconds: positive },
  evaluation: { ...speed, batchSize: 64, batchSeconds: positive },
  prediction: { latencySeconds: positive, shareOfPeak: share, repetitions: positive },
  trainingBytes: positive,
  inferenceBytes: positive,
  runSeconds: positive,
  run: null,
}

/** Everything that a comparison says, so that whoever reads its JSON can rely on it. */
const whole = {
  processor: expect.stringMatching(/\w/),
  device: 'cpu',
  deviceNote: null,
  simd: expect.stringMatching(/^(avx512|avx2|neon|plain)$/),
  threads: 1,
  multiplyAddsPerSecond: positive,
  bytesPerSecond: positive,
  recipe: { ...courseRecipe, epochs: 2, batchSize: 4, limit: 24 },
  data: null,
  stopped: false,
  networks: [
    {
      ...network,
      variant: 'v3-small',
      model: {
        variant: 'v3-small',
        layout: 'cifar',
        activation: 'hard-swish',
        width: 0.25,
        resolution: 32,
        classes: 10,
        dropout: 0.2,
      },
    },
    {
      ...network,
      variant: 'v1',
      model: {
        variant: 'v1',
        layout: 'cifar',
        activation: 'relu',
        width: 0.25,
        resolution: 32,
        classes: 10,
        dropout: 0,
      },
    },
  ],
  seconds: positive,
}

describe('compare', () => {
  it('measures each network in turn, and says what it is', async () => {
    const told: CompareProgress[] = []
    const comparison = await compare({ ...short, onProgress: told.push.bind(told) })
    expect(comparison).toEqual(whole)
    expect(JSON.parse(JSON.stringify(comparison))).toEqual(comparison)
    const turns = told.map((progress) => progress.type === 'speed' && progress.variant)
    const others = turns.filter((name, index) => name && name !== turns[index - 1])
    expect(others).toEqual(['v3-small', 'v1', 'v3-small', 'v1', 'v3-small', 'v1'])
  })

  it("gives a network's own sizes", async () => {
    const { networks } = await compare({ ...short, variants: ['v2'] })
    const model = await MobileNet.create({ variant: 'v2', layout: 'cifar', width: 0.25 })
    const path = scratch.at('v2.safetensors')
    await model.save(path)
    expect(networks[0]).toMatchObject({
      parameters: model.parameters,
      multiplyAdds: model.layers.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0),
      checkpointBytes: (await stat(path)).size,
    })
    // Parameters, gradients and two moments of four bytes each, and more.
    expect(networks[0]?.trainingBytes).toBeGreaterThan(16 * model.parameters)
    expect(networks[0]?.inferenceBytes).toBeGreaterThan(4 * model.parameters)
  })

  it.each([
    [{ variants: [] }, 'variants must name at least one'],
    [{ variants: ['v4'] }, 'variants must be one of v1, v2, v3-large, v3-small, not v4'],
    [{ variants: ['v1', 'v1'] }, 'variants names v1 twice'],
    [{ layout: 'unpadded' }, "layout unpadded is V1's"],
    [{ seconds: 0 }, 'seconds must be above 0'],
    [{ threads: 0 }, 'threads must be from 1'],
    [{ width: -1 }, 'width must be above 0'],
    [{ recipe: { batchSize: 1 } }, 'batchSize must be at least 2'],
    [{ recipe: { out: 'here' } }, 'recipe has no option out'],
    [{ recipe: { optimizer: { rate: 1 } } }, 'optimizer has no option rate'],
    [{ variant: 'v1' }, 'compare has no option variant'],
  ])('with %j is refused', async (options, message) => {
    await expect(compare({ ...short, ...options } as never)).rejects.toEqual(
      expect.objectContaining({
        constructor: MobileNetError,
        code: 'INVALID_OPTION',
        message: expect.stringContaining(message),
      }),
    )
  })

  it('ends when its signal aborts, or when who listens throws', async () => {
    const reason = new Error('enough')
    await expect(compare({ ...short, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const onProgress = () => {
      throw reason
    }
    await expect(compare({ ...short, seconds: 3600, onProgress })).rejects.toBe(reason)
  })
})

describe('compare with data', () => {
  let trained: Comparison
  const out = scratch.at('trained')
  beforeAll(async () => {
    trained = await compare({ ...short, data: await openSample(), out })
  })

  it('trains every network by the same recipe', () => {
    expect(trained).toMatchObject({ stopped: false, data: expect.stringContaining('cifar-10-sample') })
    for (const { run } of trained.networks) {
      expect(Object.keys(run ?? {}).sort()).toEqual([
        'accuracy',
        'accuracyBy',
        'accuracyEpoch',
        'epochs',
        'report',
      ])
      expect(run?.epochs.map(({ epoch }) => epoch)).toEqual([1, 2])
      expect(run?.report).toMatchObject({ epochs: 2, steps: 12, stopped: false })
      // The test pictures don't choose.
      expect(run).toMatchObject({ accuracyBy: 'validation', accuracyEpoch: run?.report.bestEpoch })
      expect(run?.accuracy).toBe(run?.epochs[(run.accuracyEpoch ?? 0) - 1]?.test?.accuracy)
    }
    expect(filesOfRun(out)).toEqual([...runFiles(), ...runFiles()].sort())
  })

  it('trains as train does', async () => {
    const model = await MobileNet.create({ variant: 'v1', layout: 'cifar', width: 0.25 })
    const report = await model.train({ ...short.recipe, data: await openSample() }).result
    expect(trained.networks[1]?.run?.report.test).toEqual(report.test)
  })

  it('takes the last epoch where nothing is kept for validation', async () => {
    const recipe = { ...short.recipe, validationFraction: 0 }
    const options = { ...short, variants: ['v3-small'], recipe } as const
    const { networks } = await compare({ ...options, data: await openSample() })
    const run = networks[0]?.run
    expect(run).toMatchObject({ accuracyBy: 'last', accuracyEpoch: 2 })
    expect(run?.accuracy).toBe(run?.report.test?.accuracy)
  })

  it('keeps what there is when it is told to stop', async () => {
    const controller = new AbortController()
    const onProgress = (progress: CompareProgress) => {
      if (progress.type === 'train' && progress.event.type === 'epoch') controller.abort()
    }
    const options = { ...short, stop: controller.signal, onProgress, recipe: { ...short.recipe, epochs: 50 } }
    const { stopped, networks } = await compare({ ...options, data: await openSample() })
    expect(stopped).toBe(true)
    expect(networks[0]?.run?.report.stopped).toBe(true)
    expect(networks[0]?.run?.epochs.length).toBeGreaterThan(0)
    expect(networks[1]?.run).toBeNull()
  })

  it('says so when there is not so much memory', async () => {
    await expect(compare({ ...short, recipe: { ...short.recipe, batchSize: 5e7 } })).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/GB of memory can't be had at once; a smaller batch/),
    })
  })

  it('rejects when its signal aborts, or when who listens throws', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const data = await openSample()
    const abort = ({ type }: CompareProgress) => {
      if (type === 'train') controller.abort(reason)
    }
    await expect(compare({ ...short, data, signal: controller.signal, onProgress: abort })).rejects.toBe(
      reason,
    )
    const fail = ({ type }: CompareProgress) => {
      if (type === 'train') throw reason
    }
    await expect(compare({ ...short, data, onProgress: fail })).rejects.toBe(reason)
  })

  it('refuses what it could not train before anything is measured', async () => {
    const photos = scratch.at('photos')
    writePhotos(photos, ['cat', 'dog', 'ship'])
    const folder = await ImageFolder.open(photos, { resolution: 64, cache: scratch.at('cache') })
    const data = await openSample()
    const onProgress = () => expect.unreachable()
    const refused = async (options: object, message: string) =>
      expect(compare({ ...short, ...options, onProgress })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining(message),
      })
    await refused({ data, classes: 5 }, "the pictures are of 10 classes, so classes can't be 5")
    await refused({ data: folder, classes: 2 }, "the pictures are of 3 classes, so classes can't be 2")
    await refused(
      { data: folder },
      `the networks take pictures of 32x32 pixels, and ${photos} was opened for 64x64`,
    )
    await refused({ data, out: 5 }, 'out must be a string or a file: URL, not 5')
    await refused({ out: scratch.at('nothing') }, 'without data nothing is trained')
  })
})

it('the licences of what draws the plots go with it', () => {
  const text = readFileSync('dist/src/ts/page/plot.licenses.txt', 'utf8')
  for (const name of ['@observablehq/plot', 'linkedom', 'd3-shape']) expect(text).toContain(`${name} `)
})
