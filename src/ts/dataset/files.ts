import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** The record files of CIFAR-10. Their digests are checked by the native side, before it puts them in place. */
export const recordFiles = [1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`).concat('test_batch.bin')

/** Bytes of each of them. */
export const recordFileBytes = 30_730_000

/** The size of a file in bytes, or undefined if there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/**
 * What a folder holds of CIFAR-10: `complete`, or the name of the first file that `differs`. Only sizes are looked at,
 * so that a data set that is there already costs nothing.
 */
export async function look(folder: string): Promise<{ complete: boolean; differs?: string }> {
  const sizes = await Promise.all(recordFiles.map((name) => fileSize(join(folder, name))))
  const differs = recordFiles.find((_, i) => sizes[i] !== undefined && sizes[i] !== recordFileBytes)
  return { complete: sizes.every((size) => size === recordFileBytes), ...(differs && { differs }) }
}

/** The digest of a file's content. */
export async function digest(
  path: string,
  algorithm: 'sha256' | 'sha512',
  encoding: 'hex' | 'base64',
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm)
  const buffer = Buffer.allocUnsafe(1 << 20)
  const file = await open(path)
  // Not a stream, which may be open for a moment after it was given up: Windows removes no file that is open.
  try {
    for (;;) {
      signal?.throwIfAborted()
      const { bytesRead } = await file.read(buffer)
      if (bytesRead === 0) return hash.digest(encoding)
      hash.update(buffer.subarray(0, bytesRead))
    }
  } finally {
    await file.close()
  }
}
