import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync, gzipSync } from 'node:zlib'
import { images } from './cli.js'

/** A file that isn't a picture to look at, or no file at all. */
export interface Broken {
  /** Of the file. */
  name: string
  /** Makes it. */
  make: (path: string) => void
  /** What the error says of it. */
  reason: RegExp
}

const kinds = join(import.meta.dirname, 'fixtures', 'pictures')
const read = (name: string) => readFileSync(join(kinds, name))
const png = readFileSync(join(images, 'cat-0.png'))

/** A quarter of a megabyte that becomes a quarter of a gigabyte. */
const inflating = deflateSync(Buffer.alloc(1 << 28))

/** Pictures that somebody may send, by mistake or with intent. */
export const broken: Broken[] = [
  // No picture.
  ...contents(/it is empty/, { 'empty.png': Buffer.alloc(0) }),
  ...contents(/begins like no picture|is in the format/, {
    'one-byte.jpg': Buffer.of(0xff),
    'text.jpg': Buffer.from('not a picture'),
    'page.png': Buffer.from('<!doctype html><title>404</title>'),
    'drawing.jpg': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    'document.jpg': Buffer.from('%PDF-1.7\n'),
    'packed.png': gzipSync(png),
    'zeros.webp': Buffer.alloc(1 << 20),
    'sound.webp': riff('WAVE', Buffer.alloc(64)),
  }),
  ...contents(/format Avif/, { 'camera.avif': box('avif') }),
  ...contents(/format HEIC/, { 'phone.jpg': box('heic') }),
  // No file.
  { name: 'folder.png', make: (path) => mkdirSync(path), reason: /it is a folder/ },
  { name: 'pipe.png', make: (path) => execFileSync('mkfifo', [path]), reason: /no ordinary file/ },
  { name: 'device.png', make: (path) => symlinkSync('/dev/zero', path), reason: /no ordinary file/ },
  { name: 'none.png', make: () => {}, reason: /os error/ },
  { name: 'nowhere.png', make: (path) => symlinkSync('missing', path), reason: /os error/ },
  { name: 'circle.png', make: (path) => symlinkSync('circle.png', path), reason: /os error/ },
  // Cut off, in each format; those of a PNG also in its header.
  ...contents(/./, {
    'cut-header.png': png.subarray(0, 20),
    ...Object.fromEntries(
      [
        'rgb.png',
        'interlaced.png',
        '420.jpg',
        'progressive.jpg',
        'cmyk.jpg',
        'lossy.webp',
        'lossless.webp',
        'palette.gif',
        'rgb.bmp',
        'rgb.tiff',
        'lzw.tiff',
      ].map((name) => [`cut-${name}`, read(name).subarray(0, read(name).length / 2)]),
    ),
  }),
  // Bombs: small files that claim to be large, or become so.
  ...contents(/too large: \d+x\d+ pixels|Image too large/, {
    'bomb.png': pngOf(100_000, 100_000, deflateSync(Buffer.alloc(1000))),
    'bomb.jpg': jpegOf(65_535, 65_535),
    'bomb.gif': gifOf(65_535, 65_535),
    'bomb.bmp': bmpOf(200_000, 200_000),
    'bomb.tiff': tiffOf([
      [256, 1_000_000],
      [257, 1_000_000],
      [258, 8],
      [259, 1],
      [262, 1],
      [273, 8],
      [277, 1],
      [278, 1_000_000],
      [279, 8],
    ]),
    'bomb.webp': webpOf(16_383, 16_383),
  }),
  ...contents(/./, {
    'no-pixels.png': pngOf(0, 10, deflateSync(Buffer.alloc(10))),
    // As long as all of memory: the number of its strips.
    'strips.tiff': tiffOf([
      [256, 10],
      [257, 10],
      [258, 8],
      [259, 1],
      [262, 1],
      [273, 8, 0xffffffff],
      [277, 1],
      [279, 8, 0xffffffff],
    ]),
    'scans.jpg': jpegWithScans(20_000),
  }),
]

/** Files that hold a picture and much else; they may be read, if that takes no more than the picture. */
export const stuffed: Omit<Broken, 'reason'>[] = contents(/./, {
  'pixels-behind-the-last.png': pngOf(8, 8, inflating),
  'profile.png': pngOf(8, 8, deflateSync(Buffer.alloc(8 * 25)), [
    chunk('iCCP', Buffer.concat([Buffer.from('x\0\0'), inflating])),
  ]),
  'text.png': pngOf(8, 8, deflateSync(Buffer.alloc(8 * 25)), [
    chunk('zTXt', Buffer.concat([Buffer.from('x\0\0'), inflating])),
  ]),
})

function contents(reason: RegExp, files: Record<string, Buffer>): Broken[] {
  return Object.entries(files).map(([name, content]) => ({
    name,
    make: (path) => writeFileSync(path, content),
    reason,
  }))
}

/** A PNG of 8 bits of red, green and blue, with right checksums. */
function pngOf(width: number, height: number, pixels: Buffer, before: Buffer[] = []): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  return Buffer.concat([
    png.subarray(0, 8),
    chunk('IHDR', header),
    ...before,
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from(type), data, Buffer.alloc(4)])
  bytes.writeUInt32BE(data.length, 0)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4)
  return bytes
}

/** A JPEG whose frame says that it has this size. */
function jpegOf(width: number, height: number): Buffer {
  const bytes = Buffer.from(read('420.jpg'))
  const frame = bytes.indexOf(Buffer.of(0xff, 0xc0))
  bytes.writeUInt16BE(height, frame + 5)
  bytes.writeUInt16BE(width, frame + 7)
  return bytes
}

/** A progressive JPEG whose last pass comes again and again. */
function jpegWithScans(count: number): Buffer {
  const bytes = read('progressive.jpg')
  const last = bytes.lastIndexOf(Buffer.of(0xff, 0xda))
  const scan = bytes.subarray(last, -2)
  return Buffer.concat([bytes.subarray(0, last), ...Array(count).fill(scan), bytes.subarray(-2)])
}

function gifOf(width: number, height: number): Buffer {
  const bytes = Buffer.from(read('palette.gif'))
  bytes.writeUInt16LE(width, 6)
  bytes.writeUInt16LE(height, 8)
  return bytes
}

function bmpOf(width: number, height: number): Buffer {
  const bytes = Buffer.from(read('rgb.bmp'))
  bytes.writeInt32LE(width, 18)
  bytes.writeInt32LE(height, 22)
  return bytes
}

/** A TIFF with one page that has these tags, each a 32-bit number, or `count` of them at `value`. */
function tiffOf(tags: [tag: number, value: number, count?: number][]): Buffer {
  const bytes = Buffer.alloc(8 + 2 + 12 * tags.length + 4)
  bytes.write('II*\0', 'latin1')
  bytes.writeUInt32LE(8, 4)
  bytes.writeUInt16LE(tags.length, 8)
  for (const [i, [tag, value, count = 1]] of tags.entries()) {
    bytes.writeUInt16LE(tag, 10 + 12 * i)
    bytes.writeUInt16LE(4, 12 + 12 * i)
    bytes.writeUInt32LE(count, 14 + 12 * i)
    bytes.writeUInt32LE(value, 18 + 12 * i)
  }
  return bytes
}

/** The beginning of a lossless WebP of this size. */
function webpOf(width: number, height: number): Buffer {
  const head = Buffer.alloc(8 + 64)
  head.write('VP8L', 'latin1')
  head.writeUInt32LE(64, 4)
  head.writeUInt8(0x2f, 8)
  head.writeUInt32LE(((width - 1) | ((height - 1) << 14)) >>> 0, 9)
  return riff('WEBP', head)
}

function riff(kind: string, content: Buffer): Buffer {
  const head = Buffer.from(`RIFF\0\0\0\0${kind}`, 'latin1')
  head.writeUInt32LE(4 + content.length, 4)
  return Buffer.concat([head, content])
}

/** The beginning of a file of the family of MP4. */
function box(brand: string): Buffer {
  return Buffer.from(`\0\0\0\x1cftyp${brand}\0\0\0\0mif1${brand}`, 'latin1')
}

// Node 20.14 has none.
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}
