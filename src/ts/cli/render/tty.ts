import type { EpochEvent, RunConfig, TrainEvent } from '../../../../index.js'
import { charts, runFrame } from '../live/frame.js'
import { RunState } from '../live/run.js'
import { Screen } from '../live/screen.js'
import { renderEnd } from './end.js'
import { renderStart } from './start.js'
import { clock, colors, percent, printableLines, squeeze } from './text.js'
import type { RunFacts, View } from './view.js'

const now = () => performance.now() / 1000

/** For a person at a terminal: the run at a glance, always new, and above it a line for each epoch that is done. */
export class TtyView implements View {
  readonly #stdout: NodeJS.WriteStream
  readonly #facts: RunFacts
  #state: RunState | undefined
  #screen: Screen | undefined

  constructor(stdout: NodeJS.WriteStream, facts: RunFacts) {
    this.#stdout = stdout
    this.#facts = facts
  }

  show(event: TrainEvent): void {
    if (event.type === 'start') {
      this.#stdout.write(renderStart(this.#stdout, event.config, this.#facts))
      const state = new RunState(event.config, now())
      this.#state = state
      this.#screen = new Screen(this.#stdout, (columns, rows) => this.#frame(state, columns, rows))
    } else if (event.type === 'done') {
      this.#end((state, columns, rows) => charts(state, columns, rows - 1, colors(this.#stdout)))
      this.#stdout.write(renderEnd(this.#stdout, event.report, this.#facts))
    } else if (event.type === 'warning') {
      const line = `${colors(this.#stdout).yellow('warning')} ${printableLines(event.message)}\n`
      if (this.#screen) this.#screen.print(line)
      else this.#stdout.write(line)
    } else if (this.#state) {
      const best = this.#state.best?.accuracy
      this.#state.hear(event, now())
      if (event.type === 'epoch') {
        const line = this.#epochLine(event, this.#state.config)
        const improved = this.#state.best?.accuracy !== best
        this.#screen?.print(`${improved ? line : colors(this.#stdout).dim(line)}\n`)
      }
    }
  }

  /** After a failure the run stays to be seen as it was. */
  close(): void {
    this.#end((state, columns, rows) => this.#frame(state, columns, rows))
  }

  #frame(state: RunState, columns: number, rows: number): string[] {
    return runFrame(state, {
      columns,
      rows,
      colors: colors(this.#stdout),
      at: now(),
      memoryBytes: process.memoryUsage.rss(),
      stopping: this.#facts.interrupt.aborted,
    })
  }

  #end(last: (state: RunState, columns: number, rows: number) => string[]): void {
    if (!this.#state) return
    this.#screen?.close(last(this.#state, this.#stdout.columns || 80, this.#stdout.rows || 24))
    this.#screen = undefined
    this.#state = undefined
  }

  #epochLine({ epoch, train, validation, test, seconds }: EpochEvent, config: RunConfig): string {
    const epochs = String(config.train.epochs)
    const parts = [
      `epoch ${String(epoch).padStart(epochs.length)}/${epochs} `,
      `loss ${train.loss.toFixed(4)}`,
      `accuracy ${percent(train.accuracy).padStart(6)} `,
      validation ? `validation ${percent(validation.accuracy).padStart(6)} ` : '',
      test ? `test ${percent(test.accuracy).padStart(6)} ` : '',
      clock(seconds),
    ]
    return squeeze(this.#stdout.columns, parts, [5, 2, 1])
  }
}
