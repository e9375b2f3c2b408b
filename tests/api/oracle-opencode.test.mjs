// SPDX-License-Identifier: MIT
// OpenCode itself says what an application is: karta must list the agents, skills and commands that it lists, and refuse what it refuses.
import assert from 'node:assert/strict';
import { realpathSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { OPENCODE, existsSync, path, tempDir, writeFiles } from './lib.mjs';
import { OPENCODE_APPS, OPENCODE_BROKEN, layOut } from '../lib/oracle/apps.mjs';
import { BUILT_IN, askKarta, differ, opencode, startOpencode } from '../lib/oracle/ask.mjs';
import { ODDITIES, fileOf } from '../lib/oracle/oddities.mjs';

const skip = existsSync(OPENCODE) ? false : 'OpenCode is not installed for this processor';
const TOML = { 'karta.toml': '[harness]\ntype = "opencode"\n' };
const COMES_ALONG = new Set(['init', 'review', 'customize-opencode']);

function compare(karta, harness) {
  assert.equal(harness.error, undefined);
  assert.deepEqual(karta.errors, []);
  const wrong = [
    ...differ('agents', karta.agents.keys(), harness.agents.keys(), BUILT_IN.opencode),
    ...differ('skills', karta.skills, harness.skills, COMES_ALONG),
    ...differ('commands', karta.commands, harness.commands, COMES_ALONG),
  ];
  for (const [name, a] of karta.agents) {
    const theirs = harness.agents.get(name);
    if (!theirs || BUILT_IN.opencode.has(name)) continue;
    if ((a.description ?? '') !== (theirs.description ?? '')) wrong.push(`${name}: ${JSON.stringify(a.description)}, the harness says ${JSON.stringify(theirs.description)}`);
    if ((a.model ?? '') !== (theirs.model ?? '')) wrong.push(`${name}: model ${a.model}, the harness says ${theirs.model}`);
    if (a.answers !== (theirs.mode !== 'subagent' && !theirs.hidden)) wrong.push(`${name}: answers ${a.answers}, the harness says ${theirs.mode}`);
  }
  assert.deepEqual(wrong, []);
}

test('a matrix of unusual front matter in every place', { skip }, async (t) => {
  const { dir, home } = layOut(realpathSync(tempDir(t, 'oracle')), { 'AGENTS.md': '#\n', ...TOML });
  /* No two files with the same bytes: OpenCode does not mend what it has seen before. */
  for (const o of ODDITIES) {
    const files = {
      [`.opencode/skill/a-${o.key}/SKILL.md`]: fileOf(o, `sa-${o.key}`), [`.claude/skills/b-${o.key}/SKILL.md`]: fileOf(o, `sb-${o.key}`), [`.agents/skills/c-${o.key}/SKILL.md`]: fileOf(o, `sc-${o.key}`),
      [`shared/${o.key}/SKILL.md`]: fileOf(o, `sl-${o.key}`),
    };
    if (!o.breaks) Object.assign(files, { [`.opencode/agent/${o.key}.md`]: fileOf(o, `a-${o.key}`), [`.opencode/agents/team/${o.key}.md`]: fileOf(o, `n-${o.key}`) });
    if (!o.command) Object.assign(files, { [`.opencode/command/${o.key}.md`]: fileOf(o, `c-${o.key}`) });
    writeFiles(dir, files);
    symlinkSync(`../../shared/${o.key}`, path.join(dir, `.opencode/skill/l-${o.key}`));
    writeFiles(home, { [`.claude/skills/${o.key}/SKILL.md`]: fileOf(o, `su-${o.key}`) });
  }
  const karta = await askKarta(dir, home);
  const lines = (await opencode(dir, home, ['agent', 'list'])).split('\n');
  const names = lines.map((line) => /^(.*) \((primary|subagent|all)\)$/s.exec(line)).filter(Boolean).map((m) => m[1]);
  const skills = JSON.parse(await opencode(dir, home, ['debug', 'skill']));
  const config = JSON.parse(await opencode(dir, home, ['debug', 'config']));
  const wrong = [...differ('agents', karta.agents.keys(), names, BUILT_IN.opencode), ...differ('skills', karta.skills, skills.map((s) => s.name), COMES_ALONG),
    ...differ('commands', karta.commands, Object.keys(config.command), COMES_ALONG)];
  for (const s of skills)
    if (karta.descriptions.has(s.name) && (karta.descriptions.get(s.name) ?? '') !== (s.description ?? '')) wrong.push(`${s.name}: ${JSON.stringify(karta.descriptions.get(s.name))}, the harness says ${JSON.stringify(s.description)}`);
  assert.deepEqual(wrong, []);
  assert.deepEqual(karta.errors, []);
  assert.ok(karta.agents.size > 150 && karta.skills.length > 300, 'the matrix is not empty');
});

/* One server for the rest, and one for each home that is not empty: it works on when nobody asks, so it goes with its test. */
test('applications', { skip }, async (t) => {
  const server = realpathSync(tempDir(t, 'oracle'));
  const ask = await startOpencode(t, server);
  for (const [name, app] of Object.entries(OPENCODE_APPS)) {
    await t.test(name, async (t2) => {
      const { dir, home } = layOut(realpathSync(tempDir(t, 'oracle')), { ...app, [path.join(app.at ?? '.', 'karta.toml')]: TOML['karta.toml'] });
      const own = Object.keys(app).some((file) => file.startsWith('home/'));
      compare(await askKarta(dir, own ? home : server), await (own ? await startOpencode(t2, home) : ask)(dir));
    });
  }
  for (const o of ODDITIES.filter((one) => one.breaks || one.command)) {
    await t.test(`does not start: ${o.key}`, async () => {
      const place = o.breaks ? '.opencode/agents/x.md' : '.opencode/command/x.md';
      const { dir } = layOut(realpathSync(tempDir(t, 'oracle')), { 'AGENTS.md': '#\n', ...TOML, [place]: fileOf(o, 'x'), '.opencode/agent/other.md': '---\ndescription: d\n---\n' });
      const [karta, harness] = [await askKarta(dir, server), await ask(dir)];
      assert.ok(harness.error, 'OpenCode refuses it');
      assert.equal(karta.errors.length, 1, JSON.stringify(karta.errors));
      assert.equal(karta.errors[0].file, place);
      assert.ok(karta.agents.has('other'));
    });
  }
  for (const [name, files] of Object.entries(OPENCODE_BROKEN)) {
    await t.test(`does not start: ${name}`, async () => {
      const { dir } = layOut(realpathSync(tempDir(t, 'oracle')), { 'AGENTS.md': '#\n', ...TOML, ...files });
      const [karta, harness] = [await askKarta(dir, server), await ask(dir)];
      assert.ok(harness.error, 'OpenCode refuses it');
      assert.equal(karta.errors.length, 1, JSON.stringify(karta.errors));
      assert.equal(karta.errors[0].file, Object.keys(files)[0]);
    });
  }
});
