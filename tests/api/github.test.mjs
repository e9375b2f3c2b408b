// SPDX-License-Identifier: MIT
// GitHub's webhooks, end to end: signed deliveries against a hosting server whose GitHub is a stand-in on loopback that
// serves what `git archive` makes of a real repository, behind a redirect to another host name, as GitHub does.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { Client } from './document.mjs';
import { KARTA, eventually, fakeApp, sleep, tempDir, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

const P = '/agent_projects/{project_ref}';
const SECRET = "It's a Secret to Everybody"; // that of GitHub's own documentation
const TOKEN = ['github', 'pat', '11TESTTOKEN0123456789'].join('_');
const ZERO = '0'.repeat(40);

let repos = 0;

/* A repository with commits to be pushed, which no other has. */
class Repo {
  constructor(t, name = 'bot', files = {}) {
    this.dir = tempDir(t, 'repo');
    this.name = name;
    this.env = { PATH: process.env.PATH, HOME: this.dir, GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.com', GIT_COMMITTER_DATE: `${1.7e9 + ++repos} +0000` };
    this.git('init', '-q', '-b', 'main');
    fakeApp(this.dir, files);
    this.head = this.commit('first');
  }
  git(...args) { return execFileSync('git', ['-C', this.dir, ...args], { env: this.env, maxBuffer: 1 << 28 }); }
  commit(message, files = {}) {
    writeFiles(this.dir, { 'note.txt': message, ...files });
    this.git('add', '-A');
    this.git('commit', '-qm', message);
    return this.git('rev-parse', 'HEAD').toString().trim();
  }
}

/* The API at one host name, the archives at another. hooks: what a path does instead. */
async function startGithub(t, repos) {
  const gh = { requests: [], hooks: new Map(), open: new Set() };
  const listen = async (fn) => {
    const s = http.createServer((rq, rs) => {
      gh.requests.push({ host: rq.headers.host, url: rq.url, authorization: rq.headers.authorization, agent: rq.headers['user-agent'] });
      gh.open.add(rs);
      rs.on('close', () => gh.open.delete(rs));
      fn(rq, rs);
    });
    s.listen(0, '127.0.0.1');
    await once(s, 'listening');
    t.after(() => { s.closeAllConnections(); s.close(); });
    return s.address().port;
  };
  gh.filePort = await listen((rq, rs) => {
    const [, name, sha] = rq.url.split('/');
    const hook = gh.hooks.get(`file ${sha}`);
    if (hook) hook(rq, rs);
    else gh.send(rs, name, sha);
  });
  gh.apiPort = await listen((rq, rs) => {
    const m = /^\/repos\/acme\/([\w-]+)\/tarball\/([0-9a-f]{40})$/.exec(rq.url);
    const hook = gh.hooks.get(m?.[2]);
    const end = (status, message) => rs.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
    if (hook) hook(rq, rs);
    else if (!m || !repos[m[1]]) end(404, 'Not Found');
    else if (rq.headers.authorization !== `Bearer ${TOKEN}`) end(404, 'Not Found');
    else rs.writeHead(302, { location: `http://localhost:${gh.filePort}/${m[1]}/${m[2]}` }).end();
  });
  gh.tar = (name, sha) => repos[name].git('archive', '--format=tar.gz', `--prefix=acme-${name}-${sha.slice(0, 7)}/`, sha);
  gh.send = (rs, name, sha) => rs.writeHead(200, { 'content-type': 'application/x-gzip' }).end(gh.tar(name, sha));
  gh.url = `http://127.0.0.1:${gh.apiPort}`;
  return gh;
}

const sign = (body, secret) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

/* A delivery as GitHub makes it. */
async function deliver(karta, event, payload, { secret = SECRET, id = randomUUID(), signature, raw, project } = {}) {
  const body = raw ?? JSON.stringify(payload);
  const headers = { 'x-github-event': event, 'x-github-delivery': id, 'user-agent': 'GitHub-Hookshot/1', 'content-type': 'application/json' };
  const signed = signature === undefined ? sign(body, secret) : signature;
  if (signed !== null) headers['x-hub-signature-256'] = signed;
  if (project) return new Client(karta).call('POST', '/webhooks/github/{project_id}', [project], { raw: body, headers });
  return new Client(karta).call('POST', '/webhooks/github', [], { raw: body, headers });
}

const repository = (name) => ({ id: 1, full_name: `acme/${name}`, clone_url: `https://github.com/acme/${name}.git`, html_url: `https://github.com/acme/${name}` });
/* What happens has a time of its own, the same in each delivery of it. */
const times = new Map();
const timeOf = (what) => {
  if (!times.has(what)) times.set(what, Math.floor(Date.now() / 1000) + times.size);
  return times.get(what);
};
const pushed = (after, { name = 'bot', ref = 'refs/heads/main', before = ZERO, message = 'a push', at = timeOf(`${name} ${ref} ${after}`), ...more } = {}) => ({
  ref, before, after, deleted: after === ZERO, forced: false, head_commit: after === ZERO ? null : { id: after, message: `${message}\n\nMore.` },
  repository: { ...repository(name), pushed_at: at }, ...more });
const pulled = (action, number, sha, { name = 'bot', head = `acme/${name}`, branch = 'feature', title = 'A title' } = {}) => ({
  action, number, repository: repository(name),
  pull_request: { number, title, updated_at: new Date(timeOf(`${name} ${action} ${number} ${sha}`) * 1000).toISOString(), head: { ref: branch, sha, repo: head && { full_name: head } }, base: { ref: 'main', sha: ZERO, repo: { full_name: `acme/${name}` } } } });

function karta(server, args, input = '', env = {}) {
  return new Promise((resolve) => {
    const child = execFile(KARTA, args, { env: { PATH: process.env.PATH, HOME: server.home, KARTA_SERVER: server.url, KARTA_API_KEY: server.key,
      ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1', ...env } }, (e, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }));
    child.stdin.end(input);
  });
}

/* A server, its GitHub, and the project "bot" bound to acme/bot. */
async function start(t, { files, repos = {}, env = {}, token = TOKEN } = {}) {
  const repo = new Repo(t, 'bot', files);
  const all = { bot: repo, ...repos };
  const gh = await startGithub(t, all);
  const server = await startServe(t, { env: { KARTA_GITHUB_URL: gh.url, KARTA_PRIVATE_HOSTS: 'localhost', ...env } });
  const c = new Client(server, server.key);
  const secret = path.join(server.home, 'secret');
  writeFileSync(secret, `${SECRET}\n`);
  assert.equal((await c.call('POST', '/agent_projects', [], { body: { slug: 'bot' } })).status, 201);
  const bound = await karta(server, ['projects', 'bind', 'bot', '--repo', 'https://github.com/acme/bot', '--token-stdin', '--secret-file', secret], `${token}\n`);
  assert.equal(bound.code, 0, bound.stderr);
  assert.match(bound.stdout, new RegExp(`^url +${server.url}/webhooks/github/proj_\\w+$`, 'm'));
  assert.ok(!(bound.stdout + bound.stderr).includes(SECRET) && !(bound.stdout + bound.stderr).includes(token), 'secrets stay where they are');
  const s = { repo, gh, server, c, secret };
  s.releases = async (project = 'bot') => (await c.call('GET', `${P}/releases`, [project])).body.data;
  s.project = async (project = 'bot') => (await c.call('GET', P, [project])).body;
  s.log = async (project = 'bot') => (await c.call('GET', `${P}/logs`, [project])).lines?.map((l) => l.data.text ?? '') ?? [];
  s.said = (what, project) => eventually(async () => (await s.log(project)).find((l) => what.test(l)), `${what} in the log`);
  s.release = (commit, state, project = 'bot') => eventually(async () => (await s.releases(project)).find((r) => r.commit_sha === commit && r.state === state),
    `${commit.slice(0, 7)} ${state}`);
  s.preview = async (label, project = 'bot') => (await s.project(project)).previews.find((p) => p.label === label);
  return s;
}

async function accepted(server, event, payload, more) {
  const r = await deliver(server, event, payload, more);
  assert.deepEqual([r.status, r.body.accepted], [202, true], r.text);
  return r;
}
/* The same delivery, taken as soon as the one before it is over. */
const onceMore = (...args) => eventually(async () => (await deliver(...args)).status === 202, 'it is taken again');
async function ignored(why, server, event, payload, more) {
  const r = await deliver(server, event, payload, more);
  assert.equal(r.status, 200, r.text);
  assert.match(r.body.ignored, why);
}

/* It is half a minute of nothing: it begins before the tests and is looked at behind them. */
const ends = [];
after(async () => { for (const end of ends.reverse()) await end(); });
const silence = (async () => {
  const s = await start({ after: (end) => ends.push(end) });
  const silent = s.repo.commit('silent');
  s.gh.hooks.set(`file ${silent}`, (rq, rs) => { rs.writeHead(200); rs.write('x'.repeat(100)); });
  const began = Date.now();
  await accepted(s.server, 'push', pushed(silent));
  await accepted(s.server, 'push', pushed(s.repo.head));
  return { s, silent, began };
})();
silence.catch(() => {}); // told by its test

test('a push to the production branch is fetched, built and live; the token stays with its host', async (t) => {
  const s = await start(t);
  const r = await accepted(s.server, 'push', pushed(s.repo.head, { message: 'the first' }));
  assert.deepEqual([r.body.project, r.body.commit_sha], ['bot', s.repo.head]);
  const v1 = await s.release(s.repo.head, 'active');
  assert.deepEqual([v1.version, v1.ref, v1.source, v1.message, v1.created_by, v1.pr, v1.fork],
    ['v1', 'refs/heads/main', 'webhook', 'the first', 'github', null, false]);

  const [api, file] = s.gh.requests;
  assert.equal(s.gh.requests.length, 2);
  assert.deepEqual([api.host, api.url, api.authorization], [`127.0.0.1:${s.gh.apiPort}`, `/repos/acme/bot/tarball/${s.repo.head}`, `Bearer ${TOKEN}`]);
  assert.match(api.agent, /^karta\//);
  assert.deepEqual([file.host, file.authorization], [`localhost:${s.gh.filePort}`, undefined]);

  // The folder around GitHub's tarball is not part of the release; its files are those of the commit.
  const manifest = (await s.c.call('GET', `${P}/releases/{version}/manifest`, ['bot', 'v1'])).text;
  assert.deepEqual(manifest.match(/[^ \n]+$/gm).sort(), ['AGENTS.md', 'karta.toml', 'note.txt']);
  assert.deepEqual((await s.c.call('GET', `${P}/refs`, ['bot'])).body.refs, { 'refs/heads/main': s.repo.head });
  assert.equal((await s.c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot'], { body: {} })).status, 201);

  // Again is a new release of the same code; the next one follows; neither secret is anywhere to be read.
  const second = s.repo.commit('second');
  await accepted(s.server, 'push', pushed(second));
  await s.release(second, 'active');
  assert.equal((await s.releases()).find((x) => x.version === 'v1').state, 'superseded');
  const audit = (await s.c.call('GET', '/v1/audit', [], { query: '?limit=50' })).body.data;
  assert.ok(audit.some((a) => a.action === 'release.create' && a.actor_name === 'github'));
  const told = JSON.stringify([audit, await s.log(), await s.project(), s.server.err]);
  assert.ok(!told.includes(TOKEN) && !told.includes(SECRET));
  for (const file of ['karta.db', 'karta.db-wal']) {
    const bytes = readFileSync(path.join(s.server.data, file));
    assert.ok(!bytes.includes(TOKEN) && !bytes.includes(SECRET), file);
  }
});

test('signatures: good, bad, missing, another project\'s', async (t) => {
  const other = new Repo(t, 'other');
  const s = await start(t, { repos: { other } });
  const body = JSON.stringify(pushed(s.repo.head));
  const good = sign(body, SECRET);
  const wrong = [null, '', 'sha256=', good.slice(7), good.slice(0, -1), `${good}0`, `sha256=${'0'.repeat(64)}`, good.toUpperCase(), sign(body, 'other'), sign(`${body} `, SECRET),
    `sha1=${createHmac('sha1', SECRET).update(body).digest('hex')}`, sign(body, '')];
  for (const signature of wrong) {
    const r = await deliver(s.server, 'push', null, { raw: body, signature });
    assert.deepEqual([r.status, r.body.code], [401, 'bad_signature'], String(signature));
  }
  // Nothing is parsed before: neither is what it is told apart.
  assert.equal((await deliver(s.server, 'push', null, { raw: '{', signature: good })).body.code, 'bad_signature');
  assert.equal((await deliver(s.server, 'push', null, { raw: '{' })).body.code, 'bad_json');
  assert.equal((await deliver(s.server, 'push', null, { raw: '[]' })).status, 400);
  // The address of a project takes what its secret has signed, and nothing else.
  const { id } = await s.project();
  for (const [project, more] of [['proj_none', {}], [id, { secret: 'other' }], ['..%2f..', {}]])
    assert.equal((await deliver(s.server, 'ping', { zen: 'x' }, { project, ...more })).status, 401, project);
  assert.equal((await deliver(s.server, 'ping', { zen: 'x' }, { project: id })).status, 200);

  // Another project's secret speaks for that project alone, and each project for its repository alone.
  await s.c.call('POST', '/agent_projects', [], { body: { slug: 'other' } });
  await s.c.call('PATCH', P, ['other'], { body: { repo_url: 'https://github.com/acme/other.git', repo_token: TOKEN, webhook_secret: 'other' } });
  await ignored(/not the bound repository/, s.server, 'push', pushed(s.repo.head), { secret: 'other' });
  await ignored(/not the bound repository/, s.server, 'push', pushed(other.head, { name: 'other' }));
  await accepted(s.server, 'push', pushed(other.head, { name: 'other' }), { secret: 'other' });
  await s.release(other.head, 'active', 'other');
  assert.deepEqual(await s.releases(), []);

  // What is no code.
  await ignored(/not a push/, s.server, 'ping', { zen: 'Speak like a human.', repository: repository('bot') });
  await ignored(/not the production branch/, s.server, 'push', pushed(s.repo.head, { ref: 'refs/heads/feature' }));
  await ignored(/not the production branch/, s.server, 'push', pushed(s.repo.head, { ref: 'refs/tags/main' }));
  await ignored(/nothing was pushed/, s.server, 'push', pushed(ZERO));
  await ignored(/nothing was pushed/, s.server, 'push', pushed('../../../etc/passwd'));
  for (const action of ['labeled', 'edited', 'assigned'])
    await ignored(/nothing changed/, s.server, 'pull_request', pulled(action, 1, s.repo.head));
  await ignored(/no number/, s.server, 'pull_request', pulled('opened', 0, s.repo.head));
  await ignored(/no commit/, s.server, 'pull_request', pulled('opened', 1, 'HEAD'));
  assert.equal(s.gh.requests.filter((r) => r.url.includes('/bot/')).length, 0);

  // The binding is undone: its secret opens nothing.
  assert.equal((await karta(s.server, ['projects', 'bind', 'bot', '--none'])).code, 0);
  assert.equal((await deliver(s.server, 'push', pushed(s.repo.head))).status, 401);
});

test('another production branch, another name, and a repository that is bound twice', async (t) => {
  const s = await start(t);
  await s.c.call('PATCH', P, ['bot'], { body: { production_ref: 'refs/heads/release' } });
  await ignored(/not the production branch/, s.server, 'push', pushed(s.repo.head));
  // A second project of the same repository and secret has main.
  await s.c.call('POST', '/agent_projects', [], { body: { slug: 'staging' } });
  await s.c.call('PATCH', P, ['staging'], { body: { repo_url: 'git@github.com:acme/bot.git', webhook_secret: SECRET } }).then((r) => assert.equal(r.status, 422, r.text));
  await s.c.call('PATCH', P, ['staging'], { body: { repo_url: 'https://github.com/Acme/Bot.git', repo_token: TOKEN, webhook_secret: SECRET } });
  await accepted(s.server, 'push', pushed(s.repo.head));
  await s.release(s.repo.head, 'active', 'staging');
  assert.deepEqual(await s.releases(), []);
  await accepted(s.server, 'push', pushed(s.repo.head, { ref: 'refs/heads/release' }));
  await s.release(s.repo.head, 'active');
  // A pull request is a preview of both.
  const sha = s.repo.commit('for both');
  await accepted(s.server, 'pull_request', pulled('opened', 3, sha));
  await s.release(sha, 'preview');
  await s.release(sha, 'preview', 'staging');
  assert.ok(await s.preview('staging-pr-3', 'staging') && await s.preview('bot-pr-3'));
});

test('a pull request: opened, synchronized, closed', async (t) => {
  const s = await start(t);
  await accepted(s.server, 'push', pushed(s.repo.head));
  await s.release(s.repo.head, 'active');
  await ignored(/no preview/, s.server, 'pull_request', pulled('closed', 7, s.repo.head));

  s.repo.git('checkout', '-qb', 'feature');
  const one = s.repo.commit('one');
  await accepted(s.server, 'pull_request', pulled('opened', 7, one, { title: 'Say hello\nand more' }));
  const p1 = await s.release(one, 'preview');
  assert.deepEqual([p1.preview, p1.pr, p1.ref, p1.message, p1.fork, p1.url], ['bot-pr-7', 7, 'refs/pull/7/head', 'Say hello', false, `http://bot-pr-7.localhost:${s.server.port}`]);
  assert.ok(Math.abs(new Date(p1.expires_at) - Date.now() - 72 * 3600e3) < 900e3, p1.expires_at);
  const session = (await s.c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot-pr-7'], { body: {} })).body;
  assert.equal(session.release, p1.version, JSON.stringify(session));

  const two = s.repo.commit('two');
  await accepted(s.server, 'pull_request', pulled('synchronize', 7, two));
  await s.release(two, 'preview');
  assert.equal((await s.preview('bot-pr-7')).version, 'v3');
  assert.equal((await s.releases()).find((r) => r.commit_sha === one).state, 'expired');
  assert.equal((await s.project()).current.version, 'v1', 'production stays');

  // One closes, the others stay; the same again finds none. Its sessions go on.
  await accepted(s.server, 'pull_request', pulled('opened', 8, two));
  await eventually(() => s.preview('bot-pr-8'), 'the preview of 8');
  await accepted(s.server, 'pull_request', pulled('closed', 7, two));
  assert.deepEqual((await s.project()).previews.map((p) => p.label), ['bot-pr-8']);
  assert.equal((await s.releases()).find((r) => r.version === 'v3').state, 'expired');
  await ignored(/was seen/, s.server, 'pull_request', pulled('closed', 7, two));
  assert.equal((await s.c.call('POST', '/v1/projects/{project_ref}/sessions', ['bot-pr-7'], { body: {} })).status, 404);
  assert.equal((await s.c.call('GET', '/v1/sessions/{session_id}', [session.id])).status, 200);
  assert.equal((await s.c.call('POST', '/v1/sessions/{session_id}/messages', [session.id], { body: { text: '[[text:still here]]' } })).status, 200);

  // Reopened it is back.
  await accepted(s.server, 'pull_request', pulled('reopened', 7, two));
  await eventually(() => s.preview('bot-pr-7'), 'the preview again');
  const audit = (await s.c.call('GET', '/v1/audit', [], { query: '?limit=100' })).body.data.map((a) => a.action);
  assert.ok(audit.includes('preview.create') && audit.includes('preview.end'));
});

test('a pull request that is closed at any moment of its way leaves no preview', async (t) => {
  const s = await start(t, { files: Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`many/${i}`, `${i}`])) });
  s.repo.git('checkout', '-qb', 'feature');
  const shas = Array.from({ length: 16 }, (_, i) => s.repo.commit(`pr ${i}`));
  for (const [i, sha] of shas.entries()) {
    await accepted(s.server, 'pull_request', pulled('opened', 20 + i, sha));
    // While it waits, comes, is published, queued, built, and when it is there.
    if (i % 4) await eventually(() => s.gh.requests.some((r) => r.url === `/bot/${sha}`), 'the download');
    if (i % 4 === 2) await eventually(async () => (await s.releases()).some((r) => r.commit_sha === sha), 'its release');
    if (i % 4 === 3) await sleep(i * 4);
    await deliver(s.server, 'pull_request', pulled('closed', 20 + i, sha));
  }
  await eventually(async () => {
    const log = await s.log();
    const mine = await s.releases();
    return shas.every((sha) => log.some((l) => l.includes(`${sha} was not deployed`)) || mine.some((r) => r.commit_sha === sha && r.state === 'expired'));
  }, 'the end of each', 60000);
  assert.deepEqual((await s.project()).previews, []);

  // What was delivered too late is older than the end; what is newer is not.
  const at = (minute) => new Date(Date.UTC(2026, 5, 1, 12, minute)).toISOString();
  const dated = (action, minute, number, sha) => {
    const p = pulled(action, number, sha);
    p.pull_request.updated_at = at(minute);
    return p;
  };
  await ignored(/no preview/, s.server, 'pull_request', dated('closed', 5, 90, shas[0]));
  await ignored(/was closed/, s.server, 'pull_request', dated('synchronize', 4, 90, shas[0]));
  await accepted(s.server, 'pull_request', dated('reopened', 6, 90, shas[0]));
  await eventually(() => s.preview('bot-pr-90'), 'the preview');
});

test('a ref that is deleted while it is built leaves no preview', async (t) => {
  const s = await start(t);
  const c = new Client(s.server, s.server.key);
  for (let i = 0; i < 6; i++) {
    const sent = await publish(c, 'refd', archive(t, { 'n.txt': `${i}` }, 'refd'), `?ref=feature-${i}`, { prefer: 'respond-async' });
    assert.equal(sent.status, 202, sent.text);
    await sleep(i * 3);
    assert.equal((await c.call('DELETE', `${P}/refs`, ['refd'], { query: `?name=refs/heads/feature-${i}` })).status, 204);
  }
  await eventually(async () => (await s.releases('refd')).every((r) => r.state === 'expired'), 'the end of all');
  assert.deepEqual([(await s.project('refd')).previews, (await c.call('GET', `${P}/refs`, ['refd'])).body.refs], [[], {}]);
});

test('a deploy of a commit that the server does not have fetches it from the bound repository', async (t) => {
  const s = await start(t);
  const sha = s.repo.commit('not pushed');
  const later = s.repo.commit('later');
  const deploy = (body, project = 'bot', headers = {}) => s.c.call('POST', `${P}/deploys`, [project], { body, headers });
  const one = await deploy({ commit_sha: sha, message: 'by hand' }, 'bot', { 'idempotency-key': 'one' });
  assert.deepEqual([one.status, one.body.accepted, one.body.project, one.body.commit_sha], [202, true, 'bot', sha], one.text);
  const r = await s.release(sha, 'active');
  assert.deepEqual([r.id, r.version, r.message, r.source, r.ref], [one.body.deploy.id, one.body.deploy.version, 'by hand', 'redeploy', null]);
  assert.equal(s.gh.requests[0].authorization, `Bearer ${TOKEN}`);
  const again = await deploy({ commit_sha: sha, message: 'by hand' }, 'bot', { 'idempotency-key': 'one' });
  assert.deepEqual([again.status, again.body], [202, one.body]);
  assert.equal((await s.releases()).length, 1);
  assert.equal((await deploy({ commit_sha: later, activate: false })).status, 202);
  await s.release(later, 'ready');

  // By the command, from anywhere; what it prints and how it ends is as for any deploy.
  const third = s.repo.commit('third');
  const cmd = await karta(s.server, ['deploy', 'bot', '--commit', third]);
  assert.deepEqual([cmd.code, cmd.stdout.trim()], [0, `http://bot.localhost:${s.server.port}`], cmd.stderr);
  await s.release(third, 'active');

  // What GitHub does not have, and a GitHub that fails; nothing is released.
  const before = (await s.releases()).length;
  s.gh.hooks.set('f'.repeat(40), (rq, rs) => rs.writeHead(404).end());
  const absent = await deploy({ commit_sha: 'f'.repeat(40) });
  assert.deepEqual([absent.status, absent.body.code], [422, 'commit_not_found'], absent.text);
  s.gh.hooks.set('e'.repeat(40), (rq, rs) => rs.writeHead(500).end());
  const broken = await deploy({ commit_sha: 'e'.repeat(40) });
  assert.deepEqual([broken.status, broken.body.code], [502, 'fetch_failed'], broken.text);
  assert.match(broken.body.detail, /answered 500/);
  s.gh.hooks.set('d'.repeat(40), (rq) => rq.socket.destroy());
  const lost = await deploy({ commit_sha: 'd'.repeat(40) });
  assert.deepEqual([lost.status, lost.body.code], [502, 'fetch_failed'], lost.text);
  assert.equal((await s.releases()).length, before);

  // Nothing is bound: it is not there.
  await publish(s.c, 'unbound', archive(t, {}, 'unbound'));
  const none = await deploy({ commit_sha: 'f'.repeat(40) }, 'unbound');
  assert.deepEqual([none.status, none.body.code], [404, 'commit_not_found']);
});

test('deploy = false is not shipped by a push, and the log says so', async (t) => {
  const s = await start(t);
  const toml = readFileSync(path.join(s.repo.dir, 'karta.toml'), 'utf8');
  await accepted(s.server, 'push', pushed(s.repo.head));
  await s.release(s.repo.head, 'active');
  const off = s.repo.commit('stays', { 'karta.toml': toml.replace(/^deploy = .*\n/m, '').replace(/^/, 'deploy = false\n') });
  await accepted(s.server, 'push', pushed(off));
  const failed = await s.release(off, 'failed');
  assert.equal(failed.error.code, 'not_deployed');
  await s.said(/deploy = false/);
  assert.equal((await s.project()).current.version, 'v1');
});

test('a pull request from a fork gets no secrets', async (t) => {
  const s = await start(t);
  const toml = readFileSync(path.join(s.repo.dir, 'karta.toml'), 'utf8');
  const needs = s.repo.commit('needs', { 'karta.toml': `${toml}[env]\nSECRET_WORD = { required = true }\n` });
  await accepted(s.server, 'pull_request', pulled('opened', 1, needs));
  assert.equal((await s.release(needs, 'failed')).error.code, 'config_unbound');
  await s.c.call('PATCH', `${P}/config`, ['bot'], { body: { set: { SECRET_WORD: 'sesame-0123456789' } } });

  for (const [pr, head, fork] of [[2, 'acme/bot', false], [3, 'ACME/Bot', false], [4, 'stranger/bot', true], [5, null, true]]) {
    await accepted(s.server, 'pull_request', pulled('opened', pr, needs, { head }));
    await eventually(() => s.preview(`bot-pr-${pr}`), `the preview of ${pr}`);
    const r = (await s.releases()).find((x) => x.pr === pr);
    assert.equal(r.fork, fork, `${pr}`);
    // The agent's own environment: it is what its session was started with.
    const session = (await s.c.call('POST', '/v1/projects/{project_ref}/sessions', [`bot-pr-${pr}`], { body: {} })).body;
    await s.c.call('POST', '/v1/sessions/{session_id}/messages', [session.id], { body: { text: '[[text:hello]]' } });
    const agents = execFileSync('sh', ['-c', `grep -lz -- KARTA_SESSION_ID=${session.id} /proc/[0-9]*/environ 2>/dev/null || true`]).toString().trim().split('\n').filter(Boolean);
    assert.ok(agents.length > 0, 'an agent runs');
    const environ = agents.map((f) => { try { return readFileSync(f, 'latin1'); } catch { return ''; } }).join('\0');
    assert.equal(environ.includes('sesame-0123456789'), !fork, `${head}`);
    assert.ok(environ.includes('KARTA_ENVIRONMENT=preview') && !environ.includes(TOKEN));
  }
  assert.ok((await s.log()).some((l) => /fork gets no secrets/.test(l)));
});

test('a delivery that is replayed does nothing twice; one that failed may be delivered again', async (t) => {
  const s = await start(t);
  const id = randomUUID();
  await accepted(s.server, 'push', pushed(s.repo.head), { id });
  // While it is worked on, and after.
  await ignored(/was seen/, s.server, 'push', pushed(s.repo.head), { id });
  await s.release(s.repo.head, 'active');
  await eventually(async () => (await deliver(s.server, 'push', pushed(s.repo.head), { id })).body.ignored, 'seen');
  // The id is not signed: another one makes no new delivery.
  await ignored(/was seen/, s.server, 'push', pushed(s.repo.head));
  assert.equal((await s.releases()).length, 1);
  const next = s.repo.commit('next');

  // GitHub has a bad day: what it was is in the log, the delivery can be sent again.
  const again = randomUUID();
  for (const [status, says] of [[404, /\(local address\) answered 404: is a token needed\?/], [500, /answered 500/], [401, /answered 401: is a token needed/], [204, /answered 204/]]) {
    s.gh.hooks.set(next, (rq, rs) => rs.writeHead(status).end(status === 204 ? undefined : '{"message":"no"}'));
    await onceMore(s.server, 'push', pushed(next), { id: again });
    await s.said(says);
    assert.equal((await s.releases()).length, 1);
  }
  s.gh.hooks.delete(next);
  await onceMore(s.server, 'push', pushed(next), { id: again });
  await s.release(next, 'active');
  await ignored(/was seen/, s.server, 'push', pushed(next), { id: again });
  // An old one that somebody kept puts nothing old live, also as a push that looks like another.
  await ignored(/was seen/, s.server, 'push', pushed(s.repo.head));
  await ignored(/newer state/, s.server, 'push', pushed(s.repo.head, { message: 'as captured elsewhere' }));
  await s.said(new RegExp(`${s.repo.head} of refs/heads/main was not deployed: a newer state is known`));
  assert.deepEqual((await s.releases()).filter((r) => r.state === 'active').map((r) => r.commit_sha), [next]);

  // A server that dies while it fetches forgets nothing that was not done.
  const last = s.repo.commit('last');
  const third = randomUUID();
  s.gh.hooks.set(last, () => {});
  await accepted(s.server, 'push', pushed(last), { id: third });
  await eventually(() => s.gh.requests.some((r) => r.url.endsWith(last)), 'a request that hangs');
  await s.server.stop('SIGKILL');
  s.gh.hooks.delete(last);
  const server = await startServe(t, { data: s.server.home, env: { KARTA_GITHUB_URL: s.gh.url, KARTA_PRIVATE_HOSTS: 'localhost' } });
  await accepted(server, 'push', pushed(last), { id: third });
  const c = new Client(server, s.server.key);
  await eventually(async () => (await c.call('GET', P, ['bot'])).body.current.version === 'v3', 'it is live');
});

test('redirects: few, to https or this machine, and back home with the token', async (t) => {
  const s = await start(t);
  const to = (location) => (rq, rs) => rs.writeHead(302, { location }).end();
  const bad = [
    [(sha) => `${s.gh.url}/repos/acme/bot/tarball/${sha}`, /redirects too often/],
    [() => 'http://192.0.2.1/x', /by https only/],
    [() => 'file:///etc/passwd', /no usable address/],
    [() => '//localhost/x', /no usable address/],
    [() => `http://user:pass@localhost:${s.gh.filePort}/x`, /./],
  ];
  for (const [i, [location, says]] of bad.entries()) {
    const sha = s.repo.commit(`bad ${i}`);
    s.gh.hooks.set(sha, to(location(sha)));
    await accepted(s.server, 'push', pushed(sha));
    const line = await s.said(new RegExp(`${sha} was not deployed: `));
    assert.match(line, says);
  }
  assert.deepEqual(await s.releases(), []);

  // api -> files -> api: the token is there where it belongs, at both ends.
  const sha = s.repo.commit('good');
  s.gh.hooks.set(sha, to(`http://localhost:${s.gh.filePort}/bot/${sha}`));
  s.gh.hooks.set(`file ${sha}`, to(`${s.gh.url}/files/${sha}`));
  s.gh.hooks.set(undefined, (rq, rs) => (rq.url === `/files/${sha}` ? to('/more')(rq, rs) : s.gh.send(rs, 'bot', sha)));
  const before = s.gh.requests.length;
  await accepted(s.server, 'push', pushed(sha));
  await s.release(sha, 'active');
  assert.deepEqual(s.gh.requests.slice(before).map((r) => [r.url.replace(sha, ''), r.authorization]), [['/repos/acme/bot/tarball/', `Bearer ${TOKEN}`],
    ['/bot/', undefined], ['/files/', `Bearer ${TOKEN}`], ['/more', `Bearer ${TOKEN}`]]);
});

test('archives that are too large, hostile, damaged or no archives', async (t) => {
  const s = await start(t, { env: { KARTA_MAX_ARCHIVE_BYTES: '200000', KARTA_MAX_RELEASE_BYTES: '400000' } });
  await accepted(s.server, 'push', pushed(s.repo.head));
  await s.release(s.repo.head, 'active');
  const dir = tempDir(t, 'hostile');
  const tar = (script) => execFileSync('python3', ['-c', `
import io, sys, tarfile
out = io.BytesIO()
tar = tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT)
def add(name, data=b"x", **more):
    i = tarfile.TarInfo(name); i.size = len(data)
    for k, v in more.items(): setattr(i, k, v)
    tar.addfile(i, io.BytesIO(data))
add("acme-bot-1234567/AGENTS.md", b"A test.\\n")
${script}
tar.close(); sys.stdout.buffer.write(out.getvalue())`], { cwd: dir });
  const cases = {
    'a path that leaves': [() => tar('add("acme-bot-1234567/../../escape")'), /\.\./],
    'an absolute path': [() => tar('add("/tmp/karta-escape")'), /absolute|escape/],
    'a link that leaves': [() => tar('add("acme-bot-1234567/out", b"", type=tarfile.SYMTYPE, linkname="../../../etc/passwd")'), /out/],
    'a device': [() => tar('add("acme-bot-1234567/dev", b"", type=tarfile.CHRTYPE)'), /dev/],
    'a file twice': [() => tar('add("acme-bot-1234567/twice")\nadd("acme-bot-1234567/twice", b"y")'), /twice/],
    'a bomb': [() => tar('add("acme-bot-1234567/bomb", b"0" * 30000000)'), /bomb|bytes/],
    'half of it': [() => s.gh.tar('bot', s.repo.head).subarray(0, 150), /./],
    'a page': [() => Buffer.from('<!DOCTYPE html><title>Unicorn!</title>'), /archive/],
    nothing: [() => Buffer.alloc(0), /./],
    'an archive without files': [() => execFileSync('sh', ['-c', 'tar czf - -T /dev/null']), /no files/],
  };
  for (const [name, [bytes, says]] of Object.entries(cases)) {
    const sha = s.repo.commit(name);
    s.gh.hooks.set(`file ${sha}`, (rq, rs) => rs.writeHead(200).end(bytes()));
    await accepted(s.server, 'push', pushed(sha));
    assert.match(await s.said(new RegExp(`${sha} was not deployed: `)), says, name);
  }
  // Larger than allowed, with and without its length.
  for (const headers of [{ 'content-length': '900000' }, {}]) {
    const sha = s.repo.commit(`large ${Object.keys(headers)}`);
    s.gh.hooks.set(`file ${sha}`, (rq, rs) => rs.writeHead(200, headers).end(Buffer.alloc(900000, 1)));
    await accepted(s.server, 'push', pushed(sha));
    assert.match(await s.said(new RegExp(`${sha} was not deployed: `)), /larger than 200000 bytes/);
  }
  // One that breaks off in the middle.
  const cut = s.repo.commit('cut');
  s.gh.hooks.set(`file ${cut}`, (rq, rs) => { rs.writeHead(200, { 'content-length': '5000' }); rs.write('x'.repeat(100)); setTimeout(() => rs.destroy(), 50); });
  await accepted(s.server, 'push', pushed(cut));
  await s.said(new RegExp(`${cut} was not deployed: `));

  assert.deepEqual((await s.releases()).map((r) => [r.version, r.state]), [['v1', 'active']], 'what is live stays');
  await eventually(() => execFileSync('ls', [path.join(s.server.data, 'tmp')]).length === 0, 'nothing is left');
  await s.server.stop();
  const fsck = await karta(s.server, ['fsck', '--data', s.server.data]);
  assert.equal(fsck.code, 0, fsck.stdout + fsck.stderr);
});

test('a build that fails leaves what is live; the log says why', async (t) => {
  const s = await start(t);
  await accepted(s.server, 'push', pushed(s.repo.head));
  await s.release(s.repo.head, 'active');
  const bad = s.repo.commit('bad', { 'karta.toml': `${readFileSync(path.join(s.repo.dir, 'karta.toml'), 'utf8')}[env]\n"not a name" = 3\n` });
  await accepted(s.server, 'push', pushed(bad));
  const failed = await s.release(bad, 'failed');
  assert.match(failed.error.message, /karta\.toml/);
  assert.equal((await s.project()).current.version, 'v1');
  await s.said(/v2 failed: .*karta\.toml/);
  // Pinned: it is stored, and says so.
  await s.c.call('POST', `${P}/releases/{version}/activate`, ['bot', 'v1']);
  const good = s.repo.commit('good', { 'karta.toml': s.repo.git('show', 'HEAD~1:karta.toml').toString() });
  await accepted(s.server, 'push', pushed(good));
  await s.release(good, 'active');
  await s.c.call('POST', `${P}/rollback`, ['bot'], { body: {} });
  const held = s.repo.commit('held');
  await accepted(s.server, 'push', pushed(held));
  await s.release(held, 'ready');
});

test('a slow GitHub: pushes go live in their order, and nothing else waits for it', async (t) => {
  const s = await start(t, { env: { KARTA_DRAIN: '2s' } });
  const shas = ['a', 'b', 'c'].map((x) => s.repo.commit(x));
  // The first is the slowest.
  let release;
  const gate = new Promise((r) => { release = r; });
  s.gh.hooks.set(`file ${shas[0]}`, (rq, rs) => gate.then(() => s.gh.send(rs, 'bot', shas[0])));
  for (const sha of shas) await accepted(s.server, 'push', pushed(sha));
  await eventually(() => s.gh.requests.some((r) => r.url === `/bot/${shas[1]}`), 'the second');
  await sleep(500);
  assert.deepEqual(await s.releases(), [], 'what was pushed later does not go first');
  release();
  await s.release(shas[2], 'active');
  assert.deepEqual((await s.releases()).map((r) => r.commit_sha), [...shas].reverse());

  // More of them hang than there are threads: publishing, pull requests and sessions go on.
  const hanging = Array.from({ length: 8 }, (_, i) => s.repo.commit(`hang ${i}`));
  for (const sha of hanging) {
    s.gh.hooks.set(`file ${sha}`, () => {});
    await accepted(s.server, 'pull_request', pulled('opened', 100 + hanging.indexOf(sha), sha));
  }
  await eventually(() => s.gh.requests.filter((r) => hanging.some((sha) => r.url === `/bot/${sha}`)).length >= 2, 'they hang');
  assert.equal((await publish(s.c, 'fresh', archive(t, {}, 'fresh'))).status, 201);
  assert.equal((await s.c.call('POST', '/v1/projects/{project_ref}/sessions', ['fresh'], { body: {} })).status, 201);
  assert.ok(!(await s.log()).some((l) => hanging.some((sha) => l.startsWith(`${sha} was not deployed`))), 'they hang all the while');

  // A pull request that is closed while it is fetched gets no preview.
  await accepted(s.server, 'pull_request', pulled('closed', 100, hanging[0]));
  await s.said(new RegExp(`${hanging[0]} was not deployed: .*closed`));
  await ignored(/was seen/, s.server, 'pull_request', pulled('closed', 100, hanging[0]));

  // And the server ends: what runs is given up after the time it has for that.
  assert.equal(await s.server.stop(), 0, s.server.err);
});

test('a project has its most branches: a push of another one is not built, and the log says why', async (t) => {
  const s = await start(t);
  execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
db.execute("""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO refs (org_id, project_id, name, commit_sha) SELECT p.org_id, p.id, 'refs/heads/b' || i, '${ZERO}' FROM n, projects p""")
db.commit()
`, path.join(s.server.data, 'karta.db')]);
  await accepted(s.server, 'push', pushed(s.repo.head));
  assert.deepEqual((await s.release(s.repo.head, 'failed')).error, { code: 'too_many_refs', message: 'the project has 10000 branches already (fixed); delete some' });
  await s.said(/10000 branches already/);
  assert.equal((await s.c.call('DELETE', `${P}/refs`, ['bot'], { query: '?name=refs/heads/b1' })).status, 204);
  const sha = s.repo.commit('more');
  await accepted(s.server, 'push', pushed(sha));
  await s.release(sha, 'active');
});

test('a GitHub that says nothing any more is given up', async () => {
  const { s, silent, began } = await silence;
  const line = await s.said(new RegExp(`${silent} was not deployed`));
  assert.match(line, /nothing came for 30 seconds/);
  assert.ok(Date.now() - began > 28000);
  await s.release(s.repo.head, 'active');
});

test('bind: what it takes, and what has to be entered at GitHub', async (t) => {
  const s = await start(t);
  const json = await karta(s.server, ['projects', 'bind', 'bot', '--repo', 'https://github.com/acme/bot', '--json']);
  assert.equal(json.code, 0, json.stderr);
  const doc = JSON.parse(json.stdout);
  assert.equal(doc.webhook_url, `${s.server.url}/webhooks/github/${doc.id}`);
  assert.match(doc.webhook_secret, /^whsec_\w{20,}$/);
  // The new secret counts, the token stays.
  assert.equal((await deliver(s.server, 'push', pushed(s.repo.head))).status, 401);
  await accepted(s.server, 'push', pushed(s.repo.head), { secret: doc.webhook_secret });
  await s.release(s.repo.head, 'active');
  const text = await karta(s.server, ['projects', 'bind', 'bot', '--repo', 'https://github.com/acme/bot']);
  assert.match(text.stdout, /^url +http.*\/webhooks\/github\/proj_\w+\nsecret +whsec_\w+\n$/);
  assert.match(text.stderr, /push and pull_request.*application\/json/);

  for (const [args, code, input = ''] of [[['bot'], 2], [['bot', '--repo', 'x', '--none'], 2], [['bot', '--repo', 'https://github.com/acme/bot', '--token-stdin'], 2],
    [['bot', '--repo', 'https://github.com/acme/bot', '--secret-file', '/nonexistent'], 5], [['none', '--repo', 'https://github.com/acme/bot'], 5],
    [['bot', '--repo', 'not an address'], 1], [['bot', '--repo', 'ssh://git@github.com/acme/bot'], 1]]) {
    const r = await karta(s.server, ['projects', 'bind', ...args], input);
    assert.equal(r.code, code, `${args}: ${r.stdout}${r.stderr}`);
    assert.equal(r.stdout, '');
    assert.match(r.stderr, /^karta: /);
  }
  // A repository that is no owner/name of a GitHub cannot be fetched, and says so.
  await s.c.call('PATCH', P, ['bot'], { body: { repo_url: 'https://git.example.com/a/b/c', webhook_secret: SECRET } });
  await ignored(/owner\/name/, s.server, 'push',
    { ...pushed('a'.repeat(40)), repository: { ...repository('bot'), clone_url: 'https://git.example.com/a/b/c.git', pushed_at: timeOf('elsewhere') } });
});

test('a public repository needs no token', async (t) => {
  const s = await start(t);
  await karta(s.server, ['projects', 'bind', 'bot', '--none']);
  await karta(s.server, ['projects', 'bind', 'bot', '--repo', 'https://github.com/acme/bot', '--secret-file', s.secret]);
  s.gh.hooks.set(s.repo.head, (rq, rs) => rs.writeHead(302, { location: `http://localhost:${s.gh.filePort}/bot/${s.repo.head}` }).end());
  await accepted(s.server, 'push', pushed(s.repo.head));
  await s.release(s.repo.head, 'active');
  assert.deepEqual(s.gh.requests.map((r) => r.authorization), [undefined, undefined]);
});
