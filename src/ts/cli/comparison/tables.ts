import type { ComparedNetwork, Comparison, Variant } from '../../../../index.js'
import { clock, grouped, milliseconds, percent, speedText, wholePercent } from '../../page/format.js'
import { type Column, numberColumn, type Sheet } from '../../page/sheet.js'
import { recipeText } from '../render/recipe.js'

/** What people call a variant. */
export const names: Record<Variant, string> = {
  v1: 'V1',
  v2: 'V2',
  'v3-large': 'V3 large',
  'v3-small': 'V3 small',
}

/** All tables, the most telling first: accuracy, where networks were trained; sizes; speeds. */
export function comparisonTables(comparison: Comparison): Sheet[] {
  const { networks, data } = comparison
  return [...(data === null ? [] : [training(comparison)]), sizes(networks), speeds(comparison)]
}

/** What was measured on, in a sentence. */
export function machineText(comparison: Comparison): string {
  const { processor, device, simd, threads, multiplyAddsPerSecond } = comparison
  const peak = `${(multiplyAddsPerSecond / 1e9).toFixed(1)} billion multiply-adds a second at most`
  return `${processor}, ${device}, ${simd}, ${threads} thread${threads === 1 ? '' : 's'}, ${peak}`
}

/** What all networks have in common, in a few words. */
export function sharedText({ networks }: Comparison): string {
  const model = networks[0]?.model
  if (!model) return ''
  const { layout, width, resolution, classes } = model
  return `layout ${layout}, width ${width}, ${resolution}x${resolution} pixels, ${classes} classes`
}

/** The test accuracy after every epoch, a column a network; a row without a number where a run had not come to it. */
export function epochTable({ networks }: Comparison): Sheet {
  const trained = networks.filter(({ run }) => run !== null)
  const last = Math.max(0, ...trained.map(({ run }) => run?.epochs.at(-1)?.epoch ?? 0))
  const epochs = Array.from({ length: last }, (_, index) => index + 1)
  const cell = (network: ComparedNetwork, epoch: number) => {
    const found = network.run?.epochs.find((done) => done.epoch === epoch)?.test
    return found ? percent(found.accuracy) : ''
  }
  return {
    title: 'Test accuracy after every epoch',
    notes: [],
    columns: [
      { title: 'epoch', cells: epochs.map(String) },
      ...trained.map((network) =>
        numberColumn(
          names[network.variant],
          epochs.map((epoch) => cell(network, epoch)),
        ),
      ),
    ],
  }
}

function training(comparison: Comparison): Sheet {
  const { networks, recipe, stopped } = comparison
  const of = (pick: (run: NonNullable<ComparedNetwork['run']>) => string | null) =>
    networks.map(({ run }) => (run && pick(run)) ?? '')
  const columns = [
    nameColumn(networks),
    numberColumn(
      'test accuracy',
      of(({ accuracy }) => (accuracy === null ? null : percent(accuracy))),
    ),
    numberColumn(
      'after epoch',
      of(({ accuracyEpoch }) => (accuracyEpoch === null ? null : String(accuracyEpoch))),
    ),
    numberColumn(
      'last epoch',
      of(({ report }) => (report.test === null ? null : percent(report.test.accuracy))),
      2,
    ),
    numberColumn(
      'an epoch',
      of(({ epochs }) => (epochs.length === 0 ? null : clock(mean(epochs.map(({ seconds }) => seconds))))),
    ),
    numberColumn(
      'whole run',
      of(({ report }) => clock(report.seconds)),
    ),
  ]
  const state = of(({ report }) => (report.stopped ? `stopped after ${report.epochs} epochs` : null))
  const ends = networks.map(({ run }, index) => (run === null ? 'not trained' : (state[index] ?? '')))
  if (stopped) columns.push({ title: 'stopped', cells: ends })
  const validated = networks.some(({ run }) => run?.accuracyBy === 'validation')
  const chosen = validated ? 'the one with the best validation accuracy' : 'the last, as none validates'
  return {
    title: 'Accuracy',
    notes: [
      `All were trained alike: ${recipeText(recipe)}${limitText(recipe.limit)}.`,
      `Test accuracy: after the epoch given, ${chosen}. Last epoch: after the last complete one.`,
      'An epoch: mean time with validation and test. Times are hours, minutes and seconds.',
    ],
    columns,
  }
}

function sizes(networks: ComparedNetwork[]): Sheet {
  const batch = networks[0]?.training.batchSize
  const pictures = networks[0]?.evaluation.batchSize
  const column = (title: string, pick: (network: ComparedNetwork) => string, spare?: number) =>
    numberColumn(title, networks.map(pick), spare)
  return {
    title: 'Size',
    notes: [
      'Multiply-adds: of one picture, forward. On disk: the checkpoint.',
      `Memory to train: parameters, gradients, the optimizer's state and the buffers of a step of ${batch} pictures.`,
      `Memory to run: weights and buffers of a batch of ${pictures}. Neither counts pictures and the process itself.`,
    ],
    columns: [
      nameColumn(networks),
      column('parameters', ({ parameters }) => grouped(parameters)),
      column('multiply-adds', ({ multiplyAdds }) => grouped(multiplyAdds)),
      column('on disk', ({ checkpointBytes }) => megabytes(checkpointBytes), 1),
      column('memory to train', ({ trainingBytes }) => megabytes(trainingBytes), 3),
      column('memory to run', ({ inferenceBytes }) => megabytes(inferenceBytes), 2),
    ],
  }
}

function speeds({ networks, recipe }: Comparison): Sheet {
  const column = (title: string, pick: (network: ComparedNetwork) => string, spare?: number) =>
    numberColumn(title, networks.map(pick), spare)
  const { epochs, precision } = recipe
  return {
    title: 'Speed',
    notes: [
      `Medians of turns, in ${precision}. Of peak: multiply-adds as a share of the machine's in float32.`,
      'A training step takes three forward passes.',
      'One picture: from its pixels to its logits, alone.',
      `Estimate: ${epochs} epoch${epochs === 1 ? '' : 's'} of CIFAR-10 at these speeds, with validation and test.`,
    ],
    columns: [
      nameColumn(networks),
      column('training', ({ training }) => speedText(training.imagesPerSecond)),
      column('of peak', ({ training }) => wholePercent(training.shareOfPeak), 3),
      column('inference', ({ evaluation }) => speedText(evaluation.imagesPerSecond)),
      column('of peak', ({ evaluation }) => wholePercent(evaluation.shareOfPeak), 2),
      column('one picture', ({ prediction }) => milliseconds(prediction.latencySeconds)),
      column('estimate', ({ runSeconds }) => clock(runSeconds), 1),
    ],
  }
}

const limitText = (limit: number | null) =>
  limit === null ? '' : `, at most ${grouped(limit)} pictures of each part`

function nameColumn(networks: ComparedNetwork[]): Column {
  return { title: 'network', cells: networks.map(({ variant }) => names[variant]) }
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
