/* SPDX-License-Identifier: MIT */
/*
 * Colors for code: splits text into words of a few kinds, by one pattern a
 * family of languages. It knows no grammar and never fails: what it does not
 * know is plain. Nothing here touches the document.
 */

/* Longer text is plain: coloring must stay a matter of a few milliseconds. */
const MAX_CHARS = 60000;

const DOUBLE = String.raw`"(?:[^"\\\n]|\\.)*"?`;
const SINGLE = String.raw`'(?:[^'\\\n]|\\.)*'?`;
const BACKTICK = "`(?:[^`\\\\]|\\\\[^])*`?";
const SLASHES = String.raw`\/\/.*`;
const BLOCK = String.raw`\/\*[^]*?(?:\*\/|$(?![^]))`;
const HASH = String.raw`(?<![\w$&])#.*`;
const NUMBER = String.raw`(?<![\w$])(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)[a-zA-Z%]*`;

const words = (text) => text.trim().split(/\s+/).join("|");
const keywords = (text, before = String.raw`(?<![\w$.-])`) => `${before}(?:${words(text)})(?![\\w$-])`;

const JS = keywords(`abstract any as async await boolean break case catch class const constructor continue debugger declare default delete do else
	enum export extends false finally for from function get if implements import in infer instanceof interface is keyof let namespace never new null number
	of private protected public readonly return satisfies set static string super switch this throw true try type typeof undefined unknown var void while with yield`);
const PYTHON = keywords(`and as assert async await break case class continue def del elif else except False finally for from global if import in is
	lambda match None nonlocal not or pass raise return self True try while with yield`);
const C = keywords(`abstract alignas auto base bool boolean break byte case catch char class const constexpr continue default defer delete do double dyn else enum
	explicit export extends extern false final finally float fn for foreach friend fun func go goto if impl implements import in inline int interface internal is
	let long loop match mod module move mut namespace new nil noexcept nullptr null operator override package private protected pub public range ref register
	return Self self sealed short signed size_t sizeof static string struct super switch template this throw throws trait true try type typedef typename uint8_t
	uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t union unsafe unsigned use using val var virtual void volatile when where while yield`);
const SHELL = keywords(`if then else elif fi for while until do done case esac in function return exit export local readonly set unset shift source trap
	echo cd eval exec test`);
const SQL = keywords(`add all alter and as asc begin between by case check column commit constraint create cross default delete desc distinct drop else end exists
	foreign from full group having if in index inner insert into is join key left like limit not null on or order outer primary references returning right rollback
	select set table then transaction union unique update using values view when where with`);
const RUBY = keywords(`alias and begin break case class def do else elsif end ensure false for if in module next nil not or raise redo require rescue retry return
	self super then true undef unless until when while yield local function repeat`);

const CALL = String.raw`(?<![\w$])[A-Za-z_$][\w$]*(?=\()`;
const TYPE = String.raw`(?<![\w$])[A-Z][\w$]*[a-z][\w$]*`;

/*
 * Families: [kind, pattern] in order of precedence. A pattern that may fail looks at few characters or
 * at those which no later start looks at again: text of any kind must take time in its length only.
 */
const FAMILIES = {
	js: [["com", `${SLASHES}|${BLOCK}`], ["str", `${DOUBLE}|${SINGLE}|${BACKTICK}`], ["num", NUMBER], ["key", JS], ["fn", CALL], ["type", TYPE]],
	c: [["com", `${SLASHES}|${BLOCK}`], ["meta", String.raw`^[ \t]*#[ \t]*[a-z]+(?:.*\\\n)*.*|^[ \t]*#!?\[.*\]`],
		["str", `${DOUBLE}|'(?:[^'\\\\\\n]|\\\\.[^'\\n]*)'|${BACKTICK}`], ["num", NUMBER], ["key", C], ["fn", CALL], ["type", TYPE]],
	py: [["com", HASH], ["str", String.raw`"""[^]*?(?:"""|$(?![^]))|'''[^]*?(?:'''|$(?![^]))|` + `${DOUBLE}|${SINGLE}`],
		["meta", String.raw`^[ \t]*@[\w.]+`], ["num", NUMBER], ["key", PYTHON], ["fn", CALL], ["type", TYPE]],
	sh: [["com", String.raw`(?<![^\s;(])#.*`], ["str", String.raw`"(?:[^"\\]|\\[^])*"?|'[^']*'?`], ["var", String.raw`\$(?:\w+|\{[^}\n]{0,200}\}|[?#@*!$-])`],
		["meta", String.raw`(?<=\s)--?[A-Za-z][\w-]*`], ["num", String.raw`(?<![\w./-])\d+(?![\w./-])`], ["key", SHELL]],
	rb: [["com", `${HASH}|--.*`], ["str", `${DOUBLE}|${SINGLE}`], ["var", String.raw`(?<!:):\w+|@\w+`], ["num", NUMBER], ["key", RUBY], ["fn", CALL], ["type", TYPE]],
	sql: [["com", `--.*|${BLOCK}`], ["str", `'(?:[^']|'')*'?|${DOUBLE}`], ["num", NUMBER], ["key", SQL, "i"]],
	json: [["fn", String.raw`"(?:[^"\\\n]|\\.)*"(?=\s*:)`], ["str", DOUBLE], ["com", `${SLASHES}|${BLOCK}`], ["num", String.raw`-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`],
		["key", String.raw`\b(?:true|false|null)\b`]],
	yaml: [["com", String.raw`(?<!\S)#.*`], ["fn", String.raw`^[ \t]*(?:- +)*[\w."'/-]+(?=[ \t]*[:=](?:\s|$))`], ["type", String.raw`^[ \t]*\[.*\][ \t]*$`],
		["str", String.raw`"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?`], ["num", String.raw`(?<=[:=\[,-] {0,4})-?\d[\d._:TZ-]{0,40}(?=[\s,\]]|$)`],
		["key", String.raw`(?<=[:=\[,-] {0,4})(?:true|false|null|yes|no|on|off)(?=[\s,\]]|$)`]],
	html: [["com", String.raw`<!--[^]*?(?:-->|$(?![^]))`], ["key", String.raw`<\/?[A-Za-z][\w:-]*|\/?>|<![A-Za-z][^<>]*>?|<\?[^<>]*>?`],
		["fn", String.raw`(?<=\s)[@:A-Za-z][\w:.@-]*(?==)`], ["str", String.raw`(?<==)(?:"[^"]*"?|'[^']*'?)`], ["num", String.raw`&#?\w+;`]],
	css: [["com", `${BLOCK}|${SLASHES}`], ["str", `${DOUBLE}|${SINGLE}`], ["meta", String.raw`@[\w-]+`], ["var", String.raw`--[\w-]+`],
		["num", String.raw`#[\da-fA-F]{3,8}\b|(?<![\w-])-?\d*\.?\d+(?:%|[a-z]+)?`], ["fn", String.raw`(?<![\w-])[\w-]+(?=\s*:\s)`], ["type", String.raw`[.#][A-Za-z_][\w-]*`]],
	diff: [["meta", String.raw`^(?:diff|index|---|\+\+\+|@@).*`], ["add", String.raw`^\+.*`], ["del", String.raw`^-.*`]],
};

const NAMES = {
	js: "js jsx ts tsx mjs cjs mts cts javascript typescript vue svelte",
	c: "c h cc cpp cxx hpp hh c++ cs csharp java go golang rs rust swift kt kotlin scala dart php proto zig objc m groovy glsl",
	py: "py python pyi python3 starlark bzl",
	sh: "sh bash zsh fish shell console shellsession dockerfile makefile make mk env powershell ps1 terminal",
	rb: "rb ruby lua ex exs elixir",
	sql: "sql psql mysql sqlite postgres",
	json: "json jsonc json5 ndjson jsonl",
	yaml: "yaml yml toml ini conf cfg properties",
	html: "html htm xml svg xhtml",
	css: "css scss less sass",
	diff: "diff patch",
};

const FAMILY = new Map(Object.entries(NAMES).flatMap(([family, names]) => names.split(" ").map((name) => [name, family])));
const patterns = new Map();

function pattern(family) {
	if (!patterns.has(family)) {
		const rules = FAMILIES[family];
		const flags = rules.some((rule) => rule[2] === "i") ? "gmi" : "gm";
		patterns.set(family, new RegExp(rules.map(([kind, source]) => `(?<${kind}>${source})`).join("|"), flags));
	}
	return patterns.get(family);
}

/* Returns the name of a language as far as it is known here, else ""; takes a fence's word or a file's name. */
export function languageOf(name) {
	const word = String(name ?? "").toLowerCase().split(/[\\/]/).pop();
	const last = word.includes(".") ? word.slice(word.lastIndexOf(".") + 1) : word;
	return FAMILY.get(word) ?? FAMILY.get(last) ?? "";
}

/*
 * Splits code into [{kind, text}], joined in order; kind is "" of what has no color. Kinds: com str
 * num key fn type var meta add del.
 */
export function tokens(text, language) {
	const family = FAMILIES[language] ? language : languageOf(language);
	if (family === "" || text.length > MAX_CHARS)
		return text === "" ? [] : [{ kind: "", text }];
	const out = [];
	let from = 0;
	for (const match of text.matchAll(pattern(family))) {
		if (match[0] === "")
			continue;
		if (match.index > from)
			out.push({ kind: "", text: text.slice(from, match.index) });
		const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
		out.push({ kind, text: match[0] });
		from = match.index + match[0].length;
	}
	if (from < text.length)
		out.push({ kind: "", text: text.slice(from) });
	return out;
}
