// SPDX-License-Identifier: MIT
// Many event streams at once: fan-out, cuts and resumes, a server that dies under its readers,
// bursts, and readers that come and go. Every reader sees each event once, in order.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { KARTA, SLOW, call, chance, eventually, fakeApp, gate, newSession, readFileSync, sleep, startKarta, tempDir } from './lib.mjs';

const random = chance('streams');
const ASYNC = { prefer: 'respond-async' };
const SANITIZED = /__[at]san_init/.test(readFileSync(KARTA, 'latin1'));

async function setUp(t) {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const options = { data: tempDir(t, 'data'), env: { FAKE_AGENT_STATE: tempDir(t, 'agent') } };
  return { dir, options, karta: await startKarta(t, dir, options) };
}

const ends = async (karta) => assert.equal(await karta.stop(), 0, karta.err.slice(-3000));
/** Open sockets and files; pipes belong to harnesses, which come and go on their own. */
const fds = (karta) => readdirSync(`/proc/${karta.pid}/fd`).filter((f) => {
  try { return /^socket:|^\/(?!dev\/)/.test(readlinkSync(`/proc/${karta.pid}/fd/${f}`)); } catch { return false; }
}).length;
const rssKiB = (karta) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${karta.pid}/status`, 'utf8'))[1]);
const send = (karta, id, text) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text }, ASYNC);
const fetched = async (karta, id, after = 0) => (await call(karta, 'GET', `/v1/sessions/${id}/events?limit=10000&after=${after}`, undefined, { accept: 'application/json' })).body;
const idle = (karta, id) => eventually(async () => (await call(karta, 'GET', `/v1/sessions/${id}`)).body.turn === null, `${id} is idle`);

/** The log of a session as JSON, all of it. */
async function wholeLog(karta, id) {
  const all = [];
  for (;;) {
    const page = await fetched(karta, id, all.length);
    all.push(...page.data);
    if (!page.has_more) return all;
  }
}

/**
 * A reader on a connection of its own. It keeps the number of the last frame, and the frames when asked to; a
 * frame that is missing, doubled or of another session is a fault.
 */
class Reader {
  constructor(karta, id, { last = 0, keep = false } = {}) {
    Object.assign(this, { id, last, keep, frames: [], faults: [], status: 0, ended: false, rest: '', bytes: 0, lags: [], seen: new Set() });
    this.open(karta);
  }

  open(karta) {
    this.ended = false;
    this.status = 0;
    this.rest = '';
    this.rq = http.get({ host: '127.0.0.1', port: karta.port, agent: false, path: `/v1/sessions/${this.id}/events`,
      headers: { accept: 'text/event-stream', ...(this.last ? { 'last-event-id': String(this.last) } : {}) } }, (rs) => {
      this.status = rs.statusCode;
      rs.setEncoding('utf8');
      rs.on('data', (d) => this.take(d));
      rs.on('close', () => { this.ended = true; });
      rs.on('error', () => {});
    });
    this.rq.on('error', (e) => { this.ended = true; this.error = e; });
  }

  take(d) {
    this.bytes += d.length;
    const blocks = (this.rest + d).split('\n\n');
    this.rest = blocks.pop();
    for (const b of blocks) {
      if (!b.startsWith('id: ')) continue;
      const seq = Number(b.slice(4, b.indexOf('\n')));
      if (seq !== this.last + 1) this.faults.push(`${seq} after ${this.last}`);
      if (!b.includes(`"session_id":"${this.id}"`)) this.faults.push(`${seq} is of another session`);
      if (b.includes('event: gap')) this.faults.push(`gap before ${seq}`);
      this.last = seq;
      if (this.keep) this.frames.push(b);
      if (b.includes('"text":"held"')) this.seen.add('held');
      const sent = b.includes('\nevent: text\n') && /@@(\d+)@@/.exec(b);
      if (sent) this.lags.push(Date.now() - Number(sent[1].slice(0, -6)));
    }
  }

  close() { this.rq.destroy(); }
}

const faultsOf = (readers) => [...new Set(readers.flatMap((r) => r.faults))].slice(0, 10);
const reached = (readers, seq, what) => eventually(() => readers.every((r) => r.last >= seq(r)), what)
  .catch((e) => { throw new Error(`${e.message}; behind: ${readers.filter((r) => r.last < seq(r)).slice(0, 5).map((r) => `${r.last}/${seq(r)} ${r.status} ${r.ended}`)}`); });

test('500 readers on 20 sessions; then 200 are cut three times each', async (t) => {
  const { karta } = await setUp(t);
  const ids = await Promise.all(Array.from({ length: 20 }, () => newSession(karta)));
  for (let i = 0; i < ids.length; i += 5) /* harnesses start first */
    await Promise.all(ids.slice(i, i + 5).map((id) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'hi' })));
  const fdsBefore = fds(karta);
  const readers = ids.flatMap((id) => Array.from({ length: 25 }, () => new Reader(karta, id)));
  const stuck = Array.from({ length: 5 }, (_, i) => {
    const s = net.connect({ port: karta.port, host: '127.0.0.1' });
    s.pause();
    s.on('error', () => {});
    s.write(`GET /v1/sessions/${ids[i]}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return s;
  });
  await eventually(() => readers.every((r) => r.status === 200), 'all are connected');
  /* Events come as they are made: what was said before the turn is held is with every reader. */
  const held = gate(t);
  const said = (r) => r.seen.has('held');
  await Promise.all(ids.map((id) => send(karta, id, `[[text:held]] [[until:${held.file}]]`)));
  await eventually(() => readers.every(said), () => `${readers.filter((r) => !said(r)).length} readers wait for what was said`);
  held.open();
  await Promise.all(ids.map((id) => idle(karta, id)));
  await Promise.all(ids.map((id) => send(karta, id, 'N=60 GAP=100')));
  await sleep(1000 + random(3000));
  const vanished = readers.filter((_, i) => i % 100 === 7);
  for (const r of vanished) r.rq.socket.resetAndDestroy();
  await Promise.all(ids.map((id) => idle(karta, id)));
  const healthy = readers.filter((r) => !vanished.includes(r));
  const logs = new Map(await Promise.all(ids.map(async (id) => [id, await wholeLog(karta, id)])));
  for (const log of logs.values()) {
    assert.deepEqual(log.map((e) => e.seq), log.map((_, i) => i + 1));
    assert.equal(log.filter((e) => e.type === 'text' && /@@/.test(e.data.part.text)).map((e) => e.data.part.text).join('').match(/@@/g).length, 120);
  }
  await reached(healthy, (r) => logs.get(r.id).length, 'healthy readers have it all');
  assert.deepEqual(faultsOf(healthy), []);
  for (const r of healthy) assert.equal(r.last, logs.get(r.id).length);
  const lags = healthy.flatMap((r) => r.lags).sort((a, b) => a - b);
  const p99 = lags[Math.floor(lags.length * 0.99)];
  t.diagnostic(`${lags.length} deliveries, lag p50 ${lags[lags.length >> 1]} ms, p99 ${p99} ms`);
  for (const r of readers) r.close();
  for (const s of stuck) s.destroy();
  await eventually(() => fds(karta) <= fdsBefore, `descriptors are back to ${fdsBefore}`);

  /* Cut at random bytes, one part while events still come. */
  const four = ids.slice(0, 4);
  const live = four.map((id) => send(karta, id, 'N=300 GAP=5'));
  const cut = Array.from({ length: 200 }, (_, i) => Object.assign(new Reader(karta, four[i % 4], { keep: true }), { cuts: 0 }));
  for (const r of cut) r.limit = random(20000);
  const cutter = setInterval(() => {
    for (const r of cut) {
      if (r.cuts < 3 && r.bytes >= r.limit) {
        r.rq.destroy();
        r.cuts++;
        r.limit = r.bytes + random(20000);
        r.open(karta);
      }
    }
  }, 5);
  t.after(() => clearInterval(cutter));
  await Promise.all(live);
  await Promise.all(four.map((id) => idle(karta, id)));
  const after = new Map(await Promise.all(four.map(async (id) => [id, (await fetched(karta, id)).last_seq])));
  await reached(cut, (r) => after.get(r.id), 'cut readers have it all');
  clearInterval(cutter);
  assert.ok(cut.reduce((n, r) => n + r.cuts, 0) >= 500, 'cuts happened');
  assert.deepEqual(faultsOf(cut), []);
  for (const id of four) {
    const same = new Set(cut.filter((r) => r.id === id).map((r) => r.frames.join('\n\n')));
    assert.equal(same.size, 1, 'all joined streams are the same');
  }
  for (const r of cut) r.close();
  await ends(karta);
});

test('resume numbers from the future, of another session, and garbage', async (t) => {
  const { karta } = await setUp(t);
  const [a, b] = [await newSession(karta), await newSession(karta)];
  for (const text of ['secret of a', 'and one more'])
    await call(karta, 'POST', `/v1/sessions/${a}/messages`, { text });
  await call(karta, 'POST', `/v1/sessions/${b}/messages`, { text: '[[text:b]]' });
  const lastA = (await fetched(karta, a)).last_seq;
  const lastB = (await fetched(karta, b)).last_seq;
  assert.ok(lastA > lastB);
  const status = async (id, headers, query = '') => (await call(karta, 'GET', `/v1/sessions/${id}/events${query}`, undefined, { accept: 'text/event-stream', ...headers })).status;
  for (const bad of ['-1', 'abc', '1e3', '0x1', '1.5', '1,2', '+1', '9223372036854775808', '18446744073709551616', '1 2', `${a}:1`, 'null', '1'.repeat(4000)]) {
    assert.equal(await status(b, { 'last-event-id': bad }), 400, bad);
    assert.equal(await status(b, {}, `?after=${encodeURIComponent(bad)}`), 400, bad);
  }
  for (const ahead of [1, lastA - lastB, 1e6, 9223372036854775807n]) {
    const last = (await fetched(karta, b)).last_seq;
    const future = typeof ahead === 'bigint' ? String(ahead) : String(last + ahead);
    assert.equal(await status(b, { 'last-event-id': future }, '?until=idle'), 204, future);
    const r = new Reader(karta, b, { last: future });
    await eventually(() => r.status === 200, 'connected');
    await sleep(100);
    assert.equal(r.last, future, 'nothing old, and nothing of a');
    r.last = last;
    await call(karta, 'POST', `/v1/sessions/${b}/messages`, { text: '[[text:more]]' });
    const end = (await fetched(karta, b)).last_seq;
    await reached([r], () => end, 'what comes next, in order');
    assert.deepEqual(r.faults, []);
    r.close();
  }
  assert.doesNotMatch(JSON.stringify(await wholeLog(karta, b)), /secret of a/);
  await ends(karta);
});

test('300 readers come back at once after kill -9 and a restart', async (t) => {
  const { dir, options, karta } = await setUp(t);
  const ids = await Promise.all(Array.from({ length: 6 }, () => newSession(karta)));
  const readers = ids.flatMap((id) => Array.from({ length: 50 }, () => new Reader(karta, id)));
  const start = Date.now();
  await eventually(() => readers.every((r) => r.status === 200), 'all are connected');
  const calm = Date.now() - start;
  await Promise.all(ids.map((id) => send(karta, id, 'N=400 GAP=10')));
  await eventually(() => readers.every((r) => r.last > 50), 'events come');
  karta.child.kill('SIGKILL');
  await eventually(() => readers.every((r) => r.ended), 'all are cut');
  const again = await startKarta(t, dir, { ...options, args: ['--port', String(karta.port)] });
  assert.equal(again.port, karta.port);
  const began = Date.now();
  for (const r of readers) r.open(again);
  await eventually(() => readers.every((r) => r.status === 200), 'all are served again');
  const served = Date.now() - began;
  const logs = new Map(await Promise.all(ids.map(async (id) => [id, (await wholeLog(again, id))])));
  for (const log of logs.values()) {
    assert.deepEqual(log.map((e) => e.seq), log.map((_, i) => i + 1));
    assert.equal(log.at(-1).type, 'done', 'the cut turn has an end');
  }
  await reached(readers, (r) => logs.get(r.id).length, 'all have it all');
  await Promise.all(ids.map((id) => call(again, 'POST', `/v1/sessions/${id}/messages`, { text: 'N=20 GAP=1' })));
  const last = new Map(await Promise.all(ids.map(async (id) => [id, (await fetched(again, id)).last_seq])));
  await reached(readers, (r) => last.get(r.id), 'and what came later');
  /* An event that a reader has seen is not another one after the crash. */
  assert.deepEqual(faultsOf(readers), []);
  t.diagnostic(`served after ${served} ms, the first time after ${calm} ms`);
  assert.ok(served < 5000 * SLOW + 10 * calm, `${served} ms`);
  for (const r of readers) r.close();
  await ends(again);
});

test('a burst of 10,000 events with 50 readers', async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  const readers = Array.from({ length: 50 }, () => new Reader(karta, id));
  await eventually(() => readers.every((r) => r.status === 200), 'all are connected');
  const began = Date.now();
  await send(karta, id, 'N=10000');
  await idle(karta, id);
  const made = Date.now() - began;
  const log = await wholeLog(karta, id);
  const text = log.filter((e) => e.type === 'text').map((e) => e.data.part.text).join('');
  assert.equal(text.match(/@@\d+@@/g).length, 10000);
  assert.deepEqual(log.map((e) => e.seq), log.map((_, i) => i + 1));
  await reached(readers, () => log.length, 'all have it all');
  assert.deepEqual(faultsOf(readers), []);
  t.diagnostic(`${log.length} events made in ${made} ms, with all readers after ${Date.now() - began} ms`);
  for (const r of readers) r.close();
  await ends(karta);
});

test('1,000 readers come and go and leave nothing', async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'N=200' });
  const log = await wholeLog(karta, id);
  const round = async (n) => {
    const readers = Array.from({ length: n }, () => new Reader(karta, id));
    await reached(readers, () => log.length, 'all have it all');
    assert.deepEqual(faultsOf(readers), []);
    for (const [i, r] of readers.entries()) { if (i % 2) r.close(); else r.rq.socket.resetAndDestroy(); }
  };
  const before = fds(karta);
  for (let i = 0; i < 4; i++) await round(50);
  await eventually(() => fds(karta) <= before, 'descriptors are back');
  const rss = rssKiB(karta);
  for (let i = 0; i < 20; i++) await round(50);
  await eventually(() => fds(karta) <= before, `descriptors are back to ${before}`);
  const grown = rssKiB(karta) - rss;
  t.diagnostic(`grown by ${grown} KiB`);
  if (!SANITIZED) assert.ok(grown < 4096, `grown by ${grown} KiB`);
  await ends(karta);
});
