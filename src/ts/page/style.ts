/** The style sheet of all pages. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f5f6f8; --text: #1b1f24; --soft: #57606a; --line: #d5d9df; --focus: #0969da;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --card: #1d2229; --text: #e8ebef; --soft: #a3adb9; --line: #363e49; --focus: #6cb6ff;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .75rem }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem }
p, ul { color: var(--soft); margin: .5rem 0; max-width: 46rem }
ul { padding-left: 1.2rem }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)) }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem }
figcaption { font-weight: 600; margin-bottom: .25rem }
figure svg { display: block; width: 100%; height: auto; max-width: 28rem; margin: 0 auto }
.table { overflow-x: auto; margin: .75rem 0 }
.table:focus-visible, summary:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 100% }
caption { text-align: left; position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
th, td { padding: .4rem .75rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap }
td:nth-child(2):last-child { white-space: normal; overflow-wrap: anywhere }
.words td { white-space: normal; overflow-wrap: break-word; min-width: 9rem; vertical-align: top }
thead th { color: var(--soft); font-weight: 600 }
.number { text-align: right }
tbody th { position: sticky; left: 0; background: var(--page); font-weight: 600 }
summary { cursor: pointer; font-weight: 600; padding: .25rem 0 }
@media (max-width: 30rem) { th, td { padding: .35rem .45rem } }
@media print { .figures { grid-template-columns: 1fr 1fr } figure { break-inside: avoid } }
`
