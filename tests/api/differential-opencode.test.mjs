// SPDX-License-Identifier: MIT
// The real OpenCode against scripted models: what it said over ACP and what clients saw must agree.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPENCODE, existsSync, harnessEnv, startKarta, startModel, tempDir, writeFileSync, writeFiles } from './lib.mjs';
import { Differential, blocks, differences, teeOf, PNG } from '../lib/differential.mjs';
import { expectAcp } from '../lib/expect-acp.mjs';

const skip = existsSync(OPENCODE) ? false : 'OpenCode is not installed for this processor';
const bash = (command) => ({ tool: 'bash', input: { command, description: 'd' } });
const once = ['approve_once', 'approve_once', 'approve_once'];

const BEHAVIOURS = [
  { name: 'words', text: '[[text:Some words that come in pieces.]]' },
  { name: 'a slow model whose pieces repeat', text: blocks({ text: '1' }, { sleep: 2500 }, { text: '1' }, { sleep: 2500 }, { text: '0 euros' }) },
  { name: 'short pieces that repeat', text: blocks({ text: ['ha', 'ha', 'ha'] }) },
  { name: 'thoughts between words', thinking: true, text: blocks({ thinking: 'First I think. ' }, { text: 'Then I say.' }, { thinking: 'More thoughts.' }, { text: 'The end.' }) },
  { name: 'words, a call, words', text: blocks({ text: 'I look. ' }, bash('echo seen')) + blocks({ text: 'I looked.' }), inputs: once },
  { name: 'words behind a call in one model call', text: blocks({ text: 'I look. ' }, bash('echo seen'), { text: 'after' }) + blocks({ text: 'I looked.' }), inputs: once },
  { name: 'cut after words', again: true, text: blocks({ text: ['I ', 'look. '] }, { sleep: 50 }, { fault: 'drop', times: 1 }, { text: 'and see' }) },
  { name: 'cut after a call had begun', again: true, text: blocks({ text: ['I ', 'look. '] }, bash('echo seen'), { sleep: 50 }, { fault: 'drop', times: 1 }) + '[[text:end]]', inputs: once },
  { name: 'an image in a result', text: blocks({ tool: 'read', input: { filePath: 'dot.png' } }) },
  { name: 'a written file', text: blocks({ tool: 'write', input: { filePath: 'x.txt', content: 'hello' } }) + '[[text:written]]', inputs: once },
  { name: 'a denied call', text: blocks(bash('touch no')) + '[[text:denied]]', inputs: ['deny'] },
  { name: 'an error of the model', text: '[[error:400]]' },
];

test('OpenCode', { skip, timeout: 600000 }, async (t) => {
  const model = await startModel(t);
  const dir = tempDir(t, 'opencode');
  const home = tempDir(t, 'home');
  const tee = teeOf(t, OPENCODE);
  writeFiles(dir, { 'AGENTS.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "opencode"\n' });
  writeFileSync(`${dir}/dot.png`, PNG);
  const karta = await startKarta(t, dir, { args: ['--warm', '0'], env: { ...harnessEnv(model, home), KARTA_OPENCODE: tee.program } });
  const differential = new Differential(karta, tee.dir);

  for (const b of BEHAVIOURS) {
    await t.test(b.name, { todo: b.todo }, async () => {
      const played = await differential.play({ session: 'main', ...b });
      assert.deepEqual(differences(b, played, expectAcp), []);
    });
  }
});
