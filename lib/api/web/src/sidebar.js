/* SPDX-License-Identifier: MIT */
/*
 * The list of sessions, and its drawer on a narrow page.
 */

import { h, icon, keyed, setText, show } from "./dom.js";
import { ago, visible } from "./text.js";

const NARROW = globalThis.matchMedia?.("(max-width: 760px)");
const PEN = "M4 16l.8-3.4L13 4.4l2.6 2.6-8.2 8.2L4 16zM11.5 6l2.6 2.6";
const BIN = "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6";
const MAX_TITLE_BYTES = 200;
const TURN_WORDS = { queued: "queued", starting: "working", running: "working", waiting: "waits" };

/*
 * Makes the list. actions.remove(session) is asked to delete, actions.rename(session, title) to rename,
 * actions.older() to load more, actions.search(query) to show what is called so.
 * Returns {update(view), close(), hide(), find()}.
 */
export function sidebar(actions) {
	const by = (id) => document.getElementById(id);
	const side = by("side");
	const parts = { side, main: by("main"), opener: by("side-open") };
	const list = by("sessions");
	const field = by("side-search");
	const sync = keyed(list, (model) => (model.group ? group() : row(actions)));
	const drawer = { open: false, seen: [] };
	const apply = (open) => {
		drawer.open = open && NARROW.matches;
		document.body.classList.toggle("drawer-open", drawer.open);
		side.inert = NARROW.matches && !drawer.open;
		parts.main.inert = drawer.open;
		parts.opener.setAttribute("aria-expanded", String(drawer.open));
	};
	const close = () => {
		if (!drawer.open)
			return false;
		apply(false);
		parts.opener.focus();
		return true;
	};
	NARROW.addEventListener("change", () => apply(false));
	parts.opener.addEventListener("click", () => {
		apply(true);
		by("side-close").focus();
	});
	by("side-close").addEventListener("click", close);
	by("backdrop").addEventListener("click", close);
	by("side-more").addEventListener("click", actions.older);
	field.addEventListener("input", () => actions.search(field.value.trim()));
	field.addEventListener("keydown", (event) => {
		if (event.key !== "Escape" || field.value === "")
			return;
		event.preventDefault();
		field.value = "";
		actions.search("");
	});
	apply(false);

	return {
		close,
		hide: () => apply(false),
		find() {
			apply(true);
			field.focus();
			field.select();
		},
		update({ sessions, hasMore, query, current, project, foot, now }) {
			/* Drawn at every frame of an answer, of a list that may be long. */
			const minute = Math.floor(now / 60000);
			const seen = [sessions, hasMore, query, current, project, foot, minute];
			if (seen.every((value, at) => value === drawer.seen[at]))
				return;
			drawer.seen = seen;
			const found = query === "" ? sessions : sessions.filter((session) => matches(session, query));
			setText(by("side-project"), project);
			setText(by("side-foot"), foot);
			setText(by("side-more"), query === "" ? "Show older sessions" : "Search older sessions, too");
			setText(by("side-none"), query !== "" && found.length === 0 ? "No session is called that." : "");
			show(by("side-none"), by("side-none").textContent !== "");
			show(by("side-more"), hasMore);
			sync(grouped(found, now).map((model) => (model.group ? model
				: { key: model.id, session: model, isCurrent: model.id === current, now })));
		},
	};
}

/* Whether each word that is looked for is in the session's title. */
export function matches(session, query) {
	const title = nameOf(session).toLowerCase();
	return query.toLowerCase().split(/\s+/).every((word) => title.includes(word));
}

const nameOf = (session) => session.title?.trim() || "New session";

const GROUPS = [[1, "Today"], [2, "Yesterday"], [7, "Last 7 days"], [30, "Last 30 days"], [Infinity, "Older"]];

/* Puts a heading before the first session of each span of days; they come newest first. */
export function grouped(sessions, now) {
	const midnight = new Date(now).setHours(0, 0, 0, 0);
	const out = [];
	let last = -1;
	for (const session of sessions) {
		const then = Date.parse(session.created_at);
		const days = then >= midnight || !Number.isFinite(then) ? 0 : Math.floor((midnight - then) / 86400000) + 1;
		const at = GROUPS.findIndex(([limit]) => days < limit);
		/* The order is the server's: a heading is never said twice. */
		if (at > last) {
			last = at;
			out.push({ key: `group:${at}`, group: GROUPS[at][1] });
		}
		out.push(session);
	}
	return out;
}

function group() {
	const el = h("li", { class: "row-group" });
	return { el, update: (model) => setText(el, model.group) };
}

function row(actions) {
	const title = h("span", { class: "row-title" });
	const more = h("span", { class: "row-more" });
	const link = h("a", { class: "row-link" }, title, more);
	const pen = h("button", { type: "button", class: "icon-button row-button row-rename" }, icon(PEN));
	const bin = h("button", { type: "button", class: "icon-button row-button row-delete" }, icon(BIN));
	const el = h("li", { class: "row" }, link, pen, bin);
	const view = { session: null };
	bin.addEventListener("click", () => actions.remove(view.session));
	pen.addEventListener("click", () => edit(el, view.session, actions.rename, pen));
	title.addEventListener("dblclick", () => edit(el, view.session, actions.rename, link));
	return {
		el,
		update({ session, isCurrent, now }) {
			view.session = session;
			const name = visible(nameOf(session));
			const state = TURN_WORDS[session.turn?.state] ?? "";
			if (link.hash !== `#${session.id}`)
				link.setAttribute("href", `#${encodeURIComponent(session.id)}`);
			setText(title, name);
			setText(more, state);
			link.title = [name.slice(0, 200), ago(session.updated_at ?? session.created_at, now)].filter(Boolean).join("\n");
			el.dataset.turn = session.turn?.state ?? "";
			pen.setAttribute("aria-label", `Rename ${name.slice(0, 80)}`);
			bin.setAttribute("aria-label", `Delete ${name.slice(0, 80)}`);
			if (isCurrent)
				link.setAttribute("aria-current", "page");
			else
				link.removeAttribute("aria-current");
		},
	};
}

/* A field in the row's place: Enter or leaving it takes the new title, Escape the old one. */
function edit(el, session, rename, back) {
	if (el.querySelector(".row-field"))
		return;
	const field = h("input", { type: "text", class: "row-field", "aria-label": "Title of the session", autocomplete: "off" });
	let done = false;
	const end = (take) => {
		if (done)
			return;
		done = true;
		const title = fit(field.value.trim());
		const focused = document.activeElement === field;
		field.remove();
		el.classList.remove("is-edited");
		if (focused)
			back.focus();
		if (take && title !== "" && title !== session.title)
			rename(session, title);
	};
	field.value = nameOf(session);
	field.addEventListener("keydown", (event) => {
		if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape"))
			return;
		event.preventDefault();
		end(event.key === "Enter");
	});
	field.addEventListener("blur", () => end(true));
	el.classList.add("is-edited");
	el.append(field);
	field.focus();
	field.select();
}

/* Cuts a title to what the server takes, between characters. */
function fit(title) {
	const encoder = new TextEncoder();
	let out = "";
	let bytes = 0;
	for (const char of title) {
		bytes += encoder.encode(char).length;
		if (bytes > MAX_TITLE_BYTES)
			break;
		out += char;
	}
	return out;
}

/* Asks in a dialog whether to delete a session. Returns the answer. */
export function confirmDelete(session) {
	const dialog = document.getElementById("confirm");
	const yes = document.getElementById("confirm-yes");
	const no = document.getElementById("confirm-no");
	const name = session.title?.trim() || "New session";
	const running = session.turn ? " It is still working; that is stopped." : "";
	setText(document.getElementById("confirm-text"),
		`“${name.length > 120 ? name.slice(0, 120) + "…" : name}” and its log are removed for good.${running}`);
	dialog.returnValue = "";
	return new Promise((resolve) => {
		yes.onclick = () => dialog.close("yes");
		no.onclick = () => dialog.close("no");
		dialog.onclose = () => resolve(dialog.returnValue === "yes");
		dialog.showModal();
		no.focus();
	});
}
