// SPDX-License-Identifier: MIT
// Bodies that are parsed on a thread: what handlers make of them, what is refused and how, and what happens to
// the client, its key and the server meanwhile.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { archive, publish, secondOrganization, startServe } from './serve.mjs';

const P = '/agent_projects/{project_ref}';
const LARGE = 'x'.repeat(30000);
const vars = (n) => ({ set: Object.fromEntries(Array.from({ length: n }, (_, i) => [`V${i}`, LARGE])) });

/* Send a request and leave once its body is out. */
function leave(k, at, body) {
  return new Promise((done) => {
    const rq = http.request(k.url + at, { method: 'PATCH', agent: false, headers: { authorization: `Bearer ${k.key}`, 'content-type': 'application/json' } });
    rq.on('error', done);
    rq.end(body, () => { rq.destroy(); done(); });
  });
}

test('a large body is taken as a small one is', async (t) => {
  const k = await startServe(t, { args: ['--offline'] });
  const c = new Client(k, k.key);
  assert.equal((await publish(c, 'bot', archive(t))).status, 201);
  // Just below what is parsed on the loop, and far above.
  for (const n of [2, 30]) {
    const r = await c.call('PATCH', `${P}/config`, ['bot'], { body: vars(n) });
    assert.equal(r.status, 200, r.text.slice(0, 300));
    assert.equal((await c.call('GET', `${P}/config`, ['bot'])).body.vars.V1, LARGE);
  }
  // The same key and body again is the same change; another body is not.
  const headers = { 'Idempotency-Key': 'large' };
  const first = await c.call('PATCH', `${P}/config`, ['bot'], { body: vars(20), headers });
  const again = await c.call('PATCH', `${P}/config`, ['bot'], { body: vars(20), headers });
  assert.deepEqual([again.status, again.body.version], [first.status, first.body.version]);
  assert.equal((await c.call('PATCH', `${P}/config`, ['bot'], { body: vars(21), headers })).status, 422);

  const refused = async (raw, status, code, detail) => {
    const r = await c.call('PATCH', `${P}/config`, ['bot'], { raw });
    assert.deepEqual([r.status, r.body.code], [status, code], r.text.slice(0, 300));
    assert.match(r.body.detail, detail);
  };
  const pad = ' '.repeat(100000);
  await refused(`${pad}{"set":`, 400, 'bad_json', /not valid JSON: 1:100008/);
  await refused(`${pad}[]`, 400, 'bad_json', /must be a JSON object/);
  await refused(`{"set":{},"x":[${'[],'.repeat(30000)}1]}`, 413, 'too_large', /over 20000 values, which is the limit/);
  await refused(`{"x":${'['.repeat(100000)}`, 400, 'bad_json', /nesting over 64 levels/);
});

test('clients leave and keys are revoked while bodies are parsed', async (t) => {
  const k = await startServe(t, { args: ['--offline'] });
  const c = new Client(k, k.key);
  assert.equal((await publish(c, 'bot', archive(t))).status, 201);
  const mine = (await c.call('POST', '/v1/keys', [], { body: { name: 'gone', scopes: ['read', 'write', 'admin'] } })).body;
  const other = new Client(k, mine.key);
  const before = (await c.call('GET', `${P}/config`, ['bot'])).body.version;
  const body = JSON.stringify({ unset: [], pad: 'y'.repeat(900000) });
  const left = Array.from({ length: 10 }, () => leave(k, '/agent_projects/bot/config', body));
  const codes = Array.from({ length: 10 }, () => other.call('PATCH', `${P}/config`, ['bot'], { raw: body }).then((r) => r.status));
  await Promise.all(left);
  assert.equal((await c.call('DELETE', '/v1/keys/{key_id}', [mine.id])).status, 204);
  // Each was answered: as a good key's, or as one of a key that is no more.
  for (const status of await Promise.all(codes)) assert.ok([200, 401, 422].includes(status), String(status));
  assert.equal((await other.call('PATCH', `${P}/config`, ['bot'], { raw: body })).status, 401);
  assert.ok((await c.call('GET', `${P}/config`, ['bot'])).body.version >= before);
  assert.equal((await c.call('GET', '/healthz')).status, 200);
});

test('forty bodies of one organization do not delay the one of another', async (t) => {
  const first = await startServe(t, { args: ['--offline'] });
  const theirs = (await new Client(first, first.key).call('POST', '/v1/keys', [], { body: { name: 'other', scopes: ['read', 'write', 'admin'] } })).body;
  await first.stop();
  secondOrganization(first.data, [theirs.id]);
  const k = await startServe(t, { data: first.home, args: ['--offline'] });
  const [c, o] = [new Client(k, k.key), new Client(k, theirs.key)];
  // Each is read and refused, and takes a thread for a while.
  const raw = `{"x":[${'"y",'.repeat(19000)}${JSON.stringify('z'.repeat(400000))}],"set":1}`;
  for (const [who, name] of [[c, 'ours'], [o, 'theirs']]) assert.equal((await publish(who, name, archive(t))).status, 201);
  const send = (who, name = who === c ? 'ours' : 'theirs') => who.call('PATCH', `${P}/config`, [name], { raw });
  let n = 0;
  const many = Array.from({ length: 40 }, () => send(c).then((r) => { n++; return r.status; }));
  await Promise.race(many);
  const began = n;
  assert.equal((await send(o)).status, 422);
  const meanwhile = n - began;
  assert.deepEqual([...new Set(await Promise.all(many))], [422]);
  // Its turn comes after those that have a thread, not after all that wait.
  assert.ok(meanwhile < 25, `${meanwhile} of 40 were answered before it, ${began} when it was sent`);
});
