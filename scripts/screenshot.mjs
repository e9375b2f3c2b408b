#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Pictures of a project's chat page for README: the example application and its recorded turns in a real browser.
//
//   node scripts/screenshot.mjs [FOLDER]     FOLDER/page-light.png and FOLDER/page-dark.png; default docs
//
// How long things took is written anew, so that the pictures change only when the page does. KARTA names the program,
// CHROMIUM the browser; playwright-core is that of tests/.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const SIZE = { width: 1100, height: 680 };
const MAX_BYTES = 100_000;
// One session each; the last one is what the pictures show.
const SAID = ['Hello', "My mug came broken, I'd like a refund for NB-1042", 'Where is my order NB-1042?'];

const fail = (text) => {
  console.error(`screenshot: error: ${text}`);
  process.exit(1);
};

/* The example, served here to this machine only; with the folder to delete afterwards. */
async function serve(karta) {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'karta-screenshot-'));
  const app = path.join(dir, 'support-bot');
  cpSync(path.join(ROOT, 'docs/examples/support-bot'), app, { recursive: true, filter: (file) => path.basename(file) !== '.karta' });
  const env = { PATH: process.env.PATH, HOME: dir, LANG: 'C.UTF-8', TZ: 'UTC', ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '' };
  const child = spawn(karta, ['dev', '--offline', '--no-chat', '--port', '0', '--dir', app], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const url = await new Promise((resolve, reject) => {
    const read = (data) => {
      said += data;
      const found = /http:\/\/[a-z0-9.-]+:\d+/.exec(said);
      if (found) resolve(found[0]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', () => reject(new Error(said)));
    child.once('error', reject);
  });
  return { url, end: async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(dir, { recursive: true, force: true });
  } };
}

async function say(page, text) {
  await page.locator('#composer-text').fill(text);
  await page.locator('#composer-text').press('Enter');
  await page.locator('.turn:last-child:is([data-state="done"], [data-state="waiting"])').waitFor({ timeout: 60_000 });
}

async function shoot(browser, url, scheme, file) {
  const page = await browser.newPage({ viewport: SIZE, colorScheme: scheme, reducedMotion: 'reduce', locale: 'en-US', timezoneId: 'UTC' });
  // The list of agents first: what is said of an answer names its agent when that is known.
  const { hash } = new URL(url);
  await page.goto(url.slice(0, -hash.length));
  await page.locator('#agent-label:not([hidden])').waitFor();
  await page.evaluate((to) => { location.hash = to; }, hash);
  await page.locator('.turn:last-child').waitFor();
  await page.evaluate(async () => {
    await document.fonts.ready;
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
      texts.currentNode.data = texts.currentNode.data.replace(/\b(\d+)\.\d s\b/g, (_, whole) => (whole === '0' ? '0.1 s' : '4.2 s'));
  });
  await page.screenshot({ path: file, animations: 'disabled', caret: 'hide' });
  await page.close();
  const { size } = statSync(file);
  if (size > MAX_BYTES) fail(`${file} has ${size} bytes, more than ${MAX_BYTES}`);
}

async function main() {
  const folder = process.argv[2] ?? path.join(ROOT, 'docs');
  const karta = path.resolve(process.env.KARTA ?? path.join(ROOT, 'build/release/karta'));
  const program = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((f) => existsSync(f));
  if (!existsSync(karta)) fail(`there is no ${karta}: run make`);
  if (!program) fail('no browser is installed: scripts/setup --test');
  const { chromium } = createRequire(path.join(ROOT, 'tests/package.json'))('playwright-core');
  mkdirSync(folder, { recursive: true });
  const server = await serve(karta);
  const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--font-render-hinting=none'] });
  try {
    const page = await browser.newPage({ viewport: SIZE });
    await page.goto(server.url);
    for (const text of SAID) {
      await page.goto(server.url);
      await page.locator('#welcome h2').waitFor();
      await say(page, text);
    }
    const last = page.url();
    await page.close();
    for (const scheme of ['light', 'dark'])
      await shoot(browser, last, scheme, path.join(folder, `page-${scheme}.png`));
  } finally {
    await browser.close();
    await server.end();
  }
}

main().catch((e) => fail(e.stack));
