import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { dirname, resolve } from 'node:path'
import { Command } from 'commander'
import { Cifar10, devices, MobileNetError, nativeLibrary, version } from '../../../../index.js'
import type { Deps } from '../program.js'

export function doctorCommand(deps: Deps): Command {
  return new Command('doctor')
    .description('What this machine has, which native library was loaded, and whether the data is there.')
    .option('--json', 'print a JSON object')
    .action(async (flags: { json?: boolean }) => {
      const native = attempt(nativeLibrary)
      const report = {
        version,
        node: process.version,
        platform: `${process.platform} ${process.arch}`,
        processor: cpus()[0]?.model ?? 'unknown',
        cores: availableParallelism(),
        memory: `${gigabytes(freemem())} of ${gigabytes(totalmem())} free`,
        native,
        devices: attempt(devices),
        data: await dataState(),
        disk: `${gigabytes(await freeSpace(Cifar10.defaultDirectory))} free for the cache`,
      }
      const text = flags.json
        ? JSON.stringify({ type: 'doctor', ...report })
        : Object.entries(report)
            .map(([key, value]) => `${key.padEnd(10)} ${shown(value)}`)
            .join('\n')
      deps.stdout.write(`${text}\n`)
      // Everything else can be put right by an option; without the library nothing works.
      if ('error' in native) throw new MobileNetError('NATIVE_NOT_FOUND', native.error)
    })
}

function attempt<T extends object>(ask: () => T): T | { error: string } {
  try {
    return ask()
  } catch (error) {
    return { error: (error as Error).message }
  }
}

async function dataState(): Promise<{ directory: string; state: string }> {
  const directory = Cifar10.defaultDirectory
  try {
    const data = await Cifar10.open()
    return { directory, state: data.official ? 'official CIFAR-10' : (data.note ?? 'another data set') }
  } catch (error) {
    return { directory, state: (error as Error).message }
  }
}

/** Of the nearest folder that exists. */
async function freeSpace(path: string): Promise<number> {
  let folder = resolve(path)
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join('; ')
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([key, part]) => `${key} ${part}`)
    .join(', ')
}
