// SPDX-License-Identifier: MIT
// A hosting server over HTTP: every operation of the document is called and every answer fits it; the four ways to
// a project reach the same sessions; publishing in all its forms; logs; logins; names, prefixes and proxies.
import { createHash } from 'node:crypto';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client, documented } from './document.mjs';
import { KARTA, ROOT, eventually, openStream, tempDir, within, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

const P = '/agent_projects/{project_ref}';
const JSON_TYPE = { 'content-type': 'application/json' };
const SSE = { accept: 'text/event-stream' };
const ASYNC = { prefer: 'respond-async' };
const bearer = (key) => ({ authorization: `Bearer ${key}` });

async function ok(status, c, ...args) {
  const r = await c.call(...args);
  assert.equal(r.status, status, `${args[0]} ${args[1]}: ${r.text.slice(0, 800)}`);
  return r;
}

test('every operation answers as the document says', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);

  // Who am I, keys.
  assert.equal((await ok(200, c, 'GET', '/v1/whoami')).body.org.slug, 'default');
  const made = await ok(201, c, 'POST', '/v1/keys', [], { body: { name: 'ci', scopes: ['read', 'write'] } });
  assert.match(made.body.key, /^kt_live_/);
  assert.equal(made.headers['cache-control'], 'no-store');
  await ok(422, c, 'POST', '/v1/keys', [], { body: { name: 'ci', scopes: ['root'] } });
  await ok(400, c, 'POST', '/v1/keys', [], { raw: '{' });
  await ok(415, c, 'POST', '/v1/keys', [], { raw: 'x', headers: { 'content-type': 'text/plain' } });
  const list = (await ok(200, c, 'GET', '/v1/keys')).body.data;
  assert.ok(list.some((k) => k.id === made.body.id) && !JSON.stringify(list).includes(made.body.key));
  await ok(204, c, 'DELETE', '/v1/keys/{key_id}', [made.body.id]);
  await ok(404, c, 'DELETE', '/v1/keys/{key_id}', ['key_none']);
  assert.equal((await ok(401, new Client(karta, made.body.key), 'GET', '/v1/whoami')).body.code, 'unauthorized');

  // Projects.
  assert.deepEqual((await ok(200, c, 'GET', '/agent_projects')).body.data, []);
  const project = (await ok(201, c, 'POST', '/agent_projects', [], { body: { slug: 'empty' }, headers: { 'idempotency-key': 'e1' } })).body;
  assert.equal((await ok(201, c, 'POST', '/agent_projects', [], { body: { slug: 'empty' }, headers: { 'idempotency-key': 'e1' } })).body.id, project.id);
  await ok(409, c, 'POST', '/agent_projects', [], { body: { slug: 'empty' } });
  await ok(422, c, 'POST', '/agent_projects', [], { body: { slug: 'No Good' } });
  await ok(422, c, 'POST', '/agent_projects', [], { body: {} });
  // A misspelt member is not as if it were absent: nothing is rolled back, pinned or made.
  for (const [method, path, body] of [
    ['POST', '/agent_projects', { slug: 'typo', dirr: '/' }], ['PATCH', P, { production_reff: 'refs/heads/x' }],
    ['POST', `${P}/activate`, { version: 'v1', to: 'v1' }], ['POST', `${P}/rollback`, { to: 'v1' }], ['PUT', `${P}/pin`, { why: 'x' }],
  ])
    assert.match((await ok(422, c, method, path, ['empty'], { body })).body.detail, /^there is no member '(dirr|production_reff|to|why)'$/);
  await ok(404, c, 'GET', P, ['typo']);
  assert.equal((await ok(200, c, 'GET', P, ['empty'])).headers.etag, '"none"');
  assert.equal((await ok(200, c, 'GET', P, [project.id])).body.slug, 'empty');
  assert.equal((await ok(200, c, 'PATCH', P, ['empty'], { body: { slug: 'bare' } })).body.slug, 'bare');
  await ok(404, c, 'GET', P, ['empty']);
  assert.equal((await ok(409, c, 'POST', '/v1/projects/{project_ref}/sessions', ['bare'], { body: {} })).body.code, 'no_release');
  assert.deepEqual((await ok(200, c, 'GET', '/v1/projects/{project_ref}/sessions', ['bare'])).body.data, []);
  await ok(204, c, 'DELETE', P, ['bare']);
  await ok(404, c, 'DELETE', P, ['bare']);

  // Releases.
  const v1 = (await publish(c, 'fake', archive(t, { 'note.txt': 'one' }), '?commit_sha=' + '1'.repeat(40) + '&ref=main&message=One')).body;
  assert.deepEqual([v1.version, v1.state, v1.activated, v1.pinned, v1.message], ['v1', 'active', true, false, 'One']);
  const posted = await c.call('POST', `${P}/releases`, ['fake'], { raw: archive(t, { 'note.txt': 'two' }), query: '?message=Two',
    headers: { 'content-type': 'application/gzip', ...SSE } });
  assert.deepEqual([posted.status, posted.events.at(-1).type, posted.events.at(-1).data.activated], [200, 'release', true], posted.text);
  const v2 = posted.events.at(-1).data.release;
  assert.equal(posted.headers['karta-release'], v2.id);
  assert.ok(posted.events.some((e) => e.type === 'log' && /^-----> /.test(e.data.text)));
  assert.deepEqual((await ok(200, c, 'GET', `${P}/releases`, ['fake'])).body.data.map((r) => r.version), ['v2', 'v1']);
  const page = (await ok(200, c, 'GET', `${P}/releases`, ['fake'], { query: '?limit=1' })).body;
  assert.deepEqual([page.data.length, page.has_more], [1, true]);
  assert.deepEqual((await ok(200, c, 'GET', `${P}/releases`, ['fake'], { query: '?before=v2' })).body.data.map((r) => r.version), ['v1']);
  await ok(400, c, 'GET', `${P}/releases`, ['fake'], { query: '?limit=0' });
  for (const v of ['v1', v1.id]) assert.equal((await ok(200, c, 'GET', `${P}/releases/{version}`, ['fake', v])).body.id, v1.id);
  assert.equal((await ok(200, c, 'GET', `${P}/releases/{version}`, ['fake', 'current'])).body.id, v2.id);
  await ok(404, c, 'GET', `${P}/releases/{version}`, ['fake', 'v99']);
  assert.match((await ok(200, c, 'GET', `${P}/releases/{version}/manifest`, ['fake', 'v1'])).text, /^100644 3 [0-9a-f]{64} note.txt$/m);
  const tar = await ok(200, c, 'GET', `${P}/releases/{version}/archive`, ['fake', 'v1']);
  const out = tempDir(t, 'out');
  execFileSync('tar', ['xzf', '-', '-C', out], { input: tar.bytes });
  assert.equal(readFileSync(path.join(out, 'note.txt'), 'utf8'), 'one');
  await ok(400, c, 'GET', `${P}/releases/{version}/archive`, ['fake', 'v1'], { query: '?format=zip' });
  const log = (await ok(200, c, 'GET', `${P}/releases/{version}/log`, ['fake', 'v2'])).body;
  assert.deepEqual([log.has_more, log.data.at(-1).type], [false, 'release']);
  const streamed = await ok(200, c, 'GET', `${P}/releases/{version}/log`, ['fake', 'v2'], { headers: { ...SSE, 'last-event-id': '1' } });
  assert.deepEqual(streamed.events.map((e) => e.seq), log.data.slice(1).map((e) => e.seq));
  await ok(204, c, 'GET', `${P}/releases/{version}/log`, ['fake', 'v2'], { query: `?stream=1&after=${log.last_seq}` });
  await ok(404, c, 'GET', `${P}/releases/{version}/log`, ['fake', 'v9']);
  await ok(404, c, 'GET', `${P}/releases/{version}/log`, ['none', 'v1']);
  assert.equal((await ok(412, c, 'POST', `${P}/activate`, ['fake'], { body: { version: 'v1' }, headers: { 'if-match': `"${v1.id}"` } })).body.code, 'precondition_failed');
  assert.equal((await ok(200, c, 'POST', `${P}/activate`, ['fake'], { body: { version: 'v1' }, headers: { 'if-match': `"${v2.id}"` } })).body.active, true);
  await ok(422, c, 'POST', `${P}/activate`, ['fake'], { body: {} });
  await ok(200, c, 'POST', `${P}/releases/{version}/activate`, ['fake', 'v2']);
  const back = (await ok(200, c, 'POST', `${P}/rollback`, ['fake'], { body: { reason: 'worse' } })).body;
  assert.deepEqual([back.version, back.rolled_back_from, back.pinned], ['v1', 'v2', true]);
  const refused = await publish(c, 'fake', archive(t, { 'note.txt': 'three' }));
  assert.deepEqual([refused.status, refused.body.code, refused.body.pin_reason, refused.body.pinned_by, refused.body.version], [409, 'pinned', 'worse', 'admin', 'v1'], refused.text);
  const held = await publish(c, 'fake', archive(t, { 'note.txt': 'three' }), '?activate=false');
  assert.deepEqual([held.status, held.body.activated, held.body.pinned, held.body.state], [201, false, true, 'ready'], held.text);
  assert.equal((await ok(409, c, 'POST', `${P}/releases/{version}/activate`, ['fake', 'v3'])).body.code, 'pinned');
  assert.equal((await ok(200, c, 'DELETE', `${P}/pin`, ['fake'])).body.pinned, false);
  const pinned = (await ok(200, c, 'PUT', `${P}/pin`, ['fake'], { body: { reason: 'the fair' } })).body;
  assert.deepEqual([pinned.pinned, pinned.pin_reason, pinned.pinned_by, pinned.current.version], [true, 'the fair', 'admin', 'v1']);
  assert.ok(Date.parse(pinned.pinned_at) > 0, pinned.pinned_at);
  await ok(404, c, 'PUT', `${P}/pin`, ['none']);
  await ok(200, c, 'DELETE', `${P}/pin`, ['fake']);

  // Refs, deploys, configuration.
  const refs = (await ok(200, c, 'GET', `${P}/refs`, ['fake'])).body;
  assert.deepEqual([refs.refs, refs.live.version], [{ 'refs/heads/main': '1'.repeat(40) }, 'v1']);
  const preview = (await publish(c, 'fake', archive(t), '?ref=refs/heads/try-it&commit_sha=' + '2'.repeat(40))).body;
  assert.deepEqual([preview.state, preview.preview, preview.activated], ['preview', 'fake-try-it', false]);
  assert.equal((await ok(200, c, 'GET', P, ['fake'])).body.previews[0].label, 'fake-try-it');
  await ok(201, c, 'POST', '/v1/projects/{project_ref}/sessions', ['fake-try-it'], { body: {} });
  await ok(204, c, 'DELETE', `${P}/refs`, ['fake'], { query: '?name=refs/heads/try-it' });
  await ok(400, c, 'DELETE', `${P}/refs`, ['fake']);
  const deploy = (await ok(202, c, 'POST', `${P}/deploys`, ['fake'], { body: { commit_sha: '1'.repeat(40) } })).body.deploy;
  assert.deepEqual([deploy.url, deploy.log], [`http://fake.localhost:${karta.port}`, `/agent_projects/fake/deploys/${deploy.id}/log`]);
  await ok(200, c, 'GET', `${P}/deploys/{version}/log`, ['fake', deploy.id], { headers: SSE });
  assert.equal((await ok(200, c, 'GET', `${P}/deploys/{version}`, ['fake', deploy.id])).body.state, 'active');
  await ok(404, c, 'POST', `${P}/deploys`, ['fake'], { body: { commit_sha: '9'.repeat(40) } });
  await ok(422, c, 'POST', `${P}/deploys`, ['fake'], { body: {} });
  const changed = (await ok(200, c, 'PATCH', `${P}/config`, ['fake'], { body: { set: { COLOR: 'blue' } } })).body;
  assert.deepEqual([changed.version, changed.release.source], [1, 'config']);
  assert.deepEqual((await ok(200, c, 'GET', `${P}/config`, ['fake'])).body, { version: 1, vars: { COLOR: 'blue' } });
  await ok(422, c, 'PATCH', `${P}/config`, ['fake'], { body: { set: { 'no good': '' } } });

  // A build as lines, of a publish that is repeated: it has the log of the first.
  const again = { 'content-type': 'application/gzip', 'idempotency-key': 'lines-1' };
  const one = archive(t, { 'note.txt': 'lines' });
  const first = await c.call('POST', `${P}/releases`, ['told'], { raw: one, query: '?activate=false', headers: { ...again, ...SSE } });
  const lines = await c.call('POST', `${P}/releases`, ['told'], { raw: one, query: '?activate=false',
    headers: { ...again, accept: 'text/plain, text/event-stream' } });
  const told = lines.text.split('\n');
  const built = first.events.at(-1).data;
  assert.deepEqual([lines.status, lines.headers['content-type'], told.pop()], [200, 'text/plain; charset=utf-8', ''], lines.text);
  assert.equal(told.shift(), `${built.release.version} ${built.release.id}`);
  assert.deepEqual(JSON.parse(told.pop()), { state: 'ready', url: built.release.url, took_ms: built.took_ms });
  assert.deepEqual(told, first.events.slice(0, -1).flatMap((e) => {
    const of = e.data.text.split('\n');
    return [...of.slice(0, -1).map((x) => `\t${x}`), `${e.data.level} ${of.at(-1)}`];
  }));
  // Who takes text among others gets JSON.
  const any = await c.call('POST', `${P}/releases`, ['told'], { raw: one, query: '?activate=false',
    headers: { ...again, accept: 'application/json, text/plain, */*' } });
  assert.deepEqual([any.status, any.body.id], [201, built.release.id], any.text);
  const broken = await c.call('POST', `${P}/releases`, ['told'], { raw: archive(t, { 'karta.toml': 'name = ' }),
    headers: { 'content-type': 'application/gzip', accept: 'text/plain' } });
  const why = JSON.parse(broken.text.trim().split('\n').at(-1));
  assert.deepEqual([broken.status, why.state, typeof why.error.message], [200, 'failed', 'string'], broken.text);

  // Files told by what is new in them.
  const sha = (x) => createHash('sha256').update(x).digest('hex');
  const base = (await ok(200, c, 'GET', `${P}/releases/{version}/manifest`, ['told', 'v1'])).text;
  const old = sha('lines'), fresh = sha('lions');
  assert.ok(base.includes(`100644 5 ${old} note.txt`), base);
  const next = base.replace(`100644 5 ${old}`, `100644 5 ${fresh}`);
  const patched = (files) => c.call('POST', `${P}/releases`, ['told'], { body: { base: sha(base), digest: sha(next),
    delta: `+100644 5 ${fresh} note.txt\n`, activate: false, files } });
  const patch = { from: old, head: 2, tail: 1, text: 'on' };
  for (const [bad, says] of [[{ ...patch, from: 'x' }, /each has/], [{ ...patch, text: 1 }, /each has/], [{ ...patch, text: 'no' }, /other content/],
    [{ ...patch, head: 5 }, /more than there is/], [{ ...patch, tail: -1 }, /more than there is/], [{ ...patch, head: 2 ** 50 }, /more than there is/]]) {
    const r = await patched({ [fresh]: bad });
    assert.deepEqual([r.status, r.body.code], [422, 'validation_failed'], r.text);
    assert.match(r.body.detail, says);
  }
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [sha(`${i}`), { ...patch, from: sha('none') }]));
  assert.match((await patched(many)).body.detail, /more than 64/);
  for (const files of [undefined, {}, { [fresh]: { ...patch, from: sha('none') } }])
    assert.deepEqual((await patched(files)).body.missing, [fresh]);
  const done = await patched({ [fresh]: patch });
  assert.deepEqual([done.status, done.body.digest, done.body.state], [201, sha(next), 'ready'], done.text);

  // Logs, audit, harnesses, webhooks.
  assert.ok((await ok(200, c, 'GET', `${P}/logs`, ['fake'])).lines.length > 5);
  assert.ok((await ok(200, c, 'GET', `${P}/logs`, ['fake'], { query: '?follow=0&lines=2', headers: SSE })).events.length === 2);
  await ok(404, c, 'GET', `${P}/logs`, ['none']);
  for (const bad of ['level=loud', 'source=sky', 'since=yesterday', 'lines=-1', 'follow=2', 'after=x'])
    assert.equal((await ok(400, c, 'GET', `${P}/logs`, ['fake'], { query: `?${bad}` })).body.code, 'bad_query', bad);
  // What a number may be is said.
  for (const [path, bad, says] of [
    [`${P}/logs`, 'lines=-1', /'lines' takes a whole number from 0 to \d+$/],
    [`${P}/logs`, 'follow=2', /'follow' takes a whole number from 0 to 1$/],
    [`${P}/releases`, 'limit=0', /'limit' takes a whole number from 1 to \d+$/],
    [`${P}/releases`, `limit=${'1'.repeat(40)}`, /'limit' takes a whole number from 1 to \d+$/],
    ['/v1/audit', 'before=x', /'before' takes a whole number, 1 or more$/],
    ['/v1/audit', 'limit=501', /'limit' takes a whole number from 1 to 500$/],
    [`${P}/logs`, `level=${'x'.repeat(400)}`, /'level' takes at most \d+ bytes/],
  ])
    assert.match((await ok(400, c, 'GET', path, ['fake'], { query: `?${bad}` })).body.detail, says);
  const audit = (await ok(200, c, 'GET', '/v1/audit', [], { query: '?limit=3' })).body;
  assert.deepEqual([audit.data.length, audit.has_more], [3, true]);
  assert.equal((await ok(200, c, 'GET', '/v1/audit', [], { query: `?limit=1&before=${audit.data[2].seq}` })).body.data[0].seq, audit.data[2].seq - 1);
  assert.equal((await ok(200, c, 'GET', '/v1/audit/verify')).body.ok, true);
  assert.ok(Array.isArray((await ok(200, c, 'GET', '/harnesses.json')).body.harnesses));
  await ok(401, c, 'POST', '/webhooks/github', [], { body: { zen: 'x' }, headers: { 'x-github-event': 'ping' } });
  await ok(401, c, 'POST', '/webhooks/github/{project_id}', ['proj_x'], { body: { zen: 'x' }, headers: { 'x-github-event': 'ping' } });

  // Logins.
  const codes = (await ok(200, c, 'POST', '/v1/device/code', [], { body: { client_name: 'a laptop', scopes: ['read'] } })).body;
  assert.equal(codes.verification_uri_complete, `http://127.0.0.1:${karta.port}/device?code=${codes.user_code}`);
  assert.equal((await ok(400, c, 'POST', '/v1/device/token', [], { body: { device_code: codes.device_code } })).body.code, 'authorization_pending');
  assert.equal((await ok(400, c, 'POST', '/v1/device/token', [], { body: { device_code: codes.device_code } })).body.code, 'slow_down');
  assert.equal((await ok(200, c, 'GET', '/v1/device/{user_code}', [codes.user_code])).body.client_name, 'a laptop');
  await ok(422, c, 'POST', '/v1/device/{user_code}', [codes.user_code], { body: {} });
  assert.ok([200, 204].includes((await c.call('POST', '/v1/device/{user_code}', [codes.user_code], { body: { approve: true } })).status));
  const login = await eventually(async () => {
    const r = await c.call('POST', '/v1/device/token', [], { body: { device_code: codes.device_code } });
    return r.status === 200 && r.body;
  }, 'the key of the login');
  assert.deepEqual(login.scopes, ['read']);
  assert.deepEqual((await ok(200, new Client(karta, login.key), 'GET', '/v1/whoami')).body.key.scopes, ['read']);
  assert.equal((await ok(400, c, 'POST', '/v1/device/token', [], { body: { device_code: 'x' } })).body.code, 'expired_token');
  await ok(404, c, 'GET', '/v1/device/{user_code}', ['XXXX-XXXX']);

  // Sessions, by both families of the document.
  for (const [prefix, own, body] of [['/v1', [], { project: 'fake' }], ['/v1/projects/{project_ref}', ['fake'], {}]]) {
    const s = (await ok(201, c, 'POST', `${prefix}/sessions`, own, { body, headers: { 'idempotency-key': 's1' + own.length } })).body;
    assert.equal((await ok(201, c, 'POST', `${prefix}/sessions`, own, { body, headers: { 'idempotency-key': 's1' + own.length } })).body.id, s.id);
    assert.deepEqual([s.project.ref, s.org, s.release], ['fake', 'default', s.project.version]);
    await ok(200, c, 'GET', `${prefix}/sessions`, own);
    await ok(200, c, 'GET', `${prefix}/sessions/{session_id}`, [...own, s.id]);
    assert.equal((await ok(200, c, 'POST', `${prefix}/sessions/{session_id}/messages`, [...own, s.id], { body: { text: '[[text:hi]]' } })).body.text, 'hi');
    await ok(202, c, 'POST', `${prefix}/sessions/{session_id}/messages`, [...own, s.id], { body: { text: '[[ask:touch one]]' }, headers: ASYNC });
    const asked = await eventually(async () => (await c.call('GET', `${prefix}/sessions/{session_id}`, [...own, s.id])).body.pending_input, 'an input');
    await ok(200, c, 'GET', `${prefix}/sessions/{session_id}/inputs/{request_id}`, [...own, s.id, asked.request_id]);
    await ok(200, c, 'PUT', `${prefix}/sessions/{session_id}/inputs/{request_id}`, [...own, s.id, asked.request_id], { body: { decision: 'approve_session' } });
    assert.equal(asked.asked_by.session_id, s.id);
    assert.equal(asked.asked_by.message_from.address, null);
    const [approval, ...more] = (await ok(200, c, 'GET', `${prefix}/sessions/{session_id}/approvals`, [...own, s.id])).body.data;
    assert.deepEqual([approval.decision, approval.approved_by, more], ['approve_session', asked.asked_by.message_from.key, []]);
    assert.ok(approval.approved_by, 'the key is named');
    await ok(200, c, 'DELETE', `${prefix}/sessions/{session_id}/approvals/{approval_id}`, [...own, s.id, approval.id]);
    assert.equal((await ok(200, c, 'DELETE', `${prefix}/sessions/{session_id}/approvals`, [...own, s.id])).body.revoked, 0);
    await ok(202, c, 'POST', `${prefix}/sessions/{session_id}/interrupt`, [...own, s.id]);
    await ok(200, c, 'GET', `${prefix}/sessions/{session_id}/events`, [...own, s.id], { query: '?until=idle' });
    await ok(200, c, 'GET', `${prefix}/agents`, own, { query: own.length ? '' : '?project=fake' });
    assert.equal((await ok(200, c, 'PATCH', `${prefix}/sessions/{session_id}`, [...own, s.id], { body: { title: 'named' } })).body.title, 'named');
    await ok(204, c, 'DELETE', `${prefix}/sessions/{session_id}`, [...own, s.id]);
    await ok(404, c, 'GET', `${prefix}/sessions/{session_id}`, [...own, s.id]);
  }
  await ok(404, c, 'POST', '/v1/sessions', [], { body: { project: 'none' } });
  const dev = (await ok(200, c, 'GET', '/v1/projects/{project_ref}/dev', ['fake'])).body;
  assert.deepEqual([dev.project, dev.dir, dev.harness], ['fake', null, 'acp']);
  const spent = (await ok(200, c, 'GET', '/v1/usage')).body.data;
  assert.deepEqual(spent.filter((x) => x.project === 'fake').length, spent.length);
  // A browser's sign-in (web-session.test.mjs has the rest).
  {
    const page = { 'karta-page': '1', origin: karta.url };
    const state = 's'.repeat(48);
    await ok(422, c, 'POST', '/v1/web/session', [], { body: {}, headers: page });
    await ok(403, c, 'POST', '/v1/web/session', [], { body: { key: karta.key } });
    const signed = await ok(201, c, 'POST', '/v1/web/session', [], { body: { key: karta.key }, headers: page });
    const browser = new Client(karta);
    const cookie = { ...page, cookie: signed.headers['set-cookie'][0].split(';')[0] };
    await ok(200, browser, 'POST', '/v1/web/handover', [], { body: { host: 'fake.localhost', state }, headers: cookie });
    await ok(404, browser, 'POST', '/v1/web/handover', [], { body: { host: 'none.localhost', state }, headers: cookie });
    await ok(401, browser, 'GET', '/agent_projects', [], { headers: page });
    await ok(204, browser, 'DELETE', '/v1/web/session', [], { headers: cookie });
    for (const id of browser.seen) c.seen.add(id);
  }
  for (const route of ['/openapi.json', '/healthz', '/readyz']) await ok(200, new Client(karta), 'GET', route);
  for (const id of ['getOpenapi', 'getHealth', 'getReadiness']) c.seen.add(id);
  assert.deepEqual(documented.map((r) => r.id).filter((id) => !c.seen.has(id)), ['getDev'], 'operations without a test');
  assert.equal(await karta.stop(), 0);
});

test('a project is reached in four ways, and no other session is', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const host = (label) => ({ host: `${label}.localhost:${karta.port}` });
  for (const name of ['one', 'two']) assert.equal((await publish(c, name, archive(t, {}, name))).status, 201);
  const get = async (route, headers = {}) => {
    const r = await fetch(karta.url + route, { headers: { ...bearer(karta.key), ...headers } });
    return { status: r.status, body: await r.json() };
  };
  const byHost = (label, method, route, body, headers = {}) => new Promise((done, fail) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const rq = http.request(karta.url + route, { method, headers: { ...bearer(karta.key), ...host(label), ...(text ? JSON_TYPE : {}), ...headers } }, (r) => {
      let all = '';
      r.on('data', (d) => { all += d; });
      r.on('end', () => done({ status: r.statusCode, text: all, headers: r.headers, body: /json/.test(r.headers['content-type'] ?? '') ? JSON.parse(all) : null }));
    });
    rq.on('error', fail);
    rq.end(text);
  });

  const s = (await byHost('one', 'POST', '/v1/sessions', { metadata: { n: 1 } })).body;
  assert.equal(s.project.ref, 'one');
  for (const [what, r] of [
    ['host', await byHost('one', 'GET', `/v1/sessions/${s.id}`)], ['ref', await get(`/v1/projects/one/sessions/${s.id}`)],
    ['id', await get(`/v1/projects/${s.project.project_id}/sessions/${s.id}`)],
    ['path', await get(`/default/one/v1/sessions/${s.id}`)], ['flat', await get(`/v1/sessions/${s.id}`)],
  ]) assert.deepEqual([r.status, r.body.id], [200, s.id], what);
  const stripped = ({ request_id: _, ...rest }) => rest;
  const missing = stripped((await get('/v1/projects/two/sessions/sess_0000000000000000000000')).body);
  for (const [what, r] of [
    ['host', await byHost('two', 'GET', `/v1/sessions/${s.id}`)], ['ref', await get(`/v1/projects/two/sessions/${s.id}`)],
    ['path', await get(`/default/two/v1/sessions/${s.id}`)],
  ]) assert.deepEqual([r.status, stripped(r.body)], [404, missing], what);
  assert.deepEqual((await get('/v1/projects/two/sessions')).body.data, []);
  assert.deepEqual((await get('/v1/sessions?project=one')).body.data.map((x) => x.id), [s.id]);
  assert.deepEqual((await get('/v1/sessions?project=two')).body.data, []);
  assert.equal((await get(`/v1/projects/two/sessions?after=${s.id}`)).status, 400);
  assert.equal((await byHost('two', 'POST', '/v1/sessions', { parent_id: s.id })).status, 404);
  assert.equal((await byHost('two', 'POST', '/v1/sessions', { session_id: s.id })).status, 404);
  for (const route of ['/other/one/v1/sessions', '/v1/projects/none/sessions', '/default/none/v1/sessions'])
    assert.equal((await get(route)).body.code, 'project_not_found', route);
  assert.equal((await byHost('none', 'GET', '/v1/sessions')).body.code, 'project_not_found');
  // What manages the server is at its own name only; nobody learns which names there are without a key.
  assert.equal((await byHost('one', 'GET', '/agent_projects')).body.code, 'not_found');
  assert.equal((await byHost('one', 'GET', '/v1/keys')).body.code, 'not_found');
  for (const label of ['one', 'none']) assert.equal((await byHost(label, 'GET', '/v1/sessions', undefined, { authorization: '' })).status, 401);
  // Pages.
  for (const [label, route, want] of [['one', '/', /id="composer"/], ['one', '/assets/app.js', /import/], ['none', '/', /id="composer"/]])
    assert.match((await byHost(label, 'GET', route)).text, want);
  for (const [route, want] of [['/', /id="projects"/], ['/device?code=X', /Approve/], ['/default/one/', /id="composer"/], ['/default/one/assets/app.js', /import/],
    ['/v1/projects/one/', /id="composer"/], ['/v1/projects/one', /id="composer"/], ['/v1/projects/one/assets/key.js', /sessionStorage/]]) {
    const r = await fetch(karta.url + route);
    assert.equal(r.status, 200, route);
    assert.match(await r.text(), want, route);
    assert.match(r.headers.get('content-security-policy'), /default-src 'none'/);
  }
  assert.equal((await get('/v1/projects/one/v1/agents')).status, 200);
  for (const route of ['/home', '/device']) assert.equal((await byHost('one', 'GET', route)).status, 404, route);
});

test('publishing: files, documents, interrupted and repeated', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const releases = () => c.call('GET', `${P}/releases`, ['bot']).then((r) => r.body.data ?? []);
  const gz = { 'content-type': 'application/gzip' };
  const route = `${P}/releases`;

  assert.equal((await ok(422, c, 'PUT', route, ['bot'], { headers: gz })).body.code, 'validation_failed');
  assert.equal((await ok(415, c, 'PUT', route, ['bot'], { raw: 'x', headers: { 'content-type': 'image/png' } })).body.code, 'unsupported_media_type');
  assert.equal((await ok(422, c, 'PUT', route, ['bot'], { raw: 'no archive', headers: gz })).body.code, 'archive_refused');
  await ok(422, c, 'PUT', route, ['No-Good'], { raw: archive(t), headers: gz });
  await ok(400, c, 'POST', route, ['bot'], { raw: '{' });
  await ok(400, c, 'PUT', route, ['bot'], { raw: archive(t), headers: gz, query: '?fork=maybe' });
  await ok(400, c, 'PUT', route, ['bot'], { raw: archive(t), headers: { ...gz, 'idempotency-key': '' } });

  // The same key: one release, whichever way the answer is asked for.
  const bytes = archive(t, { 'a.txt': 'a' });
  const key = { 'idempotency-key': 'deploy-1' };
  const first = (await publish(c, 'bot', bytes, '', key)).body;
  assert.equal((await publish(c, 'bot', bytes, '', key)).body.id, first.id);
  const again = await publish(c, 'bot', bytes, '', { ...key, ...SSE });
  assert.deepEqual([again.events.at(-1).type, again.events.at(-1).data.release.id], ['release', first.id]);
  assert.equal((await publish(c, 'bot', archive(t, { 'a.txt': 'b' }), '', key)).body.code, 'idempotency_mismatch');
  assert.equal((await releases()).length, 1);
  const async = await publish(c, 'bot', archive(t, { 'a.txt': 'c' }), '', ASYNC);
  assert.deepEqual([async.status, async.body.accepted, async.body.release.version], [202, true, 'v2']);
  assert.equal(async.headers.location, `http://127.0.0.1:${karta.port}/agent_projects/bot/releases/${async.body.release.id}`);
  await eventually(async () => (await releases())[0].state === 'active', 'v2');

  // The document: what is missing is named, what is there is not sent.
  const manifest = (await c.call('GET', `${route}/{version}/manifest`, ['bot', 'v2'])).text;
  const known = await ok(201, c, 'POST', route, ['bot'], { body: { manifest, message: 'by document' } });
  assert.deepEqual([known.body.version, known.body.digest], ['v3', (await releases())[0].digest]);
  const more = manifest + `100644 4 ${'ab'.repeat(32)} zz.txt\n`;
  const lacking = await ok(409, c, 'POST', route, ['bot'], { body: { manifest: more } });
  assert.deepEqual([lacking.body.code, lacking.body.missing, lacking.body.missing_total], ['files_missing', ['ab'.repeat(32)], 1]);
  // A large one, which does not fit memory, and names many.
  let big = '';
  for (let i = 0; i < 9000; i++) big += `100644 1 ${i.toString(16).padStart(64, '0')} f/${String(i).padStart(6, '0')}-${'n'.repeat(60)}\n`;
  const many = await ok(409, c, 'POST', route, ['bot'], { body: { manifest: big } });
  assert.deepEqual([many.body.missing.length, many.body.missing_total], [5000, 9000]);

  // A build that fails leaves what is live.
  const broken = await publish(c, 'bot', archive(t, { 'karta.toml': 'name = 5\n[harness]\ntype = "acp"\ncommand = ["/bin/cat"]\n' }));
  assert.deepEqual([broken.status, broken.body.code, broken.body.release.state, broken.body.release.error.code], [422, 'build_failed', 'failed', 'invalid_application'], broken.text);
  assert.match(broken.body.detail, /karta\.toml/);
  const failed = await publish(c, 'bot', archive(t, { 'karta.toml': 'name = 5\n[harness]\ntype = "acp"\ncommand = ["/bin/cat"]\n' }), '', SSE);
  assert.equal(failed.events.at(-1).data.error.code, 'invalid_application');
  assert.equal((await c.call('GET', P, ['bot'])).body.current.version, 'v3');

  // A client that leaves stops nothing; one that leaves in the middle of its upload leaves nothing.
  const gone = openStream(karta, '/agent_projects/bot/releases?message=left', { method: 'PUT', headers: { ...bearer(karta.key) } });
  gone.close();
  await gone.done;
  const half = http.request(`${karta.url}/agent_projects/bot/releases`, { method: 'PUT', headers: { ...bearer(karta.key), ...gz, 'content-length': 1000000 } });
  half.on('error', () => {});
  half.write(Buffer.alloc(300000));
  await eventually(() => readdirSync(path.join(karta.data, 'tmp')).some((f) => f.startsWith('upload-')), 'an upload on its way');
  half.destroy();
  await eventually(() => !readdirSync(path.join(karta.data, 'tmp')).some((f) => f.startsWith('upload-')), 'no upload left');
  assert.equal(await karta.stop(), 0);
});

test('who may not publish is told before the archive was sent', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const reader = (await c.call('POST', '/v1/keys', [], { body: { name: 'r', scopes: ['read'] } })).body.key;
  const ask = (headers, route = '/agent_projects/bot/releases', host) => new Promise((done, fail) => {
    let went = 0;
    const rq = http.request(karta.url + route, { method: 'PUT', headers: { 'content-type': 'application/gzip', 'content-length': 50000000, expect: '100-continue',
      ...(host ? { host } : {}), ...headers } }, (r) => { r.resume(); r.on('end', () => done([r.statusCode, went])); });
    rq.on('continue', () => { went = 1; rq.destroy(); done([100, went]); });
    rq.on('error', (e) => (went ? 0 : fail(e)));
    rq.flushHeaders();
  });
  assert.deepEqual(await ask({}), [401, 0]);
  assert.deepEqual(await ask(bearer('kt_live_nope')), [401, 0]);
  assert.deepEqual(await ask(bearer(reader)), [403, 0]);
  assert.deepEqual(await ask(bearer(karta.key), undefined, 'evil.example'), [421, 0]);
  assert.deepEqual(await ask({ ...bearer(karta.key), origin: 'https://evil.example' }), [403, 0]);
  assert.deepEqual(await ask(bearer(karta.key)), [100, 1]);
  assert.deepEqual(await ask({ ...bearer(karta.key), 'content-length': 5000000000 }), [413, 0]);
});

test('logs: filters, resuming, following', async (t) => {
  // Whoever held up its end would hold it up longer than the test waits.
  const karta = await startServe(t, { env: { KARTA_DRAIN: '1h' } });
  const c = new Client(karta, karta.key);
  for (const n of ['1', '2', '3']) assert.equal((await publish(c, 'bot', archive(t, { n }))).status, 201);
  await publish(c, 'bot', archive(t, { 'karta.toml': 'name = 5\n[harness]\ntype = "acp"\ncommand = ["/bin/cat"]\n' }));
  const read = async (query = '') => (await ok(200, c, 'GET', `${P}/logs`, ['bot'], { query })).lines;
  const seqs = (lines) => lines.map((l) => l.seq);
  const all = await read();
  assert.deepEqual(seqs(all), all.map((_, i) => i + 1));
  assert.deepEqual(await read('?lines=3'), all.slice(-3));
  assert.deepEqual(await read('?lines=0'), []);
  assert.deepEqual(await read('?after=5'), all.slice(5));
  const builds = all.filter((l) => l.data.source === 'build');
  assert.ok(builds.length > 5 && builds.length < all.length);
  assert.deepEqual(await read('?source=build'), builds);
  assert.deepEqual(await read('?source=build&lines=4'), builds.slice(-4));
  assert.deepEqual(await read('?source=build&after=4'), builds.filter((l) => l.seq > 4));
  assert.deepEqual(await read('?release=v2'), all.filter((l) => l.data.release === 'v2'));
  assert.deepEqual(await read('?level=error'), all.filter((l) => l.data.level === 'error'));
  assert.ok((await read('?level=error')).length > 0);
  assert.deepEqual(await read('?level=debug&source=harness'), []);
  const cut = all[6].timestamp;
  assert.deepEqual(await read(`?since=${new Date(cut).toISOString()}`), all.filter((l) => l.timestamp >= cut));
  assert.deepEqual(await read(`?until=${new Date(cut).toISOString()}`), all.filter((l) => l.timestamp <= cut));
  assert.deepEqual(await read('?since=10m'), all);
  assert.deepEqual(await read('?session=sess_none'), []);

  // Followers, with and without filters, see what comes, each number once; and resume.
  const follow = (query, headers = {}) => openStream(karta, `/agent_projects/bot/logs${query}`, { headers: { ...bearer(karta.key), ...headers } });
  const plain = follow('?lines=1');
  const picky = follow('?source=build&lines=1');
  await plain.until((e) => e.seq === all.at(-1).seq);
  await picky.until((e) => e.seq === builds.at(-1).seq);
  assert.equal((await publish(c, 'bot', archive(t, { n: '5' }))).status, 201);
  const now = await read();
  await plain.until((e) => e.seq === now.at(-1).seq);
  const last = now.filter((l) => l.data.source === 'build').at(-1).seq;
  await picky.until((e) => e.seq === last);
  assert.deepEqual(seqs(plain.events), seqs(now.slice(all.length - 1)));
  assert.deepEqual(seqs(picky.events), seqs(now.filter((l) => l.data.source === 'build' && l.seq >= builds.at(-1).seq)));
  plain.close();
  picky.close();
  const resumed = follow('?source=build', { 'last-event-id': String(builds.at(-2).seq) });
  await resumed.until((e) => e.seq === last);
  assert.deepEqual(seqs(resumed.events), seqs(now.filter((l) => l.data.source === 'build' && l.seq > builds.at(-2).seq)));
  resumed.close();
  const soon = follow(`?until=${new Date(Date.now() + 700).toISOString()}`);
  await soon.done;
  assert.deepEqual(seqs(soon.events), seqs(now));

  // A revoked key ends its streams.
  const made = (await c.call('POST', '/v1/keys', [], { body: { name: 'r', scopes: ['read'] } })).body;
  const watched = [follow('', bearer(made.key)), follow('?level=info', bearer(made.key))];
  for (const s of watched) await s.until((e) => e.seq === now.at(-1).seq);
  await c.call('DELETE', '/v1/keys/{key_id}', [made.id]);
  for (const s of watched) await within(s.done, 'the end of a stream whose key is revoked');

  // What the API refused is a line of the project; a log of many slices is filtered from its end, too.
  const failures = 4000;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  let left = failures;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (left-- > 0)
      await new Promise((done, fail) => {
        http.get(`${karta.url}/v1/projects/bot/sessions/sess_${'x'.repeat(200)}`, { agent, headers: bearer(karta.key) }, (r) => { r.resume(); r.on('end', done); }).on('error', fail);
      });
  }));
  agent.destroy();
  const end = await read('?lines=1');
  assert.match(end[0].data.text, /^GET \/v1\/projects\/bot\/sessions\/sess_x+: 404 session_not_found: /);
  assert.deepEqual([end[0].data.source, end[0].data.level, end[0].data.release, typeof end[0].data.request_id], ['api', 'warn', 'v5', 'string']);
  assert.ok(end[0].seq > failures);
  assert.deepEqual(seqs(await read('?source=build&lines=2')), seqs(now.filter((l) => l.data.source === 'build').slice(-2)));
  assert.deepEqual(seqs(await read('?source=api&lines=3')), [end[0].seq - 2, end[0].seq - 1, end[0].seq]);
  assert.deepEqual(await read('?level=error&source=api'), []);
  assert.equal((await read('?level=warn')).length > failures - 10, true);

  // Open streams do not hold up the end, and end at an event's boundary; over a restart nothing is lost.
  const open = [follow(''), follow('?source=api')];
  for (const s of open) await s.until((e) => e.seq === end[0].seq);
  assert.equal(await karta.stop(), 0, 'nobody had to kill it');
  for (const s of open) await s.done;
  assert.deepEqual(open.map((s) => [s.error, s.events.at(-1).seq]), [[undefined, end[0].seq], [undefined, end[0].seq]]);
  const next = await startServe(t, { data: karta.home });
  const after = new Client(next, karta.key);
  assert.deepEqual((await after.call('GET', `${P}/logs`, ['bot'], { query: `?after=${now.at(-1).seq - 2}` })).lines.slice(0, 2), now.slice(-2));
});

test('names, prefixes and proxies', async (t) => {
  const send = (karta, route, headers = {}, method = 'GET') => new Promise((done, fail) => {
    const rq = http.request(karta.url + route, { method, headers: { ...bearer(karta.key), ...headers } }, (r) => {
      let all = '';
      r.on('data', (d) => { all += d; });
      r.on('end', () => done({ status: r.statusCode, text: all, headers: r.headers, body: /json/.test(r.headers['content-type'] ?? '') ? JSON.parse(all) : null }));
    });
    rq.on('error', fail);
    rq.end();
  });
  const status = async (...args) => (await send(...args)).status;

  const bare = await startServe(t);
  assert.equal((await publish(new Client(bare, bare.key), 'bot', archive(t))).status, 201);
  for (const [host, want] of [['localhost', 200], ['127.0.0.1', 200], [`localhost:${bare.port}`, 200], ['[::1]', 200], ['LOCALHOST', 200],
    ['karta.example', 421], ['localhost.evil.example', 421], ['a.b.localhost', 421], ['-.localhost', 421], ['192.168.1.1', 421]])
    assert.equal(await status(bare, '/v1/whoami', { host }), want, host);
  assert.equal(await status(bare, '/v1/agents', { host: 'bot.localhost' }), 200);
  assert.equal(await status(bare, '/v1/agents', { host: 'BOT.localhost' }), 200);
  for (const route of ['/healthz', '/readyz']) assert.equal(await status(bare, route, { host: '10.0.0.7' }), 200);
  for (const [origin, want] of [[`http://127.0.0.1:${bare.port}`, 200], ['https://evil.example', 403], ['null', 403], [`http://localhost:${bare.port}`, 403]])
    assert.equal(await status(bare, '/v1/whoami', { origin }), want, origin);
  // Without --trust-proxy what a proxy says is not believed.
  assert.equal(await status(bare, '/v1/whoami', { 'x-forwarded-host': 'evil.example' }), 200);
  assert.match((await send(bare, '/agent_projects/bot', { 'x-forwarded-host': 'karta.example', 'x-forwarded-proto': 'https' })).body.url, /^http:\/\/bot\.localhost:/);

  const behind = await startServe(t, { args: ['--public-url', 'https://karta.example/base', '--trust-proxy'] });
  const c = new Client(behind, behind.key);
  assert.equal((await publish(c, 'bot', archive(t))).status, 201);
  assert.equal((await send(behind, '/base/agent_projects/bot')).body.url, 'https://bot.karta.example/base');
  for (const [route, headers, want] of [
    ['/base/v1/whoami', {}, 200], ['/v1/whoami', {}, 200], ['/base/v1/whoami', { host: 'karta.example' }, 200], ['/basement/v1/whoami', {}, 404],
    ['/base/v1/agents', { host: 'bot.karta.example' }, 200], ['/base/', { host: 'bot.karta.example' }, 200], ['/base', {}, 200], ['/base/v1/agents', { host: 'x.evil.example' }, 421],
    ['/base/v1/agents', { 'x-forwarded-host': 'bot.karta.example' }, 200], ['/base/v1/agents', { 'x-forwarded-host': 'evil.example' }, 421],
    ['/base/v1/whoami', { host: 'karta.example', origin: 'https://karta.example' }, 200], ['/base/v1/whoami', { host: 'karta.example', origin: 'https://evil.example' }, 403],
    ['/base/v1/whoami', { 'x-forwarded-host': 'karta.example', origin: 'https://karta.example' }, 200],
    ['/base/default/bot/v1/agents', {}, 200], ['/base/v1/projects/bot/agents', {}, 200],
  ]) assert.equal(await status(behind, route, headers), want, `${route} ${JSON.stringify(headers)}`);
  await ok(200, c, 'PATCH', `${P}`, ['bot'], { body: { production_ref: 'trunk' }, headers: { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' } });
  assert.equal((await c.call('GET', '/v1/audit', [], { query: '?limit=1' })).body.data[0].remote_ip, '203.0.113.9');
  assert.match((await c.call('POST', '/v1/device/code', [], { body: { client_name: 'x' } })).body.verification_uri, /^https:\/\/karta\.example\/base\/device$/);
});

test('what a proxy says counts from the proxies that are named only', async (t) => {
  const karta = await startServe(t, { args: ['--trust-proxy=127.0.0.2,198.51.100.0/24'] });
  const said = { 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1, 203.0.113.9, 198.51.100.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'localhost:444' };
  const login = (localAddress, headers) => new Promise((resolve, reject) => {
    const rq = http.request({ host: '127.0.0.1', port: karta.port, localAddress, method: 'POST', path: '/v1/device/code', headers: { ...headers, host: 'localhost' } }, (r) => {
      let text = '';
      r.on('data', (d) => { text += d; }).on('end', () => resolve(JSON.parse(text)));
    });
    rq.on('error', reject).end('{"client_name":"x"}');
  });
  const seen = async (from, headers) => { const r = await login(from, headers); return [r.address, r.verification_uri]; };
  assert.deepEqual(await seen('127.0.0.2', said), ['203.0.113.9', 'https://localhost:444/device']);
  for (const from of ['127.0.0.1', '127.0.0.3']) assert.deepEqual(await seen(from, said), [from, 'http://localhost/device'], from);
  // With a header that may not be one: nobody is more than who connects.
  assert.equal((await seen('127.0.0.2', { ...said, 'x-forwarded-for': 'localhost' }))[0], '127.0.0.2');
  // RFC 7239 is not read: a proxy that writes the other ones passes the client's on.
  assert.equal((await seen('127.0.0.2', { 'content-type': 'application/json', forwarded: 'for=192.0.2.1' }))[0], '127.0.0.2');
  const shown = (flag) => spawnSync(KARTA, ['serve', flag, '--show-config'], { encoding: 'utf8', env: { HOME: tempDir(t, 'home') } });
  for (const bad of ['proxy.example', '10.0.0.0/33', ',']) {
    const r = shown(`--trust-proxy=${bad}`);
    assert.equal(r.status, 2, bad);
    assert.match(r.stderr, /no value for trust_proxy\n.*hint: give true, false, or addresses/s, bad);
  }
  for (const [flag, text] of [['--trust-proxy', 'true'], ['--trust-proxy=false', 'false'], ['--trust-proxy=::1,10.0.0.0/8', '"::1,10.0.0.0/8"']])
    assert.match(shown(flag).stdout, new RegExp(`^trust_proxy +=\\s+${text} +# flag$`, 'm'));
});

test('folders of the server are served to those who may name them', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const dir = tempDir(t, 'folder');
  writeFiles(dir, { 'AGENTS.md': 'one\n', 'karta.toml': `name = "here"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n` });
  const writer = (await c.call('POST', '/v1/keys', [], { body: { name: 'w', scopes: ['read', 'write'] } })).body.key;
  assert.equal((await ok(403, new Client(karta, writer), 'POST', '/agent_projects', [], { body: { slug: 'here', dir } })).body.code, 'forbidden');
  await ok(403, c, 'POST', '/agent_projects', [], { body: { slug: 'here', dir }, headers: { 'x-forwarded-for': '203.0.113.9' } });
  const made = (await ok(201, c, 'POST', '/agent_projects', [], { body: { slug: 'here', dir } })).body;
  assert.deepEqual([made.kind, made.dir], ['folder', dir]);
  const s = (await ok(201, c, 'POST', '/v1/projects/{project_ref}/sessions', ['here'], { body: {} })).body;
  assert.deepEqual([s.release, s.project.version], [null, 'dev']);
  assert.equal((await ok(200, c, 'POST', '/v1/projects/{project_ref}/sessions/{session_id}/messages', ['here', s.id], { body: { text: '[[text:yes]]' } })).body.text, 'yes');
});

test('two creations with one key at once make one session', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  await publish(c, 'bot', archive(t));
  const all = await Promise.all(Array.from({ length: 20 }, () => c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'],
    { body: {}, headers: { 'idempotency-key': 'same' } })));
  const ids = new Set(all.filter((r) => r.status === 201).map((r) => r.body.id));
  assert.equal(ids.size, 1);
  for (const r of all) assert.ok(r.status === 201 || (r.status === 409 && r.body.code === 'idempotent_request_running'), r.text);
  assert.equal((await c.call('GET', '/v1/sessions')).body.data.length, 1);
  // What was answered is there after a crash.
  await karta.stop('SIGKILL');
  const next = await startServe(t, { data: karta.home });
  const d = new Client(next, karta.key);
  assert.deepEqual((await d.call('GET', '/v1/sessions')).body.data.map((s) => s.id), [...ids]);
  assert.equal((await d.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'], { body: {}, headers: { 'idempotency-key': 'same' } })).body.id, [...ids][0]);
});

test('what a key decides is in the audit log, and its chain', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const dir = tempDir(t, 'folder');
  writeFiles(dir, { 'AGENTS.md': 'one\n', 'karta.toml': `name = "here"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n` });
  await ok(201, c, 'POST', '/agent_projects', [], { body: { slug: 'here', dir } });
  const key = (await ok(201, c, 'POST', '/v1/keys', [], { body: { name: 'dora', scopes: ['read', 'write'] } })).body;
  const w = new Client(karta, key.key);
  const S = '/v1/projects/{project_ref}/sessions';
  const s = (await ok(201, w, 'POST', S, ['here'], { body: {} })).body;
  const decide = async (decision) => {
    const asked = (await ok(200, w, 'POST', `${S}/{session_id}/messages`, ['here', s.id], { body: { text: '[[ask:ls -la]]' } })).body;
    const id = asked.pending_input.request_id;
    const done = (await ok(200, w, 'PUT', `${S}/{session_id}/inputs/{request_id}`, ['here', s.id, id], { body: { decision } })).body;
    return [id, done.events.find((e) => e.data.state === 'input_resolved').data];
  };
  const newest = async (n) => (await ok(200, c, 'GET', '/v1/audit', [], { query: `?limit=${n}` })).body.data;
  const [denied] = await decide('deny');
  const [allowed, resolved] = await decide('approve_session');
  assert.ok(resolved.approval_id);
  // What is remembered is decided by nobody any more.
  await ok(200, w, 'POST', `${S}/{session_id}/messages`, ['here', s.id], { body: { text: '[[ask:ls -la]]' } });
  await ok(200, w, 'DELETE', `${S}/{session_id}/approvals/{approval_id}`, ['here', s.id, resolved.approval_id]);
  const rows = await eventually(async () => { const r = await newest(3); return r[0].action === 'approval.revoke' && r; });
  for (const r of rows) assert.deepEqual([r.actor, r.actor_name, r.remote_ip, r.object], [key.id, 'dora', '127.0.0.1', `session/${s.id}`]);
  assert.deepEqual(rows.map((r) => [r.action, r.detail]), [
    ['approval.revoke', { project: 'here', tool: rows[0].detail.tool, approval_id: resolved.approval_id, forgets: resolved.remembers }],
    ['approval.decide', { project: 'here', request_id: allowed, decision: 'approve_session', tool: rows[0].detail.tool, approval_id: resolved.approval_id, remembers: resolved.remembers }],
    ['approval.decide', { project: 'here', request_id: denied, decision: 'deny', tool: rows[0].detail.tool }]]);
  assert.ok(rows[0].detail.tool);
  assert.equal((await ok(200, c, 'GET', '/v1/audit/verify', [])).body.ok, true);
});
