// Times inference through this package's own interface for Node: `forward` of normalised pictures, which is what a
// session of ONNX Runtime does, too. Threads come from RAYON_NUM_THREADS.
//
// node bench/ours_step.mjs evaluate NETWORK BATCH THREADS STEPS forward

import { MobileNet } from '../dist/index.mjs'
import { caseOf, numbers, time } from './timing.mjs'

const { variant, layout, batch, threads, steps, side } = caseOf()
const model = await MobileNet.create({ variant, layout })
const pictures = numbers(batch * 3 * side * side)
await time(steps, () => model.forward(pictures), { threads, versions: { node: process.version } })
