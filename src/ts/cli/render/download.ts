import type { DownloadProgress } from '../../../../index.js'
import { StageBar } from './bar.js'

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

/** How a download goes. */
export class DownloadBar {
  readonly #bar: StageBar

  constructor(stream: NodeJS.WriteStream) {
    this.#bar = new StageBar(stream)
  }

  update({ source, phase, receivedBytes: done, totalBytes: total }: DownloadProgress): void {
    const share = total ? Math.min(1, done / total) : 0
    const size = total ? `${megabytes(done)} of ${megabytes(total)}` : megabytes(done)
    this.#bar.update(`${phase} ${source}`, share, size)
  }

  stop(): void {
    this.#bar.stop()
  }
}
