import { Command } from 'commander'
import { MobileNet } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { addNetworkOptions, type NetworkFlags, networkOf } from '../options.js'
import { networkText } from '../render/start.js'
import { grouped } from '../render/text.js'

interface Flags extends NetworkFlags {
  out: string
}

export function importCommand(deps: Deps): Command {
  const command = new Command('import')
    .description('Make a checkpoint of weights that PyTorch or another program saved.')
    .argument('<weights>', "a .pth state dict or a .safetensors file with the course's or timm's names")
  return addNetworkOptions(command, { of: 'layout', required: ['variant', 'layout'] })
    .requiredOption('--out <checkpoint>', 'the .safetensors file to write')
    .action((weights: string, flags: Flags) => importWeights(deps, weights, flags))
}

async function importWeights(deps: Deps, weights: string, flags: Flags): Promise<void> {
  const model = await MobileNet.import(weights, networkOf(flags))
  deps.interrupt.throwIfAborted()
  await model.save(flags.out)
  deps.stdout.write(`${flags.out}: ${networkText(model.config)}, ${grouped(model.parameters)} parameters\n`)
}
