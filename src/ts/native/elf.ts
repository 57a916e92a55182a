import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/**
 * Whether a Linux library was cut off, by a full disk or a broken copy. The system's loader maps such a file without
 * complaint, and what then touches the missing pages is killed (SIGBUS), with all of Node.
 *
 * A linker puts the table of sections at the end, so a whole file reaches to where the header says that table ends.
 */
export function isCutOff(path: string): boolean {
  const header = Buffer.alloc(64)
  const file = openSync(path, 'r')
  try {
    const read = readSync(file, header, 0, header.length, 0)
    // Anything else is for the loader to refuse, which it does well.
    const elf64 = read === header.length && header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2
    if (!elf64) return false
    const tableEnd = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
    return fstatSync(file).size < tableEnd
  } finally {
    closeSync(file)
  }
}
