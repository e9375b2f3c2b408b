// SPDX-License-Identifier: MIT
// Made-up applications in the shapes that public ones have. A value is the text of a file; a Link
// is a symbolic link; names that begin with "home/" are below the user's home, others in the folder.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

class Link { constructor(to) { this.to = to; } }
const link = (to) => new Link(to);
const json = (v) => JSON.stringify(v, null, 2);
const md = (front, body = 'Body of it.\n') => `---\n${Object.entries(front).map(([k, v]) => `${k}: ${v}\n`).join('')}---\n${body}`;
const agent = (name, description = `Use ${name} when it is needed`, more = {}) => md({ name, description, ...more });
const skill = (name, description = `How to ${name}`, more = {}) => md({ name, description, ...more });
const many = (n, fn) => Object.fromEntries(Array.from({ length: n }, (_, i) => fn(i)));
const EXAMPLE = 'Use this agent when code was written. Examples: <example>Context: done. user: "I wrote it" assistant: "I review it"</example>';

export const CLAUDE_APPS = {
  'support desk with subagents': {
    'CLAUDE.md': '# Desk\n', '.claude/agents/billing.md': agent('billing', 'Money: refunds, invoices', { model: 'haiku', tools: 'Read, Grep' }),
    '.claude/agents/escalation.md': agent('escalation', EXAMPLE, { color: 'red' }), '.claude/agents/README.md': '# Our agents\n\n- billing\n',
    '.claude/commands/close.md': md({ description: 'Close a ticket', 'argument-hint': '[id]' }), '.claude/commands/notes.md': 'Write notes.\n',
  },
  'large collection in folders by topic': {
    'CLAUDE.md': '#\n', ...many(60, (i) => [`.claude/agents/${String(i % 6)}-topic/agent-${i}.md`, agent(`agent-${i}`, i % 3 ? `@topic ${i}: does things` : EXAMPLE, { model: i % 2 ? 'sonnet' : 'inherit' })]),
    ...many(30, (i) => [`.claude/skills/skill-${i}/SKILL.md`, skill(i % 4 ? `Skill Number ${i}` : `skill-${i}`)]),
    ...many(6, (i) => [`.claude/agents/${i}-topic/README.md`, `# Topic ${i}\n`]),
  },
  'marketplace of plugins at the root': {
    'README.md': '#\n', 'CLAUDE.md': '#\n', '.claude-plugin/marketplace.json': json({ name: 'market', owner: { name: 'o' }, plugins: [{ name: 'kit', source: './plugins/kit' }] }),
    'plugins/kit/.claude-plugin/plugin.json': json({ name: 'kit', version: '1.0.0' }), 'plugins/kit/agents/a.md': agent('kit-agent'),
    'plugins/kit/skills/s/SKILL.md': skill('s'), 'plugins/kit/commands/c.md': 'x', '.claude/agents/maintainer.md': agent('maintainer'),
  },
  'plugin below the skills of a trusted folder': {
    trusted: true, 'CLAUDE.md': '#\n', '.claude/skills/kit/.claude-plugin/plugin.json': json({ name: 'kit', version: '1.0.0' }), '.claude/skills/kit/agents/one.md': agent('one'),
    '.claude/skills/kit/agents/deep/two.md': agent('two'), '.claude/skills/kit/agents/bare.md': '# no front matter\n', '.claude/skills/kit/skills/do/SKILL.md': skill('Do It'),
    '.claude/skills/kit/commands/go.md': 'x', '.claude/skills/kit/commands/n/far.md': 'x', '.claude/skills/plain/SKILL.md': skill('plain'),
  },
  'the same plugin without trust': {
    'CLAUDE.md': '#\n', '.claude/skills/kit/.claude-plugin/plugin.json': json({ name: 'kit', version: '1.0.0' }), '.claude/skills/kit/agents/one.md': agent('one'), '.claude/skills/kit/SKILL.md': skill('kit'),
  },
  'plugin of the user': {
    'CLAUDE.md': '#\n', 'home/.claude/skills/mine/.claude-plugin/plugin.json': json({ name: 'mine', version: '1.0.0' }), 'home/.claude/skills/mine/agents/one.md': agent('one'),
    'home/.claude/skills/mine/skills/do/SKILL.md': skill('do'), '.claude/agents/one.md': agent('one', 'of the project'),
  },
  'project and user of the same names': {
    'CLAUDE.md': '#\n', '.claude/agents/x.md': agent('x', 'of the project'), 'home/.claude/agents/x.md': agent('x', 'of the user'), 'home/.claude/agents/y.md': agent('y'),
    '.claude/skills/s/SKILL.md': skill('s', 'of the project'), 'home/.claude/skills/s/SKILL.md': skill('s', 'of the user'), 'home/.claude/skills/t/SKILL.md': skill('t'),
    '.claude/commands/c.md': 'x', 'home/.claude/commands/c.md': 'y', 'home/.claude/commands/d.md': 'z',
  },
  'package of a monorepo': {
    git: true, at: 'packages/web', 'CLAUDE.md': '#\n', '.claude/agents/root.md': agent('root'), '.claude/agents/both.md': agent('both', 'of the root'), '.claude/skills/shared/SKILL.md': skill('shared'),
    '.claude/commands/all.md': 'x', 'packages/web/CLAUDE.md': '#\n', 'packages/web/.claude/agents/web.md': agent('web'), 'packages/web/.claude/agents/both.md': agent('both', 'of the package'),
    'packages/web/.claude/skills/css/SKILL.md': skill('css'), 'packages/web/src/.claude/agents/below.md': agent('below'), 'packages/api/.claude/agents/api.md': agent('api'),
  },
  'links to what is shared': {
    'CLAUDE.md': '#\n', 'shared/agents/a.md': agent('a'), 'shared/agents/b.md': agent('b'), 'shared/skills/s/SKILL.md': skill('s'), 'shared/one.md': agent('one'),
    '.claude/agents/team': link('../../shared/agents'), '.claude/agents/one.md': link('../../shared/one.md'), '.claude/agents/gone.md': link('nowhere.md'), '.claude/agents/loop': link('.'),
    '.claude/skills/s': link('../../shared/skills/s'), '.claude/skills/again': link('../../shared/skills/s'), '.claude/commands/one.md': link('../../shared/one.md'),
  },
  'whole folders that are links': {
    'CLAUDE.md': '#\n', 'agents/a.md': agent('a'), 'skills/s/SKILL.md': skill('s'), '.claude/agents': link('../agents'), '.claude/skills': link('../skills'),
  },
  'many languages': {
    'CLAUDE.md': '# Werkstatt\n', '.claude/agents/prüfer.md': agent('prüfer', 'Prüft: alles'), '.claude/agents/翻訳.md': agent('翻訳', '翻訳する: 日本語'), '.claude/agents/двойник.md': agent('двойник', '«Проверка»: да'),
    '.claude/skills/größe/SKILL.md': skill('größe'), '.claude/skills/数据/SKILL.md': skill('数据', '[数据] 处理: 表'), '.claude/commands/hallo/welt.md': 'x',
  },
  'skills in all shapes': {
    'CLAUDE.md': '#\n', '.claude/skills/title/SKILL.md': '# Only a title\n\nText.\n', '.claude/skills/empty/SKILL.md': '', '.claude/skills/lower/skill.md': skill('lower'), '.claude/skills/in/ner/SKILL.md': skill('inner'),
    '.claude/skills/.hidden/SKILL.md': skill('hidden'), '.claude/skills/Up Case/SKILL.md': skill('up'), '.claude/skills/model-only/SKILL.md': skill('m', 'd', { 'user-invocable': 'false' }),
    '.claude/skills/odd-flag/SKILL.md': skill('o', 'd', { 'user-invocable': 'yes' }), '.claude/skills/user-only/SKILL.md': skill('u', 'd', { 'disable-model-invocation': 'true' }),
    '.claude/skills/paths/SKILL.md': skill('p', 'd', { paths: '["*.py"]' }), '.claude/skills/all-paths/SKILL.md': skill('ap', 'd', { paths: '"**"' }), '.claude/skills/when/SKILL.md': md({ name: 'w', when_to_use: 'now' }),
    '.claude/skills/number/SKILL.md': skill('n', '42'), '.claude/skills/list/SKILL.md': skill('l', '[a, b]'), '.claude/skills/SKILL.md': skill('top'), '.claude/skills/flat.md': skill('flat'),
    '.claude/skills/nothing/README.md': 'x', '.claude/skills/long/SKILL.md': skill('long', 'd', {}) + 'x'.repeat(1000001), '.claude/skills/fits/SKILL.md': `${skill('fits')}${'x'.repeat(900000)}`,
  },
  'commands in all shapes': {
    'CLAUDE.md': '#\n', '.claude/commands/plain.md': 'x', '.claude/commands/README.md': '# Commands\n', '.claude/commands/a/b/c.md': 'x', '.claude/commands/.hidden.md': 'x', '.claude/commands/with blank.md': 'x',
    '.claude/commands/named.md': md({ name: 'other', description: 'd' }), '.claude/commands/folder/SKILL.md': md({ description: 'd' }), '.claude/commands/folder/extra.md': 'x', '.claude/commands/folder/in/SKILL.md': 'x',
    '.claude/commands/a.b.md': 'x', '.claude/commands/x.txt': 'x', '.claude/commands/UP.MD': 'x', '.claude/commands/empty.md': '', '.claude/commands/bad.md': '---\ndescription: [a\n---\nx',
    '.claude/commands/hidden-one.md': md({ 'user-invocable': 'false' }), '.claude/commands/by-user.md': md({ description: 'd', 'disable-model-invocation': 'true' }), '.claude/skills/same/SKILL.md': skill('same'), '.claude/commands/same.md': 'x',
    '.claude/commands/large.md': 'x'.repeat(1048577),
  },
  'agents in all shapes': {
    'CLAUDE.md': '#\n', '.claude/agents/x.txt': agent('txt'), '.claude/agents/UP.MD': agent('up'), '.claude/agents/x.markdown': agent('markdown'), '.claude/agents/.hidden.md': agent('hidden'), '.claude/agents/.dir/x.md': agent('in-hidden'),
    '.claude/agents/node_modules/p/x.md': agent('in-modules'), '.claude/agents/dir.md/in.md': agent('in-dir'), '.claude/agents/a/b/c/d/e/f/g/h/i/j/x.md': agent('ten-deep'), '.claude/agents/default.md': agent('default'),
    '.claude/agents/built-in.md': agent('general-purpose', 'mine'), '.claude/agents/case.md': agent('Case'), '.claude/agents/case2.md': agent('case'), '.claude/agents/slash.md': agent('a/b'), '.claude/agents/colon.md': agent('a:b'),
    '.claude/agents/large.md': `${agent('large')}${'x'.repeat(1048577)}`, '.claude/agents/fits.md': `${agent('fits')}${'x'.repeat(1000000)}`, '.claude/agents/empty.md': '',
    'agents/root.md': agent('root'), '.agents/agents/x.md': agent('other'), '.opencode/agent/y.md': md({ description: 'd' }),
  },
};

const ag = (description = 'Does it', more = {}, body) => md({ description, ...more }, body);

export const OPENCODE_APPS = {
  'agents in files and settings': {
    'AGENTS.md': '#\n', '.opencode/agent/review.md': ag('Reviews: all', { mode: 'subagent', model: 'a/b' }), '.opencode/agents/docs.md': ag('Writes', { mode: 'primary' }),
    'opencode.json': json({ $schema: 'https://opencode.ai/config.json', agent: { prompt: { prompt: 'p', description: 'with a prompt' }, bare: {}, model: { model: 'c/d' }, off: { disable: true, description: 'x' }, review: { description: 'weaker', temperature: 0.1 }, build: { model: 'x/y' } } }),
  },
  'settings over settings': {
    'AGENTS.md': '#\n', 'opencode.json': json({ agent: { a: { description: 'json', model: 'j/1' }, b: { description: 'json' } } }), 'opencode.jsonc': '{ // notes\n "agent": { "a": { "description": "jsonc", }, }, }',
    '.opencode/opencode.json': json({ agent: { b: { description: 'dot json' }, c: { description: 'dot json' } } }), '.opencode/opencode.jsonc': '{"agent": {"c": {"description": "dot jsonc"}}}',
    '.opencode/agent/d.md': ag('d'), 'prompts/x.md': 'You.\n', '.opencode/opencode.json.bak': 'not read',
  },
  'texts from files and variables': {
    'AGENTS.md': '#\n', 'd.txt': 'from a file\n', 'opencode.json': '{"agent": {"f": {"description": "{file:./d.txt}", "prompt": "{file:./d.txt}"}, "e": {"description": "{env:NO_SUCH_VARIABLE}x"}}}',
  },
  'nested and hidden agents': {
    'AGENTS.md': '#\n', '.opencode/agent/team/lead.md': ag('leads'), '.opencode/agents/team/deep/er.md': ag('d'), '.opencode/agent/.hidden.md': ag('h'), '.opencode/agent/.dir/x.md': ag('h'), '.opencode/agents/agent/twice.md': ag('t'),
    '.opencode/agent/README.md': '# Agents\n', '.opencode/agent/a.b.md': ag('dot'), '.opencode/agent/UP.MD': ag('up'), '.opencode/agent/x.txt': ag('txt'), '.opencode/agent/dir.md/in.md': ag('in'), '.opencode/agent/node_modules/m.md': ag('m'),
    '.opencode/agent/named.md': ag('n', { name: 'other-name' }), '.opencode/agent/hidden.md': ag('h', { hidden: 'true' }), '.opencode/agent/off.md': ag('o', { disable: 'true' }), '.opencode/agent/empty.md': '',
  },
  'modes of old': {
    'AGENTS.md': '#\n', '.opencode/mode/ask.md': ag('asks', { mode: 'subagent' }), '.opencode/modes/think.md': ag('thinks'), '.opencode/mode/bad.md': ag('[x]'), '.opencode/mode/in/ner.md': ag('no'), '.opencode/agent/ask.md': ag('weaker'),
    'opencode.json': json({ mode: { plan2: { prompt: 'x', description: 'of settings' } }, agents: { plural: { description: 'p' } } }),
  },
  'skills of everybody': {
    'AGENTS.md': '#\n', '.opencode/skill/one/SKILL.md': skill('one'), '.opencode/skills/two/SKILL.md': skill('two'), '.claude/skills/three/SKILL.md': skill('Three Of Three'), '.agents/skills/four/SKILL.md': skill('four'),
    '.opencode/skill/a/b/SKILL.md': skill('deep'), '.claude/skills/a/b/SKILL.md': skill('deep-claude'), '.claude/skills/.hidden/SKILL.md': skill('hidden-claude'), '.opencode/skill/.hidden/SKILL.md': skill('hidden-open'),
    '.opencode/skill/SKILL.md': skill('top'), '.opencode/skill/noname/SKILL.md': md({ description: 'd' }), '.opencode/skill/nodescription/SKILL.md': md({ name: 'nodescription' }), '.opencode/skill/number/SKILL.md': skill('42'),
    '.opencode/skill/lower/skill.md': skill('lower'), 'skills/root/SKILL.md': skill('root'), '.claude/skill/x/SKILL.md': skill('x'), 'own/p/SKILL.md': skill('of-a-path'), 'opencode.json': json({ skills: { paths: ['own'] } }),
    'home/.claude/skills/h/SKILL.md': skill('of-home'), 'home/.agents/skills/h/SKILL.md': skill('of-home-agents'), 'home/config/opencode/skill/g/SKILL.md': skill('global'),
  },
  'commands of files and settings': {
    'AGENTS.md': '#\n', '.opencode/command/go.md': 'Go.\n', '.opencode/commands/ns/far.md': ag('far'), '.opencode/command/named.md': md({ name: 'other' }), '.opencode/command/README.md': '# x\n', '.opencode/command/at.md': ag('@x'),
    'opencode.json': json({ command: { set: { template: 't', description: 'd' } } }), '.claude/commands/c.md': 'x', 'home/config/opencode/command/mine.md': 'x',
  },
  'package of a monorepo': {
    git: true, at: 'packages/web', 'AGENTS.md': '#\n', 'opencode.json': json({ agent: { root: { description: 'root' }, both: { description: 'root json' } } }), '.opencode/agent/shared.md': ag('root md'), '.opencode/agent/twice.md': ag('root twice', { model: 'r/r' }),
    'packages/web/AGENTS.md': '#\n', 'packages/web/opencode.json': json({ agent: { both: { description: 'web json' } } }), 'packages/web/.opencode/agent/twice.md': ag('web twice'), 'packages/web/.opencode/agent/web.md': ag('web'), '.claude/skills/s/SKILL.md': skill('shared-skill'),
  },
  'the user and the project': {
    'AGENTS.md': '#\n', 'home/config/opencode/opencode.json': json({ agent: { g: { description: 'global' }, x: { description: 'global x', model: 'g/x' } } }), 'home/config/opencode/agent/f.md': ag('global file'), 'home/.opencode/agent/h.md': ag('home'),
    'opencode.json': json({ agent: { x: { description: 'project x' } } }), '.opencode/agent/f.md': ag('project file'), '.opencode/agent/h.md': ag('project h'),
  },
  'links and other encodings': {
    'AGENTS.md': '#\n', 'shared/a.md': ag('linked'), 'shared/d/b.md': ag('in a linked folder'), '.opencode/agent/a.md': link('../../shared/a.md'), '.opencode/agent/d': link('../../shared/d'), '.opencode/agent/gone.md': link('nowhere.md'),
    '.opencode/skill/s': link('../../shared/s'), 'shared/s/SKILL.md': skill('linked-skill'), '.opencode/agent/bom.md': `\ufeff${ag('bom')}`, '.opencode/agent/größe.md': ag('größe'), '.opencode/agent/large.md': ag('large', {}, 'x\n'.repeat(700000)),
    '.opencode/agent/open.md': '---\ndescription: not closed\n', 'opencode.json': '\ufeff{"agent": {"j": {"description": "x"}, "j": {"description": "again"}}}',
  },
};

/** Folders that OpenCode does not start with, and what is at fault. */
export const OPENCODE_BROKEN = {
  'no JSON': { 'opencode.json': '{"agent": {' }, 'a list': { 'opencode.json': '[]' }, 'only blanks': { 'opencode.json': '  \n' }, 'single quotes': { 'opencode.json': "{'agent': {}}" },
  'agent is a text': { 'opencode.json': json({ agent: { a: 'x' } }) }, 'description is a number': { 'opencode.json': json({ agent: { a: { description: 5 } } }) }, 'unknown mode': { 'opencode.json': json({ agent: { a: { mode: 'x' } } }) },
  'a permission': { 'opencode.json': json({ agent: { a: { permission: { webfetch: { x: 'allow' } } } } }) }, 'steps': { 'opencode.json': json({ agent: { a: { steps: 1.5 } } }) }, 'command without template': { 'opencode.json': json({ command: { c: {} } }) },
  'instructions': { 'opencode.json': json({ instructions: 'x' }) }, 'server': { 'opencode.json': json({ mcp: { x: {} } }) }, 'server command': { 'opencode.json': json({ mcp: { x: { type: 'local', command: 'a b' } } }) }, 'share': { 'opencode.json': json({ share: 'x' }) },
  'missing file': { 'opencode.json': '{"agent": {"a": {"prompt": "{file:./none.md}"}}}' }, 'name is a number': { '.opencode/agent/a.md': md({ name: 42, description: 'd' }) }, 'a command': { '.opencode/command/c.md': md({ description: 42 }) }, 'color without quotes': { '.opencode/agent/a.md': md({ color: '#ff0000' }) },
};

/** Lay an application out below root; gives {dir, home}. */
export function layOut(root, app) {
  const folder = path.join(root, 'app'), home = path.join(root, 'home');
  mkdirSync(folder, { recursive: true });
  mkdirSync(home, { recursive: true });
  /* Folders above the application are read up to the repository's root. */
  execFileSync('git', ['init', '-q', folder]);
  for (const [name, text] of Object.entries(app)) {
    if (['git', 'at', 'trusted'].includes(name)) continue;
    const file = name.startsWith('home/') ? path.join(home, name.slice(5)) : path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (text instanceof Link) symlinkSync(text.to, file);
    else writeFileSync(file, text);
  }
  const dir = path.join(folder, app.at ?? '.');
  if (app.trusted) writeFileSync(path.join(home, '.claude.json'), json({ projects: { [dir]: { hasTrustDialogAccepted: true } } }));
  return { dir, home };
}
