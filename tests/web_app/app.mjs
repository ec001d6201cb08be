// A tab of OpenMeet's web app, as far as it chats: what its pages call, and in which order.

import { createApi, Login } from './api.mjs'
import { Service } from './service.mjs'
import { Store } from './store.mjs'

const PAGE = 50
const TYPING = 2_000
const TWICE = 2_000
const BREATH = 500

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

export class Tab {
  constructor({ login, options = {} }) {
    this.login = new Login(login)
    this.pace = options.pace ?? 1
    this.notices = []
    this.calls = []
    this.store = new Store()
    this.api = createApi(this.login, this.notices, this.calls)
    this.service = new Service({ api: this.api, login: this.login, store: this.store, options })
    this.place = null
    this.types = false
  }

  /** The page of a group: it joins without looking at the answer, and shows the chat by its slug. */
  async openGroup(slug) {
    const joined = await this.#tried(() => this.api.post(`/api/chat/group/${slug}/join`))
    await this.#show({ kind: 'group', slug, roomId: slug })
    return { joined: joined?.data ?? null, roomId: this.place.roomId }
  }

  /** The page of an event, for somebody who has said that they come. */
  async openEvent(slug) {
    const own = `/api/chat/event/${slug}/members/${this.login.user.slug}`
    await this.#tried(() => this.api.post(own, {}))
    const before = await this.#tried(() => this.#page({ kind: 'event', slug }))
    const joined = await this.#tried(() => this.api.post(own, {}))
    await sleep(BREATH * this.pace)
    const after = await this.#tried(() => this.#page({ kind: 'event', slug }))
    const first = after?.messages[0]
    const roomId = joined?.data.roomId ?? after?.roomId ?? first?.roomId ?? before?.roomId
    // Where nobody tells the room, the app invents one, which no server knows.
    await this.#show({ kind: 'event', slug, roomId: roomId ?? `!event_${slug}:invented` })
    return { joined: joined?.data ?? null, roomId: this.place.roomId }
  }

  /** The chat itself: comes up on both pages, and again whenever the user comes back to one. */
  async #show(place) {
    this.place = place
    await this.service.ensureMatrixUser()
    this.live = await this.service.connect()
    this.joinedRoom = await this.service.joinRoom(place.roomId)
    await this.load()
  }

  /** Loads the newest messages; what was shown gives way to them. */
  async load() {
    const page = await this.#page(this.place)
    if (page.roomId) this.place.roomId = page.roomId
    this.store.load(this.place.roomId, page.messages, { more: false })
    this.end = page.end
    return this.end
  }

  /** "Load earlier". */
  async loadEarlier() {
    const page = await this.#page(this.place, this.end)
    this.store.load(this.place.roomId, page.messages, { more: true })
    this.end = page.end
    return this.end
  }

  /** Sends, and shows what was sent; the same text twice in two seconds is sent once. */
  async send(text) {
    const { roomId } = this.place
    await this.typing(false)
    const twin = this.#own(roomId, text)
    if (twin) return twin.event_id ?? twin.eventId
    const id = await this.#post(text)
    if (!this.#own(roomId, text)) this.store.takeOwn(this.#optimistic(roomId, text, id))
    return id
  }

  /** Says that the user types, or no longer does; says so by itself after two seconds. */
  async typing(isTyping) {
    if (this.types === isTyping) return
    this.types = isTyping
    clearTimeout(this.stops)
    await this.service.sendTyping(this.place.roomId, isTyping)
    if (isTyping) this.stops = setTimeout(() => this.typing(false).catch(() => {}), TYPING * this.pace)
  }

  /** Anything else that a page asks. A refusal is an answer too. */
  async call(method, path, data) {
    try {
      const { status, data: answer } = await this.api.request({ method, url: path, data })
      return { status, data: answer }
    } catch (error) {
      if (!error.response) throw error
      return { status: error.response.status, data: error.response.data }
    }
  }

  /** The next tab sees what this one sees; for the test. */
  look() {
    const { service, store } = this
    const roomId = this.place?.roomId
    return {
      roomId,
      connected: service.connected,
      live: this.live ?? null,
      joinedRoom: this.joinedRoom ?? null,
      transport: service.socket?.io.engine?.transport?.name ?? null,
      sockets: service.sockets,
      joined: [...service.joined],
      rooms: service.roomsAnswer ?? null,
      shown: store.shown(roomId),
      typing: store.typing.get(roomId) ?? [],
      dropped: store.dropped,
      log: service.log,
      acks: service.acks,
      errors: service.errors,
      closes: service.closes,
      joinings: service.joinings,
      calls: this.calls,
      notices: this.notices,
      tenant: this.login.tenant,
      refreshes: this.login.refreshes,
      loggedOut: this.login.loggedOut,
      matrixUserId: this.login.user.matrixUserId ?? null,
    }
  }

  async #post(text) {
    const { kind, slug, roomId } = this.place
    if (this.service.options.march) return this.service.sendMessage(roomId, text)
    const { data } = await this.api.post(`/api/chat/${kind}/${slug}/message`, { message: text })
    return data.id
  }

  async #page({ kind, slug }, from) {
    const params = { limit: PAGE, ...(from ? { from } : {}) }
    const { data } = await this.api.get(`/api/chat/${kind}/${slug}/messages`, { params })
    return data
  }

  #own(roomId, text) {
    const sender = this.login.user.matrixUserId
    const since = Date.now() - TWICE
    return this.store.shown(roomId).find(one => one.sender === sender && one.content?.body === text
      && (one.origin_server_ts || one.timestamp || 0) > since)
  }

  #optimistic(roomId, text, id) {
    const { firstName, lastName, matrixUserId } = this.login.user
    const own = `${Date.now()}-${Math.random().toString(36).slice(2, 9)}`
    return {
      event_id: id,
      room_id: roomId,
      sender: matrixUserId,
      sender_name: [firstName, lastName].filter(Boolean).join(' '),
      content: { msgtype: 'm.text', body: text, _clientMsgId: own },
      origin_server_ts: Date.now(),
      type: 'm.room.message',
      _optimistic: true,
      _clientMsgId: own,
    }
  }

  async #tried(what) {
    try {
      return await what()
    } catch (error) {
      if (!error.response) throw error
      return null
    }
  }
}
