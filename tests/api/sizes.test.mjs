// SPDX-License-Identifier: MIT
// Replies and approvals of any size: whole everywhere, or said where they were cut and how to get the rest.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { KARTA, LONG, call, doneOf, eventsOf, fakeApp, newSession, openStream, path, readFileSync, startKarta, tempDir, textOf, turn } from './lib.mjs';

const run = promisify(execFile);
const MIB = 1024 * 1024;

async function setUp(t) {
  const dir = tempDir(t, 'sizes');
  fakeApp(dir);
  return { dir, karta: await startKarta(t, dir) };
}

const karta_ = async (karta, dir, ...args) => {
  try {
    const { stdout, stderr } = await run(KARTA, [...args], { cwd: dir, maxBuffer: 200 * MIB,
      env: { ...process.env, KARTA_SERVER: karta.url, KARTA_API_KEY: '' } });
    return { stdout, stderr, code: 0 };
  } catch (e) {
    return { stdout: e.stdout, stderr: e.stderr, code: e.code };
  }
};

for (const [name, text, length] of [
  ['128 KiB', '[[big:131072]]', 131072],
  ['1.2 MB', '[[big:1200000]]', 1200000],
  ['4 MB in two pieces', '[[big:2000000]][[big:2000000]]', 4000000],
]) {
  test(`a reply of ${name} is whole in stream, page, answer, send and export`, async (t) => {
    const { karta, dir } = await setUp(t);
    const id = await newSession(karta);
    const events = await turn(karta, id, text);
    const streamed = textOf(events);
    assert.equal(streamed.length, length);
    assert.equal(textOf(await eventsOf(karta, id)), streamed);
    const done = doneOf(events).message;
    if (done.truncated) {
      assert.equal(done.text_bytes, length);
      assert.ok(streamed.startsWith(done.text));
    } else {
      assert.equal(done.text, streamed);
    }
    const { body } = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text });
    assert.equal(body.text, streamed);
    assert.equal(body.messages.at(-1).text, streamed);
    assert.equal(body.messages.at(-1).truncated, undefined);
    assert.equal(body.truncated, undefined);
    const sent = await karta_(karta, dir, 'send', text);
    assert.equal(sent.code, 0, sent.stderr);
    assert.equal(sent.stdout, `${streamed}\n`);
    const json = JSON.parse((await karta_(karta, dir, 'send', '--json', text)).stdout);
    assert.equal(json.text, streamed);
    const markdown = await karta_(karta, dir, 'sessions', 'export', '--format', 'markdown', id);
    assert.ok(markdown.stdout.includes(`\n\n${streamed}\n\n`), 'the export has the whole reply');
  });
}

test('a reply over 16 MiB says where it was cut and how to get the rest', async (t) => {
  const { karta, dir } = await setUp(t);
  const id = await newSession(karta);
  const bytes = 17 * MIB;
  const { body } = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `[[big:${bytes}]]` });
  assert.equal(body.text.length, 16 * MIB);
  assert.equal(body.truncated, true);
  assert.equal(body.text_bytes, bytes);
  const rest = await eventsOf(karta, id);
  assert.equal(textOf(rest.filter((e) => e.seq > body.events_after)).length, bytes);
  const sent = await karta_(karta, dir, 'send', `[[big:${bytes}]]`);
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal(sent.stdout.length, bytes + 1);
});

// The last one is as long as a line of a harness may be: its line ends are two bytes there.
for (const bytes of [2000000, LONG ? 62000000 : 12000000]) test(`a Write of ${bytes} bytes is shown in part, with its digest, and whole on demand`, async (t) => {
  const { karta, dir } = await setUp(t);
  const id = await newSession(karta);
  const content = 'line of text\n'.repeat(Math.ceil(bytes / 13)).slice(0, bytes);
  const { body } = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `[[write:${bytes}]]` });
  const asked = body.pending_input;
  assert.equal(body.stop_reason, 'requires_action');
  assert.match(asked.tool, /^(Write|edit)/i);
  assert.match(asked.message, /big\.txt|Write/);
  assert.equal(asked.truncated, true);
  assert.equal(asked.tool_input.file_path, 'big.txt');
  assert.ok(content.startsWith(asked.tool_input.content.slice(0, 60000)));
  assert.match(asked.tool_input.content, /more bytes were cut/);
  assert.deepEqual(asked.options, ['approve_once', 'approve_file', 'approve_folder', 'deny'], 'too long for the exact call');
  const raw = await fetch(`${karta.url}/v1/sessions/${id}/inputs/${asked.request_id}`);
  const text = await raw.text();
  const whole = JSON.parse(text);
  assert.equal(whole.tool_input.content, content);
  assert.equal(whole.truncated, undefined);
  const input = JSON.stringify(whole.tool_input);
  assert.equal(asked.tool_input_bytes, Buffer.byteLength(input));
  assert.equal(asked.tool_input_sha256, createHash('sha256').update(input).digest('hex'));
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}/inputs/req_jQpmfPVmhLwPyJLwpzFoym`)).status, 404);
  const done = (await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${asked.request_id}`, { decision: 'approve_once' })).body;
  assert.match(textOf(done.events), /written/);
  assert.equal(readFileSync(path.join(dir, 'big.txt'), 'utf8'), content);
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}/inputs/${asked.request_id}`)).status, 404, 'not open any more');
});

test('an input of usual size is whole in both places', async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  const { body } = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[ask:ls -la]]' });
  assert.equal(body.pending_input.truncated, undefined);
  const one = await call(karta, 'GET', `/v1/sessions/${id}/inputs/${body.pending_input.request_id}`);
  assert.deepEqual(one.body, body.pending_input);
});
