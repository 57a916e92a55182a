import { cpus } from 'node:os'
import { cancellable } from './abort.js'
import { native } from './errors.js'
import type { Cancel } from './native/binding.js'

/**
 * Waits for native work that tells how far it is. It is cancelled when `signal` aborts, and when who listens throws:
 * then what was thrown ends the work.
 */
export async function measured<Progress, Found>(
  start: (cancel: Cancel, listener: (progress: Progress) => void) => Promise<Found>,
  signal: AbortSignal | undefined,
  onProgress: ((progress: Progress) => void) | undefined,
): Promise<Found> {
  signal?.throwIfAborted()
  let settled = false
  let failure: { error: unknown } | undefined
  const work = (cancel: Cancel) =>
    native(() =>
      start(cancel, (progress) => {
        // What was sent before the end may arrive after it.
        if (settled || failure || signal?.aborted) return
        try {
          onProgress?.(progress)
        } catch (error) {
          failure = { error }
          cancel.cancel()
        }
      }),
    )
  try {
    const found = await cancellable(work, signal)
    if (failure) throw failure.error
    return found
  } catch (error) {
    throw failure ? failure.error : error
  } finally {
    settled = true
  }
}

/** The processor's name, as the system has it. Some systems, for example Linux on ARM, don't tell. */
export function processorName(): string {
  const name = cpus()[0]?.model.trim()
  return name && name !== 'unknown' ? name : `${process.arch} processor`
}
