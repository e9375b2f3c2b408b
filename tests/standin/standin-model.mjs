#!/usr/bin/env node
// SPDX-License-Identifier: MIT
//
// A scripted stand-in for a model provider: it answers the Anthropic Messages API and the OpenAI
// Chat Completions API on the loopback address, so that real agent harnesses can be driven without
// a network or a key. It keeps no conversation: what to answer is written as directives in the
// last user message of each request. README.md beside this file lists the directives.
//
//   standin-model.mjs [--port 0] [--unix FILE] [--log FILE] [--ready-file FILE] [--key KEY]
//                     [--max-seconds 600]
//
// Prints "READY port=N" when it listens. Ends on SIGTERM, SIGINT, or after --max-seconds.

import fs from "node:fs";
import http from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";

const MAX_BODY = 64 * 1024 * 1024;
const MAX_DELTAS = 100000;
const DEFAULT_PIECES = 200;
const BREAKING = "Some words come first and then it breaks.";

const NAMES = "text|think\\+tool|think|say\\+tool|tools|tool|error|drop0|drop|errstream|hang" +
	"|maxtokens|refusal|empty|recall|blocks";
const COUNTED = new Set(["error", "drop", "drop0", "errstream"]);
const DIRECTIVE = new RegExp(`\\[\\[(${NAMES})(?=[:*\\]])`, "g");

/* ---- What the conversation says ------------------------------------------------------------- */

// textBlocks returns the texts a user wrote in one message: system reminders and the notes a
// harness leaves about an interruption are not the user's.
function textBlocks(content) {
	const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content ?? [];
	return blocks
		.filter((b) => b.type === "text" && typeof b.text === "string")
		.map((b) => b.text.replace(/<system-reminder>[\s\S]*?<\/system-reminder>/g, "").trim())
		.filter((t) => t !== "" && !t.startsWith("[Request interrupted by user"));
}

// toolResult returns the text of the last tool result in a message, null when it has none.
function toolResult(message) {
	if (message.role === "tool")
		return textOf(message.content);
	if (!Array.isArray(message.content))
		return null;
	const results = message.content.filter((b) => b.type === "tool_result");
	return results.length ? textOf(results[results.length - 1].content) : null;
}

function textOf(content) {
	if (typeof content === "string")
		return content;
	return (content ?? []).map((b) => b.text ?? "").join("");
}

// readConversation finds the text that rules this request: the last text block of the last user
// message that has one. Harnesses join the messages of failed turns with the next one, as blocks
// of one message: only the last block is what the user says now.
function readConversation(messages) {
	const users = [];
	let step = 0;
	let result = null;

	for (const message of messages ?? []) {
		if (message.role === "assistant")
			step++;
		result = toolResult(message) ?? result;
		if (message.role !== "user")
			continue;
		const texts = textBlocks(message.content);
		if (texts.length) {
			users.push(...texts);
			step = 0;
			result = null;
		}
	}
	return { users, last: users[users.length - 1] ?? "", step, result };
}

/* ---- Directives ----------------------------------------------------------------------------- */

// parseTool reads "Name {json}"; the arguments may be left out. Throws on bad JSON.
function parseTool(text) {
	const m = /^\s*(\S+)\s*([\s\S]*)$/.exec(text);
	if (!m)
		throw new Error("no tool name");
	return { name: m[1], input: m[2].trim() ? JSON.parse(m[2]) : {} };
}

// parseScript reads the argument of [[blocks:...]]: a list of entries, or an object with the list in
// "blocks" and what else the provider would tell. Every kind of entry is in README.md.
function parseScript(json) {
	const script = Array.isArray(json) ? { blocks: json } : json;

	return { ...script, blocks: script.blocks.map(scriptBlock) };
}

// filled is the input of a call; "fill" names a member that is repeated "repeat" times.
function filled({ input = {}, fill, repeat = 1 }) {
	return fill ? { ...input, [fill]: input[fill].repeat(repeat) } : input;
}

function scriptBlock(entry) {
	const words = entry.text ?? entry.thinking;
	const pieces = Array.isArray(words) ? words : null;

	if (entry.tool !== undefined)
		return { type: "tool", name: entry.tool, pieces: entry.pieces, id: entry.id ?? null,
			input: filled(entry) };
	if (words !== undefined)
		return { type: entry.text === undefined ? "thinking" : "text", index: entry.index,
			text: (pieces ? pieces.join("") : words).repeat(entry.repeat ?? 1),
			pieces: pieces ? Array(entry.repeat ?? 1).fill(pieces).flat() : null,
			citations: entry.citations, n: entry.n, open: entry.open };
	for (const kind of ["raw", "chunk", "sleep", "fault", "start"])
		if (entry[kind] !== undefined)
			return { ...entry, type: kind };
	throw new Error(`no such block: ${JSON.stringify(entry)}`);
}

function parseArgument(name, text) {
	const bar = text.indexOf("|");

	if (name.includes("+") && bar < 0)
		throw new Error("no | between the words and the tool");
	switch (name) {
	case "tool":
		return { tools: [parseTool(text)] };
	case "tools":
		return { tools: text.split(";;").map(parseTool) };
	case "say+tool":
		return { text: text.slice(0, bar), tools: [parseTool(text.slice(bar + 1))] };
	case "think+tool":
		return { think: text.slice(0, bar), tools: [parseTool(text.slice(bar + 1))] };
	case "error":
		return { status: Number(text) };
	case "blocks":
		return { script: parseScript(JSON.parse(text)) };
	case "think":
		return { think: text || "Let me think about this.", text: "I thought about it." };
	default:
		return { text };
	}
}

// parseDirectives returns the steps written in a text. The argument of a directive ends at the
// first "]]" that makes it complete: "]]" inside the JSON of a tool call is not an end.
function parseDirectives(text) {
	const steps = [];
	let m;

	DIRECTIVE.lastIndex = 0;
	while ((m = DIRECTIVE.exec(text)) !== null) {
		const start = DIRECTIVE.lastIndex;
		let end = text.indexOf("]]", start);
		let step = null;
		let fault = "no closing ]]";
		for (; end >= 0 && !step; end = text.indexOf("]]", end + 1)) {
			let inner = text.slice(start, end);
			const times = COUNTED.has(m[1]) ? /\*(\d+)$/.exec(inner) : null;
			if (times)
				inner = inner.slice(0, times.index);
			try {
				step = { kind: m[1], ...parseArgument(m[1], inner.replace(/^:/, "")) };
				step.times = times ? Number(times[1]) : 0;
				DIRECTIVE.lastIndex = end + 2;
			} catch (e) {
				fault = e.message;
			}
		}
		steps.push(step ?? { kind: "text", text: `Bad directive ${m[0]}: ${fault}` });
	}
	return steps;
}

function parseOptions(text) {
	const options = { delay: 0, first: 0, n: 0 };

	for (const m of text.matchAll(/\{\{(delay|first|n)=(\d+)\}\}/g))
		options[m[1]] = Number(m[2]);
	options.n = Math.min(options.n, MAX_DELTAS);
	return options;
}

// How often a directive with "*N" has failed already, by message text and place.
const failures = new Map();

// spend drops the counted failures that have happened as often as they should.
function spend(steps, last) {
	const left = [];
	let spent = null;

	steps.forEach((step, i) => {
		const count = failures.get(`${i} ${last}`) ?? 0;
		if (step.times && count >= step.times)
			spent = step;
		else
			left.push({ ...step, key: `${i} ${last}` });
	});
	return { left, spent };
}

// choose decides what to answer: a step with the options that go with it.
function choose(talk, hasTools) {
	const options = parseOptions(talk.last);
	const marks = /\bN=(\d+)/.exec(talk.last);
	const all = parseDirectives(talk.last);
	const { left, spent } = spend(all, talk.last);
	const done = talk.result === null ? "All steps are done."
		: `All steps are done. The last tool said: ${talk.result.slice(0, 200)}`;

	if (!hasTools)
		return { kind: "text", text: "Title", options: { delay: 0, first: 0, n: 0 } };
	if (talk.step < left.length)
		return { ...left[talk.step], options, index: talk.step };
	if (spent)
		return { kind: "text", options,
			text: `Recovered after ${spent.times} failures of kind ${spent.kind}.` };
	if (all.length || talk.step > 0)
		return { kind: "text", text: done, options };
	if (marks) {
		options.n = Math.min(Number(marks[1]), MAX_DELTAS);
		options.delay = Number(/\bGAP=(\d+)/.exec(talk.last)?.[1] ?? 0);
		options.first = Number(/\bWAIT=(\d+)/.exec(talk.last)?.[1] ?? 0);
		return { kind: "marks", options };
	}
	return { kind: "text", options,
		text: `You said: ${talk.last} (message ${talk.users.length})` };
}

// planScript fills a reply from [[blocks:...]]. A fault with "times" breaks that many streams.
function planScript(reply, step, talk) {
	const { blocks, stop, stop_sequence, usage } = step.script;

	for (const [i, b] of blocks.entries()) {
		const key = `fault ${step.index} ${i} ${talk.last}`;
		if (b.type === "fault" && b.times) {
			const count = failures.get(key) ?? 0;
			if (count >= b.times)
				continue;
			failures.set(key, count + 1);
		}
		if (b.type === "tool")
			reply.stop = "tool_use";
		reply.blocks.push(b.type === "tool" && !b.id
			? { ...b, id: `toolu_${randomBytes(8).toString("hex")}` } : b);
	}
	Object.assign(reply, { stop: stop ?? reply.stop, stop_sequence, usage });
}

// plan turns a step into what a provider would send: blocks, the reason for stopping, and what
// breaks (fault) after the first blocks.
function plan(step, talk) {
	const reply = { blocks: [], stop: "end_turn", fault: null, options: step.options };
	const say = (text) => reply.blocks.push({ type: "text", text });

	switch (step.kind) {
	case "drop":
	case "errstream":
		say(BREAKING);
		reply.fault = step.kind;
		break;
	case "hang":
		say("Some");
		reply.fault = "hang";
		break;
	case "maxtokens":
		say(step.text || "This reply is cut at the limit");
		reply.stop = "max_tokens";
		break;
	case "refusal":
		say(step.text || "I will not do that.");
		reply.stop = "refusal";
		break;
	case "empty":
		break;
	case "recall":
		say("Earlier messages: " + (talk.users.slice(0, -1).join(" | ") || "none"));
		break;
	case "marks":
		reply.blocks.push({ type: "text", marks: true, text: "" });
		break;
	case "blocks":
		planScript(reply, step, talk);
		break;
	default:
		if (step.think)
			reply.blocks.push({ type: "thinking", text: step.think });
		if (step.text || !step.tools)
			say(step.text || "Hello from the stand-in model.");
	}
	for (const tool of step.tools ?? []) {
		const id = `toolu_${randomBytes(8).toString("hex")}`;
		reply.blocks.push({ type: "tool", id, name: tool.name, input: tool.input });
		reply.stop = "tool_use";
	}
	return reply;
}

/* ---- Cutting a reply into deltas ------------------------------------------------------------ */

function nowMark() {
	const ms = performance.timeOrigin + performance.now();
	return ` @@${BigInt(Math.round(ms * 1000)) * 1000n}@@`;
}

// cut splits a text: by words, or into n pieces; words are repeated when it is too short for n.
function cut(text, n) {
	let pieces = text.match(/\s*\S+\s*/g) ?? [text];

	if (n > 0 && text.length < n)
		return Array.from({ length: n }, (_, i) => pieces[i % pieces.length].trim() + " ");
	if (n === 0 && pieces.length <= DEFAULT_PIECES)
		return pieces;
	const count = n || DEFAULT_PIECES;
	const points = Array.from(text);
	pieces = [];
	for (let i = 0; i < count; i++) {
		const from = Math.floor(i * points.length / count);
		const to = Math.floor((i + 1) * points.length / count);
		if (to > from)
			pieces.push(points.slice(from, to).join(""));
	}
	return pieces;
}

// deltas yields the pieces of one block. The marks of a benchmark are yielded as undefined: they
// are made when they are sent.
function* deltas(block, options) {
	if (block.type === "start")
		return;
	if (block.marks) {
		for (let i = 0; i < options.n; i++)
			yield undefined;
		return;
	}
	if (Array.isArray(block.pieces)) {
		yield* block.pieces;
		return;
	}
	if (block.type === "tool") {
		const json = JSON.stringify(block.input);
		const size = block.pieces ? Math.ceil(json.length / block.pieces)
			: Math.max(20, Math.ceil(json.length / DEFAULT_PIECES));
		for (let i = 0; i < json.length; i += size)
			yield json.slice(i, i + size);
		return;
	}
	yield* cut(block.text, block.n ?? options.n);
}

function wholeText(block, options) {
	return block.marks ? Array.from({ length: options.n }, nowMark).join("") : block.text;
}

function countTokens(reply) {
	const size = reply.blocks.reduce((sum, b) =>
		sum + (b.marks ? 8 * reply.options.n : JSON.stringify(b.input ?? b.text ?? "").length), 0);
	return Math.ceil(size / 4) + 1;
}

/* ---- The two wire formats ------------------------------------------------------------------- */

const anthropic = {
	error(status, message) {
		const types = { 400: "invalid_request_error", 401: "authentication_error",
			403: "permission_error", 404: "not_found_error", 413: "request_too_large",
			429: "rate_limit_error", 529: "overloaded_error" };
		return { type: "error", error: { type: types[status] ?? "api_error", message } };
	},

	usage(call, output) {
		return { input_tokens: call.tokens, cache_creation_input_tokens: 50,
			cache_read_input_tokens: 100, output_tokens: output, service_tier: "standard" };
	},

	message(call, content, stop, output, more = {}) {
		return { id: `msg_${call.id}`, type: "message", role: "assistant", model: call.model,
			content, stop_reason: stop, stop_sequence: more.stop_sequence ?? null,
			usage: { ...this.usage(call, output), ...more.usage } };
	},

	whole(call, reply) {
		const content = reply.blocks.filter((b) => this.isContent(b)).map((b) => {
			if (b.type === "start")
				return b.start;
			if (b.type === "tool")
				return { type: "tool_use", id: b.id, name: b.name, input: b.input };
			if (b.type === "thinking")
				return { type: "thinking", thinking: b.text, signature: "c3RhbmRpbg==" };
			return { type: "text", text: wholeText(b, reply.options) };
		});
		return this.message(call, content, reply.stop, countTokens(reply),
			{ usage: reply.usage?.end, stop_sequence: reply.stop_sequence });
	},

	isContent(b) {
		return !["raw", "chunk", "sleep", "fault"].includes(b.type);
	},

	// between does what stands between two blocks of a script; "end" or a fault ends the answer.
	async between(b, event) {
		if (b.type === "fault")
			return this.broken(event, b);
		if (b.type === "raw")
			await event(b.raw);
		if (b.type === "sleep")
			await sleep(b.sleep);
		return null;
	},

	async stream(call, reply, send, pace) {
		const event = (data) => send(`event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`);
		let next = 0;

		await event({ type: "message_start",
			message: this.message(call, [], null, 1, { usage: reply.usage?.start }) });
		await event({ type: "ping" });
		for (const b of reply.blocks) {
			if (!this.isContent(b)) {
				const end = await this.between(b, event);
				if (end)
					return end;
				continue;
			}
			const index = b.index ?? next++;
			await event({ type: "content_block_start", index, content_block: this.start(b) });
			for (const piece of deltas(b, reply.options)) {
				await pace();
				await event({ type: "content_block_delta", index,
					delta: this.delta(b, piece) });
				if (call.breaks())
					return this.broken(event, reply);
			}
			for (const delta of this.after(b))
				await event({ type: "content_block_delta", index, delta });
			if (reply.fault)
				return this.broken(event, reply);
			if (!b.open)
				await event({ type: "content_block_stop", index });
		}
		await event({ type: "message_delta",
			delta: { stop_reason: reply.stop, stop_sequence: reply.stop_sequence ?? null },
			usage: { ...this.usage(call, countTokens(reply)), ...reply.usage?.end } });
		await event({ type: "message_stop" });
		return "end";
	},

	// after lists the deltas of a block that are none of its words.
	after(b) {
		if (b.type === "thinking")
			return [{ type: "signature_delta", signature: "c3RhbmRpbg==" }];
		return b.type === "start" ? b.deltas ?? []
			: (b.citations ?? []).map((citation) => ({ type: "citations_delta", citation }));
	},

	start(b) {
		if (b.type === "start")
			return b.start;
		if (b.type === "tool")
			return { type: "tool_use", id: b.id, name: b.name, input: {} };
		return b.type === "thinking" ? { type: "thinking", thinking: "", signature: "" }
			: { type: "text", text: "" };
	},

	delta(b, piece) {
		if (b.type === "tool")
			return { type: "input_json_delta", partial_json: piece };
		return b.type === "thinking" ? { type: "thinking_delta", thinking: piece }
			: { type: "text_delta", text: piece ?? nowMark() };
	},

	async broken(event, reply) {
		if (reply.fault !== "errstream")
			return reply.fault;
		await event({ type: "error",
			error: { type: "overloaded_error", message: "Overloaded" } });
		return "end";
	},
};

const STOPS = { end_turn: "stop", tool_use: "tool_calls", max_tokens: "length",
	refusal: "content_filter" };

const openai = {
	error(status, message) {
		return { error: { message, type: status >= 500 ? "server_error" : "invalid_request_error",
			param: null, code: status === 401 ? "invalid_api_key" : null } };
	},

	usage(call, output) {
		return { prompt_tokens: call.tokens, completion_tokens: output,
			total_tokens: call.tokens + output, prompt_tokens_details: { cached_tokens: 100 } };
	},

	frame(call, object, choices) {
		return { id: `chatcmpl-${call.id}`, object, created: Math.floor(Date.now() / 1000),
			model: call.model, choices };
	},

	whole(call, reply) {
		const of = (type) => reply.blocks.filter((b) => b.type === type);
		const texts = of("text").map((b) => wholeText(b, reply.options));
		const message = { role: "assistant", content: texts.length ? texts.join("") : null };
		const thoughts = of("thinking").map((b) => b.text).join("");
		const tools = of("tool").map((b) => ({ id: b.id, type: "function",
			function: { name: b.name, arguments: JSON.stringify(b.input) } }));

		if (thoughts)
			message.reasoning_content = thoughts;
		if (tools.length)
			message.tool_calls = tools;
		return { ...this.frame(call, "chat.completion",
			[{ index: 0, message, finish_reason: STOPS[reply.stop] }]),
			usage: this.usage(call, countTokens(reply)) };
	},

	async stream(call, reply, send, pace) {
		const data = (object) => send(`data: ${JSON.stringify(object)}\n\n`);
		const chunk = (delta, finish = null) => data(this.frame(call, "chat.completion.chunk",
			[{ index: 0, delta, finish_reason: finish }]));
		let index = -1;

		await chunk({ role: "assistant", content: "" });
		for (const b of reply.blocks) {
			if (b.type === "fault" && b.fault === "errstream") {
				await data({ error: { message: "Overloaded", type: "server_error" } });
				return "end";
			}
			if (b.type === "fault")
				return b.fault;
			if (b.type === "sleep")
				await sleep(b.sleep);
			if (b.type === "chunk")
				await chunk(b.chunk);
			if (!["text", "thinking", "tool"].includes(b.type))
				continue;
			if (b.type === "tool")
				await chunk({ tool_calls: [{ index: ++index, id: b.id, type: "function",
					function: { name: b.name, arguments: "" } }] });
			for (const piece of deltas(b, reply.options)) {
				await pace();
				await chunk(this.delta(b, piece, index));
				if (call.breaks())
					break;
			}
			if (reply.fault === "errstream") {
				await data({ error: { message: "Overloaded", type: "server_error" } });
				return "end";
			}
			if (reply.fault)
				return reply.fault;
		}
		await chunk({}, STOPS[reply.stop]);
		if (call.body.stream_options?.include_usage)
			await data({ ...this.frame(call, "chat.completion.chunk", []),
				usage: { ...this.usage(call, countTokens(reply)), ...reply.usage?.end } });
		await send("data: [DONE]\n\n");
		return "end";
	},

	delta(b, piece, index) {
		if (b.type === "tool")
			return { tool_calls: [{ index, function: { arguments: piece } }] };
		return b.type === "thinking" ? { reasoning_content: piece }
			: { content: piece ?? nowMark() };
	},
};

/* ---- The server ----------------------------------------------------------------------------- */

const args = parseArgs({ options: {
	"port": { type: "string", default: "0" },
	"unix": { type: "string" },
	"log": { type: "string" },
	"ready-file": { type: "string" },
	"key": { type: "string" },
	"max-seconds": { type: "string", default: "600" },
} }).values;

function log(entry) {
	if (args.log)
		fs.appendFileSync(args.log,
			JSON.stringify({ t: Date.now() / 1000, ...entry }) + "\n");
}

function sendJson(res, status, object, headers = {}) {
	const text = JSON.stringify(object);
	res.writeHead(status, { "content-type": "application/json",
		"content-length": Buffer.byteLength(text), ...headers });
	res.end(res.req.method === "HEAD" ? undefined : text);
}

async function readBody(req) {
	const parts = [];
	let size = 0;

	for await (const part of req) {
		size += part.length;
		if (size > MAX_BODY)
			throw new Error("request too large");
		parts.push(part);
	}
	return Buffer.concat(parts).toString("utf8");
}

// streamReply sends one reply as server-sent events and then does what the fault asks for.
async function streamReply(wire, call, reply, res) {
	const { first, delay } = reply.options;
	let due = 0;

	const send = async (text) => {
		if (res.destroyed)
			throw new Error("client went away");
		if (!res.write(text))
			await Promise.race([once(res, "drain"), once(res, "close")]);
	};
	// Deltas keep to a timetable, so that a late one does not move those after it.
	const pace = async () => {
		const now = performance.now();
		due = due === 0 ? now + first : due + delay;
		if (due > now)
			await sleep(due - now);
	};

	res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
	res.socket?.setNoDelay(true);
	res.setMaxListeners(0);
	const end = await wire.stream(call, reply, send, pace);
	if (end === "drop") {
		await sleep(20);
		res.socket?.destroy();
	} else if (end === "end") {
		res.end();
	}
	// "hang": the answer stays open until the client goes away.
}

async function answer(wire, body, size, req, res) {
	const talk = readConversation(body.messages);
	const tools = (body.tools ?? []).map((t) => t.name ?? t.function?.name ?? t.type);
	const step = choose(talk, tools.length > 0);
	const stream = body.stream === true;
	let pieces = 0;
	const call = { id: randomBytes(8).toString("hex"), body, model: body.model ?? "standin",
		tokens: Math.ceil(size / 4),
		// A cut comes after a few deltas, not after the last.
		breaks: () => reply.fault !== null && reply.fault !== "hang" && ++pieces >= 4 };
	let reply = null;

	log({ method: req.method, path: req.url, model: body.model, stream, tools,
		messages: body.messages?.length ?? 0, step: talk.step, kind: step.kind,
		last: talk.last, users: talk.users,
		// Words that a test has put into the instructions, wherever the harness sends them.
		marks: [...new Set(JSON.stringify(body).match(/MARK-[A-Z0-9]+/g) ?? [])] });
	if (step.times)
		failures.set(step.key, (failures.get(step.key) ?? 0) + 1);
	if (step.kind === "error") {
		const status = step.status >= 400 && step.status <= 599 ? step.status : 500;
		return sendJson(res, status, wire.error(status, `stand-in error ${status}`),
			status === 429 ? { "retry-after": "1" } : {});
	}
	if (step.kind === "drop0")
		return req.socket.destroy();
	reply = plan(step, talk);
	if (stream)
		return streamReply(wire, call, reply, res);
	if (reply.fault === "hang")
		return undefined;
	await sleep(reply.options.first + (reply.options.n ? reply.options.n * reply.options.delay : 0));
	return sendJson(res, 200, wire.whole(call, reply));
}

async function handle(req, res) {
	const path = new URL(req.url, "http://standin").pathname.replace(/\/+$/, "") || "/";
	const wire = path.endsWith("/chat/completions") || path.endsWith("/models")
		? openai : anthropic;
	const key = req.headers["x-api-key"] ??
		/^Bearer\s+(.*)$/i.exec(req.headers.authorization ?? "")?.[1];
	const text = await readBody(req);
	const route = `${req.method === "HEAD" ? "GET" : req.method} ${path}`;

	if (route === "GET /")
		return sendJson(res, 200, { name: "standin-model" });
	if (args.key !== undefined && key !== args.key) {
		log({ method: req.method, path: req.url, kind: "bad key" });
		return sendJson(res, 401, wire.error(401, "invalid x-api-key"));
	}
	if (route === "GET /v1/models") {
		const data = ["standin-1", "standin-small"].map((id) => ({ id, object: "model",
			type: "model", display_name: id, created: 1700000000, owned_by: "standin" }));
		return sendJson(res, 200, { object: "list", data, has_more: false });
	}
	if (req.method !== "POST")
		return sendJson(res, 404, wire.error(404, `no such route: ${route}`));
	let body;
	try {
		body = JSON.parse(text);
	} catch (e) {
		return sendJson(res, 400, wire.error(400, `bad JSON: ${e.message}`));
	}
	if (path === "/v1/messages/count_tokens")
		return sendJson(res, 200, { input_tokens: Math.ceil(text.length / 4) });
	if (path === "/v1/messages" || path === "/v1/chat/completions")
		return answer(wire, body, text.length, req, res);
	return sendJson(res, 404, wire.error(404, `no such route: ${route}`));
}

function serve(req, res) {
	handle(req, res).catch((e) => {
		if (!res.destroyed && !res.headersSent)
			sendJson(res, 500, anthropic.error(500, e.message));
		else
			res.destroy();
	});
}

function finish() {
	if (args.unix)
		fs.rmSync(args.unix, { force: true });
	process.exit(0);
}

process.on("SIGTERM", finish);
process.on("SIGINT", finish);
setTimeout(finish, Number(args["max-seconds"]) * 1000);

const server = http.createServer({ keepAliveTimeout: 60000 }, serve);
server.listen(Number(args.port), "127.0.0.1", () => {
	const { port } = server.address();
	const ready = () => {
		if (args["ready-file"]) {
			// Renamed into place: whoever sees the file sees all of it.
			fs.writeFileSync(`${args["ready-file"]}.new`, `${port}\n`);
			fs.renameSync(`${args["ready-file"]}.new`, args["ready-file"]);
		}
		process.stdout.write(`READY port=${port}\n`);
	};
	if (args.unix)
		http.createServer(serve).listen(args.unix, ready);
	else
		ready();
});
