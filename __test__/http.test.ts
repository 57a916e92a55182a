import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest'
import { fetchFile } from '../src/ts/dataset/http.js'
import { Scratch } from './cli.js'
import { FileServer } from './server.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())
let server: FileServer
beforeEach(async () => {
  server = new FileServer(Buffer.from('0123456789'))
  await server.start()
})
afterEach(() => server.stop())

const fetched = (path: string) => {
  const [signal, onBytes] = [new AbortController().signal, () => {}]
  const times = { answerTimeout: 20_000, stallTimeout: 20_000 }
  return fetchFile({ url: server.url('file'), path, bytes: 10, ...times, onBytes, signal })
}

it.each(['bytes 5-9/10', 'bytes 30-9/10', undefined])(
  'refuses another part than was asked for: %s',
  async (range) => {
    const path = scratch.at('part')
    writeFileSync(path, '012')
    server.answer = (_, response) => {
      response.writeHead(206, range === undefined ? {} : { 'content-range': range }).end('3456789')
    }
    await expect(fetched(path)).rejects.toThrow('the server sent another part than bytes 3 and on')
    expect(readFileSync(path, 'utf8')).toBe('012')
    expect(server.requests).toHaveLength(1)
  },
)

it('takes the part that was asked for', async () => {
  const path = scratch.at('right')
  writeFileSync(path, '012')
  await fetched(path)
  expect(readFileSync(path, 'utf8')).toBe('0123456789')
  expect(server.requests[0]?.headers.range).toBe('bytes=3-')
})
