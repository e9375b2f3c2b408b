/* SPDX-License-Identifier: MIT */
/*
 * What a project's page is when there is no project, or nothing live in it yet: a page that says
 * what to do next, instead of a chat that cannot begin.
 */

import { copyButton } from "./dom.js";

/* The lines that put the application of a folder live as this project, at this server. */
export const shipLines = (server, name, local = false) => [
	...(local ? [] : [`karta login --server ${server}`]),
	`git remote add karta karta::${server}/${name}`,
	"git add -A && git commit -m 'First release'",
	"git push karta main",
];

function element(tag, props, ...children) {
	const el = Object.assign(document.createElement(tag), props);
	el.append(...children);
	return el;
}

/* Lines for a terminal, as one block with a button that copies it. */
export function commands(lines) {
	return element("div", { className: "commands-box" },
		element("pre", { className: "commands", tabIndex: 0 }, element("code", {}, ...lines.map((line) => element("span", {}, `${line}\n`)))),
		copyButton(() => lines.join("\n"), "Copy the commands"));
}

const TEXTS = {
	project_not_found: (json) => ["There is no such project", [
		element("p", {}, "No project or preview of your organization has this address. It may have been deleted or renamed; previews end when their branch is deleted, their pull request is closed, or their time is over."),
		element("p", { className: "soft" }, json.detail ?? ""),
	]],
	no_release: (json) => ["Nothing is live here yet", [
		element("p", {}, "The project is there and waits for its first release. In the application's folder:"),
		commands(shipLines(json.server ?? location.origin, json.project ?? "NAME", json.local === true)),
	]],
};

/* Makes the page the one that res, an answer, asks for; false when it is another kind of answer. */
export async function absent(res) {
	if (res.status !== 404 && res.status !== 409)
		return false;
	const json = await res.json().catch(() => ({}));
	if (!Object.hasOwn(TEXTS, json.code ?? ""))
		return false;
	const [title, parts] = TEXTS[json.code](json);
	const back = /^https?:\/\//.test(json.server ?? "") ? [element("p", {}, element("a", { className: "button primary", href: `${json.server}/` }, "All projects"))] : [];
	const style = element("link", { rel: "stylesheet", href: new URL("page.css", import.meta.url).href });
	document.head.querySelectorAll("link[rel=stylesheet]").forEach((one) => one.remove());
	document.head.append(style);
	document.title = `${title} – karta`;
	/* The chat's elements stay, unseen: its modules go on looking for them. */
	for (const el of document.body.children) {
		el.hidden = true;
		el.inert = true;
	}
	document.body.append(element("main", { className: "narrow wider" },
		element("p", { className: "brand" }, element("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 28, height: 28 }), " karta"),
		element("h1", {}, title), ...parts, ...back));
	return true;
}
