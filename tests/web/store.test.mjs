import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Store } from '../../openmeet_bridge/web/client/store.js';
import { ANN, BEN, changed, message, receipt, room, state } from './support.mjs';

function setUp(more = {}) {
  const store = new Store(ANN);
  store.replace([room(more)]);
  return store;
}

const counts = (store) => {
  const { unread_count: unread, mention_count: mentions } = store.room('!r');
  return [unread, mentions];
};

test('messages of others count, each once; own ones, old ones and what happened do not', () => {
  const store = setUp({ last_message: message(10), read_order: '000010' });
  for (const entry of [message(20), message(20), message(30, ANN), message(5)]) {
    assert.equal(store.applyEntry(entry), true);
  }
  store.applyEntry(message(40, BEN, { kind: 'member' }));
  assert.deepEqual(counts(store), [1, 0]);
  assert.equal(store.room('!r').last_message.event_id, '$30');
});

test('what the server does not count does not count here', () => {
  const store = setUp();
  store.applyEntry(message(1, BEN, { type: 'm.call.invite', kind: 'call' }));
  store.applyEntry(message(2, BEN, { type: 'm.poll.end', kind: 'poll' }));
  store.applyEntry(message(3, BEN, { type: 'm.beacon', kind: 'location' }));
  store.applyEntry(message(4, BEN, { type: 'org.example.odd', kind: 'unknown' }));
  assert.deepEqual(counts(store), [0, 0]);
  assert.equal(store.room('!r').last_message, null);
  store.applyEntry(message(5, BEN, { kind: 'unknown' }));
  store.applyEntry(message(6, BEN, { type: 'm.poll.start', kind: 'poll' }));
  assert.deepEqual(counts(store), [2, 0]);
});

test('who is mentioned is told so', () => {
  const store = setUp();
  store.applyEntry(message(1, BEN, { mentions: { people: [ANN] } }));
  store.applyEntry(message(2, BEN, { mentions: { room: true } }));
  store.applyEntry(message(3, BEN, { mentions: { people: [BEN] } }));
  assert.deepEqual(counts(store), [3, 2]);
});

test('what only the server can count is asked for', () => {
  const store = setUp({ last_message: message(30), read_order: '000010', unread_count: 2 });
  assert.equal(store.applyEntry(message(20)), false, 'late: counted already, or not');
  assert.equal(store.applyEntry(state(40, 'Ann named the room.')), false, 'the room itself');
  assert.equal(store.applyEntry(changed(message(20), 50, { kind: 'deleted' }), true), false);
  assert.equal(store.applyEntry(changed(message(20), 50, { mentions: { room: true } }), true), false);
  assert.equal(store.applyEntry(changed(message(20), 50, { text: 'x' }), true), true);
  assert.equal(store.applyEntry(changed(message(5), 50, { kind: 'deleted' }), true), true);
  assert.equal(store.applyEntry(changed(message(20, ANN), 50, { kind: 'deleted' }), true), true);
});

test('the count stops where 99+ begins', () => {
  const store = setUp({ unread_count: 100, last_message: message(10) });
  store.applyEntry(message(20));
  assert.deepEqual(counts(store), [100, 0]);
});

test('the last message takes its newest form', () => {
  const store = setUp({ last_message: message(10), read_order: '000010' });
  store.applyEntry(changed(message(10), 20, { text: 'edited' }), true);
  store.applyEntry(changed(message(10), 15, { text: 'older' }), true);
  assert.equal(store.room('!r').last_message.text, 'edited');
  assert.equal(store.applyEntry(changed(message(10), 30, { kind: 'deleted' }), true), false);
});

test('my read mark, also from another window, lowers the counts', () => {
  const mention = { mentions: { people: [ANN] } };
  const entries = [message(10), message(20, BEN, mention), message(30, ANN), message(40, BEN, mention)];
  const store = setUp({ last_message: message(40), unread_count: 3, mention_count: 2, marked_unread: true });
  assert.equal(store.applyReceipt(receipt(BEN, 40), entries), true);
  assert.deepEqual(counts(store), [3, 2]);
  assert.equal(store.applyReceipt(receipt(ANN, 20), entries), true);
  assert.deepEqual(counts(store), [1, 1]);
  assert.equal(store.room('!r').marked_unread, false);
  assert.equal(store.applyReceipt(receipt(ANN, 10), entries), true);
  assert.deepEqual(counts(store), [1, 1], 'a mark does not go back');
  store.applyReceipt(receipt(ANN, 40), []);
  assert.deepEqual(counts(store), [0, 0]);
});

test('a mark before what is loaded cannot be counted here', () => {
  const store = setUp({ last_message: message(40), unread_count: 9 });
  assert.equal(store.applyReceipt(receipt(ANN, 20), [message(30), message(40)]), false);
});

test('what the server has counted is right, and what differs is asked for once more', () => {
  const store = setUp({ unread_count: 3, last_message: message(40) });
  const given = { room_id: '!r', read_order: '000020', mention_count: 1, marked_unread: true };
  assert.equal(store.applyUnread({ ...given, unread_count: 3 }), true);
  assert.equal(store.applyUnread({ ...given, unread_count: 2 }), false);
  assert.deepEqual(store.totals(), { messages: 2, mentions: 1, rooms: 1 });
  assert.equal(store.applyUnread({ ...given, unread_count: 0 }), true);
  assert.deepEqual(store.totals(), { messages: 0, mentions: 1, rooms: 1 });
});

test('rooms are in the order of their last message', () => {
  const store = setUp();
  store.putRoom(room({ room_id: '!b', name: 'B', last_message: message(5) }));
  store.putRoom(room({ room_id: '!a', name: 'A', last_message: message(9) }));
  assert.deepEqual(store.rooms().map((one) => one.room_id), ['!a', '!b', '!r']);
});
