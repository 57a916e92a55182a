import type { Figure, Mark } from '../page/figure.js'
import { rounded } from '../page/format.js'
import type { EpochRecord, StepRecord } from '../record/history.js'
import type { RunRecord } from '../record/runs.js'

/** More marks than these no line of a plot needs: steps are put together until there are so few. */
const most = 200

/** The curves of one run. */
export function runFigures({ steps, epochs, config }: RunRecord): Figure[] {
  const training = binned(steps)
  const trained = (pick: (step: Binned) => number) =>
    training.map((bin) => mark('s1', 'train', bin.at, pick(bin)))
  const others = (pick: (metrics: { loss: number; accuracy: number }) => number) =>
    (['validation', 'test'] as const).flatMap((part, index) =>
      epochs.flatMap((epoch) => {
        const metrics = epoch[part]
        return metrics ? [mark(`s${index + 2}`, part, epoch.epoch, pick(metrics))] : []
      }),
    )
  const series = ['s1', 's2', 's3']
  const alone = (pick: (step: Binned) => number, name: string) =>
    training.map((bin) => mark('s1', name, bin.at, pick(bin)))
  const x = { label: config.train.epochs === 1 ? 'epoch' : 'epochs' }
  return [
    figure('loss', 'Loss', 'cross-entropy', false, [
      ...trained(({ loss }) => loss),
      ...others(({ loss }) => loss),
    ]),
    figure('accuracy', 'Accuracy', '% right', false, [
      ...trained(({ accuracy }) => 100 * accuracy),
      ...others(({ accuracy }) => 100 * accuracy),
    ]),
    figure(
      'learning-rate',
      'Learning rate',
      'learning rate',
      true,
      alone(({ learningRate }) => learningRate, ''),
    ),
    figure(
      'speed',
      'Speed of training',
      'pictures a second',
      true,
      alone(({ imagesPerSecond }) => imagesPerSecond, ''),
    ),
  ].map((shown) => ({ ...shown, series, x }))
}

/** The same of several runs, a line each: what the network answers on pictures that it did not learn from. */
export function comparedFigures(runs: RunRecord[]): Figure[] {
  const series = runs.map((_, index) => seriesOf(index))
  const colors = Object.fromEntries(series.map((one, index) => [one, seriesOf(index % pageColors)]))
  const lines = (marks: (run: RunRecord) => { x: number; y: number }[]) =>
    runs.flatMap((run, index) => marks(run).map(({ x, y }) => mark(seriesOf(index), nameOf(index), x, y)))
  const evaluated = (pick: (metrics: { loss: number; accuracy: number }) => number) =>
    lines(({ epochs }) => epochs.map((epoch) => ({ x: epoch.epoch, y: pick(judged(epoch)) })))
  const stepped = (pick: (bin: Binned) => number) =>
    lines(({ steps }) => binned(steps).map((bin) => ({ x: bin.at, y: pick(bin) })))
  return [
    figure(
      'loss',
      `Loss on the ${judgedBy(runs)} pictures`,
      'cross-entropy',
      false,
      evaluated(({ loss }) => loss),
    ),
    figure(
      'accuracy',
      `Accuracy on the ${judgedBy(runs)} pictures`,
      '% right',
      false,
      evaluated(({ accuracy }) => 100 * accuracy),
    ),
    figure(
      'training-loss',
      'Loss while training',
      'cross-entropy',
      false,
      stepped(({ loss }) => loss),
    ),
    figure(
      'learning-rate',
      'Learning rate',
      'learning rate',
      true,
      stepped(({ learningRate }) => learningRate),
    ),
    figure(
      'speed',
      'Speed of training',
      'pictures a second',
      true,
      stepped(({ imagesPerSecond }) => imagesPerSecond),
    ),
  ].map((shown) => ({ ...shown, series, colors, x: { label: 'epochs' } }))
}

/** A run's name in a plot of several, and in their table. */
export function nameOf(index: number): string {
  return `run ${index + 1}`
}

/** What an epoch is judged by: the validation pictures, or the test pictures, or those that it was trained on. */
export function judged({ validation, test, train }: EpochRecord): { loss: number; accuracy: number } {
  return validation ?? test ?? train
}

/** The name of what runs are judged by. */
export function judgedBy(runs: RunRecord[]): string {
  const epochs = runs.flatMap(({ epochs }) => epochs.slice(0, 1))
  if (epochs.every(({ validation }) => validation)) return 'validation'
  if (epochs.every(({ validation, test }) => !validation && test)) return 'test'
  // A run that kept nothing back is judged by what it was trained on.
  if (epochs.every(({ validation, test }) => validation || test)) return 'held-back'
  return epochs.every(({ validation, test }) => !validation && !test) ? 'training' : 'held-back or training'
}

/** The page's style has so many colours: the next run begins again, with another dash. */
const pageColors = 6

function seriesOf(index: number): string {
  return `s${index + 1}`
}

function mark(series: string, name: string, x: number, y: number): Mark {
  return {
    series,
    name,
    x,
    y,
    title: `${name === '' ? '' : `${name}, `}epoch ${rounded(x, 4)}: ${rounded(y, 4)}`,
  }
}

function figure(
  id: string,
  title: string,
  label: string,
  fromZero: boolean,
  all: Mark[],
): Omit<Figure, 'series' | 'x'> {
  // A loss that is no number has no place.
  const marks = all.filter(({ y }) => Number.isFinite(y))
  return { id, title, description: described(marks, label), kind: 'lines', y: { label, fromZero }, marks }
}

/** How each line begins and ends, in words. */
function described(marks: Mark[], label: string): string {
  const words = [...new Set(marks.map(({ series }) => series))].map((series) => {
    const line = marks.filter((mark) => mark.series === series)
    const [first, last] = [line[0], line.at(-1)]
    if (!first || !last) return ''
    const who = first.name === '' ? 'It' : first.name
    return `${who} goes from ${rounded(first.y, 4)} to ${rounded(last.y, 4)} ${label} at epoch ${rounded(last.x, 4)}`
  })
  return `${words.join('; ')}. Every epoch is in the table below.`
}

/** Steps that follow each other, as one. */
interface Binned {
  /** Epochs done in the middle of them. */
  at: number
  loss: number
  accuracy: number
  learningRate: number
  imagesPerSecond: number
}

/** Means over as many steps as make at most {@link most} of them. */
export function binned(steps: StepRecord[]): Binned[] {
  const size = Math.ceil(steps.length / most) || 1
  const bins: Binned[] = []
  for (let from = 0; from < steps.length; from += size) {
    const bin = steps.slice(from, from + size)
    const mean = (pick: (step: StepRecord) => number) =>
      bin.reduce((sum, step) => sum + pick(step), 0) / bin.length
    bins.push({
      at: mean(({ epoch, step, steps }) => epoch - 1 + step / steps),
      loss: mean(({ loss }) => loss),
      accuracy: mean(({ accuracy }) => accuracy),
      learningRate: mean(({ learningRate }) => learningRate),
      // As many pictures in all as there were: the mean of the times, not of the speeds.
      imagesPerSecond: 1 / mean(({ imagesPerSecond }) => 1 / imagesPerSecond),
    })
  }
  return bins
}
