import type { Deps } from '../deps.js'
import { writeJson } from './json.js'
import { printable } from './text.js'

/** Says on stderr in one line what a person should know; nothing where there is nothing to know. */
export function tellNote(
  { stderr }: Pick<Deps, 'stderr'>,
  message: string | null,
  { json, quiet }: { json?: boolean | undefined; quiet?: boolean | undefined },
): void {
  if (message === null || quiet) return
  if (json) writeJson(stderr, { type: 'note', message })
  else stderr.write(`note: ${printable(message)}\n`)
}
