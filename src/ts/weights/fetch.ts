import { mkdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { cacheDirectory } from '../dataset/cache.js'
import type { DownloadProgress } from '../dataset/download.js'
import { digest, fileSize } from '../dataset/files.js'
import { fetchFile } from '../dataset/http.js'
import { exclusively } from '../dataset/lock.js'
import { MobileNetError } from '../errors.js'
import { listening } from '../follow.js'
import type { Published } from './torchvision.js'

/** What {@link fetchWeights} takes. */
export interface FetchWeightsOptions {
  /** A folder that holds the file already; default: it is downloaded into the cache. */
  directory?: string | undefined
  /** What it throws ends the download. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Stops the download; what has come is gone on with next time. */
  signal?: AbortSignal | undefined
  /** Milliseconds until the server must answer. */
  answerTimeout?: number | undefined
  /** Milliseconds without a byte after which the connection counts as dead. */
  stallTimeout?: number | undefined
}

/**
 * Sees to it that published weights lie in a file, downloading them if need be. Safe when several processes do this at
 * once. The content is checked against the digest in the file's name each time.
 *
 * @returns the file's path.
 * @throws {MobileNetError} `CHECKPOINT_CORRUPT` when the content has another digest; `IO` when the file can't be had,
 *   saying where it can, or the file system refuses. `signal.reason` when the signal aborts, and what `onProgress` throws.
 */
export async function fetchWeights(published: Published, options: FetchWeightsOptions = {}): Promise<string> {
  const { tell, signal, leave } = listening(options.onProgress, options.signal)
  const file = basename(new URL(published.url).pathname)
  const directory = options.directory ?? join(cacheDirectory(), 'weights')
  const path = join(directory, file)
  try {
    signal.throwIfAborted()
    if ((await fileSize(path)) !== undefined) {
      const found = await digest(path, 'sha256', 'hex', signal)
      if (isRight(file, found)) return path
      if (options.directory !== undefined) throw wrongContent(path, file, found)
    } else if (options.directory !== undefined) {
      throw new MobileNetError('IO', `there is no ${file} in ${directory}; ${getIt(published)}`)
    }
    await mkdir(directory, { recursive: true })
    return await exclusively(directory, signal, async () => {
      await download(published, path, options, tell, signal)
      return path
    })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof MobileNetError) throw error
    throw new MobileNetError('IO', `cannot use ${path}: ${(error as Error).message}`, { cause: error })
  } finally {
    leave()
  }
}

async function download(
  published: Published,
  path: string,
  { answerTimeout = 5_000, stallTimeout = 20_000 }: FetchWeightsOptions,
  tell: (progress: DownloadProgress) => void,
  signal: AbortSignal,
): Promise<void> {
  const file = basename(path)
  const good = async (path: string) =>
    (await fileSize(path)) !== undefined && isRight(file, await digest(path, 'sha256', 'hex', signal))
  // Another process may have been faster.
  if (await good(path)) return
  const part = `${path}.part`
  let size = 0
  const report = (phase: 'download' | 'verify', receivedBytes: number, totalBytes?: number) =>
    tell({ source: published.name, phase, receivedBytes, ...(totalBytes && { totalBytes }) })
  // An earlier call may have been ended when all had come.
  if (!(await good(part))) {
    try {
      await fetchFile({
        url: published.url,
        path: part,
        answerTimeout,
        stallTimeout,
        signal,
        onBytes: (received, total) => {
          size = received
          report('download', received, total)
        },
      })
    } catch (error) {
      signal.throwIfAborted()
      const words = `${published.name} could not be downloaded from ${published.url}: ${(error as Error).message}`
      throw new MobileNetError('IO', `${words}; ${getIt(published)}`, { cause: error })
    }
    report('verify', size, size)
    const found = await digest(part, 'sha256', 'hex', signal)
    if (!isRight(file, found)) {
      // Nothing to go on with next time.
      await rm(part)
      throw wrongContent(published.url, file, found)
    }
  }
  await rename(part, path)
}

/** Whether a digest begins as the file's name says: `name-0123abcd.pth`. */
function isRight(file: string, sha256: string): boolean {
  const [, expected] = /-([0-9a-f]{8,64})\.[a-z]+$/.exec(file) ?? []
  return expected !== undefined && sha256.startsWith(expected)
}

function wrongContent(where: string, file: string, found: string): MobileNetError {
  return new MobileNetError(
    'CHECKPOINT_CORRUPT',
    `what is in ${where} has SHA-256 ${found.slice(0, 16)}..., which is not the one in the name ${file}`,
  )
}

function getIt({ url }: Published): string {
  return `get ${url} another way, and name the folder that it lies in (--weights-dir on the command line, directory in the API)`
}
