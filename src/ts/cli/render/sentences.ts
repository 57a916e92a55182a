import { dirname } from 'node:path'
import type { Report, RunConfig } from '../../../../index.js'
import { clock, percent } from './text.js'

/** What is about to happen: network, pictures, device. */
export function describeStart(config: RunConfig, note: string | null): string {
  const { model, train, pictures } = config
  const lines = [
    `Network: MobileNet ${model.variant}, layout ${model.layout}, width ${model.width}, ` +
      `${model.resolution}x${model.resolution}, ${model.classes} classes`,
    `Data: ${config.data} (${pictures.train} to train on, ${pictures.validation} to validate, ${pictures.test} to test)`,
    ...(note ? [`Note: ${note}`] : []),
    `Recipe: ${train.epochs} epochs, batch ${train.batchSize}, ${train.optimizer.type} ` +
      `${train.optimizer.learningRate}, schedule ${train.schedule.type}, seed ${train.seed}`,
    `Device: ${config.device} (${config.simd}), threads ${config.threads}`,
    ...(config.out ? [`Run: ${config.out}`] : []),
    ...(config.resumedEpochs === null ? [] : [`Resumed after ${config.resumedEpochs} complete epochs`]),
  ]
  return lines.join('\n')
}

/** What came out, and what to do next. */
export function describeEnd(report: Report): string {
  const { epochs, seconds, test, checkpoint, best, bestEpoch, bestAccuracy } = report
  const lines = [`${report.stopped ? 'Stopped' : 'Done'}: ${epochs} epochs complete, ${clock(seconds)} this time`]
  if (test) lines.push(`Test accuracy: ${percent(test.accuracy)} (${test.correct}/${test.count})`)
  if (best && bestEpoch !== null && bestAccuracy !== null) {
    lines.push(`Best checkpoint: ${best} (epoch ${bestEpoch}, ${percent(bestAccuracy)})`)
  }
  if (checkpoint) lines.push(`Last checkpoint: ${checkpoint}`)
  if (checkpoint && report.stopped) lines.push(`Go on with: mobilenet-native train --resume ${dirname(checkpoint)}`)
  return lines.join('\n')
}
