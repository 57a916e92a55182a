import { Command } from 'commander'
import { listRuns, MobileNetError, type RunSummary } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { tellFailure } from '../render/failure.js'
import { writeJson } from '../render/json.js'
import { type Column, numberColumn, table } from '../render/table.js'
import { clock, colors, percent, printable } from '../render/text.js'

const notes = `
A run whose log is damaged is reported on stderr, and the others are listed; the exit status is then 1.`

export function runsCommand(deps: Deps): Command {
  return new Command('runs')
    .description('The runs in a folder: how far they came, and how good they are.')
    .argument('[dir]', 'where they lie (default: runs)')
    .option('--json', 'print a line of JSON for each run')
    .addHelpText('after', notes)
    .action((directory: string | undefined, { json }: { json?: boolean }) => runs(deps, directory, json))
}

async function runs(deps: Deps, directory: string | undefined, json = false): Promise<void> {
  const unread: MobileNetError[] = []
  const found = await listRuns(directory, { onUnreadable: (_, error) => unread.push(error) })
  if (json) for (const run of found) writeJson(deps.stdout, { type: 'run', ...run })
  else deps.stdout.write(text(deps, found, unread.length, directory ?? 'runs'))
  const [first] = unread
  if (!first) return
  const count = found.length + unread.length
  if (count === 1) throw first
  for (const error of unread) tellFailure(deps.stderr, error, json)
  throw new MobileNetError('IO', `${unread.length} of ${count} runs could not be read`)
}

function text({ stdout }: Deps, found: RunSummary[], unread: number, directory: string): string {
  if (found.length === 0) return unread === 0 ? `There is no run in ${printable(directory)} yet.\n` : ''
  const [head = '', ...lines] = table(columns(found), stdout.columns)
  return `${[colors(stdout).dim(head), ...lines].join('\n')}\n`
}

function columns(found: RunSummary[]): Column[] {
  const column = (title: string, pick: (run: RunSummary) => string, spare?: number): Column => ({
    title,
    cells: found.map(pick),
    ...(spare === undefined ? {} : { spare }),
  })
  const number = (title: string, pick: (run: RunSummary) => string, spare?: number) =>
    numberColumn(title, found.map(pick), spare)
  return [
    column('run', ({ folder }) => printable(folder)),
    column('state', ({ state }) => state),
    column('network', networkText, 2),
    number('epochs', ({ epochs, config }) => `${epochs.at(-1)?.epoch ?? 0}/${config.train.epochs}`),
    number('best', ({ best }) => (best === null ? '' : percent(best.accuracy))),
    number('in epoch', ({ best }) => (best === null ? '' : String(best.epoch)), 3),
    number('test', ({ epochs }) => testText(epochs.at(-1)?.test?.accuracy)),
    number('time', ({ seconds }) => clock(seconds), 1),
    column('started', ({ startedAt }) => localTime(startedAt), 4),
  ]
}

function networkText({ config }: RunSummary): string {
  const { variant, layout, width } = config.model
  return `${variant} ${layout}${width === 1 ? '' : ` x${width}`}`
}

function testText(accuracy: number | undefined): string {
  return accuracy === undefined ? '' : percent(accuracy)
}

/** `2026-01-31 23:59`, in local time. */
function localTime(iso: string): string {
  const date = new Date(iso)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}
