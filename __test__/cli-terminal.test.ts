import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Report } from '../index.js'
import { ProgressBar } from '../src/ts/cli/live/progress-bar.js'
import { DownloadBar } from '../src/ts/cli/render/download.js'
import { TtyView } from '../src/ts/cli/render/tty.js'
import type { RunFacts } from '../src/ts/cli/render/view.js'
import { data, filesBelow, Scratch, small } from './cli.js'
import { epochEvent, evaluatingEvent, runConfig, stepEvent } from './events.js'
import { Window } from './terminal.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A run of three epochs that a view shows in a window. */
class Showing {
  readonly interrupt = new AbortController()
  readonly view: TtyView

  constructor(readonly window: Window) {
    const facts: RunFacts = {
      parameters: 3_217_194,
      note: null,
      command: ['mobilenet-native'],
      resume: ['mobilenet-native', 'train', '--resume', 'runs/x'],
      interrupt: this.interrupt.signal,
    }
    this.view = new TtyView(window.stream, facts)
    const pictures = { total: 50_000, train: 1280, validation: 128, test: 0 }
    this.view.show({ type: 'start', config: { ...runConfig({ epochs: 3 }), pictures } })
  }

  /** Steps of an epoch, half a second each. */
  steps(epoch: number, from: number, to: number): void {
    for (let step = from; step <= to; step++) {
      vi.advanceTimersByTime(500)
      const loss = 2 / (epoch + step / 20)
      this.view.show(stepEvent({ epoch, step, steps: 20, loss, accuracy: 1 - loss / 3 }))
    }
    vi.advanceTimersByTime(500)
  }

  epoch(epoch: number): void {
    this.steps(epoch, 1, 20)
    for (const done of [64, 128]) {
      this.view.show(evaluatingEvent({ epoch, split: 'validation', done, count: 128 }))
      vi.advanceTimersByTime(500)
    }
    this.view.show(epochEvent({ epoch }))
  }

  end(stopped = false): void {
    const metrics = { loss: 1.2, accuracy: 0.5, correct: 50, count: 100 }
    const report: Report = {
      epochs: 2,
      steps: 40,
      train: metrics,
      validation: metrics,
      test: metrics,
      bestEpoch: 1,
      bestAccuracy: 0.5,
      stopped,
      endedBy: stopped ? 'stop' : 'epochs',
      seconds: 62.5,
      checkpoint: 'runs/x/last.safetensors',
      best: 'runs/x/best.safetensors',
    }
    this.view.show({ type: 'done', report })
    this.view.close()
  }
}

const bar = /^(run|epoch \d+\/\d+) +([█░]+ +)?\d+%/
const count = (rows: string[], what: RegExp) => rows.filter((row) => what.test(row)).length

describe('train in a window', () => {
  it.each([40, 60, 80, 200])(
    'of %i columns: one view, a line for each epoch, and a tidy end',
    async (columns) => {
      const showing = new Showing(new Window(columns))
      showing.epoch(1)
      showing.epoch(2)
      showing.steps(3, 1, 10)
      const during = await showing.window.rows()
      expect(count(during, bar)).toBe(2)
      expect(count(during, /^epoch [12]\/3 .*50\.00%/)).toBe(2)
      expect(during.join('\n')).toMatch(/step 10\/20/)
      expect(showing.window.cursorShown).toBe(false)

      showing.steps(3, 11, 20)
      showing.end()
      const rows = await showing.window.rows()
      expect(count(rows, bar)).toBe(0)
      expect(count(rows, /^epoch [12]\/3 .*50\.00%/)).toBe(2)
      const text = rows.join('\n')
      expect(text).toMatch(/^network +MobileNet v1 unpadded/m)
      expect(text).toMatch(/^loss of training/m)
      expect(text).toMatch(/^test accuracy {2}50\.00%\s+\(50\s+of\s+100,\s+after\s+the\s+last\s+epoch\)$/m)
      expect(showing.window.cursorShown).toBe(true)
      // Nothing is drawn any more.
      const { written } = showing.window
      vi.advanceTimersByTime(5000)
      expect(showing.window.written).toBe(written)
    },
  )

  it('cuts no number off in a narrow one', async () => {
    for (const columns of [20, 30, 36, 40, 44]) {
      const window = new Window(columns, 40)
      const showing = new Showing(window)
      showing.epoch(1)
      const [line] = (await window.rows()).filter((row) => /^epoch 1\/3(?! +[█░]| +\d+%)/.test(row))
      expect(line, `${columns}`).toMatch(
        /^epoch 1\/3( +(loss \d\.\d{4}|accuracy \d+\.\d\d%|(validation|test) +\d+\.\d\d%|\d:\d\d))*$/,
      )
      showing.end()
    }
  })

  it('survives that the window becomes narrower and wider', async () => {
    // High enough that nothing leaves it at the top, because that can't be cleared.
    const window = new Window(100, 40)
    const showing = new Showing(window)
    showing.epoch(1)
    for (const [i, columns] of [70, 45, 130, 40, 61, 200, 80].entries()) {
      await window.resize(columns, 40)
      const at = `after ${columns} columns`
      const rows = await window.rows()
      expect(count(rows, bar), at).toBe(2)
      expect(count(rows, /^learning rate |learning rate /), at).toBe(1)
      expect(count(rows, /^loss of training/), at).toBeLessThanOrEqual(1)
      showing.steps(2, 2 * i + 1, 2 * i + 2)
      expect(count(await window.rows(), bar), at).toBe(2)
    }
    const rows = (await window.rows()).join('\n')
    expect(rows.match(/best weights/g)).toBeNull()
    expect(rows.match(/network +MobileNet/g)).toHaveLength(1)
    expect(rows.match(/epoch 1\/3 +loss/g)).toHaveLength(1)
    showing.end()
    expect(count(await window.rows(), bar)).toBe(0)
  })

  it('fits into a low window', async () => {
    const window = new Window(60, 8)
    const showing = new Showing(window)
    showing.epoch(1)
    showing.steps(2, 1, 5)
    const rows = await window.rows()
    expect(count(rows, bar)).toBe(2)
    expect(count(rows, /^loss of training/)).toBe(0)
    expect(count(rows, /^epoch 1\/3 .*50\.00%/)).toBe(1)
  })

  it('says that it is stopping, and then how to go on', async () => {
    const showing = new Showing(new Window(80))
    showing.steps(1, 1, 5)
    showing.interrupt.abort()
    vi.advanceTimersByTime(500)
    expect((await showing.window.rows()).join('\n')).toContain('stopping after this batch')
    showing.end(true)
    const rows = await showing.window.rows()
    expect(rows.join('\n')).not.toContain('stopping after this batch')
    expect(rows.at(-1)).toMatch(/^to go on +mobilenet-native train --resume runs\/x$/)
    expect(showing.window.cursorShown).toBe(true)
  })

  it('leaves the run to be seen as it was when it fails', async () => {
    const showing = new Showing(new Window(80))
    showing.steps(1, 1, 5)
    showing.view.close()
    showing.view.close()
    const rows = await showing.window.rows()
    expect(count(rows, bar)).toBe(2)
    expect(rows.join('\n')).toContain('step 5/20')
    expect(showing.window.cursorShown).toBe(true)
  })
})

describe('other long work in a window', () => {
  it('has one bar with the time left, which goes', async () => {
    const window = new Window(70)
    const progress = new ProgressBar(window.stream)
    for (const share of [0.1, 0.2, 0.4]) {
      progress.update({ name: 'evaluating test', share, detail: `${share * 10_000} of 10,000` })
      vi.advanceTimersByTime(2000)
    }
    const rows = await window.rows()
    expect(rows).toHaveLength(1)
    expect(rows[0]).toMatch(/^evaluating test █+░+ +40% {2}4000 of 10,000 {2}0:12 left$/)
    progress.stop()
    expect(await window.rows()).toEqual([])
    expect(window.cursorShown).toBe(true)
  })

  it('keeps a bar for each stage of a download', async () => {
    const window = new Window(70)
    const download = new DownloadBar(window.stream)
    const update = (source: string, receivedBytes: number) =>
      download.update({ source, phase: 'download', receivedBytes, totalBytes: 100e6 })
    update('one', 30e6)
    vi.advanceTimersByTime(1000)
    update('two', 0)
    vi.advanceTimersByTime(1000)
    update('two', 100e6)
    download.stop()
    const rows = await window.rows()
    expect(rows).toHaveLength(2)
    expect(rows[0]).toMatch(/^download one █+░+ +30% {2}30\.0 MB of 100\.0 MB$/)
    expect(rows[1]).toMatch(/^download two █+ 100% {2}100\.0 MB of 100\.0 MB$/)
  })
})

/** Whether `script`, which runs a program in a terminal, is that of util-linux. */
function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
  } catch {
    return false
  }
}

describe.skipIf(!hasScript())('the program in a real terminal', () => {
  const bin = join(import.meta.dirname, '..', 'bin', 'mobilenet-native.js')

  /** Runs the command line with a terminal; `act` hears its output and may type. */
  async function inTerminal(args: string[], act: (text: string, type: (keys: string) => void) => void) {
    vi.useRealTimers()
    const words = [process.execPath, bin, ...args].map((word) => `'${word}'`).join(' ')
    const command = `stty rows 24 columns 80; exec ${words}`
    const env = { ...process.env, TERM: 'xterm-256color', SHELL: '/bin/sh' }
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env })
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      act(text, (keys) => void child.stdin.write(keys))
    })
    const [status] = await once(child, 'close')
    return { status, text }
  }

  it('Ctrl-C leaves the cursor shown, a checkpoint, and what to type to go on', async () => {
    const out = scratch.at('interrupted')
    let typed = false
    const args = ['train', ...small, '--epochs', '500', '--out', out]
    const { status, text } = await inTerminal(args, (text, type) => {
      if (typed || !text.includes('epoch 2/500')) return
      typed = true
      type('\u0003')
    })
    expect(status).toBe(130)
    expect(text.lastIndexOf('\u001B[?25h')).toBeGreaterThan(text.lastIndexOf('\u001B[?25l'))
    expect(text).toContain(`train --resume ${out} --data ${data}`)
    expect(filesBelow(out)).toContain('last.safetensors')
  })

  it('a failure leaves the cursor shown, too, and says what was wrong', async () => {
    const args = [
      'train',
      ...small,
      '--epochs',
      '50',
      '--learning-rate',
      '1e30',
      '--out',
      scratch.at('failed'),
    ]
    const { status, text } = await inTerminal(args, () => {})
    // Not 2: the call was not wrong.
    expect(status).toBe(1)
    expect(text.lastIndexOf('\u001B[?25h')).toBeGreaterThan(text.lastIndexOf('\u001B[?25l'))
    expect(text).toContain('the loss is no number any more')
  })
})
