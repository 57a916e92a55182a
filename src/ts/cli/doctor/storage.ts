import { access, constants, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Cifar10, MobileNetError } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { grouped, shell } from '../render/text.js'
import { type Check, note, ok } from './check.js'

/** The data set with the archive that it comes from, and a few runs. */
const bytesNeeded = 1e9

/** Where data sets are kept that no option places elsewhere. */
export const cacheDirectory = Cifar10.defaultDirectory

/** What the data cache holds. */
export async function dataCheck({ command, interrupt }: Deps): Promise<Check> {
  const download = shell([...command, 'download'])
  try {
    const { source, official, note: words, counts } = await Cifar10.open({ signal: interrupt })
    const detail = `${source}: ${grouped(counts.train)} + ${grouped(counts.test)} pictures`
    return official
      ? ok('data', `${detail}, each file as published`)
      : note('data', `${detail}\n${words ?? ''}`, null)
  } catch (error) {
    if (!(error instanceof MobileNetError)) throw error
    if (error.code === 'DATASET_NOT_FOUND') {
      return note('data', `CIFAR-10 is not in ${cacheDirectory} yet`, `${download}, or let train do it`)
    }
    const fix = `remove what is damaged in ${cacheDirectory}, then ${download}`
    return { name: 'data', status: 'broken', detail: error.message, fix, code: error.code }
  }
}

async function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
}

/**
 * Whether there is room where files will be written, and whether they may be.
 *
 * @param otherwise How another folder is chosen: to be allowed to write here may be neither possible nor wise.
 */
export async function spaceCheck(name: string, folder: string, otherwise: string): Promise<Check> {
  try {
    const { bavail, bsize } = await statfs(folder)
    const free = bavail * bsize
    const detail = `${(free / 1e9).toFixed(1)} GB free in ${folder}`
    if (!(await isWritable(folder)))
      return note(
        name,
        `${detail}, which can't be written to`,
        `see that this user may write to ${folder}, or ${otherwise}`,
      )
    return free >= bytesNeeded
      ? ok(name, detail)
      : note(name, detail, `make room: ${bytesNeeded / 1e9} GB may be needed`)
  } catch (error) {
    const parent = dirname(resolve(folder))
    // The cache is made when it is first needed: until then, the space is that of the folder it will be in.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && parent !== folder)
      return spaceCheck(name, parent, otherwise)
    return note(name, `unknown: ${(error as Error).message}`, `see that ${folder} can be read`)
  }
}
