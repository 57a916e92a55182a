import { homedir } from 'node:os'
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
  if (platform === 'win32') return env.LOCALAPPDATA || join(homedir(), 'AppData', 'Local')
  return platform === 'darwin' ? join(homedir(), 'Library', 'Caches') : join(homedir(), '.cache')
}
