/* SPDX-License-Identifier: MIT */
/*
 * Code as elements: with colors, with the numbers of its lines, and what an edit
 * changes. Text only ever goes in as text.
 */

import { h, setVisible, show } from "./dom.js";
import { languageOf, tokens } from "./highlight.js";
import { numbered, plural, visible } from "./text.js";

/* A diff shows this many lines until asked for all. */
const DIFF_LINES = 120;

/* Puts text with colors into an element, and leaves what is the same at its beginning alone: code that streams in grows. */
export function setCode(el, text, language) {
	const list = tokens(text, language);
	const old = el.childNodes;
	let same = 0;
	while (same < list.length && same < old.length && isToken(old[same], list[same]))
		same++;
	while (old.length > same)
		el.lastChild.remove();
	el.append(...list.slice(same).map(({ kind, text: part }) => (kind === "" ? part : h("span", { class: `t-${kind}` }, part))));
}

function isToken(node, { kind, text }) {
	return node.data === text ? kind === "" : node.className === `t-${kind}` && node.textContent === text;
}

/* The same with hidden characters spelled out. */
export function setExactCode(el, text, language) {
	el.replaceChildren(...tokens(text, language).map(({ kind, text: part }) => {
		const span = h("span", kind === "" ? null : { class: `t-${kind}` });
		setVisible(span, part);
		return span;
	}));
}

/* Returns the function which fills an element with a file's text as a Read tool gave it. */
export function fileFiller(path) {
	const language = languageOf(path);
	return (el, text) => {
		const file = numbered(text);
		el.classList.toggle("has-numbers", file !== null);
		if (file === null) {
			setExactCode(el, text, language);
			return;
		}
		const code = h("span", { class: "code-text" });
		const rest = h("span", { class: "code-rest" });
		setExactCode(code, file.text, language);
		setVisible(rest, file.rest);
		el.replaceChildren(h("span", { class: "code-numbers", "aria-hidden": "true" }, file.numbers), code, rest);
		show(rest, file.rest.trim() !== "");
	};
}

/* Makes the view of changes as diff.js tells them. whole: every line, for what is to be approved. */
export function diffView(changes, { whole = false, named = true } = {}) {
	return h("div", { class: "diffs" }, ...changes.map((change) => oneChange(change, whole, named || changes.length > 1)));
}

function oneChange(change, whole, named) {
	const language = languageOf(change.path);
	const all = change.hunks.reduce((n, hunk) => n + hunk.lines.length, 0);
	const rows = h("div", { class: "diff-rows" });
	const box = h("div", { class: "diff-box", tabindex: "0", role: "region", "aria-label": `Changes of ${visible(change.path)}: ${countWords(change)}` }, rows);
	const more = h("button", { type: "button", class: "text-button" }, `Show all ${plural(all, "line")}`);
	const draw = (limit) => rows.replaceChildren(...diffRows(change, language, limit));
	draw(whole ? Infinity : DIFF_LINES);
	show(more, !whole && all > DIFF_LINES);
	more.addEventListener("click", () => {
		draw(Infinity);
		more.remove();
	});
	return h("div", { class: "diff" }, named ? h("div", { class: "diff-head" }, h("span", { class: "diff-path" }, visible(change.path)), countView(change)) : null, box, more);
}

function countWords({ added, removed }) {
	return `${plural(added, "line")} added, ${removed} removed`;
}

/* "+3 −1" in colors, in words for a screen reader. */
export function countView({ added, removed }) {
	return h("span", { class: "counts" }, h("span", { class: "sr" }, countWords({ added, removed })),
		added > 0 || removed === 0 ? h("span", { class: "count-add", "aria-hidden": "true" }, `+${added}`) : null,
		removed > 0 ? h("span", { class: "count-del", "aria-hidden": "true" }, `−${removed}`) : null);
}

const CLASSES = { "+": "is-add", "-": "is-del", " ": "" };

function diffRows(change, language, limit) {
	const rows = [];
	const known = change.hunks.some((hunk) => hunk.oldStart > 0 || hunk.newStart > 0);
	for (const hunk of change.hunks) {
		let oldLine = hunk.oldStart;
		let newLine = hunk.newStart;
		if (rows.length > 0)
			rows.push(h("div", { class: "diff-gap", role: "separator" }, "⋯"));
		for (const { sign, text } of hunk.lines) {
			if (rows.length >= limit)
				return rows;
			const number = sign === "-" ? oldLine : newLine;
			const code = h("span", { class: "diff-text" });
			setExactCode(code, text, language);
			rows.push(h("div", { class: `diff-row ${CLASSES[sign]}` },
				known ? h("span", { class: "diff-number", "data-n": number > 0 ? String(number) : "" }) : null,
				h("span", { class: "diff-sign" }, sign), code));
			oldLine += sign !== "+" && hunk.oldStart > 0 ? 1 : 0;
			newLine += sign !== "-" && hunk.newStart > 0 ? 1 : 0;
		}
	}
	return rows;
}
