/** A clock that moves only when it is told to, and makers of what the server would send. */

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
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

export const ANN = { mxid: '@ann:x', name: 'Ann', avatar_url: null, slug: 'ann' };
export const BEN = { mxid: '@ben:x', name: 'Ben', avatar_url: null, slug: 'ben' };

/** An entry with number `n`, which is its order and its id. */
export function message(n, sender = BEN, more = {}) {
  return {
    event_id: `$${n}`,
    room_id: '!r',
    order: String(n).padStart(6, '0'),
    type: 'm.room.message',
    sender,
    timestamp: n * 1000,
    content: { msgtype: 'm.text', body: `text ${n}` },
    redacted: false,
    ...more,
  };
}

export function state(n, type, content, more = {}) {
  return message(n, ANN, { type, content, state_key: '', ...more });
}

export function page(entries, more = {}) {
  return { entries, has_before: false, has_after: false, receipts: [], ...more };
}

export function room(more = {}) {
  return {
    room_id: '!r', kind: 'group', slug: 'r', name: 'Room', topic: null, avatar_url: null, url: null,
    member_count: 2, last_message: null, unread_count: 0, read_order: null, can_send: true, ...more,
  };
}

export function receipt(user, n) {
  return {
    room_id: '!r', user, event_id: `$${n}`, order: String(n).padStart(6, '0'), timestamp: n * 1000,
  };
}
