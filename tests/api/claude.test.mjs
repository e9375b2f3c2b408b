// SPDX-License-Identifier: MIT
// The real Claude Code through the HTTP API; only the model is a stand-in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAUDE, call, doneOf, errorOf, eventually, existsSync, harnessEnv, newSession, openStream, pairs, path, processesWith,
  seconds, startKarta, startModel, symlinkSync, tempDir, textOf, turn, writeFileSync, writeFiles } from './lib.mjs';

const skip = existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';

// A process that is started ahead costs a second of processor time and is asked for where it matters.
async function setUp(t, { args = ['--warm', '0'], env = {}, files = {}, data, home = tempDir(t, 'home') } = {}) {
  const model = await startModel(t);
  const dir = tempDir(t, 'claude');
  writeFiles(dir, { 'CLAUDE.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "claude-code"\nmodel = "standin-1"\n',
    '.claude/agents/reviewer.md': '---\nname: reviewer\ndescription: reviews\n---\nYou review.\n', ...files });
  const options = { args, data, env: { ...harnessEnv(model, home), ...env } };
  return { model, dir, home, options, karta: await startKarta(t, dir, options) };
}

test('text and usage, second turn warm, started-ahead process', { skip }, async (t) => {
  const { karta } = await setUp(t, { args: [] });
  const id = await newSession(karta);
  const events = await turn(karta, id, 'hello');
  assert.match(textOf(events), /^You said: hello/);
  assert.equal(doneOf(events).message.text, textOf(events));
  assert.ok(doneOf(events).usage.total_tokens > 0);
  assert.equal(errorOf(events), undefined);
  assert.ok(events.filter((e) => e.type === 'text').length > 1, 'streamed in pieces');
  const second = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[recall]]' });
  assert.match(second.body.text, /hello/);
});

test('reasoning', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  const events = await turn(karta, id, '[[think:let me see]]', { thinking: true });
  assert.match(events.filter((e) => e.type === 'reasoning').map((e) => e.data.part.text).join(''), /let me see/);
});

test('tool with approval: once, session, deny', { skip }, async (t) => {
  const { karta, dir } = await setUp(t);
  const id = await newSession(karta);
  const ask = async (text) => (await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text })).body;
  const answer = async (rq, decision) => (await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${rq}`, { decision })).body;
  const tool = (cmd) => `[[tool:Bash ${JSON.stringify({ command: cmd, description: 'd' })}]] [[text:done with it]]`;

  const one = await ask(tool('touch one.txt'));
  assert.equal(one.stop_reason, 'requires_action');
  assert.equal(one.pending_input.tool, 'Bash');
  assert.equal(one.pending_input.tool_input.command, 'touch one.txt');
  const done = await answer(one.pending_input.request_id, 'approve_once');
  assert.match(textOf(done.events), /done with it/);
  const result = done.events.find((e) => e.type === 'tool_result');
  assert.deepEqual([result.data.is_error, result.data.status], [false, 'completed']);
  assert.ok(existsSync(path.join(dir, 'one.txt')));

  const two = await ask(tool('touch two.txt'));
  assert.equal(two.stop_reason, 'requires_action', 'once is once');
  const denied = await answer(two.pending_input.request_id, 'deny');
  assert.equal(denied.events.find((e) => e.type === 'tool_result').data.is_error, true);
  assert.equal(denied.events.at(-1).type, 'done');
  assert.equal(existsSync(path.join(dir, 'two.txt')), false);

  const three = await ask(tool('mkdir -p three'));
  await answer(three.pending_input.request_id, 'approve_session');
  const again = await ask(tool('mkdir -p three'));
  assert.equal(again.stop_reason, 'end_turn', 'the same call is remembered');
  const four = await ask(tool('mkdir -p four'));
  assert.equal(four.stop_reason, 'requires_action', 'a similar one is not');
  await answer(four.pending_input.request_id, 'deny');
  assert.equal(existsSync(path.join(dir, 'four')), false);
});

test('an approval covers what it said', { skip, ...seconds(90) }, async (t) => {
  const { karta, dir } = await setUp(t, { files: { 'notes.txt': 'x\n', 'sub/x': 'x\n', '.git/HEAD': 'ref: refs/heads/main\n', '.git/objects/.keep': '', '.git/refs/.keep': '',
    '.claude/settings.json': JSON.stringify({ permissions: { ask: ['Bash', 'Write'] } }) } });
  symlinkSync(path.join(dir, 'sub'), path.join(dir, 'sublink'));
  symlinkSync('/etc', path.join(dir, 'etc'));
  const bash = (command, more) => `[[tool:Bash ${JSON.stringify({ command, description: 'd', ...more })}]]`;
  const write = (file, content = 'x') => `[[tool:Write ${JSON.stringify({ file_path: path.join(dir, file), content })}]]`;
  await pairs(karta, [
    ['approve_session', bash('rm -rf build'), bash('rm -rf build'), false],
    ['approve_session', bash('rm -rf build'), bash('rm -rf /nowhere/me'), true],
    ['approve_session', bash('rm -rf build'), bash('cd sub') + bash('rm -rf build'), true, 'in another folder'],
    ['approve_session', bash('curl -s http://127.0.0.1:9/a'), bash('curl -s http://127.0.0.1:9/b -d @notes.txt'), true],
    ['approve_session', bash('git -C . status'), bash('git -c core.fsmonitor=x status'), true],
    ['approve_session', bash('sleep 0'), bash('sleep 0', { run_in_background: true }), true],
    ['approve_session', write('one.txt'), write('one.txt', 'y'), true],
    ['approve_command', bash('cat notes.txt'), bash('cat sub/x'), false],
    ['approve_command', bash('cat notes.txt'), bash('cat notes.txt; rm notes.txt'), true],
    ['approve_command', bash('cat notes.txt'), bash('cat etc/hostname'), true],
    ['approve_command', bash('ls'), bash('cd sub') + bash('ls'), false],
    ['approve_command', bash('git status'), bash('git status --short'), false],
    ['approve_command', bash('git diff'), bash('git diff --output=x'), true],
    ['approve_file', write('sub/two.txt'), write('sub/three.txt'), true],
    ['approve_folder', write('sub/four.txt'), write('sub/five.txt'), false],
    ['approve_folder', write('sub/six.txt'), write('sublink/seven.txt'), true],
    ['approve_folder', write('eight.txt'), write('.claude/settings.local.json', '{}'), true],
  ]);
  assert.ok(existsSync(path.join(dir, 'sub/five.txt')));
  assert.ok(existsSync(path.join(dir, 'notes.txt')));
});

test('an edit tells the lines it changed with their places', { skip, ...seconds(60) }, async (t) => {
  const before = Array.from({ length: 30 }, (_, i) => `line ${i + 1}\n`).join('');
  const { karta, dir } = await setUp(t, { files: { 'a.txt': before } });
  const file_path = path.join(dir, 'a.txt');
  const tool = (name, input) => `[[tool:${name} ${JSON.stringify(input)}]]`;
  const events = await turn(karta, await newSession(karta, { permission_mode: 'acceptEdits' }), `${tool('Read', { file_path })}${tool('Edit', { file_path, old_string: 'line 20\n', new_string: 'line twenty\nand more\n' })}[[text:done]]`);
  const [read, edit] = events.filter((e) => e.type === 'tool_result').map((e) => e.data);
  assert.equal('patch' in read, false);
  assert.deepEqual([edit.status, edit.patch], ['completed', [{ old_start: 17, new_start: 17,
    lines: [' line 17', ' line 18', ' line 19', '-line 20', '+line twenty', '+and more', ' line 21', ' line 22', ' line 23'] }]]);
});

test('interrupt while streaming and while a tool runs', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[text:slow words here]] {{delay=200}} {{n=100}}' }, { prefer: 'respond-async' });
  await watch.until((e) => e.type === 'text');
  await call(karta, 'POST', `/v1/sessions/${id}/interrupt`);
  assert.equal((await watch.until((e) => e.type === 'done')).data.stop_reason, 'interrupted');
  const after = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[text:alive]]' });
  assert.equal(after.body.text, 'alive');
  watch.close();
});

test('error codes', { skip }, async (t) => {
  const { karta } = await setUp(t, { env: { CLAUDE_CODE_MAX_RETRIES: '1' } });
  for (const [directive, code] of [['error:401', 'auth_failed'], ['error:403', 'auth_failed'], ['error:404', 'model_not_found'],
    ['error:400', 'invalid_request'], ['error:429', 'rate_limited'], ['error:529', 'overloaded'], ['drop0', 'connection_failed']]) {
    const id = await newSession(karta);
    const events = await turn(karta, id, `[[${directive}]] of its own`);
    assert.equal(errorOf(events)?.code, code, directive);
    assert.equal(doneOf(events).stop_reason, 'error');
    assert.equal(textOf(events).includes('API Error'), false, 'error text is no model text');
    const next = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[text:fine again]]' });
    assert.equal(next.body.text, 'fine again');
  }
});

test('recovers from a stream cut in the middle', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const events = await turn(karta, await newSession(karta), '[[drop*1]] run-cut');
  assert.equal(errorOf(events), undefined);
  assert.equal(doneOf(events).message.text, textOf(events), 'partial text was replaced, not doubled');
});

test('crash in mid-turn, resume after kill with memory', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  await turn(karta, id, 'the word is banana');
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[hang]]' }, { prefer: 'respond-async' });
  await watch.until((e) => e.type === 'text' && /Some/.test(e.data.part.text));
  const s = (await call(karta, 'GET', `/v1/sessions/${id}`)).body;
  assert.equal(s.turn.state, 'running');
  const pids = harnessPids(karta);
  assert.ok(pids.length >= 1);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  const error = await watch.until((e) => e.type === 'error');
  assert.equal(error.data.code, 'harness_crashed');
  await watch.until((e) => e.type === 'done' && e.seq > error.seq);
  const next = await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[recall]]' });
  assert.match(next.body.text, /banana/);
  watch.close();
});

/** Harness processes of this server: children of its spawner whose program is claude. */
function harnessPids(karta) {
  return processesWith(`KARTA_PROC_ID=`).filter((pid) => processesWith(karta.data).includes(pid));
}

test('kill -9 of karta leaves nothing; the restarted server resumes', { skip }, async (t) => {
  const { karta, dir, home, options, model } = await setUp(t, { args: [] });
  const id = await newSession(karta);
  await turn(karta, id, 'the word is cherry');
  const watch = openStream(karta, `/v1/sessions/${id}/events`);
  const cmd = JSON.stringify({ command: 'sleep 300', description: 'd', timeout: 400000 });
  await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `[[tool:Bash ${cmd}]]` }, { prefer: 'respond-async' });
  const event = await watch.until((e) => e.type === 'input_required' || (e.type === 'tool_use' && e.data.state === 'running'));
  if (event.type === 'input_required') await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${event.data.request_id}`, { decision: 'approve_once' }, { prefer: 'respond-async' });
  await eventually(() => processesWith(home).length >= 2, 'the tool runs');
  karta.child.kill('SIGKILL');
  await eventually(() => processesWith(home).length === 0, 'no orphan is left');
  const two = await startKarta(t, dir, { ...options, data: karta.data });
  // Either its own file had the conversation, or it is told what was said: the model knows it.
  await call(two, 'POST', `/v1/sessions/${id}/messages`, { text: 'go on' });
  assert.match(JSON.stringify(model.requests().at(-1).users), /cherry/, two.err);
});

test('two sessions at once do not mix', { skip }, async (t) => {
  const { karta } = await setUp(t, { args: ['--warm', '2'] });
  const ids = await Promise.all([newSession(karta), newSession(karta)]);
  const both = await Promise.all(ids.map((id, i) => turn(karta, id, `[[text:alpha${i} beta${i} gamma${i}]] {{delay=30}} {{n=10}}`)));
  both.forEach((events, i) => {
    assert.equal(textOf(events), `alpha${i} beta${i} gamma${i}`);
    assert.ok(events.every((e) => e.session_id === ids[i]));
  });
});

test('sub-agent events carry their parent', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  const task = JSON.stringify({ description: 'look', prompt: '[[text:from the sub-agent]]', subagent_type: 'general-purpose', run_in_background: false });
  const events = await turn(karta, id, `[[tool:Task ${task}]] [[text:main again]]`);
  const call1 = events.find((e) => e.type === 'tool_use' && e.data.state === 'running' && !e.parent_tool_use_id);
  const inner = events.filter((e) => e.parent_tool_use_id === call1.data.tool_use_id);
  assert.ok(inner.some((e) => e.type === 'text' && /from the sub-agent/.test(e.data.part.text)));
  assert.equal(textOf(events), 'main again');
});

test('a sub-agent that asks is named', { skip }, async (t) => {
  const { karta } = await setUp(t);
  const id = await newSession(karta);
  const task = JSON.stringify({ description: 'look', prompt: '[[tool:Bash {"command":"touch named","description":"d"}]]', subagent_type: 'general-purpose', run_in_background: false });
  const pending = (await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `[[tool:Task ${task}]]` })).body.pending_input;
  assert.equal(pending.asked_by.sub_agent, true);
  assert.equal(pending.asked_by.sub_agent_name, 'general-purpose');
  await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${pending.request_id}`, { decision: 'deny' }, { prefer: 'respond-async' });
});

test('agent choice and hand-off', { skip }, async (t) => {
  const { karta, model } = await setUp(t);
  const id = await newSession(karta);
  const events = await turn(karta, id, '[[text:as reviewer]]', { agent: 'reviewer' });
  assert.deepEqual(events.find((e) => e.data.state === 'handoff').data, { state: 'handoff', from: 'default', to: 'reviewer' });
  assert.equal((await call(karta, 'GET', `/v1/sessions/${id}`)).body.current_agent, 'reviewer');
  assert.ok(model.requests().length > 0);
});

/* karta reads the user's agents where it stands; the program is given another configuration. */
test('an agent that the harness refuses leaves the session to the one before', { skip }, async (t) => {
  const elsewhere = tempDir(t, 'config');
  const program = path.join(elsewhere, 'claude');
  writeFileSync(program, `#!/bin/sh\nCLAUDE_CONFIG_DIR='${elsewhere}/own' exec '${CLAUDE}' "$@"\n`, { mode: 0o755 });
  const home = tempDir(t, 'home');
  writeFiles(home, { '.claude/agents/ghost.md': '---\nname: ghost\ndescription: only of the user\n---\nx\n' });
  const { karta } = await setUp(t, { home, env: { KARTA_CLAUDE: program }, files: { '.claude/agents/silent.md': '---\nname: silent\n---\nx\n' } });
  const id = await newSession(karta);
  const send = (text, agent) => call(karta, 'POST', `/v1/sessions/${id}/messages`, { text, agent });
  const current = async () => (await call(karta, 'GET', `/v1/sessions/${id}`)).body.current_agent;

  assert.ok((await call(karta, 'GET', '/v1/agents')).body.data.some((a) => a.name === 'ghost'));
  assert.match((await send('one')).body.text, /^You said: one/);
  const refused = await send('two', 'ghost');
  assert.equal(refused.status, 422);
  assert.match(JSON.stringify(refused.body), /agent_not_found/);
  assert.match(JSON.stringify(refused.body), /ghost/);
  assert.equal(await current(), 'default');
  assert.match((await send('three')).body.text, /^You said: three/);
  assert.match((await send('[[text:as reviewer]]', 'reviewer')).body.text, /as reviewer/);
  assert.equal((await send('four', 'ghost')).status, 422);
  assert.equal(await current(), 'reviewer', 'the one before, not the default');
  assert.match((await send('five')).body.text, /^You said: five/);
  /* One that the harness leaves out, and one that nobody knows, are refused before a turn begins. */
  for (const name of ['silent', 'nobody']) {
    const before = (await call(karta, 'GET', `/v1/sessions/${id}`)).body.last_seq;
    assert.equal((await send('six', name)).status, 422);
    assert.equal((await call(karta, 'GET', `/v1/sessions/${id}`)).body.last_seq, before);
    assert.equal(await current(), 'reviewer');
  }
});
