import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { cudaStatus, devices } from '../../../../index.js'
import { type Check, note, ok } from './check.js'

/** Milliseconds: a driver that is ill can keep its tool waiting. */
const patience = 10_000

/** What the kernels run on: the processor, the instruction set in use, threads. */
export function processorCheck(): Check {
  const rows = devices()
    .filter(({ name }) => name === 'cpu')
    .map(({ description, simd, bfloat16, threads }) => {
      const kernels = `${simd} in use, ${bfloat16 === null ? 'no bfloat16' : `bfloat16 by ${bfloat16}`}`
      return `${description}, ${kernels}, ${threads} thread${threads === 1 ? '' : 's'}`
    })
  return ok('processor', rows.join('\n'))
}

/** NVIDIA's cards, the driver's library, and whether runs can use them; where there is none, where it was looked for. */
export async function graphicsCheck(works: boolean): Promise<Check> {
  const name = 'graphics card'
  const cards = await nvidiaCards()
  if (cards.error !== undefined) {
    return note(name, `nvidia-smi failed: ${cards.error}`, 'reinstall the NVIDIA driver, or use --device cpu')
  }
  if (!works) return note(name, ['not known without the native library', ...cards.rows].join('\n'), null)
  const { found, library, version, error, attempts } = cudaStatus()
  if (error === null) {
    const usable = devices().filter(({ name }) => name.startsWith('cuda'))
    const rows = usable.map(
      ({ name, description, memoryBytes, computeCapability }) =>
        `${name}: ${description}, ${((memoryBytes ?? 0) / 2 ** 30).toFixed(1)} GiB, compute capability ${computeCapability}`,
    )
    return ok(name, [...rows, `driver for CUDA ${version}: ${library}`, ...cards.rows].join('\n'))
  }
  if (found) return note(name, [error, ...cards.rows].join('\n'), null)
  const places = attempts.map(({ place, failure }) => `looked for ${place}: ${failure}`)
  const first =
    cards.rows.length === 0
      ? 'no NVIDIA driver found: runs use the processor'
      : "the driver's library was not found"
  if (cards.rows.length === 0) return ok(name, [first, ...places].join('\n'))
  return note(
    name,
    [...cards.rows, first, ...places].join('\n'),
    'name the library in MOBILENET_NATIVE_CUDA_PATH',
  )
}

/** What the driver's own tool says: a line a card. None when there is no such tool. */
async function nvidiaCards(): Promise<{ rows: string[]; error?: string }> {
  const query = ['--query-gpu=name,memory.total,compute_cap,driver_version', '--format=csv,noheader']
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, {
      timeout: patience,
      windowsHide: true,
    })
    const cards = stdout.split('\n').filter((line) => line.trim() !== '')
    return {
      rows: cards.map((line) => {
        const [model, memory, capability, driver] = line.split(',').map((field) => field.trim())
        return `${model}, ${memory}, compute capability ${capability}, driver ${driver}`
      }),
    }
  } catch (thrown) {
    const error = thrown as NodeJS.ErrnoException & { stdout?: string; killed?: boolean }
    // EACCES: a folder of PATH is closed to this user, and the others have no such program.
    if (error.code === 'ENOENT' || error.code === 'EACCES') return { rows: [] }
    if (error.killed) return { rows: [], error: `no answer within ${patience / 1000} s` }
    return { rows: [], error: (error.stdout || error.message).trim().split('\n')[0] ?? '' }
  }
}
