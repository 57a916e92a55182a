import { Command } from 'commander'
import { type Layer, MobileNet } from '../../../../index.js'
import { addNetworkOptions, type NetworkFlags, networkOf } from '../options.js'
import type { Deps } from '../program.js'

export function summaryCommand(deps: Deps): Command {
  const command = new Command('summary')
    .description('The layers of a checkpoint, or of a network that options describe.')
    .argument('[checkpoint]', 'file')
  return addNetworkOptions(command)
    .option('--json', 'print a JSON object')
    .action(async (checkpoint: string | undefined, flags: NetworkFlags & { json?: boolean }) => {
      const network = networkOf(flags)
      const model = checkpoint ? await MobileNet.load(checkpoint, network) : await MobileNet.create(network)
      const { config, parameters, layers } = model
      const multiplyAdds = layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0)
      const text = flags.json
        ? JSON.stringify({ type: 'summary', config, parameters, multiplyAdds, layers })
        : `${table(layers)}\n\n${parameters} parameters, ${multiplyAdds} multiply-adds a picture`
      deps.stdout.write(`${text}\n`)
    })
}

/** A column as wide as its widest cell; numbers to the right. */
function table(layers: Layer[]): string {
  const rows = [
    ['layer', 'kind', 'output', 'parameters', 'multiply-adds'],
    ...layers.map(({ name, kind, output, parameters, multiplyAdds }) => [
      name,
      kind,
      output.join('x'),
      String(parameters),
      String(multiplyAdds),
    ]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const cell = (text: string, column: number) =>
    column < 2 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)
  return rows.map((row) => row.map(cell).join('  ')).join('\n')
}
