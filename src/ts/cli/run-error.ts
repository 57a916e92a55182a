/** A run ended with `cause` after it had begun: whatever its code says, the call was not wrong. */
export class RunError extends Error {
  constructor(override readonly cause: unknown) {
    super('the run failed', { cause })
  }
}
