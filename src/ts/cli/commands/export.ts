import { extname } from 'node:path'
import { Command } from 'commander'
import { MobileNet, MobileNetError } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { networkText } from '../render/start.js'

interface Flags {
  out: string
  softmax?: boolean
  preprocess?: boolean
}

const notes = `
The ONNX file takes any number of pictures at a time: "input", normalised floats [N, 3, resolution, resolution], or with
--preprocess "pixels", bytes [N, resolution, resolution, 3]. It gives "logits" or with --softmax "probabilities", [N, classes].
A .safetensors file holds the weights with PyTorch's names, and nothing of a training run.`

export function exportCommand(deps: Deps): Command {
  return new Command('export')
    .description('Write a network for other programs: as ONNX, or as safetensors for PyTorch.')
    .argument('<checkpoint>', 'a .safetensors file that train or import wrote')
    .requiredOption('--out <file>', 'the .onnx or .safetensors file to write')
    .option('--softmax', 'ONNX: give probabilities instead of logits')
    .option('--preprocess', 'ONNX: take the bytes of pixels, and normalise them')
    .addHelpText('after', notes)
    .action((checkpoint: string, flags: Flags) => exportNetwork(deps, checkpoint, flags))
}

async function exportNetwork(deps: Deps, checkpoint: string, { out, ...options }: Flags): Promise<void> {
  const ending = extname(out).toLowerCase()
  if (ending !== '.onnx' && ending !== '.safetensors') {
    throw new MobileNetError('INVALID_OPTION', `out must end with .onnx or .safetensors, not ${out}`)
  }
  if (ending === '.safetensors' && (options.softmax || options.preprocess)) {
    throw new MobileNetError('INVALID_OPTION', '--softmax and --preprocess are for ONNX')
  }
  const model = await MobileNet.load(checkpoint)
  if (ending === '.onnx') await model.exportOnnx(out, options)
  else await model.save(out)
  deps.stdout.write(`${out}: ${networkText(model.config)}\n`)
}
