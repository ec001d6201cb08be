/** A clock that moves only when it is told to, and makers of what the server would send. */

import { MemoryShelf } from '../../openmeet_bridge/web/client/shelf.js';

export class FakeClock {
  constructor() {
    this.time = 1_000_000;
    this._timers = new Map();
    this._next = 1;
  }

  now() {
    return this.time;
  }

  setTimeout(fn, ms) {
    this._timers.set(this._next, { at: this.time + ms, fn });
    this._next += 1;
    return this._next - 1;
  }

  clearTimeout(id) {
    this._timers.delete(id);
  }

  get pending() {
    return this._timers.size;
  }

  /** Lets `ms` pass, with everything that is due meanwhile. */
  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this._timers].filter(([, timer]) => timer.at <= end)
        .sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this._timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].fn();
      await settled();
    }
    this.time = end;
    await settled();
  }
}

/** Resolves when all promises that can go on without time have done so. */
export async function settled() {
  for (let i = 0; i < 60; i += 1) await Promise.resolve();
}

/** Numbers from 0 up to 1 that are the same in every run (mulberry32). */
export function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const ANN = { mxid: '@ann:x', name: 'Ann', avatar_url: null, slug: 'ann' };
export const BEN = { mxid: '@ben:x', name: 'Ben', avatar_url: null, slug: 'ben' };

/** An entry with number `n`, which is its order and its id. */
export function message(n, sender = BEN, more = {}) {
  return {
    event_id: `$${n}`,
    room_id: '!r',
    order: String(n).padStart(6, '0'),
    revision: n,
    type: 'm.room.message',
    kind: 'text',
    sender,
    timestamp: n * 1000,
    text: `text ${n}`,
    ...more,
  };
}

/** The same entry after something changed it. */
export function changed(entry, revision, more) {
  return { ...entry, revision, ...more };
}

export function state(n, text, more = {}) {
  return message(n, ANN, { type: 'm.room.name', kind: 'room', text, state_key: '', ...more });
}

export function page(entries, more = {}) {
  return { entries, has_before: false, has_after: false, receipts: [], ...more };
}

export function room(more = {}) {
  return {
    room_id: '!r', kind: 'group', slug: 'r', name: 'Room', topic: null, avatar_url: null, url: null,
    member_count: 2, last_message: null, unread_count: 0, mention_count: 0, marked_unread: false,
    read_order: null, direct_with: null,
    permissions: { send: true, react: true, delete_others: false, mention_room: false }, ...more,
  };
}

export function receipt(user, n) {
  return {
    room_id: '!r', user, event_id: `$${n}`, order: String(n).padStart(6, '0'), timestamp: n * 1000,
  };
}

/** What tabs of one browser share, in memory. */
export class FakeBrowser {
  constructor({ locks = true } = {}) {
    this.shelf = new MemoryShelf();
    this._channels = new Set();
    this._isHeld = false;
    this._queue = [];
    this._hasLocks = locks;
  }

  /** A tab's own view of it. */
  tab() {
    const { shelf } = this;
    const channel = { onmessage: null, close: () => this._channels.delete(channel) };
    channel.postMessage = (data) => {
      const copy = structuredClone(data);
      for (const other of this._channels) {
        if (other !== channel) queueMicrotask(() => other.onmessage?.({ data: copy }));
      }
    };
    this._channels.add(channel);
    return {
      shelf: {
        durable: true,
        all: (area) => shelf.all(area),
        change: (area, key, change) => shelf.change(area, key, change),
        clear: () => shelf.clear(),
        close: () => {},
      },
      channel,
      locks: this._hasLocks ? { request: (...call) => this._request(...call) } : null,
    };
  }

  _request(_name, { signal }, act) {
    return new Promise((resolve, reject) => {
      const turn = async () => {
        this._isHeld = true;
        resolve(await act());
        this._isHeld = false;
        this._queue.shift()?.();
      };
      signal.addEventListener('abort', () => {
        this._queue = this._queue.filter((one) => one !== turn);
        reject(signal.reason);
      });
      if (this._isHeld) this._queue.push(turn);
      else void turn();
    });
  }
}
