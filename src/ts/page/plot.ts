import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { Figure, Mark } from './figure.js'

// The build bundles this file with what it imports, so that none of it has to be installed to run the package.

/** In pixels: what a phone shows, so that letters keep their size there; a wider place enlarges the whole. */
const size = { width: 352, height: 280 }

/** A line with more marks than these is drawn without them. */
const mostMarks = 40

/** By these such lines are told apart, not by colours alone. */
const dashes = ['none', '7 3', '2 3', '10 3 2 3', '5 5', '1 4']

/** Draws a figure: an `<svg>` whose colours are the page's CSS variables of its series. */
export function draw({ id, title, description, kind, x, y, series, colors, marks }: Figure): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const variable = (one: string) => `var(--${colors?.[one] ?? one})`
  const color = ({ series }: Mark) => variable(series)
  const lines = kind === 'lines'
  // Values that are all the same have no scale of their own: theirs begins at 0.
  const flat = extent(marks.map((mark) => mark.y)) === 0
  const ends = lines ? apart(marks, y.fromZero || flat) : beside(marks)
  const of = (one: string) => marks.filter((mark) => mark.series === one)
  const marked = lines ? series.filter((one) => of(one).length <= mostMarks) : series
  const longest = Math.max(0, ...marks.map(({ name }) => name.length))
  const plotted = (marginLeft: number) =>
    Plot.plot({
      document,
      ...size,
      marginTop: 44,
      marginLeft,
      marginRight: lines ? longest * letter.width + 12 : 20,
      marginBottom: 42,
      style: { fontSize: '13px', fontFamily: 'inherit', background: 'none' },
      x: {
        label: x.label,
        labelAnchor: 'center',
        labelArrow: 'none',
        ...(x.whole
          ? { ticks: Math.min(5, extent(marks.map((mark) => mark.x))), tickFormat: 'd' }
          : { ticks: 5, nice: true, zero: true }),
      },
      y: {
        label: y.label,
        labelArrow: 'none',
        nice: true,
        zero: y.fromZero,
        ...(flat ? { domain: [0, marks[0]?.y || 1] } : {}),
        ticks: 5,
        grid: true,
      },
      symbol: {
        domain: [...series],
        range: ['circle', 'square', 'triangle', 'diamond', 'star', 'wye'].slice(0, series.length),
      },
      marks: [
        ...(lines ? series : []).map((one, index) =>
          Plot.line(of(one), {
            x: 'x',
            y: 'y',
            stroke: variable(one),
            strokeWidth: 2,
            strokeDasharray: dash(index, marked.includes(one)),
          }),
        ),
        Plot.dot(marked.flatMap(of), {
          x: 'x',
          y: 'y',
          title: 'title',
          fill: color,
          symbol: 'series',
          r: lines ? 3 : 6,
        }),
        ...ends.map(({ mark, dx, dy, anchor }) =>
          Plot.text([mark], {
            x: 'x',
            y: 'y',
            text: 'name',
            fill: color,
            // Behind the letters, where a line runs through them.
            stroke: 'var(--card)',
            strokeWidth: 4,
            fontWeight: 600,
            textAnchor: anchor,
            dx,
            dy,
          }),
        ),
      ],
    })
  const narrow = plotted(margin)
  const room = widest(narrow)
  const svg = room > margin ? plotted(room) : narrow
  name(svg, id, title, description)
  return svg.outerHTML
}

/** In pixels, left of the plot: room for numbers of five digits. */
const margin = 52

/** How many pixels the longest number beside the plot takes with its mark: a rate of 0.000002 takes more than others. */
function widest(svg: ReturnType<typeof Plot.plot>): number {
  const labels = [...svg.querySelectorAll('[aria-label="y-axis tick label"] text')]
  const longest = Math.max(0, ...labels.map(({ textContent }) => textContent?.length ?? 0))
  return longest * letter.width + 12
}

/** Where colours and symbols begin again, marks alone don't tell lines apart, nor do the dashes of the first round. */
function dash(index: number, marked: boolean): string {
  const round = Math.floor(index / dashes.length)
  return dashes[(marked ? round : index + round) % dashes.length] ?? 'none'
}

/** Where a name stands, from its mark. */
interface Place {
  mark: Mark
  dx: number
  dy: number
  anchor: 'start' | 'middle' | 'end'
}

/** About as many pixels as a letter is wide, and a line is high. */
const letter = { width: 8, height: 16 }

/** Names above their marks; below, where another mark or its name would be covered. */
function beside(marks: Mark[]): Place[] {
  const [wide, high] = [size.width - 72, size.height - 86]
  const most = Math.max(...marks.map(({ x }) => x))
  const range = extent(marks.map(({ y }) => y)) || 1
  const at = ({ x, y }: Mark) => ({ x: (x / most) * wide, y: (-y / range) * high })
  const taken = marks.map((mark) => ({ ...at(mark), half: 7 }))
  return marks.map((mark) => {
    const half = (mark.name.length * letter.width) / 2
    const { x, y } = at(mark)
    // Not over the edge, beyond which there is little room.
    const shift = Math.min(0, wide + 10 - x - half)
    const free = (dy: number) =>
      taken.every(
        (other) =>
          Math.abs(other.x - x - shift) > half + other.half ||
          Math.abs(other.y - y - dy) >= letter.height - 2,
      )
    const dy = free(-letter.height) ? -letter.height : letter.height
    taken.push({ x: x + shift, y: y + dy, half })
    return { mark, dx: shift, dy, anchor: 'middle' }
  })
}

/** Names at the right ends of lines, moved up until none covers another. */
function apart(marks: Mark[], fromZero: boolean): Place[] {
  const last = [...new Map(marks.map((mark) => [mark.series, mark])).values()]
  const pixel = extent([...marks.map(({ y }) => y), ...(fromZero ? [0] : [])]) / (size.height - 108) || 1
  let above = Number.POSITIVE_INFINITY
  return last
    .sort((a, b) => a.y - b.y)
    .map((mark) => {
      const own = -mark.y / pixel
      const place = Math.min(own, above - letter.height)
      above = place
      return { mark, dx: 11, dy: place - own, anchor: 'start' }
    })
}

const extent = (values: number[]) => Math.max(...values) - Math.min(...values)

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
