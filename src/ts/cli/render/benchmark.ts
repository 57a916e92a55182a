import { type BenchmarkReport, type PresetSpeed, presets } from '../../../../index.js'
import { ProgressBar } from '../live/progress-bar.js'
import { type Column, numberColumn, table } from './table.js'
import { colors, labelled, milliseconds, speedText, wholePercent, wrapped } from './text.js'

/** What the machine is, and a line for each preset. */
export function renderBenchmark(stdout: NodeJS.WriteStream, report: BenchmarkReport): string {
  const { processor, device, simd, threads, multiplyAddsPerSecond, bytesPerSecond } = report
  // Of a card nothing is measured for it.
  const [peakOf, memoryOf] =
    device === 'cpu'
      ? ['in registers', 'read and written by a copy']
      : ['without tensor cores, at its highest clock', "by its memory's clock"]
  const machine = labelled(
    stdout,
    wrapped(stdout.columns, [
      ['machine', `${processor}, ${device}, ${simd}, ${threads} thread${threads === 1 ? '' : 's'}`],
      ['peak', `${billions(multiplyAddsPerSecond)} billion multiply-adds a second, in float32, ${peakOf}`],
      ['memory', `${billions(bytesPerSecond)} GB a second, ${memoryOf}`],
    ]),
  )
  const lower = report.presets.some(({ precision }) => precision !== 'float32')
  const above = lower ? ', which is that of float32: more than 100% is possible' : ''
  const notes = wrapped(stdout.columns, [
    ['of peak', `multiply-adds as a share of the peak${above}; a training step takes three forward passes`],
    ['one picture', 'from its pixels to its logits'],
    ['whole run', 'every epoch over CIFAR-10 with validation and test, if nothing else runs'],
  ])
  const [head = '', ...rows] = table(columns(report.presets), stdout.columns)
  const { dim } = colors(stdout)
  const lines = [dim(head), ...rows].map((line) => `${line}\n`).join('')
  return `${machine}\n${lines}\n${labelled(stdout, notes)}`
}

function columns(rows: PresetSpeed[]): Column[] {
  const numbers = (title: string, cell: (row: PresetSpeed) => string, spare?: number) =>
    numberColumn(title, rows.map(cell), spare)
  return [
    { title: 'preset', cells: rows.map(({ name }) => name) },
    { title: 'network', cells: rows.map(shortNetwork), spare: 5 },
    numbers('step', ({ training }) => milliseconds(training.stepSeconds), 4),
    numbers('training', ({ training }) => speedText(training.imagesPerSecond)),
    numbers('of peak', ({ training }) => wholePercent(training.shareOfPeak), 1),
    numbers('evaluation', ({ evaluation }) => speedText(evaluation.imagesPerSecond)),
    numbers('of peak', ({ evaluation }) => wholePercent(evaluation.shareOfPeak), 3),
    numbers('one picture', ({ prediction }) => milliseconds(prediction.latencySeconds), 2),
    numbers('whole run', ({ presetSeconds }) => about(presetSeconds)),
  ]
}

function shortNetwork({ name, precision }: PresetSpeed): string {
  const { variant, layout, width } = presets()[name].model
  return `${variant} ${layout}, width ${width}${precision === 'float32' ? '' : `, ${precision}`}`
}

const billions = (count: number) => (count / 1e9).toFixed(1)

/** An estimate, no finer than it deserves. */
function about(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** How far a benchmark is: a bar on a terminal, which goes when it ends; else nothing. */
export class BenchmarkBar {
  readonly #bar: ProgressBar

  constructor(stream: NodeJS.WriteStream) {
    this.#bar = new ProgressBar(stream)
  }

  /** `name`: whose work it is, if a network's. */
  update({ work, name, share }: { work: string; name?: string | null | undefined; share: number }): void {
    this.#bar.update({ name: 'measuring', share, detail: name ? `${work} of ${name}` : work })
  }

  stop(): void {
    this.#bar.stop()
  }
}
