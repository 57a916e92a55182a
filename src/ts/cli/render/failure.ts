import type { MobileNetError } from '../../../../index.js'
import { colors, printableLines } from './text.js'

/** How a command failed. */
export interface Failure {
  /** The process's exit status. */
  status: number
  /** A code of `MobileNetError`. */
  code: string
  /** For a person; empty when there is nothing left to say. */
  message: string
}

/** Tells on stderr of a failure after which the command goes on. */
export function tellFailure(
  stderr: NodeJS.WriteStream,
  { code, message }: MobileNetError,
  json: boolean,
): void {
  stderr.write(renderFailure(stderr, { status: 1, code, message }, json))
}

/** The line on stderr. */
export function renderFailure(stderr: NodeJS.WriteStream, { code, message }: Failure, json: boolean): string {
  if (json) return `${JSON.stringify({ type: 'error', code, message })}\n`
  const { red, dim } = colors(stderr)
  return `${red('error')} ${dim(code)} ${printableLines(message)}\n`
}
