// SPDX-License-Identifier: MIT
// Every option of a start goes from the API, or from the application's files, to the command line, the
// environment and the first lines of the harness. The structures that hold them are read from the
// headers: an option that no check here names fails the test.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { ROOT, call, eventually, newSession, path, readFileSync, startKarta, tempDir, turn, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';
import { readdirSync } from 'node:fs';

const FAKE = path.join(ROOT, 'tests/lib/fake-claude.mjs');
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const APP = {
  'CLAUDE.md': 'You are a test.\n',
  'karta.toml': 'name = "bot"\n[harness]\ntype = "claude-code"\nmodel = "the-model"\n[env.FOLDER_VAR]\nrequired = true\n',
  'karta.jsonc': '{"harness":{"claude":{"thinking_budget_tokens":4321}}}\n',
  '.claude/agents/reviewer.md': '---\nname: reviewer\ndescription: reviews\n---\nYou review.\n',
  '.claude/settings.json': '{"permissions":{"allow":["Bash(touch:*)","Read(/docs/**)"]}}\n',
};

/** Members of a C structure that hold something. */
function members(file, name) {
  const text = readFileSync(path.join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(text)[1];
  return body.split(';').map((line) => /(\w+)\s*$/.exec(line.trim())?.[1]).filter(Boolean);
}

const starts = (dir) => {
  try {
    return readdirSync(dir).sort().map((f) => JSON.parse(readFileSync(path.join(dir, f), 'utf8')));
  } catch { return []; }
};
const option = (start, name) => (start.argv.includes(name) ? start.argv[start.argv.indexOf(name) + 1] : undefined);
const prompts = (start) => start.lines.filter((l) => l.type === 'user').map((l) => l.message.content.map((b) => b.text));
const requests = (start, subtype) => start.lines.filter((l) => l.request?.subtype === subtype).map((l) => l.request);

/* What only the replay of recorded turns reads: tests/unit/harness/test_rehearsal.c. */
const OF_REHEARSALS = ['speed', 'turns_before', 'position'];
/* Whose memory it is, which no harness sees: tests/standing/neighbours.py. */
const OF_THE_SERVER = ['org'];

test('from the API to the harness', async (t) => {
  const checked = new Set([...OF_REHEARSALS, ...OF_THE_SERVER]);
  const check = (names, fn) => {
    fn();
    for (const n of names.split(' ')) checked.add(n);
  };
  const dir = tempDir(t, 'app');
  const seen = path.join(tempDir(t, 'seen'), 'starts');
  writeFiles(dir, { ...APP, '.env': 'FOLDER_VAR=of the folder\n' });
  const env = { KARTA_CLAUDE: FAKE, FAKE_CLAUDE_DIR: seen };
  const data = tempDir(t, 'data');
  let karta = await startKarta(t, dir, { args: ['--warm', '0', '--trust'], env, data });
  const say = (id, body) => call(karta, 'POST', `/v1/sessions/${id}/messages`, body);

  const unknown = await call(karta, 'POST', '/v1/sessions', { permission_mode: 'nonsense' });
  assert.equal(unknown.status, 422);
  assert.match(unknown.body.detail, /default, plan, acceptEdits/);
  const id = await newSession(karta, { permission_mode: 'plan' });
  assert.equal((await say(id, { text: 'first', participant_name: 'Ann', agent: 'reviewer' })).status, 200);
  assert.equal((await say(id, { text: 'second', thinking: false })).status, 200);
  const [first] = starts(seen);

  check('driver app program', () => assert.equal(first.program, FAKE));
  check('cwd', () => assert.equal(first.cwd, dir));
  check('new_id', () => assert.match(option(first, '--session-id'), UUID));
  check('permission_mode', () => assert.equal(option(first, '--permission-mode'), 'plan'));
  check('model', () => assert.equal(option(first, '--model'), 'the-model'));
  check('extra_env', () => assert.equal(first.env.FOLDER_VAR, 'of the folder'));
  check('session_id', () => assert.equal(first.env.KARTA_SESSION_ID, id));
  check('project', () => assert.equal(first.env.KARTA_PROJECT, 'bot'));
  check('settings', () => assert.deepEqual(JSON.parse(option(first, '--settings')).permissions,
    { allow: ['Bash(touch:*)', `Read(/${dir}/docs/**)`], additionalDirectories: [] }));
  check('text participant_name', () => assert.deepEqual(prompts(first)[0], ['Message from Ann:', 'first']));
  check('agent', () => assert.deepEqual(requests(first, 'apply_flag_settings')[0].settings, { agent: 'reviewer' }));
  check('thinking_budget_tokens', () => assert.equal(requests(first, 'set_max_thinking_tokens')[0].max_thinking_tokens, 4321));
  check('no_thinking', () => assert.equal(requests(first, 'set_max_thinking_tokens')[1].max_thinking_tokens, 0));

  // A new process takes the conversation up, with the same options.
  await karta.stop();
  karta = await startKarta(t, dir, { args: ['--warm', '0'], env, data });
  await say(id, { text: 'third' });
  const resumed = starts(seen).at(-1);
  check('resume_id', () => assert.equal(option(resumed, '--resume'), option(first, '--session-id')));
  assert.equal(resumed.argv.includes('--session-id'), false);
  assert.equal(option(resumed, '--permission-mode'), 'plan');
  assert.equal(option(resumed, '--settings'), option(first, '--settings'), 'the trust is remembered');

  // One that has forgotten it is told, in a process started afresh with all options but that one.
  await karta.stop();
  karta = await startKarta(t, dir, { args: ['--warm', '0'], env: { ...env, FAKE_CLAUDE_FORGETS: '1' }, data });
  await say(id, { text: 'fourth' });
  const fresh = starts(seen).at(-1);
  check('transcript', () => assert.match(prompts(fresh)[0][0], /^The conversation so far[\s\S]*User: first[\s\S]*heard: /));
  assert.match(option(fresh, '--session-id'), UUID);
  assert.notEqual(option(fresh, '--session-id'), option(first, '--session-id'));
  for (const name of ['--permission-mode', '--model', '--settings']) assert.equal(option(fresh, name), option(first, name), name);
  assert.deepEqual([fresh.cwd, fresh.env.FOLDER_VAR, fresh.env.KARTA_SESSION_ID], [dir, 'of the folder', id]);

  // One that was started ahead has what every session has.
  await karta.stop();
  const ahead = path.join(tempDir(t, 'seen'), 'starts');
  karta = await startKarta(t, dir, { args: ['--warm', '1'], env: { ...env, FAKE_CLAUDE_DIR: ahead }, data });
  await eventually(() => starts(ahead).length, 'the harness started ahead');
  const warm = starts(ahead)[0];
  for (const name of ['--model', '--settings']) assert.equal(option(warm, name), option(first, name), name);
  // A thought that was asked for is shown, one that was not is not: its only trace is in the events.
  writeFiles(dir, { 'says.jsonl': [
    { type: 'assistant', message: { id: 'm', content: [{ type: 'thinking', thinking: 'hm' }, { type: 'text', text: 'ok' }] } },
    { type: 'result', subtype: 'success', is_error: false, num_turns: 1, result: 'ok' }].map((l) => JSON.stringify(l)).join('\n') + '\n' });
  await karta.stop();
  karta = await startKarta(t, dir, { args: ['--warm', '0'], env: { ...env, FAKE_CLAUDE_SAYS: path.join(dir, 'says.jsonl') }, data });
  const thoughts = async (body) => {
    const events = await turn(karta, await newSession(karta), 'x', body);
    return events.filter((e) => e.type === 'reasoning').length;
  };
  const [asked, silent] = [await thoughts({ thinking: true }), await thoughts({})];
  check('thinking', () => assert.deepEqual([asked, silent], [1, 0]));
  await karta.stop();

  // Hosted.
  const hosted = path.join(tempDir(t, 'seen'), 'starts');
  const server = await startServe(t, { env: { KARTA_CLAUDE: FAKE, SECRET_OF_SERVER: 's3cret', FAKE_CLAUDE_DIR: '/nonexistent' } });
  const c = new Client(server, server.key);
  await c.call('POST', '/agent_projects', [], { body: { slug: 'shop' } });
  await c.call('PATCH', '/agent_projects/{project_ref}/config', ['shop'], { body: { set: { FAKE_CLAUDE_DIR: hosted, FOLDER_VAR: 'bound' } } });
  const made = await publish(c, 'shop', archive(t, APP, 'bot'));
  assert.equal(made.body?.state, 'active', made.text);
  const of = await c.call('POST', '/v1/projects/{project_ref}/sessions', ['shop'], { body: { permission_mode: 'acceptEdits' } });
  assert.equal(of.status, 201, of.text);
  const wrong = await c.call('POST', '/v1/projects/{project_ref}/sessions', ['shop'], { body: { permission_mode: 'yolo' } });
  assert.deepEqual([wrong.status, wrong.body.code], [422, 'validation_failed'], wrong.text);
  const reply = await c.call('POST', '/v1/sessions/{session_id}/messages', [of.body.id], { body: { text: 'hosted' } });
  assert.equal(reply.status, 200, reply.text);
  const [there] = starts(hosted);
  const own = path.join(server.data, 'sessions', of.body.id);
  assert.equal(there.cwd, path.join(own, 'workspace'));
  assert.equal(option(there, '--permission-mode'), 'acceptEdits');
  assert.equal(there.env.FOLDER_VAR, 'bound');
  assert.equal(there.env.KARTA_PROJECT, 'shop');
  check('sealed', () => assert.equal(there.env.SECRET_OF_SERVER, undefined));
  check('home', () => assert.deepEqual([there.env.HOME, there.env.CLAUDE_CONFIG_DIR], [path.join(own, 'home'), path.join(own, 'home/.claude')]));
  check('trusted', () => assert.equal(
    JSON.parse(readFileSync(path.join(own, 'home/.claude/.claude.json'), 'utf8')).projects[there.cwd].hasTrustDialogAccepted, true));

  const all = [['lib/harness/driver.h', 'kt_driver_config'], ['lib/harness/harness.h', 'kt_harness_start'], ['lib/harness/driver.h', 'kt_prompt']]
    .flatMap(([file, name]) => members(file, name));
  assert.ok(all.includes('permission_mode') && all.includes('session_id') && all.includes('participant_name'), String(all));
  assert.deepEqual(all.filter((m) => !checked.has(m)), [], 'options that nobody checks');
});
