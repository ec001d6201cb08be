/**
 * The timeline of one room: a pure model, without network and without a page.
 *
 * @import { Entry, Person, Receipt, TimelinePage } from './types.js'
 */

/**
 * A message of one's own that is not in the log yet.
 *
 * @typedef {object} Echo
 * @property {string} clientTxnId
 * @property {string} body
 * @property {Person} sender
 * @property {number} timestamp
 * @property {'queued' | 'sending' | 'waiting' | 'pending' | 'sent' | 'failed'} state
 * @property {string | null} eventId
 * @property {string | null} reason Why it failed, or why it waits.
 *
 * @typedef {{key: string, entry: Entry, echo: null} | {key: string, entry: null, echo: Echo}} Item
 *   One row; `key` stays the same when an echo becomes an entry.
 *
 * @typedef {'added' | 'changed' | 'ignored'} Outcome
 */

/** Entries by true order, echoes after them, redactions applied, receipts and typing beside. */
export class Timeline {
  /** @param {string} roomId */
  constructor(roomId) {
    this.roomId = roomId;
    /** False until the first page is here. */
    this.loaded = false;
    this.hasBefore = false;
    this.hasAfter = false;
    /** @type {Person[]} */
    this.typing = [];
    /** @type {Map<string, Receipt>} The newest of each person, by Matrix user id. */
    this.receipts = new Map();
    /** @type {Entry[]} Ascending by `order`. */
    this._entries = [];
    /** @type {Map<string, Entry>} */
    this._byId = new Map();
    /** @type {Echo[]} */
    this._echoes = [];
    /** @type {Map<string, string>} Event id to the key its echo had. */
    this._keys = new Map();
    /** @type {Set<string>} Event ids that are redacted, also those not seen yet. */
    this._redacted = new Set();
    /** @type {Entry[]} Came by the stream before the first page did. */
    this._early = [];
  }

  /** @returns {readonly Entry[]} Ascending. */
  get entries() {
    return this._entries;
  }

  /** @returns {Entry | undefined} */
  get oldest() {
    return this._entries[0];
  }

  /** @returns {Entry | undefined} */
  get newest() {
    return this._entries[this._entries.length - 1];
  }

  /** @param {string} eventId */
  get(eventId) {
    return this._byId.get(eventId);
  }

  /** @returns {Item[]} Everything to show, in order. */
  items() {
    /** @type {Item[]} */
    const items = this._entries.map((entry) => ({
      key: this._keys.get(entry.event_id) ?? entry.event_id,
      entry,
      echo: null,
    }));
    for (const echo of this._echoes) items.push({ key: echo.clientTxnId, entry: null, echo });
    return items;
  }

  /**
   * Takes in a page that was asked for.
   *
   * @param {TimelinePage} page
   * @param {'first' | 'before' | 'after'} where Relative to what is here.
   */
  merge(page, where) {
    for (const entry of page.entries) this._put(entry);
    for (const receipt of page.receipts) this.applyReceipt(receipt);
    if (where !== 'after') this.hasBefore = page.has_before;
    if (where !== 'before') this.hasAfter = page.has_after;
    if (this.loaded) return;
    this.loaded = true;
    const early = this._early;
    this._early = [];
    for (const entry of early) this.upsert(entry);
  }

  /**
   * Takes in an entry of the stream.
   *
   * @param {Entry} entry
   * @returns {Outcome} 'ignored': it lies outside of what is loaded and comes with its page.
   */
  upsert(entry) {
    if (!this.loaded) {
      this._early.push(entry);
      return 'ignored';
    }
    const known = this._byId.has(entry.event_id);
    if (!known && this._outside(entry)) {
      this._redactBy(entry);
      return 'ignored';
    }
    this._put(entry);
    return known ? 'changed' : 'added';
  }

  /** @param {Entry} entry */
  _outside(entry) {
    const { oldest, newest } = this;
    if (!oldest || !newest) return this.hasAfter;
    // Between it and what is here there may be entries that were never loaded.
    return (this.hasBefore && entry.order < oldest.order)
      || (this.hasAfter && entry.order > newest.order);
  }

  /** @param {Entry} entry */
  _put(entry) {
    this._forget(entry.event_id);
    const kept = this._redacted.has(entry.event_id) ? blank(entry) : entry;
    this._entries.splice(this._place(kept), 0, kept);
    this._byId.set(kept.event_id, kept);
    this._matchEcho(kept);
    this._redactBy(kept);
    this._readBySender(kept);
  }

  /** @param {Entry} entry Who sends a message has read up to it; no receipt says so. */
  _readBySender(entry) {
    if (entry.client_txn_id === undefined) return;
    const { room_id, sender, event_id, order, timestamp } = entry;
    this.applyReceipt({ room_id, user: sender, event_id, order, timestamp });
  }

  /** @param {string} eventId */
  _forget(eventId) {
    const known = this._byId.get(eventId);
    if (known) this._entries.splice(this._entries.indexOf(known), 1);
    this._byId.delete(eventId);
  }

  /**
   * @param {Entry} entry
   * @returns {number} Index where it belongs; the newest are at the end, so search from there.
   */
  _place(entry) {
    let index = this._entries.length;
    while (index > 0 && this._entries[index - 1].order > entry.order) index -= 1;
    return index;
  }

  /** @param {Entry} entry */
  _redactBy(entry) {
    const target = entry.type === 'm.room.redaction' ? entry.content.redacts : undefined;
    if (typeof target !== 'string') return;
    this._redacted.add(target);
    const known = this._byId.get(target);
    if (!known) return;
    const blanked = blank(known);
    this._entries[this._entries.indexOf(known)] = blanked;
    this._byId.set(target, blanked);
  }

  /** @param {Entry} entry */
  _matchEcho(entry) {
    const echo = this._echoes.find((one) => one.eventId === entry.event_id
      || (one.clientTxnId === entry.client_txn_id && one.sender.mxid === entry.sender.mxid));
    if (!echo) return;
    this._keys.set(entry.event_id, echo.clientTxnId);
    this.removeEcho(echo.clientTxnId);
  }

  /** @param {Echo} echo */
  addEcho(echo) {
    this._echoes.push(echo);
  }

  /**
   * @param {string} clientTxnId
   * @param {Partial<Pick<Echo, 'state' | 'eventId' | 'reason'>>} changes
   */
  updateEcho(clientTxnId, changes) {
    const index = this._echoes.findIndex((echo) => echo.clientTxnId === clientTxnId);
    if (index < 0) return;
    const echo = { ...this._echoes[index], ...changes };
    this._echoes[index] = echo;
    if (echo.eventId === null || !this._byId.has(echo.eventId)) return;
    this._keys.set(echo.eventId, clientTxnId);
    this.removeEcho(clientTxnId);
  }

  /** @param {string} clientTxnId */
  removeEcho(clientTxnId) {
    this._echoes = this._echoes.filter((echo) => echo.clientTxnId !== clientTxnId);
  }

  /**
   * @param {Receipt} receipt
   * @returns {boolean} True when it moved that person's mark.
   */
  applyReceipt(receipt) {
    const known = this.receipts.get(receipt.user.mxid);
    if (known && known.order > receipt.order) return false;
    this.receipts.set(receipt.user.mxid, receipt);
    return true;
  }
}

/**
 * @param {Entry} entry
 * @returns {Entry} What a redaction leaves. A membership stays readable.
 */
function blank(entry) {
  const membership = entry.type === 'm.room.member' ? entry.content.membership : undefined;
  return { ...entry, content: membership ? { membership } : {}, redacted: true };
}
