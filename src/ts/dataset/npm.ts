import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** What {@link npmPack} is to fetch. */
export interface PackOptions {
  /** Name and version: `name@1.2.3`. */
  spec: string
  /** An empty folder that is the caller's to remove; the package is put into it, and npm's cache for it. */
  folder: string
  /** Milliseconds without a byte after which npm is stopped. */
  stallTimeout: number
  /** The npm to run, with arguments that go first; default: the one that belongs to this Node. */
  npm?: readonly [command: string, ...args: string[]] | undefined
  onBytes: (received: number) => void
  signal: AbortSignal
}

/**
 * Has npm fetch a package, from wherever the user's npm fetches packages; nothing of it is run or installed.
 *
 * @returns the path of the package's `.tgz`.
 * @throws with npm's own words when it fails.
 */
export async function npmPack(options: PackOptions): Promise<string> {
  const { spec, folder, signal } = options
  const [command, ...first] = options.npm ?? findNpm()
  const args = [
    ...first,
    'pack',
    spec,
    '--pack-destination=.',
    '--ignore-scripts',
    '--dry-run=false',
    '--workspaces=false',
    // A cache of its own shows how much has come, and leaves nothing behind in the user's.
    '--cache=cache',
    '--loglevel=error',
    '--update-notifier=false',
    // npm's limit is for the whole package, ours for a pause: a slow connection may take its time.
    '--fetch-timeout=3600000',
    '--fetch-retries=1',
    '--fetch-retry-mintimeout=1000',
    '--fetch-retry-maxtimeout=2000',
  ]
  // On Windows npm is a script that only a shell can run; no argument here holds anything that a shell would read.
  const shell = process.platform === 'win32' && command === 'npm'
  const child = spawn(command, args, {
    cwd: folder,
    shell,
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
  })
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4000)
  })

  let stopped: Error | undefined
  const stop = (reason: Error) => {
    stopped ??= reason
    child.kill()
  }
  const onAbort = () => stop(new Error('aborted'))
  signal.addEventListener('abort', onAbort, { once: true })
  const unwatch = watchSize(folder, options.onBytes, options.stallTimeout, () =>
    stop(new Error(`no data for ${options.stallTimeout / 1000} s`)),
  )
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, by) => resolve(code ?? by ?? 'unknown'))
      if (signal.aborted) onAbort()
    })
    signal.throwIfAborted()
    if (stopped) throw stopped
    if (status !== 0) throw new Error(`npm pack ended with status ${status}${summary(words)}`)
  } finally {
    unwatch()
    signal.removeEventListener('abort', onAbort)
  }
  const file = (await readdir(folder)).find((name) => name.endsWith('.tgz'))
  if (file === undefined) throw new Error('npm pack ended well but left no .tgz file')
  return join(folder, file)
}

/** The npm that runs this process or came with this Node, without a shell between; otherwise the one in the path. */
function findNpm(): readonly [string, ...string[]] {
  const home = dirname(process.execPath)
  const candidates = [
    process.env.npm_execpath ?? '',
    join(home, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(home, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ]
  const script = candidates.find((path) => basename(path) === 'npm-cli.js' && existsSync(path))
  return script === undefined ? ['npm'] : [process.execPath, script]
}

/**
 * Reports twice a second how many bytes a folder holds; calls `onStall` when that stays the same for too long. Gives what
 * ends it.
 */
function watchSize(
  folder: string,
  onBytes: (bytes: number) => void,
  limit: number,
  onStall: () => void,
): () => void {
  let last = -1
  let changed = Date.now()
  let ended = false
  const timer = setInterval(
    async () => {
      const size = await folderSize(folder)
      // Ended while it was looked for: what comes after the download has been reported by then.
      if (ended) return
      if (size !== last) {
        last = size
        changed = Date.now()
        onBytes(size)
      } else if (Date.now() - changed > limit) {
        onStall()
      }
    },
    Math.min(500, limit),
  )
  return () => {
    ended = true
    clearInterval(timer)
  }
}

async function folderSize(folder: string): Promise<number> {
  // Files come and go meanwhile.
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const found = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)))
  return found.reduce((sum, file) => sum + (file?.isFile() ? file.size : 0), 0)
}

/** The first lines of what npm said, without the pointer to its log. */
function summary(words: string): string {
  const lines = words.split('\n').map((line) => line.replace(/^npm (error|ERR!)\s*/, '').trim())
  const useful = lines.filter(
    (line) => line !== '' && !/complete log/i.test(line) && !/debug-0\.log/.test(line),
  )
  return useful.length > 0 ? `: ${useful.slice(0, 3).join('; ').slice(0, 300)}` : ''
}
