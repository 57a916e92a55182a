import { Option } from 'commander'
import type { DeviceName } from '../../../index.js'
import type { Deps } from './deps.js'
import { writeJson } from './render/json.js'

/** What every command has that computes. */
export function deviceOption(): Option {
  return new Option('--device <name>', 'auto, cpu, cuda or cuda:N').default('auto')
}

/** What was given, as the API takes it; the library says what is wrong with it. */
export function deviceOf({ device }: { device: string }): { device: DeviceName } {
  return { device: device as DeviceName }
}

/** Says in one line why a card is not used that there seems to be. */
export function tellDevice(
  { stderr }: Deps,
  note: string | null,
  output: { json?: boolean | undefined; quiet?: boolean | undefined },
): void {
  if (note === null || output.quiet) return
  const message = `this runs on the processor: ${note}`
  if (output.json) writeJson(stderr, { type: 'note', message })
  else stderr.write(`note: ${message}\n`)
}
