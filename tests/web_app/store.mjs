// What the web app shows: its messages by room, and the rules by which it leaves live ones out.

const REMEMBERED = 30_000
const SAME_SENDER = 30_000
const OTHER_SENDER = 5_000

const idOf = message => message.event_id || message.eventId
const roomOf = message => message.room_id || message.roomId
const timeOf = message => message.origin_server_ts || message.timestamp || 0
const bodyOf = message => message.content?.body

export class Store {
  constructor() {
    this.rooms = new Map()
    this.typing = new Map()
    /** Live messages that were not shown: by which rule, and which. */
    this.dropped = []
    this.remembered = new Set()
  }

  shown(roomId) {
    return this.rooms.get(roomId) ?? []
  }

  /** Takes a live message, unless one of the app's eight rules speaks against it. */
  take(message) {
    const rule = this.#against(message)
    if (rule !== null) {
      this.dropped.push({ rule, event_id: idOf(message) ?? null, body: bodyOf(message) ?? null })
      return
    }
    this.#remember(message._broadcastId, this.#key(message))
    this.#put(message)
  }

  /** Shows what the user has just sent, before or after its live copy has come. */
  takeOwn(message) {
    const already = this.shown(roomOf(message)).some(one => idOf(one) === message.event_id)
    if (already) return
    this.#remember(`${message.room_id}:${message._clientMsgId}`, this.#key(message))
    this.#put(message)
  }

  /** A page of history: the first replaces what is there, a further one is added. */
  load(roomId, messages, { more }) {
    this.rooms.set(roomId, more ? [...this.shown(roomId), ...messages] : [...messages])
    this.#sort(roomId)
  }

  setTyping(roomId, people) {
    if (roomId && Array.isArray(people)) this.typing.set(roomId, people)
  }

  #against(message) {
    const [roomId, eventId] = [roomOf(message), idOf(message)]
    if (!roomId || !eventId) return 1
    const there = this.shown(roomId)
    if (there.some(one => idOf(one) === eventId)) return 2
    if (this.remembered.has(this.#key(message))) return 3
    const twin = there.find(one => idOf(one).startsWith('~') && this.#alike(one, message))
    if (eventId.startsWith('$') && twin) {
      twin.event_id = eventId
      return 4
    }
    if (message._broadcastId && this.remembered.has(message._broadcastId)) return 5
    const own = message.content?._clientMsgId ?? message._clientMsgId
    if (own && this.remembered.has(`${roomId}:${own}`)) return 6
    if (there.some(one => this.#alike(one, message) && this.#within(one, message, SAME_SENDER))) return 7
    const echo = one => bodyOf(one) === bodyOf(message) && this.#within(one, message, OTHER_SENDER)
    return there.some(echo) ? 8 : null
  }

  #alike(one, other) {
    return one.sender === other.sender && bodyOf(one) === bodyOf(other)
  }

  #within(one, other, limit) {
    return Math.abs(timeOf(one) - timeOf(other)) < limit
  }

  #key(message) {
    return `${roomOf(message)}:${idOf(message)}`
  }

  #remember(...keys) {
    for (const key of keys.filter(Boolean)) {
      this.remembered.add(key)
      setTimeout(() => this.remembered.delete(key), REMEMBERED).unref()
    }
  }

  #put(message) {
    const roomId = roomOf(message)
    this.rooms.set(roomId, [...this.shown(roomId), message])
    this.#sort(roomId)
  }

  #sort(roomId) {
    this.shown(roomId).sort((one, other) => timeOf(one) - timeOf(other))
  }
}
