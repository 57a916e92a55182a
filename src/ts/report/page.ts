import { details, figures, page, paragraph, section } from '../page/frame.js'
import type { SavedConfig } from '../record/config.js'
import type { RunRecord } from '../record/runs.js'
import {
  differences,
  environment,
  epochTable,
  headline,
  listing,
  recallTable,
  runTable,
  settings,
} from './facts.js'
import { comparedFigures, runFigures } from './figures.js'
import { classTable, confusion, mostWrong } from './sections.js'
import { style } from './style.js'

/** A run with what its `config.json` says, if that is there. */
export interface ReportedRun {
  run: RunRecord
  saved: SavedConfig | null
}

/** Seconds after which the page of a run that goes on is loaded again. */
const refreshSeconds = 10

/** The page of one run, or of several to compare. */
export function reportPage(runs: ReportedRun[]): string {
  const running = runs.some(({ run }) => run.state === 'running')
  const [first] = runs
  const one = runs.length === 1 && first
  return page({
    title: one ? `Run ${first.run.name}` : `${runs.length} runs compared`,
    style,
    head: running ? noscript : '',
    body: [
      ...(running ? [refresh] : []),
      ...(one ? runBody(first) : comparedBody(runs.map(({ run }) => run))),
    ],
  })
}

function runBody({ run, saved }: ReportedRun): string[] {
  const { evaluation, error } = run
  return [
    ...(error ? [paragraph(`It failed (${error.code}): ${error.message}`)] : []),
    headline(run),
    ...(run.steps.length > 0
      ? ['<h2>Curves</h2>', figures(runFigures(run))]
      : [paragraph('No step is done yet.')]),
    ...(run.epochs.length > 0 ? [details(epochTable(run))] : []),
    ...(evaluation
      ? [
          `<h2>Which classes are taken for which</h2>`,
          paragraph(`After epoch ${evaluation.epoch}.`),
          confusion(evaluation),
          section(classTable(evaluation)),
          '<h2>The pictures it gets most wrong</h2>',
          mostWrong(evaluation),
        ]
      : []),
    section(listing('Configuration', settings(run))),
    section(listing('Environment', environment(run, saved))),
  ]
}

function comparedBody(runs: RunRecord[]): string[] {
  const sheets = [differences(runs), recallTable(runs)].filter((sheet) => sheet !== undefined)
  return [
    section(runTable(runs)),
    '<h2>Curves</h2>',
    figures(comparedFigures(runs).filter(({ marks }) => marks.length > 0)),
    ...runs.map((run, index) => details({ ...epochTable(run), title: `Every epoch of run ${index + 1}` })),
    ...sheets.map(section),
  ]
}

/** Who reads may want it to stay: a page that changes under a screen reader, or while something is copied, is no help. */
const refresh = `<p><label class="refresh"><input type="checkbox" id="refresh" checked>
Load again every ${refreshSeconds} seconds while the run goes on</label></p>
<script>
{
  const box = document.getElementById('refresh')
  const keep = (value) => { try { if (value !== undefined) sessionStorage.refresh = value; return sessionStorage.refresh } catch {} }
  box.checked = keep() !== 'no'
  box.addEventListener('change', () => keep(box.checked ? 'yes' : 'no'))
  setInterval(() => { if (box.checked && !document.hidden) location.reload() }, ${1000 * refreshSeconds})
}
</script>`

const noscript = `\n<noscript><meta http-equiv="refresh" content="${3 * refreshSeconds}"></noscript>`
