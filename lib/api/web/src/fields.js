/* SPDX-License-Identifier: MIT */
/*
 * A tool's input field by field, exactly, and long text that is folded. Tool
 * cards and approvals share them.
 */

import { h, setText, setVisible, show } from "./dom.js";
import { characters, count, lineCount, plural, pretty, visible } from "./text.js";

const FOLD_LINES = 12;
const FOLD_CHARS = 2000;

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
	return fieldList(inputFields(input), (field) => {
		const value = h("dd", { class: field.json ? "exact json" : "exact" });
		setVisible(value, field.text);
		return value;
	});
}

/* The same with long values folded. */
export function shortInput(input) {
	return fieldList(inputFields(input), (field) => {
		const value = foldedText(field.name ?? "Input");
		value.update(field.text);
		return h("dd", { class: field.json ? "json" : null }, value.el);
	});
}

function fieldList(fields, makeValue) {
	if (fields.length === 0)
		return h("p", { class: "quiet" }, "No input");
	const list = h("dl", { class: "fields" });
	for (const field of fields) {
		if (field.name !== null)
			list.append(h("dt", null, visible(field.name)));
		list.append(makeValue(field));
	}
	return list;
}

/*
 * Makes a box of long text which shows its beginning until asked for all. fill(el, text) puts text
 * into it, as it is unless another way is given. Returns {el, update(text)}.
 */
export function foldedText(label, fill = setVisible) {
	const pre = h("pre", { class: "exact", tabindex: "0", "aria-label": label });
	const button = h("button", { type: "button", class: "text-button", "aria-expanded": "false" });
	const el = h("div", { class: "fold" }, pre, button);
	const fold = { text: "", open: false };
	const draw = () => {
		const short = beginning(fold.text);
		const long = short.length < fold.text.length;
		fill(pre, fold.open ? fold.text : short);
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
