// SPDX-License-Identifier: MIT
// What a client must see of a turn of Claude Code, told from its stream-json lines alone. Nothing here
// knows how karta reads them: the sources are the Messages API's streaming, the observed order of
// lines, and docs/events.md for what events are for.
//
// A turn is the lines from the message to its result. `before` are the lines of the same process
// until then: money and tokens are told as sums since the process began.

/* The provider's own tools run within the model call: their results are blocks of it. */
const CALLS = new Set(['tool_use', 'server_tool_use', 'mcp_tool_use']);
const BLOCKS = { text: 'text', thinking: 'reasoning' };

/** Errors by the word of the `assistant` line, by the status, by the result's kind (docs/errors.md). */
const WORDS = { authentication_failed: 'auth_failed', rate_limit: 'rate_limited', overloaded: 'overloaded',
  server_error: 'server_error', model_not_found: 'model_not_found', billing_error: 'budget_exceeded',
  invalid_request: 'invalid_request' };
const STATUSES = { 400: 'invalid_request', 401: 'auth_failed', 403: 'auth_failed', 404: 'model_not_found', 413: 'invalid_request',
  429: 'rate_limited', 500: 'server_error', 529: 'overloaded' };
const SUBTYPES = { error_max_turns: 'max_turns', error_max_budget_usd: 'budget_exceeded' };

const parse = (r) => {
  try { return JSON.parse(r.line); } catch { return null; }
};

/** Records of a tee as {dir, ...line}; what is no JSON object is nobody's message. */
export const messagesOf = (records) => records.map((r) => ({ at: r.at, dir: r.dir, json: r.json ?? parse(r) }))
  .filter((m) => m.json && typeof m.json === 'object');

const isEnd = (m) => m.dir === 'out' && m.json.type === 'result';

function sumUsage(messages) {
  const result = messages.findLast(isEnd)?.json;
  const sum = { input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0 };
  for (const u of Object.values(result?.modelUsage ?? {})) {
    sum.input_tokens += u.inputTokens ?? 0;
    sum.output_tokens += u.outputTokens ?? 0;
    sum.cache_read_tokens += u.cacheReadInputTokens ?? 0;
    sum.cache_write_tokens += u.cacheCreationInputTokens ?? 0;
  }
  return { sum, cost: result?.total_cost_usd ?? 0 };
}

/** The reason by which a hook refuses the message or stops the turn; null when it does neither. */
function refusalOf({ hook_event: event, stdout, stderr, exit_code: code }) {
  let answer = null;
  try { answer = JSON.parse(stdout); } catch { /* plain words */ }
  if (event === 'Stop') return null;
  if (answer?.continue === false) return answer.stopReason;
  if (event !== 'UserPromptSubmit') return null;
  return code === 2 ? stderr.trim() : answer?.decision === 'block' ? answer.reason : null;
}

/** Tokens of one model call, as far as its last event tells them. */
function stepOf(u) {
  const usage = { input_tokens: u.input_tokens, output_tokens: u.output_tokens, cache_read_tokens: u.cache_read_input_tokens,
    cache_write_tokens: u.cache_creation_input_tokens };
  const told = Object.entries(usage).filter(([, v]) => typeof v === 'number');
  const total = told.reduce((sum, [, v]) => sum + v, 0);
  return { ...Object.fromEntries(told), ...(told.length === 4 ? { total_tokens: total } : {}) };
}

function usageOf(messages, before) {
  // A process that ends in a turn tells nothing of it.
  if (!messages.some(isEnd)) return {};
  const now = sumUsage(messages);
  const then = sumUsage(before);
  const usage = Object.fromEntries(Object.entries(now.sum).map(([k, v]) => [k, v - then.sum[k]]));
  usage.total_tokens = Object.values(usage).reduce((a, b) => a + b, 0);
  return { usage, cost: now.cost - then.cost };
}

/** One conversation (the main agent, or one sub-agent): its model calls and their blocks. */
class Talk {
  constructor(parent, items) {
    Object.assign(this, { parent, items, call: null });
  }

  add(item) {
    this.items.push(item);
    return item;
  }

  /* A call that did not come to its end is made again, whole: nothing of it stays. */
  drop() {
    if (!this.call || this.call.stopped) return;
    for (const b of this.call.blocks) if (!b.tool) b.item.gone = true;
    this.call = null;
  }

  begin(id) {
    this.drop();
    this.call = { id, blocks: [], stopped: false };
  }

  start(index, block) {
    if (!this.call) return;
    const kind = BLOCKS[block.type];
    if (kind) {
      const item = this.add({ kind, parent: this.parent, text: block.text ?? block.thinking ?? '' });
      this.call.blocks.push({ index, kind, item });
    } else if (CALLS.has(block.type)) {
      const item = this.add({ kind: 'tool_use', parent: this.parent, id: block.id, name: block.name, input: block.input });
      this.call.blocks.push({ index, kind: 'tool_use', item, tool: true });
    }
  }

  delta(index, delta) {
    const words = delta.text ?? delta.thinking;
    const block = this.call?.blocks.findLast((b) => b.index === index && !b.tool);
    if (block && typeof words === 'string') block.item.text += words;
  }

  /** A finished block. It is the one that streamed, unless the call was made without streaming. */
  settle(id, block) {
    const kind = CALLS.has(block.type) ? 'tool_use' : BLOCKS[block.type] ?? block.type;
    if (this.call && this.call.id !== id) this.drop();
    const streamed = this.call?.id === id ? this.call.blocks.filter((b) => b.kind === kind && !b.settled) : [];
    if (kind === 'tool_use') {
      const item = this.items.find((i) => i.kind === 'tool_use' && i.id === block.id)
        ?? this.add({ kind: 'tool_use', parent: this.parent, id: block.id });
      return Object.assign(item, { name: block.name, input: block.input });
    }
    if (/_tool_result$/.test(kind))
      return this.add({ kind: 'tool_result', parent: this.parent, id: block.tool_use_id, output: block.content, is_error: block.is_error === true });
    if (kind !== 'text' && kind !== 'reasoning') return null;
    const text = block.text ?? block.thinking;
    const own = streamed.find((b) => b.item.text === text) ?? streamed.at(-1);
    if (!own) return this.add({ kind, parent: this.parent, text });
    own.settled = true;
    own.item.text = text;
    return own.item;
  }
}

/** The turns of a list of records: each goes to its result. */
export function splitClaude(records) {
  const turns = [[]];
  for (const r of records) {
    turns.at(-1).push(r);
    if (isEnd({ dir: r.dir, json: r.json ?? parse(r) ?? {} })) turns.push([]);
  }
  return turns;
}

/** The things a client must see: see visible.mjs. */
export function expectClaude(records, { before = [], thinking = false } = {}) {
  const all = messagesOf(records);
  const end = all.findIndex(isEnd);
  const messages = end < 0 ? all : all.slice(0, end + 1);
  const items = [];
  const talks = new Map();
  const denied = new Set();
  const asked = new Map();
  const synthetic = [];
  const steps = [];
  let interrupted = false;
  let refused = null;
  let result = null;

  const talk = (parent) => {
    if (!talks.has(parent)) talks.set(parent, new Talk(parent, items));
    return talks.get(parent);
  };

  for (const { dir, json } of messages) {
    const parent = json.parent_tool_use_id ?? null;
    if (dir === 'in') {
      const answer = json.response?.response;
      if (json.type === 'control_response' && answer?.behavior === 'deny' && asked.has(json.response.request_id))
        denied.add(asked.get(json.response.request_id));
      if (json.type === 'control_request' && json.request.subtype === 'interrupt') interrupted = true;
    } else if (json.type === 'stream_event') {
      const e = json.event;
      const t = talk(parent);
      if (e.type === 'message_start') t.begin(e.message.id);
      else if (e.type === 'content_block_start') t.start(e.index, e.content_block);
      else if (e.type === 'content_block_delta') t.delta(e.index, e.delta);
      else if (e.type === 'message_delta' && !parent && e.usage) steps.push(stepOf(e.usage));
      else if (e.type === 'message_stop' && t.call) t.call.stopped = true;
    } else if (json.type === 'assistant') {
      if (json.message.model === '<synthetic>') synthetic.push(json);
      else for (const block of json.message.content) talk(parent).settle(json.message.id, block);
    } else if (json.type === 'user') {
      for (const block of Array.isArray(json.message.content) ? json.message.content : []) {
        if (block.type !== 'tool_result') continue;
        if (items.some((i) => i.kind === 'tool_result' && i.id === block.tool_use_id)) continue;
        items.push({ kind: 'tool_result', parent, id: block.tool_use_id, output: block.content ?? null, is_error: block.is_error === true,
          at: interrupted });
      }
    } else if (json.type === 'control_request' && json.request.subtype === 'can_use_tool') {
      const r = json.request;
      asked.set(json.request_id, r.tool_use_id);
      items.push({ kind: 'ask', ask: { AskUserQuestion: 'question', ExitPlanMode: 'plan' }[r.tool_name] ?? 'tool_use', tool: r.tool_name,
        input: r.input, id: r.tool_use_id });
    } else if (json.type === 'control_request' && json.request.subtype === 'elicitation') {
      items.push({ kind: 'ask' });
    } else if (json.type === 'system' && json.subtype === 'hook_response') {
      refused ??= refusalOf(json);
    } else if (json.type === 'system' && json.subtype === 'permission_denied') {
      denied.add(json.tool_use_id);
    } else if (json.type === 'system' && json.subtype === 'api_retry') {
      talk(null).drop();
      items.push({ kind: 'retrying', attempt: json.attempt, status: json.error_status ?? null });
    } else if (json.type === 'result') {
      result = json;
    }
  }
  const crashed = !result && records.some((r) => r.dir === 'exit');
  return finish({ items, result, crashed, interrupted, denied, refused, steps, synthetic, thinking,
    ...usageOf(messages, messagesOf(before)) });
}

function finish({ items, result, crashed, interrupted, denied, refused, steps, synthetic, thinking, usage, cost }) {
  const list = items.filter((i) => !i.gone && (i.kind !== 'reasoning' || thinking));
  const unauthorized = list.some((i) => i.kind === 'retrying' && [401, 403].includes(i.status));
  const error = crashed ? 'harness_crashed' : errorOf(result, interrupted, synthetic, unauthorized);

  // An interrupted question is among the denials too.
  for (const d of interrupted ? [] : result?.permission_denials ?? []) denied.add(d.tool_use_id);
  for (const i of list) {
    if (i.kind !== 'tool_result') continue;
    // A call that failed before the harness heard of the interrupt may be told either way.
    const late = i.at ? 'cancelled' : interrupted ? undefined : 'failed';
    i.status = !i.is_error ? 'completed' : denied.has(i.id) ? 'rejected' : late;
    delete i.at;
  }
  for (const i of list.filter((t) => t.kind === 'tool_use' && !list.some((r) => r.kind === 'tool_result' && r.id === t.id)))
    list.push({ kind: 'tool_result', parent: i.parent, id: i.id, is_error: true, status: denied.has(i.id) ? 'rejected' : 'cancelled' });
  // Words that are nowhere else: a command's output, a hook's reason.
  const words = typeof result?.result === 'string' && !error && !refused ? result.result.trim() : '';
  const parts = list.filter((i) => i.kind === 'text' && !i.parent);
  if (words && !parts.some((p) => p.text.includes(words))) list.push({ kind: 'text', parent: null, text: words });
  if (!result && !crashed) return list; // it goes on
  if (refused) list.push({ kind: 'error', code: 'refused', says: refused });
  else if (error) list.push({ kind: 'error', code: error });
  list.push({ kind: 'done', stop_reason: stopOf(result, interrupted, refused, error), usage, cost, steps });
  return list;
}

function stopOf(result, interrupted, refused, error) {
  if (refused) return 'refused';
  if (error) return error === 'refused' ? 'refusal' : 'error';
  return interrupted ? 'interrupted' : result.stop_reason ?? 'end_turn';
}

function errorOf(result, interrupted, synthetic, unauthorized) {
  // A key that is refused stays so: the turn ends at the first refusal, and not after ten of them.
  if (unauthorized) return 'auth_failed';
  if (interrupted || !result?.is_error) return null;
  const word = synthetic.at(-1)?.error;
  if (/Connection closed|ECONN|Unable to connect/.test(result.result)) return 'connection_failed';
  return SUBTYPES[result.subtype] ?? (result.stop_reason === 'refusal' ? 'refused' : null) ?? STATUSES[result.api_error_status]
    ?? WORDS[word]
    ?? (/overloaded/i.test(result.result) ? 'overloaded' : 'server_error');
}
