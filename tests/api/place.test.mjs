// SPDX-License-Identifier: MIT
// Whoever talks is told on which release of which project and server, when that is not the obvious one: the live
// release of the folder's own project on its own server.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { KARTA, PATIENCE_MS, tempDir } from './lib.mjs';
import { startServe } from './serve.mjs';
import { fakeFiles, user } from './user.mjs';

/* A command line on a terminal of its own, and its standard input. */
const ON_TERMINAL = `
import os, pty, sys
text = os.environ.pop("TYPED", "")
def read(fd):
    global text
    data = os.read(fd, 65536)
    if text and b"> " in data:
        os.write(fd, text.encode()); text = ""
    return data
sys.exit(pty.spawn(sys.argv[1:], read) >> 8)
`;

/** What a command says on a terminal, its lines without marks. */
async function onTerminal(args, cwd, env, typed = '') {
  const child = spawn('python3', ['-c', ON_TERMINAL, KARTA, ...args], { cwd, env: { ...env, TERM: 'dumb', TYPED: typed }, stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await once(child, 'close');
  clearTimeout(timer);
  return out.replaceAll('\r', '');
}

test('the release is told with server and project, unless all of them are obvious', async (t) => {
  const k = await startServe(t);
  const u = user(t, k, { KARTA_SERVER: '' });
  delete u.env.KARTA_SERVER;
  const dir = await u.repository(fakeFiles('shop'), 'shop');
  const push = async (branch = 'main') => { await u.ok(u.git(dir, 'push', '-q', 'karta', branch)); };
  await push();
  const send = (more, ...words) => onTerminal(['send', ...words, 'hi'], dir, { ...u.env, ...more });
  const line = (out) => /^(shop.* on http.*|other.* on http.*)$/m.exec(out)?.[1] ?? null;
  const session = (out) => /^session (sess_\w+)/m.exec(out)[1];

  const first = await send({});
  assert.match(first, /You said: hi/);
  assert.equal(line(first), null, first);
  assert.equal(line(await send({ KARTA_SERVER: k.url, KARTA_PROJECT: 'shop' })), `shop v1 on ${k.url} (server from KARTA_SERVER, project from KARTA_PROJECT)`);

  await u.commit(dir, { 'AGENTS.md': 'Second.\n' });
  await push();
  const old = session(first);
  assert.equal(line(await send({})), null);
  assert.equal(line(await send({}, '--session', old)), `shop v1 on ${k.url} (the session stays on it; v2 is live)`);
  assert.equal(line(await send({ KARTA_SERVER: k.url }, '--session', old)), `shop v1 on ${k.url} (the session stays on it; v2 is live; server from KARTA_SERVER, project from the git remote)`);
  for (const quiet of [['--quiet'], ['--json']]) assert.equal(line(await send({}, ...quiet, '--session', old)), null);

  /* Another project than the folder's, and a folder that has none. */
  await u.ok(u.karta('--server', k.url, 'deploy', '-p', 'other', '--dir', dir));
  assert.equal(line(await send({}, '-p', 'other')), `other v1 on ${k.url}`);
  const empty = tempDir(t, 'empty');
  assert.equal(line(await onTerminal(['send', '--server', k.url, '-p', 'other', 'hi'], empty, u.env)), null);

  /* The greeting of a chat, and what a session is on that is gone on with. */
  const chat = async (...words) => onTerminal(['chat', ...words], dir, u.env, '/quit\n');
  assert.match(await chat(), new RegExp(`^shop v2  \\(acp\\)  ${k.url}/v1/projects/shop/$`, 'm'));
  assert.match(await chat('--session', old), /^this session stays on v1; v2 is live$/m);

  await u.ok(u.karta('--server', k.url, 'rollback', '-p', 'shop', '--to', 'v1', '--reason', 'no', '-y'));
  assert.match(line(await send({})), /^shop v\d on http:\S+ \(pinned\)$/);
  assert.match(await chat(), /^shop v\d, pinned  \(acp\)/m);

  /* A preview by its own name. */
  await u.ok(u.git(dir, 'checkout', '-q', '-b', 'feat'));
  await u.commit(dir, { 'AGENTS.md': 'Third.\n' });
  await push('feat');
  const label = (await u.ok(u.karta('--server', k.url, 'projects', 'show', 'shop'))).stdout.match(/http:\/\/(shop-feat\S*)/)[1];
  assert.match(line(await send({ KARTA_SERVER: `http://${label}`, no_proxy: '*' })), new RegExp(`^shop v\\d on http://${label} \\(a preview; server from KARTA_SERVER\\)$`));

  /* What runs here is not where the environment says. */
  assert.match(await onTerminal(['run', 'hi'], dir, { ...u.env, KARTA_SERVER: k.url }), /^this folder, here \(KARTA_SERVER is not used\)$/m);
  assert.doesNotMatch(await onTerminal(['run', 'hi'], dir, u.env), /this folder/);

  /* Nobody reads it in a pipe. */
  const piped = await u.run('karta', ['send', '--session', old, 'hi'], { cwd: dir });
  assert.doesNotMatch(piped.stderr + piped.stdout, / on http|v1/);
  const chatted = await u.run('karta', ['chat'], { cwd: dir, input: 'hi\n' });
  assert.match(chatted.stdout, /^You said: hi/);
  assert.doesNotMatch(chatted.stdout, /http|shop/);
});
