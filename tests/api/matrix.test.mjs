// SPDX-License-Identifier: MIT
// Every route with every credential, on one's own things, on another organization's, and on what is not there. The
// scopes are written here by hand; a route that is not in the table fails. Another organization's thing answers, but
// for the request's id, byte for byte as what does not exist.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Client, documented } from './document.mjs';
import { KARTA, PATIENCE_MS, sleep, tempDir } from './lib.mjs';
import { archive, publish, secondOrganization, startServe } from './serve.mjs';

const SCOPES = {
  none: ['getOpenapi', 'getHealth', 'getReadiness', 'getHarnesses', 'beginDevice', 'pollDevice', 'receiveGithub', 'receiveGithubOf', 'signIn'],
  any: ['whoAmI', 'revokeKey', 'signOut', 'handOver'],
  read: ['listSessions', 'getSession', 'getInput', 'readEvents', 'listAgents', 'getProjectDev',
    'listProjectSessions', 'getProjectSession', 'getProjectInput', 'readProjectEvents', 'listProjectAgents',
    'listProjects', 'getProject', 'listReleases', 'getManifest', 'getArchive', 'getConfig', 'readLogs', 'listKeys', 'listUsage', 'listApprovals', 'listProjectApprovals'],
  'read or write': ['listRefs', 'getRelease', 'readBuildLog', 'getDeploy', 'readDeployLog'],
  write: ['createSession', 'deleteSession', 'changeSession', 'changeProjectSession', 'sendMessage', 'resolveInput', 'interruptTurn',
    'createProjectSession', 'deleteProjectSession', 'sendProjectMessage', 'resolveProjectInput', 'interruptProjectTurn',
    'createProject', 'changeProject', 'deleteRef', 'publishRelease', 'uploadRelease', 'activateRelease', 'activateVersion',
    'createDeploy', 'changeConfig', 'revokeApprovals', 'revokeApproval', 'revokeProjectApprovals', 'revokeProjectApproval'],
  admin: ['deleteProject', 'rollBack', 'pinProject', 'unpinProject', 'createKey', 'listAudit', 'verifyAudit', 'getDevice', 'decideDevice'],
};
/** Of a local server only. */
const LOCAL = ['getDev'];
const scopeOf = Object.fromEntries(Object.entries(SCOPES).flatMap(([scope, ids]) => ids.map((id) => [id, scope])));

/* Bodies that get past the checks of their form. */
const BODIES = {
  createSession: { project: 'REF' }, createProjectSession: {}, changeSession: { title: 'x' }, changeProjectSession: { title: 'x' }, sendMessage: { text: 'x' }, sendProjectMessage: { text: 'x' },
  resolveInput: { decision: 'deny' }, resolveProjectInput: { decision: 'deny' }, changeProject: { production_ref: 'trunk' },
  activateVersion: { version: 'v1' }, rollBack: { reason: 'x' }, pinProject: { reason: 'x' }, createDeploy: { commit_sha: '1'.repeat(40) }, changeConfig: { set: { A: 'b' } },
  decideDevice: { approve: false }, createProject: {}, createKey: {}, beginDevice: {}, pollDevice: {}, signIn: {}, handOver: { host: 'nothing.localhost', state: 'x'.repeat(20) }, receiveGithub: {}, receiveGithubOf: {},
};
const QUERY = { deleteRef: '?name=refs/heads/main', readLogs: '?follow=0', listAgents: '?project=REF', readEvents: '?until=idle', readProjectEvents: '?until=idle' };

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

function send(karta, { method, url, headers = [], body }) {
  return new Promise((done, fail) => {
    const fields = body === undefined ? [] : [['content-type', 'application/json'], ['content-length', String(Buffer.byteLength(body))]];
    // As a flat list, names may come twice.
    const rq = http.request(karta.url + url, { method, agent, headers: [['host', `127.0.0.1:${karta.port}`], ...headers, ...fields].flat() }, (r) => {
      let text = '';
      r.setEncoding('latin1');
      r.on('data', (d) => { text += d; });
      r.on('end', () => done({ status: r.statusCode, text, headers: r.headers }));
      r.on('error', fail);
    });
    rq.on('error', fail);
    rq.setTimeout(PATIENCE_MS, () => rq.destroy(new Error(`no answer: ${method} ${url}`)));
    rq.end(body);
  });
}

/* What is the same for the same answer: without the request's id, and the names that it asked for. */
function plain(r, at = {}) {
  const headers = { ...r.headers };
  for (const h of ['date', 'request-id', 'connection', 'keep-alive', 'content-length']) delete headers[h];
  let text = r.text.replace(/"request_id":"[^"]*"/, '');
  for (const id of Object.values(at)) text = text.replaceAll(id, 'ASKED');
  return JSON.stringify([r.status, headers, text]);
}

/** Things of one organization, made with a key that may do all. */
async function things(t, karta, key, name) {
  const c = new Client(karta, key);
  const release = (await publish(c, name, archive(t, {}, name), `?commit_sha=${'1'.repeat(40)}`)).body;
  assert.equal(release.state, 'active');
  const project = (await c.call('GET', '/agent_projects/{project_ref}', [name])).body;
  const session = (await c.call('POST', '/v1/projects/{project_ref}/sessions', [name], { body: {} })).body;
  const own = (await c.call('POST', '/v1/keys', [], { body: { name: 'spare', scopes: ['read'] } })).body;
  return { project_ref: project.id, slug: name, session_id: session.id, request_id: 'req_0000000000000000000000', version: release.id, key_id: own.id };
}

const MISSING = { project_ref: 'proj_0000000000000000000000', slug: 'nothing', session_id: 'sess_0000000000000000000000', request_id: 'req_0000000000000000000000',
  version: 'rel_0000000000000000000000', key_id: 'key_0000000000000000000000', user_code: 'BCDF-GHJK' };

/* The request of an operation on things. */
function requestOf(r, at) {
  const body = r.op.requestBody ? JSON.stringify(BODIES[r.id] ?? {}).replace('REF', at.project_ref) : undefined;
  return { method: r.method, body, url: r.path.replace(/\{(\w+)\}/g, (_, name) => at[name] ?? MISSING[name]) + (QUERY[r.id] ?? '').replace('REF', at.project_ref) };
}

test('every route is in the table, with the scope that the document says', () => {
  assert.deepEqual(documented.map((r) => r.id).sort(), [...Object.keys(scopeOf), ...LOCAL].sort());
  for (const r of documented) if (!LOCAL.includes(r.id)) assert.equal(r.op['x-karta-scope'], scopeOf[r.id], r.id);
});

test('every route with every credential', async (t) => {
  const home = tempDir(t, 'serve');
  const before = await startServe(t, { data: home });
  const c = new Client(before, before.key);
  const make = async (name, body) => {
    const r = await c.call('POST', '/v1/keys', [], { body: { name, ...body } });
    assert.equal(r.status, 201, r.text);
    return r.body;
  };
  const ALL = ['read', 'write', 'admin'];
  const keys = {};
  for (const s of ALL) keys[s] = await make(s, { scopes: [s] });
  keys.all = await make('all', { scopes: ALL });
  keys.test = await make('test', { scopes: ALL, test: true });
  for (const s of ALL) keys[`their ${s}`] = await make(`their ${s}`, { scopes: [s] });
  keys['their all'] = await make('their all', { scopes: ALL });
  keys.revoked = await make('revoked', { scopes: ALL });
  keys.expired = await make('expired', { scopes: ALL, expires_in_s: 1 });
  await c.call('DELETE', '/v1/keys/{key_id}', [keys.revoked.id]);
  assert.match(keys.test.key, /^kt_test_/);
  assert.equal(await before.stop(), 0);
  secondOrganization(before.data, Object.entries(keys).filter(([n]) => n.startsWith('their')).map(([, k]) => k.id));
  // A key with a good checksum that this server never saw.
  const elsewhere = tempDir(t, 'other');
  execFileSync(KARTA, ['serve', '--init-only', '--data', path.join(elsewhere, 'data'), '--key-file', path.join(elsewhere, 'key')],
    { env: { PATH: process.env.PATH, HOME: elsewhere, XDG_CONFIG_HOME: elsewhere }, stdio: 'ignore' });
  const unknown = readFileSync(path.join(elsewhere, 'key'), 'utf8').trim();

  const karta = await startServe(t, { data: home });
  const ours = await things(t, karta, keys.all.key, 'ours');
  const theirs = await things(t, karta, keys['their all'].key, 'theirs');
  await sleep(1100);
  const good = keys.all.key;
  const typo = good.slice(0, -1) + (good.endsWith('A') ? 'B' : 'A');
  const bearer = (key) => [['authorization', `Bearer ${key}`]];

  /* Credentials that are none. */
  const none = {
    none: [], empty: [['authorization', 'Bearer ']], bare: [['authorization', good]], 'wrong scheme': [['authorization', `Token ${good}`]],
    basic: [['authorization', `Basic ${Buffer.from(`${good}:`).toString('base64')}`]], 'two headers': [['authorization', `Bearer ${good}`], ['authorization', `Bearer ${good}`]],
    'two keys in one': bearer(`${good},${good}`), 'two words': bearer(`${good} ${good}`), malformed: bearer('kt_live_x'), 'other prefix': bearer(good.replace('kt_live_', 'kt_dead_')),
    'bad checksum': bearer(typo), 'too long': bearer(`${good}A`), unknown: bearer(unknown), revoked: bearer(keys.revoked.key), expired: bearer(keys.expired.key),
    cookie: [['cookie', `key=${good}`]], 'x-api-key': [['x-api-key', good]], session: bearer(ours.session_id),
  };
  /* A key in the URL, alone and beside a good header. */
  const inQuery = [[`access_token=${good}`, []], [`key=${good}`, []], [`key=${good}`, bearer(good)]];
  /* Keys, and whose they are. */
  const some = Object.fromEntries(Object.entries(keys).filter(([n]) => !['revoked', 'expired'].includes(n))
    .map(([n, k]) => [n, { key: k.key, scopes: k.scopes, at: n.startsWith('their') ? theirs : ours, foreign: n.startsWith('their') ? ours : theirs }]));

  let count = 0;
  const go = (rq, headers) => { count++; return send(karta, { ...rq, headers }); };
  const routes = documented.filter((r) => !LOCAL.includes(r.id));
  let refusal = null;

  for (const r of routes) {
    // Any key revokes itself; these are others.
    const scope = r.id === 'revokeKey' ? 'admin' : scopeOf[r.id];
    const scopes = scope.split(' or ');
    const named = /\{(project_ref|session_id|version|key_id)\}/.test(r.path) || /REF/.test(QUERY[r.id] ?? JSON.stringify(BODIES[r.id] ?? ''));
    if (scope === 'none') {
      assert.notEqual((await go(requestOf(r, ours), [])).status, 403, r.id);
      continue;
    }
    // Nobody: one answer, whatever is wrong and whatever is asked for.
    const refused = await Promise.all([...Object.entries(none).flatMap(([what, headers]) => [ours, theirs, MISSING].map(async (at) => [what, await go(requestOf(r, at), headers)])),
      ...inQuery.map(async ([q, headers]) => {
        const rq = requestOf(r, ours);
        return [q.split('=')[0], await go({ ...rq, url: rq.url + (rq.url.includes('?') ? '&' : '?') + q }, headers)];
      })]);
    for (const [what, a] of refused) {
      assert.equal(a.status, 401, `${r.id}, ${what}: ${a.text}`);
      assert.equal(a.headers['www-authenticate'], 'Bearer realm="karta"');
      assert.ok(!a.text.includes(good.slice(8)), `${r.id}, ${what}: the answer has the key in it`);
      refusal ??= plain(a);
      assert.equal(plain(a), refusal, `${r.id}, ${what}`);
    }
    // Keys: scopes are exact; what is another organization's is not there.
    for (const [who, k] of Object.entries(some)) {
      const may = scope === 'any' || scopes.some((x) => k.scopes.includes(x));
      const [mine, foreign, missing] = await Promise.all([
        may && r.method !== 'GET' && named ? null : go(requestOf(r, k.at), bearer(k.key)),
        go(requestOf(r, k.foreign), bearer(k.key)), go(requestOf(r, MISSING), bearer(k.key))]);
      if (!may) {
        for (const a of [mine, foreign, missing]) assert.deepEqual([a.status, JSON.parse(a.text).code], [403, 'forbidden'], `${r.id}, ${who}`);
        assert.deepEqual([plain(foreign), plain(missing)], [plain(mine), plain(mine)], `${r.id}, ${who}`);
        continue;
      }
      if (mine) assert.ok(mine.status !== 401 && mine.status !== 403, `${r.id}, ${who}: ${mine.status} ${mine.text}`);
      if (mine && r.method === 'GET' && !['getDevice', 'getInput', 'getProjectInput'].includes(r.id)) assert.ok([200, 204].includes(mine.status), `${r.id}, ${who}: ${mine.text.slice(0, 300)}`);
      // Nothing of the others shows in lists, either.
      if (mine) for (const id of [k.foreign.project_ref, k.foreign.session_id, k.foreign.version, k.foreign.key_id]) assert.ok(!mine.text.includes(id), `${r.id}, ${who} shows ${id}`);
      if (!named) continue;
      assert.ok(foreign.status === 404 || ['publishRelease', 'uploadRelease'].includes(r.id), `${r.id}, ${who}: ${foreign.status} ${foreign.text}`);
      assert.equal(plain(foreign, k.foreign), plain(missing, MISSING), `${r.id}, ${who}`);
    }
  }

  // One's own project with something of another's in it, and hosts.
  for (const r of routes.filter((x) => (x.path.match(/\{/g) ?? []).length > 1 && !/inputs/.test(x.path))) {
    const at = { ...theirs, project_ref: ours.project_ref };
    const not = { ...MISSING, project_ref: ours.project_ref };
    const [foreign, missing] = [await go(requestOf(r, at), bearer(good)), await go(requestOf(r, not), bearer(good))];
    assert.equal(foreign.status, 404, `${r.id}: ${foreign.text}`);
    assert.equal(plain(foreign, at), plain(missing, not), r.id);
  }
  for (const url of ['/v1/sessions', '/v1/agents', '/v1/dev']) {
    const at = (label, key) => new Promise((done, fail) => {
      http.get(karta.url + url, { headers: { host: `${label}.localhost`, ...(key ? { authorization: `Bearer ${key}` } : {}) } }, (r) => {
        let text = '';
        r.on('data', (d) => { text += d; });
        r.on('end', () => done({ status: r.statusCode, text, headers: r.headers }));
      }).on('error', fail);
    });
    assert.equal((await at('ours', good)).status, 200, url);
    assert.equal((await at('ours', keys.write.key)).status, 403, url);
    assert.deepEqual([plain(await at('theirs', good)), (await at('theirs', good)).status], [plain(await at('nothing', good)), 404], url);
    assert.equal(plain(await at('theirs')), plain(await at('nothing')), url);
  }
  for (const org of ['other', 'nobody']) {
    const a = await go({ method: 'GET', url: `/${org}/theirs/v1/sessions` }, bearer(good));
    assert.deepEqual([a.status, JSON.parse(a.text).code], [404, 'project_not_found']);
  }
  // Both are as they were.
  for (const [key, at] of [[good, ours], [keys['their all'].key, theirs]])
    assert.equal((await go({ method: 'GET', url: `/v1/sessions/${at.session_id}` }, bearer(key))).status, 200);
  t.diagnostic(`${routes.length} routes, ${count} requests`);
  agent.destroy();
  assert.equal(await karta.stop(), 0);
});
