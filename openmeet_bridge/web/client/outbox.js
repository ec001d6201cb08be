/**
 * What a user has written and done, on its way to the server: kept over reload and crash, sent by
 * exactly one of the user's tabs, in order within a room, each with an id that makes it safe to
 * repeat.
 *
 * @import { Action, Deed } from './action.js'
 * @import { Channel } from './queue.js'
 * @import { SendApi } from './sender.js'
 * @import { Shelf } from './shelf.js'
 * @import { Clock, Draft, EditDraft, SendFailure } from './types.js'
 */

import {
  checkSize, deedOf, isUntouched, makeAction, newActionId, rewritten,
} from './action.js';
import { ApiError } from './http.js';
import { Leader } from './leader.js';
import { Queue } from './queue.js';
import { Sender } from './sender.js';
import { MemoryShelf } from './shelf.js';
import { systemClock } from './types.js';

/**
 * @typedef {object} OutboxOptions
 * @property {SendApi} api
 * @property {(action: Action) => void} [onChange] Also with `sent` and `gone`, once each.
 * @property {Shelf} [shelf] Default: it lasts as long as the page.
 * @property {Channel | null} [channel] To the other tabs; what they send goes to `hear`.
 * @property {Pick<LockManager, 'request'> | null} [locks]
 * @property {string} [name] The same in all tabs of this user.
 * @property {Clock} [clock]
 * @property {() => number} [random]
 * @property {() => string} [newId]
 */

/** The queue of what one user has done. */
export class Outbox {
  /** @param {OutboxOptions} options */
  constructor(options) {
    this._clock = options.clock ?? systemClock;
    this._newId = options.newId ?? newActionId;
    const shelf = options.shelf ?? new MemoryShelf();
    this._queue = new Queue(shelf, {
      channel: options.channel ?? null, onChange: options.onChange ?? (() => {}),
    });
    this._sender = new Sender({
      api: options.api, queue: this._queue, clock: this._clock,
      random: options.random ?? Math.random, isLeading: () => this._leader.leading,
    });
    this._leader = new Leader({
      name: options.name ?? 'outbox', owner: newActionId(), shelf, locks: options.locks ?? null,
      clock: this._clock, onLead: () => this._sender.lead(),
    });
    /** @type {string | null} Why what is written does not outlast the page; a sentence. */
    this.notice = null;
  }

  /** Takes up what was left, and sends it, unless another tab does. */
  async start() {
    await this._queue.load();
    this._leader.start();
  }

  /** Stops all timers; what is on the shelf stays there. */
  stop() {
    this._leader.stop();
    this._sender.stop();
    this._queue.forget();
  }

  /** @returns {Action[]} Everything that is not known to be sent. */
  unsent() {
    return this._queue.all();
  }

  /**
   * @param {string} roomId
   * @param {Draft} draft
   * @returns {Action}
   * @throws {ApiError} The queue is full, or the draft too long.
   */
  send(roomId, draft) {
    return this._add(roomId, { kind: 'message', draft });
  }

  /**
   * Changes a message: in the queue where the server cannot have it yet, else with an edit.
   *
   * @param {string} roomId
   * @param {string} id Of an event, or of a message on its way.
   * @param {EditDraft} edit
   * @throws {ApiError} As {@link send}.
   */
  edit(roomId, id, edit) {
    const words = rewritten(null, edit);
    const message = this._queue.get(id);
    const earlier = this._changesOf(id).filter((one) => one.kind === 'edit');
    const waiting = earlier.find(isUntouched);
    if (message?.state === 'failed') {
      return void this._resend(message, rewritten(message.draft, edit));
    }
    if (isUntouched(message)) return this._rewrite(roomId, id, edit);
    if (waiting) return this._rewrite(roomId, waiting.id, edit);
    for (const one of earlier) if (one.state === 'failed') this.discard(one.id);
    this._add(roomId, { kind: 'edit', draft: words, ...this._place(id) });
    return undefined;
  }

  /**
   * Deletes a message, or takes it out of the queue.
   *
   * @param {string} roomId
   * @param {string} id Of an event, or of a message on its way.
   * @param {string | null} [why]
   * @throws {ApiError} The queue is full.
   */
  remove(roomId, id, why = null) {
    const message = this._queue.get(id);
    const changes = this._changesOf(id);
    if (changes.some((one) => one.kind === 'deletion' && one.state !== 'failed')) return;
    for (const one of changes) if (one.state !== 'sending') void this._queue.end(one.id, 'gone');
    if (message) void this._queue.end(id, 'gone');
    // Another tab may be about to send what seems untouched here.
    const unheard = message?.state === 'failed' || (this._leader.leading && isUntouched(message));
    if (!unheard) {
      this._add(roomId, { kind: 'deletion', why, ...this._place(id) });
    }
    this._sender.resume(roomId);
  }

  /**
   * Puts a reaction to a message, or takes it away. What is in the queue is enough to undo.
   *
   * @param {string} roomId
   * @param {string} target Event id.
   * @param {string} key
   * @param {boolean} on
   * @throws {ApiError} The queue is full.
   */
  react(roomId, target, key, on) {
    const earlier = this._changesOf(target)
      .filter((one) => one.kind === 'reaction' && one.key === key && one.state !== 'sending');
    // Another tab may be about to send what seems untouched here.
    const isUnheard = this._leader.leading && earlier.every(isUntouched);
    const undone = isUnheard && earlier.some((one) => one.on !== on);
    for (const one of earlier) void this._queue.end(one.id, 'gone');
    if (!undone) this._add(roomId, { kind: 'reaction', target, key, on }, !isUnheard);
    this._sender.resume(roomId);
  }

  /**
   * Does again what has failed, under a new id: the server remembers the old one as failed.
   *
   * @param {string} id
   * @returns {Action | null}
   */
  retry(id) {
    const action = this._queue.get(id);
    return action?.state === 'failed' ? this._resend(action, action.draft) : null;
  }

  /**
   * Forgets what has failed.
   *
   * @param {string} id
   * @returns {Action | null}
   */
  discard(id) {
    const action = this._queue.get(id);
    if (action?.state !== 'failed') return null;
    void this._queue.end(id, 'gone');
    return action;
  }

  /** @param {string} roomId Nothing can be done there any more. */
  leave(roomId) {
    for (const action of this._queue.all()) {
      if (action.roomId === roomId) void this._queue.end(action.id, 'gone');
    }
  }

  /**
   * The log has it: nothing is left to do.
   *
   * @param {string} id
   * @param {string} eventId
   */
  confirm(id, eventId) {
    this._sender.done(id, eventId);
  }

  /**
   * The server reports that it could not pass something on.
   *
   * @param {SendFailure} failure
   */
  fail({ action, client_txn_id: id, event_id: target, key, errcode, error }) {
    const known = id === undefined
      ? this._changesOf(target ?? '').find((one) => isMeant(one, action, key))
      : this._queue.get(id);
    if (known) this._sender.settle(known.id, { status: 'failed', errcode, error });
  }

  /** The server can be reached again: no need to wait any longer. */
  wake() {
    this._sender.wake();
    if (!this._leader.leading) this._queue.channel?.postMessage({ type: 'wake' });
  }

  /** @param {any} message What another tab has sent. */
  hear(message) {
    this._queue.hear(message);
    if (message.type === 'wake') this._sender.wake();
    if (message.type === 'action') void this._sender.next(message.action.roomId);
  }

  /**
   * There is no storage any more that tabs could share: this one is on its own.
   *
   * @param {string} notice
   */
  goAlone(notice) {
    this.notice = notice;
    this._queue.channel = null;
    this._leader.lead();
  }

  /**
   * @param {string} roomId
   * @param {Deed} deed
   * @param {boolean} [tried] It takes the place of something that the server may have heard of.
   * @returns {Action}
   */
  _add(roomId, deed, tried = false) {
    if (deed.draft) checkSize(deed.draft);
    if (this._queue.full) {
      throw new ApiError('Too much is waiting to be sent.', {
        errcode: 'CLIENT_QUEUE_FULL', status: 429,
      });
    }
    const timestamp = this._clock.now();
    const base = { id: this._newId(), seq: this._queue.nextSeq(timestamp), roomId, timestamp };
    const action = { ...makeAction(base, deed), tried };
    void this._queue.add(action).then(() => this._sender.next(roomId));
    return action;
  }

  /**
   * @param {Action} action
   * @param {Draft | null} draft
   * @returns {Action}
   */
  _resend(action, draft) {
    if (draft) checkSize(draft);
    void this._queue.end(action.id, 'gone');
    return this._add(action.roomId, { ...deedOf(action), draft });
  }

  /**
   * @param {string} roomId
   * @param {string} id Of what is still in the queue as it was written.
   * @param {EditDraft} edit
   */
  _rewrite(roomId, id, edit) {
    checkSize(edit);
    const changed = this._queue.change(id, (now) => (now && isUntouched(now)
      ? { ...now, draft: rewritten(now.draft, edit) } : now));
    void changed.then((now) => {
      // Another tab was about to send it.
      if (!isUntouched(now) && now?.draft?.body !== edit.body) this.edit(roomId, id, edit);
    });
  }

  /**
   * @param {string} id
   * @returns {Action[]} What is to change an event, or a message on its way.
   */
  _changesOf(id) {
    const eventId = this._queue.outcome(id) ?? id;
    return this._queue.all().filter((one) => one.target === eventId || one.about === id);
  }

  /**
   * @param {string} id
   * @returns {{target: string} | {target: null, about: string}}
   */
  _place(id) {
    const known = this._queue.outcome(id);
    if (known) return { target: known };
    const isOurs = this._queue.get(id) !== undefined || known !== undefined;
    return isOurs ? { target: null, about: id } : { target: id };
  }
}

/**
 * @param {Action} one
 * @param {SendFailure['action']} action
 * @param {string} [key]
 */
function isMeant(one, action, key) {
  if (action === 'delete') return one.kind === 'deletion';
  return one.kind === 'reaction' && one.key === key && one.on === (action === 'react');
}
