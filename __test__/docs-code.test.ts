import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { data, images, Scratch } from './cli.js'

// Every block of code in the README and the guides is run, in the order in which they stand, in a folder for each file.
// What would take minutes is run with options in addition, and what can't be run here says why, in a comment before it:
//     <!-- run with: --epochs 1 --limit 64 -->        <!-- run: skip, because ... -->

const root = join(import.meta.dirname, '..')
const guides = readdirSync(join(root, 'docs', 'guide')).map((name) => join('docs', 'guide', name))
const scratch = new Scratch()
afterAll(() => scratch.remove())

interface Block {
  language: string
  code: string
  line: number
  more: string
  skip: string | undefined
}

function blocksOf(text: string): Block[] {
  const pattern = /(?:^<!-- run( with)?:([^>]*) -->\n)?^```(\w+)\n(.*?)^```$/gms
  return [...text.matchAll(pattern)].map(
    ({ index, 1: withMore, 2: words = '', 3: language = '', 4: code = '' }) => ({
      language,
      code,
      line: text.slice(0, index).split('\n').length,
      more: withMore ? words.trim() : '',
      skip: !withMore && words.trim() !== '' ? words.trim().replace(/^skip, /, '') : undefined,
    }),
  )
}

/** A folder of someone who has the package, a picture, and a small data set in the cache. */
function folderFor(file: string): string {
  const folder = scratch.at(basename(file, '.md'))
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  // Its own, so that no other above it has a say.
  writeFileSync(join(folder, 'package.json'), '{}')
  symlinkSync(root, join(folder, 'node_modules', 'mobilenet-native'), 'junction')
  symlinkSync(join(root, 'node_modules', '@types'), join(folder, 'node_modules', '@types'), 'junction')
  copyFileSync(join(images, 'cat-0.png'), join(folder, 'cat.png'))
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const cli = join(root, 'bin', 'mobilenet-native.js')
  const programs: Record<string, string> = {
    'mobilenet-native': `exec "${process.execPath}" "${cli}" "$@" $MORE`,
    // The one program that the documents run by it.
    npx: '[ "$1" = mobilenet-native ] || { echo "npx $1?" >&2; exit 1; }; exec "$@"',
    // The package is there already; a clone is built already.
    npm: 'case "$*" in "install"|"install mobilenet-native"|"init -y"|"run build"|"test") ;; *) echo "npm $*?" >&2; exit 1 ;; esac',
  }
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  return folder
}

const environment = (folder: string, more: string) => ({
  ...process.env,
  PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`,
  MOBILENET_NATIVE_CACHE: data,
  MORE: more,
  NO_COLOR: '1',
})

describe.skipIf(process.platform === 'win32').each(['README.md', ...guides])('the code in %s', (file) => {
  const blocks = blocksOf(readFileSync(join(root, file), 'utf8'))
  const folder = folderFor(file)
  const options = { cwd: folder, timeout: 120_000 }

  it('is code that a test can run', () => {
    const known = blocks.filter(
      ({ language, skip }) => skip === undefined && !['sh', 'ts', 'python', 'json'].includes(language),
    )
    expect(known).toEqual([])
  })

  const programs = blocks
    .filter(({ language }) => language === 'ts')
    .map(({ code, line }) => {
      const program = join(folder, `line-${line}.mts`)
      writeFileSync(program, code)
      return program
    })
  it.runIf(programs.length > 0)('compiles', () => expect(errorsOf(programs)).toEqual([]), 120_000)

  for (const { language, code, line, more, skip } of blocks) {
    if (language === 'sh') {
      it.skipIf(skip !== undefined)(
        `line ${line}: ${code.split('\n')[0]}`,
        async () => {
          const env = environment(folder, more)
          await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', code], { ...options, env })
        },
        120_000,
      )
    }
    if (language === 'ts') {
      const program = join(folder, `line-${line}.mts`)
      it.skipIf(skip !== undefined)(
        `line ${line} runs`,
        async () => {
          const { outputText } = ts.transpileModule(code, {
            compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
          })
          writeFileSync(program.replace('.mts', '.mjs'), outputText)
          await promisify(execFile)(process.execPath, [program.replace('.mts', '.mjs')], {
            ...options,
            env: environment(folder, ''),
          })
        },
        120_000,
      )
    }
  }
})

/** What a user's compiler says. */
function errorsOf(programs: string[]): string[] {
  const { diagnostics } = compile(programs)
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

function compile(programs: string[]): { diagnostics: readonly ts.Diagnostic[] } {
  const compiled = ts.createProgram(programs, {
    strict: true,
    noEmit: true,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
    preserveSymlinks: true,
  })
  return { diagnostics: ts.getPreEmitDiagnostics(compiled) }
}
