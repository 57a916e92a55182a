import { Command } from 'commander'
import { MobileNet } from '../../../../index.js'
import { number } from '../options.js'
import type { Deps } from '../program.js'
import { percent } from '../render/text.js'

export function predictCommand(deps: Deps): Command {
  return new Command('predict')
    .description('The most probable classes of pictures.')
    .argument('<checkpoint>', 'file')
    .argument('<images...>', 'pictures of any size: PNG, JPEG, WebP, GIF, BMP or TIFF')
    .option('--top <n>', 'how many classes', number, 5)
    .option('--json', 'print one JSON object a picture')
    .action(async (checkpoint: string, images: string[], { top, json }: { top: number; json?: boolean }) => {
      const model = await MobileNet.load(checkpoint)
      for (const file of images) {
        const logits = await model.logits(file, { signal: deps.interrupt })
        const predictions = model.rank(logits, { top })
        const line = json
          ? JSON.stringify({ type: 'prediction', file, predictions, logits: Array.from(logits) })
          : `${file}: ${predictions.map((one) => `${one.label} ${percent(one.probability)}`).join(', ')}`
        deps.stdout.write(`${line}\n`)
      }
    })
}
