import { parse } from 'parse5'
import { expect } from 'vitest'

/** What a page says, once it is known to be whole and to need nothing else. */
export function checked(page: string): string {
  const errors: string[] = []
  parse(page, { onParseError: ({ code }) => void errors.push(code) })
  expect(errors).toEqual([])
  // Names of namespaces are no addresses that anything is loaded from.
  expect(page.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '')).not.toMatch(
    /https?:|\bsrc=(?!"data:image\/png;base64,)|@import|url\((?!#)/,
  )
  const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
  expect(new Set(ids).size).toBe(ids.length)
  const drawings = page.match(/<svg.*?<\/svg>/gs) ?? []
  for (const drawing of drawings) {
    expect(drawing).toMatch(
      /^<svg[^>]* role="img"[^>]*>\s*<title id="[^"]+">\w.*?<\/title><desc id="[^"]+">\w/,
    )
    expect(drawing).not.toMatch(/NaN|undefined/)
  }
  return page
}
