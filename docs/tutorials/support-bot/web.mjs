// SPDX-License-Identifier: MIT
// A chat for the visitors of a web site, on a karta server: a page, and the two calls behind it.
// node web.mjs, then http://localhost:5050. No dependencies; node 18 or later.
import { randomUUID } from 'node:crypto';
import http from 'node:http';

const KARTA = process.env.KARTA_URL ?? 'http://localhost:8000';
const PORT = Number(process.env.PORT ?? 5050);
const sessions = new Map(); // visitor -> id of the session: visitors do not know each other's

/** One call to karta; its answer, or an error with karta's own words. */
async function karta(path, body) {
  const answer = await fetch(KARTA + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

/** The message of a visitor goes to the session, and what comes of it to the browser, as it comes. */
async function chat(visitor, text, rs) {
  if (!sessions.has(visitor)) {
    const session = await karta('/v1/sessions', { metadata: { customer_id: visitor } });
    sessions.set(visitor, (await session.json()).id);
  }
  const events = await karta(`/v1/sessions/${sessions.get(visitor)}/messages`, { text, stream: true });
  rs.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  for await (const piece of events.body) rs.write(piece);
  rs.end();
}

/** The body as JSON, of our own page only: forms of other sites cannot send this type. */
async function body(rq) {
  if (rq.headers['content-type'] !== 'application/json') throw new Error('send application/json');
  let text = '';
  for await (const piece of rq) {
    text += piece;
    if (text.length > 65536) throw new Error('the message is too long');
  }
  return JSON.parse(text);
}

const server = http.createServer(async (rq, rs) => {
  const visitor = /visitor=([\w-]{36})/.exec(rq.headers.cookie)?.[1] ?? randomUUID();
  rs.setHeader('set-cookie', `visitor=${visitor}; HttpOnly; SameSite=Strict`);
  try {
    if (rq.method === 'POST' && rq.url === '/chat') {
      await chat(visitor, String((await body(rq)).text ?? ''), rs);
    } else if (rq.url === '/') {
      rs.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
    } else {
      rs.writeHead(404).end();
    }
  } catch (error) {
    if (!rs.headersSent) rs.writeHead(502, { 'content-type': 'text/plain; charset=utf-8' });
    rs.end(error.message);
  }
});
server.listen(PORT, '127.0.0.1', () => console.log(`http://localhost:${PORT}`));

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Northbound Coffee</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
  main p { white-space: pre-wrap; margin: .75rem 0 }
  .you { font-weight: 600 }
  .note { opacity: .7 }
  form { display: flex; gap: .5rem }
  input { flex: 1; font: inherit; padding: .5rem }
  button { font: inherit; padding: .5rem 1rem }
</style>
<h1>Northbound Coffee</h1>
<main aria-live="polite"></main>
<form><input name="text" aria-label="Message" placeholder="Where is my order NB-1042?" autocomplete="off" autofocus required><button>Send</button></form>
<script>
  const form = document.querySelector('form');
  const add = (kind, text) => {
    const p = Object.assign(document.createElement('p'), { className: kind, textContent: text });
    return document.querySelector('main').appendChild(p);
  };

  /* Frames of the event stream, each when it is whole. */
  async function* events(stream) {
    let rest = '';
    for (const reader = stream.pipeThrough(new TextDecoderStream()).getReader();;) {
      const { done, value } = await reader.read();
      if (done) return;
      const frames = (rest + value).split('\\n\\n');
      rest = frames.pop();
      for (const frame of frames) {
        const data = /^data: (.*)$/m.exec(frame);
        if (data) yield JSON.parse(data[1]);
      }
    }
  }

  form.onsubmit = async (e) => {
    e.preventDefault();
    const text = form.text.value;
    form.reset();
    add('you', text);
    const reply = add('bot', '');
    const answer = await fetch('/chat', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ text }) });
    if (!answer.ok) return void add('note', await answer.text());
    for await (const event of events(answer.body)) {
      if (event.type === 'text') reply.textContent += event.data.part.text;
      if (event.type === 'input_required') add('note', 'A colleague has to agree to this first.');
      if (event.type === 'error') add('note', event.data.message);
      if (event.type === 'done') reply.textContent = event.data.message.text; // whole, as it is kept
    }
  };
</script>
</html>
`;
