import { type Colors, clock, grouped, percent, speedText } from '../render/text.js'
import { type Bar, bars } from './bars.js'
import { chart } from './chart.js'
import type { Curve } from './curve.js'
import { beside, flow } from './layout.js'
import type { RunState } from './run.js'

/** The window, and what else is not in the run. */
export interface Surroundings {
  columns: number
  rows: number
  colors: Colors
  /** Seconds of the clock by which the run's events were heard. */
  at: number
  /** Resident bytes of this process. */
  memoryBytes: number
  /** The run is to end after the current batch. */
  stopping: boolean
}

/** Further apart, what belongs together is hard to read together. */
const widest = 120
/** In less there is no room for a chart. */
const oneChart = 20
/** From here on two charts have room next to each other. */
const twoCharts = 56
/** Rows of charts next to each other, and of charts below each other. */
const [tall, low] = [5, 4]
/**
 * Rows that stay free for lines that break when the window gets narrower: what leaves it at the top can't be cleared any
 * more.
 */
const spareRows = 6

/** The lines that show a run, none wider than the window; what doesn't fit into its height is left out. */
export function runFrame(state: RunState, around: Surroundings): string[] {
  const width = frameWidth(around.columns)
  const drawn = bars([runBar(state, around), epochBar(state, around)], width, around.colors)
  const facts = factsOf(state, around)
  if (!drawn.detailed) facts.unshift(phaseText(state))
  const lines = [...drawn.lines, ...flow(facts, width)]
  // The last row is the cursor's.
  const room = around.rows - lines.length - spareRows
  return [...lines, ...charts(state, around.columns, room, around.colors)].slice(0, around.rows - 1)
}

/** The last column stays empty: terminals disagree on where the cursor is after it. */
function frameWidth(columns: number): number {
  return Math.min(widest, columns - 1)
}

/** The charts alone, with a blank line above, as they stay when the run has ended; what needs more rows is left out. */
export function charts(state: RunState, columns: number, rows: number, colors: Colors): string[] {
  const width = frameWidth(columns)
  if (width < oneChart || state.curves.loss.count < 2) return []
  const wide = width >= twoCharts
  const size = wide ? Math.floor((width - 3) / 2) : width
  const draw = (title: string, curve: Curve, format: (value: number) => string) =>
    chart((points) => curve.points(points), {
      title: colors.dim(title),
      height: wide ? tall : low,
      width: size,
      format,
      colors,
    })
  // A line needs two points.
  const evaluated = state.curves.evaluated.count > 1
  const loss = draw('loss of training', state.curves.loss, axisNumber)
  const accuracy = evaluated
    ? draw(`accuracy of ${state.bestSet}`, state.curves.evaluated, axisPercent)
    : draw('accuracy of training', state.curves.accuracy, axisPercent)
  const both = wide ? beside([loss, accuracy]) : [...loss, ...accuracy]
  if (both.length + 1 <= rows) return ['', ...both]
  return loss.length + 1 <= rows ? ['', ...loss] : []
}

const axisNumber = (value: number) => (value < 100 ? value.toFixed(2) : value.toPrecision(2))
const axisPercent = (share: number) => `${(100 * share).toFixed(1)}%`

function runBar(state: RunState, { at }: Surroundings): Bar {
  const { runShare, secondsLeft } = state.outlook(at)
  return {
    label: 'run',
    share: runShare,
    detail: `${clock(state.secondsGone(at))} so far`,
    left: secondsLeft === undefined ? '' : `${clock(secondsLeft)} left`,
  }
}

function epochBar(state: RunState, { at }: Surroundings): Bar {
  const { epochShare, epochSecondsLeft } = state.outlook(at)
  const { epochs } = state.config.train
  return {
    label: `epoch ${state.step?.epoch ?? (state.config.resumedEpochs ?? 0) + 1}/${epochs}`,
    share: epochShare,
    detail: phaseText(state),
    left: epochSecondsLeft === undefined ? '' : `${clock(epochSecondsLeft)} left`,
  }
}

/** What the run is at. */
function phaseText({ step, evaluating }: RunState): string {
  if (evaluating) return `${evaluating.split} ${grouped(evaluating.done)}/${grouped(evaluating.count)}`
  return step ? `step ${grouped(step.step)}/${grouped(step.steps)}` : 'starting'
}

function factsOf(state: RunState, { colors, memoryBytes, stopping }: Surroundings): string[] {
  const { step, mean, best, config, imagesPerSecond } = state
  const named = (name: string, value: string) => `${colors.dim(name)} ${value}`
  const facts: string[] = []
  if (step) {
    facts.push(named('loss', mean.loss.toFixed(4)), named('accuracy', percent(mean.accuracy)))
    if (best) facts.push(named(`best ${state.bestSet}`, `${percent(best.accuracy)} in epoch ${best.epoch}`))
    facts.push(named('learning rate', String(Number(step.learningRate.toPrecision(3)))))
  }
  if (imagesPerSecond !== undefined) facts.push(speedText(imagesPerSecond))
  const { device, simd, threads } = config
  facts.push(named('memory', memoryText(memoryBytes)))
  facts.push(named('device', `${device}, ${simd}, ${threads} thread${threads === 1 ? '' : 's'}`))
  if (stopping) facts.push(colors.yellow('stopping after this batch; Ctrl-C again ends at once'))
  return facts
}

function memoryText(bytes: number): string {
  const mebibytes = bytes / 2 ** 20
  return mebibytes < 1024 ? `${Math.round(mebibytes)} MiB` : `${(mebibytes / 1024).toFixed(2)} GiB`
}
