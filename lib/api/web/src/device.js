/* SPDX-License-Identifier: MIT */
/* Approving a login: the code, then what is asked for, then yes or no. */

import { bar, call } from "./frame.js";

const by = (id) => document.getElementById(id);

const WORDS = { read: "read", write: "change projects and talk", admin: "administer: keys, audit, deleting" };

/* The server's words and this machine's. */
const when = (iso) => iso ? `${iso.replace(/\.\d+/, "")} (${new Date(iso).toLocaleString()})` : "";

function say(text, isBad = false) {
	by("said").textContent = text;
	by("said").className = isBad ? "bad" : "";
}

async function ask(method, body) {
	try {
		return await call(method, `v1/device/${encodeURIComponent(by("code").value.trim().toUpperCase())}`, body);
	} catch (err) {
		throw err.status === 403 ? new Error("You are signed in with a key that lacks the scope admin. Sign out and in again with one that has it.")
			: err.status === 404 ? new Error("There is no such code, or it is too old. Start the login again.") : err;
	}
}

async function attempt(what) {
	const buttons = document.querySelectorAll("button");
	for (const one of buttons)
		one.disabled = true;
	say("");
	try {
		await what();
	} catch (err) {
		say(err.message, true);
	}
	for (const one of buttons)
		one.disabled = false;
}

by("ask").addEventListener("submit", (event) => {
	event.preventDefault();
	attempt(async () => {
		const asked = await ask("GET");
		// As the server has it: what was typed may look like it and be another one.
		by("asked-code").textContent = asked.user_code ?? "";
		by("asked-name").textContent = asked.client_name ?? "";
		by("asked-address").textContent = asked.address ?? "not known";
		by("asked-time").textContent = when(asked.created_at);
		by("asked-scopes").textContent = (asked.scopes ?? []).map((s) => WORDS[s] ?? s).join(", ");
		by("asked-end").textContent = when(asked.key_expires_at);
		by("ask").hidden = true;
		by("asked").hidden = false;
		// Never a button: the Enter that sent the key must not approve.
		by("asked-title").focus();
	});
});

function decide(approve) {
	attempt(async () => {
		await ask("POST", { approve });
		by("asked").hidden = true;
		say(approve ? "Approved. The machine signs in by itself; you can close this page." : "Denied. You can close this page.");
	});
}

by("approve").addEventListener("click", () => decide(true));
by("deny").addEventListener("click", () => decide(false));
by("code").value = (new URLSearchParams(location.search).get("code") ?? "").toUpperCase().replace(/[^A-Z-]/g, "").slice(0, 9);
(by("code").value ? document.querySelector("#ask button") : by("code")).focus();

/* Who approves is signed in first. */
bar().catch((err) => say(err.message, true));
