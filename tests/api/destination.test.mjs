// SPDX-License-Identifier: MIT
// Every command goes to the same server and project, whatever names them: the line, the environment, a profile, the
// folder, `karta dev`, or nothing. Servers that only note who asks for what stand for the real ones.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, realpathSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { NOT_HERE, S, WORDS, commandTable } from './commands.mjs';
import { KARTA, LONG, PATIENCE_MS, tempDir, writeFiles } from './lib.mjs';

/* Of a folder, or of what is kept here: they ask nobody. */
const SILENT = ['init', 'agents', 'doctor', 'logout'];
/* What is said to a session: the server of `karta dev` takes it. */
const TALK = ['chat', 'send', 'sessions', 'sessions list', 'sessions show', 'sessions approvals', 'sessions tail', 'sessions export', 'sessions delete', 'sessions rename'];
/* In each situation; the rest in some. */
const SAMPLES = ['send', 'releases', 'config set', 'keys', 'whoami', 'login'];
const EVERY = ['environment', 'remote', 'dev'];

/** A server of the given kind that takes no key; `asked` has {path, auth}. */
async function recorder(t, { many = true, projects = ['only'] } = {}) {
  const asked = [];
  const server = http.createServer((req, res) => {
    const reply = (status, body) => { res.writeHead(status, { 'content-type': 'application/json' }); res.end(JSON.stringify(body)); };
    asked.push({ path: req.url, auth: req.headers.authorization?.replace('Bearer ', '') });
    req.resume();
    if (req.url === '/harnesses.json') return many ? reply(200, { harnesses: [] }) : reply(404, { code: 'not_found', status: 404 });
    if (req.url === '/agent_projects' && req.method === 'GET') return reply(200, { data: projects.map((slug) => ({ slug })) });
    return reply(401, { status: 401, code: 'unauthorized', detail: 'send a valid API key' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}`, asked };
}

async function run(args, cwd, env) {
  const child = spawn(KARTA, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const r = { out: '', err: '' };
  child.stdout.on('data', (d) => { r.out += d; });
  child.stderr.on('data', (d) => { r.err += d; });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  [r.status] = await once(child, 'close');
  clearTimeout(timer);
  return r;
}

/** Where `karta dev` of a folder says that it runs. */
function announce(home, dir, url) {
  let h = 2166136261;
  for (const byte of Buffer.from(realpathSync(dir))) h = Math.imul(h ^ byte, 16777619) >>> 0;
  writeFiles(path.join(home, '.local/share/karta/dev', `${path.basename(dir)}-${h.toString(16).padStart(8, '0')}`),
    { 'server.json': JSON.stringify({ url, pid: process.pid, project: 'dev', dir }) });
}

/** Folders: a repository with remote and karta.toml, one without karta.toml, a plain one with karta.toml, an empty one. */
function folders(t, remote) {
  const base = realpathSync(tempDir(t, 'dest'));
  const git = (dir, ...args) => execFileSync('git', args, { cwd: dir, stdio: 'ignore' });
  const f = Object.fromEntries(['both', 'repo', 'toml', 'empty', 'devs', 'plain'].map((n) => [n, path.join(base, n)]));
  writeFiles(f.both, { 'karta.toml': 'name = "in-toml"\n' });
  writeFiles(f.toml, { 'karta.toml': 'name = "in-toml"\n' });
  writeFiles(f.plain, { 'CLAUDE.md': 'Hello.\n', '../vars': 'A=1\n', 'karta.toml': 'name = "shop"\n' });
  writeFiles(f.devs, { 'karta.toml': 'name = "in-toml"\n' });
  mkdirSync(f.empty);
  mkdirSync(f.repo);
  for (const dir of [f.both, f.repo, f.devs]) {
    git(dir, 'init', '-q');
    git(dir, 'remote', 'add', 'karta', `karta::${remote}/in-remote`);
  }
  return { base, ...f };
}

test('every command of the table is known here', () => {
  const known = new Set([...Object.keys(WORDS), ...Object.keys(NOT_HERE)]);
  assert.deepEqual(commandTable().filter((c) => !known.has(c)), [], 'new commands: say in commands.mjs how they are called');
});

test('server and project are the same for every command', async (t) => {
  const [line, env, remote, profile, login] = await Promise.all([0, 1, 2, 3, 4].map(() => recorder(t)));
  const dev = await recorder(t, { many: false });
  const f = folders(t, remote.url);
  const home = path.join(f.base, 'home');
  const plain = { PATH: process.env.PATH, HOME: home, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', VISUAL: '/bin/true', LC_ALL: 'C.UTF-8',
    ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1' };
  const keys = { profile: `kt_live_${'p'.repeat(38)}`, login: `kt_live_${'l'.repeat(38)}`, env: `kt_live_${'e'.repeat(38)}` };
  mkdirSync(path.join(home, '.config/karta'), { recursive: true });
  const credentials = { profiles: { p: { server: profile.url, key: keys.profile }, l: { server: login.url, key: keys.login } }, default: 'l' };
  writeFiles(path.join(home, '.config/karta'), { credentials: JSON.stringify(credentials) });
  execFileSync('chmod', ['600', path.join(home, '.config/karta/credentials')]);
  announce(home, f.devs, dev.url);
  const fromEnv = { KARTA_SERVER: env.url, KARTA_API_KEY: keys.env };
  /* [folder, environment, more words, server, project, key]; dev: of what is said to a session. */
  const situations = {
    'the line': [f.both, { ...fromEnv, KARTA_PROJECT: 'in-env' }, ['--server', `${line.url}/`, '--project', 'on-line'], line, 'on-line', keys.env],
    'the whole environment': [f.both, { ...fromEnv, KARTA_PROJECT: 'in-env' }, [], env, 'in-env', keys.env],
    environment: [f.both, fromEnv, [], env, 'in-toml', keys.env],
    'environment in a repository without karta.toml': [f.repo, fromEnv, [], env, 'in-remote', keys.env],
    'environment, the server of the remote': [f.both, { KARTA_SERVER: remote.url }, [], remote, 'in-remote', undefined],
    remote: [f.both, {}, [], remote, 'in-remote', undefined],
    'a profile on the line': [f.both, fromEnv, ['--profile', 'p'], profile, 'in-toml', keys.env],
    'a profile of the environment': [f.both, { KARTA_PROFILE: 'p' }, [], profile, 'in-toml', keys.profile],
    login: [f.toml, {}, [], login, 'in-toml', keys.login],
    'nothing but a server of one project': [f.empty, {}, [], login, 'only', keys.login],
    dev: [f.devs, {}, [], remote, 'in-remote', undefined, dev],
    'dev, and a project that is named': [f.devs, {}, ['-p', 'on-line'], remote, 'on-line', undefined],
    'dev, and a server that is named': [f.devs, fromEnv, [], env, 'in-toml', keys.env],
  };
  const wrong = [];
  for (const [what, [cwd, more, words, server, project, key, local]] of Object.entries(situations)) {
    for (const [command, own] of Object.entries(WORDS)) {
      if (!own || SILENT.includes(command) || (!LONG && !EVERY.includes(what) && !SAMPLES.includes(command))) continue;
      const all = [line, env, remote, profile, login, dev];
      const args = own.map((w) => ({ '@PLAIN': f.plain, '@APP': f.plain, '@ENV': path.join(f.plain, '../vars') })[w] ?? w);
      for (const s of all) s.asked.length = 0;
      const r = await run([...command.split(' '), '--no-input', '--timeout', '20s', ...words, ...args], cwd, { ...plain, ...more });
      const expected = local && TALK.includes(command) ? local : server;
      const bad = (why) => wrong.push(`${command} (${what}): ${why}: ${r.status} ${r.err.trim()}`);
      if (/Sanitizer|runtime error/.test(r.err)) bad('sanitizer');
      for (const s of all) if (s !== expected && s.asked.length) bad(`asks ${s.url} for ${s.asked[0].path}`);
      /* What is asked to find out is not what the command is about. */
      const asked = expected.asked.filter((a) => a.path !== '/harnesses.json' && !(a.path === '/agent_projects' && expected.asked.length > 1));
      if (!asked.length) bad('asks nothing of the server that is meant');
      for (const a of asked) {
        const there = /^\/(?:agent_projects|v1\/projects)\/([^/?]+)/.exec(a.path)?.[1];
        const meant = args.includes('shop') ? 'shop' : expected === local ? undefined : project;
        if ((there || TALK.includes(command)) && there !== meant) bad(`${a.path} is of ${there}, not of ${meant}`);
        if (command !== 'login' && a.auth !== key) bad(`sends the key ${a.auth}, not ${key}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('a project that nothing names is asked for by its names', async (t) => {
  const many = await recorder(t, { projects: ['bot', 'shop', 'c', 'd', 'e', 'f'] });
  const none = await recorder(t, { projects: [] });
  const f = folders(t, many.url);
  const env = { PATH: process.env.PATH, HOME: path.join(f.base, 'home'), KARTA_API_KEY: 'kt_test_0123456789abcdef' };
  for (const command of [['send', 'hi'], ['sessions'], ['chat'], ['releases'], ['config', 'set', 'A=1'], ['logs'], ['open', '--print'], ['rollback']]) {
    const r = await run([...command, '--no-input'], f.empty, { ...env, KARTA_SERVER: many.url });
    assert.equal(r.status, 2, r.err);
    assert.match(r.err, new RegExp(`^karta: which project\\? This folder names none, and ${many.url} has bot, shop, c, d, e, \\.\\.\\.\nhint: name it with --project`), command[0]);
    const empty = await run([...command, '--no-input'], f.empty, { ...env, KARTA_SERVER: none.url });
    assert.equal(empty.status, 2, empty.err);
    assert.match(empty.err, /has none yet\nhint: 'karta init' and 'git push karta main'/, command[0]);
  }
});

test('in CI no command goes to a server that nobody named', async (t) => {
  const f = folders(t, 'http://127.0.0.1:9');
  const env = { PATH: process.env.PATH, HOME: path.join(f.base, 'home') };
  for (const [command, own] of Object.entries(WORDS)) {
    if (!own || SILENT.includes(command) || (!LONG && !SAMPLES.includes(command) && command !== 'deploy')) continue;
    const args = [...command.split(' '), '--no-input', ...own.map((w) => ({ '@PLAIN': f.plain, '@APP': f.plain, '@ENV': path.join(f.plain, '../vars') })[w] ?? w)];
    for (const ci of [{ CI: 'true' }, { GITHUB_ACTIONS: 'true' }]) {
      const r = await run(args, f.toml, { ...env, ...ci });
      assert.equal(r.status, 2, `${command}: ${r.err}`);
      assert.match(r.err, /KARTA_SERVER is not set\n.*hint: set it to the server's address, and KARTA_API_KEY/s, command);
    }
  }
  /* Who has signed in, or works in a repository with a remote, has named one. */
  const r = await run(['whoami', '--no-input'], f.both, { ...env, CI: 'true' });
  assert.equal(r.status, 3, r.err);
});

/* A command line on a terminal of its own. */
const ON_TERMINAL = `
import pty, sys
sys.exit(pty.spawn(sys.argv[1:]) >> 8)
`;

test('where a command goes is told on a terminal, when it is not what anybody would expect', async (t) => {
  const [a, b] = [await recorder(t), await recorder(t)];
  const dev = await recorder(t, { many: false });
  const f = folders(t, a.url);
  const home = path.join(f.base, 'home');
  announce(home, f.devs, dev.url);
  const env = { PATH: process.env.PATH, HOME: home, TERM: 'dumb', LC_ALL: 'C.UTF-8' };
  const told = async (cwd, more, ...args) => {
    const child = spawn('python3', ['-c', ON_TERMINAL, KARTA, ...args], { cwd, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.on('data', (d) => { out += d; });
    await once(child, 'close');
    return /^(.*\(server from .*\))\r?$/m.exec(out)?.[1] ?? null;
  };
  const say = ['send', '--session', S, 'hi'];
  assert.equal(await told(f.both, {}, ...say), `in-remote on ${a.url} (server from the git remote, project from the git remote)`);
  assert.equal(await told(f.repo, {}, ...say), null);
  assert.equal(await told(f.repo, {}, 'releases'), null);
  assert.equal(await told(f.both, { KARTA_SERVER: b.url }, ...say), `in-toml on ${b.url} (server from KARTA_SERVER, project from karta.toml)`);
  assert.equal(await told(f.repo, { KARTA_SERVER: b.url, KARTA_PROJECT: 'p' }, 'logs'), `p on ${b.url} (server from KARTA_SERVER, project from KARTA_PROJECT)`);
  assert.equal(await told(f.empty, { KARTA_SERVER: b.url }, ...say), `only on ${b.url} (server from KARTA_SERVER, its only project)`);
  assert.equal(await told(f.devs, {}, ...say), `${dev.url} (server from karta dev, which runs here)`);
  assert.equal(await told(f.both, {}, '--server', b.url, '-p', 'x', 'config'), null);
  assert.equal(await told(f.both, { KARTA_SERVER: b.url }, '-q', ...say), null);
  /* Nobody reads it in a pipe. */
  assert.doesNotMatch((await run(say, f.both, { ...env, KARTA_SERVER: b.url })).err, /server from/);
});

test('the remote of a repository is seen from its worktrees too', async (t) => {
  const a = await recorder(t);
  const f = folders(t, a.url);
  const env = { PATH: process.env.PATH, HOME: path.join(f.base, 'home'), GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@b' };
  execFileSync('git', ['commit', '-q', '--allow-empty', '-m', 'x'], { cwd: f.repo, env });
  execFileSync('git', ['worktree', 'add', '-q', '../tree'], { cwd: f.repo, env });
  const r = await run(['releases'], path.join(f.base, 'tree'), env);
  assert.equal(r.status, 4, r.err);
  assert.equal(a.asked[0].path.split('?')[0], '/agent_projects/in-remote/releases');
});
