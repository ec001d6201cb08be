/**
 * Who is there, and saying that one is.
 *
 * @import { Api } from './api.js'
 * @import { Clock, Presence } from './types.js'
 */

/** @typedef {Pick<Api, 'presence' | 'setPresence'>} PresenceApi */

/** Whoever is active is taken for idle when nothing says so for long; it is said so often (ms). */
const TELL_EVERY = 120_000;
/** Of so many rooms, the latest ones, presence is asked for again after a reconnect. */
const MOST_ROOMS = 20;

export class PresenceMap {
  /**
   * @param {PresenceApi} api
   * @param {{clock: Clock, onChange: (mxid: string) => void}} options
   */
  constructor(api, { clock, onChange }) {
    this._api = api;
    this._clock = clock;
    this._onChange = onChange;
    /** @type {Map<string, Presence>} */
    this._people = new Map();
    /** @type {Set<string>} Rooms that were asked for, the latest last. */
    this._rooms = new Set();
    this._streams = 0;
    this._active = true;
    /** What the server believes, and since when: who opens a stream is there. */
    this._told = { active: true, at: 0 };
  }

  /**
   * @param {string} mxid
   * @returns {Presence | null} Null: not known, or they do not want it to be.
   */
  of(mxid) {
    return this._people.get(mxid) ?? null;
  }

  /** @param {Presence} presence */
  put(presence) {
    this._people.set(presence.user.mxid, presence);
    this._onChange(presence.user.mxid);
  }

  /** @param {string} roomId */
  async load(roomId) {
    this._rooms.delete(roomId);
    this._rooms.add(roomId);
    if (this._rooms.size > MOST_ROOMS) this._rooms.delete(this._rooms.values().next().value ?? '');
    const { people } = await this._api.presence(roomId);
    for (const presence of people) this.put(presence);
  }

  /** @param {boolean} active Somebody is at the page; to be said again while they are. */
  async setActive(active) {
    this._active = active;
    const before = this._told;
    const now = this._clock.now();
    if (before.active === active && (!active || now - before.at < TELL_EVERY)) return;
    this._told = { active, at: now };
    try {
      await this._api.setPresence(active ? 'online' : 'idle');
    } catch {
      // It is told again with the next change or the next stream.
      this._told = before;
    }
  }

  /** A new stream: the server takes us for somebody who is there, and others came and went. */
  renewed() {
    this._told = { active: true, at: this._clock.now() };
    if (!this._active) void this.setActive(false);
    this._streams += 1;
    if (this._streams > 1) this.reload();
  }

  reload() {
    const known = [...this._people.keys()];
    this._people.clear();
    for (const mxid of known) this._onChange(mxid);
    // Where it is not to be had, nobody is shown to be there.
    for (const roomId of [...this._rooms]) this.load(roomId).catch(() => undefined);
  }
}
