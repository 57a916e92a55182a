import type { ErrorCode } from './errors.js'
import { fromNative, MobileNetError } from './errors.js'
import type { NativeMessage, Report, TrainEvent } from './events.js'
import { EventQueue } from './queue.js'

/** What a run needs of the native side. */
export interface NativeRun {
  stop(): void
  checkpoint(): void
}

/** Begins the native run; throws when it can't. */
export type StartNative = (onMessage: (message: NativeMessage) => void) => NativeRun

/**
 * A training run. It goes on whether or not anyone looks; iterate over it for its events, await `result` for its end,
 * or both.
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
  readonly #hasFolder: boolean
  readonly #evaluationEvents: boolean
  #native: NativeRun | undefined
  #checkpoints: PromiseWithResolvers<string>[] = []
  #settle!: { resolve: (report: Report) => void; reject: (reason: unknown) => void }

  /** @internal */
  constructor(
    start: StartNative,
    options: { signal?: AbortSignal | undefined; hasFolder: boolean; evaluationEvents: boolean },
  ) {
    this.#signal = options.signal
    this.#hasFolder = options.hasFolder
    this.#evaluationEvents = options.evaluationEvents
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

  /** Ends the run after the current batch, with a checkpoint if it has a folder. Gives its report. */
  stop(): Promise<Report> {
    this.#stop()
    return this.result
  }

  /** Has the run write `last.safetensors` after the current batch; gives its path. */
  async checkpoint(): Promise<string> {
    if (!this.#hasFolder) {
      throw new MobileNetError(
        'INVALID_OPTION',
        'this run has no folder for a checkpoint: give it the option out',
      )
    }
    const asked = withResolvers<string>()
    this.#checkpoints.push(asked)
    if (this.#queue.closed) this.#endCheckpoints(await this.result)
    this.#native?.checkpoint()
    return asked.promise
  }

  /** The run's events. Leaving the loop early stops the run, and waits until it has ended. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    // Whoever iterates hears of a failure from the loop, and need not await `result`, too.
    this.result.catch(() => {})
    try {
      yield* this.#queue
    } finally {
      if (!this.#queue.closed) await this.stop().catch(() => {})
    }
  }

  readonly #stop = () => this.#native?.stop()

  #receive(message: NativeMessage): void {
    if (message.type === 'error') {
      this.#fail(new MobileNetError(message.code as ErrorCode, message.message))
      return
    }
    if (message.type === 'evaluating' && !this.#evaluationEvents) return
    if (message.type === 'checkpoint' && message.path.endsWith('last.safetensors')) {
      for (const asked of this.#checkpoints.splice(0)) asked.resolve(message.path)
    }
    if (message.type === 'done' && this.#signal?.aborted) {
      this.#fail(this.#signal.reason)
      return
    }
    this.#queue.push(message)
    if (message.type === 'done') {
      this.#end()
      this.#queue.close()
      this.#endCheckpoints(message.report)
      this.#settle.resolve(message.report)
    }
  }

  #fail(reason: unknown): void {
    this.#end()
    this.#queue.fail(reason)
    for (const asked of this.#checkpoints.splice(0)) asked.reject(reason)
    this.#settle.reject(reason)
  }

  #end(): void {
    this.#signal?.removeEventListener('abort', this.#stop)
    // Lets go of the network and the pictures, even if someone keeps the run for its report.
    this.#native = undefined
  }

  /** A checkpoint asked for too late is the one that the run left. */
  #endCheckpoints(report: Report): void {
    for (const asked of this.#checkpoints.splice(0)) {
      if (report.checkpoint) asked.resolve(report.checkpoint)
      else asked.reject(new MobileNetError('INVALID_OPTION', 'the run has ended without a checkpoint'))
    }
  }
}

interface PromiseWithResolvers<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((res, rej) => {
    resolve = res
    reject = rej
  })
  return { promise, resolve, reject }
}
