// SPDX-License-Identifier: MIT
// Releases from end to end: every state and transition, one tree by every way in, preconditions and repetitions,
// races of the pointer and of first publishes, configuration, previews, folders, renaming and deleting, and what is
// removed when.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { createHash } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { LONG, chance, eventually, gate, seconds, sleep, slowed, tempDir, within, writeFiles } from './lib.mjs';
import { archive, publish, secondOrganization, settings, startServe } from './serve.mjs';
import { clean, fakeFiles, user } from './user.mjs';

const P = '/agent_projects/{project_ref}';
const V = '/v1/projects/{project_ref}';
const SSE = { accept: 'text/event-stream' };
const ASYNC = { prefer: 'respond-async' };
const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');
const random = chance('releases');

async function ok(status, c, ...args) {
  const r = await c.call(...args);
  assert.equal(r.status, status, `${args[0]} ${args[1]} ${args[2]}: ${r.text.slice(0, 800)}`);
  return r.body;
}
const releasesOf = async (c, name, limit = 100) => (await ok(200, c, 'GET', `${P}/releases`, [name], { query: `?limit=${limit}` })).data;
const statesOf = async (c, name) => Object.fromEntries((await releasesOf(c, name)).map((r) => [r.version, r.state]));
const settled = (c, name) => eventually(async () => (await releasesOf(c, name)).every((r) => !['queued', 'building'].includes(r.state)), 'the builds');
const session = (c, name, body = {}) => ok(201, c, 'POST', `${V}/sessions`, [name], { body });
const say = async (c, name, id, text) => (await ok(200, c, 'POST', `${V}/sessions/{session_id}/messages`, [name, id], { body: { text } })).text;
const BROKEN = 'name = 5\n[harness]\ntype = "acp"\ncommand = ["/bin/cat"]\n';

/** The document of a publish of these files, {doc, blobs: [[digest, bytes]]}. */
function pack(files, more = {}) {
  const blobs = [];
  const lines = Object.keys(files).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => {
    const f = typeof files[name] === 'string' ? { text: files[name] } : files[name];
    const bytes = Buffer.from(f.link ?? f.text);
    blobs.push([sha(bytes), bytes]);
    return `${f.link ? '120000' : f.exec ? '100755' : '100644'} ${bytes.length} ${sha(bytes)} ${name}\n`;
  });
  return { doc: { manifest: lines.join(''), ...more }, blobs };
}

/** Send it as the API wants it: the document, then what is missing. */
async function publishFiles(c, project, files, more = {}, headers = {}) {
  const { doc, blobs } = pack(files, more);
  const first = await c.call('POST', `${P}/releases`, [project], { body: doc, headers });
  if (first.body?.code !== 'files_missing') return first;
  return c.call('POST', `${P}/releases`, [project], { raw: bundle(doc, [...new Map(blobs)].filter(([d]) => first.body.missing.includes(d))),
    headers: { 'content-type': 'application/vnd.karta.bundle', ...headers } });
}
function bundle(doc, blobs) {
  const dir = tempDir(null, 'bundle');
  writeFiles(dir, { 'karta-publish.json': JSON.stringify(doc) });
  for (const [d, bytes] of blobs) writeFiles(dir, { [`blobs/${d}`]: bytes });
  const tar = execFileSync('tar', ['cf', '-', '-C', dir, 'karta-publish.json', ...blobs.map(([d]) => `blobs/${d}`)], { maxBuffer: 1 << 28 });
  return execFileSync('zstd', ['-qc'], { input: tar, maxBuffer: 1 << 28 });
}

test('one tree has one digest, whichever way it comes', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  const dir = tempDir(t, 'tree');
  writeFiles(dir, { ...fakeFiles('tree'), 'bin/run.sh': '#!/bin/sh\n', 'empty': '', 'größe/日本 x.txt': 'unicode\n', 'a/b/c/d': 'deep\n', 'a.b': 'sorts\n', 'big.bin': 'x'.repeat(300000) });
  chmodSync(path.join(dir, 'bin/run.sh'), 0o755);
  symlinkSync('../a/b/c/d', path.join(dir, 'bin/link'));
  const tar = (...args) => execFileSync('tar', [...args, '-C', dir, '.'], { maxBuffer: 1 << 28 });
  const digests = {};
  const put = async (name, raw, type) => {
    const r = await c.call('PUT', `${P}/releases`, [name], { raw, headers: { 'content-type': type } });
    assert.equal(r.status, 201, r.text);
    digests[name] = [r.body.digest, r.body.files, r.body.bytes];
  };
  await put('tar', tar('cf', '-'), 'application/x-tar');
  await put('targz', tar('czf', '-'), 'application/gzip');
  await put('tarzst', tar('--zstd', '-cf', '-'), 'application/zstd');
  await put('untyped', tar('czf', '-'), 'application/octet-stream');
  await put('numeric', tar('--format=ustar', '--owner=7', '--mtime=1999-01-01', '-czf', '-'), 'application/gzip');
  const mode = (f) => (f === 'bin/link' ? { link: '../a/b/c/d' } : { text: readFileSync(path.join(dir, f)), exec: f === 'bin/run.sh' });
  const files = Object.fromEntries([...Object.keys(fakeFiles()), 'bin/run.sh', 'bin/link', 'empty', 'größe/日本 x.txt', 'a/b/c/d', 'a.b', 'big.bin'].map((f) => [f, mode(f)]));
  const { doc, blobs } = pack(files);
  const whole = await c.call('POST', `${P}/releases`, ['bundle'], { raw: bundle(doc, blobs), headers: { 'content-type': 'application/vnd.karta.bundle' } });
  assert.equal(whole.status, 201, whole.text);
  const manifest = doc.manifest;
  digests.bundle = [whole.body.digest, whole.body.files, whole.body.bytes];
  const parts = (await publishFiles(c, 'parts', files)).body;
  digests.parts = [parts.digest, parts.files, parts.bytes];
  const alone = await ok(201, c, 'POST', `${P}/releases`, ['alone'], { body: { digest: parts.digest } });
  digests.alone = [alone.digest, alone.files, alone.bytes];

  const folder = JSON.parse((await u.ok(u.karta('deploy', 'folder', '--dir', dir, '--dirty', '--json'))).stdout).release;
  digests.folder = [folder.digest, folder.files, folder.bytes];
  for (const args of [['init', '-q', '-b', 'main'], ['add', '-A'], ['commit', '-qm', 'tree'], ['remote', 'add', 'karta', `karta::${karta.url}/pushed`]]) await u.ok(u.git(dir, ...args));
  await u.ok(u.git(dir, 'push', 'karta', 'main'));
  const [pushed] = await releasesOf(c, 'pushed');
  digests.pushed = [pushed.digest, pushed.files, pushed.bytes];
  const commit = JSON.parse((await u.ok(u.karta('deploy', 'commit', '--dir', dir, '--json'))).stdout).release;
  digests.commit = [commit.digest, commit.files, commit.bytes];
  for (const [name, d] of Object.entries(digests)) assert.deepEqual(d, digests.tar, name);
  for (const name of ['tar', 'pushed', 'folder', 'parts'])
    assert.equal((await c.call('GET', `${P}/releases/{version}/manifest`, [name, 'v1'])).text, manifest, name);

  // What is downloaded is what was sent, and gives the digest again.
  for (const format of ['tar.gz', 'tar.zst']) {
    const back = await c.call('GET', `${P}/releases/{version}/archive`, ['pushed', 'current'], { query: `?format=${format}` });
    assert.equal((await ok(201, c, 'PUT', `${P}/releases`, ['again'], { raw: back.bytes, headers: { 'content-type': 'application/octet-stream' } })).digest, digests.tar[0]);
  }
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('every state, every transition, and those that are none', seconds(60), async (t) => {
  const conf = settings(t, 'preview_life = "1h"\n');
  const karta = await startServe(t, conf);
  const c = new Client(karta, karta.key);
  const bytes = (n, files = {}) => archive(t, { n, ...files });

  const seen = new Set();
  let watching = true;
  // queued -> building -> ...: one after the other within a project; another project does not wait for them.
  const many = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`f/${i}`, `${i}`]));
  const seed = (await publishFiles(c, 'big', { ...fakeFiles(), ...many })).body;
  const watch = (async () => {
    while (watching) {
      const all = await releasesOf(c, 'big');
      for (const r of all) seen.add(r.state);
      assert.ok(all.filter((r) => r.state === 'building').length <= 1, 'two builds of one project at once');
      assert.equal(all.filter((r) => r.state === 'active').length, 1);
    }
  })();
  await publishFiles(c, 'seed', { ...fakeFiles(), n: '1' });
  const others = ok(201, c, 'POST', `${P}/releases`, ['small'], { body: pack({ ...fakeFiles(), n: '1' }).doc });
  const queue = await Promise.all(Array.from({ length: 6 }, (_, i) => ok(202, c, 'POST', `${P}/releases`, ['big'],
    { body: pack({ ...fakeFiles(), ...many, 'AGENTS.md': 'A test.\n', [`f/${i}`]: `${i === 0 ? 0 : i - 1}` }).doc, headers: ASYNC })));
  for (const q of queue) {
    assert.match(q.release.state, /^(queued|building)$/);
    seen.add(q.release.state);
  }
  const small = await others;
  const versions = await settled(c, 'big').then(() => releasesOf(c, 'big'));
  watching = false;
  await watch;
  assert.ok(seen.has('queued') || seen.has('building'), [...seen].join());
  assert.deepEqual(versions.map((r) => r.version), ['v7', 'v6', 'v5', 'v4', 'v3', 'v2', 'v1']);
  assert.equal(versions[0].state, 'active');
  const ends = versions.map((r) => Date.parse(r.built_at));
  assert.deepEqual(ends, [...ends].sort((a, b) => b - a));
  for (let i = 0; i < versions.length - 1; i++) {
    const { data } = await ok(200, c, 'GET', `${P}/releases/{version}/log`, ['big', versions[i].version]);
    const began = data.find((e) => /Checking|Unpacked/.test(e.data.text ?? '')).timestamp;
    assert.ok(began >= ends[i + 1] - 1, `${versions[i].version} began before ${versions[i + 1].version} had ended`);
  }
  assert.ok(Date.parse(small.built_at) <= ends[0], 'another project waited');
  assert.equal(seed.version, 'v1');

  const name = 'small';
  const go = (n, query = '', files) => publish(c, name, bytes(n, files), query).then((r) => r.body);
  assert.equal(small.state, 'active');
  const ready = await go('2', '?activate=false');
  assert.deepEqual([ready.version, ready.state, ready.activated], ['v2', 'ready', false]);
  assert.equal((await publish(c, name, bytes('3', { 'karta.toml': BROKEN }))).status, 422);
  const preview = await go('4', '?ref=refs/heads/x');
  assert.deepEqual([preview.state, preview.activated], ['preview', false]);
  assert.deepEqual(await statesOf(c, name), { v1: 'active', v2: 'ready', v3: 'failed', v4: 'preview' });
  await session(c, 'small-x');
  // ready -> active, active -> superseded, superseded -> active, and a second time nothing happens.
  for (const [v, states] of [['v2', { v1: 'superseded', v2: 'active' }], ['v2', { v1: 'superseded', v2: 'active' }], ['v1', { v1: 'active', v2: 'superseded' }]]) {
    const { audit } = { audit: (await ok(200, c, 'GET', '/v1/audit', [], { query: '?limit=1' })).data[0].seq };
    const before = (await statesOf(c, name))[v];
    const r = await ok(200, c, 'POST', `${P}/releases/{version}/activate`, [name, v]);
    assert.deepEqual([r.version, r.state, r.active], [v, 'active', true]);
    assert.deepEqual(await statesOf(c, name), { ...states, v3: 'failed', v4: 'preview' });
    assert.equal((await ok(200, c, 'GET', '/v1/audit', [], { query: '?limit=1' })).data[0].seq, before === 'active' ? audit : audit + 1);
  }
  // preview -> expired: by a newer push, by itself, by its ref's deletion.
  assert.equal((await go('5', '?ref=refs/heads/x')).version, 'v5');
  assert.equal((await statesOf(c, name)).v4, 'expired');
  const kept = await session(c, 'small-x');
  assert.equal(kept.release, 'v5');
  await conf.change(karta, 'preview_life = "1s"\n');
  assert.equal((await go('6', '?pr=7')).preview, 'small-pr-7');
  await ok(204, c, 'DELETE', `${P}/refs`, [name], { query: '?name=refs/heads/x' });
  assert.equal((await statesOf(c, name)).v5, 'expired');
  await ok(404, c, 'POST', `${V}/sessions`, ['small-x'], { body: {} });
  assert.equal(await say(c, name, kept.id, '[[cat:n]]'), '5');
  await eventually(async () => (await statesOf(c, name)).v6 === 'expired', 'the end of a preview');
  await ok(404, c, 'POST', `${V}/sessions`, ['small-pr-7'], { body: {} });
  assert.equal((await ok(200, c, 'GET', P, [name])).previews.length, 0);
  // What was never ready is never live, by no route.
  for (const [v, status, code] of [['v3', 409, 'not_ready'], ['v4', 409, 'not_ready'], ['v5', 409, 'not_ready'], ['v6', 409, 'not_ready'], ['v77', 404, 'release_not_found']])
    for (const [route, body] of [[`${P}/rollback`, { version: v }], [`${P}/activate`, { version: v }]]) {
      const r = await c.call('POST', route, [name], { body });
      assert.deepEqual([r.status, r.body.code], [status, code], `${v} ${route}: ${r.text}`);
    }
  assert.deepEqual(await statesOf(c, name), { v1: 'active', v2: 'superseded', v3: 'failed', v4: 'expired', v5: 'expired', v6: 'expired' });
  // A rollback names what was live before, and a project of one release has none.
  const only = await publish(c, 'only', bytes('1'));
  assert.equal(only.status, 201);
  assert.equal((await c.call('POST', `${P}/rollback`, ['only'], { body: {} })).body.code, 'no_previous_release');
  assert.equal((await ok(200, c, 'POST', `${P}/rollback`, [name], { body: {} })).version, 'v2');
  const verify = await ok(200, c, 'GET', '/v1/audit/verify');
  assert.equal(verify.ok, true);
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('If-Match, and requests that come again', seconds(90), async (t) => {
  const karta = await startServe(t);
  let c = new Client(karta, karta.key);
  const ids = [];
  for (const n of ['1', '2', '3']) ids.push((await publish(c, 'bot', archive(t, { n }))).body.id);
  const etag = async () => (await c.call('GET', P, ['bot'])).headers.etag;
  const changes = [
    ['POST', `${P}/rollback`, () => ({ version: 'v2' })], ['DELETE', `${P}/pin`, () => undefined],
    ['POST', `${P}/activate`, () => ({ version: 'v3' })], ['POST', `${P}/activate`, () => ({ version: 'v1' })],
    ['PATCH', `${P}/config`, () => ({ set: { N: String(random(1e9)) } })], ['PATCH', P, () => ({ production_ref: 'main' })],
  ];
  for (const [method, route, body] of changes) {
    if (method === 'DELETE') {
      await ok(200, c, method, route, ['bot']);
      continue;
    }
    const before = JSON.stringify([await ok(200, c, 'GET', P, ['bot']), await ok(200, c, 'GET', `${P}/config`, ['bot'])]);
    for (const wrong of ['"rel_0000000000000000000000"', '"none"', `W/${await etag()}`]) {
      const r = await c.call(method, route, ['bot'], { body: body(), headers: { 'if-match': wrong } });
      assert.deepEqual([r.status, r.body.code], [412, 'precondition_failed'], `${method} ${route} ${wrong}: ${r.text}`);
    }
    assert.equal(JSON.stringify([await ok(200, c, 'GET', P, ['bot']), await ok(200, c, 'GET', `${P}/config`, ['bot'])]), before);
    for (const right of [(tag) => `"rel_x", ${tag}`, (tag) => tag, () => '*', () => null]) {
      const tag = right(await etag());
      const r = await c.call(method, route, ['bot'], { body: body(), headers: tag ? { 'if-match': tag } : {} });
      assert.equal(r.status, 200, `${method} ${route} ${tag}: ${r.text}`);
      await settled(c, 'bot');
    }
  }
  assert.equal((await publish(c, 'bot', archive(t, { n: 'late' }), '', { 'if-match': '"none"' })).status, 412);
  const count = (await releasesOf(c, 'bot')).length;

  // The same key and the same body: one effect and one answer; another body: 422.
  const same = async (method, route, values, key, body, other, strip = (x) => x) => {
    const call = (b, headers = {}) => c.call(method, route, values, { body: b, headers: { 'idempotency-key': key, ...headers } });
    const first = await call(body);
    assert.ok(first.status < 300, `${route}: ${first.text}`);
    const all = await Promise.all(Array.from({ length: 100 }, () => call(body)));
    for (const r of all) assert.deepEqual([r.status, strip(r.body)], [first.status, strip(first.body)], `${method} ${route}: ${r.text}`);
    const r = await call(other);
    assert.deepEqual([r.status, r.body.code], [422, 'idempotency_mismatch'], `${method} ${route}: ${r.text}`);
    return [method, route, values, key, body, first, strip];
  };
  const audit = async () => (await ok(200, c, 'GET', '/v1/audit', [], { query: '?limit=1' })).data[0].seq;
  const start = await audit();
  const done = [];
  done.push(await same('POST', `${P}/rollback`, ['bot'], 'k', { version: 'v2', reason: 'why' }, { version: 'v1' }));
  await ok(200, c, 'DELETE', `${P}/pin`, ['bot']);
  done.push(await same('POST', `${P}/activate`, ['bot'], 'k', { version: 'v1' }, { version: 'v3' }));
  const byPath = (v) => c.call('POST', `${P}/releases/{version}/activate`, ['bot', v], { headers: { 'idempotency-key': 'k' } });
  assert.deepEqual([(await byPath('v1')).body.version, (await byPath('v2')).body.code], ['v1', 'idempotency_mismatch']);
  done.push(await same('PATCH', `${P}/config`, ['bot'], 'k', { set: { A: '1' } }, { set: { A: '2' } }));
  done.push(await same('POST', '/agent_projects', [], 'k', { slug: 'new' }, { slug: 'newer' }));
  done.push(await same('POST', '/v1/keys', [], 'k', { name: 'k', scopes: ['read'] }, { name: 'l', scopes: ['read'] }, ({ key: _, ...rest }) => rest));
  await settled(c, 'bot');
  assert.equal((await releasesOf(c, 'bot')).length, count + 1);

  // A hundred publishes at once, as documents, and some as whole archives: one release.
  const tree = { ...fakeFiles(), n: '1' };
  await publishFiles(c, 'seed', tree);
  const { doc } = pack(tree);
  const crowd = await Promise.all(Array.from({ length: 100 }, () => c.call('POST', `${P}/releases`, ['crowd'], { body: doc, headers: { 'idempotency-key': 'crowd' } })));
  for (const r of crowd) assert.deepEqual([r.status, r.body.version, r.body.id], [201, 'v1', crowd[0].body.id], r.text);
  assert.equal((await releasesOf(c, 'crowd')).length, 1);
  const bytes = archive(t, { n: '9' });
  const gz = { 'content-type': 'application/gzip', 'idempotency-key': 'archive' };
  const archives = await Promise.all(Array.from({ length: 12 }, (_, i) => c.call('PUT', `${P}/releases`, ['crowd'], { raw: bytes, headers: i % 3 ? gz : { ...gz, ...SSE } })));
  assert.deepEqual([...new Set(archives.map((r) => r.body?.id ?? r.events?.at(-1).data.release.id))].length, 1, archives.map((r) => r.text).join('\n'));
  const other = await c.call('PUT', `${P}/releases`, ['crowd'], { raw: archive(t, { n: 'other' }), headers: gz });
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_mismatch']);
  assert.equal((await releasesOf(c, 'crowd')).length, 2);
  assert.equal((await ok(201, c, 'POST', `${P}/releases`, ['crowd2'], { body: doc, headers: { 'idempotency-key': 'crowd' } })).project, 'crowd2');
  const end = await audit();

  // After a crash the answers are still the same, and nothing happens again.
  await karta.stop('SIGKILL');
  const next = await startServe(t, { data: karta.home });
  c = new Client(next, karta.key);
  for (const [method, route, values, key, body, first, strip] of done) {
    const r = await c.call(method, route, values, { body, headers: { 'idempotency-key': key } });
    const port = (x) => JSON.parse(JSON.stringify(strip(x)).replaceAll(`localhost:${karta.port}`, 'H').replaceAll(`localhost:${next.port}`, 'H').replaceAll(`127.0.0.1:${karta.port}`, 'H').replaceAll(`127.0.0.1:${next.port}`, 'H'));
    assert.deepEqual([r.status, port(r.body)], [first.status, port(first.body)], `${method} ${route}`);
  }
  const again = await c.call('POST', `${P}/releases`, ['crowd'], { body: doc, headers: { 'idempotency-key': 'crowd' } });
  assert.equal(again.body.id, crowd[0].body.id);
  /* How long it took is the same however often it is asked for. */
  assert.deepEqual([typeof again.body.took_ms, new Set(crowd.filter((r) => r.status === 201).map((r) => r.body.took_ms)).size, again.body.took_ms],
    ['number', 1, crowd.find((r) => r.status === 201).body.took_ms]);
  assert.equal(await audit(), end);
  assert.ok(end > start);
  assert.equal(await next.stop(), 0);
  await clean(next.data);
});

test('kill -9 between the row and the end of a build: what it is to come to stays', seconds(90), async (t) => {
  let karta = await startServe(t);
  let c = new Client(karta, karta.key);
  const { home, key } = karta;
  // What takes long to lay out, of contents that are there; another tree each time.
  const many = { ...fakeFiles(), ...Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [`many/${i}`, `${i % 10}`])) };
  const first = await publishFiles(c, 'bot', many);
  assert.equal(first.status, 201, first.text);
  let trees = 0;
  const begin = (files, more) => c.call('POST', `${P}/releases`, ['bot'], { body: pack({ ...files, [`tree-${trees++}`]: '1' }, more).doc, headers: ASYNC });
  const small = { ...fakeFiles(), one: '1' };
  const ref = 'refs/heads/main';
  for (let round = 0, cut = false; !cut; round++) {
    assert.ok(round < 8, 'no build was ever interrupted');
    await ok(200, c, 'PUT', `${P}/pin`, ['bot'], { body: { reason: 'held' } });
    const pushed = { ref, commit_sha: sha(`${round}`).slice(0, 40), expected_commit: (await ok(200, c, 'GET', `${P}/refs`, ['bot'])).refs[ref] ?? '', unpin: true };
    for (const r of await Promise.all(Array.from({ length: 4 * (round + 1) }, () => begin(many, { activate: false })))) assert.equal(r.status, 202, r.text);
    const four = [];
    for (const more of [{ unpin: true }, { activate: false }, pushed, pushed]) four.push(await begin(small, more));
    await karta.stop('SIGKILL');
    karta = await startServe(t, { data: home });
    c = new Client(karta, key);
    await settled(c, 'bot');
    const all = await releasesOf(c, 'bot');
    // The last comes too late when the one before it was built in time.
    const made = four.filter((r) => r.status !== 409 || r.body.code !== 'ref_moved').map((r) => all.find((x) => x.id === (r.body.release ?? r.body).id));
    assert.deepEqual(made.map((r) => r.state), ['superseded', 'ready', 'active', 'failed'].slice(0, made.length));
    const p = await ok(200, c, 'GET', P, ['bot']);
    assert.deepEqual([p.pinned, p.current.release], [false, made[2].id]);
    cut = made.length === 4 && made.every((r) => karta.err.includes(`${r.version}: the build was interrupted and begins anew`));
  }
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('flippers and rollbacks against fifty readers', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const legal = new Map();
  for (const n of ['1', '2', '3', '4']) {
    const r = (await publish(c, 'bot', archive(t, { n }))).body;
    legal.set(r.id, r);
  }
  const byVersion = new Map([...legal.values()].map((r) => [r.version, r]));
  // For some time, and until enough of everything has happened.
  const least = Date.now() + (LONG ? 30000 : 3000);
  const enough = () => count.reads > 1000 && count.flips > 30 && count.rollbacks > 20 && count.sessions > 50 && count.turns > 5;
  const going = () => Date.now() < least || !enough();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 60 });
  const count = { reads: 0, flips: 0, rollbacks: 0, sessions: 0, turns: 0, pinned: 0 };
  const raw = (method, route, body) => new Promise((done, fail) => {
    const text = body && JSON.stringify(body);
    const rq = http.request(karta.url + route, { method, agent, headers: { authorization: `Bearer ${karta.key}`, ...(text ? { 'content-type': 'application/json', 'content-length': text.length } : {}) } }, (r) => {
      const pieces = [];
      r.on('data', (d) => pieces.push(d));
      r.on('end', () => { const all = Buffer.concat(pieces).toString(); done({ status: r.statusCode, etag: r.headers.etag, text: all, body: all ? JSON.parse(all) : null }); });
    });
    rq.on('error', fail);
    rq.end(text);
  });
  const flipper = async (a, b) => {
    while (going()) {
      for (const v of [a, b]) {
        const r = await raw('POST', '/agent_projects/bot/activate', { version: v });
        if (r.status === 409) { assert.equal(r.body.code, 'pinned', r.text); count.pinned++; } else { assert.deepEqual([r.status, r.body.version, r.body.state], [200, v, 'active'], r.text); count.flips++; }
      }
      await sleep(1);
    }
  };
  const roller = async () => {
    while (going()) {
      const r = await raw('POST', '/agent_projects/bot/rollback', {});
      if (r.status === 409) assert.equal(r.body.code, 'no_previous_release', r.text);
      else {
        assert.equal(r.status, 200, r.text);
        assert.ok(legal.has(r.body.id) && r.body.pinned, r.text);
        count.rollbacks++;
      }
      await raw('DELETE', '/agent_projects/bot/pin');
      await sleep(3);
    }
  };
  const reader = async () => {
    while (going()) {
      const r = await raw('GET', '/agent_projects/bot/releases/current');
      const want = legal.get(r.body.id);
      assert.ok(r.status === 200 && want, r.text);
      assert.deepEqual([r.body.version, r.body.digest, r.body.state, r.body.active], [want.version, want.digest, 'active', true]);
      const p = await raw('GET', '/agent_projects/bot');
      assert.equal(byVersion.get(p.body.current.version).id, p.body.current.release);
      assert.equal(p.etag, `"${p.body.current.release}"`);
      const l = await raw('GET', '/agent_projects/bot/releases');
      assert.deepEqual(l.body.data.map((x) => x.state).sort(), ['active', 'superseded', 'superseded', 'superseded'], l.text);
      count.reads += 3;
    }
  };
  const sessions = [];
  const starter = async () => {
    while (going()) {
      const s = await raw('POST', '/v1/projects/bot/sessions', {});
      assert.ok(s.status === 201 && byVersion.has(s.body.release), s.text);
      sessions.push(s.body);
      count.sessions++;
      for (const old of [s.body, sessions[random(sessions.length)]]) {
        const now = await raw('GET', `/v1/sessions/${old.id}`);
        assert.deepEqual([now.status, now.body.release, now.body.project.version], [200, old.release, old.release]);
        count.reads++;
      }
      await sleep(20);
    }
  };
  const talker = async () => {
    const s = (await raw('POST', '/v1/projects/bot/sessions', {})).body;
    while (going()) {
      const r = await raw('POST', `/v1/projects/bot/sessions/${s.id}/messages`, { text: '[[cat:n]][[env:KARTA_RELEASE]]' });
      assert.deepEqual([r.status, r.body?.text.replace(/\s/g, '')], [200, `${s.release.slice(1)}${s.release}`], r.text);
      count.turns++;
      await sleep(50);
    }
  };
  await Promise.all([flipper('v1', 'v2'), flipper('v3', 'v4'), roller(), ...Array.from({ length: 44 }, reader), ...Array.from({ length: 4 }, starter), talker(), talker()]);
  agent.destroy();
  t.diagnostic(JSON.stringify(count));
  // Sessions from the fight, talked to afterwards, are still what they were.
  for (const version of byVersion.keys()) {
    const s = sessions.find((x) => x.release === version);
    if (s) assert.equal(await say(c, 'bot', s.id, '[[cat:n]]'), version.slice(1));
  }
  assert.equal((await ok(200, c, 'GET', '/v1/audit/verify')).ok, true);
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('fifty first publishes of one name by two organizations; keys of another one', seconds(60), async (t) => {
  let karta = await startServe(t);
  const made = await ok(201, new Client(karta, karta.key), 'POST', '/v1/keys', [], { body: { name: 'other', scopes: ['read', 'write', 'admin'] } });
  assert.equal(await karta.stop(), 0);
  secondOrganization(karta.data, [made.id]);
  karta = await startServe(t, { data: karta.home });
  const orgs = [new Client(karta, karta.key), new Client(karta, made.key)];
  const bytes = orgs.map((_, i) => archive(t, { org: String(i) }));
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => publish(orgs[i % 2], 'bot', bytes[i % 2])));
  assert.deepEqual([...new Set(all.map((r) => r.status))], [201], all.find((r) => r.status !== 201)?.text);
  const ids = [];
  for (const [i, c] of orgs.entries()) {
    const projects = (await ok(200, c, 'GET', '/agent_projects')).data;
    assert.equal(projects.length, 1);
    ids.push(projects[0]);
    const mine = await releasesOf(c, 'bot');
    assert.deepEqual(mine.map((r) => r.version), Array.from({ length: 25 }, (_, k) => `v${25 - k}`));
    assert.equal(mine.filter((r) => r.state === 'active').length, 1);
    assert.equal(new Set(mine.map((r) => r.digest)).size, 1);
    assert.deepEqual(mine.map((r) => r.id).sort(), all.filter((_, k) => k % 2 === i).map((r) => r.body.id).sort());
    const s = await session(c, 'bot');
    assert.equal(await say(c, 'bot', s.id, '[[cat:org]]'), String(i));
  }
  assert.notEqual(ids[0].id, ids[1].id);
  assert.notEqual(ids[0].url, ids[1].url, 'two projects at one address');
  // The same key of two organizations is two keys; the other one's things are not there.
  const keyed = await Promise.all(orgs.map((c, i) => publish(c, 'bot', bytes[1 - i], '', { 'idempotency-key': 'one' })));
  assert.deepEqual(keyed.map((r) => [r.status, r.body.version]), [[201, 'v26'], [201, 'v26']]);
  assert.notEqual(keyed[0].body.id, keyed[1].body.id);
  for (const route of [`${P}/releases/{version}`, `${P}/releases/{version}/manifest`, `${P}/releases/{version}/log`])
    await ok(404, orgs[0], 'GET', route, ['bot', keyed[1].body.id]);
  await ok(404, orgs[0], 'GET', P, [ids[1].id]);
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('configuration: kept secret, versioned, bound, rolled back', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  const canary = (n) => `canary-${n}-${sha(String(random(2 ** 32))).slice(0, 24)}`;
  const values = { ONE: canary(1), TWO: canary(2), THREE: canary(3) };
  const toml = '[env]\nONE = { required = true }\nTWO = { required = true }\nCOLOR = {}\n';
  const repo = await u.repository(fakeFiles('bot', { n: '1' }, toml), 'bot');

  // Without the variables: the push is refused, nothing is live; the same commit goes live once they are set.
  const refused = await u.git(repo, 'push', 'karta', 'main');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /karta config set ONE=\.\.\. TWO=\.\.\./);
  assert.match(refused.stderr, /! \[remote rejected\] main -> main \(.*(ONE|build)/);
  assert.equal((await ok(200, c, 'GET', P, ['bot'])).current, null);
  assert.equal((await releasesOf(c, 'bot'))[0].error.code, 'config_unbound');
  await u.ok(u.run('karta', ['config', 'set', '-p', 'bot', `ONE=${values.ONE}`, 'TWO=-'], { input: values.TWO }));
  assert.match((await u.ok(u.git(repo, 'push', 'karta', 'main'))).stderr, /Released v2 of bot/);
  const ask = (s) => say(c, 'bot', s.id, '[[env:ONE]][[text:|]][[env:TWO]][[text:|]][[env:THREE]]').then((x) => x.split('|'));
  const first = await session(c, 'bot');
  assert.deepEqual(await ask(first), [values.ONE, values.TWO, '(unset)']);

  // A change is a new release of the same code; what changes nothing makes none.
  const three = await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { THREE: values.THREE, ONE: 'changed-one-value' } } });
  assert.equal(three.release.version, 'v3');
  await eventually(async () => (await ok(200, c, 'GET', P, ['bot'])).current.version === 'v3', 'v3');
  const releases = await releasesOf(c, 'bot');
  assert.equal(releases[0].digest, releases[1].digest);
  assert.equal((await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { THREE: values.THREE } } })).release, null);
  const second = await session(c, 'bot');
  assert.deepEqual(await ask(second), ['changed-one-value', values.TWO, values.THREE]);
  assert.deepEqual(await ask(first), [values.ONE, values.TWO, '(unset)']);
  // Unsetting what is required fails, and what is live stays.
  const gone = await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { unset: ['TWO'] } });
  await eventually(async () => (await statesOf(c, 'bot'))[gone.release.version] === 'failed', 'a failed build');
  assert.equal((await ok(200, c, 'GET', P, ['bot'])).current.version, 'v3');

  // Rolling back brings code and configuration back together, and deploys go on from there.
  const back = JSON.parse((await u.ok(u.karta('rollback', 'bot', '--to', 'v2', '--json'))).stdout);
  assert.equal((back.release ?? back).version, 'v2');
  assert.deepEqual(await ask(await session(c, 'bot')), [values.ONE, values.TWO, '(unset)']);
  assert.deepEqual((await ok(200, c, 'GET', `${P}/config`, ['bot'])).vars, { ONE: values.ONE, TWO: values.TWO });
  await u.ok(u.karta('releases', 'unpin', 'bot'));
  await ok(200, c, 'POST', `${P}/activate`, ['bot'], { body: { version: 'v3' } });
  assert.deepEqual(await ask(await session(c, 'bot')), ['changed-one-value', values.TWO, values.THREE]);

  // A pull request from a fork gets none of them; one of ours does. --env is for one release.
  const pr = { ...fakeFiles('bot', { n: '2' }, toml) };
  const fork = (await publishFiles(c, 'bot', pr, { pr: 8, fork: true })).body;
  assert.equal(fork.state, 'preview', JSON.stringify(fork));
  assert.deepEqual((await say(c, 'bot-pr-8', (await session(c, 'bot-pr-8')).id, '[[env:ONE]][[text:|]][[env:TWO]][[text:|]][[env:KARTA_ENVIRONMENT]]')).split('|'), ['(unset)', '(unset)', 'preview']);
  const ours = (await publishFiles(c, 'bot', pr, { pr: 9, env: { COLOR: values.THREE } })).body;
  assert.equal(ours.state, 'preview', JSON.stringify(ours));
  assert.equal(await say(c, 'bot-pr-9', (await session(c, 'bot-pr-9')).id, '[[env:TWO]][[text:|]][[env:COLOR]][[text:|]][[env:KARTA_ENVIRONMENT]]'),
    `${values.TWO}|${values.THREE}|preview`);

  // Names without scope admin, values nowhere: not in answers, logs, the audit log, or any file, at any time.
  const reader = (await ok(201, c, 'POST', '/v1/keys', [], { body: { name: 'r', scopes: ['read'] } })).key;
  for (const v of Object.values((await ok(200, new Client(karta, reader), 'GET', `${P}/config`, ['bot'])).vars)) assert.equal(v, null);
  const texts = [(await c.call('GET', '/v1/audit', [], { query: '?limit=200' })).text, (await c.call('GET', `${P}/logs`, ['bot'])).text, karta.err,
    ...await Promise.all((await releasesOf(c, 'bot')).map(async (r) => (await c.call('GET', `${P}/releases/{version}/log`, ['bot', r.version])).text))];
  const files = (dir) => readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(path.join(dir, e.name)) : e.isFile() ? [path.join(dir, e.name)] : []));
  // What an agent answers is its conversation's; it was asked for its environment here.
  const looked = () => {
    const all = files(karta.data).filter((f) => !f.startsWith(path.join(karta.data, 'sessions')));
    assert.ok(all.some((f) => f.endsWith('karta.db')));
    for (const f of all)
      for (const v of [...Object.values(values), 'changed-one-value', karta.key, reader])
        assert.ok(!readFileSync(f).includes(v), `${v} is in ${f}`);
    return all;
  };
  for (const text of texts) for (const v of [...Object.values(values), 'changed-one-value']) assert.ok(!text.includes(v));
  assert.ok(looked().some((f) => f.endsWith('-wal')), 'no WAL to look at');
  await karta.stop('SIGKILL');
  looked();
  const next = await startServe(t, { data: karta.home });
  assert.equal((await ok(200, new Client(next, karta.key), 'GET', `${P}/config`, ['bot'])).vars.TWO, values.TWO);
  assert.equal(await next.stop(), 0);
  looked();
  await clean(karta.data);
});

test('many applications of one repository; pins; failed builds; the harness; images', seconds(90), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  const app = (name, more = {}, toml = '') => Object.fromEntries(Object.entries(fakeFiles(name, more, toml, 'deploy = true\n')).map(([f, text]) => [`apps/${name}/${f}`, text]));
  const repo = await u.repository({ 'README.md': 'two\n', ...app('left', { n: '1' }), ...app('right', { n: '1' }) }, 'mono');
  const live = async (name) => (await ok(200, c, 'GET', P, [name])).current?.version ?? null;
  const push = await u.ok(u.git(repo, 'push', 'karta', 'main'));
  assert.match(push.stderr, /Released v1 of left/);
  assert.match(push.stderr, /Released v1 of right/);
  for (const name of ['left', 'right'])
    assert.deepEqual((await c.call('GET', `${P}/releases/{version}/manifest`, [name, 'v1'])).text.trim().split('\n').map((l) => l.split(' ').pop()).sort(), ['AGENTS.md', 'karta.toml', 'n']);
  // One that fails makes the push fail; the other one is live all the same. The same commit can come again.
  await u.commit(repo, { ...app('left', { n: '2' }), ...app('right', { n: '2' }, '[env.TOKEN]\nrequired = true\n') });
  const half = await u.git(repo, 'push', 'karta', 'main');
  assert.equal(half.status, 1);
  assert.match(half.stderr, /! \[remote rejected\] main -> main/);
  assert.match(half.stderr, /right.*TOKEN|TOKEN[^]*right/);
  assert.deepEqual([await live('left'), await live('right')], ['v2', 'v1']);
  await u.ok(u.karta('config', 'set', '-p', 'right', 'TOKEN=a-token-that-is-long'));
  const again = await u.ok(u.git(repo, 'push', 'karta', 'main'));
  assert.match(again.stderr, /of right/);
  assert.equal((await releasesOf(c, 'right')).find((r) => r.active).commit_sha, (await u.git(repo, 'rev-parse', 'HEAD')).stdout.trim());
  assert.equal(await live('left'), (await releasesOf(c, 'left'))[0].version);
  await u.commit(repo, { 'README.md': 'nothing of theirs\n' });
  await u.ok(u.git(repo, 'push', 'karta', 'main'));
  const all = JSON.parse((await u.ok(u.run('karta', ['deploy', '--json'], { cwd: repo }))).stdout);
  assert.deepEqual(all.releases.map((r) => r.project).sort(), ['left', 'right']);

  // Pins: a rollback holds, deploys say so with status 6, and are let go on by unpin.
  const one = await u.repository(fakeFiles('bot', { n: '1' }), 'bot');
  await u.ok(u.git(one, 'push', 'karta', 'main'));
  await u.commit(one, { n: '2' });
  await u.ok(u.git(one, 'push', 'karta', 'main'));
  const rolled = await u.ok(u.karta('rollback', 'bot', '--reason', 'worse'));
  assert.match(rolled.stdout, /^http:\/\/bot\.localhost/);
  await u.commit(one, { n: '3' });
  const held = await u.karta('deploy', 'bot', '--dir', one);
  assert.equal(held.status, 6, `${held.stdout}${held.stderr}`);
  assert.match(held.stderr, /pinned[^]*karta releases unpin/);
  assert.deepEqual([await live('bot'), (await statesOf(c, 'bot')).v3], ['v1', undefined]);
  await u.ok(u.karta('deploy', 'bot', '--dir', one, '--no-activate'));
  assert.deepEqual([await live('bot'), (await statesOf(c, 'bot')).v3], ['v1', 'ready']);
  await u.commit(one, { n: '4' });
  const pinned = await u.git(one, 'push', 'karta', 'main');
  assert.notEqual(pinned.status, 0);
  assert.match(pinned.stderr, /remote rejected.*held at v1 since .*karta releases unpin, or git push -o unpin karta main/);
  await u.ok(u.git(one, 'push', '-o', 'no-activate', 'karta', 'main'));
  assert.deepEqual([await live('bot'), (await statesOf(c, 'bot')).v4], ['v1', 'ready']);
  const byHand = await u.karta('releases', 'activate', '-p', 'bot', 'v3');
  assert.equal(byHand.status, 6, `${byHand.stdout}${byHand.stderr}`);
  await u.ok(u.karta('releases', 'unpin', 'bot'));
  await u.ok(u.karta('releases', 'activate', '-p', 'bot', 'v3'));
  await u.commit(one, { n: '5' });
  await u.ok(u.karta('deploy', 'bot', '--dir', one));
  assert.equal(await live('bot'), 'v5');

  // A build that fails: status 1 of git, a reason, and what is live stays.
  await u.commit(one, { 'karta.toml': BROKEN });
  const ng = await u.git(one, 'push', 'karta', 'main');
  assert.equal(ng.status, 1);
  assert.match(ng.stderr, /! \[remote rejected\] main -> main \(.*karta\.toml/);
  assert.deepEqual([await live('bot'), (await statesOf(c, 'bot')).v6], ['v5', 'failed']);
  assert.equal((await u.git(one, 'push', 'karta', 'main')).status, 1, 'the same commit is built again');
  assert.equal((await statesOf(c, 'bot')).v7, 'failed');
  const s = await session(c, 'bot');
  assert.deepEqual([s.release, await say(c, 'bot', s.id, '[[cat:n]]')], ['v5', '5']);

  // The harness of a project stays.
  const swapped = await publishFiles(c, 'bot', { 'AGENTS.md': 'x\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "opencode"\n' });
  assert.deepEqual([swapped.status, swapped.body.release.error.code], [422, 'harness_fixed'], swapped.text);

  // A Dockerfile: run from its files with a warning; the image's name depends on nothing but the files.
  const docker = fakeFiles('boxed', { Dockerfile: 'FROM scratch\n' });
  const images = [];
  for (let i = 0; i < 2; i++) {
    const r = (await publishFiles(c, 'boxed', docker)).body;
    assert.deepEqual([r.kind, r.state], ['dockerfile', 'active']);
    images.push(r.image_ref);
    const { data } = await ok(200, c, 'GET', `${P}/releases/{version}/log`, ['boxed', r.version]);
    assert.ok(data.some((e) => e.data.level === 'warn' && /Dockerfile.*images are not built yet/.test(e.data.text)));
    assert.equal(images[i], `karta/default/boxed:${r.digest.slice(0, 12)}`);
  }
  assert.equal(images[0], images[1]);
  const packed = (await publishFiles(c, 'packed', fakeFiles('packed', { 'main.mjs': '1\n' }, '', 'buildpack = "node"\nentry_point = "main.mjs"\n'))).body;
  assert.deepEqual([packed.kind, packed.state, packed.image_ref], ['buildpack', 'active', `karta/default/packed:${packed.digest.slice(0, 12)}`]);
  assert.equal((await publishFiles(c, 'plain', fakeFiles('plain'))).body.image_ref, null);
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('previews race their end; folders; addresses; renaming and deleting under live sessions', seconds(60), async (t) => {
  const karta = await startServe(t, { env: { KARTA_PREVIEW_LIFE: `${slowed(4)}s` } });
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  const isRunning = (id) => eventually(async () => (await c.call('GET', '/v1/sessions/{session_id}', [id])).body.turn?.state === 'running', 'a turn');

  // The end of a preview comes while its session works: the turn and those after it are done.
  await publish(c, 'bot', archive(t, { n: 'main' }));
  const p = (await publish(c, 'bot', archive(t, { n: 'pr' }), '?pr=3')).body;
  const s = await session(c, 'bot-pr-3');
  const preview = gate(t);
  const slow = say(c, 'bot', s.id, `[[until:${preview.file}]][[cat:n]]`);
  await eventually(async () => (await ok(200, c, 'GET', `${P}/releases/{version}`, ['bot', p.version])).state === 'expired', 'the end');
  assert.equal((await c.call('GET', `${V}/sessions/{session_id}`, ['bot', s.id])).body.turn?.state, 'running');
  preview.open();
  assert.equal(await slow, 'pr');
  assert.equal(await say(c, 'bot', s.id, '[[cat:n]]'), 'pr');

  // A session by each address is the same session.
  const call = (method, route, body, host) => new Promise((done, fail) => {
    const text = body && JSON.stringify(body);
    const rq = http.request(karta.url + route, { method, headers: { authorization: `Bearer ${karta.key}`, ...(host ? { host } : {}), ...(text ? { 'content-type': 'application/json' } : {}) } }, (r) => {
      let all = '';
      r.on('data', (d) => { all += d; });
      r.on('end', () => done([r.statusCode, all ? JSON.parse(all) : null]));
    });
    rq.on('error', fail);
    rq.end(text);
  });
  const ways = [['/v1/sessions', `bot.localhost:${karta.port}`], ['/v1/projects/bot/sessions'], ['/default/bot/v1/sessions']];
  const strip = ({ updated_at: _, ...rest }) => rest;
  for (const [route, host] of ways) {
    const [status, made] = await call('POST', route, {}, host);
    assert.equal(status, 201);
    for (const [other, at] of [...ways, ['/v1/sessions']]) {
      assert.deepEqual(strip((await call('GET', `${other}/${made.id}`, undefined, at))[1]), strip(made), `${route} ${other}`);
      if (other !== '/v1/sessions' || at) assert.equal((await call('POST', other, { session_id: made.id }, at))[1].id, made.id);
    }
  }

  // A folder of this machine: the next session sees what was edited, none a copy of it.
  const dir = tempDir(t, 'folder');
  writeFiles(dir, fakeFiles('here', { n: 'one' }));
  await u.ok(u.karta('project', 'add', dir, 'here'));
  assert.match((await u.ok(u.karta('project', 'list'))).stdout, /here +folder +acp /);
  const before = await session(c, 'here');
  assert.equal(await say(c, 'here', before.id, '[[cat:n]][[env:BIND]]'), 'one(unset)');
  writeFiles(dir, { n: 'two', '.claude/agents/helper.md': '---\nname: helper\ndescription: helps\n---\nHelp.\n' });
  const says = async (text, what) => eventually(async () => await say(c, 'here', (await session(c, 'here')).id, text) === what, what);
  await says('[[cat:n]]', 'two');
  assert.equal((await ok(200, c, 'GET', P, ['here'])).harness, 'acp');
  writeFiles(dir, { 'karta.toml': 'name = "here"\n' });
  assert.equal((await ok(200, c, 'GET', P, ['here'])).harness, 'claude-code');
  writeFiles(dir, fakeFiles('here', { n: 'two' }));
  await ok(200, c, 'PATCH', `${P}/config`, ['here'], { body: { set: { BIND: 'bound-by-config' } } });
  await says('[[cat:n]][[env:BIND]]', 'twobound-by-config');
  assert.equal((await publish(c, 'here', archive(t))).body.code, 'folder_project');
  assert.equal((await c.call('POST', `${P}/rollback`, ['here'], { body: {} })).body.code, 'folder_project');
  assert.equal((await c.call('PUT', `${P}/pin`, ['here'], { body: {} })).body.code, 'folder_project');
  assert.equal((await c.call('GET', `${P}/releases/{version}`, ['here', 'v1'])).body.kind, 'folder');
  for (const words of [['releases:rollback'], ['rollback', 'v1'], ['promote', 'v1'], ['releases', 'pin'], ['releases', 'show'], ['releases', 'show', 'v1'], ['releases', 'diff', 'v1', 'v2'], ['releases', 'download']]) {
    const r = await u.run('karta', ['--no-input', '-p', 'here', ...words]);
    assert.match(r.stderr, /^karta: here on http:\S+ is served from a folder: what is in it is live, there are no releases\nhint: change the files there, or .*: karta deploy -p NAME\n$/, words.join(' '));
    assert.ok([5, 6].includes(r.status));
  }
  assert.match((await u.ok(u.karta('releases', 'here'))).stderr, /^no releases: here is served from /m);
  assert.match((await u.ok(u.karta('-p', 'here', 'releases', 'unpin'))).stderr, /^here is served from a folder: nothing holds it\.$/m);

  // Renamed: the old name is gone, sessions go on under the new one, in the middle of a turn too.
  const live = await session(c, 'bot');
  const renamed = gate(t);
  const turn = c.call('POST', '/v1/sessions/{session_id}/messages', [live.id], { body: { text: `[[until:${renamed.file}]][[cat:n]]` } });
  await isRunning(live.id);
  await u.ok(u.karta('projects', 'rename', 'bot', 'robot'));
  renamed.open();
  assert.equal((await turn).body.text, 'main');
  await ok(404, c, 'GET', `${V}/sessions/{session_id}`, ['bot', live.id]);
  assert.equal((await ok(200, c, 'GET', `${V}/sessions/{session_id}`, ['robot', live.id])).release, 'v1');
  assert.equal((await call('GET', `/v1/sessions/${live.id}`, undefined, `robot.localhost:${karta.port}`))[0], 200);
  assert.equal((await call('GET', `/v1/sessions/${live.id}`, undefined, `bot.localhost:${karta.port}`))[0], 404);
  assert.equal(await say(c, 'robot', live.id, '[[cat:n]]'), 'main');
  assert.equal((await session(c, 'robot')).project.ref, 'robot');
  // The old name is free for another one, which has nothing of it.
  assert.equal((await publish(c, 'bot', archive(t, { n: 'new' }))).body.version, 'v1');
  assert.deepEqual((await ok(200, c, 'GET', `${V}/sessions`, ['bot'])).data, []);

  // Deleted: nothing of it can be reached or begun; the running turn does not hang.
  const stream = c.call('POST', '/v1/sessions/{session_id}/messages', [live.id], { body: { text: `[[until:${gate(t).file}]][[cat:n]]` } });
  await isRunning(live.id);
  await u.ok(u.karta('projects', 'delete', 'robot', '--confirm', 'robot'));
  const over = await within(stream, 'the end of the turn');
  assert.ok(over.status >= 200 && over.status < 600, over.text);
  for (const [method, route, values] of [['GET', P, ['robot']], ['POST', `${V}/sessions`, ['robot']], ['GET', `${V}/sessions/{session_id}`, ['robot', live.id]], ['GET', `${P}/logs`, ['robot']], ['GET', `${P}/releases`, ['robot']]])
    await ok(404, c, method, route, values, method === 'POST' ? { body: {} } : {});
  assert.equal((await c.call('GET', '/v1/sessions/{session_id}', [live.id])).status, 404, 'a session of a deleted project');
  assert.equal(await karta.stop(), 0, karta.err);
  const next = await startServe(t, { data: karta.home });
  assert.equal((await new Client(next, karta.key).call('GET', '/v1/sessions/{session_id}', [live.id])).status, 404);
  assert.equal(await next.stop(), 0, next.err);
  await clean(karta.data);
});

test('files of old releases go when nobody runs them any more', seconds(60), async (t) => {
  const env = { KARTA_RELEASE_RETENTION: '0s' };
  let karta = await startServe(t, { env });
  let c = new Client(karta, karta.key);
  const digests = [];
  // The agent goes on with its own conversation after a restart.
  await ok(201, c, 'POST', '/agent_projects', [], { body: { slug: 'bot' } });
  await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { FAKE_AGENT_STATE: tempDir(t, 'state') } } });
  for (let n = 1; n <= 8; n++) digests.push((await publish(c, 'bot', archive(t, { n: String(n) }))).body.digest);
  await ok(200, c, 'POST', `${P}/activate`, ['bot'], { body: { version: 'v1' } });
  const s = await session(c, 'bot');
  assert.equal(s.release, 'v1');
  await ok(200, c, 'POST', `${P}/activate`, ['bot'], { body: { version: 'v8' } });
  assert.equal(await say(c, 'bot', s.id, '[[cat:n]]'), '1');
  const trees = () => {
    const root = path.join(karta.data, 'releases');
    return readdirSync(root).flatMap((org) => readdirSync(path.join(root, org)).filter((d) => /^[0-9a-f]{64}$/.test(d)).map((d) => digests.indexOf(d) + 1)).sort((a, b) => a - b);
  };
  const restart = async () => {
    assert.equal(await karta.stop(), 0);
    karta = await startServe(t, { data: karta.home, env });
    c = new Client(karta, karta.key);
  };
  // (What was built a moment ago is kept for those who still read its log.)
  await restart();
  // v2 and v3 are of no use to anybody; v1 has a session, the last five make a rollback quick.
  await eventually(() => trees().join() === '1,4,5,6,7,8', () => `the sweep: ${trees()}`);
  assert.equal(await say(c, 'bot', s.id, '[[cat:n]]'), '1');
  await restart();
  await sleep(2500);
  assert.deepEqual(trees(), [1, 4, 5, 6, 7, 8]);
  assert.equal(await say(c, 'bot', s.id, '[[cat:n]]'), '1');
  await ok(204, c, 'DELETE', '/v1/sessions/{session_id}', [s.id]);
  await restart();
  await eventually(() => trees().join() === '4,5,6,7,8', () => `the end of the last session: ${trees()}`);
  // It is made again from its blobs when it is wanted.
  assert.equal((await ok(200, c, 'POST', `${P}/rollback`, ['bot'], { body: { version: 'v2' } })).version, 'v2');
  assert.equal(await say(c, 'bot', (await session(c, 'bot')).id, '[[cat:n]]'), '2');
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
  assert.ok(existsSync(karta.data) && statSync(karta.data).isDirectory());
});
