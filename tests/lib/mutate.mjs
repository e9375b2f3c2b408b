// SPDX-License-Identifier: MIT
// Turns that are not as they were: one event left out, said twice, or in another place. Where a client would
// see no difference (an announcement that a later one replaces, words that are replaced) there is none.
import { isDeepStrictEqual } from 'node:util';
import { compare, fold } from './visible.mjs';

const VISIBLE = new Set(['text', 'reasoning', 'tool_use', 'tool_result', 'input_required', 'error', 'done']);
/* Results and questions come in while the model still speaks: pieces of a part may stand before or behind them. */
const ASIDE = new Set(['tool_result', 'input_required']);

const words = (e) => e.data.part?.text;
const blank = (e) => words(e) !== undefined && !words(e).trim();
const part = (e) => (words(e) === undefined ? null : JSON.stringify([e.parent_tool_use_id, e.type, e.data.part_id]));
const visible = (e) => VISIBLE.has(e.type) || ['retrying', 'plan', 'auto_approved', 'auto_denied'].includes(e.data?.state);

function* mutations(events, max) {
  const firsts = new Set();
  const seen = new Set();
  const lasts = new Map();
  for (const [n, e] of events.entries()) {
    const key = part(e) ?? (e.type === 'tool_use' ? e.data.tool_use_id : null);
    if (!key || !seen.has(key)) firsts.add(n);
    if (key) seen.add(key);
    if (key && (e.type === 'tool_use' || e.data.replace)) lasts.set(key, n);
  }
  // What a later event replaces.
  const moot = (n) => {
    const key = part(events[n]) ?? events[n].data.tool_use_id;
    return (part(events[n]) !== null || events[n].type === 'tool_use') && lasts.has(key) && (n < lasts.get(key) || events[n].data.replace);
  };
  const usable = events.map((_, n) => n).filter((n) => visible(events[n]) && !blank(events[n]) && !moot(n));
  const stride = Math.max(1, Math.ceil(usable.length / max));

  for (const i of usable.filter((_, k) => k % stride === 0)) {
    const e = events[i];
    const single = e.type !== 'tool_use' || firsts.has(i);
    if (single) yield [`without ${e.type} ${e.seq}`, events.filter((_, n) => n !== i)];
    if (e.type !== 'tool_use') yield [`${e.type} ${e.seq} twice`, [...events.slice(0, i + 1), e, ...events.slice(i + 1)]];
    const next = events[i + 1];
    if (!next || !visible(next) || blank(next) || moot(i + 1) || !swapShows(e, next, firsts.has(i), firsts.has(i + 1))) continue;
    yield [`${e.type} ${e.seq} behind ${next.type}`, [...events.slice(0, i), next, e, ...events.slice(i + 2)]];
  }
}

function swapShows(e, next, first, nextFirst) {
  if (isDeepStrictEqual({ ...e, seq: 0 }, { ...next, seq: 0 })) return false;
  const elsewhere = (e.parent_tool_use_id ?? null) !== (next.parent_tool_use_id ?? null);
  if (words(e) !== undefined && e.type === next.type && words(e) === words(next) && !elsewhere) return false;
  if (part(e) && part(e) === part(next)) return words(e) + words(next) !== words(next) + words(e);
  if (e.type === 'done' || next.type === 'done') return true;
  // The place of a part or call is that of its first event.
  if (!first && (e.type === 'tool_use' || elsewhere || ASIDE.has(next.type) || next.type === 'status')) return false;
  return nextFirst;
}

/** Mutations of a turn's events that the comparison with what must be seen does not notice; and how many there were. */
export function unnoticed(must, events, max = Infinity) {
  const missed = [];
  let count = 0;
  for (const [what, mutated] of mutations(events, max)) {
    const faults = [];
    const items = fold(mutated.map((e, n) => ({ ...e, seq: n + 1 })), faults);
    count++;
    if (!compare(must, items).length && !faults.length) missed.push(what);
  }
  return { missed, count };
}
