// Times inference by ONNX Runtime of an ONNX file. Mode `threads`: as many intra-op threads as asked for; `default`:
// as many as it takes by itself.
//
// node bench/onnxruntime_step.mjs evaluate LAYOUT BATCH THREADS STEPS threads|default FILE

import ort from 'onnxruntime-node'
import { caseOf, numbers, time } from './timing.mjs'

const { batch, threads, steps, mode, file, side } = caseOf()
const session = await ort.InferenceSession.create(file, {
  executionProviders: ['cpu'],
  graphOptimizationLevel: 'all',
  ...(mode === 'threads' && { intraOpNumThreads: threads, interOpNumThreads: 1 }),
})
const shape = [batch, 3, side, side]
const pictures = new ort.Tensor('float32', numbers(batch * 3 * side * side), shape)
const feeds = { [session.inputNames[0]]: pictures }
await time(steps, () => session.run(feeds), {
  threads: mode === 'threads' ? threads : null,
  versions: { 'onnxruntime-node': ort.env.versions.node, node: process.version },
})
