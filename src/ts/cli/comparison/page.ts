import type { Comparison } from '../../../../index.js'
import { details, figures as drawn, page, paragraph, section } from '../../page/frame.js'
import { figures } from './figures.js'
import { style } from './style.js'
import { comparisonTables, epochTable, machineText, names, sharedText } from './tables.js'

/**
 * The comparison as one page that needs nothing else: no network, no script, no font. Every plot has a description, and
 * its numbers are in a table.
 */
export function comparisonPage(comparison: Comparison): string {
  const list = comparison.networks.map(({ variant }) => names[variant])
  const sections = comparisonTables(comparison).map(section)
  if (comparison.data !== null) sections.splice(1, 0, details(epochTable(comparison)))
  return page({
    title: `MobileNet ${enumeration(list)}`,
    style,
    body: [
      paragraph(`Compared on this machine: ${machineText(comparison)}.`),
      paragraph(`All have ${sharedText(comparison)}.`),
      '<h2>Plots</h2>',
      drawn(figures(comparison)),
      ...sections,
    ],
  })
}

function enumeration(list: string[]): string {
  return list.length < 2 ? list.join('') : `${list.slice(0, -1).join(', ')} and ${list.at(-1)}`
}
