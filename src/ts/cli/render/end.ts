import type { Metrics, Report } from '../../../../index.js'
import {
  clock,
  colors,
  epochs,
  grouped,
  labelled,
  pathWord,
  percent,
  printable,
  shell,
  wrapped,
} from './text.js'
import type { RunFacts } from './view.js'

/** What came out of a run, where it lies, and what to type next. */
export function renderEnd(stdout: NodeJS.WriteStream, report: Report, facts: RunFacts): string {
  const { bold } = colors(stdout)
  const rows: [string, string][] = []
  if (report.test)
    rows.push(['test accuracy', `${bold(percent(report.test.accuracy))} ${counts(report.test)}`])
  if (report.bestEpoch !== null && report.bestAccuracy !== null) {
    const set = report.validation ? 'validation' : report.test ? 'test' : 'training'
    rows.push([
      'best epoch',
      `${report.bestEpoch} of ${report.epochs}: ${set} accuracy ${percent(report.bestAccuracy)}`,
    ])
  }
  rows.push(['time', `${clock(report.seconds)} (${report.seconds.toFixed(1)} s)`])
  if (report.endedBy === 'patience') {
    rows.push([
      'ended',
      `after ${epochs(report.epochs)}: validation was no better since epoch ${report.bestEpoch}`,
    ])
  }
  if (report.stopped)
    rows.push([
      'stopped',
      `after ${epochs(report.epochs, 'complete ')}, ${grouped(report.steps)} step${report.steps === 1 ? '' : 's'} in all`,
    ])
  // What is to be copied is not broken.
  const words: [string, string][] = []
  if (report.best !== null) words.push(['best weights', printable(report.best)])
  if (report.checkpoint !== null) words.push(['last state', printable(report.checkpoint)])
  if (report.stopped && report.checkpoint !== null) words.push(['to go on', shell(facts.resume)])
  const weights = report.best ?? report.checkpoint
  if (weights !== null && !report.stopped) {
    words.push(['to use it', `${shell([...facts.command, 'predict', pathWord(weights)])} PICTURE...`])
  }
  return `\n${labelled(stdout, [...wrapped(stdout.columns, rows), ...words])}`
}

function counts({ correct, count }: Metrics): string {
  return `(${grouped(correct)} of ${grouped(count)}, after the last epoch)`
}
