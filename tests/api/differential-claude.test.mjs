// SPDX-License-Identifier: MIT
// The real Claude Code against scripted models: what it said on its stdio and what clients saw must agree.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAUDE, existsSync, harnessEnv, startKarta, startModel, tempDir, writeFiles } from './lib.mjs';
import { Differential, blocks, differences, teeOf } from '../lib/differential.mjs';
import { expectClaude } from '../lib/expect-claude.mjs';

const skip = existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';
const bash = (command) => ({ tool: 'Bash', input: { command, description: 'd' } });

const BEHAVIOURS = [
  { name: 'words', text: '[[text:Some words that come in pieces.]]' },
  { name: 'a blank first block', text: blocks({ text: '\n\n' }, { text: ['The answer ', 'is 42.'] }) },
  { name: 'an empty first block', text: blocks({ text: [] }, { text: ['The answer ', 'is 42.'] }) },
  { name: 'several blocks of words', text: blocks({ text: ['one ', 'two'] }, { text: 'three' }, { text: ['four', ' five'] }) },
  { name: 'the same words in two blocks', text: blocks({ text: 'again' }, { text: 'again' }) },
  { name: 'short pieces that repeat', text: blocks({ text: ['ha', 'ha', 'ha', '1', '1', '0'] }) },
  { name: 'thoughts between words', thinking: true, text: blocks({ thinking: 'First I think. ' }, { text: 'Then I say.' }, { thinking: 'More thoughts.' }, { text: 'The end.' }) },
  { name: 'thoughts nobody asked for', text: blocks({ thinking: 'quiet' }, { text: 'loud' }) },
  { name: 'an emoji cut in two', text: blocks({ text: ['grin \ud83d', '\ude00 done'] }) },
  { name: 'pieces without words', text: blocks({ text: ['', 'a', '', 'b', ''] }) },
  { name: 'words, a call, words', text: blocks({ text: 'I look. ' }, bash('echo seen')) + blocks({ text: 'I looked.' }) },
  { name: 'parallel calls', text: blocks(bash('echo one'), bash('echo two'), bash('echo three')) + '[[text:all three]]' },
];

test('Claude Code', { skip, timeout: 600000 }, async (t) => {
  const model = await startModel(t);
  const dir = tempDir(t, 'claude');
  const home = tempDir(t, 'home');
  const tee = teeOf(t, CLAUDE);
  writeFiles(dir, { 'CLAUDE.md': 'You are a test.\n', 'karta.toml': 'name = "bot"\n[harness]\ntype = "claude-code"\nmodel = "standin-1"\n' });
  const karta = await startKarta(t, dir, { args: ['--warm', '0'], env: { ...harnessEnv(model, home), KARTA_CLAUDE: tee.program } });
  const differential = new Differential(karta, tee.dir);

  for (const b of BEHAVIOURS) {
    await t.test(b.name, { todo: b.todo }, async () => {
      const played = await differential.play({ session: 'main', ...b });
      assert.deepEqual(differences(b, played, expectClaude), []);
    });
  }
});
