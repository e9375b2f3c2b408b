/* SPDX-License-Identifier: MIT */
/*
 * A tool call in one line: what kind of tool, what it works on, and how it went.
 * The harnesses name the same tools differently. Nothing here touches the document.
 */

import { changesOf, pathOf } from "./diff.js";
import { outputText } from "./state.js";
import { lineCount, numbered, plainOutput, plural, pretty, visible } from "./text.js";

const MAX_SUBJECT = 300;
const MAX_OUTCOME = 160;
const PATH_CHARS = 56;

const LABELS = {
	bash: "Bash", shell: "Shell", execute: "Shell", read: "Read", write: "Write", edit: "Edit", multiedit: "Edit", notebookedit: "Edit",
	patch: "Patch", apply_patch: "Patch", grep: "Search", glob: "Find files", list: "List", ls: "List", webfetch: "Fetch", web_fetch: "Fetch",
	websearch: "Web search", web_search: "Web search", task: "Sub-agent", agent: "Sub-agent", todowrite: "To-do list", todoread: "To-do list",
	exitplanmode: "Plan", askuserquestion: "Question", question: "Question", skill: "Skill", bashoutput: "Shell output", killshell: "Stop shell",
};
const STATES = {
	pending: "Preparing", running: "Running", completed: "", failed: "Failed", cancelled: "Cancelled", rejected: "Denied", ended: "No result",
};

const ASKED = { answer: "Answered", approve_once: "Approved", approve_session: "Approved", deny: "Not answered" };

const one = (input, ...names) => names.map((name) => input?.[name]).find((value) => typeof value === "string" && value !== "") ?? "";

/* Returns the tool's name as people say it; a tool of an MCP server as "server: tool". */
export function toolLabel(name) {
	const mcp = /^mcp__(.+?)__(.+)$/.exec(name);
	return visible(mcp ? `${mcp[1]}: ${mcp[2]}` : LABELS[name.toLowerCase()] ?? name);
}

/* Shortens a long path from its beginning: its end says more. */
function shortPath(path) {
	if (path.length <= PATH_CHARS)
		return path;
	const parts = path.split("/");
	let end = parts.pop();
	while (parts.length > 0 && end.length + parts.at(-1).length + 1 <= PATH_CHARS)
		end = `${parts.pop()}/${end}`;
	return `…/${end}`;
}

function lineRange(input) {
	const from = Number.isInteger(input.offset) ? Math.max(1, input.offset) : 1;
	if (!Number.isInteger(input.limit))
		return from > 1 ? ` from line ${from}` : "";
	return ` lines ${from}–${from + input.limit - 1}`;
}

/* Returns what a call works on: a command, a path, words to look for. */
export function toolSubject(name, input) {
	if (input === null || input === undefined)
		return "";
	if (typeof input !== "object" || Array.isArray(input))
		return visible(pretty(input).slice(0, MAX_SUBJECT));
	return visible(subject(input).trim().split("\n")[0].slice(0, MAX_SUBJECT));
}

function subject(input) {
	const path = pathOf(input);
	const command = one(input, "command", "cmd");
	const looked = one(input, "pattern", "query");
	if (command !== "")
		return command;
	if (Array.isArray(input.command))
		return input.command.filter((word) => typeof word === "string").join(" ");
	if (looked !== "")
		return path === null ? looked : `${looked} in ${shortPath(path)}`;
	if (path !== null)
		return shortPath(path) + lineRange(input);
	if (Array.isArray(input.todos))
		return `${input.todos.filter((todo) => todo?.status === "completed").length} of ${input.todos.length} done`;
	if (Array.isArray(input.questions))
		return one(input.questions[0], "question");
	return one(input, "description", "url", "skill", "title", "prompt", "name") || firstText(input);
}

function firstText(input) {
	return Object.values(input).find((value) => typeof value === "string") ?? (Object.keys(input).length > 0 ? JSON.stringify(input) : "");
}

/* Returns {words, added, removed}: how a call went; the counts are null when it is no edit. */
export function toolOutcome(tool) {
	const output = plainOutput(outputText(tool.output)).trim();
	const plain = (words) => ({ words, added: null, removed: null });
	if (tool.state === "failed") {
		const why = output.split("\n").find((line) => line.trim() !== "") ?? "";
		return plain(visible(why === "" ? STATES.failed : `Failed: ${why.replace(/<\/?tool_use_error>|^Error: /g, "").slice(0, MAX_OUTCOME)}`));
	}
	if (tool.state !== "completed")
		return plain(STATES[tool.state] ?? tool.state);
	if (tool.ask?.inputKind === "question" || tool.ask?.inputKind === "plan")
		return plain(ASKED[tool.ask.decision] ?? "");
	const changes = changesOf(tool);
	if (changes !== null) {
		const sum = (name) => changes.reduce((n, change) => n + change[name], 0);
		return { words: "", added: sum("added"), removed: sum("removed") };
	}
	if (tool.items.length > 0 || Array.isArray(tool.input?.todos))
		return plain("");
	const file = /read/i.test(tool.name) ? numbered(output) : null;
	return plain(output === "" ? "No output" : plural(file?.count ?? lineCount(output), "line"));
}
