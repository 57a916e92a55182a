import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** One precision of one case of parity.json; see make_parity.py beside it. */
export interface Figures {
  eval_logits: number[][]
  train_logits: number[][]
  gradient_norms: Record<string, number>
  gradient_heads: Record<string, number[]>
  running: Record<string, number[]>
  losses: number[]
  eval_logits_after: number[][]
}

export interface Shaped {
  name: string
  shape: number[]
}

export const fixtures = join(import.meta.dirname, 'fixtures')
export const sample = join(fixtures, 'cifar-10-sample')

const mask64 = (1n << 64n) - 1n

/** `count` numbers in [0, 1) that follow from a name: `uniform` in make_parity.py. */
export function uniform(name: string, count: number): Float64Array {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(name)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & mask64
  const numbers = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    let z = (hash + BigInt(i + 1) * 0x9e3779b97f4a7c15n) & mask64
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask64
    z ^= z >> 31n
    numbers[i] = Number(z >> 11n) * 2 ** -53
  }
  return numbers
}

/** The values of a tensor of this name: `fill` in make_parity.py. */
function filled({ name, shape }: Shaped): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1)
  const scale = Math.sqrt(6 / (count / (shape[0] ?? 1)))
  const centred = /(bias|running_mean)$/.test(name)
  return Float32Array.from(uniform(name, count), (u) => {
    if (shape.length >= 2) return (2 * u - 1) * scale
    return centred ? 0.2 * (u - 0.5) : 0.5 + u
  })
}

/** Writes these tensors, filled by their names, as another program would: plain safetensors without metadata. */
export function writeFilled(path: string, tensors: Shaped[]): void {
  const header: Record<string, unknown> = {}
  const parts: Buffer[] = []
  let end = 0
  for (const tensor of tensors) {
    const bytes = Buffer.from(filled(tensor).buffer)
    header[tensor.name] = { dtype: 'F32', shape: tensor.shape, data_offsets: [end, end + bytes.length] }
    end += bytes.length
    parts.push(bytes)
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  writeFileSync(path, Buffer.concat([length, json, ...parts]))
}

/** The first `count` records of a sample file, normalised, `[count, 3, 32, 32]`, and their labels. */
export function pictures(file: string, count: number): { input: Float32Array; labels: number[] } {
  const mean = [0.485, 0.456, 0.406]
  const std = [0.229, 0.224, 0.225]
  const records = readFileSync(join(sample, file))
  const input = new Float32Array(count * 3072)
  const labels: number[] = []
  for (let record = 0; record < count; record++) {
    const at = record * 3073
    labels.push(records[at] as number)
    for (let i = 0; i < 3072; i++) {
      const channel = Math.floor(i / 1024)
      const value = (records[at + 1 + i] as number) / 255
      input[record * 3072 + i] = (value - (mean[channel] as number)) / (std[channel] as number)
    }
  }
  return { input, labels }
}

/** Pictures and labels that follow from their number and size: see `made_up` in make_parity.py. */
export function madeUp(count: number, side: number, classes: number) {
  const values = uniform(`input:${count}x3x${side}x${side}`, count * 3 * side * side)
  return {
    input: Float32Array.from(values, (u) => (2 * u - 1) * 2),
    labels: Uint32Array.from(uniform(`label:${count}`, count), (u) => Math.floor(u * classes)),
  }
}

/** One case in both precisions. */
export function parityCase(name: string): { float32: Figures; float64: Figures } {
  return JSON.parse(readFileSync(join(fixtures, 'parity', 'parity.json'), 'utf8')).cases[name]
}

/** The course's names for the tensors of a network in layout `unpadded`. */
export function courseName(name: string): string {
  const stem = /^conv_stem\.(weight|bias)$/.exec(name)
  if (stem) return `features.0.${stem[1]}`
  const head = /^classifier\.(weight|bias)$/.exec(name)
  if (head) return `fc.${head[1]}`
  const block = /^blocks\.(\d)\.(\d)\.(conv_dw|bn1|conv_pw|bn2)\.(\w+)$/.exec(name)
  if (!block) throw new Error(`no tensor of the course: ${name}`)
  const before = [0, 1, 3, 5, 11][Number(block[1])] as number
  const module = 2 + 2 * (before + Number(block[2])) + (block[3] === 'conv_pw' || block[3] === 'bn2' ? 1 : 0)
  const part = { conv_dw: 'dw_conv_k3', conv_pw: 'p_conv_k1', bn1: 'bn', bn2: 'bn' }[block[3] as 'bn1']
  return `features.${module}.${part}.${block[4]}`
}
