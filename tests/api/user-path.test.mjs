// SPDX-License-Identifier: MIT
// The path of a user with a bare machine, git and curl: every command as it is typed, the real Claude
// Code behind it, only the model replaced.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { CLAUDE, KARTA, PATIENCE_MS, existsSync, harnessEnv, path, seconds, startModel, tempDir, writeFiles } from './lib.mjs';
import { startServe } from './serve.mjs';

const skip = existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';

test('init, push, session, change, push, rollback, logs', { skip, ...seconds(60) }, async (t) => {
  const model = await startModel(t);
  const home = tempDir(t, 'user');
  const bin = tempDir(t, 'bin');
  symlinkSync(KARTA, path.join(bin, 'karta'));
  symlinkSync(KARTA, path.join(bin, 'git-remote-karta'));
  const { ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY, ...programs } = harnessEnv(model, home);
  const server = await startServe(t, { env: { KARTA_CLAUDE: programs.KARTA_CLAUDE } });
  const url = `http://localhost:${server.port}`;
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: home, XDG_CONFIG_HOME: path.join(home, '.config'), LC_ALL: 'C.UTF-8',
    GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'U', GIT_AUTHOR_EMAIL: 'u@example.com', GIT_COMMITTER_NAME: 'U',
    GIT_COMMITTER_EMAIL: 'u@example.com', ASAN_OPTIONS: 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1' };
  const dir = path.join(home, 'bot');
  const sh = (command, input) => {
    const r = spawnSync('sh', ['-euc', command], { cwd: existsSync(dir) ? dir : home, env, input, encoding: 'utf8', timeout: 2 * PATIENCE_MS });
    assert.equal(r.status, 0, `${command}\n${r.stdout}${r.stderr}`);
    return r;
  };
  const curl = (...args) => JSON.parse(execFileSync('curl', ['-sS', '-m', '100', '-H', `Authorization: Bearer ${server.key}`,
    '-H', 'Content-Type: application/json', ...args], { encoding: 'utf8' }));
  const api = `http://bot.localhost:${server.port}/v1/sessions`;
  const say = (id, text) => curl(`${api}/${id}/messages`, '-d', JSON.stringify({ text }));
  /* What the harness told the model of the application's instructions. */
  const instructions = () => model.requests().at(-1).marks.join();

  sh(`karta login --server ${url} --with-key`, `${server.key}\n`);
  writeFiles(dir, { 'CLAUDE.md': 'You are MARK-ONE.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "claude-code"\nmodel = "standin-1"\n',
    'numbers.txt': 'one\n' });
  sh('git init -q -b main');
  sh('karta init');
  sh('git add -A && git commit -qm one');
  const pushed = sh('git push karta main');
  assert.match(pushed.stderr, /remote: Released v1 of bot in/);
  assert.match(pushed.stderr, new RegExp(`http://bot\\.localhost:${server.port}`));
  sh(`karta config set ANTHROPIC_BASE_URL=${ANTHROPIC_BASE_URL} ANTHROPIC_API_KEY=-`, ANTHROPIC_API_KEY);
  assert.match(sh('karta releases').stdout, /^v2 +active/m);

  const old = curl(api, '-d', '{}');
  assert.equal(old.release, 'v2');
  assert.match(say(old.id, 'hello').text, /^You said: hello/);
  assert.match(instructions(), /MARK-ONE/);
  /* The harness works in a copy of its own. */
  const wrote = say(old.id, '[[tool:Bash {"command":"cat numbers.txt; echo more >>numbers.txt; pwd; env | sort","description":"d"}]] [[text:ok]]');
  const done = wrote.pending_input
    ? curl('-X', 'PUT', `${api}/${old.id}/inputs/${wrote.pending_input.request_id}`, '-d', '{"decision":"approve_once"}') : wrote;
  const output = JSON.stringify(done);
  assert.match(output, new RegExp(`sessions/${old.id}/workspace`));
  assert.match(output, /KARTA_RELEASE=v2/);
  assert.match(output, /KARTA_ENVIRONMENT=production/);
  assert.doesNotMatch(output, /KARTA_CLAUDE|kt_live_/);

  writeFiles(dir, { 'CLAUDE.md': 'You are MARK-TWO.\n' });
  sh('git commit -qam two');
  assert.match(sh('git push karta main').stderr, /Released v3 of bot/);
  const fresh = curl(api, '-d', '{}');
  assert.equal(fresh.release, 'v3');
  say(fresh.id, 'hello');
  assert.match(instructions(), /MARK-TWO/);
  /* The old session goes on with what it began with. */
  assert.match(say(old.id, '[[recall]]').text, /hello/);
  assert.match(instructions(), /MARK-ONE/);

  assert.match(sh('karta rollback --reason test').stdout, /^http:\/\/bot\.localhost/);
  const after = curl(api, '-d', '{}');
  assert.equal(after.release, 'v2');
  say(after.id, 'hello');
  assert.match(instructions(), /MARK-ONE/);
  const logs = sh('karta logs --lines 200').stdout;
  for (const line of [/build\[v1\]: -----> Activated v1/, /release\[v2\]: rolled back to v2/, /turn\[v3 sess_/]) assert.match(logs, line);
  assert.equal(sh('karta logs --json --lines 5').stdout.trim().split('\n').map((l) => JSON.parse(l).type).join(), 'log,log,log,log,log');
  assert.equal(await server.stop(), 0, server.err);
  const fsck = spawnSync(KARTA, ['fsck', '--data', server.data], { env, encoding: 'utf8' });
  assert.equal(fsck.status, 0, `${fsck.stdout}${fsck.stderr}`);
});
