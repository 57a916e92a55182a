// Licences of everything that people get when they install the packages: the crates in the native library, and the npm
// packages that come with it. Fails when one isn't among those that deny.toml allows, or when there is no text of it.
//
//     node scripts/licenses.mjs                 lists them
//     node scripts/licenses.mjs --texts FILE    writes the texts of the crates' licences, to go with the library
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'smol-toml'
import satisfies from 'spdx-satisfies'
import { licenseTexts } from './license-texts.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const read = (name) => readFileSync(join(root, name), 'utf8')
const {
  graph: { targets },
  licenses: { allow },
} = parse(read('deny.toml'))

/** The crates that the linker sees, on any of our platforms: neither what only builds nor what only tests. */
function crates() {
  const platforms = targets.flatMap((target) => ['--filter-platform', target])
  const args = ['metadata', '--format-version', '1', '--locked', ...platforms]
  const output = execFileSync('cargo', args, { cwd: root, maxBuffer: 1e9, encoding: 'utf8' })
  const { packages, resolve, workspace_members: own } = JSON.parse(output)
  const [byId, nodes] = [packages, resolve.nodes].map((list) => new Map(list.map((item) => [item.id, item])))
  const isMacro = (id) =>
    byId.get(id).targets.every(({ kind }) => kind.includes('proc-macro') || kind[0] === 'custom-build')
  const found = new Set()
  const visit = (id) => {
    if (found.has(id) || isMacro(id)) return
    found.add(id)
    for (const { pkg, dep_kinds } of nodes.get(id).deps)
      if (dep_kinds.some(({ kind }) => kind === null)) visit(pkg)
  }
  visit(packages.find(({ name }) => name === 'mobilenet-napi').id)
  const external = [...found].filter((id) => !own.includes(id)).map((id) => byId.get(id))
  return external
    .map(({ name, version, license, manifest_path }) => ({
      name,
      version,
      // Before SPDX, a slash stood for "or".
      license: license?.replaceAll('/', ' OR '),
      folder: dirname(manifest_path),
    }))
    .sort((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version))
}

/** The packages that npm installs with ours. */
function npmPackages() {
  const { packages } = JSON.parse(read('package-lock.json'))
  const entries = Object.entries(packages).filter(([path, { dev }]) => path !== '' && !dev)
  return entries.map(([path, { version, license }]) => ({
    name: path.replace(/^.*node_modules\//, ''),
    version,
    license,
  }))
}

const [flag, file] = process.argv.slice(2)
const linked = crates()
const texts = licenseTexts(linked)
if (flag === '--texts') {
  writeFileSync(file, texts)
} else {
  for (const [title, list] of Object.entries({ crates: linked, 'npm packages': npmPackages() })) {
    console.log(`${list.length} ${title}`)
    for (const { name, version, license } of list) {
      const allowed = license !== undefined && satisfies(license, allow)
      if (!allowed) process.exitCode = 1
      console.log(`  ${name} ${version}: ${license ?? 'no licence'}${allowed ? '' : '  NOT ALLOWED'}`)
    }
  }
}
