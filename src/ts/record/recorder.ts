import { readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import type { EpochEvent, NativeMessage, RunConfig, StepEvent } from '../events.js'
import { readConfig, savedConfig, type WeightsOrigin } from './config.js'
import { readEvaluation } from './evaluation.js'
import { EventFile, isOurs } from './event-file.js'
import { files } from './files.js'
import { type EpochRecord, epochRecord, type History, HistoryBuilder } from './history.js'
import { type LogLine, readLog } from './log.js'
import { resultsTable } from './results.js'

/**
 * Milliseconds between two pages. One takes a core about half a second, so that is 1 % of what two cores can do. The first
 * is written soon, for whoever waits for it.
 */
const pageInterval = 30_000
const firstPage = 2000

/** How many of the pictures that the network gets most wrong TensorBoard shows. */
const shownWrong = 8

/** Where a run's record goes. */
export interface RunFolder {
  path: string
  /** Where the weights came from with which the run begins; null when they were changed since. */
  weights: WeightsOrigin | null
}

/** What a recorder has others do. */
interface RecorderHooks {
  /** Tells a person. */
  warn: (message: string) => void
  /** Writes the page about the run in a folder. */
  makePage: (folder: string) => Promise<unknown>
}

/**
 * Writes what people and other programs read of a run, beside what the core writes. It works behind the run, one message
 * after the other; what fails is told, and does not end the run.
 */
export class Recorder {
  readonly #folder: string
  readonly #weights: WeightsOrigin | null
  readonly #warn: (message: string) => void
  readonly #makePage: (folder: string) => Promise<unknown>
  #work: Promise<void> = Promise.resolve()
  #warned = false
  #epochs: EpochRecord[] = []
  #last: StepEvent | undefined
  #events: EventFile | undefined
  #samplesShown = false
  /** The page that is being written. */
  #page: Promise<void> | undefined
  #nextPage = performance.now() + firstPage

  constructor({ path, weights }: RunFolder, { warn, makePage }: RecorderHooks) {
    this.#folder = path
    this.#weights = weights
    this.#warn = warn
    this.#makePage = makePage
  }

  /** Takes a message of the run. */
  receive(message: NativeMessage): void {
    const time = Date.now() / 1000
    this.#then(() => this.#record(message, time))
  }

  /** Waits until everything is written. */
  async close(): Promise<void> {
    this.#then(async () => {
      if (!this.#events) return
      await this.#events.flush()
      await this.#page
      await this.#writePage()
    })
    await this.#work
  }

  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch(this.#told)
  }

  readonly #told = (error: Error) => {
    // A disk that is full would be told at every step.
    if (this.#warned) return
    this.#warned = true
    this.#warn(`the record in ${this.#folder} is not complete: ${error.message}`)
  }

  async #record(message: NativeMessage, time: number): Promise<void> {
    if (message.type === 'start') await this.#start(message.config)
    else if (message.type === 'step') await this.#step(message, time)
    else if (message.type === 'epoch') await this.#epoch(message, time)
    // Not waited for: it takes as long as many steps.
    if (!this.#page && this.#last && performance.now() > this.#nextPage) {
      this.#page = this.#writePage().catch(this.#told)
    }
  }

  async #writePage(): Promise<void> {
    try {
      await this.#makePage(this.#folder)
    } finally {
      this.#page = undefined
      this.#nextPage = performance.now() + pageInterval
    }
  }

  async #start(config: RunConfig): Promise<void> {
    await this.#removeUnfinished()
    const weights = config.resumedEpochs === null ? this.#weights : await this.#firstWeights()
    const text = JSON.stringify(savedConfig(config, weights), null, 2)
    await this.#write(files.config, `${text}\n`)
    const history = await this.#before()
    this.#epochs = history.epochs
    await this.#write(files.results, resultsTable(this.#epochs))
    this.#events = await EventFile.begin(this.#folder, history)
  }

  async #step(event: StepEvent, time: number): Promise<void> {
    const { type: _, ...step } = event
    this.#last = event
    if (!this.#samplesShown) {
      this.#samplesShown = true
      const samples = await this.#samples()
      if (samples) this.#events?.picture('samples', samples, 0, time)
    }
    await this.#events?.step({ ...step, time })
  }

  async #epoch(event: EpochEvent, time: number): Promise<void> {
    const epoch = epochRecord(event, this.#last)
    this.#epochs.push(epoch)
    await this.#write(files.results, resultsTable(this.#epochs))
    this.#events?.epoch(epoch, time)
    const evaluation = await readEvaluation(this.#folder)
    // When this is slow, the file may be of a later epoch already.
    if (evaluation?.epoch === epoch.epoch) {
      for (const [index, { png }] of evaluation.mostWrong.slice(0, shownWrong).entries()) {
        this.#events?.picture(`most_wrong/${index + 1}`, Buffer.from(png, 'base64'), epoch.steps, time)
      }
    }
    await this.#events?.flush()
  }

  /** The first pictures of the run; none where it goes on in another folder than it began in. */
  async #samples(): Promise<Buffer | undefined> {
    try {
      return await readFile(join(this.#folder, files.samples))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  #write(name: string, text: string): Promise<void> {
    return writeFileAtomic(join(this.#folder, name), text)
  }

  /** What write-file-atomic leaves when the process is killed in the middle of it: `results.csv.123`. */
  async #removeUnfinished(): Promise<void> {
    const ours: string[] = Object.values(files)
    for (const name of await readdir(this.#folder)) {
      const of = /^(.*)\.\d+$/.exec(name)?.[1]
      if (of !== undefined && (ours.includes(of) || isOurs(of)))
        await rm(join(this.#folder, name), { force: true })
    }
  }

  /** What the log says of the time before this run was started or resumed. */
  async #before(): Promise<History> {
    const lines: LogLine[] = []
    for await (const line of readLog(this.#folder)) lines.push(line)
    const builder = new HistoryBuilder()
    for (const line of lines.slice(
      0,
      lines.findLastIndex(({ type }) => type === 'start'),
    ))
      builder.add(line)
    return builder.history
  }

  /** The weights that a resumed run began with, from its configuration: here, or beside the checkpoint. */
  async #firstWeights(): Promise<WeightsOrigin | null> {
    const origin = this.#weights
    const from = origin && 'checkpoint' in origin ? dirname(origin.checkpoint) : this.#folder
    const config = await readConfig(from).catch(() => null)
    return config?.weights ?? null
  }
}
