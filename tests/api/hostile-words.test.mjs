// SPDX-License-Identifier: MIT
// Every command against a server whose every word is hostile: in success and failure, as text and as JSON, through a
// pipe and on a terminal. What is printed drives no terminal. The commands come from the table of the program, so
// a new one that this test does not know fails it; the answers come from the OpenAPI document, so a new member is
// hostile from its first day.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { NOT_HERE, S, WORDS, commandTable } from './commands.mjs';
import { doc, documented, resolve } from './document.mjs';
import { KARTA, LONG, PATIENCE_MS, tempDir } from './lib.mjs';

/* What no terminal may get: colors that hide, titles, links, the clipboard, C1 as UTF-8, what rings, returns or erases,
   what reorders text, what takes no room. */
const EVIL = 'A\x1b[31;7mB\x1b[8m\x1b]0;title\x07\x1b]8;;http://evil/\x1b\\L\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b1mC\x9d0;t\x9c\r\b\x0b\x7f'
  + '\u202eX\u2066Y\u200bZ\u2060\ufeff\u2028\u{e0041}\x01!';
const EVIL_LINES = `${EVIL}\nkarta: hint: a line of its own\n\tW`;
// eslint-disable-next-line no-control-regex
const DRIVES = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/u;
const OURS = /\x1b\[(0|[1-4]|9|3[1-6])(;(0|[1-4]|9|3[1-6]))*m/g;

/** The first thing in bytes that a terminal would obey, or null. */
function drives(bytes, { styles = false, moves = false } = {}) {
  let text = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(bytes);
  if (Buffer.compare(Buffer.from(text), bytes)) return 'bytes that are no UTF-8';
  if (styles) text = text.replace(OURS, '');
  if (moves) text = text.replace(MOVES, '');
  const at = DRIVES.exec(text);
  return at && JSON.stringify(text.slice(Math.max(0, at.index - 40), at.index + 20));
}

/* --- the server --------------------------------------------------------------------------------- */

const sample = (pattern) => {
  const m = /^\^([a-z:]+_)\[/.exec(pattern);
  return m ? `${m[1]}${'0'.repeat(22)}` : undefined;
};

/** A value of a schema with every string hostile. shaped: what has a form (enum, date, id) keeps it. */
function make(node, shaped, depth = 0, name = '') {
  const s = resolve(node);
  if (!s || depth > 12) return null;
  if (s.allOf) return Object.assign({}, ...s.allOf.map((x) => make(x, shaped, depth + 1, name)));
  if (s.oneOf || s.anyOf) {
    // What is there in failure only; the wild ones have it.
    if (shaped && name === 'error') return null;
    const all = (s.oneOf ?? s.anyOf).filter((x) => resolve(x).type !== 'null');
    return make(all[0], shaped, depth + 1, name);
  }
  if ('const' in s) return s.const;
  if (s.enum) return !shaped ? EVIL : s.enum.includes('active') ? 'active' : s.enum.find((x) => x !== null);
  const type = [s.type].flat().find((x) => x !== 'null');
  if (type === 'object' || s.properties) {
    const out = {};
    for (const [k, v] of Object.entries(s.properties ?? {})) out[k] = make(v, shaped, depth + 1, k);
    if (s.additionalProperties && typeof s.additionalProperties === 'object') out[EVIL] = make(s.additionalProperties, shaped, depth + 1);
    else if (!s.properties) Object.assign(out, { [EVIL]: EVIL_LINES, command: EVIL_LINES });
    return out;
  }
  if (type === 'array') return [make(s.items ?? {}, shaped, depth + 1, name)];
  if (type === 'integer' || type === 'number') return s.minimum ?? 7;
  if (type === 'boolean') return name !== 'local' && name !== 'has_more' && name !== 'truncated' && name !== 'dry_run';
  if (shaped && s.format === 'date-time') return '2026-06-01T12:00:00Z';
  if (shaped && s.pattern && sample(s.pattern)) return sample(s.pattern);
  if (shaped && /^(sha256|digest|commit_sha|head)$/.test(name)) return 'a'.repeat(64);
  return name === 'text' || name === 'message' ? EVIL_LINES : EVIL;
}

const types = (name) => doc.components.schemas[name].oneOf.map((x) => x.$ref.split('/').pop());
/** Every kind of event once, the one that ends the stream last. */
function events(kind, shaped, asks) {
  const last = kind === 'LogEvent' ? 'LogRelease' : 'EventDone';
  // A question is waited for: it is asked on a terminal only.
  const names = types(kind).filter((x) => x !== last && (asks || x !== 'EventInputRequired') && (!shaped || x !== 'EventError'));
  return [...names, last].map((name, i) => {
    const e = make({ $ref: `#/components/schemas/${name}` }, shaped);
    e.seq = i + 1;
    e.timestamp = 1795350868313 + i;
    e.parent_tool_use_id = null;
    e.type ??= 'text';
    return e;
  });
}

const routes = documented.map((d) => ({ ...d, re: new RegExp(`^${d.path.replace(/\{\w+\}/g, '[^/]+')}$`) }));

function answer({ mode, asks }, method, url, headers) {
  const at = url.split('?')[0].replace(/^(\/v1\/projects\/[^/]+)\/v1\//, '$1/');
  const shaped = mode !== 'wild';
  const route = routes.find((r) => r.method === method && r.re.test(at)) ?? routes.find((r) => r.re.test(at));
  const problem = { ...make({ $ref: '#/components/schemas/Problem' }, false), status: 403, detail: EVIL_LINES, title: EVIL };
  if (mode === 'fails') return [403, 'application/problem+json', JSON.stringify(problem)];
  if (mode === 'breaks') return [500, 'text/html', EVIL_LINES];
  if (!route) return [404, 'application/problem+json', JSON.stringify({ ...problem, status: 404 })];
  const [status, node] = Object.entries(route.op.responses).find(([s]) => s[0] === '2');
  const content = resolve(node).content ?? {};
  if (at.endsWith('/manifest')) return [200, 'text/plain', `100644 3 ${(/v2/.test(at) ? 'b' : 'a').repeat(64)} ${shaped ? 'evil.md' : EVIL}\n`];
  if (/events$|\/log$|\/logs$|messages$/.test(at) && (/event-stream/.test(headers.accept ?? '') || /logs$/.test(at))) {
    const list = events(/log/.test(at) ? 'LogEvent' : 'Event', shaped, asks);
    return [200, 'text/event-stream', `:${'\x1b]0;t\x07'}\n\n${list.map((e) => `id: ${e.seq}\nevent: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`).join('')}`];
  }
  const json = content['application/json'] ?? content['application/problem+json'];
  if (!json) return [Number(status), 'application/octet-stream', Number(status) === 204 ? '' : EVIL_LINES];
  const body = make(json.schema, shaped);
  if (/events$/.test(at)) Object.assign(body, { data: events('Event', shaped, asks), has_more: false, last_seq: 99 });
  if (at.endsWith('/refs')) body.refs = { [`refs/heads/${EVIL}`]: 'a'.repeat(40), 'refs/heads/ok': EVIL };
  if (at.endsWith('/config')) body.vars = { [EVIL]: EVIL_LINES, NAME: EVIL_LINES, '$(id)': 'x' };
  if (at === '/v1/device/token' && shaped) body.key = `kt_live_${'b'.repeat(32)}`;
  if (at === '/v1/device/code') Object.assign(body, { interval: 0, expires_in: 600 });
  if (body && typeof body === 'object' && 'url' in body && shaped) body.url = `https://a.example/${EVIL}`;
  let text = JSON.stringify(body);
  // Bytes that no JSON may hold, where a string stands.
  if (mode === 'bytes') text = text.replaceAll('A\\u001b', 'A\x1b').replaceAll('B\\u001b', 'B\udcff');
  return [Number(status), 'application/json', text];
}

/* Its status line and header lines are as hostile as its words, so it is written by hand. */
async function hostileServer(t) {
  const state = { mode: 'shaped', asked: [] };
  const server = net.createServer((socket) => {
    let got = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      got = Buffer.concat([got, piece]);
      for (;;) {
        const end = got.indexOf('\r\n\r\n');
        if (end < 0) return;
        const [first, ...lines] = got.subarray(0, end).toString('latin1').split('\r\n');
        const headers = Object.fromEntries(lines.map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
        const length = Number(headers['content-length'] ?? 0);
        if (headers.expect && !state.went) socket.write('HTTP/1.1 100 \x1b[2J\r\n\r\n');
        state.went = headers.expect;
        if (got.length < end + 4 + length) return;
        state.went = false;
        got = got.subarray(end + 4 + length);
        const [method, url] = first.split(' ');
        state.asked.push(`${method} ${url}`);
        const [status, type, text] = answer(state, method, url, headers);
        const body = state.mode === 'bytes' ? Buffer.from(text.replaceAll('\udcff', '\x9b'), 'latin1') : Buffer.from(text);
        socket.write(Buffer.from(`HTTP/1.1 ${status} \x1b]0;status\x07\x9b31m\r\nContent-Type: ${type}\r\nX-Evil: \x1b[31m\r\n`
          + `Karta-Session-Id: \x1b[2J\r\nRequest-Id: \x1b[2J\x9b\r\nKarta-Release: \x1b[2J\r\nLocation: /\x1b[2J\r\nETag: "\x1b[2J"\r\n`
          + `Content-Length: ${status === 204 ? 0 : body.length}\r\n\r\n`, 'latin1'));
        if (status !== 204) socket.write(body);
      }
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  server.unref();
  state.url = `http://127.0.0.1:${server.address().port}`;
  return state;
}

/* --- the commands ------------------------------------------------------------------------------- */

/* What a script takes as it is, through a pipe only. */
const EXACT = new Set(['config get']);
/* What prints texts of several lines. */
const TEXTS = new Set(['send', 'chat', 'sessions tail', 'sessions export']);

const run = (argv, env, { cwd, input = '' } = {}) => new Promise((done, fail) => {
  const child = spawn(argv[0], argv.slice(1), { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const out = [], err = [];
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  child.stdout.on('data', (d) => out.push(d));
  child.stderr.on('data', (d) => err.push(d));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  child.on('error', fail);
  child.on('close', (code, signal) => { clearTimeout(timer); done({ code, signal, out: Buffer.concat(out), err: Buffer.concat(err) }); });
});

function folder(t) {
  const dir = tempDir(t, 'words');
  const app = path.join(dir, 'app');
  const name = 'evil-\x1b[31m-\u202e-\u009b.md';
  mkdirSync(path.join(app, '.claude/agents'), { recursive: true });
  mkdirSync(path.join(app, `.claude/skills/\x1b[2Jskill`), { recursive: true });
  writeFileSync(path.join(app, 'CLAUDE.md'), `# ${EVIL}\n`);
  writeFileSync(path.join(app, '.claude/agents', name), `---\nname: "\\e[31mx"\ndescription: "${'\\e]0;t\\a\\u202e'}"\nmodel: "\\e[2J"\n---\n${EVIL}\n`);
  writeFileSync(path.join(app, `.claude/skills/\x1b[2Jskill/SKILL.md`), `---\nname: \x1b[31mx\ndescription: \u202e${EVIL}\n---\n`);
  writeFileSync(path.join(app, 'karta.toml'), `name = "shop"\n"\\u001b[31mkey\\u202e" = "\\u001b]0;t\\u0007"\n`);
  const plain = path.join(dir, 'plain');
  mkdirSync(plain);
  writeFileSync(path.join(plain, 'CLAUDE.md'), 'Hello.\n');
  writeFileSync(path.join(plain, '.env.import'), 'A=1\n');
  writeFileSync(path.join(plain, 'karta.toml'), 'name = "shop"\n');
  return { dir, app, plain };
}

function environment(dir, url) {
  mkdirSync(path.join(dir, 'home'), { recursive: true });
  return { PATH: `${path.join(dir, 'bin')}:${process.env.PATH}`, HOME: path.join(dir, 'home'), LC_ALL: 'C.UTF-8', TERM: 'xterm', TZ: 'UTC',
    KARTA_SERVER: url, KARTA_API_KEY: `kt_test_${'a'.repeat(32)}`, KARTA_PROJECT: 'shop', ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:exitcode=99`,
    GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', BROWSER: '/bin/true', VISUAL: '/bin/true' };
}

/* A command line on a terminal of its own; `typed` is sent again and again until it ends. */
const ON_TERMINAL = `
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
typed, sent = sys.argv[1].encode().decode('unicode_escape').encode(), time.monotonic()
while True:
    try:
        ready = select.select([fd], [], [], 0.1)[0]
        if ready:
            piece = os.read(fd, 65536)
            if not piece:
                break
            sys.stdout.buffer.write(piece)
        elif typed and time.monotonic() - sent > 0.3:
            os.write(fd, typed)
            sent = time.monotonic()
    except OSError:
        break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
/* How the line editor and the progress line move the cursor. */
const MOVES = /\x1b\[(\?2004[hl]|\d*[ABCDJK])|\r/g;

/** Runs jobs two at a time. */
async function each(jobs) {
  const queue = [...jobs];
  await Promise.all([0, 1].map(async () => { for (let job; (job = queue.shift());) await job(); }));
}

/** The first line that is no JSON, or undefined. */
const noJson = (bytes) => bytes.toString().split('\n').filter(Boolean).find((line) => {
  try { JSON.parse(line); return false; } catch { return true; }
});

test('every command of the table is known here', async () => {
  const known = new Set([...Object.keys(WORDS), ...Object.keys(NOT_HERE)]);
  const commands = commandTable();
  assert.deepEqual(commands.filter((c) => !known.has(c)), [], 'new commands: say in commands.mjs how they are called');
  assert.deepEqual([...known].filter((c) => !commands.includes(c)), [], 'gone commands');
});

for (const mode of ['shaped', 'fails', 'wild', ...(LONG ? ['breaks'] : []), 'bytes']) {
  test(`${mode}: no command prints what drives a terminal`, async (t) => {
    const server = await hostileServer(t);
    const { dir, app, plain } = folder(t);
    const env = environment(dir, server.url);
    const bad = [], ended = {};
    server.mode = mode;
    await run(['git', 'init', '-q', dir], env);
    const ways = LONG || mode === 'shaped' ? [[], ['--json'], ['--color', 'always']] : mode === 'fails' ? [[], ['--json']] : [[]];
    const jobs = Object.entries(WORDS).filter(([, words]) => words).flatMap(([name, words]) => ways
      .map((more) => async () => {
        if (name === 'sessions export' && more[0] === '--json') return;
        const cwd = name === 'projects link' ? path.join(dir, `link${more.length}${more[0]}`) : dir;
        if (cwd !== dir) await run(['git', 'init', '-q', cwd], env);
        const argv = [KARTA, ...name.split(' '), ...more, '--timeout', '5s', ...words.map((w) => ({ '@APP': app, '@PLAIN': plain, '@ENV': path.join(plain, '.env.import') })[w] ?? w)];
        const what = `${name} ${more.join(' ')}`.trim();
        const r = await run(argv, env, { cwd });
        ended[what] = [r.code, r.err.toString()];
        if (r.signal || r.code === 99) bad.push(`${what}: ended by ${r.signal ?? 'a sanitizer'}: ${r.err.toString().slice(-400)}`);
        const exact = EXACT.has(name) && more[0] !== '--json';
        const styles = more[0] === '--color';
        for (const [where, bytes] of [['stdout', r.out], ['stderr', r.err]]) {
          const found = exact && where === 'stdout' ? null : drives(bytes, { styles });
          if (found) bad.push(`${what}: ${where}: ${found}`);
          if (/^karta: hint: a line/m.test(bytes.toString()) && !exact && !(where === 'stdout' && TEXTS.has(name))) bad.push(`${what}: ${where}: a forged line`);
        }
        const odd = more[0] === '--json' && noJson(r.out);
        if (odd) bad.push(`${what}: no JSON: ${odd.slice(0, 300)}`);
      }));
    await each(jobs);
    assert.deepEqual(bad, []);
    // The answers must be good enough to get to what prints. (An evil address is not opened.)
    if (mode === 'shaped') {
      const said = Object.entries(ended).filter(([what, [code]]) => code && !/^(doctor|deploy|open|chat --json)/.test(what)).map(([what, [code, err]]) => `${what}: ${code} ${err.slice(0, 300)}`);
      assert.deepEqual(said, []);
    }
    // After a login there is something to sign out of.
    for (const name of ['login', 'logout']) {
      if (mode !== 'shaped') break;
      const r = await run([KARTA, name, ...(WORDS[name] ?? [])], env, { cwd: dir });
      assert.equal(r.code, 0, `${name}: ${r.err}`);
      assert.equal(drives(Buffer.concat([r.out, r.err])), null, name);
    }
  });
}

test('on a terminal: nothing but styles and moves of the cursor', async (t) => {
  const server = await hostileServer(t);
  const { dir } = folder(t);
  const env = environment(dir, server.url);
  const bad = [];
  server.asks = true;
  await run(['git', 'init', '-q', dir], env);
  const names = ['chat', 'send', 'sessions tail', 'sessions list', 'sessions export', 'logs', 'projects', 'config', 'config get', 'releases', 'login', 'keys list', 'audit'];
  await each(names.map((name) => async () => {
    const r = await run(['python3', '-c', ON_TERMINAL, name === 'chat' || name === 'send' ? '\\x04' : '', KARTA, ...name.split(' '), '--timeout', '5s', ...WORDS[name]], env, { cwd: dir });
    assert.ok(r.out.length > 40, `${name}: ${r.out} ${r.err}`);
    const found = drives(r.out, { styles: true, moves: true });
    if (found) bad.push(`${name}: ${found}`);
  }));
  assert.deepEqual(bad, []);
});

test('git push and git ls-remote through the helper', async (t) => {
  const server = await hostileServer(t);
  const { dir, app } = folder(t);
  const env = { ...environment(dir, server.url), GIT_TERMINAL_PROMPT: '0' };
  const bin = path.join(dir, 'bin'), bad = [];
  mkdirSync(bin, { recursive: true });
  symlinkSync(KARTA, path.join(bin, 'git-remote-karta'));
  const git = (...words) => run(['git', '-c', 'user.name=a', '-c', 'user.email=a@example.com', ...words], env, { cwd: app });
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  assert.equal((await git('commit', '-qm', 'x')).code, 0);
  for (const mode of ['shaped', 'fails', 'wild', 'breaks', 'bytes']) {
    server.mode = mode;
    const said = [];
    for (const words of [['push', `karta::${server.url}/shop`, 'main'], ['push', '--progress', `karta::${server.url}/shop`, 'main:x', ':ok'], ['ls-remote', `karta::${server.url}/shop`]]) {
      const r = await git(...words);
      said.push(r.out, r.err);
      // git's own: it erases to the end of a line of "remote:", and redraws its progress.
      const found = drives(Buffer.concat([r.out, r.err]), { moves: true });
      if (found) bad.push(`${mode}: git ${words[0]}: ${found}`);
    }
    assert.ok(Buffer.concat(said).length, `${mode}: git said nothing`);
    // The helper's own answers, before git looks at them.
    const r = await run([path.join(bin, 'git-remote-karta'), 'karta', `karta::${server.url}/shop`], { ...env, GIT_DIR: path.join(app, '.git') },
      { cwd: app, input: 'capabilities\nlist for-push\npush refs/heads/main:refs/heads/main\n\n\n' });
    for (const [where, bytes] of [['stdout', r.out], ['stderr', r.err]]) {
      const found = drives(bytes);
      if (found) bad.push(`${mode}: helper: ${where}: ${found}`);
    }
  }
  assert.deepEqual(bad, []);
});
