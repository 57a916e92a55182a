// Installations that went wrong: each must be told clearly, and what the error says to type must repair it.
import assert from 'node:assert/strict'
import { cpSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** @param other this platform's package in another version: its folder, and that version. */
export async function failures(stage, other) {
  const { machine, platform, version, wanted } = stage
  const library = (folder) => join(folder, 'node_modules', `mobilenet-native-${platform}`)
  const file = (folder) => join(library(folder), `mobilenet-native.${platform}.node`)

  const omitted = machine.project('omitted')
  await machine.must(omitted, ['npm', 'install', '--omit=optional', wanted])
  await broken(stage, '--omit=optional', omitted, /: not installed\n/)
  await repairByTyping(stage, omitted)

  const setting = machine.project('omitted by .npmrc', { '.npmrc': 'omit=optional\n' })
  await machine.must(setting, ['npm', 'install', wanted])
  await broken(stage, 'omit=optional in .npmrc', setting, /: not installed\n/)
  await repairByTyping(stage, setting)

  // This doesn't run on Windows, so that is always another one.
  const foreign = machine.project('other platform')
  await machine.must(foreign, ['npm', 'install', '--os=win32', '--cpu=x64', wanted])
  const why = /not installed; installed is that for win32-x64-msvc\n/
  await broken(stage, 'installed for another platform', foreign, why)
  rmSync(join(foreign, 'node_modules'), { recursive: true })
  await repairByTyping(stage, foreign)

  const mismatch = machine.project('version mismatch')
  await machine.must(mismatch, ['npm', 'install', wanted])
  rmSync(library(mismatch), { recursive: true })
  cpSync(other.folder, library(mismatch), { recursive: true })
  const versions = `: its version is ${other.version}, and it must be ${version}\n`.replaceAll('.', '\\.')
  await broken(stage, 'another version', mismatch, new RegExp(versions))
  await repairByTyping(stage, mismatch)

  for (const [name, damage] of [
    ['a damaged file', (path) => writeFileSync(path, 'not a library')],
    ['a file cut in half', (path) => truncateSync(path, 1_000_000)],
    ['a lost file', (path) => rmSync(path)],
  ]) {
    const folder = machine.project(name)
    await machine.must(folder, ['npm', 'install', wanted])
    damage(file(folder))
    // In the words of Linux' loader, the package's own, Node's and macOS'.
    await broken(stage, name, folder, /invalid ELF|too short|shorter than|Cannot find module|dlopen\(/)
    await repairByTyping(stage, folder)
  }
}

const probe = ['npx', 'mobilenet-native', 'summary', '--layout', 'cifar']

async function broken({ machine, say, shared }, name, folder, why) {
  const { status, stderr } = await machine.run(folder, probe)
  assert.equal(status, 1)
  assert.match(stderr, /^error NATIVE_NOT_FOUND no native library for /)
  assert.match(stderr, why)
  const doctor = await machine.run(folder, ['npx', 'mobilenet-native', 'doctor', '--json'])
  assert.equal(doctor.status, 1)
  const { ok, checks } = JSON.parse(doctor.stdout)
  const { status: found, fix } = checks.find((check) => check.name === 'native library')
  assert.deepEqual({ ok, found }, { ok: false, found: 'broken' })
  say(`${name}:\n    ${stderr.trimEnd().replaceAll('\n', '\n    ')}`)
  shared.fix = fix
}

/** Types what the error says. */
async function repairByTyping({ machine, shared, say }, folder) {
  const [, command] = /[Tt]ype(?: here)?: (.*)$/.exec(shared.fix) ?? []
  assert.ok(command, `it says what to type: ${shared.fix}`)
  await machine.must(folder, ['sh', '-c', command])
  await machine.must(folder, probe)
  say(`  repaired by: ${command}`)
}
