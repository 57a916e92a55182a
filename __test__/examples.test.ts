import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MobileNet } from 'mobilenet-native'
import { parse } from 'parse5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { images, Scratch } from './cli.js'
import { writePhotos } from './photos.js'
import { network, openSample, recipe } from './tiny.js'

// Each example as its users run it: as a process, from a checkpoint.

const root = join(import.meta.dirname, '..')
const scratch = new Scratch()
const checkpoint = scratch.at('model.safetensors')
const cat = join(images, 'cat-0.png')
const running: ChildProcess[] = []
let best: { label: string; probability: number }

beforeAll(async () => {
  const model = await MobileNet.create(network)
  await model.train({ ...recipe, data: await openSample() }).result
  await model.save(checkpoint)
  best = (await model.predict(cat))[0] as typeof best
})
afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
  scratch.remove()
})

// Node 20 doesn't run TypeScript itself.
const command = (file: string, args: string[]) => ['--import', 'tsx', join('examples', file), ...args]

const run = (file: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, command(file, args), { cwd: root })

/** Starts an example, and waits until it has said `ready`; gives what that says, and a way to wait for more. */
async function start(file: string, args: string[], ready: RegExp) {
  const child = spawn(process.execPath, command(file, args), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(child)
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  const says = async (what: RegExp) => {
    while (!what.test(said)) {
      if (child.exitCode !== null) throw new Error(`${file} ended, and said only: ${said}`)
      await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    }
    return what.exec(said) as RegExpExecArray
  }
  return { child, says, match: await says(ready) }
}

const label = () => best.label

describe('examples/commonjs', () => {
  it('answers, and fails for what it cannot read', async () => {
    const { stdout } = await run('commonjs/predict.cjs', checkpoint, cat)
    expect(stdout).toBe(`${cat}: ${label()}, ${(100 * best.probability).toFixed(1)} %\n`)
    await expect(run('commonjs/predict.cjs', checkpoint, 'none.png')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^IMAGE_UNREADABLE: .*none\.png/),
    })
  })
})

describe('examples/worker', () => {
  it('answers from its thread, and ends', async () => {
    const text = scratch.at('text.png')
    writeFileSync(text, 'no picture')
    const { stdout } = await run('worker/main.mts', checkpoint, cat, text)
    expect(stdout).toContain(`${cat}: ${label()}\n`)
    expect(stdout).toMatch(/text\.png: cannot read .* begins like no picture/)
  })
})

describe.skipIf(process.platform === 'win32')('examples/worker', () => {
  it('loses no answer that comes while it reads the next picture', async () => {
    const slow = scratch.at('slow.png')
    execFileSync('mkfifo', [slow])
    const answered = run('worker/main.mts', checkpoint, cat, slow)
    // Opened when the first picture was handed over; what is read here ends when it is written.
    const pipe = await open(slow, 'w')
    await setTimeout(3000)
    await pipe.writeFile(readFileSync(cat))
    await pipe.close()
    expect((await answered).stdout).toBe(`${cat}: ${label()}\n${slow}: ${label()}\n`)
  })
})

describe('examples/fine-tune', () => {
  it('makes a classifier of a folder', async () => {
    const [photos, out] = [scratch.at('photos'), scratch.at('run')]
    writePhotos(photos, ['cat', 'ship'])
    writeFileSync(join(photos, 'cat', 'broken.png'), 'no picture')
    const args = ['--from', checkpoint, '--epochs', '4', '--out', out, '--cache', scratch.at('cache')]
    const { stdout } = await run('fine-tune/main.mts', photos, ...args)
    expect(stdout).toMatch(/^\d+ pictures of cat, ship\n/)
    expect(stdout).toMatch(/left out: cat.broken\.png: .*begins like no picture/)
    expect(stdout).toMatch(/epoch 4: loss \d\.\d{3}, accuracy \d+\.\d %/)
    const said = /of (\d+) pictures that it never saw, (\d+) are right \((\d+\.\d) %\)/.exec(stdout)
    const [count, correct, percent] = said?.slice(1).map(Number) ?? []
    expect(percent).toBeCloseTo((100 * Number(correct)) / Number(count), 1)
    const model = await MobileNet.load(join(out, 'best.safetensors'))
    expect(model.classes).toEqual(['cat', 'ship'])
  })
})

describe.skipIf(process.platform === 'win32')('examples/watch', () => {
  it('sorts what comes, and what was there', async () => {
    const [incoming, sorted] = [scratch.at('incoming'), scratch.at('sorted')]
    mkdirSync(incoming)
    copyFileSync(cat, join(incoming, 'early.png'))
    const args = [checkpoint, incoming, sorted, '--sure', '0']
    const { child, says } = await start('watch/main.mts', args, /waiting for pictures/)
    await says(/early\.png -> /)
    copyFileSync(cat, join(incoming, 'late.png'))
    writeFileSync(join(incoming, 'broken.png'), 'no picture')
    writeFileSync(join(incoming, 'notes.txt'), 'no picture, and not named like one')
    await says(/late\.png -> /)
    await says(/broken\.png -> unreadable: .*begins like no picture/)
    expect(readdirSync(sorted).sort()).toEqual([label(), 'unreadable'].sort())
    expect(
      readdirSync(join(sorted, label()))
        .map((name) => name.replace(/^\d+-/, ''))
        .sort(),
    ).toEqual(['early.png', 'late.png'])
    expect(readdirSync(incoming)).toEqual(['notes.txt'])
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})

describe('examples/serve', () => {
  let child: ChildProcess
  let address: string
  // Small, so that a test comes to their ends.
  const limits = ['--max-bytes', '20000', '--max-pixels', '10000', '--upload-milliseconds', '1500']

  beforeAll(async () => {
    const started = await start('serve/main.mts', [checkpoint, '--port', '0', ...limits], /open (\S+)/)
    child = started.child
    address = started.match[1] as string
  })

  async function upload(content: Buffer<ArrayBuffer>) {
    const body = new FormData()
    body.append('picture', new Blob([content]), 'cat.png')
    const response = await fetch(`${address}/predict`, { method: 'POST', body })
    return { status: response.status, body: (await response.json()) as never }
  }
  const refusal = (status: number, code: string, message: RegExp) => ({
    status,
    body: { error: { code, message: expect.stringMatching(message) } },
  })
  const health = async () => (await (await fetch(`${address}/health`)).json()) as { batches: number }

  it('says what is in a picture', async () => {
    const { status, body } = await upload(readFileSync(cat))
    expect(status).toBe(200)
    const { predictions } = body as { predictions: (typeof best)[] }
    expect(predictions).toHaveLength(3)
    expect(predictions[0]).toEqual(best)
  })

  it('answers requests that come together in few calls, each its own', async () => {
    const before = (await health()).batches
    const pictures = Array.from({ length: 24 }, (_, i) => {
      const content = readFileSync(join(images, ['cat-0.png', 'ship-1.png'][i % 2] as string))
      // Every eighth is broken, and the others are answered.
      return i % 8 === 7 ? content.subarray(0, 300) : content
    })
    const answers = await Promise.all(pictures.map((content) => upload(content)))
    expect(answers.map(({ status }) => status)).toEqual(pictures.map((_, i) => (i % 8 === 7 ? 422 : 200)))
    expect(answers[2]).toEqual(answers[0])
    expect(answers[3]).toEqual(answers[1])
    expect((await health()).batches - before).toBeLessThanOrEqual(12)
  })

  it('refuses with a status and a reason what is no picture, or too large', async () => {
    const content = readFileSync(cat)
    const bomb = Buffer.from(content)
    // Its header says 100,000 x 100,000 pixels.
    bomb.writeUInt32BE(100_000, 16)
    bomb.writeUInt32BE(100_000, 20)
    expect(await upload(Buffer.from('no picture'))).toEqual(
      refusal(422, 'IMAGE_UNREADABLE', /begins like no/),
    )
    expect(await upload(content.subarray(0, 500))).toEqual(refusal(422, 'IMAGE_UNREADABLE', /./))
    expect(await upload(bomb)).toEqual(refusal(422, 'IMAGE_UNREADABLE', /./))
    const large = readFileSync(join(import.meta.dirname, 'fixtures', 'pictures', '420.jpg'))
    expect(await upload(Buffer.concat([large, Buffer.alloc(20_001)]))).toEqual(
      refusal(413, 'FILE_TOO_LARGE', /0\.02 MB/),
    )
    expect(await upload(Buffer.alloc(1_000_000))).toEqual(refusal(413, 'FILE_TOO_LARGE', /0\.02 MB/))
    const none = await fetch(`${address}/predict`, { method: 'POST', body: new FormData() })
    expect(none.status).toBe(400)
    const json = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
    expect((await fetch(`${address}/predict`, json)).status).toBe(415)
    expect((await fetch(`${address}/other`)).status).toBe(404)
    // And goes on.
    expect((await upload(content)).status).toBe(200)
  })

  it('does not wait for ever for an upload', async () => {
    const socket = connect(Number(new URL(address).port), '127.0.0.1')
    socket.setEncoding('utf8')
    socket.write('POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n')
    socket.write('content-type: multipart/form-data; boundary=x\r\n\r\n--x')
    const [answer] = await once(socket, 'data')
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    socket.destroy()
  })

  it('has a page that needs nothing from elsewhere', async () => {
    const response = await fetch(address)
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'self'/)
    const page = await response.text()
    expect(parse(page).childNodes).toHaveLength(2)
    const named = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name]) => name as string)
    for (const name of named.filter((name) => !name.startsWith('data:'))) {
      const { status, headers } = await fetch(new URL(name, address))
      expect([name, status]).toEqual([name, 200])
      expect(headers.get('content-type')).toMatch(name.endsWith('.css') ? /^text\/css/ : /^text\/javascript/)
    }
    expect(named).toHaveLength(3)
  })

  it.skipIf(process.platform === 'win32')('answers whom it has begun with before it ends', async () => {
    const begun = connect(Number(new URL(address).port), '127.0.0.1').setEncoding('utf8')
    const form = Buffer.concat([
      Buffer.from('--x\r\ncontent-disposition: form-data; name="picture"; filename="cat.png"\r\n\r\n'),
      readFileSync(cat),
      Buffer.from('\r\n--x--\r\n'),
    ])
    begun.write('POST /predict HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n')
    begun.write(`content-length: ${form.length}\r\ncontent-type: multipart/form-data; boundary=x\r\n\r\n`)
    // Now the server has the request.
    expect(await once(begun, 'data')).toEqual([expect.stringContaining('100 Continue')])
    child.kill('SIGTERM')
    await refused()
    begun.write(form)
    expect(await once(begun, 'data')).toEqual([expect.stringMatching(/^HTTP\/1\.1 200 .*"predictions":\[/s)])
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  /** Waits until the server takes no new connection. */
  async function refused(): Promise<void> {
    for (;;) {
      const socket = connect(Number(new URL(address).port), '127.0.0.1')
      const [error] = await Promise.race([
        once(socket, 'connect').then(() => []),
        new Promise<[Error]>((resolve) => socket.once('error', (error) => resolve([error]))),
      ])
      socket.destroy()
      if (error) return
      await setTimeout(20)
    }
  }
})
