/**
 * @import {
 *   DemoUser, Draft, EditDraft, Entry, Me, Member, Preferences, Presence, Reaction, Reader, Room,
 *   SendStatus, TimelinePage, TimelineRange, UnreadTotals, Version,
 * } from './types.js'
 */

import { ApiError, Http } from './http.js';

export { ApiError };

/** The Web API, one method per route. */
export class Api extends Http {
  /** @returns {Promise<Me>} */
  me() {
    return this.request('GET', 'me');
  }

  /** @returns {Promise<{rooms: Room[], cursor: string, unread: UnreadTotals}>} */
  rooms() {
    return this.request('GET', 'rooms');
  }

  /**
   * @param {string} roomId
   * @returns {Promise<Room>}
   */
  room(roomId) {
    return this.request('GET', inRoom(roomId));
  }

  /**
   * @param {string} roomId
   * @returns {Promise<{members: Member[]}>}
   */
  members(roomId) {
    return this.request('GET', inRoom(roomId, 'members'));
  }

  /**
   * @param {string} roomId
   * @param {TimelineRange} [range]
   * @returns {Promise<TimelinePage>}
   */
  timeline(roomId, range = {}) {
    return this.request('GET', inRoom(roomId, 'timeline'), { query: { ...range } });
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @returns {Promise<Entry>}
   */
  entry(roomId, eventId) {
    return this.request('GET', inRoom(roomId, 'entries', eventId));
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @returns {Promise<{versions: Version[]}>} The original first.
   */
  versions(roomId, eventId) {
    return this.request('GET', inRoom(roomId, 'entries', eventId, 'versions'));
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @returns {Promise<{reactions: Reaction[]}>} With all the people.
   */
  reactions(roomId, eventId) {
    return this.request('GET', inRoom(roomId, 'entries', eventId, 'reactions'));
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @returns {Promise<{readers: Reader[]}>}
   */
  readers(roomId, eventId) {
    return this.request('GET', inRoom(roomId, 'entries', eventId, 'readers'));
  }

  /**
   * Safe to repeat with the same `txnId`.
   *
   * @param {string} roomId
   * @param {string} txnId
   * @param {Draft} draft
   * @returns {Promise<SendStatus>}
   */
  send(roomId, txnId, draft) {
    return this.request('PUT', inRoom(roomId, 'messages', txnId), { body: draft });
  }

  /**
   * @param {string} roomId
   * @param {string} txnId
   * @returns {Promise<SendStatus>}
   */
  sendStatus(roomId, txnId) {
    return this.request('GET', inRoom(roomId, 'messages', txnId));
  }

  /**
   * Takes back one's own message, also one that the server has not passed on yet.
   *
   * @param {string} roomId
   * @param {string} txnId
   * @returns {Promise<SendStatus>}
   */
  takeBack(roomId, txnId) {
    return this.request('DELETE', inRoom(roomId, 'messages', txnId));
  }

  /**
   * Safe to repeat with the same `txnId`.
   *
   * @param {string} roomId
   * @param {string} eventId
   * @param {string} txnId
   * @param {EditDraft} draft
   * @returns {Promise<SendStatus>}
   */
  edit(roomId, eventId, txnId, draft) {
    return this.request('PUT', inRoom(roomId, 'entries', eventId, 'edits', txnId), { body: draft });
  }

  /**
   * Safe to repeat: afterwards the reaction is there, or it is not.
   *
   * @param {string} roomId
   * @param {string} eventId
   * @param {string} key
   * @param {boolean} on
   * @returns {Promise<SendStatus>}
   */
  react(roomId, eventId, key, on) {
    const path = inRoom(roomId, 'entries', eventId, 'reactions', key);
    return this.request(on ? 'PUT' : 'DELETE', path);
  }

  /**
   * Safe to repeat.
   *
   * @param {string} roomId
   * @param {string} eventId
   * @param {string} [reason]
   * @returns {Promise<SendStatus>}
   */
  remove(roomId, eventId, reason) {
    return this.request('DELETE', inRoom(roomId, 'entries', eventId), { query: { reason } });
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @param {{private?: boolean}} [options] `private`: others are not told.
   */
  markRead(roomId, eventId, options = {}) {
    const body = { event_id: eventId, ...options };
    return this.request('POST', inRoom(roomId, 'read'), { body });
  }

  /**
   * @param {string} roomId
   * @param {boolean} unread
   */
  markUnread(roomId, unread) {
    return this.request('PUT', inRoom(roomId, 'unread'), { body: { unread } });
  }

  /** @returns {Promise<UnreadTotals>} */
  unread() {
    return this.request('GET', 'unread');
  }

  /**
   * @param {string} roomId
   * @param {boolean} typing
   */
  setTyping(roomId, typing) {
    return this.request('PUT', inRoom(roomId, 'typing'), { body: { typing } });
  }

  /**
   * @param {string} roomId
   * @returns {Promise<{people: Presence[]}>}
   */
  presence(roomId) {
    return this.request('GET', inRoom(roomId, 'presence'));
  }

  /** @param {'online' | 'idle'} state */
  setPresence(state) {
    return this.request('PUT', 'presence', { body: { state } });
  }

  /** @returns {Promise<Preferences>} */
  preferences() {
    return this.request('GET', 'me/preferences');
  }

  /**
   * @param {Preferences} preferences
   * @returns {Promise<Preferences>}
   */
  setPreferences(preferences) {
    return this.request('PUT', 'me/preferences', { body: preferences });
  }

  /** @returns {Promise<{ticket: string, expires_in_ms: number}>} */
  ticket() {
    return this.request('POST', 'stream/tickets', { body: {} });
  }

  /**
   * Keeps `token` in a cookie that no script can read, so that a reload stays signed in.
   *
   * @param {string} token
   */
  openSession(token) {
    return this.request('POST', 'session', { body: { token }, cookie: true });
  }

  closeSession() {
    return this.request('DELETE', 'session', { cookie: true });
  }

  /** @returns {Promise<{users: DemoUser[]}>} Fails with status 404 where there is no demo. */
  demo() {
    return this.request('GET', 'demo');
  }

  /**
   * @param {'stream' | 'ws'} kind
   * @param {Record<string, string | null | undefined>} query
   * @returns {string} Address of a stream. It carries a single-use ticket, never a token.
   */
  streamUrl(kind, query) {
    const url = new URL(kind, this.root);
    if (kind === 'ws') url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    for (const [key, value] of Object.entries({ tenantId: this.tenant, ...query })) {
      if (value !== null && value !== undefined) url.searchParams.set(key, value);
    }
    return url.href;
  }
}

/**
 * @param {string} roomId
 * @param {string[]} rest
 * @returns {string} The path of something in a room. Any text is safe in it.
 */
function inRoom(roomId, ...rest) {
  for (const name of rest) {
    // Every browser reads these as a way up, also escaped: it would ask for something else.
    if (name !== '.' && name !== '..') continue;
    throw new ApiError(`“${name}” cannot be used here.`, {
      errcode: 'M_INVALID_PARAM', status: 400,
    });
  }
  return ['rooms', roomId, ...rest].map((name) => encodeURIComponent(name)).join('/');
}
