import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A web server on this machine that offers one file, and knows ranges. */
export class FileServer {
  readonly content: Buffer
  /** Those that came, in order. */
  readonly requests: IncomingMessage[] = []
  /** What it does with a request; a test may have it fail. */
  answer: Answer = (request, response) => this.send(request, response)
  readonly #server: Server

  constructor(content: Buffer) {
    this.content = content
    this.#server = createServer((request, response) => {
      this.requests.push(request)
      this.answer(request, response)
    })
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${path}`
  }

  /** The file, or the part of it that is asked for. */
  send(request: IncomingMessage, response: ServerResponse): void {
    const { length } = this.content
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.setHeader('content-length', length - from)
    if (from > 0) response.setHeader('content-range', `bytes ${from}-${length - 1}/${length}`)
    response.writeHead(from > 0 ? 206 : 200)
    response.end(this.content.subarray(from))
  }
}
