// SPDX-License-Identifier: MIT
// What flows from harnesses into logs and from logs to clients costs bounded memory and nobody else's time:
// pages that nobody takes, lines of the largest size, endless small ones, keys of others.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { KARTA, LONG, call, eventually, fakeApp, newSession, readFileSync, seconds, startKarta, tempDir, textOf } from './lib.mjs';

const MIB = 1024 * 1024;
const SANITIZED = /__[at]san_init/.test(readFileSync(KARTA, 'latin1'));
const JSON_PAGE = { accept: 'application/json' };
const rssKiB = (karta) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${karta.pid}/status`, 'utf8'))[1]);

async function setUp(t) {
  const dir = tempDir(t, 'flow');
  fakeApp(dir);
  return startKarta(t, dir);
}

/** Half and almost all of n answers of /healthz took at most that long, in ms. */
async function pulse(karta, n, during = async () => {}) {
  const times = [];
  let stop = false;
  const asks = (async () => {
    while (!stop || times.length < n) {
      const began = performance.now();
      assert.equal((await call(karta, 'GET', '/healthz')).status, 200);
      times.push(performance.now() - began);
    }
  })();
  await during();
  stop = true;
  await asks;
  times.sort((a, b) => a - b);
  return { half: times[times.length >> 1], most: times[Math.floor(times.length * 0.98)], worst: times.at(-1) };
}

test('a page has 1 MiB whatever was asked for, and costs a client that does not take it a cursor', seconds(20), async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const bytes = 6 * MIB;
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `[[big:${bytes}]]` });
  const route = `/v1/sessions/${id}/events?limit=10000`;
  const all = [];
  let pages = 0;
  for (let after = 0, more = true; more; pages++) {
    const r = await fetch(`${karta.url}${route}&after=${after}`, { headers: JSON_PAGE });
    const text = await r.text();
    const page = JSON.parse(text);
    assert.ok(text.length < MIB + 200, `${text.length} bytes`);
    assert.equal(page.last_seq, page.data.at(-1).seq);
    all.push(...page.data);
    after = page.last_seq;
    more = page.has_more;
  }
  assert.ok(pages >= 6, `${pages} pages`);
  assert.deepEqual(all.map((e) => e.seq), all.map((_, i) => i + 1));
  assert.equal(textOf(all).length, bytes);

  const before = rssKiB(karta);
  const takers = Array.from({ length: LONG ? 600 : 200 }, () => net.connect(karta.port, '127.0.0.1'));
  await Promise.all(takers.map(async (s) => {
    s.on('error', () => {});
    await once(s, 'connect');
    s.write(`GET ${route} HTTP/1.1\r\nHost: localhost:${karta.port}\r\nAccept: application/json\r\n\r\n`);
    await once(s, 'readable');
  }));
  await pulse(karta, 1);
  const grown = rssKiB(karta) - before;
  t.diagnostic(`${takers.length} clients that take nothing: ${grown} KiB`);
  // Their pages are 1 MiB each; under a sanitizer what was freed is kept for a while.
  if (!SANITIZED) assert.ok(grown < takers.length * 100, `grown by ${grown} KiB`);
  for (const s of takers) s.destroy();
  const { body } = await call(karta, 'GET', route, undefined, JSON_PAGE);
  assert.equal(body.data[0].seq, 1, 'and it goes on');
});

test('a page is cut when its session is deleted meanwhile', seconds(5), async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `[[big:${4 * MIB}]]` });
  const s = net.connect(karta.port, '127.0.0.1');
  await once(s, 'connect');
  s.write(`GET /v1/sessions/${id}/events?limit=10000 HTTP/1.1\r\nHost: localhost:${karta.port}\r\nAccept: application/json\r\n\r\n`);
  await once(s, 'readable');
  assert.equal((await call(karta, 'DELETE', `/v1/sessions/${id}`)).status, 204);
  let text = '';
  for await (const d of s) text += d;
  assert.match(text, /^HTTP\/1\.1 200/);
  assert.ok(text.length < MIB && !text.includes('"last_seq"'), 'the document has no end');
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}`)).status, 404);
});
