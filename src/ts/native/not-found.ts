import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { MobileNetError } from '../errors.js'
import type { Candidate } from './load.js'
import { packageOf, platforms } from './platform.js'

/** Why a candidate isn't the one. */
export interface Failure extends Candidate {
  /** It isn't there; it is another version's; it is there and can't be loaded. */
  kind: 'missing' | 'version' | 'unloadable'
  why: string
}

/** What is known where no candidate could be loaded. */
interface Situation {
  failures: Failure[]
  /** This process's. */
  platform: string
  /** Platforms whose packages are installed. */
  others: string[]
  /** Of this package. */
  version: string
  /** Folder of this package. */
  root: string
}

/** The one error for all ways in which there can be no native library: what was tried, why it failed, what to type. */
export function notFound(situation: Situation): MobileNetError {
  const { failures, platform } = situation
  const tried = failures.map((failure) => `  ${describe(failure, situation)}`).join('\n')
  const fix = advice(situation)
  return new MobileNetError(
    'NATIVE_NOT_FOUND',
    `no native library for ${platform} (Node ${process.version}) could be loaded; tried:\n${tried}\n${fix}`,
    { fix },
  )
}

function describe({ source, path, kind, why }: Failure, { platform, others }: Situation): string {
  if (source === 'environment') return `${path} (from MOBILENET_NATIVE_LIBRARY_PATH): ${why}`
  if (source === 'build') return `${path}: ${kind === 'missing' ? 'not built' : why}`
  if (kind !== 'missing') return `package ${path}: ${why}`
  if (!platforms.includes(platform)) return `package ${path}: there is no package for this platform`
  const also = others.length > 0 ? `; installed is that for ${others.join(', ')}` : ''
  return `package ${path}: not installed${also}`
}

function advice({ failures, platform, others, version, root }: Situation): string {
  const [first] = failures
  if (first?.source === 'environment') {
    return `Set MOBILENET_NATIVE_LIBRARY_PATH to a native library of version ${version} for ${platform}, or unset it.`
  }
  if (failures.some(({ source }) => source === 'build')) return 'Type: npm run build:native'
  if (first?.kind === 'missing') {
    if (!platforms.includes(platform)) {
      return (
        `There are packages for ${platforms.join(', ')}. On other platforms, build from source: in a clone of the ` +
        'repository, with Rust installed, type: npm install && npm run build'
      )
    }
    if (others.length > 0) {
      return 'node_modules was installed on another platform, or for another. Remove it and type here: npm install'
    }
    return (
      'Optional dependencies were left out of the installation (--omit=optional, --no-optional, or "omit" in .npmrc). ' +
      `Type: ${install(root, version, '--include=optional ')}`
    )
  }
  const npx = npxFolder(root)
  if (npx) return `Remove the folder ${npx} and call npx again.`
  const flag = isGlobal(root) ? '--global ' : ''
  return (
    `The installation is damaged: ${packageOf(platform)} isn't what npm installed. ` +
    `Type: npm uninstall ${flag}mobilenet-native && ${install(root, version)}`
  )
}

function install(root: string, version: string, flags = ''): string {
  const npx = npxFolder(root)
  if (npx) return `npx ${flags}mobilenet-native@${version}, after removing the folder ${npx}`
  return `npm install ${isGlobal(root) ? '--global ' : ''}${flags}mobilenet-native@${version}`
}

/** The folder in npm's cache that npx installed this package into, if it did. */
function npxFolder(root: string): string | undefined {
  return /^.*[\\/]_npx[\\/][^\\/]+(?=[\\/])/.exec(root)?.[0]
}

/** Installed for the machine and not for a project: its folder is nobody's dependency. (pnpm's store looks alike.) */
function isGlobal(root: string): boolean {
  return !root.includes('.pnpm') && !existsSync(join(dirname(dirname(root)), 'package.json'))
}
