import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../openmeet_bridge/web/client/api.js';
import { Outbox } from '../../openmeet_bridge/web/client/outbox.js';
import { FakeClock, settled } from './support.mjs';

/** `answers` are used up in turn; after them everything succeeds. */
async function setUp(answers = [], status = () => ({ status: 'pending' })) {
  const clock = new FakeClock();
  const calls = [];
  const states = [];
  let id = 0;
  const call = async (words, sent) => {
    calls.push(words);
    const answer = await (answers.shift() ?? { status: 'sent', event_id: sent });
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const outbox = new Outbox({
    clock,
    random: () => 1,
    newId: () => `t${(id += 1)}`,
    onChange: (action) => states.push(`${action.id} ${action.state}`),
    api: {
      send: (roomId, txnId, { body }) => call(`${txnId} ${body}`, `$${txnId}`),
      edit: (roomId, target, txnId, { body }) => call(`${txnId} edit ${target} ${body}`, `$${txnId}`),
      react: (roomId, target, key, on) => call(`${on ? 'put' : 'take'} ${key} ${target}`),
      remove: (roomId, target, why) => call(`remove ${target} ${why}`),
      takeBack: (roomId, txnId) => call(`take back ${txnId}`),
      sendStatus: async (roomId, txnId) => status(txnId),
    },
  });
  await outbox.start();
  const say = (body, roomId = '!r') => outbox.send(roomId, { body }).id;
  return { clock, calls, states, outbox, say };
}

const away = () => new ApiError('away', { status: 503 });
const never = () => new Promise(() => {});

/** An answer that comes when it is told to. */
function later() {
  let give;
  const answer = new Promise((resolve) => { give = resolve; });
  return { answer, give };
}

test('messages of a room leave in order, each after the one before', async () => {
  const first = later();
  const { outbox, calls, states, say } = await setUp([first.answer]);
  say('a');
  say('b');
  await settled();
  assert.deepEqual(calls, ['t1 a']);
  first.give({ status: 'sent', event_id: '$t1' });
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b']);
  assert.deepEqual(states.filter((line) => !line.includes('queued')),
    ['t1 sending', 't1 sent', 't2 sending', 't2 sent']);
  assert.deepEqual(outbox.unsent(), []);
});

test('without an answer the same id is tried again, and the next one waits', async () => {
  const network = new ApiError('no network', { errcode: 'CLIENT_NETWORK' });
  const { outbox, calls, clock, say } = await setUp([network, away()]);
  say('a');
  say('b');
  await settled();
  assert.deepEqual(outbox.unsent().map((one) => one.state), ['waiting', 'queued']);
  await clock.pass(1000);
  await clock.pass(2000);
  assert.deepEqual(calls, ['t1 a', 't1 a', 't1 a', 't2 b']);
});

test('a room that waits does not hold up another one', async () => {
  const { calls, say } = await setUp([away()]);
  say('a');
  say('b', '!other');
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b']);
});

test('429 waits for as long as the server says, whatever else is written', async () => {
  const { calls, clock, say } = await setUp([
    new ApiError('slow', { status: 429, retryAfterMs: 9000 }),
  ]);
  say('a');
  await settled();
  say('b');
  await clock.pass(8000);
  assert.equal(calls.length, 1);
  await clock.pass(1000);
  assert.deepEqual(calls, ['t1 a', 't1 a', 't2 b']);
});

test('a refusal is final, names its fields, and lets the next one pass', async () => {
  const { outbox, calls, say } = await setUp([
    new ApiError('bad', { status: 400, fields: { body: 'is too long' } }),
  ]);
  say('a');
  say('b');
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b']);
  const [failed] = outbox.unsent();
  assert.deepEqual([failed.reason, failed.fields],
    ['bad (body: is too long)', { body: 'is too long' }]);
  outbox.retry('t1');
  await settled();
  assert.equal(calls[2], 't3 a');
  assert.deepEqual(outbox.unsent(), []);
});

test('wake does not wait for the timer', async () => {
  const { outbox, calls, say } = await setUp([away()]);
  say('a');
  await settled();
  outbox.wake();
  await settled();
  assert.equal(calls.length, 2);
});

test('a pending message is asked about, and its failure is told', async () => {
  const answers = [{ status: 'pending' }, { status: 'failed', error: 'banned' }];
  const { outbox, clock, say } = await setUp([{ status: 'pending' }], () => answers.shift());
  say('a');
  await settled();
  assert.equal(outbox.unsent()[0].state, 'pending');
  await clock.pass(20_000);
  outbox.wake();
  await settled();
  assert.deepEqual(outbox.unsent().map((one) => [one.state, one.reason]), [['failed', 'banned']]);
});

test('a pending message that the server forgot is sent again with its id', async () => {
  const { outbox, calls, say } = await setUp([{ status: 'pending' }], () => {
    throw new ApiError('unknown', { status: 404 });
  });
  say('a');
  await settled();
  outbox.wake();
  await settled();
  assert.deepEqual(calls, ['t1 a', 't1 a']);
});

test('the log knows better: a confirmed message is done whatever was thought of it', async () => {
  const { outbox, states, say } = await setUp([{ status: 'failed', error: 'x' }]);
  say('a');
  await settled();
  outbox.confirm('t1', '$1');
  assert.deepEqual(outbox.unsent(), []);
  assert.equal(states.at(-1), 't1 sent');
});

test('what is still in the queue is changed or taken out there', async () => {
  const first = later();
  const { outbox, calls, say } = await setUp([first.answer]);
  say('a');
  const second = outbox.send('!r', { body: 'b', reply_to: '$1', mentions: ['@x'] }).id;
  const third = say('c');
  outbox.edit('!r', second, { body: 'b!' });
  outbox.remove('!r', third);
  await settled();
  assert.deepEqual(outbox.unsent()[1].draft, { body: 'b!', reply_to: '$1' });
  first.give({ status: 'sent', event_id: '$t1' });
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b!']);
});

test('an edit of a message that is on its way follows it', async () => {
  const first = later();
  const { outbox, calls, say } = await setUp([first.answer]);
  const id = say('a');
  await settled();
  outbox.edit('!r', id, { body: 'better' });
  outbox.edit('!r', id, { body: 'best' });
  say('b');
  await settled();
  assert.deepEqual(calls, ['t1 a']);
  first.give({ status: 'pending' });
  await settled();
  assert.deepEqual(calls, ['t1 a', 't3 b'], 'it has nothing to change yet, others pass');
  outbox.confirm(id, '$real');
  await settled();
  assert.deepEqual(calls[2], 't2 edit $real best');
  outbox.edit('!r', id, { body: 'later' });
  await settled();
  assert.deepEqual(calls[3], 't4 edit $real later', 'its id is remembered');
});

test('an edit of a message that fails becomes its text', async () => {
  const first = later();
  const { outbox, calls, say } = await setUp([first.answer]);
  const id = say('a');
  await settled();
  outbox.edit('!r', id, { body: 'better' });
  first.give(new ApiError('muted', { status: 403 }));
  await settled();
  assert.deepEqual(outbox.unsent().map(({ state, draft }) => [state, draft.body]),
    [['failed', 'better']]);
  outbox.edit('!r', id, { body: 'best' });
  await settled();
  assert.deepEqual(calls, ['t1 a', 't3 best']);
});

test('a message that may have left is taken back after it', async () => {
  const first = later();
  const { outbox, calls, clock, say } = await setUp([first.answer, away()]);
  const id = say('a');
  await settled();
  outbox.edit('!r', id, { body: 'b' });
  outbox.remove('!r', id);
  outbox.remove('!r', id);
  await settled();
  assert.deepEqual(outbox.unsent().map(({ kind }) => kind), ['deletion']);
  assert.deepEqual(calls, ['t1 a'], 'not before it is known what became of it');
  first.give(away());
  await settled();
  await clock.pass(1000);
  assert.deepEqual(calls, ['t1 a', 'take back t1', 'take back t1']);
  assert.deepEqual(outbox.unsent(), []);
});

test('what is not there any more need not be deleted', async () => {
  const gone = () => new ApiError('unknown', { status: 404 });
  const { outbox, calls } = await setUp([gone(), gone(), gone()]);
  outbox.remove('!r', '$1', 'spam');
  outbox.react('!r', '$2', 'x', false);
  await settled();
  assert.deepEqual([calls, outbox.unsent()], [['remove $1 spam', 'take x $2'], []]);
  outbox.react('!r', '$2', 'x', true);
  await settled();
  assert.deepEqual(outbox.unsent().map(({ state }) => state), ['failed']);
});

test('toggling a reaction collapses, and what is asked last is what is sent last', async () => {
  const first = later();
  const { outbox, calls } = await setUp([first.answer, { status: 'pending' }]);
  outbox.react('!r', '$1', 'x', true);
  await settled();
  outbox.react('!r', '$1', 'x', false);
  outbox.react('!r', '$1', 'x', true);
  assert.equal(outbox.unsent().length, 1, 'there and back again');
  outbox.react('!r', '$1', 'x', false);
  first.give({ status: 'pending' });
  await settled();
  assert.deepEqual(calls, ['put x $1', 'take x $1']);
  assert.deepEqual(outbox.unsent().map(({ on }) => on), [false], 'never asked for again');
  outbox.wake();
  await settled();
  assert.deepEqual(calls[2], 'take x $1', 'how it stands is asked by asking for it');
  assert.deepEqual(outbox.unsent(), []);
});

test('a failure is told of a reaction or a deletion by what it is about', async () => {
  const pending = { status: 'pending' };
  const { outbox } = await setUp([pending, pending, pending, pending]);
  outbox.react('!r', '$1', 'x', true);
  outbox.react('!r', '$1', 'y', true);
  outbox.remove('!r', '$2');
  outbox.edit('!r', '$3', { body: 'e', reply_to: '$9' });
  await settled();
  assert.deepEqual(outbox.unsent()[3].draft, { body: 'e' }, 'an edit has no other fields');
  const failure = { room_id: '!r', errcode: 'M_FORBIDDEN', error: 'No.' };
  outbox.fail({ ...failure, action: 'react', event_id: '$1', key: 'y' });
  outbox.fail({ ...failure, action: 'unreact', event_id: '$1', key: 'x' });
  outbox.fail({ ...failure, action: 'delete', event_id: '$2' });
  const errcode = 'ORG_OPENMEET_WITHDRAWN';
  outbox.fail({ ...failure, action: 'edit', event_id: '$3', client_txn_id: 't4', errcode });
  assert.deepEqual(outbox.unsent().map(({ kind, key, state }) => [kind, key, state]), [
    ['reaction', 'x', 'pending'], ['reaction', 'y', 'failed'], ['deletion', null, 'failed'],
  ]);
});

test('a deletion ends what else was to change the message', async () => {
  const { outbox, calls } = await setUp([never()]);
  outbox.send('!r', { body: 'blocks the way' });
  outbox.edit('!r', '$1', { body: 'x' });
  outbox.react('!r', '$1', 'x', true);
  outbox.remove('!r', '$1');
  await settled();
  assert.deepEqual(outbox.unsent().map(({ kind }) => kind), ['message', 'deletion']);
  assert.equal(calls.length, 1);
});

test('too much and too long is refused at once', async () => {
  const { outbox, say } = await setUp([never()]);
  assert.throws(() => say('ä'.repeat(40_000)), { errcode: 'M_TOO_LARGE', fields: { body: 'is too long' } });
  for (let i = 0; i < 500; i += 1) say('x');
  assert.throws(() => say('x'), { errcode: 'CLIENT_QUEUE_FULL' });
  outbox.leave('!r');
  assert.deepEqual(outbox.unsent(), []);
});
