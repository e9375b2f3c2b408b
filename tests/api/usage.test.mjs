// SPDX-License-Identifier: MIT
// Tokens and money of turns, as sessions and projects sum them up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { tempDir } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

test('what turns took is summed up for sessions and projects, over restarts, and never shrinks', async (t) => {
  const data = tempDir(t, 'serve');
  let karta = await startServe(t, { data });
  let c = new Client(karta, karta.key);
  for (const name of ['one', 'two']) assert.equal((await publish(c, name, archive(t, {}, name))).status, 201);
  const ids = [];
  for (const [name, turns] of [['one', 2], ['one', 1], ['two', 1]]) {
    const s = (await c.call('POST', '/v1/projects/{project_ref}/sessions', [name], { body: {} })).body;
    assert.deepEqual(s.usage, { input_tokens: 0, output_tokens: 0, cost_usd: 0 });
    for (let i = 0; i < turns; i++) assert.equal((await c.call('POST', '/v1/projects/{project_ref}/sessions/{session_id}/messages', [name, s.id], { body: { text: 'hello' } })).status, 200);
    ids.push(s.id);
  }
  const rows = async () => Object.fromEntries((await c.call('GET', '/v1/usage')).body.data.map((r) => [r.project, [r.sessions, r.usage.input_tokens, r.usage.output_tokens]]));
  // The agent says 10 and 5 of each turn.
  assert.deepEqual(await rows(), { one: [2, 30, 15], two: [1, 10, 5] });
  assert.equal((await c.call('GET', '/v1/sessions/{session_id}', [ids[0]])).body.usage.input_tokens, 20);
  await karta.stop('SIGKILL');
  karta = await startServe(t, { data });
  c = new Client(karta, karta.key);
  assert.deepEqual(await rows(), { one: [2, 30, 15], two: [1, 10, 5] });
  await c.call('DELETE', '/v1/sessions/{session_id}', [ids[0]]);
  assert.deepEqual(await rows(), { one: [1, 30, 15], two: [1, 10, 5] });
  await c.call('DELETE', '/v1/sessions/{session_id}', [ids[2]]);
  const left = { one: [1, 30, 15], two: [0, 10, 5] };
  assert.deepEqual(await rows(), left);
  await karta.stop('SIGKILL');
  karta = await startServe(t, { data });
  c = new Client(karta, karta.key);
  assert.deepEqual(await rows(), left);
  // A project's name is the one it has now; with the project goes its sum.
  await c.call('PATCH', '/agent_projects/{project_ref}', ['one'], { body: { slug: 'uno' } });
  assert.deepEqual(Object.keys(await rows()).sort(), ['two', 'uno']);
  await c.call('DELETE', '/agent_projects/{project_ref}', ['two']);
  assert.deepEqual(await rows(), { uno: left.one });
});
