import type { Comparison } from '../../../../index.js'
import { markdownTable } from '../render/table.js'
import { comparisonTables, epochTable, machineText, sharedText } from './tables.js'

/** The comparison as a document of its own, with the page's tables. */
export function comparisonMarkdown(comparison: Comparison): string {
  const sheets = comparisonTables(comparison)
  if (comparison.data !== null) sheets.push(epochTable(comparison))
  return `${[
    '# MobileNets compared',
    `Networks: ${sharedText(comparison)}. Machine: ${machineText(comparison)}.`,
    ...sheets.flatMap((sheet) => [
      `## ${sheet.title}`,
      markdownTable(sheet.columns).join('\n'),
      sheet.notes.join('\n'),
    ]),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}
