// SPDX-License-Identifier: MIT
// A small ACP agent on stdio for tests: what to do is written in the prompt.
//   N=3 GAP=20 WAIT=100   3 text chunks " @@<unix ns>@@", 20 ms apart, after 100 ms
//   [[text:words]]        one chunk; [[think:words]] one thought chunk
//   [[ask:ls -la]]        an "execute" tool call that asks for permission first
//   [[ask2:a|b]]          two of them at the same time
//   [[until:FILE]]        waits until the file is there, or it is cancelled
//   [[hang]] nothing until cancelled   [[deaf]] nothing, also when cancelled
//   [[crash]]             exits with status 3     [[orphan:300]] a sleep in a session of its own
//   [[stubborn]]          takes a second to end when its input is closed
//   [[error:words]]       a JSON-RPC error        [[big:100000]] one chunk of that many bytes
//   [[write:2000000]]     a "Write" of that many bytes to big.txt, asked first
//   [[tiny:20000]]        that many chunks of one letter, as fast as they go
//   [[flood:200]]         that many chunks of 1 MiB
//   [[result:60000000]]   a tool call whose result has that many bytes, in one line
//   [[nodes:2000000]]     the same with that many numbers
//   [[open:60000000]]     so many bytes of a line that does not end; then it waits to be stopped
//   [[env:NAME]]          the variable's value    [[cat:FILE]]   a file of the working folder
//   [[stderr:words]]      a line on stderr
// Several directives are done in order; without any the text is echoed with the number of the turn.
// A second prompt after a restart continues the count when the session was loaded.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';

const out = (m) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...m }) + '\n');
const drained = () => new Promise((r) => { if (process.stdout.writableNeedDrain) process.stdout.once('drain', r); else setImmediate(r); });
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const now = () => (BigInt(Date.now()) * 1000000n + (process.hrtime.bigint() % 1000000n)).toString();
const sessions = new Map();
const waiting = new Map();
let next = 100;
let stubborn = false;

const request = (method, params) => new Promise((resolve) => {
  const id = next++;
  waiting.set(id, resolve);
  out({ id, method, params });
});

function memory(id) {
  const file = process.env.FAKE_AGENT_STATE && `${process.env.FAKE_AGENT_STATE}/${id}.json`;
  return {
    load: () => (file && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null),
    save: (v) => file && writeFileSync(file, JSON.stringify(v)),
  };
}

async function ask(sessionId, command, n) {
  const toolCallId = `call_${next++}`;
  const toolCall = { toolCallId, title: command, kind: 'execute', status: 'pending', rawInput: { command } };
  out({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'tool_call', ...toolCall } } });
  const answer = await request('session/request_permission', {
    sessionId, toolCall,
    options: [{ optionId: 'once', kind: 'allow_once', name: 'Allow once' },
      { optionId: 'always', kind: 'allow_always', name: 'Always' },
      { optionId: 'reject', kind: 'reject_once', name: 'Reject' }],
  });
  const chosen = answer.outcome?.optionId ?? answer.outcome?.outcome;
  const ok = chosen === 'once' || chosen === 'always';
  out({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'tool_call_update', toolCallId,
    status: ok ? 'completed' : 'failed', rawOutput: { output: `${command} -> ${chosen}` } } } });
  return chosen;
}

async function askWrite(sessionId, bytes) {
  const toolCallId = `call_${next++}`;
  const rawInput = { file_path: 'big.txt', content: 'line of text\n'.repeat(Math.ceil(bytes / 13)).slice(0, bytes) };
  const toolCall = { toolCallId, title: 'Write', kind: 'edit', status: 'pending', rawInput };
  out({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'tool_call', ...toolCall } } });
  const answer = await request('session/request_permission', { sessionId, toolCall,
    options: [{ optionId: 'once', kind: 'allow_once', name: 'Allow once' }, { optionId: 'reject', kind: 'reject_once', name: 'Reject' }] });
  const ok = answer.outcome?.optionId === 'once';
  if (ok) writeFileSync('big.txt', rawInput.content);
  out({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'tool_call_update', toolCallId,
    status: ok ? 'completed' : 'failed', rawOutput: { output: ok ? 'written' : 'refused' } } } });
  return ok ? 'written' : 'refused';
}

async function prompt(id, { sessionId, prompt: blocks }) {
  const s = sessions.get(sessionId);
  const text = blocks.map((b) => b.text ?? '').join('\n');
  const messageId = `m${++s.turns}`;
  memory(sessionId).save({ turns: s.turns });
  s.cancelled = false;
  const chunk = (t, kind = 'agent_message_chunk') => out({ method: 'session/update',
    params: { sessionId, update: { sessionUpdate: kind, messageId, content: { type: 'text', text: t } } } });
  const end = (stopReason = 'end_turn') => out({ id, result: { stopReason,
    usage: { inputTokens: 10, outputTokens: 5, totalTokens: 15 } } });
  const num = (k, d) => Number((text.match(new RegExp(`\\b${k}=(\\d+)`)) ?? [0, d])[1]);
  const directives = [...text.matchAll(/\[\[(\w+)(?::([^\]]*))?\]\]/g)];
  if (num('N', 0)) {
    await sleep(num('WAIT', 0));
    for (let i = 0; i < num('N', 0) && !s.cancelled; i++) {
      chunk(` @@${now()}@@`);
      if (num('GAP', 0)) await sleep(num('GAP', 0));
    }
    return end(s.cancelled ? 'cancelled' : 'end_turn');
  }
  if (!directives.length) {
    for (const word of `You said: ${text} (turn ${s.turns})`.split(/(?<= )/)) chunk(word);
    return end();
  }
  for (const [, what, arg] of directives) {
    if (s.cancelled) break;
    if (what === 'text') chunk(arg);
    else if (what === 'think') chunk(arg, 'agent_thought_chunk');
    else if (what === 'big') chunk('x'.repeat(Number(arg)));
    else if (what === 'result' || what === 'nodes') {
      const toolCallId = `call_${next++}`;
      const rawOutput = what === 'result' ? { output: 'y'.repeat(Number(arg)) } : { output: Array(Number(arg)).fill(1) };
      out({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'tool_call', toolCallId, title: 'Read', kind: 'read', status: 'in_progress', rawInput: { path: 'a' } } } });
      out({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'tool_call_update', toolCallId, status: 'completed', rawOutput } } });
      await drained();
    } else if (what === 'tiny') for (let i = 0; i < Number(arg) && !s.cancelled; i++) {
      chunk('abcdefghijklmnopqrstuvwxyz'[i % 26]);
      if (i % 1000 === 999) await drained();
    } else if (what === 'flood') for (let i = 0; i < Number(arg) && !s.cancelled; i++) {
      chunk('x'.repeat(1024 * 1024));
      await drained();
    } else if (what === 'write') chunk(await askWrite(sessionId, Number(arg)));
    else if (what === 'open') {
      process.stdout.write('z'.repeat(Number(arg)));
      await new Promise((r) => { s.release = r; });
    } else if (what === 'env') chunk(process.env[arg] ?? '(unset)');
    else if (what === 'cat') chunk(existsSync(arg) ? readFileSync(arg, 'utf8') : '(no such file)');
    else if (what === 'stderr') writeSync(2, `${arg}\n`);
    else if (what === 'ask') chunk(`asked: ${await ask(sessionId, arg)}. `);
    else if (what === 'ask2') chunk(`asked: ${(await Promise.all(arg.split('|').map((a) => ask(sessionId, a)))).join(', ')}. `);
    else if (what === 'sleep') await sleep(Number(arg));
    else if (what === 'until') while (!existsSync(arg) && !s.cancelled) await sleep(10);
    else if (what === 'crash') { writeSync(2, 'fake agent: crashing as told\n'); process.exit(3); }
    else if (what === 'orphan') {
      spawn('sleep', [arg], { detached: true, stdio: 'ignore' }).unref();
      chunk('started an orphan. ');
    } else if (what === 'hang') await new Promise((r) => { s.release = r; });
    else if (what === 'deaf') await new Promise(() => { setInterval(() => {}, 1000); });
    else if (what === 'error') return out({ id, error: { code: -32603, message: arg } });
  }
  end(s.cancelled ? 'cancelled' : 'end_turn');
}

const methods = {
  initialize: (id) => out({ id, result: { protocolVersion: 1, authMethods: [], agentInfo: { name: 'fake-agent', version: '1' },
    agentCapabilities: { loadSession: true } } }),
  'session/new': (id) => {
    const sessionId = `fake_${process.pid}_${sessions.size + 1}`;
    sessions.set(sessionId, { turns: 0 });
    out({ id, result: { sessionId } });
  },
  'session/load': (id, { sessionId }) => {
    const old = memory(sessionId).load();
    if (!old) return out({ id, error: { code: -32602, message: `no session ${sessionId}` } });
    sessions.set(sessionId, { turns: old.turns });
    out({ id, result: {} });
  },
  'session/prompt': (id, params) => prompt(id, params),
  'session/cancel': (id, { sessionId }) => {
    const s = sessions.get(sessionId);
    s.cancelled = true;
    s.release?.();
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const m = JSON.parse(line);
  if (m.method) {
    if (methods[m.method]) methods[m.method](m.id, m.params ?? {});
    else if (m.id !== undefined) out({ id: m.id, error: { code: -32601, message: 'unknown method' } });
  } else if (waiting.has(m.id)) {
    waiting.get(m.id)(m.result ?? {});
    waiting.delete(m.id);
  }
}).on('close', () => setTimeout(() => process.exit(0), stubborn ? 1000 : 0));
