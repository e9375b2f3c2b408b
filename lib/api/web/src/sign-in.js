/* SPDX-License-Identifier: MIT */
/*
 * Signing in, at the server's own name with a key; and the way to and from a project's name:
 *   server   sign-in#to=HOST&state=S   signs in when nobody is, then goes to the project with a code
 *   project  sign-in#code=C            takes the session over and goes back to where one was
 */

import { takeLeft } from "./key.js";

const by = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.hash.slice(1));
const left = takeLeft();

/* The address keeps neither code nor state. */
history.replaceState(null, "", location.pathname);

async function call(method, path, body) {
	const res = await fetch(path, {
		method, cache: "no-store",
		headers: { accept: "application/json", "karta-page": "1", ...(body ? { "content-type": "application/json" } : {}) },
		body: body ? JSON.stringify(body) : undefined,
	});
	const json = await res.json().catch(() => ({}));
	return { ok: res.ok, status: res.status, json, words: json.detail ?? `The server answered ${res.status}.` };
}

function over(text, title = "Not signed in", words = "Begin again", href = left.back) {
	by("form").hidden = true;
	by("over").hidden = false;
	by("title").textContent = title;
	document.title = `${title} – karta`;
	by("over-text").textContent = text;
	by("again").textContent = words;
	by("again").href = href;
}

const NO_COOKIE = "The server took it, but the browser did not keep the cookie. Allow cookies for this address and begin again.";

/* Signed in at this name: to where one was, or on to the project. */
async function goOn() {
	if (!asked.has("to")) {
		location.replace(left.back);
		return;
	}
	const to = asked.get("to");
	const r = await call("POST", "v1/web/handover", { host: to, state: asked.get("state") ?? "" });
	if (r.ok)
		location.replace(r.json.url);
	else if (r.status === 404)
		over(`Nothing of the organization that you are signed in to is at ${to}. It may have been deleted or renamed; previews end when their branch is deleted or their time is over.`, "There is no such project", "All projects", "./");
	else
		over(r.words);
}

async function takeOver() {
	const r = left.state ? await call("POST", "v1/web/session", { code: asked.get("code"), state: left.state })
		: { ok: false, words: "This sign-in was not begun in this tab." };
	if (!r.ok)
		over(r.words);
	else if ((await call("GET", "v1/sessions?limit=1")).status === 401)
		over(NO_COOKIE);
	else
		location.replace(left.back);
}

function show() {
	by("form").hidden = false;
	by("where").textContent = asked.has("to") ? `${location.host}, and on to ${asked.get("to")}` : location.host;
	by("key").focus();
}

by("form").addEventListener("submit", async (event) => {
	event.preventDefault();
	const button = by("form").querySelector("button");
	const say = (text) => {
		by("said").textContent = text;
		by("said").className = text ? "bad" : "";
	};
	button.disabled = true;
	say("");
	try {
		const r = await call("POST", "v1/web/session", { key: by("key").value.trim() });
		if (!r.ok) {
			say(r.status === 401 ? "The server does not take this key. It may be revoked, expired, or another server's." : r.words);
			by("key").select();
		} else if ((await call("GET", "v1/whoami")).status === 401) {
			say(NO_COOKIE);
		} else {
			by("key").value = "";
			await goOn();
		}
	} catch (err) {
		say(err instanceof TypeError ? "The server cannot be reached." : err.message);
	}
	button.disabled = false;
});

try {
	if (asked.has("code"))
		await takeOver();
	else if ((await call("GET", "v1/whoami")).ok)
		await goOn();
	else
		show();
} catch {
	over("The server cannot be reached.");
}
