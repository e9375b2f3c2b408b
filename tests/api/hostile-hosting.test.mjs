// SPDX-License-Identifier: MIT
// Attacks on a hosting server: by who has no key, by keys of another organization, by a key of the same one that
// wants more than it may, by hostile releases; and on the command line, by hostile folders and servers.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, constants, existsSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Client, documented } from './document.mjs';
import { KARTA, PATIENCE_MS, eventually, sleep, tempDir, within, writeFiles } from './lib.mjs';
import { archive, publish, secondOrganization, startServe } from './serve.mjs';

const P = '/agent_projects/{project_ref}';
const OFFLINE = { args: ['--offline'] };
const SHA = 'a'.repeat(40);

const tally = (list) => list.reduce((n, x) => ({ ...n, [x]: (n[x] ?? 0) + 1 }), {});
const newKey = async (c, scopes, name = 'n') => (await c.call('POST', '/v1/keys', [], { body: { name, scopes } })).body;
const manifestOf = async (c, project = 'bot', v = 'v1') => (await c.call('GET', `${P}/releases/{version}/manifest`, [project, v])).text;
const audit = async (c, n = 50) => (await c.call('GET', '/v1/audit', [], { query: `?limit=${n}` })).body.data;

/* The bytes of an answer to bytes, as they are. */
function bytes(port, text) {
  return new Promise((done, fail) => {
    const s = net.connect(port, '127.0.0.1');
    let out = '';
    s.setTimeout(PATIENCE_MS, () => s.destroy());
    s.on('data', (d) => { out += d.toString('latin1'); });
    s.on('error', fail);
    s.on('close', () => done(out));
    s.write(text);
  });
}

function sql(data, query, ...args) {
  return JSON.parse(execFileSync('python3', ['-c', `
import json, sqlite3, sys
print(json.dumps(sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute(sys.argv[2], sys.argv[3:]).fetchall()))
`, path.join(data, 'karta.db'), query, ...args], { encoding: 'utf8' }));
}

function karta(args, { env = {}, cwd, input = '' } = {}) {
  return new Promise((resolve) => {
    const child = execFile(KARTA, args, { cwd, timeout: PATIENCE_MS, env: { PATH: process.env.PATH, ASAN_OPTIONS: 'detect_leaks=0', ...env } },
      (e, stdout, stderr) => resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }));
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(input);
  });
}

/* Archives of what has a file with this text wait: a pipe that nobody writes to is in its place. Gives a
   function that lets them go on (to an error) and puts the file back. */
function hold(data, text) {
  const digest = createHash('sha256').update(text).digest('hex');
  const file = execFileSync('find', [path.join(data, 'blobs'), '-name', digest], { encoding: 'utf8' }).trim();
  renameSync(file, `${file}.kept`);
  execFileSync('mkfifo', [file]);
  return () => {
    renameSync(file, `${file}.pipe`);
    renameSync(`${file}.kept`, file);
    closeSync(openSync(`${file}.pipe`, constants.O_WRONLY | constants.O_NONBLOCK));
  };
}

/* As many archives of a release as may be made at once, all of them held: the next one is refused. */
async function heldArchives(k, key, project) {
  const get = () => new Promise((done, fail) => {
    http.get(`${k.url}/agent_projects/${project}/releases/v1/archive`, { agent: false, headers: { authorization: `Bearer ${key}` } }, (r) => {
      r.resume();
      r.on('close', () => done(r.statusCode));
    }).on('error', fail);
  });
  const held = [get(), get()];
  await eventually(async () => Promise.race([...held, get()]).then((status) => status === 503), 'no more archives may be made');
  return held;
}

/* --- another organization ---------------------------------------------------------------- */

test('another organization: nothing of ours is there, whatever name leads to it', async (t) => {
  const first = await startServe(t, OFFLINE);
  let c = new Client(first, first.key);
  const theirs = await newKey(c, ['read', 'write', 'admin'], 'theirs');
  const soon = [await newKey(c, ['read'])];
  await first.stop();
  secondOrganization(first.data, [theirs.id]);
  const k = await startServe(t, { data: first.home, ...OFFLINE });
  c = new Client(k, k.key);
  const o = new Client(k, theirs.key);
  const v1 = (await publish(c, 'bot', archive(t, { 'note.txt': 'secret' }), `?commit_sha=${SHA}&ref=main`)).body;
  const preview = (await publish(c, 'bot', archive(t), '?ref=try')).body;
  const project = (await c.call('GET', P, ['bot'])).body;
  const session = (await c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'], { body: {} })).body;
  const manifest = await manifestOf(c);

  // By slug, id, preview, host label, path of either organization: as what never was, to the byte.
  const same = async (method, route, values, foreign, opts = {}) => {
    const a = await o.call(method, route, values, opts);
    const b = await o.call(method, route, foreign, opts);
    const plain = (r) => r.text.replace(/req_\w+/, '').replaceAll(values[0], 'X').replaceAll(foreign[0], 'X');
    assert.deepEqual([a.status, plain(a)], [b.status, plain(b)], `${method} ${route} ${values}`);
    assert.ok(a.status === 404, `${method} ${route} ${values}: ${a.status}`);
  };
  for (const ref of ['bot', project.id, preview.preview]) {
    for (const { method, path: route } of documented) {
      if (!route.startsWith(P) && !route.startsWith('/v1/projects/')) continue;
      if (/releases$/.test(route) && method !== 'GET') continue; // makes a project of its own
      const rest = route.match(/\{\w+\}/g).slice(1).map((name) => (name === '{version}' ? v1.id : name === '{session_id}' ? session.id : 'x'));
      const last = { activate: { version: 'v1' }, rollback: { version: 'v1' }, deploys: { commit_sha: SHA }, messages: { text: 'hi' }, config: { set: {} },
        '{request_id}': { decision: 'approve_once' } }[route.split('/').at(-1)];
      await same(method, route, [ref, ...rest], ['never-was', ...rest], { ...(['POST', 'PATCH', 'PUT'].includes(method) ? { body: last ?? {} } : {}),
        ...(route.endsWith('/refs') && method === 'DELETE' ? { query: '?name=refs/heads/try' } : {}) });
    }
  }
  for (const { method, path: route } of documented.filter((d) => d.path.startsWith('/v1/sessions/'))) {
    const body = { POST: { text: 'hi' }, PUT: { decision: 'approve_once' } }[method];
    const rest = route.includes('{request_id}') ? ['x'] : [];
    await same(method, route, [session.id, ...rest], ['sess_0000000000000000000000', ...rest], body ? { body } : {});
  }
  for (const host of ['bot', 'bot-try', 'BOT', project.label ?? 'bot']) {
    const said = await bytes(k.port, `GET /v1/sessions/${session.id} HTTP/1.1\r\nHost: ${host}.localhost:${k.port}\r\nConnection: close\r\nAuthorization: Bearer ${theirs.key}\r\n\r\n`);
    assert.match(said, /^HTTP\/1.1 404 /, host);
  }
  for (const at of ['/default/bot/v1/sessions', '/other/bot/v1/sessions', '/default/bot-try/v1/agents'])
    assert.equal((await o.call('GET', '/v1/projects/{project_ref}/sessions', ['bot'], { as: at })).status, 404, at);

  // What they list is theirs.
  assert.deepEqual((await o.call('GET', '/agent_projects')).body.data, []);
  assert.deepEqual((await o.call('GET', '/v1/sessions')).body.data, []);
  assert.deepEqual((await o.call('GET', '/v1/keys')).body.data.map((x) => x.id), [theirs.id]);
  assert.ok(!(await audit(o)).some((a) => a.object.includes('bot')));
  assert.equal((await o.call('DELETE', '/v1/keys/{key_id}', [soon[0].id])).status, 404);
  assert.equal((await o.call('DELETE', '/v1/keys/{key_id}', [soon[0].prefix])).status, 404);

  // Our files by their digests: they cannot be published, told of, or downloaded.
  assert.deepEqual(await o.call('POST', `${P}/releases`, ['mine'], { body: { digest: v1.digest } }).then((r) => [r.status, r.body.code]), [409, 'base_unknown']);
  const missing = await o.call('POST', `${P}/releases`, ['mine'], { body: { manifest } });
  assert.deepEqual([missing.status, missing.body.code], [409, 'files_missing']);
  assert.equal(missing.body.missing_total, new Set(manifest.match(/[0-9a-f]{64}/g)).size);

  // The same Idempotency-Key is another one.
  const one = await c.call('POST', '/agent_projects', [], { body: { slug: 'twin' }, headers: { 'idempotency-key': 'k' } });
  const two = await o.call('POST', '/agent_projects', [], { body: { slug: 'twin' }, headers: { 'idempotency-key': 'k' } });
  assert.deepEqual([one.status, two.status], [201, 201]);
  assert.notEqual(one.body.id, two.body.id);
  // Its host name is another one, too: the first to have it keeps it.
  assert.notEqual(one.body.url, two.body.url);

  // An administrator of another organization approves logins to his own, and no other.
  const codes = (await new Client(k).call('POST', '/v1/device/code', [], { body: { client_name: 'x', scopes: ['read', 'admin'] } })).body;
  await o.call('POST', '/v1/device/{user_code}', [codes.user_code], { body: { approve: true } });
  assert.equal((await new Client(k).call('POST', '/v1/device/token', [], { body: { device_code: codes.device_code } })).body.org, 'other');
});

test('a name between two organizations: who pushes a preview cannot take the host name of the other', async (t) => {
  const first = await startServe(t, OFFLINE);
  let c = new Client(first, first.key);
  const theirs = await newKey(c, ['read', 'write', 'admin']);
  await first.stop();
  secondOrganization(first.data, [theirs.id]);
  const k = await startServe(t, { data: first.home, ...OFFLINE });
  c = new Client(k, k.key);
  const o = new Client(k, theirs.key);
  await publish(o, 'bot', archive(t, {}, 'bot'));
  await c.call('POST', '/agent_projects', [], { body: { slug: 'bot-x' } });
  // "bot" with the branch "x" would be called as our project is.
  const taken = await publish(o, 'bot', archive(t, {}, 'bot'), '?ref=x');
  assert.deepEqual([taken.status, taken.body.code], [409, 'label_taken']);
  // Both at once: one of them has the name, and it leads nowhere else.
  await Promise.all([publish(o, 'bot', archive(t, {}, 'bot'), '?ref=y-z'), publish(c, 'bot-y', archive(t, {}, 'bot'), '?ref=z'), c.call('POST', '/agent_projects', [], { body: { slug: 'bot-y-z' } })]);
  for (const key of [theirs.key, k.key]) {
    const said = await bytes(k.port, `GET /v1/agents HTTP/1.1\r\nHost: bot-y-z.localhost\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\n\r\n`);
    assert.match(said, /^HTTP\/1.1 (200|404|409) /);
  }
});

/* --- no key ------------------------------------------------------------------------------ */

test('without a key: no trick of path, method, header or host opens anything', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  await publish(c, 'bot', archive(t));
  const closed = /^HTTP\/1.1 (400|401|403|404|405|415|421|501) /;
  const paths = ['/agent_projects', '//agent_projects', '/agent_projects/', '/AGENT_PROJECTS', '/agent_projects%2fbot', '/agent_projects/bot%2Fconfig', '/./agent_projects',
    '/x/../agent_projects', '/%2e%2e/agent_projects', '/agent_projects;x', '/agent_projects?access_token=' + k.key, '/v1/projects/bot/../../whoami', '/v1/projects/bot/agent_projects',
    '/v1/projects/bot/v1/v1/sessions', '/default/bot/v1/sessions', '/v1/v1/v1/sessions', '/v1/projects/v1/projects/bot/sessions', '/healthz/../agent_projects', '/openapi.json/../v1/keys',
    '/device/../v1/keys', '/v1/device/BCDF-GHJK', '/v1/device/code/', `http://evil/agent_projects`, '*', '/agent_projects/bot/logs', '/v1/whoami#x', '/\\agent_projects', '/agent_projects\0'];
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'PATCH', 'get', 'TRACE', 'CONNECT', 'PROPFIND']) {
    for (const at of paths) {
      const said = await bytes(k.port, `${method} ${at} HTTP/1.1\r\nHost: localhost:${k.port}\r\nConnection: close\r\n\r\n`);
      assert.match(said, closed, `${method} ${at}: ${said.slice(0, 200)}`);
    }
  }
  const good = `Authorization: Bearer ${k.key}\r\n`;
  const bad = { twice: good + good, 'second empty': `${good}Authorization:\r\n`, basic: `Authorization: Basic ${Buffer.from(`x:${k.key}`).toString('base64')}\r\n`,
    folded: `Authorization: Bearer\r\n ${k.key}\r\n`, list: `Authorization: Bearer ${k.key}, Bearer ${k.key}\r\n`, tail: `Authorization: Bearer ${k.key}x\r\n`, cut: `Authorization: Bearer ${k.key.slice(0, -1)}\r\n`,
    blank: 'Authorization: Bearer \r\n', proxy: `Proxy-Authorization: Bearer ${k.key}\r\n`, cookie: `Cookie: key=${k.key}\r\n`, 'x-api-key': `X-Api-Key: ${k.key}\r\n`, spaced: `Authorization : Bearer ${k.key}\r\n`,
    override: `X-HTTP-Method-Override: GET\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz\r\n` };
  for (const [name, header] of Object.entries(bad))
    assert.match(await bytes(k.port, `GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${header}\r\n`), /^HTTP\/1.1 40[01] /, name);
  for (const host of ['evil.example', 'localhost.', 'bot.localhost.', 'x.bot.localhost', '127.0.0.1.', 'localhost.evil.example', '169.254.169.254'])
    assert.match(await bytes(k.port, `GET /v1/whoami HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${good}\r\n`), /^HTTP\/1.1 421 /, host);
  // The page that takes an administrator's key can be in no frame, and says so to itself alone.
  const page = await bytes(k.port, `GET /device?code=%3Cscript%3E&next=//evil.example HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  assert.match(page, /^HTTP\/1.1 200 /);
  assert.match(page, /content-security-policy: default-src 'none';[^\r]*form-action 'none'; frame-ancestors 'none'/i);
  assert.ok(!/location:|evil\.example/i.test(page) && !page.includes('<script>&'));
  assert.match(await bytes(k.port, `POST /v1/device/code HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Type: application/json\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{"client_name":"x"}`), /^HTTP\/1.1 403 /);
  assert.match(await bytes(k.port, `POST /v1/device/code HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{"client_name":"x"}`), /^HTTP\/1.1 415 /);
});

test('without a key: one address cannot fill up the logins that wait', async (t) => {
  const k = await startServe(t, { args: ['--offline', '--trust-proxy'] });
  const from = (ip) => new Client(k).call('POST', '/v1/device/code', [], { body: { client_name: 'flood' }, headers: { 'x-forwarded-for': ip } });
  const c = new Client(k, k.key);
  const waits = async (rs) => (await Promise.all(rs.map((r) => c.call('GET', '/v1/device/{user_code}', [r.body.user_code])))).filter((r) => r.status === 200).length;
  const mine = await from('192.0.2.7');
  // One address has its own places: its oldest goes, nobody else's.
  const flood = await Promise.all([...Array(300)].map(() => from('192.0.2.66')));
  assert.deepEqual(tally(flood.map((r) => r.status)), { 200: 300 });
  assert.equal(await waits(flood), 20);
  // A whole /64 is one address.
  const six = await Promise.all([...Array(60)].map((_, i) => from(`2001:db8:0:7::${(i + 1).toString(16)}`)));
  assert.equal(await waits(six), 20);
  assert.equal(await waits(await Promise.all([from('2001:db8:0:8::1')])), 1);
  // Sixty addresses fill the table; who waits with one login keeps it, and one that was approved stays.
  const approved = await from('192.0.2.8');
  assert.equal((await c.call('POST', '/v1/device/{user_code}', [approved.body.user_code], { body: { approve: true } })).status, 204);
  for (let i = 0; i < 60; i++) await Promise.all([...Array(20)].map(() => from(`198.51.100.${i}`)));
  assert.equal(await waits([mine]), 1, 'mine still waits');
  assert.equal(await waits([await from('192.0.2.9')]), 1, 'somebody else may sign in');
  assert.match((await c.call('POST', '/v1/device/token', [], { body: { device_code: approved.body.device_code } })).body.key, /^kt_live_/);
});

test('signing in a machine: what the person who approves sees, and the key that ends', async (t) => {
  const k = await startServe(t, { args: ['--offline', '--trust-proxy'] });
  const c = new Client(k, k.key);
  const begin = (client_name, more = {}) => new Client(k).call('POST', '/v1/device/code', [], { body: { client_name, ...more }, headers: { 'x-forwarded-for': '203.0.113.9' } });
  for (const name of ['', ' ', '  ', '\u00a0', '\u3164', '\u200b', 'a\u200bb', 'a\u202eb', '\u2066a', 'a\u00adb', 'a\ufe0f', 'a\u{e0041}', 'a\u0007', 'a\u009b', ' a', 'a ', 'a\nb', 'x'.repeat(101)]) {
    assert.equal((await begin(name)).status, 422, JSON.stringify(name));
    assert.equal((await c.call('POST', '/v1/keys', [], { body: { name, scopes: ['read'] } })).status, 422, JSON.stringify(name));
  }
  const codes = (await begin('Zoë’s laptop 💻')).body;
  assert.equal(codes.address, '203.0.113.9');
  for (const code of [codes.user_code, codes.user_code.toLowerCase(), codes.user_code.replace('-', ' ')]) {
    const asked = (await c.call('GET', '/v1/device/{user_code}', [code])).body;
    assert.deepEqual({ ...asked, key_expires_at: null }, { user_code: codes.user_code, client_name: 'Zoë’s laptop 💻', address: '203.0.113.9', scopes: ['read', 'write'], created_at: codes.created_at, key_expires_at: null });
  }
  // What only looks like it is another code: Greek, Cyrillic, full width, with something unseen inside.
  for (const [a, b] of [['B', '\u0392'], ['C', '\u0421'], ['H', '\u041d'], ['K', '\uff2b'], ['-', '\u2010'], ['-', '\u200b-']]) {
    const code = codes.user_code.replace(a, b);
    if (code !== codes.user_code) assert.equal((await c.call('GET', '/v1/device/{user_code}', [code])).status, 404, JSON.stringify(code));
  }
  await c.call('POST', '/v1/device/{user_code}', [codes.user_code], { body: { approve: true } });
  assert.deepEqual((await audit(c, 1))[0].detail, { client_name: 'Zoë’s laptop 💻', address: '203.0.113.9' });
  const got = (await new Client(k).call('POST', '/v1/device/token', [], { body: { device_code: codes.device_code } })).body;
  const days = (Date.parse(got.expires_at) - Date.now()) / 86400e3;
  assert.ok(days > 89.9 && days < 90.1, got.expires_at);
  const machine = new Client(k, got.key);
  assert.equal((await machine.call('GET', '/v1/whoami')).body.key.expires_at, got.expires_at);
  assert.equal((await machine.call('GET', '/v1/audit')).status, 403);
  // It revokes itself, and no other one.
  const other = await newKey(c, ['read']);
  assert.equal((await machine.call('DELETE', '/v1/keys/{key_id}', [other.id])).status, 403);
  assert.equal((await machine.call('DELETE', '/v1/keys/{key_id}', [got.id])).status, 204);
  assert.equal((await machine.call('GET', '/v1/whoami')).status, 401);
});

/* --- more than a key may ----------------------------------------------------------------- */

test('a key to write: the token of a repository stays with its server, and this machine is none', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  const w = new Client(k, (await newKey(c, ['read', 'write'])).key);
  await c.call('POST', '/agent_projects', [], { body: { slug: 'bot' } });
  const held = () => sql(k.data, 'SELECT length(repo_token) FROM projects WHERE slug = ?', 'bot')[0][0];
  await c.call('PATCH', P, ['bot'], { body: { repo_url: 'https://github.com/acme/bot', repo_token: 'ghp_abcdefgh0123456789', webhook_secret: 's1' } });
  assert.ok(held() > 0);
  assert.equal((await w.call('PATCH', P, ['bot'], { body: { repo_url: 'https://github.com/acme/other' } })).status, 200);
  assert.ok(held() > 0, 'another repository of the same server');
  // Whoever may write must not be able to have it sent to himself.
  assert.equal((await w.call('PATCH', P, ['bot'], { body: { repo_url: 'https://evil.example/acme/bot', webhook_secret: 's2' } })).status, 200);
  assert.equal(held(), null);
  assert.equal((await audit(c, 1))[0].detail.repo_token, 'removed');

  // What listens on this machine only trusts this machine.
  let asked = 0;
  const inner = http.createServer((rq, rs) => { asked++; rs.end('internal'); }).listen(0, '127.0.0.1');
  t.after(() => inner.close());
  await once(inner, 'listening');
  for (const host of ['http://127.0.0.1', 'http://localhost', 'https://127.0.0.1', 'http://[::1]', 'http://x.localhost', 'http://127.1', 'http://2130706433'])
    assert.equal((await w.call('PATCH', P, ['bot'], { body: { repo_url: `${host}:${inner.address().port}/acme/bot`, webhook_secret: 's3' } })).status, 422, host);
  const push = JSON.stringify({ ref: 'refs/heads/main', after: SHA, repository: { full_name: 'acme/bot' } });
  await new Client(k).call('POST', '/webhooks/github', [], { raw: push, headers: { 'content-type': 'application/json', 'x-github-event': 'push', 'x-github-delivery': 'd1',
    'x-hub-signature-256': `sha256=${createHmac('sha256', 's3').update(push).digest('hex')}` } });
  await sleep(500);
  assert.equal(asked, 0);
});

test('a key to write: no way to what an administrator does', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  const w = new Client(k, (await newKey(c, ['read', 'write'])).key);
  const v1 = (await publish(c, 'bot', archive(t, { 'note.txt': '1' }))).body;
  await publish(c, 'bot', archive(t, { 'note.txt': '2' }));
  await c.call('PATCH', `${P}/config`, ['bot'], { body: { set: { SECRET: 'hidden-value-0123' } } });
  const codes = (await new Client(k).call('POST', '/v1/device/code', [], { body: { client_name: 'x', scopes: ['admin'] } })).body;
  for (const [method, route, values, body] of [['POST', '/v1/keys', [], { name: 'x', scopes: ['read'] }], ['DELETE', '/v1/keys/{key_id}', ['key_x']], ['GET', '/v1/audit', []],
    ['GET', '/v1/audit/verify', []], ['POST', `${P}/rollback`, ['bot'], {}], ['PUT', `${P}/pin`, ['bot'], {}], ['DELETE', `${P}/pin`, ['bot']], ['DELETE', P, ['bot']],
    ['GET', '/v1/device/{user_code}', [codes.user_code]], ['POST', '/v1/device/{user_code}', [codes.user_code], { approve: true }], ['POST', '/agent_projects', [], { slug: 'dir', dir: '/tmp' }]])
    assert.equal((await w.call(method, route, values, body ? { body } : {})).status, 403, `${method} ${route}`);
  assert.deepEqual((await w.call('GET', `${P}/config`, ['bot'])).body.vars, { SECRET: null });
  const back = (await c.call('POST', `${P}/rollback`, ['bot'], { body: { version: 'v1' } })).body;
  assert.equal(back.pinned, true);
  // A pin holds the code, against publishing, activating and deploying; who may not set it may not end it.
  assert.equal((await publish(w, 'bot', archive(t, { 'note.txt': '3' }), '?activate=true&force=true')).status, 409);
  assert.equal((await publish(w, 'bot', archive(t, { 'note.txt': '3' }), '?unpin=true')).status, 403);
  assert.equal((await publish(w, 'bot', archive(t, { 'note.txt': '3' }), '?activate=false')).body.activated, false);
  assert.equal((await w.call('POST', `${P}/activate`, ['bot'], { body: { version: 'v2' } })).status, 409);
  await w.call('PATCH', `${P}/config`, ['bot'], { body: { set: { OTHER: 'x' } } });
  const current = async () => (await c.call('GET', `${P}/releases/{version}`, ['bot', 'current'])).body;
  const live = await eventually(async () => { const r = await current(); return r.source === 'config' && r; }, 'the release of the configuration');
  assert.deepEqual([live.digest, live.source, live.pinned], [v1.digest, 'config', true]);
  for (const name of ['LD_PRELOAD', 'KARTA_API_KEY', 'A=B', '', 'A\nB', '1A'])
    assert.equal((await w.call('POST', `${P}/releases`, ['bot'], { body: { digest: v1.digest, env: { [name]: 'x' } } })).status, 422, JSON.stringify(name));
});

test('a decision about a login is one: of two at once, one hears that it came too late', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  for (let i = 0; i < 5; i++) {
    const codes = (await c.call('POST', '/v1/device/code', [], { body: { client_name: 'x' } })).body;
    const before = (await audit(c, 1))[0].seq;
    const said = await Promise.all([true, false, true].map((approve) => c.call('POST', '/v1/device/{user_code}', [codes.user_code], { body: { approve } })));
    assert.deepEqual(said.map((r) => r.status).sort(), [204, 404, 404]);
    const approved = said[0].status === 204 || said[2].status === 204;
    const got = await c.call('POST', '/v1/device/token', [], { body: { device_code: codes.device_code } });
    assert.equal(got.status, approved ? 200 : 400);
    const rows = (await audit(c, 5)).filter((a) => a.seq > before && a.action.startsWith('login.'));
    assert.deepEqual(rows.map((a) => a.action), [approved ? 'login.approve' : 'login.deny']);
  }
});

/* --- hostile publishing ------------------------------------------------------------------ */

test('publishing: repeated with variables it is one release, and no value is kept to compare', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  await publish(c, 'bot', archive(t));
  const manifest = await manifestOf(c);
  const send = (env) => c.call('POST', `${P}/releases`, ['bot'], { body: { manifest, env }, headers: { 'idempotency-key': 'once' } });
  const first = await send({ PIN: '1234', OTHER: 'x' });
  assert.equal(first.status, 201, first.text);
  const again = await send({ PIN: '1234', OTHER: 'x' });
  assert.deepEqual([again.status, again.body.version], [201, first.body.version], again.text);
  assert.deepEqual(await send({ PIN: '4321', OTHER: 'x' }).then((r) => [r.status, r.body.code]), [422, 'idempotency_mismatch']);
});

test('publishing: no more builds wait than may, however many come at once', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  await publish(c, 'bot', archive(t));
  const manifest = await manifestOf(c);
  const send = () => c.call('POST', `${P}/releases`, ['bot'], { body: { manifest }, headers: { prefer: 'respond-async' } });
  const codes = [];
  let most = 0;
  const all = [...Array(400)].map(() => send().then((r) => codes.push(r.body.code ?? r.status)));
  for (let i = 0; i < 10; i++) {
    const list = (await c.call('GET', `${P}/releases`, ['bot'], { query: '?limit=200' })).body.data;
    most = Math.max(most, list.filter((r) => r.state === 'queued' || r.state === 'building').length);
  }
  await Promise.all(all);
  const list = (await c.call('GET', `${P}/releases`, ['bot'], { query: '?limit=200' })).body.data;
  most = Math.max(most, list.filter((r) => r.state === 'queued' || r.state === 'building').length);
  assert.ok(most <= 101, `${most} wait; ${JSON.stringify(tally(codes))}`);
  assert.deepEqual(Object.keys(tally(codes)).filter((x) => x !== '202' && x !== 'too_many_builds'), []);
});

test('publishing: names, messages and numbers of releases do no harm', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  await publish(c, 'bot', archive(t), `?commit_sha=${SHA}&ref=main`);
  const manifest = await manifestOf(c);
  const message = `x${'é'.repeat(900)}`;
  const deploy = (await c.call('POST', `${P}/deploys`, ['bot'], { body: { commit_sha: SHA, message } })).body.deploy;
  const kept = (await c.call('GET', `${P}/releases/{version}`, ['bot', deploy.id])).body.message;
  assert.ok(message.startsWith(kept), 'cut between two characters');
  for (const ref of ['refs/heads/a\r\nx: y', 'refs/heads/..', 'refs/heads/-x y', 'refs/heads/a\u001b[2J', 'a'.repeat(300), 'refs/heads/a.lock\\'])
    assert.equal((await c.call('POST', `${P}/releases`, ['bot'], { body: { manifest, ref } })).status, 422, JSON.stringify(ref));
  const hidden = (await c.call('POST', `${P}/releases`, ['bot'], { body: { manifest, message: 'a\r\nSet-Cookie: x=y\u001b]0;title\u0007' } }));
  assert.equal(hidden.headers['set-cookie'], undefined);
  for (const body of ['{"manifest":"","manifest":""}', '{"pr":9223372036854775808}', '{"pr":-1}', `{"digest":"${'f'.repeat(64)}"}`, `{"digest":"../${'f'.repeat(61)}"}`, '{"base":"x","delta":1}',
    '[]', 'null', '"x"', '{"env":[]}', '{"env":{"A":"\\u0000"}}', `${'['.repeat(5000)}`, '{"manifest":"100644 1 ../../x\\n"}', `{"manifest":"100644 99999999999999999999 ${'a'.repeat(64)} x\\n"}`,
    `{"manifest":"100644 3 ${'a'.repeat(64)} .git/hooks/x\\n"}`, `{"manifest":"100644 3 ${'a'.repeat(64)} /etc/passwd\\n"}`, `{"manifest":"104755 3 ${'a'.repeat(64)} x\\n"}`]) {
    const r = await c.call('POST', `${P}/releases`, ['bot'], { raw: body });
    assert.ok([400, 409, 422].includes(r.status), `${body.slice(0, 60)}: ${r.status} ${r.text.slice(0, 200)}`);
  }
  for (const query of ['before=v99999999999999999999', 'before=-1', 'limit=99999999999999999999', 'limit=0'])
    assert.equal((await c.call('GET', `${P}/releases`, ['bot'], { query: `?${query}` })).status, 400, query);
  for (const query of ['since=106751991167d', 'since=9223372036854775807ms', 'since=99999999999d', 'until=99999999999d', 'since=9223372036854775s'])
    assert.ok([200, 400].includes((await c.call('GET', `${P}/logs`, ['bot'], { query: `?${query}&follow=0` })).status), query);
  assert.deepEqual((await c.call('GET', `${P}/logs`, ['bot'], { query: '?until=99999999999d&follow=0' })).lines ?? [], []);
  for (const version of ['v0', 'v-1', 'v9223372036854775808', 'v1x', 'V1', 'rel_', '%00', 'v1/../v2'])
    assert.ok([400, 404].includes((await c.call('GET', `${P}/releases/{version}`, ['bot', version])).status), version);
});

test('publishing: archives that are being made do not keep a publish waiting', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  await publish(c, 'held', archive(t, { 'held.txt': 'a text to be held' }));
  const release = hold(k.data, 'a text to be held');
  const held = await heldArchives(k, k.key, 'held');
  assert.equal((await publish(c, 'bot', archive(t))).status, 201);
  // A document of more than a request may have comes in a file, and is refused as any other.
  const line = (i) => `100644 1 ${'a'.repeat(64)} ${String(i).padStart(20, 'x')}\n`;
  const raw = JSON.stringify({ manifest: Array.from({ length: 30000 }, (_, i) => line(i)).join('') });
  const refused = await c.call('POST', `${P}/releases`, ['bot'], { raw });
  assert.equal(refused.body.code, 'invalid_manifest', refused.text);
  const many = await c.call('POST', `${P}/releases`, ['bot'], { raw: `{"manifest":"","x":[${'[],'.repeat(1 << 20)}1]}` });
  assert.deepEqual([many.status, many.body.code], [413, 'too_large']);
  assert.match(many.body.detail, /over 20000 values/);
  release();
  await Promise.all(held);
});

test('publishing: archives of one organization do not keep the others from working', async (t) => {
  const first = await startServe(t, OFFLINE);
  let c = new Client(first, first.key);
  const theirs = await newKey(c, ['read', 'write', 'admin']);
  await first.stop();
  secondOrganization(first.data, [theirs.id]);
  const k = await startServe(t, { data: first.home, ...OFFLINE });
  c = new Client(k, k.key);
  const o = new Client(k, theirs.key);
  await publish(o, 'big', archive(t, { 'held.txt': 'a text to be held' }));
  const release = hold(k.data, 'a text to be held');
  const held = await heldArchives(k, theirs.key, 'big');
  const more = await Promise.all([...Array(20)].map(() => o.call('GET', `${P}/releases/{version}/archive`, ['big', 'v1'])));
  assert.deepEqual(tally(more.map((r) => r.body?.code ?? r.status)), { too_many_archives: 20 });
  assert.equal((await publish(c, 'bot', archive(t))).status, 201);
  assert.equal((await c.call('GET', `${P}/releases/{version}/archive`, ['bot', 'v1'])).status, 200);
  release();
  await Promise.all(held);
  assert.equal((await o.call('GET', `${P}/releases/{version}/archive`, ['big', 'v1'])).status, 200);
});

/* --- races ------------------------------------------------------------------------------- */

test('races: revoked while reading, renamed and deleted while pushing, two servers', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  await publish(c, 'bot', archive(t));
  const manifest = await manifestOf(c);
  const r = await newKey(c, ['read']);
  const session = (await c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'], { body: {} })).body;
  const streams = await Promise.all(['/agent_projects/bot/logs', '/agent_projects/bot/logs?level=info', `/v1/sessions/${session.id}/events`].map((at) => new Promise((done, fail) => {
    http.get(k.url + at, { headers: { authorization: `Bearer ${r.key}`, accept: 'text/event-stream' } }, done).on('error', fail);
  })));
  const ends = streams.map((s) => { assert.equal(s.statusCode, 200); s.resume(); return once(s, 'close'); });
  await c.call('DELETE', '/v1/keys/{key_id}', [r.id]);
  assert.equal((await new Client(k, r.key).call('GET', '/v1/whoami')).status, 401, 'at once');
  await within(Promise.all(ends), 'the end of the streams of a revoked key');

  const send = (name) => c.call('POST', `${P}/releases`, [name], { body: { manifest } });
  const said = await Promise.all([...Array(20)].flatMap((_, i) => [send('bot'), ...(i === 5 ? [c.call('PATCH', P, ['bot'], { body: { slug: 'bot2' } })] : []), ...(i === 12 ? [c.call('DELETE', P, ['bot2'])] : [])]));
  for (const x of said) assert.ok(x.status < 500 || x.body.code === 'not_building', x.text);
  assert.equal((await c.call('GET', '/v1/audit/verify')).body.ok, true);
  const second = spawnSync(KARTA, ['serve', '--offline', '--listen', '127.0.0.1:0', '--data', k.data], { encoding: 'utf8', timeout: PATIENCE_MS });
  assert.ok(second.status > 0 && /another server uses/.test(second.stderr), second.stderr);
  const fsck = spawnSync(KARTA, ['fsck', '--data', k.data], { encoding: 'utf8' });
  assert.equal(fsck.status, 0, fsck.stdout + fsck.stderr);
});

test('every change has one row in the audit log, and no row has a secret', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  const seen = async (actions, ...args) => {
    const before = (await audit(c, 1))[0].seq;
    const r = await c.call(...args);
    assert.ok(r.status < 300, `${args[0]} ${args[1]}: ${r.text.slice(0, 300)}`);
    const rows = await eventually(async () => { const now = (await audit(c, 20)).filter((a) => a.seq > before); return now.length >= actions.length && now; }, `${args[0]} ${args[1]}`);
    assert.deepEqual(rows.map((a) => a.action).reverse(), actions, `${args[0]} ${args[1]}`);
    return r.body;
  };
  await seen(['project.create'], 'POST', '/agent_projects', [], { body: { slug: 'bot' } });
  await publish(c, 'bot', archive(t), `?commit_sha=${SHA}&ref=main`);
  await publish(c, 'bot', archive(t, { 'a.txt': '2' }));
  const key = await seen(['key.create'], 'POST', '/v1/keys', [], { body: { name: 'x', scopes: ['read'] } });
  await seen(['key.revoke'], 'DELETE', '/v1/keys/{key_id}', [key.id]);
  await seen(['project.update'], 'PATCH', P, ['bot'], { body: { repo_url: 'https://github.com/a/b', repo_token: 'canary-token-0001', webhook_secret: 'canary-hook-0002' } });
  await seen(['project.rename'], 'PATCH', P, ['bot'], { body: { slug: 'bot2' } });
  await seen(['release.rollback'], 'POST', `${P}/rollback`, ['bot2'], { body: { version: 'v1', reason: 'r' } });
  await seen(['project.unpin'], 'DELETE', `${P}/pin`, ['bot2']).catch((e) => assert.match(e.message, /unpin/));
  await seen(['release.activate'], 'POST', `${P}/activate`, ['bot2'], { body: { version: 'v2' } });
  await seen(['config.change', 'release.create', 'release.activate'], 'PATCH', `${P}/config`, ['bot2'], { body: { set: { A: 'canary-value-0003' } } });
  await seen(['release.create', 'release.activate'], 'POST', `${P}/deploys`, ['bot2'], { body: { commit_sha: SHA } });
  const manifest = await manifestOf(c, 'bot2');
  await seen(['release.create', 'preview.create'], 'POST', `${P}/releases`, ['bot2'], { body: { manifest, ref: 'try', env: { B: 'canary-env-0004' } } });
  await seen(['preview.end', 'ref.delete'], 'DELETE', `${P}/refs`, ['bot2'], { query: '?name=refs/heads/try' });
  await seen(['project.delete'], 'DELETE', P, ['bot2']);
  const rows = JSON.stringify(await audit(c, 100));
  for (const secret of ['canary-', key.key, k.key]) assert.ok(!rows.includes(secret), secret);
  // Nor has anything else on disk, nor the server's own log.
  await k.stop();
  for (const secret of ['canary-token', 'canary-hook', 'canary-value', 'canary-env', key.key, k.key])
    assert.equal(spawnSync('grep', ['-raF', secret, k.data]).status, 1, secret);
  assert.ok(!/canary-|kt_live_\w{10}/.test(k.err));
});

/* --- this machine ------------------------------------------------------------------------ */

test('files: private whatever the umask, not through links, not in an open folder', async (t) => {
  for (const umask of ['000', '077', '022']) {
    const dir = tempDir(t, 'umask');
    const data = path.join(dir, 'data');
    const victim = path.join(dir, 'victim');
    writeFileSync(victim, 'mine', { mode: 0o644 });
    symlinkSync(victim, path.join(dir, 'key'));
    const made = spawnSync('sh', ['-c', `umask ${umask}; exec "$0" serve --init-only --data "$1" --key-file "$2"`, KARTA, data, path.join(dir, 'key')], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    assert.equal(readFileSync(victim, 'utf8'), 'mine', 'the link is replaced, what it leads to stays');
    assert.equal(statSync(path.join(dir, 'key')).mode & 0o777, 0o600);
    const open = execFileSync('find', [data, path.join(dir, 'key'), '-perm', '/077', '!', '-type', 'l', '-printf', '%m %p\n'], { encoding: 'utf8' });
    assert.equal(open, '', `umask ${umask}`);
    const backup = path.join(dir, 'backup.tar');
    const backed = spawnSync('sh', ['-c', `umask ${umask}; exec "$0" serve backup "$1" --data "$2"`, KARTA, backup, data], { encoding: 'utf8' });
    assert.equal(backed.status, 0, backed.stderr);
    assert.equal(statSync(backup).mode & 0o777, 0o600);
    symlinkSync(victim, path.join(dir, 'b2.tar'));
    assert.ok(spawnSync(KARTA, ['serve', 'backup', path.join(dir, 'b2.tar'), '--data', data]).status > 0);
    assert.equal(readFileSync(victim, 'utf8'), 'mine');
    chmodSync(data, 0o777);
    const refused = spawnSync(KARTA, ['serve', '--init-only', '--data', data], { encoding: 'utf8' });
    assert.ok(refused.status > 0 && /others may write/.test(refused.stderr), refused.stderr);
  }
});

test('a folder that is served: pipes, devices and links in it are not waited for', async (t) => {
  const k = await startServe(t, OFFLINE);
  const c = new Client(k, k.key);
  const cases = {
    pipe: ['AGENTS.md', 'karta.toml', '.env', 'karta.jsonc', '.claude/agents/a.md', '.claude/skills/s/SKILL.md', 'rehearsals/a.jsonl'],
    zero: ['AGENTS.md', 'karta.toml', '.env', '.claude/agents/a.md'],
    environ: ['.env', 'AGENTS.md'],
  };
  for (const [kind, names] of Object.entries(cases)) {
    const dir = tempDir(t, `folder-${kind}`);
    writeFiles(dir, { 'AGENTS.md': 'x\n' });
    for (const name of names) {
      const at = path.join(dir, name);
      mkdirSync(path.dirname(at), { recursive: true });
      spawnSync('rm', ['-f', at]);
      if (kind === 'pipe') execFileSync('mkfifo', [at]);
      else symlinkSync(kind === 'zero' ? '/dev/zero' : '/proc/self/environ', at);
    }
    // A request that waited would be given up by the client.
    assert.equal((await c.call('POST', '/agent_projects', [], { body: { slug: kind, dir } })).status, 201);
    const said = await Promise.all([c.call('POST', '/v1/projects/{project_ref}/sessions', [kind], { body: {} }), c.call('GET', '/v1/projects/{project_ref}/agents', [kind])]);
    for (const r of said) assert.ok(r.status < 500 && !r.text.includes('PATH='), r.text.slice(0, 300));
    assert.equal((await new Client(k).call('GET', '/healthz')).status, 200);
  }
});

/* --- the command line -------------------------------------------------------------------- */

/* A server that keeps what it was asked and answers all the same. */
async function trap(t, answer = () => [200, '{"data":[],"has_more":false}']) {
  const asked = [];
  const server = http.createServer((rq, rs) => {
    asked.push({ url: rq.url, key: rq.headers.authorization });
    const [status, body, headers = { 'content-type': 'application/json' }] = answer(rq);
    rs.writeHead(status, headers).end(body);
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return { asked, url: `http://localhost:${server.address().port}`, port: server.address().port };
}

test('command line: a repository of another user above does not say where the key goes', { skip: process.getuid() !== 0 && 'needs to give files away' }, async (t) => {
  const { asked, port } = await trap(t);
  const top = tempDir(t, 'shared');
  const cwd = path.join(top, 'work');
  writeFiles(top, { '.git/config': `[remote "karta"]\n\turl = karta::http://localhost:${port}/bot\n`, 'work/x': '' });
  const env = { HOME: cwd, KARTA_API_KEY: `kt_live_${'a'.repeat(38)}` };
  const own = await karta(['projects'], { cwd, env });
  assert.equal(own.code, 0, own.stderr);
  assert.equal(asked.length, 1, 'of the same user it does');
  for (const file of ['.git/config', '.git']) chownSync(path.join(top, file), 65534, 65534);
  await karta(['projects'], { cwd, env });
  await karta(['logs', '-p', 'bot'], { cwd, env });
  assert.equal(asked.length, 1, JSON.stringify(asked));
});

test('command line: a download does not follow what somebody laid in its way', async (t) => {
  const { url } = await trap(t, () => [200, 'archive', { 'content-type': 'application/gzip', 'content-disposition': 'attachment; filename="../../evil"' }]);
  const cwd = tempDir(t, 'download');
  const env = { HOME: cwd, KARTA_SERVER: url, KARTA_API_KEY: `kt_live_${'a'.repeat(38)}` };
  writeFileSync(path.join(cwd, 'victim'), 'mine');
  linkSync(path.join(cwd, 'victim'), path.join(cwd, 'bot-v1.tar.gz.part'));
  const linked = await karta(['releases', 'download', 'v1', '-p', 'bot'], { cwd, env });
  assert.equal(readFileSync(path.join(cwd, 'victim'), 'utf8'), 'mine', linked.stderr);
  spawnSync('rm', ['-f', path.join(cwd, 'bot-v1.tar.gz.part'), path.join(cwd, 'bot-v1.tar.gz')]);
  execFileSync('mkfifo', [path.join(cwd, 'bot-v1.tar.gz.part')]);
  const piped = await karta(['releases', 'download', 'v1', '-p', 'bot'], { cwd, env });
  assert.deepEqual([piped.code, piped.signal], [0, null], piped.stderr);
  assert.equal(readFileSync(path.join(cwd, 'bot-v1.tar.gz'), 'utf8'), 'archive');
  assert.ok(!existsSync(path.join(cwd, '..', 'evil')));
});

test('command line: what a server says cannot reach the terminal as commands, nor a redirect the key', async (t) => {
  const ESC = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e\r';
  const odd = (v) => (typeof v === 'string' ? `${v}${ESC}` : v);
  const release = { id: 'rel_x', project: 'bot', version: odd('v1'), state: odd('active'), digest: 'a'.repeat(64), kind: odd('file_copy'), harness: odd('claude'), commit_sha: odd(SHA), ref: odd('refs/heads/x'),
    message: odd('m'), source: odd('git'), preview: odd('p'), url: odd('http://x'), created_by: odd('me'), created_at: odd('2026-01-01T00:00:00Z'), error: { code: odd('x'), message: odd('m') }, active: true, files: 1, bytes: 1 };
  const key = { id: odd('key_x'), name: odd('n'), prefix: odd('kt_live_abc'), last4: odd('abcd'), scopes: [odd('read')], created_at: odd('2026-01-01T00:00:00Z'), created_by: odd('x'), last_used_at: odd('x') };
  const project = { id: odd('proj_x'), slug: odd('bot'), org: odd('o'), url: odd('http://x'), kind: odd('release'), harness: odd('claude'), production_ref: odd('refs/heads/main'), pinned: true, pin_reason: odd('r'),
    repo_url: odd('https://x'), current: { release: odd('rel_x'), version: odd('v1') }, previews: [{ label: odd('l'), url: odd('u'), ref: odd('r'), version: odd('v1'), expires_at: odd('x') }], created_at: odd('x') };
  const entry = { seq: 1, at: odd('2026-01-01T00:00:00Z'), actor: odd('a'), actor_name: odd('n'), action: odd('x'), object: odd('o'), detail: { [odd('k')]: odd('v') }, request_id: odd('r'), remote_ip: odd('i'), hash: odd('h') };
  const log = JSON.stringify({ type: 'log', seq: 1, timestamp: 1, data: { level: odd('info'), source: odd('build'), release: odd('v1'), session_id: odd('s'), text: odd('text') } });
  const answers = [
    [/\/logs/, () => [200, `${log}\n`, { 'content-type': 'application/x-ndjson' }]],
    [/\/manifest/, () => [200, `100644 1 ${'a'.repeat(64)} x${ESC}\n`, { 'content-type': 'text/plain' }]],
    [/\/releases\/[^/]+$/, () => [200, JSON.stringify(release)]],
    [/\/releases/, () => [200, JSON.stringify({ data: [release], has_more: true })]],
    [/\/config/, () => [200, JSON.stringify({ version: 1, vars: { [odd('A')]: odd('b') } })]],
    [/\/keys/, () => [200, JSON.stringify({ data: [key] })]],
    [/\/audit\/verify/, () => [200, JSON.stringify({ ok: false, entries: 1, first_bad: 1, head: odd('h') })]],
    [/\/audit/, () => [200, JSON.stringify({ data: [entry], has_more: true })]],
    [/\/agent_projects$/, () => [200, JSON.stringify({ data: [project] })]],
    [/\/agent_projects\/bot$/, () => [200, JSON.stringify(project)]],
    [/./, () => [404, JSON.stringify({ code: odd('x'), detail: odd('no'), title: odd('t'), request_id: odd('r') })]],
  ];
  const { url } = await trap(t, (rq) => answers.find(([at]) => at.test(rq.url.split('?')[0]))[1]());
  const cwd = tempDir(t, 'terminal');
  const pty = (args) => new Promise((done) => {
    const child = execFile('script', ['-qec', `${KARTA} ${args} --server ${url} --color never`, '/dev/null'], { cwd, encoding: 'latin1', timeout: PATIENCE_MS,
      env: { PATH: process.env.PATH, HOME: cwd, TERM: 'dumb', KARTA_API_KEY: `kt_live_${'a'.repeat(38)}`, ASAN_OPTIONS: 'detect_leaks=0' } }, (e, stdout) => done(stdout));
    child.stdin.end();
  });
  const shown = [];
  for (const args of ['projects', 'projects show bot', 'releases -p bot', 'releases show v1 -p bot', 'releases diff v1 v2 -p bot', 'config -p bot', 'config get A -p bot', 'keys', 'audit', 'audit verify', 'logs -p bot',
    'logs -p bot --json', 'releases -p bot --json', 'releases rollback -p bot --yes', 'sessions -p bot', 'whoami', 'releases show v1 -p bot --json']) {
    const out = await pty(args);
    if (out.includes('owned')) shown.push(args);
    assert.ok(!/\x1b|\x07|\xc2\x9b|\xe2\x80\xae|\r(?!\n)/.test(out), `${args}: ${JSON.stringify(out).slice(0, 600)}`);
  }
  assert.ok(shown.length >= 10, `only ${shown} showed anything of it`);
  const elsewhere = await trap(t);
  const { url: from } = await trap(t, () => [302, '', { location: `${elsewhere.url}/agent_projects` }]);
  for (const args of [['projects'], ['releases', '-p', 'bot'], ['logs', '-p', 'bot'], ['releases', 'download', 'v1', '-p', 'bot']]) await karta(args, { cwd, env: { HOME: cwd, KARTA_SERVER: from, KARTA_API_KEY: `kt_live_${'a'.repeat(38)}` } });
  assert.deepEqual(elsewhere.asked, []);
});

test('git: hostile repositories, addresses and settings run nothing and ship nothing', async (t) => {
  const k = await startServe(t, OFFLINE);
  const cwd = tempDir(t, 'repo');
  const env = { PATH: `${path.dirname(KARTA)}:${process.env.PATH}`, HOME: cwd, KARTA_API_KEY: k.key, GIT_CONFIG_NOSYSTEM: '1', ASAN_OPTIONS: 'detect_leaks=0' };
  const git = (args, input = '') => new Promise((done) => {
    const child = execFile('git', args, { cwd, env, timeout: PATIENCE_MS }, (e, stdout, stderr) => done({ code: child.exitCode, stdout: stdout.trim(), stderr }));
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(input);
  });
  await git(['init', '-q', '-b', 'main']);
  for (const [name, value] of [['user.email', 'a@b'], ['user.name', 'x'], ['core.fsmonitor', 'touch owned'], ['core.pager', 'touch owned'], ['filter.x.clean', 'touch owned; cat'],
    ['filter.x.smudge', 'touch owned; cat'], ['credential.helper', '!touch owned'], ['core.sshCommand', 'touch owned']]) await git(['config', name, value]);
  writeFiles(cwd, { 'karta.toml': 'name = "bot"\n[harness]\ntype = "acp"\ncommand = ["x"]\n', 'AGENTS.md': 'x\n', '.gitattributes': '* filter=x\n' });
  // What git itself runs is its own affair.
  await git(['-c', 'core.fsmonitor=', '-c', 'filter.x.clean=cat', 'add', '.']);
  await git(['-c', 'core.fsmonitor=', '-c', 'filter.x.clean=cat', 'commit', '-qm', 'one \u001b]0;x\u0007']);
  spawnSync('rm', ['-f', path.join(cwd, 'owned')]);
  await git(['remote', 'add', 'karta', `karta::http://localhost:${k.port}/bot`]);
  const pushed = await git(['push', 'karta', 'main']);
  assert.equal(pushed.code, 0, pushed.stderr);
  assert.ok(!existsSync(path.join(cwd, 'owned')) && !pushed.stderr.includes('\u001b]'));
  for (const url of ['karta::-x', 'karta://-oProxyCommand=x/y', 'karta::http://localhost:1/a%0ab', 'karta::https://localhost/..', 'karta::ext::sh -c touch% owned', 'karta::file:///etc/passwd', 'karta::http://evil.example/x',
    `karta::http://localhost:${k.port}/bot?x`, `karta::http://localhost:${k.port}/--help`])
    assert.ok((await git(['push', url, 'main'])).code > 0, url);
  const blob = async (text) => (await git(['hash-object', '-w', '--stdin'], text)).stdout;
  const x = await blob('x');
  const entries = { escape: `100644 blob ${x}\t"a\\033]0;x\\007b"`, git: `100644 blob ${x}\t.GIT`, link: `120000 blob ${await blob('/etc/passwd')}\tAGENTS.md`, up: `120000 blob ${await blob('../../x')}\tb`,
    option: `100644 blob ${x}\t-rf`, module: `160000 commit ${SHA}\tsub`, back: `100644 blob ${x}\t"a\\\\b"`, twins: `100644 blob ${x}\tA.md\n100644 blob ${x}\ta.md` };
  for (const [name, entry] of Object.entries(entries)) {
    const tree = (await git(['mktree'], `${entry}\n`)).stdout;
    const commit = (await git(['commit-tree', tree, '-m', 'x'])).stdout;
    assert.match(commit, /^[0-9a-f]{40}$/, name);
    const r = await git(['push', '-f', 'karta', `${commit}:refs/heads/main`]);
    assert.ok(r.code > 0 && /remote rejected/.test(r.stderr) && !r.stderr.includes('\u001b]'), `${name}: ${r.stderr}`);
  }
  assert.ok(!existsSync(path.join(cwd, 'owned')));
  assert.equal((await new Client(k, k.key).call('GET', P, ['bot'])).body.current.version, 'v1');
});
