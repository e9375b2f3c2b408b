// SPDX-License-Identifier: MIT
// Runs scripted behaviours of the model behind a real harness and compares what the harness said on its
// stdio (tee.mjs) with what clients of karta got: as a stream, read back, and as one answer.
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ROOT, call, newSession, openStream, tempDir } from '../api/lib.mjs';
import { unnoticed } from './mutate.mjs';
import { compare, fold, replyOf } from './visible.mjs';

/** The directive of tests/standin for a list of blocks, or an object that has one. */
export const blocks = (...list) => `[[blocks:${JSON.stringify(list.length === 1 && list[0].blocks ? list[0] : list)}]]`;

/** The behaviours to play: all, or those whose name matches KARTA_TEST_ONLY. */
export const chosen = (behaviours) => behaviours.filter((b) => new RegExp(process.env.KARTA_TEST_ONLY ?? '').test(b.name));

/** A picture of one pixel. */
export const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** A program that is `program` with a tee around it; gives {program, dir}. */
export function teeOf(t, program) {
  const dir = tempDir(t, 'tee');
  const file = path.join(tempDir(t, 'bin'), path.basename(program));
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${ROOT}/tests/lib/tee.mjs' '${dir}' '${program}' "$@"\n`);
  chmodSync(file, 0o755);
  return { program: file, dir };
}

/** Records of the processes of one session, oldest process first. */
export function recordsOf(dir, session) {
  // What is behind the last line's end is still being written.
  return readdirSync(dir).map((name) => readFileSync(path.join(dir, name), 'utf8').split('\n').slice(0, -1).map((l) => JSON.parse(l)))
    .filter((records) => records[0]?.session === session)
    .sort((a, b) => a[0].at - b[0].at);
}

/** What came since a mark in the newest process of a session, and what this process said before. */
export function since(processes, mark) {
  const records = processes.at(-1) ?? [];
  const from = processes.length === mark.processes ? mark.records : 0;
  return { records: records.slice(from), before: records.slice(0, from) };
}

/* The requests of agents to the model (titles have no tools); one with the same key is one once more. */
const callsOf = (requests) => requests.filter((r) => r.tools?.length).map((r) => ({ at: r.t, key: `${r.step} ${r.last}` }));

export class Differential {
  constructor(karta, model, dir) {
    Object.assign(this, { karta, model, dir, sessions: new Map(), turns: 0 });
  }

  /** The session of a name; a behaviour without one gets a session of its own. */
  async session(name, body) {
    if (name && this.sessions.has(name)) return this.sessions.get(name);
    const id = await newSession(this.karta, body);
    if (name) this.sessions.set(name, id);
    return id;
  }

  mark(id) {
    const processes = recordsOf(this.dir, id);
    return { processes: processes.length, records: processes.at(-1)?.length ?? 0 };
  }

  /**
   * Plays one behaviour: {text, session, thinking, agent, inputs, interrupt, turns, via}. `inputs` are the
   * decisions about what is asked, in turn; `interrupt(event)` says when to interrupt, `kill(event)` when to kill the harness; `turns` is how many
   * turns come of it (background work begins one by itself), `between(dir)` what is done before the second. Gives what each side said.
   */
  async play(b) {
    const id = await this.session(b.session, b.create);
    const route = `/v1/sessions/${id}`;
    const after = (await call(this.karta, 'GET', route)).body.last_seq;
    const mark = this.mark(id);
    const requests = this.model.requests().length;
    const watch = openStream(this.karta, `${route}/events?after=${after}`);
    const body = { text: b.text, ...(b.thinking === undefined ? {} : { thinking: b.thinking }), ...(b.agent ? { agent: b.agent } : {}) };
    const via = b.via ?? (b.inputs || b.interrupt || b.kill || this.turns++ % 2 ? 'stream' : 'unary');
    let post = null;
    let unary = null;
    if (via === 'stream') post = openStream(this.karta, `${route}/messages`, { method: 'POST', body: { ...body, stream: true } });
    else unary = call(this.karta, 'POST', `${route}/messages`, body);
    await this.attend(b, id, watch);
    await post?.done;
    const answer = await unary;
    watch.close();
    const seen = watch.events;
    const back = await this.readBack(route, after);
    const calls = callsOf(this.model.requests().slice(requests));
    const played = { id, seen, post: post?.events, answer, back, calls, ...since(recordsOf(this.dir, id), mark) };
    this.keep(b, played);
    return played;
  }

  /** For a look at it: with KARTA_TEST_KEEP a file for each behaviour, with what was said and what was seen. */
  keep(b, { records, seen, answer }) {
    const dir = process.env.KARTA_TEST_KEEP;
    if (!dir) return;
    mkdirSync(dir, { recursive: true });
    writeFileSync(path.join(dir, `${b.name.replace(/\W+/g, '-')}.jsonl`), [...records, ...seen.map((event) => ({ dir: 'seen', event })),
      ...(answer ? [{ dir: 'answer', ...answer }] : [])].map((r) => `${JSON.stringify(r)}\n`).join(''));
  }

  async readBack(route, after) {
    const all = [];
    for (let page; !page || page.has_more;) {
      page = (await call(this.karta, 'GET', `${route}/events?after=${all.at(-1)?.seq ?? after}&limit=1000`, undefined,
        { accept: 'application/json' })).body;
      all.push(...page.data);
    }
    return all;
  }

  /** Answer, interrupt and wait for the ends of the turns. */
  async attend(b, id, watch) {
    const route = `/v1/sessions/${id}`;
    const inputs = [...(b.inputs ?? [])];
    const handled = new Set();
    let interrupted = false;
    let killed = false;
    for (let ends = 0; ends < (b.turns ?? 1);) {
      const e = await watch.until((x) => !handled.has(x.seq)
        && (x.type === 'done' || x.type === 'input_required' || (b.interrupt && !interrupted && b.interrupt(x)) || (!killed && b.kill?.(x))));
      handled.add(e.seq);
      if (!killed && b.kill?.(e)) {
        killed = true;
        process.kill(recordsOf(this.dir, id).at(-1).find((r) => r.pid).pid, 'SIGKILL');
        continue;
      }
      if (e.type === 'done') {
        if (++ends < (b.turns ?? 1)) b.between?.(this.karta.dir);
      } else if (b.interrupt && !interrupted && b.interrupt(e)) {
        interrupted = true;
        await call(this.karta, 'POST', `${route}/interrupt`);
      } else {
        const next = inputs.shift() ?? 'deny';
        const decision = typeof next === 'function' ? next(e.data) : next;
        await call(this.karta, 'PUT', `${route}/inputs/${e.data.request_id}`,
          typeof decision === 'string' ? { decision } : decision, { prefer: 'respond-async' });
      }
    }
  }
}

/** Turns of a list of events, in their order. */
export function turnsOf(events) {
  const turns = new Map();
  for (const e of events) {
    if (!e.turn_id) continue;
    if (!turns.has(e.turn_id)) turns.set(e.turn_id, []);
    turns.get(e.turn_id).push(e);
  }
  return [...turns.values()];
}

/**
 * Differences of one played behaviour; expect(records, options) gives what must be seen of a turn, split(records) the
 * turns of what was recorded.
 */
export function differences(b, played, expect, split = (records) => [records]) {
  const turns = turnsOf(played.seen);
  const recorded = split(played.records);
  const out = [];
  let before = played.before;

  if (turns.length !== (b.turns ?? 1)) out.push(`there are ${turns.length} turns`);
  turns.forEach((turn, n) => {
    const records = recorded[n] ?? [];
    const items = fold(turn, out);
    const options = { before, thinking: b.thinking === true, calls: played.calls };
    const must = ['first', 'last'].map((keep) => expect(records, { ...options, keep }));
    const [best] = must.map((list) => ({ list, found: compare(list, items) })).sort((x, y) => x.found.length - y.found.length);
    out.push(...best.found);
    // Were one of these events missing, doubled or elsewhere, it would have been noticed.
    if (!out.length) out.push(...unnoticed(best.list, turn, 20).missed.map((what) => `nobody would notice: ${what}`));
    before = [...before, ...records];
    if (n > 0) return;
    // What the script says in the end, whatever happened on the way.
    const said = items.filter((i) => i.kind === 'text' && !i.parent && i.text.trim()).map((i) => i.text);
    if (b.reply && !same(said, b.reply)) out.push(`the script says ${JSON.stringify(b.reply)}, seen is ${JSON.stringify(said)}`);
    if (played.answer) out.push(...unaryDifferences(played.answer, items));
  });
  out.push(...readerDifferences(played));
  return out;
}

const same = (a, b) => isDeepStrictEqual(a, b);
const plain = ({ id, event, ...e }) => e;

/** Every reader is told the same: the stream of the session, the stream of the answer, and the list. */
function readerDifferences({ seen, post, back }) {
  const out = [];
  const bySeq = new Map(back.map((e) => [e.seq, e]));
  for (const e of seen) {
    if (e.id !== String(e.seq) || e.event !== e.type) out.push(`frame ${e.id} ${e.event} holds event ${e.seq} ${e.type}`);
    if (!same(bySeq.get(e.seq), plain(e))) out.push(`event ${e.seq} was read back otherwise: ${JSON.stringify(bySeq.get(e.seq))?.slice(0, 300)}`);
  }
  if (!post) return out;
  // The stream of the answer begins somewhere at the message and ends with its own turn.
  const own = seen.filter((e) => e.seq >= post[0].seq && e.seq <= post.at(-1).seq);
  if (!same(own.map(plain), post.map(plain))) out.push(`the answer's stream has ${post.length} events, the session's ${own.length}, or others`);
  if (post.at(-1).type !== 'done' || !post.some((e) => e.type === 'status' && e.data.state === 'turn_started'))
    out.push('the answer\'s stream is not the whole turn');
  return out;
}

function unaryDifferences({ status, body }, items) {
  const done = items.at(-1);
  const error = items.find((i) => i.kind === 'error');
  const out = [];
  const equal = (name, must, is) => {
    if (!same(must, is)) out.push(`the answer's ${name} must be ${JSON.stringify(must)?.slice(0, 300)}, is ${JSON.stringify(is)?.slice(0, 300)}`);
  };
  if (error) {
    equal('code', error.code, body.code);
    if (status < 400) out.push(`the answer of a failed turn has status ${status}`);
    return out;
  }
  equal('status', 200, status);
  equal('text', replyOf(items), body.text);
  equal('stop_reason', done.stop_reason, body.stop_reason);
  equal('usage', { ...done.usage, ...(done.cost === null ? {} : { cost_usd: done.cost }) }, body.usage);
  equal('messages', ['user', 'assistant'], body.messages?.map((m) => m.role));
  equal('message', replyOf(items), body.messages?.at(-1)?.text);
  return out;
}
