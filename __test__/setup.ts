import { join, resolve } from 'node:path'
import { npm } from './npm.js'

/**
 * Builds what the tests need, so that they never test yesterday's code. The native library is built without the
 * release profile's slow linking, and with its assertions, beside the one that `npm run build` makes and not over it.
 * To test another one, name it in `MOBILENET_NATIVE_LIBRARY_PATH`.
 */
export default function setup(): void {
  const root = join(import.meta.dirname, '..')
  const run = (script: string) => npm(['run', '--silent', script], { cwd: root, stdio: 'inherit' })
  run('build:ts')
  const named = process.env.MOBILENET_NATIVE_LIBRARY_PATH
  if (!named) run('build:test')
  // In full, because tests start programs in other folders.
  process.env.MOBILENET_NATIVE_LIBRARY_PATH = resolve(
    named || join(root, 'target', 'test', 'mobilenet-native.node'),
  )
}
