/**
 * The timeline of one room: a pure model, without network and without a page.
 *
 * @import { Action, ActionState } from './action.js'
 * @import { Draft, Entry, Person, Quote, Receipt, TimelinePage } from './types.js'
 */

import {
  isReflected, quoteOf, withChanges, withMine, wordsOf,
} from './overlay.js';
import { Window } from './window.js';

/**
 * A message of one's own that is not in the log yet.
 *
 * @typedef {object} Echo
 * @property {string} clientTxnId
 * @property {string} text
 * @property {string | null} html As it was written: not made safe by anybody.
 * @property {Draft} draft
 * @property {Quote | null} replyTo
 * @property {Person} sender
 * @property {number} timestamp
 * @property {ActionState} state
 * @property {string | null} eventId
 * @property {number | null} retryAt
 * @property {string | null} reason Why it failed, or why it waits.
 * @property {Record<string, string>} fields
 *
 * @typedef {Action & {kind: 'edit' | 'reaction' | 'deletion'}} Change Of an entry, by oneself.
 *
 * @typedef {{key: string, entry: Entry, echo: null, actions: Change[]}} EntryItem
 * @typedef {{key: string, entry: null, echo: Echo, actions: Change[]}} EchoItem
 * @typedef {EntryItem | EchoItem} Item
 *   One row; `key` stays the same when an echo becomes an entry.
 *
 * @typedef {'added' | 'changed' | 'ignored'} Outcome
 */

/** Entries by true order, echoes after them, one's own changes over them, receipts beside. */
export class Timeline {
  /**
   * @param {string} roomId
   * @param {Person | null} [me]
   */
  constructor(roomId, me = null) {
    this.roomId = roomId;
    this._me = me;
    /** @type {Person[]} */
    this.typing = [];
    /** @type {Map<string, Receipt>} The newest of each person, by Matrix user id. */
    this.receipts = new Map();
    this._window = new Window();
    /** @type {Map<string, Action>} Messages on their way, in order. */
    this._echoes = new Map();
    /** @type {Map<string, {action: Change, base: Entry | undefined}>} */
    this._changes = new Map();
    /** @type {Map<string, string>} Event id to the key its echo had. */
    this._keys = new Map();
    /** @type {Map<string, boolean>} One's own reactions, by event id and key. */
    this._mine = new Map();
    /** @type {WeakMap<Entry, Entry>} */
    this._shown = new WeakMap();
  }

  /** False until the first page is here. */
  get loaded() {
    return this._window.loaded;
  }

  get hasBefore() {
    return this._window.hasBefore;
  }

  /** True: this is a piece of the past, and the newest entries are not in it. */
  get hasAfter() {
    return this._window.hasAfter;
  }

  /** @returns {readonly Entry[]} As the server has them, ascending. */
  get entries() {
    return this._window.entries;
  }

  /** @returns {Entry | undefined} */
  get oldest() {
    return this._window.entries[0];
  }

  /** @returns {Entry | undefined} */
  get newest() {
    return this._window.entries.at(-1);
  }

  /** @param {string} eventId */
  get(eventId) {
    return this._window.get(eventId);
  }

  /** @returns {Item[]} Everything to show, in order. */
  items() {
    const actions = [...this._changes.values()].map(({ action }) => action);
    /** @type {Item[]} */
    const items = this.entries.map((entry) => this._item(entry, actions));
    // They belong to the end, and that is elsewhere.
    if (this.hasAfter) return items;
    for (const message of this._echoes.values()) items.push(this._echo(message, actions));
    return items;
  }

  /**
   * @param {string} eventId
   * @param {string} key
   * @returns {boolean} Whether one has reacted so, or is about to.
   */
  hasReacted(eventId, key) {
    const entry = this.get(eventId);
    const actions = [...this._changes.values()].map(({ action }) => action);
    const shown = entry && this._item(entry, actions).entry;
    return shown?.reactions?.find((one) => one.key === key)?.mine ?? false;
  }

  /**
   * Takes in a page that was asked for.
   *
   * @param {TimelinePage} page
   * @param {'first' | 'before' | 'after' | 'replace'} where Relative to what is here; `replace`:
   *   in its stead.
   * @param {string} [beside] Order of the entry next to which a page was asked for.
   */
  merge(page, where, beside) {
    this._window.merge(page, where, beside);
    for (const receipt of page.receipts) this.applyReceipt(receipt);
    for (const entry of this.entries) this._onEntry(entry);
  }

  /**
   * Takes in an entry of the stream.
   *
   * @param {Entry} entry
   * @param {boolean} [changed] It is not new: something about it is.
   * @returns {Outcome} 'ignored': it lies outside of what is loaded and comes with its page, or
   *   a newer form of it is here.
   */
  upsert(entry, changed = false) {
    const outcome = this._window.upsert(entry, changed);
    this._onEntry(this.get(entry.event_id) ?? entry);
    return outcome;
  }

  /** @param {Entry} entry */
  _onEntry(entry) {
    this._matchEcho(entry);
    this._readBySender(entry);
    for (const change of this._changes.values()) {
      if (isAbout(change.action, entry, this._me)) this._review(change.action, entry, change.base);
    }
  }

  /**
   * @param {Entry} entry
   * @param {Change[]} actions
   * @returns {EntryItem}
   */
  _item(entry, actions) {
    const mine = actions.filter((action) => isAbout(action, entry, this._me));
    const shown = this._withMine(entry);
    return {
      key: this._keys.get(entry.event_id) ?? entry.event_id,
      entry: mine.length ? withChanges(shown, mine, this._me) : shown,
      echo: null,
      actions: mine,
    };
  }

  /** @param {Entry} entry */
  _withMine(entry) {
    const known = this._shown.get(entry);
    const shown = known ?? withMine(entry, this._me, (key) => (
      this._mine.get(`${entry.event_id} ${key}`) ?? false));
    if (!known) this._shown.set(entry, shown);
    return shown;
  }

  /**
   * @param {Action} message
   * @param {Change[]} actions
   * @returns {EchoItem}
   */
  _echo(message, actions) {
    const { id, timestamp, state, eventId, retryAt, reason, fields } = message;
    const mine = actions.filter((action) => action.about === id);
    const draft = mine.findLast((action) => action.kind === 'edit')?.draft ?? message.draft;
    const replyTo = message.draft?.reply_to;
    const quoted = replyTo === undefined ? undefined : this.get(replyTo);
    return {
      key: id,
      entry: null,
      echo: {
        clientTxnId: id, text: draft ? wordsOf(draft) : '',
        html: draft?.format === 'html' ? draft.body : null,
        draft: message.draft ?? { body: '' },
        replyTo: quoted ? quoteOf(quoted) : replyTo ? { event_id: replyTo } : null,
        sender: this._me ?? NOBODY, timestamp, state, eventId, retryAt, reason, fields,
      },
      actions: mine,
    };
  }

  /** @param {Entry} entry Who sends a message has read up to it; no receipt says so. */
  _readBySender(entry) {
    if (entry.client_txn_id === undefined) return;
    const { room_id, sender, event_id, order, timestamp } = entry;
    this.applyReceipt({ room_id, user: sender, event_id, order, timestamp });
  }

  /** @param {Entry} entry */
  _matchEcho(entry) {
    for (const [id, { eventId }] of this._echoes) {
      if (eventId !== entry.event_id && !isOwn(entry, id, this._me)) continue;
      this._keys.set(entry.event_id, id);
      this._echoes.delete(id);
    }
  }

  /**
   * Takes in how something stands that one has done.
   *
   * @param {Action} action
   */
  apply(action) {
    if (action.kind === 'message') this._applyMessage(action);
    else this._applyChange(/** @type {Change} */ (action));
  }

  /** @param {Action} action */
  _applyMessage(action) {
    if (action.state === 'gone') return void this._echoes.delete(action.id);
    this._echoes.set(action.id, action);
    const entry = this._window.byOwnId(action.id, this._me?.mxid)
      ?? this.get(action.eventId ?? '');
    if (entry) this._matchEcho(entry);
    return undefined;
  }

  /** @param {Change} action */
  _applyChange(action) {
    const { id, target, about } = action;
    const entry = this.get(target ?? '') ?? this._window.byOwnId(about ?? '', this._me?.mxid);
    const base = this._changes.get(id)?.base ?? entry;
    if (action.state === 'gone') return void this._changes.delete(id);
    this._changes.set(id, { action, base });
    if (action.state !== 'sent') return undefined;
    if (action.kind === 'reaction') this._mine.set(`${target} ${action.key}`, action.on);
    if (!entry) return void this._changes.delete(id);
    return this._review(action, entry, base);
  }

  /** @param {string} id Of a change: whether it is still laid over its entry. */
  isOpen(id) {
    return this._changes.has(id);
  }

  /**
   * The server's answer was long ago: what the entry says now is what there is.
   *
   * @param {string} id Of a change.
   */
  settle(id) {
    if (this._changes.get(id)?.action.state === 'sent') this._changes.delete(id);
  }

  /**
   * @param {Action} action
   * @param {Entry} entry
   * @param {Entry | undefined} base
   */
  _review(action, entry, base) {
    if (action.state !== 'sent') return;
    if (isReflected(entry, action, this._me, base ?? entry)) this._changes.delete(action.id);
  }

  /** @param {Timeline} other Which this one is to take the place of. */
  takeOver(other) {
    this.typing = other.typing;
    for (const { action } of other._changes.values()) this.apply(action);
    for (const action of other._echoes.values()) this.apply(action);
    for (const [eventId, key] of other._keys) if (this.get(eventId)) this._keys.set(eventId, key);
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

/** @type {Person} */
const NOBODY = { mxid: '', name: '', avatar_url: null, slug: null };

/**
 * @param {Entry} entry
 * @param {string} id
 * @param {Person | null} me
 */
function isOwn(entry, id, me) {
  return entry.client_txn_id === id && entry.sender.mxid === me?.mxid;
}

/**
 * @param {Action} action
 * @param {Entry} entry
 * @param {Person | null} me
 */
function isAbout(action, entry, me) {
  if (action.target !== null) return action.target === entry.event_id;
  return action.about !== null && isOwn(entry, action.about, me);
}
