import { Cifar10, type Dataset } from '../../../index.js'
import type { Deps } from './deps.js'
import { DownloadBar } from './render/download.js'

/** What a command was told about its output. */
interface Output {
  quiet?: boolean | undefined
  json?: boolean | undefined
}

/** Opens the data set in `directory`; without one, that in the cache, which is downloaded if it is not there. */
export async function openData(deps: Deps, directory: string | undefined, output: Output): Promise<Dataset> {
  if (directory !== undefined) return Cifar10.open({ directory, signal: deps.interrupt })
  return downloadData(deps, undefined, output)
}

/** Opens the data set in `directory` or the cache, and downloads it to there if need be, with a bar on stderr. */
export async function downloadData(
  deps: Deps,
  directory: string | undefined,
  output: Output,
): Promise<Dataset> {
  const bar = new DownloadBar(deps.stderr)
  // Who reads JSON from stdout reads errors as JSON from stderr, unless that is a terminal.
  const shown = !output.quiet && (!output.json || deps.stderr.isTTY)
  try {
    return await Cifar10.open({
      ...(directory === undefined ? {} : { directory }),
      download: true,
      signal: deps.interrupt,
      onProgress: (progress) => {
        if (shown) bar.update(progress)
      },
    })
  } finally {
    bar.stop()
  }
}
