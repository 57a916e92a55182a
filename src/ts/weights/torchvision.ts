import { MobileNetError } from '../errors.js'

/** Published weights. */
export interface Published {
  /** For people, as they are asked for. */
  name: string
  /** Where the file lies. Its name ends with the beginning of its content's SHA-256. */
  url: string
}

/** What the name of published weights begins with. */
const prefix = 'torchvision:'

/** Where torchvision publishes its weights. */
const folder = 'https://download.pytorch.org/models'

/**
 * torchvision's files by network and by the name of the weights, as in `torchvision/models/mobilenetv2.py` and
 * `mobilenetv3.py`. The last of each is what torchvision calls DEFAULT.
 */
const files: Record<string, Record<string, string>> = {
  mobilenet_v2: {
    IMAGENET1K_V1: 'mobilenet_v2-b0353104.pth',
    IMAGENET1K_V2: 'mobilenet_v2-7ebf99e0.pth',
  },
  mobilenet_v3_large: {
    IMAGENET1K_V1: 'mobilenet_v3_large-8738ca79.pth',
    IMAGENET1K_V2: 'mobilenet_v3_large-5c1a4163.pth',
  },
  mobilenet_v3_small: {
    IMAGENET1K_V1: 'mobilenet_v3_small-047dcff4.pth',
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
    return { name: `${prefix}${network}:${found[0]}`, url: `${folder}/${found[1]}` }
  }
  const names = Object.entries(files).map(([network, versions]) => {
    return `${prefix}${network} (or with :${Object.keys(versions).join(' or :')})`
  })
  throw new MobileNetError('INVALID_OPTION', `there are no weights ${name}; there are ${names.join(', ')}`)
}
