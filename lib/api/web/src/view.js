/* SPDX-License-Identifier: MIT */
/*
 * The conversation: turns and, in each, what the user said and what came back.
 * It is drawn from the model of state.js; only what changed is touched.
 */

import { inputCard } from "./approve.js";
import { copyButton, h, icon, keyed, setText, show } from "./dom.js";
import { markdownView } from "./markdown.js";
import { isLive } from "./state.js";
import { toolCard } from "./tool.js";
import { span, usageLine, visible } from "./text.js";

const AGAIN = "M15.5 10a5.5 5.5 0 1 1-1.7-4M14 3v3.2h-3.2";

/* How near to its end the log counts as being at its end, in pixels. */
const NEAR_END = 48;
/* The button to the end lies over the conversation: it does not come between a press and its release. */
const JUMP_MS = 250;

/*
 * Makes the view of the conversation in `parent`, which scrolls in `scroller`.
 *   actions.answer(requestId, body), actions.input(requestId), actions.retry(key), actions.dismiss(key),
 *   actions.again(turn): its message is to be sent once more,
 *   actions.namesAgents(): whether there are several, so that turns name theirs
 * Returns {update(turns), toEnd()}.
 */
export function logView(scroller, parent, jump, actions) {
	const sync = keyed(parent, () => turnView(actions));
	const pin = { atEnd: true, top: 0, timer: 0 };
	const pinned = () => {
		if (!pin.atEnd) {
			pin.timer ||= setTimeout(() => show(jump, true), JUMP_MS);
			return;
		}
		clearTimeout(pin.timer);
		pin.timer = 0;
		show(jump, false);
	};
	const toEnd = () => {
		scroller.scrollTop = scroller.scrollHeight;
		pin.top = scroller.scrollTop;
		pin.atEnd = true;
		pinned();
	};
	/* Only going up leaves the end: text that grew since is no reason. */
	const scrolled = () => {
		const rest = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
		if (scroller.scrollTop < pin.top - 1)
			pin.atEnd = rest <= 2;
		else if (rest <= NEAR_END)
			pin.atEnd = true;
		pin.top = scroller.scrollTop;
		pinned();
	};
	scroller.addEventListener("scroll", scrolled, { passive: true });
	jump.addEventListener("click", toEnd);
	/* A turned wheel counts before its scrolling is reported, or new text would undo it. */
	scroller.addEventListener("wheel", (event) => {
		if (event.deltaY < 0 && scroller.scrollTop > 0)
			pin.atEnd = false;
	}, { passive: true });
	/* Blocks drawn later than the model (long replies are throttled) and a grown composer move the end, too. */
	const sizes = new ResizeObserver(() => {
		if (pin.atEnd)
			toEnd();
		else
			scrolled();
	});
	sizes.observe(parent);
	sizes.observe(scroller);
	return {
		update(turns) {
			sync(turns);
			if (pin.atEnd)
				toEnd();
		},
		toEnd,
	};
}

function turnView(actions) {
	const name = h("div", { class: "user-name" });
	const text = h("div", { class: "user-text" });
	const user = h("div", { class: "user" }, h("span", { class: "sr" }, "You said: "), name, text);
	const reply = h("div", { class: "reply" });
	const foot = turnFoot(actions);
	const el = h("article", { class: "turn" }, user, reply, foot.el);
	const view = { turn: null, done: false };
	const sync = keyed(reply, (item) => itemView(item, actions, () => view.turn));

	return {
		el,
		update(turn) {
			view.turn = turn;
			el.dataset.state = turn.state;
			if (turn.id)
				el.dataset.turn = turn.id;
			el.setAttribute("aria-busy", String(isLive(turn) && turn.state !== "waiting"));
			show(user, turn.user !== null);
			setText(text, turn.user?.text ?? "");
			setText(name, turn.user?.name ?? "");
			show(name, Boolean(turn.user?.name));
			const done = !isLive(turn);
			const ends = view.done !== done;
			view.done = done;
			sync(ends ? turn.items.map((item) => ({ ...item })) : turn.items);
			foot.update(turn);
		},
	};
}

function itemView(first, actions, getTurn) {
	switch (first.kind) {
	case "text":
		return textView(getTurn);
	case "reasoning":
		return reasoningView();
	case "tool":
		return toolCard((item) => itemView(item, actions, getTurn), actions);
	case "input":
		return inputCard(actions.answer, actions.input);
	case "error":
		return errorView(actions, getTurn);
	default:
		return gapView();
	}
}

function textView(getTurn) {
	const md = markdownView();
	return { el: md.el, update: (item) => md.update(item.text, !isLive(getTurn())) };
}

/* Thinking, folded, shown as text. */
function reasoningView() {
	const body = h("div", { class: "reasoning-text" });
	const el = h("details", { class: "reasoning" }, h("summary", null, h("span", null, "Thinking")), body);
	return { el, update: (item) => setText(body, item.text.trim()) };
}

/* An error, and a way to send the same message once more. */
function errorView(actions, getTurn) {
	const code = h("code", { class: "error-code" });
	const text = h("p", { class: "error-text" });
	const again = h("button", { type: "button", class: "button again" }, icon(AGAIN), "Try again");
	const el = h("section", { class: "error" }, h("div", { role: "alert" },
		h("div", { class: "error-head" }, h("span", null, "Error"), code), text), again);
	again.addEventListener("click", () => actions.again(getTurn()));
	return {
		el,
		update(item) {
			const turn = getTurn();
			setText(code, visible(item.code));
			setText(text, item.message);
			show(again, turn.state === "failed" && turn.user !== null);
		},
	};
}

function gapView() {
	const el = h("div", { class: "gap", role: "separator" });
	return {
		el,
		update(item) {
			const range = item.first === item.last ? `${item.first}` : `${item.first}–${item.last}`;
			const text = `Some events are no longer kept (${range})`;
			el.setAttribute("aria-label", text);
			el.replaceChildren(h("span", null, text));
		},
	};
}

/* The line under a turn: what goes on now, or what it took. It is always one line high. */
function turnFoot(actions) {
	const words = h("span", { class: "foot-text" });
	const since = h("span", { class: "foot-since" });
	const spinner = h("span", { class: "spinner", "aria-hidden": "true" });
	const retry = h("button", { type: "button", class: "text-button" }, "Send again");
	const dismiss = h("button", { type: "button", class: "text-button" }, "Discard");
	const view = { turn: null };
	const copy = copyButton(() => replyText(view.turn), "Copy the reply");
	const el = h("div", { class: "foot" }, spinner, words, since, copy, retry, dismiss);
	retry.addEventListener("click", () => actions.retry(view.turn.key));
	dismiss.addEventListener("click", () => actions.dismiss(view.turn.key));
	return {
		el,
		update(turn) {
			view.turn = turn;
			setText(words, footText(turn, actions.namesAgents()));
			const works = turn.state === "running" || turn.state === "starting" || turn.state === "sending";
			show(spinner, works);
			since.dataset.since = works && turn.startedAt ? String(turn.startedAt) : "";
			if (!works)
				setText(since, "");
			show(copy, !isLive(turn) && turn.user !== null && replyText(turn) !== "");
			show(retry, turn.state === "unsent");
			show(dismiss, turn.state === "unsent");
			show(el, words.textContent !== "" || works || turn.state === "unsent");
		},
	};
}

function footText(turn, namesAgents) {
	const usage = usageLine(turn.usage, turn.ms ?? NaN);
	switch (turn.state) {
	case "sending":
		return "Sending";
	case "unsent":
		return `Not sent: ${turn.problem}`;
	case "queued":
		return "Queued";
	case "starting":
		return turn.phase ?? "Starting";
	case "running":
		return turn.phase ?? "Working";
	case "waiting":
		return "Waiting for you";
	case "interrupted":
		return usage === "" ? "Stopped" : `Stopped · ${usage}`;
	default:
		if (turn.user === null && turn.usage === null)
			return "";
		return [turn.stopReason === "max_tokens" ? "Cut off at the length limit" : null, namesAgents ? turn.agent : null, usage]
			.filter(Boolean).join(" · ");
	}
}

/* Returns the source of a turn's own text, without its sub-agents'. */
function replyText(turn) {
	return turn.items.filter((item) => item.kind === "text").map((item) => item.text.trim()).join("\n\n");
}

/* Brings the running times of turns up to date. */
export function tick(parent, now) {
	for (const el of parent.querySelectorAll(".foot-since[data-since], .tool-time[data-since]")) {
		const from = Number(el.dataset.since);
		const ms = now - from;
		if (from > 0)
			setText(el, ms >= 1000 && ms < 86400000 ? span(Math.floor(ms / 1000) * 1000).replace(".0 s", " s") : "");
	}
}
