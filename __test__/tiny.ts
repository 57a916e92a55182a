import { createHash } from 'node:crypto'
import { Cifar10, type MobileNet, type ModelOptions } from 'mobilenet-native'
import { data } from './cli.js'

/** A network that computes in milliseconds. */
export const network = { layout: 'cifar', width: 0.25 } satisfies ModelOptions

/** Four steps an epoch, in about a second. */
export const recipe = { limit: 64, batchSize: 16, epochs: 1 }

/** 256 training and 128 test pictures. */
export const openSample = () => Cifar10.open({ directory: data })

/** Of every bit of every tensor. */
export function digest(model: MobileNet): string {
  const hash = createHash('sha256')
  for (const [name, { data }] of model.tensors()) hash.update(name).update(data)
  return hash.digest('hex')
}
