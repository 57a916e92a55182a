import type { Comparison } from '../../../../index.js'
import { comparisonTables, epochTable, machineText, type Sheet, sharedText } from './tables.js'

/** The comparison as a document of its own, with the page's tables. */
export function comparisonMarkdown(comparison: Comparison): string {
  const sheets = comparisonTables(comparison)
  if (comparison.data !== null) sheets.push(epochTable(comparison))
  return `${[
    '# MobileNets compared',
    `Networks: ${sharedText(comparison)}. Machine: ${machineText(comparison)}.`,
    ...sheets.flatMap((sheet) => [`## ${sheet.title}`, markdownTable(sheet), sheet.notes.join('\n')]),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}

function markdownTable({ columns }: Sheet): string {
  const rows = Math.max(...columns.map(({ cells }) => cells.length))
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [
    line(columns.map(({ title }) => title)),
    line(columns.map(({ right }) => (right ? '---:' : '---'))),
    ...Array.from({ length: rows }, (_, row) => line(columns.map(({ cells }) => cells[row] ?? ''))),
  ].join('\n')
}
