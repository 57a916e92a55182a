import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
export const bin = join(root, 'bin', 'mobilenet-native.js')

/** 256 + 128 real pictures. */
export const data = join(import.meta.dirname, 'fixtures', 'cifar-10-sample')
export const images = join(import.meta.dirname, 'fixtures', 'images')

/** Of a run of about a second, all but the pictures. */
export const brief = [
  '--layout',
  'cifar',
  '--width',
  '0.25',
  '--limit',
  '64',
  '--batch-size',
  '16',
  '--epochs',
  '1',
]

/** A run of about a second. */
export const small = [...brief, '--data', data]

/** How a call of the command line ended. */
export interface Outcome {
  status: number | null
  stdout: string
  stderr: string
}

/** A folder that is removed with everything in it when the test file is done. */
export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), 'mobilenet-native-test-'))

  at(...names: string[]): string {
    return join(this.path, ...names)
  }

  remove(): void {
    try {
      rmSync(this.path, { recursive: true, force: true })
    } catch (error) {
      // Windows removes no file that a data set still maps into memory.
      if (process.platform !== 'win32') throw error
    }
  }
}

/** Calls the command line as a user does, and waits for its end. */
export function cli(
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [bin, ...args], surroundings(options), (_, stdout, stderr) => {
      resolve({ status: child.exitCode, stdout, stderr })
    })
  })
}

/** Starts the command line; its output can be watched, and signals sent to it. */
export function start(
  args: string[],
  env: NodeJS.ProcessEnv = {},
): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  return spawn(process.execPath, [bin, ...args], {
    ...surroundings({ env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/**
 * Starts the command line, and waits until it listens to signals: then SIGINT doesn't just end it, however long it took to
 * load.
 */
export async function startListening(args: string[]): Promise<ReturnType<typeof start>> {
  const sign = `process.on('newListener', (name) => name === 'SIGINT' && setImmediate(() => process.send('listens')))`
  const words = ['--import', `data:text/javascript,${encodeURIComponent(sign)}`, bin, ...args]
  const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const
  const child = spawn(process.execPath, words, { ...surroundings({}), stdio: [...stdio] })
  await once(child, 'message')
  return child as ReturnType<typeof start>
}

function surroundings({ cwd, env }: { cwd?: string; env?: NodeJS.ProcessEnv }) {
  return { cwd: cwd ?? root, env: { ...process.env, NO_COLOR: '1', ...env } }
}

// biome-ignore lint/suspicious/noExplicitAny: what the lines hold is what the tests are about
export type Json = any

/** Every line of `text` as JSON; a line that is not JSON fails the test. */
export function jsonLines(text: string): Json[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** A text as a pattern that matches it alone; Windows' paths have backslashes. */
export function literally(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

/** What a run leaves in its folder; `epochs` tells whether it completed one. */
export function runFiles(epochs = true): string[] {
  const always = [
    '.lock',
    'config.json',
    'events',
    'last.safetensors',
    'log.jsonl',
    'report.html',
    'results.csv',
    'samples.png',
  ]
  return [...always, ...(epochs ? ['best.safetensors', 'evaluation.json'] : [])].sort()
}

/** Every file of a run's folder; TensorBoard's has a name of its own every time, and is `events` here. */
export function filesOfRun(folder: string): string[] {
  const ours = /^events\.out\.tfevents\.\d{10}\..+\.mobilenet-native$/
  return filesBelow(folder)
    .map((name) => (ours.test(name) ? 'events' : name))
    .sort()
}

/** Every file below a folder; none when there is no folder. */
export function filesBelow(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
