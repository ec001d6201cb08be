import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  deletedWords, isJumbo, isLong, oneLine, preview,
} from '../../openmeet_bridge/web/page/describe.js';
import {
  badge, duration, fileSize, initials, lastSeen, someOf, typingLine,
} from '../../openmeet_bridge/web/page/format.js';
import { mentioned } from '../../openmeet_bridge/web/page/fence.js';
import { pieces, safe } from '../../openmeet_bridge/web/page/linkify.js';
import {
  begun, callsEverybody, matching, mentionsIn,
} from '../../openmeet_bridge/web/page/mentions.js';
import { formatRoute, parseRoute } from '../../openmeet_bridge/web/page/route.js';
import { buildRows, summary } from '../../openmeet_bridge/web/page/rows.js';

const person = (slug, name) => ({ mxid: `@${slug}:x`, name, avatar_url: null, slug });
const [ANN, BEN] = [person('ann', 'Ann'), person('ben', 'Ben')];
const order = (number) => String(number).padStart(6, '0');

function message(number, sender = BEN, more = {}) {
  return {
    event_id: `$${number}`, room_id: '!r', order: order(number), revision: number,
    type: 'm.room.message', kind: 'text', sender, timestamp: number * 1000, text: `text ${number}`,
    ...more,
  };
}

const room = (number, text, more = {}) => message(number, ANN, {
  type: 'm.room.topic', kind: 'room', state_key: '', text, ...more,
});

const member = (number, sender, whom, membership) => message(number, sender, {
  type: 'm.room.member', kind: 'member', state_key: whom.mxid, subject: whom, membership,
  text: `${whom.name}: ${membership}`,
});

const items = (entries) => entries.map((entry) => (
  { key: entry.event_id, entry, echo: null, actions: [] }));

function rows(entries, more = {}) {
  return buildRows(items(entries), { me: ANN, now: 1e6, unreadAfter: null, receipts: [], ...more });
}

const kinds = (list) => list.map((row) => row.kind);
const messages = (list) => list.filter((row) => row.kind === 'message');

test('links: http and https only, and the sentence keeps its punctuation', () => {
  const text = 'See (https://a.example/x_(y)), http://b.example. javascript:alert(1) https://';
  const found = pieces(text);
  assert.equal(found.map((piece) => piece.text).join(''), text);
  assert.deepEqual(found.filter((piece) => piece.href).map((piece) => piece.href),
    ['https://a.example/x_(y)', 'http://b.example/']);
  assert.equal(safe('javascript:alert(1)'), null);
  assert.equal(safe('data:text/html,x'), null);
});

test('a very long text is looked through quickly', () => {
  const started = performance.now();
  pieces('https://a.example/' + ')'.repeat(20_000));
  pieces('('.repeat(30_000));
  assert.ok(performance.now() - started < 2000);
});

test('day, unread line, groups of one sender', () => {
  const entries = [
    message(10), message(20), message(30, ANN), message(40), message(1000),
    message(200_000),
  ];
  const list = rows(entries, { unreadAfter: order(30) });
  assert.deepEqual(kinds(list), [
    'day', 'message', 'message', 'message', 'unread', 'message', 'message', 'day', 'message',
  ]);
  assert.deepEqual(messages(list).map((row) => [row.first, row.last]), [
    [true, false], [false, true], [true, true], [true, true], [true, true], [true, true],
  ]);
});

test('what stands for itself is in no group', () => {
  const list = rows([message(1), message(2, BEN, { kind: 'deleted' }), message(3, BEN, { kind: 'emote' })]);
  assert.deepEqual(messages(list).map((row) => row.first), [true, true, true]);
});

test('read marks sit at the newest message that they cover, not at own ones', () => {
  const receipt = (user, number) => ({ room_id: '!r', user, event_id: '$', order: order(number), timestamp: 0 });
  const entries = [message(10), message(20, ANN), room(30, 'x')];
  const list = rows(entries, { receipts: [receipt(BEN, 30), receipt(ANN, 30)] });
  assert.deepEqual(messages(list).map((row) => row.readers), [[], [BEN]]);
});

test('who is mentioned by others is told, by name or with everybody', () => {
  const calls = (sender, mentions) => messages(rows([message(1, sender, { mentions })]))[0].callsMe;
  assert.equal(calls(BEN, { people: [ANN] }), true);
  assert.equal(calls(BEN, { room: true }), true);
  assert.equal(calls(BEN, { people: [BEN] }), false);
  assert.equal(calls(ANN, { people: [ANN] }), false);
  assert.equal(calls(BEN, undefined), false);
});

test('a quote takes what is known of it by now', () => {
  const entries = [message(1, BEN, { reply_to: { event_id: '$0' } })];
  const known = (quote) => ({ ...quote, text: 'found' });
  assert.equal(messages(rows(entries, { known }))[0].replyTo.text, 'found');
  assert.deepEqual(messages(rows(entries))[0].replyTo, { event_id: '$0' });
});

test('a message on its way is at the end, with what became of it', () => {
  const echo = {
    clientTxnId: 'w1', text: 'hello', html: null, draft: { body: 'hello', kind: 'emote' }, sender: ANN,
    timestamp: 5, state: 'failed', eventId: null, reason: 'You are muted.', replyTo: null, fields: {},
  };
  const list = buildRows([...items([message(1)]), { key: 'w1', entry: null, echo, actions: [] }],
    { me: ANN, now: 1, unreadAfter: null, receipts: [] });
  const last = list[list.length - 1];
  assert.deepEqual([last.mine, last.state, last.reason, last.txnId, last.eventId, last.content.kind],
    [true, 'failed', 'You are muted.', 'w1', '', 'emote']);
});

/** How the bridge makes a room: the creator sets it up, invites, and people come. */
function founded() {
  return [
    room(1, 'created', { type: 'm.room.create' }), member(2, ANN, ANN, 'join'),
    room(3, 'power', { type: 'm.room.power_levels' }), room(4, 'rules', { type: 'm.room.join_rules' }),
    room(5, 'First', { type: 'm.room.name' }), member(6, ANN, BEN, 'invite'),
    member(7, BEN, BEN, 'join'),
  ];
}

const words = (list) => list.flatMap((row) => row.lines ?? []).map((line) => line.words);

test('how a room was furnished is no news, later changes are', () => {
  assert.deepEqual(words(rows(founded())), ['created', 'Ben: join']);
  const changed = [...founded(), room(8, 'Second', { type: 'm.room.name' })];
  assert.deepEqual(words(rows(changed)).slice(2), ['Second']);
  assert.deepEqual(words(rows(founded().slice(3))).slice(0, 2), ['rules', 'First'],
    'without the beginning it may be');
});

test('an invitation stays until it is followed', () => {
  assert.deepEqual(words(rows(founded().slice(5, 6))), ['Ben: invite']);
  const spoken = rows([founded()[5], message(10, ANN), founded()[6]]);
  assert.deepEqual(words(spoken), ['Ben: invite', 'Ben: join']);
});

test('many lines are counted, a change of a profile is no join', () => {
  const line = (what) => ({ key: '', words: '', what, whom: '' });
  assert.equal(summary(['joined', 'joined', 'other'].map(line)), '2 people joined · 1 change');
  assert.equal(summary(['created', 'joined', 'left'].map(line)),
    'Room created · 1 person joined · 1 person left');
  const twice = rows([member(1, BEN, BEN, 'join'), member(2, BEN, BEN, 'join'), member(3, BEN, BEN, 'leave')]);
  assert.deepEqual(twice[1].lines.map((one) => one.what), ['joined', 'other', 'left']);
});

test('names and addresses cannot turn the words around them', () => {
  assert.equal(typingLine(['\u202eeve\u2066', 'Ann']), 'eve and Ann are typing');
  assert.equal(preview(message(1), '\u202eeve', true), 'eve: text 1');
  assert.deepEqual(pieces('https://a.example/\u202etxt.exe').map((piece) => piece.href),
    ['https://a.example/', null]);
});

test('one line for the list, whatever it is', () => {
  assert.equal(preview(message(1, BEN, { kind: 'emote', text: 'waves' }), 'Ben', true), 'Ben waves');
  assert.equal(preview(message(1, BEN, { kind: 'member', text: 'Ben joined' }), 'Ben', true), 'Ben joined');
  assert.equal(oneLine(' a\n\nb\t '), 'a b');
  assert.ok(oneLine('😀'.repeat(5000)).length <= 400);
});

test('a deletion says who and why, as far as that is known', () => {
  assert.equal(deletedWords(undefined, ANN.mxid), 'This message was deleted.');
  assert.equal(deletedWords({ by: ANN }, ANN.mxid), 'This message was deleted.');
  assert.equal(deletedWords({ by: BEN, reason: 'spam' }, ANN.mxid), 'Ben deleted this message: “spam”');
});

test('a few emoji alone are large, a long text is folded', () => {
  assert.deepEqual(['🎉', '👩‍👩‍👧‍👦 ❤️', '🇩🇪', 'ok 🎉', '', ' ', '1', '🎉'.repeat(7)].map(isJumbo),
    [true, true, true, false, false, false, false, false]);
  assert.deepEqual(['short', 'x'.repeat(3000), 'a\n'.repeat(40)].map(isLong), [false, true, true]);
});

test('a link to a person is told from one to anything else', () => {
  assert.equal(mentioned('https://matrix.to/#/@ann:x'), '@ann:x');
  assert.equal(mentioned('https://matrix.to/#/%40ann%3Ax?via=y'), '@ann:x');
  assert.equal(mentioned('matrix:u/ann:x'), '@ann:x');
  for (const other of ['https://matrix.to/#/#room:x', 'https://matrix.to/#/!room:x', 'matrix:r/room:x',
    'https://evil.example/https://matrix.to/#/@ann:x', 'https://matrix.to/#/%E0%A4%A', '']) {
    assert.equal(mentioned(other), null, other);
  }
});

test('names while they are written, and in what was written', () => {
  assert.deepEqual(['hi @an', '@', 'a@b', '(@be', '@ann larsen'].map(begun), ['an', '', null, 'be', null]);
  const people = [person('ann', 'Ann'), person('lee', 'Ann Lee'), person('x', 'C++ [x]')];
  assert.deepEqual(matching(people, 'le').map((one) => one.mxid), ['@lee:x']);
  assert.deepEqual(mentionsIn('Hello @Ann Lee!', people), ['@lee:x']);
  assert.deepEqual(mentionsIn('@Ann and @Ann Lee', people), ['@lee:x', '@ann:x']);
  assert.deepEqual(mentionsIn('@Anna, @C++ [x]', people), ['@x:x']);
  assert.deepEqual(mentionsIn('nobody', people), []);
  assert.deepEqual(['@room here', 'x@room', '@roomy'].map(callsEverybody), [true, false, false]);
});

test('small words', () => {
  assert.deepEqual(['Ann Lee', 'ann', '', '— ?', 'Élodie du Pré'].map(initials),
    ['AL', 'A', '?', '?', 'ÉP']);
  assert.equal(typingLine(['Ann']), 'Ann is typing');
  assert.equal(typingLine(['Ann', 'Ben', 'Cy']), 'Ann, Ben, and Cy are typing');
  assert.equal(typingLine(['a', 'b', 'c', 'd']), '4 people are typing');
  assert.deepEqual([badge(99), badge(100)], ['99', '99+']);
  assert.deepEqual([0, 999, 2_400_000].map(fileSize), ['0 B', '999 B', '2.4 MB']);
  assert.deepEqual([0, 61_000].map(duration), ['0:00', '1:01']);
  assert.equal(someOf(['Ann', 'Ben'], 3), 'Ann, Ben, and 1 other');
  assert.equal(lastSeen(0, 5 * 60_000), 'last seen 5 minutes ago');
});

test('the address keeps user and room, also strange ones', () => {
  for (const route of [
    { user: { tenant: '', slug: 'ann' }, room: null },
    { user: { tenant: 'a b', slug: 'a&b=c' }, room: '!x+y/z:host' },
    { user: null, room: '!r' },
  ]) assert.deepEqual(parseRoute(formatRoute(route)), route);
  assert.deepEqual(parseRoute('#user=t/ann'), { user: { tenant: 't', slug: 'ann' }, room: null });
});
