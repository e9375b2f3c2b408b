// SPDX-License-Identifier: MIT
// Bounds that are reached: what is said, to whom, and that nobody else notices.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { eventually } from './lib.mjs';
import { archive, publish, secondOrganization, startServe } from './serve.mjs';
import { fakeFiles, user } from './user.mjs';

const P = '/agent_projects/{project_ref}';
const S = '/v1/projects/{project_ref}/sessions';
const OFFLINE = { args: ['--offline'] };

/* A stopped server's database, as if it had come so far. */
const sql = (data, text) => execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(sys.argv[2])
db.commit()
`, path.join(data, 'karta.db'), text]);

test('the idempotency keys of one organization are full: 429 there, and nothing elsewhere', async (t) => {
  const first = await startServe(t, OFFLINE);
  const made = await new Client(first, first.key).call('POST', '/v1/keys', [], { body: { name: 'theirs', scopes: ['read', 'write', 'admin'] } });
  await first.stop();
  secondOrganization(first.data, [made.body.id]);
  const fill = (rows, bytes) => sql(first.data, `
    DELETE FROM idempotency;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO idempotency (org_id, scope, key, fingerprint, status, body, bytes, created_us)
    SELECT 'org_0000000000000000000002', 'POST /agent_projects', 'k' || i, 'f', 201, '{}', ${bytes}, ${Date.now()}000 FROM n;`);
  for (const [rows, bytes, why] of [[10000, 2, /10000 Idempotency-Keys/], [4, 8 * 1024 * 1024, /32 MiB/]]) {
    fill(rows, bytes);
    const k = await startServe(t, { data: first.home, ...OFFLINE });
    const ours = new Client(k, k.key), theirs = new Client(k, made.body.key);
    const make = (c, slug, key) => c.call('POST', '/agent_projects', [], { body: { slug }, headers: key ? { 'idempotency-key': key } : {} });
    const full = await make(theirs, 'one', 'new');
    assert.equal(full.status, 429, full.text);
    assert.equal(full.body.code, 'limit_reached');
    assert.match(full.body.detail, why);
    // It was not made, and without a key it can be; the other organization's keys are its own.
    assert.equal((await theirs.call('GET', P, ['one'])).status, 404);
    assert.equal((await make(theirs, 'one')).status, 201);
    assert.equal((await make(ours, `two-${rows}`, 'new')).status, 201);
    assert.equal((await make(ours, `two-${rows}`, 'new')).status, 201, 'the same answer again');
    assert.equal((await theirs.call('DELETE', P, ['one'])).status, 204);
    await k.stop();
  }
});

test('without descriptors: what is asked for is 503 and says which limit; with them it goes on', async (t) => {
  const k = await startServe(t, OFFLINE);
  // Connections that are there: no other is taken meanwhile.
  const agents = Array.from({ length: 4 }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
  t.after(() => agents.forEach((a) => a.destroy()));
  const call = (agent, method, at, body, type = 'application/json') => new Promise((resolve, reject) => {
    const rq = http.request({ agent, host: '127.0.0.1', port: k.port, method, path: at, headers: { authorization: `Bearer ${k.key}`, 'content-type': type } }, (r) => {
      let text = '';
      r.on('data', (d) => { text += d; }).on('end', () => resolve({ status: r.statusCode, headers: r.headers, body: JSON.parse(text) }));
    });
    rq.on('error', reject).end(body);
  });
  const limit = (n) => execFileSync('prlimit', ['--pid', String(k.pid), `--nofile=${n}:`]);
  const bytes = archive(t);
  const ship = (agent) => call(agent, 'PUT', '/agent_projects/bot/releases', bytes, 'application/gzip');
  assert.equal((await ship(agents[0])).status, 201);
  const session = (await call(agents[0], 'POST', '/v1/projects/bot/sessions', '{}')).body.id;
  for (const a of agents) assert.equal((await call(a, 'GET', '/healthz')).status, 200);
  const usual = Number(/^Max open files +(\d+)/m.exec(execFileSync('cat', [`/proc/${k.pid}/limits`], { encoding: 'utf8' }))[1]);
  limit(3); // those that are open stay open
  for (const [i, ask] of [ship, (a) => call(a, 'POST', `/v1/projects/bot/sessions/${session}/messages`, '{"text":"hi"}')].entries()) {
    const r = await ask(agents[i]);
    assert.equal(r.status, 503, JSON.stringify(r.body));
    assert.ok(Number(r.headers['retry-after']) > 0);
    assert.match(r.body.detail, /too many open files \(LimitNOFILE, 'ulimit -n' is 3\)/);
    assert.notEqual(r.body.code, 'storage_full');
  }
  assert.equal((await call(agents[2], 'GET', '/healthz')).status, 200);
  limit(usual);
  assert.equal((await ship(agents[3])).status, 201);
  await eventually(async () => (await call(agents[3], 'GET', '/readyz')).status === 200);
});

test('a project has its most branches: a new one is refused in words, those that are there go on', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  const u = user(t, k);
  const dir = await u.repository(fakeFiles('bot'), 'bot');
  await u.ok(u.git(dir, 'push', '-q', 'karta', 'main'));
  sql(k.data, `
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
    INSERT INTO refs (org_id, project_id, name, commit_sha, release_id)
    SELECT r.org_id, r.project_id, 'refs/heads/b' || i, r.commit_sha, r.release_id FROM n, refs r;`);
  await u.commit(dir, { 'note.txt': 'two' });
  const refused = await u.git(dir, 'push', 'karta', 'main:new');
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /10000 branches already \(fixed\); delete some/);
  assert.match(refused.stderr, /! \[remote rejected\] main -> new/);
  assert.equal((await c.call('GET', P, ['bot'])).body.previews.length, 0);
  // By the API the same; what is there moves, and a place that is given up is one.
  const gz = await publish(c, 'bot', archive(t), `?ref=new&commit_sha=${'b'.repeat(40)}`);
  assert.deepEqual([gz.status, gz.body.code, gz.body.release.error.code], [422, 'build_failed', 'too_many_refs']);
  await u.ok(u.git(dir, 'push', 'karta', 'main', 'main:b7'));
  await u.ok(u.git(dir, 'push', 'karta', ':b8'));
  await u.ok(u.git(dir, 'push', 'karta', 'main:new'));
  assert.equal((await c.call('GET', `${P}/refs`, ['bot'])).body.refs['refs/heads/new'].length, 40);
});
