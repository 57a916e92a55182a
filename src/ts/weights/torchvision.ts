import { MobileNetError } from '../errors.js'

/** Published weights. */
export interface Published {
  /** For people, as they are asked for. */
  name: string
  /** Where the file lies. Its name ends with the beginning of its content's SHA-256. */
  url: string
  /** What a picture's shorter side is to be resized to, in pixels. */
  resize: number
}

/** What the name of published weights begins with. */
const prefix = 'torchvision:'

/** A file, and what its transform resizes to (`ImageClassification` there). */
interface File {
  file: string
  resize: number
}

/** Where torchvision publishes its weights. */
const folder = 'https://download.pytorch.org/models'

/**
 * torchvision's files by network and by the name of the weights, as in `torchvision/models/mobilenetv2.py` and
 * `mobilenetv3.py`. The last of each is what torchvision calls DEFAULT.
 */
const files: Record<string, Record<string, File>> = {
  mobilenet_v2: {
    IMAGENET1K_V1: { file: 'mobilenet_v2-b0353104.pth', resize: 256 },
    IMAGENET1K_V2: { file: 'mobilenet_v2-7ebf99e0.pth', resize: 232 },
  },
  mobilenet_v3_large: {
    IMAGENET1K_V1: { file: 'mobilenet_v3_large-8738ca79.pth', resize: 256 },
    IMAGENET1K_V2: { file: 'mobilenet_v3_large-5c1a4163.pth', resize: 232 },
  },
  mobilenet_v3_small: {
    IMAGENET1K_V1: { file: 'mobilenet_v3_small-047dcff4.pth', resize: 256 },
  },
}

/**
 * The published weights of a name: `torchvision:mobilenet_v2` for the newest, `torchvision:mobilenet_v2:IMAGENET1K_V1`
 * for certain ones; undefined for what is no such name, but a path.
 *
 * @throws {MobileNetError} `INVALID_OPTION` when there are none of this name, saying which there are.
 */
export function publishedWeights(name: string): Published | undefined {
  if (!name.startsWith(prefix)) return undefined
  const [network = '', which, ...more] = name.slice(prefix.length).split(':')
  const versions = Object.hasOwn(files, network) ? Object.entries(files[network] ?? {}) : []
  const found = which === undefined ? versions.at(-1) : versions.find(([version]) => version === which)
  if (found && more.length === 0) {
    const [version, { file, resize }] = found
    return { name: `${prefix}${network}:${version}`, url: `${folder}/${file}`, resize }
  }
  const names = Object.entries(files).map(([network, versions]) => {
    return `${prefix}${network} (or with :${Object.keys(versions).join(' or :')})`
  })
  throw new MobileNetError('INVALID_OPTION', `there are no weights ${name}; there are ${names.join(', ')}`)
}
