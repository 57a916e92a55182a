import type { ErrorCode } from './errors.js'
import { fromNative, MobileNetError, native } from './errors.js'
import type { EpochEvent, NativeMessage, Report, TrainEvent } from './events.js'
import { mustBe } from './options/types.js'
import { EventQueue } from './queue.js'
import type { Recorder, RunFolder } from './record/recorder.js'

/** What a run needs of the native side. */
export interface NativeRun {
  stop(): void
  /** Gives the request's number, from 1. */
  checkpoint(): number
  /** Requests up to this number have been answered. */
  checkpointsWritten(): number
  /** Gives the request's number, from 1. */
  setLearningRate(learningRate: number): number
  /** Requests up to this number have been answered. */
  learningRatesSet(): number
}

/** Loaded when it is needed, with the libraries that write files. */
function startRecorder(folder: RunFolder, warn: (message: string) => void): Recorder {
  const { Recorder } = require('./record/recorder.js') as typeof import('./record/recorder.js')
  const { writeReport } = require('./report/report.js') as typeof import('./report/report.js')
  return new Recorder(folder, { warn, makePage: writeReport })
}

/** Begins the native run; throws when it can't. */
export type StartNative = (onMessage: (message: NativeMessage) => void) => NativeRun

/**
 * A training run. It goes on whether or not anyone looks; iterate over it for its events, await `result` for its end,
 * or both.
 *
 * A failure that nobody hears of when it comes is an unhandled rejection, which ends the program, as of every promise. It
 * comes at once where the options are wrong. So iterate, or take `result`, before you wait for anything else; to do so
 * later, put `run.result.catch(() => {})` behind the call, and the loop or `result` still tell of the failure.
 *
 * @example
 * const run = model.train({ data, epochs: 3 })
 * for await (const event of run) if (event.type === 'epoch') console.log(event.test?.accuracy)
 * const report = await run.result
 */
export class TrainRun implements AsyncIterable<TrainEvent> {
  /**
   * How the run ended. Rejects with a `MobileNetError` when it failed, and with the signal's reason when it was
   * aborted. A run that was stopped resolves, with `stopped` true.
   */
  readonly result: Promise<Report>
  readonly #queue = new EventQueue()
  readonly #signal: AbortSignal | undefined
  readonly #recorder: Recorder | undefined
  readonly #evaluationEvents: boolean
  #native: NativeRun | undefined
  /** Both in the order of their numbers. */
  #checkpoints: Request<string>[] = []
  #learningRates: Request<void>[] = []
  #settle!: { resolve: (report: Report) => void; reject: (reason: unknown) => void }

  /** @internal */
  constructor(
    start: StartNative,
    {
      signal,
      folder,
      evaluationEvents,
    }: { signal?: AbortSignal | undefined; folder: RunFolder | undefined; evaluationEvents: boolean },
  ) {
    this.#signal = signal
    const warn = (message: string) => this.#queue.push({ type: 'warning', message })
    this.#recorder = folder && startRecorder(folder, warn)
    this.#evaluationEvents = evaluationEvents
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    if (this.#signal?.aborted) {
      this.#fail(this.#signal.reason)
      return
    }
    try {
      this.#native = start((message) => this.#receive(message))
      this.#signal?.addEventListener('abort', this.#stop)
    } catch (error) {
      this.#fail(fromNative(error))
    }
  }

  /** @internal A run that could not begin. */
  static failed(reason: unknown): TrainRun {
    const start = () => {
      throw reason
    }
    return new TrainRun(start, { folder: undefined, evaluationEvents: false })
  }

  /** Ends the run after the current batch, with a checkpoint if it has a folder. Gives its report. */
  stop(): Promise<Report> {
    this.#stop()
    return this.result
  }

  /**
   * Has the run write `last.safetensors` after the current batch, or after the evaluation that it is in; gives its path.
   * After the run's end it is the one that the run left. Rejects when the run fails, and when it has no folder.
   */
  async checkpoint(): Promise<string> {
    if (!this.#recorder) {
      throw new MobileNetError(
        'INVALID_OPTION',
        'this run has no folder for a checkpoint: give it the option out',
      )
    }
    if (!this.#native) return lastCheckpoint(await this.result)
    const asked = request<string>(this.#native.checkpoint())
    this.#checkpoints.push(asked)
    return asked.promise
  }

  /**
   * From the next step on the learning rate is this, above 0; from there it moves in proportion to the schedule: set to
   * half of what the schedule has, it stays half of that. The event `learningRate` tells the step, a resumed run goes on
   * with it, and a later call replaces it. Resolves when it holds; rejects with INVALID_OPTION when there was no step any
   * more for it to hold in.
   */
  async setLearningRate(learningRate: number): Promise<void> {
    const run = this.#native
    if (!run) throw await this.result.then(tooLate)
    mustBe(typeof learningRate === 'number', 'learningRate must be a number above 0', learningRate)
    const asked = request<void>(native(() => run.setLearningRate(learningRate)))
    this.#learningRates.push(asked)
    return asked.promise
  }

  /**
   * The epochs alone, each at its end. It takes the run's events as the loop over the run itself does, and like that stops
   * the run when it is left early.
   *
   * @example for await (const { epoch, test } of run.epochs()) console.log(epoch, test?.accuracy)
   */
  epochs(): AsyncGenerator<EpochEvent, void, undefined> {
    return epochsOf(this[Symbol.asyncIterator]())
  }

  /** The run's events. Leaving the loop early stops the run, and waits until it has ended. */
  [Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    // Whoever iterates hears of a failure from the loop, and need not await `result`, too. Already now, because a generator
    // does nothing before its first event is asked for.
    this.result.catch(() => {})
    return this.#events()
  }

  async *#events(): AsyncGenerator<TrainEvent, void, undefined> {
    try {
      yield* this.#queue
    } finally {
      if (!this.#queue.closed) await this.stop().catch(() => {})
    }
  }

  readonly #stop = () => this.#native?.stop()

  #receive(message: NativeMessage): void {
    this.#recorder?.receive(message)
    if (message.type === 'error' || message.type === 'done') {
      const aborted = this.#signal?.aborted
      // Whoever hears of the end finds everything in the folder.
      const written = this.#recorder?.close() ?? Promise.resolve()
      void written.then(() => this.#finish(message, aborted ?? false))
      return
    }
    if (message.type === 'evaluating' && !this.#evaluationEvents) return
    // By number, because an event may have been on its way when a request was made.
    if (message.type === 'checkpoint' && message.path.endsWith('last.safetensors')) {
      answer(this.#checkpoints, this.#native?.checkpointsWritten(), message.path)
    }
    if (message.type === 'learningRate') {
      answer(this.#learningRates, this.#native?.learningRatesSet(), undefined)
    }
    this.#queue.push(message)
  }

  #finish(message: NativeMessage & { type: 'error' | 'done' }, aborted: boolean): void {
    if (message.type === 'error') {
      this.#fail(new MobileNetError(message.code as ErrorCode, message.message))
    } else if (aborted) {
      this.#fail(this.#signal?.reason)
    } else {
      this.#end()
      this.#queue.push(message)
      this.#queue.close()
      this.#settle.resolve(message.report)
      // Asked for after the last step: the checkpoint is the one that the run left.
      for (const asked of this.#checkpoints.splice(0)) asked.settle(() => lastCheckpoint(message.report))
      for (const asked of this.#learningRates.splice(0)) asked.reject(tooLate())
    }
  }

  #fail(reason: unknown): void {
    this.#end()
    this.#queue.fail(reason)
    for (const asked of this.#checkpoints.splice(0)) asked.reject(reason)
    for (const asked of this.#learningRates.splice(0)) asked.reject(reason)
    this.#settle.reject(reason)
  }

  #end(): void {
    this.#signal?.removeEventListener('abort', this.#stop)
    // Lets go of the network and the pictures, even if someone keeps the run for its report.
    this.#native = undefined
  }
}

async function* epochsOf(events: AsyncIterable<TrainEvent>): AsyncGenerator<EpochEvent, void, undefined> {
  for await (const event of events) if (event.type === 'epoch') yield event
}

/** Something that the run was asked for. */
interface Request<T> {
  /** The native side's. */
  number: number
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
  /** As `work` ends. */
  settle: (work: () => T) => void
}

function request<T>(number: number): Request<T> {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((res, rej) => {
    resolve = res
    reject = rej
  })
  const settle = (work: () => T) => {
    try {
      resolve(work())
    } catch (error) {
      reject(error)
    }
  }
  return { number, promise, resolve, reject, settle }
}

/** Answers the requests up to this number. */
function answer<T>(requests: Request<T>[], upTo: number | undefined, value: T): void {
  while (requests[0] && requests[0].number <= (upTo ?? 0)) requests.shift()?.resolve(value)
}

function lastCheckpoint({ checkpoint }: Report): string {
  if (checkpoint !== null) return checkpoint
  throw new MobileNetError('INVALID_OPTION', 'the run has ended without a checkpoint')
}

function tooLate(): MobileNetError {
  return new MobileNetError(
    'INVALID_OPTION',
    'the run has ended, so there is no step for another learning rate',
  )
}
