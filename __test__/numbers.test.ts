import type { BenchmarkReport, ComparedNetwork, Comparison, RunRecord } from 'mobilenet-native'
import { describe, expect, it, vi } from 'vitest'
import { figures } from '../src/ts/cli/comparison/figures.js'
import {
  epochTable as comparedEpochs,
  comparisonTables,
  machineText,
  sharedText,
} from '../src/ts/cli/comparison/tables.js'
import { renderBenchmark } from '../src/ts/cli/render/benchmark.js'
import { markdownTable } from '../src/ts/cli/render/table.js'
import type { Figure } from '../src/ts/page/figure.js'
import type { Sheet } from '../src/ts/page/sheet.js'
import { environment, epochTable, headline, recallTable, runTable } from '../src/ts/report/facts.js'
import { comparedFigures, runFigures } from '../src/ts/report/figures.js'
import { classTable, confusion } from '../src/ts/report/sections.js'
import { courseRecipe } from './events.js'

// From the sources, the package does not find its own version.
vi.mock('../index.js', () => import('mobilenet-native'))

// Every number in its place: made up, and no two alike, so that one that stands where another belongs is seen.

const model = {
  variant: 'v1',
  layout: 'cifar',
  activation: 'relu',
  width: 0.25,
  resolution: 32,
  classes: 2,
  dropout: 0.001,
} as const

const metrics = (accuracy: number, loss: number, count = 1000) => {
  return { accuracy, loss, count, correct: Math.round(count * accuracy) }
}

/** A run of two epochs with two steps each; every number is larger by `more` hundredths than the same one of another run. */
function run(name: string, more: number): RunRecord {
  const up = more / 100
  const step = (epoch: number, step: number, loss: number) => ({
    ...{
      time: 1e9 + step,
      epoch,
      step,
      steps: 2,
      loss: loss + up,
      accuracy: (10 + 10 * epoch + step) / 100 + up,
    },
    ...{
      learningRate: (100 * epoch + 10 * step + more) / 1e5,
      imagesPerSecond: 1000 * epoch + 100 * step + more,
    },
  })
  return {
    folder: `/runs/${name}`,
    name,
    state: 'finished',
    startedAt: '2026-01-31T23:58:59.123Z',
    seconds: 3723 + more,
    config: {
      model,
      train: { ...courseRecipe, epochs: 2 },
      normalization: { mean: [0.11, 0.12, 0.13], std: [0.21, 0.22, 0.23] },
      ...{ data: '/pictures', pictures: { total: 5000, train: 4000, validation: 300, test: 200 } },
      ...{ folder: { resize: 48, testFraction: 0.25, seed: 6 }, official: false },
      ...{
        skipped: 0,
        classWeights: null,
        device: 'cpu',
        simd: 'avx2',
        threads: 7,
        out: null,
        resumedEpochs: null,
      },
    },
    epochs: [
      {
        ...{ epoch: 1, steps: 2, seconds: 61 + more, learningRate: 0.0123 },
        train: metrics(0.31 + up, 1.31 + up),
        validation: metrics(0.41 + up, 1.41 + up),
        test: metrics(0.51 + up, 1.51 + up),
      },
      {
        ...{ epoch: 2, steps: 4, seconds: 132 + more, learningRate: 0.0456 },
        train: metrics(0.32 + up, 1.32 + up),
        validation: metrics(0.42 + up, 1.42 + up),
        test: metrics(0.52 + up, 1.52 + up),
      },
    ],
    best: { epoch: 1, accuracy: 0.61 + up },
    report: null,
    error: null,
    steps: [step(1, 1, 2.1), step(1, 2, 2.2), step(2, 1, 2.3), step(2, 2, 2.4)],
    evaluation: {
      ...{ epoch: 2, split: 'test', classes: ['cat', 'dog'], metrics: metrics(0.52, 1.52) },
      confusion: [
        [11, 12],
        [13, 14],
      ],
      perClass: [
        { label: 'cat', count: 23, precision: 0.71 + up, recall: 0.72 + up },
        { label: 'dog', count: 27, precision: null, recall: 0.74 + up },
      ],
      mostWrong: [],
    },
  }
}

/** A table's rows, with its title before them. */
const rows = (sheet: Sheet | undefined) =>
  sheet && `${[sheet.title, ...markdownTable(sheet.columns)].join('\n')}\n`
/** A figure's lines: each point as `x y`. */
const lines = ({ id, marks, x, y }: Figure) => {
  const names = [...new Set(marks.map(({ series, name }) => `${series} ${name}`.trim()))]
  const points = (line: string) =>
    marks
      .filter(({ series, name }) => `${series} ${name}`.trim() === line)
      .map((mark) => `${Number(mark.x.toPrecision(6))} ${Number(mark.y.toPrecision(6))}`)
  return `${[`${id}: ${x.label}, ${y.label}`, ...names.map((line) => `  ${line}: ${points(line).join('; ')}`)].join('\n')}\n`
}
const drawn = (all: Figure[]) => `\n${all.map(lines).join('')}`

describe('the page of a run', () => {
  const first = run('first', 0)

  it('draws', () => {
    expect(drawn(runFigures(first))).toMatchInlineSnapshot(`
      "
      loss: epochs, cross-entropy
        s1 train: 0.5 2.1; 1 2.2; 1.5 2.3; 2 2.4
        s2 validation: 1 1.41; 2 1.42
        s3 test: 1 1.51; 2 1.52
      accuracy: epochs, % right
        s1 train: 0.5 21; 1 22; 1.5 31; 2 32
        s2 validation: 1 41; 2 42
        s3 test: 1 51; 2 52
      learning-rate: epochs, learning rate
        s1: 0.5 0.0011; 1 0.0012; 1.5 0.0021; 2 0.0022
      speed: epochs, pictures a second
        s1: 0.5 1100; 1 1200; 1.5 2100; 2 2200
      "
    `)
  })

  it('says in words what it draws', () => {
    expect(runFigures(first).map(({ description }) => description)).toMatchInlineSnapshot(`
      [
        "train goes from 2.1 to 2.4 cross-entropy at epoch 2; validation goes from 1.41 to 1.42 cross-entropy at epoch 2; test goes from 1.51 to 1.52 cross-entropy at epoch 2. Every epoch is in the table below.",
        "train goes from 21 to 32 % right at epoch 2; validation goes from 41 to 42 % right at epoch 2; test goes from 51 to 52 % right at epoch 2. Every epoch is in the table below.",
        "It goes from 0.0011 to 0.0022 learning rate at epoch 2. Every epoch is in the table below.",
        "It goes from 1,100 to 2,200 pictures a second at epoch 2. Every epoch is in the table below.",
      ]
    `)
    expect(runFigures(first)[0]?.marks.map(({ title }) => title)).toMatchInlineSnapshot(`
      [
        "train, epoch 0.5: 2.1",
        "train, epoch 1: 2.2",
        "train, epoch 1.5: 2.3",
        "train, epoch 2: 2.4",
        "validation, epoch 1: 1.41",
        "validation, epoch 2: 1.42",
        "test, epoch 1: 1.51",
        "test, epoch 2: 1.52",
      ]
    `)
  })

  it('has first', () => {
    expect(
      headline(first)
        .replaceAll('</div>', '\n')
        .replaceAll(/<[^>]*>/g, ' '),
    ).toMatchInlineSnapshot(`
      "   state  finished 
        epochs  2 of 2 
        test accuracy  52.00% 
        best validation  61.00% in epoch 1 
        time  1:02:03 
        pictures a second  1,650 
       "
    `)
  })

  it('lists', () => {
    expect(rows(epochTable(first))).toMatchInlineSnapshot(`
      "Every epoch
      | epoch | learning rate | train loss | train accuracy | validation loss | validation accuracy | test loss | test accuracy | time |
      | --- | --: | --: | --: | --: | --: | --: | --: | --: |
      | 1 | 0.0123 | 1.3100 | 31.00% | 1.4100 | 41.00% | 1.5100 | 51.00% | 1:01 |
      | 2 | 0.0456 | 1.3200 | 32.00% | 1.4200 | 42.00% | 1.5200 | 52.00% | 2:12 |
      "
    `)
    expect(rows(first.evaluation ? classTable(first.evaluation) : undefined)).toMatchInlineSnapshot(`
      "Classes of the test pictures
      | class | pictures | precision | recall |
      | --- | --: | --: | --: |
      | cat | 23 | 71.00% | 72.00% |
      | dog | 27 | none | 74.00% |
      "
    `)
    expect([...environment(first, null)]).toMatchInlineSnapshot(`
      [
        [
          "started",
          "2026-01-31 23:58:59 UTC",
        ],
        [
          "device",
          "cpu, avx2, 7 threads",
        ],
      ]
    `)
  })

  it('has a row for each right class', () => {
    const cells = [...confusion(first.evaluation as never).matchAll(/<t[hd][^>]*>(\w[^<]*)</g)]
    expect(cells.map(([, cell]) => cell)).toMatchInlineSnapshot(`
      [
        "right class",
        "cat",
        "dog",
        "cat",
        "11",
        "12",
        "dog",
        "13",
        "14",
      ]
    `)
  })
})

describe('the page of several runs', () => {
  const both = [run('first', 0), run('second', 5)]

  it('draws', () => {
    expect(drawn(comparedFigures(both))).toMatchInlineSnapshot(`
      "
      loss: epochs, cross-entropy
        s1 run 1: 1 1.41; 2 1.42
        s2 run 2: 1 1.46; 2 1.47
      accuracy: epochs, % right
        s1 run 1: 1 41; 2 42
        s2 run 2: 1 46; 2 47
      training-loss: epochs, cross-entropy
        s1 run 1: 0.5 2.1; 1 2.2; 1.5 2.3; 2 2.4
        s2 run 2: 0.5 2.15; 1 2.25; 1.5 2.35; 2 2.45
      learning-rate: epochs, learning rate
        s1 run 1: 0.5 0.0011; 1 0.0012; 1.5 0.0021; 2 0.0022
        s2 run 2: 0.5 0.00115; 1 0.00125; 1.5 0.00215; 2 0.00225
      speed: epochs, pictures a second
        s1 run 1: 0.5 1100; 1 1200; 1.5 2100; 2 2200
        s2 run 2: 0.5 1105; 1 1205; 1.5 2105; 2 2205
      "
    `)
  })

  it('lists', () => {
    expect(rows(runTable(both))).toMatchInlineSnapshot(`
      "Runs
      | run | folder | state | epochs | best | in epoch | test | time |
      | --- | --- | --- | --: | --: | --: | --: | --: |
      | run 1 | first | finished | 2/2 | 61.00% | 1 | 52.00% | 1:02:03 |
      | run 2 | second | finished | 2/2 | 66.00% | 1 | 57.00% | 1:02:08 |
      "
    `)
    expect(rows(recallTable(both))).toMatchInlineSnapshot(`
      "Recall of each class
      | class | run 1 | run 2 |
      | --- | --: | --: |
      | cat | 72.00% | 77.00% |
      | dog | 74.00% | 79.00% |
      "
    `)
  })
})

const speed = (first: number) => ({
  training: {
    ...{
      batchSize: 64,
      stepSeconds: (first + 1) / 1e4,
      imagesPerSecond: first + 2,
      shareOfPeak: (first + 3) / 1e4,
      repetitions: 5,
    },
  },
  evaluation: {
    ...{
      batchSize: 256,
      batchSeconds: (first + 4) / 1e4,
      imagesPerSecond: first + 50,
      shareOfPeak: (first + 600) / 1e4,
    },
    repetitions: 6,
  },
  prediction: { latencySeconds: (first + 7) / 1e6, shareOfPeak: (first + 800) / 1e4, repetitions: 7 },
})

const machine = {
  processor: 'Some Processor',
  device: 'cpu',
  deviceNote: null,
  simd: 'avx2',
  threads: 3,
  multiplyAddsPerSecond: 123.4e9,
  bytesPerSecond: 56.7e9,
  seconds: 89,
} as const

describe('a comparison', () => {
  const network = (variant: 'v1' | 'v2', first: number): ComparedNetwork => ({
    ...speed(first),
    variant,
    model,
    ...{ parameters: first * 1001, multiplyAdds: first * 100_003, checkpointBytes: first * 5007 },
    ...{ trainingBytes: first * 20_011, inferenceBytes: first * 10_013, runSeconds: 3 * first },
    run: {
      ...{ accuracy: first / 1e4, accuracyEpoch: 1, accuracyBy: 'validation' },
      epochs: run('', first / 1000).epochs,
      report: {
        ...{
          epochs: 2,
          steps: 4,
          stopped: false,
          endedBy: 'epochs',
          seconds: 2 * first + 1,
          checkpoint: null,
          best: null,
        },
        ...{ bestEpoch: 1, bestAccuracy: (first + 11) / 1e4 },
        train: metrics((first + 100) / 1e4, 1.1),
        validation: metrics((first + 200) / 1e4, 1.2),
        test: metrics((first + 300) / 1e4, 1.3),
      },
    },
  })
  const comparison: Comparison = {
    ...machine,
    ...{ recipe: { ...courseRecipe, epochs: 2 }, data: '/pictures', stopped: false },
    networks: [network('v1', 2000), network('v2', 4000)],
  }

  it('lists', () => {
    expect(
      `\n${[...comparisonTables(comparison), comparedEpochs(comparison)].map(rows).join('\n')}`,
    ).toMatchInlineSnapshot(`
      "
      Accuracy
      | network | test accuracy | after epoch | last epoch | an epoch | whole run |
      | --- | --: | --: | --: | --: | --: |
      | V1 | 20.00% | 1 | 23.00% | 1:39 | 1:06:41 |
      | V2 | 40.00% | 1 | 43.00% | 1:41 | 2:13:21 |

      Size
      | network | parameters | multiply-adds | on disk | memory to train | memory to run |
      | --- | --: | --: | --: | --: | --: |
      | V1 | 2,002,000 | 200,006,000 | 10.0 MB | 40.0 MB | 20.0 MB |
      | V2 | 4,004,000 | 400,012,000 | 20.0 MB | 80.0 MB | 40.1 MB |

      Speed
      | network | training | of peak | inference | of peak | one picture | estimate |
      | --- | --: | --: | --: | --: | --: | --: |
      | V1 | 2,000 img/s | 20% | 2,050 img/s | 26% | 2.01 ms | 1:40:00 |
      | V2 | 4,000 img/s | 40% | 4,050 img/s | 46% | 4.01 ms | 3:20:00 |

      Test accuracy after every epoch
      | epoch | V1 | V2 |
      | --- | --: | --: |
      | 1 | 53.00% | 55.00% |
      | 2 | 54.00% | 56.00% |
      "
    `)
  })

  it('says what a mark stands for to four digits, however small or large it is', () => {
    const [v1] = comparison.networks as [ComparedNetwork]
    const of = (multiplyAdds: number, imagesPerSecond: number) => {
      const networks = [{ ...v1, multiplyAdds, training: { ...v1.training, imagesPerSecond } }]
      const found = figures({ ...comparison, networks })
      return found.find(({ id }) => id === 'training-by-multiply-adds')?.marks[0]?.title
    }
    expect(of(999_500, 0.01234)).toBe(
      'V1: 0.9995 million multiply-adds a picture, 0.01234 pictures a second, training',
    )
    expect(of(50_000, 1e6)).toBe(
      'V1: 0.05 million multiply-adds a picture, 1,000,000 pictures a second, training',
    )
    expect(of(1_234_567_890, 99.995)).toBe(
      'V1: 1,235 million multiply-adds a picture, 100 pictures a second, training',
    )
  })

  it('draws', () => {
    expect(drawn(figures(comparison))).toMatchInlineSnapshot(`
      "
      accuracy-by-multiply-adds: million multiply-adds a picture, % right on the test pictures
        v1 V1: 200.006 20
        v2 V2: 400.012 40
      accuracy-by-time: minutes of training, % right on the test pictures
        v1 V1: 66.6833 20
        v2 V2: 133.35 40
      accuracy-by-epoch: epoch, % right on the test pictures
        v1 V1: 1 53; 2 54
        v2 V2: 1 55; 2 56
      accuracy-by-parameters: million parameters, % right on the test pictures
        v1 V1: 2.002 20
        v2 V2: 4.004 40
      training-by-multiply-adds: million multiply-adds a picture, pictures a second, training
        v1 V1: 200.006 2002
        v2 V2: 400.012 4002
      inference-by-multiply-adds: million multiply-adds a picture, pictures a second, inference
        v1 V1: 200.006 2050
        v2 V2: 400.012 4050
      "
    `)
  })

  it('says on what and with what', () => {
    expect([machineText(comparison), sharedText(comparison)]).toMatchInlineSnapshot(`
      [
        "Some Processor, cpu, avx2, 3 threads, 123.4 billion multiply-adds a second at most",
        "layout cifar, width 0.25, 32x32 pixels, 2 classes",
      ]
    `)
  })
})

it('a benchmark lists', () => {
  const preset = (name: 'course' | 'quick', first: number) => ({
    ...speed(first),
    ...{ name, precision: 'float32' as const, multiplyAdds: first * 100_003, presetSeconds: 3 * first },
  })
  const report: BenchmarkReport = { ...machine, presets: [preset('course', 2000), preset('quick', 4000)] }
  const stdout = { columns: 200, isTTY: false, hasColors: () => false } as unknown as NodeJS.WriteStream
  expect(`\n${renderBenchmark(stdout, report)}`).toMatchInlineSnapshot(`
    "
    machine  Some Processor, cpu, avx2, 3 threads
    peak     123.4 billion multiply-adds a second, in float32, in registers
    memory   56.7 GB a second, read and written by a copy

    preset  network                    step     training  of peak   evaluation  of peak  one picture   whole run
    course  v1 unpadded, width 1     200 ms  2,000 img/s      20%  2,050 img/s      26%      2.01 ms  1 h 40 min
    quick   v3-small cifar, width 1  400 ms  4,000 img/s      40%  4,050 img/s      46%      4.01 ms  3 h 20 min

    of peak      multiply-adds as a share of the peak; a training step takes three forward passes
    one picture  from its pixels to its logits
    whole run    every epoch over CIFAR-10 with validation and test, if nothing else runs
    "
  `)
})
