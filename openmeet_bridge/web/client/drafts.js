/**
 * What was begun and not sent, by room: kept over reload and crash.
 *
 * @import { Channel } from './queue.js'
 * @import { Shelf } from './shelf.js'
 */

/** Longer drafts (letters) live as long as the page. */
const MOST_LETTERS = 65_536;
/** So many are kept, the latest ones. */
const MOST_DRAFTS = 200;

/**
 * @typedef {object} StoredDraft
 * @property {string} text
 * @property {string | null} [reply_to] Event id.
 * @property {string | null} [editing] Event id, or id of a message on its way.
 *
 * @typedef {StoredDraft & {roomId: string, timestamp: number}} KeptDraft
 */

export class Drafts {
  /**
   * @param {Shelf} shelf
   * @param {{channel?: Channel | null, onChange?: (roomId: string) => void,
   *          now?: () => number}} [options]
   */
  constructor(shelf, options = {}) {
    this._shelf = shelf;
    this.channel = options.channel ?? null;
    this._onChange = options.onChange ?? (() => {});
    this._now = options.now ?? Date.now;
    /** @type {Map<string, KeptDraft>} */
    this._drafts = new Map();
    /** @type {Set<string>} Rooms whose draft is not on the shelf as it is here. */
    this._unwritten = new Set();
    this._writing = false;
  }

  async load() {
    for (const [roomId, draft] of await this._shelf.all('drafts')) {
      if (this._drafts.has(roomId)) continue;
      this._drafts.set(roomId, draft);
      this._onChange(roomId);
    }
  }

  /**
   * @param {string} roomId
   * @returns {StoredDraft | null}
   */
  get(roomId) {
    return this._drafts.get(roomId) ?? null;
  }

  /**
   * @param {string} roomId
   * @param {StoredDraft | null} draft Null, or nothing in it: there is none any more.
   */
  set(roomId, draft) {
    const isEmpty = !draft || (!draft.text && !draft.reply_to && !draft.editing);
    if (isEmpty && !this._drafts.has(roomId)) return;
    this._drafts.delete(roomId);
    if (draft && !isEmpty) this._drafts.set(roomId, { ...draft, roomId, timestamp: this._now() });
    this._unwritten.add(roomId);
    if (this._drafts.size > MOST_DRAFTS) this._forgetOldest();
    void this._write();
  }

  /** @param {any} message What another tab has sent. */
  hear(message) {
    if (message.type !== 'draft') return;
    if (message.draft) this._drafts.set(message.roomId, message.draft);
    else this._drafts.delete(message.roomId);
    this._onChange(message.roomId);
  }

  /** Forgets everything here, not on the shelf. */
  forget() {
    this._drafts.clear();
    this._unwritten.clear();
    this.channel = null;
  }

  _forgetOldest() {
    const [oldest] = [...this._drafts.values()].sort((a, b) => a.timestamp - b.timestamp);
    this._drafts.delete(oldest.roomId);
    this._unwritten.add(oldest.roomId);
  }

  /** One at a time: what is typed meanwhile is written with the next one. */
  async _write() {
    if (this._writing) return;
    this._writing = true;
    for (const roomId of this._unwritten) {
      this._unwritten.delete(roomId);
      const draft = this._drafts.get(roomId) ?? null;
      const kept = draft && draft.text.length <= MOST_LETTERS ? draft : undefined;
      await this._shelf.change('drafts', roomId, () => kept);
      this.channel?.postMessage({ type: 'draft', roomId, draft });
    }
    this._writing = false;
  }
}
