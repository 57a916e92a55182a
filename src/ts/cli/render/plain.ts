import type { Metrics, RunConfig, StepEvent, TrainEvent } from '../../../../index.js'
import { renderEnd } from './end.js'
import { renderStart } from './start.js'
import { printableLines } from './text.js'
import type { RunFacts, View } from './view.js'

/** For a log: the lines that the course's script prints. */
export class PlainView implements View {
  readonly #stdout: NodeJS.WriteStream
  readonly #facts: RunFacts
  #config: RunConfig | undefined

  constructor(stdout: NodeJS.WriteStream, facts: RunFacts) {
    this.#stdout = stdout
    this.#facts = facts
  }

  show(event: TrainEvent): void {
    if (event.type === 'start') {
      this.#config = event.config
      this.#stdout.write(renderStart(this.#stdout, event.config, this.#facts))
    } else if (event.type === 'step' && this.#config) {
      this.#stdout.write(stepLine(event, this.#config))
    } else if (event.type === 'epoch') {
      if (event.validation) this.#stdout.write(`\n${setLine('Validation', event.validation)}\n`)
      if (event.test) this.#stdout.write(`\n${setLine('Test', event.test)}\n`)
    } else if (event.type === 'warning') {
      this.#stdout.write(`warning: ${printableLines(event.message)}\n`)
    } else if (event.type === 'done') {
      this.#stdout.write(renderEnd(this.#stdout, event.report, this.#facts))
    }
  }

  close(): void {}
}

/**
 * The course counts epochs from 0, and shows where a batch begins among all pictures of the training files, those for
 * validation included. With a limit, which the course has not, that would look as if most of an epoch were left out.
 */
function stepLine({ epoch, step, steps, loss, accuracy }: StepEvent, { train, pictures }: RunConfig): string {
  const begin = (step - 1) * train.batchSize
  const all = train.limit === null ? pictures.total : pictures.train
  const share = ((100 * (step - 1)) / steps).toFixed(0)
  const result = `Loss: ${loss.toFixed(6)}, Accuracy: ${(100 * accuracy).toFixed(2)}`
  return `Train Epoch: ${epoch - 1} [${begin}/${all} (${share}%)]\t${result}\n`
}

/** The course's line about a set of pictures that was not trained on. */
export function setLine(name: string, { loss, accuracy, correct, count }: Metrics): string {
  const share = (100 * accuracy).toFixed(2)
  return `${name} set: Average loss: ${loss.toFixed(4)}, Accuracy: ${correct}/${count} (${share}%)\n`
}
