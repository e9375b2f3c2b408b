// SPDX-License-Identifier: MIT
// The entrance: what is said of a request before its body is read, clients that shut their side when they have asked,
// and what a proxy in between changes.
import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { Client } from './document.mjs';
import { call, fakeApp, newSession, startKarta, tempDir, within } from './lib.mjs';
import { startServe } from './serve.mjs';

/** All that comes back for these bytes until the server closes; with half, our side is shut behind them. */
function raw(port, bytes, { half = false } = {}) {
  return within(new Promise((resolve) => {
    const s = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    s.on('data', (d) => { text += d; });
    s.on('error', () => resolve(text));
    s.on('end', () => { s.destroy(); resolve(text); });
    s.on('connect', () => (half ? s.end(bytes) : s.write(bytes)));
  }), bytes.slice(0, 80));
}
const head = (method, path, ...lines) => [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...lines, '', ''].join('\r\n');
const status = (text) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
const JSON_TYPE = 'Content-Type: application/json';

test('a body is refused by its head: key, type, length', async (t) => {
  const karta = await startServe(t);
  const key = `Authorization: Bearer ${karta.key}`;
  // Nothing of these bodies is ever sent.
  for (const [want, ...rq] of [
    [401, 'POST', '/v1/sessions', JSON_TYPE, 'Content-Length: 1000000'],
    [401, 'POST', '/v1/sessions', JSON_TYPE, 'Transfer-Encoding: chunked'],
    [401, 'PUT', '/agent_projects/x/releases', 'Content-Length: 1000000'],
    [413, 'POST', '/v1/device/code', JSON_TYPE, 'Content-Length: 4097'],
    [413, 'POST', '/agent_projects', JSON_TYPE, key, 'Content-Length: 16385'],
    [413, 'POST', '/v1/sessions', JSON_TYPE, key, 'Content-Length: 1048577'],
    [413, 'GET', '/healthz', JSON_TYPE, 'Content-Length: 4097'],
    [404, 'POST', '/nowhere', JSON_TYPE, 'Content-Length: 100'],
    [405, 'PUT', '/v1/keys', JSON_TYPE, 'Content-Length: 100'],
    [415, 'POST', '/v1/sessions', key, 'Content-Length: 100'],
    [415, 'POST', '/v1/device/code', 'Content-Length: 2'],
    [415, 'POST', '/v1/sessions', key, 'Content-Type: application/x-www-form-urlencoded', 'Content-Length: 2'],
    [415, 'POST', '/v1/sessions', key, JSON_TYPE, 'Content-Type: text/plain', 'Content-Length: 2'],
  ]) assert.equal(status(await raw(karta.port, head(...rq))), want, rq.join(' | '));
  assert.match(await raw(karta.port, head('POST', '/v1/device/code', JSON_TYPE, 'Content-Length: 4097')), /larger than 4 KiB/);
  // A chunked body is measured as it comes; one that is none needs no type.
  assert.equal(status(await raw(karta.port, `${head('POST', '/v1/device/code', JSON_TYPE, 'Transfer-Encoding: chunked')}1001\r\n${' '.repeat(0x1001)}\r\n`)), 413);
  assert.equal(status(await raw(karta.port, `${head('POST', '/v1/device/code', 'Transfer-Encoding: chunked')}2\r\n{}\r\n0\r\n\r\n`, { half: true })), 415);
  assert.notEqual(status(await raw(karta.port, `${head('POST', '/v1/device/code', 'Transfer-Encoding: chunked')}0\r\n\r\n`, { half: true })), 415);
});

test('who shuts its side when it has asked gets its answer', async (t) => {
  const dir = tempDir(t, 'entry');
  fakeApp(dir);
  const karta = await startKarta(t, dir);
  const id = await newSession(karta);
  const ask = (path, body) => `${head('POST', path, JSON_TYPE, `Content-Length: ${Buffer.byteLength(body)}`)}${body}`;
  const half = (bytes) => raw(karta.port, bytes, { half: true });
  for (const path of ['/healthz', '/openapi.json', '/v1/sessions', `/v1/sessions/${id}`, '/assets/icon.svg'])
    assert.equal(status(await half(head('GET', path))), 200, path);
  // A turn that is waited for, and one that is streamed: both end long after the client's side was shut.
  const unary = await half(ask(`/v1/sessions/${id}/messages`, '{"text":"N=5 GAP=100"}'));
  assert.equal(status(unary), 200, unary.slice(0, 300));
  const streamed = await half(ask(`/v1/sessions/${id}/messages`, '{"text":"N=5 GAP=100","stream":true}'));
  assert.equal(status(streamed), 200);
  assert.match(streamed, /event: done/);
  // What is pipelined behind it, too.
  const two = await half(ask(`/v1/sessions/${id}/messages`, '{"text":"hi"}') + head('GET', '/healthz'));
  assert.equal(two.match(/HTTP\/1\.1 200 /g).length, 2, two.slice(0, 300));
});

test('what was proxied is not of this machine; names are checked for every asset', async (t) => {
  for (const [args, header, want] of [
    [[], null, 201], [[], ['x-forwarded-for', '127.0.0.1'], 403], [[], ['x-forwarded-host', 'localhost'], 403], [[], ['x-real-ip', '127.0.0.1'], 403],
    [[], ['forwarded', 'for=127.0.0.1'], 403], [[], ['via', '1.1 x'], 403], [['--trust-proxy'], null, 403], [['--trust-proxy'], ['x-forwarded-for', '127.0.0.1'], 403],
  ]) {
    const karta = await startServe(t, { args });
    const c = new Client(karta, karta.key);
    const r = await c.call('POST', '/agent_projects', [], { body: { slug: 'dir', dir: tempDir(t, 'dir') }, headers: header ? Object.fromEntries([header]) : {} });
    // What the folder has is looked at after that: it has nothing.
    assert.equal(r.status === 403, want === 403, `${args} ${header}: ${r.status} ${r.text}`);
    if (header || args.length) continue;
    for (const path of ['/', '/home', '/assets/icon.svg', '/openapi.json']) {
      assert.equal(status(await raw(karta.port, `GET ${path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`)), 421, path);
      assert.equal(status(await raw(karta.port, head('GET', path, 'Origin: http://evil.example', 'Connection: close'))), 403, path);
    }
  }
});

test('a local server takes nobody behind a proxy for who sits at it', async (t) => {
  const dir = tempDir(t, 'here');
  fakeApp(dir);
  const karta = await startKarta(t, dir);
  const id = await newSession(karta);
  const ask = (header) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[ask:ls]]' }, header);
  for (const header of [{ 'x-forwarded-for': '203.0.113.9' }, { via: '1.1 x' }]) {
    const r = await ask(header);
    assert.deepEqual([r.status, r.body.code], [403, 'forwarded_refused'], JSON.stringify(header));
  }
  const asked = (await ask({})).body.pending_input;
  assert.deepEqual(asked.asked_by.message_from, { key: null, address: null });
  assert.equal((await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${asked.request_id}`, { decision: 'deny' })).status, 200);
});
