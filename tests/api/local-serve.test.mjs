// SPDX-License-Identifier: MIT
// A bare `karta serve`: no key on this machine, and nobody else. What says that it hosts means keys; what a proxy, a
// page of another site or a name that was rebound brings is refused; the way from local to hosting; the project of a
// session that names none.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { createRequire } from 'node:module';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { BROWSER, KARTA, PATIENCE_MS, ROOT, eventually, fakeApp, path, seconds, startKarta, tempDir, turn } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

const { chromium } = createRequire(`${ROOT}/tests/package.json`)('playwright-core');
const status = async (port, { method = 'GET', path: at = '/v1/whoami', headers = {}, body, host = '127.0.0.1' } = {}) => new Promise((done, fail) => {
  const rq = http.request({ host, port, method, path: at, headers: { connection: 'close', ...headers } }, (r) => { r.resume(); r.on('end', () => done(r.statusCode)); });
  rq.on('error', fail);
  rq.end(body);
});

test('without an option it needs no key; each sign of hosting means one', async (t) => {
  const toml = path.join(tempDir(t, 'toml'), 'serve.toml');
  writeFileSync(toml, '');
  const elsewhere = Object.values(networkInterfaces()).flat().find((i) => !i.internal && i.family === 'IPv4');
  const own = tempDir(t, 'conf');
  mkdirSync(path.join(own, 'karta'));
  writeFileSync(path.join(own, 'karta/serve.toml'), '');
  for (const [why, args, env] of [
    [null, [], {}],
    [null, ['--offline'], { KARTA_GITHUB_URL: 'https://git.example/api' }],
    [/--key-file/, ['--key-file', path.join(tempDir(t, 'key'), 'key')], {}],
    [/require_keys/, ['--require-keys'], {}],
    [/require_keys/, [], { KARTA_REQUIRE_KEYS: '1' }],
    [/public_url/, ['--public-url', 'http://karta.example'], {}],
    [/public_url/, [], { KARTA_PUBLIC_URL: 'https://karta.example/x' }],
    [/trust_proxy/, ['--trust-proxy'], {}],
    [/trust_proxy/, [], { KARTA_TRUST_PROXY: '10.0.0.0/8' }],
    [/settings file/, ['--config', toml], {}],
    [/settings file/, [], { KARTA_SERVE_CONFIG: toml }],
    [/settings file/, [], { XDG_CONFIG_HOME: own }],
    [/not of this machine/, ['--listen', '0.0.0.0:0'], {}],
    ...(elsewhere ? [[/not of this machine/, ['--listen', `${elsewhere.address}:0`], {}]] : []),
  ]) {
    const what = JSON.stringify([args, env]);
    const karta = await startServe(t, { args, env, keyless: true });
    const host = elsewhere && args[1] === `${elsewhere.address}:0` ? elsewhere.address : '127.0.0.1';
    // Whoever looks after a server may ask by any name; a hosting one may not know this one.
    assert.equal(await status(karta.port, { host, headers: { host: `localhost:${karta.port}` } }), why ? 401 : 200, what);
    await eventually(() => /keys are needed|local: /.test(karta.err), what);
    assert.match(karta.err, why ?? /local: for whoever is at this machine, without keys/, what);
    assert.equal(karta.err.includes('keys are needed'), why !== null, what);
    assert.equal(existsSync(path.join(karta.data, 'server.json')), why === null, what);
    assert.equal(await karta.stop(), 0);
    assert.equal(existsSync(path.join(karta.data, 'server.json')), false);
  }
});

test('what something in between passed on is refused, also by karta dev', async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const [serve, dev] = [await startServe(t, { keyless: true }), await startKarta(t, dir)];
  for (const [karta, at] of [[serve, '/v1/whoami'], [serve, '/'], [serve, '/healthz'], [serve, '/nothing'], [dev, '/v1/dev'], [dev, '/'], [dev, '/healthz']]) {
    for (const name of ['Forwarded', 'Via', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Real-IP', 'CF-Connecting-IP', 'X-Envoy-External-Address', 'True-Client-IP', 'X_Forwarded_For', 'X-Auth-Request-User'])
      assert.equal(await status(karta.port, { path: at, headers: { [name]: '127.0.0.1' } }), 403, `${at} ${name}`);
    assert.equal(await status(karta.port, { path: at, headers: { host: `evil.example:${karta.port}` } }), at === '/healthz' && karta === serve ? 200 : 421, at);
    assert.equal(await status(karta.port, { path: at, headers: { host: `localhost:${karta.port}` } }), at === '/nothing' ? 404 : 200, at);
  }
  // A key that is sent all the same is nobody's business here.
  assert.equal(await status(serve.port, { headers: { authorization: 'Bearer kt_live_wrong' } }), 200);
});

test('a page of another site can do nothing', { skip: BROWSER ? false : 'no browser is installed', ...seconds(60) }, async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const [serve, dev] = [await startServe(t, { keyless: true }), await startKarta(t, dir)];
  const c = new Client(serve);
  assert.equal((await publish(c, 'fake', archive(t))).status, 201);
  const id = (await c.call('POST', '/v1/sessions', [], { body: {} })).body.id;
  const site = http.createServer((rq, rs) => { rs.setHeader('content-type', 'text/html'); rs.end('<title>evil</title>'); }).listen(0, '127.0.0.1');
  t.after(() => site.close());
  await new Promise((done) => { site.once('listening', done); });
  const browser = await chromium.launch({ executablePath: BROWSER, timeout: PATIENCE_MS,
    args: ['--no-sandbox', '--host-resolver-rules=MAP *.example 127.0.0.1, MAP *.localhost 127.0.0.1'] });
  t.after(() => browser.close());
  let page;
  const before = async () => [(await c.call('GET', '/v1/sessions')).body.data.length, (await c.call('GET', '/agent_projects')).body.data.map((p) => [p.slug, p.current]),
    (await fetch(`${dev.url}/v1/sessions`).then((r) => r.json())).data.length, (await c.call('GET', '/v1/sessions/{session_id}', [id])).body.last_seq];
  const was = await before();
  for (const from of [`http://evil.example:${site.address().port}/`, `http://evil.localhost:${site.address().port}/`, `http://localhost:${site.address().port}/`]) {
    for (const [karta, project] of [[serve, 'fake'], [dev, 'fake']]) {
      await page?.context().close();
      page = await (await browser.newContext()).newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      await page.goto(from);
      const found = await page.evaluate(async ({ base, project: name, session, types }) => {
        const read = [];
        const tries = [];
        for (const at of ['/v1/whoami', '/v1/dev', '/v1/sessions', '/agent_projects', `/v1/projects/${name}/agents`, '/openapi.json'])
          tries.push(() => fetch(base + at).then((r) => r.text()).then((text) => read.push(text), () => 0));
        for (const [at, body] of [['/v1/sessions', '{}'], [`/v1/sessions/${session}/messages`, '{"text":"x"}'], ['/agent_projects', '{"slug":"evil"}'], [`/agent_projects/${name}/releases`, 'x']])
          for (const type of types)
            for (const mode of ['no-cors', 'cors'])
              tries.push(() => fetch(base + at, { method: 'POST', mode, body: new Blob([body], { type }), headers: mode === 'cors' && type ? { 'content-type': type } : {} })
                .then((r) => r.type !== 'opaque' && read.push(`${at} ${r.status}`), () => 0));
        tries.push(() => fetch(`${base}/v1/sessions/${session}`, { method: 'DELETE' }).then(() => read.push('deleted'), () => 0));
        navigator.sendBeacon(`${base}/v1/sessions`, new Blob(['{}'], { type: 'text/plain' }));
        for (const one of tries) await one();
        // What shows by loading or not: pictures, scripts, frames.
        const loads = (make) => new Promise((done) => { const e = make(); e.onload = () => done(true); e.onerror = () => done(false); document.body.append(e); });
        const el = (tag, props) => () => Object.assign(document.createElement(tag), props);
        const shown = [await loads(el('img', { src: `${base}/assets/icon.svg` })), await loads(el('script', { src: `${base}/openapi.json` }))];
        const form = Object.assign(document.createElement('form'), { action: `${base}/v1/sessions`, method: 'post', enctype: 'text/plain', target: 'f' });
        const frame = Object.assign(document.createElement('iframe'), { name: 'f' });
        document.body.append(frame, form);
        await new Promise((done) => { frame.onload = done; form.submit(); });
        return { read, shown };
      }, { base: `http://localhost:${karta.port}`, project, session: id, types: /example/.test(from) ? ['text/plain', '', 'application/json', 'application/gzip'] : ['text/plain'] });
      assert.deepEqual(found, { read: [], shown: [false, false] }, `${from} ${project}`);
    }
  }
  assert.deepEqual(await before(), was);
  // Its own page asks nobody who he is.
  await page.goto(`${serve.url}/`);
  await page.getByText('Local server').waitFor();
  await page.getByRole('link', { name: 'fake', exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
  // The attacker's name leads to this machine now, on the server's own port: same origin, wrong name.
  for (const karta of [serve, dev]) {
    const r = await page.goto(`http://rebound.example:${karta.port}/v1/sessions`);
    assert.equal(r.status(), 421);
    assert.equal((await page.goto(`http://localhost:${karta.port}/`)).status(), 200, 'a link to the page works');
  }
  assert.deepEqual(await before(), was);
  // What is live from a folder lacks nothing, and no branch of it goes live.
  assert.equal((await c.call('POST', '/agent_projects', [], { body: { slug: 'here', dir } })).status, 201);
  await page.goto(`${serve.url}/`);
  await page.getByText('Served from a folder').waitFor();
  assert.equal(await page.getByText('no harness yet').count(), 0);
  await page.getByRole('link', { name: 'here', exact: true }).click();
  await page.getByText('No releases').waitFor();
  assert.equal(await page.getByText('Goes live from').count(), 0);
});

test('an older proxy, and a caller that says less than a browser', async (t) => {
  const karta = await startServe(t, { keyless: true });
  const c = new Client(karta);
  await c.call('POST', '/agent_projects', [], { body: { slug: 'x' } });
  // nginx with nothing but proxy_pass: its own name for us, no header of its own, HTTP/1.0.
  const old = await new Promise((done) => {
    const s = net.connect(karta.port, '127.0.0.1');
    let text = '';
    s.on('data', (d) => { text += d; }).on('close', () => done(text));
    s.write(`GET /v1/whoami HTTP/1.0\r\nHost: 127.0.0.1:${karta.port}\r\nConnection: close\r\n\r\n`);
  });
  assert.match(old, /^HTTP\/1\.1 403 [\s\S]*forwarded_refused/);
  const send = (method, at, headers, body = 'x') => status(karta.port, { method, path: at, headers, body });
  for (const type of [undefined, 'text/plain', 'multipart/form-data; boundary=x'])
    assert.equal(await send('POST', '/agent_projects/x/releases', type ? { 'content-type': type } : {}), 415, String(type));
  assert.notEqual(await send('PUT', '/agent_projects/x/releases', {}), 415, 'curl -T sends no type');
  for (const origin of ['null', 'http://evil.example', `http://localhost:${karta.port + 1}`, `https://x.localhost:${karta.port}`])
    assert.equal(await send('POST', '/v1/sessions', { origin, 'content-type': 'application/json' }, '{}'), 403, origin);
  assert.equal(await status(karta.port, { headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' } }), 403);
  assert.equal(await status(karta.port, { path: '/', headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' } }), 403);
  assert.equal(await status(karta.port, { path: '/', headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' } }), 200);
});

test('from local to hosting: once, with everything, and it says so', async (t) => {
  const data = tempDir(t, 'serve');
  let karta = await startServe(t, { data, keyless: true });
  let c = new Client(karta);
  assert.equal((await publish(c, 'fake', archive(t))).status, 201);
  const id = (await c.call('POST', '/v1/sessions', [], { body: {} })).body.id;
  assert.equal((await turn(karta, id, '[[text:kept]]')).at(-1).type, 'done');
  assert.deepEqual((await c.call('GET', '/v1/whoami')).body, { org: (await c.call('GET', '/v1/whoami')).body.org, key: null, local: true, server: { version: (await c.call('GET', '/v1/whoami')).body.server.version } });
  // It makes no key while it lets everybody in.
  for (const [route, body] of [['/v1/keys', { name: 'x', scopes: ['admin'] }], ['/v1/device/code', { client_name: 'x', scopes: ['read'] }]])
    assert.equal((await c.call('POST', route, [], { body })).body.code, 'local_server', route);
  assert.deepEqual((await c.call('GET', '/v1/keys')).body.data, []);
  assert.equal(await karta.stop(), 0);
  assert.doesNotMatch(karta.err, /kt_live_/);

  const keyFile = path.join(data, 'k');
  karta = await startServe(t, { data, args: ['--key-file', keyFile], keyless: true });
  assert.match(karta.err, /was served without keys; from now on every request needs one/);
  const key = readFileSync(keyFile, 'utf8').trim();
  assert.equal(await status(karta.port), 401);
  c = new Client(karta, key);
  assert.equal((await c.call('GET', '/v1/whoami')).body.local, false);
  assert.deepEqual((await c.call('GET', '/v1/sessions')).body.data.map((s) => s.id), [id]);
  assert.equal((await c.call('POST', '/v1/sessions/{session_id}/messages', [id], { body: { text: '[[text:again]]' } })).status, 200);
  const who = (await c.call('GET', '/v1/audit')).body.data;
  assert.ok(who.some((e) => e.action === 'project.create' && e.actor_name === 'local'), 'what was done without a key is told as that');
  assert.equal((await c.call('GET', '/v1/audit/verify')).body.ok, true);
  assert.equal(await karta.stop(), 0);

  // And never back, also when no key opens anything any more.
  karta = await startServe(t, { data, keyless: true });
  assert.match(karta.err, /keys are needed: there are keys in its data folder/);
  assert.equal(await status(karta.port), 401);
  await karta.stop();
  assert.equal(spawnSync(KARTA, ['fsck', '--data', karta.data]).status, 0);
});

test('a key that root makes for a local server counts at once', async (t) => {
  const karta = await startServe(t, { keyless: true });
  const c = new Client(karta);
  await c.call('POST', '/agent_projects', [], { body: { slug: 'x' } });
  const s = net.connect(karta.port, '127.0.0.1');
  s.write(`GET /agent_projects/x/logs?follow=1 HTTP/1.1\r\nHost: localhost:${karta.port}\r\nAccept: text/event-stream\r\n\r\n`);
  await new Promise((done) => { s.once('data', done); });
  const ended = new Promise((done) => { s.once('close', done); s.on('data', () => {}); });
  const made = spawnSync(KARTA, ['serve', 'keys', 'create', 'mine', '--data', karta.data], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  assert.equal(await status(karta.port), 401);
  assert.equal(await status(karta.port, { path: '/v1/whoami', headers: { authorization: `Bearer ${made.stdout.trim()}` } }), 200);
  await ended;
});

test('a stream of a project that is deleted ends without keys, too', async (t) => {
  const karta = await startServe(t, { keyless: true });
  const c = new Client(karta);
  await c.call('POST', '/agent_projects', [], { body: { slug: 'x' } });
  const s = net.connect(karta.port, '127.0.0.1');
  s.write(`GET /agent_projects/x/logs?follow=1 HTTP/1.1\r\nHost: localhost:${karta.port}\r\nAuthorization: Bearer kt_live_nobody\r\nAccept: text/event-stream\r\n\r\n`);
  await new Promise((done) => { s.once('data', done); });
  const ended = new Promise((done) => { s.once('close', done); s.on('data', () => {}); });
  assert.equal((await c.call('DELETE', '/agent_projects/{project_ref}', ['x'])).status, 204);
  await ended;
});

test('the project of a session that names none', async (t) => {
  const karta = await startServe(t, { keyless: true });
  const c = new Client(karta);
  const flat = (body = {}, more = {}) => c.call('POST', '/v1/sessions', [], { body, ...more });
  const none = await flat();
  assert.deepEqual([none.status, none.body.code], [404, 'project_not_found']);
  assert.match(none.body.detail, /karta project add/);

  await c.call('POST', '/agent_projects', [], { body: { slug: 'one' } });
  assert.equal((await flat()).body.code, 'no_release', 'the only one, which has nothing to run yet');
  // Its page names what works here: there is nobody to sign in.
  const page = await fetch(`${karta.url}/v1/projects/one/dev`, { headers: { 'karta-page': '1' } }).then((r) => r.json());
  assert.deepEqual([page.code, page.project, page.local], ['no_release', 'one', true]);
  assert.equal((await publish(c, 'one', archive(t, {}, 'one'))).status, 201);
  const first = await flat({ metadata: { customer_id: 'abc123' } });
  assert.deepEqual([first.status, first.body.project.ref, first.body.project.version], [201, 'one', 'v1']);
  // A preview is no project of its own.
  assert.equal((await publish(c, 'one', archive(t, {}, 'one'), '?pr=7')).status, 201);
  assert.equal((await flat()).body.project.ref, 'one');
  assert.equal((await c.call('POST', '/v1/projects/{project_ref}/sessions', ['one-pr-7'], { body: {} })).body.project.version, 'v2');

  const key = { headers: { 'idempotency-key': 'k1' } };
  const kept = await flat({}, key);
  assert.equal((await publish(c, 'two', archive(t, {}, 'two'))).status, 201);
  const several = await flat();
  assert.deepEqual([several.status, several.body.code, several.body.projects], [422, 'project_ambiguous', ['one', 'two']]);
  assert.equal((await flat({}, key)).body.id, kept.body.id, 'the same request once more is the same session, whatever changed');
  assert.equal((await flat({ project: 'two' })).status, 201);
  const asked = await c.call('GET', '/v1/agents');
  assert.deepEqual([asked.status, asked.body.code], [422, 'project_ambiguous']);

  const change = (slug, value, want = 200) => c.call('PATCH', '/agent_projects/{project_ref}', [slug], { body: { default: value } }).then((r) => { assert.equal(r.status, want, r.text); return r.body; });
  const defaults = async () => (await c.call('GET', '/agent_projects')).body.data.filter((p) => p.default).map((p) => p.slug);
  assert.equal((await change('two', true)).default, true);
  assert.equal((await flat()).body.project.ref, 'two');
  assert.equal((await c.call('GET', '/v1/agents')).status, 200);
  assert.equal((await change('one', false)).default, false);
  assert.deepEqual(await defaults(), ['two'], 'it was another one: that stays');
  await change('one', true);
  assert.deepEqual(await defaults(), ['one']);
  await change('one', 'yes', 422);
  await change('nope', true, 404);
  // A repeated change says what it said.
  const twice = { body: { default: true }, headers: { 'idempotency-key': 'k2' } };
  const said = await c.call('PATCH', '/agent_projects/{project_ref}', ['two'], twice);
  assert.deepEqual((await c.call('PATCH', '/agent_projects/{project_ref}', ['two'], twice)).body, said.body);
  await karta.stop();

  const again = await startServe(t, { data: karta.home, keyless: true });
  const d = new Client(again);
  assert.equal((await d.call('POST', '/v1/sessions', [], { body: {} })).body.project.ref, 'two', 'over a restart');
  assert.equal((await d.call('DELETE', '/agent_projects/{project_ref}', ['two'])).status, 204);
  assert.equal((await d.call('POST', '/v1/sessions', [], { body: {} })).body.project.ref, 'one', 'the default one is gone, the only one is left');
  await d.call('POST', '/agent_projects', [], { body: { slug: 'three' } });
  assert.equal((await d.call('POST', '/v1/sessions', [], { body: {} })).body.code, 'project_ambiguous');
  assert.equal((await d.call('POST', '/agent_projects', [], { body: { slug: 'two' } })).body.default, false, 'one of the same name is another one');
});
