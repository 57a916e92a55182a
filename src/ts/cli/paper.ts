import { type Cost, type ModelConfig, type ModelCost, modelCost } from '../../../index.js'
import type { CostRow, CostTable } from './render/network-cost.js'

/** As the paper prints it (arXiv 1704.04861), in millions. */
const millions = (multiplyAdds: number, parameters: number): Cost => ({
  multiplyAdds: multiplyAdds * 1e6,
  parameters: Math.round(parameters * 1e6),
})
const table4 = { standard: millions(4866, 29.3), separable: millions(569, 4.2) }
const table6: [width: number, printed: Cost][] = [
  [1, millions(569, 4.2)],
  [0.75, millions(325, 2.6)],
  [0.5, millions(149, 1.3)],
  [0.25, millions(41, 0.5)],
]
const table7: [resolution: number, printed: Cost][] = [
  [224, millions(569, 4.2)],
  [192, millions(418, 4.2)],
  [160, millions(290, 4.2)],
  [128, millions(186, 4.2)],
]

/** A network of one of the paper's tables. */
export interface PaperRow extends CostRow {
  width: number
  resolution: number
}

/** A network beside the same one with standard convolutions; if it is the paper's own, beside what the paper prints. */
export function comparison(cost: ModelCost): CostTable {
  const { variant, layout, width, resolution, classes } = cost.config
  const { multiplyAdds, parameters, standard } = cost
  const own =
    variant === 'v1' && layout === 'imagenet' && width === 1 && resolution === 224 && classes === 1000
  return {
    title: own ? 'Table 4: standard and separable convolutions' : 'Standard and separable convolutions',
    of: 'convolutions',
    rows: [
      { name: 'standard', ...standard, paper: own ? table4.standard : null },
      { name: 'separable', multiplyAdds, parameters, paper: own ? table4.separable : null },
    ],
  }
}

/** The paper's tables of widths and resolutions, computed here; for another network than its own there are none. */
export function paperTables({ variant, layout }: ModelConfig): CostTable<PaperRow>[] {
  if (variant !== 'v1' || layout !== 'imagenet') return []
  const row = (name: string, options: { width?: number; resolution?: number }, paper: Cost) => {
    const { config, multiplyAdds, parameters } = modelCost({ variant: 'v1', layout: 'imagenet', ...options })
    const { width, resolution } = config
    return { name, width, resolution, multiplyAdds, parameters, paper }
  }
  return [
    {
      title: 'Table 6: width, at 224x224',
      of: 'width',
      rows: table6.map(([width, paper]) => row(String(width), { width }, paper)),
    },
    {
      title: 'Table 7: resolution, at width 1',
      of: 'resolution',
      rows: table7.map(([n, paper]) => row(`${n}x${n}`, { resolution: n }, paper)),
    },
  ]
}
