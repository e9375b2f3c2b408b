/* SPDX-License-Identifier: MIT */
/*
 * The few helpers the page builds its elements with. All text goes in as text
 * nodes; nothing here takes markup.
 */

import { visibleRuns } from "./text.js";

/* Above this many spelled-out runs they are put in as plain text, to keep the page light. */
const MAX_RUNS = 4000;

/*
 * Makes an element. Of props, "class" is the class name, on<name> functions are
 * listeners, true sets an empty attribute, null and false none. Children are
 * nodes, text, or null to skip.
 */
export function h(tag, props, ...children) {
	const el = document.createElement(tag);
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (typeof value === "function")
			el.addEventListener(name.slice(2), value);
		else
			el.setAttribute(name, value === true ? "" : value);
	}
	for (const child of children) {
		if (child !== null && child !== undefined)
			el.append(child);
	}
	return el;
}

/* Sets the text of an element, and leaves the document alone when it is there already. */
export function setText(el, text) {
	if (el.textContent !== text)
		el.textContent = text;
}

/* Shows or hides an element. */
export function show(el, on) {
	if (el.hidden === on)
		el.hidden = !on;
}

/* Makes an icon of 20 by 20 from the data of one SVG path. */
export function icon(path) {
	const ns = "http://www.w3.org/2000/svg";
	const svg = document.createElementNS(ns, "svg");
	svg.setAttribute("viewBox", "0 0 20 20");
	svg.setAttribute("aria-hidden", "true");
	const line = document.createElementNS(ns, "path");
	line.setAttribute("d", path);
	svg.append(line);
	return svg;
}

/* Fills an element with text whose hidden characters are spelled out and marked. */
export function setVisible(el, text) {
	const runs = visibleRuns(text);
	if (runs.length > MAX_RUNS) {
		el.replaceChildren(runs.map((run) => run.text).join(""));
		return;
	}
	el.replaceChildren(...runs.map((run) => run.hidden
		? h("span", { class: "esc", title: "A character that would not be seen" }, run.text)
		: run.text));
}

/*
 * Keeps the children of parent in step with a list of models, each with a
 * unique key. make(model) returns {el, update(model)}; update is called when the
 * model is another object than before. Returns the function that takes a list.
 */
export function keyed(parent, make) {
	const live = new Map();
	return function sync(list) {
		const seen = new Set();
		let cursor = parent.firstChild;
		for (const model of list) {
			seen.add(model.key);
			let entry = live.get(model.key);
			if (!entry) {
				entry = { part: make(model), model: null };
				live.set(model.key, entry);
			}
			if (entry.model !== model) {
				entry.part.update(model);
				entry.model = model;
			}
			if (entry.part.el === cursor)
				cursor = cursor.nextSibling;
			else
				parent.insertBefore(entry.part.el, cursor);
		}
		for (const [key, entry] of live) {
			if (!seen.has(key)) {
				entry.part.el.remove();
				live.delete(key);
			}
		}
	};
}

/* Copies text to the clipboard. Returns whether it worked. */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		return copyBySelection(text);
	}
}

/* The older way, for a page that is not a secure context. */
function copyBySelection(text) {
	const area = h("textarea", { class: "sr", readonly: true });
	const before = document.activeElement;
	area.value = text;
	document.body.append(area);
	area.select();
	let done = false;
	try {
		done = document.execCommand("copy");
	} catch {
		done = false;
	}
	area.remove();
	before?.focus();
	return done;
}

/* Makes a button that copies what getText returns and says so for a moment. */
export function copyButton(getText, label) {
	const button = h("button", { type: "button", class: "text-button copy", "aria-label": label }, "Copy");
	let timer = 0;
	button.addEventListener("click", async () => {
		const done = await copy(getText());
		button.textContent = done ? "Copied" : "Not copied";
		clearTimeout(timer);
		timer = setTimeout(() => { button.textContent = "Copy"; }, 1600);
	});
	return button;
}
