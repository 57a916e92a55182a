import { Command } from 'commander'
import { version } from '../../../index.js'
import type { Deps } from './deps.js'

/**
 * The commands, each loaded when it is called: reading the files of all of them takes as long as a prediction (10 ms).
 * By `require`, because an `import()` would first start Node's second loader.
 */
const commands: Record<string, (deps: Deps) => Command> = {
  train: (deps) =>
    (require('./commands/train.js') as typeof import('./commands/train.js')).trainCommand(deps),
  evaluate: (deps) =>
    (require('./commands/evaluate.js') as typeof import('./commands/evaluate.js')).evaluateCommand(deps),
  predict: (deps) =>
    (require('./commands/predict.js') as typeof import('./commands/predict.js')).predictCommand(deps),
  similar: (deps) =>
    (require('./commands/similar.js') as typeof import('./commands/similar.js')).similarCommand(deps),
  import: (deps) =>
    (require('./commands/import.js') as typeof import('./commands/import.js')).importCommand(deps),
  export: (deps) =>
    (require('./commands/export.js') as typeof import('./commands/export.js')).exportCommand(deps),
  summary: (deps) =>
    (require('./commands/summary.js') as typeof import('./commands/summary.js')).summaryCommand(deps),
  cost: (deps) => (require('./commands/cost.js') as typeof import('./commands/cost.js')).costCommand(deps),
  download: (deps) =>
    (require('./commands/download.js') as typeof import('./commands/download.js')).downloadCommand(deps),
  bench: (deps) =>
    (require('./commands/bench.js') as typeof import('./commands/bench.js')).benchCommand(deps),
  compare: (deps) =>
    (require('./commands/compare.js') as typeof import('./commands/compare.js')).compareCommand(deps),
  runs: (deps) => (require('./commands/runs.js') as typeof import('./commands/runs.js')).runsCommand(deps),
  report: (deps) =>
    (require('./commands/report.js') as typeof import('./commands/report.js')).reportCommand(deps),
  doctor: (deps) =>
    (require('./commands/doctor.js') as typeof import('./commands/doctor.js')).doctorCommand(deps),
}

/**
 * The command line. Failures are thrown, and not yet printed.
 *
 * @param called the first word of the call; when it is no command, all of them are there, for the help.
 */
export function createProgram(deps: Deps, called: string | undefined): Command {
  const program = new Command('mobilenet-native')
    .description('Train and run MobileNet on this machine.')
    .version(version)
  const one = called !== undefined && Object.hasOwn(commands, called) ? commands[called] : undefined
  for (const make of one ? [one] : Object.values(commands)) program.addCommand(make(deps))
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .configureOutput({
        writeOut: (text) => deps.stdout.write(text),
        // Help after a wrong call goes to stderr; the error itself is thrown, and printed in one place by `main`.
        writeErr: (text) => deps.stderr.write(text),
        outputError: () => {},
      })
      .configureHelp({ showGlobalOptions: false })
    refuseBoth(command)
  }
  return program
}

/**
 * Refuses an option together with its `--no-` twin, of which the last would silently win. Not by commander's `conflicts`,
 * which tells options apart by the names of their values, and these two have one.
 */
function refuseBoth(command: Command): void {
  for (const negative of command.options.filter(({ negate }) => negate)) {
    const twin = command.options.find(
      (option) => !option.negate && option.attributeName() === negative.attributeName(),
    )
    if (!twin) continue
    const given = new Set<string>()
    for (const option of [twin, negative]) {
      command.on(`option:${option.name()}`, () => {
        given.add(option.name())
        if (given.size > 1) command.error(`give --${twin.name()} or --${negative.name()}, not both`)
      })
    }
  }
}
