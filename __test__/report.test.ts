import { execFile } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { type Dataset, ImageFolder, MobileNet, readRun, writeReport } from 'mobilenet-native'
import { build } from 'rolldown'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Figure } from '../src/ts/page/figure.js'
import { cli, jsonLines, Scratch } from './cli.js'
import { checked } from './page.js'
import { writePhotos } from './photos.js'
import { network, openSample, recipe } from './tiny.js'

// The bundle: the types of what it is made of need a browser's.
const { draw } = createRequire(import.meta.url)('../dist/src/ts/page/plot.js') as {
  draw: (figure: Figure) => string
}
const scratch = new Scratch()
afterAll(() => scratch.remove())

let data: Dataset
const [first, second] = [scratch.at('first'), scratch.at('second')]
beforeAll(async () => {
  data = await openSample()
  const train = async (out: string, options: object) =>
    (await MobileNet.create(network)).train({ ...recipe, ...options, data, out }).result
  await train(first, { epochs: 2 })
  await train(second, { epochs: 3, seed: 2 })
})

const read = (folder: string) => checked(readFileSync(join(folder, 'report.html'), 'utf8'))
const titles = (page: string, tag: string) =>
  [...page.matchAll(new RegExp(`<${tag}[^>]*>(.*?)</${tag}>`, 'g'))].map(([, title]) => title)
/** Every text cell of the table with this caption, row by row. */
function cells(page: string, caption: string): string[][] {
  const table = page.split('<table').find((part) => part.includes(`<caption>${caption}</caption>`)) ?? ''
  return [...table.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row]) =>
    [...(row ?? '').matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) => cell ?? ''),
  )
}

it('writeReport takes URLs, too', async () => {
  const page = scratch.at('page.html')
  expect(await writeReport(pathToFileURL(first))).toBe(join(first, 'report.html'))
  expect(await writeReport([pathToFileURL(first), second], pathToFileURL(page))).toBe(page)
  expect(readFileSync(page, 'utf8')).toContain('</html>')
})

describe('the page of a run', () => {
  it('has curves, classes, the pictures most wrong and the configuration', async () => {
    const page = read(first)
    const { epochs, evaluation, config } = await readRun(first)
    expect(titles(page, 'h1')).toEqual(['Run first'])
    expect(titles(page, 'figcaption')).toEqual(['Loss', 'Accuracy', 'Learning rate', 'Speed of training'])
    const percent = (share: number | null | undefined) =>
      share == null ? 'none' : `${(100 * share).toFixed(2)}%`
    expect(
      cells(page, 'Every epoch')
        .slice(1)
        .map((row) => [row[0], row[7]]),
    ).toEqual(epochs.map(({ epoch, test }) => [String(epoch), percent(test?.accuracy)]))
    const matrix = cells(page, 'Confusion matrix of the test pictures')
    expect(matrix.slice(1).map((row) => row.slice(1).map(Number))).toEqual(evaluation?.confusion)
    expect(cells(page, 'Classes of the test pictures').slice(1)).toEqual(
      evaluation?.perClass.map(({ label, count, precision, recall }) => [
        ...[label, String(count), percent(precision), percent(recall)],
      ]),
    )
    const pictures = page.match(/<img [^>]*>/g) ?? []
    expect(pictures).toHaveLength(evaluation?.mostWrong.length ?? 0)
    for (const [index, { label, png }] of (evaluation?.mostWrong ?? []).entries()) {
      expect(pictures[index]).toContain(png)
      expect(pictures[index]).toMatch(new RegExp(`alt="test picture \\d+: right is ${label}, the answer is `))
    }
    const settings = new Map(cells(page, 'Configuration').map(([name, value]) => [name, value]))
    expect(settings.get('network: width')).toBe(String(config.model.width))
    expect(settings.get('recipe: batch size')).toBe('16')
    expect(settings.get('recipe: optimizer')).toMatch(/^adam, .*learning rate 0\.01\b/)
    expect(cells(page, 'Environment').flat()).toContain(process.version)
  })

  it('is of a run that has ended, and loads nothing again', () => {
    expect(read(first)).not.toMatch(/<script|http-equiv|NaN/)
    expect(read(first)).toContain('<dd>finished</dd>')
  })

  it('loads itself again while the run goes on, as long as that is wished', async () => {
    const out = scratch.at('running')
    const run = (await MobileNet.create(network)).train({ ...recipe, epochs: 100_000, data, out })
    for await (const event of run) {
      if (event.type !== 'epoch') continue
      await writeReport(out)
      const page = read(out)
      expect(page).toContain('<dd>running</dd>')
      expect(page).toMatch(/<label[^>]*><input type="checkbox" id="refresh" checked>/)
      expect(page).toMatch(/<noscript><meta http-equiv="refresh" content="30"><\/noscript>/)
      break
    }
    expect(read(out)).toContain('<dd>stopped</dd>')
  })

  it('can be read with the keyboard and without seeing it', () => {
    const page = read(first)
    expect(page).toContain('<html lang="en">')
    for (const table of page.match(/<table[\s\S]*?<\/table>/g) ?? []) {
      expect(table).toMatch(/<caption>\w/)
      expect(table).toMatch(/<th scope="col"/)
      expect(table).toMatch(/<tr><th scope="row"/)
    }
    // What scrolls can be reached, and says what it is.
    expect(page.match(/class="table"/g)?.length).toBe(
      page.match(/<div class="table" role="region" tabindex="0" aria-label="\w[^"]*">/g)?.length,
    )
    expect(page).toContain(':focus-visible { outline')
    for (const image of page.match(/<img [^>]*>/g) ?? []) expect(image).toMatch(/ alt="\w/)
  })

  it('is written while a run with one step more than none goes on', async () => {
    const folder = scratch.at('begun')
    mkdirSync(folder)
    const lines = readFileSync(join(first, 'log.jsonl'), 'utf8').split('\n')
    appendFileSync(join(folder, 'log.jsonl'), `${lines[0]}\n`)
    await writeReport(folder)
    expect(read(folder)).toContain('No step is done yet.')
    appendFileSync(join(folder, 'log.jsonl'), `${lines[1]}\n{"type":"st`)
    await writeReport(folder)
    expect(titles(read(folder), 'figcaption')).toHaveLength(4)
  })

  it('leaves out a loss that is no number, which older versions logged', async () => {
    const folder = scratch.at('diverged')
    mkdirSync(folder)
    const lines = readFileSync(join(first, 'log.jsonl'), 'utf8').split('\n')
    const changed = lines.map((line) =>
      line.includes('"type":"epoch"') && line.includes('"epoch":2')
        ? line.replace(/("(?:validation|test)":\{"loss":)[^,]+/g, '$1null')
        : line,
    )
    expect(changed.filter((line, index) => line !== lines[index])).toHaveLength(1)
    appendFileSync(join(folder, 'log.jsonl'), changed.join('\n'))
    expect((await readRun(folder)).epochs.map(({ test }) => test?.loss)).toEqual([
      expect.any(Number),
      Number.NaN,
    ])
    await writeReport(folder)
    const page = read(folder)
    expect(titles(page, 'figcaption')).toHaveLength(4)
    expect(page).toMatch(/test goes from ([\d.]+) to \1 cross-entropy at epoch 1/)
    const compared = await writeReport([folder, second], scratch.at('compared.html'))
    expect(readFileSync(compared, 'utf8')).toContain('run 1 goes from')
  })

  it('leaves the event loop to others', async () => {
    const folder = scratch.at('long')
    mkdirSync(folder)
    for (const name of ['evaluation.json', 'config.json']) copyFileSync(join(first, name), join(folder, name))
    const [start = '', step = ''] = readFileSync(join(first, 'log.jsonl'), 'utf8').split('\n')
    const steps = Array.from({ length: 35_000 }, () => `${step}\n`).join('')
    appendFileSync(join(folder, 'log.jsonl'), `${start}\n${steps}`)
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    const begun = performance.now()
    await writeReport(folder)
    delay.disable()
    const [p99, max] = [delay.percentile(99), delay.max].map((nanoseconds) => nanoseconds / 1e6)
    console.log(
      `a report of 35,000 steps takes ${(performance.now() - begun).toFixed(0)} ms; event loop meanwhile: p99 ${p99?.toFixed(1)} ms, longest ${max?.toFixed(1)} ms`,
    )
    // Loose, for busy machines: made on the event loop, all of it would be one delay.
    expect(p99).toBeLessThan(200)
  })
})

it.each([
  ['CommonJS', 'cjs', 'bundle.cjs'],
  ['ES module', 'esm', 'bundle.mjs'],
] as const)('a program in one file makes the page, too: %s', async (_, format, name) => {
  const folder = scratch.at(format)
  mkdirSync(folder)
  const [program, bundle] = [join(folder, 'program.mjs'), join(folder, name)]
  const library = join(import.meta.dirname, '..', 'dist', 'index.js')
  const page = join(folder, 'report.html')
  writeFileSync(
    program,
    `import { writeReport } from ${JSON.stringify(library)}
    writeReport(${JSON.stringify(first)}, ${JSON.stringify(page)}).then(console.log)`,
  )
  await build({
    input: program,
    platform: 'node',
    // There only to be left out: what draws plots could draw on it.
    external: ['canvas'],
    output: {
      file: bundle,
      codeSplitting: false,
      format,
      banner: format === 'esm' ? 'const __filename = import.meta.filename' : '',
    },
  })
  // Beside the bundle may be another program's.
  writeFileSync(join(folder, 'worker.js'), "throw new Error('another worker')")
  const { stdout } = await promisify(execFile)(process.execPath, [bundle])
  expect(stdout).toBe(`${page}\n`)
  expect(titles(read(folder), 'h1')).toEqual(['Run first'])
})

describe('report', () => {
  it('writes lists of a configuration as lists', async () => {
    const rows = async (name: string, options: object) => {
      const out = scratch.at(name)
      await (await MobileNet.create(network)).train({ ...recipe, ...options, data, out }).result
      return new Map(cells(read(out), 'Configuration').map(([name, value]) => [name, value]))
    }
    const schedule = { type: 'multi-step', milestones: [1, 2] } as const
    const some = await rows('lists', { schedule, augment: [{ type: 'crop', padding: 4 }, { type: 'flip' }] })
    expect(some.get('recipe: augment')).toBe('crop, padding 4; flip')
    expect(some.get('recipe: schedule')).toBe('multi-step, milestones 1 2, gamma 0.1')
    const none = await rows('no-lists', { augment: false, validationFraction: 0 })
    expect(none.get('recipe: augment')).toBe('none')
  })

  it.each([
    ['one value', false, [0.692201]],
    ['always the same', false, [100, 100, 100]],
    ['always 0', false, [0, 0]],
    ['a small learning rate', true, [1e-5, 5e-6, 1e-6]],
    ['nearly the same', false, [1.10001, 1.10003, 1.10002]],
  ])('has room for the numbers beside a plot: %s', (title, fromZero, values) => {
    const svg = draw({
      id: 'plot',
      title,
      description: title,
      kind: 'lines',
      x: { label: 'epochs' },
      y: { label: 'loss', fromZero },
      series: ['s1'],
      marks: values.map((y, index) => ({ series: 's1', name: 'train', x: index + 1, y })),
    })
    const [, group = ''] = /<g[^>]* aria-label="y-axis tick label">(.*?)<\/g>/s.exec(svg) ?? []
    const numbers = [...group.matchAll(/translate\(([\d.]+),[^>]*>([^<]*)<\/text>/g)]
    expect(numbers.length).toBeGreaterThan(2)
    // They end 9 pixels left of the axis, and a digit of this size is about 7.5 wide.
    for (const [, axis, text = ''] of numbers) expect(7.5 * text.length + 9).toBeLessThanOrEqual(Number(axis))
  })

  it('breaks what differs into columns beside each other, and shortens numbers', async () => {
    const [cropped, page] = [scratch.at('cropped'), scratch.at('cropped.html')]
    const augment = [{ type: 'resizedcrop' } as const]
    await (await MobileNet.create(network)).train({ ...recipe, data, augment, out: cropped }).result
    await writeReport([first, cropped], page)
    const html = checked(readFileSync(page, 'utf8'))
    expect(html).toContain('<table class="words">\n<caption>What differs</caption>')
    expect(cells(html, 'What differs').find(([name]) => name === 'recipe: augment')?.[2]).toBe(
      'resizedcrop, area 0.08, ratio 1.333333',
    )
  })

  it('puts several runs on one page', async () => {
    const file = scratch.at('both.html')
    const { status, stdout, stderr } = await cli(['report', first, second, '--out', file])
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${file}\n`, stderr: '' })
    const page = checked(readFileSync(file, 'utf8'))
    expect(titles(page, 'h1')).toEqual(['2 runs compared'])
    expect(titles(page, 'figcaption')).toEqual([
      'Loss on the validation pictures',
      'Accuracy on the validation pictures',
      'Loss while training',
      'Learning rate',
      'Speed of training',
    ])
    expect(cells(page, 'Runs').map((row) => row.slice(0, 4))).toEqual([
      ['run', 'folder', 'state', 'epochs'],
      ['run 1', 'first', 'finished', '2/2'],
      ['run 2', 'second', 'finished', '3/3'],
    ])
    expect(cells(page, 'What differs')).toEqual([
      ['setting', 'run 1', 'run 2'],
      ['recipe: epochs', '2', '3'],
      ['recipe: seed', '1', '2'],
    ])
    expect(cells(page, 'Recall of each class')).toHaveLength(11)
  })

  it('says when a run is judged by the pictures that it was trained on', async () => {
    const [photos, out] = [scratch.at('photos'), scratch.at('nothing-kept')]
    writePhotos(join(photos, 'train'), ['dog', 'frog'])
    writePhotos(join(photos, 'validation'), ['dog', 'frog'])
    const open = (path: string, testFraction?: number) =>
      ImageFolder.open(path, {
        resolution: 32,
        testFraction: testFraction ?? null,
        cache: scratch.at('cache'),
      })
    const train = async (data: Dataset, out: string) =>
      (await MobileNet.create({ ...network, classes: 2 })).train({
        ...recipe,
        validationFraction: 0,
        data,
        out,
      }).result
    await train(await open(join(photos, 'train'), 0), out)
    expect(titles(read(out), 'dt')).toContain('best training')
    const file = scratch.at('mixed.html')
    await writeReport([out, first], file)
    const page = checked(readFileSync(file, 'utf8'))
    expect(titles(page, 'figcaption')[1]).toBe('Accuracy on the held-back or training pictures')
  })

  it('takes no markup from what a folder says', async () => {
    const folder = scratch.at('malicious')
    cpSync(first, folder, { recursive: true })
    const path = join(folder, 'evaluation.json')
    const evaluation = JSON.parse(readFileSync(path, 'utf8'))
    const markup = '"><script>alert(1)</script>'
    evaluation.split = markup
    for (const row of evaluation.confusion) row.fill(markup)
    for (const wrong of evaluation.mostWrong)
      Object.assign(wrong, { png: markup, index: markup, label: markup })
    writeFileSync(path, JSON.stringify(evaluation))
    const page = () => readFileSync(join(folder, 'report.html'), 'utf8')
    await writeReport(folder)
    expect(page()).toContain('alert(1)')
    expect(page()).not.toContain('<script>alert')
    evaluation.mostWrong = []
    writeFileSync(path, JSON.stringify(evaluation))
    await writeReport(folder)
    expect(page()).not.toContain('<script>alert')
  })

  it('draws a line for each run, also of more than there are colours', async () => {
    const file = scratch.at('many.html')
    await writeReport([first, second, first, first, first, first, second], file)
    const page = checked(readFileSync(file, 'utf8'))
    const [drawing = ''] = page.match(/<svg.*?<\/svg>/s) ?? []
    const description = /<desc[^>]*>(.*?)<\/desc>/.exec(drawing)?.[1] ?? ''
    expect(description.match(/run \d+ goes from/g)).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((run) => `run ${run} goes from`),
    )
    const lines = [
      ...drawing.matchAll(/<path [^>]*stroke="(var\(--s\d\))"[^>]*>|<g [^>]*stroke="(var\(--s\d\))"[^>]*>/g),
    ]
    const drawn = lines.map(([tag]) => [
      /var\(--(s\d)\)/.exec(tag)?.[1],
      /stroke-dasharray="([^"]*)"/.exec(tag)?.[1] ?? 'none',
    ])
    expect(drawn).toEqual([
      ...['s1', 's2', 's3', 's4', 's5', 's6'].map((color) => [color, 'none']),
      ['s1', '7 3'],
    ])
  })

  it('of one run is that in its folder', async () => {
    const { stdout } = await cli(['report', first, '--json'])
    expect(jsonLines(stdout)).toEqual([{ type: 'report', file: join(first, 'report.html') }])
  })

  it.each([
    ['a folder that is not there', [scratch.at('nowhere')], 1, /^can't read .*nowhere.*log\.jsonl: ENOENT/],
    ['no run', [], 2, /missing required argument/],
  ])('refuses %s', async (_, args, status, message) => {
    const outcome = await cli(['report', ...args, '--json'])
    expect(outcome.status).toBe(status)
    expect(jsonLines(outcome.stderr)[0].message).toMatch(message)
    expect(existsSync(scratch.at('nowhere'))).toBe(false)
  })
})
