import { sliceAnsi, stringWidth } from './libraries.js'

/** `text` in at most `width` columns: what is more is cut off. */
export function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) return text
  const part = sliceAnsi(text, 0, width)
  // A wide character that begins in the last column is in it.
  return stringWidth(part) <= width ? part : sliceAnsi(text, 0, width - 1)
}

/** `text` in just `width` columns. */
export function padded(text: string, width: number, right = false): string {
  const space = ' '.repeat(Math.max(0, width - stringWidth(text)))
  return cut(right ? space + text : text + space, width)
}

/** Puts `cells` one behind the other, into as many lines as it takes. */
export function flow(cells: string[], width: number, gap = '   '): string[] {
  const lines: string[] = []
  for (const cell of cells) {
    const line = lines.at(-1)
    if (line !== undefined && stringWidth(line + gap + cell) <= width)
      lines[lines.length - 1] = line + gap + cell
    else lines.push(cut(cell, width))
  }
  return lines
}

/** Puts blocks of lines next to each other, each as wide as it is. */
export function beside(blocks: string[][], gap = '   '): string[] {
  const widths = blocks.map((block) => Math.max(0, ...block.map((line) => stringWidth(line))))
  const height = Math.max(0, ...blocks.map((block) => block.length))
  return Array.from({ length: height }, (_, row) =>
    blocks
      .map((block, i) => padded(block[row] ?? '', widths[i] ?? 0))
      .join(gap)
      .trimEnd(),
  )
}
