/** Whatever the network and the tabs do: everything arrives once, in order, as it was last wanted. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../openmeet_bridge/web/client/api.js';
import { Outbox } from '../../openmeet_bridge/web/client/outbox.js';
import { dice, FakeBrowser, FakeClock, settled } from './support.mjs';

/** A server that takes everything once, and a network on which answers get lost. */
class Server {
  constructor(roll) {
    this.roll = roll;
    this.messages = [];
    this.edits = new Set();
    this.reactions = new Map();
    this.waiting = [];
    this.broken = true;
  }

  /** Does something now, never, or now without anybody hearing of it; answers later. */
  call(act) {
    const luck = this.broken ? this.roll() : 1;
    return new Promise((resolve, reject) => {
      const lost = new ApiError('no network');
      let answer = () => reject(lost);
      if (luck >= 0.3) {
        try {
          const result = act();
          if (luck >= 0.5) answer = () => resolve(result);
        } catch (error) {
          answer = () => reject(error);
        }
      }
      this.waiting.push(answer);
    });
  }

  answer() {
    const [answer] = this.waiting.splice(Math.floor(this.roll() * this.waiting.length), 1);
    answer?.();
  }

  find(test) {
    const found = this.messages.find(test);
    if (found) return found;
    throw new ApiError('unknown', { status: 404 });
  }

  api() {
    const sent = (id) => ({ status: 'sent', event_id: id });
    return {
      send: (roomId, id, { body }) => this.call(() => {
        const known = this.messages.find((one) => one.id === id);
        if (!known) this.messages.push({ id, eventId: `$${id}`, body, roomId, removed: false });
        return this.roll() < 0.2 && this.broken ? { status: 'pending' } : sent(`$${id}`);
      }),
      sendStatus: (roomId, id) => this.call(() => sent(this.find((one) => one.id === id).eventId)),
      takeBack: (roomId, id) => this.call(() => {
        this.find((one) => one.id === id).removed = true;
        return sent();
      }),
      edit: (roomId, target, id, { body }) => this.call(() => {
        if (!this.edits.has(id)) this.find((one) => one.eventId === target).body = body;
        this.edits.add(id);
        return sent(`$${id}`);
      }),
      remove: (roomId, target) => this.call(() => {
        this.find((one) => one.eventId === target).removed = true;
        return sent();
      }),
      react: (roomId, target, key, on) => this.call(() => {
        this.reactions.set(key, on);
        return this.roll() < 0.2 && this.broken ? { status: 'pending' } : sent();
      }),
    };
  }
}

/** Somebody with two tabs, and what they want. */
class Somebody {
  constructor(server) {
    this.server = server;
    this.roll = server.roll;
    this.clock = new FakeClock();
    this.browser = new FakeBrowser();
    this.tabs = [];
    this.wanted = [];
    this.reactions = new Map();
    this.count = 0;
  }

  pick(list) {
    return list[Math.floor(this.roll() * list.length)];
  }

  async open() {
    const { shelf, channel, locks } = this.browser.tab();
    const outbox = new Outbox({
      api: this.server.api(), shelf, channel, locks, clock: this.clock, random: this.roll,
      newId: () => `t${(this.count += 1)}`,
    });
    channel.onmessage = ({ data }) => outbox.hear(data);
    await outbox.start();
    this.tabs.push({ outbox, channel });
  }

  /** A tab goes; what it has asked for may or may not have been done. */
  async crash() {
    const [{ outbox, channel }] = this.tabs.splice(Math.floor(this.roll() * this.tabs.length), 1);
    outbox.stop();
    channel.close();
    await settled();
    await this.open();
  }

  do() {
    const { outbox } = this.pick(this.tabs);
    const roomId = this.pick(['!a', '!b']);
    const what = this.roll();
    const words = `words ${(this.count += 1)}`;
    const message = this.pick(this.wanted.filter((one) => !one.removed));
    if (what < 0.4 || !message) {
      const { id } = outbox.send(roomId, { body: words });
      this.wanted.push({ id, roomId, body: words, removed: false });
    } else if (what < 0.6) {
      message.body = words;
      outbox.edit(message.roomId, this.idOf(message, outbox), { body: words });
    } else if (what < 0.7) {
      message.removed = true;
      outbox.remove(message.roomId, this.idOf(message, outbox));
    } else {
      const key = this.pick(['x', 'y']);
      const on = !this.reactions.get(key);
      this.reactions.set(key, on);
      outbox.react('!a', '$old', key, on);
    }
  }

  /** As a page has it: of a row that is on its way, or of the entry that it has become. */
  idOf({ id }, outbox) {
    return outbox.unsent().some((one) => one.id === id) ? id : `$${id}`;
  }

  async step() {
    const what = this.roll();
    if (what < 0.3) this.do();
    else if (what < 0.7) this.server.answer();
    else if (what < 0.95) await this.clock.pass(this.roll() * 3000);
    else await this.crash();
    await settled();
  }

  async finish() {
    this.server.broken = false;
    for (let i = 0; i < 400 && this.tabs[0].outbox.unsent().length; i += 1) {
      while (this.server.waiting.length) this.server.answer();
      await settled();
      await this.clock.pass(5000);
    }
  }
}

test('everything arrives once, in order, as it was last wanted', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const server = new Server(dice(seed));
    const somebody = new Somebody(server);
    await somebody.open();
    await somebody.open();
    for (let step = 0; step < 80; step += 1) await somebody.step();
    await somebody.finish();
    for (const { outbox } of somebody.tabs) assert.deepEqual(outbox.unsent(), [], `seed ${seed}`);
    for (const roomId of ['!a', '!b']) {
      const here = (list) => list.filter((one) => one.roomId === roomId && !one.removed)
        .map(({ id, body }) => `${id} ${body}`);
      assert.deepEqual(here(server.messages), here(somebody.wanted), `seed ${seed}`);
    }
    for (const [key, on] of somebody.reactions) {
      assert.equal(server.reactions.get(key) ?? false, on, `seed ${seed}`);
    }
    for (const { outbox } of somebody.tabs) outbox.stop();
  }
});
