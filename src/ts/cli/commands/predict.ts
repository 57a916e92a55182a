import { Command } from 'commander'
import { MobileNet, type Prediction } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { number } from '../options.js'
import { writeJson } from '../render/json.js'
import { percent } from '../render/text.js'

interface Flags {
  top: number
  json?: boolean
}

export function predictCommand(deps: Deps): Command {
  return new Command('predict')
    .description('What a network sees in pictures of any size (PNG, JPEG).')
    .argument('<checkpoint>', 'a .safetensors file that train or import wrote')
    .argument('<image...>', 'files of pictures')
    .option('--top <n>', 'how many classes to name, the most probable first', number, 3)
    .option('--json', 'print a line of JSON for each picture')
    .action((checkpoint: string, images: string[], flags: Flags) => predict(deps, checkpoint, images, flags))
}

async function predict(
  deps: Deps,
  checkpoint: string,
  images: string[],
  { top, json }: Flags,
): Promise<void> {
  const model = await MobileNet.load(checkpoint)
  // Checked before the first picture is read.
  model.rank(new Float32Array(model.config.classes), { top })
  const labels = Math.max(...model.classes.map((label) => label.length))
  // A probability and the spaces between take 11 columns.
  const room = (deps.stdout.columns || Number.POSITIVE_INFINITY) - labels - 11
  const files = Math.min(Math.max(...images.map((file) => file.length)), Math.max(room, 8))
  // One after the other, so that those before a bad one are still answered.
  for (const file of images) {
    const logits = await model.logits(file, { signal: deps.interrupt })
    const predictions = model.rank(logits, { top })
    if (json) writeJson(deps.stdout, { type: 'prediction', file, predictions, logits: [...logits] })
    else deps.stdout.write(lines(file, predictions, files, labels))
  }
}

function lines(file: string, predictions: Prediction[], fileWidth: number, labelWidth: number): string {
  const name = file.length > fileWidth ? `…${file.slice(1 - fileWidth)}` : file
  const line = ({ label, probability }: Prediction, i: number) =>
    `${(i === 0 ? name : '').padEnd(fileWidth)}  ${label.padEnd(labelWidth)}  ${percent(probability).padStart(7)}\n`
  return predictions.map(line).join('')
}
