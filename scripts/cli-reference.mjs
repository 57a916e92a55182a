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
  const { stdout, stderr } = process
  const program = createProgram(
    { stdout, stderr, command: ['mobilenet-native'], interrupt: new AbortController().signal },
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
  const text = [
    '# Command line',
    '<!-- Written by scripts/cli-reference.mjs; for the site. -->',
    program.description(),
    ['| command | what it does |', '|---|---|', ...index].join('\n'),
    'Exit status: 0, 1 (failed), 2 (wrong call), 130 (Ctrl-C). What `--json` prints: [the lines of --json](json.md).',
    ...sections,
  ]
    .join('\n\n')
    .concat('\n')
  return elsewhere(text)
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
  const notes = notesOf(command)
  if (notes !== '') parts.push(prose(notes))
  return parts.join('\n\n')
}

/** What `addHelpText` puts behind a command's help. commander asks for it by this event. */
function notesOf(command) {
  let text = ''
  const write = (more) => {
    text += more
  }
  command.emit('afterHelp', { error: false, command, write })
  return text.trim()
}

/** Whose cache this is doesn't matter to who reads it. */
function elsewhere(text) {
  const { ImageFolder } = require(join(root, 'dist', 'index.js'))
  return text.replaceAll(ImageFolder.defaultCache, '`pictures` in the cache')
}

function firstSentence(text) {
  return text.split(/(?<=\.)\s/)[0] ?? text
}

/** Text that a cell of a table can hold. */
function cell(text) {
  return plain(text.replaceAll('|', '\\|'))
}

/** Paragraphs, in which no star is an emphasis. */
function prose(text) {
  return plain(text.replaceAll('*', '\\*'))
}

/** What Vue takes for text. */
function plain(text) {
  return text.replaceAll('<', '&lt;').replaceAll('{{', '&#123;&#123;')
}

if (process.argv[1] === import.meta.filename) process.stdout.write(cliReference())
