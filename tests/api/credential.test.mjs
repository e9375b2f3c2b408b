// SPDX-License-Identifier: MIT
// An application whose model has no credential says so before its first message: when it is pushed and deployed, in its
// project, by `karta doctor`. And when a credential is not taken, the turn says what to type on a server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { CLAUDE, existsSync, harnessEnv, seconds, startModel, tempDir, writeFiles } from './lib.mjs';
import { startServe } from './serve.mjs';
import { user } from './user.mjs';

const CLAUDE_APP = { 'CLAUDE.md': 'You help.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "claude-code"\n' };
/* As the project's document says it, and its page. */
const missing = async (c, project) => {
  const [whole, dev] = [await c.call('GET', '/agent_projects/{project_ref}', [project]), await c.call('GET', '/v1/projects/{project_ref}/dev', [project])];
  assert.deepEqual(dev.body.missing_credentials, whole.body.missing_credentials, dev.text);
  return whole.body.missing_credentials;
};

test('a model credential that is missing is told at the push, the deploy, in the project and by doctor', seconds(60), async (t) => {
  const karta = await startServe(t, { env: { KARTA_HARNESS_PROGRAM: '/bin/true' } });
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  const dir = await u.repository(CLAUDE_APP, 'bot');
  const told = /no credential for the model: sessions will fail until ANTHROPIC_API_KEY is set/;
  const pushed = await u.ok(u.git(dir, 'push', 'karta', 'main'));
  assert.match(pushed.stderr, told);
  assert.match(pushed.stderr, /remote: +fix: karta config set ANTHROPIC_API_KEY=- <file/);
  assert.deepEqual(await missing(c, 'bot'), ['ANTHROPIC_API_KEY']);
  const run = (...args) => u.run('karta', ['--no-input', ...args], { cwd: dir });
  assert.match((await run('projects', 'show')).stdout, /^lacks +ANTHROPIC_API_KEY \(karta config set -p bot ANTHROPIC_API_KEY=- <file\)$/m);
  assert.match((await run('doctor')).stdout, /hosted +bot on .* has no ANTHROPIC_API_KEY: its sessions will fail\n +fix: karta config set -p bot ANTHROPIC_API_KEY=- <file\n/);

  await u.ok(u.run('karta', ['config', 'set', 'ANTHROPIC_API_KEY=-'], { cwd: dir, input: 'sk-ant-x\n' }));
  assert.deepEqual(await missing(c, 'bot'), []);
  assert.match((await run('doctor')).stdout, /hosted +bot on .*: v2\n/);
  await u.commit(dir, { 'CLAUDE.md': 'You help more.\n' });
  assert.doesNotMatch((await u.ok(run('deploy'))).stderr, told);
  await u.ok(run('config', 'unset', 'ANTHROPIC_API_KEY'));
  await u.commit(dir, { 'CLAUDE.md': 'You help most.\n' });
  assert.match((await u.ok(run('deploy'))).stderr, told);
  /* What the application brings itself, or a release of its own, is enough. */
  await u.ok(run('deploy', '--env', 'CLAUDE_CODE_OAUTH_TOKEN=x', '--force'));
  assert.deepEqual(await missing(c, 'bot'), []);
  for (const [name, files, lacks] of [
    ['helper', { ...CLAUDE_APP, '.claude/settings.json': '{"apiKeyHelper":"./key.sh"}\n' }, []],
    ['open', { 'AGENTS.md': 'x\n', 'opencode.json': '{"model":"openai/gpt-5"}\n' }, ['OPENAI_API_KEY']],
    ['own', { 'AGENTS.md': 'x\n', 'opencode.json': '{"model":"openai/gpt-5","provider":{"openai":{"options":{"apiKey":"{env:MY}"}}}}\n' }, []],
    ['free', { 'AGENTS.md': 'x\n', 'opencode.json': '{}\n' }, []]]) {
    const app = tempDir(t, 'app');
    writeFiles(app, files);
    const r = await u.ok(u.karta('deploy', '--dir', app, name));
    assert.deepEqual(await missing(c, name), lacks, name);
    assert.equal(/no credential for the model/.test(r.stderr), lacks.length > 0, `${name}: ${r.stderr}`);
  }
});

test('a server that asks no model warns of nothing', async (t) => {
  const karta = await startServe(t, { args: ['--offline'] });
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  const dir = tempDir(t, 'app');
  writeFiles(dir, CLAUDE_APP);
  assert.doesNotMatch((await u.ok(u.karta('deploy', '--dir', dir, 'bot'))).stderr, /credential/);
  assert.deepEqual(await missing(c, 'bot'), []);
});

test('a turn without a credential says what to type, not /login', { skip: existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor', ...seconds(60) }, async (t) => {
  const model = await startModel(t);
  const { ANTHROPIC_BASE_URL, KARTA_CLAUDE } = harnessEnv(model, tempDir(t, 'home'));
  const karta = await startServe(t, { env: { KARTA_CLAUDE } });
  const u = user(t, karta);
  const dir = tempDir(t, 'app');
  writeFiles(dir, CLAUDE_APP);
  await u.ok(u.karta('deploy', '--dir', dir, 'bot'));
  await u.ok(u.karta('config', 'set', '-p', 'bot', `ANTHROPIC_BASE_URL=${ANTHROPIC_BASE_URL}`));
  const r = await u.karta('send', '-p', 'bot', 'hello');
  assert.equal(r.status, 1, r.stderr);
  assert.match(r.stderr, /auth_failed/);
  assert.match(r.stderr, /did not take the credential of bot \(.+\): karta config set -p bot ANTHROPIC_API_KEY=- <file, then a new session/);
  assert.doesNotMatch(r.stderr, /\/login/);
  // Of a folder that is served as well: its sessions have the project's variables.
  await u.ok(u.karta('project', 'add', dir, 'here'));
  await u.ok(u.karta('config', 'set', '-p', 'here', `ANTHROPIC_BASE_URL=${ANTHROPIC_BASE_URL}`));
  assert.match((await u.karta('send', '-p', 'here', 'hello')).stderr, /karta config set -p here ANTHROPIC_API_KEY=- <file/);
});
