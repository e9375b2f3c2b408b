// SPDX-License-Identifier: MIT
// A browser's sign-in, attacked: from other origins, other names, with others' cookies, codes that were used, revoked
// keys, other organizations. What a browser would send is written out here; tests/web/hosting.test.mjs has a real one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { PATIENCE_MS, eventually, tempDir } from './lib.mjs';
import { archive, publish, secondOrganization, startServe } from './serve.mjs';

const PAGE = [['karta-page', '1']];
const STATE = 's'.repeat(48);

/* One request to a name of the server. */
function send(karta, host, method, url, { headers = PAGE, body, cookie, origin, key } = {}) {
  const authority = host.includes(':') ? host : `${host}:${karta.port}`;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const all = [['host', authority], ...headers, ...(cookie ? [['cookie', cookie]] : []), ...(key ? [['authorization', `Bearer ${key}`]] : []),
    ...(origin === null ? [] : [['origin', origin ?? `http://${authority}`]]),
    ...(text === undefined ? [] : [['content-type', 'application/json'], ['content-length', String(Buffer.byteLength(text))]])];
  return new Promise((done, fail) => {
    const rq = http.request({ port: karta.port, host: '127.0.0.1', method, path: url, headers: all.flat() }, (r) => {
      let out = '';
      r.on('data', (d) => { out += d; });
      r.on('error', fail);
      r.on('end', () => done({ status: r.statusCode, text: out, headers: r.headers, body: /json/.test(r.headers['content-type'] ?? '') ? JSON.parse(out) : null }));
    });
    rq.on('error', fail);
    rq.setTimeout(PATIENCE_MS, () => rq.destroy(new Error(`no answer: ${method} ${url}`)));
    rq.end(text);
  });
}

/* "name=value" that an answer sets, as the browser sends it back; and its attributes. */
function cookieOf(r) {
  const [pair, ...attributes] = r.headers['set-cookie'][0].split('; ');
  return { pair, attributes };
}

async function signIn(karta, key, host = 'localhost') {
  const r = await send(karta, host, 'POST', '/v1/web/session', { body: { key } });
  assert.equal(r.status, 201, r.text);
  assert.ok(!r.text.includes(key));
  return cookieOf(r).pair;
}

/* From the server's name to a project's: its cookie there. */
async function takeOver(karta, cookie, host) {
  const to = await send(karta, 'localhost', 'POST', '/v1/web/handover', { cookie, body: { host, state: STATE } });
  assert.equal(to.status, 200, to.text);
  const url = new URL(to.body.url);
  assert.equal(url.origin, `http://${host}:${karta.port}`);
  const code = new URLSearchParams(url.hash.slice(1)).get('code');
  const r = await send(karta, host, 'POST', '/v1/web/session', { body: { code, state: STATE } });
  assert.equal(r.status, 204, r.text);
  return { cookie: cookieOf(r).pair, code };
}

test('a browser that is signed in, and those that are not', async (t) => {
  const home = tempDir(t, 'serve');
  const before = await startServe(t, { data: home });
  const admin = new Client(before, before.key);
  const make = async (name, scopes) => (await admin.call('POST', '/v1/keys', [], { body: { name, scopes } })).body;
  const ours = await make('ours', ['read', 'write', 'admin']);
  const reader = await make('reader', ['read']);
  const theirs = await make('theirs', ['read', 'write', 'admin']);
  await before.stop();
  secondOrganization(before.data, [theirs.id]);
  const karta = await startServe(t, { data: home });
  const c = new Client(karta, ours.key);
  for (const [who, name] of [[c, 'mine'], [new Client(karta, theirs.key), 'yours']]) assert.equal((await publish(who, name, archive(t, {}, name))).status, 201);
  await c.call('PATCH', '/agent_projects/{project_ref}/config', ['mine'], { body: { set: { TOKEN: 'a-secret-value' } } });

  // The cookie: for this name only, and no script's.
  const made = await send(karta, 'localhost', 'POST', '/v1/web/session', { body: { key: ours.key } });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.headers['cache-control'], 'no-store');
  const { pair: cookie, attributes } = cookieOf(made);
  assert.match(cookie, new RegExp(`^karta-${karta.port}=\\w{22}\\.[0-9a-f]{64}$`));
  assert.deepEqual(attributes, ['Path=/', `Max-Age=${14 * 24 * 3600}`, 'HttpOnly', 'SameSite=Strict']);
  const who = await send(karta, 'localhost', 'GET', '/v1/whoami', { cookie, origin: null });
  assert.deepEqual([who.body.key.name, who.headers['cache-control']], ['ours', 'no-store'], 'no cache gives it to others');
  assert.deepEqual([(await send(karta, 'localhost', 'GET', '/agent_projects', { cookie })).body.data.map((p) => p.slug)], [['mine']]);

  // What another page can make a browser send opens nothing, and nor does what is not the cookie.
  const refused = async (what, options, status = 401) => assert.equal((await send(karta, 'localhost', 'GET', '/v1/whoami', { cookie, ...options })).status, status, what);
  const [name, value] = cookie.split('=');
  await refused('no header of a page', { headers: [], origin: null });
  await refused('another site', { headers: [...PAGE, ['sec-fetch-site', 'cross-site']], origin: null });
  await refused('the same site', { headers: [...PAGE, ['sec-fetch-site', 'same-site']], origin: null });
  await refused('typed by hand', { headers: [...PAGE, ['sec-fetch-site', 'none']], origin: null });
  await refused('one of two', { headers: [...PAGE, ['sec-fetch-site', 'same-origin'], ['sec-fetch-site', 'cross-site']], origin: null });
  for (const origin of ['https://evil.example', 'null', `http://mine.localhost:${karta.port}`, 'http://localhost:1']) await refused(origin, { origin }, 403);
  await refused('two cookies', { cookie: `${cookie}; ${cookie}` });
  await refused('in two headers', { headers: [...PAGE, ['cookie', `${name}=x`]] });
  for (const bad of ['', value.slice(0, -1), `${value}0`, value.replace(/^./, (x) => (x === 'a' ? 'b' : 'a')), `${value.slice(0, 23)}${'0'.repeat(64)}`, value.slice(0, 22), 'x'.repeat(4000)])
    await refused(`${bad.length} bytes`, { cookie: `${name}=${bad}` });
  await refused('another name', { cookie: `karta=${value}` });
  await refused('as a bearer key', { key: value, cookie: undefined });
  assert.equal((await send(karta, 'localhost', 'GET', '/v1/whoami?access_token=x', { cookie })).status, 401);
  // A key that is sent counts, also when it is none.
  await refused('a bad key beside it', { key: 'kt_live_nothing' });
  assert.equal((await send(karta, 'localhost', 'GET', '/v1/whoami', { cookie, key: reader.key })).body.key.name, 'reader');
  // What changes things needs proof of the origin; forms have none.
  const body = { slug: 'new' };
  for (const [what, options] of Object.entries({ 'no origin told': { origin: null }, 'no header': { headers: [] }, elsewhere: { origin: null, headers: [...PAGE, ['sec-fetch-site', 'same-site']] } }))
    assert.equal((await send(karta, 'localhost', 'POST', '/agent_projects', { cookie, body, ...options })).status, 401, what);
  assert.equal((await send(karta, 'localhost', 'POST', '/agent_projects', { cookie, body, origin: null, headers: [...PAGE, ['sec-fetch-site', 'same-origin']] })).status, 201);
  for (const method of ['OPTIONS', 'GET']) {
    const r = await send(karta, 'localhost', method, '/v1/whoami', { cookie, origin: null });
    assert.ok(!Object.keys(r.headers).some((k) => k.startsWith('access-control')), method);
  }

  // Signing somebody else's browser in.
  for (const [what, options] of Object.entries({ 'another origin': { origin: 'https://evil.example' }, 'no header': { headers: [] }, 'no origin': { origin: null } })) {
    const r = await send(karta, 'localhost', 'POST', '/v1/web/session', { body: { key: ours.key }, ...options });
    assert.equal(r.status, 403, what);
    assert.equal(r.headers['set-cookie'], undefined);
  }
  for (const bad of ['', 'x', ours.key.slice(0, -1), `${ours.key} `]) assert.equal((await send(karta, 'localhost', 'POST', '/v1/web/session', { body: { key: bad } })).status, 401, bad);
  for (const bad of [{}, { key: 1 }, { code: 'x', state: STATE }, { key: ours.key, more: 1 }]) assert.equal((await send(karta, 'localhost', 'POST', '/v1/web/session', { body: bad })).status, 422);

  // Values of the configuration are not for pages, whatever the key may do.
  assert.equal((await c.call('GET', '/agent_projects/{project_ref}/config', ['mine'])).body.vars.TOKEN, 'a-secret-value');
  assert.equal((await send(karta, 'localhost', 'GET', '/agent_projects/mine/config', { cookie })).body.vars.TOKEN, null);
  // Scopes are the key's.
  const read = await signIn(karta, reader.key);
  assert.equal((await send(karta, 'localhost', 'POST', '/agent_projects', { cookie: read, body: { slug: 'no' } })).status, 403);

  // To a project's name, and nowhere else.
  const host = 'mine.localhost';
  const there = await takeOver(karta, cookie, host);
  assert.equal((await send(karta, host, 'GET', '/v1/sessions', { cookie: there.cookie })).status, 200);
  for (const [at, with_, status] of [['localhost', there.cookie, 401], [host, cookie, 401], ['yours.localhost', there.cookie, 401], ['127.0.0.1', cookie, 401], [host, there.cookie, 200]])
    assert.equal((await send(karta, at, 'GET', '/v1/sessions', { cookie: with_ })).status, status, `${at} ${with_ === cookie}`);
  const redeem = (at, code, state = STATE) => send(karta, at, 'POST', '/v1/web/session', { body: { code, state } });
  assert.equal((await redeem(host, there.code)).status, 401, 'a code is good once');
  const fresh = async (to = host) => new URLSearchParams(new URL((await send(karta, 'localhost', 'POST', '/v1/web/handover', { cookie, body: { host: to, state: STATE } })).body.url).hash.slice(1)).get('code');
  assert.equal((await redeem(host, await fresh(), 'x'.repeat(48))).status, 401, "another page's state");
  assert.equal((await redeem('yours.localhost', await fresh())).status, 401, 'another name');
  assert.equal((await redeem(host, (await fresh()).slice(0, -1))).status, 401, 'cut');
  assert.equal((await redeem('localhost', await fresh())).status, 422, "the server's own name takes keys only");
  assert.equal((await send(karta, host, 'POST', '/v1/web/session', { body: { key: ours.key } })).status, 422, "a project's takes codes only");
  assert.equal((await send(karta, 'localhost', 'POST', '/v1/projects/mine/web/session', { body: { code: 'x', state: STATE } })).status, 404);
  // Of many codes the last ones are good.
  const codes = [];
  for (let i = 0; i < 9; i++) codes.push(await fresh());
  assert.deepEqual([(await redeem(host, codes[0])).status, (await redeem(host, codes[8])).status], [401, 204]);
  // Names that are nobody's, another organization's, and no names of this server: one answer.
  const answers = new Set();
  for (const to of ['yours.localhost', 'nothing.localhost', 'evil.example', `mine.localhost:${karta.port}`, 'localhost', 'mine.localhost.evil.example', 'a.mine.localhost', 'mine.localhost/x', '']) {
    const r = await send(karta, 'localhost', 'POST', '/v1/web/handover', { cookie, body: { host: to, state: STATE } });
    assert.equal(r.status, 404, to);
    answers.add(r.text.replace(/"request_id":"[^"]*"/, ''));
  }
  assert.equal(answers.size, 1);
  assert.equal((await send(karta, 'localhost', 'POST', '/v1/web/handover', { key: ours.key, body: { host, state: STATE } })).status, 409, 'a key is not handed over');
  for (const state of ['', 'short', 'x'.repeat(65), `${STATE}"`]) assert.equal((await send(karta, 'localhost', 'POST', '/v1/web/handover', { cookie, body: { host, state } })).status, 422);
  // Where to sign in, for pages only.
  assert.equal((await send(karta, host, 'GET', '/v1/sessions')).body.sign_in, `http://localhost:${karta.port}/sign-in#to=${host}`);
  assert.equal((await send(karta, 'localhost', 'GET', '/v1/sessions')).body.sign_in, '/sign-in');
  assert.equal((await send(karta, host, 'GET', '/v1/sessions', { headers: [] })).body.sign_in, undefined);

  // Another organization's browser sees its own.
  const other = await signIn(karta, theirs.key);
  assert.deepEqual((await send(karta, 'localhost', 'GET', '/agent_projects', { cookie: other })).body.data.map((p) => p.slug), ['yours']);
  assert.equal((await send(karta, 'localhost', 'GET', '/agent_projects/mine', { cookie: other })).status, 404);

  // It outlives a restart. Neither the data folder nor the log has anything that opens.
  await karta.stop();
  const files = ['karta.db', 'karta.db-wal'].map((f) => { try { return readFileSync(path.join(karta.data, f), 'latin1'); } catch { return ''; } }).join('');
  for (const secret of [value, value.slice(0, 22), value.slice(23), there.cookie.split('.').at(-1), there.code]) {
    assert.ok(!files.includes(secret), 'in the database');
    assert.ok(!karta.err.includes(secret), 'in the log');
  }
  const again = await startServe(t, { data: home });
  const at = (h, k, method = 'GET', url = '/v1/sessions') => send(again, `${h}:${karta.port}`, method, url, { cookie: k });
  assert.equal((await at('localhost', cookie)).status, 200);
  assert.equal((await at(host, there.cookie)).status, 200);

  // Signing out, at any of the names, ends it at all of them, with what is open.
  const stream = http.request({ port: again.port, host: '127.0.0.1', path: '/agent_projects/mine/logs', headers: { host: `localhost:${karta.port}`, 'karta-page': '1', cookie, accept: 'text/event-stream' } });
  const ended = new Promise((done, fail) => { stream.on('error', fail); stream.on('response', (r) => { assert.equal(r.statusCode, 200); r.resume(); r.on('end', done); }); });
  stream.end();
  await new Promise((done) => { stream.on('response', done); });
  const out = await at(host, there.cookie, 'DELETE', '/v1/web/session');
  assert.equal(out.status, 204);
  assert.match(out.headers['set-cookie'][0], /=; Path=\/; Max-Age=0;/);
  await ended;
  assert.deepEqual([(await at('localhost', cookie)).status, (await at(host, there.cookie)).status], [401, 401]);
  // A revoked key ends its browsers.
  assert.equal((await at('localhost', read)).status, 200);
  const now = new Client(again, ours.key);
  await now.call('DELETE', '/v1/keys/{key_id}', [reader.id]);
  assert.equal((await at('localhost', read)).status, 401);
  // Of a key's browsers the newest are kept; the audit log has who came and went.
  const list = [];
  for (let i = 0; i < 21; i++) list.push(await signIn(again, ours.key));
  const status = async (k) => (await send(again, 'localhost', 'GET', '/v1/whoami', { cookie: k })).status;
  assert.deepEqual([await status(list[0]), await status(list[1]), await status(list[20])], [401, 200, 200]);
  const audit = (await now.call('GET', '/v1/audit', [], { query: '?limit=500' })).body.data.map((e) => e.action);
  assert.deepEqual([audit.filter((a) => a === 'web.sign_in').length, audit.filter((a) => a === 'web.sign_out').length], [23, 1]);
  // Who signs in again has one session, not two.
  const first = list[20];
  const second = cookieOf(await send(again, 'localhost', 'POST', '/v1/web/session', { body: { key: ours.key }, cookie: first })).pair;
  assert.deepEqual([await status(first), await status(second), await status(list[1])], [401, 200, 200]);
  // What a key has the audit log keep has an end; another key is not concerned.
  let last;
  for (let i = 0; i < 210 && last?.status !== 429; i++) last = await send(again, 'localhost', 'POST', '/v1/web/session', { body: { key: ours.key } });
  assert.deepEqual([last.status, last.body.code], [429, 'limit_reached']);
  // It ends with its key, not later.
  const brief = (await now.call('POST', '/v1/keys', [], { body: { name: 'brief', scopes: ['read'], expires_in_s: 3600 } })).body;
  const ends = (await send(again, 'localhost', 'POST', '/v1/web/session', { body: { key: brief.key } })).headers['set-cookie'][0];
  const age = Number(/Max-Age=(\d+)/.exec(ends)[1]);
  assert.ok(age <= 3600 && age > 0, ends);
  await eventually(async () => !(await now.call('GET', '/readyz')).body.code, 'the server is well');
});

test('behind https the cookie is for https and this name alone', async (t) => {
  const karta = await startServe(t, { args: ['--public-url', 'https://karta.example', '--trust-proxy'] });
  const c = new Client(karta, karta.key);
  assert.equal((await publish(c, 'mine', archive(t, {}, 'mine'))).status, 201);
  const proxied = (host) => [...PAGE, ['x-forwarded-proto', 'https'], ['x-forwarded-host', host], ['x-forwarded-for', '192.0.2.1']];
  const go = (host, method, url, o = {}) => send(karta, host === 'localhost' ? host : 'karta.example:80', method, url, { headers: host === 'localhost' ? PAGE : proxied(host), origin: `https://${host}`, ...o });
  const made = await go('karta.example', 'POST', '/v1/web/session', { body: { key: karta.key } });
  assert.equal(made.status, 201, made.text);
  const { pair, attributes } = cookieOf(made);
  assert.match(pair, /^__Host-karta=/);
  assert.deepEqual(attributes, ['Path=/', 'Max-Age=1209600', 'HttpOnly', 'SameSite=Strict', 'Secure']);
  const to = await go('karta.example', 'POST', '/v1/web/handover', { cookie: pair, body: { host: 'mine.karta.example', state: STATE } });
  assert.match(to.body.url, /^https:\/\/mine\.karta\.example\/sign-in#code=/);
  // This machine's names are not the public ones'.
  assert.equal((await go('karta.example', 'POST', '/v1/web/handover', { cookie: pair, body: { host: 'mine.localhost', state: STATE } })).status, 404);
  const code = new URL(to.body.url).hash.slice(6);
  const there = await go('mine.karta.example', 'POST', '/v1/web/session', { body: { code, state: STATE } });
  assert.equal(there.status, 204, there.text);
  assert.match(cookieOf(there).pair, /^__Host-karta=/);
  assert.equal((await go('mine.karta.example', 'GET', '/v1/sessions', { cookie: cookieOf(there).pair })).status, 200);
  assert.equal((await go('mine.karta.example', 'GET', '/v1/sessions')).body.sign_in, 'https://karta.example/sign-in#to=mine.karta.example');
});

test('an address that leads nowhere is a page for a person, and JSON for programs', async (t) => {
  const karta = await startServe(t);
  const hand = [['accept', 'text/html,application/xhtml+xml,*/*;q=0.8']];
  const typed = [...hand, ['sec-fetch-mode', 'navigate'], ['sec-fetch-dest', 'document'], ['sec-fetch-site', 'none']];
  for (const [host, url, status, words] of [['localhost', '/nowhere', 404, 'There is no page here'], ['localhost', '/agent_projects', 401, 'for programs'], ['localhost', '/projects/a/b', 404, 'no page'],
    ['bot.localhost', '/nowhere', 404, 'no page'], ['evil.example', '/', 421, 'another name'], ['localhost', '/webhooks/github', 405, 'no page'], ['localhost', '/oops', 404, 'no page'], ['localhost', '/project', 404, 'no page']]) {
    for (const headers of [hand, typed]) {
      const r = await send(karta, host, 'GET', url, { headers, origin: null });
      assert.equal(r.status, status, url);
      assert.match(r.headers['content-type'], /^text\/html/, url);
      assert.match(r.headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/);
      assert.equal(r.headers.vary, 'Accept');
      assert.ok(r.text.includes(words), r.text);
      assert.ok(!/\{\{|\}\}/.test(r.text));
      if (status === 421) assert.ok(!r.text.includes('href="/"') && !r.text.includes('button'), r.text);
      else assert.ok(r.text.includes(`href="http://localhost:${karta.port}/"`), r.text);
    }
    for (const headers of [[], [['accept', '*/*']], PAGE.concat(hand), [...hand, ['sec-fetch-mode', 'cors']], [...hand, ['sec-fetch-dest', 'iframe']]])
      assert.match((await send(karta, host, 'GET', url, { headers, origin: null })).headers['content-type'], /^application\/problem\+json/, `${url} ${headers}`);
  }
  assert.match((await send(karta, 'localhost', 'POST', '/nowhere', { headers: hand })).headers['content-type'], /json/);
  // The page that says that the name is wrong has its style there; nothing else has.
  for (const [url, status] of [['/assets/page.css', 200], ['/assets/app.js', 421], ['/home', 421], ['/v1/whoami', 421]])
    assert.equal((await send(karta, 'evil.example', 'GET', url, { origin: null })).status, status, url);
  // With a slash too many it is the page all the same, with what was asked for.
  for (const [host, url, to] of [['localhost', '/projects/bot/', '/projects/bot'], ['localhost', '/device/?code=BCDF-GHJK', '/device?code=BCDF-GHJK'], ['localhost', '/sign-in/', '/sign-in'], ['bot.localhost', '/sign-in/', '/sign-in']]) {
    const away = await send(karta, host, 'GET', url, { headers: hand, origin: null });
    assert.equal(away.status, 308, url);
    const there = new URL(away.headers.location, `http://${host}${url}`);
    assert.equal(there.host + there.pathname + there.search, host + to);
    assert.equal((await send(karta, host, 'GET', to, { headers: hand, origin: null })).status, 200);
  }
  for (const url of ['/oops/', '/project/', '/nowhere/', '//', '/projects/A%2Fb/', '/assets/page.css/', '//evil.example/'])
    assert.ok([400, 404].includes((await send(karta, 'localhost', 'GET', url, { headers: hand, origin: null })).status), url);
  // What is said of the address is text.
  const r = await send(karta, 'localhost', 'GET', '/%3Cscript%3Ealert(1)%3C/script%3E?x=%22%3E%3Cimg%3E', { headers: hand, origin: null });
  assert.ok(!/<script|<img>/.test(r.text), r.text);
});
