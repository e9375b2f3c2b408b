// SPDX-License-Identifier: MIT
// The chat page against the real karta with the real Claude Code; only the model is a stand-in.
// The same browser tests as with the mock server, without those that need its scripts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { BROWSER, CLAUDE, ROOT, existsSync, harnessEnv, path, seconds, startKarta, startModel, tempDir, writeFiles } from '../api/lib.mjs';

const skip = !BROWSER ? 'no browser is installed'
  : existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';

test('the page with the real server', { skip, ...seconds(120) }, async (t) => {
  const model = await startModel(t);
  const dir = tempDir(t, 'page');
  writeFiles(dir, { 'CLAUDE.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\nstarters = ["Hello"]\n[harness]\ntype = "claude-code"\nmodel = "standin-1"\n' });
  const karta = await startKarta(t, dir, { args: ['--warm', '0'], env: harnessEnv(model, tempDir(t, 'home')) });
  assert.deepEqual((await (await fetch(`${karta.url}/v1/dev`)).json()).starters, ['Hello']);
  const words = Array.from({ length: 60 }, (_, i) => `word${i}`).join(' ');
  const bash = JSON.stringify({ command: 'mkdir -p made-by-test', description: 'd' });
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const child = spawn(process.execPath, ['--test', '--test-reporter=spec', path.join(ROOT, 'tests/web/page.test.mjs')], {
    env: { ...env, KARTA_URL: karta.url, KARTA_PROMPT_TEXT: `[[text:${words}]] {{delay=30}} {{n=60}}`,
      KARTA_PROMPT_TOOL: `[[tool:Bash ${bash}]] [[text:the folder is there]]` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { out += d; });
  const [code] = await once(child, 'exit');
  assert.equal(code, 0, out);
  const passed = Number(/pass (\d+)/.exec(out)[1]);
  assert.ok(passed >= 3, out);
});
