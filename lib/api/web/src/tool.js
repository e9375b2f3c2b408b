/* SPDX-License-Identifier: MIT */
/*
 * Cards of tool calls: one line that says what was done and how it went, and
 * the whole of it when asked for. While a call waits for an approval its input
 * is shown by the approval alone.
 */

import { inputCard } from "./approve.js";
import { countView, diffView, fileFiller, setExactCode } from "./codeview.js";
import { changesOf, notInChanges, pathOf } from "./diff.js";
import { h, icon, keyed, setText, show } from "./dom.js";
import { foldedText, inputFields, shortInput } from "./fields.js";
import { asksIn, outputText } from "./state.js";
import { toolLabel, toolOutcome, toolSubject } from "./summary.js";
import { plainOutput, span, visible, withoutEnvelope } from "./text.js";

const CHEVRON = "M7.5 5l5 5-5 5";

/* A call that took no time worth a word says none. */
const SHORT_MS = 100;

/* A field of more may be cut off in the line. */
const SAID_CHARS = 40;

const WAITS = { question: "Asks you", plan: "Needs approval", tool_use: "Needs approval" };

/*
 * Makes the card of a tool call. makeItem makes the views of a sub-agent's items; actions are those
 * of logView(). Returns {el, update(tool)}. What is inside of a closed card is not made.
 */
export function toolCard(makeItem, actions) {
	const label = h("span", { class: "tool-name" });
	const subject = h("span", { class: "tool-subject" });
	const outcome = h("span", { class: "tool-outcome" });
	const time = h("span", { class: "tool-time" });
	const head = h("summary", { class: "tool-head" }, h("span", { class: "dot", "aria-hidden": "true" }), label, subject, outcome, time, icon(CHEVRON));
	const body = h("div", { class: "tool-body" });
	const details = h("details", { class: "tool-details" }, head, body);
	const ask = h("div", { class: "tool-ask" });
	const el = h("section", { class: "tool" }, details, ask);
	const card = { tool: null, drawn: null, parts: null, ask: null };
	const drawBody = () => {
		if (!details.open || card.drawn === card.tool)
			return;
		card.drawn = card.tool;
		card.parts ??= bodyParts(body, makeItem);
		card.parts.update(card.tool);
	};
	details.addEventListener("toggle", drawBody);

	return {
		el,
		update(tool) {
			const awaited = tool.awaits !== null;
			const words = toolLabel(tool.name);
			card.tool = tool;
			setText(label, words);
			drawSubject(subject, awaited ? "" : toolSubject(tool.name, tool.input), pathOf(tool.input) !== null);
			el.dataset.state = awaited ? "awaited" : tool.state;
			el.dataset.tool = tool.name;
			el.setAttribute("aria-label", `Tool ${words}`);
			drawOutcome(outcome, tool);
			drawTime(time, tool);
			drawAsk(card, ask, tool, actions);
			show(details, !awaited);
			/* What waits for an answer in there must be seen. */
			if (asksIn(tool.items))
				details.open = true;
			drawBody();
		},
	};
}

/* Of a path that does not fit, its end stays. */
function drawSubject(el, text, isPath) {
	if (el.title === text)
		return;
	const cut = isPath ? text.lastIndexOf("/") + 1 : 0;
	el.title = text;
	el.replaceChildren(...(cut > 0 ? [h("span", { class: "subject-folder" }, h("bdi", { dir: "ltr" }, text.slice(0, cut))), h("span", { class: "subject-file" }, text.slice(cut))] : [text]));
}

function drawOutcome(el, tool) {
	const went = toolOutcome(tool);
	const inner = tool.state === "running" ? tool.items.findLast((item) => item.kind === "tool") : null;
	if (inner) {
		setText(el, `${toolLabel(inner.name)} ${toolSubject(inner.name, inner.input)}`);
		return;
	}
	if (went.added !== null)
		el.replaceChildren(countView(went));
	else
		setText(el, tool.awaits === null ? went.words : WAITS[tool.ask?.inputKind] ?? WAITS.tool_use);
}

/* What it took, or has taken so far: tick() of view.js counts it on. */
function drawTime(el, tool) {
	const runs = tool.state === "running" && tool.awaits === null && tool.startedAt !== null;
	el.dataset.since = runs ? String(tool.startedAt) : "";
	if (!runs)
		setText(el, tool.ms !== null && tool.ms >= SHORT_MS ? span(tool.ms) : "");
}

/* The approval or question of this call: a card of its own while it is open, then a line inside. */
function drawAsk(card, parent, tool, actions) {
	if (tool.ask !== null && card.ask?.key !== tool.ask.key) {
		const view = inputCard(actions.answer, actions.input, true);
		card.ask = { key: tool.ask.key, view };
		parent.replaceChildren(view.el);
	}
	if (tool.ask !== null)
		card.ask.view.update(tool.ask);
	show(parent, tool.ask !== null);
}

/* The inside of an open card: what was changed or asked for, a sub-agent's work, what came out. */
function bodyParts(parent, makeItem) {
	const input = h("div", { class: "tool-input" });
	const inner = h("div", { class: "nested", role: "group", "aria-label": "Sub-agent" });
	const outBox = h("div", { class: "tool-output" });
	const sync = keyed(inner, makeItem);
	const drawn = { input: undefined, patch: undefined, output: undefined, fill: null };
	parent.append(input, inner, outBox);
	return {
		update(tool) {
			const changes = changesOf(tool);
			if (drawn.input !== tool.input || drawn.patch !== tool.patch || (changes && drawn.output !== tool.output)) {
				drawn.input = tool.input;
				drawn.patch = tool.patch;
				input.replaceChildren(...inputViews(tool, changes));
				show(input, input.firstChild !== null);
			}
			sync(tool.items);
			show(inner, tool.items.length > 0);
			if (drawn.output !== tool.output) {
				drawn.output = tool.output;
				drawn.fill = drawOutput(outBox, drawn.fill, tool, changes);
			}
		},
	};
}

function inputViews(tool, changes) {
	if (Array.isArray(tool.input?.todos))
		return [todoList(tool.input.todos)];
	if (tool.input === null || typeof tool.input !== "object" || Array.isArray(tool.input))
		return [shortInput(tool.input)];
	const command = changes === null && typeof tool.input.command === "string" ? tool.input.command : null;
	const hidden = changes === null ? null : notInChanges(tool.name, tool.input);
	const rest = inputFields(tool.input).filter((field) => (hidden === null ? !isSaid(tool, field) : hidden.includes(field.name))
		&& !(command !== null && (field.name === "command" || field.name === "description")));
	const more = Object.fromEntries(rest.map((field) => [field.name, tool.input[field.name]]));
	return [
		changes === null ? null : diffView(changes),
		command === null ? null : commandView(command, tool.input.description),
		rest.length > 0 ? shortInput(more) : null,
	].filter(Boolean);
}

/* Whether the line of the card has all of a field already. */
function isSaid(tool, field) {
	if (field.name === "offset" || field.name === "limit")
		return pathOf(tool.input) !== null;
	return field.text.length <= SAID_CHARS && !field.text.includes("\n") && toolSubject(tool.name, tool.input).includes(visible(field.text));
}

function commandView(command, description) {
	const view = foldedText("Command", (el, text) => setExactCode(el, text, "sh"));
	view.update(command);
	return h("div", { class: "command" }, typeof description === "string" && description !== "" ? h("p", { class: "label" }, visible(description)) : null, view.el);
}

const MARKS = { completed: "☑", in_progress: "◐", pending: "☐" };

function todoList(todos) {
	return h("ul", { class: "todos" }, ...todos.map((todo) => h("li", { "data-state": todo?.status ?? null },
		h("span", { "aria-hidden": "true" }, MARKS[todo?.status] ?? MARKS.pending), " ",
		h("span", { class: "sr" }, todo?.status === "completed" ? "done: " : todo?.status === "in_progress" ? "now: " : ""),
		visible(todo?.content ?? todo?.title ?? ""))));
}

/* Of an edit that went well the diff is the result: what the harness says of it is for the model. */
function drawOutput(parent, folded, tool, changes) {
	const text = withoutEnvelope(plainOutput(outputText(tool.output))).replace(/\n+$/, "");
	show(parent, text.trim() !== "" && !(changes !== null && tool.state === "completed"));
	if (parent.hidden)
		return folded;
	const path = pathOf(tool.input);
	const isFile = path !== null && tool.state === "completed" && /read/i.test(tool.name);
	const view = folded ?? foldedText("Output", isFile ? fileFiller(path) : undefined);
	if (!folded)
		parent.replaceChildren(h("div", { class: "label" }, isFile ? "File" : "Output"), view.el);
	view.update(text);
	return view;
}
