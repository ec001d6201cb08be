/**
 * One user's chat: API, stream, store, timelines and outbox wired together.
 *
 * What a page calls (`id`: event id of an entry, or `clientTxnId` of a message on its way):
 *
 *   new Chat({ api, storage? })          storage: 'browser' (default) or 'memory'
 *   await start() · stop() · await signOut()   signOut also deletes what is stored of this user
 *   store: rooms() room(id) person(mxid) totals() -> {messages, mentions, rooms}
 *   await openRoom(room) -> Timeline     the newest page; then kept up to date
 *   timeline(room) -> Timeline | undefined      items() hasBefore hasAfter receipts typing get(id)
 *   await loadOlder(room) · await loadNewer(room)
 *   await jumpTo(room, eventId) -> boolean      false: there is no such entry (for us)
 *   await jumpToDate(room, ms) -> Entry | null  the first entry then or later
 *   await jumpToNewest(room)             where hasAfter says that the end is not loaded
 *   send(room, Draft | string) -> id     throws ApiError when the queue is full or it is too long
 *   edit(room, id, EditDraft) · remove(room, id, reason?)
 *   react(room, eventId, key, on?)       without `on` it toggles
 *   retry(room, actionId) · discard(room, actionId)     of what has failed
 *   await markRead(room, {private?}) · await markUnread(room, unread)
 *   setTyping(room, typing)              call it at every key, and false at blur; it is debounced
 *   setActive(active)                    somebody is at the page, or away
 *   draft(room) -> StoredDraft | null · setDraft(room, {text, reply_to?, editing?} | null)
 *   presence(mxid) -> {state, last_seen} | null · await loadPresence(room)
 *   outbox.unsent() -> Action[]          outbox.notice: why nothing is stored, or null
 *   api                                  versions, reactions, readers, members, preferences, …
 *
 * `Timeline.items()` gives rows `{key, entry, echo, actions}`: either `entry` (with one's own
 * changes on it that are on their way; `reactions[].mine`) or `echo` (a message on its way: text,
 * html, draft, replyTo, state, reason, fields). `actions` are the changes of that entry that are
 * on their way or have failed: `{id, kind, state, reason, fields}`, of kind `edit`, `reaction` or
 * `deletion`.
 *
 * What it tells (`chat.on(topic, listener)`): connection, rooms, timeline {roomId}, typing
 * {roomId}, presence {mxid}, arrival Entry, removed {roomId, name, reason}, stranger Person,
 * failed Action, drafts {roomId} (changed by another tab or read from the disk), storage string
 * (what is written is not kept: a sentence to show).
 *
 * @import { Action } from './action.js'
 * @import { Api } from './api.js'
 * @import { StoredDraft } from './drafts.js'
 * @import { OpenStorage, UserStorage } from './storage.js'
 * @import { ConnectionState, StreamOptions } from './stream.js'
 * @import { Draft, EditDraft, Entry, Me, SendFailure } from './types.js'
 */

import { Drafts } from './drafts.js';
import { Live } from './live.js';
import { Outbox } from './outbox.js';
import { MemoryShelf } from './shelf.js';
import { browserStorage, memoryStorage } from './storage.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { systemClock } from './types.js';
import { OwnTyping } from './typing.js';

/**
 * @typedef {object} ChatOptions
 * @property {Api} api
 * @property {Partial<StreamOptions>} [stream]
 * @property {number} [pageSize] Entries to ask for at once.
 * @property {'browser' | 'memory' | OpenStorage} [storage] Where drafts and unsent messages are.
 */

/** The server's form of what one has changed comes within so long (ms) after its answer. */
const SETTLED_AFTER = 10_000;

/** One user's chat. */
export class Chat extends Live {
  /** @param {ChatOptions} options */
  constructor(options) {
    const clock = options.stream?.clock ?? systemClock;
    super({ api: options.api, clock, pageSize: options.pageSize ?? 50 });
    this._openStorage = openerOf(options.storage ?? 'browser');
    /** @type {Me | null} */
    this.me = null;
    this.outbox = new Outbox({ api: this.api });
    this._drafts = new Drafts(new MemoryShelf());
    /** @type {UserStorage | null} */
    this._storage = null;
    /** @type {string | null} What is wrong with the storage. */
    this._trouble = null;
    /** @type {Set<any>} */
    this._timers = new Set();
    this._ownTyping = new OwnTyping((roomId, typing) => {
      // Typing expires by itself.
      this.api.setTyping(roomId, typing).catch(() => undefined);
    }, clock);
    this.stream = new Stream({
      api: this.api,
      ...options.stream,
      onFrame: (frame) => this._onFrame(frame),
      onState: (state) => this._onState(state),
    });
  }

  /** @param {string} roomId */
  _makeTimeline(roomId) {
    const timeline = super._makeTimeline(roomId);
    for (const action of this.outbox.unsent()) if (action.roomId === roomId) timeline.apply(action);
    return timeline;
  }

  /** Fetches who we are and our rooms, then opens the stream where that snapshot ends. */
  async start() {
    this.me = await this.api.me();
    this.store = new Store(this.me.user);
    try {
      const [{ rooms, cursor }] = await Promise.all([this.api.rooms(), this._takeUp(this.me)]);
      this.store.replace(rooms);
      this.emit('rooms', null);
      this.stream.start(cursor);
    } catch (error) {
      // Whoever tries again makes another one, which must find nothing taken.
      this.stop();
      throw error;
    }
  }

  /**
   * Takes up what an earlier visit has left.
   *
   * @param {Me} me
   */
  async _takeUp({ tenant, user }) {
    const name = `openmeet-chat ${this.api.root?.href} ${tenant.id} ${user.mxid}`;
    const storage = this._openStorage(name, (reason) => this._onTrouble(reason));
    const { shelf, channel, locks } = storage;
    this._storage = storage;
    this._drafts = new Drafts(shelf, {
      channel, now: () => this._clock.now(), onChange: (roomId) => this.emit('drafts', { roomId }),
    });
    this.outbox = new Outbox({
      api: this.api, shelf, channel, locks, name, clock: this._clock,
      onChange: (action) => this._onAction(action),
    });
    if (channel) channel.onmessage = ({ data }) => this._onOtherTab(data);
    await this._drafts.load();
    await this.outbox.start();
    if (this._trouble && !this.outbox.notice) this._onTrouble(this._trouble);
  }

  /** @param {string} reason */
  _onTrouble(reason) {
    this._trouble = reason;
    const notice = `What you write is not kept when this page closes: ${reason}`;
    if (!this._storage) return;
    this._closeChannel();
    this._drafts.channel = null;
    this.outbox.goAlone(notice);
    this.emit('storage', notice);
  }

  stop() {
    super.stop();
    for (const timer of this._timers) this._clock.clearTimeout(timer);
    this._ownTyping.close();
    this.stream.stop();
    this.outbox.stop();
    this._drafts.forget();
    this._closeChannel();
    this._storage?.shelf.close();
  }

  _closeChannel() {
    this._storage?.channel?.close();
    // Nothing can be said by one that is closed.
    if (this._storage) this._storage.channel = null;
  }

  /** Ends, and leaves nothing of this user in the browser. */
  async signOut() {
    this._storage?.channel?.postMessage({ type: 'signedOut' });
    const shelf = this._storage?.shelf;
    this.stop();
    await shelf?.clear();
  }

  /** @param {any} message */
  _onOtherTab(message) {
    if (message.type === 'signedOut') return this.stop();
    this.outbox.hear(message);
    return this._drafts.hear(message);
  }

  /**
   * @param {string} roomId
   * @param {Draft | string} draft
   * @returns {string} The key of its row.
   * @throws {ApiError} Too much is waiting, or it is too long to be kept.
   */
  send(roomId, draft) {
    const { id } = this.outbox.send(roomId, typeof draft === 'string' ? { body: draft } : draft);
    this._ownTyping.stop(roomId);
    // One wants to see what one has said.
    if (this.timeline(roomId)?.hasAfter) this.jumpToNewest(roomId).catch(() => undefined);
    return id;
  }

  /**
   * @param {string} roomId
   * @param {string} id Of an event, or of a message on its way.
   * @param {EditDraft} draft
   */
  edit(roomId, id, draft) {
    this.outbox.edit(roomId, id, draft);
    this._ownTyping.stop(roomId);
  }

  /**
   * @param {string} roomId
   * @param {string} id Of an event, or of a message on its way.
   * @param {string} [reason]
   */
  remove(roomId, id, reason) {
    this.outbox.remove(roomId, id, reason ?? null);
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @param {string} key
   * @param {boolean} [on] Default: the contrary of what is.
   */
  react(roomId, eventId, key, on) {
    const wanted = on ?? !this.timeline(roomId)?.hasReacted(eventId, key);
    this.outbox.react(roomId, eventId, key, wanted);
  }

  /**
   * @param {string} _roomId
   * @param {string} actionId Of what has failed.
   */
  retry(_roomId, actionId) {
    this.outbox.retry(actionId);
  }

  /**
   * @param {string} _roomId
   * @param {string} actionId Of what has failed.
   */
  discard(_roomId, actionId) {
    this.outbox.discard(actionId);
  }

  /**
   * Marks a room read up to the newest entry that is loaded.
   *
   * @param {string} roomId
   * @param {{private?: boolean}} [options] `private`: others are not told.
   */
  async markRead(roomId, options = {}) {
    const newest = this.timeline(roomId)?.newest;
    const room = this.store.room(roomId);
    if (!newest || !room) return;
    const isNews = room.read_order === null || room.read_order < newest.order;
    if (!isNews && !room.marked_unread) return;
    this._onReceipt({
      room_id: roomId,
      user: this.store.me,
      event_id: newest.event_id,
      order: newest.order,
      timestamp: this._clock.now(),
    });
    try {
      await this.api.markRead(roomId, newest.event_id, options);
    } catch {
      // The next newer message marks this one too; a count that is off for a while harms nobody.
    }
  }

  /**
   * @param {string} roomId
   * @param {boolean} unread
   */
  async markUnread(roomId, unread) {
    const room = this.store.room(roomId);
    if (!room) return;
    this.store.putRoom({ ...room, marked_unread: unread });
    this.emit('rooms', null);
    try {
      await this.api.markUnread(roomId, unread);
    } catch (error) {
      void this._recount.now(roomId);
      throw error;
    }
  }

  /**
   * @param {string} roomId
   * @param {boolean} typing True at every key, false when one has left the field.
   */
  setTyping(roomId, typing) {
    if (typing) this._ownTyping.key(roomId);
    else this._ownTyping.stop(roomId);
  }

  /** @param {boolean} active Whether somebody is at the page. */
  setActive(active) {
    if (active) this.stream.wake();
    void this._presence.setActive(active);
  }

  /**
   * @param {string} roomId
   * @returns {StoredDraft | null}
   */
  draft(roomId) {
    return this._drafts.get(roomId);
  }

  /**
   * @param {string} roomId
   * @param {StoredDraft | null} draft
   */
  setDraft(roomId, draft) {
    this._drafts.set(roomId, draft);
  }

  /** @param {ConnectionState} state */
  _onState(state) {
    if (state.phase === 'live') {
      this.outbox.wake();
      this._presence.renewed();
    } else {
      this._typing.clear();
    }
    this.emit('connection', state);
  }

  /** @param {Action} action */
  _onAction(action) {
    const { id, roomId, kind, state } = action;
    this.timeline(roomId)?.apply(action);
    if (state === 'failed') this.emit('failed', action);
    if (state === 'sent' && kind !== 'message') {
      this._later(SETTLED_AFTER, () => void this._settle(roomId, id, action.target));
    }
    this.emit('timeline', { roomId });
  }

  /**
   * @param {Entry} entry
   * @param {boolean} changed
   */
  _onEntry(entry, changed) {
    const mine = entry.sender.mxid === this.store.me.mxid;
    if (entry.client_txn_id && mine) this.outbox.confirm(entry.client_txn_id, entry.event_id);
    super._onEntry(entry, changed);
  }

  /** @param {{room_id: string, reason: string}} data */
  _onRemoved(data) {
    this.outbox.leave(data.room_id);
    this._drafts.set(data.room_id, null);
    super._onRemoved(data);
  }

  /** @param {SendFailure} failure */
  _onSendFailed(failure) {
    this.outbox.fail(failure);
  }

  /**
   * The server's form should be here by now; where it is not, it is asked for.
   *
   * @param {string} roomId
   * @param {string} id
   * @param {string | null} eventId
   */
  async _settle(roomId, id, eventId) {
    if (!this.timeline(roomId)?.isOpen(id)) return;
    try {
      const entry = eventId === null ? null : await this.api.entry(roomId, eventId);
      if (entry) this.timeline(roomId)?.upsert(entry, true);
    } catch {
      // Then what is here is the best that is known.
    }
    this.timeline(roomId)?.settle(id);
    this.emit('timeline', { roomId });
  }

  /**
   * @param {number} ms
   * @param {() => void} act
   */
  _later(ms, act) {
    const timer = this._clock.setTimeout(() => {
      this._timers.delete(timer);
      act();
    }, ms);
    this._timers.add(timer);
  }
}

/** @param {'browser' | 'memory' | OpenStorage} storage */
function openerOf(storage) {
  if (storage === 'browser') return browserStorage;
  return storage === 'memory' ? memoryStorage : storage;
}
