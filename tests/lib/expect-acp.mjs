// SPDX-License-Identifier: MIT
// What a client must see of a turn of an agent that speaks the Agent Client Protocol, told from the lines
// on its stdio alone. Nothing here knows how karta reads them: the sources are the protocol, the observed
// order of OpenCode's lines, and docs/events.md for what events are for.
//
// A turn is the lines from `session/prompt` to its answer. The protocol does not say that a model call
// broke off and was made again: OpenCode sends its words once more. `calls` are the requests that the model
// got, each with its time and a key that those have in common which are one and the same. Its words stand once, in
// the place of the first or of the last of them (`keep`).
import { messagesOf } from './expect-claude.mjs';

const STOPS = { cancelled: 'interrupted' };
const CODES = { 400: 'invalid_request', 401: 'auth_failed', 403: 'auth_failed', 404: 'model_not_found', 429: 'rate_limited',
  500: 'server_error', 503: 'overloaded', 529: 'overloaded' };

/* OpenCode's words for a call that a rule of its configuration forbids. */
const RULE = /^The user has specified a rule which prevents you/;

const filled = (o) => o && typeof o === 'object' && Object.keys(o).length > 0;

/** Words, images and differences of a result. Words may be told twice, in another form: either will do. */
function outputOf(content, rawOutput, asked) {
  const blocks = (content ?? []).filter((c) => c.type === 'content').map((c) => c.content);
  const own = (content ?? []).filter((c) => c.type === 'diff');
  const raw = typeof rawOutput === 'string' ? rawOutput : rawOutput?.output ?? rawOutput?.error;
  const text = blocks.filter((b) => b.type === 'text').map((b) => b.text).join('');
  return { text: text || (typeof raw === 'string' ? raw : ''), raw: typeof raw === 'string' ? raw : text,
    // What a call would change is told with the question too: not needed twice.
    diffs: (own.length ? own : asked).map((c) => ({ path: c.path, oldText: c.oldText ?? null, newText: c.newText })),
    images: blocks.filter((b) => b.type === 'image').map((b) => ({ mimeType: b.mimeType, data: b.data })) };
}

const lastCost = (messages) => messages.filter((m) => m.dir === 'out').map((m) => m.json.params?.update)
  .filter((u) => u?.sessionUpdate === 'usage_update').at(-1)?.cost?.amount;

export function expectAcp(records, { before = [], thinking = false, calls = [], keep = 'first' } = {}) {
  const messages = messagesOf(records);
  const prompt = messages.find((m) => m.dir === 'in' && m.json.method === 'session/prompt')?.json.id;
  const state = { items: [], modelCall: modelCallsOf(calls), calls: new Map(), asks: new Map(), denied: new Set(), messageIds: new Set(), open: null, cancelled: false };
  let answer = null;

  const from = messages.findIndex((m) => m.dir === 'in' && m.json.method === 'session/prompt');
  for (const { at, dir, json } of messages.slice(from)) {
    state.at = at;
    if (dir === 'out' && json.id === prompt && !json.method) {
      answer = json;
      break;
    }
    if (dir === 'out' && json.method === 'session/update') update(state, json.params.update);
    else if (dir === 'out' && json.method === 'session/request_permission') ask(state, json);
    else if (dir === 'in' && state.asks.has(json.id) && !json.method) decided(state, json);
    else if (dir === 'in' && json.method === 'session/cancel') state.cancelled = true;
  }
  return finish(state, answer, messages, messagesOf(before), { thinking, keep, records });
}

function update(state, u) {
  const kind = { agent_message_chunk: 'text', agent_thought_chunk: 'reasoning' }[u.sessionUpdate];
  if (kind) return chunk(state, kind, u);
  if (u.sessionUpdate === 'tool_call' || u.sessionUpdate === 'tool_call_update') return call(state, u);
  if (u.sessionUpdate === 'plan') state.items.push({ kind: 'plan', entries: u.entries });
  return undefined;
}

/* Chunks that follow one another and are of one message are one part. */
function chunk(state, kind, u) {
  const text = u.content?.type === 'text' ? u.content.text : '';
  const id = u.messageId ?? null;
  const by = state.modelCall(state.at, id);
  if (kind === 'text') state.messageIds.add(id);
  if (state.open?.kind !== kind || state.open.of !== id || state.open.call !== by) {
    state.open = { kind, parent: null, text: '', of: id, call: by };
    state.items.push(state.open);
  }
  state.open.text += text;
}

function call(state, u) {
  let c = state.calls.get(u.toolCallId);
  if (!c) {
    c = { kind: 'tool_use', parent: u._meta?.claudeCode?.parentToolUseId ?? null, id: u.toolCallId, name: u.title, diffs: [] };
    state.calls.set(u.toolCallId, c);
    state.items.push(c);
    state.open = null;
  }
  if (filled(u.rawInput)) c.input = u.rawInput;
  // OpenCode's list of things to do is the input of its tool.
  if (c.name === 'todowrite' && Array.isArray(u.rawInput?.todos) && !c.told) {
    c.told = true;
    state.items.push({ kind: 'plan', entries: u.rawInput.todos });
  }
  if (u.content?.some((x) => x.type === 'content')) c.content = u.content;
  if (u.content?.some((x) => x.type === 'diff')) c.diffs = u.content.filter((x) => x.type === 'diff');
  if (u.status !== 'completed' && u.status !== 'failed') return;
  if (state.items.some((i) => i.kind === 'tool_result' && i.id === u.toolCallId)) return;
  state.items.push({ kind: 'tool_result', parent: c.parent, id: u.toolCallId, shown: outputOf(u.content ?? c.content, u.rawOutput, c.diffs),
    is_error: u.status === 'failed', late: state.cancelled });
  state.open = null;
}

function ask(state, json) {
  const t = json.params.toolCall;
  // What it would change is told with the question, and not again with the result.
  call(state, state.calls.has(t.toolCallId) ? { toolCallId: t.toolCallId, content: t.content } : t);
  state.asks.set(json.id, t.toolCallId);
  state.items.push({ kind: 'ask', ask: t.kind === 'switch_mode' ? 'plan' : 'tool_use', tool: state.calls.get(t.toolCallId).name, id: t.toolCallId });
}

function decided(state, json) {
  const outcome = json.result?.outcome;
  if (state.cancelled) return;
  if (outcome?.outcome !== 'selected' || /reject|deny|abort/.test(outcome.optionId)) state.denied.add(state.asks.get(json.id));
}

/**
 * Which model call a chunk of a moment is of: {key, attempt}. A line may be late, and the next call made before it
 * is written; but a message is of one call, or of those that made it once more.
 */
function modelCallsOf(calls) {
  const list = calls.map((c, n) => ({ ...c, attempt: calls.slice(0, n).filter((x) => x.key === c.key).length }));
  const keys = new Map();
  return (at, message) => {
    const call = list.findLast((c) => c.at <= at && (!keys.has(message) || c.key === keys.get(message)));
    if (call) keys.set(message, call.key);
    return call;
  };
}

/* What a broken call said is said by the call that was made again: it stands once. */
function withoutBroken(items, keep) {
  for (const [n, i] of items.entries()) {
    if (!i.call || !i.text) continue;
    const later = items.slice(n + 1).find((l) => l.call && l.kind === i.kind && l.call.key === i.call.key && l.call.attempt > i.call.attempt
      && l.text.startsWith(i.text));
    if (!later) continue;
    if (keep === 'first') [i.text, later.text] = [later.text, ''];
    else i.text = '';
  }
  return items;
}

function finish(state, answer, messages, before, { thinking, keep, records }) {
  const list = withoutBroken(state.items, keep).filter((i) => i.kind !== 'reasoning' || thinking);
  const interrupted = state.cancelled;
  const usage = answer?.result?.usage;
  const cost = lastCost(messages);
  // Money is a sum since the conversation began: where a process takes one up, what was before is not known.
  const unknown = lastCost(before) === undefined && [...before, ...messages].some((m) => m.dir === 'in' && /^session\/(load|resume)$/.test(m.json.method));
  const told = (names) => Object.fromEntries(Object.entries(names).filter(([, v]) => v !== undefined && v !== null));

  for (const i of list.filter((x) => x.kind === 'tool_result')) {
    i.status = !i.is_error ? 'completed' : state.denied.has(i.id) || RULE.test(i.shown.raw) ? 'rejected' : 'failed';
    // OpenCode calls completed what an interrupt broke off.
    if (i.late) Object.assign(i, { status: i.is_error || /aborted/.test(i.shown.raw) ? 'cancelled' : undefined, is_error: undefined });
  }
  for (const c of state.calls.values())
    if (!list.some((i) => i.kind === 'tool_result' && i.id === c.id))
      list.push({ kind: 'tool_result', parent: c.parent, id: c.id, is_error: true, status: state.denied.has(c.id) ? 'rejected' : 'cancelled' });
  if (answer?.result?.stopReason === 'refusal') list.push({ kind: 'error', code: 'refused' });
  const crashed = !answer && records.some((r) => r.dir === 'exit');
  if (!answer && !crashed) return list; // it goes on
  if (crashed) list.push({ kind: 'error', code: 'harness_crashed' });
  if (answer?.error && !interrupted) list.push({ kind: 'error', code: CODES[/\b([45]\d\d)\b/.exec(answer.error.message)?.[1]] ?? 'internal_error' });
  // Tokens are told of the last model call only: a turn with several has none (docs/harnesses.md).
  const one = state.messageIds.size === 1 && state.calls.size === 0;
  const stop = answer?.result?.stopReason;
  list.push({ kind: 'done', stop_reason: interrupted ? 'interrupted' : answer?.error || crashed ? 'error' : STOPS[stop] ?? stop,
    usage: one && usage && !interrupted ? told({ input_tokens: usage.inputTokens, output_tokens: usage.outputTokens, total_tokens: usage.totalTokens,
      cache_read_tokens: usage.cachedReadTokens, cache_write_tokens: usage.cachedWriteTokens }) : undefined,
    cost: cost === undefined ? undefined : unknown ? null : cost - (lastCost(before) ?? 0) });
  return list.map(({ of, call, content, diffs, told, late, ...i }) => i);
}
