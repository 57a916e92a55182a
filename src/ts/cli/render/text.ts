import { sep } from 'node:path'
import type { WriteStream } from 'node:tty'
import pc from 'picocolors'
import { columnsOf, cut, padEnd } from './width.js'

export { clock, grouped, milliseconds, percent, rounded, speedText, wholePercent } from '../../page/format.js'

/**
 * Joins `parts` by spaces. While that is wider than the terminal, leaves out the next of `optional` (indices into
 * `parts`), then whole parts from the end; a first part that is still too wide is cut.
 */
export function squeeze(columns: number | undefined, parts: string[], optional: number[]): string {
  const width = columns || 80
  const left = new Set<number>()
  const join = () => parts.filter((part, i) => part !== '' && !left.has(i)).join(' ')
  const last = Array.from(parts.keys()).slice(1).reverse()
  for (const index of [...optional, ...last]) {
    if (columnsOf(join().trimEnd()) < width) break
    left.add(index)
  }
  return cut(join().trimEnd(), 0, width - 1)
}

/** Functions that colour a text, or leave it as it is. */
export type Colors = ReturnType<typeof pc.createColors>

/** Colours for this stream: none when it is not a terminal, or the user wants none (NO_COLOR). */
export function colors(stream: Pick<WriteStream, 'isTTY'>): Colors {
  return pc.createColors(Boolean(stream.isTTY) && pc.isColorSupported)
}

/** Lines with what they are about in front, in a column of its own. */
export function labelled(stream: Pick<WriteStream, 'isTTY'>, rows: [label: string, text: string][]): string {
  const width = labelWidth(rows)
  const { dim } = colors(stream)
  return rows.map(([label, text]) => `${dim(padEnd(label, width))}  ${text}\n`).join('')
}

/** Breaks texts at words, so that with their labels they fit into the terminal. */
export function wrapped(columns: number | undefined, rows: [label: string, text: string][]): typeof rows {
  if (!columns) return rows
  const width = columns - labelWidth(rows) - 2
  return rows.flatMap(([label, text]) => {
    const lines: string[] = []
    for (const word of text.split(' ')) {
      const line = lines.at(-1)
      if (line !== undefined && columnsOf(line) + 1 + columnsOf(word) <= width)
        lines[lines.length - 1] = `${line} ${word}`
      else lines.push(word)
    }
    return lines.map((line, i): [string, string] => [i === 0 ? label : '', line])
  })
}

/** `1 complete epoch`, `2 epochs`. */
export function epochs(count: number, kind = ''): string {
  return `${count} ${kind}epoch${count === 1 ? '' : 's'}`
}

function labelWidth(rows: [label: string, text: string][]): number {
  return Math.max(...rows.map(([label]) => columnsOf(label)))
}

/** A word for a POSIX shell; with control characters, as bash and its like read them. */
function quoted(word: string): string {
  if (printable(word) === word) return `'${word.replaceAll("'", `'\\''`)}'`
  return `$'${printable(word.replaceAll('\\', '\\\\').replaceAll("'", "\\'"))}'`
}

/** A command to type, with what a shell would read quoted: that of Windows doesn't read backslashes. */
export function shell(words: string[], platform: NodeJS.Platform = process.platform): string {
  const windows = platform === 'win32'
  const quote = windows ? (word: string) => `"${printable(word)}"` : quoted
  const harmless = windows ? /^[\w@%+=:,./\\-]+$/ : /^[\w@%+=:,./-]+$/
  return words.map((word) => (harmless.test(word) ? word : quote(word))).join(' ')
}

// Control characters, and those that turn the direction of writing: a terminal would obey them.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
const control = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g
const escapes: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/**
 * The name of a file, or another text from outside, as it may go to a terminal: control characters are written as in a
 * string, `\x1b` or `\n`.
 */
export function printable(text: string): string {
  return text.replace(control, (character) => {
    const code = character.charCodeAt(0)
    return escapes[character] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`)
  })
}

/** The same for a text that may have several lines, as messages have that give a list. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0')
}

/** A path as a word of a command, for which it would be an option if it began with a dash. */
export function pathWord(path: string): string {
  return path.startsWith('-') ? `.${sep}${path}` : path
}
