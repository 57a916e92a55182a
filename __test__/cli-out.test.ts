import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { relative } from 'node:path'
import { MobileNet } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, Scratch } from './cli.js'
import { network } from './tiny.js'

const scratch = new Scratch()
const checkpoint = scratch.at('model.safetensors')
/** Windows makes them for administrators only. */
const links = process.platform !== 'win32'
const link = scratch.at('link.safetensors')

beforeAll(async () => {
  const model = await MobileNet.create(network)
  await model.save(checkpoint)
  if (links) symlinkSync(checkpoint, link)
})
afterAll(() => scratch.remove())

describe.each(['export', 'import'])('%s', (command) => {
  it.each([
    ['by its own name', checkpoint],
    ['by another path', relative(process.cwd(), checkpoint)],
    ...(links ? [['by a link', link]] : []),
  ])('does not write over the file that it reads, %s', async (_, out = '') => {
    const before = readFileSync(checkpoint)
    const { status, stderr } = await cli([command, checkpoint, '--out', out])
    expect(status).toBe(2)
    expect(stderr).toMatch(/^error INVALID_OPTION out is the file that is read.* choose another name than /)
    expect(readFileSync(checkpoint).equals(before)).toBe(true)
  })

  it('refuses a name that says something else than what is in the file', async () => {
    for (const name of ['x.pth', 'x', ...(command === 'import' ? ['x.onnx'] : [])]) {
      const { status, stderr } = await cli([command, checkpoint, '--out', scratch.at(name)])
      expect(status).toBe(2)
      expect(stderr).toMatch(/^error INVALID_OPTION out must end with .*\.safetensors, not .*x/)
      expect(existsSync(scratch.at(name))).toBe(false)
    }
  })

  it('writes another file', async () => {
    const out = scratch.at(`${command}.safetensors`)
    expect(await cli([command, checkpoint, '--out', out])).toMatchObject({ status: 0, stderr: '' })
    expect(existsSync(out)).toBe(true)
  })
})
