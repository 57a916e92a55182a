// Bundles the files that use large libraries with what they use of them, so that people who install the package don't
// install those: one file instead of dozens of packages. Their licences go with them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** linkedom's parser of style sheets, half of it all: nothing here asks what a style sheet holds. */
const withoutStyleSheets = {
  name: 'without-style-sheets',
  resolveId: (id) => (id === 'cssomnom/parse' ? '\0style-sheets' : null),
  load: (id) =>
    id === '\0style-sheets' ? "export const parse = () => { throw new Error('left out') }" : null,
}

/** Puts a module and what it imports into one file of dist, without its ending `.js`. */
async function bundle(name) {
  const { output } = await build({
    // From the source, because what `tsc` makes of the imports hides which parts of the libraries are used.
    input: join(root, `${name}.ts`),
    platform: 'node',
    // linkedom draws on a canvas if there is one; nothing here asks for that.
    external: ['canvas'],
    plugins: [withoutStyleSheets],
    treeshake: { moduleSideEffects: false },
    output: { file: join(root, 'dist', `${name}.js`), format: 'cjs', minify: true },
  })
  const modules = output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []))
  const packages = [...new Set(modules.map(packageOf))].filter((path) => path !== undefined).sort()
  writeFileSync(
    join(root, 'dist', `${name}.licenses.txt`),
    packages.map(licence).join(`\n${'-'.repeat(80)}\n\n`),
  )
}

/** The folder of the package that a module belongs to. */
function packageOf(module) {
  const match = /^.*[\\/]node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+/.exec(module)
  return match?.[0]
}

function licence(path) {
  const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name))
  if (!file) throw new Error(`${name} has no licence file`)
  return `${name} ${version} (${license})\n\n${readFileSync(join(path, file), 'utf8').trim()}\n`
}

await bundle('src/ts/page/plot')
await bundle('src/ts/record/tensorboard')
await bundle('src/ts/cli/live/libraries')
