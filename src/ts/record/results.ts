import type { EpochRecord } from './history.js'

const columns: [name: string, pick: (epoch: EpochRecord) => number | undefined][] = [
  ['epoch', ({ epoch }) => epoch],
  ['steps', ({ steps }) => steps],
  ['learning_rate', ({ learningRate }) => learningRate],
  ['train_loss', ({ train }) => train.loss],
  ['train_accuracy', ({ train }) => train.accuracy],
  ['validation_loss', ({ validation }) => validation?.loss],
  ['validation_accuracy', ({ validation }) => validation?.accuracy],
  ['test_loss', ({ test }) => test?.loss],
  ['test_accuracy', ({ test }) => test?.accuracy],
  ['seconds', ({ seconds }) => seconds],
]

/** `results.csv`: a row for each epoch; empty where there are no such pictures. Numbers only, so nothing is quoted. */
export function resultsTable(epochs: EpochRecord[]): string {
  const rows = epochs.map((epoch) => columns.map(([, pick]) => pick(epoch) ?? ''))
  return [columns.map(([name]) => name), ...rows].map((row) => `${row.join(',')}\n`).join('')
}
