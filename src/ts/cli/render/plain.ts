import type { Metrics, RunConfig, StepEvent, TrainEvent } from '../../../../index.js'
import type { Renderer, RendererOptions } from './renderer.js'
import { describeEnd, describeStart } from './sentences.js'
import { percent } from './text.js'

/** The course's log lines. */
export class PlainRenderer implements Renderer {
  readonly #stream: NodeJS.WritableStream
  readonly #options: RendererOptions
  #config: RunConfig | undefined

  constructor(stream: NodeJS.WritableStream, options: RendererOptions) {
    this.#stream = stream
    this.#options = options
  }

  event(event: TrainEvent): void {
    const text = this.#text(event)
    if (text !== '') this.#stream.write(`${text}\n`)
  }

  close(): void {}

  #text(event: TrainEvent): string {
    switch (event.type) {
      case 'start':
        this.#config = event.config
        return this.#options.quiet ? '' : describeStart(event.config, this.#options.note)
      case 'step':
        return this.#options.quiet || !this.#config ? '' : stepLine(event, this.#config)
      case 'epoch': {
        const { validation, test } = event
        const lines = [
          ...(validation ? [metricsLine('Validation', validation)] : []),
          ...(test ? [metricsLine('Test', test)] : []),
        ]
        return lines.map((line) => `\n${line}\n`).join('\n')
      }
      case 'checkpoint':
        return this.#options.quiet ? '' : `Checkpoint: ${event.path}`
      case 'done':
        return describeEnd(event.report)
    }
  }
}

/** Counts as the course's script does: epochs from 0, pictures before this batch, of all before the split. */
function stepLine({ epoch, step, steps, loss, accuracy }: StepEvent, { train, pictures }: RunConfig): string {
  const seen = (step - 1) * train.batchSize
  const share = ((100 * (step - 1)) / steps).toFixed(0)
  return (
    `Train Epoch: ${epoch - 1} [${seen}/${pictures.total} (${share}%)]\t` +
    `Loss: ${loss.toFixed(6)}, Accuracy: ${(100 * accuracy).toFixed(2)}`
  )
}

/** `Test set: Average loss: 1.2345, Accuracy: 2750/5000 (55.00%)` */
export function metricsLine(set: string, { loss, accuracy, correct, count }: Metrics): string {
  return `${set} set: Average loss: ${loss.toFixed(4)}, Accuracy: ${correct}/${count} (${percent(accuracy)})`
}
