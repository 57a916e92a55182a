import { Argument, Command } from 'commander'
import { downloadData } from '../data.js'
import type { Deps } from '../deps.js'
import { writeJson } from '../render/json.js'
import { grouped, printable } from '../render/text.js'

interface Flags {
  data?: string
  json?: boolean
}

export function downloadCommand(deps: Deps): Command {
  return new Command('download')
    .description('Fetch CIFAR-10 (140 to 170 MB), unless it is there already.')
    .addArgument(new Argument('[dataset]', 'which data set').choices(['cifar10']).default('cifar10'))
    .option('--data <dir>', 'folder to put it in, from the cache if that has it (default: the cache)')
    .option('--json', 'print a line of JSON')
    .action((name: string, flags: Flags) => download(deps, name, flags))
}

async function download(deps: Deps, name: string, { data: directory, json }: Flags): Promise<void> {
  const { source, official, note, counts } = await downloadData(deps, directory, { json })
  if (json) {
    writeJson(deps.stdout, { type: 'dataset', name, path: source, official, note, counts })
    return
  }
  const size = `${grouped(counts.train)} pictures to train and ${grouped(counts.test)} to test`
  deps.stdout.write(`${printable(source)}: ${size}\n${note === null ? '' : `${printable(note)}\n`}`)
}
