// A server that says what is in pictures:
//
//     node examples/serve/main.mts model.safetensors [--port 8080] [--host 127.0.0.1] [--max-bytes N] ...
//
// Then open http://localhost:8080, or: curl -F picture=@cat.jpg http://localhost:8080/predict
import { parseArgs } from 'node:util'
import { MobileNet } from 'mobilenet-native'
import { createServer, defaults } from './server.mts'

const number = { type: 'string' } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '8080' },
    host: { type: 'string', default: '127.0.0.1' },
    'max-bytes': number,
    'max-pixels': number,
    'upload-milliseconds': number,
    'answer-milliseconds': number,
  },
})
const [checkpoint] = positionals
if (!checkpoint) throw new Error('name a checkpoint, for example: main.mts runs/photos/best.safetensors')

const app = createServer(await MobileNet.load(checkpoint), {
  ...defaults,
  maxBytes: Number(values['max-bytes'] ?? defaults.maxBytes),
  maxPixels: Number(values['max-pixels'] ?? defaults.maxPixels),
  uploadMilliseconds: Number(values['upload-milliseconds'] ?? defaults.uploadMilliseconds),
  answerMilliseconds: Number(values['answer-milliseconds'] ?? defaults.answerMilliseconds),
})
console.log(`open ${await app.listen({ port: Number(values.port), host: values.host })}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    // Whoever is being answered still gets the answer; a second signal, or ten seconds, end it anyway.
    setTimeout(() => process.exit(1), 10_000).unref()
    await app.close()
    console.log('closed')
  })
}
