import { extname } from 'node:path'
import { Command } from 'commander'
import { MobileNet, MobileNetError, type OnnxOptions } from '../../../../index.js'
import { cacheHelp, checkSource, checkTrainedOn, dataHelp, openData } from '../data.js'
import type { Deps } from '../deps.js'
import { withBar } from '../live/progress-bar.js'
import { checkOut } from '../out.js'
import { tellNote } from '../render/note.js'
import { setLine } from '../render/plain.js'
import { networkText } from '../render/start.js'
import { grouped, printable } from '../render/text.js'

interface Flags {
  out: string
  softmax?: boolean
  preprocess?: boolean
  quantize?: string
  data?: string
  cacheDir?: string
}

const notes = `
The ONNX file takes any number of pictures at a time: "input", normalised floats [N, 3, resolution, resolution], or with
--preprocess "pixels", bytes [N, resolution, resolution, 3]. It gives "logits" or with --softmax "probabilities", [N, classes].
With --quantize int8 weights and maps are whole numbers of 8 bits. Their ranges are those met in 512 of the training
pictures of --data, and the accuracy over its test pictures is given before and after.
A .safetensors file holds the weights with PyTorch's names, and nothing of a training run.`

export function exportCommand(deps: Deps): Command {
  return new Command('export')
    .description('Write a network for other programs: as ONNX, or as safetensors for PyTorch.')
    .argument('<checkpoint>', 'a .safetensors file that train or import wrote')
    .requiredOption('--out <file>', 'the .onnx or .safetensors file to write')
    .option('--softmax', 'ONNX: give probabilities instead of logits')
    .option('--preprocess', 'ONNX: take the bytes of pixels, and normalise them')
    .option('--quantize <type>', 'ONNX: int8, whole numbers of 8 bits')
    .option('--data <dir>', `with --quantize: ${dataHelp}`)
    .option('--cache-dir <dir>', cacheHelp)
    .addHelpText('after', notes)
    .action((checkpoint: string, flags: Flags) => exportNetwork(deps, checkpoint, flags))
}

async function exportNetwork(deps: Deps, checkpoint: string, flags: Flags): Promise<void> {
  const { out, softmax, preprocess, quantize, data, cacheDir } = flags
  checkOut(out, checkpoint, ['.onnx', '.safetensors'])
  const ending = extname(out).toLowerCase()
  if (ending === '.safetensors' && (softmax || preprocess || quantize !== undefined)) {
    throw new MobileNetError('INVALID_OPTION', '--softmax, --preprocess and --quantize are for ONNX')
  }
  if (quantize === undefined && (data ?? cacheDir) !== undefined) {
    throw new MobileNetError('INVALID_OPTION', '--data and --cache-dir are for --quantize')
  }
  if (quantize !== undefined && quantize !== 'int8') {
    throw new MobileNetError('INVALID_OPTION', `quantize must be int8, not ${quantize}`)
  }
  checkSource({ directory: data, cacheDir })
  const model = await MobileNet.load(checkpoint)
  const options = { softmax: softmax ?? null, preprocess: preprocess ?? null }
  if (quantize !== undefined) await exportQuantized(deps, model, options, flags)
  else if (ending === '.onnx') await model.exportOnnx(out, options)
  else await model.save(out)
  deps.stdout.write(`${printable(out)}: ${networkText(model.config)}\n`)
}

async function exportQuantized(
  deps: Deps,
  model: MobileNet,
  options: OnnxOptions,
  { out, data: directory, cacheDir }: Flags,
): Promise<void> {
  checkTrainedOn(model, directory)
  const { resize, config, trainedOn } = model
  const source = { directory, cacheDir, resolution: config.resolution, resize, split: trainedOn?.folder }
  const calibration = await openData(deps, source, {})
  tellNote(deps, calibration.note, {})
  const whole = { ...options, quantize: 'int8', calibration, signal: deps.interrupt } as const
  const { calibrated, before, after } = await withBar(deps.stderr, 'evaluating', (onProgress) =>
    model.exportOnnx(out, { ...whole, onProgress }),
  )
  deps.stdout.write(`Ranges from ${grouped(calibrated)} training pictures\n`)
  if (before) deps.stdout.write(`Before: ${setLine('Test', before)}`)
  if (after) deps.stdout.write(`After: ${setLine('Test', after)}`)
}
