import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Timeline } from '../../openmeet_bridge/web/client/timeline.js';
import { ANN, BEN, message, page, receipt } from './support.mjs';

const ids = (timeline) => timeline.entries.map((entry) => entry.event_id);

function loaded(entries = [message(10), message(20)], more = {}) {
  const timeline = new Timeline('!r');
  timeline.merge(page(entries, more), 'first');
  return timeline;
}

function echo(clientTxnId, more = {}) {
  return {
    clientTxnId, body: 'hi', sender: ANN, timestamp: 1, state: 'queued', eventId: null,
    reason: null, ...more,
  };
}

test('a late entry goes to its place, and one that comes again is replaced', () => {
  const timeline = loaded();
  assert.equal(timeline.upsert(message(15)), 'added');
  assert.equal(timeline.upsert(message(15, BEN, { content: { body: 'new' } })), 'changed');
  assert.deepEqual(ids(timeline), ['$10', '$15', '$20']);
  assert.equal(timeline.get('$15').content.body, 'new');
});

test('an entry whose order changed moves', () => {
  const timeline = loaded();
  timeline.upsert({ ...message(10), order: '000099' });
  assert.deepEqual(ids(timeline), ['$20', '$10']);
});

test('what lies before a gap is left to its page', () => {
  const timeline = loaded(undefined, { has_before: true });
  assert.equal(timeline.upsert(message(5)), 'ignored');
  timeline.merge(page([message(4), message(5)]), 'before');
  assert.deepEqual(ids(timeline), ['$4', '$5', '$10', '$20']);
});

test('frames that overtake the first page are kept for it', () => {
  const timeline = new Timeline('!r');
  timeline.upsert(message(30));
  timeline.upsert(message(20));
  timeline.merge(page([message(10), message(20)]), 'first');
  assert.deepEqual(ids(timeline), ['$10', '$20', '$30']);
});

for (const order of ['redaction first', 'target first']) {
  test(`a redaction blanks its target: ${order}`, () => {
    const timeline = loaded();
    const redaction = message(30, ANN, { type: 'm.room.redaction', content: { redacts: '$25' } });
    const frames = [message(25), redaction];
    if (order === 'redaction first') frames.reverse();
    for (const frame of frames) timeline.upsert(frame);
    timeline.upsert(message(25));
    assert.deepEqual(timeline.get('$25').content, {});
    assert.equal(timeline.get('$25').redacted, true);
  });
}

for (const order of ['answer first', 'stream first', 'stream without the id']) {
  test(`an echo becomes its entry, once, and keeps its key: ${order}`, () => {
    const timeline = loaded();
    const id = order === 'stream without the id' ? {} : { client_txn_id: 't1' };
    timeline.addEcho(echo('t1'));
    const answer = () => timeline.updateEcho('t1', { state: 'sent', eventId: '$30' });
    const stream = () => timeline.upsert(message(30, ANN, id));
    if (order === 'answer first') [answer, stream].forEach((step) => step());
    else [stream, answer].forEach((step) => step());
    const items = timeline.items();
    assert.equal(items.length, 3);
    assert.deepEqual([items[2].key, items[2].echo], ['t1', null]);
  });
}

test('somebody else with the same client id does not take an echo', () => {
  const timeline = loaded();
  timeline.addEcho(echo('t1'));
  timeline.upsert(message(30, BEN, { client_txn_id: 't1' }));
  assert.equal(timeline.items().length, 4);
});

test('a read mark never goes back', () => {
  const timeline = loaded();
  assert.equal(timeline.applyReceipt(receipt(BEN, 20)), true);
  assert.equal(timeline.applyReceipt(receipt(BEN, 10)), false);
  assert.equal(timeline.receipts.get(BEN.mxid).event_id, '$20');
  timeline.upsert(message(30, BEN, { client_txn_id: 'm30' }));
  assert.equal(timeline.receipts.get(BEN.mxid).event_id, '$30');
});

test('any order of frames gives the same timeline', () => {
  const frames = [
    message(30, ANN, { client_txn_id: 't1' }), message(25), message(40), message(25),
    message(50, ANN, { type: 'm.room.redaction', content: { redacts: '$25' } }),
  ];
  const results = new Set();
  for (let seed = 1; seed <= 200; seed += 1) {
    const timeline = loaded();
    timeline.addEcho(echo('t1'));
    const shuffled = frames.map((frame, i) => [Math.sin(seed * (i + 1) * 99.7), frame])
      .sort(([a], [b]) => a - b).map(([, frame]) => frame);
    for (const frame of shuffled) timeline.upsert(frame);
    results.add(JSON.stringify(timeline.items()));
  }
  assert.equal(results.size, 1);
});
