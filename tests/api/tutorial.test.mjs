// SPDX-License-Identifier: MIT
// docs/tutorials/support-bot.md, typed from top to bottom in three terminals, as it stands there: `karta serve` and the
// web server in two, everything else in the third. The agent is the real Claude Code with a stand-in for the model,
// whose address and key the first terminal has, as a reader's would. Then visitors talk to the page on :5050.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { blocksOf } from '../lib/documents.mjs';
import { ownNetwork } from '../lib/netns.mjs';
import { BROWSER, CLAUDE, KARTA, PATIENCE_MS, ROOT, harnessEnv, path, seconds, startModel, tempDir } from './lib.mjs';

const { chromium } = createRequire(`${ROOT}/tests/package.json`)('playwright-core');
const here = ownNetwork(import.meta.url);
const skip = here !== true ? here : existsSync(CLAUDE) ? false : 'Claude Code is not installed';

test('the tutorial, word for word', { skip, ...seconds(120) }, async (t) => {
  const model = await startModel(t);
  const home = tempDir(t, 'home');
  const dir = tempDir(t, 'tutorial');
  const vars = { ...harnessEnv(model, home), PATH: `${path.dirname(KARTA)}:${process.env.PATH}`, TMPDIR: process.env.TMPDIR ?? '/tmp', LC_ALL: 'C.UTF-8', ASAN_OPTIONS: 'detect_leaks=0:exitcode=99' };
  // Only the first terminal has what the model needs.
  const { ANTHROPIC_API_KEY: _key, ANTHROPIC_BASE_URL: _url, ...reader } = vars;
  const commands = blocksOf(ROOT).filter((b) => b.file === 'docs/tutorials/support-bot.md').flatMap((b) => b.commands.map((c) => c.text));
  const out = {};

  /** A command that stays: until it is there, what it says goes on in out. */
  const terminal = async (name, command, cwd, env) => {
    const child = spawn('bash', ['-c', `exec ${command}`], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    out[name] = '';
    child.stdout.on('data', (d) => { out[name] += d; });
    child.stderr.on('data', (d) => { out[name] += d; });
    const stop = async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await new Promise((done) => { child.once('exit', done); });
    };
    t.after(stop);
    await new Promise((done, fail) => {
      child.stdout.on('data', () => /http:/.test(out[name]) && done());
      child.once('exit', () => fail(new Error(`${command}: ${out[name]}`)));
    });
    return stop;
  };
  // The second terminal is one shell from first to last: variables stay.
  const typed = [];
  const shell = (list) => spawnSync('bash', ['-c', list.map((c) => `${c}\ns=$?; echo; echo "@@ $s"`).join('\n')], { cwd: dir, env: reader, encoding: 'utf8', timeout: PATIENCE_MS });
  const second = (list) => {
    typed.push(...list);
    const r = shell(list);
    const parts = r.stdout.split(/\n@@ (\d+)\n/);
    const said = list.map((c, i) => {
      assert.equal(parts[2 * i + 1], '0', `${c}: ${r.stdout} ${r.stderr}`);
      return parts[2 * i];
    });
    return said;
  };

  const at = (text) => commands.findIndex((c) => c.includes(text));
  const order = ['karta init', 'karta serve --port 8000', 'karta project add ./app support-bot', 'karta project list', '"metadata"', 'SESSION=', '/messages', 'node web.mjs'];
  assert.deepEqual(order.map((o) => at(o)), [...order.keys()], 'the commands are in this order');

  second([commands[0]]);
  const stopServe = await terminal('serve', commands[1], dir, vars);
  assert.equal(commands[1], 'karta serve --port 8000');
  assert.match(out.serve, /local: .*without keys/);
  const [, list] = second([commands[2], commands[3]]);
  assert.match(list, /^support-bot .*http:\/\/support-bot\.localhost:8000/m);
  const [created, , streamed] = second([commands[4], commands[5], commands[6]]);
  assert.equal(JSON.parse(created).metadata.customer_id, 'abc123');
  assert.match(streamed, /^event: text\n/m);
  assert.match(streamed, /^event: done\n/m);
  assert.match(streamed, /You said: /, 'it is the model that answered, through the harness');

  const web = path.join(dir, 'web');
  mkdirSync(web);
  cpSync(path.join(ROOT, 'docs/tutorials/support-bot/web.mjs'), path.join(web, 'web.mjs'));
  const stopWeb = await terminal('web', commands[7], web, reader);
  assert.match(out.web, /^http:\/\/localhost:5050$/m);
  const chat = (body, headers = {}) => new Promise((done, fail) => {
    const rq = http.request({ host: '127.0.0.1', port: 5050, path: '/chat', method: 'POST', headers: { 'content-type': 'application/json', ...headers } }, (r) => {
      let text = '';
      r.on('data', (d) => { text += d; });
      r.on('end', () => done({ status: r.statusCode, text, cookie: r.headers['set-cookie']?.[0].split(';')[0] }));
    });
    rq.on('error', fail);
    rq.end(JSON.stringify(body));
  });
  const first = await chat({ text: '[[recall]] zebra' });
  assert.equal(first.status, 200, first.text);
  const again = await chat({ text: '[[recall]] two' }, { cookie: first.cookie });
  assert.match(again.text, /Earlier messages: .*zebra/, 'the same visitor is in the same session');
  const other = await chat({ text: '[[recall]] three' });
  assert.doesNotMatch(other.text, /Earlier messages: [^"]*zebra/, 'another one is not');
  assert.equal((await chat({ text: 'x' }, { 'content-type': 'text/plain' })).status, 502, 'a form of another site cannot');

  if (BROWSER) {
    const browser = await chromium.launch({ executablePath: BROWSER, timeout: PATIENCE_MS, args: ['--no-sandbox'] });
    t.after(() => browser.close());
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto('http://localhost:5050');
    await page.fill('input', '[[text:It left the roastery.]]');
    await page.keyboard.press('Enter');
    await page.getByText('It left the roastery.', { exact: true }).waitFor();
    await page.fill('input', '[[error:401]]');
    await page.keyboard.press('Enter');
    await page.locator('.note').waitFor();
  }
  await stopWeb();
  await stopServe();
});

test('one session: README\'s first screen, the tutorial and words from elsewhere, and no dead end', { skip: here === true ? false : here, ...seconds(180) }, (t) => {
  const made = tempDir(t, 'hour');
  const r = spawnSync(path.join(ROOT, 'scripts/first-hour'), [made], { encoding: 'utf8', env: { ...process.env, KARTA, ASAN_OPTIONS: 'detect_leaks=0:exitcode=99' } });
  assert.equal(r.status, 0, r.stderr);
  assert.match(r.stdout, /^\d\d commands, no dead end$/m);
  const [head, ...events] = readFileSync(path.join(made, 'first-hour.cast'), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
  assert.deepEqual([head.version, head.width], [2, 80]);
  const said = events.map(([, , text]) => text).join('');
  for (const words of ['remote: Released v1 of support-bot', 'event: done', 'was served without keys', 'v2 is live again on support-bot', 'no \'restart\' here', 'Signed in to'])
    assert.ok(said.includes(words), words);
});
