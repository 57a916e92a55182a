import { EventEmitter } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { Interrupt } from '../src/ts/cli/interrupt.js'
import { table } from '../src/ts/cli/render/table.js'
import { clock, shell, squeeze, wrapped } from '../src/ts/cli/render/text.js'

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
