import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/**
 * Builds what the tests need, so that they never test yesterday's code. The native library is built without the
 * release profile's slow linking, and with its assertions, beside the one that `npm run build` makes and not over it.
 * To test another one, name it in `MOBILENET_NATIVE_LIBRARY_PATH`.
 */
export default function setup(): void {
  const root = join(import.meta.dirname, '..')
  const run = (script: string) =>
    execFileSync('npm', ['run', '--silent', script], { cwd: root, stdio: 'inherit' })
  run('build:ts')
  if (process.env.MOBILENET_NATIVE_LIBRARY_PATH) return
  run('build:test')
  process.env.MOBILENET_NATIVE_LIBRARY_PATH = join(root, 'target', 'test', 'mobilenet-native.node')
}
