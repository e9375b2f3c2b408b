/* SPDX-License-Identifier: MIT */
/*
 * Text as it is shown: invisible and misleading characters made visible, and
 * numbers, money and times in words. Nothing here touches the document.
 */

/*
 * Characters which show nothing, change the order of what is beside them or
 * look like a plain space: controls, format characters (all bidirectional ones
 * are), unassigned and private ones, lone surrogates, other spaces, fillers and
 * the supplementary variation selectors. Line feeds and tabs are kept: they are shown as what they are.
 */
const HIDDEN = new RegExp(
	"(?:(?![\\n\\t])[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}" +
	"\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000" +
	"\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u2800\\u3164\\uffa0" +
	"\\ufe00-\\ufe0e\\u{e0100}-\\u{e01ef}])+", "gu");

const SHORT = { "\r": "\\r", "\0": "\\0", "\x1b": "\\e", "\b": "\\b" };

/* Returns the visible spelling of one hidden character, such as \u202e. */
function spell(char) {
	if (SHORT[char])
		return SHORT[char];
	const hex = char.codePointAt(0).toString(16);
	return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
}

/*
 * Splits text into runs that may be shown as they are and runs that were
 * spelled out. Returns [{text, hidden}], joined in order.
 */
export function visibleRuns(text) {
	const runs = [];
	let from = 0;
	for (const match of text.matchAll(HIDDEN)) {
		if (match.index > from)
			runs.push({ text: text.slice(from, match.index), hidden: false });
		runs.push({ text: Array.from(match[0], spell).join(""), hidden: true });
		from = match.index + match[0].length;
	}
	if (from < text.length)
		runs.push({ text: text.slice(from), hidden: false });
	return runs;
}

/* Returns text with every hidden character spelled out. */
export function visible(text) {
	return visibleRuns(String(text)).map((run) => run.text).join("");
}

/*
 * Returns what a program wrote for a terminal as text: colors, titles and movements left out, and a
 * line feed for each way to end a line. What was written over is kept, on a line of its own.
 */
export function plainOutput(text) {
	return text.replace(/\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))/g, "")
		.replace(/\r+\n?/g, "\n");
}

/* A line of a file as Read tools give it: its number, an arrow, a tab, a bar or a colon, its text. */
const NUMBERED = /^ *(\d{1,7})(?:\u2192|\t|\| ?|: ?)(.*)$/;

/* What OpenCode puts around a file. */
const ENVELOPE = /^<path>.*<\/path>\n<type>file<\/type>\n<content>\n([^]*?)\n?<\/content>\s*$/;

/* Returns the text of a file without what OpenCode puts around it; other text as it is. */
export function withoutEnvelope(text) {
	return ENVELOPE.exec(text)?.[1] ?? text;
}

/*
 * Splits the text of a file with numbered lines into {numbers, text, count, rest}, rest being what a
 * harness says below the file; returns null when it is none.
 */
export function numbered(text) {
	const lines = withoutEnvelope(text).split("\n");
	const found = [];
	for (const line of lines) {
		const match = NUMBERED.exec(line);
		if (!match || (found.length > 0 && Number(match[1]) !== Number(found.at(-1)[1]) + 1))
			break;
		found.push(match);
	}
	if (found.length === 0)
		return null;
	return {
		numbers: found.map((match) => match[1]).join("\n"), text: found.map((match) => match[2]).join("\n"),
		count: found.length, rest: lines.slice(found.length).join("\n"),
	};
}

const wholeNumber = new Intl.NumberFormat("en-US");

/* Returns 1234 as "1,234". */
export function count(n) {
	return wholeNumber.format(n);
}

/* Returns "1 line", "2 lines". */
export function plural(n, word) {
	return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

/* Returns the number of characters (code points) in text. */
export function characters(text) {
	let n = 0;
	for (const _ of text)
		n++;
	return n;
}

/* Returns the number of lines in text; a last line feed starts no new line. */
export function lineCount(text) {
	if (text === "")
		return 0;
	let n = 1;
	for (let at = text.indexOf("\n"); at >= 0 && at < text.length - 1; at = text.indexOf("\n", at + 1))
		n++;
	return n;
}

/* Returns a span of milliseconds as "0.8 s", "12 s" or "3 min 5 s". */
export function span(ms) {
	const s = ms / 1000;
	if (s < 9.95)
		return `${s.toFixed(1)} s`;
	if (s < 60)
		return `${Math.floor(s)} s`;
	return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
}

/* Returns the line under a turn: tokens, cost and time, as far as they are known. */
export function usageLine(usage, ms) {
	const words = [];
	if (usage && Number.isFinite(usage.input_tokens))
		words.push(`${count(usage.input_tokens)} in`);
	if (usage && Number.isFinite(usage.output_tokens))
		words.push(`${count(usage.output_tokens)} out`);
	if (usage && Number.isFinite(usage.cost_usd))
		words.push(money(usage.cost_usd));
	if (Number.isFinite(ms) && ms >= 50)
		words.push(span(ms));
	return words.join(" · ");
}

/* Returns dollars with as many digits as small sums need. */
function money(usd) {
	if (usd === 0)
		return "$0";
	return usd < 0.1 ? `$${usd.toFixed(4)}` : `$${usd.toFixed(2)}`;
}

/* Returns a time stamp (ISO 8601 text or milliseconds) in words, seen from now. */
export function ago(stamp, now) {
	const then = typeof stamp === "number" ? stamp : Date.parse(stamp);
	if (!Number.isFinite(then))
		return "";
	const s = Math.max(0, (now - then) / 1000);
	if (s < 60)
		return "just now";
	if (s < 3600)
		return `${Math.floor(s / 60)} min ago`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ago`;
	if (s < 7 * 86400)
		return plural(Math.floor(s / 86400), "day") + " ago";
	return new Date(then).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/* Returns the time of day of a time stamp (ISO 8601 text or milliseconds), or "". */
export function clock(stamp) {
	const then = typeof stamp === "number" ? stamp : Date.parse(stamp);
	if (!Number.isFinite(then))
		return "";
	return new Date(then).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

/* Returns any JSON value as text to read: text as it is, all else as indented JSON. */
export function pretty(value) {
	if (typeof value === "string")
		return value;
	return JSON.stringify(value, null, 2) ?? "";
}
