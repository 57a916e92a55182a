import { ProgressBar } from '../live/progress-bar.js'
import { isLive } from '../live/screen.js'

/** How work goes that has stages: a bar on a terminal, which stays; else a line for every tenth. */
export class StageBar {
  readonly #stream: NodeJS.WriteStream
  readonly #bar: ProgressBar
  #stage = ''
  #tenth = -1

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    this.#bar = new ProgressBar(stream)
  }

  /** A `share` of `stage` is done, from 0 to 1; `amount` is that in words. */
  update(stage: string, share: number, amount: string): void {
    if (isLive(this.#stream)) this.#bar.update({ name: stage, share, detail: amount })
    else this.#line(stage, share, amount)
  }

  stop(): void {
    this.#bar.stop({ keep: true })
  }

  #line(stage: string, share: number, amount: string): void {
    if (stage !== this.#stage) this.#tenth = -1
    this.#stage = stage
    if (Math.floor(share * 10) <= this.#tenth) return
    this.#tenth = Math.floor(share * 10)
    this.#stream.write(`${stage}: ${(share * 100).toFixed(0)}% (${amount})\n`)
  }
}
