/**
 * Fetching rooms of which only the server knows how they stand.
 *
 * @import { Clock, Room } from './types.js'
 */

/** So long (ms) after the last doubt; many come at once. */
const AFTER = 300;
/** A lively room changes while it is asked for; so often it is asked again. */
const MOST_TRIES = 3;

/**
 * @typedef {object} RecountOptions
 * @property {(roomId: string) => Promise<Room>} fetch
 * @property {(room: Room) => void} put
 * @property {Clock} clock
 */

export class Recount {
  /** @param {RecountOptions} options */
  constructor(options) {
    this._options = options;
    /** @type {Map<string, any>} Timers, by room. */
    this._timers = new Map();
    /** @type {Map<string, number>} How often something has happened, of rooms asked for. */
    this._happened = new Map();
  }

  /** @param {string} roomId Soon, once. */
  soon(roomId) {
    const { clock } = this._options;
    clock.clearTimeout(this._timers.get(roomId));
    this._timers.set(roomId, clock.setTimeout(() => void this.now(roomId), AFTER));
  }

  /** @param {string} roomId */
  async now(roomId) {
    const { clock, fetch, put } = this._options;
    clock.clearTimeout(this._timers.get(roomId));
    this._timers.delete(roomId);
    try {
      for (let attempt = 1; attempt <= MOST_TRIES; attempt += 1) {
        this._happened.set(roomId, 0);
        const room = await fetch(roomId);
        // An answer from before something that was counted here would take it back.
        if (this._happened.get(roomId) && attempt < MOST_TRIES) continue;
        return put(room);
      }
    } catch {
      // Gone again, or it comes with the next snapshot.
    } finally {
      this._happened.delete(roomId);
    }
    return undefined;
  }

  /** @param {string} roomId Something that counts has come in. */
  touch(roomId) {
    const count = this._happened.get(roomId);
    if (count !== undefined) this._happened.set(roomId, count + 1);
  }

  stop() {
    for (const timer of this._timers.values()) this._options.clock.clearTimeout(timer);
    this._timers.clear();
  }
}
