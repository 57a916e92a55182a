import { Cifar10, type Dataset, MobileNet, nativeLibrary, type TrainEvent } from 'mobilenet-native'

async function main(sample: string, picture: string): Promise<void> {
  const data: Dataset = await Cifar10.open({ directory: sample })
  const model = await MobileNet.create({ layout: 'cifar', width: 0.25, seed: 1 })
  const events: TrainEvent['type'][] = []
  const run = model.train({ data, epochs: 1, limit: 64, batchSize: 16, seed: 1 })
  for await (const event of run) {
    events.push(event.type)
    if (event.type === 'step') event.learningRate satisfies number
  }
  const [best] = await model.predict(picture, { top: 1 })
  console.log(
    JSON.stringify({
      label: best?.label,
      probability: best?.probability,
      first: events[0],
      source: nativeLibrary().source,
    }),
  )
  // @ts-expect-error there is no such layout
  await MobileNet.create({ layout: 'padded' }).catch(() => {})
}

void main(process.env.SAMPLE ?? '', process.env.PICTURE ?? '')
