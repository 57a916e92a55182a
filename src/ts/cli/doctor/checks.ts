import type { Deps } from '../deps.js'
import { type Check, note } from './check.js'
import { graphicsCheck, processorCheck } from './devices.js'
import { libraryCheck, nodeCheck, packageCheck, platformCheck } from './installation.js'
import { cacheDirectory, dataCheck, spaceCheck } from './storage.js'

/** Everything that an installation can be ill with. */
export async function checks(deps: Deps): Promise<Check[]> {
  const library = libraryCheck()
  const works = library.status !== 'broken'
  return [
    packageCheck(),
    platformCheck(),
    nodeCheck(),
    library,
    works ? processorCheck() : note('processor', 'not known without the native library', null),
    await graphicsCheck(works),
    works
      ? await dataCheck(deps)
      : note('data', `not read without the native library: ${cacheDirectory}`, null),
    await spaceCheck('space for data', cacheDirectory, 'name another folder in MOBILENET_NATIVE_CACHE'),
    await spaceCheck('space for runs', process.cwd(), 'name another folder with --out'),
  ]
}
