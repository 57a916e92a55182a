import { parentPort, workerData } from 'node:worker_threads'
import { type ReportTask, writePage } from './write.js'

// A thread of its own: a page with its plots takes a third of a second, in which Node's event loop would stand still.
writePage(workerData as ReportTask).then((failure) => parentPort?.postMessage(failure))
