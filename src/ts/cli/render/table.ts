import type { Column } from '../../page/sheet.js'
import { columnsOf, padEnd, padStart } from './width.js'

export { type Column, numberColumn } from '../../page/sheet.js'

/** Lines of aligned columns. */
export function table(columns: Column[], width: number | undefined): string[] {
  const widthOf = ({ title, cells }: Column) => Math.max(...[title, ...cells].map(columnsOf))
  const total = (list: Column[]) => list.reduce((sum, column) => sum + widthOf(column) + 2, -2)
  let shown = columns
  for (const spare of columns
    .filter((column) => column.spare)
    .sort((a, b) => (b.spare ?? 0) - (a.spare ?? 0))) {
    if (width === undefined || total(shown) <= width) break
    shown = shown.filter((column) => column !== spare)
  }
  const rows = Math.max(...columns.map(({ cells }) => cells.length))
  return Array.from({ length: rows + 1 }, (_, row) =>
    shown
      .map((column) => {
        const text = row === 0 ? column.title : (column.cells[row - 1] ?? '')
        return column.right ? padStart(text, widthOf(column)) : padEnd(text, widthOf(column))
      })
      .join('  ')
      .trimEnd(),
  )
}

/** The same columns, all of them, as a Markdown table. */
export function markdownTable(columns: Column[]): string[] {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  const rows = Math.max(...columns.map(({ cells }) => cells.length))
  return [
    line(columns.map(({ title }) => title)),
    line(columns.map(({ right }) => (right ? '--:' : '---'))),
    ...Array.from({ length: rows }, (_, row) => line(columns.map(({ cells }) => cells[row] ?? ''))),
  ]
}
