import type { Comparison } from '../../../../index.js'
import { draw } from './drawing.js'
import { type Figure, figures } from './figures.js'
import { style } from './style.js'
import { comparisonTables, epochTable, machineText, names, type Sheet, sharedText } from './tables.js'

/**
 * The comparison as one page that needs nothing else: no network, no script, no font. Every plot has a description, and
 * its numbers are in a table.
 */
export function comparisonPage(comparison: Comparison): string {
  const list = comparison.networks.map(({ variant }) => names[variant])
  const title = `MobileNet ${enumeration(list)}`
  const sections = comparisonTables(comparison).map(section)
  if (comparison.data !== null) sections.splice(1, 0, details(epochTable(comparison)))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(`Compared on this machine: ${machineText(comparison)}.`)}</p>
<p>${escaped(`All have ${sharedText(comparison)}.`)}</p>
<h2>Plots</h2>
<div class="figures">
${figures(comparison).map(figure).join('\n')}
</div>
${sections.join('\n')}
</main>
</body>
</html>
`
}

function figure(shown: Figure): string {
  return `<figure>
<figcaption>${escaped(shown.title)}</figcaption>
${draw(shown)}
</figure>`
}

function section(sheet: Sheet): string {
  const notes = sheet.notes.map((note) => `<li>${escaped(note)}</li>`).join('')
  return `<h2>${escaped(sheet.title)}</h2>
${table(sheet)}
<ul>${notes}</ul>`
}

/** A long table, closed at first. */
function details(sheet: Sheet): string {
  return `<details>
<summary>${escaped(sheet.title)}</summary>
${table(sheet)}
</details>`
}

/** Where it is wider than the window, it scrolls by itself, with the keyboard, too. */
function table({ title, columns }: Sheet): string {
  const rows = Math.max(...columns.map(({ cells }) => cells.length))
  const place = (right: boolean | undefined) => (right ? ' class="number"' : '')
  const head = columns.map((column) => `<th scope="col"${place(column.right)}>${escaped(column.title)}</th>`)
  const row = (index: number) =>
    columns.map(({ cells, right }, column) => {
      const [tag, scope] = column === 0 ? ['th', ' scope="row"'] : ['td', '']
      return `<${tag}${scope}${place(right)}>${escaped(cells[index] ?? '')}</${tag}>`
    })
  const body = Array.from({ length: rows }, (_, index) => `<tr>${row(index).join('')}</tr>`)
  return `<div class="table" role="region" tabindex="0" aria-label="${escaped(title)}">
<table>
<caption>${escaped(title)}</caption>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${body.join('\n')}
</tbody>
</table>
</div>`
}

function enumeration(list: string[]): string {
  return list.length < 2 ? list.join('') : `${list.slice(0, -1).join(', ')} and ${list.at(-1)}`
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character)
}
