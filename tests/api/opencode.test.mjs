// SPDX-License-Identifier: MIT
// The real OpenCode (over ACP) through the HTTP API; only the model is a stand-in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPENCODE, call, doneOf, errorOf, existsSync, harnessEnv, newSession, openStream, pairs, path, processesWith, seconds, startKarta, startModel, symlinkSync,
  tempDir, textOf, turn, writeFiles } from './lib.mjs';

const skip = existsSync(OPENCODE) ? false : 'OpenCode is not installed for this processor';

async function setUp(t, { args = [], files = {} } = {}) {
  const model = await startModel(t);
  const dir = tempDir(t, 'opencode');
  const home = tempDir(t, 'home');
  writeFiles(dir, { 'AGENTS.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "opencode"\n', ...files });
  const options = { args, env: harnessEnv(model, home) };
  return { model, dir, home, options, karta: await startKarta(t, dir, options) };
}

// One server and three sessions for all of it: OpenCode takes seconds of processor time to start.
test('OpenCode', { skip, ...seconds(150) }, async (t) => {
  const { karta, dir, options } = await setUp(t, { args: ['--warm', '0'], files: { '.opencode/command/greet.md': '---\ndescription: says hello\n---\n[[text:hello $ARGUMENTS]]\n',
    '.opencode/agent/helper.md': '---\ndescription: helps\nmode: subagent\n---\nx\n', '.opencode/agent/reviewer.md': '---\ndescription: reviews\nmode: primary\n---\nYou review.\n' } });
  const send = async (id, text) => (await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text })).body;
  const answer = async (id, rq, decision) => (await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${rq}`, { decision })).body;
  const tool = (cmd) => `[[tool:bash ${JSON.stringify({ command: cmd, description: 'd' })}]] [[text:done with it]]`;
  const id = await newSession(karta);
  const other = await newSession(karta);

  await t.test('text streams, usage is told', async () => {
    const events = await turn(karta, id, 'hello');
    assert.match(textOf(events), /^You said: hello/);
    assert.equal(doneOf(events).message.text, textOf(events));
    assert.ok(doneOf(events).usage.total_tokens > 0);
    assert.ok(events.filter((e) => e.type === 'text').length > 1);
  });
  await t.test('approval once, session, deny', async () => {
    const one = await send(id, tool('touch one.txt'));
    assert.equal(one.stop_reason, 'requires_action');
    assert.equal(one.pending_input.tool_input.command, 'touch one.txt');
    const done = await answer(id, one.pending_input.request_id, 'approve_once');
    assert.match(textOf(done.events), /done with it/);
    assert.ok(existsSync(path.join(dir, 'one.txt')));
    const two = await send(id, tool('touch two.txt'));
    const denied = await answer(id, two.pending_input.request_id, 'deny');
    assert.equal(denied.events.at(-1).type, 'done');
    assert.equal(existsSync(path.join(dir, 'two.txt')), false);
    const three = await send(id, tool('mkdir -p three'));
    await answer(id, three.pending_input.request_id, 'approve_session');
    assert.equal((await send(id, tool('mkdir -p three'))).stop_reason, 'end_turn');
    const four = await send(id, tool('mkdir -p four'));
    assert.equal(four.stop_reason, 'requires_action');
    await answer(id, four.pending_input.request_id, 'deny');
    assert.equal(existsSync(path.join(dir, 'four')), false);
  });
  await t.test('an approval covers what it said', async () => {
    writeFiles(dir, { 'notes.txt': 'x\n', 'sub/x': 'x\n', '.git/HEAD': 'ref: refs/heads/main\n', '.git/objects/.keep': '', '.git/refs/.keep': '' });
    symlinkSync(path.join(dir, 'sub'), path.join(dir, 'sublink'));
    const bash = (command, more) => `[[tool:bash ${JSON.stringify({ command, description: 'd', ...more })}]]`;
    const write = (file) => `[[tool:write ${JSON.stringify({ filePath: path.join(dir, file), content: 'x' })}]]`;
    await pairs(karta, [
      ['approve_session', bash('rm -rf build'), bash('rm -rf build'), false],
      ['approve_session', bash('rm -rf build'), bash('rm -rf /nowhere/me'), true],
      ['approve_session', bash('rm -rf build'), bash('rm -rf build', { workdir: 'sub' }), true],
      ['approve_session', bash('rm -rf build'), bash('rm -rf build', { workdir: '/etc' }), true],
      ['approve_session', bash('git -C . status'), bash('git -c core.fsmonitor=x status'), true],
      ['approve_command', bash('cat notes.txt'), bash('cat sub/x'), false],
      ['approve_command', bash('cat notes.txt'), bash('cat notes.txt; rm notes.txt'), true],
      ['approve_command', bash('cat notes.txt'), bash('cat hostname', { workdir: '/etc' }), true],
      ['approve_command', bash('git diff'), bash('git diff --output=x'), true],
      ['approve_file', write('sub/two.txt'), write('sub/three.txt'), true],
      ['approve_folder', write('sub/four.txt'), write('sub/five.txt'), false],
      ['approve_folder', write('sub/six.txt'), write('sublink/seven.txt'), true],
    ]);
    assert.ok(existsSync(path.join(dir, 'sub/five.txt')));
    assert.ok(existsSync(path.join(dir, 'notes.txt')));
  });
  await t.test('a slash begins a command, or words', async () => {
    assert.match((await send(other, '/etc/hosts is what?')).text, /^You said: \/etc\/hosts is what\? \(message 1\)/);
    assert.equal((await send(other, '/greet Ann and Bob')).text, 'hello Ann and Bob');
    assert.match((await send(other, '/greetings')).text, /^You said: \/greetings/);
  });
  await t.test('a session in plan mode writes nothing', async () => {
    const unknown = await call(karta, 'POST', '/v1/sessions', { permission_mode: 'acceptEdits' });
    assert.equal(unknown.status, 422);
    assert.match(unknown.body.detail, /default, build, plan/);
    const plan = await newSession(karta, { permission_mode: 'plan' });
    const file = path.join(dir, 'planned.txt');
    const r = await send(plan, `[[tool:write ${JSON.stringify({ filePath: file, content: 'x' })}]] [[text:the end]]`);
    assert.match(r.text, /the end/);
    assert.equal(existsSync(file), false);
    const asked = await send(plan, tool('touch planned.txt'));
    assert.equal(asked.stop_reason, 'requires_action');
    await answer(plan, asked.pending_input.request_id, 'deny');
    assert.equal(existsSync(file), false);
    const refused = await call(karta, 'POST', `/v1/sessions/${plan}/messages`, { text: 'hi', agent: 'reviewer' });
    assert.equal(refused.status, 422);
    assert.match(refused.body.detail, /permission mode 'plan'/);
  });
  await t.test('a sub-agent has no messages', async () => {
    const agents = (await call(karta, 'GET', '/v1/agents')).body.data;
    assert.equal(agents.find((a) => a.name === 'helper').answers, false);
    const refused = await call(karta, 'POST', `/v1/sessions/${other}/messages`, { text: 'x', agent: 'helper' });
    assert.equal(refused.status, 422);
    assert.match(refused.body.detail, /'helper' is one that only other agents call/);
    assert.match((await send(other, 'hello')).text, /^You said: hello /);
  });
  await t.test('interrupt, then alive', async () => {
    const watch = openStream(karta, `/v1/sessions/${id}/events?after=${(await call(karta, 'GET', `/v1/sessions/${id}`)).body.last_seq}`);
    await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: '[[hang]]' }, { prefer: 'respond-async' });
    await watch.until((e) => e.type === 'text');
    await call(karta, 'POST', `/v1/sessions/${id}/interrupt`);
    assert.equal((await watch.until((e) => e.type === 'done')).data.stop_reason, 'interrupted');
    watch.close();
    assert.match((await send(id, '[[text:alive]]')).text, /alive/);
  });
  await t.test('error codes', async () => {
    const events = await turn(karta, other, '[[error:401]] x');
    assert.equal(errorOf(events).code, 'auth_failed');
    assert.equal((await send(other, '[[text:fine]]')).text, 'fine');
  });
  await t.test('reasoning', async () => {
    const events = await turn(karta, id, '[[think:let me see]]', { thinking: true });
    assert.match(events.filter((e) => e.type === 'reasoning').map((e) => e.data.part.text).join(''), /let me see/);
    const quiet = await turn(karta, id, '[[think:let me see]] again');
    assert.equal(quiet.some((e) => e.type === 'reasoning'), false);
  });
  await t.test('a sub-agent works inside one tool call', async () => {
    const task = JSON.stringify({ description: 'look', prompt: '[[text:from the sub-agent]]', subagent_type: 'general' });
    const events = await turn(karta, id, `[[tool:task ${task}]] [[text:main again]]`);
    const use = events.find((e) => e.type === 'tool_use');
    const result = events.find((e) => e.type === 'tool_result' && e.data.tool_use_id === use.data.tool_use_id);
    assert.match(JSON.stringify(result.data.output), /from the sub-agent/);
    assert.match(textOf(events), /main again/);
  });
  await t.test('two sessions at once do not mix', async () => {
    const ids = [id, other];
    const both = await Promise.all(ids.map((one, i) => turn(karta, one, `[[text:alpha${i} beta${i} gamma${i}]] {{delay=30}} {{n=10}}`)));
    both.forEach((events, i) => {
      assert.equal(textOf(events), `alpha${i} beta${i} gamma${i}`);
      assert.ok(events.every((e) => e.session_id === ids[i]));
    });
  });
  await t.test('crash in mid-turn, the next message resumes', async () => {
    const one = other;
    await turn(karta, one, 'the word is banana');
    const watch = openStream(karta, `/v1/sessions/${one}/events?after=${(await call(karta, 'GET', `/v1/sessions/${one}`)).body.last_seq}`);
    await call(karta, 'POST', `/v1/sessions/${one}/messages`, { text: '[[hang]]' }, { prefer: 'respond-async' });
    await watch.until((e) => e.type === 'text' && /Some/.test(e.data.part.text));
    for (const pid of processesWith('KARTA_PROC_ID=').filter((p) => processesWith(karta.data).includes(p))) process.kill(pid, 'SIGKILL');
    const error = await watch.until((e) => e.type === 'error');
    assert.equal(error.data.code, 'harness_crashed');
    await watch.until((e) => e.type === 'done' && e.seq > error.seq);
    watch.close();
    assert.match((await send(one, '[[recall]]')).text, /banana/);
  });
  await t.test('resumes after the server was killed', async (t2) => {
    karta.child.kill('SIGKILL');
    await karta.stop();
    const two = await startKarta(t2, dir, { ...options, data: karta.data });
    const r = await call(two, 'POST', `/v1/sessions/${id}/messages`, { text: '[[recall]]' });
    assert.match(r.body.text, /hello/);
  });
});
