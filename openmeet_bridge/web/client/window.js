/**
 * The part of a room's timeline that is loaded: entries as the server has them, without a gap.
 *
 * @import { Entry, Quote, TimelinePage } from './types.js'
 */

import { quoteOf } from './overlay.js';

/** @typedef {{entry: Entry, changed: boolean}} Waiting */

/** With more entries than this the far side is cut, down to as many as that. */
const SIZE = { most: 2000, cutTo: 1800 };
/** So many entries outside of the window are remembered for the page that may come next. */
const MOST_WAITING = 500;

export class Window {
  /** @param {{most: number, cutTo: number}} [size] */
  constructor(size = SIZE) {
    this._size = size;
    this.loaded = false;
    this.hasBefore = false;
    this.hasAfter = false;
    /** @type {Entry[]} Ascending by `order`. */
    this.entries = [];
    /** @type {Map<string, Entry>} */
    this._byId = new Map();
    /** @type {Map<string, string>} Event id by sender and `client_txn_id`. */
    this._byOwnId = new Map();
    /** @type {Map<string, Set<string>>} Event ids of those that quote an event. */
    this._quoting = new Map();
    /** @type {Map<string, Waiting>} Came by the stream and is not in the window. */
    this._waiting = new Map();
    /** Order of the newest entry that could not be remembered. */
    this._lost = '';
  }

  /** @param {string} eventId */
  get(eventId) {
    return this._byId.get(eventId);
  }

  /**
   * @param {string} clientTxnId
   * @param {string | undefined} mxid Of the sender.
   */
  byOwnId(clientTxnId, mxid) {
    return this._byId.get(this._byOwnId.get(`${mxid} ${clientTxnId}`) ?? '');
  }

  /**
   * @param {TimelinePage} page
   * @param {'first' | 'before' | 'after' | 'replace'} where
   * @param {string} [beside] Order of the entry next to which a page was asked for.
   */
  merge(page, where, beside) {
    // That side was cut since: between the page and what is here would be a gap.
    if (where === 'before' && beside && this.entries[0]?.order > beside) return;
    if (where === 'after' && beside && (this.entries.at(-1)?.order ?? '') < beside) return;
    // What was here may be newer than the page, which was on its way meanwhile.
    if (where === 'replace') for (const entry of this._empty()) this._remember(entry, true);
    for (const entry of page.entries) this._put(entry);
    if (where !== 'after') this.hasBefore = page.has_before;
    if (where !== 'before') this.hasAfter = page.has_after;
    this.loaded = true;
    this._takeIn();
    this._cut(where === 'before' ? 'end' : 'start');
  }

  /**
   * @param {Entry} entry
   * @param {boolean} changed It is not new.
   * @returns {'added' | 'changed' | 'ignored'}
   */
  upsert(entry, changed) {
    const known = this._byId.get(entry.event_id);
    if (!this.loaded || (!known && this._isOutside(entry, changed))) {
      this._remember(entry, changed);
      this._requote(entry);
      return 'ignored';
    }
    if (known && known.revision > entry.revision) return 'ignored';
    this._put(entry);
    this._cut('start');
    return known ? 'changed' : 'added';
  }

  /**
   * @param {Entry} entry
   * @param {boolean} changed
   */
  _isOutside(entry, changed) {
    const oldest = this.entries[0];
    const newest = this.entries.at(-1);
    if (!oldest || !newest) return this.hasAfter || (changed && this.hasBefore);
    // Between it and what is here there may be entries that were never loaded.
    return (this.hasBefore && entry.order < oldest.order)
      || (this.hasAfter && entry.order > newest.order);
  }

  /**
   * @param {Entry} entry
   * @param {boolean} changed
   */
  _remember(entry, changed) {
    const known = this._waiting.get(entry.event_id);
    if (known && known.entry.revision > entry.revision) return;
    this._waiting.delete(entry.event_id);
    this._waiting.set(entry.event_id, { entry, changed: changed && (known?.changed ?? true) });
    if (this._waiting.size <= MOST_WAITING) return;
    const [first] = this._waiting.values();
    this._waiting.delete(first.entry.event_id);
    if (!first.changed && first.entry.order > this._lost) this._lost = first.entry.order;
  }

  /** Takes in what is not outside any more. */
  _takeIn() {
    // What was forgotten may be missing behind the newest: it has to be asked for.
    if (this._lost > (this.entries.at(-1)?.order ?? '')) this.hasAfter = true;
    if (!this.hasAfter) this._lost = '';
    for (const [eventId, { entry, changed }] of [...this._waiting]) {
      if (!this._byId.has(eventId) && this._isOutside(entry, changed)) continue;
      this._waiting.delete(eventId);
      this._put(entry);
    }
  }

  /** @param {Entry} given */
  _put(given) {
    const known = this._byId.get(given.event_id);
    if (known && known.revision > given.revision) return;
    if (known) this._remove(known);
    const entry = this._withQuotes(given);
    this.entries.splice(this._place(entry.order), 0, entry);
    this._byId.set(entry.event_id, entry);
    if (entry.client_txn_id !== undefined) {
      this._byOwnId.set(`${entry.sender.mxid} ${entry.client_txn_id}`, entry.event_id);
    }
    for (const quote of [entry.reply_to, entry.thread]) this._note(entry.event_id, quote);
    this._requote(entry);
  }

  /** @param {Entry} entry */
  _remove(entry) {
    this.entries.splice(this.entries.indexOf(entry), 1);
    this._leave(entry);
  }

  /** @param {Entry} entry */
  _leave(entry) {
    this._byId.delete(entry.event_id);
    this._byOwnId.delete(`${entry.sender.mxid} ${entry.client_txn_id}`);
    for (const quote of [entry.reply_to, entry.thread]) {
      const quoting = this._quoting.get(quote?.event_id ?? '');
      quoting?.delete(entry.event_id);
      if (quoting?.size === 0) this._quoting.delete(quote?.event_id ?? '');
    }
  }

  /**
   * @param {string} order
   * @returns {number} Index where it belongs.
   */
  _place(order) {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.entries[middle].order > order) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * @param {string} eventId
   * @param {Quote | undefined} quote
   */
  _note(eventId, quote) {
    if (!quote) return;
    const quoting = this._quoting.get(quote.event_id) ?? new Set();
    this._quoting.set(quote.event_id, quoting.add(eventId));
  }

  /** @param {Entry} entry What is known of those whom it quotes may be newer than itself. */
  _withQuotes(entry) {
    const fresh = { ...entry };
    for (const name of /** @type {const} */ (['reply_to', 'thread'])) {
      const id = entry[name]?.event_id ?? '';
      const quoted = this._byId.get(id) ?? this._waiting.get(id)?.entry;
      if (quoted) fresh[name] = quoteOf(quoted);
    }
    return fresh;
  }

  /** @param {Entry} quoted Those that quote it say what it says now. */
  _requote(quoted) {
    for (const eventId of this._quoting.get(quoted.event_id) ?? []) {
      const entry = this._byId.get(eventId);
      const fresh = entry && this._withQuotes(entry);
      if (!entry || !fresh) continue;
      this.entries[this.entries.indexOf(entry)] = fresh;
      this._byId.set(eventId, fresh);
    }
  }

  /** @param {'start' | 'end'} side Where there are too many. */
  _cut(side) {
    if (this.entries.length <= this._size.most) return;
    const kept = this._size.cutTo;
    const cut = side === 'start' ? this.entries.splice(0, this.entries.length - kept)
      : this.entries.splice(kept);
    for (const entry of cut) {
      this._leave(entry);
      // A page that is on its way may have, or quote, an older form of it.
      this._remember(entry, true);
    }
    if (side === 'start') this.hasBefore = true;
    else this.hasAfter = true;
  }

  /** @returns {Entry[]} What was here. */
  _empty() {
    const { entries } = this;
    this.entries = [];
    this._byId.clear();
    this._byOwnId.clear();
    this._quoting.clear();
    return entries;
  }
}
