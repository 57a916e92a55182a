import { EventEmitter } from 'node:events'
import { Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import type { TrainEvent } from '../index.js'
import { Interrupt } from '../src/ts/cli/interrupt.js'
import { table } from '../src/ts/cli/render/table.js'
import { clock, shell, squeeze, wrapped } from '../src/ts/cli/render/text.js'
import { TtyView } from '../src/ts/cli/render/tty.js'

describe('text', () => {
  it('leaves out what is optional, in order, and then cuts', () => {
    const parts = ['name', 'speed', 'loss']
    expect(squeeze(80, parts, [1, 2])).toBe('name speed loss')
    expect(squeeze(15, parts, [1, 2])).toBe('name loss')
    expect(squeeze(8, parts, [1, 2])).toBe('name')
    expect(squeeze(4, parts, [1, 2])).toBe('nam')
  })

  it('shows times', () => {
    expect([0, 65, 3723, Number.POSITIVE_INFINITY].map(clock)).toEqual(['0:00', '1:05', '1:02:03', '-:--'])
  })

  it('quotes what a shell would read', () => {
    expect(shell(['train', '--resume', "it's a run", '--data', '/d/1.x'])).toBe(
      process.platform === 'win32'
        ? `train --resume "it's a run" --data /d/1.x`
        : `train --resume 'it'\\''s a run' --data /d/1.x`,
    )
  })

  it('breaks at words, and leaves the label out from the second line on', () => {
    expect(wrapped(12, [['ab', 'one two three']])).toEqual([
      ['ab', 'one two'],
      ['', 'three'],
    ])
  })

  it('takes columns out of a table that is too wide', () => {
    const columns = [
      { title: 'layer', cells: ['stem', 'head'] },
      { title: 'kind', cells: ['convolution', 'linear'], spare: 1 },
      { title: 'n', cells: ['1', '200'], right: true },
    ]
    expect(table(columns, undefined)).toEqual([
      'layer  kind           n',
      'stem   convolution    1',
      'head   linear       200',
    ])
    expect(table(columns, 20)).toEqual(['layer    n', 'stem     1', 'head   200'])
  })
})

/** A terminal of so many columns that remembers what was written to it. */
function terminal(columns: number) {
  const written: string[] = []
  const stream = new Writable({
    write(chunk, _, done) {
      written.push(String(chunk))
      done()
    },
  })
  return { written, stream: Object.assign(stream, { isTTY: true, columns }) as unknown as NodeJS.WriteStream }
}

const metrics = { loss: 1.234567, accuracy: 0.5, correct: 50, count: 100 }
const pictures = { total: 50_000, train: 45_000, validation: 5_000, test: 10_000 }
const start: TrainEvent = {
  type: 'start',
  config: {
    model: {
      variant: 'v1',
      layout: 'unpadded',
      activation: 'relu',
      width: 1,
      resolution: 32,
      classes: 10,
      dropout: 0,
    },
    train: {
      epochs: 50,
      batchSize: 64,
      optimizer: { type: 'adam', learningRate: 0.01 },
      schedule: { type: 'step', stepSize: 10, gamma: 0.5 },
      validationFraction: 0.1,
      seed: 1,
      augment: true,
      shuffle: true,
      limit: null,
      logEvery: 1,
      precision: 'float32',
    },
    normalization: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
    data: '/data',
    pictures,
    device: 'cpu',
    simd: 'avx2',
    threads: 2,
    out: 'runs/x',
    resumedEpochs: null,
  },
}
const step = (number: number): TrainEvent => ({
  type: 'step',
  epoch: 49,
  step: number,
  steps: 704,
  loss: 1.2345,
  accuracy: 0.5,
  learningRate: 0.01,
  imagesPerSecond: 1234.5,
})
const epoch: TrainEvent = {
  type: 'epoch',
  epoch: 49,
  train: metrics,
  validation: metrics,
  test: metrics,
  seconds: 61,
}

describe('a terminal', () => {
  it.each([40, 60, 80, 200])('of %i columns shows a run without a line that is too long', async (columns) => {
    const { written, stream } = terminal(columns)
    const view = new TtyView(stream, { parameters: 3_217_194, note: null, command: [], resume: [] })
    view.show(start)
    for (const number of [1, 2, 350]) view.show(step(number))
    // The bar is drawn at most ten times a second.
    await wait(300)
    view.show(step(704))
    await wait(300)
    view.show(epoch)
    view.close()
    const lines = stripVTControlCharacters(written.join('\n')).split(/[\r\n]+/)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
    const text = lines.join('\n')
    expect(text).toMatch(/^network +MobileNet v1 unpadded/m)
    expect(text).toMatch(
      columns < 60 ? /^epoch 49\/50 +49% loss/m : /^epoch 49\/50 █*░* +49% loss 1\.2345 accuracy 50\.00%/m,
    )
    if (columns >= 80)
      expect(text).toMatch(
        /^epoch 49\/50 .*loss 1\.2346 accuracy 50\.00% +validation 50\.00% +test 50\.00% +1:01$/m,
      )
  })
})

describe('signals', () => {
  it('end a command in good order the first time, and the process the second time', () => {
    const process = Object.assign(new EventEmitter(), {
      stdout: new EventEmitter(),
      stderr: new EventEmitter(),
      exit: vi.fn(),
    })
    const interrupt = new Interrupt(process as unknown as NodeJS.Process)
    process.emit('SIGINT')
    expect({ aborted: interrupt.signal.aborted, exits: process.exit.mock.calls }).toEqual({
      aborted: true,
      exits: [],
    })
    process.emit('SIGTERM')
    expect(process.exit).toHaveBeenCalledExactlyOnceWith(130)
    interrupt.dispose()
    expect([process.listenerCount('SIGINT'), process.listenerCount('SIGTERM')]).toEqual([0, 0])
  })
})
