import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Command, Option } from 'commander'
import { type DeviceName, type ModelOptions, MobileNet, MobileNetError, type TrainOptions } from '../../../../index.js'
import { openData } from '../data.js'
import { addNetworkOptions, defaultOf, type NetworkFlags, networkOf, number, presetOf } from '../options.js'
import type { Deps } from '../program.js'
import { createRenderer } from '../render/renderer.js'

interface Flags extends NetworkFlags {
  preset: string
  data?: string
  epochs?: number
  batchSize?: number
  optimizer?: string
  learningRate?: number
  schedule?: string
  stepSize?: number
  gamma?: number
  validationFraction?: number
  seed?: number
  augment: boolean
  shuffle: boolean
  limit?: number
  init?: string
  resume?: string
  out?: string
  logEvery?: number
  device: DeviceName
  threads?: number
  json?: boolean
  quiet?: boolean
}

/** What may be given together with `--resume`: the rest is the recipe of the run that goes on. */
const withResume = ['resume', 'data', 'epochs', 'out', 'logEvery', 'device', 'precision', 'threads', 'json', 'quiet']

export function trainCommand(deps: Deps): Command {
  const command = new Command('train').description("Train a network; without options, by the course's script.")
  command.option('--preset <name>', 'network and recipe: course, cifar or quick', 'course')
  addNetworkOptions(command)
  const recipe = (pick: (train: ReturnType<typeof presetOf>['train']) => unknown) =>
    defaultOf((preset) => pick(preset.train))
  const step = (key: 'stepSize' | 'gamma') =>
    recipe(({ schedule }) => (schedule.type === 'step' ? schedule[key] : undefined))
  return command
    .option('--data <dir>', 'folder or archive of CIFAR-10 (default: the cache; downloaded if it is not there)')
    .option('--epochs <n>', `passes over the training pictures${recipe((train) => train.epochs)}`, number)
    .option('--batch-size <n>', `pictures a step${recipe((train) => train.batchSize)}`, number)
    .option('--optimizer <type>', `adam${recipe((train) => train.optimizer.type)}`)
    .option('--learning-rate <x>', `of the optimizer${recipe((train) => train.optimizer.learningRate)}`, number)
    .option(
      '--schedule <type>',
      `of the learning rate: step, constant, cosine or one-cycle${recipe((train) => train.schedule.type)}`,
    )
    .option('--step-size <n>', `epochs between two drops of schedule step${step('stepSize')}`, number)
    .option('--gamma <x>', `what a drop of schedule step multiplies by${step('gamma')}`, number)
    .option(
      '--validation-fraction <x>',
      `share of the training pictures kept for validation${recipe((train) => train.validationFraction)}`,
      number,
    )
    .option('--seed <n>', `decides weights, order and augmentation${recipe((train) => train.seed)}`, number)
    .option('--no-augment', 'do not crop and flip the training pictures')
    .option('--no-shuffle', 'take the training pictures in the same order each epoch')
    .option('--limit <n>', 'at most this many pictures of each part (default: all)', number)
    .option('--init <checkpoint>', 'start from the weights of this checkpoint')
    .option('--resume <run>', "go on with a stopped run: its folder or checkpoint; results are as if it hadn't stopped")
    .option('--out <dir>', "the run's folder (default: runs/<date>-<time>-<preset>)")
    .option('--log-every <n>', `steps between two lines or events${recipe((train) => train.logEvery)}`, number)
    .option('--device <name>', 'auto, cpu, cuda or cuda:N', 'auto')
    .addOption(new Option('--precision <type>', 'of the arithmetic').choices(['float32']).default('float32'))
    .option('--threads <n>', 'threads that compute (default: one a core)', number)
    .option('--json', 'print one JSON object a line')
    .option('--quiet', 'print no progress, only what each epoch and the run came to')
    .action((flags: Flags) => (flags.resume === undefined ? begin(deps, flags) : goOn(deps, command, flags)))
}

async function begin(deps: Deps, flags: Flags): Promise<void> {
  const preset = presetOf(flags.preset)
  const { resolution, classes, ...rest } = preset.model
  // Another layout is for other pictures, and has its own resolution and classes.
  const base = flags.layout === undefined ? preset.model : rest
  const network: ModelOptions = { ...base, ...networkOf(flags) }
  const { device, seed = preset.train.seed } = flags
  // Made before the pictures are looked for, so that a wrong call is told before a download.
  const model = flags.init
    ? await MobileNet.load(flags.init, { ...networkOf(flags), device })
    : await MobileNet.create({ ...network, seed, device })
  const { optimizer, schedule } = preset.train
  await run(deps, flags, model, {
    ...preset.train,
    optimizer: { ...optimizer, ...given({ type: flags.optimizer, learningRate: flags.learningRate }) },
    schedule: {
      ...(flags.schedule === undefined || flags.schedule === schedule.type ? schedule : {}),
      ...given({ type: flags.schedule, stepSize: flags.stepSize, gamma: flags.gamma }),
    },
    ...given({
      epochs: flags.epochs,
      batchSize: flags.batchSize,
      validationFraction: flags.validationFraction,
      seed: flags.seed,
      augment: flags.augment && undefined,
      shuffle: flags.shuffle && undefined,
      limit: flags.limit,
      logEvery: flags.logEvery,
    }),
    out: flags.out ?? join('runs', `${timestamp(new Date())}-${flags.preset}`),
  } as Recipe)
}

async function goOn(deps: Deps, command: Command, flags: Flags): Promise<void> {
  const changed = Object.keys(flags).filter((key) => command.getOptionValueSource(key) === 'cli')
  const refused = changed.filter((key) => !withResume.includes(key))
  if (refused.length > 0) {
    const names = refused.map((key) => command.options.find((option) => option.attributeName() === key)?.long)
    throw new MobileNetError(
      'INVALID_OPTION',
      `--resume goes on with the run as it was, so ${names.join(', ')} can't be given with it`,
    )
  }
  const path = flags.resume as string
  const checkpoint = statSync(path, { throwIfNoEntry: false })?.isDirectory() ? join(path, 'last.safetensors') : path
  const model = await MobileNet.load(checkpoint, { device: flags.device })
  await run(deps, flags, model, {
    ...given({ epochs: flags.epochs, logEvery: flags.logEvery }),
    resume: true,
    out: flags.out ?? dirname(checkpoint),
  } as Recipe)
}

type Recipe = Omit<TrainOptions, 'data'> & { out: string }

async function run(deps: Deps, flags: Flags, model: MobileNet, recipe: Recipe): Promise<void> {
  const quiet = flags.quiet ?? false
  const data = await openData(deps, flags.data, quiet)
  const renderer = createRenderer(deps.stdout, { json: flags.json ?? false, quiet, note: data.note })
  const training = model.train({ ...recipe, data, ...given({ threads: flags.threads }) })
  // A stop and not the run's own signal: it ends well, with a report that says where the checkpoint is.
  const stop = () => void training.stop().catch(() => {})
  deps.interrupt.addEventListener('abort', stop)
  if (deps.interrupt.aborted) stop()
  try {
    for await (const event of training) renderer.event(event)
  } finally {
    deps.interrupt.removeEventListener('abort', stop)
    renderer.close()
  }
}

/** Without what was not given. */
function given<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>
}

/** `2025-01-31-235959`, in local time. */
function timestamp(date: Date): string {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString()
  return local.slice(0, 19).replace('T', '-').replaceAll(':', '')
}
