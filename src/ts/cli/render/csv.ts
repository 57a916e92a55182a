/** A row of comma-separated values, quoted where that is needed (RFC 4180). */
export function writeCsv(stream: NodeJS.WriteStream, cells: (string | number)[]): void {
  // Loaded when it is needed.
  const { stringify } = require('csv-stringify/sync') as typeof import('csv-stringify/sync')
  stream.write(stringify([cells]))
}
