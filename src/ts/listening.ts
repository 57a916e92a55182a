/**
 * Joins the signal of whoever calls with the one whose progress they hear: what `onProgress` throws aborts `signal`, with
 * that as its reason, so that it ends the work instead of getting lost in it. `tell` says nothing once `signal` has aborted.
 */
export function listening<Progress>(
  onProgress: ((progress: Progress) => void) | undefined,
  given: AbortSignal | undefined,
): { tell: (progress: Progress) => void; signal: AbortSignal } {
  const thrown = new AbortController()
  const signal = given ? AbortSignal.any([given, thrown.signal]) : thrown.signal
  const tell = (progress: Progress) => {
    if (signal.aborted) return
    try {
      onProgress?.(progress)
    } catch (error) {
      thrown.abort(error)
    }
  }
  return { tell, signal }
}
