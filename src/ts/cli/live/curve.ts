/** Values that a curve keeps; more than any window has columns. When there are more, neighbours become their mean. */
const capacity = 1024

/** A quantity over a run of any length: means of equally many neighbouring values. */
export class Curve {
  #means: number[] = []
  /** Values that one of the means stands for. */
  #each = 1
  #sum = 0
  #waiting = 0
  /** Values added. */
  count = 0

  add(value: number): void {
    this.count += 1
    this.#sum += value
    this.#waiting += 1
    if (this.#waiting < this.#each) return
    this.#means.push(this.#sum / this.#waiting)
    this.#sum = 0
    this.#waiting = 0
    if (this.#means.length < capacity) return
    this.#means = pairs(this.#means)
    this.#each *= 2
  }

  /** `width` points (two at least) from the first value to the last: means where there are more values, else lines. */
  points(width: number): number[] {
    const all = this.#waiting > 0 ? [...this.#means, this.#sum / this.#waiting] : this.#means
    if (all.length === 0) return []
    if (all.length <= width) return Array.from({ length: width }, (_, x) => between(all, x / (width - 1)))
    return Array.from({ length: width }, (_, x) => {
      const part = all.slice(Math.floor((x * all.length) / width), Math.floor(((x + 1) * all.length) / width))
      return part.reduce((sum, value) => sum + value, 0) / part.length
    })
  }
}

/** On the straight lines between the values, at a `share` of the way from the first to the last. */
function between(values: number[], share: number): number {
  const at = share * (values.length - 1)
  const before = values[Math.floor(at)] as number
  const after = values[Math.ceil(at)] as number
  return before + (at - Math.floor(at)) * (after - before)
}

function pairs(values: number[]): number[] {
  return Array.from({ length: values.length / 2 }, (_, i) => {
    return ((values[2 * i] as number) + (values[2 * i + 1] as number)) / 2
  })
}
