// From a folder of pictures, one folder a class, to a classifier:
//
//     node examples/fine-tune/main.mts photos [--from torchvision:mobilenet_v3_small] [--epochs 15] [--out runs/photos]
import { parseArgs } from 'node:util'
import { fineTuning, ImageFolder, MobileNet } from 'mobilenet-native'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string', default: 'torchvision:mobilenet_v3_small' },
    epochs: { type: 'string' },
    out: { type: 'string', default: 'runs/photos' },
    cache: { type: 'string', default: ImageFolder.defaultCache },
  },
})
const percent = (share: number) => `${(100 * share).toFixed(1)} %`
const [photos] = positionals
if (!photos) throw new Error('name a folder that holds a folder of pictures for every class')

// The network is that of the weights; how many classes its new classifier has, only the pictures say. Their folder can be
// opened only when the resolution is known, so the network is asked first.
const { resolution } = (await MobileNet.create({ from: values.from })).config
const data = await ImageFolder.open(photos, { resolution, cache: values.cache })
console.log(`${data.counts.train} pictures of ${data.classes.join(', ')}`)
for (const { file, reason } of data.skipped) console.log(`left out: ${file}: ${reason}`)

const model = await MobileNet.create({ from: values.from, classes: data.classes.length })
const { epochs, augment, ...recipe } = fineTuning()
const run = model.train({ ...recipe, data, epochs: Number(values.epochs ?? epochs), out: values.out })
for await (const event of run) {
  if (event.type !== 'epoch') continue
  const { loss, accuracy } = event.validation ?? event.train
  console.log(`epoch ${event.epoch}: loss ${loss.toFixed(3)}, accuracy ${percent(accuracy)}`)
}

// What the run kept is the best epoch, not the last.
const best = await MobileNet.load(`${values.out}/best.safetensors`)
const { accuracy, correct, count } = await best.evaluate(data.test)
console.log(`of ${count} pictures that it never saw, ${correct} are right (${percent(accuracy)})`)
console.log(`${values.out}/best.safetensors`)
