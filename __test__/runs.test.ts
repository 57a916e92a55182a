import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { listRuns, MobileNet, readRun } from 'mobilenet-native'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { cli, jsonLines, Scratch, small } from './cli.js'

const scratch = new Scratch()
const whole = scratch.at('whole')
beforeAll(() => cli(['train', ...small, '--out', whole, '--quiet']))
afterAll(() => scratch.remove())

/** A run whose log is damaged in its second line, in a folder; beside it as many whole ones as asked for. */
function damaged(folder: string, others: number): string {
  for (let n = 0; n < others; n++) cpSync(whole, scratch.at(folder, `whole-${n}`), { recursive: true })
  const run = scratch.at(folder, 'damaged')
  cpSync(whole, run, { recursive: true })
  const [first, ...rest] = readFileSync(join(run, 'log.jsonl'), 'utf8').split('\n')
  writeFileSync(join(run, 'log.jsonl'), [first, 'junk', ...rest].join('\n'))
  return run
}

describe('a run that ends while it is read', () => {
  // Between its log and its lock, which is what the native side tells of.
  const library = createRequire(import.meta.url)('../dist/src/ts/native/load.js').binding()
  const { isRunning } = library
  afterEach(() => {
    library.isRunning = isRunning
  })

  /** A run that writes its last line when it is asked whether it goes on. */
  function ending(folder: string): string {
    const run = scratch.at(folder, 'run')
    cpSync(whole, run, { recursive: true })
    const log = readFileSync(join(run, 'log.jsonl'), 'utf8')
    const end = log.trimEnd().lastIndexOf('\n') + 1
    writeFileSync(join(run, 'log.jsonl'), log.slice(0, end))
    library.isRunning = (path: string) => {
      writeFileSync(join(run, 'log.jsonl'), log)
      return isRunning(path)
    }
    return run
  }

  it('was not killed', async () => {
    expect(await readRun(ending('read'))).toMatchObject({ state: 'finished', report: { epochs: 1 } })
    ending('listed-at-its-end')
    expect(await listRuns(scratch.at('listed-at-its-end'))).toMatchObject([{ state: 'finished' }])
  })
})

describe('a run with a damaged log', () => {
  it('is named, and does not hide the others', async () => {
    damaged('beside', 1)
    const { status, stdout, stderr } = await cli(['runs', scratch.at('beside')])
    expect(status).toBe(1)
    expect(stdout.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^run +state/),
      expect.stringMatching(/whole-0 +finished/),
    ])
    expect(stderr).toMatch(
      /^error IO line 2 of .*damaged[/\\]log\.jsonl is no event of a run\nerror IO 1 of 2 runs could not be read\n$/,
    )
    const json = await cli(['runs', scratch.at('beside'), '--json'])
    expect(jsonLines(json.stdout).map(({ name }) => name)).toEqual(['whole-0'])
    expect(jsonLines(json.stderr).map(({ type, code }) => [type, code])).toEqual([
      ['error', 'IO'],
      ['error', 'IO'],
    ])
  })

  it('is the only one told where it is the only one', async () => {
    damaged('alone', 0)
    const { status, stdout, stderr } = await cli(['runs', scratch.at('alone')])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^error IO line 2 of .*damaged[/\\]log\.jsonl is no event of a run\n$/)
  })

  it('is left out of a list, which tells whoever asks', async () => {
    const run = damaged('listed', 1)
    const unread: [string, string][] = []
    const found = await listRuns(scratch.at('listed'), {
      onUnreadable: (folder, { code }) => unread.push([folder, code]),
    })
    expect(found.map(({ name }) => name)).toEqual(['whole-0'])
    expect(unread).toEqual([[run, 'IO']])
    expect(await listRuns(scratch.at('listed'))).toHaveLength(1)
  })

  it('is what report tells', async () => {
    const { status, stderr } = await cli(['report', damaged('reported', 0)])
    expect(status).toBe(1)
    expect(stderr).toMatch(/^error IO line 2 of .*log\.jsonl is no event of a run\n$/)
  })

  it.each(['null', '5', '{"type":"step"}', '{"time":1,"type":"start"}', '{"time":1,"type":"epoch"}'])(
    'is told when a line is %s',
    async (line) => {
      const run = scratch.at('lines', line.replaceAll(/\W/g, ''))
      cpSync(whole, run, { recursive: true })
      writeFileSync(join(run, 'log.jsonl'), `${line}\n${readFileSync(join(whole, 'log.jsonl'), 'utf8')}`)
      await expect(readRun(run)).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringMatching(/line 1 of/),
      })
    },
  )
})

// Root may look into every folder.
it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
  'a folder that can not be looked into is told, and hides nothing',
  async () => {
    cpSync(whole, scratch.at('locked', 'whole'), { recursive: true })
    mkdirSync(scratch.at('locked', 'secret'))
    chmodSync(scratch.at('locked', 'secret'), 0)
    const unread: string[] = []
    const options = { onUnreadable: (folder: string) => unread.push(folder) }
    expect(await listRuns(scratch.at('locked'), options)).toHaveLength(1)
    expect(unread).toEqual([scratch.at('locked', 'secret')])
  },
)

it('a damaged evaluation is told', async () => {
  const run = scratch.at('evaluation')
  cpSync(whole, run, { recursive: true })
  writeFileSync(join(run, 'evaluation.json'), '{')
  await expect(readRun(run)).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/can't read .*evaluation\.json/),
  })
})

it('runs below a folder that is a run itself are listed with it', async () => {
  const outer = scratch.at('outer')
  cpSync(whole, outer, { recursive: true })
  cpSync(whole, join(outer, 'inner'), { recursive: true })
  expect((await listRuns(outer)).map(({ folder }) => folder)).toEqual([outer, join(outer, 'inner')])
})

it('what is no run, and a run in place of its weights, are told with what was meant', async () => {
  await expect(readRun(scratch.at('.'))).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/ is not the folder of a run: there is no log\.jsonl in it$/),
  })
  await expect(MobileNet.load(whole)).rejects.toMatchObject({
    code: 'IO',
    message: `${whole} is the folder of a run; its weights are in ${join(whole, 'best.safetensors')}`,
  })
})
