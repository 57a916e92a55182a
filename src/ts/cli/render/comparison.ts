import type { Comparison } from '../../../../index.js'
import { comparisonTables, machineText, sharedText } from '../comparison/tables.js'
import { table } from './table.js'
import { colors, labelled, printable, wrapped } from './text.js'

/** What was compared, its tables, and the files that were written. */
export function renderComparison(
  stdout: NodeJS.WriteStream,
  comparison: Comparison,
  files: string[],
): string {
  const { bold, dim } = colors(stdout)
  const rows = (list: [string, string][]) => labelled(stdout, wrapped(stdout.columns, list))
  const sheets = comparisonTables(comparison).map(({ title, notes, columns }) => {
    const [head = '', ...lines] = table(columns, stdout.columns)
    const written = rows(notes.map((note) => ['', note]))
    return `${bold(title)}\n${[dim(head), ...lines].map((line) => `${line}\n`).join('')}${dim(written)}`
  })
  const facts = rows([
    ['networks', sharedText(comparison)],
    ['machine', machineText(comparison)],
  ])
  const ends = rows(files.map((file, index) => [index === 0 ? 'written' : '', printable(file)]))
  return `\n${[facts, ...sheets, ends].join('\n')}`
}
