// SPDX-License-Identifier: MIT
// What flows from harnesses into logs and from logs to clients costs bounded memory and nobody else's time:
// pages that nobody takes, lines of the largest size, endless small ones, keys of others.
import assert from 'node:assert/strict';
import net from 'node:net';
import { readdirSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { test } from 'node:test';
import { KARTA, LONG, SLOW, call, eventsOf, fakeApp, doneOf, eventually, newSession, path, readFileSync, seconds, sleep, startKarta, tempDir, textOf, turn } from './lib.mjs';

const MIB = 1024 * 1024;
const SANITIZED = /__[at]san_init/.test(readFileSync(KARTA, 'latin1'));
const JSON_PAGE = { accept: 'application/json' };
const rssKiB = (karta) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${karta.pid}/status`, 'utf8'))[1]);

async function setUp(t) {
  const dir = tempDir(t, 'flow');
  fakeApp(dir);
  return startKarta(t, dir, { env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } });
}

/** Bytes of a session's log. */
const logBytes = (karta, id) => {
  const file = readdirSync(karta.data, { recursive: true }).find((f) => f.endsWith(`${id}/events.log`));
  return statSync(path.join(karta.data, file)).size;
};

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

test('chunks of one letter do not cost a frame each', seconds(20), async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const n = LONG ? 500000 : 30000;
  const events = await turn(karta, id, `[[tiny:${n}]]`);
  const text = textOf(events);
  assert.equal(text.length, n);
  assert.equal(text.slice(0, 26), 'abcdefghijklmnopqrstuvwxyz');
  assert.ok(text.startsWith(text.slice(-26 * 100 - (n % 26), -(n % 26) || undefined).slice(0, 26)));
  assert.equal(doneOf(events).message.text, text);
  const size = logBytes(karta, id);
  t.diagnostic(`${n} chunks: ${events.length} events, ${size} bytes`);
  // The text is in the log twice: in its pieces and in `done`.
  assert.ok(size < n * 20, `${size} bytes for ${n} letters`);
});

test('a turn that writes without end is ended with a name, and its session goes on', seconds(40), async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  const { status, body } = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[flood:200]]' });
  assert.equal(status, 502);
  assert.equal(body.code, 'turn_too_large');
  assert.match(body.detail, /128 MiB .*stopped/);
  const size = logBytes(karta, id);
  assert.ok(size > 100 * MIB && size < 135 * MIB, `${size} bytes`);
  const last = (await call(karta, 'GET', `/v1/sessions/${id}`)).body.last_seq;
  const tail = await call(karta, 'GET', `/v1/sessions/${id}/events?after=${last - 2}`, undefined, JSON_PAGE);
  assert.deepEqual(tail.body.data.map((e) => [e.type, e.data.code ?? e.data.stop_reason, e.data.retryable]),
    [['error', 'turn_too_large', false], ['done', 'error', undefined]]);
  const next = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'and now?' });
  assert.equal(next.status, 200, JSON.stringify(next.body));
  assert.match(next.body.text, /and now\?/);
});

test('a session that is full can be read and takes no message', { ...seconds(300), skip: !LONG && 'half a gigabyte (make check-long)' }, async (t) => {
  const karta = await setUp(t);
  const id = await newSession(karta);
  for (let i = 0; i < 4; i++) await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[flood:120]]' });
  const { body } = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[flood:120]]' });
  assert.equal(body.code, 'session_too_large');
  const next = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'more' });
  assert.equal(next.status, 409);
  assert.equal(next.body.code, 'session_too_large');
  const page = await call(karta, 'GET', `/v1/sessions/${id}/events?limit=5`, undefined, JSON_PAGE);
  assert.equal(page.body.data.length, 5);
  assert.equal((await call(karta, 'DELETE', `/v1/sessions/${id}`)).status, 204);
});

test('a line of the largest size holds up nobody else', seconds(60), async (t) => {
  const karta = await setUp(t);
  const other = await newSession(karta);
  await call(karta, 'POST', `/v1/sessions/${other}/messages`, { text: 'hi' });
  const id = await newSession(karta);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'hi' });
  const before = rssKiB(karta);
  const quiet = await pulse(karta, 200);
  const bytes = 60 * 1000 * 1000;
  let ended;
  const busy = await pulse(karta, 50, async () => {
    const say = (text) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text });
    ended = await say(`[[result:${bytes}]][[nodes:400000]][[text:done]]`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    assert.equal(ended.body.text, 'done');
    // What is not taken apart may have been a question or the turn's end: nobody waits for it.
    ended = await say('[[nodes:20000000]][[text:never]]');
    assert.equal(ended.body.code, 'line_too_long', JSON.stringify(ended.body));
    ended = await say('and now?');
    assert.match(String(ended.body.text), /and now\?/, JSON.stringify(ended.body));
  });
  t.diagnostic(`healthz quiet ${JSON.stringify(quiet)}, busy ${JSON.stringify(busy)}`);
  const events = await eventsOf(karta, id);
  const result = events.find((e) => e.type === 'tool_result' && e.data.truncated);
  assert.match(JSON.stringify(result.data.output).slice(-60), /more bytes were cut/);
  const [after, peak] = [rssKiB(karta), Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${karta.pid}/status`, 'utf8'))[1])];
  t.diagnostic(`memory before ${before} KiB, peak ${peak}, after ${after}`);
  // Half of a second for each line was seen when the loop read them, and 4.6 GiB.
  assert.ok(busy.most < quiet.most * 2 + 100 * SLOW, 'others are answered meanwhile');
  if (SANITIZED) return;
  assert.ok(peak - before < 256 * 1024, `${peak - before} KiB above idle`);
  assert.ok(after < before * 1.1 + 16 * 1024, 'and given back');
});

test('while a large line is read its session is interrupted, answered, deleted; the server stops', seconds(30), async (t) => {
  const karta = await setUp(t);
  const size = 20 * 1000 * 1000;
  const begin = async (text) => {
    const id = await newSession(karta);
    await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'hi' });
    await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text }, { prefer: 'respond-async' });
    return id;
  };
  const [interrupted, deleted] = [await begin(`[[result:${size}]]`.repeat(5)), await begin(`[[result:${size}]]`.repeat(5))];
  await sleep(300 * SLOW);
  assert.equal((await call(karta, 'POST', `/v1/sessions/${interrupted}/interrupt`)).status, 202);
  assert.equal((await call(karta, 'DELETE', `/v1/sessions/${deleted}`)).status, 204);
  const done = (await eventually(async () => {
    const all = await eventsOf(karta, interrupted);
    return all.filter((e) => e.type === 'done').length === 2 && all;
  }, 'the turn ends')).at(-1);
  assert.ok(['interrupted', 'end_turn'].includes(done.data.stop_reason), done.data.stop_reason);
  assert.equal((await call(karta, 'POST', `/v1/sessions/${interrupted}/messages`, { text: 'well' })).status, 200);
  await begin(`[[result:${size}]]`.repeat(5));
  await sleep(200 * SLOW);
  assert.equal(await karta.stop(), 0, karta.err.slice(-2000));
});
