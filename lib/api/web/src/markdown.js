/* SPDX-License-Identifier: MIT */
/*
 * Markdown of a model's reply as safe elements. Three walls: markup in the text
 * is shown as text except a few plain tags; what the renderer makes goes
 * through DOMPurify with a short list of tags and attributes; and the page's
 * Content-Security-Policy runs no inline script and loads nothing from elsewhere.
 *
 * A reply that streams in is parsed into top-level blocks, and only the blocks
 * whose source changed are drawn again.
 */

import { CarefulLexer } from "./careful.js";
import { Marked } from "./marked.js";
import { setCode } from "./codeview.js";
import { copyButton, h } from "./dom.js";

const PLAIN_TAG = /^<\/?(?:b|br|code|del|em|i|kbd|mark|s|strong|sub|sup|u)\s*\/?>$/i;
const LINK = /^(?:https?:|mailto:)/i;

const SAFE = {
	ALLOWED_TAGS: [
		"a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
		"kbd", "li", "mark", "ol", "p", "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th",
		"thead", "tr", "u", "ul",
	],
	ALLOWED_ATTR: ["href", "title", "align", "start", "class"],
	ALLOWED_URI_REGEXP: LINK,
	ADD_URI_SAFE_ATTR: ["align", "start"],
	ALLOW_DATA_ATTR: false,
	ALLOW_ARIA_ATTR: false,
	RETURN_DOM_FRAGMENT: true,
};

/* The longest time parsing may take of each moment: one part in this many. */
const SHARE = 4;

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;" };
const escapeHtml = (text) => text.replace(/[&<>"']/g, (char) => escapes[char]);

const marked = new Marked({
	gfm: true,
	renderer: {
		/* A block of markup is text, also one that is a plain tag: that would be an element with nothing in it. */
		html({ text, block }) {
			if (block)
				return `<p>${escapeHtml(text.trim()).replace(/\n/g, "<br>")}</p>`;
			return PLAIN_TAG.test(text.trim()) ? text : escapeHtml(text);
		},
		image({ href, text }) {
			const label = escapeHtml(text || "image");
			return LINK.test(href) ? `<a href="${escapeHtml(href)}">${label}</a>` : label;
		},
		checkbox({ checked }) {
			return checked ? "\u2611 " : "\u2610 ";
		},
	},
});

const purify = globalThis.DOMPurify;

/* Returns a fragment of safe elements for the markup a token became. */
export function sanitize(html) {
	const fragment = purify.sanitize(html, SAFE);
	for (const a of fragment.querySelectorAll("a")) {
		if (LINK.test(a.getAttribute("href") ?? "")) {
			a.setAttribute("target", "_blank");
			a.setAttribute("rel", "noopener noreferrer");
		} else {
			a.removeAttribute("href");
		}
	}
	for (const el of fragment.querySelectorAll("[class]")) {
		if (el.localName !== "code" || !/^language-[\w+#.-]+$/.test(el.className))
			el.removeAttribute("class");
	}
	return fragment;
}

/*
 * Makes the view of one text. Returns {el, update(text, final)}; while text is
 * not final, updates which come faster than they can be drawn are joined.
 */
export function markdownView() {
	const el = h("div", { class: "md" });
	const view = { el, blocks: [], text: "", drawn: null, timer: 0, readyAt: 0 };
	return {
		el,
		update(text, final) {
			view.text = text;
			const wait = view.readyAt - performance.now();
			if (final || wait <= 0) {
				draw(view);
			} else if (view.timer === 0) {
				view.timer = setTimeout(draw, wait, view);
			}
		},
	};
}

function draw(view) {
	clearTimeout(view.timer);
	view.timer = 0;
	if (view.drawn === view.text)
		return;
	const start = performance.now();
	view.drawn = view.text;
	drawBlocks(view, lex(view.text));
	const end = performance.now();
	view.readyAt = end + (end - start) * (SHARE - 1);
}

/* Returns the top-level tokens; text the parser gives up on is one plain block. */
function lex(text) {
	try {
		const tokens = new CarefulLexer(marked.defaults).lex(text);
		const links = Object.keys(tokens.links ?? {}).join("\n");
		return tokens.filter((token) => token.type !== "space" && token.type !== "def")
			.map((token) => ({ token, mark: `${token.type}\n${token.raw}\n${links}` }));
	} catch {
		return [{ token: { type: "plain", text }, mark: `plain\n${text}` }];
	}
}

function drawBlocks(view, wanted) {
	wanted.forEach(({ token, mark }, at) => {
		const old = view.blocks[at];
		if (old && old.mark === mark)
			return;
		if (old && old.code && token.type === "code") {
			old.code.update(token);
			old.mark = mark;
			return;
		}
		const block = makeBlock(token, mark);
		if (old)
			old.el.replaceWith(block.el);
		else
			view.el.append(block.el);
		view.blocks[at] = block;
	});
	for (const extra of view.blocks.splice(wanted.length))
		extra.el.remove();
}

function makeBlock(token, mark) {
	if (token.type === "code") {
		const code = codeBlock();
		code.update(token);
		return { el: code.el, mark, code };
	}
	const el = h("div", { class: "block" });
	el.append(blockContent(token));
	/* Its first letter says which way a list, a table or a quotation goes. */
	for (const one of el.querySelectorAll("ul, ol, table, blockquote"))
		one.dir = "auto";
	for (const pre of el.querySelectorAll("pre")) {
		const code = codeBlock();
		const inner = pre.querySelector("code");
		code.update({ text: pre.textContent.replace(/\n$/, ""), lang: inner?.className.replace("language-", "") });
		pre.replaceWith(code.el);
	}
	for (const table of el.querySelectorAll("table")) {
		const frame = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" });
		table.replaceWith(frame);
		frame.append(table);
	}
	return { el, mark, code: null };
}

function blockContent(token) {
	if (token.type !== "plain") {
		try {
			return sanitize(marked.parser([token]));
		} catch {
			/* Nested deeper than the parser can go: shown as it is. */
		}
	}
	return h("p", { class: "plain" }, token.raw ?? token.text);
}

/* A block of code with its language and a button to copy it; its text only ever grows in place. */
function codeBlock() {
	const lang = h("span", { class: "code-lang" });
	const code = h("code", { class: "colored" });
	const pre = h("pre", { tabindex: "0" }, code);
	const el = h("div", { class: "code" },
		h("div", { class: "code-head" }, lang, copyButton(() => code.textContent, "Copy this code")), pre);
	return {
		el,
		update(token) {
			const name = (token.lang ?? "").split(/\s/)[0];
			lang.textContent = name;
			pre.setAttribute("aria-label", name ? `Code, ${name}` : "Code");
			setCode(code, token.text, name);
		},
	};
}
