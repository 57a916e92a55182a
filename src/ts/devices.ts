import { native } from './errors.js'
import type { CudaStatus, Device, SelectedDevice } from './native/binding.js'
import { binding } from './native/load.js'

/** The devices of this machine that can train and run a network, the best first: cards, then the processor. */
export function devices(): Device[] {
  return native(() => binding().devices())
}

/** What there is of CUDA on this machine: the driver's library, where it was looked for, and why cards can't be used. */
export function cudaStatus(): CudaStatus {
  return native(() => binding().cudaStatus())
}

/** Takes a device in use: of a card, that takes seconds at the first time. */
export function selectDevice(name: string): Promise<SelectedDevice> {
  return native(() => binding().selectDevice(name))
}
