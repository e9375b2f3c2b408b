#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// A small MCP server on stdio for tests: `picture` gives words and an image, `form` asks the user by an
// elicitation and gives what came of it, `fail` fails, `many` gives blocks of every kind.
import { createInterface } from 'node:readline';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const image = { type: 'image', mimeType: 'image/png', data: PNG };
const text = (words) => ({ type: 'text', text: words });
const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const waiting = new Map();
let next = 1000;

const TOOLS = {
  picture: async () => ({ content: [text('Here it is.'), image] }),
  fail: async () => ({ content: [text('It did not work.')], isError: true }),
  many: async () => ({ content: [text('one'), image, text('two'), { type: 'resource', resource: { uri: 'test://x', mimeType: 'text/plain', text: 'three' } }] }),
  form: async () => {
    const id = next++;
    const answer = new Promise((resolve) => waiting.set(id, resolve));
    say({ id, method: 'elicitation/create', params: { message: 'Which colour?',
      requestedSchema: { type: 'object', properties: { colour: { type: 'string' } }, required: ['colour'] } } });
    return { content: [text(`The user answered ${JSON.stringify(await answer)}`)] };
  },
};

async function answer({ id, method, params }) {
  if (method === 'initialize')
    return say({ id, result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'toy', version: '1' } } });
  if (method === 'tools/list')
    return say({ id, result: { tools: Object.keys(TOOLS).map((name) => ({ name, description: name, inputSchema: { type: 'object', properties: {} },
      annotations: { readOnlyHint: true } })) } });
  if (method === 'tools/call') return say({ id, result: await TOOLS[params.name]() });
  return say({ id, error: { code: -32601, message: 'Method not found' } });
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.id !== undefined && message.method) answer(message);
  else if (waiting.has(message.id)) waiting.get(message.id)(message.result ?? message.error);
}
