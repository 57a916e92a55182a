import { Cifar10, MobileNet, nativeLibrary } from 'mobilenet-native'

const data = await Cifar10.open({ directory: process.env.SAMPLE })
const model = await MobileNet.create({ layout: 'cifar', width: 0.25, seed: 1 })
const events = []
for await (const { type } of model.train({ data, epochs: 1, limit: 64, batchSize: 16, seed: 1 }))
  events.push(type)
const [{ label, probability }] = await model.predict(process.env.PICTURE, { top: 1 })
console.log(JSON.stringify({ label, probability, first: events[0], source: nativeLibrary().source }))
