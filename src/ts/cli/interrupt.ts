/** Our output could not be written. */
export class OutputError extends Error {}

/**
 * For so long after a signal, another one is taken for the same Ctrl-C: a terminal sends it to all its processes, and npm
 * (as `npx`) hands it on once more.
 */
const samePressMilliseconds = 500

/** Ctrl-C: the first asks the command to end in good order, the second ends the process at once. */
export class Interrupt {
  readonly #controller = new AbortController()
  readonly #process: NodeJS.Process
  #pressed = 0
  /** A signal came (and not only a closed pipe). */
  byUser = false

  constructor(process: NodeJS.Process) {
    this.#process = process
    process.on('SIGINT', this.#onSignal)
    process.on('SIGTERM', this.#onSignal)
    process.stdout.on('error', (error) => this.#onOutput(error, 'output'))
    process.stderr.on('error', (error) => this.#onOutput(error, 'error'))
  }

  /**
   * Aborts at the first signal; when nobody reads our output any more: then the reason is the error `EPIPE`; and when it
   * can't be written, for example to a full disk: then the reason says so.
   */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  dispose(): void {
    // The handlers of the output stay: what was written may still fail while the process ends.
    this.#process.off('SIGINT', this.#onSignal)
    this.#process.off('SIGTERM', this.#onSignal)
  }

  readonly #onSignal = () => {
    const now = performance.now()
    if (this.byUser && now - this.#pressed > samePressMilliseconds) this.#process.exit(130)
    if (this.byUser) return
    this.byUser = true
    this.#pressed = now
    this.#controller.abort()
  }

  #onOutput(error: NodeJS.ErrnoException, name: 'output' | 'error'): void {
    const message = `cannot write to the standard ${name}: ${error.message}`
    this.#controller.abort(error.code === 'EPIPE' ? error : new OutputError(message, { cause: error }))
  }
}

/** Nobody reads our output any more. */
export function isUnread({ reason }: AbortSignal): boolean {
  return reason?.code === 'EPIPE'
}

/** Why our output could not be written, if that is why `interrupt` aborted. */
export function outputFailure({ reason }: AbortSignal): OutputError | undefined {
  return reason instanceof OutputError ? reason : undefined
}
