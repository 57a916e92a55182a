import { Command } from 'commander'
import { version } from '../../../index.js'
import { benchCommand } from './commands/bench.js'
import { doctorCommand } from './commands/doctor.js'
import { downloadCommand } from './commands/download.js'
import { evaluateCommand } from './commands/evaluate.js'
import { importCommand } from './commands/import.js'
import { predictCommand } from './commands/predict.js'
import { summaryCommand } from './commands/summary.js'
import { trainCommand } from './commands/train.js'
import type { Deps } from './deps.js'

/** The command line. Failures are thrown, and not yet printed. */
export function createProgram(deps: Deps): Command {
  const program = new Command('mobilenet-native')
    .description('Train and run MobileNet on this machine.')
    .version(version)
  for (const make of [
    trainCommand,
    evaluateCommand,
    predictCommand,
    importCommand,
    summaryCommand,
    downloadCommand,
    benchCommand,
    doctorCommand,
  ]) {
    program.addCommand(make(deps))
  }
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
  }
  return program
}
