// SPDX-License-Identifier: MIT
// Kinds of applications: harness types that run as an agent of the Agent Client Protocol by a program that karta
// knows, and applications whose workspace is set up by a script of theirs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { KARTA, ROOT, eventually, startKarta, tempDir, writeFiles } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';

const S = '/v1/projects/{project_ref}/sessions';
const KINDS = [
  ['codex-cli', 'codex-acp', 'npm install -g @zed-industries/codex-acp', { '.codex/config.toml': 'model = "gpt-x"\nsandbox_mode = "read-only"\n' }],
  ['deepagents', 'deepagents-acp', 'npm install -g deepagents-acp', { '.deepagents/karta.jsonc': '{ // settings\n "runtime": { "permission_mode": "autonomous" } }' }],
  ['goose', 'goose', 'download_cli.sh', { '.goose/karta.jsonc': '{ "runtime": { "permission_mode": "autonomous" } }' }],
];
const toml = (name, type, more = '') => `name = "${name}"\ndeploy = true\n[harness]\ntype = "${type}"\nversion = "1"\n${more}`;

/** A folder with programs of these names, each the fake agent. */
function programs(t, names) {
  const dir = tempDir(t, 'bin');
  for (const name of names) {
    const file = path.join(dir, name);
    writeFileSync(file, `#!/bin/sh\n[ "$*" = "$WANT_ARGS" ] || [ -z "$WANT_ARGS" ] || exit 9\nexec ${process.execPath} ${ROOT}/tests/lib/fake-agent.mjs\n`);
    chmodSync(file, 0o755);
  }
  return dir;
}
const bare = (t) => {
  const dir = tempDir(t, 'path');
  for (const tool of ['sh', 'git', 'tar', 'env', 'cat', 'node']) {
    try { execFileSync('ln', ['-s', execFileSync('sh', ['-c', `command -v ${tool}`]).toString().trim(), path.join(dir, tool)]); } catch { /* not here */ }
  }
  return dir;
};

test('a known type without its program builds and is released; doctor and sessions say what installs it', async (t) => {
  const home = bare(t);
  const server = await startServe(t, { env: { PATH: home } });
  const c = new Client(server, server.key);
  for (const [type, program, install, files] of KINDS) {
    const release = (await publish(c, type, archive(t, { 'karta.toml': toml(type, type), ...files }, type))).body;
    assert.deepEqual([release.state, release.harness], ['active', type], JSON.stringify(release));
    const log = (await c.call('GET', '/agent_projects/{project_ref}/releases/{version}/log', [type, 'v1'])).text;
    assert.ok(log.includes(program) && log.includes(install), log);
    const s = (await c.call('POST', S, [type], { body: {} })).body;
    const sent = await c.call('POST', `${S}/{session_id}/messages`, [type, s.id], { body: { text: 'hi' } });
    assert.deepEqual([sent.status, sent.body.code], [503, 'harness_not_installed'], sent.text);
    assert.ok(sent.body.detail.includes(install), sent.body.detail);
    // And the folder itself.
    const dir = tempDir(t, 'folder');
    writeFiles(dir, { 'AGENTS.md': 'x\n', 'karta.toml': toml(type, type), ...files });
    let said = '';
    try { said = execFileSync(KARTA, ['doctor', '--dir', dir], { env: { PATH: home, HOME: dir }, stdio: 'pipe' }).toString(); } catch (e) { said = `${e.stdout}${e.stderr}`; }
    assert.match(said, new RegExp(`${type}: cannot find the program '${program}'`));
    assert.ok(said.includes(install), said);
  }
  assert.deepEqual((await c.call('GET', '/harnesses.json')).body.harnesses.filter((h) => KINDS.some(([k]) => k === h.id)), []);
});

test('a known type runs by its program, with its own arguments and the settings in its folder', async (t) => {
  const bin = programs(t, KINDS.map(([, program]) => program));
  const server = await startServe(t, { env: { PATH: `${bin}:${process.env.PATH}` } });
  const c = new Client(server, server.key);
  const ids = (await c.call('GET', '/harnesses.json')).body.harnesses.map((h) => h.id);
  for (const [type, , , files] of KINDS) {
    assert.ok(ids.includes(type), `${type} in ${ids}`);
    const release = (await publish(c, type, archive(t, { 'karta.toml': toml(type, type, '[env]\nWANT_ARGS = {}\n'), ...files }, type))).body;
    assert.deepEqual([release.state, release.harness], ['active', type], JSON.stringify(release));
    await c.call('PATCH', '/agent_projects/{project_ref}/config', [type], { body: { set: { WANT_ARGS: type === 'goose' ? 'acp' : '' } } });
    await eventually(async () => (await c.call('GET', '/agent_projects/{project_ref}', [type])).body.current.version === 'v2', 'the variable');
    const s = (await c.call('POST', S, [type], { body: {} })).body;
    const sent = await c.call('POST', `${S}/{session_id}/messages`, [type, s.id], { body: { text: '[[text:here]]' } });
    assert.equal(sent.status, 200, sent.text);
    assert.match(sent.text, /here/);
  }
  // A command of one's own comes before it; what is broken in .codex/config.toml is said, as Codex would not start.
  const own = (await publish(c, 'own', archive(t, { 'karta.toml': toml('own', 'goose', `command = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n`) }, 'own'))).body;
  assert.deepEqual([own.state, own.harness], ['active', 'goose']);
  const broken = await publish(c, 'broken', archive(t, { 'karta.toml': toml('broken', 'codex-cli'), '.codex/config.toml': 'model = \n' }, 'broken'));
  assert.equal(broken.status, 422);
  assert.match(broken.text, /\.codex\/config\.toml:1/);
});

const SETUP = '[environment]\nsetup = "setup.sh"\n';
const agentToml = (name, more) => `name = "${name}"\n${more}[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n[env]\nWORD = {}\n`;

test('a setup script runs once in each workspace, before the first turn, as its harness would', async (t) => {
  const server = await startServe(t);
  const c = new Client(server, server.key);
  const script = 'echo "setting up with $WORD"\necho "$WORD $HOME $(pwd)" >>made.txt\necho "$WORD" >"$HOME/at-home"\n';
  const files = { 'karta.toml': agentToml('up', '').replace('[harness]', `${SETUP}[harness]`), 'setup.sh': script };
  assert.equal((await publish(c, 'up', archive(t, files, 'up'))).body.state, 'active');
  await c.call('PATCH', '/agent_projects/{project_ref}/config', ['up'], { body: { set: { WORD: 'xylophone' } } });
  await eventually(async () => (await c.call('GET', '/agent_projects/{project_ref}', ['up'])).body.current.version === 'v2', 'the variable');
  const say = async (id, text, project = 'up') => c.call('POST', `${S}/{session_id}/messages`, [project, id], { body: { text } });
  for (let i = 0; i < 2; i++) {
    const s = (await c.call('POST', S, ['up'], { body: {} })).body;
    const one = await say(s.id, '[[cat:made.txt]]');
    assert.equal(one.status, 200, one.text);
    assert.match(one.text, new RegExp(`xylophone [^ ]*/sessions/${s.id}/home [^ ]*/sessions/${s.id}/workspace`));
    const two = await say(s.id, '[[cat:made.txt]]');
    assert.equal(two.body.text.match(/xylophone/g).length, 1, 'once');
    assert.equal(readFileSync(path.join(server.data, 'sessions', s.id, 'home', 'at-home'), 'utf8'), 'xylophone\n');
  }
  const log = (await c.call('GET', '/agent_projects/{project_ref}/logs', ['up'], { query: '?lines=100' })).text;
  assert.match(log, /setup: setting up with/);
  assert.ok(!/setting up with xylophone/.test(log), 'values of variables are cut out');

  // It fails: so does the turn, with the reason; the next message tries it again; a new start of the server as well.
  const flaky = { ...files, 'setup.sh': '#!/bin/sh\necho "no network here" >&2\n[ -e ../allow ] || exit 3\necho fine >made.txt\n' };
  assert.equal((await publish(c, 'flaky', archive(t, { ...flaky, 'karta.toml': flaky['karta.toml'].replace('"up"', '"flaky"') }, 'flaky'))).body.state, 'active');
  const s = (await c.call('POST', S, ['flaky'], { body: {} })).body;
  for (let i = 0; i < 2; i++) {
    const failed = await say(s.id, '[[cat:made.txt]]', 'flaky');
    assert.deepEqual([failed.status, failed.body.code], [503, 'setup_failed'], failed.text);
    assert.match(failed.body.detail, /setup 'setup.sh' failed with status 3: no network here/);
  }
  writeFileSync(path.join(server.data, 'sessions', s.id, 'allow'), '');
  const good = await say(s.id, '[[cat:made.txt]]', 'flaky');
  assert.equal(good.status, 200, good.text);
  assert.match(good.text, /fine/);

  // One that writes without end fills neither the log nor the time of others; how it ends is known.
  const loud = { ...files, 'karta.toml': files['karta.toml'].replace('"up"', '"loud"'), 'setup.sh': 'yes | head -n 3000000\necho the end >&2\nexit 4\n' };
  await publish(c, 'loud', archive(t, loud, 'loud'));
  const l = (await c.call('POST', S, ['loud'], { body: {} })).body;
  const ended = await say(l.id, 'x', 'loud');
  assert.match(ended.body.detail, /failed with status 4: the end/, ended.text);
  const lines = (await c.call('GET', '/agent_projects/{project_ref}/logs', ['loud'], { query: '?lines=2000' })).text;
  assert.match(lines, /it writes more lines than are kept/);
  assert.equal(lines.match(/setup: y\b/g).length, 1000);

  // What is deleted while it runs is gone.
  const slow = { ...files, 'karta.toml': files['karta.toml'].replace('"up"', '"slow"'), 'setup.sh': 'echo begun\nsleep 600\n' };
  await publish(c, 'slow', archive(t, slow, 'slow'));
  const z = (await c.call('POST', S, ['slow'], { body: {} })).body;
  const sent = await c.call('POST', `${S}/{session_id}/messages`, ['slow', z.id], { body: { text: 'x' }, headers: { prefer: 'respond-async' } });
  assert.equal(sent.status, 202, sent.text);
  await eventually(async () => /setup: begun/.test((await c.call('GET', '/agent_projects/{project_ref}/logs', ['slow'])).text), 'its start');
  assert.equal((await c.call('DELETE', `${S}/{session_id}`, ['slow', z.id])).status, 204);
  assert.equal(await server.stop(), 0, server.err);
});

test('a harness that writes to stderr without end does not fill the log of its project', async (t) => {
  const server = await startServe(t);
  const c = new Client(server, server.key);
  const toml = 'name = "noisy"\n[harness]\ntype = "acp"\ncommand = ["/bin/sh", "-c", "yes noise | head -n 300000 >&2; echo the end >&2; exit 3"]\n';
  assert.equal((await publish(c, 'noisy', archive(t, { 'karta.toml': toml }, 'noisy'))).body.state, 'active');
  const s = (await c.call('POST', S, ['noisy'], { body: {} })).body;
  for (let turn = 1; turn <= 2; turn++) {
    const failed = await c.call('POST', `${S}/{session_id}/messages`, ['noisy', s.id], { body: { text: 'x' } });
    assert.match(failed.body.detail, /the end/, failed.text);
    const log = (await c.call('GET', '/agent_projects/{project_ref}/logs', ['noisy'], { query: '?lines=5000' })).text;
    assert.equal(log.match(/writes more lines than are kept of a turn/g).length, turn, 'the next turn is heard again');
    assert.equal(log.match(/"text":"noise"/g).length, 1000 * turn);
  }
});

test('a setup script that is not there, or outside, is an error before any session', async (t) => {
  const server = await startServe(t);
  const c = new Client(server, server.key);
  for (const [path_, why] of [['setup.sh', /there is no setup script 'setup.sh'/], ['../x.sh', /outside of the folder/], ['/bin/true', /outside of the folder/]]) {
    const bad = await publish(c, 'bad', archive(t, { 'karta.toml': agentToml('bad', `[environment]\nsetup = "${path_}"\n`) }, 'bad'));
    assert.equal(bad.status, 422, bad.text);
    assert.match(bad.text, why);
  }
});

test('karta dev runs the setup once for each text of the script, and says so', async (t) => {
  const dir = tempDir(t, 'app');
  const data = tempDir(t, 'data');
  writeFiles(dir, { 'AGENTS.md': 'x\n', 'karta.toml': agentToml('dev', '').replace('[harness]', `${SETUP}[harness]`), 'setup.sh': 'echo one >>made.txt\n' });
  const talk = async (karta) => {
    const post = async (url, body) => (await fetch(karta.url + url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).json();
    const ids = await Promise.all([1, 2].map(async () => (await post('/v1/sessions', {})).id));
    const answers = await Promise.all(ids.map((id) => post(`/v1/sessions/${id}/messages`, { text: '[[cat:made.txt]]' })));
    for (const a of answers) assert.ok(JSON.stringify(a).includes('one'), JSON.stringify(a));
  };
  for (let i = 0; i < 2; i++) {
    const karta = await startKarta(t, dir, { data });
    assert.match(karta.err, /setup: setup.sh runs in this folder before the first message, once/);
    await talk(karta);
    assert.equal(readFileSync(path.join(dir, 'made.txt'), 'utf8'), 'one\n', 'two sessions and two starts, once');
    await karta.stop();
  }
  writeFileSync(path.join(dir, 'setup.sh'), 'echo one again >>made.txt\n');
  await talk(await startKarta(t, dir, { data }));
  assert.equal(readFileSync(path.join(dir, 'made.txt'), 'utf8'), 'one\none again\n');
});
