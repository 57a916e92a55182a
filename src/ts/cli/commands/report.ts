import { Command } from 'commander'
import { writeReport } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { writeJson } from '../render/json.js'
import { printable } from '../render/text.js'

export function reportCommand(deps: Deps): Command {
  return new Command('report')
    .description('A page about a run, or several on one page to compare.')
    .argument('<run...>', "folders of runs; a run's own page is written while it goes on")
    .option('--out <file>', 'where the page goes (default: report.html, of one run in its folder)')
    .option('--json', 'print a line of JSON')
    .action(async (runs: string[], { out, json }: { out?: string; json?: boolean }) => {
      const file = await writeReport(runs, out)
      if (json) writeJson(deps.stdout, { type: 'report', file })
      else deps.stdout.write(`${printable(file)}\n`)
    })
}
