// SPDX-License-Identifier: MIT
// A package registry over the .tgz files of a folder, as much as `npm install` asks of one. Prints its address.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const dir = process.argv[2];
const packages = new Map();
let origin;
for (const file of readdirSync(dir).filter((f) => f.endsWith('.tgz'))) {
  const bytes = readFileSync(path.join(dir, file));
  const manifest = JSON.parse(execFileSync('tar', ['-xzOf', path.join(dir, file), 'package/package.json']));
  packages.set(manifest.name, { manifest, file, integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}` });
}

const server = http.createServer((req, res) => {
  const asked = decodeURIComponent(req.url.slice(1));
  if (asked.endsWith('.tgz')) return res.end(readFileSync(path.join(dir, path.basename(asked))));
  const found = packages.get(asked);
  if (found === undefined) return res.writeHead(404).end('{}');
  const { manifest, file, integrity } = found;
  const version = { ...manifest, dist: { tarball: `${origin}/${file}`, integrity } };
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify({ name: manifest.name, 'dist-tags': { latest: manifest.version }, versions: { [manifest.version]: version } }));
});
server.listen(0, '127.0.0.1', () => {
  origin = `http://127.0.0.1:${server.address().port}`;
  console.log(origin);
});
