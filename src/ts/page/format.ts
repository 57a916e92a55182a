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

/** `12%` of a share from 0 to 1. */
export function wholePercent(share: number): string {
  return `${Math.round(100 * share)}%`
}

/** `1,230 img/s`, to three digits. */
export function speedText(imagesPerSecond: number): string {
  return `${rounded(imagesPerSecond, 3)} img/s`
}

/** `0.123 ms`, to three digits. */
export function milliseconds(seconds: number): string {
  return `${Number((1000 * seconds).toPrecision(3))} ms`
}

/** `1,235`, `0.9995`: to so many digits. */
export function rounded(value: number, digits: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: digits })
}

/** `3,217,194`: the same in every locale, so that output can be compared. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US')
}
