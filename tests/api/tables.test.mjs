// SPDX-License-Identifier: MIT
// Every list fits its terminal, at 40, 80 and 200 columns, with long names and wide characters in it: the column that
// identifies is whole, nothing wraps; a pipe gets everything. A server that only has such things stands for a real one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { KARTA, PATIENCE_MS, tempDir } from './lib.mjs';

const LONG = 'a name that is so long that no terminal of eighty columns has room for it beside the others';
const WIDE = '漢字の長い名前がここにあり、端末の幅を超えて続くのです。漢字の長い名前がここにあり';
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString().replace(/\.\d+Z/, '+00:00');
const id = (prefix, n) => `${prefix}_${String(n).padStart(22, 'x')}`;

const LISTS = {
  '/agent_projects': [1, 2, 3].map((n) => ({ slug: ['shop', 'support-bot-with-a-long-name', 'c'][n - 1], harness: 'claude-code',
    url: `https://support-bot-with-a-long-name.karta.example.com/v1/projects/${n}`, current: { version: `v${n}00` }, pinned: n === 1, pinned_at: ago(90), pinned_by: WIDE, pin_reason: LONG })),
  '/agent_projects/shop/releases': [1, 2].map((n) => ({ version: `v${n}`, state: 'active', active: true, created_at: ago(n * 90000), created_by: LONG,
    commit_sha: 'a'.repeat(40), message: n === 1 ? WIDE : LONG, pinned: true, pinned_by: 'me', pinned_at: ago(5), pin_reason: LONG })),
  '/v1/keys': [1, 2, 3].map((n) => ({ id: id('key', n), name: [LONG, WIDE, 'ci'][n - 1], prefix: 'kt_live_abcdef', last4: `abc${n}`, scopes: ['read', 'write', 'admin'],
    created_at: ago(9), last_used_at: n === 1 ? null : ago(n * 50000), expires_at: n === 2 ? ago(-86400 * 90) : null, revoked_at: null })),
  '/v1/audit': [1, 2].map((n) => ({ seq: 1234567 + n, at: ago(n * 3600 * 20), actor_name: WIDE, remote_ip: '2001:db8:85a3::8a2e:370:7334', action: 'config.change',
    object: `project/${LONG}`, detail: { version: 3, set: ['A', 'B'], unset: [], id: 'x', digest: 'f'.repeat(64), why: LONG } })),
  '/v1/projects/shop/v1/sessions': [1, 2].map((n) => ({ id: id('sess', n), updated_at: ago(n * 100), turns: n, title: n === 1 ? WIDE : LONG })),
  [`/v1/projects/shop/v1/sessions/${id('sess', 1)}/approvals`]: [1].map((n) => ({ id: id('appr', n), approved_at: ago(60), approved_by: LONG, words: WIDE })),
};
const COMMANDS = { projects: 3, releases: 2, 'keys --all': 3, audit: 2, sessions: 2, [`sessions approvals ${id('sess', 1)}`]: 1 };
const IDENTITY = { projects: (p) => p.slug, releases: (r) => r.version, keys: (k) => k.id, audit: (e) => String(e.seq), sessions: (s) => s.id };

/* In a terminal of argv[1] columns. */
const IN_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 25, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
/* East Asian wide: what this test has of it. */
const width = (s) => [...s].reduce((n, c) => n + (/[\u3000-\u30ff\u4e00-\u9fff\uff00-\uff60]/.test(c) ? 2 : 1), 0);

async function collect(argv, env) {
  const child = spawn(argv[0], argv.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const r = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (d) => { r.out += d; });
  child.stderr.on('data', (d) => { r.err += d; });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  [r.status] = await once(child, 'close');
  clearTimeout(timer);
  assert.equal(r.status, 0, r.out + r.err);
  return r.out.replaceAll('\r\n', '\n');
}

test('every list fits the terminal, and the column that identifies is whole', async (t) => {
  const server = http.createServer((req, res) => {
    const data = LISTS[req.url.split('?')[0].replace(/^\/v1\/projects\/shop\/v1\/sessions$/, '/v1/projects/shop/v1/sessions')];
    res.writeHead(data ? 200 : 404, { 'content-type': 'application/json' });
    res.end(JSON.stringify(req.url === '/harnesses.json' ? { harnesses: [] } : { data, has_more: false }));
  }).listen(0, '127.0.0.1');
  LISTS['/harnesses.json'] = [];
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  const home = path.join(tempDir(t, 'tables'), 'home');
  mkdirSync(home);
  const env = { PATH: process.env.PATH, HOME: home, LC_ALL: 'C.UTF-8', TERM: 'xterm', NO_COLOR: '1', TZ: 'UTC', KARTA_PROJECT: 'shop',
    ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1' };
  const args = (command) => [...command.split(' '), '--server', `http://127.0.0.1:${server.address().port}`, '-q', '-p', 'shop'];
  for (const [command, rows] of Object.entries(COMMANDS)) {
    const name = command.split(' ')[0];
    const all = Object.entries(LISTS).find(([route, data]) => data.length === rows && (command.includes('approvals') ? /approvals/ : { projects: /projects$/, releases: /releases$/, keys: /keys$/, audit: /audit$/, sessions: /sessions$/ }[name]).test(route))[1];
    const whole = await collect([KARTA, ...args(command)], env);
    assert.equal(whole.trim().split('\n').length, rows + 1, whole);
    assert.doesNotMatch(whole, /\u2026/, 'nothing is cut in a pipe');
    for (const columns of [40, 80, 200]) {
      const text = await collect(['python3', '-c', IN_TERMINAL, String(columns), KARTA, ...args(command)], env);
      const lines = text.trimEnd().split('\n');
      for (const line of lines) assert.ok(width(line) <= columns, `${command} at ${columns}: ${width(line)} columns: ${line}`);
      for (const row of all) {
        const key = command.includes('approvals') ? row.id : IDENTITY[name](row);
        assert.ok(lines.some((l) => l.split(/\s/)[0] === key), `${command} at ${columns} has no ${key}:\n${text}`);
      }
      /* From 80 columns on a row is a line, and says when in words. */
      if (columns >= 80) assert.equal(lines.length, rows + 1, `${command} at ${columns}:\n${text}`);
      if (columns === 80 && name === 'audit') assert.match(text, /  20 hours ago  /, 'what is short is whole');
      if (process.env.KARTA_TEST_VERBOSE) console.log(text);
    }
    if (command !== 'projects') assert.match(whole, /\d+ (second|minute|hour)s? ago|[A-Z][a-z]{2} \d+ \d\d:\d\d/);
    assert.doesNotMatch(whole, /\d{4}-\d\d-\d\dT/, 'times are for people');
  }
  const audit = await collect([KARTA, ...args('audit')], env);
  assert.ok(audit.includes(`version 3, set A B, digest ${'f'.repeat(12)}, why ${LONG}\n`), audit);
});
