import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** A lock whose holder hasn't renewed it for so many milliseconds counts as left behind by a process that was killed. */
const stale = 15_000

/**
 * Runs `work` while no other process (nor another call in this one) does so for the same folder; waits until then.
 *
 * @throws `signal.reason` when the signal aborts while waiting, and what `work` throws.
 */
export async function exclusively<T>(
  folder: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  // Loaded here, because loading it sets handlers for the end of the process.
  const { lock } = await import('proper-lockfile')
  // A lock that was taken over in spite of its renewal (a machine that slept) costs a download, not the data set:
  // what is downloaded is checked, and put in place in one step.
  const options = {
    lockfilePath: join(folder, '.download.lock'),
    realpath: false,
    stale,
    onCompromised: () => {},
  }
  for (;;) {
    signal.throwIfAborted()
    let release: () => Promise<void>
    try {
      release = await lock(folder, options)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error
      await wait(200, undefined, { signal }).catch(() => {})
      continue
    }
    try {
      return await work()
    } finally {
      await release().catch(() => {})
    }
  }
}
