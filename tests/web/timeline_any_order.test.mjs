/** Whatever happens in which order, what is loaded is what the server would give now. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { quoteOf } from '../../openmeet_bridge/web/client/overlay.js';
import { Timeline } from '../../openmeet_bridge/web/client/timeline.js';
import { Window } from '../../openmeet_bridge/web/client/window.js';
import { ANN, BEN, dice, message } from './support.mjs';

/** A room as the server has it: the only one who knows the order and the newest form of all. */
class Server {
  constructor(roll) {
    this.roll = roll;
    this.lines = [];
    this.position = 0;
    for (let i = 0; i < 30; i += 1) this.add(false);
    this.frames = [];
  }

  pick() {
    return this.lines[Math.floor(this.roll() * this.lines.length)];
  }

  add(late) {
    this.position += 1;
    const quoted = this.lines.length && this.roll() < 0.4 ? this.pick().event_id : null;
    const place = late ? this.position - 0.5 - Math.floor(this.roll() * 8) : this.position;
    const line = message(this.position, this.roll() < 0.5 ? ANN : BEN);
    line.order = String(place * 10_000 + this.position).padStart(9, '0');
    this.lines.push(line);
    if (quoted) line.reply_to = { event_id: quoted };
    this.lines.sort((a, b) => (a.order < b.order ? -1 : 1));
    this.tell('timeline', line);
  }

  change() {
    this.position += 1;
    const line = this.pick();
    line.revision = this.position;
    const what = this.roll();
    if (what < 0.2) Object.assign(line, { kind: 'deleted', text: 'Deleted.', reactions: [] });
    else if (what < 0.6) line.text = `edit ${this.position}`;
    else line.reactions = [{ key: 'x', count: this.position, people: [] }];
    this.tell('timeline.changed', line);
  }

  tell(type, line) {
    this.frames?.push({ type, data: this.form(line) });
  }

  form(line) {
    const quoted = this.lines.find((one) => one.event_id === line.reply_to?.event_id);
    return structuredClone(quoted ? { ...line, reply_to: quoteOf(quoted) } : line);
  }

  page(from, to) {
    const entries = this.lines.slice(Math.max(0, from), to).map((line) => this.form(line));
    return {
      entries, has_before: from > 0, has_after: to < this.lines.length, receipts: [],
    };
  }
}

class Reader {
  constructor(server) {
    this.server = server;
    this.timeline = new Timeline('!r', ANN);
    this.timeline._window = new Window({ most: 24, cutTo: 16 });
    this.request = null;
  }

  ask() {
    const { timeline, server } = this;
    const { lines } = server;
    if (!timeline.loaded || server.roll() < 0.15) return this.put('replace', lines.length - 6, lines.length);
    const kind = server.roll();
    if (kind < 0.2) {
      const middle = Math.floor(server.roll() * lines.length);
      return this.put('replace', middle - 3, middle + 3);
    }
    if (kind < 0.6 && timeline.hasBefore) {
      const end = lines.findIndex((line) => line.order >= timeline.oldest.order);
      return this.put('before', end - 6, end, timeline.oldest.order);
    }
    if (kind >= 0.6 && timeline.hasAfter) {
      const start = lines.findLastIndex((line) => line.order <= timeline.newest.order) + 1;
      return this.put('after', start, start + 6, timeline.newest.order);
    }
    return undefined;
  }

  put(where, from, to, beside) {
    this.request = { page: this.server.page(from, to), where, beside };
  }

  answer() {
    const { page, where, beside } = this.request;
    this.request = null;
    this.timeline.merge(page, this.timeline.loaded ? where : 'first', beside);
  }

  hear(most) {
    for (const { type, data } of this.server.frames.splice(0, most)) {
      this.timeline.upsert(data, type === 'timeline.changed');
    }
  }

  step() {
    const { roll, frames } = this.server;
    const what = roll();
    if (what < 0.2) this.server.add(roll() < 0.3);
    else if (what < 0.45) this.server.change();
    else if (what < 0.75 && frames.length) this.hear(1 + Math.floor(roll() * 6));
    else if (this.request) this.answer();
    else this.ask();
  }

  finish() {
    // An answer may also come last, long after what it says was true.
    if (this.request && this.server.roll() < 0.3) this.answer();
    this.hear(Infinity);
    if (this.request) this.answer();
  }
}

test('any order of pages and frames gives what a fresh page gives', () => {
  for (let seed = 1; seed <= 80; seed += 1) {
    const server = new Server(dice(seed));
    const reader = new Reader(server);
    for (let step = 0; step < 120; step += 1) reader.step();
    reader.finish();
    const { entries, hasBefore, hasAfter } = reader.timeline;
    if (!entries.length) continue;
    const from = server.lines.findIndex((line) => line.event_id === entries[0].event_id);
    const to = server.lines.findIndex((line) => line.event_id === entries.at(-1).event_id) + 1;
    const fresh = server.page(from, to);
    assert.deepEqual(entries, fresh.entries, `seed ${seed}`);
    assert.equal(hasBefore || !fresh.has_before, true, `seed ${seed}: nothing before is hidden`);
    assert.equal(hasAfter || !fresh.has_after, true, `seed ${seed}: nothing after is hidden`);
  }
});
