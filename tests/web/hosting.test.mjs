// SPDX-License-Identifier: MIT
// The pages of a hosting server in a browser: the chat page of a project asks for a key once and works by host name
// and by path; the list of projects; approving a login.
import assert from 'node:assert/strict';
import { readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Client } from '../api/document.mjs';
import { BROWSER, PATIENCE_MS, ROOT, eventually, seconds, tempDir } from '../api/lib.mjs';
import { archive, publish, startServe } from '../api/serve.mjs';

const { chromium } = createRequire(`${ROOT}/tests/package.json`)('playwright-core');
const axe = readFileSync(`${ROOT}/tests/node_modules/axe-core/axe.min.js`, 'utf8');

test('the pages of a hosting server', { skip: BROWSER ? false : 'no browser is installed', ...seconds(60) }, async (t) => {
  const bin = tempDir(t, 'bin');
  symlinkSync('/bin/true', `${bin}/opencode`);
  const karta = await startServe(t, { env: { PATH: `${bin}:${process.env.PATH}` } });
  const c = new Client(karta, karta.key);
  assert.equal((await c.call('POST', '/agent_projects', [], { body: { slug: 'fake' } })).status, 201);
  assert.equal((await c.call('PATCH', '/agent_projects/{project_ref}/config', ['fake'], { body: { set: { A_TOKEN: 'never-shown' } } })).status, 200);
  assert.equal((await publish(c, 'fake', archive(t))).status, 201);
  assert.equal((await publish(c, 'fake', archive(t, { 'AGENTS.md': 'The second.\n' }), '?message=The%20second')).status, 201);
  assert.equal((await c.call('PUT', '/agent_projects/{project_ref}/pin', ['fake'], { body: { reason: 'because' } })).status, 200);
  assert.equal((await c.call('POST', '/agent_projects', [], { body: { slug: 'other' } })).status, 201);
  assert.equal((await publish(c, 'keyless', archive(t, { 'karta.toml': 'name = "keyless"\n', 'opencode.json': '{"model":"openai/gpt-5"}\n' }))).status, 201);
  const browser = await chromium.launch({ executablePath: BROWSER, timeout: PATIENCE_MS, args: ['--no-sandbox', '--host-resolver-rules=MAP *.localhost 127.0.0.1'] });
  t.after(() => browser.close());
  const open = async (url, context) => {
    context ??= await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.problems = [];
    page.on('pageerror', (e) => page.problems.push(String(e)));
    page.on('console', (m) => { if (m.type() === 'error' && !/status of 40[1349]/.test(m.text())) page.problems.push(m.text()); });
    await page.goto(url);
    return page;
  };
  const serious = async (page) => {
    await page.evaluate(axe);
    const found = (await page.evaluate('axe.run()')).violations.filter((v) => ['serious', 'critical'].includes(v.impact));
    assert.deepEqual(found.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`.slice(0, 300)), []);
  };

  // One sign-in: begun at a project's name, taken there, and for every other page of the server.
  const host = `http://localhost:${karta.port}`;
  const signIn = async (page, key = karta.key) => {
    await page.waitForURL(`${host}/sign-in`);
    await page.fill('#key', key);
    await page.keyboard.press('Enter');
  };
  const signed = await browser.newContext();
  {
    const page = await open(`http://fake.localhost:${karta.port}/?from=mail`, signed);
    await page.waitForURL(`${host}/sign-in`);
    await page.waitForSelector('#key');
    await serious(page);
    await signIn(page, 'kt_live_wrong');
    await page.getByText('does not take this key').waitFor();
    await signIn(page);
    await page.waitForURL(`http://fake.localhost:${karta.port}/?from=mail`);
    await page.getByText('fake', { exact: true }).first().waitFor();
    // Pinned is a word in the bar, which stays in the screen; by whom and why is its title.
    assert.equal(await page.locator('#pin').innerText(), 'pinned');
    assert.match(await page.locator('#pin').getAttribute('title'), /by admin: because/);
    await page.setViewportSize({ width: 320, height: 640 });
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 320);
    await page.setViewportSize({ width: 1280, height: 720 });
    await page.fill('#composer-text', '[[text:it works]]');
    await page.keyboard.press('Enter');
    await page.getByText('it works', { exact: true }).waitFor();
    await page.reload();
    await page.getByText('it works', { exact: true }).waitFor();
    assert.ok(!/kt_live|code=|state=/.test(page.url()), page.url());
    // No script sees what opens.
    assert.equal(await page.evaluate('document.cookie + JSON.stringify([sessionStorage, localStorage])').then((x) => /kt_live|\.[0-9a-f]{64}/.test(x)), false);
    assert.deepEqual(page.problems, []);
  }
  for (const url of [`${host}/default/fake/`, `${host}/v1/projects/fake/`, `http://other.localhost:${karta.port}/`]) {
    const page = await open(url, signed);
    await page.getByText(url.includes('other') ? 'Nothing is live here yet' : 'it works').first().waitFor();
    if (url.includes('other')) {
      await page.getByText(`git remote add karta karta::${host}/other`).waitFor();
      await serious(page);
    }
    assert.deepEqual(page.problems, [], url);
    await page.close();
  }
  const gone = await open(`http://nothing.localhost:${karta.port}/`, signed);
  await gone.getByText('There is no such project').waitFor();
  await gone.close();

  // Home: what is live, by whom, what is pinned; a project that waits for its first release.
  const home = await open(`${host}/`, signed);
  const row = home.locator('.project', { hasText: 'fake' });
  await row.getByText('v2').waitFor();
  for (const word of ['The second', 'by admin', 'pinned']) assert.ok((await row.innerText()).includes(word), word);
  assert.match(await row.locator('.badge.pin').getAttribute('title'), /by admin: because/);
  assert.equal(await row.getByRole('link', { name: 'Chat with fake' }).getAttribute('href'), `http://fake.localhost:${karta.port}/`);
  await home.locator('.project', { hasText: 'keyless' }).getByText('no credential').waitFor();
  assert.equal(await home.getByText('no credential').count(), 1);
  await home.locator('.project', { hasText: 'other' }).getByRole('link', { name: 'How to ship it' }).click();
  await home.getByText(`git remote add karta karta::${host}/other`).waitFor();
  await serious(home);
  // One project: rolling back asks first and says why; what is pinned is unpinned.
  await home.goto(`${host}/projects/fake`);
  await home.getByText('because').waitFor();
  await serious(home);
  await home.locator('.release', { hasText: 'v1' }).getByRole('button', { name: 'Roll back…' }).click();
  await serious(home);
  await home.keyboard.press('Escape');
  assert.equal((await c.call('GET', '/agent_projects/{project_ref}', ['fake'])).body.current.version, 'v2');
  await home.locator('.release', { hasText: 'v1' }).getByRole('button', { name: 'Roll back…' }).click();
  await home.fill('dialog input', 'v2 is wrong');
  await home.getByRole('button', { name: 'Roll back', exact: true }).click();
  await home.getByText('v1 is live.').waitFor();
  await home.getByText('v2 is wrong').waitFor();
  assert.deepEqual([(await c.call('GET', '/agent_projects/{project_ref}', ['fake'])).body.current.version, (await c.call('GET', '/agent_projects/{project_ref}', ['fake'])).body.pin_reason], ['v1', 'v2 is wrong']);
  await home.getByRole('button', { name: 'Unpin…' }).click();
  await home.getByRole('button', { name: 'Unpin', exact: true }).click();
  await home.getByText('Unpinned.').waitFor();
  await home.locator('.release', { hasText: 'v2' }).getByRole('button', { name: 'Activate…' }).click();
  await home.getByRole('button', { name: 'Activate', exact: true }).click();
  await home.getByText('v2 is live.').waitFor();
  await home.locator('.release', { hasText: 'v2' }).getByText('Build log').click();
  await home.locator('.build').getByText('Activated v2').waitFor();
  // The log follows, and is filtered.
  await home.getByRole('link', { name: 'Logs' }).click();
  await home.locator('.log').getByText('v2 is active').first().waitFor();
  await home.fill('.tools input', 'a line that comes');
  assert.equal(await home.locator('.log-line:visible').count(), 0);
  await c.call('POST', '/v1/projects/{project_ref}/sessions', ['fake'], { body: {} });
  await home.fill('.tools input', 'session created');
  await eventually(async () => (await home.locator('.log-line:visible').count()) === 2, 'the new line');
  await home.selectOption('[aria-label=Level]', 'error');
  await eventually(async () => (await home.locator('.log-line').count()) === 0, 'errors only');
  await serious(home);
  // Sessions lead to the chat; of the configuration there are names.
  await home.getByRole('link', { name: 'Sessions' }).click();
  const link = home.locator('.session a').last();
  assert.match(await link.getAttribute('href'), new RegExp(`^http://fake\\.localhost:${karta.port}/#sess_`));
  await home.getByRole('link', { name: 'Config' }).click();
  await home.getByText('A_TOKEN').waitFor();
  assert.ok(!(await home.content()).includes('never-shown'));
  await home.goto(`${host}/projects/nothing`);
  await home.getByText('There is no such project').waitFor();
  await home.goto(`${host}/projects/fake/#logs`);
  await home.locator('[aria-current=page]', { hasText: 'Logs' }).waitFor();
  assert.equal(home.url(), `${host}/projects/fake#logs`);
  // A wrong address is a page for a person.
  await home.goto(`${host}/projects/fake/wrong`);
  await home.getByText('There is no page here').waitFor();
  await home.getByRole('link', { name: 'All projects' }).click();
  await home.getByRole('link', { name: 'fake', exact: true }).waitFor();
  assert.deepEqual(home.problems, []);

  // Approving and denying.
  for (const approve of [true, false]) {
    const codes = (await c.call('POST', '/v1/device/code', [], { body: { client_name: '<b>a laptop</b>', scopes: ['read'] } })).body;
    const page = await open(codes.verification_uri_complete.replace('127.0.0.1', 'localhost'), signed);
    assert.equal(await page.inputValue('#code'), codes.user_code);
    await serious(page);
    await page.keyboard.press('Enter');
    await page.getByText('<b>a laptop</b>').waitFor();
    await serious(page);
    const shown = await page.locator('#asked dl').innerText();
    for (const word of [codes.user_code, '127.0.0.1', codes.created_at.replace(/\.\d+/, ''), 'read']) assert.ok(shown.includes(word), `${word}: ${shown}`);
    // An Enter that is held, or pressed once more, approves nothing.
    assert.equal(await page.evaluate('document.activeElement.id'), 'asked-title');
    for (let i = 0; i < 5; i++) await page.keyboard.press('Enter');
    await page.keyboard.press(' ');
    assert.equal((await c.call('GET', '/v1/device/{user_code}', [codes.user_code])).status, 200, 'still waits');
    await page.getByRole('button', { name: approve ? 'Approve' : 'Deny' }).click();
    await page.getByText(approve ? 'Approved.' : 'Denied.').waitFor();
    const last = await eventually(async () => {
      const r = await c.call('POST', '/v1/device/token', [], { body: { device_code: codes.device_code } });
      return !['authorization_pending', 'slow_down'].includes(r.body.code) && r;
    }, 'a decision');
    assert.equal(approve ? last.body.scopes.join() : last.body.code, approve ? 'read' : 'access_denied');
    assert.deepEqual(page.problems, []);
    await page.close();
  }

  // The chat's mark leads home.
  const chat = await open(`http://fake.localhost:${karta.port}/`, signed);
  await chat.getByText('it works').first().waitFor();
  assert.equal(await chat.getByRole('link', { name: 'All projects' }).first().getAttribute('href'), `${host}/`);
  // Signed out: everywhere, also where it was open; in the midst of work a dialog asks first.
  await home.getByRole('button', { name: 'Sign out' }).click();
  await home.waitForURL(`${host}/sign-in`);
  await chat.getByText('You are signed out').waitFor();
  await serious(chat);
  await chat.getByRole('button', { name: 'Sign in' }).click();
  await chat.waitForURL(`${host}/sign-in`);
});
