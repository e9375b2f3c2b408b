/* SPDX-License-Identifier: MIT */
/*
 * The session protocol as the page speaks it: requests with JSON bodies, and
 * the event stream of a session which is followed across disconnections.
 */

import { request } from "./key.js";
import { SseParser } from "./sse.js";
import { lastNumber } from "./state.js";

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 5000;
const SEND_TRIES = 8;

/* The server sends a comment every 15 s; a stream silent for three of them is dead. */
const SILENCE_MS = 45000;

/* A request the server refused, with what its problem document says. */
export class ApiError extends Error {
	constructor(status, problem) {
		super(problem.detail || problem.message || problem.title || `The server answered ${status}.`);
		this.name = "ApiError";
		this.status = status;
		this.code = problem.code || problem.error || `http_${status}`;
		this.problem = problem;
	}
}

/* Returns how long to wait before try number n (from 1): doubling, capped, spread. */
export function backoff(n) {
	return Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (n - 1)) * (0.7 + 0.6 * Math.random());
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* A key no other request has; crypto.randomUUID exists in secure contexts only. */
function freshKey() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/* Sends one request. Returns the JSON of the answer (null when it has no body). */
async function call(method, path, body, headers) {
	const res = await request(path, {
		method,
		headers: {
			accept: "application/json",
			...(body === undefined ? {} : { "content-type": "application/json" }),
			...headers,
		},
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	const text = await res.text();
	let json = null;
	try {
		json = text === "" ? null : JSON.parse(text);
	} catch {
		json = null;
	}
	if (!res.ok)
		throw new ApiError(res.status, json && typeof json === "object" ? json : {});
	return json;
}

/* Whether a failed request may be sent again with the same key. */
function isTransient(err) {
	return !(err instanceof ApiError) || [502, 503, 504].includes(err.status);
}

/* Sends a request with an idempotency key until it is answered or tries run out. */
async function callOnce(method, path, body, headers) {
	const key = freshKey();
	for (let tries = 1; ; tries++) {
		try {
			return await call(method, path, body, { ...headers, "idempotency-key": key });
		} catch (err) {
			if (!isTransient(err) || tries === SEND_TRIES)
				throw err;
			await sleep(backoff(tries));
		}
	}
}

/* Relative: the page may stand below a prefix, or below a project's path. */
const session = (id) => `v1/sessions/${encodeURIComponent(id)}`;
const ASYNC = { prefer: "respond-async" };

export const api = {
	dev: () => call("GET", "v1/dev"),
	sessions: (limit, after) => call("GET", `v1/sessions?limit=${limit}` + (after ? `&after=${encodeURIComponent(after)}` : "")),
	session: (id) => call("GET", session(id)),
	create: () => callOnce("POST", "v1/sessions", { metadata: {} }),
	rename: (id, title) => call("PATCH", session(id), { title }),
	remove: (id) => call("DELETE", session(id)),
	interrupt: (id) => call("POST", session(id) + "/interrupt", {}),
	send: (id, text, agent) => callOnce("POST", session(id) + "/messages", {
		text, ...(agent ? { agent } : {}), thinking: true, stream: false, on_busy: "enqueue",
	}, ASYNC),
	input: (id, requestId) => call("GET", `${session(id)}/inputs/${encodeURIComponent(requestId)}`),
	answer: (id, requestId, body) =>
		call("PUT", `${session(id)}/inputs/${encodeURIComponent(requestId)}`, body, ASYNC),
};

/*
 * Follows the events of a session from the one after `after`, for ever, and
 * comes back by itself after a lost connection.
 *   onEvents(list)  envelopes in order, each number once
 *   onState(state)  "connecting", "open", "reconnecting" or "gone" (no such session)
 *   onReset()       the server's log is shorter than what was seen: start anew
 * Returns {stop(), wake()}; wake() cuts a wait for the next try short.
 */
export function follow(id, after, { onEvents, onState, onReset }) {
	const run = { id, last: after, stopped: false, abort: null, wake: () => {}, fails: 0 };
	loop(run, { onEvents, onState, onReset });
	return {
		stop() {
			run.stopped = true;
			run.abort?.abort();
			run.wake();
		},
		wake() {
			run.wake();
		},
	};
}

async function loop(run, on) {
	on.onState("connecting");
	while (!run.stopped) {
		try {
			await connect(run, on);
		} catch (err) {
			if (err instanceof ApiError && err.status === 404) {
				if (!run.stopped)
					on.onState("gone");
				return;
			}
		}
		if (run.stopped)
			return;
		run.fails++;
		on.onState("reconnecting");
		await new Promise((resolve) => {
			const timer = setTimeout(resolve, backoff(run.fails));
			run.wake = () => { clearTimeout(timer); resolve(); };
		});
		run.wake = () => {};
	}
}

/* One connection, from the request to its end. */
async function connect(run, on) {
	if (run.fails > 0) {
		const now = await api.session(run.id);
		if (Number.isInteger(now?.last_seq) && now.last_seq < run.last) {
			run.last = 0;
			on.onReset();
		}
	}
	if (run.stopped)
		return;
	const abort = run.abort = new AbortController();
	let silence = setTimeout(() => abort.abort(), SILENCE_MS);
	try {
		const res = await request(`${session(run.id)}/events?after=${run.last}`, {
			headers: { accept: "text/event-stream" }, signal: abort.signal,
		});
		if (!res.ok)
			throw new ApiError(res.status, {});
		on.onState("open");
		const reader = res.body.getReader();
		const decoder = new TextDecoder();
		const parser = new SseParser();
		for (;;) {
			const { done, value } = await reader.read();
			if (done || run.stopped)
				return;
			run.fails = 0;
			clearTimeout(silence);
			silence = setTimeout(() => abort.abort(), SILENCE_MS);
			deliver(run, on, parser.push(decoder.decode(value, { stream: true })));
		}
	} finally {
		clearTimeout(silence);
		abort.abort();
	}
}

/* Hands on the envelopes not seen before. */
function deliver(run, on, frames) {
	const fresh = [];
	for (const frame of frames) {
		let event;
		try {
			event = JSON.parse(frame.data);
		} catch {
			continue;
		}
		if (event === null || typeof event !== "object")
			continue;
		if (!Number.isInteger(event.seq) && /^\d+$/.test(frame.id))
			event.seq = Number(frame.id);
		const end = lastNumber(event);
		if (Number.isInteger(end)) {
			if (end <= run.last)
				continue;
			run.last = end;
		}
		fresh.push(event);
	}
	if (fresh.length > 0)
		on.onEvents(fresh);
}
