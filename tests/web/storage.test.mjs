import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../openmeet_bridge/web/client/api.js';
import { Drafts } from '../../openmeet_bridge/web/client/drafts.js';
import { Outbox } from '../../openmeet_bridge/web/client/outbox.js';
import { MemoryShelf, SafeShelf } from '../../openmeet_bridge/web/client/shelf.js';
import { FakeBrowser, FakeClock, settled } from './support.mjs';
import { shelfContract } from './shelf_contract.mjs';

/** A shelf that works until it is told to break. */
function breakable() {
  const inner = new MemoryShelf();
  const guard = (act) => (...given) => (shelf.broken
    ? Promise.reject(new Error('The disk is full.')) : act.apply(inner, given));
  const shelf = {
    durable: true, broken: false, all: guard(inner.all), change: guard(inner.change),
    clear: guard(inner.clear), close: () => {},
  };
  return shelf;
}

const shelves = {
  memory: () => new MemoryShelf(),
  'a sound one': () => new SafeShelf(new MemoryShelf(), assert.fail),
  'none at all': () => new SafeShelf(null, assert.fail),
};
for (const [name, make] of Object.entries(shelves)) {
  test(`the contract of shelves: ${name}`, async () => {
    const shelf = make();
    await shelfContract(() => shelf, assert.deepEqual);
  });
}

test('a shelf that breaks goes on in memory with what it has seen, and says so once', async () => {
  const inner = breakable();
  const told = [];
  const shelf = new SafeShelf(inner, (reason) => told.push(reason));
  await inner.change('actions', 'a', () => 1);
  await shelf.all('actions');
  await shelf.change('actions', 'b', () => 2);
  inner.broken = true;
  assert.equal(await shelf.change('actions', 'b', (value) => value + 1), 3);
  assert.deepEqual(await shelf.all('actions'), [['a', 1], ['b', 3]]);
  assert.deepEqual([told, shelf.durable], [['The disk is full.'], false]);
});

/** Tabs of one user, and a server that has a message only once. */
function world(options) {
  const browser = new FakeBrowser(options);
  const clock = new FakeClock();
  const got = { calls: [], messages: new Map(), hold: null };
  let id = 0;
  const open = async (ownClock = clock) => {
    const { shelf, channel, locks } = browser.tab();
    const states = new Map();
    const outbox = new Outbox({
      shelf,
      channel,
      locks,
      clock: ownClock,
      random: () => 1,
      newId: () => `t${(id += 1)}`,
      onChange: (action) => states.set(action.id, action.state),
      api: {
        async send(roomId, txnId, { body }) {
          got.calls.push(`${txnId} ${body}`);
          await got.hold;
          if (!got.messages.has(txnId)) got.messages.set(txnId, body);
          return { status: 'sent', event_id: `$${txnId}` };
        },
        async takeBack(roomId, txnId) {
          if (got.messages.delete(txnId)) return { status: 'sent' };
          throw new ApiError('There is no such message.', { status: 404 });
        },
      },
    });
    channel.onmessage = ({ data }) => outbox.hear(data);
    await outbox.start();
    await settled();
    return { outbox, states, say: (body) => outbox.send('!r', { body }).id, close: () => {
      outbox.stop();
      channel.close();
    } };
  };
  return { browser, clock, got, open };
}

/** A promise, and what resolves it. */
function hold(got) {
  let release;
  got.hold = new Promise((resolve) => { release = resolve; });
  return () => {
    got.hold = null;
    release();
  };
}

for (const locks of [true, false]) {
  const how = locks ? 'by a lock' : 'by a lease';
  test(`what was not sent is sent after a crash, in order and once: ${how}`, async () => {
    const { got, open, clock } = world({ locks });
    hold(got);
    const before = await open(new FakeClock());
    before.say('one');
    before.say('two');
    before.outbox.edit('!r', 't2', { body: 'two!' });
    await settled();
    assert.deepEqual(got.calls, ['t1 one']);
    got.messages.set('t1', 'one');
    got.hold = null;
    // Its clock stands still: it does nothing any more. Its lock ends with it, its lease with time.
    if (locks) before.close();
    const after = await open();
    await clock.pass(20_000);
    assert.deepEqual([...got.messages], [['t1', 'one'], ['t2', 'two!']]);
    assert.deepEqual(after.outbox.unsent(), []);
    after.close();
    assert.deepEqual((await open()).outbox.unsent(), []);
  });

  test(`of several tabs exactly one sends, and all of them know: ${how}`, async () => {
    const { got, open, clock } = world({ locks });
    const tabs = [await open(), await open(), await open()];
    tabs[1].say('from the second');
    tabs[2].say('from the third');
    tabs[0].say('from the first');
    await settled();
    await clock.pass(1000);
    assert.deepEqual(got.calls.sort(), ['t1 from the second', 't2 from the third', 't3 from the first']);
    for (const { states, outbox } of tabs) {
      assert.deepEqual([...states.values()], ['sent', 'sent', 'sent']);
      assert.deepEqual(outbox.unsent(), []);
    }
    tabs[0].close();
    await clock.pass(20_000);
    tabs[2].say('after the first is gone');
    await settled();
    assert.equal(got.calls.length, 4);
  });
}

test('a tab that does not send changes and takes back what another one is about to send', async () => {
  const { got, open } = world();
  const release = hold(got);
  const [leader, other] = [await open(), await open()];
  const first = leader.say('first');
  const second = leader.say('second');
  const third = leader.say('third');
  await settled();
  assert.deepEqual([...other.states.values()], ['sending', 'queued', 'queued']);
  other.outbox.edit('!r', second, { body: 'second!' });
  other.outbox.remove('!r', third);
  other.outbox.remove('!r', first);
  release();
  await settled();
  await settled();
  assert.deepEqual([...got.messages.values()], ['second!']);
  for (const tab of [leader, other]) assert.deepEqual(tab.outbox.unsent(), []);
});

test('what has failed can be tried again from any tab', async () => {
  const { open, got } = world();
  const [leader, other] = [await open(), await open()];
  const id = leader.say('x');
  leader.outbox.fail({ action: 'send', client_txn_id: id, error: 'You are muted.' });
  await settled();
  assert.equal(other.states.get(id), 'failed');
  other.outbox.retry(id);
  await settled();
  assert.equal(leader.states.get(id), 'gone');
  assert.equal(got.messages.get('t2'), 'x');
});

test('without a storage a tab sends by itself', async () => {
  const { open, got } = world();
  const [, other] = [await open(), await open()];
  hold(got);
  other.outbox.goAlone('Nothing is kept.');
  other.say('alone');
  await settled();
  assert.deepEqual(got.calls, ['t1 alone']);
  assert.equal(other.outbox.notice, 'Nothing is kept.');
});

test('drafts survive, are shared by tabs, and end when they are empty', async () => {
  const { shelf, channel } = new FakeBrowser().tab();
  const told = [];
  const make = async () => {
    const drafts = new Drafts(shelf, { channel, onChange: (roomId) => told.push(roomId), now: () => 1 });
    await drafts.load();
    return drafts;
  };
  const drafts = await make();
  for (const text of ['h', 'ha', 'half a']) drafts.set('!r', { text, reply_to: '$1' });
  drafts.set('!other', { text: '', editing: '$2' });
  await settled();
  const after = await make();
  assert.deepEqual([after.get('!r').text, after.get('!r').reply_to], ['half a', '$1']);
  assert.equal(after.get('!other').editing, '$2');
  assert.deepEqual(told.sort(), ['!other', '!r']);
  after.set('!r', { text: '' });
  after.set('!long', { text: 'x'.repeat(70_000) });
  await settled();
  assert.equal(after.get('!long').text.length, 70_000);
  drafts.hear({ type: 'draft', roomId: '!r', draft: null });
  assert.equal(drafts.get('!r'), null);
  const last = await make();
  assert.deepEqual([last.get('!r'), last.get('!long')], [null, null]);
  for (let i = 0; i < 300; i += 1) last.set(`!${i}`, { text: 'x' });
  for (let i = 0; i < 30; i += 1) await settled();
  assert.equal((await shelf.all('drafts')).length, 200);
});
