/** A column of a table: its title, what stands in each row, and how. */
export interface Column {
  title: string
  cells: string[]
  /** Numbers stand to the right. */
  right?: boolean
  /** In a window that is too narrow for all columns, this goes first when it is the highest; never without it. */
  spare?: number
}

/** One table, whether a terminal, Markdown or a page shows it. */
export interface Sheet {
  title: string
  /** What the columns mean, a sentence each. */
  notes: string[]
  /** The first names the row. */
  columns: Column[]
  /** Its cells hold words, which a page breaks so that the columns stay beside each other. */
  words?: boolean
}

/** A column of numbers. */
export function numberColumn(title: string, cells: string[], spare?: number): Column {
  return { title, cells, right: true, ...(spare === undefined ? {} : { spare }) }
}
