import { on } from 'node:events'
import { open, stat } from 'node:fs/promises'
import { relative, sep } from 'node:path'
import { isPictureName, MobileNetError } from '../../../index.js'

/** A file is whole when nobody has written to it for so long. */
const quietMilliseconds = 300

/** How often it is looked whether the folder is still the one that is watched. */
const lookMilliseconds = 1000

/**
 * The pictures that come into a folder or the folders below it, or are changed there, each when it was written to its end.
 * Hidden ones are left out, as when a folder is looked through.
 *
 * @param ready Called when the folder is watched.
 * @throws {MobileNetError} `IO` when the folder is none, or is removed: another of its name would not be watched.
 */
export async function* watchPictures(
  folder: string,
  signal: AbortSignal,
  ready: () => void = () => {},
): AsyncGenerator<string, void, undefined> {
  const there = await stat(folder, { bigint: true }).catch(() => undefined)
  if (!there?.isDirectory()) throw new MobileNetError('IO', `cannot watch ${folder}: it is no folder`)
  // While it is open, no new folder can have its number. (On Windows a folder can't be opened, and numbers don't come back.)
  const held = await open(folder).catch(() => undefined)
  const { watch } = await import('chokidar')
  const watcher = watch(folder, {
    ignoreInitial: true,
    ignored: (path, stats) => isHidden(folder, path) || (Boolean(stats?.isFile()) && !isPictureName(path)),
    awaitWriteFinish: { stabilityThreshold: quietMilliseconds, pollInterval: 50 },
  })
  watcher.once('ready', ready)
  const removed = new AbortController()
  const either = AbortSignal.any([signal, removed.signal])
  // Not by an event: there is none when the folder was moved away, or when there is a new one at once.
  const timer = setInterval(async () => {
    const now = await stat(folder, { bigint: true }).catch(() => undefined)
    if (now?.ino === there.ino && now.dev === there.dev) return
    removed.abort(new MobileNetError('IO', `${folder} was removed, so no more pictures can come into it`))
  }, lookMilliseconds)
  try {
    for await (const [event, path] of on(watcher, 'all', { signal: either })) {
      if (event === 'add' || event === 'change') yield path
    }
  } catch (error) {
    // What `on` throws is its own.
    throw either.aborted ? either.reason : error
  } finally {
    clearInterval(timer)
    await watcher.close()
    await held?.close()
  }
}

/** Whether a path's name, or that of a folder between it and `folder`, begins with a dot. */
function isHidden(folder: string, path: string): boolean {
  const names = relative(folder, path).split(sep)
  return names.some((name) => name.startsWith('.') && name !== '..')
}
