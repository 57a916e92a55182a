import { Command } from 'commander'
import { MobileNet } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { addNetworkOptions, type NetworkFlags, networkOf } from '../options.js'
import { checkOut } from '../out.js'
import { DownloadBar } from '../render/download.js'
import { networkText } from '../render/start.js'
import { grouped, printable } from '../render/text.js'

interface Flags extends NetworkFlags {
  out: string
  weightsDir?: string
}

const notes = `
Variant, width and classes are found from the tensors; options that say something else are refused. Tensors don't show
strides and non-linearities. So the layout is imagenet unless you give --layout cifar; but it is unpadded for the course's
tensors, and what the file says for a checkpoint of this program. V1 has relu; timm's V1 weights need --activation relu6.

Published weights by name: torchvision:mobilenet_v2, torchvision:mobilenet_v3_large, torchvision:mobilenet_v3_small;
with :IMAGENET1K_V1 behind it torchvision's first ones. Of timm's V3 networks those are meant that are not called tf_...,
which pad in another way.`

export function importCommand(deps: Deps): Command {
  const command = new Command('import')
    .description(
      'Make a checkpoint of weights that PyTorch or another program saved, or that torchvision publishes.',
    )
    .argument(
      '<weights>',
      "a .pth state dict or a .safetensors file with torchvision's, timm's or the course's names; or torchvision:NAME",
    )
  return addNetworkOptions(command, { of: 'weights' })
    .requiredOption('--out <checkpoint>', 'the .safetensors file to write')
    .option(
      '--weights-dir <dir>',
      'folder that holds the file of torchvision:NAME (default: it is downloaded)',
    )
    .addHelpText('after', notes)
    .action((weights: string, flags: Flags) => importWeights(deps, weights, flags))
}

async function importWeights(deps: Deps, weights: string, flags: Flags): Promise<void> {
  checkOut(flags.out, weights, ['.safetensors'])
  const bar = new DownloadBar(deps.stderr)
  let model: MobileNet
  try {
    model = await MobileNet.import(weights, {
      ...networkOf(flags),
      ...(flags.weightsDir === undefined ? {} : { directory: flags.weightsDir }),
      signal: deps.interrupt,
      onProgress: (progress) => bar.update(progress),
    })
  } finally {
    bar.stop()
  }
  deps.interrupt.throwIfAborted()
  await model.save(flags.out)
  deps.stdout.write(
    `${printable(flags.out)}: ${networkText(model.config)}, ${grouped(model.parameters)} parameters\n`,
  )
}
