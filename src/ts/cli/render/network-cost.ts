import type { Cost, ModelCost } from '../../../../index.js'
import { digits } from './derivation.js'
import { networkText } from './start.js'
import { type Column, markdownTable, table } from './table.js'
import { colors, grouped, labelled, wrapped } from './text.js'

/** A row of a table: the network, what it costs, and what the paper prints, where it does. */
export interface CostRow extends Cost {
  name: string
  paper: Cost | null
}

/** Networks below each other. */
export interface CostTable<Row extends CostRow = CostRow> {
  title: string
  /** What the rows differ in. */
  of: string
  rows: Row[]
}

/** A network beside the same one with standard convolutions, and further tables, for a terminal. */
export function renderNetworkCost(
  stdout: NodeJS.WriteStream,
  cost: ModelCost,
  first: CostTable,
  more: CostTable[],
): string {
  const { bold, dim } = colors(stdout)
  const width = stdout.columns
  const [head = '', ...rows] = table(columns(first, cost), width)
  const ratio = rows.pop() ?? ''
  const lines = (text: string[]) => text.map((line) => `${line}\n`).join('')
  const others = more.map((other) => {
    const [head = '', ...rows] = table(columns(other), width)
    return lines([bold(other.title), dim(head), ...rows])
  })
  const notes = labelled(stdout, wrapped(width, notesOf(more.length > 0)))
  const parts = [
    labelled(stdout, wrapped(width, [['network', networkText(cost.config)]])),
    lines([bold(first.title), dim(head), ...rows, bold(ratio)]),
    ...others,
    notes,
  ]
  return parts.join('\n')
}

/** The same as Markdown. */
export function markdownNetworkCost(cost: ModelCost, first: CostTable, more: CostTable[]): string {
  const parts = [
    `## ${networkText(cost.config)}`,
    ...[first, ...more].flatMap((each) => [
      `### ${each.title}`,
      markdownTable(columns(each, each === first ? cost : undefined)).join('\n'),
    ]),
    ...notesOf(more.length > 0).map(([name, text]) => `**${name}:** ${text}`),
  ]
  return `${parts.join('\n\n')}\n`
}

function notesOf(withPaper: boolean): [string, string][] {
  const notes: [string, string][] = [
    [
      'standard',
      'one standard convolution in place of each depthwise convolution and the pointwise one behind it',
    ],
    ['parameters', 'with batch norm and classifier'],
  ]
  if (withPaper) notes.push(['paper', 'as arXiv 1704.04861 prints it, in millions'])
  return notes
}

function columns({ of, rows }: CostTable, whole?: ModelCost): Column[] {
  const numbers = (key: keyof Cost): Column[] => {
    const paper = rows.some((row) => row.paper)
    const last = whole ? [digits(whole[key] / whole.standard[key], 4)] : []
    const ours = { title: title[key], cells: [...rows.map((row) => grouped(row[key])), ...last], right: true }
    const cells = rows.map((row) => (row.paper ? String(row.paper[key] / 1e6) : ''))
    return paper ? [ours, { title: 'paper', cells, right: true, spare: 1 }] : [ours]
  }
  const names = [...rows.map(({ name }) => name), ...(whole ? ['ratio'] : [])]
  return [{ title: of, cells: names }, ...numbers('multiplyAdds'), ...numbers('parameters')]
}

const title = { multiplyAdds: 'multiply-adds', parameters: 'parameters' }
