import { percent } from '../page/format.js'
import { escaped, scrolling } from '../page/frame.js'
import { numberColumn, type Sheet } from '../page/sheet.js'
import type { Evaluation } from '../record/evaluation.js'

// What a file says goes into the page escaped, numbers too: whoever sends somebody a run's folder may have written anything.

/** Of more classes a matrix can't be read: then the pairs are listed that are confused most. */
const mostClasses = 20
const mostPairs = 30

/** Which classes are taken for which. */
export function confusion({ classes, confusion, split }: Evaluation): string {
  if (confusion === null) return '<p>With so many classes it is not kept which are taken for which.</p>'
  const kept = { classes, confusion, split }
  return classes.length <= mostClasses ? matrix(kept) : pairs(kept)
}

interface Confusion {
  classes: string[]
  confusion: number[][]
  split: Evaluation['split']
}

function matrix({ classes, confusion, split }: Confusion): string {
  const title = `Confusion matrix of the ${split} pictures`
  const shown = (count: number) => escaped(String(count))
  const head = classes.map((label) => `<th scope="col" class="number">${escaped(label)}</th>`).join('')
  const most = Math.max(
    1,
    ...confusion.flatMap((counts, right) => counts.filter((_, answer) => answer !== right)),
  )
  const row = (counts: number[], right: number) => {
    const cells = counts.map((count, answer) => {
      if (answer === right) return `<td class="right">${shown(count)}</td>`
      // Not darker than letters can be read on.
      return `<td${count === 0 ? '' : ` style="--share: ${((0.5 * count) / most).toFixed(2)}"`}>${shown(count)}</td>`
    })
    return `<tr><th scope="row">${escaped(classes[right] ?? '')}</th>${cells.join('')}</tr>`
  }
  return `<p>A row for each right class, a column for each answer. Right answers are framed; the others are the more coloured
the more there are.</p>
${scrolling(
  title,
  `<table class="confusion">
<caption>${escaped(title)}</caption>
<thead><tr><th scope="col">right class</th>${head}</tr></thead>
<tbody>
${confusion.map(row).join('\n')}
</tbody>
</table>`,
)}`
}

function pairs({ classes, confusion }: Confusion): string {
  const all = confusion.flatMap((counts, right) =>
    counts.flatMap((count, answer) => (count > 0 && answer !== right ? [{ right, answer, count }] : [])),
  )
  const shown = all.sort((a, b) => b.count - a.count).slice(0, mostPairs)
  const rows = shown.map(
    ({ right, answer, count }) =>
      `<tr><th scope="row">${escaped(classes[right] ?? '')}</th><td>${escaped(classes[answer] ?? '')}</td><td class="number">${escaped(String(count))}</td></tr>`,
  )
  const title = 'The classes that are confused most'
  return scrolling(
    title,
    `<table>
<caption>${title}</caption>
<thead><tr><th scope="col">right class</th><th scope="col">answer</th><th scope="col" class="number">pictures</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>`,
  )
}

/** Precision and recall. */
export function classTable({ perClass, split }: Evaluation): Sheet {
  const share = (value: number | null) => (value === null ? 'none' : percent(value))
  return {
    title: `Classes of the ${split} pictures`,
    notes: [
      'Precision: of the pictures said to be of the class, the share that is. Recall: of its pictures, the share that was found.',
    ],
    columns: [
      { title: 'class', cells: perClass.map(({ label }) => label) },
      numberColumn(
        'pictures',
        perClass.map(({ count }) => String(count)),
      ),
      numberColumn(
        'precision',
        perClass.map(({ precision }) => share(precision)),
      ),
      numberColumn(
        'recall',
        perClass.map(({ recall }) => share(recall)),
      ),
    ],
  }
}

/** The pictures whose right class the network finds least probable. */
export function mostWrong({ mostWrong, split }: Evaluation): string {
  if (mostWrong.length === 0) return `<p>Every ${escaped(split)} picture is answered right.</p>`
  const item = ({ index, label, probability, answers, png }: Evaluation['mostWrong'][number]) => {
    const answer = answers[0]?.label ?? ''
    const alt = `${split} picture ${index}: right is ${label}, the answer is ${answer}`
    const list = answers
      .map((one) => `<li><span>${escaped(one.label)}</span> <span>${percent(one.probability)}</span></li>`)
      .join('')
    return `<li><img src="data:image/png;base64,${escaped(png)}" width="96" height="96" loading="lazy" alt="${escaped(alt)}">
<strong>${escaped(label)}</strong> ${percent(probability)}
<ol aria-label="most probable">${list}</ol></li>`
  }
  return `<p>The ${mostWrong.length} wrong answers for which the right class was least probable: the right class with its
probability, and below what the network found more probable.</p>
<ul class="wrong">
${mostWrong.map(item).join('\n')}
</ul>`
}
