import { join } from 'node:path'
import type { CompareProgress, TrainEvent } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { isLive } from '../live/screen.js'
import { BenchmarkBar } from '../render/benchmark.js'
import { PlainView } from '../render/plain.js'
import { pathWord } from '../render/text.js'
import { TtyView } from '../render/tty.js'
import type { RunFacts, View } from '../render/view.js'

/** What a view must know of the call. */
interface Call {
  /** Then nothing is shown but the bar of the measuring. */
  json: boolean
  /** What a person should know about the pictures. */
  note: string | null
  flags: { data?: string; threads?: number; device?: string }
  out: string
}

/** Shows a comparison at work: a bar while speeds are measured, and every run as `train` shows it. */
export class ComparisonView {
  readonly #deps: Deps
  readonly #call: Call
  readonly #bar: BenchmarkBar
  #run: { variant: string; view: View } | undefined

  constructor(deps: Deps, call: Call) {
    this.#deps = deps
    this.#call = call
    this.#bar = new BenchmarkBar(deps.stderr)
  }

  show(progress: CompareProgress): void {
    if (progress.type === 'speed') {
      this.#bar.update({ ...progress, name: progress.variant })
      return
    }
    this.#bar.stop()
    if (this.#call.json) return
    if (this.#run?.variant !== progress.variant) this.#begin(progress)
    this.#run?.view.show(progress.event)
  }

  close(): void {
    this.#bar.stop()
    this.#run?.view.close()
  }

  #begin({ variant, model }: CompareProgress & { type: 'train' }): void {
    this.#run?.view.close()
    const { stdout, command, interrupt } = this.#deps
    const { note, flags, out } = this.#call
    const words = [...command, 'train', '--resume', pathWord(join(out, variant))]
    for (const name of ['data', 'device', 'threads'] as const) {
      if (flags[name] !== undefined) words.push(`--${name}`, String(flags[name]))
    }
    const facts: RunFacts = { parameters: model.parameters, note, command, resume: words, interrupt }
    const view = isLive(stdout) ? new TtyView(stdout, facts) : new Epochs(new PlainView(stdout, facts))
    this.#run = { variant, view }
  }
}

/** A view without the steps: in a log there would be thousands of each network. */
class Epochs implements View {
  readonly #view: View

  constructor(view: View) {
    this.#view = view
  }

  show(event: TrainEvent): void {
    if (event.type !== 'step') this.#view.show(event)
  }

  close(): void {
    this.#view.close()
  }
}
