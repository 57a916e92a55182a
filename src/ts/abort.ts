import type { Cancel } from './native/binding.js'
import { binding } from './native/load.js'

/**
 * Waits for `work`, or until `signal` aborts: then rejects with the signal's reason and leaves the work, which is
 * past stopping, to end unheard.
 */
export async function abortable<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work()
  signal.throwIfAborted()
  let listener: () => void = () => {}
  const aborted = new Promise<never>((_, reject) => {
    listener = () => reject(signal.reason)
    signal.addEventListener('abort', listener, { once: true })
  })
  try {
    return await Promise.race([work(), aborted])
  } finally {
    signal.removeEventListener('abort', listener)
  }
}

/** Waits for native `work`, which is cancelled when `signal` aborts: then rejects with the signal's reason. */
export async function cancellable<T>(work: (cancel: Cancel) => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  const cancel = new (binding().Cancel)()
  const stop = () => cancel.cancel()
  signal?.addEventListener('abort', stop)
  try {
    return await work(cancel)
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
