import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { MobileNet, readConfig } from 'mobilenet-native'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { DownloadProgress } from '../src/ts/dataset/download.js'
import { MobileNetError } from '../src/ts/errors.js'
import { type FetchWeightsOptions, fetchWeights } from '../src/ts/weights/fetch.js'
import { publishedWeights } from '../src/ts/weights/torchvision.js'
import { cli, filesBelow, Scratch } from './cli.js'
import { FileServer } from './server.js'
import { network, openSample, recipe } from './tiny.js'

/** The module that the package itself uses. */
const torchvision = createRequire(import.meta.url)(
  '../dist/src/ts/weights/torchvision.js',
) as typeof import('../src/ts/weights/torchvision.js')

const content = randomBytes(300_000)
const sha256 = createHash('sha256').update(content).digest('hex')
const file = `some_net-${sha256.slice(0, 8)}.pth`

let scratch: Scratch
let server: FileServer
const cached = () => scratch.at('weights', file)

beforeEach(async () => {
  scratch = new Scratch()
  vi.stubEnv('MOBILENET_NATIVE_CACHE', scratch.path)
  server = new FileServer(content)
  await server.start()
})

afterEach(async () => {
  await server.stop()
  vi.unstubAllEnvs()
  scratch.remove()
})

const fetchIt = (options: FetchWeightsOptions = {}, name = file) => {
  const url = server.url(`models/${name}`)
  return fetchWeights(
    { name: 'test:some_net', url, resize: 256 },
    { answerTimeout: 2000, stallTimeout: 300, ...options },
  )
}

async function failure(work: Promise<unknown>): Promise<MobileNetError> {
  const error = await work.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(MobileNetError)
  return error as MobileNetError
}

describe('a download', () => {
  test('comes into the cache once, and is checked', async () => {
    const seen: DownloadProgress[] = []
    expect(await fetchIt({ onProgress: (progress) => seen.push(progress) })).toBe(cached())
    expect(await readFile(cached())).toEqual(content)
    expect(filesBelow(scratch.path)).toEqual([file])
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(['download', 'verify'])
    expect(seen.at(-1)).toMatchObject({ receivedBytes: content.length, totalBytes: content.length })
    expect(await fetchIt()).toBe(cached())
    expect(server.requests).toHaveLength(1)
  })

  test('two at once download once', async () => {
    expect(await Promise.all([fetchIt(), fetchIt()])).toEqual([cached(), cached()])
    expect(server.requests).toHaveLength(1)
  })

  test('goes on with what an earlier call left', async () => {
    await mkdir(scratch.at('weights'))
    await writeFile(`${cached()}.part`, content.subarray(0, 100_000))
    await fetchIt()
    expect(server.requests.map(({ headers }) => headers.range)).toEqual(['bytes=100000-'])
    expect(await readFile(cached())).toEqual(content)
  })

  test('needs nothing when all had come', async () => {
    await mkdir(scratch.at('weights'))
    await writeFile(`${cached()}.part`, content)
    expect(await fetchIt()).toBe(cached())
    expect(server.requests).toHaveLength(0)
  })

  test('of a connection that breaks is gone on with', async () => {
    server.answer = (request, response) => {
      if (server.requests.length > 1) return server.send(request, response)
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 50_000))
      setTimeout(() => response.destroy(), 50)
    }
    await fetchIt()
    expect(server.requests).toHaveLength(2)
    expect(await readFile(cached())).toEqual(content)
  })

  test('with another digest is thrown away', async () => {
    const other = 'other_net-01234567.pth'
    const { code, message } = await failure(fetchIt({}, other))
    expect(code).toBe('CHECKPOINT_CORRUPT')
    expect(message).toContain(
      `has SHA-256 ${sha256.slice(0, 16)}..., which is not the one in the name ${other}`,
    )
    expect(filesBelow(scratch.path)).toEqual([])
  })

  test('replaces what is damaged in the cache', async () => {
    await mkdir(scratch.at('weights'))
    await writeFile(cached(), 'damaged')
    await fetchIt()
    expect(await readFile(cached())).toEqual(content)
  })

  test('that fails says where the file lies and what to do', async () => {
    server.answer = (_, response) => response.writeHead(404).end()
    const { code, message } = await failure(fetchIt())
    expect(code).toBe('IO')
    expect(message).toMatch(
      /^test:some_net could not be downloaded from http.*: the server answered 404 Not Found; get http.* another way, and name the folder .*--weights-dir/,
    )
    expect(filesBelow(scratch.path)).toEqual([])
  })

  test('of a server that does not answer is given up quickly', async () => {
    server.answer = () => {}
    expect((await failure(fetchIt({ answerTimeout: 200 }))).message).toContain('no answer within 0.2 s')
    const nobody = fetchWeights({ name: 'test:some_net', url: `http://127.0.0.1:1/${file}`, resize: 256 })
    expect((await failure(nobody)).message).toMatch(/ECONNREFUSED|bad port/)
  })

  test.each(['download', 'verify'] as const)('ends with what who listens throws at %s', async (phase) => {
    const reason = new Error('my bug')
    const onProgress = vi.fn((progress: DownloadProgress) => {
      if (progress.phase === phase) throw reason
    })
    await expect(fetchIt({ onProgress })).rejects.toBe(reason)
    expect(server.requests).toHaveLength(1)
    expect(onProgress.mock.calls.filter(([progress]) => progress.phase === phase)).toHaveLength(1)
    expect(existsSync(cached())).toBe(false)
  })

  test('can be aborted', async () => {
    server.answer = () => {}
    const call = fetchIt({ signal: AbortSignal.timeout(200), answerTimeout: 5000 })
    await expect(call).rejects.toHaveProperty('name', 'TimeoutError')
    expect(existsSync(cached())).toBe(false)
  })
})

describe('a folder', () => {
  test('that holds the file is enough', async () => {
    await writeFile(scratch.at(file), content)
    expect(await fetchIt({ directory: scratch.path })).toBe(scratch.at(file))
    expect(server.requests).toHaveLength(0)
  })

  test('whose file has another content is left as it is', async () => {
    await writeFile(scratch.at(file), 'other')
    const { code, message } = await failure(fetchIt({ directory: scratch.path }))
    expect(code).toBe('CHECKPOINT_CORRUPT')
    expect(message).toContain(`which is not the one in the name ${file}`)
    expect(await readFile(scratch.at(file), 'utf8')).toBe('other')
  })

  test('without it is named', async () => {
    const { code, message } = await failure(fetchIt({ directory: scratch.path }))
    expect(code).toBe('IO')
    expect(message).toContain(`there is no ${file} in ${scratch.path}; get http`)
    expect(server.requests).toHaveLength(0)
  })
})

describe("torchvision's weights", () => {
  test('have names', () => {
    const newest = publishedWeights('torchvision:mobilenet_v2')
    expect(newest).toEqual({
      name: 'torchvision:mobilenet_v2:IMAGENET1K_V2',
      url: 'https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth',
      resize: 232,
    })
    expect(publishedWeights('torchvision:mobilenet_v2:IMAGENET1K_V2')).toEqual(newest)
    expect(publishedWeights('torchvision:mobilenet_v2:IMAGENET1K_V1')?.url).toMatch(/v2-b0353104\.pth$/)
    expect(publishedWeights('torchvision:mobilenet_v3_large')?.url).toMatch(/v3_large-5c1a4163\.pth$/)
    expect(publishedWeights('torchvision:mobilenet_v3_small')?.url).toMatch(/v3_small-047dcff4\.pth$/)
    expect(publishedWeights('weights.pth')).toBeUndefined()
  })

  test('are remembered by a run by their name, which --config finds again', async () => {
    const weights = scratch.at('weights.safetensors')
    await (await MobileNet.create(network)).save(weights)
    const sha256 = createHash('sha256')
      .update(await readFile(weights))
      .digest('hex')
    const file = `tiny-${sha256.slice(0, 8)}.safetensors`
    await rename(weights, scratch.at(file))
    const name = 'torchvision:tiny:IMAGENET1K_V1'
    const known = vi.spyOn(torchvision, 'publishedWeights')
    known.mockReturnValue({ name, url: `https://example.org/${file}`, resize: 36 })
    const directory = scratch.path
    const from = await MobileNet.create({ from: 'torchvision:tiny', directory })
    const imported = await MobileNet.import('torchvision:tiny', { directory, layout: 'cifar' })
    known.mockRestore()
    const origins: unknown[] = []
    for (const [i, model] of [from, imported].entries()) {
      const out = scratch.at(`run-${i}`)
      await model.train({ ...recipe, data: await openSample(), out }).result
      origins.push((await readConfig(out)).weights)
    }
    expect(origins).toEqual([{ from: name, seed: 1 }, { import: name }])

    const config = scratch.at('run-1', 'config.json')
    const repeat = async (weights: object, args: string[] = []) => {
      await writeFile(config, JSON.stringify({ ...(await readConfig(config)), weights }))
      const { status, stderr } = await cli(['train', '--config', config, ...args, '--quiet'])
      return { status, stderr: stderr.split('\n')[0] ?? '' }
    }
    const small = 'torchvision:mobilenet_v3_small:IMAGENET1K_V1'
    const missing = expect.stringContaining(`there is no mobilenet_v3_small-047dcff4.pth in ${directory};`)
    for (const weights of [{ import: small }, { from: small, seed: 1 }]) {
      expect(await repeat(weights, ['--weights-dir', directory])).toEqual({ status: 1, stderr: missing })
    }
    // What an earlier version wrote, and what has no published weights.
    expect(await repeat({ from: scratch.at(file), seed: 1 }, ['--weights-dir', directory])).toEqual({
      status: 2,
      stderr: expect.stringContaining('directory is for published weights'),
    })
    expect(await repeat({ seed: 1 }, ['--weights-dir', directory])).toEqual({
      status: 2,
      stderr: expect.stringContaining('--weights-dir is for published weights, and the run of --config'),
    })
  })

  test.each(['resnet18', 'mobilenet_v2:IMAGENET1K_V3', 'mobilenet_v2:IMAGENET1K_V1:x', ''])(
    'are none of the name %j',
    (name) => {
      const call = () => publishedWeights(`torchvision:${name}`)
      expect(call).toThrow(
        /^there are no weights torchvision:.*; there are torchvision:mobilenet_v2 \(or with/,
      )
    },
  )

  test('are taken from a folder by the command line, which checks them', async () => {
    await writeFile(scratch.at('mobilenet_v2-7ebf99e0.pth'), content)
    const out = scratch.at('out.safetensors')
    const call = (...args: string[]) => cli(['import', 'torchvision:mobilenet_v2', '--out', out, ...args])
    const wrong = await call('--weights-dir', scratch.path)
    expect({ status: wrong.status, stdout: wrong.stdout }).toEqual({ status: 1, stdout: '' })
    expect(wrong.stderr).toMatch(/^error CHECKPOINT_CORRUPT .*mobilenet_v2-7ebf99e0\.pth has SHA-256/)
    const missing = await call('--weights-dir', scratch.at('empty'))
    expect(missing.stderr).toMatch(
      /^error IO there is no mobilenet_v2-7ebf99e0\.pth in .*empty; get https:\/\/download\.pytorch\.org\/models\//,
    )
    expect(existsSync(out)).toBe(false)
  })
})

describe('a network', () => {
  const own = new Scratch()
  beforeAll(async () => (await MobileNet.create(network)).save(own.at('model.safetensors')))
  afterAll(() => own.remove())

  test('comes out of what was fetched', async () => {
    const bytes = await readFile(own.at('model.safetensors'))
    const name = `tiny-${createHash('sha256').update(bytes).digest('hex').slice(0, 8)}.safetensors`
    server.answer = (_, response) => response.writeHead(200).end(bytes)
    const model = await MobileNet.import(await fetchIt({}, name))
    expect(model.config).toMatchObject({ variant: 'v1', layout: 'cifar', width: 0.25, classes: 10 })
  })

  test('is not imported from a path with a folder beside it', async () => {
    const call = MobileNet.import(own.at('model.safetensors'), { directory: own.path })
    expect((await call.catch((error: MobileNetError) => error)) as MobileNetError).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/^directory is for published weights/),
    })
  })

  test('of a thousand classes has the names of ImageNet', async () => {
    const { classes } = await MobileNet.create({ variant: 'v3-small', layout: 'imagenet', width: 0.25 })
    expect(classes).toHaveLength(1000)
    expect([0, 281, 999].map((i) => classes[i])).toEqual(['tench', 'tabby', 'toilet tissue'])
  })
})
