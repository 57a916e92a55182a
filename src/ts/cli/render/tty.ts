import { Format, SingleBar } from 'cli-progress'
import type { EpochEvent, RunConfig, StepEvent, TrainEvent } from '../../../../index.js'
import { renderEnd } from './end.js'
import { renderStart } from './start.js'
import { clock, colors, percent, squeeze } from './text.js'
import type { RunFacts, View } from './view.js'

/** For a person at a terminal: a bar for the epoch that is being trained, and a line for each that is done. */
export class TtyView implements View {
  readonly #stdout: NodeJS.WriteStream
  readonly #facts: RunFacts
  #config: RunConfig | undefined
  #bar: SingleBar | undefined
  #mean = new Mean()
  #pace: Pace | undefined
  #best = Number.NEGATIVE_INFINITY

  constructor(stdout: NodeJS.WriteStream, facts: RunFacts) {
    this.#stdout = stdout
    this.#facts = facts
  }

  show(event: TrainEvent): void {
    if (event.type === 'start') {
      this.#config = event.config
      this.#stdout.write(renderStart(this.#stdout, event.config, this.#facts))
    } else if (event.type === 'step') {
      this.#step(event)
    } else if (event.type === 'epoch') {
      this.close()
      this.#stdout.write(`${this.#epochLine(event)}\n`)
    } else if (event.type === 'done') {
      this.close()
      this.#stdout.write(renderEnd(this.#stdout, event.report, this.#facts))
    }
  }

  close(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  #step(event: StepEvent): void {
    const epochs = this.#config?.train.epochs ?? event.epoch
    if (!this.#bar) {
      this.#mean = new Mean()
      this.#bar = this.#start(event)
    }
    this.#mean.add(event)
    this.#pace ??= new Pace(event)
    const loss = this.#mean.loss.toFixed(4)
    const accuracy = percent(this.#mean.accuracy).padStart(6)
    this.#bar.update(event.step, {
      name: `epoch ${event.epoch}/${epochs}`,
      // After its last step an epoch's bar stays until validation and test are done, which can take a while.
      stage: event.step === event.steps ? 'testing' : '',
      result: `loss ${loss} accuracy ${accuracy}`,
      speed: `${Math.round(this.#mean.imagesPerSecond)} img/s`,
      left: `ETA ${clock(this.#pace.secondsLeft(event, epochs))}`,
    })
  }

  #start({ steps, step }: StepEvent): SingleBar {
    const bar = new SingleBar({
      stream: this.#stdout,
      hideCursor: true,
      clearOnComplete: true,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      format: (options, { progress }, { name, stage, result, speed, left }) => {
        const share = `${Math.floor(progress * 100)}%`.padStart(4)
        const draw = (barsize: number) => Format.BarFormat(progress, { ...options, barsize })
        return barLine(this.#stdout.columns, draw, [name, share, result, left, stage, speed])
      },
    })
    bar.start(steps, step - 1, { name: '', stage: '', result: '', speed: '', left: '' })
    return bar
  }

  #epochLine({ epoch, train, validation, test, seconds }: EpochEvent): string {
    const epochs = String(this.#config?.train.epochs ?? epoch)
    const accuracy = (validation ?? test ?? train).accuracy
    const improved = accuracy > this.#best
    this.#best = Math.max(this.#best, accuracy)
    const parts = [
      `epoch ${String(epoch).padStart(epochs.length)}/${epochs} `,
      `loss ${train.loss.toFixed(4)}`,
      `accuracy ${percent(train.accuracy).padStart(6)} `,
      validation ? `validation ${percent(validation.accuracy).padStart(6)} ` : '',
      test ? `test ${percent(test.accuracy).padStart(6)} ` : '',
      clock(seconds),
    ]
    const line = squeeze(this.#stdout.columns, parts, [5, 2, 1])
    return improved ? line : colors(this.#stdout).dim(line)
  }
}

/** A name, a bar as long as there is room for, and the rest; the last of these gives way to the bar. */
function barLine(columns: number | undefined, draw: (size: number) => string, parts: string[]): string {
  const room = (shown: string[]) => (columns || 80) - 2 - squeeze(Number.POSITIVE_INFINITY, shown, []).length
  for (const [name = '', ...rest] of [parts, parts.slice(0, -1)]) {
    const size = Math.min(room([name, ...rest]), 30)
    if (size >= 5) return squeeze(columns, [name, draw(size), ...rest], [])
  }
  return squeeze(columns, parts, [5, 4])
}

/** Means over the steps of an epoch that were seen, because a single batch jumps about. */
class Mean {
  #steps = 0
  #loss = 0
  #accuracy = 0
  imagesPerSecond = 0

  add({ loss, accuracy, imagesPerSecond }: StepEvent): void {
    this.#steps += 1
    this.#loss += loss
    this.#accuracy += accuracy
    this.imagesPerSecond += (imagesPerSecond - this.imagesPerSecond) / Math.min(this.#steps, 20)
  }

  get loss(): number {
    return this.#loss / this.#steps
  }

  get accuracy(): number {
    return this.#accuracy / this.#steps
  }
}

/** How long the whole run will take, from all its steps so far and the tests between them. */
class Pace {
  readonly #begun = performance.now()
  readonly #done: number

  constructor(first: StepEvent) {
    this.#done = Pace.#steps(first)
  }

  secondsLeft(event: StepEvent, epochs: number): number {
    const done = Pace.#steps(event)
    const elapsed = (performance.now() - this.#begun) / 1000
    return (elapsed / (done - this.#done)) * (epochs * event.steps - done)
  }

  static #steps({ epoch, step, steps }: StepEvent): number {
    return (epoch - 1) * steps + step
  }
}
