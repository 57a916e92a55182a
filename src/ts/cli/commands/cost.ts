import { Command } from 'commander'
import { type ConvolutionSize, MobileNetError, modelCost, separableCost } from '../../../../index.js'
import type { Deps } from '../deps.js'
import { addNetworkOptions, type NetworkFlags, networkOf, number } from '../options.js'
import { comparison, type PaperRow, paperTables } from '../paper.js'
import { markdownCost, renderCost } from '../render/cost.js'
import { writeJson } from '../render/json.js'
import { type CostTable, markdownNetworkCost, renderNetworkCost } from '../render/network-cost.js'

interface Flags extends NetworkFlags, Partial<ConvolutionSize> {
  json?: boolean
  markdown?: boolean
}

const sizeKeys = ['input', 'channels', 'kernel', 'outputs'] as const

export function costCommand(deps: Deps): Command {
  const command = new Command('cost')
    .description(
      'What depthwise separable convolution saves, and why: in one layer, or in the network that the options describe.',
    )
    .option('--input <F>', 'height and width of the input', number)
    .option('--channels <C>', 'channels of the input', number)
    .option('--kernel <K>', 'height and width of the kernel', number)
    .option('--outputs <M>', 'channels of the output', number)
  return addNetworkOptions(command, { of: 'variant', without: ['dropout'] })
    .option('--markdown', 'print Markdown with formulas')
    .option('--json', 'print a line of JSON')
    .action((flags: Flags) => cost(deps, flags))
}

function cost(deps: Deps, flags: Flags): void {
  if (flags.json && flags.markdown) {
    throw new MobileNetError('INVALID_OPTION', 'give --json or --markdown, not both')
  }
  const size = sizeOf(flags)
  if (size) layerCost(deps, flags, size)
  else networkCost(deps, flags)
}

/** The layer that the options describe; none when they describe a network. */
function sizeOf(flags: Flags): ConvolutionSize | undefined {
  const missing = sizeKeys.filter((key) => flags[key] === undefined)
  const network = Object.keys(networkOf(flags)).length > 0
  const all = '--input, --channels, --kernel and --outputs'
  if (missing.length === sizeKeys.length) {
    if (network) return undefined
    throw new MobileNetError(
      'INVALID_OPTION',
      `cost needs ${all} of a layer, or options of a network, for example --layout imagenet`,
    )
  }
  if (network)
    throw new MobileNetError('INVALID_OPTION', `give ${all}, or the options of a network, not both`)
  if (missing.length > 0) {
    const names = missing.map((key) => `--${key}`).join(', ')
    throw new MobileNetError('INVALID_OPTION', `a layer needs ${all}; missing: ${names}`)
  }
  const { input, channels, kernel, outputs } = flags
  return { input, channels, kernel, outputs } as ConvolutionSize
}

function layerCost({ stdout }: Deps, { json, markdown }: Flags, size: ConvolutionSize): void {
  const found = separableCost(size)
  if (json) writeJson(stdout, { type: 'cost', ...size, ...found })
  else stdout.write(markdown ? markdownCost(size, found) : renderCost(stdout, size, found))
}

function networkCost({ stdout }: Deps, flags: Flags): void {
  const found = modelCost(networkOf(flags))
  const [first, tables] = [comparison(found), paperTables(found.config)]
  if (flags.json) writeJson(stdout, { type: 'cost', ...found, tables: tables.map(rowsOf) })
  else if (flags.markdown) stdout.write(markdownNetworkCost(found, first, tables))
  else stdout.write(renderNetworkCost(stdout, found, first, tables))
}

/** Without what is only for people. */
function rowsOf({ of, rows }: CostTable<PaperRow>): { of: string; rows: Omit<PaperRow, 'name'>[] } {
  return { of, rows: rows.map(({ name: _, ...row }) => row) }
}
