/**
 * The shapes of the Web API and of the stream, as the server documents them at
 * `/api/v1/openapi.json`. Times are integers in milliseconds since the epoch.
 *
 * @typedef {object} Person
 * @property {string} mxid Matrix user id.
 * @property {string} name What to call them.
 * @property {string | null} avatar_url
 * @property {string | null} slug Null: someone from Matrix who is not an OpenMeet user.
 *
 * @typedef {Person & {membership: string, power_level: number, role: string | null}} Member
 *
 * @typedef {object} Entry One event of a timeline.
 * @property {string} event_id
 * @property {string} room_id
 * @property {string} order Opaque; lexicographic order is timeline order.
 * @property {string} type
 * @property {string} [state_key]
 * @property {Person} [subject] Whom an entry of type m.room.member is about.
 * @property {Person} sender
 * @property {number} timestamp
 * @property {Record<string, any>} content Raw Matrix content: trust nothing in it.
 * @property {boolean} redacted
 * @property {string} [client_txn_id]
 *
 * @typedef {object} Receipt
 * @property {string} room_id
 * @property {Person} user
 * @property {string} event_id
 * @property {string} order
 * @property {number} timestamp
 *
 * @typedef {'group' | 'meetup' | 'direct'} RoomKind
 *
 * @typedef {object} Room
 * @property {string} room_id
 * @property {RoomKind} kind
 * @property {string} slug
 * @property {string} name
 * @property {string | null} topic
 * @property {string | null} avatar_url
 * @property {string | null} url
 * @property {number} member_count
 * @property {Entry | null} last_message
 * @property {number} unread_count At most 100, which stands for "99+".
 * @property {string | null} read_order
 * @property {boolean} can_send
 *
 * @typedef {object} TimelinePage
 * @property {Entry[]} entries Ascending.
 * @property {boolean} has_before
 * @property {boolean} has_after
 * @property {Receipt[]} receipts
 *
 * @typedef {object} SendStatus
 * @property {'sent' | 'pending' | 'failed'} status
 * @property {string} [event_id]
 * @property {string} [errcode]
 * @property {string} [error]
 *
 * @typedef {object} Me
 * @property {{id: string, name: string}} tenant
 * @property {Person} user
 * @property {number} expires_at
 *
 * @typedef {object} DemoUser
 * @property {string} tenant
 * @property {string} tenant_name
 * @property {string} slug
 * @property {string} name
 * @property {string} jwt
 *
 * @typedef {object} Frame One message of the stream.
 * @property {string} type
 * @property {string} [cursor] Only on frames that have a position.
 * @property {any} data
 *
 * @typedef {object} Clock What timers are made of; replaced in tests.
 * @property {() => number} now
 * @property {(fn: () => void, ms: number) => any} setTimeout
 * @property {(id: any) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (id) => clearTimeout(id),
};
