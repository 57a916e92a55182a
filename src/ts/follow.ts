/** A controller of one's own whose signal also aborts as another does. */
export interface Following {
  controller: AbortController
  /** For when the work has ended: the other signal may live much longer. */
  leave: () => void
}

/** Follows `given`, if there is one. By hand, because `AbortSignal.any` refuses a signal of a test environment's own class. */
export function follow(given: AbortSignal | undefined): Following {
  const controller = new AbortController()
  const abort = () => controller.abort(given?.reason)
  if (given?.aborted) abort()
  else given?.addEventListener('abort', abort, { once: true })
  return { controller, leave: () => given?.removeEventListener('abort', abort) }
}

/**
 * Joins the signal of whoever calls with the progress that they hear: what `onProgress` throws aborts `signal`, with that as
 * its reason, so that it ends the work instead of getting lost in it. `tell` says nothing once `signal` has aborted.
 */
export function listening<Progress>(
  onProgress: ((progress: Progress) => void) | undefined,
  given: AbortSignal | undefined,
): { tell: (progress: Progress) => void; signal: AbortSignal; leave: () => void } {
  const { controller, leave } = follow(given)
  const { signal } = controller
  const tell = (progress: Progress) => {
    if (signal.aborted) return
    try {
      onProgress?.(progress)
    } catch (error) {
      controller.abort(error)
    }
  }
  return { tell, signal, leave }
}
