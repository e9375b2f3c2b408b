// SPDX-License-Identifier: MIT
// The pictures in README: those in docs/ are small, of both schemes, and named; scripts/screenshot.mjs makes them
// (with `make check-long`).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { BROWSER, KARTA, LONG, ROOT, path, seconds, tempDir } from '../api/lib.mjs';

const NAMES = ['page-light.png', 'page-dark.png'];

/* Width and height of a PNG; it is small enough for a page. */
function sizeOf(file) {
  const bytes = readFileSync(file);
  assert.equal(bytes.toString('latin1', 1, 4), 'PNG', file);
  assert.ok(bytes.length > 10_000 && bytes.length <= 100_000, `${file} has ${bytes.length} bytes`);
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

test('the pictures of docs/ are what README shows', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  for (const name of NAMES) {
    assert.deepEqual(sizeOf(path.join(ROOT, 'docs', name)), [1100, 680]);
    assert.ok(readme.includes(`docs/${name}`), name);
  }
  assert.ok(readme.includes('docs/terminal.svg'));
});

test('they are made by the script', { skip: !BROWSER ? 'no browser is installed' : !LONG && 'part of make check-long', ...seconds(240) }, async (t) => {
  const folder = tempDir(t, 'pictures');
  await promisify(execFile)(process.execPath, [path.join(ROOT, 'scripts/screenshot.mjs'), folder], { env: { ...process.env, KARTA } });
  for (const name of NAMES) assert.deepEqual(sizeOf(path.join(folder, name)), [1100, 680]);
});
