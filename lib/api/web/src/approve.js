/* SPDX-License-Identifier: MIT */
/*
 * The card of an input a turn waits for: an approval of a tool call, a plan, or
 * a question. What is approved is shown exactly and whole: as text, with hidden
 * characters spelled out and in the order they are stored.
 */

import { diffView } from "./codeview.js";
import { changesOfInput, notInChanges } from "./diff.js";
import { h, icon, setText, setVisible, show } from "./dom.js";
import { inputSize, inputView } from "./fields.js";
import { clock, count, visible } from "./text.js";

const LABELS = {
	tool_use: {
		approve_once: "Approve once", approve_session: "Approve for session", approve_command: "Approve the command",
		approve_file: "Approve the file", approve_folder: "Approve the folder", deny: "Deny",
	},
	plan: { approve_once: "Approve the plan", approve_session: "Approve for session", deny: "Keep planning" },
};
const DECIDED = {
	approve_once: "Approved once", approve_session: "Approved for this session", deny: "Denied",
	approve_command: "Command approved for this session", approve_file: "File approved for this session",
	approve_folder: "Folder approved for this session",
	answer: "Answered", expired: "Not answered", canceled: "No longer needed",
	auto_approved: "Approved without asking", auto_denied: "Denied without asking",
};
const DECIDED_BY = {
	user: "", expired: "nobody answered in time", turn_ended: "the turn ended", session: "approved earlier in this session",
	policy: "by the application's policy", harness: "withdrawn", limit: "the server had no room to ask",
};
const REFUSED = new Set(["deny", "expired", "canceled", "auto_denied"]);
const TITLES = { tool_use: "Approval needed", plan: "A plan to approve", question: "A question for you" };
const TICK = "M4.5 10.5 8.5 14.5 15.5 6";
const CROSS = "M5.5 5.5 14.5 14.5M14.5 5.5 5.5 14.5";

const MAX_DIFF_LINES = 5000;

/* A card takes no click and no key before it was there for so long, nor while somebody types. */
const ARM_MS = 600;

/*
 * Makes the view of one input. answer(requestId, body) sends a decision, whole(requestId)
 * gives the data of an input that is shown in part; they throw when nothing arrived. nested: it is
 * inside of the card of its call, which shows the input when this one is closed.
 * Returns {el, update(item)}.
 */
export function inputCard(answer, whole, nested = false) {
	const el = h("section", { class: "input", tabindex: "-1" });
	const card = { el, shown: null, error: null, buttons: [], keys: new Map(), sent: false, armed: false, timer: 0 };
	el.addEventListener("keydown", (event) => pressed(card, event));
	return {
		el,
		update(item) {
			const now = item.decision === null ? "open" : "closed";
			el.dataset.request = item.requestId ?? "";
			if (card.shown === now)
				return;
			/* A button that was pressed is disabled, and so has lost the focus. */
			const hadFocus = card.sent || el.contains(document.activeElement);
			card.shown = now;
			clearTimeout(card.timer);
			if (now === "open") {
				drawOpen(card, item, answer, whole);
				arm(card);
			} else {
				drawClosed(card, item, hadFocus, nested);
			}
		},
	};
}

/* What was typed or clicked before the card could be read is no answer: it begins to listen a moment later. */
function arm(card) {
	card.armed = false;
	clearTimeout(card.timer);
	for (const button of card.buttons)
		button.disabled = true;
	card.timer = setTimeout(() => {
		card.armed = true;
		if (card.sent)
			return;
		for (const button of card.buttons)
			button.disabled = false;
	}, ARM_MS);
}

/*
 * A key on the card itself: the number beside a button presses it. Anything else that is typed is meant
 * for the message box, and so is a number that was typed ahead.
 */
function pressed(card, event) {
	if (event.target !== card.el || card.shown !== "open" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing)
		return;
	const button = card.keys.get(event.key);
	if (button && card.armed && !event.repeat) {
		event.preventDefault();
		button.click();
		return;
	}
	if (!card.armed && !card.sent)
		arm(card);
	if (event.key.length === 1 && event.key !== " " && !event.repeat && !(button && card.armed))
		card.el.dispatchEvent(new CustomEvent("karta-typing", { bubbles: true }));
}

/* Gives buttons the keys 1 to 9, which are shown beside their words. */
function giveKeys(card, buttons) {
	card.keys = new Map();
	buttons.slice(0, 9).forEach((button, at) => {
		const key = String(at + 1);
		card.keys.set(key, button);
		button.setAttribute("aria-keyshortcuts", key);
		button.append(h("kbd", { "aria-hidden": "true" }, key));
	});
}

function drawOpen(card, item, answer, whole) {
	const isQuestion = item.inputKind === "question";
	const title = h("h3", { class: "input-title" }, TITLES[item.inputKind] ?? TITLES.tool_use);
	if (item.tool && !isQuestion)
		title.append(" ", h("code", { class: "input-tool" }, visible(item.tool)));
	card.error = h("p", { class: "input-error", role: "alert", hidden: true });
	const send = (body) => submit(card, item, answer, body);
	card.el.className = "input is-open";
	card.el.setAttribute("role", "group");
	card.el.setAttribute("aria-label", `${title.textContent}. ${visible(item.message ?? "")}`);
	card.el.replaceChildren(title, ...(isQuestion ? questionBody(card, item, send) : approvalBody(card, item, send, whole)),
		card.error);
	const until = item.expiresAt === null ? "" : clock(item.expiresAt);
	if (until !== "")
		card.el.append(h("p", { class: "quiet" }, `Waits until ${until}.`));
}

function approvalBody(card, item, send, whole) {
	const message = h("p", { class: "input-message" });
	setVisible(message, item.message ?? "");
	show(message, Boolean(item.message));
	const size = item.part ? `${count(item.part.bytes)} bytes, shown in part` : inputSize(item.input);
	const changes = item.part ? null : shortChanges(changesOfInput(item.tool ?? "", item.input));
	const box = h("div", { class: "input-scroll", tabindex: "0", role: "region",
		"aria-label": item.part ? `Input, ${size}` : `Complete input, ${size}` }, ...(changes ? changeViews(item.tool ?? "", item.input, changes) : [inputView(item.input)]));
	const labels = LABELS[item.inputKind] ?? LABELS.tool_use;
	const covers = new Map(item.remembers.map(({ decision, words }) => [decision, words]));
	const options = item.options.map(optionOf).filter((option) => option.id !== "");
	/* What covers more than this call can be chosen when it was said what it covers. */
	const list = (options.length > 0 ? options : [{ id: "deny", label: null }])
		.filter(({ id }) => id === "approve_once" || !id.startsWith("approve_") || covers.has(id));
	card.buttons = list.map(({ id, label }) => h("button", {
		type: "button",
		class: id === "deny" ? "button danger-quiet" : id === "approve_once" ? "button primary" : "button",
		"data-decision": id,
		"aria-describedby": covers.has(id) ? `${item.requestId}-${id}` : null,
		onkeydown: heldPressesNothing,
		onclick: () => send({ decision: id }),
	}, labels[id] ?? visible(label ?? id)));
	giveKeys(card, card.buttons);
	return [message, ...asker(item.askedBy), box, item.part ? partNote(card, item, box, whole)
		: changes ? h("details", { class: "input-whole" }, h("summary", { class: "quiet" }, `Complete input: ${size}`), inputView(item.input))
		: h("p", { class: "quiet" }, `Complete input: ${size}`),
		...coverNotes(item, list, labels, covers), h("div", { class: "input-row" }, ...card.buttons)];
}

/* A line of a diff is elements of its own: of too many of them the input is shown as the text that it is. */
function shortChanges(changes) {
	const lines = (changes ?? []).flatMap((change) => change.hunks).reduce((n, hunk) => n + hunk.lines.length, 0);
	return lines > MAX_DIFF_LINES ? null : changes;
}

/* An edit as what it changes, every line of it, and after that whatever else is in the input. */
function changeViews(tool, input, changes) {
	const rest = notInChanges(tool, input);
	return [diffView(changes, { whole: true }), ...(rest.length > 0 ? [inputView(Object.fromEntries(rest.map((name) => [name, input[name]])))] : [])];
}

/* Which agent asks, and for whose message when that came from elsewhere. */
function asker(by) {
	if (typeof by?.agent !== "string")
		return [];
	const { key, address } = by.message_from ?? {};
	const from = [key, address].filter((word) => typeof word === "string").map(visible).join(" at ");
	const name = typeof by.sub_agent_name === "string" ? `, its sub-agent ${visible(by.sub_agent_name)}` : ", a sub-agent of it";
	return [h("p", { class: "quiet" }, `Asked by ${visible(by.agent)}${by.sub_agent === true ? name : ""}`
		+ `${from === "" ? "" : `, for a message from ${from}`}.`)];
}

/* A key that was held since before the button had the focus says nothing about it. */
function heldPressesNothing(event) {
	if (event.repeat && (event.key === "Enter" || event.key === " "))
		event.preventDefault();
}

/* What each choice covers from now on, before it is chosen. */
function coverNotes(item, list, labels, covers) {
	return list.filter(({ id }) => covers.has(id)).map(({ id }) => h("p", { class: "input-covers", id: `${item.requestId}-${id}` },
		h("strong", null, labels[id] ?? visible(id)), `, from now on in this session: ${visible(covers.get(id))}`));
}

/* What is shown of a large input, and the button that shows all of it. */
function partNote(card, item, box, whole) {
	const note = h("p", { class: "quiet input-part" },
		`${count(item.part.bytes)} bytes, shown in part. sha256 ${visible(item.part.sha256)} `);
	const button = h("button", { type: "button", class: "text-button", onclick: async () => {
		button.disabled = true;
		try {
			const { tool_input: input } = await whole(item.requestId);
			box.replaceChildren(inputView(input));
			box.setAttribute("aria-label", `Complete input, ${inputSize(input)}`);
			setText(note, `Complete input: ${inputSize(input)}. sha256 ${visible(item.part.sha256)}`);
		} catch {
			button.disabled = false;
			fail(card, "The input did not arrive. Try again.");
		}
	} }, "Show all of it");
	note.append(button);
	return note;
}

/* An option is an id, or an object with an id and a label. */
function optionOf(option) {
	if (typeof option === "string")
		return { id: option, label: null };
	return { id: String(option?.id ?? option?.label ?? ""), label: option?.label ?? null };
}

/*
 * Questions with their possible answers and a line for any other. One question
 * with one answer is answered by the click; else answers are marked and sent together.
 */
function questionBody(card, item, send) {
	const questions = item.questions ?? [{ question: item.message ?? "", options: item.options }];
	const single = questions.length === 1 && !questions[0].multiSelect;
	const reply = (answers) => send({ decision: "answer", answers });
	const submitAll = () => {
		const answers = {};
		for (const box of boxes) {
			if (box.answer() !== "")
				answers[box.question] = box.answer();
		}
		if (Object.keys(answers).length === boxes.length)
			reply(answers);
		else
			fail(card, boxes.length === 1 ? "Choose or write an answer." : "Each question needs an answer.");
	};
	const boxes = questions.map((question) =>
		questionBox(question, single ? reply : null, submitAll));
	const row = h("div", { class: "input-row" },
		h("button", { type: "button", class: "button primary", onclick: submitAll }, "Answer"),
		h("button", { type: "button", class: "button", onclick: () => send({ decision: "deny" }) }, "Skip"));
	card.buttons = [...boxes.flatMap((box) => [...box.el.querySelectorAll("button, input")]), ...row.children];
	if (single)
		giveKeys(card, [...boxes[0].el.querySelectorAll("button")]);
	return [...boxes.map((box) => box.el), row];
}

/* One question. reply, when there is one, is called with the answer a click gives at once. */
function questionBox(question, reply, submitAll) {
	const text = question.question ?? "";
	const chosen = new Set();
	const options = (question.options ?? []).filter((option) => option !== "deny" && option !== "answer");
	const other = h("input", { type: "text", class: "other", placeholder: "Another answer…", "aria-label": "Another answer" });
	const mark = (label) => {
		const was = chosen.has(label);
		if (!question.multiSelect)
			chosen.clear();
		if (was)
			chosen.delete(label);
		else
			chosen.add(label);
		for (const button of choices.children)
			button.setAttribute("aria-pressed", String(chosen.has(button.dataset.answer)));
	};
	const choices = h("div", { class: "choices" }, ...options.map((option) =>
		choice(option, reply !== null, (label) => (reply ? reply({ [text]: label }) : mark(label)))));
	other.addEventListener("keydown", (event) => {
		if (event.key === "Enter" && !event.isComposing)
			submitAll();
	});
	const words = h("p", { class: "question" });
	setVisible(words, text);
	return {
		el: h("div", { class: "question-box", role: "group", "aria-label": visible(text) }, words, choices, other),
		question: text,
		answer() {
			const free = other.value.trim();
			const all = free !== "" && !question.multiSelect ? [free] : [...chosen, ...(free === "" ? [] : [free])];
			return all.join(", ");
		},
	};
}

/* One possible answer. */
function choice(option, single, chosen) {
	const label = typeof option === "string" ? option : String(option?.label ?? "");
	const more = typeof option === "string" ? null : option?.description ?? null;
	const button = h("button", { type: "button", class: "choice", "data-answer": label, "aria-pressed": single ? null : "false" },
		h("span", { class: "choice-label" }, visible(label)),
		more ? h("span", { class: "choice-more" }, visible(more)) : null);
	button.addEventListener("click", () => chosen(label));
	return button;
}

async function submit(card, item, answer, body) {
	const pressed = document.activeElement;
	card.sent = true;
	for (const button of card.buttons)
		button.disabled = true;
	show(card.error, false);
	try {
		await answer(item.requestId, body);
	} catch (err) {
		card.sent = false;
		if (card.shown !== "open")
			return;
		if (err.status === 409) {
			const first = err.problem?.decision;
			fail(card, `This was answered already${first ? `: ${DECIDED[first] ?? first}` : ""}.`);
			return;
		}
		if (err.status === 404) {
			fail(card, "Nothing waits for this answer any more.");
			return;
		}
		for (const button of card.buttons)
			button.disabled = false;
		if (card.el.contains(pressed))
			pressed.focus();
		fail(card, err.status ? err.message : "The answer did not reach the server. Try again.");
	}
}

function fail(card, text) {
	setText(card.error, text);
	show(card.error, true);
}

function drawClosed(card, item, hadFocus, nested) {
	const denied = REFUSED.has(item.decision);
	const reason = item.by === null ? "" : DECIDED_BY[item.by] ?? `by ${visible(item.by)}`;
	const title = DECIDED[item.decision] ?? visible(item.decision);
	const head = h(nested ? "p" : "summary", { class: "input-head" }, icon(denied ? CROSS : TICK),
		h("span", { class: "input-decision" }, title),
		!nested && item.tool && item.inputKind !== "question" ? h("code", null, visible(item.tool)) : null,
		reason ? h("span", { class: "quiet" }, reason) : null);
	const message = h("p", { class: "input-message" });
	setVisible(message, item.message ?? "");
	card.el.className = denied ? "input is-closed is-denied" : "input is-closed";
	card.el.removeAttribute("aria-label");
	card.buttons = [];
	card.keys.clear();
	const covers = item.covers === null ? null
		: h("p", { class: "input-covers" }, `Not asked for any more in this session: ${visible(item.covers)}`);
	card.el.replaceChildren(nested ? h("div", null, head, covers) : h("details", null, head, message, covers, inputView(item.input)));
	if (hadFocus)
		card.el.dispatchEvent(new CustomEvent("karta-answered", { bubbles: true }));
}
