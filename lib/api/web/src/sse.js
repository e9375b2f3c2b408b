/* SPDX-License-Identifier: MIT */
/*
 * A parser of the text/event-stream format (WHATWG HTML 9.2.6). It is fed
 * decoded text in pieces of any size, so a line, or the two bytes of CR LF,
 * may be split between pieces.
 */

export class SseParser {
	#rest = "";
	#afterCr = false;
	#data = [];
	#event = "";
	#id = "";

	/*
	 * Takes the next piece of the stream.
	 * Returns the events it completed: {id, event, data}, in order.
	 */
	push(piece) {
		const out = [];
		if (piece === "")
			return out;
		if (this.#afterCr && piece[0] === "\n")
			piece = piece.slice(1);
		this.#afterCr = piece === "" ? false : piece.endsWith("\r");
		const lines = (this.#rest + piece).split(/\r\n|\n|\r/);
		this.#rest = lines.pop();
		for (const line of lines)
			this.#line(line, out);
		return out;
	}

	#line(line, out) {
		if (line === "") {
			this.#dispatch(out);
			return;
		}
		const colon = line.indexOf(":");
		if (colon === 0)
			return;
		const name = colon < 0 ? line : line.slice(0, colon);
		let value = colon < 0 ? "" : line.slice(colon + 1);
		if (value[0] === " ")
			value = value.slice(1);
		if (name === "data")
			this.#data.push(value);
		else if (name === "event")
			this.#event = value;
		else if (name === "id" && !value.includes("\0"))
			this.#id = value;
	}

	#dispatch(out) {
		if (this.#data.length > 0) {
			out.push({
				id: this.#id,
				event: this.#event || "message",
				data: this.#data.join("\n"),
			});
		}
		this.#data = [];
		this.#event = "";
	}
}
