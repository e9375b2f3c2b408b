/* SPDX-License-Identifier: MIT */
/* One project: what is live, its releases, log, sessions and names of configuration. */

import { at, badge, bar, branch, call, confirm, failed, line, note, pageUrl, short, spentWords, text, time, toast } from "./frame.js";
import { h } from "./dom.js";
import { logs } from "./project-logs.js";
import { count, plural } from "./text.js";
import { commands, shipLines } from "./absent.js";

const by = (id) => document.getElementById(id);
const name = decodeURIComponent(location.pathname.split("/").pop());
const path = `agent_projects/${encodeURIComponent(name)}`;
const SERVER = at("").replace(/\/$/, "");

let project = null;
let who = { local: false, scopes: [] };
let spent = null;
let leave = () => {};
const may = (scope) => who.scopes.includes(scope);

/* --- what is live ------------------------------------------------------------------------- */

const fact = (label, ...parts) => h("div", { class: "fact" }, h("dt", {}, label), h("dd", {}, ...parts));

const whole = (el) => {
	el.classList.add("whole");
	return el;
};

function liveFact() {
	const now = project.current;
	if (project.kind === "folder")
		return fact("Live", "Served from ", text("code", "", project.dir));
	if (!now)
		return fact("Live", "Nothing yet");
	return fact("Live", h("b", {}, now.version), " ", text("span", "", now.message ?? ""),
		line("soft", time(now.activated_at ?? now.created_at), now.created_by ? text("span", "", `by ${now.created_by}`) : null, short(now.commit_sha)));
}

function pinFact() {
	return fact("Pinned", text("div", "", project.pin_reason || "No reason was given"),
		line("soft", project.pinned_by ? text("span", "", `by ${project.pinned_by}`) : null, time(project.pinned_at), "pushes wait until it is unpinned"),
		may("admin") ? h("button", { type: "button", class: "small", onclick: unpin }, "Unpin…") : h("div", { class: "soft" }, "Unpinning needs the scope admin."));
}

function previewItem(p) {
	const url = pageUrl(p.url);
	return h("li", {}, url ? h("a", { href: url }, p.label) : p.label,
		line("soft", p.pr ? `pull request ${p.pr}` : text("span", "", branch(p.ref)), p.version, p.expires_at ? h("span", { title: new Date(p.expires_at).toLocaleString() }, `until ${new Date(p.expires_at).toLocaleDateString()}`) : null));
}

function missingNote() {
	const missing = project.missing_credentials ?? [];
	if (missing.length === 0)
		return null;
	return h("div", { class: "note warn-note" }, h("h3", {}, "The model's credential is missing"),
		h("p", {}, "Without it every turn ends with ", h("code", {}, "auth_failed"), ". In a terminal; it asks for the value, which is not shown:"),
		commands([`karta config set ${missing[0]} -p ${project.slug}`]));
}

function head() {
	const url = pageUrl(project.url);
	by("name").textContent = project.slug;
	document.title = `${project.slug} – karta`;
	by("open").hidden = !url || (!project.current && project.kind !== "folder");
	if (url)
		by("open").href = url;
}

function facts() {
	const url = pageUrl(project.url);
	const list = [whole(liveFact()), url ? fact("Address", h("a", { href: url }, url.replace(/\/$/, ""))) : null,
		project.kind === "folder" ? null : fact("Goes live from", h("div", {}, text("code", "", branch(project.production_ref))), project.repo_url ? text("div", "soft", project.repo_url) : null, project.harness ? text("div", "soft", project.harness) : null),
		fact("Usage", h("div", {}, spentWords(spent?.usage) || "Nothing yet"), h("div", { class: "soft" }, plural(spent?.sessions ?? 0, "session"))),
		project.pinned ? whole(pinFact()) : null,
		project.previews?.length > 0 ? whole(fact(project.previews.length === 1 ? "Preview" : `Previews (${project.previews.length})`, h("ul", { class: "bare" }, ...project.previews.map(previewItem)))) : null];
	return [missingNote(), h("dl", { class: "facts" }, ...list.filter(Boolean))].filter(Boolean);
}

async function refresh() {
	const [now, usage] = await Promise.all([call("GET", path), call("GET", "v1/usage")]);
	project = now;
	spent = usage.data.find((one) => one.project_id === project.id) ?? null;
	head();
}

function unpin() {
	confirm({
		title: `Unpin ${project.slug}?`, button: "Unpin",
		body: [h("p", {}, `${project.current?.version ?? "The release"} stays live. The next push, or an activation, replaces it.`)],
		act: async () => {
			await call("DELETE", `${path}/pin`);
			await refresh();
			show();
			toast("Unpinned.");
		},
	});
}

/* --- releases ------------------------------------------------------------------------------ */

const STATES = { active: "live", superseded: "was live", ready: "ready", failed: "failed", preview: "preview", expired: "preview, ended", queued: "waits", building: "is built" };
const KINDS = { active: "good", failed: "bad", preview: "pin", queued: "busy", building: "busy" };
const number = (version) => Number(String(version).slice(1));

function rollBack(r) {
	const older = number(r.version) < number(project.current.version);
	confirm({
		title: older ? `Roll back to ${r.version}?` : `Activate ${r.version}?`, danger: older, button: older ? "Roll back" : "Activate",
		body: [h("p", {}, `${project.current.version} is live. New sessions get ${r.version}, with the configuration that it had; sessions that run stay on theirs.`),
			older ? h("p", {}, "The project is then pinned: pushes do not replace it until it is unpinned.") : null].filter(Boolean),
		field: older ? h("label", {}, "Reason (whoever pushes reads it)", h("input", { name: "reason", maxlength: "200", autocomplete: "off", placeholder: "v8 loses the order number" })) : null,
		act: async (reason) => {
			if (older)
				await call("POST", `${path}/rollback`, { version: r.version, ...(reason ? { reason } : {}) });
			else
				await call("POST", `${path}/activate`, { version: r.version });
			await refresh();
			show();
			toast(`${r.version} is live.`);
		},
	});
}

function action(r) {
	if (r.active || !["ready", "superseded"].includes(r.state) || !project.current)
		return null;
	const older = number(r.version) < number(project.current.version);
	if (!may(older ? "admin" : "write"))
		return null;
	return h("button", { type: "button", class: "small", onclick: () => rollBack(r) }, older ? "Roll back…" : "Activate…");
}

/* The build's log, when it is opened. */
function buildLog(r) {
	const box = h("div", { class: "build" });
	const details = h("details", { class: "more" }, h("summary", {}, "Build log"), box);
	details.addEventListener("toggle", async () => {
		if (!details.open || box.childNodes.length > 0)
			return;
		box.append("…");
		try {
			const log = await call("GET", `${path}/releases/${encodeURIComponent(r.version)}/log`);
			const lines = log.data.filter((e) => e.type === "log").map((e) => text("div", `log-line ${e.data.level}`, e.data.text));
			box.replaceChildren(...(lines.length > 0 ? lines : [h("p", { class: "soft" }, "The log of this build is not kept any more.")]));
		} catch (err) {
			box.replaceChildren(h("p", { class: "bad" }, err.message));
		}
	});
	return details;
}

function release(r) {
	return h("li", { class: `release${r.active ? " is-live" : ""}` },
		h("div", { class: "version" }, h("b", {}, r.version), badge(r.active ? "good" : KINDS[r.state] ?? "", STATES[r.state] ?? r.state)),
		h("div", { class: "what" },
			text("div", "message", r.message || (r.source === "config" ? "Configuration" : "No message")),
			r.error ? text("p", "bad", r.error.message ?? r.error.code) : null,
			line("soft", time(r.created_at), r.created_by ? text("span", "", `by ${r.created_by}`) : null, r.ref ? text("span", "", branch(r.ref)) : null, short(r.commit_sha), plural(r.files, "file")),
			buildLog(r)),
		h("div", { class: "act" }, action(r)));
}

const PAGE = 20;

async function overview(part) {
	const box = h("div", {});
	part.replaceChildren(...facts(), h("h2", { class: "part-title" }, "Releases"), box);
	await releases(box);
}

async function releases(part) {
	const list = h("ol", { class: "releases" });
	const more = h("button", { type: "button", hidden: true }, "Show older releases");
	let before = 0;
	const load = async () => {
		more.disabled = true;
		const page = await call("GET", `${path}/releases?limit=${PAGE}${before ? `&before=v${before}` : ""}`);
		list.append(...page.data.map(release));
		before = page.data.length > 0 ? number(page.data.at(-1).version) : 0;
		more.hidden = !page.has_more;
		more.disabled = false;
	};
	more.addEventListener("click", () => load().catch((err) => toast(err.message)));
	await load();
	if (list.childNodes.length === 0 && project.kind === "folder")
		part.replaceChildren(note("No releases", h("p", {}, "This project is served from a folder: what is in it is live.")));
	else if (list.childNodes.length === 0)
		part.replaceChildren(note("Ship the first release", h("p", {}, "In the application's folder, a git repository:"), commands(shipLines(SERVER, project.slug, who.local))));
	else
		part.replaceChildren(list, more);
}

/* --- sessions ------------------------------------------------------------------------------ */

const TURN = { queued: "waits", starting: "starts", running: "runs", waiting: "asks for approval" };

function session(s) {
	const url = pageUrl(project.url);
	const state = s.pending_input ? badge("warn", TURN.waiting) : s.turn ? badge("busy", TURN[s.turn.state] ?? s.turn.state) : null;
	const title = s.title || "Untitled";
	return h("li", { class: "session" },
		h("div", { class: "what" }, url ? h("a", { class: "cut", href: `${url}#${s.id}` }, text("span", "", title)) : text("div", "cut", title),
			line("soft", time(s.updated_at), plural(s.turns, "turn"), spentWords(s.usage), s.release ?? null, text("span", "", s.current_agent))),
		h("div", { class: "act" }, state));
}

async function sessions(part) {
	const list = h("ul", { class: "sessions" });
	const more = h("button", { type: "button", hidden: true }, "Show older sessions");
	let last = null;
	const load = async () => {
		more.disabled = true;
		const page = await call("GET", `v1/projects/${encodeURIComponent(name)}/sessions?limit=50${last ? `&after=${last}` : ""}`);
		list.append(...page.data.map(session));
		last = page.data.at(-1)?.id ?? last;
		more.hidden = !page.has_more;
		more.disabled = false;
	};
	more.addEventListener("click", () => load().catch((err) => toast(err.message)));
	await load();
	const url = pageUrl(project.url);
	part.replaceChildren(...(list.childNodes.length > 0 ? [list, more]
		: [note("No sessions yet", url && (project.current || project.kind === "folder") ? h("p", {}, h("a", { href: url }, "Begin one"), " on the project's page, or with ", h("code", {}, `karta send -p ${project.slug} Hello`), ".") : h("p", {}, "There is nothing to talk to before the first release."))]));
}

/* --- configuration ------------------------------------------------------------------------- */

async function config(part) {
	const json = await call("GET", `${path}/config`);
	const names = Object.keys(json.vars ?? {}).sort();
	part.replaceChildren(
		names.length > 0 ? h("ul", { class: "names" }, ...names.map((one) => h("li", {}, text("code", "", one)))) : note("No variables", h("p", {}, "Sessions have no variables of this project.")),
		h("p", { class: "soft" }, names.length > 0 ? `Version ${count(json.version)}. ` : "", "Values are never shown on a page. In a terminal:"),
		commands([`karta config set NAME=VALUE -p ${project.slug}`, `karta config get NAME -p ${project.slug}`, `karta config unset NAME -p ${project.slug}`]));
}

/* --- the page ------------------------------------------------------------------------------- */

const PARTS = { overview, logs: (part) => logs(part, path), sessions, config };

async function show() {
	const want = Object.hasOwn(PARTS, location.hash.slice(1)) ? location.hash.slice(1) : "overview";
	const part = by("part");
	for (const a of by("tabs").children) {
		if (a.hash === `#${want}`)
			a.setAttribute("aria-current", "page");
		else
			a.removeAttribute("aria-current");
	}
	leave();
	leave = () => {};
	const mine = {};
	show.now = mine;
	/* What was asked for before, and comes later, goes nowhere. */
	const box = h("div", {});
	part.replaceChildren(box);
	try {
		const left = await PARTS[want](box);
		if (show.now === mine)
			leave = left ?? leave;
		else
			left?.();
	} catch (err) {
		box.replaceChildren(failed(err, show));
	}
}

async function begin() {
	try {
		[who] = await Promise.all([bar(), refresh()]);
		by("tabs").hidden = false;
		addEventListener("hashchange", show);
		await show();
	} catch (err) {
		by("name").textContent = name;
		by("part").replaceChildren(err.status === 404
			? note("There is no such project", h("p", {}, "Nothing of this name is there for the key that you are signed in with. It may have been deleted or renamed."), h("p", {}, h("a", { href: at("") }, "All projects")))
			: failed(err, begin));
	}
}
begin();
