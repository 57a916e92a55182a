import { Option } from 'commander'
import type { DeviceName } from '../../../index.js'
import type { Deps } from './deps.js'
import { tellNote } from './render/note.js'

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
  deps: Deps,
  note: string | null,
  output: { json?: boolean | undefined; quiet?: boolean | undefined },
): void {
  tellNote(deps, note && `this runs on the processor: ${note}`, output)
}
