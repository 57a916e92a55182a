import { basename, relative } from 'node:path'
import { CommanderError } from 'commander'
import { MobileNetError } from '../../../index.js'
import { Interrupt, OutputError, outputFailure } from './interrupt.js'
import { createProgram } from './program.js'
import { type Failure, renderFailure } from './render/failure.js'
import { RunError } from './run-error.js'

// For the reference that is made of it.
export { createProgram }

/** Runs the command line of this process, and sets its exit status: 0, 1 (failed), 2 (wrong call), 130 (Ctrl-C). */
export async function main(process: NodeJS.Process): Promise<void> {
  const interrupt = new Interrupt(process)
  let failure = await run(process, interrupt)
  await written(process.stdout)
  // A command may have come to its end without hearing that what it wrote is lost.
  const lost = outputFailure(interrupt.signal)
  if (failure.status === 0 && lost) failure = describe(lost, interrupt)
  process.exitCode = failure.status
  if (failure.message) {
    process.stderr.write(renderFailure(process.stderr, failure, process.argv.includes('--json')))
  }
  interrupt.dispose()
}

async function run(process: NodeJS.Process, interrupt: Interrupt): Promise<Failure> {
  try {
    const { stdout, stderr } = process
    const deps = { stdout, stderr, command: commandOf(process), interrupt: interrupt.signal }
    await createProgram(deps, process.argv[2]).parseAsync(process.argv)
    return { status: interrupt.byUser ? 130 : 0, code: '', message: '' }
  } catch (error) {
    return describe(error, interrupt)
  }
}

/** Waits until everything is written, or has failed and was heard to fail. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => setImmediate(resolve)))
}

/** How to call this program again: by its name if it was called so, by `npx` or `node` from a clone. */
function commandOf({ argv, cwd }: NodeJS.Process): string[] {
  const script = argv[1] ?? ''
  if (basename(script).endsWith('.js')) {
    const path = relative(cwd(), script)
    return ['node', path.startsWith('..') ? script : path]
  }
  return script.includes('node_modules') ? ['npx', 'mobilenet-native'] : ['mobilenet-native']
}

function describe(error: unknown, interrupt: Interrupt): Failure {
  if (error instanceof RunError) {
    const failure = describe(error.cause, interrupt)
    return failure.status === 2 ? { ...failure, status: 1 } : failure
  }
  if (error instanceof OutputError) return { status: 1, code: 'IO', message: error.message }
  // The user knows that it was them. Who closed our output has what they wanted of it.
  if (interrupt.signal.aborted && error === interrupt.signal.reason) {
    return { status: interrupt.byUser ? 130 : 0, code: 'INTERRUPTED', message: '' }
  }
  if (error instanceof CommanderError) {
    // Help and version end by an "error" of status 0, and have been printed.
    if (error.exitCode === 0) return { status: 0, code: error.code, message: '' }
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    // Called without a command, it has printed its help.
    return { status: 2, code: 'INVALID_OPTION', message: error.code === 'commander.help' ? '' : message }
  }
  if (error instanceof MobileNetError) {
    return { status: error.code === 'INVALID_OPTION' ? 2 : 1, code: error.code, message: error.message }
  }
  const words = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { status: 1, code: 'INTERNAL', message: words }
}
