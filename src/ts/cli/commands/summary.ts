import { Command } from 'commander'
import { type Layer, MobileNet, MobileNetError } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { addNetworkOptions, type NetworkFlags, networkOf } from '../options.js'
import { writeJson } from '../render/json.js'
import { networkText } from '../render/start.js'
import { type Column, table } from '../render/table.js'
import { colors, grouped, percent } from '../render/text.js'

interface Flags extends NetworkFlags {
  json?: boolean
}

export function summaryCommand(deps: Deps): Command {
  const command = new Command('summary')
    .description('The layers of a network, with what each costs for one picture.')
    .argument('[checkpoint]', 'a .safetensors file; without one, the network that the options describe')
  return addNetworkOptions(command, { of: 'variant' })
    .option('--json', 'print a line of JSON')
    .action((checkpoint: string | undefined, flags: Flags) => summary(deps, checkpoint, flags))
}

async function summary(deps: Deps, checkpoint: string | undefined, flags: Flags): Promise<void> {
  const network = networkOf(flags)
  if (checkpoint !== undefined && Object.keys(network).length > 0) {
    throw new MobileNetError('INVALID_OPTION', 'give a checkpoint or the options of a network, not both')
  }
  const model = await (checkpoint === undefined ? MobileNet.create(network) : MobileNet.load(checkpoint))
  const { config, layers, parameters, multiplyAdds } = model
  if (flags.json) {
    writeJson(deps.stdout, { type: 'summary', config, layers, parameters, multiplyAdds })
    return
  }
  const [head = '', ...rows] = table(
    [...columns(layers, parameters, multiplyAdds), ...(deps.stdout.isTTY ? [bars(layers)] : [])],
    deps.stdout.columns,
  )
  const { bold, dim } = colors(deps.stdout)
  const total = rows.pop() ?? ''
  deps.stdout.write(`${[networkText(config), '', dim(head), ...rows, bold(total)].join('\n')}\n`)
}

function columns(layers: Layer[], parameters: number, multiplyAdds: number): Column[] {
  const share = (part: number, whole: number) => percent(whole === 0 ? 0 : part / whole)
  return [
    { title: 'layer', cells: [...layers.map(({ name }) => name), 'total'] },
    { title: 'kind', cells: layers.map(({ kind }) => kind), spare: 1 },
    { title: 'output', cells: layers.map(({ output }) => output.join('x')) },
    {
      title: 'parameters',
      cells: [...layers.map((layer) => grouped(layer.parameters)), grouped(parameters)],
      right: true,
    },
    {
      title: 'multiply-adds',
      cells: [...layers.map((layer) => grouped(layer.multiplyAdds)), grouped(multiplyAdds)],
      right: true,
    },
    {
      title: 'share',
      cells: [...layers.map((layer) => share(layer.multiplyAdds, multiplyAdds)), percent(1)],
      right: true,
      spare: 2,
    },
  ]
}

/** Multiply-adds as bars, the layer with the most as the longest: for a terminal. */
function bars(layers: Layer[]): Column {
  const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
  const longest = 16
  const most = Math.max(...layers.map((layer) => layer.multiplyAdds))
  const bar = (layer: Layer) => {
    const length = Math.round((8 * longest * layer.multiplyAdds) / most)
    return '█'.repeat(Math.floor(length / 8)) + eighths[length % 8]
  }
  return { title: '', cells: layers.map(bar), spare: 3 }
}
