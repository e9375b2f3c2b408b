// SPDX-License-Identifier: MIT
// The real Claude Code, with an application that says no, allows, asks and commands: hooks, rules, trust,
// permission modes, MCP servers that ask, slash commands. Only the model is a stand-in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Client } from './document.mjs';
import { CLAUDE, KARTA, ROOT, call, doneOf, errorOf, existsSync, harnessEnv, newSession, path, readFileSync, rmSync, startKarta,
  startModel, tempDir, textOf, turn, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

const skip = existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';
const TOML = 'name = "bot"\n[harness]\ntype = "claude-code"\nmodel = "standin-1"\n';
const touch = (file) => `[[tool:Bash ${JSON.stringify({ command: `touch ${file}`, description: 'd' })}]] [[text:after it]]`;
const hook = (event, command, matcher) => ({ hooks: { [event]: [{ ...(matcher ? { matcher } : {}), hooks: [{ type: 'command', command }] }] } });
const says = (answer) => `echo '${JSON.stringify(answer)}'`;

async function setUp(t, { settings, files = {}, args = [] } = {}) {
  const model = await startModel(t);
  const dir = tempDir(t, 'claude');
  const home = tempDir(t, 'home');
  writeFiles(dir, { 'CLAUDE.md': 'You are a test.\n', 'karta.toml': TOML, ...(settings ? { '.claude/settings.json': JSON.stringify(settings) } : {}), ...files });
  const options = { args: ['--warm', '0', ...args], env: harnessEnv(model, home) };
  return { model, dir, home, options, karta: await startKarta(t, dir, options) };
}

const settingsOf = (dir, settings) => writeFiles(dir, { '.claude/settings.json': JSON.stringify(settings) });
const say = async (karta, id, text) => (await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text })).body;
/* What a message comes to; a turn that waits for somebody is interrupted, so that servers stop at once. */
const outcome = async (karta, id, text) => {
  const body = await say(karta, id, text);
  if (body.stop_reason === 'requires_action') await call(karta, 'POST', `/v1/sessions/${id}/interrupt`);
  return body;
};
const toolResult = (events) => events.find((e) => e.type === 'tool_result').data;
const hooksOf = (events) => events.filter((e) => e.type === 'system' && e.data.subtype === 'hook').map((e) => [e.data.hook_event, e.data.outcome, e.data.reason]);

test('a message that a hook refuses', { skip }, async (t) => {
  const { karta, dir } = await setUp(t);
  const refusals = [
    ['echo no card numbers here >&2; exit 2', 'no card numbers here'],
    [says({ decision: 'block', reason: 'not on a Sunday' }), 'not on a Sunday'],
    [says({ continue: false, stopReason: 'closed for today' }), 'closed for today'],
  ];
  for (const [command, reason] of refusals) {
    settingsOf(dir, hook('UserPromptSubmit', command));
    const id = await newSession(karta);
    const events = await turn(karta, id, '4111 1111 1111 1111');
    assert.deepEqual([errorOf(events).code, errorOf(events).message, doneOf(events).stop_reason], ['refused', reason, 'refused']);
    assert.equal(textOf(events), '');
    const reply = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '4111 1111 1111 1111' });
    assert.deepEqual([reply.status, reply.body.code, reply.body.detail, reply.body.stop_reason], [422, 'refused', reason, 'refused']);
    assert.doesNotMatch(karta.err, /4111/, 'the log does not have what the hook does not want to see');
  }
  const sent = await promisify(execFile)(KARTA, ['send', '--server', karta.url, 'hello'], { env: { PATH: process.env.PATH, HOME: karta.data } }).catch((e) => e);
  assert.equal(sent.code, 1);
  assert.match(sent.stderr, /closed for today/);
});

test('calls that hooks and rules refuse', { skip }, async (t) => {
  const { karta, dir } = await setUp(t);
  const deny = { hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason: 'not that one' } };
  const cases = [
    [hook('PreToolUse', 'echo not that one >&2; exit 2', 'Bash'), /not that one/, [['PreToolUse', 'blocked', 'not that one']]],
    [hook('PreToolUse', says(deny), 'Bash'), /^not that one$/, [['PreToolUse', 'blocked', 'not that one']]],
    [{ permissions: { deny: ['Bash(touch:*)'] } }, /has been denied/, []],
    [{}, /don't ask mode/, [], 'dontAsk'],
  ];
  for (const [settings, output, hooks, mode] of cases) {
    settingsOf(dir, settings);
    const events = await turn(karta, await newSession(karta, mode ? { permission_mode: mode } : {}), touch('refused'));
    const { status, is_error: failed, output: said } = toolResult(events);
    assert.deepEqual([status, failed, doneOf(events).stop_reason, textOf(events)], ['rejected', true, 'end_turn', 'after it']);
    assert.match(String(said), output);
    assert.deepEqual(hooksOf(events), hooks);
    assert.equal(existsSync(path.join(dir, 'refused')), false);
  }
  // What fails by itself is no refusal.
  settingsOf(dir, { ...hook('PreToolUse', 'true', 'Bash') });
  const failed = await turn(karta, await newSession(karta), `[[tool:Bash ${JSON.stringify({ command: 'cat nowhere-at-all', description: 'd' })}]] [[text:x]]`);
  assert.equal(toolResult(failed).status, 'failed');
});

test('hooks after a call and at the end', { skip }, async (t) => {
  const { karta, dir } = await setUp(t);
  const look = `[[tool:Bash ${JSON.stringify({ command: 'echo seen', description: 'd' })}]] [[text:after it]]`;

  settingsOf(dir, hook('PostToolUse', says({ decision: 'block', reason: 'look again' }), 'Bash'));
  const blocked = await turn(karta, await newSession(karta), look);
  assert.deepEqual([toolResult(blocked).status, doneOf(blocked).stop_reason], ['completed', 'end_turn']);
  assert.deepEqual(hooksOf(blocked), [['PostToolUse', 'blocked', 'look again']]);

  for (const event of ['PreToolUse', 'PostToolUse']) {
    settingsOf(dir, hook(event, says({ continue: false, stopReason: 'that is enough' }), 'Bash'));
    const stopped = await turn(karta, await newSession(karta), look);
    assert.deepEqual([errorOf(stopped)?.code, errorOf(stopped)?.message, doneOf(stopped).stop_reason], ['refused', 'that is enough', 'refused'], event);
    assert.deepEqual(hooksOf(stopped), [[event, 'stopped', 'that is enough']]);
  }

  settingsOf(dir, hook('Stop', 'test -e told && exit 0; touch told; echo say it again >&2; exit 2'));
  const again = await turn(karta, await newSession(karta), '[[text:once]]');
  assert.deepEqual(hooksOf(again), [['Stop', 'blocked', 'say it again']]);
  assert.match(doneOf(again).message.text, /^once\n\n/);
  assert.equal(doneOf(again).message.text, textOf(again));

  settingsOf(dir, hook('Stop', says({ continue: false, stopReason: 'fine' })));
  const done = await turn(karta, await newSession(karta), '[[text:all of it]]');
  assert.deepEqual([doneOf(done).stop_reason, textOf(done), errorOf(done)], ['end_turn', 'all of it', undefined]);
  assert.deepEqual(hooksOf(done), [['Stop', 'stopped', 'fine']]);
});

test('permission modes', { skip }, async (t) => {
  const { karta, dir } = await setUp(t, { files: { 'karta.jsonc': '{"runtime":{"permission_mode":"autonomous"}}\n' } });
  const write = (file) => `[[tool:Write ${JSON.stringify({ file_path: path.join(dir, file), content: 'x' })}]] [[text:after it]]`;
  const planned = await outcome(karta, await newSession(karta, { permission_mode: 'plan' }), write('planned'));
  assert.notEqual(planned.stop_reason, 'end_turn', 'whatever the policy, somebody has to look at it');
  assert.equal(existsSync(path.join(dir, 'planned')), false);
  assert.equal((await say(karta, await newSession(karta, { permission_mode: 'acceptEdits' }), write('edited'))).text, 'after it');
  assert.ok(existsSync(path.join(dir, 'edited')));
});

test('an MCP server asks, and shows a picture', { skip }, async (t) => {
  const server = { mcpServers: { toy: { command: process.execPath, args: [path.join(ROOT, 'tests/lib/mcp-asks.mjs')] } } };
  const { karta } = await setUp(t, { settings: { permissions: { allow: ['mcp__toy__book'] } }, files: { '.mcp.json': JSON.stringify(server) }, args: ['--trust'] });
  const book = (mode) => `[[tool:mcp__toy__book ${JSON.stringify({ mode })}]] [[text:booked]]`;
  const answer = async (id, body) => (await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${body.rq}`, { decision: body.decision, answers: body.answers })).body.events;
  const got = (events) => JSON.parse(toolResult(events).output[0].text);

  const id = await newSession(karta);
  const asked = await say(karta, id, book('form'));
  assert.equal(asked.stop_reason, 'requires_action', JSON.stringify(asked));
  const { kind, tool, questions, message, request_id: rq } = asked.pending_input;
  assert.deepEqual([kind, tool, message, questions.length], ['question', 'elicitation', 'toy asks: Who travels?', 3]);
  assert.deepEqual(questions[2].options.map((o) => o.label), ['fish', 'pasta']);
  const events = await answer(id, { rq, decision: 'answer', answers: { [questions[0].question]: 'Bob', age: '33', meal: 'pasta' } });
  assert.deepEqual(got(events), { action: 'accept', content: { name: 'Bob', age: 33, meal: 'pasta' } });
  assert.deepEqual(toolResult(events).output[1].source.media_type, 'image/png');

  const again = await say(karta, id, book('form'));
  assert.deepEqual(got(await answer(id, { rq: again.pending_input.request_id, decision: 'deny' })).action, 'decline');
  const third = await say(karta, id, book('form'));
  const odd = await answer(id, { rq: third.pending_input.request_id, decision: 'answer', answers: { name: 'Bob', age: 'old' } });
  assert.deepEqual(got(odd).action, 'decline');
  assert.match(odd.find((e) => e.data.subtype === 'elicitation').data.reason, /'age'/);
  const plain = await say(karta, id, book('confirm'));
  assert.match(plain.pending_input.questions[0].question, /Really/);
  const yes = await answer(id, { rq: plain.pending_input.request_id, decision: 'answer', answers: { [plain.pending_input.questions[0].question]: 'Accept' } });
  assert.equal(got(yes).action, 'accept');
});

test('slash commands, their aliases, and text that only looks like one', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  await say(karta, id, 'remember the pelican');
  assert.match((await say(karta, id, '[[recall]]')).text, /pelican/);
  assert.match((await say(karta, id, '/etc/hosts is a file')).text, /^You said: \/etc\/hosts is a file/);
  assert.match((await say(karta, id, '/nosuch')).text, /^You said: \/nosuch/);
  for (const cost of ['/cost', '/stats']) {
    const events = await turn(karta, id, cost);
    assert.match(textOf(events), /^Total cost:/);
    assert.equal(doneOf(events).message.text, textOf(events));
  }
  const compact = await turn(karta, id, '/compact');
  assert.equal(textOf(compact), '', 'what was said before is not said again');
  for (const [reset, word] of [['/reset', 'heron'], ['/new', 'stork']]) {
    await say(karta, id, `remember the ${word}`);
    assert.equal(textOf(await turn(karta, id, reset)), '');
    assert.doesNotMatch((await say(karta, id, '[[recall]]')).text, new RegExp(word), reset);
  }
});

test('karta dev: a folder is trusted by its user', { skip }, async (t) => {
  const settings = { permissions: { allow: ['Bash(touch:*)', 'Edit(/docs/**)'] } };
  const { karta, dir, options } = await setUp(t, { settings });
  const write = (file) => `[[tool:Write ${JSON.stringify({ file_path: path.join(dir, file), content: 'x' })}]] [[text:after it]]`;
  const endOf = async (k, text) => (await outcome(k, await newSession(k), text)).stop_reason;

  assert.match(karta.err, /settings allow Bash\(touch:\*\), Edit\(\/docs\/\*\*\) without asking: not here, until you say karta dev --trust/);
  assert.equal(await endOf(karta, touch('one')), 'requires_action');
  await karta.stop();
  const trusting = { ...options, data: karta.data };
  for (const args of [['--warm', '1', '--trust'], ['--warm', '1'], ['--warm', '0']]) {
    const k = await startKarta(t, dir, { ...trusting, args });
    assert.equal(await endOf(k, touch('two')), 'end_turn', String(args));
    assert.equal(await endOf(k, write('docs/a.txt')), 'end_turn', 'a path below the folder');
    assert.equal(await endOf(k, write('elsewhere.txt')), 'requires_action');
    await k.stop();
  }
  // Other settings were not agreed to; what the harness trusts by itself is not asked about.
  settingsOf(dir, { permissions: { allow: ['Bash(touch:*)', 'Bash(rm:*)'] } });
  const other = await startKarta(t, dir, trusting);
  assert.match(other.err, /Bash\(rm:\*\) without asking: not here/);
  assert.equal(await endOf(other, touch('three')), 'requires_action');
  await other.stop();
  const config = path.join(options.env.HOME, '.claude.json');
  writeFiles(options.env.HOME, { '.claude.json': JSON.stringify({ ...JSON.parse(existsSync(config) ? readFileSync(config, 'utf8') : '{}'),
    projects: { [dir]: { hasTrustDialogAccepted: true } } }) });
  const own = await startKarta(t, dir, trusting);
  assert.doesNotMatch(own.err, /without asking/);
  assert.equal(await endOf(own, touch('four')), 'end_turn');
});

test('hosted: what a pushed application allows is allowed', { skip }, async (t) => {
  const model = await startModel(t);
  const { HOME: _home, XDG_CONFIG_HOME: _config, ...env } = harnessEnv(model, tempDir(t, 'home'));
  // The data lies in a repository of somebody's: then the harness asks about that one's root.
  const around = tempDir(t, 'around');
  mkdirSync(path.join(around, '.git'));
  writeFiles(around, { '.git/HEAD': 'ref: refs/heads/main\n', '.git/config': '[core]\n', '.git/objects/.keep': '', '.git/refs/.keep': '' });
  const data = path.join(around, 'serve');
  mkdirSync(data);
  const server = await startServe(t, { data, env });
  const c = new Client(server, server.key);
  const files = { 'AGENTS.md': '', 'CLAUDE.md': 'You are a test.\n', 'karta.toml': TOML,
    '.claude/settings.json': JSON.stringify({ permissions: { allow: ['Bash(touch:*)'] } }) };
  await c.call('POST', '/agent_projects', [], { body: { slug: 'bot' } });
  await c.call('PATCH', '/agent_projects/{project_ref}/config', ['bot'], { body: { set: { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'dummy' } } });
  const made = await publish(c, 'bot', archive(t, files, 'bot'));
  assert.equal(made.body?.state, 'active', made.text);
  const open = async () => (await c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'], { body: {} })).body.id;
  const endOf = async (id, text) => (await c.call('POST', '/v1/sessions/{session_id}/messages', [id], { body: { text } })).body;

  const id = await open();
  const first = await endOf(id, touch('one'));
  assert.deepEqual([first.stop_reason, first.text], ['end_turn', 'after it'], JSON.stringify(first));
  assert.equal((await endOf(id, '[[tool:Bash {"command":"mkdir two","description":"d"}]]')).stop_reason, 'requires_action');
  await c.call('POST', '/v1/sessions/{session_id}/interrupt', [id]);
  const home = path.join(server.data, 'sessions', id, 'home');
  const config = JSON.parse(readFileSync(path.join(home, '.claude/.claude.json'), 'utf8'));
  assert.equal(config.projects[around].hasTrustDialogAccepted, true);

  // What ran in a session may have put links where the server writes: none is followed.
  const other = await open();
  const victim = path.join(tempDir(t, 'victim'), '.claude.json');
  writeFiles(path.dirname(victim), { '.claude.json': 'precious' });
  const there = path.join(server.data, 'sessions', other, 'home/.claude');
  mkdirSync(there, { recursive: true });
  symlinkSync(victim, path.join(there, '.claude.json'));
  const second = await endOf(other, touch('two'));
  assert.equal(readFileSync(victim, 'utf8'), 'precious');
  assert.equal(second.stop_reason, 'end_turn', JSON.stringify(second));
  const third = await open();
  mkdirSync(path.join(server.data, 'sessions', third, 'home'), { recursive: true });
  rmSync(path.join(server.data, 'sessions', third, 'home/.claude'), { recursive: true, force: true });
  symlinkSync(path.dirname(victim), path.join(server.data, 'sessions', third, 'home/.claude'));
  await endOf(third, touch('three'));
  assert.equal(readFileSync(victim, 'utf8'), 'precious');
});
