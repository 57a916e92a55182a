import { readdir } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'

/** What the core calls the file of a folder's decoded pictures until it is whole. */
const unfinishedName = /^\.pictures-.*\.tmp$/

/** Decoding that is ended goes on with the pictures at hand; who doesn't want to wait types Ctrl-C again. */
const longestMilliseconds = 10_000

/** The unfinished files of decoded pictures in a folder that need not be there. */
export async function unfinishedFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names.filter((name) => unfinishedName.test(name))
}

/**
 * Waits until decoding that was ended has removed its file, which it does behind the end that is told; a process that ends
 * before leaves the file behind.
 *
 * @param before The unfinished files that were there before: other processes'.
 */
export async function unfinishedRemoved(folder: string, before: string[]): Promise<void> {
  const end = performance.now() + longestMilliseconds
  while (performance.now() < end) {
    const names = await unfinishedFiles(folder)
    if (names.every((name) => before.includes(name))) return
    await wait(20)
  }
}
