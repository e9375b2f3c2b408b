// SPDX-License-Identifier: MIT
// What a client of karta sees of a turn, as a list of things in their order, and the comparison of two
// such lists. docs/events.md is the rule by which events become things.
//
//   {kind: 'text' | 'reasoning', parent, text}          parts, at the place of their first event
//   {kind: 'tool_use', parent, id, name, input}         at the place of the announcement, with the last input
//   {kind: 'tool_result', parent, id, output, is_error, status}
//   {kind: 'ask', ask, tool, input, id}                 a person, the session or the policy is asked
//   {kind: 'retrying', attempt, status}                 the harness calls the model again
//   {kind: 'plan', entries}
//   {kind: 'error', code, message}
//   {kind: 'done', stop_reason, usage, cost, steps}   steps: the tokens of each model call, where told
//
// What must be seen may have `says` (an error: words of its message) and `shown` in place of `output` (a
// result: its words, images and differences). Of what is too large for an event the beginning is compared.
import { isDeepStrictEqual } from 'node:util';

/* Behind these a part is over; results and questions come in while the model still speaks. */
const FOLLOWS = new Set(['text', 'reasoning', 'tool_use', 'error']);
const ASKED = new Set(['auto_approved', 'auto_denied']);

/** Things of one turn's events. Faults that are in the events themselves go to faults. */
export function fold(events, faults = []) {
  const items = [];
  const parts = new Map();
  const tools = new Map();
  const results = new Set();
  const open = new Set();
  const steps = [];
  let last = 0;

  for (const e of events) {
    const d = e.data ?? {};
    const parent = e.parent_tool_use_id ?? null;
    if (e.seq <= last) faults.push(`event ${e.seq} comes after ${last}`);
    last = e.seq;
    if (items.at(-1)?.kind === 'done') faults.push(`${e.type} after done`);
    if (e.type === 'text' || e.type === 'reasoning') {
      const key = JSON.stringify([parent, e.type, d.part_id]);
      let part = parts.get(key);
      if (!part) {
        part = { kind: e.type, parent, text: '' };
        parts.set(key, part);
        items.push(part);
      }
      if (!d.replace && d.part.text && items.slice(items.indexOf(part) + 1).some((i) => (i.parent ?? null) === parent && FOLLOWS.has(i.kind)))
        faults.push(`words of an earlier part come behind other things: ${short(d.part.text)}`);
      part.text = (d.replace ? '' : part.text) + d.part.text;
    } else if (e.type === 'tool_use') {
      let tool = tools.get(d.tool_use_id);
      if (!tool) {
        tool = { kind: 'tool_use', parent, id: d.tool_use_id };
        tools.set(d.tool_use_id, tool);
        items.push(tool);
      }
      if (results.has(d.tool_use_id)) faults.push(`${d.tool_use_id} is announced after its result`);
      Object.assign(tool, { parent, name: d.tool_name, input: d.tool_input, ...(d.truncated ? { cut: true } : {}) });
    } else if (e.type === 'tool_result') {
      if (results.has(d.tool_use_id)) faults.push(`${d.tool_use_id} has two results`);
      if (!tools.has(d.tool_use_id)) faults.push(`${d.tool_use_id} has a result but was not announced`);
      results.add(d.tool_use_id);
      items.push({ kind: 'tool_result', parent, id: d.tool_use_id, output: d.output, is_error: d.is_error, status: d.status,
        ...(d.truncated ? { cut: true } : {}) });
    } else if (e.type === 'input_required') {
      open.add(d.request_id);
      items.push({ kind: 'ask', ask: d.kind, tool: d.tool, input: d.tool_input, id: d.tool_use_id ?? null,
        ...(d.truncated ? { cut: true } : {}) });
    } else if (e.type === 'status' && d.state === 'input_resolved') {
      if (!open.delete(d.request_id)) faults.push(`${d.request_id} is resolved but not open`);
    } else if (e.type === 'step_finish' && !parent) {
      if (d.usage) steps.push(d.usage);
    } else if (e.type === 'status' && ASKED.has(d.state)) {
      items.push({ kind: 'ask', ask: 'tool_use', tool: d.tool, id: d.tool_use_id ?? null });
    } else if (e.type === 'status' && d.state === 'retrying') {
      items.push({ kind: 'retrying', attempt: d.attempt ?? null, status: d.error_status ?? null });
    } else if (e.type === 'status' && d.state === 'plan') {
      items.push({ kind: 'plan', entries: d.entries });
    } else if (e.type === 'error') {
      items.push({ kind: 'error', code: d.code, message: d.message });
    } else if (e.type === 'done') {
      const { cost_usd: cost = null, ...usage } = d.usage ?? {};
      items.push({ kind: 'done', stop_reason: d.stop_reason, message: d.message, usage, cost, steps });
    }
  }
  for (const id of tools.keys()) if (!results.has(id)) faults.push(`${id} has no result`);
  for (const id of open) faults.push(`${id} is never resolved`);
  const done = items.at(-1);
  if (done?.kind !== 'done') faults.push('the turn has no done');
  else faults.push(...textFaults(done, replyOf(items)));
  return items;
}

/* `done` has the text of the parts; of a very long one the beginning, and how long it is. */
function textFaults(done, reply) {
  const { text, truncated, text_bytes: bytes } = done.message;
  const whole = truncated ? text.length > 10000 && reply.startsWith(text) && bytes === Buffer.byteLength(reply) : text === reply;
  delete done.message;
  return whole ? [] : [`done has another text than the parts: ${short(text)} (${truncated ? bytes : 'whole'}) and ${short(reply)}`];
}

/** The reply by the rule of docs/events.md: the main agent's parts that are not empty. */
export const replyOf = (items) => items.filter((i) => i.kind === 'text' && !i.parent && i.text).map((i) => i.text).join('\n\n');

const short = (v) => {
  const s = typeof v === 'string' ? JSON.stringify(v) : JSON.stringify(v) ?? 'nothing';
  return s.length > 300 ? `${s.slice(0, 180)} ... ${s.slice(-100)} (${s.length})` : s;
};

/** Words, images and differences in an event's output, however they are written. */
export function outputSeen(output) {
  const list = Array.isArray(output) ? output : [{ type: 'text', text: output ?? '' }];
  return {
    text: list.filter((b) => b.type === 'text').map((b) => b.text).join(''),
    diffs: list.filter((b) => b.type === 'diff').map((b) => ({ path: b.path, oldText: b.oldText ?? null, newText: b.newText })),
    images: list.filter((b) => b.type === 'image').map((b) => ({ mimeType: b.mimeType ?? b.source?.media_type, data: b.data ?? b.source?.data })),
  };
}

/* Blank parts are in no harness's conversation; a client may be shown them or not. */
const shown = (items) => items.filter((i) => !((i.kind === 'text' || i.kind === 'reasoning') && !i.text.trim()));

/* A harness may tell the words of a result in two forms (raw): one of them is enough. */
const isShown = ({ raw, ...must }, is) => [must.text, raw ?? must.text].includes(is.text) && isDeepStrictEqual({ ...must, text: is.text }, is);

/* Long strings of a large event are cut, and say so behind what is left of them. */
function isBeginning(must, is) {
  if (typeof must === 'string') return typeof is === 'string' && (must === is || (must.length > 10000 && must.startsWith(is.slice(0, 10000))));
  if (!must || typeof must !== 'object') return must === is;
  return Object.keys({ ...must, ...is }).every((key) => isBeginning(must[key], is?.[key]));
}

/* NUL and half a surrogate pair, which no client takes, are U+FFFD (docs/design/text.md). */
function clean(v) {
  if (typeof v === 'string') return v.replaceAll('\0', '\ufffd').toWellFormed();
  if (Array.isArray(v)) return v.map(clean);
  return v && typeof v === 'object' ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, clean(x)])) : v;
}

const label = (i) => (i ? `${i.kind}${i.parent ? ` below ${i.parent}` : ''} ${short(i.text ?? i.id ?? i.code ?? '')}` : 'nothing');

/** Differences between what must be seen and what is, as sentences; members that `must` leaves out are not compared. */
export function compare(must, seen) {
  const wanted = clean(shown(must));
  const got = shown(seen);
  const out = [];

  for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
    const w = wanted[i];
    const g = got[i];
    if (!w || !g || w.kind !== g.kind) {
      out.push(`thing ${i + 1}: must be ${label(w)}, is ${label(g)}`);
      out.push(`  must: ${wanted.map(label).join('; ')}`, `  is:   ${got.map(label).join('; ')}`);
      break;
    }
    for (const [key, value] of Object.entries(w)) {
      if (key === 'says' && g.message.includes(value)) continue;
      if (key === 'cost' ? near(value, g.cost) : value === undefined || isDeepStrictEqual(value, g[key])) continue;
      // Nothing was told of a call that did not come to its end: none, or not known.
      if (key === 'usage' && !value.total_tokens && !Object.keys(g.usage).length) continue;
      if (key === 'input' && g.input === undefined) continue;
      if ((key === 'input' || key === 'output') && g.cut && isBeginning(value, g[key])) continue;
      if (key === 'shown' && isShown(value, outputSeen(g.output))) continue;
      out.push(`thing ${i + 1}, ${label(w)}: ${key} must be ${short(value)}, is ${short(key === 'shown' ? outputSeen(g.output) : key === 'says' ? g.message : g[key])}`);
    }
  }
  return out;
}

const near = (a, b) => (!a && b === null) || (typeof a !== 'number' || typeof b !== 'number' ? a === undefined || a === b : Math.abs(a - b) < 1e-6);
