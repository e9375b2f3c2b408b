// SPDX-License-Identifier: MIT
// Runs scripted behaviours of the model behind a real harness and compares what the harness said on its
// stdio (tee.mjs) with what clients of karta got: as a stream, read back, and as one answer.
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, call, newSession, openStream, tempDir } from '../api/lib.mjs';
import { compare, fold } from './visible.mjs';

/** The directive of tests/standin for a list of blocks, or an object that has one. */
export const blocks = (...list) => `[[blocks:${JSON.stringify(list.length === 1 && list[0].blocks ? list[0] : list)}]]`;

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
  return readdirSync(dir).map((name) => readFileSync(path.join(dir, name), 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l)))
    .filter((records) => records[0].session === session)
    .sort((a, b) => a[0].started - b[0].started);
}

/** What came since a mark in the newest process of a session, and what this process said before. */
export function since(processes, mark) {
  const records = processes.at(-1) ?? [];
  const from = processes.length === mark.processes ? mark.records : 0;
  return { records: records.slice(from), before: records.slice(0, from) };
}

export class Differential {
  constructor(karta, dir) {
    Object.assign(this, { karta, dir, sessions: new Map(), turns: 0 });
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
   * decisions about what is asked, in turn; `interrupt(event)` says when to interrupt; `turns` is how many
   * turns come of it (background work begins one by itself). Gives what each side said.
   */
  async play(b) {
    const id = await this.session(b.session, b.create);
    const route = `/v1/sessions/${id}`;
    const after = (await call(this.karta, 'GET', route)).body.last_seq;
    const mark = this.mark(id);
    const watch = openStream(this.karta, `${route}/events?after=${after}`);
    const body = { text: b.text, ...(b.thinking === undefined ? {} : { thinking: b.thinking }), ...(b.agent ? { agent: b.agent } : {}) };
    const via = b.via ?? (b.inputs || b.interrupt || this.turns++ % 2 ? 'stream' : 'unary');
    let post = null;
    let unary = null;
    if (via === 'stream') post = openStream(this.karta, `${route}/messages`, { method: 'POST', body: { ...body, stream: true } });
    else unary = call(this.karta, 'POST', `${route}/messages`, body);
    await this.attend(b, route, watch);
    await post?.done;
    const answer = await unary;
    watch.close();
    const seen = watch.events;
    const back = (await call(this.karta, 'GET', `${route}/events?after=${after}&limit=10000`, undefined, { accept: 'application/json' })).body;
    return { id, seen, post: post?.events, answer, back: back.data, ...since(recordsOf(this.dir, id), mark) };
  }

  /** Answer, interrupt and wait for the ends of the turns. */
  async attend(b, route, watch) {
    const inputs = [...(b.inputs ?? [])];
    const handled = new Set();
    let interrupted = false;
    for (let ends = 0; ends < (b.turns ?? 1);) {
      const e = await watch.until((x) => !handled.has(x.seq)
        && (x.type === 'done' || x.type === 'input_required' || (b.interrupt && !interrupted && b.interrupt(x))), 120000);
      handled.add(e.seq);
      if (e.type === 'done') {
        ends++;
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

const plain = (e) => ({ ...e, id: undefined, event: undefined });

/** Differences of one played behaviour; expect(records, options) gives what must be seen. */
export function differences(b, played, expect) {
  const out = [];
  const turn = turnsOf(played.seen)[0] ?? [];
  const items = fold(turn, out);
  const turnId = turn[0]?.turn_id;
  const must = (b.again ? ['first', 'last'] : [false]).map((again) => expect(played.records,
    { before: played.before, thinking: b.thinking === true, again }));

  out.push(...must.map((list) => compare(list, items)).sort((x, y) => x.length - y.length)[0]);
  const readBack = played.back.filter((e) => e.turn_id === turnId);
  const streams = { 'read back': readBack, ...(played.post ? { 'answer as stream': played.post.filter((e) => e.turn_id === turnId) } : {}) };
  for (const [name, events] of Object.entries(streams)) {
    try {
      assert.deepEqual(events.map(plain).filter((e) => turn.some((x) => x.seq === e.seq)), turn.map(plain));
    } catch (e) {
      out.push(`${name} differs from what was streamed: ${e.message.slice(0, 500)}`);
    }
  }
  if (played.answer) out.push(...unaryDifferences(played.answer, items));
  return out;
}

function unaryDifferences({ status, body }, items) {
  const done = items.at(-1);
  const error = items.find((i) => i.kind === 'error');
  const out = [];
  const same = (name, must, is) => {
    try { assert.deepEqual(is, must); } catch { out.push(`the answer's ${name} must be ${JSON.stringify(must)}, is ${JSON.stringify(is)}`); }
  };
  if (error) {
    same('code', error.code, body.code);
    if (status < 400) out.push(`the answer of a failed turn has status ${status}`);
    return out;
  }
  same('status', 200, status);
  same('text', done.text, body.text);
  same('stop_reason', done.stop_reason, body.stop_reason);
  same('usage', { ...done.usage, ...(done.cost === null ? {} : { cost_usd: done.cost }) }, body.usage);
  same('messages', ['user', 'assistant'], body.messages?.map((m) => m.role));
  same('message', done.text, body.messages?.at(-1)?.text);
  return out;
}
