// SPDX-License-Identifier: MIT
// Clients that mean harm: malformed and mutated requests over raw sockets, slow clients, foreign
// pages, forged approvals, unusual paths, floods of one idempotency key.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { LONG, PATIENCE_MS, ROOT, call, chance, eventually, fakeApp, newSession, openStream, path, readFileSync, sleep, startKarta, tempDir,
  textOf } from './lib.mjs';

let random = chance('hostile');
const ASYNC = { prefer: 'respond-async' };

/** Freed memory is given back soon, so that the resident size means something under ASan. */
async function setUp(t, files = {}) {
  const dir = tempDir(t, 'app');
  fakeApp(dir, files);
  return startKarta(t, dir, { env: { FAKE_AGENT_STATE: tempDir(t, 'agent'), ASAN_OPTIONS: 'detect_leaks=1:quarantine_size_mb=2',
    MALLOC_ARENA_MAX: '1' } });
}

/** A stop that waits for nothing and finds no leak. */
const ends = async (karta) => assert.equal(await karta.stop(), 0, karta.err.slice(-3000));

const rssKiB = (karta) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${karta.pid}/status`, 'utf8'))[1]);

async function pool(width, items, fn) {
  let at = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (at < items.length) { const i = at++; await fn(items[i], i); }
  }));
}

/** Send pieces (an expression is waited for in the answer), then read until the server closes. Gives {text, closed}; `end` shuts our side after the last piece. */
function raw(karta, pieces, { end = false } = {}) {
  return new Promise((resolve) => {
    const got = [];
    const s = net.connect({ port: karta.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const finish = (closed) => { clearTimeout(timer); s.destroy(); resolve({ text: Buffer.concat(got).toString('latin1'), closed }); };
    const timer = setTimeout(() => finish(false), PATIENCE_MS);
    s.on('data', (d) => got.push(d));
    s.on('end', () => finish(true));
    s.on('error', () => finish(true));
    s.on('connect', async () => {
      for (const p of [pieces].flat()) {
        if (p instanceof RegExp) await eventually(() => p.test(Buffer.concat(got).toString('latin1')), `${p} in the answer`).catch(() => finish(false));
        else s.write(Buffer.from(p, 'latin1'));
        if (Array.isArray(pieces)) await sleep(1);
      }
      if (end) s.end();
    });
  });
}

/** The answers of a connection, framed by Content-Length: [{status, head, body}]; throws on anything else. */
function answers(text, { head = false } = {}) {
  const out = [];
  while (text) {
    const m = /^HTTP\/1\.1 (\d{3}) [A-Za-z -]+\r\n((?:[^\r]+\r\n)*)\r\n/.exec(text);
    if (!m) throw new Error(`not an answer: ${JSON.stringify(text.slice(0, 200))}`);
    const length = Number(/^content-length: (\d+)\r?$/im.exec(m[2])?.[1] ?? 0);
    const bodiless = head || Number(m[1]) === 100;
    out.push({ status: Number(m[1]), head: m[2], body: bodiless ? '' : text.slice(m[0].length, m[0].length + length) });
    text = text.slice(m[0].length + (bodiless ? 0 : length));
  }
  return out;
}

const H = 'Host: localhost\r\n';
const END = 'Connection: close\r\n\r\n';
const line = (l, rest = H + END) => `${l}\r\n${rest}`;
const get = (target, rest = H + END) => line(`GET ${target} HTTP/1.1`, rest);
const field = (f) => get('/healthz', `${H}${f}\r\n${END}`);
const host = (h) => get('/healthz', `Host: ${h}\r\n${END}`);
const J = `${H}Content-Type: application/json\r\n`;
const post = (fields, body) => line('POST /v1/sessions HTTP/1.1', `${J}${fields}${END}${body}`);
const length = (v, body = '{}') => post(`Content-Length:${v}\r\n`, body);
const coding = (v, body = '2\r\n{}\r\n0\r\n\r\n') => post(`Transfer-Encoding: ${v}\r\n`, body);
const chunks = (body) => coding('chunked', body);
const many = (n) => get('/healthz', H + 'a: b\r\n'.repeat(n - 2) + END);
const sized = (n) => { const base = get('/healthz', `${H}a: \r\n${END}`); return base.replace('a: ', `a: ${'x'.repeat(n - base.length)}`); };

/* What an answer list must be; 'none' = the server waits for more, and closes in silence when the client does. */
const CASES = {
  'request line': [
    [200, get('/healthz')], [400, line('GET /healthz')], [505, line('GET /healthz HTTP/2.0')], [505, line('GET /healthz HTTP/0.9')],
    [505, line('GET /healthz HTTP/1.2')], [400, line('GET /healthz http/1.1')], [400, line('GET /healthz HTTP/1.10')],
    [400, line('GET /healthz HTTP/11')], [400, line('GET /healthz HTTP/1.')], [400, line('GET /healthz HTTP/01.1')],
    [400, line('GET /healthz HTTP/1,1')], [400, line('GET /healthz HTTPS/1.1')], [400, line('GET  /healthz HTTP/1.1')],
    [400, line('GET /healthz  HTTP/1.1')], [400, line('GET\t/healthz\tHTTP/1.1')], [400, line(' GET /healthz HTTP/1.1')],
    [400, line('GET /healthz HTTP/1.1 ')], [400, line('/healthz HTTP/1.1')], [400, line('GET HTTP/1.1')], [400, line('get /healthz HTTP/1.1')],
    [400, line('G\xc9T /healthz HTTP/1.1')], [400, line('GET1 /healthz HTTP/1.1')], [400, line('-GET /healthz HTTP/1.1')],
    [400, line(`${'A'.repeat(25)} /healthz HTTP/1.1`)], [501, line(`${'A'.repeat(24)} /healthz HTTP/1.1`)], [501, line('BREW /healthz HTTP/1.1')],
    [501, line('TRACE /healthz HTTP/1.1')], [501, line('CONNECT localhost:80 HTTP/1.1')], [400, line('GET /healthz x HTTP/1.1')],
    [200, '\r\n' + get('/healthz')], [400, '\r\n\r\n' + get('/healthz')], [400, '\n' + get('/healthz')], [400, '\r' + get('/healthz')],
    [400, `GET /healthz HTTP/1.1\n${H}${END}`], [400, line('GET /heal\0thz HTTP/1.1')], [405, line('POST /healthz HTTP/1.1')],
    [405, line('PATCH /v1/sessions HTTP/1.1')],
  ],
  target: [
    [200, get('http://localhost/healthz')], [200, get('HTTP://LOCALHOST/healthz')], [400, get('ftp://localhost/healthz')], [400, get('http:///healthz')],
    [400, get('http://u@localhost/healthz')], [421, get('http://evil.example/healthz')], [400, get('*')], [404, line('OPTIONS * HTTP/1.1')],
    [400, get('/healthz#f')], [400, get('/healthz\\')], [400, get('/%00')], [400, get('/%')], [400, get('/%4')], [400, get('/%zz')], [400, get('/a%2fb')],
    [400, get('/a%2Fb')], [400, get('/%2e%2e/x')], [400, get('/%2E./x')], [400, get('/../x')], [400, get('/a/./b')], [400, get('/a/..')], [404, get('/...')],
    [400, get('/%0d%0aX:y')], [400, get('/%7f')], [400, get('/%c0%af')], [400, get('/%ed%a0%80')], [400, get('/%ff')], [404, get('/%f0%9f%98%80')],
    [400, get('/\xff')], [400, get('/<x>')], [400, get('/"')], [404, get('//healthz')], [404, get('/healthz/')], [200, get('/healthz?a=%zz&..')],
    [400, get('localhost:80')], [400, get('healthz')], [404, get(`/${'x'.repeat(8191)}`)], [414, get(`/${'x'.repeat(8192)}`)],
    [400, get('/v1/sessions?limit=%00')], [400, get('/v1/sessions?limit=1%')],
  ],
  host: [
    [400, get('/healthz', END)], [200, line('GET /healthz HTTP/1.0', '\r\n')], [400, get('/healthz', H + H + END)], [400, host('')], [400, host('local host')],
    [400, host('localhost:1:1')], [400, host('localhost:99999')], [400, host('localhost:0')], [400, host('localhost:x')], [200, host('localhost:')],
    [200, host('[::1]:1')], [400, host('[::1')], [400, host('u@localhost')], [400, host('localhost/x')], [400, host('localhost,x')], [421, host('evil.example')],
    [200, host('LOCALHOST')], [421, host('localhost.evil.example')], [421, host('127.0.0.1.evil.example')], [421, host('2130706433')], [421, host('0.0.0.0')],
    [421, host('evillocalhost')], [400, host('%6cocalhost')],
  ],
  field: [
    [400, field('a : b')], [400, field(': b')], [400, field('a')], [400, field('a: b\r\n c')], [400, field('a: b\r\n\tc')],
    [400, get('/healthz', ` ${H}${END}`)], [400, field('a: b\rc')], [400, field('a: b\nc: d')], [400, field('a: b\0')], [400, field('a: \x01')],
    [400, field('a: \x7f')], [200, field('a: b\tc')], [200, field('a: \xc3\xa9')], [200, field('a:')], [400, field('a(: b')], [400, field('"a": b')],
    [400, field('a b: c')], [400, field('\xe9: b')], [400, field('[a]: b')], [400, field('a\0: b')], [200, many(64)], [431, many(65)], [200, sized(16384)],
    [431, sized(16385)], [431, get('/healthz', H + `a: ${'x'.repeat(20000)}`)], [417, field('Expect: 200-maybe')], [417, field('Expect: 100-continue, x')],
    [200, field('Upgrade: websocket\r\nSec-WebSocket-Version: 13')], [200, field('Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__')],
  ],
  'content length': [
    [201, length(' 2')], [201, length('2')], [201, length(' \t02 ')], [400, length(' -2')], [400, length(' +2')], [400, length(' 2x')], [400, length(' 0x2')],
    [400, length('')], [400, length(' ')], [400, length(' 2,2')], [400, length(' 2, 2')], [400, length(' 2 2')], [400, length(' 2\r\nContent-Length: 2')],
    [400, length(' 2\r\nContent-Length: 3')], [400, length(' 2.0')], [400, length(' 1e1')], [400, length(' \xb2')], [400, length(` ${'9'.repeat(19)}`)],
    [413, length(` ${'9'.repeat(18)}`)], [413, length(' 1048577')], ['none', length(' 3')], [400, length(' 1')], [400, length(' 2\x0b')],
  ],
  'transfer coding': [
    [201, coding('chunked')], [201, coding('ChunKed')], [501, coding('chunked, chunked')], [501, coding('gzip, chunked')], [501, coding('chunked, gzip')],
    [501, coding('identity')], [501, coding('xchunked')], [501, coding('chunked;q=1')], [501, coding('"chunked"')], [501, coding('')],
    [501, coding(',chunked')], [400, coding('chunked\r\nTransfer-Encoding: chunked')], [400, coding('chunked\r\nTransfer-Encoding: identity')],
    [400, coding('\x0bchunked')], [400, coding('chunked\0')], [400, coding('\r\n chunked')], [400, coding('chunked\r\nContent-Length: 2')],
    [400, post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '{}')], [400, post('Transfer-Encoding : chunked\r\n', '')],
    [400, line('POST /v1/sessions HTTP/1.0', `${H}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`)],
  ],
  chunk: [
    [201, chunks('1\r\n{\r\n1\r\n}\r\n0\r\n\r\n')], [201, chunks('00000002\r\n{}\r\n000\r\n\r\n')], [400, chunks('000000002\r\n{}\r\n0\r\n\r\n')],
    [400, chunks('g\r\n{}\r\n0\r\n\r\n')], [400, chunks('\r\n{}\r\n')], [400, chunks('-2\r\n{}\r\n')], [400, chunks('+2\r\n{}\r\n')], [400, chunks('0x2\r\n{}\r\n')],
    [400, chunks(' 2\r\n{}\r\n')], [400, chunks('2 \r\n{}\r\n')], [400, chunks('2\t\r\n{}\r\n')], [400, chunks('2;a=b\r\n{}\r\n')], [400, chunks('2\n{}\r\n')],
    [400, chunks('2\r{}\r\n')], [400, chunks('2\r\r\n{}\r\n')], [400, chunks('2\r\n{}\n')], [400, chunks('2\r\n{} \r\n')], [400, chunks('3\r\n{}\r\n0\r\n\r\n')],
    [400, chunks('1\r\n{}\r\n')], [400, chunks('2\0\r\n{}\r\n')], [400, chunks('2\r\n{}\r\n0\r\nX: y\r\n\r\n')], [400, chunks('2\r\n{}\r\n0\r\n\n')],
    ['none', chunks('2\r\n{}\r\n0\r\n')], ['none', chunks('2\r\n{')], ['none', chunks('ffffffff\r\n{')], [400, chunks('100000000\r\n{')],
    [413, chunks(`100001\r\n${'x'.repeat(0x100001)}`)],
  ],
  'body and pipeline': [
    [[100, 201], [`POST /v1/sessions HTTP/1.1\r\n${J}Content-Length: 2\r\nExpect: 100-continue\r\n${END}`, /100 Continue/, '{}']],
    [201, line('POST /v1/sessions HTTP/1.0', `${J}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}`)],
    [[200, 200], get('/healthz', H + '\r\n') + get('/healthz')], [[200, 400], get('/healthz', H + '\r\n') + 'GET\r\n\r\n'], [400, 'GET\r\n\r\n' + get('/healthz')],
    [[201, 200], line('POST /v1/sessions HTTP/1.1', `${J}Content-Length: 2\r\n\r\n{}`) + get('/healthz')],
    [[201, 400], line('POST /v1/sessions HTTP/1.1', `${J}Content-Length: 2\r\n\r\n{}}`) + get('/healthz')],
    [[200, 200], get('/healthz', `${J}Content-Length: 5\r\n\r\nhello`) + get('/healthz')], [200, get('/healthz') + get('/healthz')],
    [400, post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nG')], [Array(50).fill(200), get('/healthz', H + '\r\n').repeat(49) + get('/healthz')],
    ['none', 'GET /healthz HTTP/1.1\r\nHost: local'], ['none', 'G'], ['none', ''], ['none', '\r\n'], ['none', 'GET /healthz HTTP/1.1\r'],
  ],
  'other protocols': [
    [505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], [400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], [400, 'SSH-2.0-x\r\n'], [400, '\0'.repeat(64)], [400, '\x05\x01\x00'],
    [400, 'EHLO x\r\n'], [400, '{"jsonrpc":"2.0"}\n'], [400, '\xff'.repeat(4096)], [400, 'A'.repeat(100000)],
  ],
};

test('malformed requests by category, each with its exact verdict', async (t) => {
  const karta = await setUp(t);
  const all = Object.entries(CASES).flatMap(([name, list]) => list.map(([want, bytes], i) => ({ what: `${name} ${i}`, want, bytes })));
  assert.ok(all.length >= 150, `${all.length} cases`);
  const wrong = [];
  await pool(16, all, async ({ what, want, bytes }) => {
    const r = await raw(karta, bytes, { end: want === 'none' });
    const list = answers(r.text);
    const statuses = list.map((a) => a.status);
    const wanted = want === 'none' ? [] : [want].flat();
    if (!r.closed || JSON.stringify(statuses) !== JSON.stringify(wanted))
      wrong.push(`${what}: wanted ${wanted}, got ${statuses}${r.closed ? '' : ' and no close'}: ${JSON.stringify(String(bytes).slice(0, 90))}`);
    for (const a of list.filter((x) => x.status >= 400)) assert.match(a.body, /^\{"type":"urn:karta:problem:/, what);
    for (const a of list) {
      if (a.status === 414) assert.match(a.body, /over 8 KiB/, what);
      if (a.status === 431) assert.match(a.body, /over 16 KiB or 64 headers/, what);
    }
    if (list.at(-1)?.status >= 400) assert.match(list.at(-1).head, /^connection: close\r?$/im, what);
  });
  assert.deepEqual(wrong, []);
  t.diagnostic(`${all.length} cases`);
  assert.equal((await call(karta, 'GET', '/healthz')).status, 200);
  await ends(karta);
});

/* Seeds of the mutations. None of them changes anything on the server when it is taken as it is. */
const SEEDS = [
  get('/healthz', H + '\r\n'), get('/v1/agents?x=1', `${H}Accept: */*\r\nX-A: b\r\nX-A: c\r\n\r\n`),
  line('POST /v1/sessions HTTP/1.1', `${H}Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{"metadata":5}`),
  line('POST /v1/sessions HTTP/1.1', `${J}Transfer-Encoding: chunked\r\n\r\n7\r\n{"metad\r\n7\r\nata":5}\r\n0\r\n\r\n`),
  get('http://localhost/healthz', `${H}Connection: keep-alive\r\n\r\n`) + get('/readyz', H + '\r\n'),
  line('PUT /v1/sessions/sess_x/inputs/req_x HTTP/1.1', `${J}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}`),
  line('GET /healthz HTTP/1.0', `${H}Connection: keep-alive\r\n\r\n`),
];
const AWKWARD = ['\r', '\n', '\0', '\r\n', ' ', '\t', ':', '%', '\x7f', '\xff', '\x0b', ',', '0', '-', '\r\n\r\n', '\n\n', '\r\r\n',
  'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Host: evil\r\n', ' HTTP/1.1', '/../', '%2f', '0\r\n\r\n', 'G'.repeat(300)];

function mutate(bytes) {
  const at = random(bytes.length + 1);
  const some = AWKWARD[random(AWKWARD.length)];
  const lines = bytes.split('\r\n');
  const i = random(lines.length);
  switch (random(9)) {
    case 0: return bytes.slice(0, at) + some + bytes.slice(at);
    case 1: return bytes.slice(0, at) + bytes.slice(at + 1 + random(4));
    case 2: return bytes.slice(0, at) + String.fromCharCode((bytes.charCodeAt(at) || 0) ^ (1 << random(8))) + bytes.slice(at + 1);
    case 3: lines.splice(i, 0, ...Array(1 + random(random(10) ? 3 : 80)).fill(lines[i])); return lines.join('\r\n');
    case 4: { const j = random(lines.length); [lines[i], lines[j]] = [lines[j], lines[i]]; return lines.join('\r\n'); }
    case 5: { let n = 0; const k = random(lines.length); return bytes.replace(/\r\n/g, (m) => (n++ === k ? ['\n', '\r', '\n\r', '', '\r\n ', '\0'][random(6)] : m)); }
    case 6: return bytes.slice(0, at) + some + bytes.slice(at + some.length);
    case 7: return bytes.slice(0, at) + SEEDS[random(SEEDS.length)];
    default: return bytes.replace(/\d+/, (d) => ['-1', '+1', `${d} ${d}`, `0x${d}`, '99999999999999999999', `${d},${d}`][random(6)]);
  }
}

/** How many whole requests node's strict parser takes from these bytes; it does not know that a tab may end a field (RFC 9110 5.5). */
function nodeTakes(server, bytes) {
  return new Promise((resolve) => {
    const requests = [];
    const pipe = new Duplex({ read() {}, write(_c, _e, done) { done(); } });
    pipe.setTimeout = () => pipe;
    pipe.setKeepAlive = pipe.setNoDelay = () => pipe;
    pipe.requests = requests;
    server.emit('connection', pipe);
    pipe.on('error', () => {});
    pipe.push(Buffer.from(bytes.replace(/[\t ]+(?=\r\n)/g, ' '), 'latin1'));
    setImmediate(() => setImmediate(() => setImmediate(() => { resolve(requests.filter((rq) => rq.complete).length); pipe.destroy(); })));
  });
}

test('thousands of mutated requests', async (t) => {
  random = chance('requests');
  const karta = await setUp(t);
  const strict = http.createServer({ insecureHTTPParser: false, keepAliveTimeout: 0 }, (rq, rs) => {
    rq.socket.requests.push(rq);
    rq.resume();
    rs.end();
  });
  strict.on('clientError', (_e, s) => s.destroy());
  const PARSER = new Set([400, 408, 413, 414, 417, 431, 501, 505]);
  /* What the head is enough for is answered at once, and the connection ended: the rest is not looked at. */
  const early = (a) => [404, 405, 413, 415, 421].includes(a.status) && /^connection: close\r?$/im.test(a.head);
  const taken = (list) => list.filter((a) => a.status !== 100 && !early(a) && !(PARSER.has(a.status) && /problem:(bad_request|timeout|too_large|not_implemented|version_not_supported|expectation\w*)"/.test(a.body)));

  /* However a good message is cut, the answers are the same. */
  const cuts = SEEDS.flatMap((s) => Array.from({ length: s.length - 1 }, (_, i) => [s, i + 1]));
  const uncut = new Map();
  const verdict = async (pieces) => answers((await raw(karta, pieces, { end: true })).text).map((a) => a.status).filter((s) => s !== 100).join();
  for (const s of SEEDS) uncut.set(s, await verdict(s));
  await pool(32, cuts, async ([s, i]) => assert.equal(await verdict([s.slice(0, i), s.slice(i)]), uncut.get(s), `cut at ${i} of ${JSON.stringify(s)}`));

  const began = Date.now();
  const counts = {};
  let before = 0;
  const n = LONG ? 10000 : 4000;
  await pool(32, Array.from({ length: n }), async (_, i) => {
    let bytes = mutate(SEEDS[random(SEEDS.length)]);
    while (random(3) === 0) bytes = mutate(bytes);
    const r = await raw(karta, bytes, { end: true });
    const list = answers(r.text);
    const what = `request ${i}: ${JSON.stringify(bytes.slice(0, 600))} -> ${list.map((a) => a.status)}`;
    assert.ok(r.closed, what);
    assert.ok(!list.some((a) => a.status >= 500 && ![501, 505].includes(a.status)), what);
    for (const a of list) counts[a.status] = (counts[a.status] ?? 0) + 1;
    const ours = taken(list).length;
    if (ours > 0) {
      const theirs = await nodeTakes(strict, bytes);
      assert.ok(ours <= theirs, `node takes ${theirs} of them, karta ${ours}: ${what}`);
    }
    if (i === n * 3 / 10) before = rssKiB(karta);
  });
  const grown = rssKiB(karta) - before;
  t.diagnostic(`${((Date.now() - began) / 1000).toFixed(1)} s, grown by ${grown} KiB, answers ${JSON.stringify(counts)}`);
  assert.ok(counts[400] > n * 3 / 10 && counts[200] > n / 20, 'a mix of verdicts');
  assert.ok(grown < 6 * 1024, `the server grew by ${grown} KiB`);
  assert.equal((await call(karta, 'GET', '/healthz')).status, 200);
  assert.equal((await call(karta, 'POST', '/v1/sessions', {})).status, 201);
  for (const l of karta.err.split('\n')) assert.ok(l.length <= 4096 && !/[\x00-\x08\x0b-\x1a\x1c-\x1f]/.test(l), `log line ${JSON.stringify(l.slice(0, 200))}`);
  strict.close();
  await ends(karta);
});

test('slow and silent clients are gone after their deadline; honest ones do not notice', async (t) => {
  const karta = await setUp(t);
  const open = [];
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
  const honest = async (n, going = () => false) => {
    const took = [];
    const end = Date.now() + PATIENCE_MS;
    while (took.length < n || (going() && Date.now() < end)) {
      const t0 = performance.now();
      assert.equal((await call(karta, 'GET', '/v1/sessions')).status, 200);
      took.push(performance.now() - t0);
      await sleep(20);
    }
    return took;
  };
  const calm = median(await honest(100));
  const attack = (first, drip) => {
    const s = net.connect({ port: karta.port, host: '127.0.0.1', noDelay: true });
    const a = { began: Date.now(), gone: 0, text: '' };
    let i = 0;
    s.on('connect', () => s.write(first));
    s.on('data', (d) => { a.text += d; });
    s.on('error', () => {});
    s.on('close', () => { a.gone = Date.now() - a.began; clearInterval(timer); });
    const timer = setInterval(() => drip && s.write(drip[i++ % drip.length]), 1000);
    t.after(() => { clearInterval(timer); s.destroy(); });
    open.push(s);
    return a;
  };
  const heads = Array.from({ length: 100 }, () => attack('GET /healthz HTTP/1.1\r\n', 'a: b\r\n'));
  const bodies = Array.from({ length: 20 }, () => attack(`POST /v1/sessions HTTP/1.1\r\n${J}Content-Length: 1000\r\n\r\n`, '{'));
  const silent = Array.from({ length: 300 }, () => attack('', null));
  /* What an honest one waits is measured before the attack and during it. */
  const times = await honest(100);
  times.push(...await honest(50, () => [...heads, ...bodies].some((a) => !a.gone)));
  const p50 = median(times);
  t.diagnostic(`${times.length} honest requests, p50 ${p50.toFixed(1)} ms, ${calm.toFixed(1)} ms before`);
  /* Each byte would extend the deadline for ever, if it did. */
  for (const a of heads) {
    assert.ok(a.gone > 9000, `head after ${a.gone} ms`);
    assert.match(a.text, /^HTTP\/1.1 408 /);
  }
  for (const a of bodies) {
    assert.ok(a.gone > 4500, `body after ${a.gone} ms`);
    assert.match(a.text, /^HTTP\/1.1 408 /);
  }
  assert.ok(silent.every((a) => !a.gone && !a.text), 'a silent connection keeps its idle time');
  assert.ok(p50 < 100 + 10 * calm, `p50 ${p50} ms, before ${calm} ms`);
  for (const s of open) s.destroy();
  await ends(karta);
});

test('readers that do not read cost neither the fast one nor memory', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'warm up' });
  const burst = '[[big:500000]]'.repeat(40);
  const run = async (after) => {
    const began = Date.now();
    const fast = openStream(karta, `/v1/sessions/${id}/events?after=${after}`);
    await sleep(50);
    await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: burst }, ASYNC);
    await fast.until((e) => e.type === 'done');
    fast.close();
    assert.equal(fast.events.filter((e) => e.type === 'text').reduce((n, e) => n + e.data.part.text.length, 0), 20e6);
    fast.events.forEach((e, i) => assert.equal(e.seq, after + 1 + i));
    return { ms: Date.now() - began, last: fast.events.at(-1).seq };
  };
  const last = async () => (await call(karta, 'GET', `/v1/sessions/${id}`)).body.last_seq
    ?? (await call(karta, 'GET', `/v1/sessions/${id}/events?limit=10000`, undefined, { accept: 'application/json' })).body.last_seq;
  const alone = await run(await last());
  const base = rssKiB(karta);
  const stuck = Array.from({ length: 20 }, () => {
    const s = net.connect({ port: karta.port, host: '127.0.0.1', readableHighWaterMark: 1 });
    s.pause();
    s.write(`GET /v1/sessions/${id}/events HTTP/1.0\r\n${H}Last-Event-ID: ${alone.last}\r\n\r\n`);
    s.on('error', () => {});
    t.after(() => s.destroy());
    return s;
  });
  const among = await run(alone.last);
  const grown = rssKiB(karta) - base;
  t.diagnostic(`20 MB in ${alone.ms} ms alone, ${among.ms} ms among 20 stuck readers; grown by ${grown} KiB`);
  assert.ok(grown < 32 * 1024, `grown by ${grown} KiB`);
  /* One that reads again gets all that it missed, in order: the fast one did not wait until it was closed. */
  let text = '';
  let next = alone.last + 1;
  stuck[0].on('data', (d) => {
    text += d;
    const cut = text.lastIndexOf('\n\n');
    for (const m of text.slice(0, cut < 0 ? 0 : cut).matchAll(/^id: (\d+)$/gm)) assert.equal(Number(m[1]), next++);
    if (cut >= 0) text = text.slice(cut);
  });
  stuck[0].resume();
  await eventually(() => next > among.last, `the slow reader caught up (at ${next} of ${among.last})`);
  assert.equal(next, among.last + 1);
  for (const s of stuck) s.destroy();
  await ends(karta);
});

/** One call with any headers; node's fetch would not send these. */
function bare(karta, method, target, headers = {}, body = '') {
  return new Promise((resolve, reject) => {
    const rq = http.request({ host: '127.0.0.1', port: karta.port, method, path: target, agent: false, headers: { host: `127.0.0.1:${karta.port}`,
      ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}), ...headers } }, (rs) => {
      let text = '';
      rs.on('data', (d) => { text += d; if (/event-stream/.test(rs.headers['content-type'])) { rs.destroy(); resolve({ status: rs.statusCode, headers: rs.headers, text }); } });
      rs.on('end', () => resolve({ status: rs.statusCode, headers: rs.headers, text }));
      rs.on('error', () => {});
    });
    rq.on('error', reject);
    rq.end(body);
  });
}

/** Every method and path of the OpenAPI document, and the pages. */
function routesOf(id) {
  const doc = JSON.parse(readFileSync(path.join(ROOT, 'lib/api/openapi.json'), 'utf8'));
  const list = Object.entries(doc.paths).flatMap(([p, methods]) => Object.keys(methods).filter((m) => /^(get|put|post|delete|patch)$/.test(m))
    .map((m) => [m.toUpperCase(), p.replace('{project_ref}', 'fake').replace('{session_id}', id).replace('{request_id}', 'req_x')]));
  return [...list, ['GET', '/'], ['GET', '/assets/app.js'], ['GET', '/nothing'], ['OPTIONS', '/v1/sessions']];
}

test('no route answers to a foreign Host or Origin', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const body = (m) => (m === 'POST' || m === 'PUT' ? '{"text":"hi","decision":"approve_once"}' : '');
  const here = `127.0.0.1:${karta.port}`;
  const origins = ['https://evil.example', 'null', `http://localhost:${karta.port}`, `http://127.0.0.1:${karta.port + 1}`, 'http://127.0.0.1', `http://${here}.evil.example`,
    `http://evil.example/${here}`, `file://${here}`, `app://${here}`, '', `http://${here}/`, `http://${here} http://evil.example`];
  const jobs = routesOf(id).flatMap(([m, p]) => [
    ...['evil.example', `evil.example:${karta.port}`, 'localhost.evil.example', '0.0.0.0', '169.254.169.254'].map((h) => [m, p, { host: h }, 421]),
    ...origins.map((o) => [m, p, { origin: o }, 403]),
    [m, p, { host: 'evil.example', origin: 'http://evil.example' }, 421],
  ]);
  const wrong = [];
  await pool(16, jobs, async ([m, p, h, want]) => {
    const r = await bare(karta, m, p, h, body(m));
    if (r.status !== want) wrong.push(`${m} ${p} ${JSON.stringify(h)}: ${r.status}`);
    for (const k of Object.keys(r.headers)) assert.doesNotMatch(k, /^access-control-/);
  });
  t.diagnostic(`${jobs.length} calls`);
  const kinds = [...new Set(wrong.map((w) => w.replace(/^\S+ \S+ /, '')))];
  assert.deepEqual(kinds, []);
  const list = (await call(karta, 'GET', '/v1/sessions')).body.data;
  assert.deepEqual(list.map((s) => [s.id, s.turns]), [[id, 0]], 'nothing was done');
  assert.equal((await bare(karta, 'POST', '/v1/sessions', { origin: `http://${here}` }, '{}')).status, 201, 'its own page may');
  await ends(karta);
});

test('the Origin rule cannot be talked around', async (t) => {
  const karta = await setUp(t);
  const first = async (bytes) => answers((await raw(karta, bytes)).text)[0].status;
  const here = 'Host: localhost\r\nOrigin: http://localhost\r\n';
  const body = 'Content-Type: application/json\r\nContent-Length: 2\r\n';
  const to = (fields) => line('POST /v1/sessions HTTP/1.1', `${fields}${END}{}`);
  assert.equal(await first(to(here + body)), 201);
  assert.equal(await first(to(`${here}Origin: https://evil.example\r\n${body}`)), 403, 'the second Origin counts too');
  assert.equal(await first(get('http://localhost/v1/sessions', `Host: evil.example\r\nOrigin: http://evil.example\r\n${END}`)), 403,
    'the origin is compared with the authority that was checked');
  for (const type of ['application/jsonp', 'application/json-seq', 'text/plain', 'text/plain; application/json', 'multipart/form-data', 'application/x-www-form-urlencoded', ''])
    assert.equal(await first(to(`${here}Content-Type: ${type}\r\nContent-Length: 2\r\n`)), 415, type);
  for (const type of ['application/json', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'Application/JSON'])
    assert.equal(await first(to(`${here}Content-Type: ${type}\r\nContent-Length: 2\r\n`)), 201, type);
  assert.equal(await first(to(`${here}Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n`)), 415, 'two types');
  await ends(karta);
});

test('approvals: not from another session, not twice, not with forged or huge answers', async (t) => {
  const karta = await setUp(t);
  const [a, b] = [await newSession(karta), await newSession(karta)];
  const command = 'rm \u202Etxt.exe\u202C \u001b[31mred\u001b[0m \u0007 a\u200Bb "q" \\ \u009b2J \u007f \ud83d\ude00\r\ttab';
  const s = openStream(karta, `/v1/sessions/${a}/events`, { raw: true });
  await call(karta, 'POST', `/v1/sessions/${a}/messages`, { text: `[[ask:${command}]]` }, ASYNC);
  const ask = (await s.until((e) => e.type === 'input_required')).data;
  assert.equal(ask.tool_input.command, command, 'the input is shown as it is');
  const wire = Buffer.concat(s.bytes).toString('utf8');
  assert.doesNotMatch(wire.replaceAll('\n', ''), /[\x00-\x1f]/, 'control characters are escaped on the wire');
  const put = (id, rq, body, headers = ASYNC) => call(karta, 'PUT', `/v1/sessions/${id}/inputs/${rq}`, body, headers);
  assert.equal((await put(b, ask.request_id, { decision: 'approve_once' })).status, 404, 'another session');
  assert.equal((await put(`${a}x`, ask.request_id, { decision: 'approve_once' })).status, 404);
  for (const rq of [`${ask.request_id}x`, ask.request_id.slice(0, -1), ask.request_id.toLowerCase() + '_', '%20', 'req_', ask.tool_use_id ?? 'x'])
    assert.equal((await put(a, rq, { decision: 'approve_once' })).status, 404, rq);
  for (const decision of ['approve', 'approve_always', 'allow_always', 'always', 'APPROVE_ONCE', ' approve_once', 'approve_once ', '', 'answer', 1, true, null, [], {}, ['approve_once'], 'x'.repeat(100000)]) {
    const r = await put(a, ask.request_id, { decision });
    assert.equal(r.status, 422, JSON.stringify(decision).slice(0, 50));
  }
  const text = async (body) => (await bare(karta, 'PUT', `/v1/sessions/${a}/inputs/${ask.request_id}`, ASYNC, body)).status;
  assert.equal(await text('{"decision":"deny","decision":"approve_once"}'), 400, 'the same member twice');
  assert.ok([400, 422].includes(await text('{"decision":"approve_once\\u0000"}')), 'NUL');
  assert.equal(await text('{"decision":"\\ud800"}'), 400, 'half a character');
  assert.equal(await text(`{"decision":"approve_once","answers":${'['.repeat(100)}${']'.repeat(100)}}`), 400, 'deep');
  assert.equal(await text(`{"decision":"approve_once","answers":{"a":"${'x'.repeat(900000)}"}}`), 422, 'large');
  assert.equal(await text(`{"decision":"approve_once","answers":{"a":"${'x'.repeat(1100000)}"}}`), 413, 'too large');
  assert.equal((await call(karta, 'GET', `/v1/sessions/${a}`)).body.pending_input.request_id, ask.request_id, 'it is still open');
  assert.equal((await put(a, ask.request_id, { decision: 'deny' })).status, 202);
  await s.until((e) => e.type === 'done');
  assert.match(textOf(s.events), /asked: reject/);
  for (const decision of ['approve_once', 'approve_session', 'deny']) {
    const late = await put(a, ask.request_id, { decision });
    assert.deepEqual([late.status, late.body.decision], [409, 'deny']);
  }
  /* The old id does not answer a new question, here or elsewhere. */
  await call(karta, 'POST', `/v1/sessions/${a}/messages`, { text: '[[ask:next]]' }, ASYNC);
  const second = (await s.until((e) => e.type === 'input_required' && e.data.request_id !== ask.request_id)).data;
  assert.equal((await put(a, ask.request_id, { decision: 'approve_once' })).status, 409);
  assert.equal((await call(karta, 'GET', `/v1/sessions/${a}`)).body.pending_input.request_id, second.request_id);
  assert.equal((await put(a, second.request_id, { decision: 'deny' })).status, 202);
  s.close();
  await ends(karta);
});

test('headers on every kind of answer; no path leads out of the pages', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const kinds = [['GET', '/'], ['GET', '/assets/app.js'], ['GET', '/assets/app.css'], ['GET', '/favicon.ico'], ['GET', '/healthz'], ['GET', '/openapi.json'], ['GET', '/v1/sessions'],
    ['GET', '/v1/none'], ['POST', '/healthz'], ['POST', '/v1/sessions', {}, '{'], ['POST', '/v1/sessions', {}, '{}'], ['GET', `/v1/sessions/${id}/events`, { accept: 'text/event-stream' }],
    ['OPTIONS', '/v1/sessions', { 'access-control-request-method': 'POST', origin: `http://127.0.0.1:${karta.port}` }], ['GET', '/v1/sessions', { origin: 'https://evil.example' }],
    ['GET', '/', { host: 'evil.example' }], ['DELETE', `/v1/sessions/${id}`]];
  for (const [m, p, h, body] of kinds) {
    const r = await bare(karta, m, p, h, body);
    const what = `${m} ${p} ${r.status}`;
    assert.equal(r.headers['x-content-type-options'], 'nosniff', what);
    assert.match(r.headers['request-id'], /^req_[0-9A-Za-z]{22}$/, what);
    assert.deepEqual(Object.keys(r.headers).filter((k) => /^access-control|^server$|^x-powered-by$|^set-cookie$/.test(k)), [], what);
    if (r.status === 200 && (p === '/' || /^\/assets|favicon/.test(p))) {
      assert.match(r.headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/, what);
      assert.doesNotMatch(r.headers['content-security-policy'], /unsafe|\*|https?:/, what);
    }
  }
  for (const bytes of ['GET\r\n\r\n', get('/healthz', `a: ${'x'.repeat(20000)}`), get('/a%2fb')]) {
    const [a] = answers((await raw(karta, bytes)).text);
    assert.match(a.head, /^x-content-type-options: nosniff\r?$/im);
    assert.doesNotMatch(a.head, /^(access-control|server)/im);
  }
  for (const [p, want] of [['/assets/../x', 400], ['/assets/%2e%2e/x', 400], ['/assets/..%2fx', 400], ['/assets/..%5cx', 404], ['/assets/..\\x', 400], ['/assets/', 404], ['/assets', 404],
    ['/assets//app.js', 404], ['/assets/app.js%00', 400], ['/assets/app.js%20', 404], ['/ASSETS/app.js', 404], ['/assets/app.js/', 404], ['/etc/passwd', 404], ['//etc/passwd', 404],
    ['/.env', 404], ['/AGENTS.md', 404], ['/karta.toml', 404], ['/index.html', 404], ['/assets/%61pp.js', 200], ['/assets/app.js?v=1', 200], ['/v1/projects/fake/healthz', 404],
    ['/x/fake/v1/sessions', 200], ['/x/other/v1/sessions', 404], ['/v1/projects/fake/', 404], ['/v1/projects/', 404]]) {
    const [a] = answers((await raw(karta, get(p))).text);
    assert.equal(a.status, want, p);
  }
});

test('100 sends with one Idempotency-Key are one turn', async (t) => {
  const karta = await setUp(t);
  const [id, other] = [await newSession(karta), await newSession(karta)];
  const send = (to, key, headers = ASYNC, text = '[[sleep:200]] [[text:once]]') => call(karta, 'POST', `/v1/sessions/${to}/messages`, { text }, { ...headers, 'idempotency-key': key });
  const all = await Promise.all(Array.from({ length: 100 }, (_, i) => send(id, i % 2 ? 'k' : '"k"')));
  assert.deepEqual([...new Set(all.map((r) => r.status))], [202]);
  assert.equal(new Set(all.map((r) => r.body.turn_id)).size, 1);
  const mixed = await Promise.all(Array.from({ length: 100 }, () => send(id, 'unary', {})));
  assert.ok(mixed.every((r) => r.status === 200 || r.status === 409), `${mixed.map((r) => r.status)}`);
  assert.equal(mixed.filter((r) => r.status === 200).length >= 1, true);
  await eventually(async () => (await call(karta, 'GET', `/v1/sessions/${id}`)).body.turn === null, 'idle');
  const log = (await call(karta, 'GET', `/v1/sessions/${id}/events`, undefined, { accept: 'application/json' })).body.data;
  assert.equal(log.filter((e) => e.type === 'done').length, 2);
  assert.equal((await send(id, 'k', ASYNC, 'something else')).status, 422);
  const elsewhere = await send(other, 'k');
  assert.equal(elsewhere.status, 202);
  assert.notEqual(elsewhere.body.turn_id, all[0].body.turn_id, 'a key belongs to one session');
  await eventually(async () => (await call(karta, 'GET', `/v1/sessions/${other}`)).body.turn === null, 'idle');
  await ends(karta);
});

const SCRAPS = ['"', '\\', '{', '}', '[', ']', ',', ':', 'null', 'true', '-0', '1.5e-7', '\\u0000', '\\ud800', '\\u2028', '\\n', '\n', '\0', '\t', '"\u202e"',
  '\xff', '"__proto__":{}', '{"a":{"b":[1.5,{}]}}', '[['.repeat(40), '""', '"metadata":null', '"session_id":"../x"', '"parent_id":"sess_x"', '"agent":"default"', ' ', '\ufeff'];
const BODIES = ['{"metadata":{"a":"b","n":[1,2.5,{"x":null}]},"permission_mode":"default"}', '{"metadata":{"\u00e9\ud83d\ude00":"tab\\tnl\\n"},"parent_id":null}',
  '{"text":"[[text:ok]]","participant_name":"Ann","participant_type":"human","thinking":true,"on_busy":"enqueue"}', '{"text":"hi","agent":null,"stream":false,"on_busy":"interrupt"}',
  '{"decision":"deny","answers":{"q":"a"}}', '{"decision":"answer","answers":{"q":["a","b"]}}'];

test('mutated bodies: never a server error, and what was taken survives a restart', async (t) => {
  random = chance('bodies');
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const options = { data: tempDir(t, 'data'), env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } };
  const karta = await startKarta(t, dir, options);
  const id = await newSession(karta);
  const targets = [['POST', '/v1/sessions'], ['POST', '/v1/sessions'], ['POST', `/v1/sessions/${id}/messages`], ['PUT', `/v1/sessions/${id}/inputs/req_x`], ['POST', '/v1/projects/fake/sessions']];
  const counts = {};
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  await pool(16, Array.from({ length: LONG ? 3000 : 1500 }), async () => {
    let body = BODIES[random(BODIES.length)];
    for (let n = random(4); n > 0; n--) {
      const at = random(body.length + 1);
      const s = SCRAPS[random(SCRAPS.length)];
      body = [() => body.slice(0, at) + s + body.slice(at), () => body.slice(0, at) + s + body.slice(at + s.length), () => body.slice(0, at) + body.slice(at + 1 + random(9)),
        () => body.replace(/"[^"]*"/g, (m) => (random(4) ? m : s))][random(4)]();
    }
    const bytes = Buffer.from(body, random(8) ? 'utf8' : 'latin1');
    body = bytes.toString();
    const [method, target] = targets[random(targets.length)];
    const r = await new Promise((resolve, reject) => {
      const rq = http.request({ host: '127.0.0.1', port: karta.port, method, path: target, agent, headers: { 'content-type': 'application/json', ...ASYNC } }, (rs) => {
        let text = '';
        rs.on('data', (d) => { text += d; });
        rs.on('end', () => resolve({ status: rs.statusCode, text, type: rs.headers['content-type'] }));
      });
      rq.on('error', reject);
      rq.end(bytes);
    });
    const what = `${method} ${target} ${JSON.stringify(body)} -> ${r.status} ${r.text.slice(0, 300)}`;
    counts[r.status] = (counts[r.status] ?? 0) + 1;
    assert.ok([200, 201, 202, 400, 404, 422, 429, 409].includes(r.status), what);
    if (!Buffer.from(body).equals(bytes)) assert.equal(r.status, 400, `not UTF-8: ${what}`);
    let answer;
    assert.doesNotThrow(() => { answer = JSON.parse(r.text); }, what);
    /* Metadata that was taken is what was sent. */
    if (r.status === 201 && !answer.parent_id && answer.id !== id) {
      const sent = JSON.parse(body).metadata ?? {};
      assert.equal(JSON.stringify(answer.metadata), JSON.stringify(sent), what);
    }
  });
  agent.destroy();
  t.diagnostic(JSON.stringify(counts));
  await eventually(async () => (await call(karta, 'GET', `/v1/sessions/${id}`)).body.turn === null, 'idle');
  const everything = async (k) => {
    const all = [];
    for (let after = ''; ;) {
      const page = (await call(k, 'GET', `/v1/sessions?limit=200${after}`)).body;
      all.push(...page.data);
      if (!page.has_more) return all;
      after = `&after=${all.at(-1).id}`;
    }
  };
  const before = await everything(karta);
  await ends(karta);
  const again = await startKarta(t, dir, options);
  assert.deepEqual(await everything(again), before);
  await ends(again);
});

test('numbers come back as they were, or are refused', async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const options = { data: tempDir(t, 'data') };
  const karta = await startKarta(t, dir, options);
  const numbers = ['1e999', '-1e999', '1234567890123456789', '9007199254740993', '-9007199254740993', '100000000000000000001', '0.1', '9007199254740991'];
  const kept = [];
  for (const n of numbers) {
    const r = await bare(karta, 'POST', '/v1/sessions', {}, `{"metadata":{"s":"-1 \\" 2","n":[0,${n},1]}}`);
    assert.ok([201, 400, 422].includes(r.status), `${n}: ${r.status}`);
    if (r.status === 201) kept.push([JSON.parse(r.text).id, `"metadata":{"s":"-1 \\" 2","n":[0,${n},1]}`]);
  }
  const check = async (k) => {
    for (const [id, want] of kept) {
      const { text } = await bare(k, 'GET', `/v1/sessions/${id}`);
      assert.ok(text.includes(want), `${want} came back as ${text.slice(0, 120)}`);
    }
  };
  await check(karta);
  await ends(karta);
  const again = await startKarta(t, dir, options);
  await check(again);
  await ends(again);
});

test('chaos: clients that leave in the middle of anything', async (t) => {
  random = chance('chaos');
  const karta = await setUp(t);
  const ids = [await newSession(karta), await newSession(karta), await newSession(karta)];
  const pending = new Map();
  const watch = setInterval(async () => {
    for (const id of ids) {
      const s = await call(karta, 'GET', `/v1/sessions/${id}`).catch(() => null);
      if (s?.body?.pending_input) pending.set(id, s.body.pending_input.request_id);
    }
  }, 100);
  t.after(() => clearInterval(watch));
  const texts = ['N=20 GAP=5', '[[ask:x]] [[text:y]]', '[[ask2:a|b]]', '[[hang]]', 'hello', '[[big:100000]]', '[[error:no]]', '[[sleep:100]] [[text:z]]', '[[text:half]] [[crash]]'];
  const statuses = {};
  const doing = (method, target, body, headers) => new Promise((resolve) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const rq = http.request({ host: '127.0.0.1', port: karta.port, method, path: target, agent: false, headers: { ...(text ? { 'content-type': 'application/json' } : {}), ...headers } }, (rs) => {
      statuses[rs.statusCode] = (statuses[rs.statusCode] ?? 0) + 1;
      rs.resume();
      rs.on('close', resolve);
    });
    rq.on('error', resolve);
    rq.on('close', resolve);
    rq.end(text);
    const ms = random(3) ? random(60) : random(600);
    setTimeout(() => (random(2) && rq.socket ? rq.socket.resetAndDestroy() : rq.destroy()), ms);
  });
  const end = Date.now() + (LONG ? 15000 : 5000);
  await Promise.all(Array.from({ length: 24 }, async () => {
    while (Date.now() < end) {
      const i = random(ids.length);
      const id = ids[i];
      const at = `/v1/sessions/${id}`;
      const n = random(100);
      if (n < 35) {
        await doing('POST', `${at}/messages`, { text: texts[random(texts.length)], stream: random(2) === 0, on_busy: ['enqueue', 'reject', 'interrupt'][random(3)] },
          [{}, ASYNC, { 'idempotency-key': `k${random(20)}` }][random(3)]);
      } else if (n < 60) await doing('GET', `${at}/events${['', '?until=idle', '?after=3'][random(3)]}`, undefined, { accept: ['text/event-stream', 'application/json'][random(2)] });
      else if (n < 75) await doing('PUT', `${at}/inputs/${pending.get(id) ?? 'req_x'}`, { decision: ['approve_once', 'approve_session', 'deny'][random(3)] }, [{}, ASYNC][random(2)]);
      else if (n < 85) await doing('POST', `${at}/interrupt`);
      else if (n < 88) await doing('HEAD', `${at}/events`);
      else if (n < 90 && ids.length > 3 && i > 2) {
        ids.splice(i, 1);
        await doing('DELETE', at);
      } else if (n < 92 && ids.length < 8) ids.push(await newSession(karta));
      else await doing('GET', at);
    }
  }));
  clearInterval(watch);
  t.diagnostic(JSON.stringify(statuses));
  assert.ok(!Object.keys(statuses).some((s) => s === '500'), JSON.stringify(statuses));
  for (const id of ids.slice(0, 3)) {
    await eventually(async () => {
      const s = (await call(karta, 'GET', `/v1/sessions/${id}`)).body;
      if (s.turn === null) return true;
      await call(karta, 'POST', `/v1/sessions/${id}/interrupt`);
      await sleep(100);
      return false;
    }, `${id} is idle`);
    const log = [];
    for (let more = true; more;) {
      const page = (await call(karta, 'GET', `/v1/sessions/${id}/events?limit=10000&after=${log.length}`, undefined, { accept: 'application/json' })).body;
      log.push(...page.data);
      more = page.has_more;
    }
    assert.deepEqual(log.map((e) => e.seq), log.map((_, i) => i + 1));
    const turns = Map.groupBy ? Map.groupBy(log, (e) => e.turn_id) : log.reduce((m, e) => m.set(e.turn_id, [...(m.get(e.turn_id) ?? []), e]), new Map());
    for (const [turnId, events] of turns) {
      if (!turnId) continue;
      assert.equal(events.filter((e) => e.type === 'done').length, 1, `${turnId} has one end: ${events.map((e) => `${e.type}:${e.data.state ?? ''}`)}`);
      assert.equal(events.at(-1).type, 'done', `nothing comes after the end of ${turnId}: ${events.map((e) => `${e.type}:${e.data.state ?? ''}`)}`);
    }
    assert.equal((await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'fine' })).status, 200);
  }
  for (const { id } of (await call(karta, 'GET', '/v1/sessions')).body.data) assert.equal((await call(karta, 'DELETE', `/v1/sessions/${id}`)).status, 204);
  await ends(karta);
});

test('a reader that is stuck does not hold up the end of the server', async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[big:500000]]'.repeat(20) });
  const stuck = net.connect({ port: karta.port, host: '127.0.0.1' });
  stuck.pause();
  stuck.on('error', () => {});
  t.after(() => stuck.destroy());
  stuck.write(`GET /v1/sessions/${id}/events HTTP/1.1\r\n${H}\r\n`);
  const live = openStream(karta, `/v1/sessions/${id}/events?after=1000`);
  await eventually(() => live.status === 200, 'a live reader');
  await sleep(500);
  const began = Date.now();
  await ends(karta);
  const took = Date.now() - began;
  await live.done;
  t.diagnostic(`${took} ms`);
  /* What does not end is cut off after 30 s. */
  assert.ok(took < 25000, `${took} ms`);
});
