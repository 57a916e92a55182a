// The command line's reference as Markdown, from commander's own description of it.
//
//     node scripts/cli-reference.mjs > docs/cli.md      (docs/package.json does it before it builds the site)
import { createRequire } from 'node:module'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const require = createRequire(import.meta.url)

/** What `--help` says of every command. dist must be built, and the native library, which knows the defaults. */
export function cliReference() {
  const { createProgram } = require(join(root, 'dist', 'src', 'ts', 'cli', 'main.js'))
  const { stdout, stderr, env } = process
  const program = createProgram(
    { stdout, stderr, env, command: ['mobilenet-native'], interrupt: new AbortController().signal },
    undefined,
  )
  const help = program.createHelp()
  const index = help
    .visibleCommands(program)
    .filter((command) => command.name() !== 'help')
    .map(
      (command) =>
        `| [\`${command.name()}\`](#${command.name()}) | ${cell(firstSentence(command.description()))} |`,
    )
  const sections = program.commands.map((command) => section(help, command))
  return [
    '# Command line',
    '<!-- Written by scripts/cli-reference.mjs; for the site. -->',
    program.description(),
    ['| command | what it does |', '|---|---|', ...index].join('\n'),
    'Exit status: 0, 1 (failed), 2 (wrong call), 130 (Ctrl-C).',
    ...sections,
  ]
    .join('\n\n')
    .concat('\n')
}

function section(help, command) {
  const parts = [`## ${command.name()}`, command.description()]
  parts.push(`\`\`\`\n${help.commandUsage(command)}\n\`\`\``)
  const rows = [
    ...help
      .visibleArguments(command)
      .map((argument) => [help.argumentTerm(argument), help.argumentDescription(argument)]),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .map((option) => [help.optionTerm(option), help.optionDescription(option)]),
  ]
  const table = rows.map(([term, text]) => `| \`${term}\` | ${cell(text)} |`)
  if (table.length > 0) parts.push(['| | |', '|---|---|', ...table].join('\n'))
  return parts.join('\n\n')
}

function firstSentence(text) {
  return text.split(/(?<=\.)\s/)[0] ?? text
}

/** Text that a cell of a table can hold, and that Vue takes for text. */
function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('{{', '&#123;&#123;')
}

if (process.argv[1] === import.meta.filename) process.stdout.write(cliReference())
