import { statSync } from 'node:fs'
import {
  Cifar10,
  type Dataset,
  type FolderSplit,
  ImageFolder,
  type MobileNet,
  MobileNetError,
} from '../../../index.js'
import type { Deps } from './deps.js'
import { StageBar } from './render/bar.js'
import { DownloadBar } from './render/download.js'
import { writeJson } from './render/json.js'
import { grouped, printable } from './render/text.js'

/** What a command was told about its output. */
interface Output {
  quiet?: boolean | undefined
  json?: boolean | undefined
}

/** Where the pictures are, and for whom. */
interface Source {
  /** A data set; without one, CIFAR-10 in the cache. */
  directory: string | undefined
  /** Where decoded pictures of a folder are kept. */
  cacheDir: string | undefined
  /** What the network takes. */
  resolution: number
  /** What it was validated with: the pictures' shorter side, before the middle is cut out. Default: the resolution. */
  resize?: number | undefined
  /** How the same pictures were taken from a folder before. */
  split?: Pick<FolderSplit, 'testFraction' | 'seed'> | null | undefined
}

/** What `--data` takes, for the help. */
export const dataHelp =
  'folder or archive with CIFAR-10, or a folder with a folder of pictures for every class (default: CIFAR-10 in the cache, where it is downloaded to)'
/** What `--cache-dir` takes, for the help. */
export const cacheHelp = `where decoded pictures of a --data folder are kept (default: ${ImageFolder.defaultCache})`

/** Unreadable files that are named in a text; the rest are counted. */
const mostNamed = 20

/** Refuses a place for a folder's decoded pictures where there is no folder, before anything is read or downloaded. */
export function checkSource({ directory, cacheDir }: Pick<Source, 'directory' | 'cacheDir'>): void {
  if (cacheDir === undefined || directory !== undefined) return
  throw new MobileNetError('INVALID_OPTION', '--cache-dir is for a folder of pictures, which --data names')
}

/**
 * Refuses to take CIFAR-10 for the pictures of a network that was trained on a folder's, before it is read or downloaded: it
 * would be told of labels that the network has no classes for.
 */
export function checkTrainedOn({ trainedOn, classes }: MobileNet, directory: string | undefined): void {
  if (directory !== undefined || !trainedOn?.folder) return
  const some = classes.length > 5 ? `${classes.slice(0, 5).join(', ')}, ...` : classes.join(', ')
  throw new MobileNetError(
    'INVALID_OPTION',
    `the network was trained on a folder of pictures (${some}), not on CIFAR-10: name the folder with --data`,
  )
}

/** Opens the data set in a folder: CIFAR-10, or pictures. Without one, CIFAR-10 is downloaded if it is not in the cache. */
export async function openData(deps: Deps, source: Source, output: Output): Promise<Dataset> {
  const { directory, cacheDir } = source
  checkSource(source)
  const data = await (directory === undefined
    ? downloadData(deps, undefined, output)
    : openDirectory(deps, { ...source, directory }, output))
  if (cacheDir !== undefined && data.resolution === null) {
    throw new MobileNetError(
      'INVALID_OPTION',
      `--cache-dir is for a folder of pictures, and ${data.source} is CIFAR-10`,
    )
  }
  return data
}

/** Opens CIFAR-10 in `directory`; without one, that in the cache, which is downloaded if it is not there. */
export async function openCifar10(
  deps: Deps,
  directory: string | undefined,
  output: Output,
): Promise<Dataset> {
  if (directory === undefined) return downloadData(deps, undefined, output)
  try {
    return await Cifar10.open({ directory, signal: deps.interrupt })
  } catch (error) {
    throw isMissing(error) ? missing(error) : error
  }
}

function isMissing(error: unknown): error is MobileNetError {
  return error instanceof MobileNetError && error.code === 'DATASET_NOT_FOUND'
}

/** What is missing, with what to do about it on the command line in place of what a program does. */
function missing(error: MobileNetError): MobileNetError {
  const { message, code, fix = '' } = error
  const ours = 'name with --data the folder or archive that holds it; without --data, CIFAR-10 is downloaded'
  const what = message.slice(0, message.length - fix.length)
  return new MobileNetError(code, what + ours, { cause: error, fix: ours })
}

async function openDirectory(
  deps: Deps,
  source: Source & { directory: string },
  output: Output,
): Promise<Dataset> {
  const { directory } = source
  try {
    return await Cifar10.open({ directory, signal: deps.interrupt })
  } catch (error) {
    if (!isMissing(error)) throw error
    if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) throw missing(error)
  }
  try {
    return await openFolder(deps, source, output)
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new MobileNetError('DATASET_NOT_FOUND', `no CIFAR-10 in ${directory}, and ${error.message}`, {
      cause: error,
    })
  }
}

/** Opens a folder of pictures, with a bar on stderr while they are decoded, and names those that can't be read. */
async function openFolder(
  deps: Deps,
  { directory, cacheDir, resolution, resize, split }: Source & { directory: string },
  output: Output,
): Promise<Dataset> {
  const bar = new StageBar(deps.stderr)
  // As with a download: whose stdout is JSON has the errors as JSON on stderr.
  const shown = !output.quiet && (!output.json || deps.stderr.isTTY)
  const open = (testFraction: number | null) =>
    ImageFolder.open(directory, {
      resolution,
      resize: resize ?? null,
      testFraction,
      seed: split?.seed ?? null,
      ...(cacheDir === undefined ? {} : { cache: cacheDir }),
      signal: deps.interrupt,
      onProgress: ({ done, total, skipped }) => {
        const unreadable = skipped === 0 ? '' : `, ${grouped(skipped)} unreadable`
        const amount = `${grouped(done)} of ${grouped(total)} pictures${unreadable}`
        if (shown) bar.update(`decode ${printable(directory)}`, total === 0 ? 1 : done / total, amount)
      },
    })
  let data: Dataset
  try {
    const testFraction = split?.testFraction ?? null
    data = await open(testFraction).catch((error) => {
      // Another folder than before may have parts, and takes no share for testing.
      const parted = error instanceof MobileNetError && error.code === 'INVALID_OPTION'
      if (testFraction === null || !parted) throw error
      return open(null)
    })
  } finally {
    bar.stop()
  }
  tellSkipped(deps, data, output)
  return data
}

/** A picture that is left out is never left out silently. */
function tellSkipped(deps: Deps, { skipped }: Dataset, { quiet, json }: Output): void {
  if (skipped.length === 0) return
  if (json) {
    for (const { file, reason } of skipped) writeJson(deps.stderr, { type: 'skipped', file, reason })
    return
  }
  const named = quiet ? [] : skipped.slice(0, mostNamed)
  for (const { file, reason } of named)
    deps.stderr.write(`skipped ${printable(file)}: ${printable(reason)}\n`)
  const rest = skipped.length - named.length
  if (rest > 0) {
    const more = named.length === 0 ? 'pictures' : 'more'
    deps.stderr.write(`skipped ${grouped(rest)} ${more} that could not be read\n`)
  }
}

/** Opens the data set in `directory` or the cache, and downloads it to there if need be, with a bar on stderr. */
export async function downloadData(
  deps: Deps,
  directory: string | undefined,
  output: Output,
): Promise<Dataset> {
  const bar = new DownloadBar(deps.stderr)
  // Who reads JSON from stdout reads errors as JSON from stderr, unless that is a terminal.
  const shown = !output.quiet && (!output.json || deps.stderr.isTTY)
  try {
    return await Cifar10.open({
      ...(directory === undefined ? {} : { directory }),
      download: true,
      signal: deps.interrupt,
      onProgress: (progress) => {
        if (shown) bar.update(progress)
      },
    })
  } finally {
    bar.stop()
  }
}
