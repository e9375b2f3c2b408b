/* SPDX-License-Identifier: MIT */
/* A project's log that follows: filters, a pause, and coming back after a lost connection. */

import { at, text, Problem } from "./frame.js";
import { h } from "./dom.js";
import { request } from "./key.js";
import { SseParser } from "./sse.js";

/* Lines that the page keeps; the oldest go. */
const KEEP = 2000;
const FIRST = 200;
const RETRY_MS = 1500;
/* The server sends a comment every 15 s. */
const SILENCE_MS = 45000;

const LEVELS = [["debug", "All levels"], ["info", "Info and worse"], ["warn", "Warnings and errors"], ["error", "Errors"]];
const SOURCES = [["", "All sources"], ["build", "Builds"], ["release", "Releases"], ["session", "Sessions"], ["turn", "Turns"], ["harness", "Harness"], ["api", "API"]];

const choice = (label, list) => h("select", { "aria-label": label }, ...list.map(([value, words]) => h("option", { value }, words)));

function logLine(e) {
	const d = e.data;
	const when = new Date(e.timestamp);
	return h("div", { class: `log-line ${d.level}` },
		h("time", { datetime: when.toISOString(), title: when.toLocaleString() }, when.toLocaleTimeString(undefined, { hour12: false })),
		h("span", { class: "log-source" }, d.release ? `${d.source} ${d.release}` : d.source),
		text("span", "log-text", d.text));
}

/* Draws into part and follows until the function that it returns is called. */
export function logs(part, path) {
	const level = choice("Level", LEVELS);
	const source = choice("Source", SOURCES);
	const words = h("input", { type: "search", placeholder: "Only lines with…", "aria-label": "Only lines with", autocomplete: "off", spellcheck: "false" });
	const pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
	const state = h("span", { class: "soft", role: "status" });
	const box = h("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Log", "aria-live": "off" });
	const run = { stopped: false, last: "", abort: null, paused: false, held: [] };
	level.value = "info";
	part.replaceChildren(h("div", { class: "tools" }, level, source, words, pause, state), box);

	const fits = (el) => words.value === "" || el.textContent.toLowerCase().includes(words.value.toLowerCase());
	const add = (events) => {
		const low = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
		for (const e of events) {
			const el = logLine(e);
			el.hidden = !fits(el);
			box.append(el);
		}
		while (box.childElementCount > KEEP)
			box.firstElementChild.remove();
		if (low)
			box.scrollTop = box.scrollHeight;
	};
	const take = (frames) => {
		const events = [];
		for (const frame of frames) {
			run.last = frame.id || run.last;
			try {
				const e = JSON.parse(frame.data);
				if (e.type === "log")
					events.push(e);
			} catch {
				/* Not a line of the log. */
			}
		}
		if (!run.paused) {
			add(events);
			return;
		}
		run.held.push(...events);
		run.held.splice(0, Math.max(0, run.held.length - KEEP));
		pause.textContent = `Go on (${run.held.length} new)`;
	};
	const connect = async () => {
		const abort = run.abort = new AbortController();
		let silence = setTimeout(() => abort.abort(), SILENCE_MS);
		try {
			const query = new URLSearchParams({ level: level.value, ...(source.value ? { source: source.value } : {}), ...(run.last ? { after: run.last } : { lines: FIRST }) });
			const res = await request(at(`${path}/logs?${query}`), { own: true, headers: { accept: "text/event-stream" }, signal: abort.signal });
			if (!res.ok)
				throw new Problem(res.status, await res.json().catch(() => ({})));
			state.textContent = "Live";
			state.className = "live-word";
			const reader = res.body.getReader(), decoder = new TextDecoder(), parser = new SseParser();
			for (;;) {
				const { done, value } = await reader.read();
				if (done || abort.signal.aborted)
					return;
				clearTimeout(silence);
				silence = setTimeout(() => abort.abort(), SILENCE_MS);
				take(parser.push(decoder.decode(value, { stream: true })));
				if (box.childElementCount === 0 && !run.paused)
					state.textContent = "Live: nothing yet";
			}
		} finally {
			clearTimeout(silence);
		}
	};
	const follow = async () => {
		while (!run.stopped) {
			try {
				await connect();
			} catch (err) {
				if (!run.stopped && err instanceof Problem && err.status < 500) {
					state.textContent = err.message;
					state.className = "bad";
					return;
				}
			}
			if (run.stopped)
				return;
			if (!run.again) {
				state.textContent = "Connecting again…";
				state.className = "soft";
				await new Promise((done) => setTimeout(done, RETRY_MS));
			}
			run.again = false;
		}
	};
	/* Another question: from the beginning, on a new connection. */
	const anew = () => {
		box.replaceChildren();
		run.held = [];
		run.last = "";
		run.again = true;
		run.abort?.abort();
	};
	level.addEventListener("change", anew);
	source.addEventListener("change", anew);
	words.addEventListener("input", () => {
		for (const el of box.children)
			el.hidden = !fits(el);
	});
	pause.addEventListener("click", () => {
		run.paused = !run.paused;
		pause.setAttribute("aria-pressed", String(run.paused));
		pause.textContent = run.paused ? "Go on" : "Pause";
		if (!run.paused)
			add(run.held.splice(0));
	});
	follow();
	return () => {
		run.stopped = true;
		run.abort?.abort();
	};
}
