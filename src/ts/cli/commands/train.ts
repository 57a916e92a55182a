import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import {
  type Dataset,
  type FolderSplit,
  fineTuning,
  type ImportOptions,
  MobileNet,
  MobileNetError,
  readConfig,
  resolveRecipe,
  type SavedConfig,
  type TrainRun,
} from '../../../../index.js'
import { cacheHelp, checkSource, dataHelp, openData } from '../data.js'
import type { Deps } from '../deps.js'
import { tellDevice } from '../device.js'
import { isUnread, outputFailure } from '../interrupt.js'
import { isLive } from '../live/screen.js'
import { addNetworkOptions, number } from '../options.js'
import { checkFlags, checkpointOf, type Plan, planOf, type TrainFlags } from '../plan.js'
import { addRecipeOptions, recipeDefault } from '../recipe.js'
import { DownloadBar } from '../render/download.js'
import { JsonView } from '../render/json.js'
import { tellNote } from '../render/note.js'
import { PlainView } from '../render/plain.js'
import { pathWord, shell } from '../render/text.js'
import { TtyView } from '../render/tty.js'
import type { RunFacts, View } from '../render/view.js'
import { RunError } from '../run-error.js'

/** For the help. Of the recipe for fine-tuning nothing is said where the native library, which has it, can't be loaded. */
function notes(): string {
  let recipe = ''
  try {
    const { epochs, batchSize, optimizer, schedule, freeze, freezeEpochs, backboneRate } = fineTuning()
    recipe = `:
${epochs} epochs in batches of ${batchSize}, ${optimizer.type} at ${optimizer.learningRate}, ${schedule.type}, --freeze ${freeze} for ${freezeEpochs} epochs, --backbone-rate ${backboneRate}`
  } catch (error) {
    if (!(error instanceof MobileNetError)) throw error
  }
  return `
With --from and without --preset, the defaults are those of a recipe for fine-tuning${recipe}.
Pictures of a folder are augmented by resizedcrop and flip, whatever the preset, unless --augment is given.

Ctrl-C or SIGTERM ends the run after the current batch and leaves a checkpoint; a second one ends it at once.`
}

export function trainCommand(deps: Deps): Command {
  const command = new Command('train')
    .description(
      "Train a network on CIFAR-10 or on a folder of pictures; without options, the course's script.",
    )
    .option(
      '--preset <name>',
      'network and recipe to begin with: course, cifar or quick (default: course; with --from a recipe for fine-tuning)',
    )
  addNetworkOptions(command, { of: 'preset' })
  command.option('--data <dir>', dataHelp).option('--cache-dir <dir>', cacheHelp)
  addRecipeOptions(command)
  return command
    .option(
      '--from <weights>',
      'begin with these weights and a new classifier: a checkpoint, a .pth or .safetensors file, or torchvision:NAME',
    )
    .option(
      '--weights-dir <dir>',
      'folder that holds the file of torchvision:NAME (default: it is downloaded)',
    )
    .option(
      '--config <run>',
      "begin as an earlier run did, from its config.json or its folder; options given replace the run's",
    )
    .option('--init <checkpoint>', "begin with a checkpoint's network and weights")
    .option(
      '--resume <run>',
      "go on with a run: its folder or last.safetensors; options given replace the run's",
    )
    .option(
      '--out <dir>',
      "the run's folder (default: runs/<date>-<time>-<preset>; in place of the preset, fine-tuned with --from alone, and repeated with --config; with --resume, the folder that is resumed)",
    )
    .option(
      '--save-every <n>',
      'epochs between two states that stay, as epoch-<n>.safetensors (default: only newest and best)',
      number,
    )
    .option('--keep <n>', 'how many states of --save-every stay: the newest (default: all)', number)
    .option('--log-every <n>', `steps between two lines${recipeDefault('logEvery')}`, number)
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default: auto)')
    .option('--threads <n>', 'threads that compute (default: one a core)', number)
    .option('--json', 'print every event as a line of JSON')
    .option('--quiet', 'print only how the run ended')
    .addHelpText('after', notes)
    .action((flags: TrainFlags) => train(deps, flags))
}

async function train(deps: Deps, flags: TrainFlags): Promise<void> {
  // A wrong call is told before anything is read or downloaded. (A resumed run's recipe is in its checkpoint.)
  checkFlags(flags)
  const plan = planOf(flags, await savedConfig(flags))
  if (!plan.resume) resolveRecipe(plan.options)
  checkSource({ directory: plan.data, cacheDir: flags.cacheDir })
  const { model, data } = await open(deps, flags, plan)
  deps.interrupt.throwIfAborted()
  tellDevice(deps, model.deviceNote, flags)
  // For people, it stands at the head of the run.
  if (flags.json) tellNote(deps, data.note, flags)
  const facts: RunFacts = {
    parameters: model.parameters,
    note: data.note,
    command: deps.command,
    resume: resumeCommand(deps, flags, plan),
    interrupt: deps.interrupt,
  }
  // A preset's crop and flip are for CIFAR-10; what photographs take, the core knows. A run that is repeated had its own.
  const { augment, ...rest } = plan.options
  const ofPreset = flags.augment === undefined && flags.config === undefined
  const options = data.resolution !== null && ofPreset ? rest : plan.options
  const view = viewOf(deps, flags, facts)
  const evaluationEvents = view instanceof TtyView
  const run = model.train({ ...options, resume: plan.resume, data, evaluationEvents })
  await watch(deps, run, view, Boolean(flags.quiet))
  const report = await run.result
  if (!report.stopped) return
  const next = report.checkpoint === null ? '' : `; go on with: ${shell(facts.resume)}`
  if (isUnread(deps.interrupt)) {
    throw new MobileNetError('IO', `the run was stopped, because nobody reads its output any more${next}`)
  }
  const failure = outputFailure(deps.interrupt)
  if (failure) throw new MobileNetError('IO', `${failure.message}; the run was stopped${next}`)
}

/** The configuration of the run that is repeated, or that goes on if it says where its pictures are. */
async function savedConfig({ config, resume, data }: TrainFlags): Promise<SavedConfig | undefined> {
  if (config !== undefined) return readConfig(config)
  if (resume === undefined || data !== undefined) return undefined
  const folder = dirname(checkpointOf(resume))
  // A state may have been moved away from it, or be a program's that kept none.
  return existsSync(join(folder, 'config.json')) ? readConfig(folder) : undefined
}

/** The network and the pictures. Of a folder, the pictures say how many classes a new network has. */
async function open(
  deps: Deps,
  flags: TrainFlags,
  { checkpoint, imported, from, data: directory, folder, network, resume, options }: Plan,
): Promise<{ model: MobileNet; data: Dataset }> {
  const read = async (model: MobileNet, split: FolderSplit | null | undefined = folder) => {
    model.checkTraining({ ...options, resume })
    const { resolution } = model.config
    const source = {
      directory,
      cacheDir: flags.cacheDir,
      resolution,
      resize: resizeOf(split, resolution),
      split,
    }
    const data = await openData(deps, source, { quiet: flags.quiet, json: flags.json })
    if (flags.validationFraction !== undefined && data.counts.validation > 0) {
      throw new MobileNetError(
        'INVALID_OPTION',
        `${data.source} has pictures of its own to validate with, so --validation-fraction can't be given`,
      )
    }
    return data
  }
  if (checkpoint !== undefined) {
    const model = await MobileNet.load(checkpoint, network)
    // A run goes on with the pictures that it had.
    return { model, data: await read(model, resume ? model.trainedOn?.folder : folder) }
  }
  if (imported !== undefined) {
    const model = await published(deps, flags, (found) =>
      MobileNet.import(imported, { ...network, ...found }),
    )
    return { model, data: await read(model) }
  }
  if (from !== undefined) return fineTuned(deps, flags, network, from, read)
  // A wrong network or device is told before anything is read or downloaded.
  const model = await MobileNet.create(network)
  const data = await read(model)
  // Of a folder, the pictures say how many classes there are.
  const classes = flags.classes ?? (data.resolution === null ? undefined : data.classes.length)
  if (classes === undefined || classes === model.config.classes) return { model, data }
  return { model: await MobileNet.create({ ...network, classes }), data }
}

/** What pictures are resized to; of another resolution than before, that is no size any more. */
function resizeOf(split: FolderSplit | null | undefined, resolution: number): number | undefined {
  return split && split.resize >= resolution ? split.resize : undefined
}

/** A network that begins with the weights of `from`, which say for what resolution it is. */
async function fineTuned(
  deps: Deps,
  flags: TrainFlags,
  network: Plan['network'],
  from: string,
  read: (model: MobileNet) => Promise<Dataset>,
): Promise<{ model: MobileNet; data: Dataset }> {
  const begin = (more: { classes?: number }) =>
    published(deps, flags, (found) => MobileNet.create({ ...network, ...more, from, ...found }))
  const data = await read(await begin({}))
  const classes = flags.classes ?? data.classes.length
  return { model: await begin({ classes }), data }
}

/** Has `begin` take weights from the folder that is given, or download them with a bar. */
async function published<T>(
  deps: Deps,
  flags: TrainFlags,
  begin: (found: Pick<ImportOptions, 'directory' | 'signal' | 'onProgress'>) => Promise<T>,
): Promise<T> {
  const bar = new DownloadBar(deps.stderr)
  try {
    return await begin({
      ...(flags.weightsDir === undefined ? {} : { directory: flags.weightsDir }),
      signal: deps.interrupt,
      onProgress: (progress) => {
        if (!flags.quiet && (!flags.json || deps.stderr.isTTY)) bar.update(progress)
      },
    })
  } finally {
    bar.stop()
  }
}

function viewOf(deps: Deps, flags: TrainFlags, facts: RunFacts): View {
  if (flags.json) return new JsonView(deps.stdout)
  return isLive(deps.stdout) ? new TtyView(deps.stdout, facts) : new PlainView(deps.stdout, facts)
}

/**
 * Shows the run until its end; Ctrl-C stops it after the current batch, which leaves a checkpoint.
 *
 * Throws `RunError` when it fails after it has begun.
 */
async function watch(deps: Deps, run: TrainRun, view: View, quiet: boolean): Promise<void> {
  // If stopping fails, the loop below hears of it.
  const stop = () => void run.stop().catch(() => {})
  deps.interrupt.addEventListener('abort', stop)
  let begun = false
  try {
    for await (const event of run) {
      begun ||= event.type === 'start'
      if (!quiet || event.type === 'done' || event.type === 'warning') view.show(event)
    }
  } catch (error) {
    throw begun ? new RunError(error) : error
  } finally {
    deps.interrupt.removeEventListener('abort', stop)
    view.close()
  }
}

/** With what a checkpoint doesn't remember. */
function resumeCommand(deps: Deps, flags: TrainFlags, { data, options: { out } }: Plan): string[] {
  const words = [...deps.command, 'train', '--resume', pathWord(out)]
  if (data !== undefined) words.push('--data', pathWord(data))
  if (flags.cacheDir !== undefined) words.push('--cache-dir', pathWord(flags.cacheDir))
  if (flags.device !== undefined) words.push('--device', flags.device)
  if (flags.threads !== undefined) words.push('--threads', String(flags.threads))
  return words
}
