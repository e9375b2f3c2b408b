/* SPDX-License-Identifier: MIT */
/*
 * Cards of tool calls, and the exact display of a tool's input which the
 * approval card shares.
 */

import { h, keyed, setText, setVisible, show } from "./dom.js";
import { outputText } from "./state.js";
import { characters, count, lineCount, plural, pretty, visible } from "./text.js";

const FOLD_LINES = 8;
const FOLD_CHARS = 1000;

const STATES = {
	pending: "Preparing", running: "Running", completed: "Done", failed: "Failed",
	cancelled: "Cancelled", rejected: "Denied", ended: "No result",
};

/* Returns the fields of a tool's input: [{name, text, json}]; name is null when there are none. */
export function inputFields(input) {
	if (input === null || input === undefined)
		return [];
	if (typeof input !== "object" || Array.isArray(input))
		return [{ name: null, text: pretty(input), json: typeof input !== "string" }];
	return Object.entries(input).map(([name, value]) =>
		({ name, text: pretty(value), json: typeof value !== "string" }));
}

/* Returns "3 lines, 120 characters" for all of an input. */
export function inputSize(input) {
	const fields = inputFields(input);
	const chars = fields.reduce((sum, field) => sum + characters(field.text), 0);
	const lines = fields.reduce((sum, field) => sum + lineCount(field.text), 0);
	return `${plural(lines, "line")}, ${plural(chars, "character")}`;
}

/* Makes the display of a whole input, field by field, never as Markdown. */
export function inputView(input) {
	const fields = inputFields(input);
	if (fields.length === 0)
		return h("p", { class: "quiet" }, "No input");
	const list = h("dl", { class: "fields" });
	for (const field of fields) {
		const value = h("dd", { class: field.json ? "exact json" : "exact" });
		setVisible(value, field.text);
		if (field.name !== null)
			list.append(h("dt", null, visible(field.name)));
		list.append(value);
	}
	return list;
}

/*
 * Makes a box of long text which shows its beginning until asked for all.
 * Returns {el, update(text)}.
 */
function foldedText(label) {
	const pre = h("pre", { class: "exact", tabindex: "0", "aria-label": label });
	const button = h("button", { type: "button", class: "text-button", "aria-expanded": "false" });
	const el = h("div", { class: "fold" }, pre, button);
	const fold = { text: "", open: false };
	const draw = () => {
		const short = beginning(fold.text);
		const long = short.length < fold.text.length;
		setVisible(pre, fold.open ? fold.text : short);
		el.classList.toggle("is-folded", long && !fold.open);
		show(button, long);
		button.setAttribute("aria-expanded", String(fold.open));
		setText(button, fold.open ? "Show less" : `Show all (${plural(lineCount(fold.text), "line")}, ` +
			`${count(fold.text.length)} characters)`);
	};
	button.addEventListener("click", () => {
		fold.open = !fold.open;
		draw();
	});
	return {
		el,
		update(text) {
			fold.text = text;
			draw();
		},
	};
}

/* Returns the beginning of a long text, or all of a short one. */
function beginning(text) {
	let end = 0;
	for (let line = 0; line < FOLD_LINES; line++) {
		const next = text.indexOf("\n", end);
		if (next < 0) {
			end = text.length;
			break;
		}
		end = next + 1;
	}
	if (text.slice(end).trim() === "")
		end = text.length;
	return text.length <= FOLD_CHARS || end <= FOLD_CHARS ? text.slice(0, end) : text.slice(0, FOLD_CHARS);
}

/*
 * Makes the card of a tool call. makeItem makes the views of a sub-agent's
 * items. Returns {el, update(tool)}. While the call waits for an approval its
 * input is shown by the approval card alone.
 */
export function toolCard(makeItem) {
	const name = h("span", { class: "tool-name" });
	const badge = h("span", { class: "badge" });
	const head = h("div", { class: "tool-head" }, h("span", { class: "dot", "aria-hidden": "true" }), name, badge);
	const input = h("div", { class: "tool-input" });
	const inner = h("div", { class: "nested", role: "group", "aria-label": "Sub-agent" });
	const output = foldedText("Output");
	const outBox = h("div", { class: "tool-output" }, h("div", { class: "label" }, "Output"), output.el);
	const el = h("section", { class: "tool" }, head, input, inner, outBox);
	const sync = keyed(inner, makeItem);
	const drawn = { input: undefined, output: undefined };

	return {
		el,
		update(tool) {
			const awaited = tool.awaits !== null;
			setText(name, visible(tool.name));
			setText(badge, awaited ? "Needs approval" : STATES[tool.state] ?? tool.state);
			el.dataset.state = awaited ? "awaited" : tool.state;
			el.setAttribute("aria-label", `Tool ${tool.name}`);
			if (drawn.input !== tool.input) {
				drawn.input = tool.input;
				input.replaceChildren(shortInput(tool.input));
			}
			show(input, !awaited && tool.input !== null);
			sync(tool.items);
			show(inner, tool.items.length > 0);
			if (drawn.output !== tool.output) {
				drawn.output = tool.output;
				output.update(outputText(tool.output).replace(/\n+$/, ""));
			}
			show(outBox, tool.output !== null && outputText(tool.output).trim() !== "");
		},
	};
}

/* The input in a card: fields, the long ones folded. */
function shortInput(input) {
	const fields = inputFields(input);
	if (fields.length === 0)
		return h("p", { class: "quiet" }, "No input");
	const list = h("dl", { class: "fields" });
	for (const field of fields) {
		const value = foldedText(field.name ?? "Input");
		value.update(field.text);
		if (field.name !== null)
			list.append(h("dt", null, visible(field.name)));
		list.append(h("dd", { class: field.json ? "json" : null }, value.el));
	}
	return list;
}
