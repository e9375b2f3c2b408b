/* SPDX-License-Identifier: MIT */
/*
 * The message box: Enter sends, Shift+Enter adds a line, it grows with its text,
 * and it keeps an unsent draft for each session.
 */

import { h, setText, show } from "./dom.js";
import { visible } from "./text.js";

/*
 * Makes the composer. actions.send(text, agent), actions.stop().
 * Returns {update(view), focus(), agent(), adopt(id)}.
 */
export function composer(actions) {
	const by = (id) => document.getElementById(id);
	const text = by("composer-text");
	const send = by("send");
	const stop = by("stop");
	const agent = by("agent");
	const state = { session: null, drafts: new Map(), agents: "", chosen: new Map(), busy: false };

	const grow = () => {
		text.style.height = "auto";
		text.style.height = `${Math.min(text.scrollHeight, Math.max(96, innerHeight * 0.4))}px`;
		send.disabled = text.value.trim() === "";
	};
	const submit = () => {
		const value = text.value.trim();
		if (value === "")
			return;
		text.value = "";
		state.drafts.delete(state.session);
		grow();
		actions.send(value, agent.value || null);
		text.focus();
	};
	text.addEventListener("input", grow);
	text.addEventListener("keydown", (event) => {
		if (event.key !== "Enter" || event.shiftKey || event.isComposing)
			return;
		event.preventDefault();
		submit();
	});
	send.addEventListener("click", submit);
	stop.addEventListener("click", actions.stop);
	agent.addEventListener("change", () => state.chosen.set(state.session, agent.value));
	addEventListener("resize", grow);

	/* Keeps what was typed for the session that is left, and brings back that of the next. */
	const change = (id) => {
		if (state.session === id)
			return;
		state.drafts.set(state.session, text.value);
		state.session = id;
		text.value = state.drafts.get(id) ?? "";
		grow();
	};
	const drawAgents = (agents, current) => {
		const names = JSON.stringify(agents);
		if (state.agents !== names) {
			state.agents = names;
			agent.replaceChildren(...agents.map((one) =>
				h("option", { value: one.name, title: one.description ?? null }, one.name)));
		}
		const first = agents.find((one) => one.default)?.name ?? agents[0]?.name ?? "";
		const known = agents.some((one) => one.name === current);
		const want = state.chosen.get(state.session) ?? (known ? current : first);
		if (agent.value !== want)
			agent.value = want;
		show(by("agent-label"), agents.length > 1);
	};

	return {
		focus: () => text.focus({ preventScroll: true }),
		agent: () => agent.value || null,
		/* The first message of a new session made its draft the session's own. */
		adopt(id) {
			state.chosen.set(id, agent.value);
			state.drafts.set(id, text.value);
			state.drafts.delete(null);
			text.value = "";
			state.session = null;
			change(id);
		},
		update({ project, session, agents, currentAgent, busy, disabled }) {
			change(session);
			drawAgents(agents, currentAgent);
			show(stop, busy);
			show(by("hint"), !busy);
			text.disabled = disabled;
			text.placeholder = busy ? "Say more: it is sent when this is done…" : `Message ${visible(project).slice(0, 40)}…`;
			setText(send, busy ? "Queue" : "Send");
		},
	};
}
