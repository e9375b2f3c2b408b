// SPDX-License-Identifier: MIT
// Claude Code itself says what an application is: karta must list the agents, skills and commands that it lists.
import assert from 'node:assert/strict';
import { realpathSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { CLAUDE, existsSync, path, tempDir, writeFiles } from './lib.mjs';
import { CLAUDE_APPS, layOut } from '../lib/oracle/apps.mjs';
import { BUILT_IN, askClaude, askKarta, differ } from '../lib/oracle/ask.mjs';
import { ODDITIES, fileOf } from '../lib/oracle/oddities.mjs';

const skip = existsSync(CLAUDE) ? false : 'Claude Code is not installed for this processor';

async function compare(dir, home, empty) {
  const [harness, karta] = [await askClaude(dir, home), await askKarta(dir, home)];
  const wrong = [
    ...differ('agents', karta.agents.keys(), harness.names, BUILT_IN.claude),
    ...differ('skills', karta.skills, harness.skills, new Set(empty.skills)),
    ...differ('commands', [...karta.commands, ...karta.skills], harness.commands, new Set(empty.commands)),
  ];
  for (const [name, a] of karta.agents) {
    const theirs = harness.agents.get(name);
    if (!theirs || BUILT_IN.claude.has(name)) continue;
    if ((a.description ?? '') !== theirs.description) wrong.push(`${name}: ${JSON.stringify(a.description)}, the harness says ${JSON.stringify(theirs.description)}`);
    if (a.model !== (theirs.model ?? null)) wrong.push(`${name}: model ${a.model}, the harness says ${theirs.model}`);
  }
  assert.deepEqual(wrong, []);
  assert.deepEqual(karta.errors, [], 'none of it stops a push');
  return karta;
}

let bare;
/** What Claude Code lists in a folder with nothing but instructions. */
function comesAlong(t) {
  const { dir, home } = bare ? {} : layOut(realpathSync(tempDir(t, 'oracle')), { 'CLAUDE.md': '#\n' });
  bare ??= askClaude(dir, home);
  return bare;
}

test('a matrix of unusual front matter in every place', { skip }, async (t) => {
  const root = realpathSync(tempDir(t, 'oracle'));
  const { dir, home } = layOut(root, { 'CLAUDE.md': '#\n', '.claude/agents/README.md': '# Agents\n' });
  for (const o of ODDITIES) {
    writeFiles(dir, {
      [`.claude/agents/${o.key}.md`]: fileOf(o, `a-${o.key}`), [`.claude/agents/team/deep/${o.key}.md`]: fileOf(o, `n-${o.key}`), [`shared/${o.key}.md`]: fileOf(o, `l-${o.key}`),
      [`.claude/skills/s-${o.key}/SKILL.md`]: fileOf(o, `skill-${o.key}`), [`.claude/commands/c-${o.key}.md`]: fileOf(o, `command-${o.key}`), [`.claude/commands/ns/d-${o.key}.md`]: fileOf(o, 'x'),
    });
    symlinkSync(`../../shared/${o.key}.md`, path.join(dir, `.claude/agents/l-${o.key}.md`));
    writeFiles(home, { [`.claude/agents/${o.key}.md`]: fileOf(o, `u-${o.key}`), [`.claude/skills/us-${o.key}/SKILL.md`]: fileOf(o, 'x') });
  }
  assert.ok(ODDITIES.length >= 60);
  const karta = await compare(dir, home, await comesAlong(t));
  assert.ok(karta.agents.size > 200 && karta.skills.length > 100, 'the matrix is not empty');
});

for (const [name, app] of Object.entries(CLAUDE_APPS)) {
  test(name, { skip }, async (t) => {
    const { dir, home } = layOut(realpathSync(tempDir(t, 'oracle')), app);
    await compare(dir, home, await comesAlong(t));
  });
}
