import { parentPort, workerData } from 'node:worker_threads'
import { MobileNet } from 'mobilenet-native'

const model = await MobileNet.load(workerData.checkpoint)

parentPort.on('message', async (question) => {
  // With nothing to listen to, the thread ends.
  if (question === null) return parentPort.close()
  const { id, bytes } = question
  try {
    const [best] = await model.predict(bytes, { top: 1 })
    parentPort.postMessage({ id, label: best.label })
  } catch (error) {
    parentPort.postMessage({ id, error: error.message })
  }
})
