import type { TrainEvent } from '../../../../index.js'
import type { Renderer, RendererOptions } from './renderer.js'

/** One JSON object a line. */
export class JsonRenderer implements Renderer {
  readonly #stream: NodeJS.WritableStream
  readonly #quiet: boolean

  constructor(stream: NodeJS.WritableStream, { quiet }: RendererOptions) {
    this.#stream = stream
    this.#quiet = quiet
  }

  event(event: TrainEvent): void {
    if (this.#quiet && event.type === 'step') return
    this.#stream.write(`${JSON.stringify(event)}\n`)
  }

  close(): void {}
}
