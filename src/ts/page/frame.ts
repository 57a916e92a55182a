import type { Figure } from './figure.js'
import type { Sheet } from './sheet.js'
import { style } from './style.js'

/**
 * Loaded when it is needed: it is as large as all the rest. By a type of its own, because those of the library need a
 * browser's.
 */
function plot() {
  return require('./plot.js') as { draw: (figure: Figure) => string }
}

/** A page that needs nothing else: no network, no font, no file beside it. */
export interface Page {
  title: string
  /** Besides the style of all pages. */
  style?: string
  /** Behind the style, in the head. */
  head?: string
  /** Below the title. */
  body: string[]
}

/** The whole page. */
export function page({ title, style: own = '', head = '', body }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${style}${own}</style>${head}
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
${body.join('\n')}
</main>
</body>
</html>
`
}

/** A sentence. */
export function paragraph(text: string): string {
  return `<p>${escaped(text)}</p>`
}

/** Plots beside each other, as many as there is room for. */
export function figures(shown: Figure[]): string {
  const each = (figure: Figure) => `<figure>
<figcaption>${escaped(figure.title)}</figcaption>
${plot().draw(figure)}
</figure>`
  return `<div class="figures">
${shown.map(each).join('\n')}
</div>`
}

/** A table with its title above and what its columns mean below. */
export function section(sheet: Sheet): string {
  const notes = sheet.notes.map((note) => `<li>${escaped(note)}</li>`).join('')
  return `<h2>${escaped(sheet.title)}</h2>
${table(sheet)}${notes === '' ? '' : `\n<ul>${notes}</ul>`}`
}

/** A long table, closed at first. */
export function details(sheet: Sheet): string {
  return `<details>
<summary>${escaped(sheet.title)}</summary>
${table(sheet)}
</details>`
}

/** Where it is wider than the window, it scrolls by itself, with the keyboard, too. */
export function table({ title, columns, words }: Sheet): string {
  const rows = Math.max(...columns.map(({ cells }) => cells.length))
  const place = (right: boolean | undefined) => (right ? ' class="number"' : '')
  const head = columns.map((column) => `<th scope="col"${place(column.right)}>${escaped(column.title)}</th>`)
  const row = (index: number) =>
    columns.map(({ cells, right }, column) => {
      const [tag, scope] = column === 0 ? ['th', ' scope="row"'] : ['td', '']
      return `<${tag}${scope}${place(right)}>${escaped(cells[index] ?? '')}</${tag}>`
    })
  const body = Array.from({ length: rows }, (_, index) => `<tr>${row(index).join('')}</tr>`)
  return scrolling(
    title,
    `<table${words ? ' class="words"' : ''}>
<caption>${escaped(title)}</caption>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${body.join('\n')}
</tbody>
</table>`,
  )
}

/** A place that scrolls by itself. */
export function scrolling(title: string, content: string): string {
  return `<div class="table" role="region" tabindex="0" aria-label="${escaped(title)}">
${content}
</div>`
}

/** Text between tags, or in an attribute. */
export function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character)
}
