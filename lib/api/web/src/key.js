/* SPDX-License-Identifier: MIT */
/*
 * Requests to a hosting server as the browser that is signed in. The cookie is the server's affair:
 * no script sees it. Where nobody is signed in yet, the browser goes to the server's own name to do
 * so and comes back; in the midst of work a dialog asks first.
 */

import { absent } from "./absent.js";

const BACK = "karta-back";
const STATE = "karta-state";

let worked = false;
let asking = null;
let leaving = false;

/*
 * A request of this page; returns its answer, which is not 401. What shows a project's absence by
 * itself says so (`own`).
 */
export async function request(path, { own = false, ...options } = {}) {
	for (;;) {
		const headers = { ...options.headers, "karta-page": "1" };
		const res = await fetch(path, { cache: "no-store", ...options, headers });
		if (res.status !== 401) {
			if (!res.ok && !own && !worked && (await absent(res.clone())))
				return new Promise(() => {});
			worked ||= res.ok;
			return res;
		}
		const where = await signInAt(res);
		if (!worked) {
			leave(where);
			return new Promise(() => {});
		}
		asking ??= ask(where).finally(() => { asking = null; });
		await asking;
	}
}

/* Where one signs in, as the server says; only an address of the web is gone to. */
async function signInAt(res) {
	const json = await res.json().catch(() => ({}));
	const url = new URL(json.sign_in ?? "sign-in", json.sign_in ? location.href : new URL("../", import.meta.url));
	return /^https?:$/.test(url.protocol) ? url : null;
}

/* What only this tab knows: who lures a browser to a code of his own does not know it. */
function freshState() {
	const bytes = crypto.getRandomValues(new Uint8Array(24));
	return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/* Go and sign in, and come back here. */
export function leave(where) {
	if (!where || leaving)
		return;
	leaving = true;
	const state = freshState();
	try {
		sessionStorage.setItem(BACK, location.href);
		sessionStorage.setItem(STATE, state);
	} catch {
		/* A browser that keeps nothing comes back to the beginning. */
	}
	if (where.hash !== "")
		where.hash += `&state=${state}`;
	location.assign(where);
}

/* What leave() left for the page that signs in, once. */
export function takeLeft() {
	const left = { back: null, state: null };
	try {
		left.back = sessionStorage.getItem(BACK);
		left.state = sessionStorage.getItem(STATE);
		sessionStorage.removeItem(STATE);
	} catch {
		/* Nothing is kept here. */
	}
	if (left.back === null || new URL(left.back).origin !== location.origin)
		left.back = new URL("../", import.meta.url).href;
	return left;
}

function element(tag, props, ...children) {
	const el = Object.assign(document.createElement(tag), props);
	el.append(...children);
	return el;
}

/* What is on the page stays until the user goes; another tab may have signed in meanwhile. */
function ask(where) {
	const again = element("button", { className: "button", type: "button" }, "Try again");
	const go = element("button", { className: "button primary", type: "button" }, "Sign in");
	const dialog = element("dialog", { className: "dialog", id: "signed-out" },
		element("h2", { id: "signed-out-title" }, "You are signed out"),
		element("p", {}, "This browser was signed out, or its key has ended. Signing in leaves this page and comes back to it; after signing in in another tab, try again."),
		element("div", { className: "dialog-row" }, again, go));
	dialog.setAttribute("aria-labelledby", "signed-out-title");
	document.body.append(dialog);
	return new Promise((resolve) => {
		/* Without an answer there is nothing to show: Escape does not close it. */
		dialog.addEventListener("cancel", (event) => event.preventDefault());
		go.addEventListener("click", () => leave(where));
		again.addEventListener("click", () => {
			dialog.close();
			dialog.remove();
			resolve();
		});
		dialog.showModal();
		go.focus();
	});
}
