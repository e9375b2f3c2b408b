// SPDX-License-Identifier: MIT
// A user of a hosting server as the tests have one: a home of their own, the commands on their PATH, git; and a
// wire between a client and a server that can be cut.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { KARTA, PATIENCE_MS, ROOT, tempDir, writeFiles } from './lib.mjs';

/** Files of an application that runs tests/lib/fake-agent.mjs; toml: more lines of karta.toml. */
export function fakeFiles(name = 'fake', files = {}, toml = '', top = '') {
  return {
    'AGENTS.md': 'A test.\n',
    'karta.toml': `name = "${name}"\n${top}[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n${toml}`,
    ...files,
  };
}

/** Collect what a child says: {status, signal, stdout, stderr}. */
export async function finished(child, input) {
  const r = { status: null, signal: null, stdout: '', stderr: '' };
  child.stdout?.on('data', (d) => { r.stdout += d; });
  child.stderr?.on('data', (d) => { r.stderr += d; });
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), 2 * PATIENCE_MS);
  [r.status, r.signal] = await once(child, 'close');
  clearTimeout(timer);
  assert.doesNotMatch(r.stderr, /ERROR: \w+Sanitizer|runtime error:/);
  return r;
}

/** {env, run(command...), karta(...), git(...)}; each command gives its outcome, ok(...) wants status 0. */
export function user(t, karta, more = {}) {
  const home = tempDir(t, 'user');
  const bin = tempDir(t, 'bin');
  for (const name of ['karta', 'git-remote-karta']) symlinkSync(KARTA, path.join(bin, name));
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: home, XDG_CONFIG_HOME: path.join(home, '.config'), LC_ALL: 'C.UTF-8',
    TMPDIR: process.env.TMPDIR ?? '/tmp', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0', GIT_AUTHOR_NAME: 'U',
    GIT_AUTHOR_EMAIL: 'u@example.com', GIT_COMMITTER_NAME: 'U', GIT_COMMITTER_EMAIL: 'u@example.com', KARTA_SERVER: karta.url,
    KARTA_API_KEY: karta.key, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1', ...more };
  const u = { home, env };
  const children = new Set();
  u.spawn = (program, args, opts = {}) => {
    const child = spawn(program, args, { cwd: home, env, stdio: ['pipe', 'pipe', 'pipe'], ...opts });
    children.add(child);
    child.on('close', () => children.delete(child));
    return child;
  };
  t.after(() => { for (const child of children) child.kill('SIGKILL'); });
  u.run = (program, args, { input, ...opts } = {}) => finished(u.spawn(program, args, opts), input);
  u.karta = (...args) => u.run('karta', ['--no-input', ...args]);
  u.git = (dir, ...args) => u.run('git', args, { cwd: dir });
  u.ok = async (p) => {
    const r = await p;
    assert.equal(r.status, 0, `${r.stdout}${r.stderr}`);
    return r;
  };
  /** A repository with these files, one commit and the remote of a project. */
  u.repository = async (files, project) => {
    const dir = tempDir(t, 'repo');
    writeFiles(dir, files);
    for (const args of [['init', '-q', '-b', 'main'], ['add', '-A'], ['commit', '-qm', 'first'],
      ...(project ? [['remote', 'add', 'karta', `karta::${karta.url}/${project}`]] : [])]) await u.ok(u.git(dir, ...args));
    return dir;
  };
  u.commit = async (dir, files, message = 'more') => {
    writeFiles(dir, files);
    await u.ok(u.git(dir, 'add', '-A'));
    await u.ok(u.git(dir, 'commit', '-qm', message));
  };
  return u;
}

/** karta fsck of a data folder finds nothing. */
export async function clean(data) {
  const r = await finished(spawn(KARTA, ['fsck', '--data', data, '--json'], { stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: data, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1' } }));
  assert.equal(r.status, 0, `${r.stdout}${r.stderr}`);
}

/** A TCP wire to whatever port `target()` gives: {port, url, cut(), connections}. */
export async function wire(t, target) {
  const pairs = new Set();
  const w = { connections: 0, bytes: 0 };
  const server = net.createServer((near) => {
    const far = net.connect(target(), '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    w.connections++;
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const s of [near, far]) {
      s.setNoDelay(true);
      s.on('error', end);
      s.on('close', end);
    }
    far.on('data', (d) => { w.bytes += d.length; pair.heard = true; });
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  w.port = server.address().port;
  w.url = `http://127.0.0.1:${w.port}`;
  w.open = () => pairs.size;
  /** Connections whose server has said something. */
  w.heard = () => [...pairs].filter((p) => p.heard).length;
  /** Cut everything now: at whatever byte it is. */
  w.cut = () => {
    for (const { near, far } of pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
    pairs.clear();
  };
  t.after(() => {
    w.cut();
    server.close();
  });
  return w;
}
