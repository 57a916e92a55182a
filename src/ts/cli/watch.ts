import { on, once } from 'node:events'
import { open, stat } from 'node:fs/promises'
import { relative, sep } from 'node:path'
import { isPictureName, MobileNetError } from '../../../index.js'

/** A file is whole when nobody has written to it for so long. */
const quietMilliseconds = 300

/** How often it is looked whether the folder is still the one that is watched. */
const lookMilliseconds = 1000

/** A folder that is watched until `close`. */
export interface PictureWatch extends AsyncIterable<string> {
  close(): Promise<void>
}

/**
 * Watches a folder for the pictures that come into it or the folders below it, or are changed there; gives each when it was
 * written to its end, also those of the time before somebody asks. Hidden ones are left out, as when a folder is looked
 * through, and so is what may not be read.
 *
 * @throws {MobileNetError} `IO` when the folder is none, when it can't be watched, or is removed: another of its name would not
 *   be watched.
 */
export async function watchPictures(folder: string, signal: AbortSignal): Promise<PictureWatch> {
  const there = await stat(folder, { bigint: true }).catch(() => undefined)
  if (!there?.isDirectory()) throw new MobileNetError('IO', `cannot watch ${folder}: it is no folder`)
  // While it is open, no new folder can have its number. (On Windows a folder can't be opened, and numbers don't come back.)
  const held = await open(folder).catch(() => undefined)
  const { watch } = await import('chokidar')
  const watcher = watch(folder, {
    ignoreInitial: true,
    ignorePermissionErrors: true,
    ignored: (path, stats) => isHidden(folder, path) || (Boolean(stats?.isFile()) && !isPictureName(path)),
    awaitWriteFinish: { stabilityThreshold: quietMilliseconds, pollInterval: 50 },
  })
  const removed = new AbortController()
  const either = AbortSignal.any([signal, removed.signal])
  // From now on, so that nothing is lost until the first is asked for.
  const events = on(watcher, 'all', { signal: either })
  // Not by an event: there is none when the folder was moved away, or when there is a new one at once.
  const timer = setInterval(async () => {
    const now = await stat(folder, { bigint: true }).catch(() => undefined)
    if (now?.ino === there.ino && now.dev === there.dev) return
    removed.abort(new MobileNetError('IO', `${folder} was removed, so no more pictures can come into it`))
  }, lookMilliseconds)
  const close = async () => {
    clearInterval(timer)
    await watcher.close()
    await held?.close()
  }
  /** What the watcher or `on` throws is their own. */
  const reason = (error: unknown) => {
    if (either.aborted) return either.reason
    return new MobileNetError('IO', `cannot watch ${folder}: ${(error as Error).message}`, { cause: error })
  }
  try {
    await once(watcher, 'ready', { signal: either })
  } catch (error) {
    await close()
    throw reason(error)
  }
  async function* pictures() {
    try {
      for await (const [event, path] of events)
        if (event === 'add' || event === 'change') yield path as string
    } catch (error) {
      throw reason(error)
    }
  }
  return { close, [Symbol.asyncIterator]: pictures }
}

/** Whether a path's name, or that of a folder between it and `folder`, begins with a dot. */
function isHidden(folder: string, path: string): boolean {
  const names = relative(folder, path).split(sep)
  return names.some((name) => name.startsWith('.') && name !== '..')
}
