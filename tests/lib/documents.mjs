// SPDX-License-Identifier: MIT
// The command lines of the documents: shell blocks of README.md and docs/, and the EXAMPLES of manual pages.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/* A line of an indented block is a command when it begins like one; others are output, or a file. */
const COMMAND = /^(?:\$ )?(?:[A-Z_]+=\S* )*(?:[a-z]+=\$\(|karta\b|git |curl |sudo |make\b|scripts\/|node |systemctl |useradd |install |cat |mkdir |cp |npm |tar |jq |apt |ssh |podman |docker )/;

/** The line without its comment. */
const uncommented = (line) => line.replace(/(^|\s+)#(?: .*)?$/, '').trimEnd();

/** Lines joined where one ends with a backslash or inside quotes; [{text, line}]. */
function joined(lines) {
  const out = [];
  for (const { text: whole, line } of lines) {
    const text = uncommented(whole);
    const last = out.at(-1);
    const open = last && (/\\$/.test(last.text) || (last.text.match(/'/g)?.length ?? 0) % 2 === 1);
    if (open) last.text = /\\$/.test(last.text) ? `${last.text.slice(0, -1)} ${text.trim()}` : `${last.text}\n${text}`;
    else out.push({ text, line });
  }
  return out.map((l) => ({ ...l, text: l.text.replace(/^\$ /, '') })).filter((l) => l.text.trim());
}

function ofMarkdown(file, text) {
  const lines = text.split('\n');
  const blocks = [];
  for (let i = 0; i < lines.length; i++) {
    const fence = /^\s*```(\w*)/.exec(lines[i]);
    if (fence) {
      const body = [];
      for (i++; !/^\s*```/.test(lines[i]); i++) body.push({ text: lines[i], line: i + 1 });
      if (['sh', 'console', ''].includes(fence[1])) blocks.push({ shell: fence[1] === 'sh', body });
    } else if (/^ {4}\S/.test(lines[i]) && !lines[i - 1]?.trim()) {
      const body = [];
      for (; /^ {4}|^$/.test(lines[i] ?? 'x'); i++) body.push({ text: lines[i].slice(4), line: i + 1 });
      blocks.push({ shell: false, body });
    }
  }
  return blocks.map(({ shell, body }) => ({
    file, line: body[0]?.line,
    // A script of its own is one thing to type, as a file.
    commands: body[0]?.text.startsWith('#!') ? [{ text: body.map((l) => l.text).join('\n'), line: body[0].line, script: true }]
      : joined(body).filter((l) => shell || COMMAND.test(l.text)),
  })).filter((b) => b.commands.length);
}

function ofManual(file, text) {
  const part = /^\.Sh EXAMPLES\n([\s\S]*?)(?=^\.Sh )/m.exec(text)?.[1] ?? '';
  const at = text.slice(0, text.indexOf(part)).split('\n').length;
  const commands = [];
  part.split('\n').forEach((l, i) => {
    const m = /^\.Dl (.*)$/.exec(l);
    const plain = m?.[1].replace(/\\&/g, '').replace(/\\\(dq|\\\*q/g, '"').replace(/\\-/g, '-').replace(/\\e/g, '\\').replace(/^"(.*)"$/, '$1');
    if (plain) commands.push({ text: uncommented(plain), line: at + i });
  });
  return commands.length ? [{ file, line: commands[0].line, commands }] : [];
}

const files = (root, dir, ext) => readdirSync(path.join(root, dir), { recursive: true }).map(String).filter((f) => f.endsWith(ext)).map((f) => path.join(dir, f)).sort();

/** [{file, line, commands: [{text, line}]}] in the order of the documents. */
export function blocksOf(root) {
  const read = (f) => readFileSync(path.join(root, f), 'utf8');
  const md = ['README.md', ...files(root, 'docs', '.md').filter((f) => !f.startsWith('docs/design/'))];
  return [...md.flatMap((f) => ofMarkdown(f, read(f))), ...files(root, 'man', '.1').flatMap((f) => ofManual(f, read(f)))];
}
