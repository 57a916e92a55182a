import { Crc32c } from '@aws-crypto/crc32c'
import { PbfReader, PbfWriter } from 'pbf'

// The build bundles this file with what it imports, so that none of it has to be installed to run the package.

// TensorBoard's event files: records of TensorFlow's format, each an `Event` in protocol buffers
// (tensorboard/compat/proto/event.proto and summary.proto).

/** When and where in the run something was. */
export interface Moment {
  /** Seconds since 1970. */
  time: number
  /** Steps done. */
  step: number
}

/** A whole record of an event file. */
export interface EventRecord {
  step: number
  /** It holds a picture. */
  picture: boolean
  /** With its frame, as it lies in the file. */
  bytes: Buffer
}

/** How every event file begins. */
export function fileVersion(time: number): Buffer {
  return event({ time, step: 0 }, (pbf) => pbf.writeStringField(3, 'brain.Event:2'))
}

/** Numbers of one moment, each with its tag. */
export function scalars(moment: Moment, values: Record<string, number>): Buffer {
  return summary(moment, (pbf) => {
    for (const [tag, value] of Object.entries(values)) {
      pbf.writeMessage(
        1,
        (_: undefined, pbf) => {
          pbf.writeStringField(1, tag)
          pbf.writeFloatField(2, value)
        },
        undefined,
      )
    }
  })
}

/** A picture, as a PNG file's bytes. */
export function image(moment: Moment, tag: string, png: Buffer): Buffer {
  return summary(moment, (pbf) =>
    pbf.writeMessage(
      1,
      (_: undefined, pbf) => {
        pbf.writeStringField(1, tag)
        pbf.writeMessage(
          4,
          (_: undefined, pbf) => {
            // Of the header, which is the first chunk of every PNG file.
            pbf.writeVarintField(1, png.readUInt32BE(20))
            pbf.writeVarintField(2, png.readUInt32BE(16))
            pbf.writeVarintField(3, 3)
            pbf.writeBytesField(4, png)
          },
          undefined,
        )
      },
      undefined,
    ),
  )
}

/** The whole records at the beginning of a file; what is torn at its end is not among them. */
export function records(file: Buffer): EventRecord[] {
  const found: EventRecord[] = []
  for (let at = 0; at + frame <= file.length; ) {
    const end = at + frame + Number(file.readBigUInt64LE(at))
    const data = file.subarray(at + 12, end - 4)
    if (end > file.length || masked(data) !== file.readUInt32LE(end - 4)) break
    found.push({ ...described(data), bytes: file.subarray(at, end) })
    at = end
  }
  return found
}

/** Bytes of a record besides its data: the length, its checksum, and the data's. */
const frame = 8 + 4 + 4

function event({ time, step }: Moment, write: (pbf: PbfWriter) => void): Buffer {
  const pbf = new PbfWriter()
  pbf.writeDoubleField(1, time)
  pbf.writeVarintField(2, step)
  write(pbf)
  const data = pbf.finish()
  const record = Buffer.alloc(data.length + frame)
  record.writeBigUInt64LE(BigInt(data.length))
  record.writeUInt32LE(masked(record.subarray(0, 8)), 8)
  record.set(data, 12)
  record.writeUInt32LE(masked(data), 12 + data.length)
  return record
}

function summary(moment: Moment, write: (pbf: PbfWriter) => void): Buffer {
  return event(moment, (pbf) => pbf.writeMessage(5, (_: undefined, pbf) => write(pbf), undefined))
}

function described(data: Buffer): Omit<EventRecord, 'bytes'> {
  const found = { step: 0, picture: false }
  const value = (tag: number) => {
    if (tag === 4) found.picture = true
  }
  const summary = (tag: number, _: undefined, pbf: PbfReader) => {
    if (tag === 1) pbf.readMessage(value, undefined)
  }
  new PbfReader(data).readFields((tag, _, pbf) => {
    if (tag === 2) found.step = pbf.readVarint(true)
    else if (tag === 5) pbf.readMessage(summary, undefined)
  }, undefined)
  return found
}

/** The checksum of TensorFlow's records: CRC-32C, turned and shifted, because the data may hold checksums itself. */
function masked(data: Uint8Array): number {
  const crc = new Crc32c().update(data).digest()
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
