// SPDX-License-Identifier: MIT
// A project's log, whole and once: `karta logs --tail` over cut connections, restarts, crashes and releases; filters,
// pipes, secrets, what is kept and for how long.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from './document.mjs';
import { ROOT, chance, eventually, openStream, seconds, sleep, slowed } from './lib.mjs';
import { archive, publish, startServe } from './serve.mjs';
import { clean, user, wire } from './user.mjs';

const P = '/agent_projects/{project_ref}';
const V = '/v1/projects/{project_ref}';
const random = chance('logs');

async function ok(status, c, ...args) {
  const r = await c.call(...args);
  assert.equal(r.status, status, `${args[0]} ${args[1]}: ${r.text.slice(0, 800)}`);
  return r;
}
const linesOf = async (c, query = '') => (await ok(200, c, 'GET', `${P}/logs`, ['bot'], { query })).lines;
const session = async (c) => (await ok(201, c, 'POST', `${V}/sessions`, ['bot'], { body: {} })).body;
const say = async (c, id, text) => (await ok(200, c, 'POST', `${V}/sessions/{session_id}/messages`, ['bot', id], { body: { text } })).body.text;
/** A refused request: one line of the log, quickly. */
const line = (c, n) => c.call('GET', `${V}/sessions/{session_id}`, ['bot', `sess_${n}`]).catch(() => null);

/** `karta logs --tail --json` that notes what it prints. */
function follow(u, ...args) {
  const child = u.spawn('karta', ['logs', 'bot', '--tail', '--json', ...args]);
  const f = { child, out: '', err: '' };
  child.stdout.on('data', (d) => { f.out += d; });
  child.stderr.on('data', (d) => { f.err += d; });
  f.events = () => f.out.split('\n').slice(0, -1).map((l) => JSON.parse(l));
  f.seqs = () => f.events().map((e) => e.seq);
  f.until = (seq) => eventually(() => (f.seqs().at(-1) ?? 0) >= seq, () => `line ${seq}; saw up to ${f.seqs().at(-1)}; ${f.err}`);
  f.stop = async (signal = 'SIGINT') => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, 'close');
    }
    return child.exitCode ?? child.signalCode;
  };
  return f;
}

test('history, then what comes, over cut wires, restarts, crashes and releases', seconds(90), async (t) => {
  let karta = await startServe(t);
  let c = new Client(karta, karta.key);
  const w = await wire(t, () => karta.port);
  const u = user(t, { url: w.url, key: karta.key });
  for (const n of ['1', '2']) await publish(c, 'bot', archive(t, { n }));
  const history = (await linesOf(c)).length;
  const all = follow(u, '--since', '1h');
  const late = follow(u, '--lines', '0');
  const some = follow(u, '--source', 'api', '--lines', '3');
  const builds = follow(u, '--source', 'build', '--since', '1h');
  const plain = u.spawn('karta', ['logs', 'bot', '-f', '--since', '1h']);
  let text = '';
  plain.stdout.on('data', (d) => { text += d; });
  await all.until(history);
  await eventually(() => w.open() >= 5, 'five followers');
  // Who has no history is there when it sees what comes.
  await eventually(async () => { await line(c, 'probe'); return late.seqs().length > 0; }, 'a follower without history');
  const before = (await linesOf(c)).length;

  // Lines come all the time; the wire breaks at any byte, twenty times.
  let writing = true;
  let n = 0;
  const restart = async (signal) => {
    await karta.stop(signal);
    karta = await startServe(t, { data: karta.home });
    c = new Client(karta, karta.key);
  };
  const writers = Array.from({ length: 3 }, async () => {
    while (writing) {
      await line(c, `x${n++}`);
      await sleep(random(6));
    }
  });
  for (let cut = 0; cut < 20; cut++) {
    const at = w.bytes + random(2000);
    await eventually(() => w.bytes >= at, 'bytes on the wire');
    w.cut();
    await eventually(() => w.open() >= 5, 'five followers again');
    if (cut % 7 === 3) await publish(c, 'bot', archive(t, { n: `cut-${cut}` }));
  }
  const cuts = w.connections;
  // The server goes away, politely and not, and comes back; releases go on.
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGKILL', 'SIGTERM']) {
    const was = w.connections;
    await restart(signal);
    await publish(c, 'bot', archive(t, { n: `after-${signal}` }));
    const s = await session(c);
    assert.equal(await say(c, s.id, '[[stderr:a line of the harness]][[text:yes]]'), 'yes');
    await eventually(() => w.connections >= was + 5 && w.open() >= 5, 'the followers are back');
  }
  await eventually(async () => (await linesOf(c)).length > 300, 'enough lines');
  writing = false;
  await Promise.all(writers);
  for (let i = 0; i < 5; i++) await line(c, `end${i}`);
  const log = await linesOf(c);
  const want = log.map((e) => e.seq);
  assert.deepEqual(want, want.map((_, i) => i + 1), 'the log has gaps');
  const last = want.at(-1);
  await all.until(last);
  await late.until(last);
  await some.until(last);
  await builds.until(log.findLast((e) => e.data.source === 'build').seq);
  t.diagnostic(`${last} lines, ${n} written, ${cuts} connections until the first restart, ${w.connections} in all`);
  assert.ok(last > 300 && w.connections > 100, `${last} ${w.connections}`);
  // Each line once, in order, and as the server has it.
  assert.deepEqual(all.seqs(), want);
  assert.deepEqual(all.events().map((e) => e.data), log.map((e) => e.data));
  assert.deepEqual(late.seqs(), want.slice(want.indexOf(late.seqs()[0])));
  assert.ok(late.seqs()[0] > history && late.seqs()[0] <= before, `--lines 0 began at ${late.seqs()[0]} of ${history} to ${before}`);
  const api = log.filter((e) => e.data.source === 'api').map((e) => e.seq);
  assert.deepEqual(some.seqs(), api.slice(api.indexOf(some.seqs()[0])));
  assert.deepEqual(builds.seqs(), log.filter((e) => e.data.source === 'build').map((e) => e.seq));
  await eventually(() => text.split('\n').length - 1 === log.length, 'the plain lines');
  plain.kill('SIGINT');
  assert.deepEqual(text.trim().split('\n').map((l) => l.replace(/^\S+ [a-z]+(\[.*?\])?: /, '')), log.map((e) => e.data.text));
  for (const f of [all, late, some, builds]) {
    assert.equal(await f.stop(), 'SIGINT');
    assert.doesNotMatch(f.err, /Sanitizer|runtime error/);
  }
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});

test('nothing is lost before the first line came, nor across a crash that followed it', seconds(60), async (t) => {
  let karta = await startServe(t);
  let c = new Client(karta, karta.key);
  const w = await wire(t, () => karta.port);
  const u = user(t, { url: w.url, key: karta.key });
  await publish(c, 'bot', archive(t));
  const before = (await linesOf(c)).length;
  const none = follow(u, '--lines', '0');
  const two = follow(u, '--lines', '2', '--source', 'api');
  await eventually(() => w.heard() === 2, 'two followers');
  // The wire breaks before a line came; what is written meanwhile comes after it.
  karta.child.kill('SIGSTOP');
  w.cut();
  karta.child.kill('SIGCONT');
  for (let i = 0; i < 6; i++) await line(c, `m${i}`);
  await none.until(before + 6);
  await two.until(before + 6);
  assert.deepEqual(none.seqs(), [1, 2, 3, 4, 5, 6].map((i) => before + i));
  assert.deepEqual(two.seqs(), [1, 2, 3, 4, 5, 6].map((i) => before + i));
  // A line that a follower has seen is there after a crash, under the same number.
  for (let round = 0; round < 3; round++) {
    const stream = openStream(karta, '/agent_projects/bot/logs?lines=0', { headers: { authorization: `Bearer ${karta.key}` } });
    let on = true;
    const busy = Array.from({ length: 4 }, async (_, k) => { for (let i = 0; on; i++) await line(c, `r${round}k${k}i${i}`); });
    await stream.until((e) => e.seq > before + 40 + 30 * round);
    await karta.stop('SIGKILL');
    on = false;
    await Promise.all(busy);
    await stream.done;
    karta = await startServe(t, { data: karta.home });
    c = new Client(karta, karta.key);
    const log = new Map((await linesOf(c)).map((e) => [e.seq, e.data.text]));
    for (const e of stream.events) assert.equal(log.get(e.seq), e.data.text, `line ${e.seq} was told and is not there`);
  }
  for (const f of [none, two]) await f.stop();
  assert.equal(await karta.stop(), 0);
});

test('filters, times, pipes', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const u = user(t, karta);
  await publish(c, 'bot', archive(t, { n: '1' }));
  await sleep(30);
  await publish(c, 'bot', archive(t, { n: '2' }));
  await publish(c, 'bot', archive(t, { 'karta.toml': 'name = 5\n[harness]\ntype = "acp"\ncommand = ["/bin/cat"]\n' }));
  const a = await session(c);
  const b = await session(c);
  for (const s of [a, b]) await say(c, s.id, `[[stderr:harness of ${s.id}]][[text:x]]`);
  await c.call('POST', `${V}/sessions/{session_id}/messages`, ['bot', b.id], { body: { text: '[[error:as told]]' } });
  await line(c, 'none');
  await eventually(async () => (await linesOf(c)).filter((l) => l.data.source === 'harness').length >= 2, 'stderr of the harness');
  const all = await linesOf(c);
  const sources = new Set(all.map((l) => l.data.source));
  for (const s of ['build', 'release', 'session', 'turn', 'harness', 'api']) assert.ok(sources.has(s), `no line of ${s}`);
  const logs = async (...args) => (await u.ok(u.karta('logs', 'bot', '--json', ...args))).stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l));
  const level = { debug: 0, info: 1, warn: 2, error: 3 };
  const mid = all[Math.floor(all.length / 2)].timestamp;
  const iso = (ms) => new Date(ms).toISOString();
  for (const [args, fits] of [
    [['--lines', '1000'], () => true],
    ...Object.keys(level).map((l) => [['--level', l, '--lines', '1000'], (e) => level[e.data.level] >= level[l]]),
    ...[...sources].map((s) => [['--source', s, '--lines', '1000'], (e) => e.data.source === s]),
    [['--session', a.id, '--lines', '1000'], (e) => e.data.session_id === a.id],
    [['--session', b.id, '--source', 'turn', '--lines', '1000'], (e) => e.data.session_id === b.id && e.data.source === 'turn'],
    [['--release', 'v2', '--lines', '1000'], (e) => e.data.release === 'v2'],
    [['--release', '3', '--level', 'error', '--since', '1h'], (e) => e.data.release === 'v3' && e.data.level === 'error'],
    [['--since', iso(mid)], (e) => e.timestamp >= mid], [['--until', iso(mid), '--lines', '1000'], (e) => e.timestamp <= mid],
    [['--since', iso(mid), '--until', iso(mid)], (e) => e.timestamp === mid], [['--since', '1h', '--lines', '4'], (e, i) => i >= all.length - 4],
    [['--since', iso(Date.now() + 60000)], () => false], [['--lines', '0'], () => false], [['--lines', '3'], (e, i) => i >= all.length - 3],
  ]) {
    const got = await logs(...args);
    const want = all.filter(fits);
    assert.deepEqual(got.map((e) => e.seq), want.map((e) => e.seq), args.join(' '));
    if (args[0] !== '--since' && args[1] !== '0' && args[1] !== 'debug') assert.ok(want.length > 0, args.join(' '));
  }
  for (const bad of [['--level', 'loud'], ['--source', 'sky'], ['--since', 'yesterday'], ['--lines', '-1'], ['--until', '']])
    assert.equal((await u.karta('logs', 'bot', ...bad)).status, 2, bad.join(' '));
  assert.equal((await u.karta('logs', 'nothing')).status, 5);
  // One event a line of NDJSON, by the API and the command alike.
  assert.deepEqual((await logs('--lines', '1000')).map(({ schema_version: _, ...e }) => e), all);
  const raw = await ok(200, c, 'GET', `${P}/logs`, ['bot']);
  assert.match(raw.headers['content-type'], /^application\/x-ndjson/);
  assert.ok(raw.text.endsWith('}\n'));

  // Into a pipe each line goes at once; a reader that leaves is no error and leaves no word.
  const piped = u.spawn('sh', ['-c', 'karta logs bot --tail --lines 1 | { read -r a; echo "1 $a"; read -r b; echo "2 $b"; }; echo "end $?"']);
  let out = '';
  let err = '';
  piped.stdout.on('data', (d) => { out += d; });
  piped.stderr.on('data', (d) => { err += d; });
  await eventually(() => /^1 /m.test(out), 'a first line');
  await line(c, 'piped');
  await eventually(() => /^2 .*sess_piped/m.test(out), 'a second line');
  await line(c, 'more');
  await line(c, 'more');
  await eventually(() => /^end 0/m.test(out), 'the end of the pipe');
  await eventually(() => piped.exitCode === 0, 'the end of the shell');
  assert.equal(err, '');
  const head = await u.run('bash', ['-c', 'karta logs bot --tail --since 1h | head -1; echo "${PIPESTATUS[@]}"']);
  assert.equal(head.stderr, '');
  assert.equal(head.stdout.trim().split('\n').length, 2, head.stdout);
  // A time that comes ends it.
  const soon = await u.ok(u.karta('logs', 'bot', '--tail', '--lines', '1', '--until', iso(Date.now() + 1200)));
  assert.equal(soon.stdout.trim().split('\n').length, 1);
  assert.equal(await karta.stop(), 0);
});

test('secrets never reach the disk', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const pem = ['-----BEGIN PRIVATE' + ' KEY-----', 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQDVc1pWmVuKL8kz', '-----END PRIVATE' + ' KEY-----'].join('\n');
  const secrets = { CONFIGURED: 'correct-horse-battery-staple', CERT: pem, OLD: 'the-older-value-of-it' };
  await publish(c, 'bot', archive(t, { n: '1' }));
  await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: secrets } });
  await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: { OLD: 'the-newer-value-of-it' } } });
  await eventually(async () => (await ok(200, c, 'GET', `${P}/releases/{version}`, ['bot', 'current'])).body.version === 'v3', 'v3');
  const anthropic = `sk-ant-api03-${'A1b2C3d4'.repeat(10)}-xyzxyzAA`;
  const forbidden = [karta.key, secrets.CONFIGURED, 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'the-older-value-of-it', 'the-newer-value-of-it', anthropic];
  const s = await session(c);
  for (const f of [...forbidden, `Authorization: Bearer ${karta.key}`, `x=${secrets.CONFIGURED}${secrets.CONFIGURED}y`,
    // At the place where a long line is cut.
    `${'z'.repeat(8192 - 20)}${anthropic}`, `${'z'.repeat(8192 - 10)}${secrets.CONFIGURED}`])
    await say(c, s.id, `[[stderr:noise before ${f} noise after]][[text:.]]`);
  await c.call('GET', `${V}/sessions/{session_id}`, ['bot', anthropic]);
  await c.call('GET', `${V}/sessions/{session_id}`, ['bot', secrets.CONFIGURED]);
  await publish(c, 'bot', archive(t, { n: '4' }), `?message=${anthropic}`);
  await eventually(async () => (await linesOf(c)).filter((l) => /noise before/.test(l.data.text)).length >= forbidden.length, 'the harness lines');
  const lines = await linesOf(c);
  assert.ok(lines.some((l) => /noise before .*\*\*\*.* noise after/.test(l.data.text)), 'nothing was masked');
  const dir = path.join(karta.data, 'logs');
  const look = () => {
    for (const f of readdirSync(dir)) {
      const bytes = readFileSync(path.join(dir, f), 'latin1');
      assert.match(bytes, /noise before/);
      for (const secret of forbidden) assert.ok(!bytes.includes(secret), `${secret} is in ${f}`);
      assert.ok(!bytes.includes(anthropic.slice(0, 30)), `a part of ${anthropic} is in ${f}`);
      assert.ok(!bytes.includes(secrets.CONFIGURED.slice(0, 20)), 'a part of a value is on disk');
    }
  };
  look();
  for (const secret of forbidden) assert.ok(!karta.err.includes(secret), `${secret} is in the server's own log`);
  // After a restart nothing is asked of the configuration before the first line is written.
  await karta.stop('SIGKILL');
  const next = await startServe(t, { data: karta.home });
  await new Client(next, karta.key).call('GET', `${V}/sessions/{session_id}`, ['bot', secrets.CONFIGURED]);
  await new Client(next, karta.key).call('GET', `${V}/sessions/{session_id}`, ['bot', 'the-older-value-of-it']);
  assert.equal(await next.stop(), 0);
  look();
  await clean(next.data);
});

test('secrets are taken out of what was not cut or changed yet', seconds(60), async (t) => {
  const karta = await startServe(t);
  const c = new Client(karta, karta.key);
  const S = 'correct-horse-battery-staple';
  const values = { S, LONG: Array.from({ length: 300 }, (_, i) => `w${i}longvalue`).join(''), TAB: 'user\tpassword-behind-a-tab',
    BOTH: `Bearer ${'abcdefgh'.repeat(4)}; session=THE-PART-BEHIND-A-KEY` };
  // At every place where a line was ever cut, and at the end of what is read of one.
  const at = [190, 390, 990, 1990, 2030, 8180, 65500, 65525].map((n) => n - 10);
  const script = `for n in ${at.join(' ')}; do printf "set%0\${n}d%s end\\n" 0 "$S"; done\n`
    + 'for v in "$LONG" "$TAB" "$BOTH"; do echo "set$v end"; done\nprintf "%0150000d%s" 0 "$S"; echo "$LONG"; echo over\nprintf "%0190d%s\\n" 0 "$S"; [ -e x ]\n';
  await publish(c, 'bot', archive(t, { 'setup.sh': script, 'karta.toml':
    `name = "fake"\n[environment]\nsetup = "setup.sh"\n[harness]\ntype = "acp"\ncommand = ["${process.execPath}", "${ROOT}/tests/lib/fake-agent.mjs"]\n` }));
  await ok(200, c, 'PATCH', `${P}/config`, ['bot'], { body: { set: values } });
  await eventually(async () => (await ok(200, c, 'GET', `${P}/releases/{version}`, ['bot', 'current'])).body.version === 'v2', 'v2');
  const s = await session(c);
  const failed = await c.call('POST', `${V}/sessions/{session_id}/messages`, ['bot', s.id], { body: { text: '.' } });
  assert.equal(failed.body.code, 'setup_failed', failed.text);
  writeFileSync(path.join(karta.data, 'sessions', s.id, 'workspace', 'x'), '');
  for (const n of at) await say(c, s.id, `[[stderr:say${'0'.repeat(n)}${S} end]][[text:.]]`);
  for (const v of [values.LONG, values.TAB, values.BOTH]) await say(c, s.id, `[[stderr:say${v} end]][[text:.]]`);
  await say(c, s.id, `[[stderr:${'0'.repeat(150000)}${S}${values.LONG}]][[stderr:over]][[text:.]]`);
  await c.call('GET', `${V}/sessions/{session_id}`, ['bot', `sess_${'0'.repeat(980)}${S}`]);
  const whole = (word) => async () => (await linesOf(c)).filter((l) => l.data.text.includes(word)).length;
  await eventually(async () => await whole('over')() >= 3, 'the last lines');
  const texts = (await linesOf(c)).map((l) => l.data.text);
  // Twice by the script, which ran again; those that are longer than what is kept of a line lose their end.
  assert.equal(texts.filter((x) => /^setup: set0+\*\*\* end$/.test(x)).length, 2 * at.filter((n) => n < 8180).length);
  assert.equal(texts.filter((x) => /^setup: set\*\*\* end$/.test(x)).length, 2 * 3);
  assert.equal(texts.filter((x) => /^say0+\*\*\* end$/.test(x)).length, at.filter((n) => n < 8180).length);
  assert.equal(texts.filter((x) => /^say\*\*\* end$/.test(x)).length, 3);
  assert.ok(texts.includes('setup: a line of over 64 KiB, which is left out (fixed)'));
  const written = texts.join('\n') + karta.err;
  for (const part of ['correct-h', '-staple', 'longvalue', 'password-', 'BEHIND-A-KEY']) assert.ok(!written.includes(part), part);
  // Output is cut to be told with a failure: the log has it whole, and does not repeat the pieces.
  assert.ok(texts.includes('setup: failed'));
  for (let again = 0; again < 2; again++) {
    const r = await c.call('POST', `${V}/sessions/{session_id}/messages`, ['bot', s.id],
      { body: { text: `[[stderr:refused: ${values.TAB} of ${S}.]][[stderr:${'0'.repeat(990)}${S}]][[crash]]` }, headers: { 'idempotency-key': 'crash' } });
    assert.equal(r.body.code, 'harness_crashed', r.text);
    assert.match(r.body.detail, /refused: \*\*\* of \*\*\*\.\n0{900}/);
    assert.doesNotMatch(failed.text + r.text, /correct-h|-staple/);
  }
  for (const l of await linesOf(c)) assert.ok(!l.data.text.includes('correct-h'), l.data.text.slice(0, 300));
  const ends = (await linesOf(c)).map((l) => l.data.text).filter((x) => / ended: (harness_crashed|setup_failed)/.test(x));
  assert.match(ends.join('\n'), /^turn_\w+ ended: setup_failed: .* failed with status 1 \(\d+ ms\)\nturn_\w+ ended: harness_crashed: [^:]* \(\d+ ms\)$/);
  assert.equal(await karta.stop(), 0);
});

test('what is kept: by size, by age; what is gone is told', seconds(60), async (t) => {
  const limits = { KARTA_MAX_LOG_BYTES: '65536', KARTA_LOG_RETENTION: '1h' };
  let karta = await startServe(t, { env: { ...limits, KARTA_PREVIEW_LIFE: '2s' } });
  let c = new Client(karta, karta.key);
  await publish(c, 'bot', archive(t));
  const u = user(t, karta);
  const file = () => path.join(karta.data, 'logs', readdirSync(path.join(karta.data, 'logs')).find((f) => f.endsWith('.log')));
  const watcher = openStream(karta, '/agent_projects/bot/logs', { headers: { authorization: `Bearer ${karta.key}` } });
  for (let i = 0; i < 900; i += 30) await Promise.all(Array.from({ length: 30 }, (_, k) => line(c, `${i + k}-${'p'.repeat(150)}`)));
  await eventually(() => statSync(file()).size <= 65536 * 1.25, 'a smaller log');
  const kept = await linesOf(c);
  const logs = kept.filter((e) => e.type === 'log');
  assert.ok(logs.length > 50, String(logs.length));
  assert.deepEqual(logs.map((e) => e.seq), logs.map((_, i) => logs[0].seq + i));
  const end = logs.at(-1).seq;
  assert.ok(logs[0].seq > 100 && end > 900);
  // One who was there all the time has all of it; one who comes now is told what is gone, once.
  await watcher.until((e) => e.seq === end);
  watcher.close();
  assert.deepEqual(watcher.events.map((e) => e.seq), Array.from({ length: end }, (_, i) => i + 1));
  for (const query of ['?after=5', '?after=5&level=info', '']) {
    const r = await ok(200, c, 'GET', `${P}/logs`, ['bot'], { query: `${query}${query ? '&' : '?'}follow=0`, headers: { accept: 'text/event-stream' } });
    const gaps = r.events.filter((e) => e.type === 'gap');
    if (query) {
      assert.equal(gaps.length, 1, query);
      assert.deepEqual([gaps[0].data.first, gaps[0].data.last], [6, r.events.find((e) => e.type === 'log').seq - 1], query);
    }
    assert.deepEqual(r.events.filter((e) => e.type === 'log').map((e) => e.seq), logs.map((e) => e.seq).filter((n) => n >= r.events.find((e) => e.type === 'log').seq));
  }
  // (The server tells a client that goes on; the command says so on stderr.)
  const cmd = await u.ok(u.karta('logs', 'bot', '--since', '1h'));
  assert.equal(cmd.stdout.trim().split('\n').length, logs.length);
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);

  // By age: numbers go on where they were.
  karta = await startServe(t, { data: karta.home, env: { ...limits, KARTA_LOG_RETENTION: `${slowed(3)}s` } });
  c = new Client(karta, karta.key);
  await eventually(async () => (await linesOf(c)).every((e) => e.type === 'gap'), 'old lines go');
  await line(c, 'fresh');
  const fresh = await linesOf(c);
  const only = fresh.filter((e) => e.type === 'log');
  assert.deepEqual([only.length, only[0].seq, /sess_fresh/.test(only[0].data.text)], [1, end + 1, true]);
  assert.equal(await karta.stop(), 0);
  await clean(karta.data);
});
