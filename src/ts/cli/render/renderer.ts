import type { TrainEvent } from '../../../../index.js'
import { JsonRenderer } from './json.js'
import { PlainRenderer } from './plain.js'
import { TtyRenderer } from './tty.js'

/** Shows a training run. */
export interface Renderer {
  event(event: TrainEvent): void
  /** The run has ended, well or not: leaves the terminal as it was. */
  close(): void
}

export interface RendererOptions {
  json: boolean
  quiet: boolean
  /** Something that a person should know about the pictures. */
  note: string | null
}

/** JSON when asked for; a bar on a terminal; else the course's lines. */
export function createRenderer(stream: NodeJS.WriteStream, options: RendererOptions): Renderer {
  if (options.json) return new JsonRenderer(stream, options)
  return stream.isTTY && !options.quiet ? new TtyRenderer(stream, options) : new PlainRenderer(stream, options)
}
