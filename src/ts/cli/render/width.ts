import { sliceAnsi, stringWidth } from '../live/libraries.js'

/** These take a column each, as nearly all texts do; so the library is only read for others. */
const plain = /^[\x20-\x7e]*$/

/** How many columns of a terminal a text takes: Chinese characters and emoji take two each. */
export function columnsOf(text: string): number {
  return plain.test(text) ? text.length : stringWidth(text)
}

/** As much of a text as fits between two columns. */
export function cut(text: string, from: number, to?: number): string {
  return plain.test(text) ? text.slice(from, to) : sliceAnsi(text, from, to)
}

/** A text with spaces behind it. */
export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - columnsOf(text)))
}

/** A text with spaces before it. */
export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - columnsOf(text))) + text
}
