import type { DownloadProgress } from '../../../../index.js'
import { ProgressBar } from '../live/progress-bar.js'
import { isLive } from '../live/screen.js'

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

/** How a download goes: a bar on a terminal, which stays; else a line for every tenth. */
export class DownloadBar {
  readonly #stream: NodeJS.WriteStream
  readonly #bar: ProgressBar
  #stage = ''
  #tenth = -1

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    this.#bar = new ProgressBar(stream)
  }

  update({ source, phase, receivedBytes: done, totalBytes: total }: DownloadProgress): void {
    const name = `${phase} ${source}`
    const share = total ? Math.min(1, done / total) : 0
    const detail = total ? `${megabytes(done)} of ${megabytes(total)}` : megabytes(done)
    if (isLive(this.#stream)) this.#bar.update({ name, share, detail })
    else this.#line(name, share, detail)
  }

  stop(): void {
    this.#bar.stop({ keep: true })
  }

  #line(name: string, share: number, detail: string): void {
    if (name !== this.#stage) this.#tenth = -1
    this.#stage = name
    if (Math.floor(share * 10) <= this.#tenth) return
    this.#tenth = Math.floor(share * 10)
    this.#stream.write(`${name}: ${(share * 100).toFixed(0)}% (${detail})\n`)
  }
}
