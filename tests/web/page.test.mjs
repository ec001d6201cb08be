import assert from 'node:assert/strict';
import { test } from 'node:test';

import { happened, preview, said } from '../../openmeet_bridge/web/page/describe.js';
import { badge, initials, typingLine } from '../../openmeet_bridge/web/page/format.js';
import { pieces, safe } from '../../openmeet_bridge/web/page/linkify.js';
import { formatRoute, parseRoute } from '../../openmeet_bridge/web/page/route.js';
import { buildRows, summary } from '../../openmeet_bridge/web/page/rows.js';
import { ANN, BEN, message, receipt, state } from './support.mjs';

const name = (mxid) => ({ '@ann:x': 'Ann', '@ben:x': 'Ben' }[mxid] ?? mxid);
const items = (entries) => entries.map((entry) => ({ key: entry.event_id, entry, echo: null }));

function rows(entries, more = {}) {
  return buildRows(items(entries), {
    me: ANN, name, now: 1e6, unreadAfter: null, receipts: [], ...more,
  });
}

const kinds = (list) => list.map((row) => row.kind);

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
  const list = rows(entries, { unreadAfter: '000030' });
  assert.deepEqual(kinds(list), [
    'day', 'message', 'message', 'message', 'unread', 'message', 'message', 'day', 'message',
  ]);
  assert.deepEqual(list.filter((row) => row.kind === 'message').map((row) => [row.first, row.last]), [
    [true, false], [false, true], [true, true], [true, true], [true, true], [true, true],
  ]);
});

test('read marks sit at the newest message that they cover, not at own ones', () => {
  const entries = [message(10), message(20, ANN), state(30, 'm.room.name', { name: 'x' })];
  const list = rows(entries, { receipts: [receipt(BEN, 30), receipt(ANN, 30)] });
  assert.deepEqual(list.filter((row) => row.kind === 'message').map((row) => row.readers),
    [[], [BEN]]);
});

test('lines about what happened', () => {
  const member = (content, sender = ANN, before) => happened(
    message(1, sender, { type: 'm.room.member', state_key: '@ben:x', content }), name,
    { previous: before && state(0, 'm.room.member', before) },
  );
  assert.equal(member({ membership: 'join' }, BEN), 'Ben joined');
  assert.equal(member({ membership: 'join', displayname: 'B.' }, BEN), 'B. joined');
  assert.equal(member({ membership: 'join', displayname: 'B.' }, BEN,
    { membership: 'join', displayname: 'Ben' }), 'Ben is now called B.');
  assert.equal(member({ membership: 'leave' }, BEN), 'Ben left');
  assert.equal(member({ membership: 'leave' }), 'Ann removed Ben');
  assert.equal(member({ membership: 'invite' }), 'Ann invited Ben');
  assert.equal(happened(state(1, 'm.reaction', {}), name), null);
  assert.equal(happened(message(1, BEN, { type: 'org.poll', content: {} }), name),
    'Ben sent something that cannot be shown here');
});

test('the subject of a membership is called by its name, whoever tells of it', () => {
  const subject = { mxid: '@eve:x', name: 'Eve', avatar_url: null, slug: 'eve' };
  const member = { type: 'm.room.member', state_key: '@eve:x', subject };
  assert.equal(happened(message(1, ANN, { ...member, content: { membership: 'leave' } }), name),
    'Ann removed Eve');
  assert.equal(happened(message(1, ANN, { ...member, content: { membership: 'ban' } }), name),
    'Ann banned Eve');
});

/** How the bridge makes a room: the creator sets it up, invites, and people come. */
function founded() {
  const member = (n, sender, whom, membership) => message(n, sender, {
    type: 'm.room.member', state_key: whom.mxid, subject: whom, content: { membership },
  });
  return [
    state(1, 'm.room.create', {}), member(2, ANN, ANN, 'join'),
    state(3, 'm.room.power_levels', {}), state(4, 'm.room.join_rules', { join_rule: 'invite' }),
    state(5, 'm.room.name', { name: 'First' }), member(6, ANN, BEN, 'invite'),
    member(7, BEN, BEN, 'join'),
  ];
}

const words = (list) => list.flatMap((row) => row.lines ?? []).map((line) => line.words);

test('how a room was furnished is no news, later changes are', () => {
  assert.deepEqual(words(rows(founded())), ['This room was created', 'Ben joined']);
  const changed = [...founded(), state(8, 'm.room.name', { name: 'Second' }),
    state(9, 'm.room.power_levels', { ban: 1 })];
  assert.deepEqual(words(rows(changed)).slice(2), ['Ann named this room “Second”']);
  assert.deepEqual(words(rows(founded().slice(3))).slice(0, 2),
    ['Ann changed who may join', 'Ann named this room “First”'], 'without the beginning it may be');
});

test('an invitation stays until it is followed', () => {
  assert.deepEqual(words(rows(founded().slice(5, 6))), ['Ann invited Ben']);
  const spoken = rows([founded()[5], message(10, ANN), founded()[6]]);
  assert.deepEqual(words(spoken), ['Ann invited Ben', 'Ben joined']);
});

test('many lines are counted', () => {
  const line = (what) => ({ words: '', what, whom: '' });
  assert.equal(summary(['joined', 'joined', 'other'].map(line)), '2 people joined · 1 change');
  assert.equal(summary(['joined', 'invited', 'other'].map(line)), '1 person joined · 2 changes');
  assert.equal(summary(['created', 'joined'].map(line)), 'Room created · 1 person joined');
});

test('names and addresses cannot turn the words around them', () => {
  const eve = { ...BEN, name: '\u202eeve\u2066' };
  assert.equal(typingLine([eve.name, 'Ann']), 'eve and Ann are typing');
  assert.equal(preview(message(1, eve), () => eve.name, true), 'eve: text 1');
  assert.deepEqual(pieces('https://a.example/\u202etxt.exe').map((piece) => piece.href),
    ['https://a.example/', null]);
});

test('whatever the content is, there are words', () => {
  for (const content of [{}, { body: 5 }, { body: null }, { body: '  ' }, { body: { a: 1 } }]) {
    assert.equal(said(message(1, BEN, { content })).text, 'This message has no text.');
  }
  assert.equal(said(message(1, BEN, { redacted: true })).manner, 'muted');
  assert.equal(said(message(1, BEN, { content: { msgtype: 'm.image', body: 'a.png' } })).text,
    'Picture: a.png');
  assert.equal(preview(message(1, BEN, { content: { msgtype: 'm.emote', body: 'waves' } }), name, true),
    'Ben waves');
});

test('small words', () => {
  assert.deepEqual(['Ann Lee', 'ann', '', '— ?', 'Élodie du Pré'].map(initials),
    ['AL', 'A', '?', '?', 'ÉP']);
  assert.equal(typingLine(['Ann']), 'Ann is typing');
  assert.equal(typingLine(['Ann', 'Ben', 'Cy']), 'Ann, Ben, and Cy are typing');
  assert.equal(typingLine(['a', 'b', 'c', 'd']), '4 people are typing');
  assert.deepEqual([badge(99), badge(100)], ['99', '99+']);
});

test('the address keeps user and room, also strange ones', () => {
  for (const route of [
    { user: { tenant: '', slug: 'ann' }, room: null },
    { user: { tenant: 'a b', slug: 'a&b=c' }, room: '!x+y/z:host' },
    { user: null, room: '!r' },
  ]) assert.deepEqual(parseRoute(formatRoute(route)), route);
  assert.deepEqual(parseRoute('#user=t/ann'), { user: { tenant: 't', slug: 'ann' }, room: null });
});
