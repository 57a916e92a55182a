/**
 * Joins `parts` by spaces. While that is wider than the terminal, leaves out the next of `optional` (indices into
 * `parts`); what is then still too wide is cut.
 */
export function fit(columns: number | undefined, parts: string[], optional: number[]): string {
  const width = columns || 80
  const left = new Set<number>()
  const join = () => parts.filter((part, i) => part !== '' && !left.has(i)).join(' ')
  for (const index of optional) {
    if (join().length < width) break
    left.add(index)
  }
  return join().slice(0, width - 1)
}

/** `1:02:03`, `4:05`. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-:--'
  const whole = Math.max(0, Math.round(seconds))
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const shown = parts[0] === 0 ? parts.slice(1) : parts
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}

/** `12.34%` of a share from 0 to 1. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(2)}%`
}
