/** A mark of a plot: where it is, and what it says when it is pointed at. */
export interface Mark {
  /** One of the figure's. */
  series: string
  /** What people call the series. */
  name: string
  x: number
  y: number
  title?: string
}

/** One plot. */
export interface Figure {
  /** Of an element of the page. */
  id: string
  title: string
  /** The same in words, for who can't see it. */
  description: string
  /** `points` have a name each, `lines` one at their end. */
  kind: 'points' | 'lines'
  x: { label: string; whole?: boolean }
  /** `fromZero`: lengths are compared; else the axis begins where the marks do. */
  y: { label: string; fromZero: boolean }
  /** In the order in which they get their symbols and dashes. The page's CSS has a variable `--<series>` for each. */
  series: readonly string[]
  /** The variables of series that have none of their own: where there are more series than colours. */
  colors?: Readonly<Record<string, string>>
  marks: Mark[]
}
