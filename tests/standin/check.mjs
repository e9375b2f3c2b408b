#!/usr/bin/env node
// SPDX-License-Identifier: MIT
//
// Drives the real Claude Code and OpenCode against the stand-in model and prints TAP: it proves
// that the stand-in is taken for a provider, and that the wire formats karta relies on are those of
// the pinned versions. Needs "npm ci --prefix tests". Exits with 1 when a point fails.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const MODULES = path.join(HERE, "..", "node_modules");
const CLAUDE = path.join(MODULES, "@anthropic-ai", "claude-code-linux-x64", "claude");
const OPENCODE = path.join(MODULES, "opencode-linux-x64", "bin", "opencode");
const SLOW = Math.max(1, Number(process.env.KARTA_TEST_SLOW ?? 1));
const PATIENCE = 90000 * SLOW;
const LIMIT = 600000 * SLOW;

const children = new Set();
const top = fs.mkdtempSync(path.join(os.tmpdir(), "karta-standin-"));
let points = 0;
let failed = 0;

function ok(condition, name, detail) {
	points++;
	if (!condition)
		failed++;
	console.log(`${condition ? "ok" : "not ok"} ${points} - ${name}`);
	if (!condition && detail !== undefined)
		console.log("# " + JSON.stringify(detail).slice(0, 2000));
}

function folder(name) {
	const made = path.join(top, name);
	fs.mkdirSync(made, { recursive: true });
	return made;
}

// Peer is a child process that speaks one JSON object a line. Every line is kept; wait() looks
// through those not yet looked at.
class Peer {
	constructor(name, file, args, options) {
		this.name = name;
		this.lines = [];
		this.seen = 0;
		this.errors = "";
		this.wakers = new Set();
		this.child = spawn(file, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
		children.add(this.child);
		this.child.stdin.on("error", () => {});
		this.child.stderr.on("data", (d) => { this.errors = (this.errors + d).slice(-2000); });
		readline.createInterface({ input: this.child.stdout }).on("line", (line) => {
			let value;
			try {
				value = JSON.parse(line);
			} catch {
				value = { text: line };
			}
			this.lines.push(value);
			this.onLine?.(value);
			this.wake();
		});
		this.ended = once(this.child, "close").then(([code, signal]) => {
			children.delete(this.child);
			this.dead = true;
			this.wake();
			return signal ?? code;
		});
	}

	wake() {
		for (const waker of this.wakers)
			waker();
	}

	send(object) {
		this.child.stdin.write(JSON.stringify(object) + "\n");
	}

	// wait returns the lines up to the first for which test is true, that one last.
	async wait(what, test) {
		const from = this.seen;
		const end = Date.now() + PATIENCE;
		for (;;) {
			for (; this.seen < this.lines.length; this.seen++) {
				if (test(this.lines[this.seen])) {
					this.seen++;
					return this.lines.slice(from, this.seen);
				}
			}
			if (this.dead || Date.now() > end)
				throw new Error(`${this.name}: ${what} did not come; last lines ` +
					JSON.stringify(this.lines.slice(-3)) + " stderr " + this.errors);
			await new Promise((resolve) => {
				const timer = setTimeout(resolve, 1000);
				const waker = () => {
					clearTimeout(timer);
					this.wakers.delete(waker);
					resolve();
				};
				this.wakers.add(waker);
			});
		}
	}
}

/* ---- Claude Code ---------------------------------------------------------------------------- */

class Claude extends Peer {
	constructor(base, session, resume, extra = {}) {
		super("claude", CLAUDE, ["-p", "--input-format", "stream-json",
			"--output-format", "stream-json", "--verbose", "--include-partial-messages",
			"--permission-prompt-tool", "stdio", "--model", "standin-1",
			"--setting-sources", "", resume ? "--resume" : "--session-id", session], {
			cwd: folder("claude-app"),
			env: { PATH: process.env.PATH, HOME: folder("claude-home"),
				CLAUDE_CODE_TMPDIR: folder("claude-tmp"),
				ANTHROPIC_BASE_URL: base, ANTHROPIC_API_KEY: "dummy",
				CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_TELEMETRY: "1",
				DISABLE_AUTOUPDATER: "1", ...extra } });
		this.asked = [];
		this.onLine = (line) => {
			if (line.type === "control_request")
				this.allow(line);
		};
	}

	allow(line) {
		this.asked.push(line.request);
		this.send({ type: "control_response", response: { subtype: "success",
			request_id: line.request_id,
			response: { behavior: "allow", updatedInput: line.request.input } } });
	}

	async start() {
		this.send({ type: "control_request", request_id: "init-1",
			request: { subtype: "initialize", forwardSubagentText: true } });
		await this.wait("the answer to initialize", (l) => l.type === "control_response");
	}

	say(text) {
		this.asked = [];
		this.send({ type: "user", parent_tool_use_id: null,
			message: { role: "user", content: [{ type: "text", text }] } });
	}

	async turn(text) {
		this.say(text);
		const lines = await this.wait(`the result of ${text}`, (l) => l.type === "result");
		return { lines, result: lines[lines.length - 1], asked: this.asked,
			deltas: lines.filter((l) => l.event?.type === "content_block_delta")
				.map((l) => l.event.delta) };
	}
}

async function checkClaude(base) {
	const session = "0e2b7c1a-6a5d-4c52-9a53-6f1d4b1f7a10";
	const claude = new Claude(base, session, false, { CLAUDE_CODE_MAX_RETRIES: "0" });
	const app = folder("claude-app");
	await claude.start();

	let t = await claude.turn("hello there");
	ok(t.result.result === "You said: hello there (message 1)" && !t.result.is_error,
		"claude: text without a directive is echoed", t.result);
	ok(t.deltas.filter((d) => d.type === "text_delta").map((d) => d.text).join("") ===
		t.result.result, "claude: the deltas add up to the result");

	t = await claude.turn("[[think:deep thoughts]]");
	ok(t.deltas.some((d) => d.type === "thinking_delta" && d.thinking.includes("deep")),
		"claude: reasoning is streamed", t.deltas);

	t = await claude.turn('[[tool:Bash {"command":"echo made > made.txt","description":"d"}]]' +
		"[[text:file is made]]");
	ok(t.asked.length === 1 && t.asked[0].tool_name === "Bash",
		"claude: Bash asks for permission", t.asked);
	ok(fs.existsSync(path.join(app, "made.txt")) && t.result.result === "file is made",
		"claude: Bash runs when allowed, and the next step is played", t.result);

	t = await claude.turn("[[tool:Task " + JSON.stringify({ description: "sub",
		prompt: '[[tool:Bash {"command":"touch sub.txt","description":"d"}]][[text:sub says hi]]',
		subagent_type: "general-purpose", run_in_background: false }) + "]]");
	ok(t.lines.some((l) => l.type === "assistant" && l.parent_tool_use_id &&
		JSON.stringify(l.message.content).includes("sub says hi")),
		"claude: the text of a sub-agent is forwarded");
	ok(t.asked.length === 1 && t.asked[0].agent_id && fs.existsSync(path.join(app, "sub.txt")),
		"claude: a sub-agent's tool asks and runs", t.asked);
	ok(/sub says hi/.test(t.result.result), "claude: the sub-agent's answer is the tool's result",
		t.result);

	t = await claude.turn("[[error:401]]");
	ok(t.result.is_error && t.result.api_error_status === 401,
		"claude: error 401 ends the turn with an error", t.result);
	t = await claude.turn("still there");
	ok(!t.result.is_error && /^You said: still there \(message \d+\)$/.test(t.result.result),
		"claude: the turn after an error works", t.result);
	t = await claude.turn("[[drop*1]]");
	ok(!t.result.is_error && t.result.result === "Recovered after 1 failures of kind drop.",
		"claude: a cut stream is asked for again", t.result);

	claude.say("[[hang]]");
	await claude.wait("the first delta", (l) => l.event?.delta?.text === "Some");
	claude.send({ type: "control_request", request_id: "stop-1",
		request: { subtype: "interrupt" } });
	const [stopped] = (await claude.wait("the interrupted result", (l) => l.type === "result"))
		.slice(-1);
	ok(stopped.terminal_reason === "aborted_streaming", "claude: a hanging turn is interrupted",
		stopped);
	t = await claude.turn("[[tool:Bash {\"command\":\"sleep 2\"}]][[text:slept]]");
	ok(t.result.result === "slept", "claude: the turn after an interrupt works", t.result);
	claude.child.stdin.end();
	ok(await claude.ended === 0, "claude: exits with 0 when its input ends", claude.errors);

	const again = new Claude(base, session, true);
	await again.start();
	t = await again.turn("[[recall]]");
	ok(t.result.result.includes("hello there") && t.result.result.includes("still there"),
		"claude: a resumed session remembers", t.result);
	again.child.stdin.end();
	await again.ended;
}

/* ---- OpenCode ------------------------------------------------------------------------------- */

function opencodeConfig(base) {
	return JSON.stringify({ model: "standin/standin-1", small_model: "standin/standin-small",
		autoupdate: false, share: "disabled", enabled_providers: ["standin"],
		provider: { standin: { npm: "@ai-sdk/openai-compatible", name: "Stand-in",
			options: { baseURL: `${base}/v1`, apiKey: "dummy" },
			models: {
				"standin-1": { name: "One", tool_call: true, reasoning: true,
					limit: { context: 200000, output: 8000 } },
				"standin-small": { name: "Small",
					limit: { context: 100000, output: 4000 } } } } },
		permission: { bash: "ask", edit: "ask", webfetch: "ask", external_directory: "ask" },
		agent: { general: { permission: { bash: "allow", edit: "deny" } } },
		experimental: { continue_loop_on_deny: true } });
}

class OpenCode extends Peer {
	constructor(base) {
		super("opencode", OPENCODE, ["acp"], { cwd: folder("opencode-app"), env: {
			PATH: process.env.PATH, HOME: folder("opencode-home"),
			OPENCODE_CONFIG_CONTENT: opencodeConfig(base),
			OPENCODE_DISABLE_AUTOUPDATE: "1", OPENCODE_DISABLE_MODELS_FETCH: "1",
			OPENCODE_DISABLE_LSP_DOWNLOAD: "1", OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
			OPENCODE_DISABLE_SHARE: "1", npm_config_offline: "true", OPENCODE_SERVER_PASSWORD: "dummy" } });
		this.id = 0;
		this.asked = [];
		this.onLine = (line) => {
			if (line.method === "session/request_permission")
				this.allow(line);
			else if (line.method && line.id !== undefined)
				this.send({ jsonrpc: "2.0", id: line.id,
					error: { code: -32601, message: "no such method" } });
		};
	}

	allow(line) {
		const option = line.params.options.find((o) => o.kind === "allow_once");
		this.asked.push(line.params);
		this.send({ jsonrpc: "2.0", id: line.id,
			result: { outcome: { outcome: "selected", optionId: option.optionId } } });
	}

	async call(method, params) {
		const id = ++this.id;
		this.asked = [];
		this.send({ jsonrpc: "2.0", id, method, params });
		return this.answer(id, method);
	}

	async answer(id, method) {
		const lines = await this.wait(`the answer to ${method}`,
			(l) => l.id === id && !l.method);
		const answer = lines[lines.length - 1];
		return { answer, asked: this.asked,
			updates: lines.filter((l) => l.method === "session/update")
				.map((l) => l.params.update) };
	}

	async turn(sessionId, text) {
		const t = await this.call("session/prompt",
			{ sessionId, prompt: [{ type: "text", text }] });
		t.text = t.updates.filter((u) => u.sessionUpdate === "agent_message_chunk")
			.map((u) => u.content.text).join("");
		return t;
	}
}

async function checkOpenCode(base) {
	const app = folder("opencode-app");
	const agent = new OpenCode(base);
	await agent.call("initialize", { protocolVersion: 1, clientCapabilities: {
		fs: { readTextFile: false, writeTextFile: false }, terminal: false } });
	const made = await agent.call("session/new", { cwd: app, mcpServers: [] });
	const session = made.answer.result?.sessionId;
	ok(typeof session === "string", "opencode: a session is made", made.answer);

	let t = await agent.turn(session, "hello there");
	ok(t.text === "You said: hello there (message 1)" &&
		t.answer.result?.stopReason === "end_turn", "opencode: text is echoed",
		[t.text, t.answer]);
	t = await agent.turn(session,
		'[[tool:bash {"command":"echo made > made.txt","description":"d"}]][[text:done here]]');
	ok(t.asked.length === 1 && t.asked[0].toolCall.kind === "execute",
		"opencode: bash asks for permission", t.asked);
	ok(fs.existsSync(path.join(app, "made.txt")) && t.text === "done here",
		"opencode: bash runs when allowed, and the next step is played", t.text);
	t = await agent.turn(session, "[[error:401]]");
	ok(/401/.test(t.answer.error?.message ?? ""), "opencode: error 401 ends the turn with an error",
		t.answer);
	agent.send({ jsonrpc: "2.0", id: ++agent.id, method: "session/prompt",
		params: { sessionId: session, prompt: [{ type: "text", text: "[[hang]]" }] } });
	await agent.wait("the first delta", (l) => l.params?.update?.content?.text === "Some");
	agent.send({ jsonrpc: "2.0", method: "session/cancel", params: { sessionId: session } });
	t = await agent.answer(agent.id, "session/prompt");
	ok(t.answer.result?.stopReason === "cancelled", "opencode: a hanging turn is canceled", t.answer);
	t = await agent.turn(session, "[[recall]]");
	ok(t.text.includes("hello there"), "opencode: the turn after that remembers", t.text);
	agent.child.stdin.end();
	ok(await agent.ended === 0, "opencode: exits with 0 when its input ends", agent.errors);
}

/* ---- All of it ------------------------------------------------------------------------------ */

async function main() {
	const model = new Peer("standin", process.execPath, [path.join(HERE, "standin-model.mjs"),
		"--key", "dummy", "--max-seconds", "120", "--log", path.join(top, "requests.jsonl"),
		"--ready-file", path.join(top, "port")], {});
	const [line] = await model.wait("READY", (l) => /^READY port=\d+$/.test(l.text ?? ""));
	const port = Number(line.text.slice("READY port=".length));
	const base = `http://127.0.0.1:${port}`;

	ok(fs.readFileSync(path.join(top, "port"), "utf8").trim() === String(port),
		"stand-in: the ready file holds the port");
	const refused = await fetch(`${base}/v1/messages`,
		{ method: "POST", headers: { "x-api-key": "wrong" }, body: "{}" });
	ok(refused.status === 401, "stand-in: another key is refused", refused.status);

	for (const check of [checkClaude, checkOpenCode]) {
		try {
			await check(base);
		} catch (e) {
			ok(false, check.name, e.message);
		}
	}
	model.child.kill("SIGTERM");
	ok(await model.ended === 0, "stand-in: ends on SIGTERM", model.errors);
}

function clean() {
	for (const child of children)
		child.kill("SIGKILL");
	if (process.env.KEEP)
		console.log(`# kept ${top}`);
	else
		fs.rmSync(top, { recursive: true, force: true, maxRetries: 5 });
}

const alarm = setTimeout(() => {
	ok(false, `all of it within ${LIMIT / 1000} s`);
	clean();
	process.exit(1);
}, LIMIT);

for (const file of [CLAUDE, OPENCODE]) {
	if (!fs.existsSync(file)) {
		console.log(`Bail out! ${path.basename(file)} is missing: run scripts/setup --test`);
		clean();
		process.exit(1);
	}
}
await main();
clearTimeout(alarm);
clean();
console.log(`1..${points}`);
process.exit(failed ? 1 : 0);
