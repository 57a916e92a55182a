import { parentPort, workerData } from 'node:worker_threads'
import writeFileAtomic from 'write-file-atomic'
import { MobileNetError } from '../errors.js'
import { readConfig } from '../record/config.js'
import { readEvaluation } from '../record/evaluation.js'
import { readHistory } from '../record/history.js'
import { runRecord } from '../record/runs.js'
import { type ReportedRun, reportPage } from './page.js'

/** What a report is to be made of. */
export interface ReportTask {
  runs: { folder: string; running: boolean }[]
  /** The page. */
  file: string
}

// A thread of its own: a page with its plots takes a third of a second, in which Node's event loop would stand still.

async function work({ runs, file }: ReportTask): Promise<void> {
  const reported: ReportedRun[] = []
  for (const { folder, running } of runs) {
    const [history, evaluation] = [await readHistory(folder), await readEvaluation(folder)]
    const saved = await readConfig(folder).catch(() => null)
    reported.push({ run: runRecord(folder, history, evaluation, running), saved })
  }
  await writeFileAtomic(file, reportPage(reported))
}

work(workerData as ReportTask).then(
  () => parentPort?.postMessage(null),
  (error: Error) => {
    // What can't be read names itself.
    const unread = error instanceof MobileNetError
    parentPort?.postMessage(
      unread ? error.message : `can't write ${(workerData as ReportTask).file}: ${error.message}`,
    )
  },
)
