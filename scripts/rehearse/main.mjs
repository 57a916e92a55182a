// Publishes the packages to a registry on this machine, and uses them as users will: see RELEASING.md. Build first.
//
//     node scripts/rehearse/main.mjs
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle, install, modules, npx, runtimes, typescript } from './acts.mjs'
import { failures } from './failures.mjs'
import { Machine } from './machine.mjs'
import { builtLibrary, makeOther, stage } from './publish.mjs'
import { startRegistry } from './registry.mjs'
import { limitTime, must } from './run.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')
const { version, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { platform } = createRequire(import.meta.url)(join(root, 'dist', 'src', 'ts', 'native', 'platform.js'))
/** Minutes for all of it. */
const timeLimit = 15
const say = (text) => console.log(`  ${text}`)

/** Installs what is needed, once for each state of its lock file. */
async function installTools() {
  const folder = join(root, 'target', 'rehearsal')
  const lock = join(here, 'package-lock.json')
  // Written last: what was interrupted isn't whole.
  const whole = join(folder, 'installed.json')
  const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')
  if (existsSync(join(folder, 'node_modules')) && read(whole) === read(lock)) return folder
  rmSync(whole, { force: true })
  mkdirSync(folder, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) copyFileSync(join(here, name), join(folder, name))
  await must(['npm', 'ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: folder })
  writeFileSync(whole, read(lock))
  return folder
}

// Its programs have ended by then: the listener that ends them is older.
const work = mkdtempSync(join(tmpdir(), 'mobilenet-native-rehearsal-'))
process.once('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 5 }))
for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }))
  process.once(signal, () => process.exit(128 + number))
limitTime(timeLimit)

const library = builtLibrary(root, platform())
console.log(
  `== publish ${version} for ${platform()}, ${library.release ? 'as released' : 'built for the tests'}`,
)
const upstream = (await must(['npm', 'config', 'get', 'registry'], { cwd: root })).trim()
const tools = await installTools()
const registry = await startRegistry({ tools, folder: join(work, 'registry'), upstream })
const machine = new Machine(join(work, 'machine'), registry)
const folder = join(work, 'release')
await stage({ root, folder, platform: platform(), library })
await must([join(root, 'scripts', 'release', 'publish')], {
  cwd: folder,
  // With this machine's npm, but no setting of the person who calls.
  env: { ...machine.env, PATH: process.env.PATH, NPM_TOKEN: registry.token, npm_config_loglevel: 'error' },
  stdio: ['ignore', 'inherit', 'inherit'],
})

const scene = {
  machine,
  platform: platform(),
  version,
  // What is no release yet gets who asks for it.
  wanted: version.includes('-') ? 'mobilenet-native@next' : 'mobilenet-native',
  versions: devDependencies,
  release: library.release,
  tools,
  sample: join(root, '__test__', 'fixtures', 'cifar-10-sample'),
  picture: join(root, '__test__', 'fixtures', 'images', 'cat-0.png'),
  say,
  /** What one act leaves for the next. */
  shared: {},
}
const other = { folder: join(work, 'other'), version: version.replaceAll(/\d/g, '9') }
await makeOther(join(folder, 'npm', platform()), other.folder, other.version)
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
