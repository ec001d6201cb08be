/**
 * The stream of what happens: WebSocket first, server-sent events where that fails.
 *
 * @import { Api } from './api.js'
 * @import { Clock, Frame } from './types.js'
 * @import { OpenTransport, Transport } from './transport.js'
 */

import { ApiError } from './api.js';
import { BACKOFF, backoffMs } from './backoff.js';
import { openEventSource, openWebSocket } from './transport.js';
import { systemClock } from './types.js';

/**
 * What is true of the connection right now.
 *
 * - `connecting`: the first try, or a try after waiting.
 * - `live`: the server has said hello, and bytes keep coming.
 * - `reconnecting`: waiting until `retryAt`.
 * - `offline`: as `reconnecting`, and the browser says that there is no network.
 * - `resting`: the server has ended it, as nobody was there for long; `wake` opens it again.
 * - `denied`: the server does not let us in (`reason`); it needs a person.
 *
 * @typedef {'idle' | 'connecting' | 'live' | 'reconnecting' | 'offline' | 'resting' | 'denied'
 *   } Phase
 *
 * @typedef {object} ConnectionState
 * @property {Phase} phase
 * @property {number} attempt Tries that have failed in a row.
 * @property {number | null} retryAt Milliseconds since the epoch.
 * @property {string | null} reason
 *
 * @typedef {object} StreamOptions
 * @property {Pick<Api, 'ticket' | 'streamUrl'>} api
 * @property {(frame: Frame) => void} onFrame
 * @property {(state: ConnectionState) => void} [onState]
 * @property {Clock} [clock]
 * @property {() => number} [random]
 * @property {() => boolean} [online]
 * @property {() => boolean} [saveData] Whether to do without typing, receipts and presence.
 * @property {Array<{kind: 'ws' | 'stream', open: OpenTransport}>} [transports] Best first.
 */

/** How long the server may take to say hello, in milliseconds. */
const HELLO_WITHIN = 10_000;
/** Silence of so many heartbeats means that the connection is dead. */
const SILENT_HEARTBEATS = 2.5;
/** A connection that lasted so long (ms) was a good one: the back-off starts anew after it. */
const STEADY_AFTER = 5000;

/** Whether the browser says that its user wants that; not all browsers tell. */
function askedToSaveData() {
  const { connection } = /** @type {{connection?: {saveData?: boolean}}} */ (
    globalThis.navigator ?? {}
  );
  return connection?.saveData === true;
}

/** Keeps one stream open, and says honestly when it is not. */
export class Stream {
  /** @param {StreamOptions} options */
  constructor(options) {
    this._api = options.api;
    this._onFrame = options.onFrame;
    this._onState = options.onState ?? (() => {});
    this._clock = options.clock ?? systemClock;
    this._random = options.random ?? Math.random;
    this._online = options.online ?? (() => globalThis.navigator?.onLine !== false);
    this._saveData = options.saveData ?? askedToSaveData;
    this._transports = options.transports ?? [
      { kind: 'ws', open: openWebSocket },
      { kind: 'stream', open: openEventSource },
    ];
    this._preferred = 0;
    /** @type {string | null} Where to go on from. */
    this.cursor = null;
    /** @type {ConnectionState} */
    this.state = { phase: 'idle', attempt: 0, retryAt: null, reason: null };
    this._heartbeatMs = 20_000;
    this._liveSince = 0;
    /** Tells answers to an abandoned try from those to the present one. */
    this._try = 0;
    /** @type {Transport | null} */
    this._transport = null;
    /** @type {any} */
    this._retryTimer = null;
    /** @type {any} */
    this._watchdog = null;
  }

  /** @param {string | null} cursor Where the snapshot ended that the caller has. */
  start(cursor) {
    this.cursor = cursor;
    this._connect(0);
  }

  /** Ends for good. */
  stop() {
    this._drop();
    this._set('idle', 0, null, null);
  }

  /** Tries at once instead of waiting; when live it does nothing. */
  tryNow() {
    const { phase, attempt } = this.state;
    if (phase !== 'idle' && phase !== 'connecting' && phase !== 'live') this._connect(attempt);
  }

  /** Somebody is there again: a stream that rests is opened, and any other is left alone. */
  wake() {
    if (this.state.phase === 'resting') this._connect(0);
  }

  /** The browser says that the network is gone: an open connection is no proof against it. */
  networkLost() {
    if (this.state.phase === 'live') this._lost(null);
    else if (this.state.phase === 'connecting') this._retry(0, null);
  }

  /** @param {number} attempt */
  async _connect(attempt) {
    this._drop();
    const mine = this._try;
    this._set('connecting', attempt, null, null);
    try {
      const { ticket } = await this._api.ticket();
      if (mine === this._try) this._tryToOpen(ticket);
    } catch (error) {
      if (mine === this._try) this._refused(error);
    }
  }

  /** @param {string} ticket */
  _tryToOpen(ticket) {
    try {
      this._open(ticket);
    } catch {
      // A policy of the browser or the page: the other way may be free.
      this._lost(null);
    }
  }

  /** @param {string} ticket */
  _open(ticket) {
    const { kind, open } = this._transports[this._preferred % this._transports.length];
    const mine = this._try;
    this._watch(HELLO_WITHIN);
    const data = this._saveData() ? 'low' : null;
    this._transport = open(this._api.streamUrl(kind, { ticket, cursor: this.cursor, data }), {
      onFrame: (frame) => mine === this._try && this._receive(frame),
      onClose: () => mine === this._try && this._lost(null),
    });
  }

  /** @param {unknown} error */
  _refused(error) {
    if (error instanceof ApiError && !error.temporary) {
      this._drop();
      this._set('denied', this.state.attempt, null, error.message);
      return;
    }
    const least = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    this._retry(least, null);
  }

  /** @param {Frame} frame */
  _receive(frame) {
    if (frame.type === 'hello') this._hello(frame);
    this._watch(this._heartbeatMs * SILENT_HEARTBEATS);
    if (frame.type === 'bye') return this._bye(frame.data ?? {});
    if (frame.type !== 'heartbeat') this._onFrame(frame);
    this._advance(frame);
    return undefined;
  }

  /** @param {Frame} frame */
  _advance(frame) {
    // A hello may name the server's newest position, and what is before it is still to come.
    if (frame.type === 'hello') return;
    const cursor = frame.type === 'reset' ? frame.data?.cursor : frame.cursor;
    if (cursor) this.cursor = cursor;
  }

  /** @param {Frame} frame */
  _hello(frame) {
    this._heartbeatMs = Math.max(1000, Number(frame.data?.heartbeat_ms) || this._heartbeatMs);
    this.cursor ??= frame.data?.cursor ?? null;
    this._liveSince = this._clock.now();
    this._set('live', this.state.attempt, null, null);
  }

  /** @param {{reason?: string, reconnect?: boolean}} bye */
  _bye(bye) {
    const reason = bye.reason ?? null;
    // An expired token may have a successor by now; asking for a ticket finds that out.
    if (bye.reconnect || reason === 'token_expired') return this._lost(reason);
    this._drop();
    return this._set(reason === 'idle' ? 'resting' : 'denied', 0, null, reason);
  }

  /** @param {string | null} reason */
  _lost(reason) {
    const wasLive = this.state.phase === 'live';
    if (!wasLive) this._preferred += 1;
    const steady = wasLive && this._clock.now() - this._liveSince >= STEADY_AFTER;
    if (steady) this.state = { ...this.state, attempt: 0 };
    this._retry(0, reason);
  }

  /**
   * @param {number} leastMs
   * @param {string | null} reason
   */
  _retry(leastMs, reason) {
    this._drop();
    const attempt = this.state.attempt + 1;
    const online = this._online();
    // Browsers are wrong about it at times, so the first try comes soon.
    const soon = online || attempt === 1;
    const wait = soon ? backoffMs(attempt, this._random) : BACKOFF.longest;
    const ms = Math.max(wait, leastMs);
    this._set(online ? 'reconnecting' : 'offline', attempt, this._clock.now() + ms, reason);
    this._retryTimer = this._clock.setTimeout(() => this._connect(attempt), ms);
  }

  /** @param {number} ms */
  _watch(ms) {
    this._clock.clearTimeout(this._watchdog);
    this._watchdog = this._clock.setTimeout(() => this._lost('silent'), ms);
  }

  _drop() {
    this._try += 1;
    this._clock.clearTimeout(this._retryTimer);
    this._clock.clearTimeout(this._watchdog);
    this._transport?.close();
    this._transport = null;
  }

  /**
   * @param {Phase} phase
   * @param {number} attempt
   * @param {number | null} retryAt
   * @param {string | null} reason
   */
  _set(phase, attempt, retryAt, reason) {
    this.state = { phase, attempt, retryAt, reason };
    this._onState(this.state);
  }
}
