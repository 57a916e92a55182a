// Times JPEG files to labels by sharp and ONNX Runtime. Threads of both: THREADS, and sharp's from UV_THREADPOOL_SIZE.
//
// node bench/files_sharp.mjs ONNX FILES.json ROUNDS THREADS fast|careful

import { readFileSync } from 'node:fs'
import ort from 'onnxruntime-node'
import sharp from 'sharp'
import { time } from './timing.mjs'

const [onnx, listing, rounds, threads, mode] = process.argv.slice(2)
const files = JSON.parse(readFileSync(listing, 'utf8'))
const [together, resize, crop] = [32, 256, 224]
const margin = (resize - crop) / 2
// One thread a picture, as many pictures as threads: sharp's advice for many small ones.
sharp.concurrency(1)
sharp.cache(false)
const session = await ort.InferenceSession.create(onnx, {
  graphOptimizationLevel: 'all',
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
})

async function fitted(file, bytes) {
  // Turned by EXIF; the shorter side resized, and the middle cut out.
  const { data } = await sharp(file)
    .rotate()
    .resize(resize, resize, { fit: 'cover', kernel: 'linear', fastShrinkOnLoad: mode === 'fast' })
    .extract({ left: margin, top: margin, width: crop, height: crop })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  bytes.set(data)
}

async function decoded(batch) {
  const size = crop * crop * 3
  const bytes = new Uint8Array(batch.length * size)
  await Promise.all(batch.map((file, i) => fitted(file, bytes.subarray(i * size, (i + 1) * size))))
  return new ort.Tensor('uint8', bytes, [batch.length, crop, crop, 3])
}

const labels = new Array(files.length)
await time(
  Number(rounds) - 1,
  async () => {
    let next = decoded(files.slice(0, together))
    for (let first = 0; first < files.length; first += together) {
      const pixels = await next
      // Decoded while the network runs.
      next = decoded(files.slice(first + together, first + 2 * together))
      next.catch(() => {})
      const { logits } = await session.run({ pixels })
      const classes = logits.dims[1]
      for (let i = 0; i < pixels.dims[0]; i++) {
        const row = logits.data.subarray(i * classes, (i + 1) * classes)
        labels[first + i] = row.indexOf(row.reduce((a, b) => Math.max(a, b)))
      }
    }
    await next
  },
  { warmUp: 1 },
)
