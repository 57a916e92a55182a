import type { Colors } from '../render/text.js'
import { cut, padded } from './layout.js'
import { stringWidth } from './libraries.js'

/** How far one thing is. */
export interface Bar {
  label: string
  /** From 0 to 1. */
  share: number
  /** How far, in its own units. */
  detail: string
  /** How long it still takes. */
  left: string
}

/** A bar shorter than this says nothing. */
const shortest = 5
/** Details give way to bars shorter than this. */
const comfortable = 12
/** A longer bar is no easier to read. */
const longest = 60

/**
 * Bars below each other: label, bar, per cent, detail, time left, in columns. Where there isn't room, the details go
 * first, and then the bars.
 *
 * @returns The lines, and whether they have the details.
 */
export function bars(list: Bar[], width: number, colors: Colors): { lines: string[]; detailed: boolean } {
  const widest = (of: (bar: Bar) => string) => Math.max(...list.map((bar) => stringWidth(of(bar))))
  const [label, detail, left] = [
    widest((bar) => bar.label),
    widest((bar) => bar.detail),
    widest((bar) => bar.left),
  ]
  const fixed = label + ' 100%'.length + 1 + (left > 0 ? 2 + left : 0)
  const withDetail = width - fixed - detail - 2
  const detailed = detail > 0 && withDetail >= comfortable
  const size = Math.min(longest, detailed ? withDetail : width - fixed)
  const lines = list.map((bar) => {
    const parts = [
      padded(bar.label, label),
      size >= shortest ? ` ${drawn(bar.share, size, colors)}` : '',
      ` ${`${Math.floor(100 * clamped(bar.share))}%`.padStart(4)}`,
      detailed ? `  ${padded(bar.detail, detail)}` : '',
      left > 0 ? `  ${padded(bar.left, left, true)}` : '',
    ]
    return cut(parts.join('').trimEnd(), width)
  })
  return { lines, detailed }
}

function drawn(share: number, size: number, { cyan, dim }: Colors): string {
  const full = Math.floor(clamped(share) * size)
  return cyan('█'.repeat(full)) + dim('░'.repeat(size - full))
}

/** What is done may be an estimate, or a download longer than announced. */
function clamped(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0
}
