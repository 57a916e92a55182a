import { join } from 'node:path'
import { cacheDirectory } from './dataset/cache.js'
import { Dataset } from './dataset.js'
import { measured } from './measure.js'
import type { FolderProgress, FolderOptions as NativeFolderOptions } from './native/binding.js'
import { binding } from './native/load.js'
import { checkKeys, type Keys, withoutNulls } from './options/keys.js'
import { toPath } from './paths.js'

/** How a folder of pictures becomes a data set. */
export interface ImageFolderOptions extends Omit<NativeFolderOptions, 'cache'> {
  /**
   * The folder where decoded pictures are kept, so that they need not be decoded again; default: in this package's cache
   * folder. They take `3 * resolution * resolution` bytes each and a little more.
   */
  cache?: string | URL | null
  /** Hears how the decoding goes, if there is any to do. */
  onProgress?: ((progress: FolderProgress) => void) | undefined
  /** Ends the decoding. */
  signal?: AbortSignal | undefined
}

const keys: Keys<ImageFolderOptions> = {
  resolution: true,
  resize: true,
  testFraction: true,
  seed: true,
  cache: true,
  threads: true,
  onProgress: true,
  signal: true,
}

/** A folder of pictures as a data set: one folder a class, as in torchvision. */
export class ImageFolder {
  private constructor() {}

  /** The folder where decoded pictures are kept when no other is given; `MOBILENET_NATIVE_CACHE` changes it. */
  static get defaultCache(): string {
    return join(cacheDirectory(), 'pictures')
  }

  /**
   * Opens a folder that holds a folder of pictures for every class, or `train`, and if need be `validation` (or `val`) and
   * `test` beside it, each with the classes' folders.
   *
   * Pictures are decoded once, in parallel and off the event loop, into a file that is mapped into memory, so that there
   * may be more of them than memory. Files that can't be read are named in `skipped`, and left out.
   *
   * @example
   * const data = await ImageFolder.open('photos', { resolution: 224 })
   * const model = await MobileNet.create({ variant: 'v3-small', layout: 'imagenet', classes: data.classes.length })
   * await model.train({ data, epochs: 10 }).result
   */
  static async open(directory: string | URL, options: ImageFolderOptions = {}): Promise<Dataset> {
    checkKeys('ImageFolder.open', options, keys)
    const { onProgress, signal, cache, ...rest } = options
    const path = toPath(directory, 'the folder of pictures')
    const place = toPath(cache ?? ImageFolder.defaultCache, 'cache')
    const asked = withoutNulls({ ...rest, cache: place }) as NativeFolderOptions
    const data = await measured(
      (cancel, listener: (progress: FolderProgress) => void) =>
        binding().openFolder(path, asked, cancel, listener),
      signal,
      onProgress,
    )
    return new Dataset(data)
  }
}
