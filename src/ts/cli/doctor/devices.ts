import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import { devices } from '../../../../index.js'
import { type Check, note, ok } from './check.js'

/** Milliseconds: a driver that is ill can keep its tool waiting. */
const patience = 10_000

/** What the kernels run on: the processor, the instruction set in use, threads. */
export function processorCheck(): Check {
  const rows = devices()
    .filter(({ name }) => name === 'cpu')
    .map(({ simd, threads }) => {
      const model = cpus()[0]?.model.trim() ?? 'processor of unknown model'
      return `${model}, ${simd} in use, ${threads} thread${threads === 1 ? '' : 's'}`
    })
  return ok('processor', rows.join('\n'))
}

/** Graphics cards with a CUDA driver, and whether runs can use them. */
export async function graphicsCheck(works: boolean): Promise<Check> {
  const name = 'graphics card'
  const usable = works ? devices().filter(({ name }) => name.startsWith('cuda')) : []
  const cards = await nvidiaCards()
  if (usable.length > 0) {
    const rows = usable.map(({ name, description }) => `${name}: ${description}`)
    return ok(name, [...rows, ...cards.rows].join('\n'))
  }
  if (cards.error !== undefined) {
    return note(name, `nvidia-smi failed: ${cards.error}`, 'reinstall the NVIDIA driver, or use --device cpu')
  }
  if (cards.rows.length === 0) return ok(name, 'no NVIDIA driver found: runs use the processor')
  return note(
    name,
    `${cards.rows.join('\n')}\nrun on the processor: this build can't use graphics cards`,
    null,
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
    if (error.code === 'ENOENT') return { rows: [] }
    if (error.killed) return { rows: [], error: `no answer within ${patience / 1000} s` }
    return { rows: [], error: (error.stdout || error.message).trim().split('\n')[0] ?? '' }
  }
}
