import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { MobileNetError } from '../errors.js'
import { isIterable, mustBe } from '../options/types.js'
import { toPath } from '../paths.js'
import { files } from '../record/files.js'
import { isRunning } from '../record/runs.js'
import type { ReportTask } from './worker.js'

/**
 * Writes a page about a run, or about several to compare: curves, confusion matrix, the pictures that it gets most wrong,
 * configuration. The page needs no other file and no network. It is made in a thread of its own. Gives the page's path.
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

function make(task: ReportTask): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(join(__dirname, 'worker.js'), { workerData: task })
    const fail = (message: string) => reject(new MobileNetError('IO', message))
    worker.once('message', (failure: string | null) => (failure === null ? resolve() : fail(failure)))
    const ended = (message: string) => fail(`can't write ${task.file}: ${message}`)
    worker.once('error', (error) => ended(error.message))
    worker.once('exit', () => ended('its thread ended early'))
  })
}
