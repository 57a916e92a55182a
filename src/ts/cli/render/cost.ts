import type { ConvolutionSize, SeparableCost } from '../../../../index.js'
import { courseNote, derivation, digits, plainFormula, plainWords, type Step } from './derivation.js'
import { type Column, markdownTable, table } from './table.js'
import { colors, grouped, labelled, rounded, wrapped } from './text.js'

/** What a convolution and the separable one in its place cost, and why, for a terminal. */
export function renderCost(stdout: NodeJS.WriteStream, size: ConvolutionSize, cost: SeparableCost): string {
  const { bold, dim } = colors(stdout)
  const [head = '', ...rows] = table(columns(size, cost), stdout.columns)
  const ratio = rows.pop() ?? ''
  const facts = wrapped(stdout.columns, [
    ['input', `F x F x C = ${map(size.input, size.channels)}`],
    ['kernel', `K x K x C x M = ${kernel(size)}, padding same, stride 1`],
    ['output', `F x F x M = ${map(size.input, size.outputs)}`],
  ])
  const parts = [
    labelled(stdout, facts),
    [dim(head), ...rows, bold(ratio)].map((line) => `${line}\n`).join(''),
    `${paragraph(stdout.columns, conclusion(cost))}`,
    `${bold('Step by step, in multiply-adds')}\n${stepsText(stdout, derivation(size, cost))}`,
    `${bold('Not 1/M + 1/F^2')}\n${stepsText(stdout, courseNote(size, cost))}`,
  ]
  return parts.join('\n')
}

/** The same as Markdown, with formulas as GitHub shows them. */
export function markdownCost(size: ConvolutionSize, cost: SeparableCost): string {
  const { input, channels, kernel: k, outputs } = size
  const symbols = `$F = ${input}$, $C = ${channels}$, $K = ${k}$ and $M = ${outputs}$`
  const parts = [
    `## A ${k}x${k} convolution, and the depthwise separable one in its place`,
    `Input ${map(input, channels)}, kernel ${kernel(size)}, output ${map(input, outputs)}, padding same, stride 1: ${symbols}.`,
    markdownTable(columns(size, cost)).join('\n'),
    conclusion(cost),
    '### Step by step, in multiply-adds',
    ...derivation(size, cost).flatMap(stepMarkdown),
    '### Not $1/M + 1/F^2$',
    ...courseNote(size, cost).flatMap(stepMarkdown),
  ]
  return `${parts.join('\n\n')}\n`
}

function columns({ kernel }: ConvolutionSize, { standard, separable, ratio }: SeparableCost): Column[] {
  const rows = [standard, separable.depthwise, separable.pointwise, separable]
  const names = [
    `standard ${kernel}x${kernel}`,
    `depthwise ${kernel}x${kernel}`,
    'pointwise 1x1',
    'separable',
  ]
  return [
    { title: 'convolution', cells: [...names, 'ratio'] },
    {
      title: 'multiply-adds',
      cells: [...rows.map((row) => grouped(row.multiplyAdds)), digits(ratio)],
      right: true,
    },
    {
      title: 'parameters',
      cells: [...rows.map((row) => grouped(row.parameters)), digits(ratio)],
      right: true,
    },
  ]
}

function conclusion({ ratio }: SeparableCost): string {
  if (ratio >= 1)
    return 'The separable convolution costs more here: with a 1x1 kernel or one output channel there is nothing to save.'
  return `The separable convolution has ${rounded(1 / ratio, 3)} times fewer multiply-adds and parameters.`
}

function stepsText(stdout: NodeJS.WriteStream, steps: Step[]): string {
  const rows = steps.flatMap(({ name, words, formulas }): [string, string][] => [
    [name, plainWords(words)],
    ...formulas.map((formula): [string, string] => ['', `  ${plainFormula(formula)}`]),
  ])
  return labelled(stdout, wrapped(stdout.columns, rows)).replaceAll('\u00a0', ' ')
}

function stepMarkdown({ name, words, formulas }: Step): string[] {
  const title = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
  return [`**${title}.** ${words}`, ...formulas.map((formula) => `$$${formula}$$`)]
}

function paragraph(width: number | undefined, text: string): string {
  return wrapped(width && width + 2, [['', text]])
    .map(([, line]) => `${line}\n`)
    .join('')
}

const map = (side: number, channels: number) => `${side}x${side}x${channels}`
const kernel = ({ kernel: k, channels, outputs }: ConvolutionSize) => `${k}x${k}x${channels}x${outputs}`
