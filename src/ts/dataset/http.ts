import { open, rm } from 'node:fs/promises'
import { fileSize } from './files.js'

/** What {@link fetchFile} is to fetch. */
export interface FetchOptions {
  url: string
  /** Where the bytes go. What an interrupted call left there is gone on with. */
  path: string
  /** How many bytes the whole file has; where that isn't known, as many as the server says. */
  bytes?: number | undefined
  /** Milliseconds until the answer must begin. */
  answerTimeout: number
  /** Milliseconds without a byte after which the connection counts as dead. */
  stallTimeout: number
  onBytes: (received: number, total: number | undefined) => void
  signal: AbortSignal
}

/**
 * Fetches a file, and goes on where an earlier call was interrupted. A connection that breaks or stalls
 * after it gave something is tried again.
 *
 * @throws when the file can't be had; what arrived stays for the next call. The content is for the caller to check.
 */
export async function fetchFile(options: FetchOptions): Promise<void> {
  for (;;) {
    const before = await usable(options)
    if (before === options.bytes) return
    try {
      return await fetchRest(options, before)
    } catch (error) {
      options.signal.throwIfAborted()
      const after = (await fileSize(options.path)) ?? 0
      if (error instanceof Refused || after <= before) throw error
    }
  }
}

/** The server gave an answer that another attempt won't change. */
class Refused extends Error {}

/** How many of the bytes that are there can be gone on with. */
async function usable({ path, bytes }: FetchOptions): Promise<number> {
  const size = (await fileSize(path)) ?? 0
  if (bytes === undefined || size <= bytes) return size
  await rm(path)
  return 0
}

async function fetchRest(options: FetchOptions, from: number): Promise<void> {
  const watchdog = new AbortController()
  const expire = (words: string) => () => watchdog.abort(new Error(words))
  const timer = setTimeout(
    expire(`no answer within ${options.answerTimeout / 1000} s`),
    options.answerTimeout,
  )
  let stall: NodeJS.Timeout | undefined
  const signal = AbortSignal.any([options.signal, watchdog.signal])
  try {
    const response = await fetch(options.url, {
      signal,
      headers: from > 0 ? { range: `bytes=${from}-` } : {},
    })
    clearTimeout(timer)
    stall = setTimeout(expire(`no data for ${options.stallTimeout / 1000} s`), options.stallTimeout)
    const { start, total } = await accept(response, options, from)
    const file = await open(options.path, start > 0 ? 'a' : 'w')
    try {
      let received = start
      for await (const chunk of response.body ?? []) {
        stall.refresh()
        received += chunk.length
        if (total !== undefined && received > total)
          throw new Refused(`more than the expected ${total} bytes came`)
        await file.appendFile(chunk)
        options.onBytes(received, total)
      }
      if (total !== undefined && received < total)
        throw new Error(`the connection ended after ${received} of ${total} bytes`)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : explain(error)
  } finally {
    clearTimeout(timer)
    clearTimeout(stall)
  }
}

/** Checks an answer's head; returns the place in the file where its body begins, and the size of the whole. */
async function accept(
  response: Response,
  { path, bytes }: FetchOptions,
  from: number,
): Promise<{ start: number; total: number | undefined }> {
  const refuse = async (words: string) => {
    await response.body?.cancel()
    return new Refused(words)
  }
  if (response.status === 416) {
    await rm(path)
    throw await refuse(
      'the server has nothing after what was fetched before; that is now removed, so try again',
    )
  }
  if (!response.ok)
    throw await refuse(`the server answered ${response.status} ${response.statusText}`.trimEnd())
  // A server may ignore the wish for a part, and send all.
  const partial = response.status === 206
  if (partial && !response.headers.get('content-range')?.startsWith(`bytes ${from}-`)) {
    throw await refuse(`the server sent another part than bytes ${from} and on`)
  }
  const start = partial ? from : 0
  const length = response.headers.get('content-length')
  // Of an encoded body it is the encoded length.
  const known = length !== null && !response.headers.has('content-encoding')
  const offered = known ? start + Number(length) : undefined
  if (bytes !== undefined && offered !== undefined && offered !== bytes) {
    throw await refuse(`the server offers ${offered} bytes; expected ${bytes}`)
  }
  return { start, total: bytes ?? offered }
}

/** `fetch` says only that it failed; why, is in the cause. */
function explain(error: unknown): unknown {
  if (!(error instanceof TypeError) || !(error.cause instanceof Error)) return error
  const { cause } = error
  return new Error(cause.message || (cause as NodeJS.ErrnoException).code || error.message, { cause: error })
}
