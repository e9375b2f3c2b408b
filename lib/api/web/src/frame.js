/* SPDX-License-Identifier: MIT */
/*
 * What the pages at the server's own name share: the bar with who is signed in, requests that give
 * JSON, and the few elements that all of them show.
 */

import { h, setVisible } from "./dom.js";
import { request } from "./key.js";
import { ago } from "./text.js";

/* The server's own paths begin here, whatever page this is. */
export const ROOT = new URL("../", import.meta.url).href;
export const at = (path) => ROOT + path;

const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/* An answer that is a problem. */
export class Problem extends Error {
	constructor(status, json) {
		super(json.detail || json.title || `The server answered ${status}.`);
		this.status = status;
		this.code = json.code ?? "";
		this.json = json;
	}
}

/* A call with JSON both ways; throws a Problem, or an Error with words for a person. */
export async function call(method, path, body) {
	let res;
	try {
		res = await request(at(path), {
			method, own: true,
			headers: { accept: "application/json", ...(body ? { "content-type": "application/json" } : {}) },
			body: body ? JSON.stringify(body) : undefined,
		});
	} catch (err) {
		throw err instanceof TypeError ? new Error("The server cannot be reached. It may be starting again; try again in a moment.") : err;
	}
	const json = await res.json().catch(() => ({}));
	if (!res.ok)
		throw new Problem(res.status, json);
	return json;
}

/* Text of elsewhere, with what would not be seen spelled out. */
export function text(tag, className, words) {
	const el = h(tag, { class: className });
	setVisible(el, String(words ?? ""));
	return el;
}

/* "3 min ago", with the whole time on hover. */
export function time(iso) {
	if (!iso)
		return null;
	return h("time", { datetime: iso, title: new Date(iso).toLocaleString() }, ago(iso, Date.now()));
}

/* Parts of one line, with dots between those that are there. */
export function line(className, ...parts) {
	const el = h("div", { class: className });
	for (const part of parts.filter((one) => one !== null && one !== undefined && one !== "")) {
		if (el.childNodes.length > 0)
			el.append(" · ");
		el.append(part);
	}
	return el;
}

export const badge = (kind, words, title) => h("span", { class: `badge ${kind}`, title }, words);

/* Cost and tokens, as far as they are known; "" where nothing is. */
export function spentWords(usage) {
	const tokens = (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0);
	const cost = usage?.cost_usd ?? 0;
	return [cost > 0 ? (cost < 0.1 ? `$${cost.toFixed(4)}` : `$${cost.toFixed(2)}`) : "", tokens > 0 ? `${COMPACT.format(tokens)} tokens` : ""].filter(Boolean).join(" · ");
}

/* Only what leads to a page, whatever the name may be. */
export const pageUrl = (url) => (/^https?:\/\//.test(url ?? "") ? url.replace(/\/?$/, "/") : null);

/* What is said instead of a list: nothing there, or why it cannot be shown, with a way on. */
export function note(title, ...parts) {
	return h("div", { class: "note" }, h("h3", {}, title), ...parts);
}

export function failed(err, again) {
	return h("div", { class: "note bad-note", role: "alert" }, h("p", {}, err.message),
		again ? h("button", { type: "button", onclick: again }, "Try again") : null);
}

export const short = (sha) => (/^[0-9a-f]{40}$/.test(sha ?? "") ? sha.slice(0, 7) : null);
export const branch = (ref) => (ref ?? "").replace(/^refs\/heads\//, "");

/*
 * A question with a way back. fields: what is asked besides, an element whose value is given to
 * `act`. The dialog stays open with the reason while act() fails.
 */
export function confirm({ title, body, button, danger, field, act }) {
	const said = h("p", { class: "bad", role: "alert" });
	const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" }, button);
	const no = h("button", { type: "button", onclick: () => close() }, "Cancel");
	const form = h("form", { method: "dialog" }, h("h2", { id: "confirm-title" }, title), ...body, field ?? null, said, h("div", { class: "row end" }, no, yes));
	const dialog = h("dialog", { "aria-labelledby": "confirm-title" }, form);
	const before = document.activeElement;
	function close() {
		dialog.close();
		dialog.remove();
		before?.focus();
	}
	dialog.addEventListener("cancel", (event) => {
		event.preventDefault();
		close();
	});
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		yes.disabled = true;
		said.textContent = "";
		try {
			await act(field?.querySelector("input")?.value.trim());
			close();
		} catch (err) {
			said.textContent = err.message;
			yes.disabled = false;
		}
	});
	document.body.append(dialog);
	dialog.showModal();
	(field?.querySelector("input") ?? no).focus();
}

/* Says for a moment that something was done. */
let toastTimer = 0;
export function toast(words) {
	const el = document.getElementById("toast");
	el.textContent = words;
	clearTimeout(toastTimer);
	toastTimer = setTimeout(() => { el.textContent = ""; }, 5000);
}

/*
 * Fills the bar; gives {local, scopes} of who is signed in. A server that asks for no key has nobody
 * to name, and lets its user do all.
 */
export async function bar() {
	const who = await call("GET", "v1/whoami");
	const bar = document.getElementById("who");
	if (who.local || !who.key) {
		bar.replaceChildren(h("span", { class: "soft", title: "This server is for its own user on this machine: it asks for no key." }, "Local server"));
		return { local: true, scopes: ["read", "write", "admin"] };
	}
	const until = who.key.expires_at ? `, until ${new Date(who.key.expires_at).toLocaleDateString()}` : "";
	bar.replaceChildren(
		h("span", { class: "who-name", title: `Key ${who.key.name} of ${who.org.slug}: ${who.key.scopes.join(", ")}${until}` },
			text("span", "", who.key.name), h("span", { class: "soft" }, ` · ${who.org.slug}`)),
		h("button", { type: "button", class: "plain", onclick: signOut }, "Sign out"));
	return { local: false, scopes: who.key.scopes };
}

async function signOut() {
	try {
		await call("DELETE", "v1/web/session");
		location.assign(at("sign-in"));
	} catch (err) {
		toast(err.message);
	}
}
