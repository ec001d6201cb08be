// Many tabs in one Node, steered by the test: a command a line comes in, an answer a line goes out.
//
//   {"id": 1, "tab": "ann", "do": "open", "with": [{login, options}]}
//   {"id": 1, "value": …} or {"id": 1, "error": "…"}

import { createInterface } from 'node:readline'

import { Tab } from './app.mjs'
import { io } from './packages.mjs'

const tabs = new Map()

/** Commands that are more than the call of a tab's method of the same name. */
const COMMANDS = {
  open: (name, given) => { tabs.set(name, new Tab(given)) },
  connect: name => tabs.get(name).service.connect(),
  ask: (name, event, payload) => tabs.get(name).service.ask(event, payload),
  joinRoom: (name, roomId) => tabs.get(name).service.joinRoom(roomId),
  login: (name, changes) => { Object.assign(tabs.get(name).login, changes) },
  expire: (name, token) => {
    const { login, service } = tabs.get(name)
    login.token = token
    if (service.socket) service.socket.auth = { ...service.socket.auth, token: `Bearer ${token}` }
  },
  handshake: (_, url, options) => handshake(url, options),
  close: name => {
    tabs.get(name).service.disconnect()
    tabs.delete(name)
  },
}

/** Tries once, as nobody's tab: what a server says to whom it does not let in. */
function handshake(url, options) {
  const socket = io(url, { forceNew: true, reconnection: false, transports: ['websocket'], ...options })
  return new Promise(resolve => {
    const said = value => {
      socket.disconnect()
      resolve(value)
    }
    socket.on('connect', () => said({ connected: true }))
    socket.on('connect_error', error => said({ error: error.message, data: error.data ?? null }))
  })
}

async function obey({ id, tab, do: what, with: given = [] }) {
  try {
    const command = COMMANDS[what]
    const value = await (command ? command(tab, ...given) : tabs.get(tab)[what](...given))
    return { id, value: value ?? null }
  } catch (error) {
    const status = error.response?.status ?? null
    return { id, error: String(error.stack ?? error), status, body: error.response?.data ?? null }
  }
}

process.on('unhandledRejection', error => {
  process.stderr.write(`nobody waits for this: ${error.stack}\n`)
  process.exit(1)
})

for await (const line of createInterface({ input: process.stdin })) {
  obey(JSON.parse(line)).then(answer => process.stdout.write(`${JSON.stringify(answer)}\n`))
}
process.exit(0)
