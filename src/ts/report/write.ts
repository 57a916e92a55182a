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

/** Reads the runs and writes the page. Gives null, or why it couldn't. */
export async function writePage({ runs, file }: ReportTask): Promise<string | null> {
  try {
    const reported: ReportedRun[] = []
    for (const { folder, running } of runs) {
      const [history, evaluation] = [await readHistory(folder), await readEvaluation(folder)]
      const saved = await readConfig(folder).catch(() => null)
      reported.push({ run: runRecord(folder, history, evaluation, running), saved })
    }
    await writeFileAtomic(file, reportPage(reported))
    return null
  } catch (error) {
    // What can't be read names itself.
    return error instanceof MobileNetError
      ? error.message
      : `can't write ${file}: ${(error as Error).message}`
  }
}
