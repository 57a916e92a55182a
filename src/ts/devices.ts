import { native } from './errors.js'
import type { Device } from './native/binding.js'
import { binding } from './native/load.js'

/** The devices of this machine that can train and run a network, the best first. */
export function devices(): Device[] {
  return native(() => binding().devices())
}

/** Checks that a device can be used; gives its full name. */
export function selectDevice(name: string): string {
  return native(() => binding().selectDevice(name))
}
