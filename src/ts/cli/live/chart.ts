import type { Colors } from '../render/text.js'
import { cut, padded } from './layout.js'
import { cyan, plot } from './libraries.js'

/** What a chart shows, and how. */
export interface ChartOptions {
  title: string
  /** Rows below the title. */
  height: number
  width: number
  /** A number at the axis, in at most six columns. */
  format: (value: number) => string
  colors: Colors
}

/** The numbers of the axis. */
const axisWidth = 6

/** A title, and below it a line through the values of `curve`, which gives as many as it is asked for. */
export function chart(
  curve: (points: number) => number[],
  { title, height, width, format, colors }: ChartOptions,
): string[] {
  const values = curve(width - axisWidth)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const range = high - low
  // In rows from the bottom, so that the library makes just as many as asked for; from 1, because it marks a row 0. A flat
  // line is in the middle.
  const rows = height - 1
  const middle = 1 + Math.floor(rows / 2)
  const row = (value: number) => (range > 0 ? 1 + ((value - low) / range) * rows : middle)
  const text = plot(values.map(row), {
    height: rows,
    min: 1,
    max: height,
    offset: 2,
    format: (at: number) => {
      const label = range > 0 ? format(low + ((at - 1) / rows) * range) : at === middle ? format(low) : ''
      return padded(label, axisWidth, true)
    },
    ...(colors.isColorSupported ? { colors: [cyan] } : {}),
  })
  return [cut(title, width), ...text.split('\n').map((line) => line.trimEnd())]
}
