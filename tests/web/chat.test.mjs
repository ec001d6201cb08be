import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../openmeet_bridge/web/client/api.js';
import { Chat } from '../../openmeet_bridge/web/client/chat.js';
import { ANN, BEN, FakeBrowser, FakeClock, changed, message, page, room, settled } from './support.mjs';

const sent = async (roomId, txnId) => ({ status: 'sent', event_id: `$${txnId}` });
const never = () => new Promise(() => {});

async function setUp(entries = [message(10)], { storage = 'memory', send = sent } = {}) {
  const clock = new FakeClock();
  const world = {
    clock, entries, rooms: [room({ last_message: entries.at(-1) ?? null })], arrivals: [], calls: [],
  };
  const note = (name, answer = {}) => async (...given) => {
    world.calls.push([name, ...given]);
    return answer;
  };
  const api = {
    me: async () => ({ tenant: { id: 't', name: 'T' }, user: ANN, expires_at: 0 }),
    rooms: async () => ({ rooms: world.rooms, cursor: 'c1', unread: {} }),
    room: async () => world.rooms[0],
    timeline: async (roomId, range) => world.calls.push(['timeline', range]) && page(world.entries),
    send,
    edit: (roomId, target, txnId) => sent(roomId, txnId),
    react: note('react', { status: 'sent' }),
    remove: note('remove', { status: 'sent' }),
    sendStatus: async () => ({ status: 'pending' }),
    entry: async (roomId, eventId) => world.entries.find((entry) => entry.event_id === eventId),
    markRead: note('markRead'),
    markUnread: note('markUnread'),
    setTyping: note('typing'),
    setPresence: note('presence'),
    presence: async () => ({ people: [{ user: BEN, state: 'idle', last_seen: 5 }] }),
    ticket: async () => ({ ticket: 'T' }),
    streamUrl: () => '',
  };
  const open = (url, events) => {
    world.send = events.onFrame;
    return { close() {} };
  };
  world.chat = new Chat({ api, storage, stream: { clock, transports: [{ kind: 'ws', open }] } });
  world.chat.on('arrival', (entry) => world.arrivals.push(entry.event_id));
  await world.chat.start();
  await settled();
  world.hello = () => world.send({ type: 'hello', data: { user: ANN, cursor: 'c1', heartbeat_ms: 90_000 } });
  world.hello();
  await world.chat.openRoom('!r');
  world.frame = (type, data, cursor) => world.send({ type, data, cursor });
  world.of = (name) => world.calls.filter(([called]) => called === name).map(([, ...rest]) => rest);
  return world;
}

const texts = (chat) => chat.timeline('!r').items()
  .map(({ entry, echo }) => entry?.text ?? echo.text);

test('a message of somebody else arrives once, whatever is repeated or late', async () => {
  const world = await setUp();
  world.frame('timeline', message(20), 'c2');
  world.frame('timeline', message(20), 'c2');
  world.frame('timeline', message(15), 'c3');
  world.frame('timeline.changed', changed(message(10), 40, { text: 'edited' }), 'c4');
  world.frame('timeline', message(30, ANN), 'c5');
  assert.deepEqual(world.arrivals, ['$20']);
  assert.deepEqual(texts(world.chat), ['edited', 'text 15', 'text 20', 'text 30']);
  world.chat.stop();
});

test('an own message is shown at once and only once', async () => {
  const world = await setUp();
  const id = world.chat.send('!r', 'hi');
  assert.deepEqual(texts(world.chat), ['text 10', 'hi']);
  await settled();
  world.frame('timeline', message(20, ANN, { event_id: `$${id}`, client_txn_id: id, text: 'hi' }), 'c2');
  assert.deepEqual(texts(world.chat), ['text 10', 'hi']);
  assert.equal(world.chat.timeline('!r').items()[1].key, id);
  world.chat.edit('!r', id, { body: 'better' });
  assert.deepEqual(texts(world.chat), ['text 10', 'better']);
  world.chat.stop();
});

test('a failure that the stream tells is shown, and a retry replaces it', async () => {
  const world = await setUp();
  const failed = [];
  world.chat.on('failed', ({ id }) => failed.push(id));
  world.chat.api.send = async () => ({ status: 'pending' });
  const id = world.chat.send('!r', 'hi');
  await settled();
  world.frame('send.failed', { room_id: '!r', action: 'send', client_txn_id: id, error: 'no' });
  const echo = () => world.chat.timeline('!r').items().at(-1).echo;
  assert.deepEqual([echo().state, echo().reason, failed], ['failed', 'no', [id]]);
  world.chat.retry('!r', id);
  await settled();
  assert.equal(world.chat.timeline('!r').items().length, 2);
  assert.equal(echo().state, 'pending');
  world.chat.stop();
});

test('reactions and deletions show at once, and what never comes back is asked for', async () => {
  const world = await setUp();
  const shown = () => world.chat.timeline('!r').items()[0];
  world.chat.react('!r', '$10', '👍');
  assert.deepEqual(shown().entry.reactions.map(({ count, mine }) => [count, mine]), [[1, true]]);
  await settled();
  world.chat.react('!r', '$10', '👍');
  await settled();
  assert.deepEqual(world.of('react').map(([, , key, on]) => [key, on]), [['👍', true], ['👍', false]]);
  world.chat.remove('!r', '$10', 'spam');
  await settled();
  assert.equal(shown().entry.kind, 'deleted');
  world.entries = [changed(message(10), 99, { kind: 'deleted', text: 'Deleted.' })];
  await world.clock.pass(10_000);
  assert.deepEqual([shown().entry.text, shown().actions], ['Deleted.', []]);
  world.chat.stop();
});

test('reset begins anew, with the frames that come meanwhile and what is unsent', async () => {
  const world = await setUp();
  world.chat.api.send = async () => ({ status: 'pending' });
  world.chat.send('!r', 'unsent');
  world.entries = [message(40)];
  world.rooms = [room({ last_message: message(40), unread_count: 1 })];
  world.frame('reset', { reason: 'x', cursor: 'r' });
  world.frame('timeline', message(50), 'r1');
  await settled();
  assert.deepEqual(texts(world.chat), ['text 40', 'text 50', 'unsent']);
  assert.equal(world.chat.store.room('!r').unread_count, 2);
  world.chat.stop();
});

test('nobody types for ever: news, silence, a message or a lost connection ends it', async () => {
  const world = await setUp();
  const told = [];
  world.chat.on('typing', ({ roomId }) => told.push(roomId));
  const typing = () => world.chat.timeline('!r').typing;
  const begin = () => world.frame('typing', { room_id: '!r', users: [BEN, ANN] });
  begin();
  assert.deepEqual(typing(), [BEN], 'not oneself');
  world.frame('timeline', message(20), 'c2');
  assert.deepEqual([typing(), told], [[], ['!r', '!r']]);
  begin();
  await world.clock.pass(59_000);
  assert.deepEqual(typing(), [BEN]);
  await world.clock.pass(1000);
  assert.deepEqual(typing(), []);
  begin();
  world.frame('bye', { reason: 'shutdown', reconnect: true });
  assert.deepEqual(typing(), []);
  world.chat.stop();
});

test('typing is told seldom, and its end once', async () => {
  const world = await setUp();
  const told = () => world.of('typing').splice(0).map(([roomId, typing]) => `${roomId} ${typing}`);
  for (let i = 0; i < 50; i += 1) {
    world.chat.setTyping('!r', true);
    await world.clock.pass(100);
  }
  assert.deepEqual(told(), ['!r true', '!r true']);
  await world.clock.pass(6000);
  assert.deepEqual(told(), ['!r true', '!r true', '!r false']);
  world.chat.setTyping('!r', true);
  world.chat.send('!r', 'said');
  world.chat.setTyping('!r', false);
  assert.deepEqual(told().slice(3), ['!r true', '!r false']);
  world.chat.stop();
});

test('presence: told when it changes and after each reconnect, heard from pages and frames', async () => {
  const world = await setUp();
  const heard = [];
  await world.chat.loadPresence('!r');
  assert.equal(world.chat.presence(BEN.mxid).state, 'idle');
  world.chat.on('presence', ({ mxid }) => heard.push(mxid));
  world.frame('presence', { user: BEN, state: 'online', last_seen: 9 });
  assert.deepEqual([world.chat.presence(BEN.mxid).state, heard], ['online', [BEN.mxid]]);
  for (const active of [true, false, false]) world.chat.setActive(active);
  world.frame('bye', { reason: 'shutdown', reconnect: true });
  await world.clock.pass(1000);
  world.hello();
  assert.equal(world.chat.presence(BEN.mxid), null, 'what was heard before is old');
  await settled();
  assert.equal(world.chat.presence(BEN.mxid).state, 'idle');
  assert.deepEqual(world.of('presence'), [['idle'], ['idle']]);
  for (let minute = 0; minute < 5; minute += 1) {
    world.chat.setActive(true);
    await world.clock.pass(60_000);
  }
  assert.deepEqual(world.of('presence').slice(2), [['online'], ['online'], ['online']]);
  world.chat.stop();
});

test('the first page holds all that is unread', async () => {
  const world = await setUp();
  const unread = { a: 0, b: 60, c: 100 };
  world.calls.length = 0;
  for (const [name, count] of Object.entries(unread)) {
    world.chat.store.putRoom(room({ room_id: `!${name}`, unread_count: count }));
    await world.chat.openRoom(`!${name}`);
  }
  assert.deepEqual(world.of('timeline').map(([{ limit }]) => limit), [50, 70, 110]);
  world.chat.stop();
});

test('jumping: around an entry, to a date, and back; pages are asked for one after another', async () => {
  const world = await setUp();
  const around = page([message(3), message(4)], { has_before: true, has_after: true });
  world.chat.api.timeline = async (roomId, range) => {
    world.calls.push(['timeline', range]);
    if (range.around === '$none') throw new ApiError('no', { status: 404 });
    return range.around || range.at ? around : page(world.entries, { has_before: true });
  };
  world.calls.length = 0;
  assert.equal(await world.chat.jumpTo('!r', '$10'), true);
  assert.equal(await world.chat.jumpTo('!r', '$none'), false);
  assert.deepEqual(world.of('timeline').length, 1, 'what is loaded is not asked for');
  assert.equal(await world.chat.jumpTo('!r', '$4'), true);
  assert.equal((await world.chat.jumpToDate('!r', 3500)).event_id, '$4');
  world.frame('timeline', message(20), 'c2');
  assert.deepEqual(texts(world.chat), ['text 3', 'text 4']);
  assert.equal(world.chat.store.room('!r').last_message.event_id, '$20');
  await Promise.all([world.chat.loadNewer('!r'), world.chat.loadNewer('!r'), world.chat.loadOlder('!r')]);
  assert.deepEqual(world.of('timeline').slice(3).map(([{ before, after }]) => [before, after]),
    [[undefined, '000004'], ['000003', undefined]]);
  await world.chat.jumpTo('!r', '$none');
  world.chat.send('!r', 'here');
  await settled();
  assert.equal(texts(world.chat).at(-1), 'here', 'one sees what one says');
  world.chat.stop();
});

test('out of a room: it is forgotten with what was to be sent there, and told', async () => {
  const world = await setUp();
  const told = [];
  world.chat.api.send = async () => ({ status: 'pending' });
  world.chat.send('!r', 'x');
  world.chat.on('removed', (event) => told.push(event));
  world.frame('room.removed', { room_id: '!r', reason: 'removed' }, 'c2');
  assert.deepEqual(told, [{ roomId: '!r', name: 'Room', reason: 'removed' }]);
  assert.deepEqual([world.chat.store.rooms(), world.chat.outbox.unsent()], [[], []]);
  world.chat.stop();
});

test('marking read is not repeated; unread can be marked, and both are counted by the server', async () => {
  const world = await setUp();
  world.chat.store.putRoom(room({ unread_count: 1, last_message: message(10) }));
  await world.chat.markRead('!r', { private: true });
  await world.chat.markRead('!r');
  assert.deepEqual(world.of('markRead'), [['!r', '$10', { private: true }]]);
  assert.equal(world.chat.store.totals().rooms, 0);
  await world.chat.markUnread('!r', true);
  assert.equal(world.chat.store.totals().rooms, 1);
  await world.chat.markRead('!r');
  assert.equal(world.of('markRead').length, 2, 'it takes the mark away');
  world.rooms = [room({ unread_count: 7 })];
  world.frame('unread', {
    room_id: '!r', read_order: '000001', unread_count: 5, mention_count: 1, marked_unread: false,
  });
  assert.deepEqual(world.chat.store.totals(), { messages: 5, mentions: 1, rooms: 1 });
  await world.clock.pass(300);
  assert.equal(world.chat.store.totals().messages, 7, 'and asked for where it was not expected');
  world.chat.stop();
});

test('a room that changes while it is asked for is asked for again', async () => {
  const world = await setUp();
  let asked = 0;
  world.chat.api.room = async () => {
    asked += 1;
    if (asked === 1) world.frame('timeline', message(60), 'c9');
    return room({ unread_count: asked });
  };
  world.frame('timeline.changed', changed(message(10), 50, { kind: 'deleted' }), 'c8');
  await world.clock.pass(300);
  assert.deepEqual([asked, world.chat.store.room('!r').unread_count], [2, 2]);
  world.chat.stop();
});

test('drafts and unsent messages outlast the page; signing out leaves nothing', async () => {
  const browser = new FakeBrowser();
  const storage = (name) => ({ name, ...browser.tab() });
  const before = await setUp(undefined, { storage, send: never });
  before.chat.send('!r', 'unsent');
  before.chat.setDraft('!r', { text: 'half a' });
  await settled();
  before.chat.stop();
  const after = await setUp(undefined, { storage, send: never });
  assert.equal(after.chat.draft('!r').text, 'half a');
  assert.deepEqual(texts(after.chat), ['text 10', 'unsent']);
  await after.chat.signOut();
  assert.deepEqual([await browser.shelf.all('actions'), await browser.shelf.all('drafts')], [[], []]);
});

test('a browser that keeps nothing is no reason not to chat', async () => {
  const world = await setUp(undefined, { storage: 'browser' });
  assert.match(world.chat.outbox.notice, /is not kept when this page closes/);
  world.chat.send('!r', 'all the same');
  assert.deepEqual(texts(world.chat), ['text 10', 'all the same']);
  world.chat.stop();
});
