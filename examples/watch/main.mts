// Sorts the pictures that come into a folder, for example from a camera, into a folder for each class:
//
//     node examples/watch/main.mts model.safetensors incoming sorted [--sure 0.6]
//
// Those that the network isn't sure of go to `unsure`, what is no picture to `unreadable`. Ctrl-C ends it.
import { on } from 'node:events'
import { mkdir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { watch } from 'chokidar'
import { isPictureName, MobileNet } from 'mobilenet-native'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { sure: { type: 'string', default: '0.6' } },
})
const [checkpoint, incoming, sorted] = positionals
if (!checkpoint || !incoming || !sorted)
  throw new Error('name a checkpoint, and the folders from and to which')
const model = await MobileNet.load(checkpoint)
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())

const watcher = watch(incoming, {
  ignored: (path, stats) => Boolean(stats?.isFile()) && !isPictureName(path),
  // A camera or a browser is still writing when the name appears: a file is whole when nobody has written to it for a while.
  awaitWriteFinish: { stabilityThreshold: 300, pollInterval: 50 },
})
watcher.once('ready', () => console.log(`waiting for pictures in ${incoming}`))
try {
  for await (const [path] of on(watcher, 'add', { signal: stop.signal })) await sort(path)
} catch (error) {
  if (!stop.signal.aborted) throw error
} finally {
  await watcher.close()
}

async function sort(path: string): Promise<void> {
  for await (const { predictions, error } of model.predictEach([path], { top: 1 })) {
    const best = predictions?.[0]
    const folder = best ? (best.probability < Number(values.sure) ? 'unsure' : best.label) : 'unreadable'
    // A class's name may have what a folder's may not.
    const target = join(sorted as string, folder.replaceAll(/[/\\:]/g, '_'))
    await mkdir(target, { recursive: true })
    // With the time before its name, so that a second picture of that name doesn't replace the first.
    await rename(path, join(target, `${Date.now()}-${basename(path)}`))
    const said = best ? `${best.label}, ${(100 * best.probability).toFixed(1)} %` : error?.message
    console.log(`${basename(path)} -> ${folder}: ${said}`)
  }
}
