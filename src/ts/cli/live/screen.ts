import { ansiEscapes, cliCursor, stringWidth } from './libraries.js'

/** Makes the lines to show in a window of this size; each must be narrower than it. */
export type Frame = (columns: number, rows: number) => string[]

/** Often enough for a clock, and too seldom to be felt by what computes: making a frame takes some milliseconds. */
const redrawMilliseconds = 500

/**
 * The last lines of a terminal, drawn over and over; what is printed meanwhile stays above them. (log-update would wrap
 * every frame again, which takes five times as long as making it.)
 */
export class Screen {
  readonly #stream: NodeJS.WriteStream
  readonly #frame: Frame
  readonly #timer: NodeJS.Timeout
  /** What stands there. */
  #lines: string[] = []

  constructor(stream: NodeJS.WriteStream, frame: Frame) {
    this.#stream = stream
    this.#frame = frame
    cliCursor.hide(stream)
    this.#timer = setInterval(() => this.draw(), redrawMilliseconds)
    this.#timer.unref()
    stream.on('resize', this.#onResize)
    this.draw()
  }

  draw(): void {
    this.#write(this.#frame(this.#stream.columns || 80, this.#stream.rows || 24))
  }

  /** Writes text that stays, of whole lines. */
  print(text: string): void {
    this.#erase(this.#lines.length)
    this.#stream.write(text)
    this.draw()
  }

  /** Ends it, with `last` in place of the frame, and shows the cursor again. */
  close(last: string[] = []): void {
    clearInterval(this.#timer)
    this.#stream.off('resize', this.#onResize)
    this.#write(last)
    cliCursor.show(this.#stream)
  }

  /** In one piece, and without clearing first, so that nothing flickers. */
  #write(lines: string[]): void {
    if (lines.length === this.#lines.length && lines.every((line, i) => line === this.#lines[i])) return
    const count = this.#lines.length
    const top = ansiEscapes.cursorLeft + (count > 0 ? ansiEscapes.cursorUp(count) : '')
    const text = lines.map((line) => `${line}${ansiEscapes.eraseEndLine}\n`).join('')
    // What is left of more lines than these.
    const rest = Math.max(0, count - lines.length)
    const down = rest > 0 ? ansiEscapes.cursorDown(rest) : ''
    this.#stream.write(top + text + down + ansiEscapes.eraseLines(rest + 1))
    this.#lines = lines
  }

  /** Row by row, because tmux keeps a copy of what is erased at once from the top of the window. */
  #erase(rows: number): void {
    this.#stream.write(ansiEscapes.eraseLines(rows + 1))
    this.#lines = []
  }

  /**
   * A terminal that gets narrower breaks the lines that are there, so they take more rows than were drawn. What that
   * pushes out at the top stays among what has scrolled away. (A few, like xterm, cut the lines off instead; there this
   * clears rows above, too.)
   */
  readonly #onResize = () => {
    const columns = this.#stream.columns || 80
    const rows = this.#lines.map((line) => Math.max(1, Math.ceil(stringWidth(line) / columns)))
    this.#erase(rows.reduce((sum, count) => sum + count, 0))
    this.draw()
  }
}

/** Whether lines can be drawn over on this stream. */
export function isLive(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && process.env.TERM !== 'dumb'
}
