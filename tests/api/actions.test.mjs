// SPDX-License-Identifier: MIT
// Deploys from CI, as docs/ci.md has them: `karta deploy` in a job of GitHub Actions (the checkout, the variables and
// files of its runner), the steps of scripts/action/, a job with nothing but git and curl; and previews from their
// first push to their end.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client, require } from './document.mjs';
import { KARTA, ROOT, eventually, fakeApp, tempDir, writeFiles } from './lib.mjs';
import { startServe } from './serve.mjs';

const YAML = require('yaml');
const P = '/agent_projects/{project_ref}';
const ACTION = path.join(ROOT, 'scripts/action');
const action = YAML.parse(readFileSync(path.join(ACTION, 'action.yml'), 'utf8'));
const ciPage = readFileSync(path.join(ROOT, 'docs/ci.md'), 'utf8');
const fenced = (language) => [...ciPage.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map((m) => m[1]);

const GIT = { GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.com', GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.com', GIT_TERMINAL_PROMPT: '0' };
const base = (home) => ({ PATH: process.env.PATH, HOME: home, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1', ...GIT });
const git = (dir, ...args) => execFileSync('git', ['-C', dir, ...args], { env: base(dir), stdio: ['ignore', 'pipe', 'pipe'] }).toString().trim();

function run(file, args, { cwd, env, input = '' }) {
  return new Promise((resolve) => {
    const child = execFile(file, args, { cwd, env, maxBuffer: 1 << 26 }, (e, stdout, stderr) => {
      if (/ERROR: \w+Sanitizer|runtime error:/.test(stderr)) throw new Error(stderr);
      resolve({ code: child.exitCode, stdout, stderr });
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/* The repository at "GitHub": main, and the pull request 7 with its merge commit. */
function origin(t, files) {
  const dir = tempDir(t, 'origin');
  git(dir, 'init', '-q', '-b', 'main');
  fakeApp(dir, files);
  const commit = (message, more = {}) => {
    writeFiles(dir, { 'note.txt': message, ...more });
    git(dir, 'add', '-A');
    git(dir, 'commit', '-qm', message);
    return git(dir, 'rev-parse', 'HEAD');
  };
  commit('older');
  const main = commit('first line');
  git(dir, 'checkout', '-qb', 'fix/login');
  const head = commit('a fix');
  git(dir, 'checkout', '-q', '--detach', 'main');
  git(dir, 'merge', '-q', '--no-ff', '-m', 'Merge', 'fix/login');
  git(dir, 'update-ref', 'refs/pull/7/merge', 'HEAD');
  git(dir, 'checkout', '-q', 'main');
  return { dir, commit, main, head, merge: git(dir, 'rev-parse', 'refs/pull/7/merge') };
}

/* What actions/checkout does: fetches one commit, and checks it out. */
function checkout(t, from, ref) {
  const dir = tempDir(t, 'checkout');
  git(dir, 'init', '-q');
  git(dir, 'remote', 'add', 'origin', `file://${from.dir}`);
  if (ref.startsWith('refs/heads/')) {
    const branch = ref.slice('refs/heads/'.length);
    git(dir, 'fetch', '-q', '--no-tags', '--depth=1', 'origin', `+${ref}:refs/remotes/origin/${branch}`);
    git(dir, 'checkout', '-q', '--force', '-B', branch, `refs/remotes/origin/${branch}`);
  } else {
    git(dir, 'fetch', '-q', '--no-tags', '--depth=1', 'origin', `+${ref}:${ref.replace('refs/', 'refs/remotes/')}`);
    git(dir, 'checkout', '-q', '--force', '--detach', ref.replace('refs/', 'refs/remotes/'));
  }
  assert.equal(git(dir, 'rev-parse', '--is-shallow-repository'), 'true');
  return dir;
}

/* A job: the runner's variables and files for an event. */
function job(t, server, event, payload, ref, { headRef = '', env = {} } = {}) {
  const dir = tempDir(t, 'runner');
  writeFileSync(path.join(dir, 'event.json'), JSON.stringify(payload));
  const file = (name) => { writeFileSync(path.join(dir, name), ''); return path.join(dir, name); };
  const j = { dir, event: payload };
  j.env = { ...base(dir), CI: 'true', GITHUB_ACTIONS: 'true', GITHUB_EVENT_NAME: event, GITHUB_EVENT_PATH: path.join(dir, 'event.json'), GITHUB_REF: ref,
    GITHUB_REF_NAME: ref.replace(/^refs\/(heads|pull|tags)\//, ''), GITHUB_HEAD_REF: headRef, GITHUB_BASE_REF: headRef && 'main', GITHUB_REPOSITORY: 'acme/bot',
    GITHUB_OUTPUT: file('output'), GITHUB_STEP_SUMMARY: file('summary'), RUNNER_OS: 'Linux', RUNNER_TEMP: dir,
    KARTA_SERVER: server.url, KARTA_API_KEY: server.key, ...env };
  j.outputs = () => parseOutputs(readFileSync(j.env.GITHUB_OUTPUT, 'utf8'));
  j.summary = () => readFileSync(j.env.GITHUB_STEP_SUMMARY, 'utf8');
  return j;
}
function parseOutputs(text) {
  const out = {};
  const lines = text.split('\n');
  while (lines.length) {
    const line = lines.shift();
    const many = /^([\w-]+)<<(.+)$/.exec(line);
    if (many) {
      const value = [];
      while (lines[0] !== many[2]) value.push(lines.shift());
      lines.shift();
      out[many[1]] = value.join('\n');
    } else if (line) out[line.slice(0, line.indexOf('='))] = line.slice(line.indexOf('=') + 1);
  }
  return out;
}
const commands = (text) => text.split('\n').filter((l) => /^\s*::|##\[/.test(l));
const pullRequest = (action, fork = false, number = 7) => ({ action, number, pull_request: { number, head: { ref: 'fix/login', repo: fork === null ? null : { full_name: fork ? 'stranger/bot' : 'acme/bot' } },
  base: { ref: 'main', repo: { full_name: 'acme/bot' } } }, repository: { full_name: 'acme/bot' } });

test('karta deploy in a job: a push, a pull request, one from a fork', async (t) => {
  const server = await startServe(t);
  const c = new Client(server, server.key);
  const from = origin(t);
  const push = job(t, server, 'push', { ref: 'refs/heads/main', repository: { full_name: 'acme/bot' } }, 'refs/heads/main');
  let r = await run(KARTA, ['deploy', '--timeout', '2m'], { cwd: checkout(t, from, 'refs/heads/main'), env: push.env });
  assert.equal(r.code, 0, r.stderr);
  assert.equal(r.stdout, `http://fake.localhost:${server.port}\n`);
  assert.deepEqual(commands(r.stdout + r.stderr), []);
  const live = (await c.call('GET', `${P}/releases/{version}`, ['fake', 'current'])).body;
  assert.deepEqual([live.commit_sha, live.ref, live.message, live.pr], [from.main, 'refs/heads/main', 'first line', null]);
  assert.deepEqual(push.outputs(), { url: live.url, release: live.id, version: 'v1', commit: from.main });
  assert.equal(push.summary(), `| Project | Release | State | URL |\n| --- | --- | --- | --- |\n| fake | v1 | active | ${live.url} |\n\n`);

  await c.call('PATCH', `${P}/config`, ['fake'], { body: { set: { WORD: 'sesame' } } });
  for (const [fork, number] of [[false, 7], [true, 8], [null, 9]]) {
    const pull = job(t, server, 'pull_request', pullRequest('synchronize', fork, number), `refs/pull/${number}/merge`, { headRef: 'fix/login' });
    r = await run(KARTA, ['deploy'], { cwd: checkout(t, from, 'refs/pull/7/merge'), env: pull.env });
    assert.equal(r.code, 0, r.stderr);
    assert.equal(r.stdout, `http://fake-pr-${number}.localhost:${server.port}\n`);
    const made = (await c.call('GET', `${P}/releases/{version}`, ['fake', pull.outputs().version])).body;
    assert.deepEqual([made.state, made.preview, made.pr, made.fork, made.commit_sha, made.ref], ['preview', `fake-pr-${number}`, number, fork !== false, from.merge, 'refs/heads/fix/login']);
    assert.match(pull.summary(), /\| fake \| v\d+ \| preview \|/);
  }
  // The event is not there, or is none: the number is still in the ref.
  for (const text of [null, 'not json', '{}', '[]']) {
    const pull = job(t, server, 'pull_request', {}, 'refs/pull/11/merge', { headRef: 'fix/login' });
    if (text === null) pull.env.GITHUB_EVENT_PATH = '/nonexistent';
    else writeFileSync(pull.env.GITHUB_EVENT_PATH, text);
    r = await run(KARTA, ['deploy', '-q'], { cwd: checkout(t, from, 'refs/pull/7/merge'), env: pull.env });
    assert.equal(r.stdout, `http://fake-pr-11.localhost:${server.port}\n`, r.stderr);
  }
  // A pull request whose branch is called main, while main moves; what is asked for counts more than the event.
  const pull = job(t, server, 'pull_request', { ...pullRequest('opened', true, 12) }, 'refs/pull/12/merge', { headRef: 'main' });
  const dir = checkout(t, from, 'refs/pull/7/merge');
  r = await run(KARTA, ['deploy', '--json'], { cwd: dir, env: pull.env });
  assert.equal(JSON.parse(r.stdout).release.state, 'preview', r.stdout);
  r = await run(KARTA, ['deploy', '--json', '--pr', '13'], { cwd: dir, env: pull.env });
  assert.equal(JSON.parse(r.stdout).release.preview, 'fake-pr-13');
  r = await run(KARTA, ['deploy', '--json', '--ref', 'staging'], { cwd: dir, env: pull.env });
  assert.deepEqual([JSON.parse(r.stdout).release.preview, JSON.parse(r.stdout).release.pr], ['fake-staging', null]);
  assert.deepEqual((await c.call('GET', `${P}/refs`, ['fake'])).body.refs, { 'refs/heads/main': from.main }, 'a fork moves no ref');
  // A tag is a preview, unless it is said to be main.
  const tag = job(t, server, 'release', {}, 'refs/tags/v1.0');
  r = await run(KARTA, ['deploy', '--json'], { cwd: dir, env: tag.env });
  assert.equal(JSON.parse(r.stdout).release.state, 'preview');
  r = await run(KARTA, ['deploy', '--json', '--ref', 'main'], { cwd: dir, env: tag.env });
  assert.equal(JSON.parse(r.stdout).release.state, 'active');
  assert.equal((await c.call('GET', `${P}/releases/{version}`, ['fake', 'current'])).body.commit_sha, from.merge);
});

test('what the build finds becomes annotations at its line, and nothing else does', async (t) => {
  const server = await startServe(t);
  const toml = (name) => `name = "${name}"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n`;
  const from = origin(t);
  const bad = 'name = "fake"\nmodel = 3\n"##[add-mask]x" = 1\n[env]\n"::error::y" = "z"\n';
  from.commit('bad', { 'karta.toml': bad, 'sub/karta.toml': `${toml('sub')}[nonsense]\n`, 'sub/AGENTS.md': 'x\n' });
  const dir = checkout(t, from, 'refs/heads/main');
  const push = job(t, server, 'push', {}, 'refs/heads/main');
  let r = await run(KARTA, ['deploy', '--dir', '.'], { cwd: dir, env: push.env });
  assert.equal(r.code, 1, r.stderr);
  assert.equal(r.stdout, '');
  const marks = commands(r.stderr);
  assert.ok(marks.some((l) => /^::error title=karta deploy,file=karta\.toml,line=\d+(,col=\d+)?::./.test(l)), r.stderr);
  assert.ok(marks.every((l) => /^::(error|warning) title=karta deploy(,file=[\w./-]+,line=\d+(,col=\d+)?)?::/.test(l)), marks.join('\n'));
  assert.deepEqual(marks.filter((l) => l.startsWith('::error')).length, 2, 'the finding, and the outcome');
  assert.ok(marks.every((l) => !/::(error|warning): /.test(l)), marks.join('\n'));
  assert.ok(r.stderr.split('\n').every((l) => marks.includes(l) || !l.includes('##[')), 'the log is no command');
  // An application in a folder: its files are named from the repository's root, wherever the job stands.
  for (const [args, cwd] of [[['--dir', 'sub'], dir], [[], path.join(dir, 'sub')]]) {
    r = await run(KARTA, ['deploy', ...args], { cwd, env: push.env });
    assert.match(r.stderr, /^::(warning|error) title=karta deploy,file=sub\/karta\.toml,line=\d+/m);
  }
  // Outside of a job there is none of it.
  const { GITHUB_ACTIONS: _, ...plain } = push.env;
  r = await run(KARTA, ['deploy', '--dir', 'sub'], { cwd: dir, env: plain });
  assert.ok(!/^::/m.test(r.stderr));
});

/* --- the action ----------------------------------------------------------------------------------------------- */

/* The expressions that action.yml uses, and no others. */
function expand(text, context) {
  return String(text).replace(/\$\{\{\s*(.*?)\s*\}\}/g, (_, e) => {
    let m;
    if ((m = /^inputs\.([\w-]+)$/.exec(e))) return context.inputs[m[1]] ?? '';
    if ((m = /^steps\.(\w+)\.outputs\.(\w+)$/.exec(e))) return context.steps[m[1]]?.[m[2]] ?? '';
    if ((m = /^github((?:\.\w+)+)$/.exec(e))) return m[1].slice(1).split('.').reduce((at, k) => at?.[k], context.github) ?? '';
    if (e === 'github.event.pull_request && github.event.pull_request.head.repo.full_name != github.repository') {
      const pr = context.github.event.pull_request;
      return pr ? String((pr.head.repo?.full_name ?? '') !== context.github.repository) : '';
    }
    throw new Error(`no such expression is known: ${e}`);
  });
}

/* Run it as the runner does: defaults, then each step's script with its environment and an output file of its own. */
async function runAction(t, j, cwd, inputs, { actionPath = ACTION, env = {} } = {}) {
  for (const name of Object.keys(inputs)) assert.ok(action.inputs[name], `no input ${name}`);
  const context = { inputs: Object.fromEntries(Object.entries(action.inputs).map(([k, v]) => [k, inputs[k] ?? v.default ?? ''])), steps: {},
    github: { event: j.event, repository: 'acme/bot' } };
  const result = { code: 0, stdout: '', stderr: '', outputs: {} };
  for (const step of action.runs.steps) {
    const output = path.join(tempDir(t, 'step'), 'output');
    writeFileSync(output, '');
    const { KARTA_SERVER: _s, KARTA_API_KEY: _k, ...outer } = j.env;
    const stepEnv = { ...outer, ...env, GITHUB_ACTION_PATH: actionPath, GITHUB_OUTPUT: output,
      ...Object.fromEntries(Object.entries(step.env ?? {}).map(([k, v]) => [k, expand(v, context)])) };
    assert.equal(step.shell, 'sh');
    const r = await run('sh', ['-e', '-c', expand(step.run, context)], { cwd, env: stepEnv });
    result.stdout += r.stdout;
    result.stderr += r.stderr;
    context.steps[step.id] = parseOutputs(readFileSync(output, 'utf8'));
    if ((result.code = r.code) !== 0) break;
  }
  for (const [name, o] of Object.entries(action.outputs)) result.outputs[name] = expand(o.value, context);
  return result;
}

function withKarta(t) {
  const bin = tempDir(t, 'bin');
  symlinkSync(KARTA, path.join(bin, 'karta'));
  return { PATH: `${bin}:${process.env.PATH}` };
}

test('the action: a push, a pull request until it is closed, forks, and what is wrong', async (t) => {
  const server = await startServe(t);
  const c = new Client(server, server.key);
  const from = origin(t);
  const env = withKarta(t);
  const inputs = { server: `${server.url}/`, 'api-key': server.key };
  const dir = checkout(t, from, 'refs/heads/main');
  const push = job(t, server, 'push', { ref: 'refs/heads/main' }, 'refs/heads/main', { env });
  const secretFree = (r) => assert.deepEqual((r.stdout + r.stderr).split('\n').filter((l) => l.includes(server.key)), [`::add-mask::${server.key}`]);
  let r = await runAction(t, push, dir, inputs);
  assert.equal(r.code, 0, r.stderr);
  secretFree(r);
  assert.deepEqual({ ...r.outputs, release: 'rel' }, { url: `http://fake.localhost:${server.port}`, release: 'rel', version: 'v1', commit: from.main });
  assert.equal(r.stdout.trim().split('\n').at(-1), r.outputs.url);
  assert.match(push.summary(), /\| fake \| v1 \| active \|/);

  // Every input, with what a shell would trip over.
  r = await runAction(t, push, dir, { ...inputs, project: 'other', dir: '.', activate: 'false', env: 'A=1\nB=two words; $(id)\n\n', message: '-m "$HOME" `id`', ref: 'main', timeout: '2m' });
  assert.equal(r.code, 0, r.stderr);
  const other = (await c.call('GET', `${P}/releases/{version}`, ['other', 'v1'])).body;
  assert.deepEqual([other.state, other.message], ['ready', '-m "$HOME" `id`']);
  r = await runAction(t, push, dir, { ...inputs, wait: 'false', pr: '3' });
  assert.equal(r.code, 0, r.stderr);
  assert.equal(r.outputs.url, `http://fake-pr-3.localhost:${server.port}`);
  await eventually(async () => (await c.call('GET', `${P}/deploys/{version}`, ['fake', r.outputs.release])).body.state === 'preview', 'the preview');

  // A pull request: its preview, the next push, its end; closing twice is fine.
  const at = checkout(t, from, 'refs/pull/7/merge');
  const pull = (event) => job(t, server, 'pull_request', event, 'refs/pull/7/merge', { headRef: 'fix/login', env });
  for (const kind of ['opened', 'synchronize']) {
    r = await runAction(t, pull(pullRequest(kind)), at, inputs);
    assert.equal(r.outputs.url, `http://fake-pr-7.localhost:${server.port}`, r.stderr);
  }
  const labels = async () => (await c.call('GET', P, ['fake'])).body.previews.map((p) => p.label).sort();
  assert.deepEqual(await labels(), ['fake-pr-3', 'fake-pr-7']);
  for (let i = 0; i < 2; i++) {
    r = await runAction(t, pull(pullRequest('closed')), at, inputs);
    assert.equal(r.code, 0, r.stdout + r.stderr);
    assert.match(r.stdout, /^The preview fake-pr-7 has ended\.$/m);
    secretFree(r);
    assert.deepEqual(await labels(), ['fake-pr-3']);
  }
  r = await runAction(t, pull(pullRequest('closed')), at, { ...inputs, project: 'x/../../v1/keys' });
  assert.equal(r.code, 2);
  r = await runAction(t, pull(pullRequest('closed')), at, { ...inputs, project: 'none' });
  assert.deepEqual([r.code, /no project none/.test(r.stdout)], [0, true]);
  r = await runAction(t, pull(pullRequest('closed')), at, { ...inputs, 'api-key': 'kt_live_wrong' });
  assert.equal(r.code, 4);
  r = await runAction(t, pull(pullRequest('closed')), at, { ...inputs, server: 'http://127.0.0.1:1' });
  assert.equal(r.code, 3);
  assert.deepEqual((await c.call('GET', P, ['fake'])).body.current.version, 'v1');

  // A fork has no secrets: said, and no failure. Without a fork it is one.
  for (const fork of [true, null]) {
    r = await runAction(t, pull(pullRequest('opened', fork)), at, { ...inputs, 'api-key': '' });
    assert.deepEqual([r.code, r.outputs.url], [0, '']);
    assert.match(r.stdout, /^::notice .*fork gets no secrets/m);
  }
  for (const [wrong, says] of [[{ 'api-key': '' }, /api-key.*empty/], [{ server: '' }, /server.*missing/], [{ activate: 'no' }, /'activate' is true or false, not 'no'/],
    [{ wait: 'maybe' }, /'wait'/], [{ pr: '7; id' }, /'pr' is a number/], [{ env: 'NOVALUE' }, /NAME=VALUE/], [{ karta: '/nonexistent' }, /no program/]]) {
    r = await runAction(t, push, dir, { ...inputs, ...wrong });
    assert.equal(r.code, 2, r.stdout + r.stderr);
    assert.match(r.stdout + r.stderr, says);
  }
  // The outcome is karta's: no server, no right, pinned.
  assert.equal((await runAction(t, push, dir, { ...inputs, server: 'http://127.0.0.1:1' })).code, 3);
  assert.equal((await runAction(t, push, dir, { ...inputs, 'api-key': 'kt_live_wrong' })).code, 4);
  await c.call('POST', `${P}/activate`, ['other'], { body: { version: 'v1' } });
  await runAction(t, push, dir, { ...inputs, project: 'other' });
  await c.call('POST', `${P}/rollback`, ['other'], { body: {} });
  r = await runAction(t, push, dir, { ...inputs, project: 'other' });
  assert.equal(r.code, 6, r.stderr);
  assert.match(r.stderr, /^::error .*pinned: held at/m);
});

test('the action without karta: it builds that of its own source', async (t) => {
  const source = tempDir(t, 'source');
  mkdirSync(path.join(source, 'scripts/action'), { recursive: true });
  for (const f of ['setup.sh', 'deploy.sh']) writeFileSync(path.join(source, 'scripts/action', f), readFileSync(path.join(ACTION, f)));
  writeFiles(source, { 'scripts/setup': '#!/bin/sh\necho set up\n',
    Makefile: 'BUILD ?= build\nall:\n\tmkdir -p $(BUILD)/release\n\tprintf \'#!/bin/sh\\necho "karta $$*"\\n\' >$(BUILD)/release/karta\n\tchmod +x $(BUILD)/release/karta\n' });
  chmodSync(path.join(source, 'scripts/setup'), 0o755);
  const server = { url: 'http://127.0.0.1:1', key: 'kt_live_x' };
  const inputs = { server: server.url, 'api-key': server.key };
  const j = job(t, server, 'push', {}, 'refs/heads/main', { env: { PATH: '/usr/bin:/bin' } });
  const at = { actionPath: path.join(source, 'scripts/action') };
  if (execFileSync('sh', ['-c', 'PATH=/usr/bin:/bin command -v karta || true']).length) return t.skip('karta is installed here');
  let r = await runAction(t, j, source, inputs, at);
  assert.equal(r.code, 0, r.stdout + r.stderr);
  assert.match(r.stdout, /::group::Building karta\nset up\n[^]*::endgroup::\nkarta --version\n/);
  assert.match(r.stdout, /^karta --no-input deploy --timeout 15m$/m);
  r = await runAction(t, j, source, inputs, { ...at, env: { RUNNER_OS: 'Windows' } });
  assert.equal(r.code, 2);
  assert.match(r.stdout, /built on Linux only/);
  writeFileSync(path.join(source, 'Makefile'), 'all:\n\tfalse\n');
  r = await runAction(t, j, source, inputs, at);
  assert.match(r.stdout, /::error title=karta::karta cannot be built/);
  assert.equal(r.code, 2);
});

test('the action without karta, told where to install it from', async (t) => {
  if (execFileSync('sh', ['-c', 'PATH=/usr/bin:/bin command -v karta || true']).length) return t.skip('karta is installed here');
  const files = tempDir(t, 'files');
  const name = `karta-9.9-linux-${{ x64: 'x64', arm64: 'arm64' }[process.arch]}`;
  writeFiles(files, { [`${name}/bin/karta`]: '#!/bin/sh\necho "karta $*"\n', [`${name}/lib/karta/channel`]: 'tarball\n', VERSION: '9.9\n' });
  chmodSync(path.join(files, name, 'bin/karta'), 0o755);
  execFileSync('sh', ['-c', `tar -czf ${name}.tar.gz ${name} && sha256sum ${name}.tar.gz >SHA256SUMS`], { cwd: files });
  const j = job(t, { url: 'http://127.0.0.1:1', key: 'kt_live_x' }, 'push', {}, 'refs/heads/main', { env: { PATH: '/usr/bin:/bin' } });
  const paths = path.join(tempDir(t, 'paths'), 'path');
  const at = { env: { GITHUB_PATH: paths, RUNNER_TEMP: tempDir(t, 'runner') } };
  let r = await runAction(t, j, files, { server: 'http://127.0.0.1:1', 'api-key': 'kt_live_x', 'install-from': files }, at);
  assert.equal(r.code, 0, r.stdout + r.stderr);
  assert.match(r.stdout, /::group::Installing karta\nkarta 9\.9 is installed in /);
  assert.match(r.stdout, /^karta --no-input deploy --timeout 15m$/m);
  const bin = readFileSync(paths, 'utf8').trim();
  assert.ok(existsSync(path.join(bin, 'karta')), bin);
  // Only for later steps: nobody is asked for a server.
  r = await runAction(t, j, files, { deploy: 'false', 'install-from': files, 'install-version': '9.9' }, at);
  assert.equal(r.code, 0, r.stdout + r.stderr);
  assert.doesNotMatch(r.stdout, /no-input deploy/);
  r = await runAction(t, j, files, { deploy: 'false', 'install-from': files, 'install-version': '9.8' }, at);
  assert.equal(r.code, 2);
  assert.match(r.stderr, /has no karta 9\.8/);
  assert.match(r.stdout, /::error title=karta::karta cannot be installed from/);
});

test('the workflows of docs/ci.md are YAML, and use what there is', () => {
  const [workflow, step] = fenced('yaml');
  const w = YAML.parse(workflow);
  assert.deepEqual(w.permissions, { contents: 'read' });
  const uses = w.jobs.deploy.steps.find((s) => /scripts\/action@/.test(s.uses ?? ''));
  for (const name of Object.keys(uses.with)) assert.ok(action.inputs[name], name);
  for (const [name, i] of Object.entries(action.inputs)) if (i.required) assert.ok(uses.with[name], name);
  assert.ok(w.on.pull_request.types.includes('closed'));
  assert.match(YAML.parse(step)[1].run, /\nkarta deploy --timeout 15m\n$/);
  for (const name of Object.keys(action.inputs)) assert.ok(ciPage.includes(`\`${name}\``), `docs/ci.md does not name the input ${name}`);
  for (const name of Object.keys(action.outputs)) assert.ok(ciPage.includes(`\`${name}\``), `docs/ci.md does not name the output ${name}`);
  for (const f of ['setup.sh', 'deploy.sh']) assert.ok(existsSync(path.join(ACTION, f)));
});

/* --- git and curl ------------------------------------------------------------------------------------------------ */

test('a job with git and curl alone', async (t) => {
  const server = await startServe(t);
  const c = new Client(server, server.key);
  const from = origin(t, { 'web/AGENTS.md': 'Web.\n', 'web/karta.toml': `name = "web"\n[harness]\ntype = "acp"\ncommand = ["true"]\n` });
  const dir = checkout(t, from, 'refs/heads/main');
  const work = tempDir(t, 'job');
  const scripts = fenced('sh');
  const script = path.join(work, 'karta-deploy.sh');
  writeFileSync(script, scripts.find((s) => s.startsWith('#!/bin/sh')));
  const env = { ...base(work), PATH: '/usr/bin:/bin', KARTA_SERVER: server.url, KARTA_API_KEY: server.key, PROJECT: 'web' };
  const deploy = (more = {}) => run('sh', [script], { cwd: dir, env: { ...env, ...more } });

  let r = await deploy({ REF: 'main' });
  assert.equal(r.code, 0, r.stderr);
  assert.equal(r.stdout, `http://web.localhost:${server.port}\n`);
  assert.match(r.stderr, /^-----> Checking the application\n[^"]*^-----> Activated v1$/m);
  assert.ok(!(r.stdout + r.stderr).includes(server.key));
  const v1 = (await c.call('GET', `${P}/releases/{version}`, ['web', 'v1'])).body;
  assert.deepEqual([v1.commit_sha, v1.ref, v1.message, v1.active], [from.main, 'refs/heads/main', 'first line', true]);
  // Names that a URL would not take, a pull request, a folder, the same run again.
  git(dir, 'commit', '-q', '--allow-empty', '-m', 'a "quoted" & 100% \u00fcn\u00efcode #1 + more');
  r = await deploy({ REF: 'feat/a&b#c+d%41', RUN: 'run-1' });
  assert.equal(r.stdout, `http://web-feat-a-b-c-d-41.localhost:${server.port}\n`, r.stderr);
  const preview = (await c.call('GET', `${P}/releases/{version}`, ['web', 'v2'])).body;
  assert.deepEqual([preview.ref, preview.message], ['refs/heads/feat/a&b#c+d%41', 'a "quoted" & 100% \u00fcn\u00efcode #1 + more']);
  r = await deploy({ REF: 'feat/a&b#c+d%41', RUN: 'run-1' });
  assert.equal(r.code, 0, r.stderr);
  assert.equal((await c.call('GET', `${P}/releases`, ['web'])).body.data.length, 2, 'one release of one run');
  r = await deploy({ PR: '9', DIR: 'web' });
  assert.equal(r.stdout, `http://web-pr-9.localhost:${server.port}\n`, r.stderr);
  // Failures: the build, the key, the server, pinned.
  await c.call('POST', `${P}/rollback`, ['web'], { body: {} }).then((x) => assert.equal(x.status, 409, 'there is nothing before v1'));
  writeFileSync(path.join(dir, 'karta.toml'), 'name = 3\n');
  git(dir, 'commit', '-qam', 'bad');
  r = await deploy({ REF: 'main' });
  assert.deepEqual([r.code, r.stdout], [1, ''], r.stderr);
  assert.match(r.stderr, /karta\.toml:1:1: /);
  git(dir, 'reset', '-q', '--hard', 'HEAD~1');
  assert.equal((await deploy({ KARTA_API_KEY: 'kt_live_wrong' })).code, 4);
  assert.equal((await deploy({ KARTA_SERVER: 'http://127.0.0.1:1' })).code, 3);
  assert.equal((await deploy({ REF: 'main' })).code, 0);
  await c.call('POST', `${P}/rollback`, ['web'], { body: {} });
  r = await deploy({ REF: 'main' });
  assert.deepEqual([r.code, r.stdout], [6, ''], r.stderr);
  await c.call('DELETE', `${P}/pin`, ['web']);

  // The pieces, one line each, as the page has them.
  execFileSync('git', ['-C', dir, 'archive', '--format=tar.gz', '-o', path.join(work, 'app.tar.gz'), 'HEAD']);
  const pieces = scripts.find((s) => s.startsWith('auth=')).split('\n').filter(Boolean);
  const piece = async (match, more = {}) => {
    const line = pieces.find((l) => match.test(l));
    assert.ok(line, `no line ${match}`);
    const x = await run('sh', ['-ec', `${pieces[0]}\n${line}`], { cwd: work, env: { ...env, ...more } });
    assert.equal(x.code, 0, `${line}\n${x.stdout}${x.stderr}`);
    return x.stdout;
  };
  assert.equal(JSON.parse(await piece(/ref=main/)).state, 'active');
  const queued = JSON.parse(await piece(/respond-async/));
  assert.deepEqual([queued.accepted, typeof queued.release.id], [true, 'string']);
  const log = await piece(/Accept: text\/event-stream/, { RELEASE: queued.release.id });
  assert.match(log, /^event: release\ndata: .*"activated":true/m);
  assert.match(log, /"text":"-----> Activated v\d+"/);
  assert.equal(JSON.parse(await piece(/deploys\/\$RELEASE" /, { RELEASE: queued.release.id })).state, 'active');
  const again = JSON.parse(await piece(/commit_sha/, { COMMIT: from.main }));
  assert.deepEqual([again.accepted, again.commit_sha], [true, from.main]);
  await eventually(async () => JSON.parse(await piece(/deploys\/\$RELEASE" /, { RELEASE: again.deploy.id })).state === 'active', 'deployed again');
  assert.equal(await piece(/refs\/pull/, { PR: '9' }), '');
  await piece(/refs\/heads/, { BRANCH: 'feat/a%26b%23c%2Bd%2541' });
  assert.deepEqual((await c.call('GET', P, ['web'])).body.previews, []);
  // A build that fails is an error of curl -f, and its findings are in the answer.
  execFileSync('sh', ['-c', 'mkdir bad && printf "name = 3\\n" >bad/karta.toml && tar czf app.tar.gz bad'], { cwd: work });
  r = await run('sh', ['-c', `${pieces[0]}\n${pieces[1]}`], { cwd: work, env });
  assert.equal(r.code, 22);
  r = await run('sh', ['-c', `${pieces[0]}\n${pieces[1].replace('-fsS', '-sS')}`], { cwd: work, env });
  assert.deepEqual([JSON.parse(r.stdout).status, JSON.parse(r.stdout).code], [422, 'build_failed']);
});

/* --- previews -------------------------------------------------------------------------------------------------- */

test('previews: their names, sessions on them, their end by deletion and by age', async (t) => {
  const env = { KARTA_PREVIEW_LIFE: '2h' };
  let server = await startServe(t, { env });
  const from = origin(t);
  const bin = tempDir(t, 'bin');
  for (const name of ['karta', 'git-remote-karta']) symlinkSync(KARTA, path.join(bin, name));
  const user = () => ({ ...base(server.home), PATH: `${bin}:${process.env.PATH}`, KARTA_SERVER: server.url, KARTA_API_KEY: server.key });
  const push = async (...args) => {
    git(from.dir, 'config', 'remote.karta.url', `karta::${server.url}/fake`);
    const r = await run('git', ['-C', from.dir, 'push', 'karta', ...args], { env: user() });
    assert.equal(r.code, 0, r.stderr);
    return r.stderr;
  };
  const c = () => new Client(server, server.key);
  const project = async () => (await c().call('GET', P, ['fake'])).body;
  const labels = async () => (await project()).previews.map((p) => p.label).sort();
  const session = async (label) => c().call('POST', '/v1/projects/{project_ref}/sessions', [label], { body: {} });
  const talk = async (id, text) => c().call('POST', '/v1/sessions/{session_id}/messages', [id], { body: { text: `[[text:${text}]]` } });
  const at = (host, route = '/v1/sessions') => run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '--resolve', `${host}:127.0.0.1`, '-H', `Host: ${host}`, '-H', `Authorization: Bearer ${server.key}`,
    '-X', 'POST', '-H', 'Content-Type: application/json', '-d', '{}', `${server.url}${route}`], { env: user() }).then((r) => Number(r.stdout));

  assert.match(await push('main'), /Released v1 of fake/);
  assert.match(await push('fix/login'), new RegExp(`http://fake-fix-login\\.localhost:${server.port}`));
  const [preview] = (await project()).previews;
  assert.deepEqual([preview.label, preview.ref, preview.pr, preview.url, preview.version], ['fake-fix-login', 'refs/heads/fix/login', null, `http://fake-fix-login.localhost:${server.port}`, 'v2']);
  assert.ok(Math.abs(new Date(preview.expires_at) - Date.now() - 2 * 3600e3) < 900e3, preview.expires_at);

  // A session by host name and by label; the project's own runs the live release.
  const s1 = (await session('fake-fix-login')).body;
  assert.equal(s1.release, 'v2', JSON.stringify(s1));
  assert.equal(await at(`fake-fix-login.localhost:${server.port}`), 201);
  assert.equal((await session('fake')).body.release, 'v1');
  assert.equal((await talk(s1.id, 'hello')).status, 200);

  // Names: case, signs, scripts, length; a branch whose name is that of a pull request's preview.
  const long = 'x'.repeat(100);
  for (const [branch, label] of [['Feature/ABC_1.2', 'fake-feature-abc-1-2'], ['a--b', 'fake-a-b'], ['\u65e5\u672c', /^fake-[0-9a-f]{6}$/], [long, /^fake-x{51}-[0-9a-f]{6}$/]]) {
    await push(`fix/login:refs/heads/${branch}`);
    const p = (await project()).previews.find((x) => x.ref === `refs/heads/${branch}`);
    if (label instanceof RegExp) assert.match(p.label, label);
    else assert.equal(p.label, label);
    assert.ok(p.label.length <= 63);
    assert.equal((await session(p.label)).status, 201, p.label);
  }
  // Two branches of one name: the later one has it, and only deleting that one ends it.
  await push('fix/login:refs/heads/one/two');
  await push('main:refs/heads/one-two');
  const shared = (await project()).previews.filter((p) => p.label === 'fake-one-two');
  assert.deepEqual(shared.map((p) => p.ref), ['refs/heads/one-two']);
  await push(':one/two');
  assert.ok((await labels()).includes('fake-one-two'));
  await push(':one-two');
  assert.ok(!(await labels()).includes('fake-one-two'));

  // A newer push replaces it; the session stays on what it began with.
  git(from.dir, 'checkout', '-q', 'fix/login');
  from.commit('a better fix');
  await push('fix/login');
  const version = (await project()).previews.find((p) => p.label === 'fake-fix-login').version;
  assert.equal((await session('fake-fix-login')).body.release, version);
  assert.equal((await c().call('GET', '/v1/sessions/{session_id}', [s1.id])).body.release, 'v2');

  // The branch is deleted: no more sessions there, those that run go on.
  assert.match(await push(':fix/login'), /\[deleted\] +fix\/login/);
  assert.ok(!(await labels()).includes('fake-fix-login'));
  assert.equal((await session('fake-fix-login')).status, 404);
  assert.equal(await at(`fake-fix-login.localhost:${server.port}`), 404);
  assert.equal((await talk(s1.id, 'still here')).status, 200);
  assert.ok(!('refs/heads/fix/login' in (await c().call('GET', `${P}/refs`, ['fake'])).body.refs));
  const gone = (await c().call('GET', `${P}/releases/{version}`, ['fake', version])).body;
  assert.deepEqual([gone.state, gone.active], ['expired', false]);
  // Pushed again it is back.
  await push('fix/login');
  assert.equal((await session('fake-fix-login')).status, 201);

  // A preview is not activated, and no rollback goes to it; a project cannot take its name, nor it a project's.
  assert.equal((await c().call('POST', `${P}/releases/{version}/activate`, ['fake', 'v2'])).status, 409);
  assert.equal((await c().call('POST', `${P}/rollback`, ['fake'], { body: { version: 'v2' } })).status, 409);
  const twin = (await c().call('POST', '/agent_projects', [], { body: { slug: 'fake-a-b' } })).body;
  assert.notEqual(twin.url, (await project()).previews.find((p) => p.label === 'fake-a-b').url);
  assert.equal(await at(`fake-a-b.localhost:${server.port}`), 201);
  await c().call('POST', '/agent_projects', [], { body: { slug: 'fake-taken' } });
  const taken = await run('git', ['-C', from.dir, 'push', 'karta', 'fix/login:refs/heads/taken'], { env: user() });
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /host name/);

  // Two hours later. Its age is looked at when the server starts, and each minute.
  const young = await labels();
  await server.stop();
  execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
n = db.execute("UPDATE releases SET expires_us = 1 WHERE preview = 'fake-fix-login' AND state = ?", (int(sys.argv[2]) if sys.argv[2].isdigit() else sys.argv[2],)).rowcount
assert n == 1, n
db.commit()`, path.join(server.data, 'karta.db'), stateOf(server.data)]);
  server = await startServe(t, { data: server.home, env });
  await eventually(async () => !(await labels()).includes('fake-fix-login'), 'it expired');
  assert.deepEqual(await labels(), young.filter((l) => l !== 'fake-fix-login'));
  assert.equal((await session('fake-fix-login')).status, 404);
  assert.equal((await talk(s1.id, 'after all')).status, 200, 'its session goes on');
  const audit = (await c().call('GET', '/v1/audit', [], { query: '?limit=200' })).body.data;
  assert.ok(audit.some((a) => a.action === 'preview.end' && a.detail.preview === 'fake-fix-login' && a.actor === 'system'), JSON.stringify(audit.slice(0, 3)));
  assert.equal((await c().call('GET', '/v1/audit/verify')).body.ok, true);
  await server.stop();
  const fsck = await run(KARTA, ['fsck', '--data', server.data], { env: user() });
  assert.equal(fsck.code, 0, fsck.stdout + fsck.stderr);
});

/* How the table writes the state of a preview. */
function stateOf(data) {
  return execFileSync('python3', ['-c', `
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("SELECT state FROM releases WHERE preview = 'fake-fix-login' ORDER BY version DESC LIMIT 1").fetchone()[0])`, path.join(data, 'karta.db')]).toString().trim();
}
