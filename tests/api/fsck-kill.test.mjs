// SPDX-License-Identifier: MIT
// A server that is killed with work under way: `karta fsck` says what is left over and is content, the next start
// removes it, and real damage is still damage.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { KARTA, LONG, chance, eventually, sleep } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

function fsck(data, more = []) {
  const r = spawnSync(KARTA, ['fsck', '--data', data, ...more], { encoding: 'utf8' });
  const json = spawnSync(KARTA, ['fsck', '--data', data, '--json', ...more], { encoding: 'utf8' });
  assert.equal(r.status, json.status);
  return { ...r, ...JSON.parse(json.stdout) };
}

/* A request whose answer nobody waits for; only `part` of its body is sent. */
function begin(k, method, url, body, type, part = 1) {
  const rq = http.request(k.url + url, { method, headers: { authorization: `Bearer ${k.key}`, 'content-type': type, 'content-length': body.length } });
  rq.on('error', () => {});
  rq.on('response', (rs) => { rs.resume(); rs.on('error', () => {}); });
  rq.write(body.subarray(0, Math.floor(body.length * part)));
  if (part === 1) rq.end();
}

const roll = chance('fsck-kill');

test('killed at several points: left over is no damage', async (t) => {
  let k = await startServe(t);
  const home = k.home, data = k.data;
  // Files that do not pack: what is half of them is half of the bytes.
  const noise = (seed) => Object.fromEntries([...Array(40)].map((_, i) => [`f${i}.txt`, [...Array(3000)].map((__, j) => (seed * 7919 + i * 104729 + j * 1299721) % 1000003).join(' ')]));
  const apps = [...Array(3)].map((_, i) => archive(t, noise(i + 1)));
  let c = new Client(k, k.key);
  assert.equal((await publish(c, 'bot', apps[0])).status, 201);
  const points = {
    'half of an upload is there': async () => {
      begin(k, 'PUT', '/agent_projects/bot/releases', apps[1], 'application/gzip', 0.5);
      await eventually(() => readdirSync(path.join(data, 'tmp')).length > 0, 'something in tmp/');
    },
    'an upload is being unpacked or built': async () => {
      begin(k, 'PUT', '/agent_projects/bot/releases', apps[2], 'application/gzip');
      await sleep(roll(150));
    },
    'several uploads, configuration and sessions': async () => {
      for (const app of apps) begin(k, 'PUT', '/agent_projects/bot/releases', app, 'application/gzip', 0.9);
      for (let i = 0; i < 5; i++) begin(k, 'PATCH', '/agent_projects/bot/config', Buffer.from(JSON.stringify({ vars: { A: `${i}${roll(1e6)}` } })), 'application/json');
      for (let i = 0; i < 5; i++) begin(k, 'POST', '/v1/projects/bot/sessions', Buffer.from('{}'), 'application/json');
      await sleep(roll(200));
    },
    'a turn is running': async () => {
      const s = (await c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'], { body: {} })).body;
      begin(k, 'POST', `/v1/projects/bot/sessions/${s.id}/messages`, Buffer.from(JSON.stringify({ text: '[[text:hello]][[hang]]' })), 'application/json');
      await eventually(async () => (await c.call('GET', '/v1/projects/{project_ref}/sessions/{session_id}/events', ['bot', s.id], { headers: { accept: 'application/json' } })).body.data.length > 0, 'events');
    },
  };
  let left = 0;
  for (let round = 0; round < (LONG ? 5 : 1); round++) {
    for (const [what, work] of Object.entries(points)) {
      await work();
      await k.stop('SIGKILL');
      const r = fsck(data);
      assert.equal(r.status, 0, `${what}: ${r.stdout}${r.stderr}`);
      assert.deepEqual([r.ok, r.findings], [true, []], what);
      const staged = readdirSync(path.join(data, 'tmp')).length;
      assert.equal(r.left_over.length, staged, what);
      assert.equal((r.stdout.match(/^I4 tmp\/\S+: left over, cleaned at the next start$/gm) ?? []).length, staged, r.stdout);
      left += staged;
      k = await startServe(t, { data: home });
      c = new Client(k, k.key);
      // It was what the next start really cleans.
      assert.deepEqual(readdirSync(path.join(data, 'tmp')), [], what);
    }
  }
  assert.ok(left > 0, 'nothing was ever left over');

  // Damage beside what is left over.
  begin(k, 'PUT', '/agent_projects/bot/releases', apps[1], 'application/gzip', 0.5);
  await eventually(() => readdirSync(path.join(data, 'tmp')).length > 0, 'something in tmp/');
  await k.stop('SIGKILL');
  const blob = readdirSync(path.join(data, 'blobs'), { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => path.join(e.parentPath ?? e.path, e.name))[0];
  const bytes = readFileSync(blob);
  bytes[bytes.length >> 1] ^= 1;
  chmodSync(blob, 0o600);
  writeFileSync(blob, bytes);
  const r = fsck(data);
  assert.equal(r.status, 1, r.stdout + r.stderr);
  assert.ok(!r.ok && r.findings.length >= 1 && r.left_over.length >= 1, JSON.stringify(r));
  assert.ok(r.findings.every((f) => f.invariant !== 'I4'));
});
