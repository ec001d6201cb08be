/**
 * Messages on their way: in order within a room, each repeated with the same id until it is known
 * what became of it.
 *
 * @import { Api } from './api.js'
 * @import { Clock, SendStatus } from './types.js'
 */

import { ApiError } from './api.js';
import { backoffMs } from './backoff.js';
import { systemClock } from './types.js';

/**
 * `queued`: its turn will come. `sending`: asked the server. `waiting`: the server was not to be
 * had, it is tried again at `retryAt`. `pending`: the server has it and passes it on. `sent`: it
 * has an event id. `failed`: refused for good; a person decides.
 *
 * @typedef {object} Outgoing
 * @property {string} txnId
 * @property {string} roomId
 * @property {string} body
 * @property {'queued' | 'sending' | 'waiting' | 'pending' | 'sent' | 'failed'} state
 * @property {number} attempt
 * @property {number | null} retryAt
 * @property {string | null} eventId
 * @property {string | null} reason
 *
 * @typedef {object} OutboxOptions
 * @property {Pick<Api, 'send' | 'sendStatus'>} api
 * @property {(message: Outgoing) => void} [onChange]
 * @property {Clock} [clock]
 * @property {() => number} [random]
 * @property {() => string} [newId]
 */

/** How often (ms) to ask what became of a message that the server has taken. */
const ASK_EVERY = 20_000;

/** The queue of unsent messages of one user. */
export class Outbox {
  /** @param {OutboxOptions} options */
  constructor(options) {
    this._api = options.api;
    this._onChange = options.onChange ?? (() => {});
    this._clock = options.clock ?? systemClock;
    this._random = options.random ?? Math.random;
    this._newId = options.newId ?? newClientTxnId;
    /** @type {Map<string, Outgoing>} In the order of writing. */
    this._messages = new Map();
    /** @type {Map<string, any>} Timers by room. */
    this._timers = new Map();
    /** @type {any} */
    this._asking = null;
  }

  /** @returns {Outgoing[]} Everything that is not known to be sent. */
  unsent() {
    return [...this._messages.values()];
  }

  /**
   * @param {string} roomId
   * @param {string} body
   * @returns {Outgoing}
   */
  enqueue(roomId, body) {
    const txnId = this._newId();
    /** @type {Outgoing} */
    const message = {
      txnId, roomId, body, state: 'queued', attempt: 0, retryAt: null, eventId: null, reason: null,
    };
    this._messages.set(txnId, message);
    void this._next(roomId);
    return message;
  }

  /**
   * Sends a failed message once more, under a new id: the server remembers the old one as failed.
   *
   * @param {string} txnId
   * @returns {Outgoing | null}
   */
  retry(txnId) {
    const message = this.discard(txnId);
    return message && this.enqueue(message.roomId, message.body);
  }

  /**
   * Forgets a failed message.
   *
   * @param {string} txnId
   * @returns {Outgoing | null}
   */
  discard(txnId) {
    const message = this._messages.get(txnId);
    if (message?.state !== 'failed') return null;
    this._messages.delete(txnId);
    return message;
  }

  /**
   * The log has it: nothing is left to do.
   *
   * @param {string} txnId
   * @param {string} eventId
   */
  confirm(txnId, eventId) {
    const message = this._messages.get(txnId);
    if (!message) return;
    // Whatever was thought of it before, also that it had failed.
    this._messages.delete(txnId);
    this._change(message, { state: 'sent', eventId, reason: null });
    void this._next(message.roomId);
  }

  /**
   * The server reports that it could not pass it on.
   *
   * @param {string} txnId
   * @param {string} reason
   */
  fail(txnId, reason) {
    const message = this._messages.get(txnId);
    if (message) this._settle(message, { status: 'failed', error: reason });
  }

  /** The server can be reached again: no need to wait any longer. */
  wake() {
    const rooms = new Set(this.unsent().map((message) => message.roomId));
    for (const roomId of rooms) {
      this._clock.clearTimeout(this._timers.get(roomId));
      void this._next(roomId);
    }
    void this._ask();
  }

  /** Stops all timers. */
  stop() {
    for (const timer of this._timers.values()) this._clock.clearTimeout(timer);
    this._clock.clearTimeout(this._asking);
    this._messages.clear();
  }

  /** @param {string} roomId */
  async _next(roomId) {
    const here = this.unsent().filter((message) => message.roomId === roomId);
    // One at a time: the second may not overtake the first.
    if (here.some((message) => message.state === 'sending')) return;
    const message = here.find(({ state }) => state === 'queued' || state === 'waiting');
    if (message) await this._send(message);
  }

  /** @param {Outgoing} message */
  async _send(message) {
    this._change(message, { state: 'sending', retryAt: null });
    try {
      const status = await this._api.send(message.roomId, message.txnId, message.body);
      this._settle(message, status);
    } catch (error) {
      if (this._wait(message, error)) return;
    }
    await this._next(message.roomId);
  }

  /**
   * @param {Outgoing} message
   * @param {unknown} error
   * @returns {boolean} True when the room has to wait for it.
   */
  _wait(message, error) {
    const reason = error instanceof Error ? error.message : String(error);
    // The stream may have told of its end while the answer was on its way.
    if (message.state !== 'sending') return false;
    const known = error instanceof ApiError ? error : new ApiError(reason);
    if (!known.temporary && !known.unauthorized) {
      this._change(message, { state: 'failed', reason: reasonOf(known) });
      return false;
    }
    const attempt = message.attempt + 1;
    const ms = Math.max(backoffMs(attempt, this._random), known.retryAfterMs ?? 0);
    this._change(message, { state: 'waiting', attempt, retryAt: this._clock.now() + ms, reason });
    const timer = this._clock.setTimeout(() => void this._next(message.roomId), ms);
    this._timers.set(message.roomId, timer);
    return true;
  }

  /**
   * @param {Outgoing} message
   * @param {SendStatus} status
   */
  _settle(message, status) {
    if (message.state === 'sent' || message.state === 'failed') return;
    if (status.status === 'sent') {
      this._messages.delete(message.txnId);
      this._change(message, { state: 'sent', eventId: status.event_id ?? null, reason: null });
    } else if (status.status === 'failed') {
      this._change(message, { state: 'failed', reason: status.error ?? 'It could not be sent.' });
    } else {
      this._change(message, { state: 'pending', reason: null });
      this._askLater();
    }
  }

  _askLater() {
    this._clock.clearTimeout(this._asking);
    this._asking = this._clock.setTimeout(() => void this._ask(), ASK_EVERY);
  }

  /** Frames about failures have no position, so one may have been missed. */
  async _ask() {
    const pending = this.unsent().filter((message) => message.state === 'pending');
    for (const message of pending) {
      try {
        this._settle(message, await this._api.sendStatus(message.roomId, message.txnId));
      } catch (error) {
        this._unanswered(message, error);
      }
    }
  }

  /**
   * @param {Outgoing} message
   * @param {unknown} error
   */
  _unanswered(message, error) {
    // A server that lost its memory gets it again; the id keeps that from making a double.
    const unknown = error instanceof ApiError && error.status === 404;
    if (unknown && message.state === 'pending') {
      this._change(message, { state: 'queued' });
      void this._next(message.roomId);
    }
    this._askLater();
  }

  /**
   * @param {Outgoing} message
   * @param {Partial<Outgoing>} changes
   */
  _change(message, changes) {
    Object.assign(message, changes);
    this._onChange(message);
  }
}

/** @param {ApiError} error */
function reasonOf(error) {
  const fields = Object.entries(error.fields).map(([name, problem]) => `${name}: ${problem}`);
  return fields.length ? `${error.message} (${fields.join('; ')})` : error.message;
}

/** @returns {string} An id that no other tab or device makes. */
function newClientTxnId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `w${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
