import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * The folder where downloaded data sets are kept: `MOBILENET_NATIVE_CACHE` if that is set, otherwise a folder where
 * the system wants caches to be.
 */
export function cacheDirectory(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  return env.MOBILENET_NATIVE_CACHE || join(systemCache(env, platform), 'mobilenet-native')
}

function systemCache(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string {
  if (env.XDG_CACHE_HOME) return env.XDG_CACHE_HOME
  if (platform === 'win32' && env.LOCALAPPDATA) return env.LOCALAPPDATA
  let home: string
  try {
    home = homedir()
  } catch {
    // A user whom the system doesn't know, as in some containers. Everybody writes there, so it is of this user alone.
    return join(tmpdir(), `cache-${process.getuid?.() ?? 'unknown'}`)
  }
  if (platform === 'win32') return join(home, 'AppData', 'Local')
  return platform === 'darwin' ? join(home, 'Library', 'Caches') : join(home, '.cache')
}
