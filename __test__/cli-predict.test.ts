import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { MobileNet } from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli, images, type Json, jsonLines, Scratch, start } from './cli.js'
import { network } from './tiny.js'

const scratch = new Scratch()
const checkpoint = scratch.at('model.safetensors')
const folder = scratch.at('photos')
const [cat, ship] = [join(images, 'cat-0.png'), join(images, 'ship-1.png')]
// Windows allows no quotes in a name.
const quote = process.platform === 'win32' ? '' : '"'
const strange = join(folder, `a, ${quote}quoted${quote} name.png`)
const plain = join(folder, 'b.png')

beforeAll(async () => {
  const model = await MobileNet.create(network)
  await model.save(checkpoint)
  mkdirSync(folder)
  copyFileSync(cat, strange)
  copyFileSync(ship, plain)
})
afterAll(() => scratch.remove())

describe('predict', () => {
  it('answers for a folder and for a glob', async () => {
    const { status, stdout } = await cli(['predict', checkpoint, folder, `${images}/*-1.png`, '--json'])
    expect(status).toBe(0)
    expect(jsonLines(stdout).map(({ file }) => file)).toEqual([strange, plain, ship])
  })

  it('writes a table of comma-separated values', async () => {
    const [answer] = jsonLines((await cli(['predict', checkpoint, strange, '--top', '2', '--json'])).stdout)
    const { status, stdout } = await cli(['predict', checkpoint, strange, '--top', '2', '--csv'])
    expect(status).toBe(0)
    const rows = answer.predictions.map(({ label, index, probability }: Json, i: number) => {
      return `"${strange.replaceAll('"', '""')}",${i + 1},${label},${index},${probability}`
    })
    expect(stdout).toBe(['file,rank,label,index,probability', ...rows, ''].join('\n'))
  })

  it.skipIf(process.platform === 'win32')('shows what a terminal would obey in a name', async () => {
    const odd = scratch.at('odd')
    mkdirSync(odd)
    const names = ['esc\u001b[31mred.png', 'two\nlines.png']
    for (const name of names) copyFileSync(cat, join(odd, name))
    writeFileSync(join(odd, 'un\u001bread.png'), 'no picture')
    const { stdout, stderr } = await cli(['predict', checkpoint, odd, '--top', '1'])
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain('esc\\x1b[31mred.png ')
    expect(lines[1]).toContain('two\\nlines.png ')
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(stderr).toContain('un\\x1bread.png')
    expect(stdout + stderr).not.toContain('\u001b')
    const similar = await cli(['similar', checkpoint, cat, join(odd, names[0] ?? '')])
    expect(similar.stdout).toContain('esc\\x1b[31mred.png\n')
    // A program gets the name as it is.
    const json = await cli(['predict', checkpoint, odd, '--json'])
    expect(jsonLines(json.stdout).map(({ file }) => file)).toEqual(names.map((name) => join(odd, name)))
  })

  it.each([
    [[], /name a picture or a folder/],
    [[cat, '--json', '--csv'], /choose one of --json and --csv/],
    [[cat, '--resize', '8'], /resize must be from 32/],
  ])('refuses %j', async (args, message) => {
    const { status, stderr } = await cli(['predict', checkpoint, ...args])
    expect(status).toBe(2)
    expect(stderr).toMatch(message)
  })

  it('answers for pictures that come into a folder, until it is interrupted', async () => {
    const incoming = scratch.at('incoming')
    mkdirSync(incoming)
    copyFileSync(cat, join(incoming, 'there-before.png'))
    const child = start(['predict', checkpoint, '--watch', incoming, '--csv', '--top', '1'])
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const errors: string[] = []
    const notes = createInterface(child.stderr)
    const ready = new Promise((resolve) => notes.once('line', resolve))
    notes.on('line', (line) => errors.push(line))
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    try {
      expect(await ready).toBe(`waiting for pictures in ${incoming}`)
      expect((await lines.next()).value).toBe('file,rank,label,index,probability')
      writeFileSync(join(incoming, 'note.txt'), 'no picture')
      writeFileSync(join(incoming, 'broken.png'), 'no picture either')
      copyFileSync(ship, join(incoming, 'new.png'))
      expect((await lines.next()).value).toMatch(`${join(incoming, 'new.png')},1,`)
      copyFileSync(cat, join(incoming, 'newer.png'))
      expect((await lines.next()).value).toMatch(`${join(incoming, 'newer.png')},1,`)
      expect(errors.slice(1)).toEqual([expect.stringMatching(/IMAGE_UNREADABLE .*broken\.png/)])
    } finally {
      child.kill('SIGINT')
    }
    // Windows has no signals: there it was just ended.
    expect(await ended).toBe(process.platform === 'win32' ? null : 130)
  })

  it.each([
    ['removed', (folder: string) => rmSync(folder, { recursive: true })],
    [
      'replaced',
      (folder: string) => {
        rmSync(folder, { recursive: true })
        mkdirSync(folder)
        copyFileSync(cat, join(folder, 'in the new one.png'))
      },
    ],
    ['moved away', (folder: string) => renameSync(folder, `${folder}-elsewhere`)],
  ])('ends when the folder that it watches is %s, and skips what is hidden', async (what, remove) => {
    const incoming = scratch.at('.hidden itself', what)
    mkdirSync(join(incoming, '.hidden'), { recursive: true })
    const child = start(['predict', checkpoint, '--watch', incoming, '--json'])
    const ended = once(child, 'close')
    const errors: string[] = []
    child.stderr.on('data', (chunk) => errors.push(String(chunk)))
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    // With --json it doesn't say when it watches: until then, and once more after that, something comes.
    const seen: string[] = []
    const feed = setInterval(() => {
      for (const name of ['.hidden.png', '.hidden/x.png', 'seen.png']) copyFileSync(cat, join(incoming, name))
    }, 500)
    for (let n = 0; n < 2; n++) seen.push(JSON.parse((await lines.next()).value).file)
    clearInterval(feed)
    remove(incoming)
    expect((await ended)[0]).toBe(1)
    expect(new Set(seen)).toEqual(new Set([join(incoming, 'seen.png')]))
    const [error] = jsonLines(errors.join('')).filter(({ type, code }) => type === 'error' && code === 'IO')
    expect(error.message).toContain(`${incoming} was removed`)
  })

  it('watches only what is a folder, and says so first', async () => {
    const { status, stderr } = await cli(['predict', scratch.at('nowhere'), '--watch', cat])
    expect(status).toBe(1)
    expect(stderr).toMatch(/IO cannot watch .*cat-0\.png: it is no folder/)
  })

  it('answers once for each picture of the folder that it watches, whenever it came', async () => {
    const incoming = scratch.at('both')
    mkdirSync(incoming)
    const there = Array.from({ length: 500 }, (_, i) => join(incoming, `${i}.png`))
    for (const path of there) copyFileSync(cat, path)
    const child = start(['predict', checkpoint, incoming, '--watch', incoming, '--json'])
    const ended = once(child, 'close')
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const next = async () => JSON.parse((await lines.next()).value).file as string
    try {
      const seen = [await next()]
      // Most of the others are not answered yet.
      copyFileSync(ship, join(incoming, 'meanwhile.png'))
      while (seen.length < 501) seen.push(await next())
      expect(seen.sort()).toEqual([...there, join(incoming, 'meanwhile.png')].sort())
      // Not copied: on Windows a copy has the original's time of change, which may be that of the file before.
      writeFileSync(there[0] as string, readFileSync(ship))
      expect(await next()).toBe(there[0])
    } finally {
      child.kill('SIGINT')
      await ended
    }
  })

  /** The environment of a process that the system refuses to watch folders of this name. */
  function refusing(name: string, code: string): NodeJS.ProcessEnv {
    const script = scratch.at(`refuse-${code}.cjs`)
    const lines = [
      `const fs = require('node:fs')`,
      `const { watch } = fs`,
      `fs.watch = (path, ...rest) => {`,
      `  if (!String(path).endsWith('${name}')) return watch(path, ...rest)`,
      `  throw Object.assign(new Error('${code}: watch ' + path), { code: '${code}' })`,
      `}`,
      `require('node:module').syncBuiltinESMExports()`,
    ]
    writeFileSync(script, lines.join('\n'))
    return { NODE_OPTIONS: `--require ${JSON.stringify(script)}` }
  }

  it('watches the rest when a folder may not be read, and says what else is in the way', async () => {
    const incoming = scratch.at('partly')
    mkdirSync(join(incoming, 'locked'), { recursive: true })
    const full = await cli(['predict', checkpoint, '--watch', incoming], {
      env: refusing('locked', 'ENOSPC'),
    })
    expect(full).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^error IO cannot watch .*: ENOSPC/),
    })
    const child = start(['predict', checkpoint, '--watch', incoming, '--json'], refusing('locked', 'EACCES'))
    const ended = once(child, 'close')
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const feed = setInterval(() => copyFileSync(cat, join(incoming, 'seen.png')), 500)
    try {
      const first = lines.next().then(({ value }) => JSON.parse(value).file)
      expect(await Promise.race([first, ended])).toBe(join(incoming, 'seen.png'))
    } finally {
      clearInterval(feed)
      child.kill('SIGINT')
      await ended
    }
  })
})

describe('similar', () => {
  it('names the pictures most like one', async () => {
    const { status, stdout } = await cli(['similar', checkpoint, cat, folder, images, '--top', '3', '--json'])
    expect(status).toBe(0)
    const lines = jsonLines(stdout)
    expect(lines.map(({ type }) => type)).toEqual(['neighbour', 'neighbour', 'neighbour'])
    // The picture itself and its copy.
    expect(new Set(lines.slice(0, 2).map(({ file }) => file))).toEqual(new Set([cat, strange]))
    expect(lines[1].similarity).toBeCloseTo(1, 6)
    expect(lines[2].similarity).toBeLessThan(1)
    const text = (await cli(['similar', checkpoint, cat, folder])).stdout
    expect(text).toMatch(/^ 1\.0000 {2}.*quoted.*\n 0\.\d{4} {2}.*b\.png\n$/)
  })

  it('fails without the picture, and goes on without one of the others', async () => {
    expect((await cli(['similar', checkpoint, scratch.at('none.png'), folder])).status).toBe(1)
    const { status, stdout, stderr } = await cli(['similar', checkpoint, cat, scratch.at('none.png'), plain])
    expect(status).toBe(1)
    expect(stdout).toMatch(/^ 0\.\d{4} {2}.*b\.png\n$/)
    expect(stderr).toMatch(/none\.png/)
    expect(stderr).toMatch(/1 of 2 pictures could not be read/)
  })
})
