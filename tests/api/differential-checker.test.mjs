// SPDX-License-Identifier: MIT
// The checker of the differential tests can fail: events or lines that are left out, doubled or swapped are
// noticed, in every turn of the captures. And the tee changes nothing of what goes through it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isDeepStrictEqual as same } from 'node:util';
import { ROOT, path, readFileSync, tempDir } from './lib.mjs';
import { compare, fold } from '../lib/visible.mjs';
import { unnoticed } from '../lib/mutate.mjs';
import { expectClaude } from '../lib/expect-claude.mjs';
import { expectAcp } from '../lib/expect-acp.mjs';

const CAPTURES = path.join(ROOT, 'tests/captures');

/** The turns of a capture, each as {records, before}. */
function turnsOf(name, isBegin, isEnd) {
  const records = readFileSync(path.join(CAPTURES, name), 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l))
    .map((r) => ({ ...r, json: typeof r.line === 'string' ? (() => { try { return JSON.parse(r.line); } catch { return null; } })() : r.line }));
  const turns = [];
  let begin = -1;
  records.forEach((r, i) => {
    if (begin < 0 && r.json && isBegin(r)) begin = i;
    if (begin >= 0 && r.json && isEnd(r, records[begin])) {
      turns.push({ name: `${name} ${turns.length + 1}`, records: records.slice(begin, i + 1), before: records.slice(0, begin) });
      begin = -1;
    }
  });
  return turns;
}

const captures = (prefix) => readdirSync(CAPTURES).filter((f) => f.startsWith(prefix)).sort();
const claudeTurns = captures('claude-').filter((f) => !f.startsWith('claude-acp')).flatMap((f) => turnsOf(f,
  (r) => r.dir === 'in' && r.json.type === 'user', (r) => r.dir === 'out' && r.json.type === 'result'));
const acpTurns = captures('opencode-acp').flatMap((f) => turnsOf(f,
  (r) => r.dir === 'in' && r.json.method === 'session/prompt', (r, b) => r.dir === 'out' && r.json.id === b.json.id && !r.json.method));

/* ---- Events: what karta would tell of a list of things ---- */

const data = {
  text: (i, text, n) => ({ part: { type: 'text', text }, part_id: `p${n}` }),
  reasoning: (i, text, n) => ({ part: { type: 'reasoning', text }, part_id: `p${n}` }),
  tool_use: (i) => ({ tool_name: i.name, tool_input: i.input, tool_use_id: i.id }),
  tool_result: (i) => ({ output: i.output ?? (i.shown ? [{ type: 'text', text: i.shown.text }, ...i.shown.images.map((b) => ({ type: 'image', ...b })),
    ...i.shown.diffs.map((d) => ({ type: 'diff', ...d }))] : undefined), tool_use_id: i.id, is_error: i.is_error, status: i.status }),
  ask: (i) => ({ kind: i.ask, tool: i.tool, tool_input: i.input, tool_use_id: i.id }),
  retrying: (i) => ({ state: 'retrying', attempt: i.attempt, error_status: i.status }),
  plan: (i) => ({ state: 'plan', entries: i.entries }),
  error: (i) => ({ code: i.code }),
};
const TYPES = { ask: 'input_required', retrying: 'status', plan: 'status' };

function eventsOf(items) {
  const events = [];
  const emit = (i, d) => events.push({ type: TYPES[i.kind] ?? i.kind, parent_tool_use_id: i.parent ?? null, data: d });
  items.forEach((i, n) => {
    if (i.kind === 'text' || i.kind === 'reasoning') {
      const half = Math.ceil(i.text.length / 2);
      for (const piece of [i.text.slice(0, half), i.text.slice(half)]) if (piece) emit(i, data[i.kind](i, piece, n));
    } else if (i.kind === 'done') {
      for (const usage of i.steps ?? []) emit({ kind: 'step_finish' }, { usage });
      const text = items.filter((t) => t.kind === 'text' && !t.parent && t.text).map((t) => t.text).join('\n\n');
      emit(i, { stop_reason: i.stop_reason, message: { text }, usage: { ...i.usage, ...(i.cost === undefined ? {} : { cost_usd: i.cost }) } });
    } else {
      emit(i, { ...data[i.kind](i), ...(i.kind === 'ask' ? { request_id: `r${n}` } : {}) });
      if (i.kind === 'ask') emit({ kind: 'status' }, { state: 'input_resolved', request_id: `r${n}` });
    }
  });
  return numbered(events);
}

const numbered = (events) => events.map((e, n) => ({ ...e, seq: n + 1 }));

function complaints(must, events) {
  const faults = [];
  const items = fold(numbered(events), faults);
  return [...compare(must, items), ...faults];
}

for (const [name, turns, expect] of [['Claude Code', claudeTurns, expectClaude], ['ACP', acpTurns, expectAcp]]) {
  test(`${name}: events that are missing, doubled or swapped are noticed`, () => {
    let count = 0;
    assert.ok(turns.length > 20, `${turns.length} turns`);
    for (const turn of turns) {
      const must = expect(turn.records, { before: turn.before, thinking: true });
      const events = eventsOf(must);
      assert.deepEqual(complaints(must, events), [], turn.name);
      const tried = unnoticed(must, events);
      assert.deepEqual(tried.missed, [], turn.name);
      count += tried.count;
    }
    assert.ok(count > 200, `${count} mutations`);
  });
}

/* ---- Lines: the units of a recording that carry one thing each ---- */

/* Model calls that were begun and did not end: of them nothing is to be seen. */
function brokenCalls(records) {
  const broken = new Set();
  let call = null;
  for (const e of records.map((r) => r.json?.event)) {
    if (e?.type === 'message_start') broken.add(call = e.message.id);
    if (e?.type === 'message_stop') broken.delete(call);
  }
  return broken;
}

function unitOfClaude(state, { dir, json }) {
  if (dir !== 'out') return null;
  if (json.type === 'stream_event') {
    const e = json.event;
    if (e.type === 'message_start') state.call = e.message.id;
    if (e.type === 'content_block_start') state.block = `${state.call} ${e.index}`;
    return e.type.startsWith('content_block') && !state.broken.has(state.call) ? state.block : null;
  }
  if (json.type === 'assistant' && json.message.id === state.call) return state.broken.has(state.call) ? null : state.block;
  if (json.type === 'assistant' && json.message.model !== '<synthetic>') return json.uuid;
  if (json.type === 'user' && Array.isArray(json.message.content) && json.message.content.some((b) => b.type === 'tool_result'))
    return json.message.content[0].tool_use_id + ' result';
  return json.request?.subtype === 'can_use_tool' || json.type === 'result' ? json.request_id ?? 'result' : null;
}

function unitOfAcp(state, { dir, json }) {
  if (dir !== 'out') return null;
  const u = json.params?.update;
  if (u?.toolCallId) return `${u.toolCallId} ${['completed', 'failed'].includes(u.status) ? 'result' : 'call'}`;
  return /^agent_/.test(u?.sessionUpdate ?? '') ? `chunk ${state.n++}` : null;
}

/* A call is also named by a question and by its result: only what is nowhere else can be missed. */
const alone = (unit) => !/ call$/.test(unit);

for (const [name, turns, expect, unitOf] of [['Claude Code', claudeTurns, expectClaude, unitOfClaude], ['ACP', acpTurns, expectAcp, unitOfAcp]]) {
  test(`${name}: lines that are missing are noticed`, () => {
    let count = 0;
    for (const turn of turns) {
      const options = { before: turn.before, thinking: true };
      const must = expect(turn.records, options);
      const state = { n: 0, broken: brokenCalls(turn.records) };
      const units = turn.records.map((r) => (r.json ? unitOf(state, r) : null));
      for (const unit of new Set(units.filter((u) => u && alone(u)))) {
        const heard = expect(turn.records.filter((_, i) => units[i] !== unit), options);
        // A blank block is not to be seen; the last words are also in the result.
        if (same(heard, must) && silent(turn.records.filter((_, i) => units[i] === unit), turn.records.at(-1).json.result, must)) continue;
        assert.notEqual(complaints(must, eventsOf(heard)).length, 0, `${turn.name}: without ${unit}`);
        count++;
      }
    }
    assert.ok(count > 100, `${count} mutations`);
  });
}

function silent(lines, result, must) {
  const text = lines.map((r) => r.json.event?.delta?.text ?? r.json.event?.delta?.thinking ?? r.json.params?.update?.content?.text ?? '').join('');
  if (!text.trim() || text.trim() === String(result).trim()) return true;
  return !must.some((i) => (i.kind === 'text' || i.kind === 'reasoning') && i.text.includes(text));
}

test('ACP: a line that is late is still of the model call that said it', () => {
  const line = (at, dir, json) => ({ at, dir, line: JSON.stringify(json) });
  const update = (at, u) => line(at, 'out', { method: 'session/update', params: { update: u } });
  const chunk = (at, messageId, text) => update(at, { sessionUpdate: 'agent_message_chunk', messageId, content: { type: 'text', text } });
  const records = [line(0, 'in', { id: 3, method: 'session/prompt' }),
    chunk(2, 'm1', 'I '), chunk(2, 'm1', 'look. '), update(2, { sessionUpdate: 'tool_call', toolCallId: 't', title: 'bash', rawInput: { command: 'x' }, status: 'failed' }),
    // Both calls were made again and done when these came.
    chunk(6, 'm1', 'I '), chunk(6, 'm1', 'look. '), chunk(7, 'm2', 'end'), line(8, 'out', { id: 3, result: { stopReason: 'end_turn' } })];
  const calls = [{ at: 1, key: 'a' }, { at: 4, key: 'a' }, { at: 5, key: 'b' }];
  const said = (keep) => expectAcp(records, { calls, keep }).filter((i) => i.kind === 'text').map((i) => i.text);
  assert.deepEqual([said('first'), said('last')], [['I look. ', '', 'end'], ['', 'I look. ', 'end']]);
});

/* ---- The tee ---- */

async function run(args, input, act = () => {}) {
  const dir = tempDir(null, 'tee');
  const child = spawn(path.join(ROOT, 'tests/lib/tee.mjs'), [dir, ...args]);
  const out = [];
  const err = [];
  child.stdout.on('data', (d) => out.push(d));
  child.stderr.on('data', (d) => err.push(d));
  if (input) child.stdin.end(input);
  await act(child);
  const [code, signal] = await once(child, 'close');
  const records = readdirSync(dir).flatMap((f) => readFileSync(path.join(dir, f), 'utf8').trim().split('\n').map((l) => JSON.parse(l)));
  return { code, signal, out: Buffer.concat(out), err: Buffer.concat(err), records };
}

const bytesOf = (records, dir) => Buffer.concat(records.filter((r) => r.dir === dir)
  .map((r) => Buffer.concat([r.base64 ? Buffer.from(r.base64, 'base64') : Buffer.from(r.line), Buffer.from(r.open ? '' : '\n')])));

test('the tee passes every byte and keeps every line', async () => {
  const long = 'x'.repeat(3 * 1024 * 1024);
  const input = Buffer.concat([Buffer.from(`one\n\n${long}\ntwo \u{1f600}\r\n`), Buffer.from([0x62, 0xff, 0x00, 0x0a]), Buffer.from('no end')]);
  const r = await run(['cat'], input);
  assert.ok(r.out.equals(input), 'out is what went in');
  for (const dir of ['in', 'out']) assert.ok(bytesOf(r.records, dir).equals(input), `${dir} is written down`);
  assert.deepEqual([r.code, r.records.at(-1).line, r.records.filter((x) => x.dir === 'in').length], [0, 0, 6]);
});

test('the tee ends as its program ends', async () => {
  const status = await run(['sh', '-c', 'cat >/dev/null; echo words >&2; exit 7'], 'x');
  assert.deepEqual([status.code, String(status.err)], [7, 'words\n']);
  const killed = await run(['sh', '-c', 'kill -9 $$'], 'x');
  assert.deepEqual([killed.signal, killed.records.at(-1).line], ['SIGKILL', 'SIGKILL']);
  const told = await run(['sh', '-c', 'trap "echo got; exit 3" TERM; echo ready; while :; do read x || sleep 0.05; done'], null, async (child) => {
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
  });
  assert.deepEqual([told.code, told.records.filter((x) => x.dir === 'out').map((x) => x.line)], [3, ['ready', 'got']]);
  const missing = await run(['/no/such/program'], 'x');
  assert.equal(missing.code, 127);
});
