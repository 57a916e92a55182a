// A run with a folder, and so with its page.
import { Cifar10, MobileNet } from 'mobilenet-native'

async function main() {
  const data = await Cifar10.open({ directory: process.env.SAMPLE })
  const model = await MobileNet.create({ layout: 'cifar', width: 0.25, seed: 1 })
  await model.train({ data, epochs: 1, limit: 64, batchSize: 16, seed: 1, out: process.env.OUT }).result
}

main()
