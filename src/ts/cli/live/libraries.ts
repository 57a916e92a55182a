// What draws on a terminal. Most of these packages are ES modules with a dozen small ones behind them, so the build makes
// one file of this one (scripts/bundle.mjs), which any Node 20 can `require`.
export { default as ansiEscapes } from 'ansi-escapes'
export { cyan, plot } from 'asciichart'
export { default as cliCursor } from 'cli-cursor'
export { default as sliceAnsi } from 'slice-ansi'
export { default as stringWidth } from 'string-width'
