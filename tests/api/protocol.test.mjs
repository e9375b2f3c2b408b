// SPDX-License-Identifier: MIT
// The session protocol with a scripted ACP agent: shapes, queue, approvals, idempotency, streams.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { ROOT, call, doneOf, errorOf, eventually, fakeApp, gate, newSession, openStream, processesWith,
  startKarta, tempDir, textOf, turn, writeFiles } from './lib.mjs';

async function setUp(t, options = {}, files = {}) {
  const dir = tempDir(t, 'app');
  fakeApp(dir, files);
  const state = tempDir(t, 'agent');
  const env = { FAKE_AGENT_STATE: state, ...options.env };
  return startKarta(t, dir, { ...options, env });
}

test('sessions: create, fetch, list, page, delete', async (t) => {
  const karta = await setUp(t);
  const made = await call(karta, 'POST', '/v1/sessions', { metadata: { customer_id: 'abc123', n: 1 } });
  assert.equal(made.status, 201);
  const s = made.body;
  assert.match(s.id, /^sess_[0-9A-Za-z]{22}$/);
  assert.deepEqual(s.metadata, { customer_id: 'abc123', n: 1 });
  assert.match(s.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  for (const [k, v] of Object.entries({ current_agent: 'default', status: 'active', parent_id: null,
    pending_input: null, permission_mode: null, participants: [], turn: null, title: null })) assert.deepEqual(s[k], v, k);
  assert.equal('project' in s, false);
  assert.ok(made.headers.get('request-id'));

  assert.deepEqual((await call(karta, 'GET', `/v1/sessions/${s.id}`)).body, s);
  const again = await call(karta, 'POST', '/v1/sessions', { session_id: s.id });
  assert.deepEqual([again.status, again.body.id], [201, s.id]);
  const unknown = await call(karta, 'POST', '/v1/sessions', { session_id: 'sess_none' });
  assert.equal(unknown.status, 404);
  const child = await call(karta, 'POST', '/v1/sessions', { parent_id: s.id });
  assert.equal(child.body.parent_id, s.id);
  assert.equal((await call(karta, 'POST', '/v1/sessions', { parent_id: 'sess_x' })).status, 404);

  const third = await newSession(karta);
  const page1 = (await call(karta, 'GET', '/v1/sessions?limit=2')).body;
  assert.deepEqual(page1.data.map((x) => x.id), [third, child.body.id]);
  assert.equal(page1.has_more, true);
  const page2 = (await call(karta, 'GET', `/v1/sessions?limit=2&after=${child.body.id}`)).body;
  assert.deepEqual([page2.data.map((x) => x.id), page2.has_more], [[s.id], false]);

  const rename = (title) => call(karta, 'PATCH', `/v1/sessions/${s.id}`, { title });
  const renamed = await rename('  A name\twith a tab, "quotes" and \u017c ');
  assert.deepEqual([renamed.status, renamed.body], [200, { ...s, title: 'A name with a tab, "quotes" and \u017c' }]);
  assert.equal((await rename('\u017c'.repeat(100))).body.title, '\u017c'.repeat(100));
  for (const bad of ['', ' \n', '\u017c'.repeat(100) + 'x', 7, null, undefined]) {
    const r = await rename(bad);
    assert.deepEqual([r.status, r.body.code], [422, 'validation_failed'], String(bad));
    assert.match(r.body.detail, /'title'/);
  }
  assert.equal((await call(karta, 'GET', '/v1/sessions')).body.data.at(-1).title, '\u017c'.repeat(100));
  assert.equal((await call(karta, 'PATCH', '/v1/sessions/sess_none', { title: 'x' })).status, 404);

  assert.equal((await call(karta, 'DELETE', `/v1/sessions/${s.id}`)).status, 204);
  assert.equal((await call(karta, 'GET', `/v1/sessions/${s.id}`)).status, 404);
  assert.equal((await call(karta, 'DELETE', `/v1/sessions/${s.id}`)).status, 404);
});

test('project family and both older paths reach the same session', async (t) => {
  const karta = await setUp(t);
  const made = await call(karta, 'POST', '/v1/projects/fake/sessions', {});
  assert.equal(made.status, 201);
  assert.deepEqual(made.body.project, { ref: 'fake', project_id: 'fake', version: 'dev' });
  assert.equal((await call(karta, 'GET', `/v1/projects/fake/sessions/${made.body.id}`)).body.id, made.body.id);
  assert.equal((await call(karta, 'GET', `/acme/fake/v1/sessions/${made.body.id}`)).body.id, made.body.id);
  assert.equal((await call(karta, 'GET', `/v1/projects/other/sessions/${made.body.id}`)).status, 404);
  const r = await call(karta, 'POST', `/v1/projects/fake/sessions/${made.body.id}/messages`, { text: 'hello' });
  assert.equal(r.status, 200);
  assert.equal(r.body.text, 'You said: hello (turn 1)');
});

test('unary answer has the documented shape', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const r = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'hello there', participant_name: 'Ann', participant_type: 'human' });
  assert.equal(r.status, 200);
  assert.equal(r.body.text, 'You said: Message from Ann:\nhello there (turn 1)', 'the agent is told who speaks');
  assert.equal(r.body.session_id, id);
  assert.equal(r.body.agent, 'default');
  assert.deepEqual(r.body.messages.map((m) => [m.role, m.text]), [['user', 'hello there'], ['assistant', r.body.text]]);
  for (const m of r.body.messages) { assert.match(m.id, /^msg_/); assert.deepEqual(m.parts, []); }
  assert.equal(r.body.usage.total_tokens, 15);
  assert.equal(r.body.stop_reason, 'end_turn');
  const s = (await call(karta, 'GET', `/v1/sessions/${id}`)).body;
  assert.deepEqual([s.title, s.turns, s.participants], ['hello there', 1, [{ name: 'Ann', type: 'human' }]]);
});

test('stream: envelope, gapless ids, one terminal event, then it ends', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const s = openStream(karta, `/v1/sessions/${id}/messages`, { method: 'POST', body: { text: 'N=20 GAP=1', stream: true } });
  await s.done;
  assert.equal(s.status, 200);
  assert.equal(s.headers.get('content-type'), 'text/event-stream');
  assert.equal(s.headers.get('cache-control'), 'no-store');
  assert.equal(s.headers.get('x-accel-buffering'), 'no');
  s.events.forEach((e, i) => {
    assert.equal(e.seq, i + 1);
    assert.equal(e.id, String(e.seq));
    assert.equal(e.event, e.type);
    assert.equal(e.source, 'karta');
    assert.equal(e.session_id, id);
    assert.ok(Number.isInteger(e.timestamp) && 'raw' in e && 'parent_tool_use_id' in e);
    assert.match(e.turn_id, /^turn_/);
  });
  assert.equal(s.events.filter((e) => e.type === 'done').length, 1);
  assert.equal(s.events.at(-1).type, 'done');
  assert.equal(textOf(s.events).match(/@@/g).length, 40);
  assert.equal(doneOf(s.events).message.text, textOf(s.events));
});

test('reasoning only when asked for', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const quiet = await turn(karta, id, '[[think:hmm]] [[text:ok]]');
  assert.equal(quiet.some((e) => e.type === 'reasoning'), false);
  const loud = await turn(karta, id, '[[think:hmm]] [[text:ok]]', { thinking: true });
  assert.equal(loud.find((e) => e.type === 'reasoning').data.part.text, 'hmm');
});

test('a client that leaves does not stop the turn and misses nothing', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const s = openStream(karta, `/v1/sessions/${id}/messages`, { method: 'POST', body: { text: 'N=60 GAP=20', stream: true } });
  await s.until((e) => e.type === 'text');
  s.close();
  const had = [...s.events]; // what was on its way when it left may still be added to s.events
  const rest = openStream(karta, `/v1/sessions/${id}/events?until=idle`, { headers: { 'last-event-id': String(had.at(-1).seq) } });
  await rest.done;
  const all = [...had, ...rest.events];
  assert.deepEqual(all.map((e) => e.seq), all.map((_, i) => i + 1));
  assert.equal(textOf(all).match(/@@/g).length, 120);
  const none = await call(karta, 'GET', `/v1/sessions/${id}/events?until=idle&after=${all.length}`, undefined, { accept: 'text/event-stream' });
  assert.equal(none.status, 204);
});

test('events as JSON, with paging', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  await turn(karta, id, 'N=10 GAP=0');
  const json = { accept: 'application/json' };
  const all = (await call(karta, 'GET', `/v1/sessions/${id}/events`, undefined, json)).body;
  assert.deepEqual(all.data.map((e) => e.seq), all.data.map((_, i) => i + 1));
  assert.equal(all.has_more, false);
  const page = (await call(karta, 'GET', `/v1/sessions/${id}/events?after=2&limit=3`, undefined, json)).body;
  assert.deepEqual([page.data.map((e) => e.seq), page.has_more, page.last_seq], [[3, 4, 5], true, 5]);
  for (const bad of ['after=-1', 'after=x', 'after=1e3', 'limit=0', 'until=never'])
    assert.equal((await call(karta, 'GET', `/v1/sessions/${id}/events?${bad}`, undefined, json)).status, 400, bad);
});

test('on_busy: enqueue 8 deep then 429, reject 409, interrupt', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  const send = (text, more = {}) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text, ...more }, { prefer: 'respond-async' });
  const first = await send('[[hang]]');
  assert.equal(first.status, 202);
  assert.match(first.body.turn_id, /^turn_/);
  const rejected = await send('no', { on_busy: 'reject' });
  assert.equal(rejected.status, 409);
  assert.ok(rejected.headers.get('retry-after'));
  assert.equal(rejected.body.code, 'turn_running');
  for (let i = 1; i <= 8; i++) assert.equal((await send(`[[text:q${i}]]`)).body.queued, i);
  const full = await send('nine');
  assert.equal(full.status, 429);
  assert.ok(full.headers.get('retry-after'));
  assert.equal((await send('x', { on_busy: 'drop' })).status, 422);
  assert.equal((await call(karta, 'POST', `/v1/sessions/${id}/interrupt`)).status, 202);
  await watch.until((e) => e.type === 'text' && e.data.part.text === 'q8');
  assert.deepEqual(watch.events.filter((e) => e.type === 'text').map((e) => e.data.part.text), [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `q${i}`));
  assert.equal(doneOf(watch.events).stop_reason, 'interrupted');

  await send('[[hang]]');
  const jump = await send('[[text:jumped]]', { on_busy: 'interrupt' });
  assert.equal(jump.status, 202);
  await watch.until((e) => e.type === 'text' && e.data.part.text === 'jumped');
  watch.close();
});

test('approvals: once, session memory, deny, 404, 409 with the first answer', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  const send = (text) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text });
  const answer = (rq, decision, headers) => call(karta, 'PUT', `/v1/sessions/${id}/inputs/${rq}`, { decision }, headers);

  const paused = await send('[[ask:touch one]]');
  assert.equal(paused.status, 200);
  assert.equal(paused.body.stop_reason, 'requires_action');
  const pending = paused.body.pending_input;
  assert.deepEqual(pending.options, ['approve_once', 'approve_session', 'deny']);
  assert.deepEqual(pending.tool_input, { command: 'touch one' });
  assert.equal(pending.kind, 'tool_use');
  assert.ok(Date.parse(pending.expires_at) > Date.now());
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}`)).body.pending_input.request_id, pending.request_id);
  assert.equal((await answer('req_unknown', 'deny')).status, 404);
  assert.equal((await answer(pending.request_id, 'maybe')).status, 422);
  assert.equal((await answer(pending.request_id, 'answer')).status, 422);

  const done = await answer(pending.request_id, 'approve_once');
  assert.equal(done.status, 200);
  assert.equal(done.body.session.pending_input, null);
  assert.equal(done.body.events.at(-1).type, 'done');
  assert.match(textOf(done.body.events), /asked: once/);
  assert.deepEqual(pending.asked_by, { agent: 'default', sub_agent: false, sub_agent_name: null, session_id: id, project: null, message_from: { key: null, address: null } });
  assert.deepEqual(done.body.events.find((e) => e.data.state === 'input_resolved').data.decided_by, { key: null, address: null });
  const twice = await answer(pending.request_id, 'deny');
  assert.equal(twice.status, 409);
  assert.equal(twice.body.decision, 'approve_once');

  const denied = await send('[[ask:touch two]]');
  const after = await answer(denied.body.pending_input.request_id, 'deny');
  assert.match(textOf(after.body.events), /asked: reject/);

  const session = await send('[[ask:make build]]');
  const remembered = await answer(session.body.pending_input.request_id, 'approve_session');
  assert.match(textOf(remembered.body.events), /asked: once/, 'the harness only ever hears once');
  const same = await send('[[ask:make build]]');
  assert.equal(same.body.stop_reason, 'end_turn', 'not asked again');
  const other = await send('[[ask:make build; rm -rf x]]');
  assert.equal(other.body.stop_reason, 'requires_action', 'another command is another key');
  assert.equal((await answer(other.body.pending_input.request_id, 'deny', { prefer: 'respond-async' })).status, 202);
  await watch.until((e) => e.data.state === 'auto_approved');
  watch.close();
});

test('two approvals at once, and 100 racers for one answer', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[ask2:a1|b2]]' }, { prefer: 'respond-async' });
  await watch.until(() => watch.events.filter((e) => e.type === 'input_required').length === 2);
  const [a, b] = watch.events.filter((e) => e.type === 'input_required').map((e) => e.data);
  const racers = await Promise.all(Array.from({ length: 100 }, (_, i) => call(karta, 'PUT', `/v1/sessions/${id}/inputs/${a.request_id}`,
    { decision: i % 2 ? 'deny' : 'approve_once' }, { prefer: 'respond-async' })));
  const won = racers.filter((r) => r.status === 202);
  assert.equal(won.length, 1);
  const first = racers.find((r) => r.status === 409).body.decision;
  assert.ok(racers.filter((r) => r.status === 409).every((r) => r.body.decision === first));
  await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${b.request_id}`, { decision: 'deny' }, { prefer: 'respond-async' });
  await watch.until((e) => e.type === 'done');
  assert.match(textOf(watch.events), first === 'deny' ? /asked: reject, reject/ : /asked: once, reject/);
  watch.close();
});

test('approval expires to the stated default; policies answer by themselves', async (t) => {
  const jsonc = (o) => ({ 'karta.jsonc': JSON.stringify(o) });
  const quick = await setUp(t, {}, jsonc({ runtime: { approval_timeout_seconds: 1 } }));
  let events = await turn(quick, await newSession(quick), '[[ask:touch x]]');
  assert.match(textOf(events), /asked: reject/);
  assert.equal(events.find((e) => e.data.state === 'input_resolved').data.by, 'expired');

  for (const [policy, expected] of [['deny', /reject/], ['approve_once', /once/], ['approve_session', /once/]]) {
    const karta = await setUp(t, {}, jsonc({ cli: { input_required_policy: policy } }));
    events = await turn(karta, await newSession(karta), '[[ask:touch x]]');
    assert.equal(events.some((e) => e.type === 'input_required'), false, policy);
    assert.match(textOf(events), expected, policy);
    await karta.stop();
  }
  const strict = await setUp(t, {}, jsonc({ cli: { input_required_policy: 'error' } }));
  events = await turn(strict, await newSession(strict), '[[ask:touch x]] [[hang]]');
  assert.equal(errorOf(events).code, 'input_required');
});

test('an interrupt withdraws an open approval', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const paused = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[ask:touch x]]' });
  const watch = openStream(karta, `/v1/sessions/${id}/events?until=idle`);
  const r = await call(karta, 'POST', `/v1/sessions/${id}/interrupt`);
  assert.equal(r.body.interrupted, true);
  await watch.done;
  assert.equal(doneOf(watch.events).stop_reason, 'interrupted');
  const late = await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${paused.body.pending_input.request_id}`, { decision: 'approve_once' });
  assert.equal(late.status, 409);
  assert.equal((await call(karta, 'POST', `/v1/sessions/${id}/interrupt`)).body.interrupted, false);
});

test('Idempotency-Key on create and send', async (t) => {
  const karta = await setUp(t);
  const key = (k) => ({ 'idempotency-key': k });
  const make = await Promise.all(Array.from({ length: 20 }, () => call(karta, 'POST', '/v1/sessions', { metadata: { a: 1 } }, key('one'))));
  assert.equal(new Set(make.map((r) => r.body.id)).size, 1);
  assert.equal((await call(karta, 'GET', '/v1/sessions')).body.data.length, 1);
  assert.equal((await call(karta, 'POST', '/v1/sessions', { metadata: { a: 2 } }, key('one'))).status, 422);
  assert.equal((await call(karta, 'POST', '/v1/sessions', { metadata: { a: 1 } }, key('"one"'))).body.id, make[0].body.id);
  const id = make[0].body.id;
  const route = `/v1/sessions/${id}/messages`;
  const first = await call(karta, 'POST', route, { text: 'hi' }, key('m1'));
  const second = await call(karta, 'POST', route, { text: 'hi' }, key('m1'));
  assert.deepEqual(second.body, first.body);
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}`)).body.turns, 1);
  assert.equal((await call(karta, 'POST', route, { text: 'other' }, key('m1'))).status, 422);
  const held = gate(t);
  const slow = { text: `[[until:${held.file}]] [[text:slow]]` };
  await call(karta, 'POST', route, slow, { ...key('m2'), prefer: 'respond-async' });
  assert.equal((await call(karta, 'POST', route, slow, key('m2'))).status, 409);
  held.open();
  const replay = openStream(karta, route, { method: 'POST', body: { text: 'hi' }, headers: key('m1') });
  await replay.done;
  assert.equal(replay.events.at(-1).type, 'done');
  assert.equal(replay.events.filter((e) => e.type === 'done').length, 1);
  // The end of a long turn is not looked for: its stream, repeated, ends with the log.
  await eventually(async () => (await call(karta, 'GET', `/v1/sessions/${id}`)).body.turns === 2, 'the slow one is over');
  await call(karta, 'POST', route, { text: '[[flood:3]]' }, key('m3'));
  await call(karta, 'POST', route, { text: 'after it' });
  const long = openStream(karta, route, { method: 'POST', body: { text: '[[flood:3]]' }, headers: key('m3') });
  await long.done;
  assert.equal(long.events.filter((e) => e.type === 'done').length, 2);
  assert.equal((await call(karta, 'POST', route, { text: 'x' }, key('k'.repeat(256)))).status, 400);
});

test('a queued answer with an Idempotency-Key is one turn, whoever waits for it', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const route = `/v1/sessions/${id}/messages`;
  const key = { 'idempotency-key': 'queued' };
  const body = { text: '[[text:second]]' };
  const held = gate(t);
  await call(karta, 'POST', route, { text: `[[until:${held.file}]]` }, { prefer: 'respond-async' });
  // One of them waits for the turn, the others hear that it runs, and nothing is sent twice.
  const crowd = Array.from({ length: 4 }, () => call(karta, 'POST', route, body, key));
  const refused = [];
  crowd.forEach((c) => c.then((r) => { if (r.status !== 200) refused.push(r); }));
  await eventually(() => refused.length === 3, 'three are told');
  for (const r of refused) assert.deepEqual([r.status, r.body.code], [409, 'idempotent_request_running'], JSON.stringify(r.body));
  held.open();
  const answers = (await Promise.all(crowd)).filter((r) => r.status === 200);
  assert.equal(answers.length, 1);
  assert.equal(answers[0].body.text, 'second');
  const again = await call(karta, 'POST', route, body, key);
  assert.deepEqual(again.body, answers[0].body);
  const accepted = await call(karta, 'POST', route, body, { ...key, prefer: 'respond-async' });
  assert.equal(accepted.body.turn_id, answers[0].body.turn_id, JSON.stringify(accepted.body).slice(0, 300));
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}`)).body.turns, 2);
});

test('errors: problem details with the older members, right status', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const r = await call(karta, 'GET', '/v1/sessions/sess_none');
  assert.equal(r.status, 404);
  assert.match(r.headers.get('content-type'), /^application\/problem\+json/);
  for (const k of ['type', 'title', 'status', 'detail', 'code', 'error', 'reason', 'request_id']) assert.ok(k in r.body, k);
  assert.equal(r.body.request_id, r.headers.get('request-id'));
  const raw = (body, type = 'application/json') => fetch(`${karta.url}/v1/sessions`, { method: 'POST', body, headers: { 'content-type': type } });
  assert.equal((await raw('{')).status, 400);
  assert.equal((await raw('[]')).status, 400);
  assert.equal((await raw('{"a":1,"a":2}')).status, 400);
  assert.equal((await raw('{}', 'text/plain')).status, 415);
  assert.equal((await raw(`{"metadata":{"x":"${'y'.repeat(20000)}"}}`)).status, 422);
  assert.equal((await raw('x'.repeat(1024 * 1024 + 1))).status, 413);
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, i]));
  assert.equal((await call(karta, 'POST', '/v1/sessions', { metadata: many })).status, 422);
  delete many.k50;
  assert.equal((await call(karta, 'POST', '/v1/sessions', { metadata: many })).status, 201);
  for (const body of [{}, { text: '' }, { text: 5 }, { text: 'x', stream: 'yes' }, { text: 'x', agent: 'nobody' }, { text: 'x', participant_type: 'dog' }])
    assert.equal((await call(karta, 'POST', `/v1/sessions/${id}/messages`, body)).status, 422, JSON.stringify(body));
  const put = await call(karta, 'PUT', '/v1/sessions', {});
  assert.equal(put.status, 405);
  assert.match(put.headers.get('allow'), /GET.*POST/);
  assert.equal((await call(karta, 'GET', '/v1/nothing')).status, 404);
  const evil = await fetch(`${karta.url}/v1/sessions`, { headers: { origin: 'https://evil.example' } });
  assert.equal(evil.status, 403);
});

test('turn errors: code in the stream, status in the unary answer', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const events = await turn(karta, id, '[[text:partial ]] [[error:it broke]]');
  assert.ok(errorOf(events).code);
  assert.match(errorOf(events).message, /it broke/);
  assert.equal(doneOf(events).stop_reason, 'error');
  const unary = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[error:it broke]]' });
  assert.ok(unary.status >= 400);
  assert.equal(unary.body.code, errorOf(events).code);
  assert.equal((await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'fine' })).status, 200);
});

test('crash in mid-turn: error and done, the next message resumes', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  await turn(karta, id, 'first');
  const events = await turn(karta, id, '[[text:half]] [[sleep:100]] [[crash]]');
  assert.equal(errorOf(events).code, 'harness_crashed');
  assert.match(errorOf(events).message, /crashing as told|status 3/);
  const next = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'again' });
  assert.equal(next.body.text, 'You said: again (turn 3)');
});

test('a deaf harness is killed after an interrupt; its orphans too', async (t) => {
  const karta = await setUp(t, { args: ['--warm', '0'] });
  const id = await newSession(karta);
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[orphan:300]] [[deaf]]' }, { prefer: 'respond-async' });
  await watch.until((e) => e.type === 'text');
  await eventually(() => processesWith(`KARTA_SESSION_ID=${id}`).length >= 2, 'harness and orphan run');
  await call(karta, 'POST', `/v1/sessions/${id}/interrupt`);
  const error = await watch.until((e) => e.type === 'error');
  assert.equal(error.data.code, 'unresponsive');
  await eventually(() => processesWith(`KARTA_SESSION_ID=${id}`).length === 0, 'no process is left');
  watch.close();
});

test('kill -9 of the server leaves no process; a restart goes on where it was', async (t) => {
  const dir = tempDir(t, 'app');
  const data = tempDir(t, 'data');
  const state = tempDir(t, 'agent');
  fakeApp(dir);
  const options = { data, env: { FAKE_AGENT_STATE: state } };
  const one = await startKarta(t, dir, options);
  const id = await newSession(one);
  await turn(one, id, 'before');
  const watch = openStream(one, `/v1/sessions/${id}/events`);
  await call(one, 'POST', `/v1/sessions/${id}/messages`, { text: '[[orphan:300]] [[hang]]' }, { prefer: 'respond-async', 'idempotency-key': 'lost' });
  await watch.until((e) => e.type === 'text' && /orphan/.test(e.data.part.text));
  assert.ok(processesWith(state).length >= 2);
  const seen = watch.events.length;
  one.child.kill('SIGKILL');
  await eventually(() => processesWith(state).length === 0, 'all harness processes are gone');
  await watch.done;

  const two = await startKarta(t, dir, options);
  const rest = openStream(two, `/v1/sessions/${id}/events?until=idle&after=${seen}`);
  await rest.done;
  assert.equal(errorOf(rest.events).code, 'interrupted');
  assert.equal(rest.events.at(-1).type, 'done');
  const all = [...watch.events, ...rest.events];
  assert.deepEqual(all.map((e) => e.seq), all.map((_, i) => i + 1));
  const next = await call(two, 'POST', `/v1/sessions/${id}/messages`, { text: 'after' });
  assert.equal(next.body.text, 'You said: after (turn 3)', 'the conversation was resumed');
  const s = (await call(two, 'GET', `/v1/sessions/${id}`)).body;
  assert.equal(s.turns, 3);
});

test('idle harness is stopped and resumed; edits are picked up by the next session', async (t) => {
  const karta = await setUp(t, { args: ['--warm', '0'] }, { 'karta.jsonc': '{ "harness": { "claude": { "idle_timeout_seconds": 1 } } }' });
  const id = await newSession(karta);
  await turn(karta, id, 'one');
  await eventually(() => /idle, stopping its harness/.test(karta.err), 'it is idle');
  await eventually(() => processesWith(`KARTA_SESSION_ID=${id}`).length === 0, 'stopped when idle');
  assert.equal((await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'two' })).body.text, 'You said: two (turn 2)');
  writeFiles(karta.dir, { 'karta.toml': `name = "renamed"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n` });
  await eventually(async () => (await call(karta, 'GET', '/v1/dev')).body.project === 'renamed', 'the new name');
  assert.equal((await call(karta, 'POST', '/v1/projects/renamed/sessions', {})).status, 201);
});

const statusWithHost = (karta, host) => new Promise((resolve, reject) => {
  http.get(`${karta.url}/healthz`, { headers: { host } }, (r) => { r.resume(); resolve(r.statusCode); }).on('error', reject);
});

test('two sessions at once do not mix', async (t) => {
  const karta = await setUp(t);
  const ids = await Promise.all([newSession(karta), newSession(karta)]);
  const both = await Promise.all(ids.map((id, i) => turn(karta, id, Array.from({ length: 30 }, (_, k) => `[[text:s${i}n${k} ]] [[sleep:5]]`).join(' '))));
  both.forEach((events, i) => {
    assert.ok(events.every((e) => e.session_id === ids[i]));
    assert.equal(textOf(events), Array.from({ length: 30 }, (_, k) => `s${i}n${k} `).join(''));
  });
});

test('delete in mid-turn ends streams and kills the harness', async (t) => {
  const karta = await setUp(t, { args: ['--warm', '0'] });
  const id = await newSession(karta);
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  const unary = call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[text:x]] [[hang]]' });
  await watch.until((e) => e.type === 'text');
  assert.equal((await call(karta, 'DELETE', `/v1/sessions/${id}`)).status, 204);
  assert.equal((await unary).status, 404);
  await watch.done;
  await eventually(() => processesWith(`KARTA_SESSION_ID=${id}`).length === 0, 'harness gone');
  assert.equal((await call(karta, 'GET', '/v1/sessions')).body.data.length, 0);
});

test('SIGTERM drains: running turn ends, new ones get 503', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const s = openStream(karta, `/v1/sessions/${id}/messages`, { method: 'POST', body: { text: 'N=40 GAP=25', stream: true } });
  await s.until((e) => e.type === 'text');
  const exited = once(karta.child, 'exit');
  karta.child.kill('SIGTERM');
  await eventually(async () => (await call(karta, 'POST', '/v1/sessions', {}).catch((e) => ({ status: 503, refused: e }))).status === 503, 'new ones are refused');
  await s.done;
  assert.equal(s.events.at(-1).type, 'done');
  assert.deepEqual(await exited, [0, null]);
});

test('big chunk, health, agents, pages', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const events = await turn(karta, id, '[[big:300000]]');
  assert.equal(textOf(events).length, 300000);
  assert.equal((await call(karta, 'GET', '/healthz')).status, 200);
  assert.equal((await call(karta, 'GET', '/readyz')).status, 200);
  const agents = (await call(karta, 'GET', '/v1/agents')).body;
  assert.deepEqual(agents.data.map((a) => a.name), ['default']);
  const page = await fetch(karta.url + '/');
  assert.match(page.headers.get('content-security-policy'), /default-src 'none'/);
  assert.match(await page.text(), /<!doctype html>/i);
  assert.equal(await statusWithHost(karta, 'evil.example'), 421, 'no DNS rebinding');
  assert.equal(await statusWithHost(karta, 'fake.localhost'), 200);
});

test('a second server on the same folder state refuses', async (t) => {
  const karta = await setUp(t);
  await assert.rejects(startKarta(t, karta.dir, { data: karta.data }), /another karta server/);
});
