import type { Logits, Prediction } from '../../../../index.js'
import { writeCsv } from './csv.js'
import { writeJson } from './json.js'
import { percent, printable } from './text.js'
import { columnsOf, cut, padEnd } from './width.js'

/** How predictions are printed. */
export type PredictionFormat = 'text' | 'json' | 'csv'

/** Predictions as they come: lines for people, a line of JSON for each picture, or a table. */
export class PredictionView {
  readonly #stdout: NodeJS.WriteStream
  readonly #format: PredictionFormat
  readonly #labelWidth: number
  #fileWidth = 0

  /** @param files Those that are known before, for the width of their column. */
  constructor(stdout: NodeJS.WriteStream, format: PredictionFormat, files: string[], classes: string[]) {
    this.#stdout = stdout
    this.#format = format
    this.#labelWidth = longest(classes)
    this.#fileWidth = this.#bounded(longest(files))
    if (format === 'csv') writeCsv(stdout, ['file', 'rank', 'label', 'index', 'probability'])
  }

  show(file: string, predictions: Prediction[], logits: Logits): void {
    if (this.#format === 'json') {
      writeJson(this.#stdout, { type: 'prediction', file, predictions, logits: [...logits] })
    } else if (this.#format === 'csv') {
      for (const [i, { label, index, probability }] of predictions.entries()) {
        writeCsv(this.#stdout, [file, i + 1, label, index, probability])
      }
    } else {
      const name = printable(file)
      this.#fileWidth = Math.max(this.#fileWidth, this.#bounded(columnsOf(name)))
      this.#stdout.write(this.#lines(name, predictions))
    }
  }

  #lines(file: string, predictions: Prediction[]): string {
    const width = this.#fileWidth
    const own = columnsOf(file)
    const name = own > width ? `…${cut(file, own - width + 1)}` : file
    const line = ({ label, probability }: Prediction, i: number) =>
      `${padEnd(i === 0 ? name : '', width)}  ${padEnd(printable(label), this.#labelWidth)}  ${percent(probability).padStart(7)}\n`
    return predictions.map(line).join('')
  }

  /** As wide as the terminal has room for: a probability and the spaces between take 11 columns. */
  #bounded(width: number): number {
    const room = (this.#stdout.columns || Number.POSITIVE_INFINITY) - this.#labelWidth - 11
    return Math.min(width, Math.max(room, 8))
  }
}

function longest(texts: string[]): number {
  return texts.reduce((most, text) => Math.max(most, columnsOf(printable(text))), 0)
}
