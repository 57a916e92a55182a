import { Command } from 'commander'
import { MobileNet } from '../../../../index.js'
import { addNetworkOptions, type NetworkFlags, networkOf } from '../options.js'
import type { Deps } from '../program.js'

export function importCommand(deps: Deps): Command {
  const command = new Command('import')
    .description("Make a checkpoint of weights with the course's or timm's names.")
    .argument('<weights>', 'a PyTorch state dict (.pth) or .safetensors')
  return addNetworkOptions(command, ['variant', 'layout'])
    .requiredOption('--out <checkpoint>', 'file to write')
    .option('--json', 'print a JSON object')
    .action(async (weights: string, flags: NetworkFlags & { out: string; json?: boolean }) => {
      const model = await MobileNet.import(weights, networkOf(flags))
      await model.save(flags.out)
      const { config, parameters } = model
      const line = flags.json
        ? JSON.stringify({ type: 'imported', path: flags.out, config, parameters })
        : `${flags.out}: MobileNet ${config.variant} ${config.layout}, ${parameters} parameters`
      deps.stdout.write(`${line}\n`)
    })
}
