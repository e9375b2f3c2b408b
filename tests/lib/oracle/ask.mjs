// SPDX-License-Identifier: MIT
// Asks the programs what they make of a folder: Claude Code by its initialize answer and its init
// line, OpenCode by its commands and its server, karta by `karta agents --json`. No model is needed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CLAUDE, KARTA, OPENCODE } from '../../api/lib.mjs';
import { PATIENCE_MS } from '../patience.mjs';

/** What the programs bring along; none of it is of the folder. */
export const BUILT_IN = {
  claude: new Set(['claude', 'Explore', 'general-purpose', 'Plan', 'statusline-setup']),
  opencode: new Set(['build', 'plan', 'general', 'explore', 'compaction', 'title', 'summary']),
};

/* OpenCode installs a package of its own into every folder of settings it meets (seconds of work each): not from offline. */
const base = (home) => ({ PATH: process.env.PATH, HOME: home, TMPDIR: process.env.TMPDIR ?? '/tmp' });
const openEnv = (home) => ({ ...base(home), XDG_DATA_HOME: path.join(home, 'data'), XDG_CONFIG_HOME: path.join(home, 'config'), XDG_STATE_HOME: path.join(home, 'state'),
  XDG_CACHE_HOME: path.join(home, 'cache'), OPENCODE_DISABLE_MODELS_FETCH: '1', OPENCODE_DISABLE_LSP_DOWNLOAD: '1', OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
  OPENCODE_DISABLE_AUTOUPDATE: '1', npm_config_offline: 'true' });

/** Run a program to its end; {code, out, err}. */
function run(program, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let out = '', err = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    child.stdout?.on('data', (d) => { out += d; });
    child.stderr.on('data', (d) => { err += d; });
    child.once('error', reject);
    child.once('close', (code) => { clearTimeout(timer); resolve({ code, out, err }); });
  });
}

/** {agents: Map of name to {description, model}, skills, commands} of Claude Code in dir. */
export async function askClaude(dir, home) {
  mkdirSync(home, { recursive: true });
  const child = spawn(CLAUDE, ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose', '--permission-prompt-tool', 'stdio'], {
    cwd: dir, stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...base(home), CLAUDE_CODE_TMPDIR: home, ANTHROPIC_BASE_URL: 'http://127.0.0.1:9', ANTHROPIC_API_KEY: 'dummy', CLAUDE_CODE_MAX_RETRIES: '0',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_TELEMETRY: '1', DISABLE_AUTOUPDATER: '1' },
  });
  const say = (o) => child.stdin.write(`${JSON.stringify(o)}\n`);
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  const closed = once(child, 'close');
  let rest = '', err = '', initialize, init;
  child.stdin.on('error', () => {});
  child.stderr.on('data', (d) => { err += d; });
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (d) => {
    const lines = (rest + d).split('\n');
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) {
      const event = JSON.parse(line);
      if (event.type === 'control_response') {
        initialize = event.response.response;
        say({ type: 'user', message: { role: 'user', content: 'hi' } });
      } else if (event.subtype === 'init') {
        init = event;
        child.kill('SIGKILL');
      }
    }
  });
  say({ type: 'control_request', request_id: 'init', request: { subtype: 'initialize', hooks: {} } });
  await closed;
  clearTimeout(timer);
  if (!init || !initialize) throw new Error(`Claude Code did not answer in ${dir}: ${err}`);
  return { agents: new Map(initialize.agents.map((a) => [a.name, a])), names: init.agents, skills: init.skills, commands: init.slash_commands };
}

/** `opencode ARGS` in dir; its standard output, by a file: it ends without waiting for a pipe. */
export async function opencode(dir, home, args) {
  mkdirSync(home, { recursive: true });
  const file = path.join(home, 'opencode.out');
  const out = openSync(file, 'w');
  const r = await run(OPENCODE, args, { cwd: dir, env: openEnv(home), stdio: ['ignore', out, 'pipe'] }).finally(() => closeSync(out));
  if (r.code !== 0) throw new Error(`opencode ${args.join(' ')} in ${dir}: ${r.code} ${r.err}`);
  return readFileSync(file, 'utf8');
}

/** One server of OpenCode for many folders: ask(dir) gives {error} or {agents, skills, commands}. */
export async function startOpencode(t, home) {
  mkdirSync(home, { recursive: true });
  const child = spawn(OPENCODE, ['serve', '--port', '0', '--hostname', '127.0.0.1'], { cwd: home, env: openEnv(home), stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  let text = '';
  const url = await new Promise((resolve, reject) => {
    const look = (d) => { text += d; const m = /http:\/\/[\d.]+:\d+/.exec(text); if (m) resolve(m[0]); };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => reject(new Error(`opencode serve ended: ${text}`)));
  });
  const get = async (route, dir) => {
    const r = await fetch(`${url}${route}?directory=${encodeURIComponent(dir)}`);
    return r.ok ? r.json() : Promise.reject(new Error(await r.text()));
  };
  return async (dir) => {
    try {
      const agents = await get('/agent', dir), skills = await get('/skill', dir), commands = await get('/command', dir);
      return { agents: new Map(agents.map((a) => [a.name, { ...a, model: a.model && [a.model.providerID, a.model.modelID].filter(Boolean).join('/') }])),
        skills: skills.map((s) => s.name), descriptions: new Map(skills.map((s) => [s.name, s.description])),
        commands: commands.filter((c) => c.source !== 'skill').map((c) => c.name) };
    } catch (e) {
      return { error: e.message };
    }
  };
}

/** What karta makes of dir. */
export async function askKarta(dir, home) {
  const r = await run(KARTA, ['agents', '--json', '--dir', dir], { env: { ...base(home), XDG_CONFIG_HOME: path.join(home, 'config'), KARTA_DATA: path.join(home, 'karta'),
    ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1' } });
  if (/Sanitizer|runtime error/.test(r.err) || !r.out) throw new Error(`karta agents in ${dir}: ${r.code} ${r.err}`);
  const got = JSON.parse(r.out);
  return { ...got, agents: new Map(got.agents.filter((a) => a.role !== 'default' || a.name !== 'default').map((a) => [a.name, a])), skills: got.skills.map((s) => s.name),
    descriptions: new Map(got.skills.map((s) => [s.name, s.description])), commands: got.commands.map((c) => c.name), errors: got.findings.filter((f) => f.severity === 'error') };
}

/** Lines that say where two lists differ, but for what is left out. */
export function differ(what, karta, harness, leaveOut = new Set()) {
  const a = new Set([...karta].filter((n) => !leaveOut.has(n))), b = new Set([...harness].filter((n) => !leaveOut.has(n)));
  return [...[...a].filter((n) => !b.has(n)).map((n) => `${what}: karta lists ${JSON.stringify(n)}, the harness does not`),
    ...[...b].filter((n) => !a.has(n)).map((n) => `${what}: the harness lists ${JSON.stringify(n)}, karta does not`)];
}
