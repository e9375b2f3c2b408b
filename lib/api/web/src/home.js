/* SPDX-License-Identifier: MIT */
/* The server's own page: the projects that a key may see, what is live in each, and how one is made. */

import { at, badge, bar, branch, call, failed, line, note, pageUrl, short, spentWords, text, time } from "./frame.js";
import { commands } from "./absent.js";
import { h } from "./dom.js";
import { plural } from "./text.js";
import { pinText } from "./pin.js";

const by = (id) => document.getElementById(id);

/* From this many on there is a field to find one. */
const MANY = 8;

/*
 * Whether a project lacks its model's credential is asked for where it is seen, one after the other:
 * the server reads files for it.
 */
const seen = new IntersectionObserver((entries) => {
	for (const entry of entries.filter((one) => one.isIntersecting)) {
		seen.unobserve(entry.target);
		asking = asking.then(() => lacks(entry.target));
	}
});
let asking = Promise.resolve();

async function lacks(li) {
	const whole = li.isConnected ? await call("GET", `agent_projects/${encodeURIComponent(li.dataset.name)}`).catch(() => null) : null;
	for (const name of whole?.missing_credentials ?? [])
		li.querySelector(".badges").prepend(h("a", { class: "badge warn", href: at(`projects/${li.dataset.name}`), title: `Without ${name} every turn ends with auth_failed` }, "no credential"));
}

function live(project) {
	const now = project.current;
	if (project.kind === "folder")
		return [h("span", { class: "dot on" }), h("div", { class: "what" }, h("div", {}, "Served from a folder"), text("div", "soft cut", project.dir))];
	if (!now)
		return [h("span", { class: "dot" }), h("div", { class: "what" }, h("div", {}, "Nothing live yet"), h("div", { class: "soft" }, h("a", { href: at(`projects/${project.slug}`) }, "How to ship it")))];
	return [h("span", { class: "dot on" }), h("div", { class: "what" },
		h("div", { class: "cut" }, h("b", {}, now.version), " ", text("span", "", now.message || short(now.commit_sha) || "")),
		line("soft cut", time(now.activated_at ?? now.created_at), now.created_by ? text("span", "", `by ${now.created_by}`) : null, short(now.commit_sha)))];
}

function badges(project) {
	const out = [];
	if (project.default)
		out.push(badge("", "default", "Calls that name no project mean this one"));
	if (project.pinned)
		out.push(badge("pin", "pinned", pinText(project)));
	if (project.previews?.length > 0)
		out.push(badge("", plural(project.previews.length, "preview"), project.previews.map((p) => branch(p.ref) || p.label).join(", ")));
	return out;
}

function row(project, spent) {
	const url = pageUrl(project.url);
	return h("li", { class: "project", "data-name": project.slug },
		h("div", { class: "name" }, h("a", { class: "cut", href: at(`projects/${project.slug}`), title: project.slug }, project.slug), text("div", "soft cut", project.harness ?? (project.kind === "folder" ? "a folder" : "no harness yet"))),
		...live(project),
		spent ? line("spent soft", spentWords(spent.usage), plural(spent.sessions, "session")) : h("div", { class: "spent" }),
		h("div", { class: "badges" }, ...badges(project)),
		url && (project.current || project.kind === "folder") ? h("a", { class: "button small open", href: url, "aria-label": `Chat with ${project.slug}` }, "Chat") : h("span", { class: "open" }));
}

function empty(server, local) {
	return note("Ship the first one", h("p", {}, "In the folder of an application (", h("code", {}, "CLAUDE.md"), " or ", h("code", {}, "AGENTS.md"), "):"),
		commands([...(local ? [] : [`karta login --server ${server}`]), "git init -b main && karta init", "git add -A && git commit -m first", "git push karta main"]),
		h("p", { class: "soft" }, "The push makes the project, checks it, puts it live and prints its address."));
}

function find() {
	const words = by("filter").value.trim().toLowerCase();
	let shown = 0;
	for (const li of by("projects").children) {
		li.hidden = !li.dataset.name.includes(words);
		shown += li.hidden ? 0 : 1;
	}
	by("said").replaceChildren(...(shown === 0 && by("projects").children.length > 0 ? [h("p", { class: "soft" }, "No project has that in its name.")] : []));
}

async function load() {
	by("said").replaceChildren();
	try {
		const [projects, who, usage] = await Promise.all([call("GET", "agent_projects"), bar(), call("GET", "v1/usage")]);
		const spent = new Map(usage.data.map((one) => [one.project_id, one]));
		const list = projects.data;
		by("count").textContent = list.length > 0 ? list.length : "";
		by("filter-label").hidden = list.length < MANY;
		by("projects").replaceChildren(...list.map((one) => row(one, spent.get(one.id))));
		seen.disconnect();
		for (const [i, one] of list.entries())
			if (one.current)
				seen.observe(by("projects").children[i]);
		if (list.length === 0)
			by("said").replaceChildren(empty(at("").replace(/\/$/, ""), who.local));
		if (by("filter").value !== "")
			find();
	} catch (err) {
		by("said").replaceChildren(failed(err, load));
	}
	by("projects").removeAttribute("aria-busy");
}

by("filter").addEventListener("input", find);
/* Coming back to the tab shows what is there now. */
document.addEventListener("visibilitychange", () => {
	if (!document.hidden)
		load();
});
load();
