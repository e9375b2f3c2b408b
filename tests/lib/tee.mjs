#!/usr/bin/env node
// SPDX-License-Identifier: MIT
//
// Runs a program and writes what goes over its stdin and stdout to a file, line by line, without
// changing a byte of it. It stands in a harness's place (KARTA_CLAUDE, KARTA_OPENCODE), so it is as
// good as not there: arguments, environment, stderr, end of file, signals and exit status are the
// program's own.
//
//   tee.mjs DIRECTORY PROGRAM [ARGUMENT...]        writes DIRECTORY/<pid>.jsonl
//
// A record is {"at","dir","line"}: seconds of the clock that everybody reads (a request to the model that is before
// a line must have a time before it), `in` or `out`, the line without its end.
// "open": true, a last line that had no end; "base64" in place of "line", bytes that are no UTF-8. The
// first records are `meta` (argv, session, cwd; the pid), the last one `exit` (the status or signal). A record is on
// disk before its line goes on: who has seen what a line caused finds the line in the file.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { mkdirSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';

const [dir, program, ...args] = process.argv.slice(2);

mkdirSync(dir, { recursive: true });
const file = openSync(path.join(dir, `${process.pid}.jsonl`), 'a');

function record(entry) {
  const bytes = Buffer.from(`${JSON.stringify({ at: Date.now() / 1000, ...entry })}\n`);
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}

function recordLine(dir, bytes, more = {}) {
  const line = bytes.toString('utf8');
  const same = Buffer.from(line, 'utf8').equals(bytes);
  record({ dir, ...(same ? { line } : { base64: bytes.toString('base64') }), ...more });
}

/** Pass bytes on as they come; write down each line once it is whole, before its last bytes go on. */
function pass(from, to, dir, { recorded = () => {} } = {}) {
  let parts = [];
  from.on('data', (bytes) => {
    let at = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, at)) {
      recordLine(dir, Buffer.concat([...parts, bytes.subarray(at, end)]));
      parts = [];
      at = end + 1;
    }
    if (at < bytes.length) parts.push(bytes.subarray(at));
    if (!to.write(bytes)) {
      from.pause();
      to.once('drain', () => from.resume());
    }
  });
  from.on('end', () => {
    if (parts.length) recordLine(dir, Buffer.concat(parts), { open: true });
    recorded();
  });
  // Nobody reads any more: what is left is written down and thrown away.
  to.on('error', () => from.resume());
}

record({ dir: 'meta', argv: [program, ...args], session: process.env.KARTA_SESSION_ID ?? null, cwd: process.cwd() });
const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
if (child.pid) record({ dir: 'meta', pid: child.pid });
child.on('error', (e) => {
  record({ dir: 'exit', line: e.message });
  process.stderr.write(`${program}: ${e.message}\n`);
  process.exit(e.code === 'ENOENT' ? 127 : 126);
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'])
  process.on(signal, () => child.kill(signal));
pass(process.stdin, child.stdin, 'in', { recorded: () => child.stdin.end() });
pass(child.stdout, process.stdout, 'out');

// 'close' comes after the last byte of stdout; a program that ends by a signal takes the tee with it.
child.on('close', (code, signal) => {
  record({ dir: 'exit', line: signal ?? code });
  process.stdin.destroy();
  process.stdout.write('', () => {
    if (!signal) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
  });
});
