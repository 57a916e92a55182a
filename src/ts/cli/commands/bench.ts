import { Command } from 'commander'
import {
  type BenchmarkOptions,
  type BenchmarkProgress,
  benchmark,
  type PresetName,
} from '../../../../index.js'
import type { Deps } from '../deps.js'
import { tellDevice } from '../device.js'
import { number, presetOf } from '../options.js'
import { BenchmarkBar, renderBenchmark } from '../render/benchmark.js'
import { writeJson } from '../render/json.js'

interface Flags {
  preset?: string
  precision?: string
  seconds?: number
  threads?: number
  device?: string
  json?: boolean
}

export function benchCommand(deps: Deps): Command {
  return new Command('bench')
    .description(
      'How fast this machine trains and runs each preset, and how long the preset would take on it.',
    )
    .option('--preset <name>', 'course, cifar or quick alone (default: all)')
    .option(
      '--precision <name>',
      'float32; tf32 on NVIDIA cards; bfloat16 on these and on processors with AVX512_BF16 (default: float32)',
    )
    .option('--seconds <n>', 'about how long to measure (default: 30)', number)
    .option('--threads <n>', 'threads that compute (default: one a core)', number)
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default: auto)')
    .option('--json', 'print a line of JSON')
    .action((flags: Flags) => bench(deps, flags))
}

async function bench(deps: Deps, { json, ...flags }: Flags): Promise<void> {
  const bar = new BenchmarkBar(deps.stderr)
  const show = (progress: BenchmarkProgress) => bar.update({ ...progress, name: progress.preset })
  const options = { ...optionsOf(flags), signal: deps.interrupt }
  try {
    const report = await benchmark({ ...options, onProgress: show })
    bar.stop()
    tellDevice(deps, report.deviceNote, { json })
    if (json) writeJson(deps.stdout, { type: 'bench', ...report })
    else deps.stdout.write(renderBenchmark(deps.stdout, report))
  } finally {
    bar.stop()
  }
}

/** Those that were given. */
function optionsOf({ preset, ...flags }: Omit<Flags, 'json'>): BenchmarkOptions {
  if (preset === undefined) return flags as BenchmarkOptions
  presetOf(preset)
  return { ...flags, presets: [preset as PresetName] } as BenchmarkOptions
}
