// Times TensorFlow.js with one of its backends: `wasm` (SIMD, one thread: its threads need a browser's workers, so that
// in Node it switches them off) or `cpu` (plain JavaScript).
//
// node bench/tfjs_step.mjs train|evaluate LAYOUT BATCH THREADS STEPS wasm|cpu

import tf from '@tensorflow/tfjs'
import '@tensorflow/tfjs-backend-wasm'
import { caseOf, time } from './timing.mjs'

const BLOCKS = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  ...Array(5).fill([512, 1]),
  [1024, 2],
  [1024, 1],
]

const { work, layout, batch, steps, mode, side, classes } = caseOf()

// `same` lays its zeros elsewhere than PyTorch where the stride is 2; the work is the same.
function network() {
  const padded = layout !== 'unpadded'
  const padding = padded ? 'same' : 'valid'
  const { conv2d, depthwiseConv2d, batchNormalization, reLU, globalAveragePooling2d, dense } = tf.layers
  const stem = {
    filters: 32,
    kernelSize: 3,
    strides: layout === 'imagenet' ? 2 : 1,
    padding,
    useBias: !padded,
  }
  const layers = [conv2d({ ...stem, inputShape: [side, side, 3] })]
  if (padded) layers.push(batchNormalization())
  layers.push(reLU())
  for (const [filters, stride] of BLOCKS) {
    const strides = padded ? stride : 1
    layers.push(
      depthwiseConv2d({ kernelSize: 3, strides, padding, useBias: false }),
      batchNormalization(),
      reLU(),
      conv2d({ filters, kernelSize: 1, useBias: false }),
      batchNormalization(),
      reLU(),
    )
  }
  layers.push(globalAveragePooling2d({}), dense({ units: classes }))
  return tf.sequential({ layers })
}

if (!(await tf.setBackend(mode))) throw new Error(`TensorFlow.js can't start its backend ${mode}`)
const model = network()
const pictures = tf.randomUniform([batch, side, side, 3], -1, 1)
const labels = tf.oneHot(
  Array.from({ length: batch }, (_, i) => i % 10),
  classes,
)
model.compile({ optimizer: tf.train.adam(0.01), loss: tf.losses.softmaxCrossEntropy })

async function evaluate() {
  const logits = model.predict(pictures)
  await logits.data()
  logits.dispose()
}

// One step that doesn't count, and none begun after 20 s: the slowest backend takes many seconds for one.
const step = work === 'train' ? () => model.trainOnBatch(pictures, labels) : evaluate
await time(steps, step, {
  warmUp: 1,
  limitSeconds: 20,
  threads: 1,
  versions: { '@tensorflow/tfjs': tf.version.tfjs, node: process.version },
})
