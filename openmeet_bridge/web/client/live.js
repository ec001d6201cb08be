/**
 * What the server tells: the rooms, timelines, read marks, who types and who is there, kept up to
 * date from the frames of the stream.
 *
 * @import { Action } from './action.js'
 * @import { Api } from './api.js'
 * @import { ConnectionState } from './stream.js'
 * @import {
 *   Clock, Entry, Frame, Person, Presence, Receipt, SendFailure, UnreadState,
 * } from './types.js'
 */

import { backoffMs } from './backoff.js';
import { Emitter } from './emitter.js';
import { isMessage } from './message.js';
import { Pages } from './pages.js';
import { PresenceMap } from './presence.js';
import { Recount } from './recount.js';
import { Store } from './store.js';
import { Timeline } from './timeline.js';
import { OthersTyping } from './typing.js';

/**
 * @typedef {object} ChatTopics
 * @property {ConnectionState} connection
 * @property {null} rooms The room list changed.
 * @property {{roomId: string}} timeline Entries, echoes or read marks of a room changed.
 * @property {{roomId: string}} typing
 * @property {{mxid: string}} presence
 * @property {Entry} arrival A new message of somebody else, told once.
 * @property {Action} failed Something that one has done was refused.
 * @property {{roomId: string}} drafts A draft came from the disk or another tab.
 * @property {{roomId: string, name: string, reason: string}} removed We are out of a room.
 * @property {Person} stranger The server takes us for somebody else.
 * @property {string} storage What is written does not outlast the page; a sentence.
 *
 * @typedef {object} LiveOptions
 * @property {Api} api
 * @property {Clock} clock
 * @property {number} pageSize
 */

/** @extends {Emitter<ChatTopics>} */
export class Live extends Emitter {
  /** @param {LiveOptions} options */
  constructor({ api, clock, pageSize }) {
    super();
    this.api = api;
    this.store = new Store({ mxid: '', name: '', avatar_url: null, slug: null });
    this._clock = clock;
    this._pages = new Pages({
      api,
      pageSize,
      unread: (roomId) => this.store.room(roomId)?.unread_count ?? 0,
      make: (roomId) => this._makeTimeline(roomId),
      onPage: (timeline, page) => {
        for (const entry of page.entries) this.store.learn(entry);
        this.emit('timeline', { roomId: timeline.roomId });
      },
    });
    this._recount = new Recount({
      fetch: (roomId) => this.api.room(roomId),
      put: (room) => {
        this.store.putRoom(room);
        this.emit('rooms', null);
      },
      clock,
    });
    this._typing = new OthersTyping((roomId) => this._onTyping(roomId), clock);
    this._presence = new PresenceMap(api, {
      clock, onChange: (mxid) => this.emit('presence', { mxid }),
    });
    /** @type {Frame[] | null} Frames that wait for a snapshot. */
    this._held = null;
    this._resets = 0;
  }

  /**
   * @param {string} roomId
   * @returns {Timeline}
   */
  _makeTimeline(roomId) {
    const timeline = new Timeline(roomId, this.store.me);
    timeline.typing = this._typing.in(roomId);
    return timeline;
  }

  /** Nothing is fetched or expected any more. */
  stop() {
    this._resets += 1;
    this._held = null;
    this._recount.stop();
    this._typing.clear();
  }

  /** @param {string} roomId */
  timeline(roomId) {
    return this._pages.timelines.get(roomId);
  }

  /**
   * Loads the newest page of a room, once; from then on the stream keeps it up to date. All that
   * is unread is on it, and a few messages before.
   *
   * @param {string} roomId
   * @returns {Promise<Timeline>}
   */
  openRoom(roomId) {
    return this._pages.open(roomId);
  }

  /** @param {string} roomId */
  loadOlder(roomId) {
    return this._pages.older(roomId);
  }

  /** @param {string} roomId */
  loadNewer(roomId) {
    return this._pages.newer(roomId);
  }

  /**
   * Loads what is around an entry, in place of what is loaded.
   *
   * @param {string} roomId
   * @param {string} eventId
   * @returns {Promise<boolean>} False: there is no such entry for us.
   */
  jumpTo(roomId, eventId) {
    return this._pages.around(roomId, eventId);
  }

  /**
   * @param {string} roomId
   * @param {number} at Milliseconds.
   * @returns {Promise<Entry | null>} The first entry then or later; null in an empty room.
   */
  jumpToDate(roomId, at) {
    return this._pages.at(roomId, at);
  }

  /** @param {string} roomId */
  jumpToNewest(roomId) {
    return this._pages.newest(roomId);
  }

  /**
   * @param {string} mxid
   * @returns {Presence | null}
   */
  presence(mxid) {
    return this._presence.of(mxid);
  }

  /** @param {string} roomId */
  loadPresence(roomId) {
    return this._presence.load(roomId);
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
      case 'timeline': return this._onEntry(data, false);
      case 'timeline.changed': return this._onEntry(data, true);
      case 'membership': return this._onMembership(data);
      case 'room.added': return void this._recount.now(data.room_id);
      case 'room.removed': return this._onRemoved(data);
      case 'typing': return this._onTypingFrame(data);
      case 'receipt': return this._onReceipt(data);
      case 'unread': return this._onUnread(data);
      case 'presence': return this._presence.put(data);
      case 'send.failed': return this._onSendFailed(data);
      default: return undefined;
    }
  }

  /** @param {Person} user */
  _onHello(user) {
    if (user.mxid !== this.store.me.mxid) this.emit('stranger', user);
  }

  /**
   * @param {Entry} entry
   * @param {boolean} changed
   */
  _onEntry(entry, changed) {
    const theirs = entry.sender.mxid !== this.store.me.mxid;
    const timeline = this.timeline(entry.room_id);
    const newest = timeline?.newest;
    const outcome = timeline?.upsert(entry, changed);
    this._recount.touch(entry.room_id);
    if (!this.store.applyEntry(entry, changed)) this._recount.soon(entry.room_id);
    this.emit('rooms', null);
    this.emit('timeline', { roomId: entry.room_id });
    if (changed) return;
    this._typing.drop(entry.room_id, entry.sender.mxid);
    const isNews = outcome === 'added' && (!newest || entry.order > newest.order);
    if (isNews && theirs && isMessage(entry)) this.emit('arrival', entry);
  }

  /** @param {SendFailure} _failure */
  _onSendFailed(_failure) {}

  /** @param {{room_id: string, user: Person}} data */
  _onMembership(data) {
    this.store.addPerson(data.user);
    // Whether this changes the number of members only the server knows. Many join at once.
    this._recount.soon(data.room_id);
  }

  /** @param {{room_id: string, reason: string}} data */
  _onRemoved(data) {
    const roomId = data.room_id;
    const name = this.store.room(roomId)?.name ?? '';
    this.store.removeRoom(roomId);
    this._pages.timelines.delete(roomId);
    this.emit('rooms', null);
    this.emit('removed', { roomId, name, reason: data.reason });
  }

  /** @param {{room_id: string, users: Person[]}} data */
  _onTypingFrame(data) {
    const others = data.users.filter((user) => user.mxid !== this.store.me.mxid);
    this._typing.set(data.room_id, others);
  }

  /** @param {string} roomId */
  _onTyping(roomId) {
    const timeline = this.timeline(roomId);
    if (timeline) timeline.typing = this._typing.in(roomId);
    this.emit('typing', { roomId });
  }

  /** @param {Receipt} receipt */
  _onReceipt(receipt) {
    const roomId = receipt.room_id;
    const timeline = this.timeline(roomId);
    this.store.addPerson(receipt.user);
    if (timeline?.applyReceipt(receipt)) this.emit('timeline', { roomId });
    const complete = timeline && !timeline.hasAfter ? timeline.entries : [];
    if (!this.store.applyReceipt(receipt, complete)) this._recount.soon(roomId);
    if (receipt.user.mxid === this.store.me.mxid) this.emit('rooms', null);
  }

  /** @param {UnreadState} state */
  _onUnread(state) {
    this._recount.touch(state.room_id);
    if (!this.store.applyUnread(state)) this._recount.soon(state.room_id);
    this.emit('rooms', null);
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
        await new Promise((done) => this._clock.setTimeout(() => done(null), backoffMs(attempt)));
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
    this._presence.reload();
    await Promise.all([...this._pages.timelines.keys()].map((roomId) => this._reload(roomId)));
  }

  /** @param {string} roomId */
  async _reload(roomId) {
    if (this.store.room(roomId)) await this._pages.reload(roomId);
    else this._pages.timelines.delete(roomId);
  }
}
