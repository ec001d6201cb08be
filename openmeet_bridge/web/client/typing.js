/**
 * Who is typing: telling the server about oneself, and believing it about others for a while.
 *
 * @import { Clock, Person } from './types.js'
 */

/** While somebody types the server is told so this often (ms). */
const TELL_EVERY = 4000;
/** Without a key for so long (ms) nobody is typing any more. */
const QUIET_AFTER = 6000;
/** Without news for so long (ms) others have stopped as well: the news of it was lost. */
const BELIEVE_FOR = 60_000;

/** Tells that one is typing: seldom enough, and that it is over. */
export class OwnTyping {
  /**
   * @param {(roomId: string, typing: boolean) => void} tell
   * @param {Clock} clock
   */
  constructor(tell, clock) {
    this._tell = tell;
    this._clock = clock;
    /** @type {string | null} Where the others believe that one is typing. */
    this._roomId = null;
    this._toldAt = 0;
    /** @type {any} */
    this._quiet = null;
  }

  /** @param {string} roomId A key was pressed there. */
  key(roomId) {
    if (this._roomId !== roomId) this.stop();
    this._clock.clearTimeout(this._quiet);
    this._quiet = this._clock.setTimeout(() => this.stop(), QUIET_AFTER);
    const now = this._clock.now();
    if (this._roomId === roomId && now - this._toldAt < TELL_EVERY) return;
    this._roomId = roomId;
    this._toldAt = now;
    this._tell(roomId, true);
  }

  /** @param {string} [roomId] Only if it is there that one is typing. */
  stop(roomId) {
    const before = this._roomId;
    if (before === null || (roomId !== undefined && roomId !== before)) return;
    this._clock.clearTimeout(this._quiet);
    this._roomId = null;
    this._tell(before, false);
  }

  /** Ends without a word. */
  close() {
    this._clock.clearTimeout(this._quiet);
    this._roomId = null;
  }
}

/** Who else is typing, by room. */
export class OthersTyping {
  /**
   * @param {(roomId: string) => void} onChange
   * @param {Clock} clock
   */
  constructor(onChange, clock) {
    this._onChange = onChange;
    this._clock = clock;
    /** @type {Map<string, {people: Person[], timer: any}>} */
    this._rooms = new Map();
  }

  /**
   * @param {string} roomId
   * @returns {Person[]}
   */
  in(roomId) {
    return this._rooms.get(roomId)?.people ?? [];
  }

  /**
   * @param {string} roomId
   * @param {Person[]} people All of them.
   */
  set(roomId, people) {
    const known = this._rooms.get(roomId);
    if (!known && !people.length) return;
    this._clock.clearTimeout(known?.timer);
    this._rooms.delete(roomId);
    if (people.length) {
      const timer = this._clock.setTimeout(() => this.set(roomId, []), BELIEVE_FOR);
      this._rooms.set(roomId, { people, timer });
    }
    this._onChange(roomId);
  }

  /**
   * Who has just spoken is not typing, whatever they forgot to say.
   *
   * @param {string} roomId
   * @param {string} mxid
   */
  drop(roomId, mxid) {
    const people = this.in(roomId);
    const rest = people.filter((person) => person.mxid !== mxid);
    if (rest.length < people.length) this.set(roomId, rest);
  }

  /** Nobody tells us any more when they stop. */
  clear() {
    for (const roomId of [...this._rooms.keys()]) this.set(roomId, []);
  }
}
