// SPDX-License-Identifier: MIT
// What the API tests share: a karta server on loopback, a stand-in model, SSE and JSON helpers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, gate as gateIn } from '../lib/patience.mjs';

export { LONG, PATIENCE_MS, SEED, SLOW, chance, eventually, seconds, sleep, slowed, within } from '../lib/patience.mjs';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const KARTA = path.resolve(process.env.KARTA ?? path.join(ROOT, 'build/asan/karta'));
export const CLAUDE = path.join(ROOT, `tests/node_modules/@anthropic-ai/claude-code-linux-${process.arch}/claude`);
export const OPENCODE = path.join(ROOT, `tests/node_modules/opencode-linux-${process.arch}/bin/opencode`);
/** The browser of the page tests; undefined when there is none. */
export const BROWSER = process.env.CHROMIUM
  ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => existsSync(file));

/* Removed when the process ends: while a test ends, its server and agents may still write there, and a
   hook that fails keeps those after it (which stop them) from running. */
const folders = [];
process.on('exit', () => {
  for (const dir of folders) try { rmSync(dir, { recursive: true, force: true, maxRetries: 5 }); } catch { /* no test's failure */ }
});

export function tempDir(_t, name) {
  const dir = mkdtempSync(path.join(tmpdir(), `karta-${name}-`));
  folders.push(dir);
  return dir;
}

async function stopped(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await once(child, 'exit');
  clearTimeout(timer);
}

/** Start the scripted model; gives {port, url, requests()}. */
export async function startModel(t, args = []) {
  const dir = tempDir(t, 'model');
  const log = path.join(dir, 'requests.jsonl');
  const child = spawn(process.execPath, [path.join(ROOT, 'tests/standin/standin-model.mjs'), '--port', '0',
    '--log', log, '--max-seconds', '900', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => stopped(child));
  const [chunk] = await once(child.stdout, 'data');
  const port = Number(/port=(\d+)/.exec(String(chunk))[1]);
  return {
    port, url: `http://127.0.0.1:${port}`,
    requests: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1).map((l) => JSON.parse(l)) : []),
  };
}

/** Holds turns of the fake agent: `[[until:${gate.file}]]` goes on after gate.open(). */
export const gate = (t) => gateIn(tempDir(t, 'gate'), writeFileSync);

export function writeFiles(dir, files) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
}

/** An application folder that runs tests/lib/fake-agent.mjs over ACP. */
export function fakeApp(dir, more = {}) {
  writeFiles(dir, {
    'AGENTS.md': 'A test.\n',
    'karta.toml': `name = "fake"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n`,
    ...more,
  });
}

/** Environment of real harnesses that talk to the stand-in model. */
export function harnessEnv(model, home) {
  return {
    HOME: home, CLAUDE_CODE_TMPDIR: home, XDG_DATA_HOME: path.join(home, 'data'),
    XDG_CONFIG_HOME: path.join(home, 'config'), XDG_STATE_HOME: path.join(home, 'state'), XDG_CACHE_HOME: path.join(home, 'cache'),
    ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'dummy', CLAUDE_CODE_MAX_RETRIES: '1',
    KARTA_CLAUDE: CLAUDE, KARTA_OPENCODE: OPENCODE,
    OPENCODE_DISABLE_MODELS_FETCH: '1', OPENCODE_DISABLE_LSP_DOWNLOAD: '1', OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
    // It would install a package of its own into every folder of settings: seconds of work each.
    npm_config_offline: 'true',
    OPENCODE_CONFIG_CONTENT: JSON.stringify({
      model: 'standin/standin-1', small_model: 'standin/standin-1', autoupdate: false, share: 'disabled', enabled_providers: ['standin'],
      provider: { standin: { npm: '@ai-sdk/openai-compatible', name: 'Stand-in', options: { baseURL: `${model.url}/v1`, apiKey: 'dummy' },
        models: { 'standin-1': { name: 'One', tool_call: true, reasoning: true, limit: { context: 200000, output: 8000 },
          cost: { input: 3, output: 15 } } } } },
      permission: { bash: 'ask', edit: 'ask' },
    }),
  };
}

/** Start `karta dev --no-chat` in dir; gives a Karta with url, pid, data folder and log text. */
export async function startKarta(t, dir, { args = [], env = {}, data } = {}) {
  data ??= tempDir(t, 'data');
  const port = args.includes('--port') ? [] : ['--port', '0'];
  const child = spawn(KARTA, ['dev', '--no-chat', '-v', '--dir', dir, ...port, ...args], {
    env: { PATH: process.env.PATH, HOME: data, KARTA_DATA: data, TMPDIR: process.env.TMPDIR ?? '/tmp',
      ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1',
      TSAN_OPTIONS: process.env.TSAN_OPTIONS ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const karta = { child, data, dir, err: '', pid: child.pid };
  child.stderr.on('data', (d) => { karta.err += d; });
  karta.stop = async (signal) => {
    await stopped(child, signal);
    return child.exitCode;
  };
  t.after(async () => {
    await karta.stop();
    if (/ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer/.test(karta.err)) throw new Error(`sanitizer report:\n${karta.err}`);
    if (process.env.KARTA_TEST_VERBOSE) console.error(karta.err);
  });
  let text = '';
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (d) => { text += d; if (text.includes('\n')) resolve(); });
    child.once('exit', (code) => reject(new Error(`karta dev ended with ${code}:\n${karta.err}`)));
  });
  karta.url = text.trim().split('\n')[0].replace('localhost', '127.0.0.1');
  karta.port = Number(new URL(karta.url).port);
  return karta;
}

/** JSON call; gives {status, body, headers}. */
export async function call(karta, method, route, body, headers = {}) {
  const r = await fetch(karta.url + route, {
    method, headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await r.text();
  let parsed = null;
  try { parsed = text ? JSON.parse(text) : null; } catch { parsed = text; }
  return { status: r.status, body: parsed, headers: r.headers };
}

/** All events of a session, page by page. */
export async function eventsOf(karta, id) {
  const all = [];
  for (let after = 0; ;) {
    const { body } = await call(karta, 'GET', `/v1/sessions/${id}/events?after=${after}`, undefined, { accept: 'application/json' });
    all.push(...body.data);
    if (!body.has_more) return all;
    after = body.last_seq;
  }
}

export const newSession = async (karta, body = {}) => (await call(karta, 'POST', '/v1/sessions', body)).body.id;

export function parseFrames(text) {
  const frames = [];
  for (const block of text.split('\n\n')) {
    const f = {};
    for (const line of block.split('\n')) {
      const m = /^(id|event|data): ?(.*)$/s.exec(line);
      if (m) f[m[1]] = m[2];
    }
    if (f.data) frames.push({ id: f.id, event: f.event, ...JSON.parse(f.data) });
  }
  return frames;
}

/** Open an event stream; gives {events, done, close(), until(fn), raw()}. */
export function openStream(karta, route, { method = 'GET', body, headers = {}, raw = false } = {}) {
  const controller = new AbortController();
  const stream = { events: [], bytes: [], status: 0, closed: false };
  let buffer = '';
  let bump = () => {};
  stream.done = (async () => {
    const r = await fetch(karta.url + route, { method, signal: controller.signal,
      headers: { accept: 'text/event-stream', ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
      body: body ? JSON.stringify(body) : undefined });
    stream.status = r.status;
    stream.headers = r.headers;
    const decoder = new TextDecoder();
    try {
      for await (const piece of r.body ?? []) {
        if (raw) stream.bytes.push(Buffer.from(piece));
        buffer += decoder.decode(piece, { stream: true });
        const cut = buffer.lastIndexOf('\n\n');
        if (cut >= 0) {
          stream.events.push(...parseFrames(buffer.slice(0, cut)));
          buffer = buffer.slice(cut + 2);
          bump();
        }
      }
    } catch (e) {
      if (!controller.signal.aborted) stream.error = e;
    }
    stream.closed = true;
    bump();
  })().catch((e) => { stream.error = e; stream.closed = true; bump(); });
  stream.close = () => controller.abort();
  stream.until = async (fn) => {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const hit = stream.events.find(fn);
      if (hit) return hit;
      if (stream.closed) throw new Error(`the stream ended without it; saw ${stream.events.map((e) => e.type + (e.data?.state ? ':' + e.data.state : ''))} ${stream.error ?? ''}`);
      if (Date.now() > end) throw new Error(`timeout; saw ${stream.events.map((e) => e.type + (e.data?.state ? ':' + e.data.state : ''))}`);
      await new Promise((r) => { bump = r; setTimeout(r, 200); });
    }
  };
  return stream;
}

/** Send a message as a stream and wait for its end; gives the events. */
export async function turn(karta, id, text, more = {}) {
  const s = openStream(karta, `/v1/sessions/${id}/messages`, { method: 'POST', body: { text, stream: true, ...more } });
  await s.until((e) => e.type === 'done');
  await s.done;
  return s.events;
}

export const textOf = (events) => {
  const parts = new Map();
  for (const e of events) {
    if (e.type !== 'text' || e.parent_tool_use_id) continue;
    const old = e.data.replace ? '' : parts.get(e.data.part_id) ?? '';
    parts.set(e.data.part_id, old + e.data.part.text);
  }
  return [...parts.values()].filter(Boolean).join('\n\n');
};
export const doneOf = (events) => events.find((e) => e.type === 'done')?.data;
export const errorOf = (events) => events.find((e) => e.type === 'error')?.data;

/** Processes whose environment names this text (KARTA_SESSION_ID, a temp folder...). */
export function processesWith(text) {
  return readdirSync('/proc').filter((p) => /^\d+$/.test(p)).filter((p) => {
    try {
      return readFileSync(`/proc/${p}/environ`, 'latin1').includes(text) && !/\) Z /.test(readFileSync(`/proc/${p}/stat`, 'latin1'));
    } catch { return false; }
  }).map(Number);
}

/**
 * Pairs of [decision, call, later, must ask, why]: the first is approved with the decision, then `later`, whose last
 * step is the call in question, asks or does not. One session; what is remembered is revoked between the pairs.
 */
export async function pairs(karta, table) {
  const id = await newSession(karta);
  const send = async (text) => (await call(karta, 'POST', `/v1/sessions/${id}/messages`, { text: `${text} [[text:end]]` })).body;
  const answer = async (pending, decision) => {
    const r = await call(karta, 'PUT', `/v1/sessions/${id}/inputs/${pending.request_id}`, { decision });
    if (r.status !== 200) throw new Error(`${decision}: ${r.status} ${JSON.stringify(r.body)} for ${JSON.stringify(pending)}`);
    return r.body.session.pending_input;
  };
  const approvals = `/v1/sessions/${id}/approvals`;
  for (const [decision, first, later, must, why = ''] of table) {
    const what = `${decision} of ${first}, then ${later} ${why}`;
    let pending = (await send(first)).pending_input;
    if (!pending) throw new Error(`${what}: the first was not asked`);
    const words = pending.remembers.find((r) => r.decision === decision)?.words;
    for (pending = await answer(pending, decision); pending; pending = await answer(pending, 'approve_once')) ;
    const list = (await call(karta, 'GET', approvals)).body.data;
    if (list.length !== 1 || list[0].words !== words) throw new Error(`${what}: ${JSON.stringify(list)} is not ${words}`);
    const last = JSON.parse(/.*\[\[tool:\w+ (.*)\]\]/.exec(later)[1]);
    const same = (input) => Object.keys(last).every((k) => JSON.stringify(input[k]) === JSON.stringify(last[k]));
    let asked = false;
    for (pending = (await send(later)).pending_input; pending;) {
      asked ||= same(pending.tool_input);
      pending = await answer(pending, same(pending.tool_input) ? 'deny' : 'approve_once');
    }
    if (asked !== must) throw new Error(`${what}: ${asked ? 'asked' : 'not asked'}`);
    const revoked = (await call(karta, 'DELETE', list.length > 1 || asked ? approvals : `${approvals}/${list[0].id}`)).body.revoked;
    if (revoked !== 1) throw new Error(`${what}: ${revoked} revoked`);
  }
}

export { cpSync, path, readFileSync, rmSync, symlinkSync, writeFileSync, existsSync };
