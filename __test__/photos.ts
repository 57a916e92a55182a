import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { data } from './cli.js'

const classes = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']

/** A 32x32 BMP of a record's red, green and blue planes. */
function bmp(planes: Buffer): Buffer {
  const file = Buffer.alloc(54 + 32 * 32 * 3)
  file.write('BM')
  file.writeUInt32LE(file.length, 2)
  file.writeUInt32LE(54, 10)
  file.writeUInt32LE(40, 14)
  file.writeInt32LE(32, 18)
  file.writeInt32LE(32, 22)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(24, 28)
  for (let pixel = 0; pixel < 1024; pixel++) {
    // Rows from the bottom, in each pixel blue, green, red.
    const at = 54 + ((31 - Math.floor(pixel / 32)) * 32 + (pixel % 32)) * 3
    for (let channel = 0; channel < 3; channel++) {
      file.writeUInt8(planes.readUInt8(channel * 1024 + pixel), at + 2 - channel)
    }
  }
  return file
}

/** Writes CIFAR-10's sample as a folder of pictures, one folder a class; those of `only`, or all 256 of 10 classes. */
export function writePhotos(folder: string, only: readonly string[] = classes): void {
  const records = readFileSync(join(data, 'data_batch_1.bin'))
  for (let record = 0; record * 3073 < records.length; record++) {
    const name = classes[records.readUInt8(record * 3073)] as string
    if (!only.includes(name)) continue
    const path = join(folder, name, `${String(record).padStart(3, '0')}.bmp`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bmp(records.subarray(record * 3073 + 1, (record + 1) * 3073)))
  }
}
