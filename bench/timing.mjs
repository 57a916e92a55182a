// What the programs for Node share: the case from the command line, the timing and the line that each prints.

/** `train|evaluate NETWORK BATCH THREADS STEPS MODE [FILE]` */
export function caseOf([work, network, batch, threads, steps, mode, file] = process.argv.slice(2)) {
  const parts = network.split('-')
  const layout = parts.pop()
  const variant = parts.join('-') || 'v1'
  const imagenet = layout === 'imagenet'
  return {
    work,
    variant,
    layout,
    batch: Number(batch),
    threads: Number(threads),
    steps: Number(steps),
    mode,
    file,
    side: imagenet ? 224 : 32,
    classes: imagenet ? 1000 : 10,
  }
}

/** Numbers in [-1, 1): any will do. */
export function numbers(count) {
  return Float32Array.from({ length: count }, () => Math.random() * 2 - 1)
}

/** Times `steps` calls, after `warmUp` that don't count; no new one begins after `limitSeconds`. Prints the result. */
export async function time(steps, step, { warmUp = 2, limitSeconds = Number.POSITIVE_INFINITY, ...more }) {
  for (let i = 0; i < warmUp; i++) await step()
  const seconds = []
  const begin = performance.now()
  while (seconds.length < steps) {
    const start = performance.now()
    await step()
    seconds.push((performance.now() - start) / 1000)
    if (performance.now() - begin > limitSeconds * 1000) break
  }
  // Kilobytes.
  const peak = process.resourceUsage().maxRSS * 1024
  process.stdout.write(`${JSON.stringify({ seconds, peak_bytes: peak, ...more })}\n`)
}
