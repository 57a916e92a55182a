import { readFileSync } from 'node:fs'
import multipart from '@fastify/multipart'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { type MobileNet, MobileNetError } from 'mobilenet-native'
import { Batcher, Overloaded } from './batcher.mts'

/** What anybody on the network may ask of the server. */
export interface Limits {
  /** Of an uploaded file. */
  maxBytes: number
  /** Width times height. A small file can claim to be a picture that takes gigabytes; it is refused before it is decoded. */
  maxPixels: number
  /** For an upload to arrive. */
  uploadMilliseconds: number
  /** From the upload's end until the answer. */
  answerMilliseconds: number
  /** Pictures that are answered together. */
  batchSize: number
  /** Pictures that may wait; whoever comes then is asked to come again. */
  queueSize: number
}

export const defaults: Limits = {
  maxBytes: 10_000_000,
  maxPixels: 50_000_000,
  uploadMilliseconds: 30_000,
  answerMilliseconds: 10_000,
  batchSize: 32,
  queueSize: 128,
}

// For what stands around the file in a form.
const formBytes = 10_000

export function createServer(model: MobileNet, limits: Limits): FastifyInstance {
  const app = fastify({
    logger: { level: 'warn' },
    requestTimeout: limits.uploadMilliseconds,
    http: {
      // Node takes the longer of the two for the whole request.
      headersTimeout: limits.uploadMilliseconds,
      // How often it looks for requests that took longer.
      connectionsCheckingInterval: 1000,
    },
    forceCloseConnections: 'idle',
  })
  const batcher = new Batcher(model, limits)

  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  // Or the server would wait for what else might come over the connection.
  app.addHook('onSend', async (_, reply) => {
    if (closing) reply.header('connection', 'close')
  })

  // Uploads are all that is taken; anything else is 415.
  app.removeAllContentTypeParsers()
  app.register(multipart, { limits: { fileSize: limits.maxBytes, files: 1, fields: 0 } })

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'content-security-policy': "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
    // Said before anything is kept. What still comes is thrown away, for a browser shows no answer to an upload that was cut
    // off; it ends when the time for uploads does.
    if (Number(request.headers['content-length'] ?? 0) > limits.maxBytes + formBytes) tooLarge(reply, limits)
  })

  const page = (file: string) => readFileSync(new URL(`page/${file}`, import.meta.url))
  for (const [path, file, type] of [
    ['/', 'index.html', 'text/html'],
    ['/style.css', 'style.css', 'text/css'],
    ['/script.js', 'script.js', 'text/javascript'],
  ] as const) {
    const content = page(file)
    app.get(path, async (_, reply) => reply.type(`${type}; charset=utf-8`).send(content))
  }

  app.get('/health', async () => ({ status: 'ok', classes: model.classes.length, batches: batcher.batches }))

  app.post('/predict', async (request, reply) => {
    const file = await request.file()
    if (!file) return failed(reply, 400, 'NO_PICTURE', 'the form has no file')
    const picture = await file.toBuffer()
    // Whoever waits too long, or is gone, leaves the queue.
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const signal = AbortSignal.any([AbortSignal.timeout(limits.answerMilliseconds), gone.signal])
    return { predictions: await batcher.predict(picture, signal) }
  })

  app.setNotFoundHandler((request, reply) =>
    failed(reply, 404, 'NOT_FOUND', `there is no ${request.method} ${request.url}`),
  )

  app.setErrorHandler((error: Error & { code?: string; statusCode?: number }, request, reply) => {
    if (error instanceof MobileNetError && error.code === 'IMAGE_UNREADABLE') {
      return failed(reply, 422, error.code, error.message)
    }
    if (error instanceof Overloaded) {
      return failed(reply.header('retry-after', '1'), 503, 'OVERLOADED', error.message)
    }
    if (error.code === 'FST_REQ_FILE_TOO_LARGE') return tooLarge(reply, limits)
    if (error.name === 'TimeoutError') {
      return failed(reply, 503, 'TIMEOUT', 'it took too long; try again later')
    }
    const { statusCode = 500, code = 'INTERNAL' } = error
    if (statusCode < 500) return failed(reply, statusCode, code, error.message)
    // What went wrong in here is for whoever runs the server.
    request.log.error(error)
    return failed(reply, 500, 'INTERNAL', 'something went wrong in the server')
  })
  return app
}

function tooLarge(reply: FastifyReply, { maxBytes }: Limits) {
  return failed(reply, 413, 'FILE_TOO_LARGE', `a file may have ${maxBytes / 1e6} MB`)
}

function failed(reply: FastifyReply, status: number, code: string, message: string) {
  return reply.status(status).send({ error: { code, message } })
}
