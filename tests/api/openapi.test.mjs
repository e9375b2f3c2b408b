// SPDX-License-Identifier: MIT
// The OpenAPI document: valid, the same routes as the table in C, true examples, and every answer and
// event of a scripted conversation with a local server fits it, with no member that it does not know (hosting.test.mjs
// does the same with a hosting one). Also: docs/api.md,
// docs/events.md and docs/errors.md name what the sources have.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client, HOSTING_ONLY, doc, documented, fits, read, require, resolve, sources } from './document.mjs';
import { ROOT, eventually, fakeApp, gate, parseFrames, startKarta, tempDir } from './lib.mjs';

const PREFIX = { S: '/v1/sessions', P: '/agent_projects/{project_ref}', V: '/agent_projects/{project_ref}/releases/{version}' };

/** The same of the table in lib/api/routes.c, with the project family, and the scope of each. */
function routesOfC() {
  const text = read('lib/api/routes.c').replace(/\s+/g, ' ');
  const rows = [...text.matchAll(/\{ \{ KT_(\w+), (?:([SPV])(?= |,))?\s*(?:"([^"]*)")?, route_\w+, "(\w+)" \}, (\w+), ([\w |]+)(?:, (LARGE|DOCUMENT))? \}/g)]
    .map(([, method, at, rest, id, scope, where, size]) => ({ method, path: (PREFIX[at] ?? '') + (rest ?? ''), id, scope, where, size }));
  assert.equal(rows.length, [...text.matchAll(/\{ \{ KT_/g)].length);
  const projects = rows.filter((r) => /EVERY|HOST_PROJECT/.test(r.where) && r.path.startsWith('/v1/'));
  assert.ok(projects.length > 8);
  return [...rows, ...projects.map((r) => ({ ...r, path: r.path.replace('/v1/', '/v1/projects/{project_ref}/'),
    id: r.id.replace(/^[a-z]+/, '$&Project') }))];
}
const SCOPES = { READ: 'read', WRITE: 'write', ADMIN: 'admin', PUSHER: 'read or write', ANY_KEY: 'any', OPEN: 'none' };
/** Operations that a local server has: those that need no key. */
const localOps = documented.filter((r) => !r.op.security || r.op.security.some((x) => Object.keys(x).length === 0)).map((r) => r.id)
  .filter((id) => !HOSTING_ONLY.has(id));

test('the document is valid OpenAPI 3.1', async () => {
  const { Validator } = await import(require.resolve('@seriousme/openapi-schema-validator'));
  const v = new Validator();
  const r = await v.validate(structuredClone(doc));
  assert.ok(r.valid, JSON.stringify(r.errors, null, 1));
  assert.equal(v.version, '3.1');
  assert.equal(new Set(documented.map((r2) => r2.id)).size, documented.length, 'operationIds are unique');
  const refs = [...JSON.stringify(doc).matchAll(/"\$ref":"([^"]+)"/g)].map((m) => m[1]);
  for (const r2 of refs) assert.ok(resolve({ $ref: r2 }), r2);
  for (const [kind, all] of Object.entries(doc.components).filter(([k]) => k !== 'securitySchemes'))
    for (const name of Object.keys(all)) assert.ok(refs.includes(`#/components/${kind}/${name}`), `${kind}/${name} is not used`);
});

test('it has the routes of lib/api/routes.c and no others', () => {
  const line = (r) => `${r.method} ${r.path} ${r.id} ${r.op ? r.op['x-karta-scope'] : SCOPES[r.scope]}`;
  assert.deepEqual(documented.map(line).sort(), routesOfC().map(line).sort());
  const limits = read('lib/base/limits.h');
  const bytes = (name) => Number(limits.match(new RegExp(`#define ${name} (\\d+) `))?.[1] ?? 1024 * 1024);
  const archive = limits.match(/#define KT_MAX_ARCHIVE_BYTES \((\d+) \* 1024 \* 1024\)/)[1] * 1024 * 1024;
  const SIZES = { LARGE: bytes('KT_MAX_HTTP_BODY_BYTES'), DOCUMENT: bytes('KT_MAX_HTTP_DOCUMENT_BYTES') };
  const most = new Map(routesOfC().map((r) => [r.id, SIZES[r.size] ?? bytes('KT_MAX_HTTP_SMALL_BODY_BYTES')]));
  for (const id of ['publishRelease', 'uploadRelease']) most.set(id, archive);
  for (const { path: p, id, op } of documented) {
    assert.equal(op['x-karta-max-body-bytes'], op.requestBody && most.get(id), id);
    const declared = (op.parameters ?? []).map(resolve).filter((x) => x.in === 'path').map((x) => x.name).sort();
    assert.deepEqual(declared, [...p.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort(), id);
  }
});

test('its examples fit its schemas', () => {
  for (const [name, s] of Object.entries(doc.components.schemas))
    for (const example of s.examples ?? []) fits(name, example, `example of ${name}`);
  for (const [name, r] of Object.entries(doc.components.responses)) {
    const text = r.content?.['text/event-stream']?.example;
    if (text) for (const { id, event, ...e } of parseFrames(text)) fits(e.session_id ? 'Event' : 'LogEvent', e, name);
  }
});

test('event types are those of lib/event/event.c; docs/events.md has a true example of each', () => {
  const types = [...read('lib/event/event.c').matchAll(/^\t\[KT_EV_\w+\] = "(\w+)"/gm)].map((m) => m[1]).sort();
  assert.equal(types.length, 14);
  const kinds = (name) => Object.keys(doc.components.schemas[name].discriminator.mapping);
  assert.deepEqual([...new Set([...kinds('Event'), ...kinds('LogEvent')])].sort(), types);
  const text = read('docs/events.md');
  const shown = new Set();
  for (const [, json] of text.matchAll(/```json\n(.*?)```/gs)) {
    const e = JSON.parse(json);
    fits(e.session_id ? 'Event' : 'LogEvent', e, 'docs/events.md');
    shown.add(e.type);
  }
  assert.deepEqual([...shown].sort(), types);
  for (const state of doc.components.schemas.EventStatus.allOf[1].properties.data.anyOf[0].properties.state.enum)
    assert.ok(text.includes(`\`${state}\``), `docs/events.md does not name the state ${state}`);
});

test('docs/api.md has every route', () => {
  const text = read('docs/api.md');
  for (const r of documented) {
    if (r.path.startsWith('/v1/projects/')) continue;
    assert.ok(text.includes(`${r.method} ${r.path}\``), `docs/api.md: ${r.method} ${r.path} is missing`);
  }
  assert.ok(text.includes('/v1/projects/{project_ref}/'));
});

/** Literals that the expressions find in text. */
const literals = (text, ...expressions) => expressions.flatMap((e) => [...text.matchAll(e)].flatMap((m) => m.slice(1).filter(Boolean)));

test('docs/errors.md has every code, with its status, and no others', () => {
  const api = sources('lib/api');
  const harness = sources('lib/harness');
  const all = harness + sources('lib/session');
  const turn = new Set(literals(all, /(?:error_code|stop_code) = "(\w+)"/g, /error_code = [^;"]*\? "(\w+)" : "(\w+)"/g,
    /emit_error\(s, &?t, "(\w+)"/g, /(?:end_with_error|set_why|kill_because)\(\w+, "(\w+)"/g,
    /end_with_error\(a, strcmp[^"]*"(\w+)"\) \? e->code : "(\w+)"/g, /turn_abort\(h, "error",[^?;"]*\? "(\w+)" : "(\w+)"/g,
    /kt_session_fail_turn\(\w+,[^;"]*"(\w+)"(?: : "(\w+)")?/g, /\.code = "(\w+)"/g, /\{ (?:NULL|"\w+"), \d+, \d+, (?:NULL|"[^"]*"), "(\w+)", (?:true|false) \}/g,
    /\{ "[^"]+", "(\w+)", (?:true|false) \}/g, /\{ \d{3}, "(\w+)", (?:true|false) \}/g, /out->code = "(\w+)"/g, /go_on\(s, rc, "(\w+)"/g, /\bfail\w*\(s, "(\w+)"/g));
  const problems = new Set(literals(api + sources('lib/http'), /kt_api_fail\(&?c, \w+, "(\w+)"/g, /\{ KT_E\w+, \d+, "(\w+)" \}/g,
    /kt_conn_refuse\(c, \d+, "(\w+)"/g, /status == \d+ \? "(\w+)"/g, /status == 431 \? "\w+" : "(\w+)"/g));
  for (const c of literals(sources('lib/http'), /\.code = "(\w+)"/g)) problems.add(c);
  const control = sources('lib/control');
  for (const c of literals(control + sources('lib/http'), /, [45]\d\d, "(\w+)"/g, /poll_answer\(op, "(\w+)"/g, /\.code = \w+ \? "(\w+)"\s*: \w+ +\? "(\w+)"\s*: "(\w+)"/g)) problems.add(c);
  assert.ok(turn.size > 15 && problems.size > 25, `${turn.size} and ${problems.size} codes`);

  const text = read('docs/errors.md');
  const rows = (title) => {
    const section = text.split(/^## /m).find((s) => s.startsWith(title));
    assert.ok(section, title);
    return [...section.matchAll(/^\| `(\w+)` \| ([\d, ]+) \|/gm)].map((m) => [m[1], m[2].trim()]);
  };
  const status = Object.fromEntries(literals(api, /\{ ("\w+", \d{3}) \}/g).map((x) => JSON.parse(`[${x}]`)));
  assert.deepEqual(rows('Turns').map(([c]) => c).sort(), [...turn].sort());
  for (const [c, s] of rows('Turns')) assert.equal(Number(s), status[c] ?? 502, `docs/errors.md: HTTP status of ${c}`);
  for (const c of Object.keys(status)) assert.ok(turn.has(c), `lib/api/sessions/reply.c has a status for ${c}, which no driver gives`);
  assert.deepEqual(rows('Problems').map(([c]) => c).sort(), [...problems].sort());
  const builds = new Set(literals(control, /problem\(b, "(\w+)"/g));
  const told = [...text.split(/^## /m).find((x) => x.startsWith('Builds')).matchAll(/^\| `(\w+)` \|/gm)].map((m) => m[1]);
  assert.ok(builds.size > 3);
  for (const c of builds) assert.ok(told.includes(c), `docs/errors.md, Builds: ${c} is missing`);
});

const S = '/sessions';
const ONE = `${S}/{session_id}`;
const SEND = `${ONE}/messages`;
const INPUT = `${ONE}/inputs/{request_id}`;
const EVENTS = `${ONE}/events`;
const ASYNC = { prefer: 'respond-async' };
const JSON_ONLY = { accept: 'application/json' };

/** Everything that both families have. prefix with its own leading values. */
async function conversation(c, prefix, own) {
  const go = (method, route, values = [], options = {}) => c.call(method, prefix + route, [...own, ...values], options);
  const ok = async (status, ...args) => {
    const r = await go(...args);
    assert.equal(r.status, status, `${args[0]} ${args[1]} ${JSON.stringify(args[3] ?? '')}: ${r.text.slice(0, 500)}`);
    return r;
  };
  const key = { 'idempotency-key': `k${own.length}` };
  const made = await ok(201, 'POST', S, [], { body: { metadata: { n: 1, deep: { a: [true, null] } } }, headers: key });
  const id = made.body.id;
  assert.equal('project' in made.body, own.length > 0);
  await ok(422, 'POST', S, [], { body: { metadata: {} }, headers: key });
  await ok(201, 'POST', S, [], { body: { session_id: id } });
  await ok(404, 'POST', S, [], { body: { session_id: 'sess_none' } });
  await ok(400, 'POST', S, [], { raw: '{' });
  await ok(400, 'POST', S, [], { body: {}, headers: { 'idempotency-key': 'k'.repeat(256) } });
  await ok(415, 'POST', S, [], { raw: 'hi', headers: { 'content-type': 'text/plain' } });
  await ok(422, 'POST', S, [], { body: { metadata: 5 } });
  await ok(413, 'POST', S, [], { raw: 'x'.repeat(1024 * 1024 + 1) });
  await ok(200, 'GET', S, [], { query: '?limit=1' });
  await ok(400, 'GET', S, [], { query: '?limit=0' });
  await ok(400, 'GET', S, [], { query: '?after=sess_none' });
  await ok(403, 'GET', S, [], { headers: { origin: 'https://evil.example' } });
  await ok(421, 'GET', S, [], { headers: { host: 'evil.example' } });
  await ok(200, 'GET', ONE, [id]);
  await ok(404, 'GET', ONE, ['sess_none']);
  assert.deepEqual((await ok(200, 'GET', '/agents')).body.data.map((a) => a.name), ['default']);

  // Turns: unary, streamed, with reasoning, failed, not waited for.
  const first = await ok(200, 'POST', SEND, [id], { body: { text: 'hello', participant_name: 'Ann', participant_type: 'human' }, headers: key });
  assert.deepEqual((await ok(200, 'POST', SEND, [id], { body: { text: 'hello', participant_name: 'Ann', participant_type: 'human' }, headers: key })).body, first.body);
  const loud = await ok(200, 'POST', SEND, [id], { body: { text: '[[think:hm]] [[text:yes]]', thinking: true, stream: true } });
  for (const type of ['status', 'reasoning', 'text', 'done']) assert.ok(loud.events.some((e) => e.type === type), type);
  assert.equal(loud.events.at(-1).turn_id, loud.headers['karta-turn-id']);
  await ok(422, 'POST', SEND, [id], { body: { text: '' } });
  await ok(404, 'POST', SEND, ['sess_none'], { body: { text: 'x' } });
  await ok(403, 'POST', SEND, [id], { body: { text: 'x' }, headers: { origin: 'null' } });
  const failed = await ok(502, 'POST', SEND, [id], { body: { text: '[[error:it broke]]' } });
  assert.match(failed.body.turn_id, /^turn_/);
  await ok(429, 'POST', SEND, [id], { body: { text: '[[error:HTTP 429 rate limit]]' } });
  await ok(502, 'POST', SEND, [id], { body: { text: '[[crash]]' } });

  // Inputs.
  const asked = await ok(200, 'POST', SEND, [id], { body: { text: '[[ask:touch one]]' } });
  const pending = asked.body.pending_input.request_id;
  assert.equal((await ok(200, 'GET', ONE, [id])).body.turn.state, 'waiting');
  assert.deepEqual((await ok(200, 'GET', INPUT, [id, pending])).body, asked.body.pending_input);
  await ok(404, 'GET', INPUT, [id, 'req_none']);
  await ok(404, 'PUT', INPUT, [id, 'req_none'], { body: { decision: 'deny' } });
  await ok(422, 'PUT', INPUT, [id, pending], { body: { decision: 'maybe' } });
  await ok(400, 'PUT', INPUT, [id, pending], { raw: '[' });
  await ok(200, 'PUT', INPUT, [id, pending], { body: { decision: 'approve_session' } });
  assert.equal((await ok(409, 'PUT', INPUT, [id, pending], { body: { decision: 'deny' } })).body.decision, 'approve_session');
  await ok(200, 'POST', SEND, [id], { body: { text: '[[ask:touch one]]' } });
  const APPROVALS = `${ONE}/approvals`;
  const approved = (await ok(200, 'GET', APPROVALS, [id])).body.data;
  assert.equal(approved.length, 1);
  assert.equal((await ok(200, 'DELETE', `${APPROVALS}/{approval_id}`, [id, approved[0].id])).body.revoked, 1);
  await ok(404, 'DELETE', `${APPROVALS}/{approval_id}`, [id, approved[0].id]);
  assert.equal((await ok(200, 'DELETE', APPROVALS, [id])).body.revoked, 0);
  const again = await ok(200, 'POST', SEND, [id], { body: { text: '[[ask:make two]]' } });
  await ok(202, 'PUT', INPUT, [id, again.body.pending_input.request_id], { body: { decision: 'deny' }, headers: ASYNC });
  // Nobody waited for that turn: its end must be there before the next message, or the interrupt below hits it.
  await go('GET', EVENTS, [id], { query: '?until=idle&after=1' });

  // A busy session: queue, refusals, interrupts.
  await ok(202, 'POST', SEND, [id], { body: { text: '[[hang]]' }, headers: ASYNC });
  await ok(409, 'POST', SEND, [id], { body: { text: 'no', on_busy: 'reject' } });
  for (let i = 0; i < 12; i++) if ((await go('POST', SEND, [id], { body: { text: `q${i}` }, headers: ASYNC })).status === 429) break;
  await ok(429, 'POST', SEND, [id], { body: { text: 'full' }, headers: ASYNC });
  assert.equal((await ok(202, 'POST', `${ONE}/interrupt`, [id])).body.interrupted, true);
  const live = await ok(200, 'GET', EVENTS, [id], { query: '?until=idle' });
  assert.equal((await ok(202, 'POST', `${ONE}/interrupt`, [id])).body.interrupted, false);
  await ok(404, 'POST', `${ONE}/interrupt`, ['sess_none']);

  // The log: whole, paged, at its end.
  const all = [];
  for (let after = 0; ;) {
    const page = (await ok(200, 'GET', EVENTS, [id], { query: `?after=${after}&limit=50`, headers: JSON_ONLY })).body;
    all.push(...page.data);
    after = page.last_seq;
    if (!page.has_more) break;
  }
  assert.deepEqual(all.map((e) => e.seq), all.map((_, i) => i + 1));
  assert.deepEqual(live.events.map(({ id: _, event, ...e }) => e), all, 'the stream and the pages are the same');
  const states = new Set(all.filter((e) => e.type === 'status').map((e) => e.data.state));
  for (const s of ['queued', 'turn_started', 'interrupting', 'input_resolved', 'auto_approved']) assert.ok(states.has(s), s);
  await ok(204, 'GET', EVENTS, [id], { query: `?until=idle&after=${all.length}` });
  await ok(200, 'GET', EVENTS, [id], { query: '?until=idle', headers: { 'last-event-id': String(all.length - 1) } });
  await ok(400, 'GET', EVENTS, [id], { query: '?after=x' });
  await ok(404, 'GET', EVENTS, ['sess_none']);
  assert.equal((await ok(200, 'PATCH', ONE, [id], { body: { title: 'named' } })).body.title, 'named');
  await ok(422, 'PATCH', ONE, [id], { body: { title: '' } });
  await ok(404, 'PATCH', ONE, ['sess_none'], { body: { title: 'x' } });
  await ok(204, 'DELETE', ONE, [id]);
  await ok(404, 'DELETE', ONE, [id]);
}

test('every answer and event of a conversation fits the document', async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const karta = await startKarta(t, dir, { env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } });
  const c = new Client(karta);
  await conversation(c, '/v1', []);
  await conversation(c, '/v1/projects/{project_ref}', ['fake']);
  assert.equal((await c.call('GET', '/v1/projects/{project_ref}/sessions', ['other'])).body.code, 'project_not_found');
  await c.call('GET', '/v1/dev');
  assert.deepEqual((await c.call('GET', '/openapi.json')).body, { ...doc, servers: [{ ...doc.servers[0], url: karta.url }] });
  await c.call('GET', '/healthz');
  await c.call('GET', '/readyz');
  assert.equal((await c.call('PATCH', '/v1/sessions')).body.code, 'method_not_allowed');
  assert.equal((await c.call('GET', '/v1/nothing')).body.code, 'not_found');
  assert.deepEqual(localOps.filter((id) => !c.seen.has(id)), [], 'operations without a test');
  // What only a hosting server has is not here.
  for (const r of documented.filter((x) => !localOps.includes(x.id) && x.id !== 'getProjectDev'))
    assert.equal((await c.call(r.method, '/nowhere', [], { as: r.path.replace(/\{\w+\}/g, 'fake'), body: r.op.requestBody ? {} : undefined })).body.code,
      r.path.startsWith('/v1/projects/') ? 'method_not_allowed' : 'not_found', r.id);

  // Draining: a turn holds it up.
  const held = gate(t);
  const made = await c.call('POST', '/v1/sessions', [], { body: {} });
  await c.call('POST', '/v1/sessions/{session_id}/messages', [made.body.id], { body: { text: `[[until:${held.file}]] [[text:end]]` }, headers: ASYNC });
  karta.child.kill('SIGTERM');
  await eventually(async () => (await c.call('GET', '/readyz')).status === 503, 'it drains');
  assert.equal((await c.call('GET', '/readyz')).status, 503);
  assert.equal((await c.call('POST', '/v1/sessions', [], { body: {} })).status, 503);
  held.open();
  assert.equal(await karta.stop(), 0);
});

test('rehearsals and gaps fit the document too', async (t) => {
  const dir = tempDir(t, 'bot');
  cpSync(path.join(ROOT, 'docs/examples/support-bot'), dir, { recursive: true });
  const c = new Client(await startKarta(t, dir, { args: ['--offline', '--speed', '0'] }));
  const id = (await c.call('POST', '/v1/sessions')).body.id;
  const types = new Set();
  for (const file of readdirSync(path.join(dir, 'rehearsals'))) {
    const head = JSON.parse(readFileSync(path.join(dir, 'rehearsals', file), 'utf8').split('\n')[0]);
    const text = head.match.text === '*' ? 'Anything else' : head.match.text;
    const r = await c.call('POST', `/v1${SEND}`, [id], { body: { text, thinking: true } });
    assert.equal(r.status, 200, r.text);
    if (r.body.pending_input)
      assert.equal((await c.call('PUT', `/v1${INPUT}`, [id, r.body.pending_input.request_id], { body: { decision: 'approve_once' } })).status, 200);
  }
  for (const e of (await c.call('GET', `/v1${EVENTS}`, [id], { query: '?until=idle' })).events) types.add(e.type);
  for (const type of ['tool_use', 'tool_result', 'step_start', 'step_finish', 'input_required', 'reasoning']) assert.ok(types.has(type), type);

  const small = tempDir(t, 'gap');
  fakeApp(small, { 'karta.jsonc': '{ "runtime": { "event_retention_hours": 0 } }' });
  const g = new Client(await startKarta(t, small));
  const sid = (await g.call('POST', '/v1/sessions')).body.id;
  for (let i = 0; i < 3; i++)
    await g.call('POST', `/v1${SEND}`, [sid], { body: { text: '[[big:900000]] [[big:900000]]' }, headers: ASYNC });
  const end = await g.call('POST', `/v1${SEND}`, [sid], { body: { text: '[[text:last]]' } });
  assert.equal(end.status, 200);
  const kept = (await g.call('GET', `/v1${EVENTS}`, [sid], { query: '?until=idle' })).events;
  assert.deepEqual([kept[0].type, kept[0].data.first, kept[0].data.last + 1], ['gap', 1, kept[1].seq]);
});
