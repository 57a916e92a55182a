import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Dataset, listRuns, MobileNet, readConfig, readRun, type TrainEvent } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { records } from '../src/ts/record/tensorboard.js'
import {
  cli,
  data as directory,
  filesOfRun,
  type Json,
  jsonLines,
  runFiles,
  Scratch,
  small,
  start,
} from './cli.js'
import { digest, network, openSample, recipe } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let data: Dataset
beforeAll(async () => {
  data = await openSample()
})

const read = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8')
const weights = async (folder: string, name = 'last') =>
  digest(await MobileNet.load(join(folder, `${name}.safetensors`)))

/** Steps and epochs of a run's log, without what differs from run to run. */
function told(folder: string): Json[] {
  return jsonLines(read(folder, 'log.jsonl'))
    .filter(({ type }) => type === 'step' || type === 'epoch')
    .map(({ time, seconds, imagesPerSecond, ...rest }) => rest)
}

describe('the folder of a run', () => {
  const out = scratch.at('run')
  const events: TrainEvent[] = []
  beforeAll(async () => {
    const model = await MobileNet.create({ ...network, seed: 3 })
    for await (const event of model.train({ ...recipe, epochs: 2, data, out })) events.push(event)
  })

  it('holds every event, a line each', () => {
    const lines = jsonLines(read(out, 'log.jsonl'))
    expect(lines.map(({ time, ...event }) => event)).toEqual(events)
    for (const { time } of lines) expect(Math.abs(time - Date.now() / 1000)).toBeLessThan(600)
  })

  it('holds a row for each epoch', () => {
    const [head, ...rows] = read(out, 'results.csv').trimEnd().split('\n')
    expect(head).toBe(
      'epoch,steps,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,test_loss,test_accuracy,seconds',
    )
    const epochs = events.filter((event) => event.type === 'epoch')
    expect(rows.map((row) => row.split(',').map(Number))).toEqual(
      epochs.map(({ epoch, train, validation, test, seconds }) => [
        ...[epoch, 4 * epoch, 0.01, train.loss, train.accuracy],
        ...[validation?.loss, validation?.accuracy, test?.loss, test?.accuracy, seconds],
      ]),
    )
  })

  it('holds what the network answers on the test pictures', async () => {
    const { evaluation, epochs } = await readRun(out)
    expect(evaluation).toMatchObject({
      epoch: 2,
      split: 'test',
      classes: data.classes,
      metrics: epochs[1]?.test,
    })
    expect(evaluation?.confusion?.flat().reduce((sum, count) => sum + count)).toBe(64)
    for (const { label, probability, answers, png } of evaluation?.mostWrong ?? []) {
      expect(answers[0]?.label).not.toBe(label)
      expect(answers[0]?.probability).toBeGreaterThanOrEqual(probability)
      expect(Buffer.from(png, 'base64').toString('latin1', 1, 4)).toBe('PNG')
    }
    expect(evaluation?.mostWrong.length).toBeGreaterThan(0)
  })

  it('is read as a whole', async () => {
    const run = await readRun(out)
    const steps = events.filter((event) => event.type === 'step')
    expect(run.steps.map(({ time, ...step }) => ({ type: 'step', ...step }))).toEqual(steps)
    expect(run).toMatchObject({
      folder: out,
      name: 'run',
      state: 'finished',
      config: { out, train: { epochs: 2 } },
      epochs: [{ epoch: 1, steps: 4, learningRate: 0.01 }, { epoch: 2 }],
      report: events.at(-1)?.type === 'done' ? { epochs: 2, steps: 8 } : {},
      error: null,
    })
    expect(run.best).toEqual({ epoch: run.report?.bestEpoch, accuracy: run.report?.bestAccuracy })
    expect(run.seconds).toBeGreaterThan(0)
  })

  it('holds a configuration that repeats it, to the bit', async () => {
    const { weights: origin, environment, ...config } = await readConfig(out)
    expect(origin).toEqual({ seed: 3 })
    expect(config).toMatchObject({
      model: network,
      train: { ...recipe, epochs: 2 },
      data: directory,
      device: 'cpu',
    })
    expect(environment).toMatchObject({ node: process.version })
    const again = scratch.at('again')
    const { status } = await cli(['train', '--config', join(out, 'config.json'), '--out', again, '--quiet'])
    expect(status).toBe(0)
    expect(await weights(again)).toBe(await weights(out))
    expect(told(again)).toEqual(told(out))
    expect(await readConfig(again)).toEqual(await readConfig(out))
  })
})

describe("TensorBoard's file", () => {
  it('has the epochs of a run that was resumed at their own times', async () => {
    const out = scratch.at('resumed')
    await cli(['train', ...small, '--epochs', '2', '--out', out, '--quiet'])
    await cli(['train', '--resume', out, '--epochs', '3', '--data', directory, '--quiet'])
    const [name = ''] = readdirSync(out).filter((name) => name.startsWith('events'))
    const found = records(readFileSync(join(out, name)))
      .filter(({ bytes }) => bytes.includes('loss/test'))
      .map(({ step, bytes }) => [step, bytes.readDoubleLE(13)])
    const ended = jsonLines(read(out, 'log.jsonl')).filter(({ type }) => type === 'epoch')
    expect(found.map(([step]) => step)).toEqual([4, 8, 12])
    // The last one came as it ended; those before it were read from the log.
    for (const index of [0, 1]) expect(found[index]?.[1]).toBe(ended[index].time)
  })
})

describe('train --config', () => {
  it('takes options over those of the run, and the weights that it began with', async () => {
    const [from, first, second] = [scratch.at('from'), scratch.at('first'), scratch.at('second')]
    await cli(['train', ...small, '--out', from, '--quiet'])
    const init = ['--init', join(from, 'last.safetensors')]
    const args = [...init, '--limit', '32', '--epochs', '1', '--data', directory]
    await cli(['train', ...args, '--out', first, '--quiet'])
    expect((await readConfig(first)).weights).toEqual({ checkpoint: join(from, 'last.safetensors') })
    const { stdout } = await cli(['train', '--config', first, '--epochs', '2', '--out', second, '--json'])
    const [{ config }] = jsonLines(stdout)
    expect(config).toMatchObject({ model: network, train: { epochs: 2, limit: 32 } })
    expect(told(second)[0]).toEqual(told(first)[0])
  })

  it.each([
    ['a file that is not there', () => scratch.at('nowhere'), 1, /can't read .*nowhere/],
    [
      'another file',
      () => join(import.meta.dirname, 'tiny.ts'),
      2,
      /is not the config.json of a run: it is no JSON/,
    ],
    ['other JSON', () => join(import.meta.dirname, '..', 'package.json'), 2, /it has no model/],
  ])('refuses %s', async (_, path, status, message) => {
    const outcome = await cli(['train', '--config', path(), '--json'])
    expect(outcome.status).toBe(status)
    expect(jsonLines(outcome.stderr)[0].message).toMatch(message)
  })

  it('refuses what begins otherwise, and weights that nobody can find again', async () => {
    const both = await cli(['train', '--config', 'x', '--preset', 'quick', '--json'])
    expect(both.stderr).toMatch(/--preset can't be given with it/)
    const model = await MobileNet.create(network)
    await model.train({ ...recipe, data }).result
    const out = scratch.at('trained-before')
    await model.train({ ...recipe, data, out }).result
    const again = await cli(['train', '--config', out, '--json'])
    expect(again).toMatchObject({ status: 2, stderr: expect.stringContaining('a program had changed') })
    const preset = await cli(['train', '--config', out, '--preset', 'quick', '--json'])
    expect(preset).toMatchObject({ status: 2, stderr: expect.stringContaining("--preset can't be given") })
  })
})

describe.skipIf(process.platform === 'win32')('kill -9', () => {
  const args = [
    '--layout',
    'cifar',
    '--width',
    '0.25',
    '--batch-size',
    '8',
    '--epochs',
    '3',
    '--data',
    directory,
  ]

  it('leaves a run that goes on to the same end, however often', async () => {
    const [whole, killed] = [scratch.at('whole'), scratch.at('killed')]
    expect((await cli(['train', ...args, '--out', whole, '--quiet'])).status).toBe(0)
    // In the first epoch, while it is evaluated or written, and in the next.
    for (const steps of [5, 24, 10]) {
      const resume = readdirOr(killed).includes('last.safetensors')
      const begin = resume ? ['--resume', killed, '--data', directory] : [...args, '--out', killed]
      const child = start(['train', ...begin, '--json'])
      let seen = 0
      child.stdout.on('data', (chunk) => {
        seen += String(chunk).split('"type":"step"').length - 1
        if (seen >= steps) child.kill('SIGKILL')
      })
      await once(child, 'close')
      expect(await readRun(killed)).toMatchObject({ state: 'killed' })
    }
    expect((await cli(['train', '--resume', killed, '--data', directory, '--quiet'])).status).toBe(0)
    expect(filesOfRun(killed)).toEqual(runFiles())
    for (const name of ['last', 'best']) expect(await weights(killed, name)).toBe(await weights(whole, name))
    expect(told(killed)).toEqual(told(whole))
    const rows = (folder: string) => read(folder, 'results.csv').replaceAll(/,[^,]*$/gm, '')
    expect(rows(killed)).toBe(rows(whole))
    expect(read(killed, 'evaluation.json')).toBe(read(whole, 'evaluation.json'))
    expect((await readConfig(killed)).weights).toEqual({ seed: 1 })
  })
})

function readdirOr(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

describe('a record that can not be written', () => {
  it('is told, and the run goes on', async () => {
    const out = scratch.at('in-the-way')
    mkdirSync(join(out, 'results.csv', 'x'), { recursive: true })
    const run = (await MobileNet.create(network)).train({ ...recipe, data, out })
    const events: TrainEvent[] = []
    for await (const event of run) events.push(event)
    const warnings = events.filter((event) => event.type === 'warning')
    expect(warnings).toEqual([
      {
        type: 'warning',
        message: expect.stringMatching(/^the record in .*in-the-way is not complete: .*results/),
      },
    ])
    expect((await run.result).epochs).toBe(1)
    const { stdout } = await cli(['train', '--resume', out, '--epochs', '2', '--data', directory])
    expect(stdout).toMatch(/^warning: the record in /m)
  })
})

/** How often a tag is in a run's file for TensorBoard. */
function shown(folder: string, tag: string): number {
  const name = readdirSync(folder).find((name) => name.startsWith('events')) ?? ''
  return readFileSync(join(folder, name)).toString('latin1').split(tag).length - 1
}

describe('a run whose first pictures are in another folder', () => {
  it('is recorded without them, and without a step missing', async () => {
    const [first, second] = [scratch.at('begun'), scratch.at('went-on')]
    const options = { ...recipe, data, epochs: 2 }
    await (await MobileNet.create(network)).train({ ...options, saveEvery: 1, out: first }).result
    const model = await MobileNet.load(join(first, 'epoch-1.safetensors'))
    const events: TrainEvent[] = []
    for await (const event of model.train({ data, resume: true, out: second })) events.push(event)
    expect(events.filter(({ type }) => type === 'warning')).toEqual([])
    expect([first, second].map((folder) => shown(folder, 'step/loss'))).toEqual([8, 8])
    expect([first, second].map((folder) => shown(folder, 'samples'))).toEqual([1, 0])
  })
})

describe('a run whose backbone is asked once', () => {
  it('is recorded with its first pictures', async () => {
    const out = scratch.at('asked-once')
    const frozen = { augment: false as const, freeze: 'backbone' as const }
    const events: TrainEvent[] = []
    const model = await MobileNet.create(network)
    for await (const event of model.train({ ...recipe, ...frozen, data, out })) events.push(event)
    expect(events.filter(({ type }) => type === 'warning')).toEqual([])
    expect([shown(out, 'step/loss'), shown(out, 'samples')]).toEqual([4, 1])
  })
})

describe('runs', () => {
  const runs = scratch.at('runs')
  beforeAll(async () => {
    await cli(['train', ...small, '--out', join(runs, 'b'), '--quiet'])
    await cli([
      'train',
      ...small,
      '--width',
      '0.5',
      '--learning-rate',
      '1e30',
      '--out',
      join(runs, 'a'),
      '--quiet',
    ])
    const model = await MobileNet.create(network)
    const run = model.train({ ...recipe, epochs: 1000, data, out: join(runs, 'more', 'c') })
    for await (const event of run) if (event.type === 'epoch') break
    mkdirSync(join(runs, 'empty'))
  })

  it('lists them as a table, the oldest first', async () => {
    const { status, stdout, stderr } = await cli(['runs', runs])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [head, ...lines] = stdout.trimEnd().split('\n')
    expect(head).toMatch(/^run +state +network +epochs +best +in epoch +test +time +started$/)
    const share = '\\d+\\.\\d\\d%'
    expect(lines).toHaveLength(3)
    expect(lines[0]).toMatch(
      new RegExp(`\\bb +finished +v1 cifar x0.25 +1/1 +${share} +1 +${share} +0:\\d\\d +20`),
    )
    expect(lines[1]).toMatch(/\ba +failed +v1 cifar x0.5 +0\/1 +0:\d\d +20/)
    expect(lines[2]).toMatch(/\bc +stopped +v1 cifar x0.25 +1\/1000 /)
  })

  it('prints a line of JSON for each', async () => {
    const { stdout } = await cli(['runs', runs, '--json'])
    expect(jsonLines(stdout)).toEqual((await listRuns(runs)).map((run) => ({ type: 'run', ...run })))
    expect(jsonLines(stdout)[1].error).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/no number/),
    })
  })

  it('says that one is running', async () => {
    const model = await MobileNet.create(network)
    const out = scratch.at('running')
    const run = model.train({ ...recipe, epochs: 1000, data, out })
    for await (const event of run) {
      if (event.type !== 'epoch') continue
      expect(await readRun(out)).toMatchObject({ state: 'running', report: null })
      break
    }
    expect(await readRun(out)).toMatchObject({ state: 'stopped' })
  })

  it('need not be there', async () => {
    expect(await cli(['runs'], { cwd: join(runs, 'empty') })).toMatchObject({
      status: 0,
      stdout: 'There is no run in runs yet.\n',
    })
    expect(await cli(['runs', scratch.at('nowhere')])).toMatchObject({ status: 1 })
    await expect(readRun(join(runs, 'empty'))).rejects.toMatchObject({ code: 'IO' })
  })

  it('refuses a log that is none', async () => {
    const folder = scratch.at('broken', 'x')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'log.jsonl'), 'no\n{"type":"start"}\n')
    await expect(readRun(folder)).rejects.toMatchObject({
      message: expect.stringMatching(/line 1 of .* is no event of a run/),
    })
  })
})

/** A Python that has TensorBoard; `scripts/pytorch` makes one. */
const python = process.env.MOBILENET_TEST_PYTHON
const hasTensorBoard = () => {
  try {
    return (
      python !== undefined && execFileSync(python, ['-c', 'import tensorboard'], { stdio: 'ignore' }) === null
    )
  } catch {
    return false
  }
}

describe.skipIf(!hasTensorBoard())("TensorBoard's reader", () => {
  /** What it finds in a run's folder. */
  function found(folder: string): Json {
    const script = join(import.meta.dirname, 'read_events.py')
    return JSON.parse(execFileSync(python ?? '', [script, folder], { encoding: 'utf8' }))
  }

  it('finds every number and the pictures, once, also after a kill', async () => {
    const out = scratch.at('board')
    const args = [...small, '--epochs', '3', '--out', out, '--json']
    const child = start(['train', ...args])
    child.stdout.on('data', (chunk) => {
      if (String(chunk).includes('"epoch":2,"step":3')) child.kill('SIGKILL')
    })
    await once(child, 'close')
    await cli(['train', '--resume', out, '--data', directory, '--quiet'])
    const { steps, epochs } = await readRun(out)
    const { scalars, images } = found(out)
    const at = (values: [number, number | undefined][]) =>
      values.map(([step, value]) => [step, Math.fround(value ?? Number.NaN)])
    const each = (pick: (step: (typeof steps)[number]) => number) =>
      at(steps.map((step) => [(step.epoch - 1) * step.steps + step.step, pick(step)]))
    expect(steps).toHaveLength(12)
    expect(scalars).toEqual({
      'step/loss': each(({ loss }) => loss),
      'step/accuracy': each(({ accuracy }) => accuracy),
      'step/learning_rate': each(({ learningRate }) => learningRate),
      'step/images_per_second': each(({ imagesPerSecond }) => imagesPerSecond),
      ...Object.fromEntries(
        (['train', 'validation', 'test'] as const).flatMap((part) =>
          (['loss', 'accuracy'] as const).map((name) => [
            `${name}/${part}`,
            at(epochs.map((epoch) => [epoch.steps, epoch[part]?.[name]])),
          ]),
        ),
      ),
    })
    expect(images.samples).toEqual([[0, 8 * 34 - 2, 2 * 34 - 2]])
    expect(images['most_wrong/1'].map(([step]: number[]) => step)).toEqual([4, 8, 12])
    expect(images['most_wrong/1'][0].slice(1)).toEqual([32, 32])
  })

  it('is not disturbed by a torn end, which goes when the run goes on', async () => {
    const out = scratch.at('torn')
    await cli(['train', ...small, '--out', out, '--quiet'])
    const before = found(out)
    const [events = ''] = readdirSync(out).filter((name) => name.startsWith('events'))
    writeFileSync(join(out, events), readFileSync(join(out, events)).subarray(0, 100), { flag: 'a' })
    await cli(['train', '--resume', out, '--epochs', '2', '--data', directory, '--quiet'])
    const { scalars } = found(out)
    expect(scalars['step/loss'].slice(0, 4)).toEqual(before.scalars['step/loss'])
    expect(scalars['step/loss']).toHaveLength(8)
  })
})
