import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Store } from '../../openmeet_bridge/web/client/store.js';
import { ANN, BEN, message, receipt, room, state } from './support.mjs';

function setUp(more = {}) {
  const store = new Store(ANN);
  store.replace([room(more)]);
  return store;
}

const unread = (store) => store.room('!r').unread_count;

test('messages of others count, each once; own ones and old ones do not', () => {
  const store = setUp({ last_message: message(10), read_order: '000010' });
  store.applyEntry(message(20));
  store.applyEntry(message(20));
  store.applyEntry(message(30, ANN));
  store.applyEntry(message(5));
  store.applyEntry(state(40, 'm.room.topic', { topic: 'new' }));
  assert.equal(unread(store), 1);
  assert.equal(store.room('!r').last_message.event_id, '$30');
  assert.equal(store.room('!r').topic, 'new');
});

test('the count stops where 99+ begins', () => {
  const store = setUp({ unread_count: 100, last_message: message(10) });
  store.applyEntry(message(20));
  assert.equal(unread(store), 100);
});

test('my read mark, also from another window, lowers the count', () => {
  const entries = [message(10), message(20), message(30, ANN), message(40)];
  const store = setUp({ last_message: message(40), unread_count: 3 });
  assert.equal(store.applyReceipt(receipt(BEN, 40), entries), true);
  assert.equal(unread(store), 3);
  assert.equal(store.applyReceipt(receipt(ANN, 20), entries), true);
  assert.equal(unread(store), 1);
  assert.equal(store.applyReceipt(receipt(ANN, 10), entries), true);
  assert.equal(unread(store), 1, 'a mark does not go back');
  store.applyReceipt(receipt(ANN, 40), []);
  assert.equal(unread(store), 0);
});

test('a mark before what is loaded cannot be counted here', () => {
  const store = setUp({ last_message: message(40), unread_count: 9 });
  assert.equal(store.applyReceipt(receipt(ANN, 20), [message(30), message(40)]), false);
});

test('a redaction blanks the last message', () => {
  const store = setUp({ last_message: message(10) });
  store.applyEntry(message(20, BEN, { type: 'm.room.redaction', content: { redacts: '$10' } }));
  assert.deepEqual(store.room('!r').last_message.content, {});
});

test('rooms are in the order of their last message', () => {
  const store = setUp();
  store.putRoom(room({ room_id: '!b', name: 'B', last_message: message(5) }));
  store.putRoom(room({ room_id: '!a', name: 'A', last_message: message(9) }));
  assert.deepEqual(store.rooms().map((one) => one.room_id), ['!a', '!b', '!r']);
});
