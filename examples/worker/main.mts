// A network in a worker thread, asked from the main one:
//
//     node examples/worker/main.mts model.safetensors cat.png [more.jpg ...]
import { on } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'

const [checkpoint, ...pictures] = process.argv.slice(2)
if (!checkpoint || pictures.length === 0) throw new Error('name a checkpoint and pictures')
const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: { checkpoint } })
// From now on, so that no answer is lost while a later picture is read.
const answers = on(worker, 'message')

for (const [id, path] of pictures.entries()) {
  const bytes = new Uint8Array(await readFile(path))
  // Handed over, not copied: this thread can't see the bytes any more.
  worker.postMessage({ id, bytes }, [bytes.buffer])
}
let open = pictures.length
for await (const [answer] of answers) {
  const { id, label, error } = answer
  console.log(`${pictures[id]}: ${error ?? label}`)
  if (--open === 0) break
}
worker.postMessage(null)
