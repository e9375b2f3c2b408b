/* SPDX-License-Identifier: MIT */
/*
 * The API key of a hosting server: asked for when the server wants one, kept for
 * as long as the tab lives, and sent as a bearer key with every request.
 */

const SLOT = "karta-api-key";

let asking = null;
let held = "";

function present() {
	try {
		return sessionStorage.getItem(SLOT) ?? held;
	} catch {
		return held;
	}
}

function store(key) {
	try {
		sessionStorage.setItem(SLOT, key);
	} catch {
		/* A browser that keeps nothing is asked again after the next reload. */
		held = key;
	}
}

/* A request with the key; asks for one, or for another one, while the server refuses it. */
export async function request(path, options = {}) {
	for (;;) {
		const key = present();
		const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
		const res = await fetch(path, { cache: "no-store", ...options, headers });
		if (res.status !== 401)
			return res;
		await ask(key);
	}
}

/* One dialog for all requests that wait; nothing is asked when another key came meanwhile. */
function ask(refused) {
	if (present() !== refused)
		return Promise.resolve();
	asking ??= show(refused !== "").finally(() => { asking = null; });
	return asking;
}

function element(tag, props, ...children) {
	const el = Object.assign(document.createElement(tag), props);
	el.append(...children);
	return el;
}

function show(refused) {
	const field = element("input", { type: "password", id: "key-field", className: "key-field", autocomplete: "off", spellcheck: false, required: true });
	const form = element("form", { method: "dialog" },
		element("h2", { id: "key-title" }, "API key"),
		element("p", {}, refused ? "The server does not take this key. Enter another one."
			: "This server asks for an API key. It is kept in this tab only."),
		element("label", { htmlFor: "key-field", className: "key-label" }, "Key"), field,
		element("div", { className: "dialog-row" }, element("button", { className: "button primary", type: "submit" }, "Continue")));
	const dialog = element("dialog", { className: "dialog", id: "key" }, form);
	dialog.setAttribute("aria-labelledby", "key-title");
	document.body.append(dialog);
	return new Promise((resolve) => {
		/* Without a key there is nothing to show: Escape does not close it. */
		dialog.addEventListener("cancel", (event) => event.preventDefault());
		form.addEventListener("submit", (event) => {
			event.preventDefault();
			const key = field.value.trim();
			if (key === "")
				return;
			store(key);
			dialog.close();
			dialog.remove();
			resolve();
		});
		dialog.showModal();
		field.focus();
	});
}
