import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Chat } from '../../openmeet_bridge/web/client/chat.js';
import { ANN, BEN, FakeClock, message, page, room, settled } from './support.mjs';

async function setUp(entries = [message(10)]) {
  const clock = new FakeClock();
  const world = { entries, rooms: [room({ last_message: entries.at(-1) ?? null })], arrivals: [] };
  const api = {
    me: async () => ({ tenant: { id: 't', name: 'T' }, user: ANN, expires_at: 0 }),
    rooms: async () => ({ rooms: world.rooms, cursor: 'c1' }),
    room: async () => world.rooms[0],
    timeline: async () => page(world.entries),
    send: async (roomId, txnId) => ({ status: 'sent', event_id: `$${txnId}` }),
    sendStatus: async () => ({ status: 'pending' }),
    markRead: async () => ({}),
    ticket: async () => ({ ticket: 'T' }),
    streamUrl: () => '',
  };
  const open = (url, events) => {
    world.send = events.onFrame;
    return { close() {} };
  };
  world.chat = new Chat({ api, stream: { clock, transports: [{ kind: 'ws', open }] } });
  world.chat.on('arrival', (entry) => world.arrivals.push(entry.event_id));
  await world.chat.start();
  await settled();
  world.send({ type: 'hello', data: { user: ANN, cursor: 'c1', heartbeat_ms: 20_000 } });
  await world.chat.openRoom('!r');
  return world;
}

const bodies = (chat) => chat.timeline('!r').items()
  .map((item) => item.entry?.content.body ?? item.echo.body);

test('a message of somebody else arrives once, whatever is repeated or late', async () => {
  const world = await setUp();
  world.send({ type: 'timeline', cursor: 'c2', data: message(20) });
  world.send({ type: 'timeline', cursor: 'c2', data: message(20) });
  world.send({ type: 'timeline', cursor: 'c3', data: message(15) });
  world.send({ type: 'timeline', cursor: 'c4', data: message(30, ANN) });
  assert.deepEqual(world.arrivals, ['$20']);
  assert.deepEqual(bodies(world.chat), ['text 10', 'text 15', 'text 20', 'text 30']);
  world.chat.stop();
});

test('an own message is shown at once and only once', async () => {
  const world = await setUp();
  world.chat.send('!r', 'hi');
  const [{ txnId }] = world.chat.outbox.unsent();
  assert.deepEqual(bodies(world.chat), ['text 10', 'hi']);
  await settled();
  const content = { body: 'hi' };
  world.send({
    type: 'timeline', cursor: 'c2',
    data: message(20, ANN, { event_id: `$${txnId}`, client_txn_id: txnId, content }),
  });
  assert.deepEqual(bodies(world.chat), ['text 10', 'hi']);
  world.chat.stop();
});

test('a failure that the stream tells is shown, and a retry replaces it', async () => {
  const world = await setUp();
  world.chat.api.send = async () => ({ status: 'pending' });
  world.chat.send('!r', 'hi');
  await settled();
  const [{ txnId }] = world.chat.outbox.unsent();
  world.send({ type: 'send.failed', data: { room_id: '!r', client_txn_id: txnId, error: 'no' } });
  const echo = () => world.chat.timeline('!r').items().at(-1).echo;
  assert.deepEqual([echo().state, echo().reason], ['failed', 'no']);
  world.chat.retry('!r', txnId);
  await settled();
  assert.equal(world.chat.timeline('!r').items().length, 2);
  assert.equal(echo().state, 'pending');
  world.chat.discard('!r', txnId);
  world.chat.stop();
});

test('reset begins anew, with the frames that come meanwhile and what is unsent', async () => {
  const world = await setUp();
  world.chat.api.send = async () => ({ status: 'pending' });
  world.chat.send('!r', 'unsent');
  world.entries = [message(40)];
  world.rooms = [room({ last_message: message(40), unread_count: 1 })];
  world.send({ type: 'reset', data: { reason: 'x', cursor: 'r' } });
  world.send({ type: 'timeline', cursor: 'r1', data: message(50) });
  await settled();
  assert.deepEqual(bodies(world.chat), ['text 40', 'text 50', 'unsent']);
  assert.equal(world.chat.store.room('!r').unread_count, 2);
  world.chat.stop();
});

test('nobody types for ever: a lost connection ends it', async () => {
  const world = await setUp();
  world.send({ type: 'typing', data: { room_id: '!r', users: [BEN, ANN] } });
  assert.deepEqual(world.chat.timeline('!r').typing, [BEN], 'not oneself');
  world.send({ type: 'bye', data: { reason: 'shutdown', reconnect: true } });
  assert.deepEqual(world.chat.timeline('!r').typing, []);
  world.chat.stop();
});

test('who has spoken is not typing any more', async () => {
  const world = await setUp();
  const told = [];
  world.chat.on('typing', ({ roomId }) => told.push(roomId));
  world.send({ type: 'typing', data: { room_id: '!r', users: [BEN] } });
  world.send({ type: 'timeline', cursor: 'c2', data: message(20) });
  assert.deepEqual([world.chat.timeline('!r').typing, told], [[], ['!r', '!r']]);
  world.chat.stop();
});

test('the first page holds all that is unread', async () => {
  const world = await setUp();
  const limits = [];
  world.chat.api.timeline = async (roomId, { limit }) => limits.push(limit) && page([]);
  const unread = { a: 0, b: 60, c: 100 };
  for (const [name, count] of Object.entries(unread)) {
    world.chat.store.putRoom(room({ room_id: `!${name}`, unread_count: count }));
    await world.chat.openRoom(`!${name}`);
  }
  assert.deepEqual(limits, [50, 70, 110]);
  world.chat.stop();
});

test('out of a room: it is forgotten, and told', async () => {
  const world = await setUp();
  const told = [];
  world.chat.on('removed', (event) => told.push(event));
  world.send({ type: 'room.removed', cursor: 'c2', data: { room_id: '!r', reason: 'removed' } });
  assert.deepEqual(told, [{ roomId: '!r', name: 'Room', reason: 'removed' }]);
  assert.equal(world.chat.store.rooms().length, 0);
  world.chat.stop();
});

test('marking read is not repeated', async () => {
  const world = await setUp();
  let marks = 0;
  world.chat.api.markRead = async () => { marks += 1; };
  world.chat.store.putRoom(room({ unread_count: 1, last_message: message(10) }));
  await world.chat.markRead('!r');
  await world.chat.markRead('!r');
  assert.deepEqual([marks, world.chat.store.unreadTotal()], [1, 0]);
  world.chat.stop();
});
