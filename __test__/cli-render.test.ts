import { execFileSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { sep } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Report } from 'mobilenet-native'
import stringWidth from 'string-width'
import { describe, expect, it, vi } from 'vitest'
import { Interrupt } from '../src/ts/cli/interrupt.js'
import { renderEnd } from '../src/ts/cli/render/end.js'
import { PredictionView } from '../src/ts/cli/render/predictions.js'
import { table } from '../src/ts/cli/render/table.js'
import {
  clock,
  pathWord,
  printable,
  printableLines,
  shell,
  squeeze,
  wrapped,
} from '../src/ts/cli/render/text.js'

const emptyReport: Report = {
  epochs: 2,
  steps: 2,
  train: null,
  validation: null,
  test: null,
  bestEpoch: null,
  bestAccuracy: null,
  stopped: false,
  endedBy: 'epochs',
  seconds: 1,
  checkpoint: null,
  best: null,
}

describe('text', () => {
  it('leaves out what is optional, in order, and then cuts', () => {
    const parts = ['name', 'speed', 'loss']
    expect(squeeze(80, parts, [1, 2])).toBe('name speed loss')
    expect(squeeze(15, parts, [1, 2])).toBe('name loss')
    expect(squeeze(8, parts, [1, 2])).toBe('name')
    expect(squeeze(4, parts, [1, 2])).toBe('nam')
    // Half a number would be another one.
    expect(squeeze(20, ['epoch 1', 'loss 0.1234', 'test 11.25%'], [])).toBe('epoch 1 loss 0.1234')
    expect(squeeze(19, ['epoch 1', 'loss 0.1234', 'test 11.25%'], [])).toBe('epoch 1')
  })

  it('shows times', () => {
    expect([0, 65, 3723, Number.POSITIVE_INFINITY].map(clock)).toEqual(['0:00', '1:05', '1:02:03', '-:--'])
  })

  it('says how a run ended in plain numbers', () => {
    const metrics = { loss: 1, accuracy: 0.5, correct: 5000, count: 10_000 }
    const report = { ...emptyReport, test: metrics, steps: 1234 }
    const said = (changes: Partial<Report>) =>
      renderEnd(new PassThrough() as never, { ...report, ...changes }, { command: [], resume: [] } as never)
    expect(said({})).toContain('(5,000 of 10,000, after the last epoch)')
    expect(said({ epochs: 1, stopped: true })).toContain('after 1 complete epoch, 1,234 steps in all')
    expect(said({ epochs: 2, stopped: true, steps: 1 })).toContain('after 2 complete epochs, 1 step in all')
  })

  it('quotes what a shell would read', () => {
    expect(shell(['train', '--resume', "it's a run", '--data', '/d/1.x'])).toBe(
      process.platform === 'win32'
        ? `train --resume "it's a run" --data /d/1.x`
        : `train --resume 'it'\\''s a run' --data /d/1.x`,
    )
  })

  it('quotes backslashes where a shell would read them', () => {
    const words = ['train', '--resume', 'runs\\first']
    expect(shell(words, 'linux')).toBe("train --resume 'runs\\first'")
    expect(shell(words, 'win32')).toBe('train --resume runs\\first')
  })

  it('shows control characters, and what turns the direction of writing', () => {
    const name = 'a\u001b[31m\n\r\t\u007f\u009b\u202e.png'
    expect(printable(name)).toBe('a\\x1b[31m\\n\\r\\t\\x7f\\x9b\\u202e.png')
    expect(printable('Zoë 猫 a\\n.png')).toBe('Zoë 猫 a\\n.png')
    expect(printableLines('two\nlines\u001b[0m')).toBe('two\nlines\\x1b[0m')
  })

  it.skipIf(process.platform === 'win32')('makes words of control characters that a shell reads', () => {
    const names = ["it's \u001b[31m\n", 'a\\b\tc', '\u0007', 'runs\\first', '\\']
    const text = execFileSync('bash', ['-c', `printf '%s\\0' ${shell(names)}`], { encoding: 'utf8' })
    expect(text.split('\0').slice(0, -1)).toEqual(names)
  })

  it('makes no option of a path', () => {
    expect(['-x/best', 'x', './-x', '--'].map(pathWord)).toEqual([`.${sep}-x/best`, 'x', './-x', `.${sep}--`])
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

describe('characters that are two columns wide', () => {
  it('are counted as two', () => {
    const columns = [
      { title: 'class', cells: ['猫', 'frog'] },
      { title: 'n', cells: ['一', '200'], right: true },
    ]
    expect(table(columns, undefined)).toEqual(['class    n', '猫      一', 'frog   200'])
    expect(wrapped(12, [['猫', '一二 三四 五']])).toEqual([
      ['猫', '一二'],
      ['', '三四 五'],
    ])
    expect(squeeze(9, ['犬犬犬犬犬'], [])).toBe('犬犬犬犬')
    expect(squeeze(9, ['犬犬', '猫猫'], [1])).toBe('犬犬')
  })

  it('leave the columns of predictions straight', () => {
    let text = ''
    const stdout = { columns: 33, write: (part: string) => (text += part) } as unknown as NodeJS.WriteStream
    const files = ['photos/猫と犬の写真.png', 'b.png']
    const view = new PredictionView(stdout, 'text', files, ['猫', 'a dog'])
    const logits = new Float32Array(2) as never
    for (const file of files) {
      view.show(
        file,
        [
          { label: '猫', index: 0, probability: 0.5 },
          { label: 'a dog', index: 1, probability: 0.5 },
        ],
        logits,
      )
    }
    const lines = text.trimEnd().split('\n')
    expect(new Set(lines.map((line) => stringWidth(line)))).toEqual(new Set([33]))
    expect(lines[0]).toMatch(/^…/)
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
    // npx hands on what the terminal has sent already: one press comes twice.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 100)
    process.emit('SIGINT')
    expect(process.exit).not.toHaveBeenCalled()
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 1000)
    process.emit('SIGTERM')
    expect(process.exit).toHaveBeenCalledExactlyOnceWith(130)
    vi.restoreAllMocks()
    interrupt.dispose()
    expect([process.listenerCount('SIGINT'), process.listenerCount('SIGTERM')]).toEqual([0, 0])
  })
})
