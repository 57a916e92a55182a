import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MobileNet, MobileNetError } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { broken, stuffed } from './broken.js'
import { images, type Json, jsonLines, Scratch } from './cli.js'
import { network } from './tiny.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())
const cat = join(images, 'cat-0.png')

describe.skipIf(process.platform === 'win32')('what is broken', () => {
  let model: MobileNet

  beforeAll(async () => {
    model = await MobileNet.create(network)
    for (const { name, make } of [...broken, ...stuffed]) make(scratch.at(name))
  })

  it.each(broken)('is refused at once: $name', { timeout: 5000 }, async ({ name, reason }) => {
    const refusal = (message: RegExp | string) =>
      expect.objectContaining({
        constructor: MobileNetError,
        code: 'IMAGE_UNREADABLE',
        message: expect.stringMatching(message),
      })
    const answer = model.predict(scratch.at(name))
    await expect(answer).rejects.toEqual(refusal(name))
    await expect(answer).rejects.toEqual(refusal(reason))
  })

  it('takes no memory to speak of, in no time', async () => {
    const checkpoint = scratch.at('model.safetensors')
    await model.save(checkpoint)
    const program = scratch.at('program.cjs')
    writeFileSync(program, measuring)
    const files = [cat, ...[...broken, ...stuffed].map(({ name }) => scratch.at(name))]
    const { stdout } = await promisify(execFile)(process.execPath, [program, checkpoint, ...files], {
      env: { ...process.env, NODE_PATH: join(import.meta.dirname, '..', 'node_modules') },
    })
    const [{ peak: usual }, ...measured]: Json[] = jsonLines(stdout)
    expect(measured).toHaveLength(broken.length + stuffed.length)
    // A peak only grows, so whoever is in the list made it grow.
    const mib = 1 << 20
    expect(measured.filter(({ peak }) => peak > usual + 64 * mib)).toEqual([])
    expect(measured.filter(({ seconds }) => seconds > 2)).toEqual([])
  })
})

/** Tells of each picture how long it took, and the process's peak of memory, in bytes. */
const measuring = `
const { MobileNet } = require(${JSON.stringify(join(import.meta.dirname, '..'))})
async function main([checkpoint, ...files]) {
  const model = await MobileNet.load(checkpoint)
  for (const file of files) {
    const start = performance.now()
    await model.predict(file).catch((error) => error)
    const seconds = (performance.now() - start) / 1000
    console.log(JSON.stringify({ file, seconds, peak: process.resourceUsage().maxRSS * 1024 }))
  }
}
main(process.argv.slice(2))
`
