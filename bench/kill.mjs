// Kills a run with -9 at random moments and resumes it each time, until it ends; then compares the end with that of a run
// that nobody disturbed. After each kill every file must be whole.
//
//     node bench/kill.mjs [--kills 20] [--seed 1] [options of train]
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
// Not by the package's name: bench is a package of its own.
import { MobileNet, readRun } from '../dist/index.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bin = join(root, 'bin', 'mobilenet-native.js')
const { values, positionals } = parseArgs({
  options: { kills: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
  allowPositionals: true,
  strict: true,
})
const kills = Number(values.kills)
const sample = join(root, '__test__', 'fixtures', 'cifar-10-sample')
const recipe = positionals.length > 0 ? positionals : ['--data', sample]
const options = [
  '--layout',
  'cifar',
  '--width',
  '0.5',
  '--batch-size',
  '16',
  '--epochs',
  '40',
  '--save-every',
  '5',
  '--keep',
  '2',
]
const folder = mkdtempSync(join(tmpdir(), 'mobilenet-native-kill-'))
const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')]

/** Numbers from 0 to 1 that follow from the seed. */
function* random(seed) {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state / 2 ** 32
  }
}

/** Every file in the folder must be whole: loads, parses, ends as it should. The log alone may end in half a line. */
async function check(path) {
  for (const name of readdirSync(path)) {
    const file = join(path, name)
    if (name.endsWith('.safetensors')) await MobileNet.load(file)
    else if (name.endsWith('.json')) JSON.parse(readFileSync(file, 'utf8'))
    else if (name === 'results.csv' && !/^epoch,.*\n(\d[^\n]*\n)*$/.test(readFileSync(file, 'utf8')))
      throw new Error(file)
    else if (name === 'report.html' && !readFileSync(file, 'utf8').endsWith('</html>\n'))
      throw new Error(file)
    else if (name === 'samples.png' && readFileSync(file).toString('latin1').slice(-8, -4) !== 'IEND')
      throw new Error(file)
  }
  if (readdirSync(path).includes('log.jsonl'))
    await readRun(path).catch((error) => {
      // Killed before its first line was whole.
      if (!/has no start/.test(error.message)) throw error
    })
}

const digest = async (path) => {
  const hash = createHash('sha256')
  for (const [name, { data }] of (await MobileNet.load(path)).tensors()) hash.update(name).update(data)
  return hash.digest('hex')
}

/** Steps and epochs, without what differs from run to run. */
const told = (path) =>
  readFileSync(join(path, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === 'step' || type === 'epoch')
    .map(({ time, seconds, imagesPerSecond, ...rest }) => JSON.stringify(rest))

const begin = performance.now()
const undisturbed = spawnSync(process.execPath, [
  bin,
  'train',
  ...options,
  ...recipe,
  '--out',
  whole,
  '--quiet',
])
if (undisturbed.status !== 0) throw new Error(String(undisturbed.stderr))
const seconds = (performance.now() - begin) / 1000
console.log(`undisturbed: ${seconds.toFixed(1)} s`)

const moments = random(Number(values.seed))
const allSteps = (await readRun(whole)).steps.length
let done = 0
let left = 1
for (;;) {
  const resume = existsSync(join(killed, 'last.safetensors'))
  const args = resume ? ['--resume', killed, ...recipe] : [...options, ...recipe, '--out', killed]
  const child = spawn(process.execPath, [bin, 'train', ...args, '--quiet'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const closed = new Promise((resolve) => child.on('close', resolve))
  if (done < kills) {
    // Each gets about its share of what is left, and so does what comes after the last: all of them come before the end.
    const delay = 0.3 + (moments.next().value * 1.5 * seconds * left) / (kills - done + 1)
    await Promise.race([wait(1000 * delay), closed])
    child.kill('SIGKILL')
  }
  const status = await closed
  if (status === 0) break
  if (done === kills) throw new Error(`resumed, it ended with status ${status}`)
  // Killed between its last word and its end, it was done.
  if (existsSync(killed) && (await readRun(killed).catch(() => null))?.state === 'finished') break
  done += 1
  if (existsSync(killed)) await check(killed)
  const { epochs, steps } = await readRun(killed).catch(() => ({ epochs: [], steps: [] }))
  left = 1 - steps.length / allSteps
  console.log(`kill ${done}: after ${epochs.length} epochs, ${steps.length} steps; every file is whole`)
}
const same = {
  'last.safetensors':
    (await digest(join(killed, 'last.safetensors'))) === (await digest(join(whole, 'last.safetensors'))),
  'best.safetensors':
    (await digest(join(killed, 'best.safetensors'))) === (await digest(join(whole, 'best.safetensors'))),
  'evaluation.json': readFileSync(join(killed, 'evaluation.json')).equals(
    readFileSync(join(whole, 'evaluation.json')),
  ),
  'log.jsonl': told(killed).join() === told(whole).join(),
  files:
    readdirSync(killed)
      .filter((name) => !name.startsWith('events'))
      .join() ===
    readdirSync(whole)
      .filter((name) => !name.startsWith('events'))
      .join(),
}
console.log(`${done} kills; equal to the undisturbed run:`, same)
rmSync(folder, { recursive: true, force: true })
process.exitCode = done === kills && Object.values(same).every(Boolean) ? 0 : 1
