// SPDX-License-Identifier: MIT
// Every command line of README.md, docs/ and the EXAMPLES of manual pages is typed, as it stands there, into a shell
// of a world that fits it: a server at localhost:8000, an application, keys. What cannot be typed is in one list with
// the reason, and its karta commands are parsed against the option tables all the same.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { blocksOf } from '../lib/documents.mjs';
import { ownNetwork } from '../lib/netns.mjs';
import { KARTA, PATIENCE_MS, ROOT, path, seconds, tempDir } from './lib.mjs';

/* [what, why it is not typed]. A text is looked for in the command. */
const NOT_TYPED = [
  [/^(?:\S+=\S+ )*(?:make|scripts\/setup)\b|node --test/, 'builds or tests this tree: make check is what runs now'],
  [/\b(?:systemctl|useradd|apt|dpkg|npm) |^install -[md]|install\.sh/, 'changes the machine itself: tests/cli/dist.sh and its neighbours install in a root of their own'],
  [/^(?:podman|docker|buildah) /, 'makes an image: no runtime for containers is needed for a check'],
  [/karta\.example|github\.com\/(?!acme)|https:\/\/\S+\.example/, 'another machine'],
  [/^karta dev --record/, 'needs a harness with a model: tests/cli/dev.sh'],
  [/Which color/, 'the recorded turn asks for an approval and no question: tests/api/protocol.test.mjs'],
  [/^cat \/var\/lib\/karta\/admin-key/, 'the file of a service'],
];

/* Where a document has what differs for each reader: [what, what is typed instead]. */
const INSTEAD = [
  [/^sudo (?=karta )/, ''],
  [/(?<=restore \S+ --data )\S+/, '$BACKUPS/restored'],
  [/\/var\/lib\/karta/g, '$VAR'], [/\/backup\b/g, '$BACKUPS'],
  [/sess_4fQ\b\.*/g, '$session'], [/key_4fQ\b\.*/g, '$SPARE'], [/\b1a2b3c4\b/g, '$SHORT'],
];

/* What may be run here at all: a document can name anything, and whoever runs the tests may be root. */
const PROGRAMS = new Set(['karta', 'git', 'curl', 'cat', 'tar', 'jq', 'eval', 'node', 'sed', 'date']);
const programsOf = (text) => text.replace(/\\./g, '').replace(/'[^']*'/g, 'Q').replace(/"([^"]*)"/g, (_, s) => `Q ${(s.match(/\$\([^)]*\)/g) ?? []).join(' ')}`).split(/\|\||&&|[|;&\n]|\$\(/)
  .map((s) => s.replace(/["')]/g, ' ').trim().replace(/^(?:[A-Za-z_]+=\S*\s*)+/, '').split(/\s+/)[0]).filter(Boolean);

/* Commands that go on until they are stopped: they have to say something, and then end well. */
const LASTING = /^(?:\S+=\S+ )*(?:karta (?:serve(?! (?:--init-only|backup|restore|keys|--show))|dev|logs --tail|logs -f|sessions tail --follow)|curl -N \S*\/events$|curl .*event-stream.*\/logs\?|node web\.mjs)(?!.*&$)/;

/* Which world a block is of: its own (it starts a server itself), that of `karta dev`, else a hosting server's. */
const WORLDS = [
  ['README.md', /karta serve (?:--key-file|--port)|karta init\nkarta doctor/, 'own'],
  ['README.md', /^curl -s localhost/, 'dev'],
  ['docs/api.md', /karta dev --offline|karta serve --offline/, 'own'],
  ['docs/api.md', /localhost:8000\/v1\//, 'dev'],
  ['docs/hosting.md', /^karta serve\n/, 'own'], ['man/karta-serve.1', /^karta serve\n/, 'own'],
  ['docs/examples/support-bot/README.md', /./, 'own'],
  ['docs/tutorials/support-bot.md', /./, 'elsewhere'], // tests/api/tutorial.test.mjs types it from top to bottom
];
const worldOf = (b) => WORLDS.find(([file, text]) => b.file === file && text.test(b.commands.map((c) => c.text).join('\n')))?.[2] ?? 'hosted';

const typedText = (c) => INSTEAD.reduce((t, [what, by]) => t.replace(what, by), c.text);
const here = ownNetwork(import.meta.url);
const opts = { skip: here === true ? false : here, ...seconds(120) };
const blocks = blocksOf(ROOT);
const whyNot = (c) => NOT_TYPED.find(([what]) => what.test(c.text))?.[1];

const env = (home, more = {}) => ({ PATH: `${path.dirname(KARTA)}:${process.env.PATH}`, HOME: home, TMPDIR: process.env.TMPDIR ?? '/tmp', LC_ALL: 'C.UTF-8',
  GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@localhost', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@localhost', GIT_TERMINAL_PROMPT: '0',
  ANTHROPIC_API_KEY: 'dummy', KARTA_CLAUDE: path.join(ROOT, 'tests/lib/fake-claude.mjs'), ASAN_OPTIONS: 'detect_leaks=0:exitcode=99', ...more });

/** Run a script of bash to its end; [status, output]. */
function bash(script, cwd, vars) {
  return new Promise((done) => {
    const child = spawn('bash', ['-c', script], { cwd, env: vars, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let out = '';
    child.stdout.on('data', (d) => { out += d; });
    child.stderr.on('data', (d) => { out += d; });
    const timer = setTimeout(() => { out += '\n(no end in sight)'; process.kill(-child.pid, 'SIGKILL'); }, PATIENCE_MS);
    child.once('close', (code) => {
      clearTimeout(timer);
      done([code, out]);
    });
  });
}

/* Typed in front of every block. An answer of HTTP that is an error is one here, too. */
const PRELUDE = `
curl() { case " $* " in *" -f"*) command curl "$@" ;; *) command curl --fail-with-body "$@" ;; esac; }
typed() { # LINE: the status of what was typed last
  s=$?; [ $s -eq 0 ] || { echo "line $1 ended with status $s"; exit 1; }
}
lasting() { # LINE COMMAND: it says something within its time, and ends well when it is stopped
  : >"$TMP/said"
  bash -c "$2" >"$TMP/said" 2>&1 &
  p=$!
  for i in $(seq 600); do [ -s "$TMP/said" ] && break; kill -0 $p 2>/dev/null || break; sleep 0.1; done
  sleep 0.3
  pkill -TERM -P $p 2>/dev/null; kill -TERM $p 2>/dev/null
  wait $p; s=$?
  cat "$TMP/said"
  case $s in 0 | 130 | 143) [ -s "$TMP/said" ] ;; *) false ;; esac || { echo "line $1 ended with status $s"; exit 1; }
}
`;

function scriptOf(block) {
  const out = [PRELUDE];
  block.commands.forEach((c, i) => {
    if (whyNot(c)) return;
    const text = typedText(c);
    if (!c.script) for (const p of programsOf(text)) assert.ok(PROGRAMS.has(p), `${p} is not run here: ${text}`);
    if (c.script) {
      writeFileSync(path.join(process.env.TMPDIR ?? '/tmp', `karta-doc-${process.pid}.sh`), text);
      out.push(`sh ${path.join(process.env.TMPDIR ?? '/tmp', `karta-doc-${process.pid}.sh`)}\ntyped ${c.line}`);
    } else if (LASTING.test(text)) {
      out.push(`lasting ${c.line} '${`exec ${text}`.replace(/'/g, "'\\''")}'`);
    } else if (/&$/.test(text)) {
      // As at a terminal, where the next line is typed when the address is there.
      out.push(`${text.replace(/&$/, '>"$TMP/background" 2>&1 &')}\nserver=$!; trap 'kill $server; wait $server' EXIT\nfor i in $(seq 600); do grep -q ^http "$TMP/background" && break; sleep 0.1; done`);
    } else {
      out.push(`${text}\ntyped ${block.commands[i].line}`);
    }
  });
  return out.join('\n');
}

/** Type a block; what went wrong is added to a list. */
async function type(b, cwd, vars, wrong) {
  const began = Date.now();
  const [status, out] = await bash(scriptOf(b), cwd, { ...vars, TMP: tempDir(null, 'typed') });
  if (process.env.KARTA_TEST_VERBOSE) console.error(`${b.file}:${b.line} ${Date.now() - began} ms`);
  if (status !== 0) wrong.push(`${b.file}:${b.line}: ${out.trim().split('\n').slice(-12).join('\n    ').slice(-1500)}`);
}

async function server(t, args, cwd, vars) {
  const child = spawn(KARTA, args, { cwd, env: vars, stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.on('data', (d) => { err += d; });
  t.after(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await new Promise((done) => { child.once('exit', done); });
    assert.doesNotMatch(err, /ERROR: \w+Sanitizer|runtime error:/);
  });
  await new Promise((done, fail) => {
    child.stdout.on('data', (d) => /http/.test(String(d)) && done());
    child.once('exit', () => fail(new Error(err)));
  });
}

/** The example, without the pauses of its recorded turns. */
function example(dir) {
  cpSync(path.join(ROOT, 'docs/examples/support-bot'), dir, { recursive: true });
  writeFileSync(path.join(dir, '.claude/agents/reviewer.md'), '---\nname: reviewer\ndescription: reviews\n---\nYou review.\n');
  for (const f of readdirSync(path.join(dir, 'rehearsals'))) {
    const file = path.join(dir, 'rehearsals', f);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^\{"t": \d+/gm, '{"t": 0'));
  }
}
const of = (world) => blocks.filter((b) => worldOf(b) === world && b.commands.some((c) => !whyNot(c)));

test('what cannot be typed is said why, and its options are karta\'s', opts, () => {
  const wrong = [];
  let parsed = 0;
  for (const b of blocks) for (const c of b.commands.filter(whyNot)) {
    const text = c.text.replace(/^sudo /, '').replace(/(?:\d?>|<)\s*\S+/g, '');
    for (const one of text.split(/&&|\|\||\||;/).map((s) => s.trim()).filter((s) => /^karta /.test(s))) {
      const r = spawnSync('bash', ['-c', `${one} --help`], { encoding: 'utf8', env: env('/nonexistent') });
      if (r.status !== 0) wrong.push(`${b.file}:${c.line}: ${one}: ${r.stderr.split('\n')[0]}`);
      parsed++;
    }
  }
  for (const b of blocks) for (const c of b.commands.filter((x) => !whyNot(x) && !x.script))
    for (const p of programsOf(typedText(c))) if (!PROGRAMS.has(p)) wrong.push(`${b.file}:${c.line}: ${p} is neither among PROGRAMS nor is the command in NOT_TYPED: ${c.text}`);
  assert.deepEqual(wrong, []);
  assert.ok(parsed > 5);
  for (const [what, why] of NOT_TYPED) assert.ok(why && blocks.some((b) => b.commands.some((c) => what.test(c.text))), `in no document any more: ${what}`);
  for (const [file, text] of WORLDS) assert.ok(blocks.some((b) => b.file === file && text.test(b.commands.map((c) => c.text).join('\n'))), `in no document any more: ${file} ${text}`);
});

test('with karta dev', opts, async (t) => {
  const home = tempDir(t, 'home');
  const dir = path.join(home, 'app');
  example(dir);
  const vars = env(home);
  await server(t, ['dev', '--offline', '--no-chat', '--speed', '0', '--port', '8000'], dir, vars);
  const send = (at, body, headers = {}) => fetch(`http://localhost:8000${at}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }).then((r) => r.json());
  const session = async () => (await send('/v1/sessions', {})).id;
  const asked = await session();
  const open = await send(`/v1/sessions/${asked}/messages`, { text: "My mug came broken, I'd like a refund for NB-1042" });
  const wrong = [];
  for (const b of of('dev')) {
    // A session of each block's own: some delete theirs.
    const id = /inputs\//.test(b.commands[0].text) ? asked : await session();
    if (/\/events/.test(b.commands[0].text)) await send(`/v1/sessions/${id}/messages`, { text: 'Hello' });
    await type(b, dir, { ...vars, ID: id, session: id, request: open.pending_input?.request_id ?? '' }, wrong);
  }
  assert.deepEqual(wrong, []);
});

test('with a hosting server', opts, async (t) => {
  const home = tempDir(t, 'home');
  const dir = path.join(home, 'support-bot');
  for (const name of ['support-bot', 'bot', 'plain/support-bot']) example(path.join(home, name));
  const vars = env(home);
  await server(t, ['serve', '--offline', '--port', '8000', '--key-file', path.join(home, 'admin')], home, vars);
  const run = async (script) => {
    const [status, out] = await bash(`set -e\n${script}`, dir, vars);
    assert.equal(status, 0, out);
    return out.trim().split('\n').at(-1);
  };
  const last = await run(`karta login --with-key <../admin 2>/dev/null; git init -q -b main; git add -A; git commit -qm first; karta init >/dev/null 2>&1; git push -q karta main 2>/dev/null
    echo secret-token-of-somebody >token; for f in key anthropic-key keyfile; do cp ../admin $f; done; printf 'A=1\\n' >.env
    for n in 2 3 4 5 6 7; do karta config set N=$n --quiet; done
    karta projects create shop >/dev/null; git push -q karta::http://localhost:8000/shop main 2>/dev/null; git push -q karta main:refs/heads/old 2>/dev/null
    git archive --format=tar.gz -o app.tar.gz HEAD; cp -r ../plain/support-bot ./support-bot; cp -r ../bot ./bot; printf 'support-bot/\\nbot/\\n\\napp.tar.gz\\nkey\\n*-key\\nkeyfile\\ntoken\\n.env\\nhead\\ntalk.md\\nurl\\n*.tar\\n' >>.gitignore; git add .gitignore; git commit -qm ignore
    karta projects default support-bot 2>/dev/null
    echo "$(karta keys create spare --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])') $(curl -s localhost:8000/v1/sessions -H "Authorization: Bearer $(cat key)" -H 'Content-Type: application/json' -d '{"project":"support-bot"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])') $(git rev-parse HEAD~1) $(karta releases --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["data"][0]["id"])')"`);
  const [spare, session, commit, release] = last.split(' ');
  const admin = await run('cat ../admin');
  await run(`karta send --quiet --session ${session} Hello`);
  const more = { ...vars, SPARE: spare, session, ID: session, SHORT: commit.slice(0, 8), COMMIT: commit, RELEASE: release, PR: '7', BRANCH: 'old', PROJECT: 'support-bot',
    auth: `Authorization: Bearer ${admin}`, base: 'http://localhost:8000', VAR: path.join(home, 'var'), BACKUPS: home };
  // A service's folder that is somebody's: what looks after one looks at it.
  mkdirSync(path.join(home, 'var'));
  await run(`karta serve --init-only --data ${path.join(home, 'var')} --key-file ../other-key 2>/dev/null; karta serve backup ${home}/karta-2026-11-22.tar --data ${path.join(home, 'var')} 2>/dev/null`);
  const wrong = [];
  for (const b of of('hosted')) {
    const text = b.commands.map((c) => c.text).join('\n');
    const ci = b.file === 'docs/ci.md' ? { KARTA_SERVER: 'http://localhost:8000', KARTA_API_KEY: admin } : {};
    // Each on a project that no pin holds, with a change to push where something is pushed.
    if (/push|deploy|rollback/.test(text)) await run(`karta releases unpin --quiet; date +%N >now; git add now; git commit -qm "a change"`);
    // Keys of the same names are made by several documents, and taken back by name.
    for (const [, name] of text.matchAll(/keys create ([\w-]+)/g)) await run(`karta keys revoke ${name} --yes 2>/dev/null || true`);
    if (/git diff/.test(text)) await run('echo "One line more." >>README.md');
    if (/push .*--delete try/.test(text) === false && /ci\.md/.test(b.file)) await run('git push -q karta HEAD:refs/heads/old 2>/dev/null; git push -q -o pr=7 karta HEAD 2>/dev/null || true');
    await type(b, dir, { ...more, ...ci }, wrong);
  }
  assert.deepEqual(wrong, []);
});

test('with a server that the block itself starts', opts, async (t) => {
  const wrong = [];
  for (const b of of('own')) {
    const home = tempDir(t, 'home');
    const dir = path.join(home, 'support-bot');
    example(dir);
    for (const name of ['my-agent', 'app']) if (b.commands.some((c) => c.text.includes(name))) example(path.join(dir, name));
    writeFileSync(path.join(dir, 'anthropic-key'), 'dummy\n');
    await type(b, dir, env(home, { VAR: path.join(home, 'var/karta'), BACKUPS: home, KARTA_OFFLINE: '1' }), wrong);
  }
  assert.deepEqual(wrong, []);
});

test('the line for cron, with what cron gives it', opts, async (t) => {
  const lines = readFileSync(path.join(ROOT, 'docs/hosting.md'), 'utf8').split('\n').map((l) => l.replace(/^ {4}/, ''));
  const at = lines.indexOf('# /etc/cron.d/karta');
  const search = /^PATH=(.*)$/.exec(lines[at + 1])[1];
  const [, user, command] = /^\S+ \S+ \S+ \S+ \S+ (\w+) (.*)$/.exec(lines[at + 2]);
  assert.equal(user, 'karta');
  const home = tempDir(t, 'home');
  // What is installed by `make install` is in /usr/local/bin; the folders are a service's.
  const here_ = (text) => text.replaceAll('/usr/local/bin', path.dirname(KARTA)).replaceAll('/var/lib/karta', `${home}/data`).replaceAll('/var/backups/karta', `${home}/backups`);
  assert.match(lines.slice(at - 3, at).join('\n'), /install -d .* \/var\/backups\/karta/);
  mkdirSync(path.join(home, 'backups'));
  const [made, said] = await bash(`karta serve --init-only --data ${home}/data --key-file ${home}/key`, home, env(home));
  assert.equal(made, 0, said);
  // crontab(5): a percent sign without a backslash ends the command.
  assert.doesNotMatch(command, /[^\\]%/);
  const r = spawnSync('/bin/sh', ['-c', here_(command.replaceAll('\\%', '%'))], { cwd: home, encoding: 'utf8', env: { HOME: home, LOGNAME: 'karta', PATH: here_(search), ASAN_OPTIONS: 'detect_leaks=0' } });
  assert.equal(r.status, 0, r.stderr);
  assert.equal(readdirSync(path.join(home, 'backups')).filter((f) => /^\d{4}-\d\d-\d\d\.tar$/.test(f)).length, 1);
});
