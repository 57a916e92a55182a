/** Whether `engines` names this version of Node. It holds alternatives like `^20.19.0` and `>=22.9.0`. */
export function isSupported(version: string, engines: string): boolean {
  const major = (of: string) => Number.parseInt(of, 10)
  return engines.split(' || ').some((range) => {
    const least = leastOf(range)
    const newEnough = version.localeCompare(least, 'en', { numeric: true }) >= 0
    return newEnough && (range.startsWith('>=') || major(version) === major(least))
  })
}

/** The version to install for want of one that `engines` names: the oldest of the last alternative. */
export function newestLine(engines: string): string {
  return leastOf(engines.split(' || ').at(-1) ?? '')
}

const leastOf = (range: string) => range.replace(/^(\^|>=) ?/, '')
