/* SPDX-License-Identifier: MIT */
/* The page's pure parts: the model made of events, the stream parser, and visible text. */

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { activeTurn, emptyState, openInputs, outputText, reduce, reduceAll } from "../../lib/api/web/src/state.js";
import { changesOfInput, changesOfOutput, changesOfPatch, hunksOf, lineDiff, notInChanges } from "../../lib/api/web/src/diff.js";
import { languageOf, tokens } from "../../lib/api/web/src/highlight.js";
import { toolLabel, toolOutcome, toolSubject } from "../../lib/api/web/src/summary.js";
import { grouped, matches } from "../../lib/api/web/src/sidebar.js";
import { SseParser } from "../../lib/api/web/src/sse.js";
import { characters, lineCount, numbered, plainOutput, usageLine, visible, visibleRuns } from "../../lib/api/web/src/text.js";

/* Makes numbered events of one turn. */
function script(list, turn = "turn_1", from = 1) {
	return list.map(([type, data, parent = null], at) => ({
		type, seq: from + at, timestamp: 1000 * (from + at), turn_id: turn, parent_tool_use_id: parent, data,
	}));
}

const text = (words, id = "p1", more = {}) => ["text", { part: { type: "text", text: words }, part_id: id, ...more }];
const started = (words) => ["status", { state: "turn_started", message: { id: "m", role: "user", text: words } }];
const tool = (id, state, input) => ["tool_use", { tool_name: "Bash", tool_input: input, tool_use_id: id, state }];
const done = (more = {}) => ["done", { usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 }, message: { role: "assistant", text: "Hello" }, stop_reason: "end_turn", ...more }];
const run = (list) => reduceAll(emptyState(), script(list));

/* Freezes a model, so that a change in place throws. */
function freeze(value) {
	if (value && typeof value === "object" && !Object.isFrozen(value)) {
		Object.freeze(value);
		Object.values(value).forEach(freeze);
	}
	return value;
}

test("a turn is put together from its deltas", () => {
	const model = run([started("Hi"), text("Hel"), text("lo"), done()]);
	assert.equal(model.lastSeq, 4);
	assert.equal(model.turns.length, 1);
	const [turn] = model.turns;
	assert.deepEqual(turn.user, { text: "Hi", name: null });
	assert.equal(turn.items[0].text, "Hello");
	assert.equal(turn.state, "done");
	assert.equal(turn.ms, 3000);
	assert.equal(turn.usage.total_tokens, 3);
});

test("the model is never changed in place, and untouched parts stay the same objects", () => {
	const events = script([started("Hi"), text("a"), tool("t1", "pending", {}), tool("t1", "running", { command: "ls" }),
		["tool_result", { tool_use_id: "t1", output: "x", is_error: false, status: "completed" }], text("b", "p2"), done()]);
	let model = freeze(emptyState());
	for (const event of events)
		model = freeze(reduce(model, freeze(event)));
	const next = reduceAll(model, script([started("Again")], "turn_2", 8));
	assert.equal(next.turns[0], model.turns[0]);
});

test("replaying any part of the log again changes nothing", () => {
	const events = script([started("Hi"), text("one "), text("two "), text("three"), done()]);
	const once = reduceAll(emptyState(), events);
	for (let cut = 0; cut <= events.length; cut++) {
		const part = reduceAll(emptyState(), events.slice(0, cut));
		assert.deepEqual(reduceAll(part, events), once);
	}
	assert.equal(reduce(once, events[2]), once);
});

test("replace puts the full text of a part in place of what was there", () => {
	const model = run([started("Hi"), text("Helo"), text("other", "p2"), text("Hello!", "p1", { replace: true }), text(" More", "p1")]);
	assert.deepEqual(model.turns[0].items.map((item) => item.text), ["Hello! More", "other"]);
});

test("parts without an id join the part before, not across a tool call", () => {
	const model = run([started("Hi"), text("a", null), text("b", null), tool("t1", "running", {}), text("c", null)]);
	assert.deepEqual(model.turns[0].items.map((item) => item.text ?? item.kind), ["ab", "tool", "c"]);
});

test("a tool call said twice is one card with the later input", () => {
	const model = run([started("Hi"), tool("t1", "pending", {}), tool("t1", "running", { command: "ls" }),
		["tool_result", { tool_use_id: "t1", output: "no", is_error: true, status: "failed" }]]);
	assert.equal(model.turns[0].items.length, 1);
	const [card] = model.turns[0].items;
	assert.deepEqual([card.input, card.state, card.output, card.isError], [{ command: "ls" }, "failed", "no", true]);
});

test("an id that comes again after its result is another card", () => {
	const result = (output) => ["tool_result", { tool_use_id: "t1", output, is_error: false, status: "completed" }];
	const model = run([started("Hi"), tool("t1", "running", { command: "a" }), result("one"), tool("t1", "pending", {}), tool("t1", "running", { command: "b" }), result("two")]);
	assert.deepEqual(model.turns[0].items.map((item) => [item.input.command, item.output, item.state]), [["a", "one", "completed"], ["b", "two", "completed"]]);
});

test("a sub-agent's events are nested in its tool call, also two deep", () => {
	const nested = (list, parent) => [...list, parent];
	const model = run([started("Hi"), tool("t1", "running", {}), nested(tool("t2", "running", {}), "t1"),
		nested(text("deep", "s1"), "t2"), nested(["tool_result", { tool_use_id: "t2", output: "ok", is_error: false }], "t1"),
		text("top")]);
	const [outer, top] = model.turns[0].items;
	assert.equal(top.text, "top");
	assert.equal(outer.items[0].id, "t2");
	assert.equal(outer.items[0].state, "completed");
	assert.equal(outer.items[0].items[0].text, "deep");
});

test("an event of an unknown parent, and a result of an unknown call, are still shown", () => {
	const model = run([started("Hi"), [...text("lost"), "t9"], ["tool_result", { tool_use_id: "t8", output: "x", is_error: false }]]);
	assert.deepEqual(model.turns[0].items.map((item) => item.text ?? item.output), ["lost", "x"]);
});

test("a gap is kept where it was and counts as seen", () => {
	const before = run([started("Hi"), text("a")]);
	const gap = { type: "gap", seq: null, turn_id: null, data: { first: 3, last: 9 } };
	const model = reduce(before, gap);
	assert.equal(model.lastSeq, 9);
	assert.deepEqual(model.turns[0].items.map((item) => item.kind), ["text", "gap"]);
	assert.equal(reduce(model, gap), model);
	const fresh = reduce(emptyState(), gap);
	assert.equal(fresh.turns[0].items[0].kind, "gap");
	assert.equal(activeTurn(fresh), null);
});

test("an approval waits, marks its call, and is resolved once", () => {
	const ask = ["input_required", { request_id: "req_1", kind: "tool_use", tool: "Bash", tool_input: { command: "ls" }, message: "?", options: ["approve_once", "deny"] }];
	const list = [started("Hi"), tool("t1", "running", { command: "ls" }), ask];
	const model = run(list);
	assert.equal(model.turns[0].state, "waiting");
	assert.deepEqual(openInputs(model).map((item) => item.requestId), ["req_1"]);
	assert.equal(model.turns[0].items[0].awaits, "req_1");
	const after = run([...list, ["status", { state: "input_resolved", request_id: "req_1", decision: "approve_once", by: "ana" }]]);
	assert.equal(after.turns[0].state, "running");
	assert.deepEqual(openInputs(after), []);
	assert.equal(after.turns[0].items[0].awaits, null);
	assert.equal(after.turns[0].items.length, 1, "the approval is the call's own");
	assert.deepEqual([after.turns[0].items[0].ask.decision, after.turns[0].items[0].ask.by], ["approve_once", "ana"]);
	const late = run([...list, ["status", { state: "input_resolved", request_id: "req_1", decision: "approve_once", by: "ana" }],
		["tool_result", { tool_use_id: "t1", output: "x", is_error: false, status: "completed" }]]);
	assert.equal(late.turns[0].items[0].ms, 1000, "what it waited is not what it took");
	const other = run([started("Hi"), tool("t1", "running", { command: "pwd" }), ask]);
	assert.deepEqual(other.turns[0].items.map((item) => item.kind), ["tool", "input"], "of another call");
});

test("an approval settled without asking is shown as settled", () => {
	const model = run([started("Hi"), tool("t1", "running", {}), ["status", { state: "auto_approved", tool: "Bash", tool_use_id: "t1", by: "session" }]]);
	assert.deepEqual([model.turns[0].state, model.turns[0].items[0].ask.decision, model.turns[0].items[0].ask.by], ["running", "auto_approved", "session"]);
	assert.deepEqual(openInputs(model), []);
});

test("a duration the server states counts, not the time the server was away", () => {
	const model = run([started("Hi"), ["error", { message: "stopped", code: "interrupted" }], done({ duration_ms: 12, message: null })]);
	assert.deepEqual([model.turns[0].ms, model.turns[0].state], [12, "failed"]);
});

test("a turn that ends closes what was left open", () => {
	const model = run([started("Hi"), tool("t1", "running", { a: 1 }),
		["input_required", { request_id: "r", kind: "tool_use", tool: "Bash", tool_input: { a: 1 }, options: [] }],
		done({ stop_reason: "interrupted", message: null })]);
	assert.equal(model.turns[0].state, "interrupted");
	assert.deepEqual(model.turns[0].items.map((item) => [item.state, item.ask.decision]), [["cancelled", "expired"]]);
	assert.deepEqual(openInputs(model), []);
	assert.equal(activeTurn(model), null);
});

test("an error ends the turn, and a done after it does not hide it", () => {
	const model = run([started("Hi"), ["error", { message: "busy", code: "overloaded" }], done({ message: null })]);
	assert.equal(model.turns[0].state, "failed");
	assert.deepEqual(model.turns[0].items.map((item) => [item.kind, item.code]), [["error", "overloaded"]]);
});

test("an error without a turn has an entry of its own", () => {
	const model = reduceAll(emptyState(), script([["error", { message: "gone", code: "harness_crashed" }]], null));
	assert.equal(model.turns[0].items[0].code, "harness_crashed");
	assert.equal(activeTurn(model), null);
});

test("queued messages wait, and idle does not end them", () => {
	const model = reduceAll(emptyState(), [
		...script([started("One")], "turn_1", 1),
		...script([["status", { state: "queued", message: { text: "Two" } }]], "turn_2", 2),
		...script([["status", { state: "idle" }]], null, 3),
	]);
	assert.deepEqual(model.turns.map((turn) => turn.state), ["done", "queued"]);
	assert.equal(model.turns[1].user.text, "Two");
});

test("a done that carries the only text shows it", () => {
	const model = run([started("Hi"), done()]);
	assert.deepEqual(model.turns[0].items.map((item) => item.text), ["Hello"]);
});

test("system and unknown events are not shown but are counted", () => {
	const model = run([started("Hi"), ["system", { x: 1 }], ["novelty", {}]]);
	assert.equal(model.lastSeq, 3);
	assert.equal(model.turns[0].items.length, 0);
});

test("output of any shape becomes text", () => {
	assert.equal(outputText("a"), "a");
	assert.equal(outputText([{ type: "text", text: "a" }, { type: "text", text: "b" }]), "a\nb");
	assert.equal(outputText({ type: "text", text: "a" }), "a");
	assert.equal(outputText({ a: 1 }), "{\n  \"a\": 1\n}");
	assert.equal(outputText(null), "");
});

test("the stream parser gives the same events however the text is cut", () => {
	const all = ": hello\r\n\r\nid: 1\r\nevent: text\r\ndata: {\"a\":1}\r\n\r\ndata: x\ndata:y\n\nid: 3\rdata: z\r\rdata: unfinished";
	const want = [{ id: "1", event: "text", data: "{\"a\":1}" }, { id: "1", event: "message", data: "x\ny" }, { id: "3", event: "message", data: "z" }];
	assert.deepEqual(new SseParser().push(all), want);
	for (let cut = 0; cut <= all.length; cut++) {
		const parser = new SseParser();
		assert.deepEqual([...parser.push(all.slice(0, cut)), ...parser.push(all.slice(cut))], want, `cut at ${cut}`);
	}
	const parser = new SseParser();
	assert.deepEqual(Array.from(all).flatMap((char) => parser.push(char)), want);
});

test("hidden and turning characters are spelled out", () => {
	assert.equal(visible("a\u202eb\u2066c\u200bd\u0000e\u001b[1m\tz"), "a\\u202eb\\u2066c\\u200bd\\0e\\e[1m\tz");
	assert.equal(visible("x\u{e0041}\u00a0\u3164\ud800y"), "x\\u{e0041}\\u00a0\\u3164\\ud800y");
	assert.equal(visible("plain text\nżółć 日本 שלום 🙂"), "plain text\nżółć 日本 שלום 🙂");
	assert.deepEqual(visibleRuns("\u202e"), [{ text: "\\u202e", hidden: true }]);
	assert.equal(visible("1\ta\n2\t\n3\r\n\u200b\n"), "1\ta\n2\t\n3\\r\n\\u200b\n");
	assert.deepEqual(visibleRuns(""), []);
});

test("a line ends wherever a line feed is, and a tab is a tab", () => {
	/* Every hidden character before a line feed, not only the two of a Read of an empty line and of HTTP. */
	for (const char of ["\t", "\r", "\0", "\u200b", "\u202e", "\u00a0", "\u2028", "\x1b", "\x85", "\ufeff", "\ud800"]) {
		const shown = visible(`a${char}\n${char}\n\nb`);
		assert.equal(shown.split("\n").length, 4, JSON.stringify(shown));
		assert.ok(visibleRuns(`a${char}\nb`).every((run) => !run.hidden || !run.text.includes("\n")));
	}
	for (const text of ["1\t# title\n2\t\n3\ttext", "HTTP/1.1 200 OK\r\nDate: x\r\n"])
		assert.doesNotMatch(JSON.stringify(visibleRuns(text)), /u000a/);
	assert.equal(visible("a\tb"), "a\tb");
});

test("what a program wrote for a terminal is shown as its text", () => {
	assert.equal(plainOutput("a\r\nb\r\r\nc"), "a\nb\nc");
	assert.equal(plainOutput("10%\r50%\rdone\n"), "10%\n50%\ndone\n");
	assert.equal(plainOutput("\x1b[1;31mred\x1b[0m \x1b[2K\x1b]0;title\x07x\x1b]8;;http://a\x1b\\l\x1b]8;;\x1b\\"), "red xl");
	assert.equal(plainOutput("\u202e\x1b"), "\u202e\x1b", "the rest is spelled out where it is shown");
});

test("a tool call is said in one line, whichever harness made it", () => {
	const line = (name, input) => `${toolLabel(name)} ${toolSubject(name, input)}`.trim();
	assert.equal(line("Bash", { command: "ls -l\n# more", description: "d" }), "Bash ls -l");
	assert.equal(line("bash", { command: "ls", cwd: "/app" }), "Bash ls");
	assert.equal(line("Read", { file_path: "a.c", offset: 10, limit: 5 }), "Read a.c lines 10–14");
	assert.equal(line("read", { filePath: "a.c" }), "Read a.c");
	assert.equal(line("Grep", { pattern: "x", path: "lib" }), "Search x in lib");
	assert.equal(line("mcp__shop__find_order", { id: 7, name: "Ana" }), "shop: find_order Ana");
	assert.equal(line("Task", { description: "Compare", prompt: "p" }), "Sub-agent Compare");
	assert.equal(line("TodoWrite", { todos: [{ status: "completed" }, { status: "pending" }] }), "To-do list 1 of 2 done");
	assert.equal(line("AskUserQuestion", { questions: [{ question: "Which?" }] }), "Question Which?");
	assert.equal(line("x\u202e", { path: "p\u202eq" }), "x\\u202e p\\u202eq");
	assert.equal(line("odd", null), "odd");
	assert.equal(line("odd", { n: 1 }), "odd {\"n\":1}");
	const deep = toolSubject("Read", { file_path: `/${"folder/".repeat(20)}end.c` });
	assert.ok(deep.length < 62 && deep.startsWith("…/") && deep.endsWith("/end.c"), deep);
});

test("how a call went is said with it", () => {
	const card = (more) => ({ name: "Bash", input: {}, state: "completed", output: "", patch: null, ask: null, items: [], ...more });
	const words = (more) => toolOutcome(card(more)).words;
	assert.equal(words({ output: "a\nb\n" }), "2 lines");
	assert.equal(words({ name: "read", output: "<path>a</path>\n<type>file</type>\n<content>\n1: a\n2: b\n\n(End of file - total 2 lines)\n</content>" }), "2 lines");
	assert.equal(words({}), "No output");
	assert.equal(words({ state: "failed", output: "\nError: no such file\nmore" }), "Failed: no such file");
	assert.equal(words({ state: "rejected", output: "x" }), "Denied");
	const edit = toolOutcome(card({ name: "Edit", input: { file_path: "a", old_string: "x\ny\n", new_string: "x\nz\nw\n" } }));
	assert.deepEqual(edit, { words: "", added: 2, removed: 1 });
});

test("edits of every harness become the same diff", () => {
	const shown = (changes) => changes.map(({ path, isNew, added, removed, hunks }) => [path, isNew, added, removed,
		...hunks.map((hunk) => `${hunk.oldStart},${hunk.newStart}:${hunk.lines.map((line) => line.sign + line.text).join("|")}`)]);
	const want = [["f", false, 1, 1, "0,0: a|-b|+B"]];
	assert.deepEqual(shown(changesOfInput("Edit", { file_path: "f", old_string: "a\nb\n", new_string: "a\nB\n" })), want);
	assert.deepEqual(shown(changesOfInput("edit", { filePath: "f", oldString: "a\r\nb", newString: "a\nB" })), want);
	assert.deepEqual(shown(changesOfInput("MultiEdit", { file_path: "f", edits: [{ old_string: "a", new_string: "b" }, { old_string: "", new_string: "c" }] })),
		[["f", false, 2, 1, "0,0:-a|+b", "1,1:+c"]]);
	assert.deepEqual(shown(changesOfInput("Write", { file_path: "f", content: "a\n\nb" })), [["f", true, 3, 0, "1,1:+a|+|+b"]]);
	assert.deepEqual(shown(changesOfOutput([{ type: "text", text: "ok" }, { type: "diff", path: "f", oldText: "a\nb\n", newText: "a\nB\n", text: "-" }])), want);
	assert.equal(outputText([{ type: "text", text: "ok" }, { type: "diff", path: "f", oldText: "a", newText: "b", text: "f\n-a\n+b" }]), "ok");
	assert.deepEqual(shown(changesOfInput("apply_patch", { patchText: "*** Begin Patch\n*** Update File: f\n@@\n a\n-b\n+B\n*** Add File: g\n+x\n*** End Patch" })),
		[...want, ["g", true, 1, 0, "0,1:+x"]]);
	assert.deepEqual(shown(changesOfInput("patch", { patch: "--- a/f\n+++ b/f\n@@ -3,2 +3,2 @@\n a\n-b\n+B\n" })), [["f", false, 1, 1, "3,3: a|-b|+B"]]);
	assert.deepEqual(shown(changesOfPatch("f", [{ old_start: 7, new_start: 8, lines: [" a", "-b", "+B", "\\ No newline"] }])), [["f", false, 1, 1, "7,8: a|-b|+B"]]);
	for (const [name, input] of [["Bash", { command: "x", content: "y" }], ["Read", { file_path: "f" }], ["Edit", null], ["x", "text"], ["send", { path: "p", content: "y" }]])
		assert.equal(changesOfInput(name, input), null, name);
	assert.equal(changesOfPatch("f", []), null);
});

test("a diff hides nothing of an input but what it shows whole", () => {
	const left = (name, input) => [changesOfInput(name, input) !== null, notInChanges(name, input).join()];
	const edit = { file_path: "f", old_string: "a\n", new_string: "b\n" };
	assert.deepEqual(left("Edit", { ...edit, replace_all: false }), [true, ""]);
	assert.deepEqual(left("Edit", { ...edit, replace_all: true, dry_run: false }), [true, "replace_all,dry_run"]);
	assert.deepEqual(left("mcp__x__write_file", { path: "/root/.profile", content: "evil", old_string: "a", new_string: "b" }), [true, "content"]);
	assert.deepEqual(left("Write", { file_path: "f", path: "g", content: "x" }), [true, "path"]);
	assert.deepEqual(left("Write", { file_path: "/root/.profile", content: "evil", patch: "*** Update File: README\n@@\n+fine" }), [true, "file_path,content"]);
	assert.deepEqual(left("Write", { file_path: "f", content: "evil", edits: [{ old_string: "a", new_string: "b" }] }), [true, "content"]);
	assert.deepEqual(left("MultiEdit", { file_path: "f", edits: [edit, { old_string: "a", new_string: "b", file: "g" }] }), [true, "edits"]);
	assert.deepEqual(left("MultiEdit", { file_path: "f", edits: [{ old_string: "a", new_string: "b" }, { run: "x" }] }), [true, "edits"]);
	assert.deepEqual(left("MultiEdit", { file_path: "f", edits: [{ old_string: "a", new_string: "b", replace_all: false }] }), [true, ""]);
	assert.deepEqual(left("Edit", { file_path: "f", old_string: "a\r\nb", new_string: "a\nB" }), [true, "old_string,new_string"]);
	assert.deepEqual(left("Edit", { file_path: "f", old_string: "a\n", new_string: "b" }), [true, "old_string,new_string"]);
	const patch = (text) => left("apply_patch", { patchText: `*** Begin Patch\n*** Update File: f\n${text}\n*** End Patch` });
	assert.deepEqual(patch("@@\n a\n--- a\n+++ b"), [true, ""]);
	for (const more of ["*** Move to: /etc/cron.d/x\n@@\n-a", "@@ other\n-a", "@@\n-a\nx", "-a\n*** Delete File: g", "@@ -1 +1 @@\n-a"])
		assert.deepEqual(patch(more), [true, "patchText"], more);
	assert.deepEqual(changesOfInput("apply_patch", { patch: "*** Update File: f\n@@\n--- a\n+++ b/x" })[0].hunks[0].lines.map((line) => line.sign + line.text), ["--- a", "+++ b/x"]);
	assert.deepEqual(left("patch", { patch: "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b" }), [true, "patch"]);
});

test("the edits of a call share what may be spent on them", () => {
	const lines = Array.from({ length: 1000 }, (_, at) => `line ${at}`);
	const edit = { old_string: lines.join("\n"), new_string: ["x", ...lines.slice(1, 900)].join("\n") };
	const added = (n) => changesOfInput("MultiEdit", { file_path: "f", edits: Array(n).fill(edit) })[0].added;
	assert.equal(added(1), 1);
	assert.equal(added(3), 1801, "those behind the first are all old and all new");
});

test("what was written for a terminal takes time in its length", () => {
	const start = process.cpuUsage();
	assert.equal(plainOutput(`${"\r".repeat(400000)}x\r\r\ny\r\nz\rw`), "\nx\ny\nz\nw");
	assert.ok(process.cpuUsage(start).user < 20e6);
});

test("a reply of nothing but marks is shown as it was written", async (t) => {
	const dir = mkdtempSync(path.join(os.tmpdir(), "karta-careful-"));
	t.after(() => rmSync(dir, { recursive: true }));
	copyFileSync(new URL("../../lib/api/web/node_modules/marked/lib/marked.esm.js", import.meta.url), path.join(dir, "marked.js"));
	copyFileSync(new URL("../../lib/api/web/src/careful.js", import.meta.url), path.join(dir, "careful.js"));
	writeFileSync(path.join(dir, "package.json"), "{\"type\":\"module\"}");
	const { CarefulLexer } = await import(path.join(dir, "careful.js"));
	const { Marked } = await import(path.join(dir, "marked.js"));
	const html = (text) => { const m = new Marked({ gfm: true }); return m.parser(new CarefulLexer(m.defaults).lex(text)); };
	const words = "*a* **b** `c` [d](https://e.f) g_h_i\n\n> - 1\n";
	assert.equal(html(words), new Marked({ gfm: true }).parse(words));
	const han = `*\u4e2d* ${"\u4e2d\u6587\uff0c".repeat(5000)}`;
	assert.match(html(han), /<em>/);
	assert.equal(html("a_b_".repeat(10000)), `<p>${"a_b_".repeat(10000)}</p>\n`);
	assert.match(html(`${"> ".repeat(200)}x`), /^(?:<blockquote>\s*){39,40}/);
	assert.ok(!html(`${"> ".repeat(20000)}x`).includes("<blockquote>".repeat(50)));
	const start = process.cpuUsage();
	for (const piece of ["a_b_", "***a", "1. ", "> ", "[a](", "~~a"])
		html(piece.repeat(50000));
	assert.ok(process.cpuUsage(start).user < 60e6);
});

test("a diff leaves out nothing that changed, and takes bounded time", () => {
	const whole = (lines, sign) => lines.filter((line) => line.sign !== sign).map((line) => line.text).join("\n");
	let seed = 7;
	const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
	for (let round = 0; round < 200; round++) {
		const make = () => Array.from({ length: random(12) }, () => "abc"[random(3)]);
		const [a, b] = [make(), make()];
		const lines = lineDiff(a.join("\n"), b.join("\n"));
		assert.equal(whole(lines, "+"), a.join("\n"));
		assert.equal(whole(lines, "-"), b.join("\n"));
		const kept = hunksOf(lines, 1).flatMap((hunk) => hunk.lines).filter((line) => line.sign !== " ");
		assert.deepEqual(kept, lines.filter((line) => line.sign !== " "));
	}
	const long = (word) => Array.from({ length: 20000 }, (_, at) => `${word} ${at}`).join("\n");
	assert.equal(lineDiff(long("a"), long("b")).length, 40000);
	assert.equal(hunksOf(lineDiff(long("a"), `${long("a")}\nend`), 1)[0].oldStart, 19998);
});

test("code has colors, and its text is never another", () => {
	const kinds = (text, language) => tokens(text, language).filter((one) => one.kind !== "").map((one) => `${one.kind}:${one.text}`);
	assert.deepEqual(kinds("const a = 'x'; // c", "js"), ["key:const", "str:'x'", "com:// c"]);
	assert.deepEqual(kinds("def f(x):\n\treturn 1 # c", "python"), ["key:def", "fn:f", "key:return", "num:1", "com:# c"]);
	assert.deepEqual(kinds("#include <a.h>\nint x = 'a';", "c"), ["meta:#include <a.h>", "key:int", "str:'a'"]);
	assert.deepEqual(kinds("{\"a\": [1, true]}", "json"), ["fn:\"a\"", "num:1", "key:true"]);
	assert.deepEqual(kinds("echo \"$A\" $B # c", "sh"), ["key:echo", "str:\"$A\"", "var:$B", "com:# c"]);
	assert.deepEqual(kinds("a: yes # c", "yml"), ["fn:a", "key:yes", "com:# c"]);
	assert.deepEqual(kinds("<a href=\"x\">", "html"), ["key:<a", "fn:href", "str:\"x\"", "key:>"]);
	assert.deepEqual(kinds("+a\n-b\n c", "diff"), ["add:+a", "del:-b"]);
	assert.deepEqual(tokens("const x", "cobol"), [{ kind: "", text: "const x" }]);
	assert.deepEqual(["src/a.rs", "Dockerfile", "x.TSX", "no", "", null].map(languageOf), ["c", "sh", "js", "", "", ""]);
	/* Bounded by length, whatever the text: a pattern that looks at the same text again and again takes minutes here. */
	const pieces = ["\"", "'", "\`", "/*", "#", "\\", "<!--", "<!a", "<?", "0", "-1", "A", "a.", "- ", " ", "\t", "#\\\n", "\${", "=\"", "[", "[ ", "\"\"\"", "a", ", "];
	for (const language of ["js", "c", "py", "sh", "rb", "sql", "json", "yaml", "html", "css", "diff"]) {
		for (const piece of pieces) {
			const text = piece.repeat(20000 / piece.length);
			assert.equal(tokens(text, language).map((one) => one.text).join(""), text, `${language} ${piece}`);
		}
	}
});

test("a file's lines are told from their numbers", () => {
	assert.deepEqual(numbered("     1\u2192a\n    2\u2192\n3\tb\n\nnote"), { numbers: "1\n2\n3", text: "a\n\nb", count: 3, rest: "\nnote" });
	assert.equal(numbered("a\n1\tb"), null);
	assert.deepEqual(numbered("<path>/x/a.txt</path>\n<type>file</type>\n<content>\n1: a\n2: \n3: 4: b\n\n(End of file - total 3 lines)\n</content>"),
		{ numbers: "1\n2\n3", text: "a\n\n4: b", count: 3, rest: "\n(End of file - total 3 lines)" });
	assert.equal(numbered("7: a\n9: b").rest, "9: b", "lines of a file follow each other");
});

test("sessions are found by the words of their title, and have a heading for each span of days", () => {
	const now = new Date(2026, 10, 30, 15).getTime();
	const at = (days) => ({ id: `s${days}`, title: `Day ${days} Order`, created_at: new Date(2026, 10, 30 - days, 12).toISOString() });
	assert.deepEqual(grouped([0, 1, 2, 6, 8, 40].map(at), now).map((one) => one.group ?? one.id),
		["Today", "s0", "Yesterday", "s1", "Last 7 days", "s2", "s6", "Last 30 days", "s8", "Older", "s40"]);
	assert.deepEqual(grouped([at(40), at(0), { id: "odd", created_at: "x" }], now).map((one) => one.group ?? one.id), ["Older", "s40", "s0", "odd"]);
	assert.ok(matches(at(7), "order DAY 7") && !matches(at(7), "order 8") && matches({ title: null }, "new"));
});

test("numbers are put in words", () => {
	assert.equal(characters("a🙂"), 2);
	assert.deepEqual(["", "a", "a\n", "a\nb"].map(lineCount), [0, 1, 1, 2]);
	assert.equal(usageLine({ input_tokens: 1204, output_tokens: 3, cost_usd: 0.0123 }, 4210), "1,204 in · 3 out · $0.0123 · 4.2 s");
	assert.equal(usageLine(null, NaN), "");
});

test("the reducer names every event type of the server", async () => {
	const { readFileSync } = await import("node:fs");
	const source = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
	const types = [...source("lib/event/event.c").matchAll(/\[KT_EV_\w+\] = "(\w+)"/g)].map((m) => m[1]);
	const reducer = source("lib/api/web/src/state.js");
	assert.ok(types.length >= 12, String(types));
	for (const type of types) assert.match(reducer, new RegExp(`case "${type}":`), type);
});
