import { type ExecFileSyncOptions, execFileSync } from 'node:child_process'
import { basename } from 'node:path'

/** Runs npm; gives what it printed. */
export function npm(args: string[], options: ExecFileSyncOptions): string {
  const script = process.env.npm_execpath
  // The npm that called the tests, without a shell between.
  const [command, first] =
    script !== undefined && basename(script) === 'npm-cli.js' ? [process.execPath, [script]] : ['npm', []]
  // On Windows npm is a script that only a shell can run; no argument here holds anything that a shell would read.
  const shell = process.platform === 'win32' && command === 'npm'
  return execFileSync(command, [...first, ...args], { ...options, shell, encoding: 'utf8' })
}
