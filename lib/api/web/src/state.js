/* SPDX-License-Identifier: MIT */
/*
 * From the events of a session to what the page shows. reduce() is a pure
 * function: it never changes what it was given, and parts of the model an event
 * does not touch stay the same objects, so a view can tell by identity what to
 * draw again.
 *
 * The model:
 *   {lastSeq, turns: [turn]}
 *   turn {key, id, state, user, items, phase, usage, stopReason, agent, startedAt, ms}
 *     state: queued, starting, running, waiting, done, failed, interrupted
 *     user:  null or {text, name}
 *   items, in order, of these kinds, each with a key that is unique in its turn:
 *     text      {partId, text}
 *     reasoning {partId, text}
 *     tool      {id, name, input, state, output, patch, isError, awaits, ask, items, startedAt, ms}; ask is
 *               the input item of the approval or question this call led to, or null; awaits is its
 *               request while it waits, or null; patch is what an edit changed with its places in the file
 *               state: pending, running, completed, failed, cancelled, rejected, ended
 *     input     {requestId, inputKind, tool, input, part, message, options, remembers, questions,
 *                expiresAt, decision, by, covers}; decision is null while it waits; part is null, or
 *                {bytes, sha256} of the whole input when `input` has only a part of it
 *     error     {message, code}
 *     gap       {first, last}
 */

import { isDiff } from "./diff.js";

const LIVE = new Set(["queued", "starting", "running", "waiting"]);
const STOPPED = new Set(["interrupted", "cancelled", "canceled", "aborted"]);

export function emptyState() {
	return { lastSeq: 0, turns: [] };
}

/* Returns the highest sequence number an event accounts for, or null. */
export function lastNumber(event) {
	const own = Number.isInteger(event.seq) ? event.seq : null;
	const last = event.type === "gap" && Number.isInteger(event.data?.last) ? event.data.last : null;
	return own === null ? last : Math.max(own, last ?? own);
}

/* Returns the model after one more event. An event seen before changes nothing. */
export function reduce(state, event) {
	const end = lastNumber(event);
	if (end !== null && end <= state.lastSeq)
		return state;
	const next = apply(state, event, event.data ?? {});
	return { ...next, lastSeq: end ?? state.lastSeq };
}

/* Returns the model after a list of events. */
export function reduceAll(state, events) {
	return events.reduce(reduce, state);
}

/* Whether a turn is not over. */
export function isLive(turn) {
	return LIVE.has(turn.state);
}

/* Returns the turn that is being worked on, or null; queued ones are not. */
export function activeTurn(state) {
	return state.turns.findLast((turn) => isLive(turn) && turn.state !== "queued") ?? null;
}

/* Returns the inputs that wait for an answer, in order. */
export function openInputs(state) {
	return state.turns.filter(isLive).flatMap((turn) => openIn(turn.items));
}

/* Whether one of some items, or one inside of them, waits for an answer. */
export function asksIn(items) {
	return openIn(items).length > 0;
}

function openIn(items) {
	return items.flatMap((item) => {
		if (item.kind === "tool")
			return [...(item.ask === null ? [] : openIn([item.ask])), ...openIn(item.items)];
		return item.kind === "input" && item.decision === null ? [item] : [];
	});
}

/* Returns the output of a tool, in whichever shape it came, as text; the diffs in it are shown as diffs. */
export function outputText(output) {
	if (output === null || output === undefined)
		return "";
	if (typeof output === "string")
		return output;
	if (Array.isArray(output)) {
		return output.filter((block) => !isDiff(block)).map((block) => block && typeof block === "object" && typeof block.text === "string"
			? block.text : outputText(block)).join("\n");
	}
	if (typeof output === "object" && output.type === "text" && typeof output.text === "string")
		return output.text;
	return JSON.stringify(output, null, 2);
}

function apply(state, event, data) {
	switch (event.type) {
	case "status":
		return status(state, event, data);
	case "text":
	case "reasoning":
		return onTurn(state, event, (turn) => part(awake(turn), event, data));
	case "tool_use":
		return onTurn(state, event, (turn) => toolUse(awake(turn), event, data));
	case "tool_result":
		return onTurn(state, event, (turn) => toolResult(turn, event, data));
	case "step_start":
		return onTurn(state, event, (turn) => ({ ...awake(turn), phase: word(data.description) }));
	case "input_required":
		return onTurn(state, event, (turn) => inputRequired(turn, event, data));
	case "error":
		return onTurn(state, event, (turn) => failed(turn, event, data));
	case "done":
		return onTurn(state, event, (turn) => done(turn, event, data));
	case "gap":
		return gap(state, event, data);
	case "step_finish":
	case "system":
	case "log": /* of projects and builds; never in a session's log */
	case "release":
		return state; /* nothing of these is shown */
	default:
		return state; /* of a newer server */
	}
}

/*
 * Changes the turn an event belongs to, or a new one. An event that names no
 * turn gets an entry of its own, so that nothing is lost.
 */
function onTurn(state, event, change) {
	const id = event.turn_id ?? null;
	const at = id === null ? -1 : state.turns.findLastIndex((turn) => turn.id === id);
	if (at >= 0)
		return { ...state, turns: put(state.turns, at, change(state.turns[at])) };
	return { ...state, turns: [...state.turns, change(newTurn(event))] };
}

function newTurn(event) {
	const id = event.turn_id ?? null;
	return {
		key: id ?? `event:${event.seq}`, id, state: "running", user: null, items: [], phase: null,
		usage: null, stopReason: null, agent: null,
		startedAt: event.timestamp ?? null, ms: null,
	};
}

/* A turn that shows signs of life: it is not waiting, and an error before was not its end. */
function awake(turn) {
	if (turn.state === "running" && turn.phase === null)
		return turn;
	if (turn.state === "done" || turn.state === "interrupted")
		return turn;
	return { ...turn, state: "running", phase: null };
}

function status(state, event, data) {
	if (data.state === "input_resolved")
		return inputResolved(state, event, data);
	if (data.state === "idle")
		return idle(state, event);
	if (!event.turn_id)
		return state;
	return onTurn(state, event, (turn) => turnStatus(turn, event, data));
}

function turnStatus(turn, event, data) {
	const user = data.message ? { text: word(data.message.text) ?? "", name: word(data.message.participant_name) } : turn.user;
	const base = { ...turn, user, agent: word(data.agent) ?? turn.agent };
	switch (data.state) {
	case "queued":
		return { ...base, state: "queued" };
	case "turn_started":
		return { ...base, state: "running", phase: null, startedAt: event.timestamp ?? base.startedAt };
	case "starting":
		return { ...base, state: "starting", phase: word(data.detail) };
	case "running":
		return turn.state === "done" ? base : { ...base, state: "running", phase: null };
	case "retrying":
		return { ...base, state: "running", phase: word(data.detail) ?? "Trying again" };
	case "requires_action":
		return { ...base, state: "waiting", phase: null };
	case "interrupting":
		return { ...base, state: "running", phase: "Stopping" };
	case "auto_approved":
	case "auto_denied":
		return decidedAlone(base, event, data);
	case "interrupted":
	case "cancelled":
		return ended({ ...base, state: "interrupted" }, event);
	default:
		return data.detail ? { ...base, phase: word(data.detail) } : base;
	}
}

/* The session is idle, so a turn without an end of its own is over. */
function idle(state, event) {
	const over = (turn) => (event.turn_id ? turn.id === event.turn_id : isLive(turn) && turn.state !== "queued");
	if (!state.turns.some((turn) => over(turn) && isLive(turn)))
		return state;
	return {
		...state,
		turns: state.turns.map((turn) => over(turn) && isLive(turn) ? ended({ ...turn, state: "done" }, event) : turn),
	};
}

/* Appends to the part an event names, or starts it. */
function part(turn, event, data) {
	const text = typeof data.part?.text === "string" ? data.part.text : "";
	const kind = event.type;
	const partId = data.part_id ?? null;
	return inContainer(turn, event.parent_tool_use_id, (items) => {
		const at = findPart(items, kind, partId);
		if (at >= 0) {
			const old = items[at];
			return put(items, at, { ...old, text: data.replace ? text : old.text + text });
		}
		if (text === "")
			return items;
		return [...items, { key: `${kind}:${event.seq}`, kind, partId, text }];
	});
}

/* A part without an id continues the last item only. */
function findPart(items, kind, partId) {
	if (partId !== null)
		return items.findLastIndex((item) => item.kind === kind && item.partId === partId);
	const last = items.length - 1;
	return last >= 0 && items[last].kind === kind && items[last].partId === null ? last : -1;
}

function toolUse(turn, event, data) {
	const news = {
		name: word(data.tool_name) ?? "tool",
		input: data.tool_input ?? null,
		state: data.state === "pending" ? "pending" : "running",
	};
	/* After its result the same id is another call. */
	const known = mapTool(turn.items, data.tool_use_id, (tool) => ({
		...tool, name: news.name, input: news.input ?? tool.input, state: news.state,
		startedAt: tool.state === "pending" ? event.timestamp ?? null : tool.startedAt,
	}), (tool) => tool.output === null);
	if (known)
		return { ...turn, items: known };
	return inContainer(turn, event.parent_tool_use_id, (items) => [...items, newTool(event, data.tool_use_id, news)]);
}

function newTool(event, id, more) {
	return {
		key: `tool:${event.seq}`, kind: "tool", id: id ?? null, name: "tool", input: null,
		state: "running", output: null, patch: null, isError: false, awaits: null, ask: null, items: [],
		startedAt: event.timestamp ?? null, ms: null, ...more,
	};
}

const RESULT_STATES = new Set(["completed", "failed", "cancelled", "rejected"]);

function toolResult(turn, event, data) {
	const isError = data.is_error === true;
	const news = {
		output: data.output ?? "",
		patch: Array.isArray(data.patch) ? data.patch : null,
		isError,
		awaits: null,
		state: RESULT_STATES.has(data.status) ? data.status : isError ? "failed" : "completed",
	};
	const known = mapTool(turn.items, data.tool_use_id, (tool) => ({ ...tool, ...news, ms: between(tool.startedAt, event.timestamp) }));
	if (known)
		return { ...turn, items: known };
	return inContainer(turn, event.parent_tool_use_id, (items) =>
		[...items, newTool(event, data.tool_use_id, { ...news, startedAt: null })]);
}

function inputRequired(turn, event, data) {
	const item = {
		key: `input:${event.seq}`, kind: "input", requestId: data.request_id,
		inputKind: word(data.kind) ?? "tool_use", tool: word(data.tool), input: data.tool_input ?? null,
		part: word(data.tool_input_sha256) === null ? null : { bytes: data.tool_input_bytes, sha256: data.tool_input_sha256 },
		message: word(data.message), options: Array.isArray(data.options) ? data.options : [],
		askedBy: data.asked_by ?? null,
		remembers: (Array.isArray(data.remembers) ? data.remembers : [])
			.filter((r) => typeof r?.decision === "string" && typeof r.words === "string"),
		questions: Array.isArray(data.questions) ? data.questions : null,
		expiresAt: data.expires_at ?? null, decision: null, by: null, covers: null,
	};
	const next = inContainer(turn, event.parent_tool_use_id, (items) => asked(items, item, data.tool_use_id));
	return { ...next, state: "waiting", phase: null };
}

/* Puts an input into the call it is for: the one it names, or the last open one that is the same; else beside them. */
function asked(items, input, id) {
	const text = JSON.stringify(input.input);
	const match = (item) => item.kind === "tool" && item.output === null && (item.ask === null || item.ask.decision !== null) &&
		(id ? item.id === id : item.name === input.tool && JSON.stringify(item.input) === text);
	return mapItem(items, match, (tool) => ({ ...tool, ask: input, awaits: input.decision === null ? input.requestId : null }))
		?? [...items, input];
}

/* An approval that was settled by an earlier answer or a policy, without asking. */
function decidedAlone(turn, event, data) {
	const item = {
		key: `input:${event.seq}`, kind: "input", requestId: null, inputKind: "tool_use", tool: word(data.tool),
		input: null, part: null, message: word(data.message), options: [], remembers: [], questions: null, expiresAt: null,
		covers: word(data.remembers),
		decision: data.state, by: word(data.by),
	};
	return inContainer(turn, event.parent_tool_use_id, (items) => (data.tool_use_id ? asked(items, item, data.tool_use_id) : [...items, item]));
}

function inputResolved(state, event, data) {
	const resolve = (item) => ({ ...item, decision: word(data.decision) ?? "answered", by: word(data.by), covers: word(data.remembers) });
	const asks = (item) => item?.kind === "input" && item.requestId === data.request_id;
	for (let at = state.turns.length - 1; at >= 0; at--) {
		const turn = state.turns[at];
		/* A call that waited takes its time from here on. */
		const items = mapItem(turn.items, (item) => asks(item) || (item.kind === "tool" && asks(item.ask)), (item) => (item.kind === "input"
			? resolve(item) : { ...item, ask: resolve(item.ask), awaits: null, startedAt: event.timestamp ?? item.startedAt }));
		if (!items)
			continue;
		const rest = openInputs({ turns: [{ ...turn, items }] });
		const now = turn.state === "waiting" && rest.length === 0 ? "running" : turn.state;
		return { ...state, turns: put(state.turns, at, { ...turn, items, state: now }) };
	}
	return state;
}

function failed(turn, event, data) {
	const item = {
		key: `error:${event.seq}`, kind: "error",
		message: word(data.message) ?? "Something went wrong.", code: word(data.code) ?? word(data.type) ?? "error",
	};
	const next = { ...turn, items: [...turn.items, item] };
	return data.retryable === true && event.parent_tool_use_id ? next : ended({ ...next, state: "failed" }, event);
}

function done(turn, event, data) {
	const text = word(data.message?.text);
	let items = turn.items;
	if (text && !items.some((item) => item.kind === "text" || item.kind === "error"))
		items = [...items, { key: `text:${event.seq}`, kind: "text", partId: null, text }];
	const stop = word(data.stop_reason);
	const last = STOPPED.has(stop) || turn.state === "interrupted" ? "interrupted"
		: turn.state === "failed" ? "failed" : "done";
	return ended({
		...turn, items, state: last, usage: data.usage ?? turn.usage, stopReason: stop,
		agent: word(data.agent) ?? turn.agent, ms: Number.isFinite(data.duration_ms) ? data.duration_ms : turn.ms,
	}, event);
}

/* Closes what a turn that is over left open. */
function ended(turn, event) {
	const close = (items) => items.map((item) => {
		if (item.kind === "input" && item.decision === null)
			return { ...item, decision: "expired" };
		if (item.kind !== "tool")
			return item;
		const open = item.state === "pending" || item.state === "running";
		return { ...item, awaits: null, ask: item.ask === null ? null : close([item.ask])[0], items: close(item.items), state: open ? (turn.state === "done" ? "ended" : "cancelled") : item.state };
	});
	return { ...turn, items: close(turn.items), phase: null, ms: turn.ms ?? between(turn.startedAt, event.timestamp) };
}

/* Returns the milliseconds from one time to another, or null when one is not known. */
function between(from, to) {
	return Number.isFinite(from) && Number.isFinite(to) ? Math.max(0, to - from) : null;
}

/* Puts the lost numbers where they were: into the turn that runs, or between turns. */
function gap(state, event, data) {
	const item = { key: `gap:${data.first}`, kind: "gap", first: data.first, last: data.last };
	const at = event.turn_id ? state.turns.findLastIndex((turn) => turn.id === event.turn_id) : state.turns.findLastIndex(isLive);
	if (at >= 0) {
		const turn = state.turns[at];
		return { ...state, turns: put(state.turns, at, { ...turn, items: [...turn.items, item] }) };
	}
	const entry = { ...newTurn(event), key: item.key, id: null, state: "done", items: [item] };
	return { ...state, turns: [...state.turns, entry] };
}

/* Changes the list an event's item belongs into: the turn's, or that of the parent tool. */
function inContainer(turn, parentId, change) {
	if (parentId) {
		const items = mapTool(turn.items, parentId, (tool) => ({ ...tool, items: change(tool.items) }));
		if (items)
			return { ...turn, items };
	}
	const items = change(turn.items);
	return items === turn.items ? turn : { ...turn, items };
}

function mapTool(items, id, change, which = () => true) {
	if (id === null || id === undefined)
		return null;
	return mapItem(items, (item) => item.kind === "tool" && item.id === id && which(item), change);
}

/* Returns items with the last match changed, wherever it is nested, or null. */
function mapItem(items, match, change) {
	for (let at = items.length - 1; at >= 0; at--) {
		const item = items[at];
		if (match(item))
			return put(items, at, change(item));
		if (item.kind !== "tool" || item.items.length === 0)
			continue;
		const inner = mapItem(item.items, match, change);
		if (inner)
			return put(items, at, { ...item, items: inner });
	}
	return null;
}

/* Returns a copy of a list with another value at one place. */
function put(list, at, value) {
	const copy = list.slice();
	copy[at] = value;
	return copy;
}

/* Returns text, or null for anything else. */
function word(value) {
	return typeof value === "string" ? value : null;
}
