// From CommonJS, in plain JavaScript:
//
//     node examples/commonjs/predict.cjs model.safetensors cat.png [more.jpg ...]
const { MobileNet } = require('mobilenet-native')

async function main([checkpoint, ...pictures]) {
  const model = await MobileNet.load(checkpoint)
  for await (const { picture, predictions, error } of model.predictEach(pictures, { top: 1 })) {
    if (error) {
      console.error(`${error.code}: ${error.message}`)
      process.exitCode = 1
      continue
    }
    const [{ label, probability }] = predictions
    console.log(`${picture}: ${label}, ${(100 * probability).toFixed(1)} %`)
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
