/* SPDX-License-Identifier: MIT */
/*
 * The list of sessions, and its drawer on a narrow page.
 */

import { h, icon, keyed, setText, show } from "./dom.js";
import { ago } from "./text.js";

const NARROW = matchMedia("(max-width: 760px)");
const BIN = "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6";
const TURN_WORDS = { queued: "queued", starting: "working", running: "working", waiting: "waits for you" };

/*
 * Makes the list. actions.remove(session) is asked to delete, actions.older()
 * to load more. Returns {update(view), open(), close()}.
 */
export function sidebar(actions) {
	const by = (id) => document.getElementById(id);
	const side = by("side");
	const parts = { side, main: by("main"), opener: by("side-open") };
	const list = by("sessions");
	const sync = keyed(list, () => row(actions));
	const drawer = { open: false };
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
	apply(false);

	return {
		close,
		hide: () => apply(false),
		update({ sessions, hasMore, current, project, foot, now }) {
			setText(by("side-project"), project);
			setText(by("side-foot"), foot);
			show(by("side-more"), hasMore);
			sync(sessions.map((session) => ({ key: session.id, session, isCurrent: session.id === current, now })));
		},
	};
}

function row(actions) {
	const title = h("span", { class: "row-title" });
	const more = h("span", { class: "row-more" });
	const link = h("a", { class: "row-link" }, title, more);
	const bin = h("button", { type: "button", class: "icon-button row-delete" }, icon(BIN));
	const el = h("li", { class: "row" }, link, bin);
	const view = { session: null };
	bin.addEventListener("click", () => actions.remove(view.session));
	return {
		el,
		update({ session, isCurrent, now }) {
			view.session = session;
			const name = session.title?.trim() || "New session";
			const state = TURN_WORDS[session.turn?.state] ?? "";
			if (link.hash !== `#${session.id}`)
				link.setAttribute("href", `#${encodeURIComponent(session.id)}`);
			setText(title, name);
			setText(more, state || ago(session.updated_at ?? session.created_at, now));
			link.title = name.slice(0, 200);
			el.dataset.turn = session.turn?.state ?? "";
			bin.setAttribute("aria-label", `Delete ${name.slice(0, 80)}`);
			if (isCurrent)
				link.setAttribute("aria-current", "page");
			else
				link.removeAttribute("aria-current");
		},
	};
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
