// Publishes the packages to a registry on this machine, and uses them as users will: see RELEASING.md. Build first.
//
//     node scripts/rehearse/main.mjs
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle, install, modules, npx, runtimes, typescript } from './acts.mjs'
import { failures } from './failures.mjs'
import { Machine } from './machine.mjs'
import { builtLibrary, makeOther, stage } from './publish.mjs'
import { startRegistry } from './registry.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')
const { version, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { platform } = createRequire(import.meta.url)(join(root, 'dist', 'src', 'ts', 'native', 'platform.js'))
const say = (text) => console.log(`  ${text}`)

/** Installs what is needed, once for each state of its lock file. */
function tools() {
  const folder = join(root, 'target', 'rehearsal')
  const lock = (folder) => join(folder, 'package-lock.json')
  const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')
  if (existsSync(join(folder, 'node_modules')) && read(lock(folder)) === read(lock(here))) return folder
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(here, 'package.json'), join(folder, 'package.json'))
  copyFileSync(lock(here), lock(folder))
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts']
  execFileSync('npm', ['ci', ...quiet], { cwd: folder, stdio: 'inherit' })
  return folder
}

const work = mkdtempSync(join(tmpdir(), 'mobilenet-native-rehearsal-'))
process.once('exit', () => rmSync(work, { recursive: true, force: true }))

const library = builtLibrary(root, platform())
console.log(
  `== publish ${version} for ${platform()}, ${library.release ? 'as released' : 'built for the tests'}`,
)
const upstream = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()
const registry = await startRegistry({ tools: tools(), folder: join(work, 'registry'), upstream })
const machine = new Machine(join(work, 'machine'), registry)
const folder = join(work, 'release')
stage({ root, folder, platform: platform(), library })
execFileSync(join(root, 'scripts', 'release', 'publish'), {
  cwd: folder,
  // With this machine's npm, but no setting of the person who calls.
  env: { ...machine.env, PATH: process.env.PATH, NPM_TOKEN: registry.token, npm_config_loglevel: 'error' },
  stdio: ['ignore', 'inherit', 'inherit'],
})

const scene = {
  machine,
  platform: platform(),
  version,
  versions: devDependencies,
  release: library.release,
  tools: tools(),
  sample: join(root, '__test__', 'fixtures', 'cifar-10-sample'),
  picture: join(root, '__test__', 'fixtures', 'images', 'cat-0.png'),
  say,
  /** What one act leaves for the next. */
  shared: {},
}
const other = join(work, 'other')
makeOther(join(folder, 'npm', platform()), other, version.replaceAll(/\d/g, '9'))
const acts = {
  npx,
  install,
  modules,
  typescript,
  bundle,
  runtimes,
  failures: (scene) => failures(scene, other),
}

let failed = 0
for (const [name, act] of Object.entries(acts)) {
  console.log(`\n== ${name}`)
  try {
    await act(scene)
  } catch (error) {
    failed++
    console.log(`FAILED: ${error.stack}`)
  }
}
console.log(`\nrehearsal: ${Object.keys(acts).length - failed} passed, ${failed} failed`)
registry.stop()
process.exitCode = failed > 0 ? 1 : 0
