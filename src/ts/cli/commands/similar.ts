import { Command } from 'commander'
import { type Features, findPictures, MobileNet, MobileNetError, nearest } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { deviceOf, deviceOption, tellDevice } from '../device.js'
import { count, number } from '../options.js'
import { tellFailure } from '../render/failure.js'
import { writeJson } from '../render/json.js'
import { printable } from '../render/text.js'

interface Flags {
  top: number
  resize?: number
  device: string
  json?: boolean
}

export function similarCommand(deps: Deps): Command {
  return new Command('similar')
    .description('The pictures that a network finds most like a given one.')
    .argument('<checkpoint>', 'a .safetensors file that train or import wrote')
    .argument('<picture>', 'the file of the picture that others are compared with')
    .argument('<image...>', 'where to look: files, folders or globs')
    .option('--top <n>', 'how many to name, the most alike first', count, 10)
    .option(
      '--resize <n>',
      "what a picture's shorter side is resized to before the middle is cut out (default: as the checkpoint says)",
      number,
    )
    .addOption(deviceOption())
    .option('--json', 'print a line of JSON for each')
    .action((checkpoint: string, picture: string, images: string[], flags: Flags) =>
      similar(deps, checkpoint, picture, images, flags),
    )
}

async function similar(
  deps: Deps,
  checkpoint: string,
  picture: string,
  images: string[],
  { top, resize, device, json }: Flags,
): Promise<void> {
  const model = await MobileNet.load(checkpoint, deviceOf({ device }))
  tellDevice(deps, model.deviceNote, { json })
  const options = { resize: resize ?? null, signal: deps.interrupt }
  const features = await model.embed(picture, options)
  const files = await findPictures(images)
  const candidates: [string, Features][] = []
  for await (const answer of model.embedEach(files, options)) {
    if (!answer.error) candidates.push([answer.picture, answer.features])
    else tellFailure(deps.stderr, answer.error, Boolean(json))
  }
  for (const { item, similarity } of nearest(features, candidates, { top })) {
    if (json) writeJson(deps.stdout, { type: 'neighbour', file: item, similarity })
    else deps.stdout.write(`${similarity.toFixed(4).padStart(7)}  ${printable(item)}\n`)
  }
  const unread = files.length - candidates.length
  if (unread > 0) {
    throw new MobileNetError('IMAGE_UNREADABLE', `${unread} of ${files.length} pictures could not be read`)
  }
}
