// SPDX-License-Identifier: MIT
// What the tests of a hosting server share: starting one, a second organization, archives to publish.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { KARTA, PATIENCE_MS, ROOT, eventually, tempDir, writeFiles } from './lib.mjs';

/** The port on which a process listens: what it prints may be the address of a proxy. */
function listeningPort(pid) {
  const sockets = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => { try { return readlinkSync(`/proc/${pid}/fd/${fd}`); } catch { return ''; } }));
  const rows = readFileSync(`/proc/${pid}/net/tcp`, 'utf8').trim().split('\n').slice(1).map((l) => l.trim().split(/\s+/));
  const row = rows.find((r) => r[3] === '0A' && sockets.has(`socket:[${r[9]}]`));
  return parseInt(row[1].split(':')[1], 16);
}

/** Start `karta serve` on a free port; gives {url, port, key, data, err, stop(signal)}. With keyless it gets no option
 * of its own that says that it hosts, and there is no key. */
export async function startServe(t, { data = tempDir(t, 'serve'), args = [], env = {}, keyless = false } = {}) {
  const keyFile = path.join(data, '..', `${path.basename(data)}.key`);
  const dir = path.join(data, 'data');
  const first = !existsSync(keyFile);
  const child = spawn(KARTA, ['serve', '--listen', '127.0.0.1:0', '--data', dir, ...(first && !keyless ? ['--key-file', keyFile] : []), ...args], {
    env: { PATH: process.env.PATH, HOME: data, XDG_CONFIG_HOME: path.join(data, 'config'), TMPDIR: process.env.TMPDIR ?? '/tmp',
      ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1',
      TSAN_OPTIONS: process.env.TSAN_OPTIONS ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const karta = { child, data: dir, home: data, err: '', pid: child.pid };
  child.stderr.on('data', (d) => { karta.err += d; });
  karta.stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
      await once(child, 'exit');
      clearTimeout(timer);
    }
    return child.exitCode;
  };
  t.after(async () => {
    await karta.stop();
    if (/ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer/.test(karta.err)) throw new Error(`sanitizer report:\n${karta.err}`);
    if (process.env.KARTA_TEST_VERBOSE) console.error(karta.err);
  });
  let text = '';
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (d) => { text += d; if (/^http.*\n/m.test(text)) resolve(); });
    child.once('exit', (code) => reject(new Error(`karta serve ended with ${code}:\n${karta.err}`)));
  });
  karta.port = listeningPort(child.pid);
  karta.url = `http://127.0.0.1:${karta.port}`;
  if (keyless) return karta;
  karta.key = readFileSync(keyFile, 'utf8').trim();
  assert.match(karta.key, /^kt_live_\w{38}$/);
  return karta;
}

/** A file of settings that can be changed while the server runs: {args, change(karta, text)}. */
export function settings(t, text) {
  const file = path.join(tempDir(t, 'conf'), 'serve.toml');
  writeFileSync(file, text);
  return { args: ['--config', file], change: async (karta, now) => {
    const from = karta.err.length;
    writeFileSync(file, now);
    karta.child.kill('SIGHUP');
    await eventually(() => /settings read again/.test(karta.err.slice(from)), 'the settings are read again');
  } };
}

/**
 * There is no call that makes an organization yet: with the server stopped, the keys of these ids
 * move to a second one.
 */
export function secondOrganization(data, keyIds) {
  execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("INSERT INTO orgs (id, slug, name, created_us) VALUES ('org_0000000000000000000002', 'other', 'Other', 1)")
for key in sys.argv[2:]:
    assert db.execute("UPDATE api_keys SET org_id = 'org_0000000000000000000002' WHERE id = ?", (key,)).rowcount == 1
db.commit()
`, path.join(data, 'karta.db'), ...keyIds]);
}

/** A tar.gz of an application that runs tests/lib/fake-agent.mjs. */
export function archive(t, files = {}, name = 'fake') {
  const dir = tempDir(t, 'app');
  writeFiles(dir, {
    'AGENTS.md': 'A test.\n',
    'karta.toml': `name = "${name}"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n`,
    ...files,
  });
  return execFileSync('tar', ['czf', '-', '-C', dir, '.']);
}

/** Publish an archive and wait for it; gives the release. */
export async function publish(c, project, bytes, query = '', headers = {}) {
  return c.call('PUT', '/agent_projects/{project_ref}/releases', [project], { raw: bytes, query, headers: { 'content-type': 'application/gzip', ...headers } });
}
