/* SPDX-License-Identifier: MIT */
/* The server's own page: the projects that a key may see, each with its address. */

import { request } from "./key.js";
import { pinText } from "./pin.js";

function row(project) {
	const li = document.createElement("li");
	const link = document.createElement("a");
	const more = document.createElement("div");
	/* Only what leads to a page, whatever the name may be. */
	if (/^https?:\/\//.test(project.url ?? ""))
		link.href = project.url.replace(/\/?$/, "/");
	link.textContent = project.slug;
	more.className = "soft";
	more.textContent = [project.harness, project.kind === "folder" ? "served from its folder"
		: project.current ? `live: ${project.current.version}` : "nothing live yet", pinText(project)]
		.filter(Boolean).join(" · ");
	li.append(link, more);
	return li;
}

const said = document.getElementById("said");
try {
	const res = await request("agent_projects", { headers: { accept: "application/json" } });
	const json = await res.json();
	if (!res.ok)
		throw new Error(json.detail ?? `The server answered ${res.status}.`);
	document.getElementById("projects").replaceChildren(...json.data.map(row));
	if (json.data.length === 0)
		said.textContent = "There is no project yet. In a folder: karta init, then git push karta main.";
} catch (err) {
	said.textContent = err instanceof TypeError ? "The server cannot be reached." : err.message;
	said.className = "bad";
}
