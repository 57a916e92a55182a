import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import pc from 'picocolors'
import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { bars } from '../src/ts/cli/live/bars.js'
import { chart } from '../src/ts/cli/live/chart.js'
import { Curve } from '../src/ts/cli/live/curve.js'
import { runFrame } from '../src/ts/cli/live/frame.js'
import { cut, flow } from '../src/ts/cli/live/layout.js'
import { Pace } from '../src/ts/cli/live/pace.js'
import { RunState } from '../src/ts/cli/live/run.js'
import { epochEvent, evaluatingEvent, runConfig, stepEvent } from './events.js'

const plain = pc.createColors(false)
const coloured = pc.createColors(true)

describe('a run as lines', () => {
  /** The third of 20 epochs, a step every 0.1 s. */
  function half(): RunState {
    const state = new RunState(runConfig({ epochs: 20 }), 0)
    let at = 0
    for (let epoch = 1; epoch <= 3; epoch++) {
      for (let step = 1; step <= (epoch === 3 ? 352 : 704); step++) {
        at += 0.1
        const done = (epoch - 1) * 704 + step
        const values = { loss: 2.3 * Math.exp(-done / 1000), accuracy: 1 - 0.9 * Math.exp(-done / 1000) }
        state.hear(stepEvent({ epoch, step, learningRate: 0.012345, ...values }), at)
      }
      if (epoch === 3) break
      for (const [split, count] of [
        ['validation', 5000],
        ['test', 10_000],
      ] as const) {
        for (let done = 1000; done <= count; done += 1000) {
          at += 0.5
          state.hear(evaluatingEvent({ epoch, split, done, count }), at)
        }
      }
      const metrics = { loss: 1.4 - 0.2 * epoch, accuracy: 0.4 + 0.1 * epoch, correct: 0, count: 5000 }
      state.hear(epochEvent({ epoch, validation: metrics, test: metrics }), at)
    }
    return state
  }
  const around = { rows: 24, colors: plain, at: 192, memoryBytes: 312 * 2 ** 20, stopping: false }

  it.each([40, 60, 80, 200])('of a window of %i columns', (columns) => {
    const lines = runFrame(half(), { ...around, columns })
    expect(`\n${lines.join('\n')}\n`).toMatchSnapshot()
  })

  it('says what it evaluates, and that it is stopping', () => {
    const state = half()
    state.hear(evaluatingEvent({ epoch: 3, split: 'test', done: 1280, count: 10_000 }), 193)
    const text = (columns: number) => runFrame(state, { ...around, columns, stopping: true }).join('\n')
    for (const columns of [40, 80]) {
      expect(text(columns)).toContain('test 1,280/10,000')
      expect(text(columns)).toContain('stopping after this batch')
    }
  })

  it('is the same with colours, but for the colours', () => {
    for (const columns of [40, 200]) {
      const without = runFrame(half(), { ...around, columns })
      const coloured_ = runFrame(half(), { ...around, columns, colors: coloured })
      expect(without.join('')).not.toContain('\u001B')
      expect(coloured_.join('')).toContain('\u001B')
      expect(coloured_.map((line) => stripVTControlCharacters(line).trimEnd())).toEqual(without)
    }
  })

  it('fits into any window, whatever the run does', () => {
    const value = fc.oneof(
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      fc.double({ min: 0, max: 3, noNaN: true }),
    )
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    const story = fc.record({
      epochs: fc.integer({ min: 1, max: 100_000 }),
      steps: fc.integer({ min: 1, max: 100_000 }),
      events: fc.array(
        fc.record({
          kind: fc.constantFrom('step', 'step', 'step', 'evaluating', 'epoch'),
          seconds: fc.double({ min: 0, max: 1000, noNaN: true }),
          loss: value,
          accuracy: share,
          rate: value,
        }),
        { maxLength: 40 },
      ),
    })
    const window = fc.record({
      columns: fc.integer({ min: 10, max: 250 }),
      rows: fc.integer({ min: 3, max: 60 }),
      colors: fc.constantFrom(plain, coloured),
      stopping: fc.boolean(),
      memoryBytes: fc.integer({ min: 0, max: 2 ** 40 }),
    })
    fc.assert(
      fc.property(story, window, ({ epochs, steps, events }, look) => {
        const state = new RunState(runConfig({ epochs }), 0)
        let [at, epoch, step] = [0, 1, 0]
        for (const { kind, seconds, loss, accuracy, rate } of events) {
          at += seconds
          if (kind === 'step') {
            if (step === steps) [epoch, step] = [epoch + 1, 0]
            step += 1
            state.hear(stepEvent({ epoch, step, steps, loss, accuracy, learningRate: rate }), at)
          } else if (kind === 'evaluating') {
            state.hear(evaluatingEvent({ epoch, split: 'test', done: 64, count: 10_000 }), at)
          } else {
            const metrics = { loss, accuracy, correct: 1, count: 10 }
            state.hear(epochEvent({ epoch, validation: metrics }), at)
          }
          const lines = runFrame(state, { ...look, at })
          expect(lines.length).toBeLessThan(look.rows)
          for (const line of lines) {
            expect(stringWidth(line)).toBeLessThan(look.columns)
            expect(line).not.toMatch(/NaN|undefined|Infinity|\n/)
          }
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('layout', () => {
  it('measures what is seen: wide characters are two columns, colours none', () => {
    expect(cut('画像フォルダ', 5)).toBe('画像')
    expect(stringWidth(cut(coloured.red('画像フォルダ'), 7))).toBe(6)
    expect(flow(['画像', 'abc', '画像'], 9, ' ')).toEqual(['画像 abc', '画像'])
  })

  it('gives bars the room that is left, and leaves details out where there is too little', () => {
    const list = [
      { label: 'run', share: 0.25, detail: '1:02 so far', left: '3:06 left' },
      { label: 'epoch 2/5', share: 0.999, detail: 'step 3/4', left: '0:01 left' },
    ]
    expect(bars(list, 60, plain)).toEqual({
      lines: [
        'run       █████░░░░░░░░░░░░░░░░  25%  1:02 so far  3:06 left',
        'epoch 2/5 ████████████████████░  99%  step 3/4     0:01 left',
      ],
      detailed: true,
    })
    expect(bars(list, 36, plain)).toEqual({
      lines: ['run       ██░░░░░░░░  25%  3:06 left', 'epoch 2/5 █████████░  99%  0:01 left'],
      detailed: false,
    })
    expect(bars(list, 28, plain).lines).toEqual(['run        25%  3:06 left', 'epoch 2/5  99%  0:01 left'])
  })

  it('draws a chart as tall as asked for, with its numbers', () => {
    const format = (value: number) => value.toFixed(1)
    const look = { title: 'title', width: 20, height: 3, format, colors: plain }
    const asked: number[] = []
    const rising = (points: number) => {
      asked.push(points)
      return [1, 1, 2, 3, 3]
    }
    expect(chart(rising, look)).toEqual(['title', '   3.0┤  ╭─', '   2.0┤ ╭╯', '   1.0┼─╯'])
    expect(asked).toEqual([14])
    expect(chart(() => [2, 2, 2], look)).toEqual(['title', '      ┤', '   2.0┼──', '      ┤'])
  })
})

describe('a curve', () => {
  it('keeps every value while there are few, and then means of neighbours', () => {
    const curve = new Curve()
    for (let i = 0; i < 4; i++) curve.add(i)
    expect(curve.points(4)).toEqual([0, 1, 2, 3])
    expect(curve.points(7)).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3])
    expect(curve.points(2)).toEqual([0.5, 2.5])
  })

  it('stays the same curve however many values it has', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 2, max: 120 }), (count, width) => {
        const curve = new Curve()
        for (let i = 0; i < count; i++) curve.add(i / count)
        const points = curve.points(width)
        expect(points).toHaveLength(width)
        // A straight line stays one, within what a point and a mean stand for.
        const slack = 1 / width + 1 / Math.min(count, 512)
        for (const [x, value] of points.entries()) {
          expect(Math.abs(value - x / (width - 1))).toBeLessThanOrEqual(slack + 1e-9)
        }
      }),
      { numRuns: 50 },
    )
  })
})

/** When the events of a real run came, by its own time; see fixtures/pace/record.mjs. */
interface Recording {
  epochs: number
  batchSize: number
  pictures: { total: number; train: number; validation: number; test: number }
  events: [
    milliseconds: number,
    epoch: number,
    kind: 'train' | 'validation' | 'test' | 'done',
    done: number,
  ][]
}

describe('the time left', () => {
  it.each(['v1-quarter'])('is right within a tenth from a tenth of the real run %s on', (name) => {
    const path = join(import.meta.dirname, 'fixtures', 'pace', `${name}.json`)
    const { epochs, batchSize, pictures, events }: Recording = JSON.parse(readFileSync(path, 'utf8'))
    const config = runConfig({ epochs, batchSize })
    const pace = new Pace({ ...config, pictures })
    const end = (events.at(-1)?.[0] ?? 0) / 1000
    expect(events.length).toBeGreaterThan(500)
    const wrong: string[] = []
    for (const [milliseconds, epoch, kind, done] of events) {
      const at = milliseconds / 1000
      if (kind === 'train') pace.step(stepEvent({ epoch, step: done }), at)
      else if (kind !== 'done') pace.evaluating(evaluatingEvent({ epoch, split: kind, done }), at)
      const left = end - at
      const { secondsLeft } = pace.outlook(at)
      // Nobody cares for tenths of a second.
      if (at >= end / 10 && Math.abs((secondsLeft ?? 0) - left) > Math.max(0.1 * left, 1)) {
        wrong.push(`${at.toFixed(1)} s: ${secondsLeft?.toFixed(1)} s instead of ${left.toFixed(1)}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('counts validation, test and what lies between epochs, before and after they have been seen', () => {
    const pictures = { total: 1000, train: 1000, validation: 500, test: 500 }
    const pace = new Pace({ ...runConfig({ epochs: 3, batchSize: 10 }), pictures })
    expect(pace.outlook(0)).toEqual({
      epochShare: 0,
      runShare: 0,
      epochSecondsLeft: undefined,
      secondsLeft: undefined,
    })
    // A step takes 1 s, the first 9; evaluating 10 pictures 0.5 s, and between two epochs lie 4 s.
    let at = 9
    const steps = (epoch: number, to: number) => {
      for (let step = 1; step <= to; step++) {
        pace.step(stepEvent({ epoch, step }), at)
        if (step < to) at += 1
      }
    }
    steps(1, 100)
    // 0.1 s a picture: an evaluation is taken to cost a quarter.
    expect(pace.outlook(at).epochSecondsLeft).toBeCloseTo(25, 6)
    expect(pace.outlook(at).secondsLeft).toBeCloseTo(25 + 2 * 125, 6)
    for (const split of ['validation', 'test'] as const) {
      for (let done = 10; done <= 500; done += 10) {
        at += 0.5
        pace.evaluating(evaluatingEvent({ epoch: 1, split, done }), at)
      }
    }
    expect(pace.outlook(at).secondsLeft).toBeCloseTo(2 * 150, 6)
    expect(pace.outlook(at).epochShare).toBe(1)
    at += 4 + 1
    steps(2, 1)
    expect(pace.outlook(at).secondsLeft).toBeCloseTo(149 + 4 + 150, 6)
    // It runs on while nothing is heard, but not below nothing.
    expect(pace.outlook(at + 3).secondsLeft).toBeCloseTo(146 + 4 + 150, 6)
    expect(pace.outlook(at + 1000).epochSecondsLeft).toBe(0)
    expect(pace.outlook(at).runShare).toBeCloseTo(1 - 303 / (450 + 8), 2)
  })

  it('follows a machine that becomes slower', () => {
    const pictures = { total: 100_000, train: 100_000, validation: 0, test: 0 }
    const pace = new Pace({ ...runConfig({ epochs: 1, batchSize: 10 }), pictures })
    let at = 0
    for (let step = 1; step <= 1200; step++) {
      at += step <= 600 ? 0.1 : 0.6
      pace.step(stepEvent({ epoch: 1, step }), at)
    }
    const { secondsLeft = 0 } = pace.outlook(at)
    expect(secondsLeft / (8800 * 0.6)).toBeGreaterThan(0.8)
    expect(secondsLeft / (8800 * 0.6)).toBeLessThanOrEqual(1)
  })

  it('of a resumed run begins with the run', () => {
    const pictures = { total: 1000, train: 1000, validation: 0, test: 0 }
    const pace = new Pace({ ...runConfig({ epochs: 3, batchSize: 10 }), pictures })
    pace.step(stepEvent({ epoch: 3, step: 51 }), 2)
    pace.step(stepEvent({ epoch: 3, step: 52 }), 3)
    expect(pace.outlook(3).secondsLeft).toBeCloseTo(48, 6)
    expect(pace.outlook(3).runShare).toBeCloseTo(252 / 300, 6)
  })
})
