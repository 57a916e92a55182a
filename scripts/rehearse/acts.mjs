// What users do with the packages.
import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const program = (name) => readFileSync(new URL(`./programs/${name}`, import.meta.url), 'utf8')
const training = [
  '--layout',
  'cifar',
  '--width',
  '0.25',
  '--epochs',
  '1',
  '--limit',
  '64',
  '--batch-size',
  '16',
]

/** `npx` in an empty folder; seconds until the first line of the training. */
export async function npx({ machine, sample, wanted, say }) {
  for (const words of ['the registry knows only our packages', 'the registry knows all packages']) {
    rmSync(join(machine.folder, 'home', '.npm'), { recursive: true, force: true })
    const folder = machine.emptyFolder(`npx ${words}`)
    const start = performance.now()
    let seconds
    const onLine = (line) => {
      if (JSON.parse(line).type === 'step') seconds ??= (performance.now() - start) / 1000
    }
    const command = ['npx', '--yes', wanted, 'train', '--data', sample, ...training, '--json']
    await machine.must(folder, command, { onLine })
    assert.ok(seconds > 0)
    assert.equal(readdirSync(folder).length, 1, 'only the folder of the run')
    say(
      `${seconds.toFixed(1)} s from npx in an empty folder to the first training step; ${words}, npm's cache is empty`,
    )
  }
}

/** `npm install`: what comes, and how large it is. */
export async function install({ machine, platform, release, wanted, say, shared }) {
  const folder = machine.project('project')
  const start = performance.now()
  await machine.must(folder, ['npm', 'install', wanted])
  say(`${((performance.now() - start) / 1000).toFixed(1)} s for npm install`)
  const modules = join(folder, 'node_modules')
  const lock = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'))
  const packages = Object.keys(lock.packages).map((path) => path.replace('node_modules/', ''))
  for (const name of packages)
    say(`${(bytesIn(join(modules, name)) / 1e6).toFixed(2).padStart(8)} MB  ${name}`)
  say(`${(bytesIn(modules) / 1e6).toFixed(2).padStart(8)} MB  all`)
  const scripts = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript)
  assert.deepEqual(scripts, [], 'nothing runs at installation')
  const native = packages.filter((name) => name.startsWith('mobilenet-native-'))
  assert.deepEqual(native, [`mobilenet-native-${platform}`])
  const licences = readFileSync(join(modules, native[0], 'LICENSE.dependencies.txt'), 'utf8')
  for (const part of ['candle-core', "Rust's standard library", 'Independent JPEG Group'])
    assert.ok(licences.includes(part), `the licences of what is linked, with ${part}`)
  assert.ok(bytesIn(join(modules, 'mobilenet-native')) < 1e6, 'the main package is smaller than 1 MB')
  if (release) assert.ok(bytesIn(join(modules, native[0])) < 12e6, 'the native library is smaller than 12 MB')
  shared.project = folder
}

/** `import`, `require`, a worker thread. */
export async function modules(stage) {
  for (const [name, file] of [
    ['import', 'module.mjs'],
    ['require', 'commonjs.cjs'],
    ['a worker thread', 'worker.mjs'],
  ]) {
    writeFileSync(join(stage.shared.project, file), program(file))
    await speaks(stage, name, stage.shared.project, ['node', file])
  }
}

/** TypeScript with both resolutions, each compiled strictly with all declarations checked, and run. */
export async function typescript(stage) {
  const { machine, versions, wanted } = stage
  const folder = machine.project('typescript', {
    'package.json': '{ "type": "module" }',
    'typed.ts': program('typed.ts'),
    'typed-commonjs.cts': program('typed.ts'),
  })
  const dev = ['typescript', '@types/node'].map((name) => `${name}@${versions[name]}`)
  await machine.must(folder, ['npm', 'install', '--save-dev', ...dev])
  await machine.must(folder, ['npm', 'install', wanted])
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ['node'],
    target: 'es2023',
  }
  for (const [name, more] of [
    ['node16', { module: 'node16', moduleResolution: 'node16' }],
    ['nodenext', { module: 'nodenext', moduleResolution: 'nodenext' }],
    ['bundler', { module: 'preserve', moduleResolution: 'bundler', noEmit: true }],
  ]) {
    const config = { compilerOptions: { ...options, ...more, outDir: name }, include: ['*.ts', '*.cts'] }
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(config))
    await machine.must(folder, ['npx', 'tsc', '--project', `${name}.json`])
    if (more.noEmit) continue
    await speaks(stage, `TypeScript ${name}, import`, folder, ['node', join(name, 'typed.js')])
    await speaks(stage, `TypeScript ${name}, require`, folder, ['node', join(name, 'typed-commonjs.cjs')])
  }
  stage.say('TypeScript bundler: compiles')
  stage.shared.typescript = folder
}

/** Bundles by esbuild, which find the native library in `node_modules` beside them. */
export async function bundle(stage) {
  const { machine, tools, shared, platform, sample, say } = stage
  const esbuild = join(tools, 'node_modules', 'esbuild', 'bin', 'esbuild')
  // What docs/guide/installation.md says.
  const banner =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url), __filename = import.meta.filename"
  // Nothing but the bundles and the native library.
  const folder = machine.project('bundle')
  const library = join('node_modules', `mobilenet-native-${platform}`)
  cpSync(join(shared.typescript, library), join(folder, library), { recursive: true })
  writeFileSync(join(shared.typescript, 'recorded.mjs'), program('recorded.mjs'))
  for (const [name, format, ending] of [
    ['CommonJS', 'cjs', 'cjs'],
    ['ES module', 'esm', 'mjs'],
  ]) {
    for (const source of ['typed.ts', 'recorded.mjs']) {
      const out = join(folder, `${source.split('.')[0]}.${ending}`)
      const flags = ['--bundle', '--platform=node', '--log-level=warning', `--format=${format}`]
      if (format === 'esm') flags.push(`--banner:js=${banner}`)
      await machine.must(shared.typescript, ['node', esbuild, source, ...flags, `--outfile=${out}`])
    }
    await speaks(stage, `esbuild, ${name}`, folder, ['node', `typed.${ending}`])
    const run = join(folder, `run ${format}`)
    await machine.must(folder, ['node', `recorded.${ending}`], { env: { SAMPLE: sample, OUT: run } })
    assert.match(readFileSync(join(run, 'report.html'), 'utf8'), /<h1[^>]*>Run run/)
    say(`esbuild, ${name}: writes the page of a run`)
  }
}

/** Other Nodes, Bun, Deno. */
export async function runtimes(stage) {
  const { tools, shared, machine, platform, say } = stage
  const bin = (...path) => join(tools, 'node_modules', ...path)
  const deno = readdirSync(bin('@deno'), { withFileTypes: true }).find(({ name }) => name.startsWith('linux'))
  for (const [name, command] of [
    ['Node 22', [bin('node-22', 'bin', 'node')]],
    ['Node 24', [bin('node-24', 'bin', 'node')]],
    ['Bun', [bin('@oven', 'bun-linux-x64', 'bin', 'bun')]],
    ['Deno', [bin('@deno', deno?.name ?? '', 'deno'), 'run', '--allow-all']],
  ]) {
    if (platform !== 'linux-x64-gnu' && !existsSync(command[0])) {
      say(`${name}: skipped, these are Linux's programs for x64`)
      continue
    }
    const version = await machine.must(shared.project, [command[0], '--version'])
    const words = `${name} (${version.match(/\d+\.\d+\.\d+/)?.[0]})`
    await speaks(stage, `${words}, import`, shared.project, [...command, 'module.mjs'])
    await speaks(stage, `${words}, require`, shared.project, [...command, 'commonjs.cjs'])
    if (!name.startsWith('Node')) continue
    const cli = join('node_modules', 'mobilenet-native', 'bin', 'mobilenet-native.js')
    await machine.must(shared.project, [...command, cli, 'doctor'])
  }
}

/** Runs a program of `programs` in some way; all must say the same, whatever runs them. */
async function speaks({ machine, sample, picture, shared, say }, name, folder, command) {
  const stdout = await machine.must(folder, command, { env: { SAMPLE: sample, PICTURE: picture } })
  const { first, source, ...prediction } = JSON.parse(stdout)
  assert.deepEqual({ first, source }, { first: 'start', source: 'package' })
  shared.prediction ??= prediction
  assert.deepEqual(prediction, shared.prediction)
  say(`${name}: ${JSON.stringify(prediction)}`)
}

export function bytesIn(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}
