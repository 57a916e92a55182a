import type { TrainEvent } from '../../../../index.js'
import type { View } from './view.js'

/** One JSON object. */
export function writeJson(stream: NodeJS.WriteStream, value: { type: string; [key: string]: unknown }): void {
  stream.write(`${JSON.stringify(value)}\n`)
}

/** For a program: every event as it is, a line each. */
export class JsonView implements View {
  readonly #stdout: NodeJS.WriteStream

  constructor(stdout: NodeJS.WriteStream) {
    this.#stdout = stdout
  }

  show(event: TrainEvent): void {
    writeJson(this.#stdout, { ...event })
  }

  close(): void {}
}
