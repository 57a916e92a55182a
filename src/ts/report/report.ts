import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { MobileNetError } from '../errors.js'
import { isIterable, mustBe } from '../options/types.js'
import { toPath } from '../paths.js'
import { files } from '../record/files.js'
import { isRunning } from '../record/runs.js'
import type { ReportTask } from './write.js'

/**
 * Writes a page about a run, or about several to compare: curves, confusion matrix, the pictures that it gets most wrong,
 * configuration. The page needs no other file and no network. It is made in a thread of its own (but not in a bundle, which has
 * no file for one). Gives the page's path.
 *
 * @param folders The folder of a run, or those of several.
 * @param file Where the page goes; default `report.html`, of one run in its folder, of several in the working directory.
 * @example await writeReport(['runs/first', 'runs/second'], 'compared.html')
 */
export async function writeReport(
  folders: string | URL | readonly (string | URL)[],
  file?: string | URL,
): Promise<string> {
  const several = typeof folders !== 'string' && !(folders instanceof URL)
  if (several) mustBe(isIterable(folders), 'a report takes the folder of a run, or an array of them', folders)
  const list = [...(several ? folders : [folders])].map((folder) => toPath(folder, 'the folder of a run'))
  const [first] = list
  if (first === undefined) throw new MobileNetError('INVALID_OPTION', 'a report takes at least one run')
  const asked = file === undefined ? undefined : toPath(file, 'the page')
  const page = asked ?? (list.length === 1 ? join(first, files.report) : files.report)
  // Asked here, because the thread that makes the page does without the native library.
  await make({ runs: list.map((folder) => ({ folder, running: isRunning(folder) })), file: page })
  return page
}

async function make(task: ReportTask): Promise<void> {
  const file = workerFile()
  const failure = await (file === undefined ? inThisThread(task) : inThread(file, task))
  if (failure !== null) throw new MobileNetError('IO', failure)
}

/** The file that makes a page in a thread; there is none in a bundle. */
function workerFile(): string | undefined {
  // In a bundle this is part of another file, beside which another program's worker may lie; as an ES module that has no name.
  if (typeof __filename !== 'string' || basename(__filename) !== 'report.js') return undefined
  const file = join(dirname(__filename), 'worker.js')
  return existsSync(file) ? file : undefined
}

function inThisThread(task: ReportTask): Promise<string | null> {
  // Loaded when it is needed, with the libraries that draw plots.
  const { writePage } = require('./write.js') as typeof import('./write.js')
  return writePage(task)
}

/** Has a thread make the page. Gives null, or why it couldn't. */
function inThread(file: string, task: ReportTask): Promise<string | null> {
  return new Promise((resolve) => {
    const worker = new Worker(file, { workerData: task })
    const ended = (message: string) => resolve(`can't write ${task.file}: ${message}`)
    worker.once('message', resolve)
    worker.once('error', (error) => ended(error.message))
    worker.once('exit', () => ended('its thread ended early'))
  })
}
