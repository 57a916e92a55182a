// Bundles what draws the plots of `compare` with the libraries that it draws with, so that people who install the
// package don't install them: one file instead of dozens of packages. Their licences go with them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = join(root, 'dist', 'src', 'ts', 'cli', 'comparison')

/** linkedom's parser of style sheets, half of it all: nothing here asks what a style sheet holds. */
const withoutStyleSheets = {
  name: 'without-style-sheets',
  resolveId: (id) => (id === 'cssomnom/parse' ? '\0style-sheets' : null),
  load: (id) =>
    id === '\0style-sheets' ? "export const parse = () => { throw new Error('left out') }" : null,
}

const { output } = await build({
  // From the source, because what `tsc` makes of the imports hides which parts of the libraries are used.
  input: join(root, 'src', 'ts', 'cli', 'comparison', 'drawing.ts'),
  platform: 'node',
  // linkedom draws on a canvas if there is one; nothing here asks for that.
  external: ['canvas'],
  plugins: [withoutStyleSheets],
  treeshake: { moduleSideEffects: false },
  output: { file: join(folder, 'drawing.js'), format: 'cjs', minify: true },
})

/** The folder of the package that a module belongs to. */
function packageOf(module) {
  const match = /^.*[\\/]node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+/.exec(module)
  return match?.[0]
}

const modules = output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []))
const packages = [...new Set(modules.map(packageOf))].filter((path) => path !== undefined).sort()
const licences = packages.map((path) => {
  const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'license'].find((name) =>
    existsSync(join(path, name)),
  )
  if (!file) throw new Error(`${name} has no licence file`)
  return `${name} ${version} (${license})\n\n${readFileSync(join(path, file), 'utf8').trim()}\n`
})
writeFileSync(join(folder, 'drawing.licenses.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`))
