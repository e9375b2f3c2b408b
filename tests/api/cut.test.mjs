// SPDX-License-Identifier: MIT
// Cut the event stream at 100 random byte offsets of a turn: the joined streams equal the uncut one.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { call, chance, fakeApp, newSession, openStream, startKarta, tempDir } from './lib.mjs';

const random = chance('cut');

/** Read at most `limit` bytes of the stream's frames after seq, then cut the connection. */
function readCut(karta, route, seq, limit) {
  return new Promise((resolve, reject) => {
    const rq = http.get(karta.url + route, { headers: { accept: 'text/event-stream', ...(seq ? { 'last-event-id': String(seq) } : {}) } }, (rs) => {
      if (rs.statusCode === 204) { rs.resume(); resolve({ bytes: Buffer.alloc(0), ended: true }); return; }
      const pieces = [];
      let size = 0;
      rs.on('data', (d) => {
        pieces.push(d);
        size += d.length;
        if (size >= limit) { rq.destroy(); resolve({ bytes: Buffer.concat(pieces).subarray(0, limit), ended: false }); }
      });
      rs.on('end', () => resolve({ bytes: Buffer.concat(pieces), ended: true }));
      rs.on('error', () => {});
    });
    rq.on('error', (e) => { if (e.code !== 'ECONNRESET') reject(e); });
  });
}

/** Whole event frames of a stream, without retry lines and comments; and the last id. */
function wholeFrames(bytes) {
  const text = bytes.toString('utf8');
  const cut = text.lastIndexOf('\n\n');
  const frames = cut < 0 ? [] : text.slice(0, cut + 2).split(/(?<=\n\n)/).filter((f) => f.startsWith('id: '));
  return { text: frames.join(''), last: frames.length ? Number(/^id: (\d+)/.exec(frames.at(-1))[1]) : 0 };
}

test('100 random cuts', async (t) => {
  const dir = tempDir(t, 'app');
  fakeApp(dir);
  const karta = await startKarta(t, dir);
  const id = await newSession(karta);
  const uncut = openStream(karta, `/v1/sessions/${id}/events`, { raw: true });
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: 'N=500 GAP=4' }, { prefer: 'respond-async' });
  const route = `/v1/sessions/${id}/events?until=idle`;
  let joined = '';
  let last = 0;
  let cuts = 0;
  for (;;) {
    const { bytes, ended } = await readCut(karta, route, last, cuts < 100 ? 40 + random(1800) : Infinity);
    const got = wholeFrames(bytes);
    joined += got.text;
    last = Math.max(last, got.last);
    if (ended) break;
    cuts++;
  }
  await uncut.until((e) => e.type === 'done');
  uncut.close();
  const whole = wholeFrames(Buffer.concat(uncut.bytes)).text;
  assert.ok(cuts >= 100, `${cuts} cuts`);
  assert.equal(joined, whole);
});
