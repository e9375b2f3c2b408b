// SPDX-License-Identifier: MIT
// What a command says when it is refused: each names the key, the server, the project or what else is not there, and
// the next command to type; none repeats words that are meant for who writes requests.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { S, WORDS } from './commands.mjs';
import { Client } from './document.mjs';
import { KARTA, LONG, PATIENCE_MS, fakeApp, startKarta, tempDir, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

/* They read a folder, or have their own tests. */
const SILENT = ['init', 'agents', 'doctor', 'logout'];
/* For who writes requests, not for who types commands. */
const FOR_CLIENTS = /header|Authorization|Bearer|\?project=|in the body|'\w+' is missing|nothing at this path|problem\+json|\b40[134]\b/i;
/* A command of ours or git's, as one types it. */
const COMMAND = /^hint: .*\b(karta (?!server)[a-z]+|git push)/m;
const GONE = `kt_live_${'z'.repeat(34)}GONE`;

async function run(args, cwd, env) {
  const child = spawn(KARTA, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const r = { err: '' };
  child.stdout.resume();
  child.stderr.on('data', (d) => { r.err += d; });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  [r.status] = await once(child, 'close');
  clearTimeout(timer);
  return r;
}

/** A home with an application named shop, and what is needed to run a command there. */
function home(t) {
  const dir = tempDir(t, 'words');
  writeFiles(path.join(dir, 'app'), { 'CLAUDE.md': 'Hello.\n', '../vars': 'A=1\n', 'karta.toml': 'name = "shop"\n' });
  mkdirSync(path.join(dir, 'home'));
  const env = { PATH: process.env.PATH, HOME: path.join(dir, 'home'), GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null',
    LC_ALL: 'C.UTF-8', VISUAL: '/bin/true', ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1' };
  const app = path.join(dir, 'app');
  return { app, env, words: (command) => [...command.split(' '), '--no-input', '--timeout', '20s', ...WORDS[command].map((w) => ({ '@PLAIN': app, '@APP': app, '@ENV': path.join(app, '../vars') })[w] ?? w)] };
}

const commands = Object.entries(WORDS).filter(([c, words]) => words && !SILENT.includes(c)).map(([c]) => c);

/** Run each command; `look` says what is wrong with {status, err}, or nothing. */
async function each(t, list, env, look) {
  const h = home(t);
  const wrong = [];
  for (const command of list) {
    const r = await run(h.words(command), h.app, { ...h.env, ...env });
    const why = look(r, command) || (r.status !== 0 && ((FOR_CLIENTS.test(r.err) && 'words for clients') || (!COMMAND.test(r.err) && 'no next command')))
      || (/Sanitizer|runtime error/.test(r.err) && 'a sanitizer');
    if (why) wrong.push(`${command}: ${why}: ${r.status} ${r.err}`);
  }
  assert.deepEqual(wrong, []);
}

const has = (err, ...all) => all.find((x) => !(x instanceof RegExp ? x.test(err) : err.includes(x)));

test('refused: every command names key and server, and what to do', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const made = async (scopes) => (await c.call('POST', '/v1/keys', [], { body: { name: scopes.join(), scopes } })).body;
  const server = karta.url;
  const signed = commands.filter((x) => x !== 'login');
  const missing = (r, ...all) => { const x = has(r.err, ...all); return x && `lacks ${x}`; };

  await t.test('nobody is signed in', () => each(t, signed, { KARTA_SERVER: server }, (r) =>
    (r.status !== 4 && 'status') || missing(r, `not signed in to ${server}\n`, `karta login --server ${server}`)));
  await t.test('the key is not taken', () => each(t, signed, { KARTA_SERVER: server, KARTA_API_KEY: GONE }, (r) =>
    (r.status !== 4 && 'status') || missing(r, server, 'the key that ends in GONE', 'KARTA_API_KEY', `karta login --server ${server}`)));
  await t.test('the key lacks a scope', async () => {
    const [reader, writer] = [await made(['read']), await made(['write'])];
    /* What the one key may, the other may not; what neither may needs admin. */
    for (const key of [reader, writer]) {
      await each(t, signed, { KARTA_SERVER: server, KARTA_API_KEY: key.key }, (r) => {
        if (r.status !== 4) return /* it may */ r.err.includes('lacks the scope') && 'status';
        return missing(r, server, `the key that ends in ${key.last4}`, /lacks the scope '\w+'/, /karta login (--admin )?--server/);
      });
    }
    const env = { KARTA_SERVER: server, KARTA_API_KEY: reader.key };
    await each(t, ['keys create', 'audit', 'projects delete', 'rollback'], env, (r) => (r.status !== 4 && 'status') || missing(r, "scope 'admin'", 'karta login --admin'));
  });
});

test('what is not there is named: project, release, session, key, variable', async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const env = { KARTA_SERVER: karta.url, KARTA_API_KEY: karta.key };
  const ofProject = commands.filter((x) => !/^(login|whoami|keys|audit|projects$|projects (list|create|add|default)|deploy)/.test(x));
  await each(t, ofProject, env, (r) => (r.status !== 5 && 'status') || (has(r.err, `there is no project 'shop' on ${karta.url}\n`, 'karta projects create shop') && 'words'));
  await publish(c, 'shop', archive(t, {}, 'shop'));
  await each(t, ['sessions show', 'sessions approvals', 'sessions tail', 'sessions export', 'sessions delete', 'sessions rename', 'send'], env, (r) =>
    (r.status !== 5 && 'status') || (has(r.err, `there is no session '${S}' of shop on ${karta.url}\n`, 'karta sessions -p shop') && 'words'));
  await each(t, ['keys revoke'], env, (r) => (r.status !== 5 && 'status') || (has(r.err, `there is no key 'key_1' on ${karta.url}\n`, 'karta keys') && 'words'));
  await each(t, ['config get'], env, (r) => (r.status !== 5 && 'status') || (has(r.err, `'NAME' is not set for shop on ${karta.url}\n`, 'karta config -p shop') && 'words'));
  const h = home(t);
  for (const words of ['releases show v77', 'releases download v77', 'releases diff v1 v77', 'releases activate v77', 'rollback --to v77']) {
    const r = await run(words.split(' '), h.app, { ...h.env, ...env });
    assert.equal(r.status, 5, r.err);
    assert.match(r.err, new RegExp(`there is no release 'v77' of shop on ${karta.url}\nhint: 'karta releases shop' lists them`), words);
  }
  /* And to who writes requests in one text, wherever it is found out. */
  for (const [route, values] of [['/agent_projects/{project_ref}', ['no']], ['/agent_projects/{project_ref}/logs', ['no']], ['/agent_projects/{project_ref}/config', ['no']],
    ['/agent_projects/{project_ref}/releases', ['no']], ['/agent_projects/{project_ref}/refs', ['no']], ['/agent_projects/{project_ref}/releases/{version}/log', ['no', 'v1']],
    ['/v1/projects/{project_ref}/sessions', ['no']]]) {
    const rs = await c.call('GET', route, values);
    assert.equal(`${rs.status} ${rs.body.detail}`, '404 there is no such project', route);
  }
  /* A project with nothing in it says how something comes into it. */
  await c.call('POST', '/agent_projects', [], { body: { slug: 'bare' } });
  for (const words of ['send hi -p bare', 'chat -p bare']) {
    const r = await run(words.split(' '), h.app, { ...h.env, ...env });
    assert.ok(r.status === 6 || r.status === 0, r.err);
    if (r.status) assert.match(r.err, /bare on .* has no live release yet\nhint: .*git push karta main, or karta deploy bare/);
  }
});

test('a server that hosts nothing, and what is no karta server, are named', async (t) => {
  const dir = tempDir(t, 'words-dev');
  fakeApp(dir);
  const dev = await startKarta(t, dir);
  const other = http.createServer((req, res) => { res.writeHead(404); res.end('<h1>no</h1>'); }).listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const web = `http://127.0.0.1:${other.address().port}`;
  const managed = ['whoami', 'keys', 'audit', 'projects', 'releases', 'config', 'logs', 'open', 'rollback', 'deploy'];
  await each(t, managed, { KARTA_SERVER: dev.url }, (r) => (r.status !== 5 && 'status') || (!r.err.includes(`${dev.url} hosts no projects`) && 'words'));
  await each(t, LONG ? commands : [...managed, 'send', 'sessions', 'chat', 'login'], { KARTA_SERVER: web, KARTA_API_KEY: GONE }, (r) =>
    (r.status !== 5 && 'status') || (!r.err.includes(`${web} is no karta server`) && 'words'));
});
