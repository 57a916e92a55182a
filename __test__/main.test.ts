import { EventEmitter } from 'node:events'
import { expect, it, vi } from 'vitest'
import { main } from '../src/ts/cli/main.js'

// From the sources, the package does not find its own version.
vi.mock('../index.js', () => import('mobilenet-native'))
const failure = vi.hoisted(() => ({ error: undefined as unknown }))
vi.mock('../src/ts/cli/program.js', () => ({
  createProgram: () => ({ parseAsync: () => Promise.reject(failure.error) }),
}))

/** Calls the command line, whose command fails with `error`. */
async function failing(
  error: unknown,
  argv: string[],
): Promise<{ status: unknown; stdout: string; stderr: string }> {
  failure.error = error
  const written = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => {
    const write = (text: string, done?: () => void) => {
      written[name] += text
      done?.()
    }
    return Object.assign(new EventEmitter(), { write, hasColors: () => false })
  }
  const own = { argv: ['node', 'mobilenet-native.js', ...argv], env: {}, cwd: () => '/', exitCode: undefined }
  const made = Object.assign(new EventEmitter(), own, { stdout: stream('stdout'), stderr: stream('stderr') })
  await main(made as unknown as NodeJS.Process)
  return { status: made.exitCode, ...written }
}

it('an error that nobody expected is INTERNAL, of status 1, with where it came from', async () => {
  const { status, stdout, stderr } = await failing(new TypeError('so much for that'), ['bench', '--json'])
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(JSON.parse(stderr)).toEqual({
    ...{ type: 'error', code: 'INTERNAL' },
    message: expect.stringMatching(/^TypeError: so much for that\n +at .*main\.test\.ts/),
  })
})

it('so is what is thrown and no error', async () => {
  const { status, stderr } = await failing('words', ['bench'])
  expect(status).toBe(1)
  expect(stderr).toBe('error INTERNAL words\n')
})
