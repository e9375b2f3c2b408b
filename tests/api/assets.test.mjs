// SPDX-License-Identifier: MIT
// What the program carries comes whole, packed or not, as the client can take it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import zlib from 'node:zlib';
import { ROOT, fakeApp, startKarta, tempDir } from './lib.mjs';

const WEB = path.join(ROOT, 'lib/api/web');
const rows = readFileSync(path.join(WEB, 'manifest.txt'), 'utf8').split('\n')
  .map((l) => /^(\/(?:assets\/\S+|favicon\.ico)?) (\S+) (.+)$/.exec(l)?.slice(1)).filter(Boolean);

/** {status, headers, body} as they came: node's fetch would unpack. */
async function get(karta, route, headers = {}, method = 'GET') {
  const rq = http.request(karta.url + route, { method, headers });
  rq.end();
  const [rs] = await once(rq, 'response');
  const body = Buffer.concat(await rs.toArray());
  return { status: rs.statusCode, headers: rs.headers, body };
}

test('pages come as gzip to who takes it, and plain to who does not', async (t) => {
  const dir = tempDir(t, 'assets');
  fakeApp(dir);
  const karta = await startKarta(t, dir);
  assert.ok(rows.length > 25 && rows.some(([route]) => route === '/'), `${rows.length} pages`);
  let packed = 0;
  for (const [route, file, type] of rows) {
    const want = readFileSync(path.join(WEB, file));
    // The first time, when it is unpacked, and again.
    for (const headers of [{}, { 'accept-encoding': 'gzip;q=0, br' }]) {
      const plain = await get(karta, route, headers);
      assert.deepEqual([plain.status, plain.headers['content-type'], plain.headers['content-encoding']], [200, type, undefined], route);
      assert.ok(plain.body.equals(want), `${route}: ${plain.body.length} bytes`);
      assert.equal(plain.headers.vary, 'Accept-Encoding', route);
    }
    const gz = await get(karta, route, { 'accept-encoding': 'br, gzip;q=0.8' });
    assert.deepEqual([gz.status, gz.headers['content-type'], gz.headers['content-encoding'], gz.headers.vary],
      [200, type, 'gzip', 'Accept-Encoding'], route);
    assert.ok(gz.body.length < want.length && zlib.gunzipSync(gz.body).equals(want), route);
    packed += gz.body.length;
    // HEAD says the length of what GET would give.
    for (const [encoding, length] of [['gzip', gz.body.length], ['identity', want.length]]) {
      const head = await get(karta, route, { 'accept-encoding': encoding }, 'HEAD');
      assert.deepEqual([head.status, head.body.length, head.headers['content-length'], head.headers['content-encoding']],
        [200, 0, String(length), encoding === 'gzip' ? 'gzip' : undefined], route);
    }
    // A part is not promised: it comes whole, with all that says so.
    const part = await get(karta, route, { range: 'bytes=0-9' });
    assert.deepEqual([part.status, part.headers['content-range'], part.body.length], [200, undefined, want.length], route);
  }
  assert.ok(packed < 150000, `${packed} bytes`);
  // The document has this server's address in it, so it is never packed.
  const doc = await get(karta, '/openapi.json', { 'accept-encoding': 'gzip' });
  assert.equal(doc.headers['content-encoding'], undefined);
  const spec = JSON.parse(readFileSync(path.join(ROOT, 'lib/api/openapi.json'), 'utf8'));
  spec.servers[0].url = karta.url;
  assert.deepEqual(JSON.parse(doc.body), spec);
});
