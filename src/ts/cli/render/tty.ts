import { Format, SingleBar } from 'cli-progress'
import pc from 'picocolors'
import type { EpochEvent, RunConfig, StepEvent, TrainEvent } from '../../../../index.js'
import type { Renderer, RendererOptions } from './renderer.js'
import { describeEnd, describeStart } from './sentences.js'
import { clock, fit, percent } from './text.js'

/** On a terminal: a bar for each epoch, and a line when it has ended. */
export class TtyRenderer implements Renderer {
  readonly #stream: NodeJS.WriteStream
  readonly #note: string | null
  #config: RunConfig | undefined
  #bar: SingleBar | undefined
  /** For the time that is left: when the first step came, and how many steps were done by then. */
  #first: { time: number; done: number } | undefined

  constructor(stream: NodeJS.WriteStream, { note }: RendererOptions) {
    this.#stream = stream
    this.#note = note
  }

  event(event: TrainEvent): void {
    switch (event.type) {
      case 'start':
        this.#config = event.config
        this.#print(describeStart(event.config, this.#note))
        break
      case 'step':
        this.#step(event)
        break
      case 'epoch':
        this.#print(this.#epochLine(event))
        break
      case 'checkpoint':
        this.#print(pc.dim(`checkpoint ${event.path}`))
        break
      case 'done':
        this.#print(describeEnd(event.report))
        break
    }
  }

  close(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  #print(text: string): void {
    this.close()
    this.#stream.write(`${text}\n`)
  }

  #step(event: StepEvent): void {
    this.#bar ??= this.#start(event.steps)
    this.#bar.update(event.step, { event, left: this.#secondsLeft(event) })
  }

  #secondsLeft({ epoch, step, steps }: StepEvent): number {
    const done = (epoch - 1) * steps + step
    const now = performance.now() / 1000
    this.#first ??= { time: now, done }
    const all = (this.#config?.train.epochs ?? epoch) * steps
    return ((now - this.#first.time) / (done - this.#first.done)) * (all - done)
  }

  #start(steps: number): SingleBar {
    const bar = new SingleBar({
      stream: this.#stream,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 24,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      format: (options, params, payload: { event?: StepEvent; left?: number }) => {
        const { event, left } = payload
        if (!event) return ''
        const parts = [
          `epoch ${event.epoch}/${this.#config?.train.epochs}`,
          Format.BarFormat(params.progress, options),
          `${(params.progress * 100).toFixed(0)}%`.padStart(4),
          `loss ${event.loss.toFixed(4)}`,
          `accuracy ${percent(event.accuracy)}`,
          `${event.imagesPerSecond.toFixed(0)} img/s`,
          `ETA ${clock(left ?? Number.NaN)}`,
        ]
        // A narrow window loses the bar first, then the speed, the accuracy and the epoch.
        return fit(this.#stream.columns, parts, [1, 5, 4, 0])
      },
    })
    bar.start(steps, 0, {})
    return bar
  }

  #epochLine({ epoch, train, validation, test, seconds }: EpochEvent): string {
    const parts = [
      pc.bold(`epoch ${epoch}/${this.#config?.train.epochs}`),
      `train ${train.loss.toFixed(4)} ${percent(train.accuracy)}`,
      validation ? `validation ${validation.loss.toFixed(4)} ${pc.green(percent(validation.accuracy))}` : '',
      test ? `test ${test.loss.toFixed(4)} ${pc.green(percent(test.accuracy))}` : '',
      pc.dim(clock(seconds)),
    ]
    return parts.filter(Boolean).join('  ')
  }
}
