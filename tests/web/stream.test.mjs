import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../openmeet_bridge/web/client/api.js';
import { backoffMs } from '../../openmeet_bridge/web/client/backoff.js';
import { Stream } from '../../openmeet_bridge/web/client/stream.js';
import { FakeClock, settled } from './support.mjs';

function setUp({ online = true, refuse = [], forbid = [], saveData } = {}) {
  const clock = new FakeClock();
  const world = { clock, online, refuse, opened: [], frames: [], phases: [] };
  const open = (url, events) => {
    if (forbid.some((kind) => url.startsWith(kind))) throw new DOMException('no', 'SecurityError');
    const connection = { url, events, closed: false, close: () => { connection.closed = true; } };
    world.opened.push(connection);
    return connection;
  };
  world.stream = new Stream({
    clock,
    random: () => 1,
    online: () => world.online,
    saveData,
    transports: [{ kind: 'ws', open }, { kind: 'stream', open }],
    onFrame: (frame) => world.frames.push(frame.type),
    onState: (state) => world.phases.push(state.phase),
    api: {
      async ticket() {
        if (world.refuse.length) throw world.refuse.shift();
        return { ticket: 'T' };
      },
      streamUrl: (kind, { cursor, data }) => `${kind}?cursor=${cursor}${data ? `&data=${data}` : ''}`,
    },
  });
  world.last = () => world.opened.at(-1);
  world.send = (frame) => world.last().events.onFrame(frame);
  world.hello = () => world.send({ type: 'hello', data: { heartbeat_ms: 1000, cursor: 'zz' } });
  return world;
}

async function live(options) {
  const world = setUp(options);
  world.stream.start('c1');
  await settled();
  world.hello();
  return world;
}

test('the steps of the back-off double up to the longest, at least half of each', () => {
  assert.deepEqual([1, 2, 3, 5, 6, 60].map((n) => backoffMs(n, () => 1)),
    [1000, 2000, 4000, 16_000, 30_000, 30_000]);
  assert.equal(backoffMs(3, () => 0), 2000);
});

test('it is live only after hello, and resumes at the last position', async () => {
  const world = setUp();
  world.stream.start('c1');
  await settled();
  assert.equal(world.stream.state.phase, 'connecting');
  world.hello();
  assert.equal(world.stream.state.phase, 'live');
  world.send({ type: 'timeline', cursor: 'c2', data: {} });
  world.send({ type: 'typing', data: {} });
  world.last().events.onClose();
  assert.deepEqual([world.stream.state.phase, world.stream.state.retryAt], ['reconnecting', 1_001_000]);
  await world.clock.pass(1000);
  assert.equal(world.last().url, 'ws?cursor=c2');
});

test('a hello does not move the cursor: what was missed still comes', async () => {
  const world = await live();
  world.last().events.onClose();
  await world.clock.pass(1000);
  assert.equal(world.last().url, 'ws?cursor=c1');
});

test('a heartbeat moves the cursor, and nobody else hears of it', async () => {
  const world = await live({ saveData: () => true });
  assert.equal(world.last().url, 'ws?cursor=c1&data=low');
  world.send({ type: 'heartbeat', cursor: 'c2', data: {} });
  assert.deepEqual(world.frames, ['hello']);
  world.last().events.onClose();
  await world.clock.pass(1000);
  assert.equal(world.last().url, 'ws?cursor=c2&data=low');
});

test('silence of two and a half heartbeats ends the connection', async () => {
  const world = await live();
  await world.clock.pass(2000);
  world.send({ type: 'heartbeat', data: {} });
  await world.clock.pass(2400);
  assert.equal(world.stream.state.phase, 'live');
  await world.clock.pass(100);
  assert.equal(world.stream.state.phase, 'reconnecting');
  assert.equal(world.last().closed, true);
});

test('where a WebSocket does not open, server-sent events are next', async () => {
  const world = setUp();
  world.stream.start('c1');
  await settled();
  world.last().events.onClose();
  await world.clock.pass(1000);
  assert.equal(world.last().url, 'stream?cursor=c1');
  world.hello();
  world.last().events.onClose();
  await world.clock.pass(2000);
  assert.equal(world.last().url, 'stream?cursor=c1', 'what worked is kept');
});

test('a way that the browser forbids is left for the next one', async () => {
  const world = setUp({ forbid: ['ws'] });
  world.stream.start('c1');
  await settled();
  assert.equal(world.stream.state.phase, 'reconnecting');
  await world.clock.pass(1000);
  assert.equal(world.last().url, 'stream?cursor=c1');
  world.stream.stop();
});

test('a server that accepts and closes at once is not hammered', async () => {
  const world = await live();
  const waits = [];
  for (let i = 0; i < 4; i += 1) {
    world.last().events.onClose();
    const wait = world.stream.state.retryAt - world.clock.now();
    waits.push(wait);
    await world.clock.pass(wait);
    world.hello();
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000]);
  await world.clock.pass(2000);
  world.send({ type: 'heartbeat', data: {} });
  await world.clock.pass(2000);
  world.send({ type: 'heartbeat', data: {} });
  await world.clock.pass(2000);
  world.last().events.onClose();
  assert.equal(world.stream.state.retryAt - world.clock.now(), 1000);
});

test('reset moves the cursor and is passed on', async () => {
  const world = await live();
  world.send({ type: 'reset', data: { reason: 'x', cursor: 'r9' } });
  assert.equal(world.stream.cursor, 'r9');
  assert.deepEqual(world.frames, ['hello', 'reset']);
});

test('bye: back after a while, or not at all', async () => {
  const world = await live();
  world.send({ type: 'bye', data: { reason: 'shutdown', reconnect: true } });
  assert.deepEqual([world.stream.state.phase, world.stream.state.reason], ['reconnecting', 'shutdown']);
  const other = await live();
  other.send({ type: 'bye', data: { reason: 'removed', reconnect: false } });
  assert.deepEqual([other.stream.state.phase, other.stream.state.reason], ['denied', 'removed']);
  assert.equal(other.clock.pending, 0);
});

test('idle: it rests until somebody is there, and goes on where it was', async () => {
  const world = await live();
  world.send({ type: 'heartbeat', cursor: 'h7', data: {} });
  world.send({ type: 'bye', data: { reason: 'idle', reconnect: false } });
  assert.deepEqual([world.stream.state.phase, world.stream.state.reason], ['resting', 'idle']);
  assert.equal(world.clock.pending, 0);
  const before = world.stream.cursor;
  world.stream.wake();
  assert.equal(world.stream.state.phase, 'connecting');
  await settled();
  world.hello();
  assert.deepEqual([world.stream.state.phase, world.stream.cursor], ['live', before]);
  world.stream.wake();
  assert.equal(world.stream.state.phase, 'live');
});

test('an expired token may have been renewed: the ticket decides', async () => {
  const world = await live();
  world.refuse.push(new ApiError('expired', { status: 401 }));
  world.send({ type: 'bye', data: { reason: 'token_expired', reconnect: false } });
  assert.equal(world.stream.state.phase, 'reconnecting');
  await world.clock.pass(1000);
  assert.deepEqual([world.stream.state.phase, world.stream.state.reason], ['denied', 'expired']);
});

test('no network is called offline, and waiting can be cut short', async () => {
  const world = await live();
  world.online = false;
  world.last().events.onClose();
  assert.equal(world.stream.state.phase, 'offline');
  world.online = true;
  world.stream.tryNow();
  await settled();
  world.hello();
  assert.equal(world.stream.state.phase, 'live');
});

test('a network that is gone ends what seems open, and a browser that is wrong costs little', async () => {
  const world = await live();
  world.online = false;
  world.stream.networkLost();
  assert.deepEqual([world.stream.state.phase, world.last().closed], ['offline', true]);
  await world.clock.pass(1000);
  world.stream.networkLost();
  assert.equal(world.stream.state.retryAt - world.clock.now(), 30_000, 'the second try is not soon');
  world.stream.tryNow();
  await settled();
  world.hello();
  assert.deepEqual([world.stream.state.phase, world.last().url], ['live', 'ws?cursor=c1']);
});

test('a refused ticket waits for as long as it was told', async () => {
  const world = setUp({ refuse: [new ApiError('busy', { status: 429, retryAfterMs: 7000 })] });
  world.stream.start('c1');
  await settled();
  assert.equal(world.stream.state.retryAt - world.clock.now(), 7000);
});

test('what an abandoned connection still says is not heard', async () => {
  const world = await live();
  const old = world.last();
  world.stream.stop();
  old.events.onFrame({ type: 'timeline', data: {} });
  old.events.onClose();
  assert.deepEqual([world.stream.state.phase, world.frames], ['idle', ['hello']]);
});
