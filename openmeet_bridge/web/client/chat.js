/**
 * One user's chat: API, stream, store, timelines and outbox wired together.
 *
 * @import { Api } from './api.js'
 * @import { ConnectionState, StreamOptions } from './stream.js'
 * @import { Outgoing } from './outbox.js'
 * @import { Entry, Frame, Me, Person, Receipt, TimelinePage } from './types.js'
 */

import { backoffMs } from './backoff.js';
import { Emitter } from './emitter.js';
import { isMessage } from './message.js';
import { Outbox } from './outbox.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { Timeline } from './timeline.js';

/**
 * @typedef {object} ChatOptions
 * @property {Api} api
 * @property {Partial<StreamOptions>} [stream]
 * @property {number} [pageSize] Entries to ask for at once.
 *
 * @typedef {object} ChatTopics
 * @property {ConnectionState} connection
 * @property {null} rooms The room list changed.
 * @property {{roomId: string}} timeline Entries, echoes or read marks of a room changed.
 * @property {{roomId: string}} typing
 * @property {Entry} arrival A new message of somebody else, told once.
 * @property {{roomId: string, name: string, reason: string}} removed We are out of a room.
 * @property {Person} stranger The server takes us for somebody else.
 */

/** The longest first page, and how much of what is read stands before what is not. */
const MOST_FIRST = 150;
const FEW = 10;
/** A room's members are counted anew so long (ms) after the last change. */
const RECOUNT_AFTER = 300;

/** @extends {Emitter<ChatTopics>} */
export class Chat extends Emitter {
  /** @param {ChatOptions} options */
  constructor(options) {
    super();
    this.api = options.api;
    this._pageSize = options.pageSize ?? 50;
    /** @type {Me | null} */
    this.me = null;
    this.store = new Store({ mxid: '', name: '', avatar_url: null, slug: null });
    /** @type {Map<string, Timeline>} */
    this._timelines = new Map();
    /** @type {Map<string, Promise<unknown>>} Requests for pages under way, by room. */
    this._loading = new Map();
    /** @type {Frame[] | null} Frames that wait for a snapshot. */
    this._held = null;
    this._resets = 0;
    /** @type {Map<string, ReturnType<typeof setTimeout>>} Timers, by room. */
    this._recounts = new Map();
    this.outbox = new Outbox({ api: this.api, onChange: (message) => this._onOutgoing(message) });
    this.stream = new Stream({
      api: this.api,
      ...options.stream,
      onFrame: (frame) => this._onFrame(frame),
      onState: (state) => this._onState(state),
    });
  }

  /** Fetches who we are and our rooms, then opens the stream where that snapshot ends. */
  async start() {
    this.me = await this.api.me();
    this.store = new Store(this.me.user);
    const { rooms, cursor } = await this.api.rooms();
    this.store.replace(rooms);
    this.emit('rooms', null);
    this.stream.start(cursor);
  }

  stop() {
    this._resets += 1;
    for (const timer of this._recounts.values()) clearTimeout(timer);
    this.stream.stop();
    this.outbox.stop();
  }

  /** @param {string} roomId */
  timeline(roomId) {
    return this._timelines.get(roomId);
  }

  /**
   * Loads the newest page of a room, once; from then on the stream keeps it up to date. All that
   * is unread is on it, and a few messages before.
   *
   * @param {string} roomId
   * @returns {Promise<Timeline>}
   */
  async openRoom(roomId) {
    const known = this._timelines.get(roomId) ?? new Timeline(roomId);
    this._timelines.set(roomId, known);
    if (!known.loaded) await this._load(known, 'first', { limit: this._firstPage(roomId) });
    return known;
  }

  /** @param {string} roomId */
  _firstPage(roomId) {
    const unread = this.store.room(roomId)?.unread_count ?? 0;
    return Math.max(this._pageSize, Math.min(MOST_FIRST, unread + FEW));
  }

  /**
   * @param {string} roomId
   * @returns {Promise<void>}
   */
  async loadOlder(roomId) {
    const timeline = this._timelines.get(roomId);
    if (!timeline?.oldest || !timeline.hasBefore) return;
    await this._load(timeline, 'before', { before: timeline.oldest.order });
  }

  /**
   * @param {Timeline} timeline
   * @param {'first' | 'before'} where
   * @param {{limit?: number, before?: string}} range
   */
  async _load(timeline, where, range) {
    const { roomId } = timeline;
    const pending = this._loading.get(roomId);
    if (pending) return void (await pending);
    const request = this.api.timeline(roomId, { limit: this._pageSize, ...range });
    this._loading.set(roomId, request);
    try {
      const page = await request;
      // After a reset this model is nobody's any more.
      if (this._timelines.get(roomId) !== timeline) return undefined;
      this._take(timeline, page, where);
      this.emit('timeline', { roomId });
    } finally {
      this._loading.delete(roomId);
    }
    return undefined;
  }

  /**
   * @param {Timeline} timeline
   * @param {TimelinePage} page
   * @param {'first' | 'before'} where
   */
  _take(timeline, page, where) {
    for (const entry of page.entries) this.store.learn(entry);
    timeline.merge(page, where);
  }

  /**
   * @param {string} roomId
   * @param {string} body
   */
  send(roomId, body) {
    const message = this.outbox.enqueue(roomId, body);
    this._timelines.get(roomId)?.addEcho({
      clientTxnId: message.txnId,
      body,
      sender: this.store.me,
      timestamp: Date.now(),
      state: message.state,
      eventId: null,
      reason: null,
    });
    this.emit('timeline', { roomId });
  }

  /**
   * @param {string} roomId
   * @param {string} txnId
   */
  retry(roomId, txnId) {
    const message = this.outbox.discard(txnId);
    this._timelines.get(roomId)?.removeEcho(txnId);
    if (message) this.send(roomId, message.body);
  }

  /**
   * @param {string} roomId
   * @param {string} txnId
   */
  discard(roomId, txnId) {
    this.outbox.discard(txnId);
    this._timelines.get(roomId)?.removeEcho(txnId);
    this.emit('timeline', { roomId });
  }

  /**
   * Marks a room read up to the newest entry that is loaded.
   *
   * @param {string} roomId
   */
  async markRead(roomId) {
    const newest = this._timelines.get(roomId)?.newest;
    const room = this.store.room(roomId);
    if (!newest || !room) return;
    if (room.read_order !== null && room.read_order >= newest.order) return;
    this._onReceipt({
      room_id: roomId,
      user: this.store.me,
      event_id: newest.event_id,
      order: newest.order,
      timestamp: Date.now(),
    });
    try {
      await this.api.markRead(roomId, newest.event_id);
    } catch {
      // The next newer message marks this one too; a count that is off for a while harms nobody.
    }
  }

  /**
   * @param {string} roomId
   * @param {boolean} typing
   */
  async setTyping(roomId, typing) {
    try {
      await this.api.setTyping(roomId, typing);
    } catch {
      // Typing expires by itself.
    }
  }

  /** @param {ConnectionState} state */
  _onState(state) {
    if (state.phase === 'live') this.outbox.wake();
    else this._clearTyping();
    this.emit('connection', state);
  }

  /** Nobody tells us any more when they stop. */
  _clearTyping() {
    for (const timeline of this._timelines.values()) {
      if (!timeline.typing.length) continue;
      timeline.typing = [];
      this.emit('typing', { roomId: timeline.roomId });
    }
  }

  /** @param {Outgoing} message */
  _onOutgoing(message) {
    const { txnId, roomId, state, eventId, reason } = message;
    this._timelines.get(roomId)?.updateEcho(txnId, { state, eventId, reason });
    this.emit('timeline', { roomId });
  }

  /** @param {Frame} frame */
  _onFrame(frame) {
    if (frame.type === 'reset') void this._reset();
    else if (this._held) this._held.push(frame);
    else this._apply(frame);
  }

  /** @param {Frame} frame */
  _apply(frame) {
    const { data } = frame;
    switch (frame.type) {
      case 'hello': return this._onHello(data.user);
      case 'timeline': return this._onEntry(data);
      case 'membership': return this._onMembership(data);
      case 'room.added': return void this._fetchRoom(data.room_id);
      case 'room.removed': return this._onRemoved(data);
      case 'typing': return this._onTyping(data);
      case 'receipt': return this._onReceipt(data);
      case 'send.failed': return this.outbox.fail(data.client_txn_id, data.error);
      default: return undefined;
    }
  }

  /** @param {Person} user */
  _onHello(user) {
    if (user.mxid !== this.store.me.mxid) this.emit('stranger', user);
  }

  /** @param {Entry} entry */
  _onEntry(entry) {
    if (entry.client_txn_id && entry.sender.mxid === this.store.me.mxid) {
      this.outbox.confirm(entry.client_txn_id, entry.event_id);
    }
    const newest = this._timelines.get(entry.room_id)?.newest;
    const outcome = this._timelines.get(entry.room_id)?.upsert(entry);
    this.store.applyEntry(entry);
    this.emit('rooms', null);
    this.emit('timeline', { roomId: entry.room_id });
    this._stopTyping(entry);
    const isNews = outcome === 'added' && (!newest || entry.order > newest.order);
    const theirs = entry.sender.mxid !== this.store.me.mxid;
    if (isNews && theirs && isMessage(entry)) this.emit('arrival', entry);
  }

  /**
   * Who has just spoken is not typing, whatever they forgot to say.
   *
   * @param {Entry} entry
   */
  _stopTyping(entry) {
    const timeline = this._timelines.get(entry.room_id);
    const rest = timeline?.typing.filter((user) => user.mxid !== entry.sender.mxid);
    if (!timeline || !rest || rest.length === timeline.typing.length) return;
    timeline.typing = rest;
    this.emit('typing', { roomId: entry.room_id });
  }

  /** @param {{room_id: string, user: Person, membership: string}} data */
  _onMembership(data) {
    this.store.addPerson(data.user);
    // Whether this changes the number of members only the server knows. Many join at once.
    clearTimeout(this._recounts.get(data.room_id));
    const timer = setTimeout(() => void this._fetchRoom(data.room_id), RECOUNT_AFTER);
    this._recounts.set(data.room_id, timer);
  }

  /** @param {string} roomId */
  async _fetchRoom(roomId) {
    try {
      this.store.putRoom(await this.api.room(roomId));
      this.emit('rooms', null);
    } catch {
      // Gone again, or it comes with the next snapshot.
    }
  }

  /** @param {{room_id: string, reason: string}} data */
  _onRemoved(data) {
    const name = this.store.room(data.room_id)?.name ?? '';
    this.store.removeRoom(data.room_id);
    this._timelines.delete(data.room_id);
    this.emit('rooms', null);
    this.emit('removed', { roomId: data.room_id, name, reason: data.reason });
  }

  /** @param {{room_id: string, users: Person[]}} data */
  _onTyping(data) {
    const timeline = this._timelines.get(data.room_id);
    if (!timeline) return;
    timeline.typing = data.users.filter((user) => user.mxid !== this.store.me.mxid);
    this.emit('typing', { roomId: data.room_id });
  }

  /** @param {Receipt} receipt */
  _onReceipt(receipt) {
    const timeline = this._timelines.get(receipt.room_id);
    this.store.addPerson(receipt.user);
    if (timeline?.applyReceipt(receipt)) this.emit('timeline', { roomId: receipt.room_id });
    const certain = this.store.applyReceipt(receipt, timeline?.entries ?? []);
    if (!certain) void this._fetchRoom(receipt.room_id);
    if (receipt.user.mxid === this.store.me.mxid) this.emit('rooms', null);
  }

  /** Forgets everything and fetches it again; frames wait meanwhile. */
  async _reset() {
    this._held = [];
    this._resets += 1;
    const mine = this._resets;
    for (let attempt = 1; mine === this._resets; attempt += 1) {
      try {
        await this._refetch();
        break;
      } catch {
        // The stream goes on from the new cursor, so nobody else would ask again.
        await new Promise((done) => setTimeout(done, backoffMs(attempt)));
      }
    }
    if (mine !== this._resets) return;
    const held = this._held;
    this._held = null;
    for (const frame of held) this._apply(frame);
    this.emit('rooms', null);
  }

  async _refetch() {
    const { rooms } = await this.api.rooms();
    this.store.replace(rooms);
    await Promise.all([...this._timelines.keys()].map((roomId) => this._reload(roomId)));
  }

  /** @param {string} roomId */
  async _reload(roomId) {
    if (!this.store.room(roomId)) return void this._timelines.delete(roomId);
    const page = await this.api.timeline(roomId, { limit: this._pageSize });
    const fresh = new Timeline(roomId);
    // Now, not before: what was written meanwhile belongs to it too.
    for (const item of this._timelines.get(roomId)?.items() ?? []) {
      if (item.echo) fresh.addEcho(item.echo);
    }
    this._take(fresh, page, 'first');
    this._timelines.set(roomId, fresh);
    this.emit('timeline', { roomId });
    return undefined;
  }
}
