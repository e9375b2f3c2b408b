// SPDX-License-Identifier: MIT
// Files of a folder at the largest that is allowed, and one byte over: what karta reads there takes bounded time and
// memory, and what is too large is said in a line that names the file.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { KARTA, LONG, SLOW, tempDir } from './lib.mjs';

const MIB = 1024 * 1024;
const CPU_S = 5; // of one command on a quiet machine, with sanitizers: what is read twice as often as it is long takes more
const RSS_MIB = 768; // with sanitizers, which triple it

/* Runs karta and measures it: {status, err, cpu (seconds), rss (MiB)}. */
const MEASURE = `
import os, resource, subprocess, sys
r = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
sys.stderr.buffer.write(r.stderr[-4000:])
print(r.returncode, u.ru_utime + u.ru_stime, u.ru_maxrss // 1024, len(r.stdout))
`;
function karta(dir, words) {
  const r = spawnSync('python3', ['-c', MEASURE, KARTA, ...words], { encoding: 'utf8', cwd: dir, maxBuffer: 64 * MIB,
    env: { PATH: process.env.PATH, HOME: path.join(dir, 'home'), KARTA_SERVER: 'http://127.0.0.1:1', KARTA_API_KEY: `kt_test_${'a'.repeat(32)}` } });
  const [status, cpu, rss, out] = r.stdout.trim().split(' ').map(Number);
  return { status, cpu, rss, out, err: r.stderr };
}

const fill = (head, one, bytes, tail = '') => {
  const n = Math.floor((bytes - head.length - tail.length) / one.length);
  return (head + one.repeat(n) + tail).padEnd(bytes, '\n');
};
const numbered = (head, one, bytes, tail = '') => {
  const parts = [head];
  for (let n = head.length + tail.length, i = 0; ; i++) {
    const p = one(i);
    if (n + p.length > bytes) break;
    n += p.length;
    parts.push(p);
  }
  return parts.join('') + tail;
};
const TOML = 256 * 1024, JSONC = 256 * 1024, AGENT = MIB, IGNORE = 256 * 1024;
const name = 'name = "x"\n';
/* file: content at the limit; over: the same with one byte more. Each is a folder of its own. */
const cases = {
  'karta.toml, one long comment': { 'karta.toml': fill(name, '#', TOML) },
  'karta.toml, many keys': { 'karta.toml': numbered(name + '[env]\n', (i) => `K${i} = "v"\n`, TOML) },
  'karta.toml, many tables': { 'karta.toml': numbered(name, (i) => `[t${i}]\n`, TOML) },
  'karta.toml, dotted deeply': { 'karta.toml': name + `${'a.'.repeat(60000)}b = 1\n` },
  'karta.toml, nested deeply': { 'karta.toml': name + `a = ${'['.repeat(100000)}${']'.repeat(100000)}\n` },
  'karta.toml, long string of escapes': { 'karta.toml': fill(name + 'a = "', '\\u0041', TOML, '"\n') },
  'karta.jsonc, nested deeply': { 'karta.jsonc': '{"a":' + '['.repeat(120000) + ']'.repeat(120000) + '}' },
  'karta.jsonc, many members': { 'karta.jsonc': numbered('{', (i) => `"k${i}":1,`, JSONC, '"z":1}') },
  'karta.jsonc, comments': { 'karta.jsonc': fill('{', '/**/', JSONC, '}') },
  '.gitignore, many patterns': { '.gitignore': numbered('', (i) => `**/a*b*c*${i}*\n`, IGNORE) },
  '.gitignore, one long pattern': { '.gitignore': fill('', '*a', IGNORE) },
  'an agent, a long front matter': { '.claude/agents/a.md': numbered('---\nname: a\ndescription: b\n', (i) => `k${i}: v\n`, AGENT, '---\n') },
  'an agent, nested deeply': { '.claude/agents/a.md': `---\nname: a\nx: ${'['.repeat(300000)}${']'.repeat(300000)}\n---\n` },
  'an agent, indented deeply': { '.claude/agents/a.md': `---\nname: a\n${[...Array(1300)].map((_, i) => `${' '.repeat(i)}k:\n`).join('')}---\n` },
  'an agent, aliases of aliases': { '.claude/agents/a.md': `---\nname: a\na0: &a0 [x]\n${[...Array(30)].map((_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(20)}]\n`).join('')}---\n` },
  'an agent, Markdown only': { '.claude/agents/a.md': fill('---\nname: a\ndescription: b\n---\n', '**a** <kbd> [x](y) `', AGENT) },
  'settings, many hooks': { '.claude/settings.json': numbered('{"permissions":{"allow":[', (i) => `"Bash(x${i})",`, 256 * 1024, '"Bash(ls)"]}}') },
  'many agents': Object.fromEntries([...Array(2000)].map((_, i) => [`.claude/agents/a${i}.md`, `---\nname: a${i}\ndescription: b\n---\nx\n`])),
  'many skills': Object.fromEntries([...Array(1000)].map((_, i) => [`.claude/skills/s${i}/SKILL.md`, `---\nname: s${i}\ndescription: b\n---\nx\n`])),
  'deep folders': { [`${'d/'.repeat(400)}CLAUDE.md`]: 'x' },
};
/* One byte over what is read: said, and no more is read. */
const over = {
  'karta.toml': fill(name, '#', TOML + 1), 'karta.jsonc': fill('{', ' ', JSONC + 1, '}'),
};

function folder(t, files) {
  const dir = path.join(tempDir(t, 'largest'), 'app');
  for (const [file, text] of Object.entries({ 'CLAUDE.md': 'Hello.\n', ...files })) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    writeFileSync(path.join(dir, file), text);
  }
  return dir;
}

test('files at their largest take bounded time and memory', (t) => {
  const said = [], bad = [];
  for (const [what, files] of Object.entries(cases)) {
    const dir = folder(t, files);
    for (const words of [['agents', '--dir', '.'], ...(LONG ? [['agents', '--dir', '.', '--json']] : []), ['init', '--no-remote', '.']]) {
      const r = karta(dir, words);
      const line = `${what}: karta ${words[0]}: status ${r.status}, ${r.cpu.toFixed(2)} s, ${r.rss} MiB, ${r.err.split('\n')[0].slice(0, 200)}`;
      said.push(line);
      if (![0, 1, 2].includes(r.status) || r.cpu > CPU_S * SLOW || r.rss > RSS_MIB || (r.status && !r.err && !words.includes('--json'))) bad.push(line);
    }
  }
  if (process.env.KARTA_TEST_VERBOSE) console.error(said.join('\n'));
  assert.deepEqual(bad, []);
});

test('what is over its limit is said with its name', (t) => {
  for (const [file, text] of Object.entries(over)) {
    const dir = folder(t, { [file]: text });
    const r = karta(dir, ['agents', '--dir', '.']);
    assert.ok(r.status !== 0 && r.status < 10, `${file}: ${r.status} ${r.err}`);
    assert.match(r.err, new RegExp(`${file.replace('.', '\\.')}.*(larger|over|limit)`), file);
    assert.ok(r.cpu < CPU_S * SLOW && r.rss < RSS_MIB);
  }
});
