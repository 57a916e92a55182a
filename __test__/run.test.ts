import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Dataset, MobileNet, type StepEvent, type TrainEvent, type TrainRun } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesBelow, filesOfRun, runFiles, Scratch } from './cli.js'
import { digest, network, openSample, recipe } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let data: Dataset
beforeAll(async () => {
  data = await openSample()
})

const create = () => MobileNet.create(network)
/** More than any test waits for: it has to be stopped. */
const endless = { ...recipe, epochs: 100_000 }

async function read(run: TrainRun): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of run) events.push(event)
  return events
}

/** The first step's event; the run goes on, and so can the reading. */
async function firstStep(events: AsyncIterator<TrainEvent>): Promise<StepEvent> {
  for (;;) {
    const { value } = await events.next()
    if (value.type === 'step') return value
  }
}

describe('two runs of one model', () => {
  it.each([0, 1, 2, 3])('the later is refused, however close they begin', async () => {
    const model = await create()
    const [first, later] = [model.train({ ...recipe, data }), model.train({ ...recipe, data })]
    await expect(later.result).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('being trained already'),
    })
    expect(await first.result).toMatchObject({ epochs: recipe.epochs })
    expect(await model.train({ ...recipe, data }).result).toMatchObject({ epochs: recipe.epochs })
  })
})

describe('events', () => {
  it('come in order, and the last holds what result gives', async () => {
    const run = (await create()).train({ ...recipe, data, threads: 1 })
    const events = await read(run)
    expect(events.map(({ type }) => type)).toEqual(['start', 'step', 'step', 'step', 'step', 'epoch', 'done'])
    expect(events[0]).toMatchObject({
      config: {
        model: network,
        train: recipe,
        pictures: { train: 64, validation: 25, test: 64 },
        threads: 1,
        out: null,
      },
    })
    expect(events[1]).toMatchObject({ epoch: 1, step: 1, steps: 4, learningRate: 0.01 })
    const epoch = events.find((event) => event.type === 'epoch')
    const steps = events.filter((event) => event.type === 'step')
    expect(epoch?.train.loss).toBeCloseTo(
      steps.reduce((sum, { loss }) => sum + loss / 4, 0),
      5,
    )
    expect(epoch?.test?.count).toBe(64)
    const report = await run.result
    expect(events.at(-1)).toEqual({ type: 'done', report })
    expect(report).toMatchObject({ epochs: 1, steps: 4, test: epoch?.test, stopped: false, checkpoint: null })
  })

  it('need not be read, and steps that nobody read collapse to the last of their epoch', async () => {
    const run = (await create()).train({ ...recipe, data, epochs: 2 })
    const report = await run.result
    expect(report.epochs).toBe(2)
    const events = await read(run)
    expect(events.map(({ type }) => type)).toEqual(['start', 'step', 'epoch', 'step', 'epoch', 'done'])
    expect(events[1]).toMatchObject({ epoch: 1, step: 4 })
  })

  it('come every logEvery steps, and at the end of an epoch', async () => {
    const events = await read((await create()).train({ ...recipe, data, logEvery: 3 }))
    expect(events.flatMap((event) => (event.type === 'step' ? [event.step] : []))).toEqual([3, 4])
  })

  it('tell of the evaluations, too, where they are asked for', async () => {
    const options = {
      ...recipe,
      data,
      limit: 200,
      validationFraction: 0.5,
      epochs: 2,
      evaluationEvents: true,
    }
    const events = await read((await create()).train(options))
    const counts = { validation: 128, test: 128 }
    for (const epoch of [1, 2]) {
      const told = events.filter((event) => event.type === 'evaluating' && event.epoch === epoch)
      // Those that nobody read in time gave way to later ones, so the last of each evaluation is sure.
      expect(told.length).toBeGreaterThanOrEqual(2)
      for (const [split, count] of Object.entries(counts)) {
        const own = told.filter((event) => event.type === 'evaluating' && event.split === split)
        expect(own.at(-1)).toEqual({ type: 'evaluating', epoch, split, done: count, count })
      }
      const place = (type: string) =>
        events.findLastIndex((event) => event.type === type && 'epoch' in event && event.epoch === epoch)
      expect(place('step')).toBeLessThan(place('evaluating'))
      expect(place('evaluating')).toBeLessThan(place('epoch'))
    }
  })

  it('leave the event loop to others', async () => {
    const model = await create()
    const { monitorEventLoopDelay } = await import('node:perf_hooks')
    const delay = monitorEventLoopDelay({ resolution: 5 })
    // Before train(), which must not block either; the first tick only starts the measurement.
    delay.enable()
    await wait(50)
    await model.train({ ...recipe, data, epochs: 3 }).result
    delay.disable()
    const [p99, max] = [delay.percentile(99), delay.max].map((nanoseconds) => nanoseconds / 1e6)
    console.log(
      `event loop while training, with a timer of 5 ms: p99 ${p99?.toFixed(1)} ms, longest ${max?.toFixed(1)} ms`,
    )
    // Loose, for busy machines: a training step on the event loop would take every tick of an epoch.
    expect(p99).toBeLessThan(200)
    expect(max).toBeLessThan(1500)
  })
})

describe('the end before the end', () => {
  it('stop() resolves, with the weights and a checkpoint from which the run can go on', async () => {
    const [model, out] = [await create(), scratch.at('stop')]
    const run = model.train({ ...endless, data, out })
    await firstStep(run[Symbol.asyncIterator]())
    const report = await run.stop()
    expect(report.stopped).toBe(true)
    expect(report.steps).toBeGreaterThan(0)
    expect(runFiles()).toEqual(expect.arrayContaining(filesOfRun(out)))
    const loaded = await MobileNet.load(report.checkpoint ?? '')
    expect(loaded.canResume).toBe(true)
    expect(digest(loaded)).toBe(digest(model))
  })

  it('leaving the loop stops the run, and waits for it', async () => {
    const model = await create()
    const run = model.train({ ...endless, data })
    for await (const event of run) if (event.type === 'step') break
    expect(await run.result).toMatchObject({ stopped: true })
    // It has let go of the network.
    expect(await model.train({ ...recipe, data }).result).toMatchObject({ stopped: false })
  })

  it('a signal that aborted before the start rejects with its reason, and nothing is begun', async () => {
    const [model, out, reason] = [await create(), scratch.at('before'), new Error('too late')]
    const before = digest(model)
    const run = model.train({ ...recipe, data, out, signal: AbortSignal.abort(reason) })
    await expect(run.result).rejects.toBe(reason)
    await expect(read(run)).rejects.toBe(reason)
    expect(existsSync(out)).toBe(false)
    expect(digest(model)).toBe(before)
  })

  it('a signal that aborts in the middle rejects with its reason, after a checkpoint', async () => {
    const [model, out, reason] = [await create(), scratch.at('middle'), new Error('enough')]
    const controller = new AbortController()
    const run = model.train({ ...endless, data, out, signal: controller.signal })
    const seen: string[] = []
    const loop = (async () => {
      for await (const event of run) {
        seen.push(event.type)
        if (event.type === 'step') controller.abort(reason)
      }
    })()
    await expect(loop).rejects.toBe(reason)
    await expect(run.result).rejects.toBe(reason)
    expect(seen).not.toContain('done')
    expect(filesBelow(out)).toContain('last.safetensors')
    expect(runFiles()).toEqual(expect.arrayContaining(filesOfRun(out)))
    expect((await MobileNet.load(`${out}/last.safetensors`)).canResume).toBe(true)
  })

  it('a signal that aborts after the end changes nothing', async () => {
    const controller = new AbortController()
    const run = (await create()).train({ ...recipe, data, signal: controller.signal })
    const report = await run.result
    controller.abort()
    expect(await run.result).toBe(report)
    expect(await run.stop()).toBe(report)
  })
})

describe('several runs', () => {
  it('a network that trains refuses a second run, and is free after the first', async () => {
    const model = await create()
    const first = model.train({ ...endless, data })
    await firstStep(first[Symbol.asyncIterator]())
    await expect(model.train({ ...recipe, data }).result).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('train'),
    })
    await first.stop()
    expect(await model.train({ ...recipe, data }).result).toMatchObject({ epochs: 1 })
  })

  it('of different networks go on side by side, and do not disturb each other', async () => {
    const models = [await create(), await create(), await MobileNet.create({ ...network, seed: 2 })]
    const reports = await Promise.all(models.slice(1).map((model) => model.train({ ...recipe, data }).result))
    expect(reports.map(({ steps }) => steps)).toEqual([4, 4])
    await models[0]?.train({ ...recipe, data }).result
    const [alone, beside, other] = models.map(digest)
    expect(beside).toBe(alone)
    expect(other).not.toBe(alone)
  })

  it('give the same bits with 1, 2 and 3 threads, and others with another seed', async () => {
    const train = async (options: { threads?: number; seed?: number }) => {
      const model = await create()
      const { test } = await model.train({ ...recipe, ...options, data }).result
      return { weights: digest(model), test }
    }
    const one = await train({ threads: 1 })
    expect(await train({ threads: 2 })).toEqual(one)
    expect(await train({ threads: 3 })).toEqual(one)
    expect((await train({ seed: 2 })).weights).not.toBe(one.weights)
  })
})

describe('checkpoints', () => {
  it('checkpoint() writes one while the run goes on', async () => {
    const out = scratch.at('asked')
    const run = (await create()).train({ ...endless, data, out })
    const events = run[Symbol.asyncIterator]()
    await firstStep(events)
    const path = await run.checkpoint()
    expect(path).toBe(join(out, 'last.safetensors'))
    expect((await MobileNet.load(path)).canResume).toBe(true)
    // Still going.
    expect((await firstStep(events)).type).toBe('step')
    const report = await run.stop()
    expect(await run.checkpoint()).toBe(report.checkpoint)
  })

  it('checkpoint() of a run without a folder is refused', async () => {
    const run = (await create()).train({ ...recipe, data })
    await expect(run.checkpoint()).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('out'),
    })
    await run.result
  })

  it('a run that was stopped twice and resumed ends with the bits of one that was not', async () => {
    const epochs = 3
    const [whole, out] = [await create(), scratch.at('resumed')]
    const expected = await whole.train({ ...recipe, epochs, data }).result
    const first = await (await create()).train({ ...recipe, epochs, data, out })
    const events = first[Symbol.asyncIterator]()
    await firstStep(events)
    const { checkpoint } = await first.stop()

    const second = await MobileNet.load(checkpoint ?? '')
    // What is not given is as the first run had it.
    const run = second.train({ data, out, resume: true })
    for await (const event of run) if (event.type === 'epoch') break
    expect((await run.result).stopped).toBe(true)

    const third = await MobileNet.load(checkpoint ?? '')
    const report = await third.train({ data, out, resume: true }).result
    expect(digest(third)).toBe(digest(whole))
    for (const key of [
      'epochs',
      'steps',
      'train',
      'validation',
      'test',
      'bestEpoch',
      'bestAccuracy',
    ] as const) {
      expect(report[key]).toEqual(expected[key])
    }
  })
})

describe('the learning rate', () => {
  const schedule = { type: 'step', stepSize: 1, gamma: 0.5 } as const
  const scheduled = (epoch: number) => 0.01 * 0.5 ** (epoch - 1)

  it('can be set while it runs, then keeps its proportion to the schedule, also after a resume', async () => {
    const out = scratch.at('rate')
    const run = (await create()).train({ ...recipe, data, epochs: 3, schedule, out })
    const set = run.setLearningRate(0.004)
    const events: TrainEvent[] = []
    for await (const event of run) {
      events.push(event)
      if (event.type === 'epoch') await run.stop()
    }
    await set
    const change = events.find((event) => event.type === 'learningRate')
    expect(change).toEqual({
      type: 'learningRate',
      epoch: 1,
      step: expect.any(Number),
      learningRate: 0.004,
      scheduled: scheduled(1),
    })
    for (const event of events) {
      if (event.type !== 'step') continue
      const before = event.epoch === 1 && event.step < (change?.step ?? 0)
      const expected = before ? scheduled(event.epoch) : 0.4 * scheduled(event.epoch)
      expect(event.learningRate).toBeCloseTo(expected, 12)
    }
    const rest = (await MobileNet.load(`${out}/last.safetensors`)).train({
      data,
      out,
      resume: true,
      epochs: 6,
    })
    for await (const event of rest) {
      if (event.type === 'step') expect(event.learningRate).toBeCloseTo(0.4 * scheduled(event.epoch), 12)
    }
  })

  it('asked for many times at once is the last of them', async () => {
    const run = (await create()).train({ ...endless, data, schedule: { type: 'constant' } })
    await firstStep(run[Symbol.asyncIterator]())
    await Promise.all([0.3, 0.2, 0.1, 0.0123].map((rate) => run.setLearningRate(rate)))
    for await (const event of run) {
      if (event.type === 'step' && event.learningRate === 0.0123) break
    }
    expect(await run.result).toMatchObject({ stopped: true })
  })

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    '%d is refused, and the run goes on',
    async (rate) => {
      const run = (await create()).train({ ...recipe, data })
      await expect(run.setLearningRate(rate)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(/^learningRate must be a number above 0/),
      })
      expect(await run.result).toMatchObject({ endedBy: 'epochs' })
    },
  )
})

describe('control at any moment', () => {
  it('before the first step', async () => {
    const run = (await create()).train({ ...endless, data, out: scratch.at('early') })
    const asked = [run.checkpoint(), run.checkpoint(), run.setLearningRate(0.001)]
    expect(await Promise.all(asked)).toEqual([expect.any(String), expect.any(String), undefined])
    expect(await run.stop()).toMatchObject({ stopped: true, endedBy: 'stop' })
  })

  it('at every event', async () => {
    const run = (await create()).train({ ...recipe, data, epochs: 2, out: scratch.at('always') })
    const asked: Promise<unknown>[] = []
    let rates = 0
    for await (const event of run) {
      asked.push(run.checkpoint())
      if (event.type === 'done') continue
      // Of those made after the last step the run can only say so.
      const set = run.setLearningRate(0.001).then(
        () => rates++,
        (error) =>
          expect(error).toMatchObject({
            code: 'INVALID_OPTION',
            message: expect.stringMatching(/has ended/),
          }),
      )
      asked.push(set)
    }
    await Promise.all(asked)
    expect(rates).toBeGreaterThan(0)
  })

  it('after the end, and of a run that never began', async () => {
    const out = scratch.at('late')
    const run = (await create()).train({ ...recipe, data, out })
    const report = await run.result
    expect(await run.checkpoint()).toBe(report.checkpoint)
    await expect(run.setLearningRate(0.1)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    expect(await run.stop()).toBe(report)

    const reason = new Error('no')
    const never = (await create()).train({ ...recipe, data, out, signal: AbortSignal.abort(reason) })
    await expect(never.checkpoint()).rejects.toBe(reason)
    await expect(never.setLearningRate(0.1)).rejects.toBe(reason)
    await expect(never.stop()).rejects.toBe(reason)
  })

  it('epochs() gives the epochs alone, and leaving it stops the run', async () => {
    const run = (await create()).train({ ...recipe, data, epochs: 2 })
    const seen: number[] = []
    for await (const { epoch, test } of run.epochs()) seen.push(epoch, test?.count ?? 0)
    expect(seen).toEqual([1, 64, 2, 64])
    const other = (await create()).train({ ...endless, data })
    for await (const _ of other.epochs()) break
    expect(await other.result).toMatchObject({ stopped: true })
  })
})

describe('what is refused', () => {
  it.each([
    [{ optimizer: { type: 'adam', learningRate: -1 } }, /learning.?rate/i],
    [{ learningRate: 0.1 }, /no option learningRate/],
    [{ schedule: { type: 'cosine', gamma: 0.5 } }, /gamma/],
    [{ batchSize: 0 }, /batchSize/],
    [{ epochs: 1.5 }, /epochs/],
    [{ validationFraction: 1 }, /validationFraction/],
    [{ resume: true }, /resume/],
  ])('%j', async (options, message) => {
    const [model, out] = [await create(), scratch.at('refused')]
    const run = model.train({ ...recipe, data, out, ...options } as never)
    await expect(run.result).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(message),
    })
    expect(filesBelow(out)).toEqual([])
  })

  it("another run's folder", async () => {
    const out = scratch.at('taken')
    await (await create()).train({ ...recipe, data, out }).result
    const before = filesBelow(out)
    await expect((await create()).train({ ...recipe, data, out }).result).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('taken'),
    })
    expect(filesBelow(out)).toEqual(before)
  })

  it('a failure that only the loop hears of', async () => {
    const run = (await create()).train({ ...recipe, data, epochs: 0 })
    await expect(read(run)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    // An unhandled rejection of `result` would come now, and fail this file.
    await wait(10)
  })

  it.each(['events', 'epochs'])(
    'a failure that comes between the call and a loop over its %s',
    async (what) => {
      const run = (await create()).train({ ...recipe, data, epochs: 0 })
      const events = what === 'events' ? run[Symbol.asyncIterator]() : run.epochs()
      await wait(10)
      await expect(events.next()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    },
  )

  it('a failure that is listened to later, where one says so', async () => {
    const run = (await create()).train({ ...recipe, data, epochs: 0 })
    run.result.catch(() => {})
    await wait(10)
    await expect(read(run)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(run.result).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})
