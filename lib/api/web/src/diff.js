/* SPDX-License-Identifier: MIT */
/*
 * What an edit changes, line by line: from the input of a tool call, or from
 * what its result says. Nothing here touches the document.
 *
 * A change of one file: {path, isNew, hunks, added, removed}
 *   hunk {oldStart, newStart, lines: [{sign, text}]}; sign is " ", "+" or "-";
 *   the starts are 0 when nobody said where in its file the text is.
 */

/* Above this many pairs of lines no common ones are looked for: the old text goes, the new one comes. */
const MAX_PAIRS = 1000000;

/* Lines of unchanged text around a change. */
const CONTEXT = 3;

/* Splits text into lines; a last line feed starts no new line. */
function linesOf(text) {
	if (text === "")
		return [];
	const lines = text.replace(/\r\n/g, "\n").split("\n");
	if (lines.at(-1) === "")
		lines.pop();
	return lines;
}

/* Returns [{sign, text}]: how the lines of one text become those of another. */
export function lineDiff(oldText, newText) {
	const a = linesOf(oldText);
	const b = linesOf(newText);
	let head = 0;
	while (head < a.length && head < b.length && a[head] === b[head])
		head++;
	let tail = 0;
	while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail))
		tail++;
	const same = (list) => list.map((text) => ({ sign: " ", text }));
	return [...same(a.slice(0, head)), ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)), ...same(a.slice(a.length - tail))];
}

/* The longest common subsequence of what is between common beginning and end. */
function middle(a, b) {
	const out = [];
	if (a.length === 0 || b.length === 0 || a.length * b.length > MAX_PAIRS)
		return [...a.map((text) => ({ sign: "-", text })), ...b.map((text) => ({ sign: "+", text }))];
	const wide = b.length + 1;
	const best = new Uint32Array((a.length + 1) * wide);
	for (let i = a.length - 1; i >= 0; i--) {
		for (let j = b.length - 1; j >= 0; j--) {
			best[i * wide + j] = a[i] === b[j] ? best[(i + 1) * wide + j + 1] + 1
				: Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
		}
	}
	let i = 0;
	let j = 0;
	while (i < a.length || j < b.length) {
		if (i < a.length && j < b.length && a[i] === b[j]) {
			out.push({ sign: " ", text: a[i++] });
			j++;
		} else if (i < a.length && (j === b.length || best[(i + 1) * wide + j] >= best[i * wide + j + 1])) {
			out.push({ sign: "-", text: a[i++] });
		} else {
			out.push({ sign: "+", text: b[j++] });
		}
	}
	return out;
}

/* Splits a whole diff into hunks with a few lines around each change. */
export function hunksOf(lines, start) {
	const keep = new Uint8Array(lines.length);
	lines.forEach((line, at) => {
		if (line.sign !== " ")
			keep.fill(1, Math.max(0, at - CONTEXT), at + CONTEXT + 1);
	});
	const hunks = [];
	let oldLine = start;
	let newLine = start;
	let open = null;
	lines.forEach((line, at) => {
		if (keep[at] && open === null) {
			open = { oldStart: oldLine, newStart: newLine, lines: [] };
			hunks.push(open);
		}
		if (keep[at])
			open.lines.push(line);
		else
			open = null;
		if (start > 0 && line.sign !== "+")
			oldLine++;
		if (start > 0 && line.sign !== "-")
			newLine++;
	});
	return hunks;
}

function change(path, hunks, isNew = false) {
	const sum = (sign) => hunks.reduce((n, hunk) => n + hunk.lines.filter((line) => line.sign === sign).length, 0);
	return { path: path ?? "", isNew, hunks, added: sum("+"), removed: sum("-") };
}

const text = (value) => (typeof value === "string" ? value : null);

/* Names differ between harnesses: old_string, oldString; file_path, filePath, path. */
function first(input, ...names) {
	for (const name of names) {
		if (text(input?.[name]) !== null)
			return input[name];
	}
	return null;
}

export function pathOf(input) {
	return first(input, "file_path", "filePath", "path", "notebook_path", "abs_path", "absolute_path");
}

/* The fields of an input that a diff shows, so that they are not shown again. */
export const SHOWN = new Set(["file_path", "filePath", "path", "old_string", "oldString", "new_string", "newString", "content", "edits", "patchText", "patch"]);

function fromStrings(path, edits) {
	const hunks = edits.flatMap((edit) => {
		const before = first(edit, "old_string", "oldString", "old_text", "oldText");
		const after = first(edit, "new_string", "newString", "new_text", "newText");
		return before === null || after === null ? [] : hunksOf(lineDiff(before, after), before === "" ? 1 : 0);
	});
	return hunks.length > 0 ? [change(path, hunks)] : null;
}

const PATCH_FILE = /^(?:\*\*\* (?:Update|Add|Delete) File: |\+\+\+ (?:b\/)?)(.+)$/;

/* Reads a patch, unified or in the form of apply_patch. */
function fromPatch(patch) {
	const files = [];
	let file = null;
	let hunk = null;
	let before = "";
	const begin = (oldStart, newStart) => {
		hunk = { oldStart, newStart, lines: [] };
		file?.hunks.push(hunk);
	};
	for (const line of linesOf(patch)) {
		const name = PATCH_FILE.exec(line);
		const at = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
		const isHeader = name !== null && (line.startsWith("*") || before.startsWith("--- "));
		before = line;
		if (isHeader) {
			file = { path: name[1], isNew: line.startsWith("*** Add"), hunks: [] };
			files.push(file);
			hunk = null;
			if (line.startsWith("*** Add"))
				begin(0, 1);
		} else if (line.startsWith("@@")) {
			begin(Number(at?.[1] ?? 0), Number(at?.[2] ?? 0));
		} else if (file && /^[ +-]/.test(line) && !line.startsWith("--- ")) {
			if (hunk === null)
				begin(0, 0);
			hunk.lines.push({ sign: line[0], text: line.slice(1) });
		}
	}
	const changes = files.map((one) => change(one.path, one.hunks.filter((h) => h.lines.length > 0), one.isNew));
	return changes.length > 0 ? changes : null;
}

/* Returns the changes that the input of a call asks for, or null when it is no edit. */
export function changesOfInput(name, input) {
	if (input === null || typeof input !== "object" || Array.isArray(input))
		return null;
	const patch = first(input, "patchText", "patch");
	if (patch !== null && /^(?:\*\*\* |@@|\+\+\+ )/m.test(patch))
		return fromPatch(patch);
	const path = pathOf(input);
	if (path === null)
		return null;
	if (Array.isArray(input.edits))
		return fromStrings(path, input.edits);
	const strings = fromStrings(path, [input]);
	if (strings !== null)
		return strings;
	const content = first(input, "content");
	if (content === null || !/write|create/i.test(name))
		return null;
	return [change(path, hunksOf(lineDiff("", content), 1), true)];
}

/* Returns the changes that a result shows (blocks {type: "diff", path, oldText, newText}), or null. */
export function changesOfOutput(output) {
	if (!Array.isArray(output))
		return null;
	const changes = output.filter(isDiff).map((block) =>
		change(block.path, hunksOf(lineDiff(text(block.oldText) ?? "", block.newText), text(block.oldText) === null ? 1 : 0), text(block.oldText) === null));
	return changes.length > 0 ? changes : null;
}

export function isDiff(block) {
	return block?.type === "diff" && typeof block.newText === "string";
}

/* Returns the changes of a call with their places in the file as the harness told them, or null. */
export function changesOfPatch(path, patch) {
	if (!Array.isArray(patch) || patch.length === 0)
		return null;
	const hunks = patch.filter((hunk) => Array.isArray(hunk?.lines)).map((hunk) => ({
		oldStart: Number.isInteger(hunk.old_start) ? hunk.old_start : 0,
		newStart: Number.isInteger(hunk.new_start) ? hunk.new_start : 0,
		lines: hunk.lines.filter((line) => /^[ +-]/.test(line)).map((line) => ({ sign: line[0], text: line.slice(1) })),
	}));
	return hunks.length > 0 ? [change(path, hunks)] : null;
}

const known = new WeakMap();

/* Returns what a tool call changes, told as exactly as it is known, or null when it is no edit. */
export function changesOf(tool) {
	if (!known.has(tool))
		known.set(tool, changesOfPatch(pathOf(tool.input), tool.patch) ?? changesOfInput(tool.name, tool.input) ?? changesOfOutput(tool.output));
	return known.get(tool);
}
