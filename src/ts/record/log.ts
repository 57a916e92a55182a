import { existsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { cannotRead, MobileNetError } from '../errors.js'
import type { NativeMessage } from '../events.js'
import { files } from './files.js'

/** A line of a run's log. */
export type LogLine = NativeMessage & {
  /** When it was written, in seconds since 1970. */
  time: number
}

/**
 * Every line of the log of the run in `folder`. A last line that is still being written, or was torn when the process was
 * killed, is not there.
 */
export async function* readLog(folder: string): AsyncGenerator<LogLine, void, undefined> {
  const path = join(folder, files.log)
  let file: FileHandle | undefined
  let torn = 0
  let number = 0
  try {
    file = await open(path)
    for await (const text of file.readLines()) {
      number += 1
      if (torn > 0) throw new MobileNetError('IO', `line ${torn} of ${path} is no event of a run`)
      const line = parsed(text)
      if (line) yield line
      else torn = number
    }
  } catch (error) {
    if (error instanceof MobileNetError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && existsSync(folder)) {
      const message = `${folder} is not the folder of a run: there is no ${files.log} in it`
      throw new MobileNetError('IO', message, { cause: error })
    }
    throw cannotRead(path, error)
  } finally {
    // Waited for, because Windows removes no folder with an open file.
    await file?.close()
  }
}

/** What the text says; nothing when it is no line of a log. */
function parsed(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text) as Partial<LogLine> | null
    const whole = typeof line?.type === 'string' && typeof line.time === 'number'
    return whole && hasParts(line) ? (line as LogLine) : undefined
  } catch {
    return undefined
  }
}

/** Whether what a log's readers take from events is there. */
function hasParts(line: Partial<LogLine>): boolean {
  const parts = { start: 'config', epoch: 'train', done: 'report' } as const
  const part = parts[line.type as keyof typeof parts]
  return part === undefined || typeof (line as Record<string, unknown>)[part] === 'object'
}
