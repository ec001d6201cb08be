import assert from 'node:assert/strict';
import { test } from 'node:test';

import { makeAction } from '../../openmeet_bridge/web/client/action.js';
import { Timeline } from '../../openmeet_bridge/web/client/timeline.js';
import { Window } from '../../openmeet_bridge/web/client/window.js';
import { ANN, BEN, changed, message, page, receipt } from './support.mjs';

const ids = (timeline) => timeline.entries.map((entry) => entry.event_id);

function loaded(entries = [message(10), message(20)], more = {}) {
  const timeline = new Timeline('!r', ANN);
  timeline.merge(page(entries, more), 'first');
  return timeline;
}

function action(id, deed, more = {}) {
  return { ...makeAction({ id, seq: 1, roomId: '!r', timestamp: 1 }, deed), ...more };
}

const sending = (id, more = {}, body = 'hi') => action(id, { kind: 'message', draft: { body } }, more);
const shown = (timeline, eventId) => timeline.items()
  .find((item) => item.entry?.event_id === eventId).entry;

test('a late entry goes to its place, and one that comes again is replaced', () => {
  const timeline = loaded();
  assert.equal(timeline.upsert(message(15)), 'added');
  assert.equal(timeline.upsert(changed(message(15), 30, { text: 'new' }), true), 'changed');
  assert.equal(timeline.upsert(message(15)), 'ignored', 'an older form');
  assert.deepEqual(ids(timeline), ['$10', '$15', '$20']);
  assert.equal(timeline.get('$15').text, 'new');
});

test('an entry whose order changed moves', () => {
  const timeline = loaded();
  timeline.upsert({ ...message(10), order: '000099' });
  assert.deepEqual(ids(timeline), ['$20', '$10']);
});

test('what lies before a gap is left to its page, in its newest form', () => {
  const timeline = loaded(undefined, { has_before: true });
  assert.equal(timeline.upsert(message(5)), 'ignored');
  assert.equal(timeline.upsert(changed(message(4), 99, { text: 'newer' }), true), 'ignored');
  timeline.merge(page([message(4), message(5)]), 'before', '000010');
  assert.deepEqual(ids(timeline), ['$4', '$5', '$10', '$20']);
  assert.equal(timeline.get('$4').text, 'newer');
});

test('frames that overtake the first page are kept for it', () => {
  const timeline = new Timeline('!r', ANN);
  timeline.upsert(message(30));
  timeline.upsert(message(20));
  timeline.upsert(changed(message(2), 31, { text: 'old and changed' }), true);
  timeline.merge(page([message(10), message(20)], { has_before: true }), 'first');
  assert.deepEqual(ids(timeline), ['$10', '$20', '$30']);
});

test('quotes say what the quoted says now, wherever that is', () => {
  const quoting = message(20, BEN, { reply_to: { event_id: '$5' }, thread: { event_id: '$10' } });
  const timeline = loaded([message(10), quoting], { has_before: true });
  assert.equal(timeline.get('$20').thread.text, 'text 10');
  timeline.upsert(changed(message(5), 30, { text: 'far\n away' }), true);
  assert.deepEqual(timeline.get('$20').reply_to,
    { event_id: '$5', sender: BEN, kind: 'text', text: 'far away' });
  timeline.upsert(changed(message(10), 31, { kind: 'deleted', text: 'Gone.' }), true);
  assert.equal(timeline.get('$20').thread.kind, 'deleted');
  const covered = { text: 'it was ||the\nbutler||!', html: 'it was <span>the butler</span>!' };
  timeline.upsert(changed(message(5), 31, covered), true);
  assert.equal(timeline.get('$20').reply_to.text, 'it was ▒▒▒▒!');
  timeline.upsert(changed(message(5), 32, { text: 'a || b || c' }), true);
  assert.equal(timeline.get('$20').reply_to.text, 'a || b || c');
  timeline.upsert(changed(message(10), 32, { text: '😀'.repeat(300) }), true);
  assert.equal([...timeline.get('$20').thread.text].length, 200);
});

for (const order of ['answer first', 'stream first', 'stream without the id']) {
  test(`an echo becomes its entry, once, and keeps its key: ${order}`, () => {
    const timeline = loaded();
    const id = order === 'stream without the id' ? {} : { client_txn_id: 't1' };
    timeline.apply(sending('t1'));
    const answer = () => timeline.apply(sending('t1', { state: 'sent', eventId: '$30' }));
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
  timeline.apply(sending('t1'));
  timeline.upsert(message(30, BEN, { client_txn_id: 't1' }));
  assert.equal(timeline.items().length, 4);
});

test('an echo says what it answers, and how it stands', () => {
  const timeline = loaded();
  const draft = { body: '<b>hi</b>', format: 'html', reply_to: '$10' };
  timeline.apply(action('t1', { kind: 'message', draft }));
  const fields = { body: 'is too long' };
  timeline.apply(action('t1', { kind: 'message', draft }, { state: 'failed', reason: 'no', fields }));
  const { echo } = timeline.items().at(-1);
  assert.deepEqual([echo.text, echo.html, echo.replyTo.text], ['hi', '<b>hi</b>', 'text 10']);
  assert.deepEqual([echo.state, echo.reason, echo.fields], ['failed', 'no', fields]);
  timeline.apply(action('e1', { kind: 'edit', about: 't1', draft: { body: 'better' } }));
  assert.equal(timeline.items().at(-1).echo.text, 'better');
  timeline.apply(sending('t1', { state: 'gone' }));
  assert.equal(timeline.items().length, 2);
});

test('an edit shows at once, and goes when the form of the server is here', () => {
  const timeline = loaded([message(10, ANN, { html: '<b>text</b>' })]);
  const edit = { kind: 'edit', target: '$10', draft: { body: 'better' } };
  timeline.apply(action('e1', edit));
  assert.deepEqual([shown(timeline, '$10').text, shown(timeline, '$10').html], ['better', undefined]);
  assert.equal(timeline.get('$10').text, 'text 10', 'what the server says stays apart');
  const form = changed(message(10, ANN), 50,
    { text: 'better!', edited: { event_id: '$e1', timestamp: 5, count: 1 } });
  timeline.apply(action('e1', edit, { state: 'sent', eventId: '$e1' }));
  assert.equal(shown(timeline, '$10').text, 'better');
  timeline.upsert(form, true);
  assert.equal(shown(timeline, '$10').text, 'better!');
  assert.deepEqual(timeline.items()[0].actions, []);
  timeline.apply(action('e2', { ...edit, draft: { body: 'worse' } }));
  timeline.apply(action('e2', edit, { state: 'failed', reason: 'Too late.' }));
  assert.equal(shown(timeline, '$10').text, 'better!');
  assert.deepEqual(timeline.items()[0].actions.map(({ reason }) => reason), ['Too late.']);
  timeline.apply(action('e2', edit, { state: 'gone' }));
  assert.deepEqual(timeline.items()[0].actions, []);
});

test('a reaction is counted once, before and after the server knows of it', () => {
  const timeline = loaded([message(10, BEN, { reactions: [{ key: '👍', count: 1, people: [BEN] }] })]);
  const on = { kind: 'reaction', target: '$10', key: '👍', on: true };
  const thumbs = () => shown(timeline, '$10').reactions?.map(({ count, mine }) => [count, mine]);
  timeline.apply(action('r1', on));
  assert.deepEqual(thumbs(), [[2, true]]);
  assert.equal(timeline.hasReacted('$10', '👍'), true);
  const both = [{ key: '👍', count: 2, people: [BEN, ANN] }];
  timeline.upsert(changed(message(10), 20, { reactions: both }), true);
  assert.deepEqual(thumbs(), [[2, true]]);
  timeline.apply(action('r1', on, { state: 'sent' }));
  assert.equal(timeline.isOpen('r1'), false);
  timeline.apply(action('r2', { ...on, on: false }));
  assert.deepEqual(thumbs(), [[1, false]]);
  timeline.apply(action('r2', { ...on, on: false }, { state: 'sent' }));
  assert.deepEqual(thumbs(), [[1, false]], 'until the server says so too');
  timeline.upsert(changed(message(10), 21, { reactions: [] }), true);
  assert.deepEqual([thumbs(), timeline.isOpen('r2')], [[], false]);
});

test('of very many people not all are named: one knows of oneself all the same', () => {
  const many = (count) => [{ key: '👍', count, people: [BEN] }];
  const timeline = loaded([message(10, BEN, { reactions: many(40) })]);
  const on = { kind: 'reaction', target: '$10', key: '👍', on: true };
  timeline.apply(action('r1', on));
  timeline.upsert(changed(message(10), 20, { reactions: many(41) }), true);
  timeline.apply(action('r1', on, { state: 'sent' }));
  const [{ count, mine }] = shown(timeline, '$10').reactions;
  assert.deepEqual([count, mine], [41, true]);
});

test('a deletion shows at once, and an answer without a frame is believed for a while only', () => {
  const timeline = loaded([message(10, ANN, { html: 'x', client_txn_id: 'm1' }), message(20)]);
  timeline.apply(action('d1', { kind: 'deletion', about: 'm1', why: 'typo' }));
  const { kind, html, deletion } = shown(timeline, '$10');
  assert.deepEqual([kind, html, deletion.by, deletion.reason], ['deleted', undefined, ANN, 'typo']);
  timeline.apply(action('d1', { kind: 'deletion', about: 'm1' }, { state: 'sent' }));
  assert.equal(shown(timeline, '$10').kind, 'deleted');
  timeline.settle('d1');
  assert.equal(shown(timeline, '$10').kind, 'text');
});

test('a piece of the past takes the place of the end, and what is new waits there', () => {
  const timeline = loaded([message(90), message(100)], { has_before: true });
  timeline.apply(sending('t1'));
  timeline.merge(page([message(10), message(20)], { has_before: true, has_after: true }), 'replace');
  assert.deepEqual([ids(timeline), timeline.hasAfter], [['$10', '$20'], true]);
  assert.equal(timeline.items().length, 2, 'echoes belong to the end');
  assert.equal(timeline.upsert(message(110)), 'ignored');
  timeline.merge(page([message(90), message(100)], { has_before: true }), 'after', '000020');
  assert.deepEqual(ids(timeline), ['$10', '$20', '$90', '$100', '$110']);
  assert.equal(timeline.items().at(-1).key, 't1');
});

test('what came in while the newest page was on its way is not lost by it', () => {
  const timeline = loaded([message(10)]);
  timeline.upsert(message(20));
  timeline.merge(page([message(10)]), 'replace');
  assert.deepEqual(ids(timeline), ['$10', '$20']);
});

test('memory is bounded, and a page beside what was cut is not put at a gap', () => {
  const window = new Window({ most: 4, cutTo: 2 });
  window.merge(page([1, 2, 3].map((n) => message(n)), { has_before: true }), 'first');
  window.upsert(message(4), false);
  window.upsert(message(5), false);
  assert.deepEqual(window.entries.map((entry) => entry.event_id), ['$4', '$5']);
  assert.equal(window.hasBefore, true);
  window.merge(page([message(0)]), 'before', '000001');
  assert.deepEqual(window.entries.map((entry) => entry.event_id), ['$4', '$5']);
  window.merge(page([1, 2, 3].map((n) => message(n))), 'before', '000004');
  assert.deepEqual(window.entries.map((entry) => entry.event_id), ['$1', '$2']);
  assert.deepEqual([window.hasBefore, window.hasAfter], [false, true]);
});

test('more than can be remembered outside of the window has to be asked for', () => {
  const timeline = loaded([message(10)], { has_after: true });
  for (let n = 100; n < 700; n += 1) timeline.upsert(message(n));
  timeline.merge(page([message(50)]), 'after', '000010');
  assert.deepEqual([timeline.hasAfter, timeline.newest.event_id], [true, '$50']);
  const rest = page(Array.from({ length: 650 }, (_, i) => message(i + 50)));
  timeline.merge(rest, 'after', '000050');
  assert.deepEqual([timeline.hasAfter, timeline.entries.length], [false, 651]);
});

test('a read mark never goes back', () => {
  const timeline = loaded();
  assert.equal(timeline.applyReceipt(receipt(BEN, 20)), true);
  assert.equal(timeline.applyReceipt(receipt(BEN, 10)), false);
  assert.equal(timeline.receipts.get(BEN.mxid).event_id, '$20');
  timeline.upsert(message(30, BEN, { client_txn_id: 'm30' }));
  assert.equal(timeline.receipts.get(BEN.mxid).event_id, '$30');
});
