// SPDX-License-Identifier: MIT
// Edges of the session protocol: restarts, lost places, very long replies, limits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, doneOf, eventsOf, eventually, fakeApp, newSession, openStream, processesWith, startKarta, tempDir } from './lib.mjs';

const ASYNC = { prefer: 'respond-async' };
const JSON_ONLY = { accept: 'application/json' };
const post = (karta, id, body, headers) => call(karta, 'POST', `/v1/sessions/${id}/messages`, body, headers);

/** As setUp(), with what a restart needs. */
async function restartable(t, files) {
  const dir = tempDir(t, 'app');
  fakeApp(dir, files);
  const options = { data: tempDir(t, 'data'), env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } };
  return { dir, options, karta: await startKarta(t, dir, options) };
}

test('a stream from a lost place with until=idle begins with the gap', async (t) => {
  const { karta: k } = await restartable(t, { 'karta.jsonc': '{ "runtime": { "event_retention_hours": 0 } }' });
  const id = await newSession(k);
  for (let i = 0; i < 3; i++) await post(k, id, { text: '[[big:900000]] [[big:900000]]' }, ASYNC);
  await post(k, id, { text: '[[text:last]]' });
  const s = openStream(k, `/v1/sessions/${id}/events?until=idle`);
  await s.done;
  assert.equal(s.events[0]?.type, 'gap');
});
test('events that are in no file have one sum: the session that was used longest ago gives its own up', async (t) => {
  const { karta: k } = await restartable(t, { 'karta.jsonc': '{ "runtime": { "event_retention_hours": 0 } }' });
  const ids = [];
  for (let i = 0; i < 23; i++) {
    ids.push(await newSession(k));
    assert.equal((await post(k, ids[i], { text: '[[flood:3]] [[text:kept]]' })).status, 200);
  }
  const first = (id) => call(k, 'GET', `/v1/sessions/${id}/events?limit=1`, undefined, { accept: 'application/json' });
  assert.equal((await first(ids[0])).body.data[0].type, 'gap');
  assert.notEqual((await first(ids[22])).body.data[0].type, 'gap');
  assert.equal((await post(k, ids[0], { text: '[[text:goes on]]' })).body.text, 'goes on');
});
test('a reply of more than 1 MiB keeps its end: 200, stop_reason, usage', async (t) => {
  const { karta: k } = await restartable(t);
  const id = await newSession(k);
  const r = await post(k, id, { text: '[[big:1200000]]' });
  assert.equal(r.status, 200, r.body.code);
  const all = await eventsOf(k, id);
  assert.equal(doneOf(all).stop_reason, 'end_turn');
});
test('the list keeps its order over a restart', async (t) => {
  const { dir, options, karta: k } = await restartable(t);
  const ids = [await newSession(k), await newSession(k), await newSession(k)];
  await post(k, ids[0], { text: 'hi' });
  const order = async (x) => (await call(x, 'GET', '/v1/sessions')).body.data.map((s) => s.id);
  const before = await order(k);
  await k.stop();
  assert.deepEqual(await order(await startKarta(t, dir, options)), before);
});
test('last_seq is true after a restart', async (t) => {
  const { dir, options, karta: k } = await restartable(t);
  const id = await newSession(k);
  await post(k, id, { text: 'hi' });
  const before = (await call(k, 'GET', `/v1/sessions/${id}`)).body;
  await k.stop();
  const k2 = await startKarta(t, dir, options);
  assert.deepEqual((await call(k2, 'GET', `/v1/sessions/${id}`)).body, before);
});
test('a queued message that was accepted ends after kill -9, by running or with an error', async (t) => {
  const { dir, options, karta: k } = await restartable(t);
  const id = await newSession(k);
  await post(k, id, { text: '[[hang]]' }, ASYNC);
  const q = await post(k, id, { text: 'queued' }, { ...ASYNC, 'idempotency-key': 'q' });
  await k.stop('SIGKILL');
  const k2 = await startKarta(t, dir, options);
  const s = openStream(k2, `/v1/sessions/${id}/events?until=idle`);
  await s.done;
  assert.ok(s.events.some((e) => e.type === 'done' && e.turn_id === q.body.turn_id), 'the queued turn has an end');
});
test('an approval that was open at a crash is 409 with what became of it; only what never was is 404', async (t) => {
  const { dir, options, karta: k } = await restartable(t);
  const id = await newSession(k);
  const put = (x, rq, decision = 'approve_once') => call(x, 'PUT', `/v1/sessions/${id}/inputs/${rq}`, { decision });
  const ask = async () => (await post(k, id, { text: '[[ask:one]]' })).body.pending_input.request_id;
  const denied = await ask();
  await put(k, denied, 'deny');
  const withdrawn = await ask();
  await call(k, 'POST', `/v1/sessions/${id}/interrupt`);
  await eventually(async () => (await call(k, 'GET', `/v1/sessions/${id}`)).body.turn === null);
  const open = await ask();
  await k.stop('SIGKILL');
  const k2 = await startKarta(t, dir, options);
  const seen = [];
  for (const rq of [denied, withdrawn, open, open, `req_${'0'.repeat(22)}`, 'nonsense']) {
    const r = await put(k2, rq);
    seen.push([r.status, r.body.code, r.body.decision, r.body.by]);
  }
  const was = (decision, by) => [409, 'already_answered', decision, by];
  const never = [404, 'input_not_found', undefined, undefined];
  assert.deepEqual(seen, [was('deny', 'user'), was('canceled', 'withdrawn'), was('canceled', 'interrupted'), was('canceled', 'interrupted'), never, never]);
  const late = await put(k2, open);
  assert.match(late.body.message, /the server stopped while its turn was running/);
  assert.equal((await post(k2, id, { text: '[[text:on]]' })).body.text, 'on');
});
test('participant names have a limit; the journal line is never dropped', async (t) => {
  const { karta: k } = await restartable(t);
  const id = await newSession(k);
  assert.equal((await post(k, id, { text: 'x', participant_name: 'n'.repeat(500000) })).status, 422);
});
test('a query value that is too long is 400, not ignored', async (t) => {
  const { karta: k } = await restartable(t);
  const id = await newSession(k);
  for (const q of [`/v1/sessions?limit=${'1'.repeat(70)}`, `/v1/sessions?after=${'x'.repeat(70)}`, `/v1/sessions/${id}/events?until=${'x'.repeat(20)}`])
    assert.equal((await call(k, 'GET', q, undefined, JSON_ONLY)).status, 400, q);
});
test('the transcript for a harness that cannot resume does not repeat the message it goes with', async (t) => {
  const dir = tempDir(t, 'app'); fakeApp(dir, { 'karta.jsonc': '{ "harness": { "claude": { "idle_timeout_seconds": 1 } } }' });
  const k = await startKarta(t, dir); // without FAKE_AGENT_STATE nothing can be loaded
  const id = await newSession(k);
  await post(k, id, { text: 'first' });
  await eventually(() => /idle, stopping its harness/.test(k.err) && processesWith(`KARTA_SESSION_ID=${id}`).length === 0, 'its harness is gone');
  const r = await post(k, id, { text: 'UNIQUE' });
  assert.equal(r.body.text.match(/UNIQUE/g).length, 1, r.body.text);
});

test('at most eight idle harnesses are kept; the one used longest ago goes first', async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const k = await startKarta(t, dir, { args: ['--warm', '0'], env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } });
  const ids = [];
  for (let i = 0; i < 10; i++) {
    ids.push(await newSession(k));
    await post(k, ids[i], { text: 'hi' });
  }
  const alive = () => ids.filter((id) => processesWith(`KARTA_SESSION_ID=${id}`).length);
  await eventually(() => alive().length === 8, 'eight are left');
  assert.deepEqual(alive(), ids.slice(2));
  assert.equal((await post(k, ids[0], { text: 'again' })).body.text, 'You said: again (turn 2)');
});

test('a message that comes while the idle harness is being stopped waits for its successor', async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir, { 'karta.jsonc': '{ "harness": { "claude": { "idle_timeout_seconds": 1 } } }' });
  const k = await startKarta(t, dir, { args: ['--warm', '0'], env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } });
  const id = await newSession(k);
  await post(k, id, { text: '[[stubborn]] [[text:one]]' });
  await eventually(() => /idle, stopping its harness/.test(k.err), 'it is being stopped');
  const r = await post(k, id, { text: 'two' });
  assert.equal(r.body.text, 'You said: two (turn 2)');
  await post(k, id, { text: '[[stubborn]]' });
  await eventually(() => k.err.match(/idle, stopping its harness/g).length === 2, 'it is being stopped again');
  await post(k, id, { text: 'never begins' }, ASYNC);
  await call(k, 'POST', `/v1/sessions/${id}/interrupt`);
  assert.equal((await post(k, id, { text: 'four' })).body.text, 'You said: four (turn 4)');
});
