// A registry of npm on this machine, in a folder that is thrown away, as if the packages were published.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { end, start } from './run.mjs'

/** Milliseconds. */
const startTimeout = 60_000

/**
 * Starts verdaccio on a free port of the loopback interface.
 *
 * @param tools folder with verdaccio in its `node_modules`.
 * @param folder where it keeps what is published.
 * @param upstream address of the registry that it asks for all other packages.
 */
export async function startRegistry({ tools, folder, upstream }) {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const address = `http://127.0.0.1:${port}/`
  // YAML takes JSON.
  const config = {
    storage: './storage',
    auth: { htpasswd: { file: './htpasswd', max_users: 1 } },
    uplinks: { upstream: { url: upstream, timeout: '60s', maxage: '60m' } },
    packages: {
      'mobilenet-native*': { access: '$all', publish: '$authenticated' },
      '**': { access: '$all', proxy: 'upstream' },
    },
    max_body_size: '500mb',
    web: { enable: false },
    log: { type: 'file', path: join(folder, 'log'), level: 'warn' },
  }
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config))
  const program = join(tools, 'node_modules', 'verdaccio', 'bin', 'verdaccio')
  const listen = ['--config', 'config.yaml', '--listen', `127.0.0.1:${port}`]
  const child = start([process.execPath, program, ...listen], { cwd: folder })
  await answers(child, address)
  return { address, token: await addUser(address), stop: () => end(child) }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function answers(child, address) {
  const end = Date.now() + startTimeout
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`verdaccio ended with status ${child.exitCode}`)
    const response = await fetch(`${address}-/ping`).catch(() => undefined)
    if (response?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`verdaccio did not answer within ${startTimeout / 1000} s`)
}

/** npm publishes nothing without a token. */
async function addUser(address) {
  const name = 'rehearsal'
  const response = await fetch(`${address}-/user/org.couchdb.user:${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password: 'of-no-consequence', type: 'user' }),
  })
  const { token } = await response.json()
  if (!token) throw new Error(`verdaccio gave no token: ${response.status}`)
  return token
}
