import type { ConvolutionSize, SeparableCost } from '../../../../index.js'
import { grouped } from './text.js'

/**
 * A step of the derivation. Words are Markdown, formulas TeX; `plainWords` and `plainFormula` make them fit for a
 * terminal.
 */
export interface Step {
  name: string
  words: string
  formulas: string[]
}

/** From the costs to 1/M + 1/K^2, with the symbols first and then with the numbers. */
export function derivation(size: ConvolutionSize, { standard, separable, ratio }: SeparableCost): Step[] {
  const { input: f, channels: c, kernel: k, outputs: m } = size
  const { depthwise, pointwise } = separable
  const positions = product('F', 'F')
  const [full, first, second] = [product('K', 'K', 'C', 'M'), product('K', 'K', 'C'), product('C', 'M')]
  const filled = (symbols: string[], numbers: number[], count: number) =>
    `${product(...symbols)} = ${product(...numbers.map(String))} = ${tex(count)}`
  return [
    {
      name: 'standard',
      words: 'Each of the $F \\cdot F \\cdot M$ outputs sums up $K \\cdot K \\cdot C$ products.',
      formulas: [filled([full, positions], [k, k, c, m, f, f], standard.multiplyAdds)],
    },
    {
      name: 'depthwise',
      words: 'One filter of $K \\cdot K$ a channel: no sum over channels, and no $M$.',
      formulas: [filled([first, positions], [k, k, c, f, f], depthwise.multiplyAdds)],
    },
    {
      name: 'pointwise',
      words: 'A 1x1 convolution makes the $M$ outputs of the $C$ channels.',
      formulas: [filled([second, positions], [c, m, f, f], pointwise.multiplyAdds)],
    },
    {
      name: 'separable',
      words: 'Both, one after the other.',
      formulas: [
        `${product(first, positions)} + ${product(second, positions)}`,
        `${tex(depthwise.multiplyAdds)} + ${tex(pointwise.multiplyAdds)} = ${tex(separable.multiplyAdds)}`,
      ],
    },
    {
      name: 'first term',
      words: 'Divided by the standard cost: $K \\cdot K$, $C$ and $F \\cdot F$ cancel.',
      formulas: [`${over(product(first, positions), product(full, positions))} = ${over('1', 'M')}`],
    },
    {
      name: 'second term',
      words: 'Here $C$, $M$ and $F \\cdot F$ cancel. What is left is of the kernel.',
      formulas: [`${over(product(second, positions), product(full, positions))} = ${over('1', 'K^2')}`],
    },
    {
      name: 'ratio',
      words: 'The sum of the two, and what the counts give. That of the parameters is the same.',
      formulas: [
        `${over('1', 'M')} + ${over('1', 'K^2')} = ${over('1', String(m))} + ${over('1', `${k}^2`)} \\approx ${digits(ratio)}`,
        `${over(tex(separable.multiplyAdds), tex(standard.multiplyAdds))} \\approx ${digits(ratio)}`,
      ],
    },
  ]
}

/** Where a well-known course note takes the wrong turn, and that its result is not the ratio of the costs. */
export function courseNote(size: ConvolutionSize, cost: SeparableCost): Step[] {
  const { input: f, kernel: k, outputs: m } = size
  const { standard, separable, ratio, courseNoteRatio } = cost
  const [shown, noted] = apart(ratio, courseNoteRatio)
  const counted = over(tex(separable.multiplyAdds), tex(standard.multiplyAdds))
  const note = `${over('1', 'M')} + ${over('1', 'F^2')} = ${over('1', String(m))} + ${over('1', `${f}^2`)}`
  return [
    {
      name: 'the note',
      words:
        'A well-known course note derives the same, and ends with $1/M + 1/F^2$. Its last step mixes up $K$ and $F$: in the second term $F^2$ is above and below the line, as both costs have it, and cancels. What stays is the $K^2$ of the kernel. How large the map is makes no difference.',
      formulas: [],
    },
    {
      name: 'in numbers',
      words:
        f === k
          ? `Here $F = K = ${k}$, so that the two are the same number. For any other input they are not.`
          : `With $F = ${f}$ and $K = ${k}$ it is not the ratio of the two costs.`,
      formulas: [`${note} \\approx ${noted}`, `${counted} \\approx ${shown}`],
    },
  ]
}

/** Both as exactly as it takes to tell them apart, and with six digits at least. */
function apart(a: number, b: number): [string, string] {
  for (let precision = 6; precision < 17; precision++) {
    const pair: [string, string] = [digits(a, precision), digits(b, precision)]
    if (pair[0] !== pair[1] || a === b) return pair
  }
  return [String(a), String(b)]
}

/** A ratio, never with an exponent. */
export function digits(ratio: number, precision = 6): string {
  const text = ratio.toPrecision(precision)
  return text.includes('e') ? ratio.toFixed(precision + 6) : text
}

/** TeX as a terminal shows it: `K*K*C`, `(K*K + M) / M`, `1/K^2`. */
export function plainFormula(text: string): string {
  return text
    .replaceAll('{,}', ',')
    .replaceAll(' \\cdot ', '*')
    .replaceAll('\\approx', '≈')
    .replaceAll(/\\frac\{([^{}]*)\}\{([^{}]*)\}/g, (_, above: string, below: string) =>
      /^[\w^]+$/.test(above + below) ? `${above}/${below}` : `${bracketed(above)} / ${bracketed(below)}`,
    )
}

/** Words with the formulas in them, which no line may break: their spaces are `\u00a0`. */
export function plainWords(text: string): string {
  return text.replaceAll(/\$([^$]*)\$/g, (_, inline: string) =>
    plainFormula(inline).replaceAll(' ', '\u00a0'),
  )
}

function bracketed(text: string): string {
  return /[*+]/.test(text) ? `(${text})` : text
}

const product = (...factors: string[]) => factors.join(' \\cdot ')
const over = (above: string, below: string) => `\\frac{${above}}{${below}}`

/** TeX puts a space behind a comma that is not in braces. */
const tex = (count: number) => grouped(count).replaceAll(',', '{,}')
