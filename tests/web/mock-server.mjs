/* SPDX-License-Identifier: MIT */
/*
 * A small server that speaks the session protocol to the chat page, with
 * scripted turns instead of a harness. The prompt chooses the script (see
 * SCRIPTS). It serves the page from its sources by the manifest, under the same
 * Content-Security-Policy as karta, and can be stopped and started again on the
 * same port with its log kept.
 *
 *   node tests/web/mock-server.mjs [port]
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const WEB = join(dirname(fileURLToPath(import.meta.url)), "../../lib/api/web");
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEARTBEAT_MS = 15000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const COUNT = Array.from({ length: 120 }, (_, n) => `w${String(n + 1).padStart(3, "0")}`).join(" ");

export const STREAM = `Hello, I'm **Beans**. The shop opens at *eight* and the last cup is poured at six.

Here is what I can do for you:

1. Look up an order by its number
2. Explain the difference between our roasts
3. Start a return, if the bag is still closed

| Roast | Body | Price |
| :--- | :--- | ---: |
| Harbor | light | $14.00 |
| Lantern | medium | $15.50 |
| Ember | dark | $15.50 |

To check an order yourself, run:

\`\`\`sh
curl -s http://localhost:8000/v1/sessions \\
  | jq '.data[] | .id'
\`\`\`

More is in [the handbook](https://example.com/handbook). What would you like to know?`;

const HOSTILE = `<script>window.pwned = 1; alert(1)</script>

<img src=x onerror="window.pwned = 2; alert(2)"> and <svg onload="window.pwned = 3"></svg>

![tracker](http://127.0.0.2:9/pixel.png) [bad link](javascript:window.pwned=4) [data link](data:text/html,<script>alert(5)</script>)

<iframe src="http://127.0.0.2:9/frame"></iframe><form action="http://127.0.0.2:9/"><input name="id"><button>go</button></form>

<style>body { display: none }</style><link rel="stylesheet" href="http://127.0.0.2:9/x.css">

<a href="javascript:alert(6)" onclick="window.pwned = 6" style="position:fixed;inset:0">cover</a>

<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(7)&gt;">

<div id="send" class="app">clobber</div> <input name="attributes"> <base href="http://127.0.0.2:9/">

\`\`\`html
<script>alert("shown as code")</script>
\`\`\`

[reference][r] and <http://example.com/auto> and www.example.com

[r]: javascript:alert(8)

`;

/* A reply of more than 2,000 words, hostile markup first. */
export function longReply() {
	const words = "the quick brown fox jumps over a lazy dog while seven wizards box five jugs of liquor".split(" ");
	let text = HOSTILE;
	for (let section = 1; section <= 20; section++) {
		text += `## Section ${section}\n\n`;
		for (let at = 0; at < 100; at++)
			text += words[(at * 7 + section) % words.length] + (at % 20 === 19 ? ".\n\n" : " ");
		text += `- item *one*\n- item \`two\`\n\n\`\`\`js\nconst section = ${section};\n\`\`\`\n\n`;
	}
	return text + "The end of the long reply.";
}

/* Sends text in pieces, as deltas of one part. */
async function say(turn, text, { type = "text", part = "p1", size = 6, ms = 12, parent = null } = {}) {
	for (let at = 0; at < text.length && !turn.stopped; at += size) {
		turn.emit(type, { part: { type, text: text.slice(at, at + size) }, part_id: part }, parent);
		await sleep(ms);
	}
}

function use(turn, id, name, input, parent = null) {
	turn.emit("tool_use", { tool_name: name, tool_input: {}, tool_use_id: id, state: "pending" }, parent);
	turn.emit("tool_use", { tool_name: name, tool_input: input, tool_use_id: id, state: "running" }, parent);
}

function result(turn, id, output, parent = null, isError = false, status = isError ? "failed" : "completed") {
	turn.emit("tool_result", { tool_use_id: id, output, is_error: isError, status }, parent);
}

const COMMAND = "curl -fsSL https://example.com/orders/1041.json |\n  jq '.items[]' > orders.csv\n" +
	"# \u202etxt.exe\u202c has a turned name, \u200bthis one a gap\u001b[2K";

const PRICE = `    10\u2192#include "price.h"
    11\u2192
    12\u2192/* Rounds down. */
    13\u2192static int round_price(int cents)
    14\u2192{
    15\u2192\tif (cents < 0)
    16\u2192\t\treturn 0;
    17\u2192\treturn cents;
    18\u2192}
    19\u2192
    20\u2192const char *currency = "USD";`;

const CODE = `The server answers on one port. In TypeScript:

\`\`\`ts
import { createServer } from "node:http";

/* Answers with the time. */
export async function start(port: number = 8080): Promise<Server> {
\tconst server = createServer((req, res) => {
\t\tif (req.url === "/healthz") return res.end("ok\\n"); // for probes, which ask every ten seconds and must not wait for anything else
\t\tres.end(\`It is \${new Date().toISOString()}\`);
\t});
\treturn new Promise((resolve) => server.listen(port, () => resolve(server)));
}
\`\`\`

The same in Python:

\`\`\`python
from http.server import BaseHTTPRequestHandler, HTTPServer

class Time(BaseHTTPRequestHandler):
    """Answers with the time."""
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"It is late")  # always

HTTPServer(("127.0.0.1", 8080), Time).serve_forever()
\`\`\`

| Setting | Default | Where it is set | What it does | Since |
| :--- | ---: | :--- | :--- | :--- |
| \`port\` | 8080 | command line or environment | the port it listens on | 0.1 |
| \`host\` | 127.0.0.1 | command line | the address; another one needs keys | 0.1 |
| \`drain_seconds\` | 30 | serve.toml | how long running turns may take when the server ends | 0.2 |

\`\`\`sh
curl -s "http://localhost:8080/healthz" | grep -q ok && echo "up: $?"
\`\`\`
`;

const SCRIPTS = {
	async stream(turn) {
		await say(turn, "The user greets me. I introduce the shop and say what I can do.", { type: "reasoning", part: "r1" });
		await say(turn, STREAM);
	},
	async count(turn) {
		await say(turn, COUNT, { size: 5, ms: 25 });
	},
	async hostile(turn) {
		await say(turn, longReply(), { size: 97, ms: 8 });
	},
	async tool(turn) {
		await say(turn, "I look at the orders first.");
		use(turn, "t1", "Read", { file_path: "orders.csv", limit: 200 });
		await sleep(60);
		result(turn, "t1", "number,item,state\n" + Array.from({ length: 40 }, (_, n) => `${1001 + n},Harbor 250 g,sent`).join("\n"));
		use(turn, "t2", "Bash", { command: "cat missing.txt", description: "Show the notes" });
		await sleep(60);
		result(turn, "t2", "cat: missing.txt: No such file or directory", null, true);
		await say(turn, "There are forty orders, and no notes.", { part: "p2" });
	},
	async large(turn) {
		const whole = { file_path: "big.txt", content: "row of the file\n".repeat(70000) };
		const decision = await turn.ask({
			kind: "tool_use", tool: "Write", message: "Allow Write: big.txt?",
			tool_input: { ...whole, content: whole.content.slice(0, 1600) + "\n[... 1118400 more bytes were cut]" },
			truncated: true, tool_input_bytes: 1190041, tool_input_sha256: "ab".repeat(32),
			options: ["approve_once", "deny"], remembers: [],
		}, whole);
		if (!turn.stopped)
			await say(turn, decision.decision === "deny" ? "Not written." : "Written.");
	},
	async approve(turn) {
		await say(turn, "I need the order's items for that.");
		const input = { command: COMMAND, description: "Fetch order 1041", timeout: 20000 };
		use(turn, "t1", "Bash", input);
		const decision = await turn.ask({
			kind: "tool_use", tool: "Bash", tool_input: input, message: "Allow running a command?",
			options: ["approve_once", "approve_session", "approve_folder", "deny"],
			asked_by: { agent: "default", sub_agent: false, session_id: "sess_1", project: null, message_from: { key: "ci", address: "192.0.2.7" } },
			remembers: [{ decision: "approve_session", words: "this exact call of Bash: {\u202e}" }],
		});
		if (turn.stopped)
			return;
		if (decision.decision === "deny")
			result(turn, "t1", "The user said no.", null, true, "rejected");
		else
			result(turn, "t1", "Harbor 250 g\nEmber 1 kg");
		await say(turn, decision.decision === "deny" ? "Then I leave it." : "Order 1041 holds **two** bags.", { part: "p2" });
	},
	async later(turn) {
		await sleep(400);
		await SCRIPTS.approve(turn);
	},
	async longedit(turn) {
		const input = { file_path: "long.txt", content: `${"\n".repeat(6000)}the end` };
		use(turn, "t1", "Write", input);
		await turn.ask({ kind: "tool_use", tool: "Write", tool_input: input, tool_use_id: "t1", message: "Allow Write: long.txt?", options: ["approve_once", "deny"], remembers: [] });
		result(turn, "t1", "Written.");
	},
	async edit(turn) {
		const input = {
			file_path: "src/price.c", old_string: "\tif (grams < 250)\n\t\treturn 0;\n\treturn price;\n",
			new_string: "\tif (grams < 250)\n\t\treturn \u202e1;\n\treturn price;\n", replace_all: false,
		};
		use(turn, "t1", "Edit", input);
		const decision = await turn.ask({
			kind: "tool_use", tool: "Edit", tool_input: input, tool_use_id: "t1", message: "Allow Edit: src/price.c?", options: ["approve_once", "deny"], remembers: [],
		});
		if (turn.stopped || decision.decision === "deny")
			return;
		turn.emit("tool_result", {
			tool_use_id: "t1", output: "The file src/price.c has been updated successfully.", is_error: false, status: "completed",
			patch: [{ old_start: 41, new_start: 41, lines: [" \tif (grams < 250)", "-\t\treturn 0;", "+\t\treturn \u202e1;", " \treturn price;"] }],
		});
		use(turn, "t2", "Write", { file_path: "prices.md", content: "# Prices\nin dollars\n" });
		result(turn, "t2", "File created successfully at: prices.md");
		await say(turn, "The price of a small bag is right now.", { part: "p2" });
	},
	async question(turn) {
		const question = "Which grind would you like?";
		const decision = await turn.ask({
			kind: "question", tool: "AskUserQuestion", tool_input: {}, message: question, options: [],
			questions: [{ question, header: "Grind", multiSelect: false, options: [
				{ label: "Filter", description: "Medium, for a paper filter" },
				{ label: "Espresso", description: "Fine, for a machine" },
			] }],
		});
		await say(turn, `You chose: ${decision.answers?.[question] ?? "nothing"}.`);
	},
	async questions(turn) {
		const decision = await turn.ask({
			kind: "question", tool: "AskUserQuestion", tool_input: {}, message: "Two questions", options: ["answer", "deny"],
			questions: [
				{ question: "Which size?", options: [{ label: "250 g" }, { label: "1 kg" }], multiSelect: false },
				{ question: "Which extras?", options: [{ label: "Filters" }, { label: "Cup" }, { label: "Spoon" }], multiSelect: true },
			],
		});
		await say(turn, `Size ${decision.answers?.["Which size?"]}; extras ${decision.answers?.["Which extras?"]}.`);
	},
	async subagent(turn) {
		use(turn, "t1", "Task", { description: "Compare the roasts", subagent_type: "researcher" });
		await say(turn, "I read the price list.", { part: "s1", parent: "t1" });
		use(turn, "t2", "Grep", { pattern: "roast", path: "menu.md" }, "t1");
		await sleep(40);
		result(turn, "t2", "menu.md:3: Harbor, light roast", "t1");
		await sleep(40);
		result(turn, "t1", [{ type: "text", text: "Harbor is the lightest." }]);
		await say(turn, "The researcher says: **Harbor** is the lightest.");
	},
	/* Code, a wide table and long lines, as an answer has them. */
	async code(turn) {
		await say(turn, CODE, { size: 200, ms: 2 });
	},
	async long(turn) {
		const word = "https://example.com/a/very/long/address/" + "without-a-place-to-break/".repeat(12);
		await say(turn, `A word: ${"abcdefghij".repeat(30)}\n\nAn address: ${word}\n\n# A heading ${"thatdoesnotbreak".repeat(12)}\n\n- an item \`${"code_without_blanks_".repeat(12)}\`\n- another\n  1. inner one\n  2. inner two\n\n> a quotation ${"0123456789".repeat(20)}\n\n\`\`\`\n${"0123456789 ".repeat(40)}\n\`\`\``, { size: 400, ms: 1 });
		use(turn, "l1", "Bash", { command: `echo ${"0123456789".repeat(40)}` });
		result(turn, "l1", `${"0123456789".repeat(80)}\nend`);
	},
	async rtl(turn) {
		await say(turn, "\u0637\u0644\u0628\u0643 **NB-1042** \u0641\u064a \u0627\u0644\u0637\u0631\u064a\u0642.\n\n- \u0627\u0644\u0628\u0646\u062f \u0627\u0644\u0623\u0648\u0644\n- \u0627\u0644\u0628\u0646\u062f \u0627\u0644\u062b\u0627\u0646\u064a\n\n\u05e9\u05dc\u05d5\u05dd: `npm install` \u05d5\u05d0\u05d6 `npm test`.\n\nThis paragraph is English again.", { size: 200, ms: 1 });
	},
	async picture(turn) {
		await say(turn, "Here it is: ![A blue mug on a table](https://example.com/mug.png)\n\nAnd one without words: ![](https://example.com/other.png)", { size: 200, ms: 1 });
	},
	/* A turn as agents take them: many calls, one of which goes on. */
	async work(turn) {
		await say(turn, "I look at how prices are made, then mend the rounding.");
		use(turn, "w1", "Grep", { pattern: "round_price", path: "src" });
		result(turn, "w1", "src/price.c:12\nsrc/price.c:40\nsrc/cart.c:8");
		use(turn, "w2", "Read", { file_path: "/home/ana/projects/coffee/shop/src/components/checkout/pricing/price.c", offset: 10, limit: 12 });
		await sleep(120);
		result(turn, "w2", PRICE);
		use(turn, "w3", "MultiEdit", { file_path: "src/price.c", edits: [
			{ old_string: "\treturn cents;\n", new_string: "\treturn (cents + 4) / 5 * 5;\n" },
			{ old_string: "/* Rounds down. */\nstatic int round_price(int cents)\n", new_string: "/* Rounds up to five cents. */\nint round_price(int cents)\n" },
		] });
		result(turn, "w3", "The file src/price.c has been updated successfully.");
		use(turn, "w4", "TodoWrite", { todos: [
			{ content: "Find where prices are rounded", status: "completed" }, { content: "Mend the rounding", status: "completed" }, { content: "Run the tests", status: "in_progress" },
		] });
		result(turn, "w4", "Todos have been modified successfully.");
		use(turn, "w5", "Bash", { command: "make -j2 check 2>&1 | tail -20", description: "Run the tests" });
		for (let i = 0; i < 600 && !turn.stopped && !turn.text.includes("short"); i++)
			await sleep(50);
		result(turn, "w5", "\u001b[32mok\u001b[0m 1 price\r\nok 2 cart\r\n2 passed", null, turn.stopped, turn.stopped ? "cancelled" : "completed");
		await say(turn, "The prices are rounded up to five cents now, and the tests pass.", { part: "p2" });
	},
	async error(turn) {
		await say(turn, "One moment");
		turn.emit("error", { message: "The model's service is overloaded. Try again in a minute.", code: "overloaded", retryable: true });
	},
};

class Turn {
	constructor(server, session, text, participant) {
		Object.assign(this, { server, session, text, participant, stopped: false, id: `turn_${++server.counter}`, wake: null });
	}

	emit(type, data, parent = null) {
		this.server.append(this.session, type, data, this.id, parent);
	}

	/* Asks for an input and waits for its decision; whole is what GET of the input has as tool_input. */
	ask(data, whole) {
		const id = `req_${++this.server.counter}`;
		this.state = "waiting";
		return new Promise((resolve) => {
			const settle = (decision) => {
				this.session.inputs.set(id, decision.decision);
				this.wake = null;
				this.state = "running";
				this.emit("status", { state: "input_resolved", request_id: id, decision: decision.decision, by: null });
				resolve(decision);
			};
			this.wake = settle;
			this.session.inputs.set(id, settle);
			this.session.whole = { ...data, request_id: id, tool_input: whole ?? data.tool_input };
			this.emit("status", { state: "requires_action" });
			this.emit("input_required", { request_id: id, ...data });
		});
	}

	message() {
		return { id: this.id + "_m", role: "user", text: this.text, participant_name: null, participant_type: "human" };
	}

	async run() {
		this.state = "running";
		this.emit("status", { state: "turn_started", message: this.message() });
		this.emit("status", { state: "running" });
		const script = SCRIPTS[this.text.split(/[\s:]/)[0]] ?? SCRIPTS.stream;
		await script(this);
		const mine = this.session.log.filter((event) => event.turn_id === this.id);
		if (!mine.some((event) => event.type === "error")) {
			const text = mine.filter((event) => event.type === "text" && !event.parent_tool_use_id)
				.map((event) => event.data.part.text).join("");
			this.emit("done", {
				usage: { input_tokens: 1204, output_tokens: 320, total_tokens: 1524, cost_usd: 0.0123 },
				message: { role: "assistant", text }, stop_reason: this.stopped ? "interrupted" : "end_turn",
			});
		}
		this.emit("status", { state: "idle" });
	}

	stop() {
		this.stopped = true;
		this.wake?.({ decision: "deny" });
	}
}

export class MockServer {
	sessions = new Map();
	keys = new Map();
	counter = 0;
	port = 0;
	sockets = new Set();

	starters = ["Where is my order?", "Which roast is the mildest,\nand what does it cost?", "Count to a hundred", "Plan the week's deliveries and write a note to each driver"];
	missing = [];

	/* How many of the next answers to new requests get lost on their way. */
	dropAnswers = 0;

	async start(port = this.port) {
		this.http = createServer((req, res) => {
			this.handle(req, res).catch((err) => problem(res, 500, { detail: String(err) }));
		});
		this.http.on("connection", (socket) => {
			this.sockets.add(socket);
			socket.on("close", () => this.sockets.delete(socket));
		});
		await new Promise((resolve, reject) => {
			this.http.once("error", reject);
			this.http.listen(port, "127.0.0.1", resolve);
		});
		this.port = this.http.address().port;
		return `http://127.0.0.1:${this.port}`;
	}

	/* Cuts every connection and stops listening; turns go on and the log is kept. */
	async stop() {
		const closed = new Promise((resolve) => this.http.close(resolve));
		for (const socket of this.sockets)
			socket.destroy();
		await closed;
		for (const session of this.sessions.values())
			session.readers.clear();
	}

	append(session, type, data, turnId, parent = null) {
		const event = {
			type, source: "karta", session_id: session.id, timestamp: Date.now(), seq: session.log.length + 1,
			turn_id: turnId, parent_tool_use_id: parent, data, raw: null,
		};
		session.log.push(event);
		session.updated = new Date().toISOString();
		for (const res of session.readers)
			res.write(frame(event));
	}

	async handle(req, res) {
		const url = new URL(req.url, "http://localhost");
		if (!url.pathname.startsWith("/v1/"))
			return page(url.pathname, res);
		const body = await readJson(req);
		const [, , first, id, part, request] = url.pathname.split("/").map(decodeURIComponent);
		if (first === "dev")
			return json(res, 200, this.dev());
		if (first !== "sessions")
			return problem(res, 404, { detail: "no such route" });
		if (!id && req.method === "GET")
			return this.list(url, res);
		if (!id && req.method === "POST")
			return this.once(req, res, () => [201, this.view(this.create())]);
		const session = this.sessions.get(id);
		if (!session)
			return problem(res, 404, { detail: "no such session" });
		const route = `${req.method} ${part ?? ""}`;
		if (route === "GET ")
			return json(res, 200, this.view(session));
		if (route === "PATCH ") {
			if (typeof body.title !== "string" || body.title.trim() === "" || Buffer.byteLength(body.title) > 200)
				return problem(res, 422, { detail: "'title' is empty" });
			session.title = body.title;
			return json(res, 200, this.view(session));
		}
		if (route === "DELETE ") {
			session.queue.forEach((turn) => turn.stop());
			for (const reader of session.readers)
				reader.end();
			this.sessions.delete(id);
			res.writeHead(204).end();
			return undefined;
		}
		if (route === "POST messages")
			return this.once(req, res, () => this.message(session, body));
		if (route === "POST interrupt") {
			session.queue[0]?.stop();
			return json(res, 202, { accepted: true });
		}
		if (route === "GET inputs")
			return json(res, 200, session.whole);
		if (route === "PUT inputs")
			return this.input(session, request, body, res);
		if (route === "GET events")
			return this.events(session, url, req, res);
		return problem(res, 404, { detail: "no such route" });
	}

	dev() {
		return {
			project: "support-bot", harness: "claude-code", harness_version: "2.1.140", mode: "live", version: "0.1.0", user: null, problem: null,
			starters: this.starters, missing_credentials: this.missing,
			agents: [
				{ name: "beans", description: "Greets customers and looks up orders", default: true },
				{ name: "researcher", description: "Reads the shop's documents and compares", default: false },
			],
		};
	}

	create() {
		const id = `sess_${String(++this.counter).padStart(6, "0")}`;
		const now = new Date().toISOString();
		const session = { id, created: now, updated: now, title: null, log: [], readers: new Set(), queue: [], inputs: new Map() };
		this.sessions.set(id, session);
		return session;
	}

	view(session) {
		const turn = session.queue[0];
		return {
			id: session.id, metadata: {}, current_agent: "beans", status: "active", created_at: session.created,
			updated_at: session.updated, parent_id: null, pending_input: null, permission_mode: null, participants: [],
			title: session.title, turn: turn ? { id: turn.id, state: turn.state } : null, last_seq: session.log.length,
		};
	}

	list(url, res) {
		const all = [...this.sessions.values()].reverse();
		const limit = Number(url.searchParams.get("limit") ?? 50);
		const from = all.findIndex((one) => one.id === url.searchParams.get("after")) + 1;
		json(res, 200, { data: all.slice(from, from + limit).map((one) => this.view(one)), has_more: all.length > from + limit });
	}

	/* Answers a request with an idempotency key that was seen before as it was answered then. */
	once(req, res, make) {
		const key = req.headers["idempotency-key"];
		const known = this.keys.get(key);
		const [status, body] = known ?? make();
		if (key)
			this.keys.set(key, [status, body]);
		if (this.dropAnswers > 0 && !known) {
			this.dropAnswers--;
			res.destroy();
			return;
		}
		json(res, status, body);
	}

	message(session, body) {
		const turn = new Turn(this, session, body.text);
		session.title ??= body.text;
		session.queue.push(turn);
		const queued = session.queue.length - 1;
		if (queued > 0) {
			turn.state = "queued";
			turn.emit("status", { state: "queued", message: turn.message() });
		} else {
			this.work(session);
		}
		return [202, { accepted: true, turn_id: turn.id, session_id: session.id, queued }];
	}

	async work(session) {
		while (session.queue.length > 0) {
			await session.queue[0].run();
			session.queue.shift();
		}
	}

	input(session, request, body, res) {
		const settle = session.inputs.get(request);
		if (settle === undefined)
			return problem(res, 404, { detail: "no such input" });
		if (typeof settle !== "function")
			return problem(res, 409, { detail: "already answered", decision: settle });
		settle(body);
		return json(res, 202, { accepted: true });
	}

	events(session, url, req, res) {
		const after = Number(url.searchParams.get("after") ?? req.headers["last-event-id"] ?? 0);
		const rest = session.log.slice(after);
		if ((req.headers.accept ?? "").includes("application/json"))
			return json(res, 200, { data: rest, has_more: false, last_seq: session.log.length });
		res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
		res.write(": open\n\n" + rest.map(frame).join(""));
		session.readers.add(res);
		const beat = setInterval(() => res.write(": beat\n\n"), HEARTBEAT_MS);
		res.on("close", () => {
			clearInterval(beat);
			session.readers.delete(res);
		});
		return undefined;
	}
}

function frame(event) {
	return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

async function readJson(req) {
	let text = "";
	for await (const chunk of req)
		text += chunk;
	return text === "" ? {} : JSON.parse(text);
}

function json(res, status, body) {
	res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function problem(res, status, body) {
	res.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ status, ...body }));
}

function page(path, res) {
	for (const line of readFileSync(join(WEB, "manifest.txt"), "utf8").trim().split("\n")) {
		const [url, file, ...type] = line.split(" ");
		if (url === path) {
			res.writeHead(200, { "content-type": type.join(" "), "content-security-policy": CSP, "x-content-type-options": "nosniff" });
			res.end(readFileSync(join(WEB, file)));
			return;
		}
	}
	problem(res, 404, { detail: "no such file" });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const url = await new MockServer().start(Number(process.argv[2] ?? 8010));
	console.log(url);
}
