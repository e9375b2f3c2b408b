#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Speaks just enough of Claude Code's stream-json to be started, and writes down how it was: a file
// FAKE_CLAUDE_DIR/<n>.json with {argv, cwd, env, lines}, rewritten with each line that comes in.
//   FAKE_CLAUDE_FORGETS=1   a conversation cannot be resumed
//   FAKE_CLAUDE_SAYS=FILE   lines to write for each message, as they stand in FILE, in place of an echo
import { createInterface } from 'node:readline';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const { FAKE_CLAUDE_DIR, FAKE_CLAUDE_FORGETS, FAKE_CLAUDE_SAYS } = process.env;
const argv = process.argv.slice(2);
if (argv.includes('--version')) {
  console.log('2.1.197 (Claude Code)');
  process.exit(0);
}
const option = (name) => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
const session = option('--resume') ?? option('--session-id');
const out = (line) => process.stdout.write(JSON.stringify({ session_id: session, parent_tool_use_id: null, ...line }) + '\n');
const started = { argv, program: process.argv[1], cwd: process.cwd(), env: { ...process.env }, lines: [] };
let record = () => {};

if (FAKE_CLAUDE_DIR) {
  mkdirSync(FAKE_CLAUDE_DIR, { recursive: true });
  const file = path.join(FAKE_CLAUDE_DIR, `${String(readdirSync(FAKE_CLAUDE_DIR).length).padStart(3, '0')}-${process.pid}.json`);
  record = () => writeFileSync(file, JSON.stringify(started));
}
record();
if (option('--resume') && FAKE_CLAUDE_FORGETS) {
  out({ type: 'result', subtype: 'error_during_execution', is_error: true, errors: [`No conversation found with session ID: ${session}`] });
  process.exitCode = 1;
} else {
  createInterface({ input: process.stdin }).on('line', (text) => {
    const line = JSON.parse(text);
    started.lines.push(line);
    record();
    if (line.type === 'control_request') {
      out({ type: 'control_response', response: { subtype: 'success', request_id: line.request_id, response: { commands: [], agents: [] } } });
      return;
    }
    if (line.type !== 'user') return;
    out({ type: 'system', subtype: 'init', model: 'fake', permissionMode: option('--permission-mode') ?? 'default' });
    if (FAKE_CLAUDE_SAYS && existsSync(FAKE_CLAUDE_SAYS)) {
      process.stdout.write(readFileSync(FAKE_CLAUDE_SAYS));
      return;
    }
    const words = line.message.content.map((b) => b.text).join('\n');
    out({ type: 'assistant', message: { id: `m${started.lines.length}`, role: 'assistant', content: [{ type: 'text', text: `heard: ${words}` }] } });
    out({ type: 'result', subtype: 'success', is_error: false, num_turns: 1, result: `heard: ${words}`, stop_reason: 'end_turn' });
  });
}
