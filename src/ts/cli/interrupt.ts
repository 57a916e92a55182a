/** Ctrl-C: the first asks the command to end in good order, the second ends the process at once. */
export class Interrupt {
  readonly #controller = new AbortController()
  readonly #process: NodeJS.Process
  /** A signal came (and not only a closed pipe). */
  byUser = false

  constructor(process: NodeJS.Process) {
    this.#process = process
    process.on('SIGINT', this.#onSignal)
    process.on('SIGTERM', this.#onSignal)
    process.stdout.on('error', this.#onPipe)
    process.stderr.on('error', this.#onPipe)
  }

  /** Aborts at the first signal, or when nobody reads our output any more: then the reason is the error `EPIPE`. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  dispose(): void {
    // The handlers of broken pipes stay: what was written may still fail while the process ends.
    this.#process.off('SIGINT', this.#onSignal)
    this.#process.off('SIGTERM', this.#onSignal)
  }

  readonly #onSignal = () => {
    if (this.byUser) this.#process.exit(130)
    this.byUser = true
    this.#controller.abort()
  }

  readonly #onPipe = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    this.#controller.abort(error)
  }
}
