// The same in a worker thread, while the main thread uses the library, too.
import { Worker } from 'node:worker_threads'
import { MobileNet } from 'mobilenet-native'

const worker = new Worker(new URL('./module.mjs', import.meta.url))
const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
const model = await MobileNet.create({ layout: 'cifar', width: 0.25, seed: 1 })
for (let i = 0; i < 3; i++) await model.predict(process.env.PICTURE)
process.exitCode = await ended
