/**
 * Sends what is in the queue: in order within a room, one at a time, each repeated with the same
 * id until it is known what became of it.
 *
 * @import { Action } from './action.js'
 * @import { Api } from './api.js'
 * @import { Queue } from './queue.js'
 * @import { Clock, SendStatus } from './types.js'
 */

import { reasonOf, rewritten } from './action.js';
import { backoffMs } from './backoff.js';
import { ApiError } from './http.js';

/** How often (ms) to ask what became of something that the server has taken. */
const ASK_EVERY = 20_000;
/** It was taken back, or what it was about was deleted: nobody misses it. */
const WITHDRAWN = 'ORG_OPENMEET_WITHDRAWN';

/**
 * @typedef {Pick<Api, 'send' | 'sendStatus' | 'takeBack' | 'edit' | 'react' | 'remove'>} SendApi
 *
 * @typedef {object} SenderOptions
 * @property {SendApi} api
 * @property {Queue} queue
 * @property {Clock} clock
 * @property {() => number} random
 * @property {() => boolean} isLeading Whether it is this tab that sends.
 */

export class Sender {
  /** @param {SenderOptions} options */
  constructor(options) {
    this._api = options.api;
    this._queue = options.queue;
    this._clock = options.clock;
    this._random = options.random;
    this._isLeading = options.isLeading;
    /** @type {Set<string>} Rooms of which something is being sent. */
    this._busy = new Set();
    /** @type {Map<string, any>} Timers by room. */
    this._timers = new Map();
    /** @type {any} */
    this._asking = null;
  }

  /** From now on this tab sends. What another one was about to send may not have left. */
  lead() {
    for (const { id, state } of this._queue.all()) {
      if (state !== 'sending') continue;
      void this._queue.change(id, (now) => now && { ...now, state: 'queued' });
    }
    this.wake();
  }

  /** The server can be reached again: no need to wait any longer. */
  wake() {
    if (!this._isLeading()) return;
    for (const roomId of new Set(this._queue.all().map((action) => action.roomId))) {
      this.resume(roomId);
    }
    void this._ask();
  }

  /** @param {string} roomId What it waited for may be gone. */
  resume(roomId) {
    this._clock.clearTimeout(this._timers.get(roomId));
    this._timers.delete(roomId);
    void this.next(roomId);
  }

  stop() {
    for (const timer of this._timers.values()) this._clock.clearTimeout(timer);
    this._timers.clear();
    this._clock.clearTimeout(this._asking);
  }

  /**
   * Sends what is next in a room.
   *
   * @param {string} roomId
   */
  async next(roomId) {
    // One at a time: the second may not overtake the first.
    if (!this._isLeading() || this._busy.has(roomId) || this._timers.has(roomId)) return;
    const action = this._queue.all().find((one) => one.roomId === roomId && this._isDue(one));
    if (!action) return;
    this._busy.add(roomId);
    try {
      await this._send(action);
    } finally {
      this._busy.delete(roomId);
    }
    await this.next(roomId);
  }

  /** @param {Action} action */
  _isDue(action) {
    if (action.state !== 'queued' && action.state !== 'waiting') return false;
    // An edit of a message waits until that has an event id; others may pass it.
    return action.kind !== 'edit' || action.target !== null
      || this._queue.get(action.about ?? '') === undefined;
  }

  /** @param {Action} action */
  async _send(action) {
    const begun = await this._queue.change(action.id, (now) => (
      now && { ...now, state: 'sending', tried: true, retryAt: null }));
    // Another tab has taken it back.
    if (!begun || !this._isLeading()) return;
    try {
      this.settle(action.id, await this._perform(begun));
    } catch (error) {
      this._refused(action.id, error);
    }
  }

  /**
   * @param {Action} action
   * @returns {Promise<SendStatus>}
   */
  async _perform(action) {
    const { id, roomId, kind, draft, key, on } = action;
    if (kind === 'message' && draft) return this._api.send(roomId, id, draft);
    if (kind === 'edit' && draft) {
      return this._api.edit(roomId, await this._target(action), id, draft);
    }
    if (kind === 'reaction') return this._api.react(roomId, action.target ?? '', key ?? '', on);
    if (action.target === null) return this._api.takeBack(roomId, action.about ?? '');
    return this._api.remove(roomId, action.target, action.why ?? undefined);
  }

  /**
   * @param {Action} action
   * @returns {Promise<string>} Event id of what an edit changes.
   */
  async _target({ roomId, target, about }) {
    const known = target ?? this._queue.outcome(about ?? '');
    if (known) return known;
    const { event_id: eventId } = await this._api.sendStatus(roomId, about ?? '');
    if (eventId) return eventId;
    throw new ApiError('The message that was to be changed has not been sent.', { status: 409 });
  }

  /**
   * @param {string} id
   * @param {SendStatus} status
   */
  settle(id, status) {
    const action = this._queue.get(id);
    if (!action || action.state === 'failed') return;
    if (status.status === 'sent') this.done(id, status.event_id ?? null);
    else if (status.errcode === WITHDRAWN) void this._queue.end(id, 'gone');
    else if (status.status === 'failed') {
      this._fail(id, status.error ?? 'It could not be sent.', {});
    } else if (this._isOutdated(action)) {
      void this._queue.end(id, 'gone');
    } else {
      void this._queue.change(id, (now) => now && { ...now, state: 'pending', reason: null });
      this._askLater();
    }
  }

  /**
   * @param {Action} action
   * @returns {boolean} True when a later one says the contrary: this may not be asked for again.
   */
  _isOutdated({ kind, target, key, seq }) {
    return kind === 'reaction' && this._queue.all().some((other) => other.kind === kind
      && other.target === target && other.key === key && other.seq > seq);
  }

  /**
   * Nothing is left to do, whatever was thought of it before.
   *
   * @param {string} id
   * @param {string | null} eventId
   */
  done(id, eventId) {
    const action = this._queue.get(id);
    if (!action) return;
    if (eventId !== null && action.kind === 'message') this._nowKnown(id, eventId);
    void this._queue.end(id, 'sent', eventId);
    void this.next(action.roomId);
  }

  /**
   * @param {string} id
   * @param {string} eventId
   */
  _nowKnown(id, eventId) {
    for (const edit of this._queue.all()) {
      if (edit.kind !== 'edit' || edit.about !== id || edit.target !== null) continue;
      void this._queue.change(edit.id, (now) => now && { ...now, target: eventId });
    }
  }

  /**
   * @param {string} id
   * @param {string} reason
   * @param {Record<string, string>} fields
   */
  _fail(id, reason, fields) {
    const action = this._queue.get(id);
    if (!action) return;
    // What was to change a message that never came to be is a part of it now.
    const edits = this._queue.all().filter((one) => one.kind === 'edit' && one.about === id);
    const newest = edits.at(-1)?.draft;
    for (const edit of edits) void this._queue.end(edit.id, 'gone');
    void this._queue.change(id, (now) => now && {
      ...now, state: 'failed', reason, fields,
      draft: newest ? rewritten(now.draft, newest) : now.draft,
    });
    void this.next(action.roomId);
  }

  /**
   * @param {string} id
   * @param {unknown} error
   */
  _refused(id, error) {
    const action = this._queue.get(id);
    // The stream may have told of its end while the answer was on its way.
    if (action?.state !== 'sending' || !this._isLeading()) return;
    const known = error instanceof ApiError ? error : new ApiError(String(error));
    if (known.errcode === WITHDRAWN) void this._queue.end(id, 'gone');
    else if (known.temporary || known.unauthorized) this._wait(action, known);
    else if (known.status === 404 && takesAway(action)) this.done(id, null);
    else this._fail(id, reasonOf(known), known.fields);
  }

  /**
   * @param {Action} action
   * @param {ApiError} error
   */
  _wait({ id, roomId, attempt: before }, error) {
    const attempt = before + 1;
    const ms = Math.max(backoffMs(attempt, this._random), error.retryAfterMs ?? 0);
    const retryAt = this._clock.now() + ms;
    const reason = error.message;
    void this._queue.change(id, (now) => (
      now && { ...now, state: 'waiting', attempt, retryAt, reason }));
    this._timers.set(roomId, this._clock.setTimeout(() => {
      this._timers.delete(roomId);
      void this.next(roomId);
    }, ms));
  }

  _askLater() {
    this._clock.clearTimeout(this._asking);
    if (this._isLeading()) this._asking = this._clock.setTimeout(() => void this._ask(), ASK_EVERY);
  }

  /** Frames about failures have no position, so one may have been missed. */
  async _ask() {
    for (const action of this._queue.all()) {
      if (action.state !== 'pending') continue;
      try {
        this.settle(action.id, await this._standing(action));
      } catch (error) {
        this._unanswered(action, error);
      }
    }
  }

  /**
   * @param {Action} action
   * @returns {Promise<SendStatus>}
   */
  _standing(action) {
    if (action.kind === 'message') return this._api.sendStatus(action.roomId, action.id);
    return this._perform(action);
  }

  /**
   * @param {Action} action
   * @param {unknown} error
   */
  _unanswered({ id, roomId }, error) {
    // A server that lost its memory gets it again; the id keeps that from making a double.
    if (error instanceof ApiError && !error.temporary) {
      void this._queue.change(id, (now) => (
        now?.state === 'pending' ? { ...now, state: 'queued' } : now));
      void this.next(roomId);
    }
    this._askLater();
  }
}

/** @param {Action} action */
function takesAway({ kind, on }) {
  return kind === 'deletion' || (kind === 'reaction' && !on);
}
