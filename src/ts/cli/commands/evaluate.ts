import { Command } from 'commander'
import { type Dataset, MobileNet, MobileNetError, type Part } from '../../../../index.js'
import { openData } from '../data.js'
import type { Deps } from '../program.js'
import { metricsLine } from '../render/plain.js'

export function evaluateCommand(deps: Deps): Command {
  return new Command('evaluate')
    .description('Loss and accuracy of a checkpoint over a part of the data set.')
    .argument('<checkpoint>', 'file')
    .option('--data <dir>', 'folder or archive of CIFAR-10 (default: the cache; downloaded if it is not there)')
    .option('--split <part>', 'train, validation or test', 'test')
    .option('--json', 'print a JSON object')
    .action(async (checkpoint: string, flags: { data?: string; split: string; json?: boolean }) => {
      const pick = partOf(flags.split)
      const model = await MobileNet.load(checkpoint)
      const part = pick(await openData(deps, flags.data, false))
      const metrics = await model.evaluate(part, { signal: deps.interrupt })
      const name = part.name[0]?.toUpperCase() + part.name.slice(1)
      const line = flags.json
        ? JSON.stringify({ type: 'evaluation', checkpoint, split: part.name, ...metrics })
        : metricsLine(name, metrics)
      deps.stdout.write(`${line}\n`)
    })
}

/** `train` and `validation` as a run splits them. */
function partOf(name: string): (data: Dataset) => Part {
  if (name === 'test') return (data) => data.test
  if (name === 'train' || name === 'validation') return (data) => data.split()[name]
  throw new MobileNetError('INVALID_OPTION', `split must be one of train, validation, test, not ${name}`)
}
