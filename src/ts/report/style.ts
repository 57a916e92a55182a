/** What a report's page has besides the style of all pages. */
export const style = `
:root { --s1: #0b62a8; --s2: #b34700; --s3: #00705a; --s4: #8a3d86; --s5: #6b5b00; --s6: #a02040; --heat: 214 96 16 }
@media (prefers-color-scheme: dark) {
  :root { --s1: #5cb0f2; --s2: #ff9d5c; --s3: #3fcfa9; --s4: #dd97d6; --s5: #d6c04a; --s6: #ff8fa3; --heat: 255 140 66 }
}
.facts { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); margin: 1rem 0 }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem }
.facts dt { color: var(--soft); font-size: .875rem }
.facts dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.refresh { display: inline-flex; gap: .5rem; align-items: center; color: var(--soft) }
.refresh input { accent-color: var(--focus); width: 1.1rem; height: 1.1rem }
.refresh input:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px }
.confusion th, .confusion td { padding: .3rem .5rem }
.confusion td { text-align: right; background: rgb(var(--heat) / var(--share, 0)) }
.confusion td.right { font-weight: 700; outline: 2px solid var(--soft); outline-offset: -2px }
.wrong { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); list-style: none; padding: 0; max-width: none }
.wrong li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; color: var(--text); font-size: .875rem }
.wrong img { width: 96px; height: 96px; image-rendering: pixelated; display: block; margin-bottom: .4rem; border-radius: .25rem }
.wrong ol { margin: .25rem 0 0; padding: 0; list-style: none; font-variant-numeric: tabular-nums }
.wrong ol li { all: unset; display: flex; justify-content: space-between; gap: .5rem }
`
