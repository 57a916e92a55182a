import type { ComparedNetwork, Comparison, Variant } from '../../../../index.js'
import type { Figure } from '../../page/figure.js'
import { rounded } from '../../page/format.js'
import { names } from './tables.js'

const series: Variant[] = ['v1', 'v2', 'v3-large', 'v3-small']

/** The plots that a comparison gives: of accuracy, where networks were trained, and of speed. */
export function figures({ networks, data }: Comparison): Figure[] {
  const size = axis('million multiply-adds a picture', ({ multiplyAdds }) => multiplyAdds / 1e6)
  const parameters = axis('million parameters', (network) => network.parameters / 1e6)
  const training = axis('pictures a second, training', (network) => network.training.imagesPerSecond)
  const inference = axis('pictures a second, inference', ({ evaluation }) => evaluation.imagesPerSecond)
  const speeds = [
    points('training-by-multiply-adds', 'Training speed against multiply-adds', networks, size, training),
    points('inference-by-multiply-adds', 'Inference speed against multiply-adds', networks, size, inference),
    points('training-by-parameters', 'Training speed against parameters', networks, parameters, training),
    points('inference-by-parameters', 'Inference speed against parameters', networks, parameters, inference),
  ]
  if (data === null) return speeds
  const accuracy = axis('% right on the test pictures', ({ run }) => run?.accuracy && 100 * run.accuracy)
  const time = axis('minutes of training', ({ run }) => run && run.report.seconds / 60)
  return [
    points('accuracy-by-multiply-adds', 'Accuracy against multiply-adds', networks, size, accuracy),
    points('accuracy-by-time', 'Accuracy against training time', networks, time, accuracy),
    curves(networks),
    points('accuracy-by-parameters', 'Accuracy against parameters', networks, parameters, accuracy),
    ...speeds.slice(0, 2),
  ].filter(({ marks }) => marks.length > 0)
}

interface Axis {
  label: string
  /** Nothing where the network has no such number. */
  pick: (network: ComparedNetwork) => number | null | undefined
}

function axis(label: string, pick: Axis['pick']): Axis {
  return { label, pick }
}

/** A mark a network. */
function points(id: string, title: string, networks: ComparedNetwork[], x: Axis, y: Axis): Figure {
  const marks = networks.flatMap((network) => {
    const [atX, atY] = [x.pick(network), y.pick(network)]
    if (atX == null || atY == null) return []
    const name = names[network.variant]
    const said = `${name}: ${rounded(atX, 4)} ${x.label}, ${rounded(atY, 4)} ${y.label}`
    return [{ series: network.variant, name, x: atX, y: atY, title: said }]
  })
  const fromZero = !y.label.startsWith('%')
  const description = `${marks.map((mark) => mark.title).join('; ')}.`
  return { id, title, description, kind: 'points', x, y: { label: y.label, fromZero }, series, marks }
}

/** The test accuracy after every epoch, a line a network. */
function curves(networks: ComparedNetwork[]): Figure {
  const marks = networks.flatMap(({ variant, run }) =>
    (run?.epochs ?? []).flatMap(({ epoch, test }) => {
      if (test === null) return []
      const [name, y] = [names[variant], 100 * test.accuracy]
      return [{ series: variant, name, x: epoch, y, title: `${name}, epoch ${epoch}: ${rounded(y, 4)} %` }]
    }),
  )
  const ends = networks.flatMap(({ variant }) => {
    const own = marks.filter((mark) => mark.series === variant)
    const [first, last] = [own[0], own.at(-1)]
    if (!first || !last) return []
    return [`${first.name} goes from ${rounded(first.y, 4)} % to ${rounded(last.y, 4)} % in epoch ${last.x}`]
  })
  return {
    id: 'accuracy-by-epoch',
    title: 'Accuracy after every epoch',
    description: `${ends.join('; ')}. The table below has every number.`,
    kind: 'lines',
    x: { label: 'epoch', whole: true },
    y: { label: '% right on the test pictures', fromZero: false },
    series,
    marks,
  }
}
