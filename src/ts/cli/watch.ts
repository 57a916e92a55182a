import { on } from 'node:events'
import { stat } from 'node:fs/promises'
import { isPictureName, MobileNetError } from '../../../index.js'

/** A file is whole when nobody has written to it for so long. */
const quietMilliseconds = 300

/**
 * The pictures that come into a folder or the folders below it, or are changed there, each when it was written to its end.
 *
 * @param ready Called when the folder is watched.
 */
export async function* watchPictures(
  folder: string,
  signal: AbortSignal,
  ready: () => void = () => {},
): AsyncGenerator<string, void, undefined> {
  const there = await stat(folder).catch(() => undefined)
  if (!there?.isDirectory()) throw new MobileNetError('IO', `cannot watch ${folder}: it is no folder`)
  const { watch } = await import('chokidar')
  const watcher = watch(folder, {
    ignoreInitial: true,
    ignored: (path, stats) => Boolean(stats?.isFile()) && !isPictureName(path),
    awaitWriteFinish: { stabilityThreshold: quietMilliseconds, pollInterval: 50 },
  })
  watcher.once('ready', ready)
  try {
    for await (const [event, path] of on(watcher, 'all', { signal })) {
      if (event === 'add' || event === 'change') yield path
    }
  } catch (error) {
    // What `on` throws is its own.
    throw signal.aborted ? signal.reason : error
  } finally {
    await watcher.close()
  }
}
