import { Writable } from 'node:stream'
import { Terminal } from '@xterm/headless'

/** A terminal window as a program sees it (a stream), and as a person sees it (rows of text). */
export class Window {
  readonly stream: NodeJS.WriteStream
  /** All that was written. */
  written = ''
  readonly #terminal: Terminal

  constructor(columns: number, rows = 24) {
    this.#terminal = new Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true })
    const stream = new Writable({
      decodeStrings: false,
      write: (chunk, _, done) => {
        this.written += chunk
        // It takes its time; `rows` waits for it.
        this.#terminal.write(chunk)
        done()
      },
    })
    this.stream = Object.assign(stream, { isTTY: true, columns, rows }) as unknown as NodeJS.WriteStream
  }

  /** As when a person drags its corner: the terminal breaks long lines anew, then the program hears of it. */
  async resize(columns: number, rows = 24): Promise<void> {
    await this.#settled()
    this.#terminal.resize(columns, rows)
    Object.assign(this.stream, { columns, rows })
    this.stream.emit('resize')
  }

  /** Every row, those that have scrolled away included, without empty ones at the end. */
  async rows(): Promise<string[]> {
    await this.#settled()
    const { active } = this.#terminal.buffer
    const rows = Array.from(
      { length: active.length },
      (_, y) => active.getLine(y)?.translateToString(true) ?? '',
    )
    return rows.slice(0, rows.findLastIndex((row) => row !== '') + 1)
  }

  /** Waits until all that was written is shown. */
  #settled(): Promise<void> {
    return new Promise((resolve) => this.#terminal.write('', resolve))
  }

  /** Whether the cursor is there: it was hidden, and then shown again. */
  get cursorShown(): boolean {
    const [hidden, shown] = ['\u001B[?25l', '\u001B[?25h'].map((code) => this.written.lastIndexOf(code))
    return hidden !== undefined && shown !== undefined && hidden >= 0 && shown > hidden
  }
}
