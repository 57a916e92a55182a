// Programs that this one starts, and ends with all that they have started.
import { spawn } from 'node:child_process'

const running = new Set()
process.once('exit', () => running.forEach(end))
const timeUp = new AbortController()

/** From now on whatever runs is ended after so many minutes, and nothing more can be started. */
export function limitTime(minutes) {
  const late = () => {
    timeUp.abort(new Error(`it was not done after ${minutes} minutes`))
    running.forEach(end)
  }
  setTimeout(late, minutes * 60_000).unref()
}

/** Starts a program, at the head of a group of its own. */
export function start([command, ...args], options) {
  timeUp.signal.throwIfAborted()
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options, detached: true })
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

/** Ends a program and what it has started. */
export function end({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended, or never begun.
  }
}

/**
 * Runs a program and waits for its end.
 *
 * @param options those of `spawn`; and `onLine`, called with each line of its standard output.
 */
export async function run(command, { onLine, ...options } = {}) {
  const child = start(command, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let [stdout, stderr, rest] = ['', '', '']
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    if (onLine) lines.forEach(onLine)
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
  timeUp.signal.throwIfAborted()
  return { status, stdout, stderr }
}

/** Runs a program that must succeed; what it printed. */
export async function must(command, options) {
  const { status, stdout, stderr } = await run(command, options)
  if (status === 0) return stdout
  throw new Error(`${command.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
}
