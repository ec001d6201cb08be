import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../openmeet_bridge/web/client/api.js';
import { Outbox } from '../../openmeet_bridge/web/client/outbox.js';
import { FakeClock, settled } from './support.mjs';

/** `answers` are used up in turn; after them everything succeeds. */
function setUp(answers = [], status = () => ({ status: 'pending' })) {
  const clock = new FakeClock();
  const calls = [];
  const states = [];
  let id = 0;
  const outbox = new Outbox({
    clock,
    random: () => 1,
    newId: () => `t${(id += 1)}`,
    onChange: (message) => states.push(`${message.txnId} ${message.state}`),
    api: {
      async send(roomId, txnId, body) {
        calls.push(`${txnId} ${body}`);
        const answer = answers.shift() ?? { status: 'sent', event_id: `$${txnId}` };
        if (answer instanceof Error) throw answer;
        return answer;
      },
      sendStatus: async (roomId, txnId) => status(txnId),
    },
  });
  return { clock, calls, states, outbox };
}

const away = () => new ApiError('away', { status: 503 });

test('messages of a room leave in order, each after the one before', async () => {
  const { outbox, calls, states } = setUp();
  outbox.enqueue('!r', 'a');
  outbox.enqueue('!r', 'b');
  assert.deepEqual(calls, ['t1 a']);
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b']);
  assert.deepEqual(states, ['t1 sending', 't1 sent', 't2 sending', 't2 sent']);
  assert.deepEqual(outbox.unsent(), []);
});

test('without an answer the same id is tried again, and the next one waits', async () => {
  const network = new ApiError('no network', { errcode: 'CLIENT_NETWORK' });
  const { outbox, calls, clock } = setUp([network, away()]);
  outbox.enqueue('!r', 'a');
  outbox.enqueue('!r', 'b');
  await settled();
  assert.deepEqual(outbox.unsent().map((one) => one.state), ['waiting', 'queued']);
  await clock.pass(1000);
  await clock.pass(2000);
  assert.deepEqual(calls, ['t1 a', 't1 a', 't1 a', 't2 b']);
});

test('a room that waits does not hold up another one', async () => {
  const { outbox, calls } = setUp([away()]);
  outbox.enqueue('!r', 'a');
  outbox.enqueue('!other', 'b');
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b']);
});

test('429 waits for as long as the server says', async () => {
  const { outbox, calls, clock } = setUp([
    new ApiError('slow', { status: 429, retryAfterMs: 9000 }),
  ]);
  outbox.enqueue('!r', 'a');
  await settled();
  await clock.pass(8000);
  assert.equal(calls.length, 1);
  await clock.pass(1000);
  assert.equal(calls.length, 2);
});

test('a refusal is final, names its fields, and lets the next one pass', async () => {
  const { outbox, calls } = setUp([
    new ApiError('bad', { status: 400, fields: { body: 'is too long' } }),
  ]);
  outbox.enqueue('!r', 'a');
  outbox.enqueue('!r', 'b');
  await settled();
  assert.deepEqual(calls, ['t1 a', 't2 b']);
  const [failed] = outbox.unsent();
  assert.equal(failed.reason, 'bad (body: is too long)');
  outbox.retry('t1');
  await settled();
  assert.equal(calls[2], 't3 a');
  assert.deepEqual(outbox.unsent(), []);
});

test('wake does not wait for the timer', async () => {
  const { outbox, calls } = setUp([away()]);
  outbox.enqueue('!r', 'a');
  await settled();
  outbox.wake();
  await settled();
  assert.equal(calls.length, 2);
});

test('a pending message is asked about, and its failure is told', async () => {
  const answers = [{ status: 'pending' }, { status: 'failed', error: 'banned' }];
  const { outbox, clock } = setUp([{ status: 'pending' }], () => answers.shift());
  outbox.enqueue('!r', 'a');
  await settled();
  assert.equal(outbox.unsent()[0].state, 'pending');
  await clock.pass(20_000);
  outbox.wake();
  await settled();
  assert.deepEqual(outbox.unsent().map((one) => [one.state, one.reason]), [['failed', 'banned']]);
});

test('a pending message that the server forgot is sent again with its id', async () => {
  const { outbox, calls } = setUp([{ status: 'pending' }], () => {
    throw new ApiError('unknown', { status: 404 });
  });
  outbox.enqueue('!r', 'a');
  await settled();
  outbox.wake();
  await settled();
  assert.deepEqual(calls, ['t1 a', 't1 a']);
});

test('the log knows better: a confirmed message is done whatever was thought of it', async () => {
  const { outbox, states } = setUp([{ status: 'failed', error: 'x' }]);
  outbox.enqueue('!r', 'a');
  await settled();
  outbox.confirm('t1', '$1');
  assert.deepEqual(outbox.unsent(), []);
  assert.equal(states.at(-1), 't1 sent');
});
