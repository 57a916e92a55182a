import type { EpochEvent, Report, RunConfig, StepEvent } from '../events.js'
import type { Metrics } from '../native/binding.js'
import { type LogLine, readLog } from './log.js'

/** A complete epoch of a run, in its record. */
export interface EpochRecord extends Omit<EpochEvent, 'type'> {
  /** The learning rate of its last step. */
  learningRate: number
  /** Steps done at its end, those of earlier epochs included. */
  steps: number
}

/** One step of a run, in its record. */
export interface StepRecord extends Omit<StepEvent, 'type'> {
  /** When, in seconds since 1970. */
  time: number
}

/** What a run's log says. */
export interface History {
  /** As the run was started, or last resumed; null in an empty log. */
  config: RunConfig | null
  epochs: EpochRecord[]
  /** When each of them ended, in seconds since 1970. */
  epochEnds: number[]
  steps: StepRecord[]
  /** How it ended, if it came to an end since it was last started. */
  end: { report: Report } | { error: { code: string; message: string } } | null
  /** When it was started, in seconds since 1970, and each time that it was resumed. */
  started: number[]
  /** Seconds that it ran, without the pauses between; what a kill made it do twice counts once. */
  seconds: number
}

/** Puts a log's lines together. */
export class HistoryBuilder {
  readonly history: History = {
    config: null,
    epochs: [],
    epochEnds: [],
    steps: [],
    end: null,
    started: [],
    seconds: 0,
  }
  #time = 0

  add(line: LogLine): void {
    const { history } = this
    if (line.type === 'start') {
      history.config = line.config
      history.started.push(line.time)
      history.end = null
    } else {
      history.seconds += line.time - this.#time
    }
    this.#time = line.time
    if (line.type === 'step') {
      const { type: _, ...step } = line
      history.steps.push(step)
    } else if (line.type === 'epoch') {
      history.epochs.push(epochRecord(line, history.steps.at(-1)))
      history.epochEnds.push(line.time)
    } else if (line.type === 'done') {
      history.end = { report: line.report }
    } else if (line.type === 'error') {
      history.end = { error: { code: line.code, message: line.message } }
    }
  }
}

/** An epoch, with what its last step tells. */
export function epochRecord(
  { type: _, epoch, train, validation, test, seconds }: EpochEvent,
  last: Pick<StepEvent, 'learningRate' | 'steps'> | undefined,
): EpochRecord {
  const { learningRate = Number.NaN, steps = 0 } = last ?? {}
  return {
    epoch,
    train: numbered(train),
    validation: validation && numbered(validation),
    test: test && numbered(test),
    seconds,
    learningRate,
    steps: epoch * steps,
  }
}

/** JSON has null for what is no number: logs of older versions may have such losses. */
function numbered(metrics: Metrics): Metrics {
  return { ...metrics, loss: metrics.loss ?? Number.NaN }
}

/** Reads the log in `folder`. */
export async function readHistory(folder: string): Promise<History> {
  const builder = new HistoryBuilder()
  for await (const line of readLog(folder)) builder.add(line)
  return builder.history
}
