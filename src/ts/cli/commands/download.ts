import { Argument, Command } from 'commander'
import { downloadData } from '../data.js'
import type { Deps } from '../program.js'

export function downloadCommand(deps: Deps): Command {
  return new Command('download')
    .description('Download a data set, unless it is there.')
    .addArgument(new Argument('[dataset]', 'which').choices(['cifar10']).default('cifar10'))
    .option('--data <dir>', 'folder to put it in (default: the cache)')
    .option('--json', 'print a JSON object')
    .option('--quiet', 'show no progress')
    .action(async (_dataset: string, flags: { data?: string; json?: boolean; quiet?: boolean }) => {
      const data = await downloadData(deps, flags.data, flags.quiet ?? false)
      const { source, official, note, counts } = data
      const line = flags.json
        ? JSON.stringify({ type: 'dataset', source, official, note, counts })
        : `${source}: ${counts.train} training and ${counts.test} test pictures${note ? `\nNote: ${note}` : ''}`
      deps.stdout.write(`${line}\n`)
    })
}
