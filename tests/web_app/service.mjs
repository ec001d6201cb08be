// The web app's way to live events: one socket, and two loops that bring it back.

import { io } from './packages.mjs'

const ATTEMPTS = 5
const DELAY = 3_000
const TIMEOUT = 10_000
const ACK_LIMIT = 5_000

/**
 * One tab's connection.
 *
 * `march` speaks as the app did in March 2025: polling first, the tenant in the query too, and
 * typing and messages over the socket. `pace` shortens the app's waiting, and nothing else.
 */
export class Service {
  constructor({ api, login, store, options }) {
    Object.assign(this, { api, login, store })
    this.options = { pace: 1, march: false, transports: ['websocket', 'polling'], ...options }
    this.connected = false
    this.attempts = 0
    this.joined = new Set()
    this.socket = null
    this.endpoint = null
    this.sockets = 0
    /** For the test: everything that came, each with the number of its socket. */
    this.log = []
    this.acks = []
    this.errors = []
    this.closes = []
    this.joinings = []
  }

  /** Resolves when connected; where the first try fails, it never does. */
  async connect() {
    if (this.socket && this.connected) return true
    await this.ensureMatrixUser()
    this.disconnect()
    try {
      const { data } = await this.api.post('/api/matrix/websocket-info')
      if (!data.authenticated) return false
      this.endpoint = data.endpoint.replace(/^wss?:\/\//i, 'https://').replace(/\/matrix$/, '')
    } catch {
      // The app goes on with what it knows.
    }
    this.socket = this.#open()
    return new Promise(resolve => this.#listen(this.socket, resolve))
  }

  disconnect() {
    this.socket?.disconnect()
    this.socket = null
    this.connected = false
    this.joined.clear()
    clearTimeout(this.timer)
  }

  async ensureMatrixUser() {
    const { user } = this.login
    if (user.matrixUserId) return
    const { data } = await this.api.post('/api/matrix/provision-user')
    user.matrixUserId = data.matrixUserId
  }

  /** Asks for a room's events, unless it is known to be joined. */
  async joinRoom(roomId) {
    if (!this.socket || !this.connected) return false
    if (this.joined.has(roomId)) return true
    const answer = await this.ask('join-room', { roomId, tenantId: this.login.tenant })
    this.joinings.push({ roomId, answer })
    if (answer?.success) this.joined.add(roomId)
    return Boolean(answer?.success)
  }

  /** Emits, and waits for the ack no longer than the app does; undefined where none comes. */
  ask(name, payload, { limit = ACK_LIMIT } = {}) {
    const began = performance.now()
    return new Promise(resolve => {
      const late = () => this.#acked(name, began, undefined, resolve)
      const timer = limit === null ? null : setTimeout(late, limit)
      this.socket.emit(name, payload, (...answers) => {
        clearTimeout(timer)
        this.#acked(name, began, answers, resolve)
      })
    })
  }

  async sendTyping(roomId, isTyping) {
    if (this.options.march && this.connected) {
      this.socket.emit('typing', { roomId, isTyping, tenantId: this.login.tenant })
    } else {
      await this.api.post(`/api/matrix/${roomId}/typing`, { isTyping })
    }
  }

  async sendMessage(roomId, message) {
    if (!this.connected) {
      const { data } = await this.api.post(`/api/matrix/messages/${roomId}`, { message })
      return data.id
    }
    const payload = { roomId, message, tenantId: this.login.tenant }
    const answer = await this.ask('message', payload, { limit: null })
    if (answer?.error) throw new Error(answer.error)
    if (!answer?.id) throw new Error('no id')
    return answer.id
  }

  #open() {
    const { tenant, token } = this.login
    const { pace, march, transports } = this.options
    // A browser can set no headers of its own on a WebSocket.
    const headers = { extraHeaders: { 'x-tenant-id': tenant } }
    this.sockets += 1
    return io(`${this.endpoint ?? this.login.url}/matrix`, {
      auth: { token: `Bearer ${token}`, tenantId: tenant },
      transportOptions: { polling: headers },
      reconnectionAttempts: ATTEMPTS,
      reconnectionDelay: DELAY * pace,
      reconnectionDelayMax: 5_000 * pace,
      timeout: TIMEOUT,
      ...(march ? { query: { tenantId: tenant } } : { transports }),
    })
  }

  #listen(socket, resolve) {
    const number = this.sockets
    socket.on('connect', () => {
      this.connected = true
      this.attempts = 0
      this.#joinAll()
      resolve(true)
    })
    socket.on('connect_error', error => {
      this.connected = false
      this.errors.push(error.message)
      // The trap: a text that speaks of the tenant makes the app forget which one it is in.
      if (/tenant|authorization/i.test(String(error))) this.login.tenant = 'default'
      this.#later()
    })
    socket.on('disconnect', reason => {
      this.connected = false
      this.closes.push(reason)
      this.joined.clear()
      if (!['io server disconnect', 'io client disconnect'].includes(reason)) this.#later()
    })
    socket.on('matrix-event', event => {
      this.log.push({ socket: number, ...event })
      this.#handle(event)
    })
    for (const name of ['matrix-message', 'message-sent', 'subscription_confirmed', 'exception']) {
      socket.on(name, event => this.log.push({ socket: number, name, ...event }))
    }
  }

  async #joinAll() {
    const { tenant, user } = this.login
    const answer = await this.ask('join-user-rooms', { userId: user.matrixUserId, tenantId: tenant })
    if (answer?.roomCount > 0) for (const room of answer.rooms) this.joined.add(room.id)
    this.roomsAnswer = answer
  }

  /** The second loop: whatever the first one does, this one makes a new socket a while later. */
  #later() {
    clearTimeout(this.timer)
    if (this.attempts >= ATTEMPTS) return
    this.attempts += 1
    const delay = DELAY * 1.5 ** (this.attempts - 1) * this.options.pace
    this.timer = setTimeout(() => this.connect().catch(() => {}), delay)
  }

  #handle(event) {
    if (event.type === 'm.room.message') {
      event._broadcastId ??= `${Date.now()}-${Math.random().toString(36).slice(2, 9)}`
      if (event.content && !event.content.topic) event.content.topic = 'General'
      this.store.take(event)
    } else if (event.type === 'm.typing') {
      if (event.room_id) this.store.setTyping(event.room_id, event.typing)
    } else if (event.type === 'm.room.member') {
      const own = event.sender === this.login.user.matrixUserId
      if (own && event.content?.membership === 'join' && event.room_id) this.joined.add(event.room_id)
    }
  }

  #acked(name, began, answers, resolve) {
    this.acks.push({ name, ms: performance.now() - began, count: answers?.length ?? null })
    resolve(answers?.[0])
  }
}
