// SPDX-License-Identifier: MIT
// The OpenAPI document as tests use it: its operations, its schemas with every object closed, and a client that
// holds every answer against it.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { PATIENCE_MS, ROOT, parseFrames } from './lib.mjs';

export const require = createRequire(path.join(ROOT, 'tests/package.json'));
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;
export const read = (name) => readFileSync(path.join(ROOT, name), 'utf8');
/** All C of a folder, however it is folded: one blank wherever there is any space, none inside of brackets. */
export const sources = (dir) => readdirSync(path.join(ROOT, dir), { recursive: true }).filter((f) => f.endsWith('.c')).map((f) => read(`${dir}/${f}`)).join('\n')
  .replace(/\s+/g, ' ').replace(/\( /g, '(');
export const doc = JSON.parse(read('lib/api/openapi.json'));
const METHODS = ['get', 'post', 'put', 'delete', 'patch'];
export const camel = (type) => type.split('_').map((w) => w[0].toUpperCase() + w.slice(1)).join('');

/** What needs no key and is there on a hosting server only. */
export const HOSTING_ONLY = new Set(['getHarnesses', 'beginDevice', 'pollDevice', 'receiveGithub', 'signIn']);

/** [{method, path, id}] of the document. */
export const documented = Object.entries(doc.paths).flatMap(([p, item]) => METHODS.filter((m) => item[m])
  .map((m) => ({ method: m.toUpperCase(), path: p, id: item[m].operationId, op: item[m] })));

export const resolve = (node) => (node?.$ref ? node.$ref.slice(2).split('/').reduce((at, k) => at[k], doc) : node);

/* The schemas with every object closed, so that a member nobody wrote down is a failure. */
function closed(node, inAllOf = false) {
  if (Array.isArray(node)) return node.map((x) => closed(x, inAllOf));
  if (node === null || typeof node !== 'object') return node;
  const out = {};
  for (const [k, v] of Object.entries(node)) {
    if (k === 'properties') out[k] = Object.fromEntries(Object.entries(v).map(([name, s]) => [name, closed(s)]));
    else if (k === 'examples' || k === 'example' || k === 'discriminator') continue;
    else out[k] = closed(v, k === 'allOf');
  }
  if ((out.properties || out.allOf) && !inAllOf) out.unevaluatedProperties = false;
  return out;
}

const OPEN = { EventBase: true, LogEventBase: true }; // are extended by every event
export const schemas = Object.fromEntries(Object.entries(doc.components.schemas).map(([name, s]) => [name, closed(s, OPEN[name])]));
// What a harness says of itself is its own affair.
delete schemas.EventSystem.allOf[1].properties.data.unevaluatedProperties;
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema({ $id: 'karta:doc', components: { schemas } });
const validators = new Map();

export function fits(name, value, what) {
  if (!validators.has(name)) validators.set(name, ajv.compile({ $ref: `karta:doc#/components/schemas/${name}` }));
  const v = validators.get(name);
  if (v(value)) return;
  if (name === 'Event' && schemas[`Event${camel(value.type ?? 'none')}`]) fits(`Event${camel(value.type)}`, value, what);
  assert.fail(`${what}: does not fit ${name}: ${ajv.errorsText(v.errors)}\n${JSON.stringify(value).slice(0, 2000)}`);
}

export const fitsRef = (schema, value, what) => {
  if (schema.$ref) fits(schema.$ref.split('/').pop(), value, what);
  else assert.equal(typeof value, schema.type, what);
};

/* One call to a server, checked against the document. */
export class Client {
  constructor(karta, key) { this.karta = karta; this.key = key; this.seen = new Set(); this.statuses = new Set(); }

  /** route: a template of the document; values fill its {parameters} in order. */
  async call(method, route, values = [], { body, headers = {}, query = '', raw, as } = {}) {
    const rest = [...values];
    const url = this.karta.url + (as ?? route).replace(/\{\w+\}/g, () => encodeURIComponent(rest.shift())) + query;
    const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const rs = await new Promise((done, fail) => {
      const rq = http.request(url, { method, headers: { ...(this.key ? { authorization: `Bearer ${this.key}` } : {}), ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }), ...headers } }, (r) => {
        const pieces = [];
        r.on('data', (d) => pieces.push(d));
        r.on('error', fail);
        r.on('end', () => done({ status: r.statusCode, headers: r.headers, bytes: Buffer.concat(pieces), text: Buffer.concat(pieces).toString() }));
      });
      rq.on('error', fail);
      // Silence is a failure that names its request.
      rq.setTimeout(PATIENCE_MS, () => rq.destroy(new Error(`no answer: ${method} ${url} ${String(text ?? '').slice(0, 200)}`)));
      rq.end(text);
    });
    return this.check(method, route, rs, body);
  }

  check(method, route, rs, body) {
    const what = `${method} ${route} ${rs.status}`;
    const op = doc.paths[route]?.[method.toLowerCase()];
    const type = (rs.headers['content-type'] ?? '').split(';')[0];
    assert.ok(rs.headers['request-id'], `${what}: no Request-Id`);
    rs.body = /[/+]json$/.test(type) ? JSON.parse(rs.text) : null;
    if (!op) {
      fits('Problem', rs.body, what);
      return rs;
    }
    const answer = resolve(op.responses[rs.status]);
    assert.ok(answer, `${what}: this status is not in the document: ${rs.text.slice(0, 300)}`);
    this.seen.add(op.operationId);
    this.statuses.add(`${op.operationId.replace('Project', '')} ${rs.status}`);
    if (!answer.content) {
      assert.equal(rs.text, '', what);
      return rs;
    }
    assert.ok(answer.content[type], `${what}: ${type} is not in the document`);
    if (type === 'text/event-stream') {
      assert.match(rs.text, /^retry: 1000\n\n/);
      rs.events = parseFrames(rs.text);
      for (const { id, event, ...e } of rs.events) {
        assert.deepEqual([id, event], [String(e.seq), e.type], what);
        fits(e.session_id ? 'Event' : 'LogEvent', e, what);
      }
    } else if (type === 'application/x-ndjson') {
      rs.lines = rs.text.split('\n').filter(Boolean).map((l) => JSON.parse(l));
      for (const l of rs.lines) fits('LogEvent', l, what);
    } else if (rs.body === null) {
      assert.equal(answer.content[type].schema.type, 'string', what);
    } else {
      fitsRef(answer.content[type].schema, rs.body, what);
    }
    if (type === 'application/problem+json') assert.deepEqual([rs.body.status, rs.body.request_id], [rs.status, rs.headers['request-id']], what);
    else if (body !== undefined && op.requestBody) fitsRef(op.requestBody.content['application/json'].schema, body, `${what}: request`);
    const known = Object.keys(answer.headers ?? {}).map((h) => h.toLowerCase());
    for (const h of ['retry-after', 'karta-session-id', 'karta-turn-id', 'karta-release', 'preference-applied', 'etag', 'location', 'www-authenticate'])
      if (rs.headers[h]) assert.ok(known.includes(h), `${what}: header ${h} is not in the document`);
    return rs;
  }
}
