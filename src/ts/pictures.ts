import { stat } from 'node:fs/promises'
import { extname, isAbsolute, join, normalize, sep } from 'node:path'
import { MobileNetError } from './errors.js'
import type {
  RawPicture as NativeRawPicture,
  ReadingOptions as NativeReadingOptions,
} from './native/binding.js'
import { checkViews, type TestTimeAugmentation } from './options/evaluate.js'
import { checkKeys, type Keys } from './options/keys.js'
import { isIterable, isObject, mustBe } from './options/types.js'
import { toPath } from './paths.js'
import { checkTop } from './prediction.js'

/** A picture as bytes, rows from the top. */
export interface RawPicture {
  /** `height * width * channels` bytes, the channels of a pixel together. Those of an `ImageData` have 4 channels. */
  data: Uint8Array | Uint8ClampedArray
  /** In pixels. */
  width: number
  /** In pixels. */
  height: number
  /** 1 (grey), 3 (red, green, blue) or 4 (with alpha, which is ignored); default 3. */
  channels?: number
}

/** A picture: a file's path or `file:` URL, the bytes of such a file, also as a `Blob`, or its pixels. Of any size. */
export type Picture = string | URL | Uint8Array | Blob | RawPicture

/** How pictures are read. */
export interface ReadingOptions extends Omit<NativeReadingOptions, 'tta'> {
  /** When it aborts, the work ends soon, and the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** How pictures are read, and over which views of each the logits are averaged. */
export interface LogitsOptions extends ReadingOptions {
  /** Test-time augmentation; default `none`. */
  tta?: TestTimeAugmentation | null | undefined
}

/** How logits are asked for, and how many classes are named. */
export interface PredictOptions extends LogitsOptions {
  /** How many classes, the most probable first; default all. */
  top?: number | undefined
}

const readingKeys: Keys<ReadingOptions> = { resize: true, maxPixels: true, signal: true }

const logitsKeys: Keys<LogitsOptions> = { ...readingKeys, tta: true }

/** Rejects options that don't exist. */
export function checkReading(options: ReadingOptions): void {
  checkKeys('reading a picture', options, readingKeys)
}

/** Rejects options that don't exist. */
export function checkLogits(options: LogitsOptions): void {
  checkKeys('logits', options, logitsKeys)
  checkViews({ tta: options.tta ?? null })
}

/** Rejects options that don't exist. */
export function checkPredict(options: PredictOptions): void {
  checkKeys('predict', options, { ...logitsKeys, top: true })
  if (options.top !== undefined) checkTop(options.top)
}

/** What `Array.isArray` doesn't tell of an array that nobody may change. */
export function isSeveral(pictures: Picture | readonly Picture[]): pictures is readonly Picture[] {
  return Array.isArray(pictures)
}

/** A picture as the native side takes it. */
export type NativePicture = string | Uint8Array | NativeRawPicture

/**
 * Pictures as the native side takes them, and for a Blob that can't be read why. Not later than now, unless a Blob has to be
 * waited for: so the native side copies bytes before whoever gave them can change them.
 */
export function toNativePictures(pictures: readonly Picture[]): MadePicture[] | Promise<MadePicture[]> {
  const made = pictures.map(toNativePicture)
  return made.some((picture) => picture instanceof Promise) ? Promise.all(made) : (made as MadePicture[])
}

type MadePicture = NativePicture | MobileNetError

function toNativePicture(picture: Picture): NativePicture | Promise<MadePicture> {
  if (picture instanceof URL) return toPath(picture)
  if (picture instanceof Blob) return bytesOf(picture)
  if (typeof picture === 'string' || picture instanceof Uint8Array) return picture
  const kinds = 'a path, a file: URL, the bytes of a file (Uint8Array or Blob) or { data, width, height }'
  mustBe(isObject(picture) && 'data' in picture, `a picture must be ${kinds}`, picture)
  return toNativePixels(picture)
}

/** A Blob of a file can't be read once the file was changed. */
async function bytesOf(blob: Blob): Promise<Uint8Array | MobileNetError> {
  try {
    return new Uint8Array(await blob.arrayBuffer())
  } catch (error) {
    const message = `cannot read the picture given as a Blob: ${(error as Error).message}`
    return new MobileNetError('IMAGE_UNREADABLE', message, { cause: error })
  }
}

function toNativePixels({ data, width, height, channels }: RawPicture): NativeRawPicture {
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray
  mustBe(bytes, 'data of a picture must be a Uint8Array or a Uint8ClampedArray', data)
  for (const [name, value] of Object.entries({ width, height, channels: channels ?? 3 })) {
    mustBe(typeof value === 'number', `${name} of a picture must be a number`, value)
  }
  const plain = data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.length)
  return { data: plain, width, height, ...(channels == null ? {} : { channels }) }
}

/** How the names of files end that a folder's pictures are looked for by. */
const endings = ['png', 'jpg', 'jpeg', 'jfif', 'webp', 'gif', 'bmp', 'tif', 'tiff']

/** Whether a file's name ends as a picture's does. What it really is, its content decides when it is read. */
export function isPictureName(path: string): boolean {
  return path !== '' && endings.includes(extname(toPath(path)).slice(1).toLowerCase())
}

/**
 * The files of pictures that are meant by `names`, in the order of these, those of one name sorted.
 *
 * @param names Of each a file's path, which is taken as it is; or a folder's: every picture in it and in the folders below,
 *   by the ending of its name; or a glob such as `photos/*.jpg` (on Windows also `photos\*.jpg`).
 * @throws {MobileNetError} `IMAGE_UNREADABLE` when a folder holds no picture, or no file matches a glob.
 * @example for await (const answer of model.predictEach(await findPictures(['photos', 'more/*.png']))) ...
 */
export async function findPictures(names: string | URL | Iterable<string | URL>): Promise<string[]> {
  const list = picturesOf(names)
  const found: string[] = []
  for (const name of list) {
    for (const path of await findOne(toPath(name))) found.push(path)
  }
  return found
}

/** One, or each of several. */
export function picturesOf<T>(pictures: string | URL | Iterable<T>): Iterable<string | URL | T> {
  if (typeof pictures === 'string' || pictures instanceof URL) return [pictures]
  mustBe(isIterable(pictures), 'pictures must be a path or an iterable, for example an array', pictures)
  return pictures
}

async function findOne(name: string): Promise<string[]> {
  // A file whose name has brackets in it is itself, not a pattern.
  const there = await stat(name).catch(() => undefined)
  if (there && !there.isDirectory()) return [name]
  const { glob, isDynamicPattern } = require('tinyglobby') as typeof import('tinyglobby')
  const common = { expandDirectories: false, onlyFiles: true }
  if (there) {
    const pattern = `**/*.{${endings.join(',')}}`
    const below = await glob(pattern, { ...common, cwd: name, caseSensitiveMatch: false })
    return some(
      below.sort(),
      `${name} and the folders in it hold no file that ends with ${endings.join(', ')}`,
    ).map((path) => join(name, path))
  }
  // In a pattern a backslash takes a star's meaning from it; on Windows it stands between folders.
  const pattern = sep === '\\' ? name.replaceAll(sep, '/') : name
  // What is missing is told by whoever reads it.
  if (!isDynamicPattern(pattern)) return [name]
  const matching = await glob(pattern, { ...common, absolute: isAbsolute(name) })
  return some(matching.sort(), `no file matches ${name}`).map(normalize)
}

function some(paths: string[], otherwise: string): string[] {
  if (paths.length === 0) throw new MobileNetError('IMAGE_UNREADABLE', `there is no picture: ${otherwise}`)
  return paths
}
