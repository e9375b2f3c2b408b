// SPDX-License-Identifier: MIT
// The pages of a hosting server in a browser: the chat page of a project asks for a key once and works by host name
// and by path; the list of projects; approving a login.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Client } from '../api/document.mjs';
import { BROWSER, PATIENCE_MS, ROOT, eventually, seconds } from '../api/lib.mjs';
import { archive, publish, startServe } from '../api/serve.mjs';

const { chromium } = createRequire(`${ROOT}/tests/package.json`)('playwright-core');
const axe = readFileSync(`${ROOT}/tests/node_modules/axe-core/axe.min.js`, 'utf8');

test('the pages of a hosting server', { skip: BROWSER ? false : 'no browser is installed', ...seconds(60) }, async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  assert.equal((await publish(c, 'fake', archive(t))).status, 201);
  const browser = await chromium.launch({ executablePath: BROWSER, timeout: PATIENCE_MS, args: ['--no-sandbox', '--host-resolver-rules=MAP *.localhost 127.0.0.1'] });
  t.after(() => browser.close());
  const open = async (url) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.problems = [];
    page.on('pageerror', (e) => page.problems.push(String(e)));
    page.on('console', (m) => { if (m.type() === 'error' && !/status of 40[14]/.test(m.text())) page.problems.push(m.text()); });
    await page.goto(url);
    return page;
  };
  const serious = async (page) => {
    await page.evaluate(axe);
    const found = (await page.evaluate('axe.run()')).violations.filter((v) => ['serious', 'critical'].includes(v.impact));
    assert.deepEqual(found.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`.slice(0, 300)), []);
  };

  for (const url of [`http://fake.localhost:${karta.port}/`, `${karta.url}/default/fake/`, `${karta.url}/v1/projects/fake/`]) {
    const page = await open(url);
    await page.waitForSelector('#key-field');
    await serious(page);
    await page.fill('#key-field', 'kt_live_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('does not take this key').waitFor();
    await page.fill('#key-field', karta.key);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#key', { state: 'detached' });
    await page.getByText('fake', { exact: true }).first().waitFor();
    await page.fill('#composer-text', '[[text:it works]]');
    await page.keyboard.press('Enter');
    await page.getByText('it works', { exact: true }).waitFor();
    // Kept for the tab, and in no address.
    await page.reload();
    await page.getByText('it works', { exact: true }).waitFor();
    assert.equal(await page.locator('#key').count(), 0);
    assert.ok(!page.url().includes('kt_live'));
    assert.deepEqual(page.problems, [], url);
    await page.context().close();
  }

  const home = await open(`${karta.url}/`);
  await home.fill('#key-field', karta.key);
  await home.keyboard.press('Enter');
  const link = home.getByRole('link', { name: 'fake' });
  await link.waitFor();
  assert.equal(await link.getAttribute('href'), `http://fake.localhost:${karta.port}/`);
  await serious(home);
  assert.deepEqual(home.problems, []);

  // Approving and denying.
  for (const approve of [true, false]) {
    const codes = (await c.call('POST', '/v1/device/code', [], { body: { client_name: '<b>a laptop</b>', scopes: ['read'] } })).body;
    const page = await open(codes.verification_uri_complete);
    assert.equal(await page.inputValue('#code'), codes.user_code);
    await serious(page);
    await page.fill('#key', 'kt_live_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('does not take this key').waitFor();
    await page.fill('#key', karta.key);
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
    await page.context().close();
  }
});
