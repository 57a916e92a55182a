import { appendFile, readdir, readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setImmediate as pause } from 'node:timers/promises'
import writeFileAtomic from 'write-file-atomic'
import type { EpochRecord, History, StepRecord } from './history.js'

/** Loaded when it is needed: by the first run of a process that has a folder. */
function tensorboard() {
  return require('./tensorboard.js') as typeof import('./tensorboard.js')
}

/** By this TensorBoard finds it. */
const prefix = 'events.out.tfevents.'
/** By this we know our own. */
const suffix = '.mobilenet-native'

/** How long records may wait for the file, in milliseconds. */
const delay = 2000

/** Records that are made in one piece, which takes about 5 ms. */
const piece = 500

/** Several runs of one process can begin in the same second. */
let opened = 0

/** TensorBoard's view of a run, in a file that grows by whole records. */
export class EventFile {
  readonly #path: string
  #waiting: Buffer[] = []
  #flushed = performance.now()

  private constructor(path: string) {
    this.#path = path
  }

  /**
   * Begins the event file of a run. Of a run that goes on, it begins with what was before: the numbers as the log has
   * them, and the pictures of the files that lie there. It takes their place, so that no step is there twice, and none
   * is missing that they did not have yet when the process was killed.
   */
  static async begin(folder: string, history: History): Promise<EventFile> {
    const older = (await readdir(folder)).filter(isOurs).sort()
    const time = history.started[0] ?? Date.now() / 1000
    const name = [Math.floor(Date.now() / 1000), hostname(), process.pid, opened++].join('.')
    const file = new EventFile(join(folder, prefix + name + suffix))
    file.#waiting.push(tensorboard().fileVersion(time))
    const ends = new Map(history.epochs.map((epoch, index) => [epoch.steps, index]))
    for (const [index, step] of history.steps.entries()) {
      file.#addStep(step)
      const end = ends.get(stepsDone(step))
      const [epoch, time] = end === undefined ? [] : [history.epochs[end], history.epochEnds[end]]
      if (epoch && time !== undefined) file.#addEpoch(epoch, time)
      if (index % piece === piece - 1) await pause()
    }
    const last = history.steps.at(-1)
    for (const name of last ? older : []) {
      const pictures = tensorboard()
        .records(await readFile(join(folder, name)))
        // Those of step 0 come from a file of their own.
        .filter(({ picture, step }) => picture && step > 0 && step <= stepsDone(last as StepRecord))
      file.#waiting.push(...pictures.map(({ bytes }) => bytes))
    }
    await writeFileAtomic(file.#path, Buffer.concat(file.#waiting.splice(0)))
    for (const name of older) await rm(join(folder, name), { force: true })
    return file
  }

  /** Adds a step's numbers. */
  async step(step: StepRecord): Promise<void> {
    this.#addStep(step)
    if (performance.now() - this.#flushed > delay) await this.flush()
  }

  /** Adds an epoch's numbers. */
  epoch(epoch: EpochRecord, time: number): void {
    this.#addEpoch(epoch, time)
  }

  /** Adds a PNG file. */
  picture(tag: string, png: Buffer, step: number, time: number): void {
    this.#waiting.push(tensorboard().image({ time, step }, tag, png))
  }

  /** Writes what waits. */
  async flush(): Promise<void> {
    this.#flushed = performance.now()
    const waiting = this.#waiting.splice(0)
    if (waiting.length > 0) await appendFile(this.#path, Buffer.concat(waiting))
  }

  #addStep(step: StepRecord): void {
    const { loss, accuracy, learningRate, imagesPerSecond, time } = step
    this.#waiting.push(
      tensorboard().scalars(
        { time, step: stepsDone(step) },
        {
          'step/loss': loss,
          'step/accuracy': accuracy,
          'step/learning_rate': learningRate,
          'step/images_per_second': imagesPerSecond,
        },
      ),
    )
  }

  #addEpoch({ steps, ...epoch }: EpochRecord, time: number): void {
    const values: Record<string, number> = {}
    for (const part of ['train', 'validation', 'test'] as const) {
      const metrics = epoch[part]
      if (!metrics) continue
      values[`loss/${part}`] = metrics.loss
      values[`accuracy/${part}`] = metrics.accuracy
    }
    this.#waiting.push(tensorboard().scalars({ time, step: steps }, values))
  }
}

/** Whether a file has the name of one of our event files. */
export function isOurs(name: string): boolean {
  return name.startsWith(prefix) && name.endsWith(suffix)
}

/** Steps done after this one, those of earlier epochs included. */
function stepsDone({ epoch, step, steps }: StepRecord): number {
  return (epoch - 1) * steps + step
}
