/* SPDX-License-Identifier: MIT */
/*
 * The chat page: holds what is known (the server, the sessions, the events of
 * the open one, messages on their way) and has it drawn at most once a frame.
 */

import { api, follow } from "./client.js";
import { composer } from "./composer.js";
import { h, setText, show } from "./dom.js";
import { homeLink, pinText } from "./pin.js";
import { confirmDelete, sidebar } from "./sidebar.js";
import { activeTurn, emptyState, openInputs, reduceAll } from "./state.js";
import { logView, tick } from "./view.js";
import { visible } from "./text.js";

const POLL_MS = 10000;
const POLL_MANY_MS = 30000;
const POLL_AGAIN_MS = 2000;

/* So many sessions are read at first and with each click for more; a search looks through more at once. */
const PAGE = 50;
const SEARCH = 2000;
const LIMIT = 200;

/* A hidden tab with nothing going on gives its connection back: a browser has six for one server. */
const HIDDEN_MS = 60000;

const HARNESSES = { "claude-code": "Claude Code", opencode: "OpenCode", acp: "ACP agent", rehearsal: "Rehearsal" };

const by = (id) => document.getElementById(id);

const app = {
	dev: null,
	sessions: [],
	hasMore: false,
	want: PAGE,
	query: "",
	reachable: true,
	current: null,
	model: emptyState(),
	stream: null,
	streamState: "connecting",
	/* Messages not yet seen in the log: {key, session, creation, text, agent, state, problem, turnId, known, shown} */
	outbox: [],
	sent: 0,
	creation: null,
	sending: Promise.resolve(),
	frame: 0,
	listTimer: 0,
	refreshing: false,
	refreshAgain: false,
	listed: null,
	hiddenTimer: 0,
};

const log = logView(by("log"), by("turns"), by("jump"), {
	answer: (requestId, body) => api.answer(app.current, requestId, body),
	input: (requestId) => api.input(app.current, requestId),
	namesAgents: () => (app.dev?.agents ?? []).length > 1,
	again: (turn) => send(turn.user.text, turn.agent),
	retry(key) {
		const entry = app.outbox.find((one) => one.key === key);
		if (entry)
			dispatch(entry);
	},
	dismiss(key) {
		app.outbox = app.outbox.filter((entry) => entry.key !== key);
		schedule();
	},
});
const side = sidebar({ remove, rename, older, search });
const box = composer({ send, stop: interrupt });

/* ---- drawing ---- */

function schedule() {
	app.frame ||= requestAnimationFrame(() => {
		app.frame = 0;
		draw();
	});
}

function draw() {
	const turns = shownTurns();
	const session = app.sessions.find((one) => one.id === app.current) ?? null;
	const project = app.dev?.project ?? "karta";
	const inputs = openInputs(app.model);
	const gone = app.streamState === "gone" && app.current !== null;

	side.update({
		sessions: listed(), hasMore: app.hasMore, query: app.query, current: app.current, project,
		foot: app.dev?.version ? `karta ${app.dev.version}` : "", now: Date.now(),
	});
	log.update(turns);
	drawTop(session, turns);
	drawWelcome(gone, turns.length === 0);
	drawWaiting(inputs);
	drawNotice();
	box.update({
		project,
		session: app.current, agents: (app.dev?.agents ?? []).filter((agent) => agent.answers !== false), currentAgent: session?.current_agent ?? null,
		busy: activeTurn(app.model) !== null, disabled: gone,
	});
	document.title = `${inputs.length > 0 ? "● " : ""}${project} – karta`;
	tick(by("turns"), Date.now());
}

/* The list as it is shown: the same array as before while nothing in it is another. */
function listed() {
	const at = app.sessions.findIndex((one) => one.id === app.current);
	const open = at < 0 ? null : withTurn(app.sessions[at]);
	const what = JSON.stringify(open);
	if (app.listed?.from !== app.sessions || app.listed.what !== what)
		app.listed = { from: app.sessions, what, list: at < 0 ? app.sessions : app.sessions.with(at, open) };
	return app.listed.list;
}

/* The open session's own log knows its title, and whether a turn runs, sooner than the list. */
function withTurn(session) {
	if (app.streamState !== "open")
		return session;
	const turn = activeTurn(app.model);
	const title = session.title ?? app.model.turns.find((one) => one.user)?.user.text ?? null;
	return { ...session, title, turn: turn ? { id: turn.id, state: turn.state === "waiting" ? "waiting" : "running" } : null };
}

function drawTop(session, turns) {
	const first = turns.find((turn) => turn.user)?.user.text;
	const title = (app.current === null ? null : session?.title) || first || "New session";
	setText(by("top-title"), visible(title.slice(0, 200)));
	const lost = !app.reachable || (app.current !== null && app.streamState === "reconnecting");
	by("conn").dataset.state = lost ? "lost" : "open";
	setText(by("conn"), lost ? "Reconnecting…" : "");
	const dev = app.dev;
	if (!dev)
		return;
	const name = HARNESSES[dev.harness] ?? dev.harness ?? "";
	setText(by("harness-name"), name);
	setText(by("harness-version"), dev.harness_version ?? "");
	setText(by("harness-mode"), dev.mode === "offline" ? "· offline" : "");
	/* By whom and why is a long line: it is there for who asks. */
	setText(by("pin"), dev.pinned ? "pinned" : "");
	by("pin").title = pinText(dev);
}

function drawWelcome(gone, empty) {
	const el = by("welcome");
	show(el, gone || (app.current === null && empty));
	if (el.hidden)
		return;
	const what = JSON.stringify([gone, app.dev]);
	if (el.dataset.what === what)
		return;
	el.dataset.what = what;
	if (gone) {
		el.replaceChildren(h("h2", null, "This session is not here"),
			h("p", null, "It may have been deleted. Choose another one, or start a new session."));
		return;
	}
	const dev = app.dev;
	const name = HARNESSES[dev?.harness] ?? dev?.harness;
	const agents = dev?.agents ?? [];
	el.replaceChildren(h("h2", null, dev?.project ?? "karta"));
	if (name)
		el.append(h("p", null, dev.mode === "offline"
			? "Recorded turns answer here: no model is called." : `${name} ${dev.dir ? "runs in this folder and " : ""}answers here.`));
	if (dev?.starters?.length > 0) {
		el.append(h("div", { class: "starters", role: "group", "aria-label": "To begin with" }, ...dev.starters.map((text) =>
			h("button", { type: "button", class: "starter", onclick: () => send(text, box.agent()) }, visible(text)))));
	}
	if (agents.length > 1) {
		el.append(h("dl", { class: "agents" }, ...agents.flatMap((agent) =>
			[h("dt", null, visible(agent.name)), h("dd", null, visible(agent.description ?? ""))])));
	}
}

/* What is known to be in the way of an answer. */
function drawNotice() {
	const el = by("notice");
	const names = (app.dev?.missing_credentials ?? []).map((one) => visible(one?.name ?? one));
	const problem = app.dev?.problem ?? "";
	const what = JSON.stringify([names, problem]);
	show(el, names.length > 0 || problem !== "");
	if (el.dataset.what === what)
		return;
	el.dataset.what = what;
	const parts = problem === "" ? [] : [h("p", null, visible(problem))];
	if (names.length > 0) {
		parts.push(h("p", null, "The model has no credential: ", ...names.flatMap((name, at) => [at > 0 ? " or " : null, h("code", null, name)]),
			names.length > 1 ? " is needed. " : " is not set. ", app.dev.dir ? "Put it into the environment, or into .env of the folder." : "Set it with:"));
		if (!app.dev.dir)
			parts.push(h("pre", null, `karta config set ${names[0]}=- <FILE`));
	}
	el.replaceChildren(...parts);
}

function drawWaiting(inputs) {
	const el = by("waiting");
	const first = inputs[0] ?? null;
	show(el, first !== null);
	if (el.dataset.request === (first?.requestId ?? ""))
		return;
	el.dataset.request = first?.requestId ?? "";
	if (first === null) {
		el.replaceChildren();
		return;
	}
	const words = first.inputKind === "question" ? "A question waits for your answer"
		: first.inputKind === "plan" ? "A plan waits for your approval"
		: `${visible(first.tool ?? "A tool")} waits for your approval`;
	el.replaceChildren(h("span", null, words), h("button", {
		type: "button", class: "text-button", onclick: () => {
			const card = by("turns").querySelector(`[data-request="${CSS.escape(first.requestId)}"]`);
			card?.scrollIntoView({ block: "nearest" });
			card?.focus();
		},
	}, "Review"));
	attend(first.requestId);
}

/* An input that begins to wait gets the focus, unless somebody is writing or busy elsewhere. */
function attend(requestId) {
	const at = document.activeElement;
	const idle = at === null || at === document.body || at === by("log") || (at === by("composer-text") && at.value === "") || at.closest(".input.is-closed") !== null;
	if (idle && !by("confirm").open)
		by("turns").querySelector(`.input[data-request="${CSS.escape(requestId)}"]`)?.focus({ preventScroll: true });
}

/* The turns of the log, and after them the messages that are not in it yet. */
function shownTurns() {
	const turns = app.model.turns.slice();
	const claimed = new Set();
	const rest = [];
	for (const entry of app.outbox) {
		if (entry.session !== app.current) {
			rest.push(entry);
			continue;
		}
		const at = turns.findIndex((turn) => entry.turnId ? turn.id === entry.turnId
			: turn.id && turn.user?.text.trim() === entry.text && !entry.known.has(turn.id) && !claimed.has(turn.id));
		if (at < 0) {
			rest.push(entry);
			turns.push(entry.shown ??= unlogged(entry));
			continue;
		}
		claimed.add(turns[at].id);
		if (turns[at].user === null)
			turns[at] = { ...turns[at], user: { text: entry.text, name: null } };
		if (entry.state !== "sent" || app.model.turns[at].user === null)
			rest.push(entry);
	}
	app.outbox = rest;
	return turns;
}

/* A message on its way, as a turn. */
function unlogged(entry) {
	return {
		key: entry.key, id: null, state: entry.state === "sent" ? (entry.queued ? "queued" : "starting") : entry.state,
		user: { text: entry.text, name: null }, items: [], phase: null, usage: null,
		stopReason: null, agent: entry.agent, startedAt: null, ms: null, problem: entry.problem,
	};
}

function toast(text) {
	const el = by("toast");
	setText(el, text);
	el.classList.add("is-shown");
	clearTimeout(toast.timer);
	toast.timer = setTimeout(() => el.classList.remove("is-shown"), 5000);
}

/* ---- sending ---- */

function send(text, agent) {
	const entry = {
		key: `out:${++app.sent}`, session: app.current, creation: null, text, agent, state: "sending", problem: "",
		turnId: null, queued: false, known: new Set(), shown: null,
	};
	if (app.current === null)
		entry.creation = app.creation ??= api.create();
	app.outbox.push(entry);
	dispatch(entry);
	log.toEnd();
}

/* Messages leave one after the other, in the order they were written. */
function dispatch(entry) {
	change(entry, { state: "sending", problem: "" });
	app.sending = app.sending.then(() => deliver(entry));
}

async function deliver(entry) {
	try {
		if (entry.session === null)
			await settle(entry);
		entry.known = new Set(entry.session === app.current ? app.model.turns.map((turn) => turn.id) : []);
		const answer = await api.send(entry.session, entry.text, entry.agent);
		change(entry, { state: "sent", turnId: answer?.turn_id ?? null, queued: answer?.queued > 0 });
		refreshSoon();
	} catch (err) {
		change(entry, { state: "unsent", problem: err.status ? err.message : "the server cannot be reached." });
	}
}

/* Gives a first message its session. */
async function settle(entry) {
	const creation = entry.creation ??= api.create();
	let session;
	try {
		session = await creation;
	} catch (err) {
		entry.creation = null;
		if (app.creation === creation)
			app.creation = null;
		throw err;
	}
	for (const one of app.outbox) {
		if (one.creation === creation)
			change(one, { session: session.id });
	}
	if (app.current === null && app.creation === creation) {
		app.sessions = [session, ...app.sessions.filter((one) => one.id !== session.id)];
		box.adopt(session.id);
		history.pushState(null, "", `#${encodeURIComponent(session.id)}`);
		open(session.id);
	}
}

function change(entry, news) {
	Object.assign(entry, news, { shown: null });
	schedule();
}

async function interrupt() {
	if (app.current === null || activeTurn(app.model) === null)
		return;
	try {
		await api.interrupt(app.current);
	} catch (err) {
		toast(err.status ? err.message : "The server cannot be reached.");
	}
}

/* ---- sessions ---- */

function route() {
	let id = null;
	try {
		id = decodeURIComponent(location.hash.slice(1));
	} catch {
		id = null;
	}
	if (!id || !/^[\w.:-]{1,200}$/.test(id))
		id = null;
	if (id !== app.current)
		open(id);
	side.hide();
	focusBox();
}

/* Where there is no keyboard, the focus would bring one up over the conversation. */
function focusBox() {
	if (!matchMedia("(pointer: coarse)").matches)
		box.focus();
}

function open(id) {
	app.stream?.stop();
	app.stream = null;
	app.creation = null;
	app.current = id;
	app.model = emptyState();
	app.streamState = "connecting";
	if (id !== null)
		listen();
	log.toEnd();
	schedule();
}

/* Follows the open session from the last event that was seen. */
function listen() {
	const id = app.current;
	const mine = (what) => (arg) => {
		if (app.current === id)
			what(arg);
	};
	app.stream = follow(id, app.model.lastSeq, {
		onEvents: mine((events) => {
			app.model = reduceAll(app.model, events);
			if (events.some((event) => event.type === "status" || event.type === "done" || event.type === "input_required"))
				refreshSoon();
			schedule();
		}),
		onState: mine((state) => {
			app.streamState = state;
			schedule();
		}),
		onReset: mine(() => {
			app.model = emptyState();
			schedule();
		}),
	});
}

async function remove(session) {
	if (!await confirmDelete(session))
		return;
	try {
		await api.remove(session.id);
	} catch (err) {
		if (err.status !== 404) {
			toast(err.status ? err.message : "The server cannot be reached.");
			return;
		}
	}
	app.sessions = app.sessions.filter((one) => one.id !== session.id);
	if (app.current === session.id)
		newSession();
	schedule();
	refreshSoon();
}

function newSession() {
	if (location.hash !== "")
		history.pushState(null, "", location.pathname);
	route();
	box.focus();
}

async function rename(session, title) {
	const was = session.title;
	const put = (value) => {
		app.sessions = app.sessions.map((one) => (one.id === session.id ? { ...one, title: value } : one));
		schedule();
	};
	put(title);
	try {
		await api.rename(session.id, title);
	} catch (err) {
		put(was);
		toast(err.status ? err.message : "The server cannot be reached.");
	}
	refreshSoon();
}

function older() {
	app.want = app.sessions.length + (app.query === "" ? PAGE : SEARCH);
	refreshSoon();
}

/* What is looked for may be older than what is shown. */
function search(query) {
	app.query = query;
	if (query !== "" && app.hasMore && app.want < SEARCH) {
		app.want = SEARCH;
		refreshSoon();
	} else if (query === "" && app.want > PAGE) {
		app.want = PAGE;
		refreshSoon();
	}
	schedule();
}

function refreshSoon() {
	clearTimeout(app.listTimer);
	app.listTimer = setTimeout(refresh, 120);
}

/* Reads the list of sessions, as many pages as are shown, and comes again. */
async function refresh() {
	clearTimeout(app.listTimer);
	if (app.refreshing) {
		app.refreshAgain = true;
		return;
	}
	app.refreshing = true;
	let next = POLL_MS;
	try {
		/* What is missing may have been set meanwhile. */
		if (!app.dev || !app.reachable || app.dev.missing_credentials?.length > 0) {
			app.dev = await api.dev();
			homeLink(app.dev.home);
		}
		const sessions = [];
		let more = true;
		while (sessions.length < app.want && more) {
			const answer = await api.sessions(Math.min(LIMIT, app.want - sessions.length), sessions.at(-1)?.id);
			sessions.push(...answer.data);
			more = answer.has_more === true && answer.data.length > 0;
		}
		app.sessions = sessions;
		app.hasMore = more;
		app.reachable = true;
		if (app.want > 4 * PAGE)
			next = POLL_MANY_MS;
	} catch (err) {
		app.reachable = err.status !== undefined;
		next = POLL_AGAIN_MS;
	}
	schedule();
	clearTimeout(app.listTimer);
	app.refreshing = false;
	if (app.refreshAgain && app.reachable)
		next = 0;
	app.refreshAgain = false;
	if (!document.hidden)
		app.listTimer = setTimeout(refresh, next);
}

/* ---- the page ---- */

function visibility() {
	clearTimeout(app.hiddenTimer);
	if (document.hidden) {
		app.hiddenTimer = setTimeout(() => {
			if (app.stream && activeTurn(app.model) === null) {
				app.stream.stop();
				app.stream = null;
			}
		}, HIDDEN_MS);
		return;
	}
	if (app.stream)
		app.stream.wake();
	else if (app.current !== null)
		listen();
	refresh();
}

by("new-session").addEventListener("click", newSession);
by("skip").addEventListener("click", (event) => {
	event.preventDefault();
	box.focus();
});
by("turns").addEventListener("karta-answered", focusBox);
by("turns").addEventListener("karta-typing", () => box.focus());
addEventListener("hashchange", route);
addEventListener("popstate", route);
addEventListener("online", () => app.stream?.wake());
document.addEventListener("visibilitychange", visibility);
document.addEventListener("keydown", (event) => {
	if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k" && !by("confirm").open) {
		event.preventDefault();
		side.find();
	}
	if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || by("confirm").open)
		return;
	if (!side.close())
		interrupt();
});
setInterval(() => tick(by("turns"), Date.now()), 1000);
route();
refresh();
