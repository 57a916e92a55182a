import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { cannotRead, MobileNetError, native } from '../errors.js'
import type { Report, RunConfig } from '../events.js'
import { binding } from '../native/load.js'
import { checkKeys, type Keys } from '../options/keys.js'
import { toPath } from '../paths.js'
import { type Evaluation, readEvaluation } from './evaluation.js'
import { files } from './files.js'
import { type EpochRecord, type History, readHistory, type StepRecord } from './history.js'

/** A run, as its folder tells. */
export interface RunSummary {
  folder: string
  /** The folder's own name. */
  name: string
  /**
   * `running`: at this moment, in some process. `finished`: after its last epoch. `stopped`: before, in good order.
   * `failed`: with an error. `killed`: its process ended without a word.
   */
  state: 'running' | 'finished' | 'stopped' | 'failed' | 'killed'
  /** When it was first started, as ISO 8601. */
  startedAt: string
  /** How long it ran, without the pauses before it was resumed. */
  seconds: number
  /** As it was started, or last resumed. */
  config: RunConfig
  /** Every complete epoch. */
  epochs: EpochRecord[]
  /** The epoch (from 1) with the best validation accuracy (test accuracy where there is no validation), and that. */
  best: { epoch: number; accuracy: number } | null
  /** How it ended, when it was finished or stopped. */
  report: Report | null
  /** Why it failed. */
  error: { code: string; message: string } | null
}

/** Everything that the record of a run tells. */
export interface RunRecord extends RunSummary {
  /** Every step that was logged. */
  steps: StepRecord[]
  /** After the last complete epoch. */
  evaluation: Evaluation | null
}

/**
 * Reads the record of the run in `folder`, also while it goes on.
 *
 * @example
 * const { state, epochs, steps } = await readRun('runs/first')
 */
export async function readRun(folder: string | URL): Promise<RunRecord> {
  const path = toPath(folder, 'the folder of a run')
  const { history, running } = await present(path)
  return runRecord(path, history, await readEvaluation(path), running)
}

/** What the log of a run says, and whether it goes on. */
async function present(folder: string): Promise<{ history: History; running: boolean }> {
  const history = await readHistory(folder)
  const running = isRunning(folder)
  // It may have come to its end since its log was read: only a log that nobody writes any more tells that it has none.
  const unsure = !running && history.config !== null && history.end === null
  return { history: unsure ? await readHistory(folder) : history, running }
}

/** Puts together what was read. */
export function runRecord(
  folder: string,
  history: History,
  evaluation: Evaluation | null,
  running: boolean,
): RunRecord {
  return { ...summary(folder, history, running), steps: history.steps, evaluation }
}

/** Whether a run writes to the folder at this moment, in whatever process. */
export function isRunning(folder: string): boolean {
  return native(() => binding().isRunning(folder))
}

/** How deep below the directory runs are looked for: `compare` makes a folder of several. */
const depth = 2

/** How runs are listed. */
export interface ListRunsOptions {
  /**
   * Hears of each run whose log can't be read, because it was damaged, say, and of each folder that can't be looked into.
   * They are left out.
   */
  onUnreadable?: ((folder: string, error: MobileNetError) => void) | undefined
}

type Unreadable = NonNullable<ListRunsOptions['onUnreadable']>

const listKeys: Keys<ListRunsOptions> = { onUnreadable: true }

/**
 * The runs in a directory, the oldest first; also the directory itself, if it is a run's.
 *
 * @param directory Where they lie; default `runs`, which need not be there.
 */
export async function listRuns(
  directory?: string | URL,
  options: ListRunsOptions = {},
): Promise<RunSummary[]> {
  checkKeys('listRuns', options, listKeys)
  const { onUnreadable = () => {} } = options
  const top = toPath(directory ?? 'runs', 'a folder of runs')
  const folders = await runFolders(top, directory === undefined, onUnreadable, depth)
  const runs: RunSummary[] = []
  for (const folder of folders) {
    await readable(folder, onUnreadable, async () => {
      const { history, running } = await present(folder)
      // A run that began this moment has not said so yet.
      if (history.config) runs.push(summary(folder, history, running))
    })
  }
  return runs.sort((a, b) => a.startedAt.localeCompare(b.startedAt))
}

/** Goes on after what can't be read. */
async function readable(folder: string, unreadable: Unreadable, read: () => Promise<void>): Promise<void> {
  try {
    await read()
  } catch (error) {
    if (!(error instanceof MobileNetError)) throw error
    unreadable(folder, error)
  }
}

async function runFolders(
  directory: string,
  mayBeMissing: boolean,
  unreadable: Unreadable,
  levels: number,
): Promise<string[]> {
  const entries = await entriesOf(directory, mayBeMissing)
  const found = entries.some(({ name }) => name === files.log) ? [directory] : []
  for (const entry of levels > 0 ? entries : []) {
    const folder = join(directory, entry.name)
    if (!entry.isDirectory()) continue
    await readable(folder, unreadable, async () => {
      found.push(...(await runFolders(folder, true, unreadable, levels - 1)))
    })
  }
  return found
}

async function entriesOf(directory: string, mayBeMissing: boolean): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (mayBeMissing && (error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cannotRead(directory, error)
  }
}

function summary(
  folder: string,
  { config, epochs, end, started, seconds }: History,
  running: boolean,
): RunSummary {
  if (!config) {
    throw new MobileNetError('IO', `${join(folder, files.log)} is not the log of a run: it has no start`)
  }
  const report = end && 'report' in end ? end.report : null
  const error = end && 'error' in end ? end.error : null
  return {
    folder,
    name: basename(resolve(folder)),
    state: running ? 'running' : stateOf(report, error),
    startedAt: new Date(1000 * (started[0] ?? 0)).toISOString(),
    seconds,
    config,
    epochs,
    best: bestOf(epochs),
    report,
    error,
  }
}

function stateOf(report: Report | null, error: RunSummary['error']): RunSummary['state'] {
  if (error) return 'failed'
  if (report) return report.stopped ? 'stopped' : 'finished'
  return 'killed'
}

function bestOf(epochs: EpochRecord[]): RunSummary['best'] {
  let best: RunSummary['best'] = null
  for (const { epoch, train, validation, test } of epochs) {
    const { accuracy } = validation ?? test ?? train
    if (best === null || accuracy > best.accuracy) best = { epoch, accuracy }
  }
  return best
}
