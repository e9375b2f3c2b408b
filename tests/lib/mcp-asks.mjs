#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// An MCP server on stdio with one tool, "book": it asks the user a form (or, with mode "confirm", a plain
// yes) and answers with what it got, and with a picture.
import { createInterface } from 'node:readline';

const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const FORM = { type: 'object', required: ['name'], properties: {
  name: { type: 'string', title: 'Name' }, age: { type: 'integer' }, meal: { type: 'string', enum: ['fish', 'pasta'] } } };
const out = (m) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...m }) + '\n');
const waiting = new Map();
let next = 1;

const ask = (params) => new Promise((resolve) => {
  const id = `ask${next++}`;
  waiting.set(id, resolve);
  out({ id, method: 'elicitation/create', params });
});

createInterface({ input: process.stdin }).on('line', async (line) => {
  const m = JSON.parse(line);
  if (m.id !== undefined && !m.method) {
    waiting.get(m.id)?.(m.result ?? m.error);
  } else if (m.method === 'initialize') {
    out({ id: m.id, result: { protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'toy', version: '1' } } });
  } else if (m.method === 'tools/list') {
    out({ id: m.id, result: { tools: [{ name: 'book', description: 'books', inputSchema: { type: 'object', properties: { mode: { type: 'string' } } } }] } });
  } else if (m.method === 'tools/call') {
    const got = await ask(m.params.arguments?.mode === 'confirm' ? { message: 'Really?', requestedSchema: { type: 'object', properties: {} } }
      : { message: 'Who travels?', requestedSchema: FORM });
    out({ id: m.id, result: { content: [{ type: 'text', text: JSON.stringify(got) }, { type: 'image', data: PICTURE, mimeType: 'image/png' }] } });
  } else if (m.id !== undefined) {
    out({ id: m.id, result: {} });
  }
});
