import { native } from './errors.js'
import { processorName } from './measure.js'
import type { CudaStatus, Device, SelectedDevice } from './native/binding.js'
import { binding } from './native/load.js'
import { mustBe } from './options/types.js'

/** The devices of this machine that can train and run a network, the best first: cards, then the processor. */
export function devices(): Device[] {
  return native(() => binding().devices()).map((device) =>
    device.name === 'cpu' ? { ...device, description: processorName() } : device,
  )
}

/** What there is of CUDA on this machine: the driver's library, where it was looked for, and why cards can't be used. */
export function cudaStatus(): CudaStatus {
  return native(() => binding().cudaStatus())
}

/** Takes a device in use: of a card, that takes seconds at the first time. */
export async function selectDevice(name: string): Promise<SelectedDevice> {
  mustBe(typeof name === 'string', 'device must be auto, cpu, cuda or cuda:N', name)
  return native(() => binding().selectDevice(name))
}
