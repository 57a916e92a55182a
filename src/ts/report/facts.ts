import { clock, grouped, percent, rounded } from '../page/format.js'
import { escaped } from '../page/frame.js'
import { numberColumn, type Sheet } from '../page/sheet.js'
import type { SavedConfig } from '../record/config.js'
import type { RunRecord } from '../record/runs.js'
import { binned, judgedBy, nameOf } from './figures.js'

/** The figures that one looks for first. */
export function headline(run: RunRecord): string {
  const { epochs, config, best, seconds, steps } = run
  const last = epochs.at(-1)
  const speed = binned(steps.slice(-100)).map(({ imagesPerSecond }) => imagesPerSecond)
  const facts: [string, string][] = [
    ['state', run.state],
    ['epochs', `${last?.epoch ?? 0} of ${config.train.epochs}`],
    ...(last?.test ? [['test accuracy', percent(last.test.accuracy)] as [string, string]] : []),
    ...(best
      ? [[`best ${judgedBy([run])}`, `${percent(best.accuracy)} in epoch ${best.epoch}`] as [string, string]]
      : []),
    ['time', clock(seconds)],
    ...(speed.length > 0 ? [['pictures a second', rounded(mean(speed), 3)] as [string, string]] : []),
  ]
  const items = facts.map(([term, text]) => `<div><dt>${escaped(term)}</dt><dd>${escaped(text)}</dd></div>`)
  return `<dl class="facts">${items.join('')}</dl>`
}

/** Every complete epoch. */
export function epochTable({ epochs }: RunRecord): Sheet {
  const column = (title: string, pick: (epoch: (typeof epochs)[number]) => string) =>
    numberColumn(title, epochs.map(pick))
  return {
    title: 'Every epoch',
    notes: [],
    columns: [
      { title: 'epoch', cells: epochs.map(({ epoch }) => String(epoch)) },
      column('learning rate', ({ learningRate }) => String(Number(learningRate.toPrecision(4)))),
      ...(['train', 'validation', 'test'] as const).flatMap((part) =>
        epochs.some((epoch) => epoch[part])
          ? [
              column(`${part} loss`, (epoch) => epoch[part]?.loss.toFixed(4) ?? ''),
              column(`${part} accuracy`, (epoch) => (epoch[part] ? percent(epoch[part].accuracy) : '')),
            ]
          : [],
      ),
      column('time', ({ seconds }) => clock(seconds)),
    ],
  }
}

/** Everything that decides a run, by name. */
export function settings({ config }: RunRecord): Map<string, string> {
  const { model, train, normalization, data, pictures } = config
  const { total, train: learnt, validation, test } = pictures
  const rows = new Map<string, string>()
  for (const [part, values] of [
    ['network', model],
    ['recipe', train],
  ] as const) {
    for (const [key, value] of Object.entries(values)) {
      if (value !== null) rows.set(`${part}: ${words(key)}`, text(value))
    }
  }
  rows.set(
    'normalisation',
    `mean ${normalization.mean.join(', ')}; standard deviation ${normalization.std.join(', ')}`,
  )
  rows.set('data', data)
  rows.set(
    'pictures',
    `${grouped(learnt)} of ${grouped(total)} to train, ${grouped(validation)} to validate, ${grouped(test)} to test`,
  )
  return rows
}

/** Where it ran. */
export function environment(
  { config, startedAt }: RunRecord,
  saved: SavedConfig | null,
): Map<string, string> {
  const rows = new Map<string, string>([
    ['started', startedAt.replace('T', ' ').replace(/\..*/, ' UTC')],
    [
      'device',
      `${config.device}, ${config.simd}, ${config.threads} thread${config.threads === 1 ? '' : 's'}`,
    ],
  ])
  if (saved) {
    const { version, node, platform, processor } = saved.environment
    rows.set('processor', processor)
    rows.set('mobilenet-native', version)
    rows.set('Node', node)
    rows.set('platform', platform)
    if (saved.weights) rows.set('weights', text(saved.weights))
  }
  return rows
}

/** Names with their values. */
export function listing(title: string, rows: Map<string, string>): Sheet {
  return {
    title,
    notes: [],
    columns: [
      { title: 'name', cells: [...rows.keys()] },
      { title: 'value', cells: [...rows.values()] },
    ],
  }
}

/** Several runs, a row each. */
export function runTable(runs: RunRecord[]): Sheet {
  const column = (title: string, pick: (run: RunRecord) => string) => numberColumn(title, runs.map(pick))
  return {
    title: 'Runs',
    notes: [
      `Best: the highest accuracy on the ${judgedBy(runs)} pictures. Test: accuracy after the last epoch.`,
    ],
    columns: [
      { title: 'run', cells: runs.map((_, index) => nameOf(index)) },
      { title: 'folder', cells: runs.map(({ name }) => name) },
      { title: 'state', cells: runs.map(({ state }) => state) },
      column('epochs', ({ epochs, config }) => `${epochs.at(-1)?.epoch ?? 0}/${config.train.epochs}`),
      column('best', ({ best }) => (best ? percent(best.accuracy) : '')),
      column('in epoch', ({ best }) => (best ? String(best.epoch) : '')),
      column('test', ({ epochs }) => {
        const test = epochs.at(-1)?.test
        return test ? percent(test.accuracy) : ''
      }),
      column('time', ({ seconds }) => clock(seconds)),
    ],
  }
}

/** What is not the same in all runs. */
export function differences(runs: RunRecord[]): Sheet | undefined {
  const all = runs.map(settings)
  const names = [...new Set(all.flatMap((rows) => [...rows.keys()]))]
  const differing = names.filter((name) => new Set(all.map((rows) => rows.get(name))).size > 1)
  if (differing.length === 0) return undefined
  return {
    title: 'What differs',
    notes: [],
    words: true,
    columns: [
      { title: 'setting', cells: differing },
      ...all.map((rows, index) => ({
        title: nameOf(index),
        cells: differing.map((name) => rows.get(name) ?? 'none'),
      })),
    ],
  }
}

/** The recall of each class in each run. */
export function recallTable(runs: RunRecord[]): Sheet | undefined {
  const evaluated = runs.map(({ evaluation }) => evaluation)
  const classes = evaluated[0]?.classes
  if (!classes || evaluated.some((one) => one?.classes.join() !== classes.join())) return undefined
  return {
    title: 'Recall of each class',
    notes: ['Of the pictures of the class, the share that was found, after the last epoch of each run.'],
    columns: [
      { title: 'class', cells: classes },
      ...evaluated.map((one, index) =>
        numberColumn(
          nameOf(index),
          (one?.perClass ?? []).map(({ recall }) => (recall === null ? 'none' : percent(recall))),
        ),
      ),
    ],
  }
}

/** `learningRate` as `learning rate`. */
function words(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

/** A value of a configuration: of an object its parts, of a list what is in it. */
function text(value: unknown): string {
  if (Array.isArray(value)) {
    const separator = value.some((one) => typeof one === 'object') ? '; ' : ' '
    return value.map(text).join(separator) || 'none'
  }
  // As many digits as a float32 has: 4/3 has more in a float64 than anyone reads.
  if (typeof value === 'number' && !Number.isInteger(value)) return String(Number(value.toPrecision(7)))
  if (typeof value !== 'object' || value === null) return String(value)
  const parts = Object.entries(value).filter(([, part]) => part !== null)
  return parts.map(([key, part]) => (key === 'type' ? text(part) : `${words(key)} ${text(part)}`)).join(', ')
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
