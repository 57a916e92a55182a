import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { Figure, Mark } from './figures.js'

// The build bundles this file with what it imports, so that none of it has to be installed to run the package.

/** In pixels: what a phone shows, so that letters keep their size there; a wider place enlarges the whole. */
const size = { width: 352, height: 272 }

/** Draws a figure: an `<svg>` whose colours are the page's CSS variables `--v1`, `--v2`, `--v3-large`, `--v3-small`. */
export function draw({ id, title, description, kind, x, y, marks }: Figure): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const color = ({ variant }: Mark) => `var(--${variant})`
  const at = { x: 'x', y: 'y', title: 'title' } as const
  const last = [...new Map(marks.map((mark) => [mark.variant, mark])).values()]
  const labels = apart(last, marks)
  const right = (mark: Mark) => kind === 'lines' || mark.x <= middle(marks)
  const label = (side: 'left' | 'right') =>
    Plot.text(
      labels.filter((mark) => right(mark) === (side === 'right')),
      {
        x: 'x',
        y: 'y',
        text: 'name',
        fill: color,
        fontWeight: 600,
        textAnchor: side === 'right' ? 'start' : 'end',
        dx: side === 'right' ? 11 : -11,
      },
    )
  const svg = Plot.plot({
    document,
    ...size,
    marginTop: 30,
    marginLeft: 52,
    marginRight: kind === 'lines' ? 76 : 20,
    marginBottom: 42,
    style: { fontSize: '13px', fontFamily: 'inherit', background: 'none' },
    x: {
      label: x.label,
      labelAnchor: 'center',
      labelArrow: 'none',
      nice: !x.whole,
      ticks: 5,
      ...(x.whole ? { interval: 1 } : { zero: true }),
    },
    y: { label: y.label, labelArrow: 'none', nice: true, zero: y.fromZero, ticks: 5, grid: true },
    marks: [
      kind === 'lines'
        ? Plot.line(marks, { x: 'x', y: 'y', z: 'variant', stroke: color, strokeWidth: 2 })
        : null,
      Plot.dot(marks, {
        ...at,
        fill: color,
        symbol: 'variant',
        r: kind === 'lines' ? 3 : 6,
      }),
      label('left'),
      label('right'),
    ],
    symbol: {
      domain: ['v1', 'v2', 'v3-large', 'v3-small'],
      range: ['circle', 'square', 'triangle', 'diamond'],
    },
  })
  name(svg, id, title, description)
  return svg.outerHTML
}

/** Says what a picture shows to those who don't see it. */
function name(svg: ReturnType<typeof Plot.plot>, id: string, title: string, description: string): void {
  const { ownerDocument: document } = svg
  const add = (tag: string, text: string) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
    element.setAttribute('id', `${id}-${tag}`)
    element.textContent = text
    svg.insertBefore(element, svg.firstChild)
  }
  add('desc', description)
  add('title', title)
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-labelledby', `${id}-title`)
  svg.setAttribute('aria-describedby', `${id}-desc`)
}

/** Where half of the width lies: beyond it, names stand to the left of their marks. */
function middle(marks: Mark[]): number {
  return Math.max(...marks.map(({ x }) => x)) / 2
}

/** Where names stand: beside their marks, but moved up where they would cover another. */
function apart(last: Mark[], all: Mark[]): Mark[] {
  const extent = (values: number[]) => Math.max(...values) - Math.min(...values)
  const [wide, high] = [extent(all.map(({ x }) => x)) / 4, extent(all.map(({ y }) => y)) / 10]
  const placed: Mark[] = []
  for (const mark of [...last].sort((a, b) => a.y - b.y)) {
    const near = placed.filter(({ x }) => Math.abs(x - mark.x) <= wide)
    placed.push({ ...mark, y: Math.max(mark.y, ...near.map(({ y }) => y + high)) })
  }
  return placed
}
