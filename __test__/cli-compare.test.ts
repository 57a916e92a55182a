import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  cli,
  data,
  filesBelow,
  filesOfRun,
  jsonLines,
  runFiles,
  Scratch,
  start,
  startListening,
} from './cli.js'
import { checked } from './page.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

const short = ['compare', '--width', '0.25', '--seconds', '0.01', '--batch-size', '4', '--threads', '1']
const two = [...short, '--variants', 'v1, v3-small']
const training = [...two, '--train', '--data', data, '--limit', '24', '--epochs', '2']
const read = (...path: string[]) => readFileSync(scratch.at(...path), 'utf8')

describe('compare', () => {
  it('measures all four, prints tables, and writes them with a page', async () => {
    const { status, stdout, stderr } = await cli([...short, '--out', scratch.at('all')])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const name of ['V1', 'V2', 'V3 large', 'V3 small']) {
      expect(stdout).toMatch(new RegExp(`^${name} +[\\d,]+ +[\\d,]+( +[\\d.]+ MB){3}$`, 'm'))
      expect(stdout).toMatch(new RegExp(`^${name}( +[\\d,.]+ img/s +\\d+%){2} +[\\d.]+ ms +[\\d:]+$`, 'm'))
    }
    expect(stdout).not.toContain('test accuracy')
    expect(filesBelow(scratch.at('all')).sort()).toEqual([
      'comparison.html',
      'comparison.json',
      'comparison.md',
    ])
    const page = checked(read('all', 'comparison.html'))
    expect(page).not.toContain('<script')
    expect(page.match(/<figure>/g)).toHaveLength(4)
    expect(page.match(/<table>/g)).toHaveLength(2)
    expect(page).toContain('<title>MobileNet V1, V2, V3 large and V3 small</title>')
    const markdown = read('all', 'comparison.md')
    expect(markdown).toMatch(/^\| network \| parameters \| .*\n\| --- \| --: \|/m)
  })

  it('prints a line of JSON, which is what it writes', async () => {
    const { status, stdout, stderr } = await cli([...two, '--out', scratch.at('json'), '--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [line, ...rest] = jsonLines(stdout)
    expect(rest).toEqual([])
    expect(line).toEqual({ type: 'comparison', ...JSON.parse(read('json', 'comparison.json')) })
    expect(line).toMatchObject({
      recipe: { batchSize: 4, epochs: 9 },
      networks: [{ run: null }, { run: null }],
    })
  })

  it.each([
    ['a variant that is not there', ['--variants', 'v1,v4'], /^variants must be one of v1, .*, not v4$/],
    ['a variant given twice', ['--variants', 'v1,v1'], /^variants names v1 twice$/],
    ["the course's layout for V2", ['--layout', 'unpadded'], /^layout unpadded is V1's/],
    ['pictures that nobody reads', ['--data', data], /^without --train nothing is read/],
    ['no time', ['--seconds', '0'], /^seconds must be above 0/],
    ['a batch of one', ['--batch-size', '1'], /^batchSize must be at least 2/],
    [
      'a precision that is not there',
      ['--precision', 'float16'],
      /^precision must be one of float32, tf32, bfloat16, not float16$/,
    ],
    ['a preset that is not there', ['--preset', 'fast'], /^preset must be one of/],
    ['one network by the name of many', ['--variant', 'v1'], /^unknown option '--variant'/],
    ['too many arguments', ['more'], /^too many arguments/],
  ])('refuses %s', async (_, args, message) => {
    const out = scratch.at('refused')
    const { status, stdout, stderr } = await cli(['compare', ...args, '--out', out, '--json'])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(jsonLines(stderr)).toEqual([
      { type: 'error', code: 'INVALID_OPTION', message: expect.stringMatching(message) },
    ])
    expect(filesBelow(out)).toEqual([])
  })

  it.each([
    ['a variant that is not there', ['--variants', 'v1,v9'], /not v9$/],
    ["the course's layout for V2", ['--layout', 'unpadded'], /^layout unpadded is V1's/],
    ['a device that is not there', ['--device', 'foo'], /^device must be one of auto, cpu, cuda/],
    ['no threads', ['--threads', '0'], /^threads must be from 1/],
  ])('refuses %s before it looks for the pictures', async (_, args, message) => {
    const call = ['compare', '--train', ...args, '--data', scratch.at('nowhere'), '--json']
    const { status, stderr } = await cli(call)
    expect(status).toBe(2)
    expect(jsonLines(stderr)[0].message).toMatch(message)
  })

  it.skipIf(process.platform === 'win32')('ends at Ctrl-C without a word', async () => {
    const out = scratch.at('interrupted')
    const child = await startListening([...two, '--seconds', '3600', '--out', out])
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    const closed = once(child, 'close')
    // By now it measures, if the machine isn't very busy; if it is, it ends before that in the same way.
    await wait(1000)
    child.kill('SIGINT')
    expect((await closed)[0]).toBe(130)
    expect({ output, files: filesBelow(out) }).toEqual({ output: '', files: [] })
  })
})

describe('compare --train', () => {
  const out = scratch.at('trained')
  let stdout: string
  beforeAll(async () => {
    const outcome = await cli([...training, '--out', out])
    expect(outcome).toMatchObject({ status: 0, stderr: '' })
    stdout = outcome.stdout
  })

  it('shows every run without its steps, and how it ended', () => {
    expect(stdout).not.toContain('Train Epoch')
    expect(stdout.match(/^Test set: /gm)).toHaveLength(4)
    for (const name of ['V1', 'V3 small']) {
      expect(stdout).toMatch(
        new RegExp(`^${name} +\\d+\\.\\d\\d% +[12] +\\d+\\.\\d\\d% +\\d:\\d\\d +\\d:\\d\\d$`, 'm'),
      )
    }
    const pages = ['comparison.html', 'comparison.json', 'comparison.md']
    expect(filesOfRun(out)).toEqual([...pages, ...runFiles(), ...runFiles()].sort())
  })

  it('says what there is to know about the pictures, as train does', async () => {
    const about = 'not the official CIFAR-10'
    expect(stdout.split(about)).toHaveLength(3)
    const args = ['--variants', 'v1', '--epochs', '1', '--out', scratch.at('note'), '--json']
    const { status, stderr } = await cli([...training, ...args])
    expect(status).toBe(0)
    expect(jsonLines(stderr)).toEqual([{ type: 'note', message: expect.stringContaining(about) }])
  })

  it('plots accuracy, with every number in a table', () => {
    const page = checked(read('trained', 'comparison.html'))
    expect([...page.matchAll(/<figcaption>(.*)<\/figcaption>/g)].map(([, title]) => title)).toEqual([
      'Accuracy against multiply-adds',
      'Accuracy against training time',
      'Accuracy after every epoch',
      'Accuracy against parameters',
      'Training speed against multiply-adds',
      'Inference speed against multiply-adds',
    ])
    expect(page.match(/<table>/g)).toHaveLength(4)
    const comparison = JSON.parse(read('trained', 'comparison.json'))
    for (const { run } of comparison.networks) {
      for (const { test } of run.epochs) expect(page).toContain(`>${(100 * test.accuracy).toFixed(2)}%</td>`)
    }
    expect(read('trained', 'comparison.md')).toContain('## Test accuracy after every epoch')
  })

  it.skipIf(process.platform === 'win32')('keeps what there is at Ctrl-C', async () => {
    const stopped = scratch.at('stopped')
    const child = start([...training, '--epochs', '500', '--out', stopped])
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      // Once: the second would end it at once.
      if (/^Test set/m.test(output) && !child.killed) child.kill('SIGINT')
    })
    expect((await once(child, 'close'))[0]).toBe(130)
    const { stopped: marked, networks } = JSON.parse(read('stopped', 'comparison.json'))
    expect({ marked, runs: networks.map(({ run }: { run: object | null }) => run !== null) }).toEqual({
      marked: true,
      runs: [true, false],
    })
    expect(output).toMatch(/^V1 .*stopped after \d+ epochs$/m)
    expect(output).toMatch(/^V3 small .*not trained$/m)
    checked(read('stopped', 'comparison.html'))
  })
})
