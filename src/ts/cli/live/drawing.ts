/**
 * The libraries that draw on a terminal, read when something is drawn: a command that draws nothing, like `predict` of one
 * picture, would spend a tenth of its time on reading them.
 */
export function drawing(): typeof import('./libraries.js') {
  return require('./libraries.js') as typeof import('./libraries.js')
}
