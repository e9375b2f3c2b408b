/* SPDX-License-Identifier: MIT */
/*
 * Markdown read in bounded time. The parser looks for the end of each mark in all that follows, so
 * a paragraph of nothing but marks takes the square of its length, and what is nested looks at its
 * text once a level. What would take too long is shown as it was written.
 */

import { Lexer } from "./marked.js";

/* Marks times characters: of one text that stands between blocks, and of all of a reply. */
const MAX_TEXT = 10000000;
const MAX_REPLY = 60000000;
const MAX_DEPTH = 40;
const MARK = /[*_~`[\]<>&:@!\\]/g;

export class CarefulLexer extends Lexer {
	spent = 0;
	depth = 0;

	inlineTokens(src, tokens = []) {
		const cost = src.length * (src.match(MARK)?.length ?? 0);
		if (cost > MAX_TEXT || this.spent + cost > MAX_REPLY)
			return asWritten(src, tokens);
		this.spent += cost;
		return super.inlineTokens(src, tokens);
	}

	blockTokens(src, tokens = [], clipped = false) {
		if (this.depth >= MAX_DEPTH) {
			tokens.push({ type: "text", raw: src, text: src, tokens: asWritten(src, []) });
			return tokens;
		}
		this.depth++;
		try {
			return super.blockTokens(src, tokens, clipped);
		} finally {
			this.depth--;
		}
	}
}

function asWritten(src, tokens) {
	tokens.push({ type: "text", raw: src, text: src, escaped: false });
	return tokens;
}
