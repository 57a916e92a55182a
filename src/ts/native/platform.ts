import { familySync, MUSL } from 'detect-libc'

/** The platforms that there are packages for, as napi-rs names them. A test compares this with the packages. */
export const platforms: readonly string[] = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-arm64-msvc',
  'win32-x64-msvc',
]

/** The platform of this process, as napi-rs names it: `linux-x64-gnu`, `darwin-arm64`, `win32-x64-msvc`, … */
export function platform(): string {
  const base = `${process.platform}-${process.arch}`
  if (process.platform === 'linux') return `${base}-${familySync() === MUSL ? 'musl' : 'gnu'}`
  return process.platform === 'win32' ? `${base}-msvc` : base
}

/** Name of the package that holds the native library for a platform. */
export function packageOf(platform: string): string {
  return `mobilenet-native-${platform}`
}
