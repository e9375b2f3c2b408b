// SPDX-License-Identifier: MIT
// The life of `karta serve`: how it starts (settings, sockets of a service manager, folders it refuses), goes on
// (reload, proxies, backups under load) and ends (draining, at once).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { KARTA, eventually, seconds, sleep, slowed, tempDir, within, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';
import { clean, fakeFiles, finished, user } from './user.mjs';

const P = '/agent_projects/{project_ref}';
const V = '/v1/projects/{project_ref}';
const ASYNC = { prefer: 'respond-async' };
const SSE = { accept: 'text/event-stream' };
const ENV = { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR ?? '/tmp', ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1' };

async function ok(status, c, ...args) {
  const r = await c.call(...args);
  assert.equal(r.status, status, `${args[0]} ${args[1]}: ${r.text.slice(0, 800)}`);
  return r.body;
}
const session = (c, name = 'bot', body = {}) => ok(201, c, 'POST', `${V}/sessions`, [name], { body });
const run = (args, env = {}, opts = {}) => finished(spawn(KARTA, args, { env: { ...ENV, ...env }, stdio: ['pipe', 'pipe', 'pipe'], ...opts }));
/** The bytes of an answer as they came, and whether it was whole. */
const raw = (karta, route, { method = 'GET', body, headers = {} } = {}) => new Promise((done) => {
  let text = '';
  const rq = http.request(karta.url + route, { method, agent: false, headers: { authorization: `Bearer ${karta.key}`, ...(body ? { 'content-type': 'application/json' } : {}), ...headers } }, (r) => {
    r.on('data', (d) => { text += d; });
    r.on('end', () => done({ status: r.statusCode, text, whole: r.complete }));
    r.on('error', () => done({ status: r.statusCode, text, whole: false }));
  });
  rq.on('error', (e) => done({ status: 0, error: e.code, text, whole: false }));
  rq.end(body && JSON.stringify(body));
});

test('SIGTERM: turns, builds and requests are finished, streams end between events, the status is 0', seconds(60), async (t) => {
  // An open question does not end by itself: it is waited for as long.
  const karta = await startServe(t, { env: { KARTA_DRAIN: `${slowed(6)}s` } });
  const c = new Client(karta, karta.key);
  await publish(c, 'bot', archive(t, { n: '1' }));
  const busy = await session(c);
  const asked = await session(c);
  const queued = await session(c);
  const events = raw(karta, `/v1/sessions/${busy.id}/events`, { headers: SSE });
  const logs = raw(karta, '/agent_projects/bot/logs', { headers: SSE });
  const filtered = raw(karta, '/agent_projects/bot/logs?source=turn', { headers: SSE });
  const turn = raw(karta, `/v1/sessions/${busy.id}/messages`, { method: 'POST', body: { text: '[[text:one ]][[sleep:1500]][[text:two]]' } });
  const streamed = raw(karta, `/v1/sessions/${queued.id}/messages`, { method: 'POST', body: { text: 'N=60 GAP=20', stream: true } });
  await ok(202, c, 'POST', `${V}/sessions/{session_id}/messages`, ['bot', asked.id], { body: { text: '[[ask:rm -rf]]' }, headers: ASYNC });
  await eventually(async () => (await c.call('GET', `${V}/sessions/{session_id}`, ['bot', asked.id])).body.pending_input, 'a question');
  await eventually(async () => (await c.call('GET', `${V}/sessions/{session_id}`, ['bot', busy.id])).body.turn?.state === 'running', 'a turn');
  const builds = Array.from({ length: 4 }, (_, i) => publish(c, `built-${i}`, archive(t, Object.fromEntries(Array.from({ length: 100 }, (_, k) => [`f${k}`, `${i}${k}`])))));
  // Requests go on all the time; each is answered whole, refused with a problem, or never taken.
  const answers = [];
  let asking = true;
  const load = Array.from({ length: 20 }, async () => {
    while (asking) {
      const r = await raw(karta, '/agent_projects/bot/releases');
      answers.push(r);
      if (r.error) break;
    }
  });
  await eventually(() => answers.length > 20, 'some answers');
  karta.child.kill('SIGTERM');
  const exited = once(karta.child, 'exit');
  await eventually(() => /stopping/.test(karta.err), 'word of the end');
  const ready = await raw(karta, '/readyz');
  assert.ok(ready.status === 503 || ready.error === 'ECONNREFUSED', JSON.stringify(ready));
  const late = await raw(karta, `/v1/sessions/${busy.id}/messages`, { method: 'POST', body: { text: 'late' } });
  assert.ok(late.error || late.status === 503, JSON.stringify(late));
  const one = await turn;
  assert.deepEqual([one.status, one.whole, JSON.parse(one.text).text], [200, true, 'one two']);
  const two = await streamed;
  assert.ok(two.whole && /event: done/.test(two.text), two.text.slice(-300));
  const published = await Promise.all(builds);
  for (const r of published) assert.ok(r.status === 201 || (r.status === 503 && r.body.code === 'shutting_down'), r.text);
  for (const s of [await events, await logs, await filtered]) {
    assert.ok(s.whole, 'a stream was cut');
    assert.ok(s.text.endsWith('\n\n'), JSON.stringify(s.text.slice(-80)));
    for (const block of s.text.split('\n\n')) for (const l of block.split('\n')) if (l.startsWith('data: ')) JSON.parse(l.slice(6));
  }
  assert.match((await events).text, /event: done/);
  asking = false;
  await Promise.all(load);
  const [code] = await exited;
  assert.equal(code, 0, karta.err);
  for (const a of answers) assert.ok(a.error ? ['ECONNREFUSED', 'ECONNRESET'].includes(a.error) : a.whole && JSON.parse(a.text), JSON.stringify(a));
  await clean(karta.data);
  // What was acknowledged is there; the question that was open has one end.
  const next = await startServe(t, { data: karta.home });
  const d = new Client(next, karta.key);
  for (const [i, r] of published.entries()) {
    const p = await d.call('GET', P, [`built-${i}`]);
    if (r.status === 201) assert.equal(p.body.current.version, 'v1');
  }
  const page = (await ok(200, d, 'GET', `${V}/sessions/{session_id}/events`, ['bot', asked.id], { headers: { accept: 'application/json' } })).data;
  assert.equal(page.filter((e) => e.type === 'done').length, 1);
  assert.equal(await next.stop(), 0);
});

test('a second SIGTERM ends it at once, and nothing is lost by that', seconds(60), async (t) => {
  const karta = await startServe(t, { env: { KARTA_DRAIN: '1h' } });
  const c = new Client(karta, karta.key);
  await publish(c, 'bot', archive(t));
  // The agent has its conversation itself: it is not told again what it was asked.
  await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { FAKE_AGENT_STATE: tempDir(t, 'state') } } });
  await eventually(async () => (await ok(200, c, 'GET', P, ['bot'])).current.version === 'v2', 'v2');
  const s = await session(c);
  await ok(202, c, 'POST', `${V}/sessions/{session_id}/messages`, ['bot', s.id], { body: { text: '[[deaf]]' }, headers: ASYNC });
  await eventually(async () => (await c.call('GET', `${V}/sessions/{session_id}`, ['bot', s.id])).body.turn?.state === 'running', 'a turn');
  const stream = raw(karta, `/v1/sessions/${s.id}/events`, { headers: SSE });
  karta.child.kill('SIGTERM');
  await eventually(() => /stopping/.test(karta.err), 'word of the end');
  await sleep(300);
  assert.equal(karta.child.exitCode, null, 'a running turn was not waited for');
  const exited = once(karta.child, 'exit');
  karta.child.kill('SIGTERM');
  assert.deepEqual(await within(exited, 'the end'), [0, null]);
  await stream;
  await clean(karta.data);
  const next = await startServe(t, { data: karta.home });
  const d = new Client(next, karta.key);
  const page = (await ok(200, d, 'GET', `${V}/sessions/{session_id}/events`, ['bot', s.id], { headers: { accept: 'application/json' } })).data;
  assert.equal(page.filter((e) => e.type === 'done').length, 1);
  assert.equal((await ok(200, d, 'POST', `${V}/sessions/{session_id}/messages`, ['bot', s.id], { body: { text: '[[text:again]]' } })).text, 'again');
  assert.equal(await next.stop(), 0);
});

test('settings: origins, reload with good and bad ones', seconds(60), async (t) => {
  const dir = tempDir(t, 'conf');
  const file = path.join(dir, 'serve.toml');
  const write = (text) => writeFiles(dir, { 'serve.toml': text });
  write('# settings\npreview_life = "5h"\nmax_release_files = 50\nlog = "debug"\n');
  const home = { HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir };
  const shown = JSON.parse((await run(['serve', '--config', file, '--listen', '127.0.0.1:0', '--show-config', '--json'], { ...home, KARTA_LOG: 'warn', KARTA_DRAIN: '7s' })).stdout).settings;
  assert.deepEqual([shown.listen, shown.preview_life, shown.max_release_files, shown.log, shown.drain, shown.trust_proxy].map((s) => [String(s.value), s.origin]), [
    ['127.0.0.1:0', 'flag'], ['5h', `${file}:2`], ['50', `${file}:3`], ['warn', 'KARTA_LOG'], ['7s', 'KARTA_DRAIN'], ['false', 'default']]);
  const text = (await run(['serve', '--show-config', '--config', file], home)).stdout;
  assert.match(text, new RegExp(`^preview_life +=.*5h.*# ${file.replaceAll('.', '\\.')}:2$`, 'm'));
  // What it prints can be read again.
  write(text);
  assert.equal((await run(['serve', '--show-config', '--config', file], home)).status, 0);
  for (const [bad, what] of [['nonsense = 1\n', /serve\.toml:1: unknown setting 'nonsense'/], ['drain = "soon"\n', /drain/], ['listen = [1]\n', /listen/], ['x', /serve\.toml/], ['max_release_files = 0\n', /max_release_files/]]) {
    write(bad);
    const r = await run(['serve', '--config', file, '--data', path.join(dir, 'never')], home);
    assert.equal(r.status, 2, bad);
    assert.match(r.stderr, what);
  }
  assert.ok(!existsSync(path.join(dir, 'never')));

  write('max_release_files = 50\nlog_format = "json"\n');
  const karta = await startServe(t, { args: ['--config', file] });
  const c = new Client(karta, karta.key);
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, `${i}`]));
  assert.equal((await publish(c, 'bot', archive(t, files))).status, 201);
  const reload = async (conf, said) => {
    const from = karta.err.length;
    write(conf);
    karta.child.kill('SIGHUP');
    await eventually(() => said.test(karta.err.slice(from)), String(said));
  };
  const s = await session(c);
  const turn = c.call('POST', `${V}/sessions/{session_id}/messages`, ['bot', s.id], { body: { text: '[[sleep:500]][[text:through]]' } });
  await reload('max_release_files = 10\n', /settings read again/);
  const refused = await publish(c, 'bot', archive(t, files));
  assert.deepEqual([refused.status, refused.body.code], [422, 'archive_refused'], refused.text);
  assert.match(refused.body.detail, /10/);
  for (const [bad, said] of [['max_release_files = "many"\n', /stay as they are: .*max_release_files/], ['nonsense = 1\n', /stay as they are: .*nonsense/], ['=', /stay as they are/]]) {
    await reload(bad, said);
    assert.equal((await publish(c, 'bot', archive(t, files))).status, 422, 'the old settings are gone');
  }
  await reload('listen = "127.0.0.1:9"\nmax_release_files = 60\n', /settings read again/);
  assert.equal((await publish(c, 'bot', archive(t, { ...files, more: '1' }))).status, 201);
  assert.equal((await turn).body.text, 'through');
  // Many at once, and one while it ends.
  for (let i = 0; i < 20; i++) karta.child.kill('SIGHUP');
  await ok(200, c, 'GET', '/agent_projects');
  karta.child.kill('SIGTERM');
  karta.child.kill('SIGHUP');
  assert.equal(await karta.stop(), 0, karta.err);
});

test('a service manager: its sockets, and what it is told', seconds(60), async (t) => {
  const dir = tempDir(t, 'systemd');
  writeFiles(dir, { 'activate.py': `
import os, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', 0)); s.listen(64)
print('port', s.getsockname()[1], flush=True)
if s.fileno() != 3: os.dup2(s.fileno(), 3); s.close()
os.set_inheritable(3, True)
os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1'
os.execv(sys.argv[1], sys.argv[1:])
`, 'notify.py': `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1].replace('@', chr(0), 1) if sys.argv[1][0] == '@' else sys.argv[1])
print('bound', flush=True)
while True: print(s.recv(4096).decode(), flush=True)
` });
  for (const where of [path.join(dir, 'notify.sock'), `@karta-test-${process.pid}`]) {
    const listener = spawn('python3', [path.join(dir, 'notify.py'), where], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => listener.kill('SIGKILL'));
    let told = '';
    listener.stdout.on('data', (d) => { told += d; });
    await eventually(() => told.includes('bound'), 'the notify socket');
    const data = path.join(dir, `data${where[0] === '@' ? 2 : 1}`);
    const key = `${data}.key`;
    const child = spawn('python3', [path.join(dir, 'activate.py'), KARTA, 'serve', '--data', data, '--key-file', key, '--listen', '127.0.0.1:1'],
      { env: { ...ENV, HOME: dir, XDG_CONFIG_HOME: dir, NOTIFY_SOCKET: where }, stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => child.kill('SIGKILL'));
    let out = '';
    let err = '';
    child.stdout.on('data', (d) => { out += d; });
    child.stderr.on('data', (d) => { err += d; });
    // Who connects before it is ready waits, and is answered.
    await eventually(() => /port \d+/.test(out), 'a port');
    const url = `http://127.0.0.1:${/port (\d+)/.exec(out)[1]}`;
    assert.equal((await fetch(`${url}/healthz`)).status, 200, err);
    await eventually(() => /READY=1/.test(told), 'READY=1');
    child.kill('SIGHUP');
    await eventually(() => /RELOADING=1[^]*READY=1/.test(told), 'RELOADING=1');
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, err);
    await eventually(() => /STOPPING=1/.test(told), 'STOPPING=1');
    assert.match(told, /READY=1\s*(MONOTONIC_USEC=\d+\s*)?[^]*RELOADING=1[^]*READY=1[^]*STOPPING=1/);
    assert.doesNotMatch(err, /Sanitizer|runtime error/);
    listener.kill('SIGKILL');
  }
  // Sockets for another process are not taken.
  const other = await startServe(t, { env: { LISTEN_PID: '1', LISTEN_FDS: '1', NOTIFY_SOCKET: path.join(dir, 'nobody.sock') } });
  assert.equal((await fetch(`${other.url}/healthz`)).status, 200);
  assert.equal(await other.stop(), 0);
});

test('folders it does not serve: in use, writable by others, of a newer version, without its key', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  await publish(c, 'bot', archive(t));
  const start = (data, ...more) => run(['serve', '--listen', '127.0.0.1:0', '--data', data, ...more], { HOME: karta.home, XDG_CONFIG_HOME: karta.home });
  const second = await start(karta.data);
  assert.equal(second.status, 6, second.stderr);
  assert.match(second.stderr, /another server uses/);
  assert.equal((await publish(c, 'bot', archive(t, { n: '2' }))).status, 201, 'the first one goes on');
  const taken = await run(['serve', '--listen', `127.0.0.1:${karta.port}`, '--data', path.join(karta.home, 'two'), '--key-file', path.join(karta.home, 'two.key')], { HOME: karta.home });
  assert.equal(taken.status, 6, taken.stderr);
  assert.match(taken.stderr, /choose another with --port/);
  const over = await run(['serve', 'restore', path.join(karta.home, 'none.tar'), '--data', karta.data, '--force'], { HOME: karta.home });
  assert.notEqual(over.status, 0);
  assert.equal(await karta.stop(), 0);
  for (const mode of [0o777, 0o770, 0o702]) {
    chmodSync(karta.data, mode);
    const r = await start(karta.data);
    assert.notEqual(r.status, 0);
    assert.match(r.stderr, /others may write[^]*chmod go-w/);
  }
  chmodSync(karta.data, 0o700);
  // A database of a later version is refused and left as it is.
  const db = path.join(karta.data, 'karta.db');
  const sql = (text) => finished(spawn('python3', ['-c', 'import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nprint(d.execute(sys.argv[2]).fetchone())\nd.commit()', db, text], { stdio: ['ignore', 'pipe', 'pipe'] })).then((r) => r.stdout.trim());
  const version = Number(/\d+/.exec(await sql('PRAGMA user_version'))[0]);
  assert.ok(version > 0);
  await sql(`PRAGMA user_version = ${version + 1}`);
  const before = await sql('SELECT count(*) FROM releases');
  const newer = await start(karta.data);
  assert.notEqual(newer.status, 0);
  assert.match(newer.stderr, /newer/);
  assert.equal(await sql('SELECT count(*) FROM releases'), before);
  assert.match((await run(['fsck', '--data', karta.data])).stdout + (await run(['fsck', '--data', karta.data])).stderr, /newer/);
  await sql(`PRAGMA user_version = ${version}`);
  // Without its master key it makes no other one.
  copyFileSync(path.join(karta.data, 'master.key'), path.join(karta.home, 'kept.key'));
  await finished(spawn('rm', [path.join(karta.data, 'master.key')], { stdio: 'pipe' }));
  const keyless = await start(karta.data);
  assert.notEqual(keyless.status, 0);
  assert.match(keyless.stderr, /master\.key/);
  assert.ok(!existsSync(path.join(karta.data, 'master.key')));
  copyFileSync(path.join(karta.home, 'kept.key'), path.join(karta.data, 'master.key'));
  chmodSync(path.join(karta.data, 'master.key'), 0o600);
  const next = await startServe(t, { data: karta.home });
  assert.equal((await ok(200, new Client(next, karta.key), 'GET', P, ['bot'])).current.version, 'v2');
  assert.equal(await next.stop(), 0);
  await clean(karta.data);
});

/** What nginx does with `location /karta/ { proxy_pass http://upstream/; proxy_buffering off; }` and the usual headers. */
async function proxy(t, upstream) {
  const server = http.createServer((rq, rs) => {
    if (!rq.url.startsWith('/karta/') && !/^\w[\w-]*\.localhost/.test(rq.headers.host)) {
      rs.writeHead(404).end();
      return;
    }
    const to = http.request({ host: '127.0.0.1', port: upstream(), method: rq.method, path: rq.url.replace(/^\/karta(?=\/)/, ''),
      headers: { ...rq.headers, host: 'upstream.internal', connection: 'close', 'x-forwarded-host': rq.headers.host, 'x-forwarded-proto': 'http',
        'x-forwarded-for': `${rq.headers['x-forwarded-for'] ? `${rq.headers['x-forwarded-for']}, ` : ''}198.51.100.4` } }, (r) => {
      rs.writeHead(r.statusCode, r.headers);
      r.on('error', () => rs.destroy());
      r.pipe(rs);
    });
    to.on('error', () => (rs.headersSent ? rs.destroy() : rs.writeHead(502).end()));
    to.on('continue', () => rs.writeContinue());
    rs.on('close', () => to.destroy());
    rq.pipe(to);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return server.address().port;
}

test('behind a proxy, below a path', seconds(60), async (t) => {
  let upstream = 0;
  const port = await proxy(t, () => upstream);
  const base = `http://localhost:${port}/karta`;
  const karta = await startServe(t, { args: ['--public-url', base, '--trust-proxy'] });
  upstream = karta.port;
  const u = user(t, { url: base, key: karta.key });
  const c = new Client({ url: `http://127.0.0.1:${port}/karta` }, karta.key);
  const repo = await u.repository(fakeFiles('bot', { n: '1' }), 'bot');
  const push = await u.ok(u.git(repo, 'push', 'karta', 'main'));
  assert.match(push.stderr, new RegExp(`http://bot\\.localhost:${port}/karta`));
  assert.match((await u.ok(u.karta('deploy', 'bot', '--dir', repo))).stdout, new RegExp(`^http://bot\\.localhost:${port}/karta\n$`));
  const s = (await (await fetch(`${base}/v1/projects/bot/sessions`, { method: 'POST', headers: { authorization: `Bearer ${karta.key}` } })).json());
  const answer = await raw({ url: `http://127.0.0.1:${port}`, key: karta.key }, `/karta/v1/sessions/${s.id}/messages`, { method: 'POST', headers: { host: `bot.localhost:${port}` }, body: { text: '[[text:a]][[sleep:300]][[text:b]]', stream: true } });
  assert.ok(answer.whole && /event: done/.test(answer.text), answer.text);
  // Events come as they are written, not when the stream ends.
  const follow = u.spawn('karta', ['logs', 'bot', '--tail', '--lines', '1', '--json']);
  let out = '';
  follow.stdout.on('data', (d) => { out += d; });
  await eventually(() => out.split('\n').length > 1, 'a line');
  await c.call('GET', `${V}/sessions/{session_id}`, ['bot', 'sess_live']);
  await eventually(() => out.includes('sess_live'), 'a line as it comes');
  follow.kill('SIGINT');
  // The address is the last one that the proxy wrote, whatever the client says.
  await ok(200, c, 'PATCH', P, ['bot'], { body: { production_ref: 'trunk' }, headers: { 'x-forwarded-for': '203.0.113.77' } });
  assert.equal((await ok(200, c, 'GET', '/v1/audit', [], { query: '?limit=1' })).data[0].remote_ip, '198.51.100.4');
  assert.equal((await ok(403, c, 'POST', '/agent_projects', [], { body: { slug: 'dir', dir: repo } })).code, 'forbidden');
  const page = await (await fetch(`${base}/`)).text();
  for (const [, link] of page.matchAll(/(?:src|href)="([^"#]+)"/g)) assert.ok(!link.startsWith('/') || link.startsWith('/karta/'), `${link} leaves the path`);
  // It comes back behind the same proxy; the client waits for it.
  const waiting = u.spawn('karta', ['logs', 'bot', '--tail', '--lines', '0', '--json']);
  let later = '';
  waiting.stdout.on('data', (d) => { later += d; });
  await eventually(async () => { await c.call('GET', `${V}/sessions/{session_id}`, ['bot', 'sess_probe']); return later.includes('sess_probe'); }, 'a follower');
  assert.equal(await karta.stop(), 0);
  const next = await startServe(t, { data: karta.home, args: ['--public-url', base, '--trust-proxy'] });
  upstream = next.port;
  await c.call('GET', `${V}/sessions/{session_id}`, ['bot', 'sess_back']);
  await eventually(() => later.includes('sess_back'), 'a line after the restart');
  waiting.kill('SIGINT');
  assert.equal(await next.stop(), 0);
});

test('backups while it serves, and what comes of them', seconds(90), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  await publish(c, 'bot', archive(t, { n: '0' }));
  await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { TOKEN: 'a-value-that-is-secret', FAKE_AGENT_STATE: tempDir(t, 'state') } } });
  await eventually(async () => (await ok(200, c, 'GET', P, ['bot'])).current.version === 'v2', 'v2');
  const writer = await ok(201, c, 'POST', '/v1/keys', [], { body: { name: 'w', scopes: ['read', 'write'] } });
  let on = true;
  let n = 1;
  const acked = { releases: new Set(), sessions: new Set() };
  const load = [
    (async () => { while (on) { const r = await publish(c, `p${n % 3}`, archive(t, { n: String(n++), big: 'b'.repeat(5000 + n) })); if (r.status === 201) acked.releases.add(r.body.id); } })(),
    (async () => { while (on) { const s = await session(c); acked.sessions.add(s.id); await ok(200, c, 'POST', `${V}/sessions/{session_id}/messages`, ['bot', s.id], { body: { text: '[[text:kept]]' } }); } })(),
    (async () => { for (let i = 0; on; i++) { await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { I: String(i) } } }); await sleep(60); } })(),
    (async () => { while (on) { await c.call('POST', `${P}/rollback`, ['p0'], { body: {} }); await c.call('DELETE', `${P}/pin`, ['p0']); await sleep(20); } })(),
  ];
  await eventually(() => acked.releases.size > 5, 'some releases');
  const home = { HOME: karta.home, XDG_CONFIG_HOME: karta.home };
  const taken = [];
  for (let i = 0; i < 5; i++) {
    const file = path.join(karta.home, `backup-${i}.tar`);
    const before = { releases: [...acked.releases], sessions: [...acked.sessions] };
    const r = await run(['serve', 'backup', file, '--data', karta.data], home);
    assert.equal(r.status, 0, r.stderr);
    assert.equal(statSync(file).mode & 0o077, 0, 'others may read the backup');
    taken.push({ file, before });
    await sleep(100);
  }
  assert.equal((await run(['serve', 'backup', taken[0].file, '--data', karta.data], home)).status, 6, 'it was written over');
  on = false;
  await Promise.all(load);
  assert.ok(!readdirSync(karta.home).some((f) => f.includes('.tmp-')));
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);

  for (const [i, { file, before }] of taken.entries()) {
    const place = path.join(karta.home, `restored-${i}`);
    mkdirSync(place);
    const r = await run(['serve', 'restore', file, '--data', path.join(place, 'data')], home);
    assert.equal(r.status, 0, r.stderr);
    await clean(path.join(place, 'data'));
    if (i % 2) continue;
    copyFileSync(`${karta.home}.key`, `${place}.key`);
    const next = await startServe(t, { data: place });
    const d = new Client(next, karta.key);
    const known = new Set();
    for (const p of (await ok(200, d, 'GET', '/agent_projects')).data)
      for (const rel of (await ok(200, d, 'GET', `${P}/releases`, [p.slug], { query: '?limit=200' })).data) known.add(rel.id);
    for (const id of before.releases) assert.ok(known.has(id), `release ${id} was acknowledged before the backup`);
    for (const id of before.sessions) {
      const got = await d.call('GET', '/v1/sessions/{session_id}', [id]);
      assert.equal(got.status, 200, `session ${id} was acknowledged before the backup`);
    }
    assert.equal((await ok(200, d, 'GET', `${P}/config`, ['bot'])).vars.TOKEN, 'a-value-that-is-secret');
    assert.equal((await ok(200, new Client(next, writer.key), 'GET', '/v1/whoami')).key.name, 'w');
    const s = before.sessions[0] ?? (await session(d)).id;
    assert.equal((await ok(200, d, 'POST', '/v1/sessions/{session_id}/messages', [s], { body: { text: '[[text:goes on]]' } })).text, 'goes on');
    assert.equal((await publish(d, 'bot', archive(t, { n: 'new' }))).status, 201);
    assert.equal(await next.stop(), 0);
    await clean(path.join(place, 'data'));
  }
  // Into a folder that is not empty only by force; a damaged one never.
  const again = path.join(karta.home, 'restored-0', 'data');
  assert.equal((await run(['serve', 'restore', taken[1].file, '--data', again], home)).status, 6);
  await finished(spawn('python3', ['-c', 'import sys\nb = bytearray(open(sys.argv[1], "rb").read())\ni = b.rfind(b"A test.\\n")\nb[i] ^= 1\nopen(sys.argv[2], "wb").write(b)', taken[2].file, `${taken[2].file}.bad`], { stdio: 'pipe' }));
  const bad = await run(['serve', 'restore', `${taken[2].file}.bad`, '--data', again, '--force'], home);
  assert.notEqual(bad.status, 0);
  assert.match(bad.stderr, /damaged/);
  await clean(again);
  assert.equal((await run(['serve', 'restore', taken[1].file, '--data', again, '--force'], home)).status, 0);
  await clean(again);
  assert.ok(readdirSync(path.dirname(again)).some((f) => f.startsWith('data.replaced-')), 'the old folder was not kept');
});
