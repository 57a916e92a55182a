import type { WriteStream } from 'node:tty'
import pc from 'picocolors'

export { clock, grouped, milliseconds, percent, speedText, wholePercent } from '../../page/format.js'

/**
 * Joins `parts` by spaces. While that is wider than the terminal, leaves out the next of `optional` (indices into
 * `parts`); what is then still too wide is cut.
 */
export function squeeze(columns: number | undefined, parts: string[], optional: number[]): string {
  const width = columns || 80
  const left = new Set<number>()
  const join = () => parts.filter((part, i) => part !== '' && !left.has(i)).join(' ')
  for (const index of optional) {
    if (join().length < width) break
    left.add(index)
  }
  return join().slice(0, width - 1)
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
  return rows.map(([label, text]) => `${dim(label.padEnd(width))}  ${text}\n`).join('')
}

/** Breaks texts at words, so that with their labels they fit into the terminal. */
export function wrapped(columns: number | undefined, rows: [label: string, text: string][]): typeof rows {
  if (!columns) return rows
  const width = columns - labelWidth(rows) - 2
  return rows.flatMap(([label, text]) => {
    const lines: string[] = []
    for (const word of text.split(' ')) {
      const line = lines.at(-1)
      if (line !== undefined && line.length + 1 + word.length <= width)
        lines[lines.length - 1] = `${line} ${word}`
      else lines.push(word)
    }
    return lines.map((line, i): [string, string] => [i === 0 ? label : '', line])
  })
}

function labelWidth(rows: [label: string, text: string][]): number {
  return Math.max(...rows.map(([label]) => label.length))
}

/** A command to type, with what a shell would read quoted. */
export function shell(words: string[]): string {
  const quote =
    process.platform === 'win32'
      ? (word: string) => `"${word}"`
      : (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
  return words.map((word) => (/^[\w@%+=:,./\\-]+$/.test(word) ? word : quote(word))).join(' ')
}
