import type { EvaluationProgress } from '../../../../index.js'
import { clock, colors, grouped } from '../render/text.js'
import { bars } from './bars.js'
import { isLive, Screen } from './screen.js'

/** How far some work is. */
export interface Work {
  name: string
  /** From 0 to 1. */
  share: number
  /** How far, in its own units. */
  detail: string
}

/** One bar on a terminal, with the time left. On anything else it shows nothing. */
export class ProgressBar {
  readonly #stream: NodeJS.WriteStream
  #screen: Screen | undefined
  #work: Work | undefined
  #began = { at: 0, share: 0 }

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  /** Work of another name gets a bar of its own. */
  update(work: Work): void {
    if (!isLive(this.#stream)) return
    if (this.#work?.name !== work.name) {
      this.stop({ keep: true })
      this.#began = { at: performance.now(), share: work.share }
    }
    this.#work = work
    this.#screen ??= new Screen(this.#stream, (columns) => this.#lines(columns))
  }

  /** Ends it; `keep` leaves the bar as it was last. */
  stop({ keep = false } = {}): void {
    this.#screen?.close(keep ? this.#lines(this.#stream.columns || 80) : [])
    this.#screen = undefined
    this.#work = undefined
  }

  #lines(columns: number): string[] {
    if (!this.#work) return []
    const { name, share, detail } = this.#work
    const seconds = (performance.now() - this.#began.at) / 1000
    const left = (seconds * (1 - share)) / (share - this.#began.share)
    const known = seconds >= 1 && share > this.#began.share && share < 1
    const bar = { label: name, share, detail, left: known ? `${clock(left)} left` : '' }
    return bars([bar], columns - 1, colors(this.#stream)).lines
  }
}

/** Shows on a terminal how far an evaluation is; nothing of it stays. */
export async function withBar<Found>(
  stderr: NodeJS.WriteStream,
  name: string,
  evaluate: (onProgress: (progress: EvaluationProgress) => void) => Promise<Found>,
): Promise<Found> {
  const bar = new ProgressBar(stderr)
  try {
    return await evaluate(({ done, count }) =>
      bar.update({ name, share: done / count, detail: `${grouped(done)} of ${grouped(count)}` }),
    )
  } finally {
    bar.stop()
  }
}
