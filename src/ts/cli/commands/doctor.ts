import { Command } from 'commander'
import { MobileNetError } from '../../../../index.js'
import type { Deps } from '../deps.js'
import type { Check } from '../doctor/check.js'
import { checks } from '../doctor/checks.js'
import { writeJson } from '../render/json.js'
import { colors, printableLines } from '../render/text.js'

interface Flags {
  json?: boolean
}

export function doctorCommand(deps: Deps): Command {
  return new Command('doctor')
    .description('What this installation is, whether it works, and how to repair it.')
    .option('--json', 'print a line of JSON')
    .action((flags: Flags) => doctor(deps, flags))
}

async function doctor(deps: Deps, { json }: Flags): Promise<void> {
  const found = await checks(deps)
  const broken = found.filter(({ status }) => status === 'broken')
  if (json) writeJson(deps.stdout, { type: 'doctor', ok: broken.length === 0, checks: found })
  else deps.stdout.write(render(deps, found))
  const [first] = broken
  if (!first) return
  const names = broken.map(({ name }) => name).join(', ')
  throw new MobileNetError(first.code ?? 'INTERNAL', `this installation can't work as it is: ${names}`)
}

function render(deps: Deps, found: Check[]): string {
  const { green, yellow, red, dim } = colors(deps.stdout)
  const marks = { ok: green('ok    '), note: yellow('note  '), broken: red('broken') }
  const width = Math.max(...found.map(({ name }) => name.length))
  // What goes on in further lines stays in its column.
  const indent = `\n${' '.repeat('broken'.length + width + 4)}`
  const lines = found.map(({ name, status, detail, fix }) => {
    const words = printableLines(detail)
    const text = fix === null ? words : `${words}\n${dim(`-> ${printableLines(fix)}`)}`
    return `${marks[status]}  ${name.padEnd(width)}  ${text.replaceAll('\n', indent)}\n`
  })
  return lines.join('')
}
