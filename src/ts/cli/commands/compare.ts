import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import writeFileAtomic from 'write-file-atomic'
import {
  type CompareOptions,
  type CompareProgress,
  type Comparison,
  checkComparison,
  compare,
  MobileNetError,
  type Variant,
} from '../../../../index.js'
import { comparisonMarkdown } from '../comparison/markdown.js'
import { ComparisonView } from '../comparison/view.js'
import { openCifar10 } from '../data.js'
import type { Deps } from '../deps.js'
import { tellDevice } from '../device.js'
import { isUnread, outputFailure } from '../interrupt.js'
import { addNetworkOptions, list, type NetworkFlags, networkOf, number, presetOf } from '../options.js'
import { newFolder } from '../plan.js'
import { addRecipeOptions, type RecipeFlags, recipeOf } from '../recipe.js'
import { renderComparison } from '../render/comparison.js'
import { writeJson } from '../render/json.js'
import { tellNote } from '../render/note.js'

interface Flags extends NetworkFlags, RecipeFlags {
  variants?: string
  seconds?: number
  train?: boolean
  preset?: string
  data?: string
  device?: string
  out?: string
  json?: boolean
}

/** Its recipe brings a network far in a time that one waits for. */
const usualPreset = 'quick'

export function compareCommand(deps: Deps): Command {
  const command = new Command('compare')
    .description('MobileNets side by side: size, memory and speed, and with --train also accuracy.')
    .option('--variants <list>', 'v1, v2, v3-large, v3-small, with commas between (default: all)')
  addNetworkOptions(command, { of: 'comparison', without: ['variant', 'activation'] })
  command
    .option('--seconds <n>', 'about how long to measure speeds (default: 30)', number)
    .option('--train', 'train each on CIFAR-10 by the same recipe, one after the other')
    .option('--preset <name>', `recipe to begin with: course, cifar or quick (default: ${usualPreset})`)
    .option('--data <dir>', 'folder or archive with CIFAR-10 (default: the cache, where it is downloaded to)')
  return addRecipeOptions(command)
    .option('--threads <n>', 'threads that compute (default: one a core)', number)
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default: auto)')
    .option('--out <dir>', 'folder for tables, page and checkpoints (default: runs/<date>-<time>-compare)')
    .option('--json', 'print a line of JSON')
    .action((flags: Flags) => run(deps, flags))
}

async function run(deps: Deps, flags: Flags): Promise<void> {
  const out = flags.out ?? newFolder('compare')
  const options = optionsOf(flags)
  // A wrong call is told before anything is read or downloaded.
  if (flags.train) await checkComparison(options)
  const data = flags.train ? await openCifar10(deps, flags.data, { json: flags.json }) : undefined
  // For people, it stands at the head of every run.
  if (data && flags.json) tellNote(deps, data.note, flags)
  const call = { json: Boolean(flags.json), note: data?.note ?? null, flags, out }
  const view = new ComparisonView(deps, call)
  try {
    const comparison = await interruptible(deps.interrupt, (signals) =>
      compare({
        ...options,
        ...(data ? { data, out } : {}),
        signal: signals.signal,
        stop: deps.interrupt,
        onProgress: (progress) => {
          signals.hear(progress)
          view.show(progress)
        },
      }),
    )
    view.close()
    tellDevice(deps, comparison.deviceNote, flags)
    const files = await write(comparison, out)
    if (flags.json) writeJson(deps.stdout, { type: 'comparison', ...comparison })
    else deps.stdout.write(renderComparison(deps.stdout, comparison, files))
    if (comparison.stopped && isUnread(deps.interrupt)) {
      throw new MobileNetError(
        'IO',
        `stopped, because nobody reads the output any more; the rest is in ${out}`,
      )
    }
    const failure = outputFailure(deps.interrupt)
    if (failure) throw new MobileNetError('IO', `${failure.message}; what was found is in ${out}`)
  } finally {
    view.close()
  }
}

function optionsOf(flags: Flags): CompareOptions {
  if (flags.data !== undefined && !flags.train) {
    throw new MobileNetError('INVALID_OPTION', 'without --train nothing is read, so --data can not be given')
  }
  const { threads, ...recipe } = recipeOf(flags, presetOf(flags.preset ?? usualPreset).train)
  const { seconds, device } = flags
  return {
    ...networkOf(flags),
    ...(flags.variants === undefined ? {} : { variants: list(flags.variants) as Variant[] }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
    recipe: { ...presetOf(flags.preset ?? usualPreset).train, ...recipe },
  } as unknown as CompareOptions
}

/**
 * Ctrl-C ends the measuring at once. A run it only stops, in good order, which `compare` is told by another signal: so
 * what took hours is not lost.
 */
async function interruptible<T>(
  interrupt: AbortSignal,
  work: (signals: { signal: AbortSignal; hear: (progress: CompareProgress) => void }) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const abort = () => controller.abort(interrupt.reason)
  interrupt.throwIfAborted()
  interrupt.addEventListener('abort', abort)
  const hear = ({ type }: CompareProgress) => {
    if (type === 'train') interrupt.removeEventListener('abort', abort)
  }
  try {
    return await work({ signal: controller.signal, hear })
  } finally {
    interrupt.removeEventListener('abort', abort)
  }
}

/** The comparison as JSON, as Markdown and as a page; gives the files. */
async function write(comparison: Comparison, out: string): Promise<string[]> {
  // Loaded only now: what draws is as large as all the rest.
  const { comparisonPage } = require('../comparison/page.js') as typeof import('../comparison/page.js')
  const files: [name: string, text: string][] = [
    ['comparison.html', comparisonPage(comparison)],
    ['comparison.md', comparisonMarkdown(comparison)],
    ['comparison.json', `${JSON.stringify(comparison, null, 2)}\n`],
  ]
  try {
    await mkdir(out, { recursive: true })
    for (const [name, text] of files) await writeFileAtomic(join(out, name), text)
  } catch (error) {
    throw new MobileNetError('IO', `can't write to ${out}: ${(error as Error).message}`, { cause: error })
  }
  return files.map(([name]) => join(out, name))
}
