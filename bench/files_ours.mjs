// Times JPEG files to labels by this package. Threads come from RAYON_NUM_THREADS.
//
// node bench/files_ours.mjs CHECKPOINT FILES.json ROUNDS THREADS

import { readFileSync } from 'node:fs'
import { MobileNet } from '../dist/index.mjs'
import { time } from './timing.mjs'

const [checkpoint, listing, rounds] = process.argv.slice(2)
const files = JSON.parse(readFileSync(listing, 'utf8'))
const model = await MobileNet.load(checkpoint)
const labels = new Array(files.length)
await time(
  Number(rounds) - 1,
  async () => {
    let place = 0
    for await (const { predictions, error } of model.predictEach(files, { top: 1 })) {
      if (error) throw error
      labels[place++] = predictions[0].label
    }
  },
  { warmUp: 1 },
)
