/* SPDX-License-Identifier: MIT */
/*
 * Approving a login: the code and an administrator's key, then what is asked for, then yes or no.
 * The key goes into requests to this server and nowhere else; it is not kept.
 */

const by = (id) => document.getElementById(id);

function say(text, isBad = false) {
	by("said").textContent = text;
	by("said").className = isBad ? "bad" : "";
}

async function call(method, body) {
	const res = await fetch(`v1/device/${encodeURIComponent(by("code").value.trim().toUpperCase())}`, {
		method, cache: "no-store",
		headers: {
			authorization: `Bearer ${by("key").value.trim()}`, accept: "application/json",
			...(body ? { "content-type": "application/json" } : {}),
		},
		body: body ? JSON.stringify(body) : undefined,
	});
	const json = await res.json().catch(() => ({}));
	if (res.ok)
		return json;
	throw new Error(res.status === 401 ? "The server does not take this key."
		: res.status === 403 ? "This key lacks the scope admin."
		: res.status === 404 ? "There is no such code, or it is too old. Start the login again."
		: json.detail || `The server answered ${res.status}.`);
}

async function attempt(what) {
	const buttons = document.querySelectorAll("button");
	for (const one of buttons)
		one.disabled = true;
	say("");
	try {
		await what();
	} catch (err) {
		say(err instanceof TypeError ? "The server cannot be reached." : err.message, true);
	}
	for (const one of buttons)
		one.disabled = false;
}

by("ask").addEventListener("submit", (event) => {
	event.preventDefault();
	attempt(async () => {
		const asked = await call("GET");
		by("asked-code").textContent = by("code").value.trim().toUpperCase();
		by("asked-name").textContent = asked.client_name ?? "";
		by("asked-scopes").textContent = (asked.scopes ?? []).join(", ");
		by("asked-time").textContent = asked.created_at ? new Date(asked.created_at).toLocaleString() : "";
		by("ask").hidden = true;
		by("asked").hidden = false;
		by("approve").focus();
	});
});

function decide(approve) {
	attempt(async () => {
		await call("POST", { approve });
		by("asked").hidden = true;
		by("key").value = "";
		say(approve ? "Approved. The machine signs in by itself; you can close this page." : "Denied. You can close this page.");
	});
}

by("approve").addEventListener("click", () => decide(true));
by("deny").addEventListener("click", () => decide(false));
by("code").value = new URLSearchParams(location.search).get("code") ?? "";
(by("code").value ? by("key") : by("code")).focus();
