import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Api, ApiError } from '../../openmeet_bridge/web/client/api.js';

function setUp(answers, options = {}) {
  const calls = [];
  const fetch = async (url, init) => {
    calls.push({ url, ...init });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return new Response(answer.text ?? JSON.stringify(answer.body ?? {}), answer);
  };
  return { calls, api: new Api({ baseUrl: 'https://chat.example/sub/', fetch, ...options }) };
}

test('a token goes in a header and nowhere else', async () => {
  const { api, calls } = setUp([{}, {}], { tenant: 'a', token: () => 'SECRET' });
  await api.timeline('!r:x', { limit: 5 });
  await api.openSession('SECRET');
  assert.equal(calls[0].url, 'https://chat.example/sub/api/v1/rooms/!r%3Ax/timeline?limit=5');
  assert.equal(calls[0].headers.Authorization, 'Bearer SECRET');
  assert.equal(calls[0].headers['X-Tenant-Id'], 'a');
  assert.equal(calls[0].credentials, 'omit');
  assert.equal(calls[1].credentials, 'same-origin', 'its answer sets the cookie');
  assert.ok(!api.streamUrl('ws', { ticket: 'T', cursor: null }).includes('SECRET'));
});

test('with the cookie, what changes something carries the guard', async () => {
  const { api, calls } = setUp([{}, {}]);
  await api.markRead('!r', '$1');
  await api.me();
  assert.equal(calls[0].headers['X-Requested-With'], 'openmeet');
  assert.equal(calls[1].headers['X-Requested-With'], undefined);
  assert.equal(calls[0].headers.Authorization, undefined);
});

test('every id is safe in a path, and the body is what was written', async () => {
  const { api, calls } = setUp([{}, {}, {}, {}, {}]);
  const draft = { body: 'x', format: 'markdown', reply_to: '$1', mentions: ['ann'] };
  await api.send('!r', 't/1', draft);
  await api.react('!r', '$a/b', '👍/?', false);
  await api.remove('!r', '$1', 'a & b');
  await api.remove('!r', '$1');
  await api.timeline('!r', { at: 5, limit: 2 });
  assert.deepEqual(calls.map(({ method, url }) => `${method} ${url.split('/api/v1/')[1]}`), [
    'PUT rooms/!r/messages/t%2F1',
    'DELETE rooms/!r/entries/%24a%2Fb/reactions/%F0%9F%91%8D%2F%3F',
    'DELETE rooms/!r/entries/%241?reason=a+%26+b',
    'DELETE rooms/!r/entries/%241',
    'GET rooms/!r/timeline?at=5&limit=2',
  ]);
  assert.deepEqual(JSON.parse(calls[0].body), draft);
  // A browser would go up one step, and delete the message instead of a reaction.
  assert.throws(() => api.react('!r', '$1', '..', false), { status: 400 });
});

test('an error keeps what the server said', async () => {
  const body = { errcode: 'M_X', error: 'no', fields: { body: 'long' }, retry_after_ms: 5 };
  const { api } = setUp([{ status: 429, body }]);
  const error = await api.me().catch((caught) => caught);
  assert.ok(error instanceof ApiError && error.temporary);
  assert.deepEqual([error.errcode, error.message, error.fields, error.retryAfterMs],
    ['M_X', 'no', { body: 'long' }, 5]);
});

test('an error of something in between has the same shape', async () => {
  const { api } = setUp([{ status: 502, text: '<html>', headers: { 'Retry-After': '3' } }]);
  const error = await api.me().catch((caught) => caught);
  assert.deepEqual([error.status, error.errcode, error.retryAfterMs], [502, 'M_UNKNOWN', 3000]);
});

for (const [name, answer] of [['no network', new TypeError('x')], ['a cut-off body', { text: '{"a' }]]) {
  test(`${name} may be tried again`, async () => {
    const error = await setUp([answer]).api.me().catch((caught) => caught);
    assert.deepEqual([error.status, error.temporary], [0, true]);
  });
}

test('a refused token is renewed once', async () => {
  const asked = [];
  const token = ({ renew }) => {
    asked.push(renew);
    return renew ? 'new' : 'old';
  };
  const { api, calls } = setUp([{ status: 401 }, { body: { fine: 1 } }], { token });
  assert.deepEqual(await api.me(), { fine: 1 });
  assert.deepEqual(calls.map((call) => call.headers.Authorization), ['Bearer old', 'Bearer new']);
  const refused = setUp([{ status: 401 }, { status: 401 }], { token });
  await assert.rejects(refused.api.me(), ApiError);
  assert.deepEqual(asked, [false, true, false, true]);
});

test('the address of a stream follows that of the page', () => {
  const { api } = setUp([], { tenant: 'a b' });
  assert.equal(api.streamUrl('ws', { ticket: 'T', cursor: 'c' }),
    'wss://chat.example/sub/api/v1/ws?tenantId=a+b&ticket=T&cursor=c');
});
