import { Format, SingleBar } from 'cli-progress'
import type { DownloadProgress } from '../../../../index.js'
import { squeeze } from './text.js'

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

/** How a download goes: a bar on a terminal, else a line for every tenth. */
export class DownloadBar {
  readonly #stream: NodeJS.WriteStream
  #bar: SingleBar | undefined
  #stage = ''
  #tenth = -1

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  update({ source, phase, receivedBytes: done, totalBytes: total }: DownloadProgress): void {
    const stage = `${phase} ${source}`
    const share = total ? Math.min(1, done / total) : 0
    if (stage !== this.#stage) {
      this.stop()
      this.#stage = stage
      this.#tenth = -1
    }
    const size = total ? `${megabytes(done)} of ${megabytes(total)}` : megabytes(done)
    if (this.#stream.isTTY) {
      this.#bar ??= this.#start()
      this.#bar.update(share, { size })
    } else if (Math.floor(share * 10) > this.#tenth) {
      this.#tenth = Math.floor(share * 10)
      this.#stream.write(`${stage}: ${(share * 100).toFixed(0)}% (${size})\n`)
    }
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  #start(): SingleBar {
    const stage = this.#stage
    const bar = new SingleBar({
      stream: this.#stream,
      hideCursor: true,
      barsize: 30,
      format: (options, params, payload) => {
        const percent = `${(params.progress * 100).toFixed(0)}%`.padStart(4)
        const drawn = Format.BarFormat(params.progress, options)
        return squeeze(this.#stream.columns, [stage, drawn, percent, payload.size], [1, 3, 0])
      },
      barCompleteChar: '█',
      barIncompleteChar: '░',
    })
    bar.start(1, 0, { size: '' })
    return bar
  }
}
