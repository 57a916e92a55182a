import { Command } from 'commander'
import { MobileNet, MobileNetError, resolveRecipe, type TrainRun } from '../../../../index.js'
import { openData } from '../data.js'
import type { Deps } from '../deps.js'
import { isLive } from '../live/screen.js'
import { addNetworkOptions, number } from '../options.js'
import { type Plan, planOf, type TrainFlags } from '../plan.js'
import { addRecipeOptions, recipeDefault } from '../recipe.js'
import { JsonView, writeJson } from '../render/json.js'
import { PlainView } from '../render/plain.js'
import { shell } from '../render/text.js'
import { TtyView } from '../render/tty.js'
import type { RunFacts, View } from '../render/view.js'

export function trainCommand(deps: Deps): Command {
  const command = new Command('train')
    .description("Train a network on CIFAR-10; without options, the course's script.")
    .option('--preset <name>', 'network and recipe to begin with: course, cifar or quick (default: course)')
  addNetworkOptions(command, { of: 'preset' })
  command.option(
    '--data <dir>',
    'folder or archive with CIFAR-10 (default: the cache, where it is downloaded to)',
  )
  addRecipeOptions(command)
  return command
    .option('--init <checkpoint>', "begin with a checkpoint's network and weights")
    .option(
      '--resume <run>',
      "go on with a run: its folder or last.safetensors; options given replace the run's",
    )
    .option(
      '--out <dir>',
      "the run's folder (default: runs/<date>-<time>-<preset>, or the folder that is resumed)",
    )
    .option('--log-every <n>', `steps between two lines${recipeDefault('logEvery')}`, number)
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default: auto)')
    .option('--threads <n>', 'threads that compute (default: one a core)', number)
    .option('--json', 'print every event as a line of JSON')
    .option('--quiet', 'print only how the run ended')
    .action((flags: TrainFlags) => train(deps, flags))
}

async function train(deps: Deps, flags: TrainFlags): Promise<void> {
  const plan = planOf(flags)
  // A wrong call is told before anything is read or downloaded. (A resumed run's recipe is in its checkpoint.)
  if (!plan.resume) resolveRecipe(plan.options)
  const model = await modelOf(plan)
  const data = await openData(deps, flags.data, { quiet: flags.quiet, json: flags.json })
  deps.interrupt.throwIfAborted()
  if (data.note !== null && flags.json && !flags.quiet)
    writeJson(deps.stderr, { type: 'note', message: data.note })
  const facts: RunFacts = {
    parameters: model.parameters,
    note: data.note,
    command: deps.command,
    resume: resumeCommand(deps, flags, plan.options.out),
    interrupt: deps.interrupt,
  }
  const view = viewOf(deps, flags, facts)
  const evaluationEvents = view instanceof TtyView
  const run = model.train({ ...plan.options, resume: plan.resume, data, evaluationEvents })
  await watch(deps, run, view, Boolean(flags.quiet))
  const report = await run.result
  if (report.stopped && deps.interrupt.reason?.code === 'EPIPE') {
    const rest = report.checkpoint === null ? '' : `; go on with: ${shell(facts.resume)}`
    throw new MobileNetError('IO', `the run was stopped, because nobody reads its output any more${rest}`)
  }
}

function modelOf({ checkpoint, network }: Plan): Promise<MobileNet> {
  return checkpoint === undefined ? MobileNet.create(network) : MobileNet.load(checkpoint, network)
}

function viewOf(deps: Deps, flags: TrainFlags, facts: RunFacts): View {
  if (flags.json) return new JsonView(deps.stdout)
  return isLive(deps.stdout) ? new TtyView(deps.stdout, facts) : new PlainView(deps.stdout, facts)
}

/** Shows the run until its end; Ctrl-C stops it after the current batch, which leaves a checkpoint. */
async function watch(deps: Deps, run: TrainRun, view: View, quiet: boolean): Promise<void> {
  // If stopping fails, the loop below hears of it.
  const stop = () => void run.stop().catch(() => {})
  deps.interrupt.addEventListener('abort', stop)
  try {
    for await (const event of run) {
      if (!quiet || event.type === 'done') view.show(event)
    }
  } finally {
    deps.interrupt.removeEventListener('abort', stop)
    view.close()
  }
}

/** With what a checkpoint doesn't remember. */
function resumeCommand(deps: Deps, flags: TrainFlags, out: string): string[] {
  const words = [...deps.command, 'train', '--resume', out]
  if (flags.data !== undefined) words.push('--data', flags.data)
  if (flags.device !== undefined) words.push('--device', flags.device)
  if (flags.threads !== undefined) words.push('--threads', String(flags.threads))
  return words
}
