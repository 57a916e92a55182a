import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command } from 'commander'
import {
  findPictures,
  MobileNet,
  MobileNetError,
  type PictureAnswer,
  type TestTimeAugmentation,
} from '../../../../index.js'
import type { Deps } from '../deps.js'
import { deviceOf, deviceOption, tellDevice } from '../device.js'
import { count, number, viewsOption } from '../options.js'
import { tellFailure } from '../render/failure.js'
import { type PredictionFormat, PredictionView } from '../render/predictions.js'
import { printable } from '../render/text.js'
import { type PictureWatch, watchPictures } from '../watch.js'

interface Flags {
  top: number
  tta: TestTimeAugmentation
  device: string
  resize?: number
  json?: boolean
  csv?: boolean
  watch?: string
}

const notes = `
A folder stands for every picture in it and in the folders below. A glob (quoted, so that the shell leaves it alone) works, too:
'photos/**/*.jpg'. What can't be read is reported on stderr, and the others are answered; the exit status is then 1.`

export function predictCommand(deps: Deps): Command {
  return new Command('predict')
    .description('What a network sees in pictures of any size (BMP, GIF, JPEG, PNG, TIFF, WebP).')
    .argument('<checkpoint>', 'a .safetensors file that train or import wrote')
    .argument('[image...]', 'pictures: files, folders or globs')
    .option('--top <n>', 'how many classes to name, the most probable first', count, 3)
    .option(
      '--resize <n>',
      "what a picture's shorter side is resized to before the middle is cut out (default: as the checkpoint says)",
      number,
    )
    .option('--watch <folder>', 'then wait for pictures to come into this folder, until Ctrl-C')
    .addOption(viewsOption())
    .addOption(deviceOption())
    .option('--json', 'print a line of JSON for each picture')
    .option('--csv', 'print a table of comma-separated values, a row for each class that is named')
    .addHelpText('after', notes)
    .action((checkpoint: string, images: string[], flags: Flags) => predict(deps, checkpoint, images, flags))
}

async function predict(deps: Deps, checkpoint: string, images: string[], flags: Flags): Promise<void> {
  const { watch } = flags
  const format = formatOf(flags)
  if (images.length === 0 && watch === undefined) {
    throw new MobileNetError('INVALID_OPTION', 'name a picture or a folder, or watch one with --watch')
  }
  // Before anything is read: what comes in the meantime is answered, too.
  const watched = watch === undefined ? undefined : await watchPictures(watch, deps.interrupt)
  try {
    await answer(deps, checkpoint, images, { ...flags, format }, watched)
  } finally {
    await watched?.close()
  }
}

async function answer(
  deps: Deps,
  checkpoint: string,
  images: string[],
  flags: Flags & { format: PredictionFormat },
  watched: PictureWatch | undefined,
): Promise<void> {
  const { top, tta, resize, watch } = flags
  const model = await MobileNet.load(checkpoint, deviceOf(flags))
  tellDevice(deps, model.deviceNote, flags)
  const files = await findPictures(images)
  const found = watched ? await states(files) : new Map()
  const view = new PredictionView(deps.stdout, flags.format, files, model.classes)
  const options = { top, tta, resize: resize ?? null, signal: deps.interrupt }
  const failures: MobileNetError[] = []
  const show = (answer: PictureAnswer<string>) => {
    if (!answer.error) return view.show(answer.picture, answer.predictions, answer.logits)
    failures.push(answer.error)
    // A single picture's failure is the command's own.
    if (files.length !== 1 || watch !== undefined) {
      tellFailure(deps.stderr, answer.error, Boolean(flags.json))
    }
  }
  for await (const answer of model.predictEach(files, options)) show(answer)
  if (watch !== undefined && !flags.json) deps.stderr.write(`waiting for pictures in ${printable(watch)}\n`)
  for await (const file of watched ?? []) {
    // What came while the folder was looked through was found and answered there, unless it was written to afterwards.
    const before = found.get(resolve(file))
    found.delete(resolve(file))
    if (before !== undefined && before === (await stateOf(file))) continue
    for await (const answer of model.predictEach([file], options)) show(answer)
  }
  const [first] = failures
  if (!first) return
  if (files.length === 1) throw first
  throw new MobileNetError(first.code, `${failures.length} of ${files.length} pictures could not be read`)
}

/** What tells whether files were written to, by their whole paths. */
async function states(files: string[]): Promise<Map<string, string | undefined>> {
  const found = new Map<string, string | undefined>()
  for (const file of files) found.set(resolve(file), await stateOf(file))
  return found
}

async function stateOf(file: string): Promise<string | undefined> {
  const stats = await stat(file, { bigint: true }).catch(() => undefined)
  return stats && `${stats.size} ${stats.mtimeNs} ${stats.ino}`
}

function formatOf({ json, csv }: Flags): PredictionFormat {
  if (json && csv) throw new MobileNetError('INVALID_OPTION', 'choose one of --json and --csv')
  return json ? 'json' : csv ? 'csv' : 'text'
}
