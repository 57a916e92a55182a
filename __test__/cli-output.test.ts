import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { listRuns } from 'mobilenet-native'
import { afterAll, describe, expect, it } from 'vitest'
import { bin, filesBelow, jsonLines, Scratch, small } from './cli.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

/** A device to which nothing can be written, because it is always full. */
const full = '/dev/full'

/** Calls the command line with an output that takes nothing. */
async function intoFull(args: string[]): Promise<{ status: number; stderr: string }> {
  const stdout = openSync(full, 'w')
  try {
    const env = { ...process.env, NO_COLOR: '1' }
    const child = spawn(process.execPath, [bin, ...args], { env, stdio: ['ignore', stdout, 'pipe'] })
    let stderr = ''
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
    const [status] = await once(child, 'close')
    return { status, stderr }
  } finally {
    closeSync(stdout)
  }
}

describe.skipIf(!existsSync(full))('an output that can not be written', () => {
  it.each([['--help'], ['doctor'], ['summary'], ['cost --layout cifar']])(
    'is an error of %s',
    async (call) => {
      const { status, stderr } = await intoFull(call.split(' '))
      expect(status).toBe(1)
      expect(stderr).toMatch(/^error IO cannot write to the standard output: ENOSPC: .*\n$/)
    },
  )

  it('is told as JSON where errors are', async () => {
    const { status, stderr } = await intoFull(['summary', '--json'])
    expect(status).toBe(1)
    expect(jsonLines(stderr)).toEqual([
      {
        type: 'error',
        code: 'IO',
        message: expect.stringMatching(/^cannot write to the standard output: ENOSPC/),
      },
    ])
  })

  it('stops a run with a checkpoint, and says how to go on', async () => {
    const out = scratch.at('runs', 'full')
    const { status, stderr } = await intoFull(['train', ...small, '--epochs', '200', '--out', out])
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^error IO cannot write to the standard output: ENOSPC.*; the run was stopped; go on with: .*--resume .*full .*\n$/,
    )
    expect(filesBelow(out)).toContain('last.safetensors')
    expect((await listRuns(scratch.at('runs'))).map(({ state }) => state)).toEqual(['stopped'])
  })
})
