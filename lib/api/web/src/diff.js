/* SPDX-License-Identifier: MIT */
/*
 * What an edit changes, line by line: from the input of a tool call, or from
 * what its result says. Nothing here touches the document.
 *
 * A change of one file: {path, isNew, hunks, added, removed}
 *   hunk {oldStart, newStart, lines: [{sign, text}]}; sign is " ", "+" or "-";
 *   the starts are 0 when nobody said where in its file the text is.
 */

/* Above this many pairs of lines, of all edits of a call, no common ones are looked for: the old text goes, the new one comes. */
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

/* Returns [{sign, text}]: how the lines of one text become those of another. spent: what the call's other edits took. */
export function lineDiff(oldText, newText, spent = { pairs: 0 }) {
	const a = linesOf(oldText);
	const b = linesOf(newText);
	let head = 0;
	while (head < a.length && head < b.length && a[head] === b[head])
		head++;
	let tail = 0;
	while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail))
		tail++;
	const same = (list) => list.map((text) => ({ sign: " ", text }));
	return [...same(a.slice(0, head)), ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail), spent), ...same(a.slice(a.length - tail))];
}

/* The longest common subsequence of what is between common beginning and end. */
function middle(a, b, spent) {
	const out = [];
	const pairs = a.length * b.length;
	if (pairs === 0 || spent.pairs + pairs > MAX_PAIRS)
		return [...a.map((text) => ({ sign: "-", text })), ...b.map((text) => ({ sign: "+", text }))];
	spent.pairs += pairs;
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

const PATHS = ["file_path", "filePath", "path", "notebook_path", "abs_path", "absolute_path"];
const BEFORE = ["old_string", "oldString", "old_text", "oldText"];
const AFTER = ["new_string", "newString", "new_text", "newText"];

/* Names differ between harnesses: the first of them that has a text, or null. */
const named = (input, names) => names.find((name) => text(input?.[name]) !== null) ?? null;

export function pathOf(input) {
	const name = named(input, PATHS);
	return name === null ? null : input[name];
}

/* What an edit has when it is nothing out of the ordinary. */
const isPlain = (name, value) => (name === "replace_all" || name === "replaceAll") && value === false;

/* Whether lines show all that is in two texts: not how lines end, nor whether the last one does. */
const isExact = (before, after) => !before.includes("\r") && !after.includes("\r")
	&& (before === "" || after === "" || before.endsWith("\n") === after.endsWith("\n"));

/*
 * Reads edits {old_string, new_string} of one file. Returns {hunks, names, whole}: the names that the
 * last one has the texts under, and whether the hunks show all that is in the edits.
 */
function fromStrings(edits) {
	const out = { hunks: [], names: [], whole: true };
	const spent = { pairs: 0 };
	for (const edit of edits) {
		const before = named(edit, BEFORE);
		const after = named(edit, AFTER);
		if (before === null || after === null) {
			out.whole = false;
			continue;
		}
		out.names = [before, after];
		out.hunks.push(...hunksOf(lineDiff(edit[before], edit[after], spent), edit[before] === "" ? 1 : 0));
		out.whole &&= isExact(edit[before], edit[after]);
	}
	return out.hunks.length > 0 ? out : null;
}

/* Whether each edit of a list is its two texts and nothing more. */
const areBare = (edits) => edits.every((edit) => Object.entries(edit ?? {}).every(([name, value]) =>
	name === named(edit, BEFORE) || name === named(edit, AFTER) || isPlain(name, value)));

const PATCH_FILE = /^(?:\*\*\* (?:Update|Add|Delete) File: |\+\+\+ (?:b\/)?)(.+)$/;

/*
 * Reads a patch, unified or in the form of apply_patch. Returns {changes, whole}: whole when each of
 * its lines is in the changes, or says no more than they do.
 */
function fromPatch(patch) {
	const files = [];
	const isForm = /^\*\*\* /m.test(patch);
	let file = null;
	let hunk = null;
	let before = "";
	let whole = isForm && !patch.includes("\r");
	const begin = (oldStart, newStart) => {
		hunk = { oldStart, newStart, lines: [] };
		file?.hunks.push(hunk);
	};
	for (const line of linesOf(patch)) {
		const name = PATCH_FILE.exec(line);
		const at = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
		const isHeader = name !== null && (isForm ? line.startsWith("*") : before.startsWith("--- "));
		before = line;
		if (isHeader) {
			file = { path: name[1], isNew: line.startsWith("*** Add"), hunks: [] };
			files.push(file);
			hunk = null;
			whole &&= !line.startsWith("*** Delete");
			if (line.startsWith("*** Add"))
				begin(0, 1);
		} else if (line.startsWith("@@")) {
			begin(Number(at?.[1] ?? 0), Number(at?.[2] ?? 0));
			whole &&= file !== null && line === "@@";
		} else if (file && /^[ +-]/.test(line) && (isForm || !line.startsWith("--- "))) {
			if (hunk === null)
				begin(0, 0);
			hunk.lines.push({ sign: line[0], text: line.slice(1) });
		} else {
			whole &&= line === "*** Begin Patch" || line === "*** End Patch";
		}
	}
	const changes = files.map((one) => change(one.path, one.hunks.filter((h) => h.lines.length > 0), one.isNew));
	return changes.length > 0 ? { changes, whole } : null;
}

/* The edit that a call asks for: {changes, shown}, shown being the members of the input of which the changes show all. */
function editOf(name, input) {
	if (input === null || typeof input !== "object" || Array.isArray(input))
		return null;
	const patch = named(input, ["patchText", "patch"]);
	if (patch !== null && /^(?:\*\*\* |@@|\+\+\+ )/m.test(input[patch])) {
		const read = fromPatch(input[patch]);
		return read && { changes: read.changes, shown: new Set(read.whole ? [patch] : []) };
	}
	const path = named(input, PATHS);
	if (path === null)
		return null;
	const inOne = (read, names) => read && { changes: [change(input[path], read.hunks)], shown: new Set([path, ...(read.whole ? names(read) : [])]) };
	if (Array.isArray(input.edits))
		return inOne(fromStrings(input.edits), () => (areBare(input.edits) ? ["edits"] : []));
	const strings = inOne(fromStrings([input]), (read) => read.names);
	if (strings !== null)
		return strings;
	if (text(input.content) === null || !/write|create/i.test(name))
		return null;
	return { changes: [change(input[path], hunksOf(lineDiff("", input.content), 1), true)], shown: new Set([path, ...(isExact("", input.content) ? ["content"] : [])]) };
}

/* Returns the changes that the input of a call asks for, or null when it is no edit. */
export function changesOfInput(name, input) {
	return editOf(name, input)?.changes ?? null;
}

/*
 * Returns the names of the members of an input that its changes do not show whole: nothing that is
 * approved is hidden by them.
 */
export function notInChanges(name, input) {
	const shown = editOf(name, input)?.shown ?? new Set(PATHS);
	return Object.keys(input).filter((member) => !shown.has(member) && !isPlain(member, input[member]));
}

/* Returns the changes that a result shows (blocks {type: "diff", path, oldText, newText}), or null. */
export function changesOfOutput(output) {
	if (!Array.isArray(output))
		return null;
	const spent = { pairs: 0 };
	const changes = output.filter(isDiff).map((block) =>
		change(block.path, hunksOf(lineDiff(text(block.oldText) ?? "", block.newText, spent), text(block.oldText) === null ? 1 : 0), text(block.oldText) === null));
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
