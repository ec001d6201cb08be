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
 * @typedef {'text' | 'emote' | 'notice' | 'image' | 'video' | 'audio' | 'file' | 'sticker'
 *   | 'location' | 'poll' | 'call' | 'encrypted' | 'deleted' | 'member' | 'room' | 'unknown'} Kind
 *   `room`: any change of the room itself, a sentence in `text`.
 *
 * @typedef {object} Media A file that a message carries, as its sender describes it.
 * @property {string} [url] An `mxc://` address.
 * @property {string} [name]
 * @property {string} [type]
 * @property {number} [size] Bytes.
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [duration] Milliseconds.
 * @property {boolean} [encrypted]
 * @property {string} [caption] What is said of the file; the entry's `html` is this, formatted.
 *
 * @typedef {{latitude: number, longitude: number, description?: string}} Place
 *
 * @typedef {{question: string, answers: string[]}} Poll
 *
 * @typedef {{people?: Person[], room?: boolean}} Mentions `room`: everybody in the room.
 *
 * @typedef {object} Quote Another entry, in short. Without a `kind`: it is not known here.
 * @property {string} event_id
 * @property {Person} [sender]
 * @property {Kind} [kind]
 * @property {string} [text] One line.
 *
 * @typedef {object} Reaction
 * @property {string} key
 * @property {number} count
 * @property {Person[]} people The first of them; all of them by `Api.reactions`.
 * @property {boolean} [mine] Set by `Timeline.items()` only: the reader is one of them.
 *
 * @typedef {{event_id: string, timestamp: number, count: number}} Edited The newest edit.
 *
 * @typedef {{by?: Person, timestamp?: number, reason?: string}} Deletion
 *
 * @typedef {object} Entry One line of a timeline, as it is to be shown now.
 * @property {string} event_id
 * @property {string} room_id
 * @property {string} order Opaque; lexicographic order is timeline order.
 * @property {number} revision Of two forms of one entry the higher one is the newer.
 * @property {string} type
 * @property {Kind} kind How to show it.
 * @property {Person} sender
 * @property {number} timestamp
 * @property {string} text What it says in words, whatever it is; never empty.
 * @property {string} [html] The same formatted: elements and attributes of the Matrix
 *   specification's list, and no other.
 * @property {string} [state_key]
 * @property {string} [client_txn_id]
 * @property {Person} [subject] Whom an entry of kind `member` is about.
 * @property {string} [membership]
 * @property {Media} [media]
 * @property {Place} [place]
 * @property {Poll} [poll]
 * @property {Mentions} [mentions]
 * @property {Quote} [reply_to]
 * @property {Quote} [thread] The entry with which its thread began.
 * @property {Edited} [edited]
 * @property {Reaction[]} [reactions]
 * @property {Deletion} [deletion]
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
 * @typedef {object} Permissions What one may do in a room.
 * @property {boolean} send
 * @property {boolean} react
 * @property {boolean} delete_others
 * @property {boolean} mention_room
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
 * @property {number} mention_count
 * @property {boolean} marked_unread
 * @property {string | null} read_order
 * @property {Permissions} permissions
 * @property {Person | null} direct_with Of a direct chat: the other one.
 *
 * @typedef {{messages: number, mentions: number, rooms: number}} UnreadTotals
 *   `rooms`: in how many something is unread.
 *
 * @typedef {object} UnreadState What one has not read of one room.
 * @property {string} room_id
 * @property {string | null} read_order
 * @property {number} unread_count
 * @property {number} mention_count
 * @property {boolean} marked_unread
 *
 * @typedef {object} TimelinePage
 * @property {Entry[]} entries Ascending.
 * @property {boolean} has_before
 * @property {boolean} has_after
 * @property {Receipt[]} receipts
 *
 * @typedef {object} TimelineRange At most one of the last four.
 * @property {number} [limit]
 * @property {string} [before] An order.
 * @property {string} [after] An order.
 * @property {string} [around] An event id.
 * @property {number} [at] Milliseconds: around the first entry then or later.
 *
 * @typedef {{event_id: string, timestamp: number, text: string, html?: string}} Version
 *
 * @typedef {{user: Person, timestamp: number}} Reader
 *
 * @typedef {object} Draft A message as it is written.
 * @property {string} body
 * @property {'plain' | 'markdown' | 'html'} [format] Of the body; default: plain.
 * @property {'text' | 'emote' | 'notice'} [kind] Default: text.
 * @property {string} [reply_to] Event id.
 * @property {string} [thread] Event id of the entry with which the thread began.
 * @property {string[]} [mentions] Matrix user ids or slugs.
 * @property {boolean} [mention_room]
 *
 * @typedef {Pick<Draft, 'body' | 'format' | 'mentions' | 'mention_room'>} EditDraft
 *
 * @typedef {object} SendStatus
 * @property {'sent' | 'pending' | 'failed'} status
 * @property {string} [event_id]
 * @property {string} [errcode]
 * @property {string} [error]
 *
 * @typedef {object} SendFailure Of something that the server had accepted.
 * @property {string} room_id
 * @property {string} errcode
 * @property {string} error
 * @property {'send' | 'edit' | 'react' | 'unreact' | 'delete'} action
 * @property {string} [client_txn_id] Of a message or an edit.
 * @property {string} [event_id] What it was about.
 * @property {string} [key] Of a reaction.
 *
 * @typedef {object} Me
 * @property {{id: string, name: string}} tenant
 * @property {Person} user
 * @property {number} expires_at
 *
 * @typedef {object} Preferences What others may see of me.
 * @property {boolean} presence
 * @property {boolean} receipts
 *
 * @typedef {object} Presence
 * @property {Person} user
 * @property {'online' | 'idle' | 'offline'} state
 * @property {number | null} last_seen
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
