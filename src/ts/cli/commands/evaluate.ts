import { Command } from 'commander'
import {
  type Dataset,
  MobileNet,
  MobileNetError,
  type Part,
  type TestTimeAugmentation,
} from '../../../../index.js'
import { cacheHelp, checkSource, checkTrainedOn, dataHelp, openData } from '../data.js'
import type { Deps } from '../deps.js'
import { deviceOf, deviceOption, tellDevice } from '../device.js'
import { withBar } from '../live/progress-bar.js'
import { viewsOption } from '../options.js'
import { writeJson } from '../render/json.js'
import { tellNote } from '../render/note.js'
import { setLine } from '../render/plain.js'

interface Flags {
  data?: string
  cacheDir?: string
  split: string
  tta: TestTimeAugmentation
  device: string
  json?: boolean
}

export function evaluateCommand(deps: Deps): Command {
  return new Command('evaluate')
    .description('Loss and accuracy of a checkpoint over a part of a data set.')
    .argument('<checkpoint>', 'a .safetensors file that train or import wrote')
    .option('--data <dir>', dataHelp)
    .option('--cache-dir <dir>', cacheHelp)
    .option('--split <part>', 'train, validation or test, as they were divided for its training', 'test')
    .addOption(viewsOption())
    .addOption(deviceOption())
    .option('--json', 'print a line of JSON')
    .action((checkpoint: string, flags: Flags) => evaluate(deps, checkpoint, flags))
}

async function evaluate(
  deps: Deps,
  checkpoint: string,
  { data: directory, cacheDir, split, tta, device, json }: Flags,
): Promise<void> {
  const names: Record<string, string> = { train: 'Training', validation: 'Validation', test: 'Test' }
  const name = Object.hasOwn(names, split) ? names[split] : undefined
  if (name === undefined) {
    throw new MobileNetError(
      'INVALID_OPTION',
      `split must be one of ${Object.keys(names).join(', ')}, not ${split}`,
    )
  }
  checkSource({ directory, cacheDir })
  const model = await MobileNet.load(checkpoint, deviceOf({ device }))
  checkTrainedOn(model, directory)
  tellDevice(deps, model.deviceNote, { json })
  const { resize, config, trainedOn } = model
  const source = { directory, cacheDir, resolution: config.resolution, resize, split: trainedOn?.folder }
  const data = await openData(deps, source, { json })
  tellNote(deps, data.note, { json })
  const metrics = await withBar(deps.stderr, `evaluating ${split}`, (onProgress) =>
    model.evaluate(partOf(data, split, trainedOn?.validationFraction), {
      tta,
      signal: deps.interrupt,
      onProgress,
    }),
  )
  const { loss, accuracy, correct, count } = metrics
  if (json) writeJson(deps.stdout, { type: 'evaluation', split, tta, loss, accuracy, correct, count })
  else deps.stdout.write(setLine(name, metrics))
}

/** A part as in the run that trained the network; of a network that doesn't know it, as train divides by default. */
function partOf(data: Dataset, split: string, validationFraction: number | undefined): Part {
  if (split === 'test') return data.test
  const { train, validation } = data.split(validationFraction)
  return split === 'train' ? train : validation
}
