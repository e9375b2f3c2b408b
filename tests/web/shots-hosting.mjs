// SPDX-License-Identifier: MIT
/*
 * The states of a hosting server's pages for shots.mjs, on real servers: one with projects of every kind, one that is
 * empty, one that is local.
 */

import { symlinkSync } from "node:fs";
import { Client } from "../api/document.mjs";
import { PATIENCE_MS, tempDir, writeFiles } from "../api/lib.mjs";
import { archive, publish, startServe } from "../api/serve.mjs";

const LONG = "a-name-that-is-as-long-as-a-name-of-a-project-may-be-on-a-host";

/* Starts the servers and fills them. after(fn) is called with what ends them. */
export async function hosting(after) {
	const t = { after };
	const bin = tempDir(t, "bin");
	symlinkSync("/bin/true", `${bin}/opencode`);
	const full = await startServe(t, { env: { PATH: `${bin}:${process.env.PATH}` } });
	const bare = await startServe(t);
	const local = await startServe(t, { keyless: true });
	const c = new Client(full, full.key);
	const must = async (method, route, args = [], body = undefined) => {
		const r = await c.call(method, route, args, body ? { body } : {});
		if (r.status >= 300)
			throw new Error(`${method} ${route}: ${r.text}`);
		return r.body;
	};
	const ship = async (slug, files, message) => {
		const query = new URLSearchParams({ message, commit: "4f1c2d3e4f1c2d3e4f1c2d3e4f1c2d3e4f1c2d3e" });
		const r = await publish(c, slug, archive(t, files, slug), `?${query}`);
		if (r.status >= 300)
			throw new Error(r.text);
	};
	await ship("support-bot", {}, "First release");
	await ship("support-bot", { "AGENTS.md": "Be brief.\n" }, "Answers are brief");
	await ship("support-bot", { "AGENTS.md": "Be brief and kind.\n" }, "Answers are brief, kind, and name the order they are about in their very first line, as the shop asked for");
	await must("PATCH", "/agent_projects/{project_ref}/config", ["support-bot"], { set: { SHOP_TOKEN: "x", A_VARIABLE_WITH_A_NAME_THAT_IS_QUITE_LONG_INDEED_FOR_A_PHONE: "y" } });
	await must("PUT", "/agent_projects/{project_ref}/pin", ["support-bot"], { reason: "The shop's busy week: nothing changes before Monday" });
	await must("POST", "/agent_projects", [], { slug: "waits-for-its-first-push" });
	await ship("keyless", { "karta.toml": "name = \"keyless\"\n", "opencode.json": "{\"model\":\"openai/gpt-5\"}\n" }, "Asks a model");
	await ship(LONG, {}, "A name as long as they get");
	const folder = tempDir(t, "folder");
	writeFiles(folder, { "AGENTS.md": "Help.\n" });
	await must("POST", "/agent_projects", [], { slug: "folder", dir: folder });
	for (const slug of ["invoices", "letters", "translator"])
		await ship(slug, {}, "First release");
	const broken = await publish(c, "letters", archive(t, { "karta.toml": "name = [\n" }));
	if (broken.status < 400)
		throw new Error("a broken release was taken");
	for (const text of ["Where is my order NB-1042?", "A question that is so long that its title does not fit into the line, whatever the screen", "[[text:it works]]"]) {
		const { id } = await must("POST", "/v1/projects/{project_ref}/sessions", ["support-bot"], {});
		await must("POST", "/v1/projects/{project_ref}/sessions/{session_id}/messages", ["support-bot", id], { text });
	}
	const lc = new Client(local);
	await lc.call("POST", "/agent_projects", [], { body: { slug: "nothing" } });
	return { full, bare, local, client: c };
}

/* Signs a new browser of the server in; gives what a context needs to be it. */
export async function signedIn(browser, server) {
	const context = await browser.newContext();
	const page = await context.newPage();
	page.setDefaultTimeout(PATIENCE_MS);
	await page.goto(`http://localhost:${server.port}/sign-in`);
	await page.fill("#key", server.key);
	await page.keyboard.press("Enter");
	await page.waitForURL((url) => url.pathname === "/");
	const state = await context.storageState();
	await context.close();
	return state;
}

const at = (server, path, name = "") => `http://${name}localhost:${server.port}${path}`;
const project = (path = "") => ({ path: `/projects/support-bot${path}` });
const asksFor = async (page, { client, full }) => {
	const code = (await client.call("POST", "/v1/device/code", [], { body: { client_name: "karta on ana-laptop", scopes: ["read", "write"] } })).body;
	await page.goto(at(full, `/device?code=${code.user_code}`));
	await page.keyboard.press("Enter");
	await page.locator("#asked:not([hidden])").waitFor();
};

/*
 * name: {path, host, server, signed, steps(page, servers)}. Without more it is a page of the full server, signed in.
 */
export const PAGES = {
	"home": { path: "/", steps: async (page) => page.getByText("no credential").waitFor() },
	"home-end": { path: "/", steps: async (page) => { await page.getByText("no credential").waitFor(); await page.evaluate(() => scrollTo(0, document.body.scrollHeight)); } },
	"home-find": { path: "/", steps: async (page) => { await page.locator(".project").first().waitFor(); await page.fill("#filter", "zebra"); } },
	"home-empty": { path: "/", server: "bare", steps: async (page) => page.locator(".note").waitFor() },
	"home-local": { path: "/", server: "local", signed: false, steps: async (page) => page.locator(".project").first().waitFor() },
	"home-gone": { path: "/", steps: async (page) => {
		await page.locator(".project").first().waitFor();
		await page.route(/agent_projects|whoami|usage/, (route) => route.abort());
		await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
		await page.locator(".bad-note").waitFor();
	} },
	"home-loading": { path: "/", before: async (page) => page.route(/agent_projects|usage/, () => {}), steps: async (page) => page.waitForTimeout(400) },
	"project": { ...project(), steps: async (page) => page.locator(".release").first().waitFor() },
	"project-build": { ...project(), steps: async (page) => {
		await page.locator(".release").first().waitFor();
		await page.locator(".release summary").nth(1).click();
		await page.locator(".build .log-line").first().waitFor();
		await page.locator(".build").nth(1).evaluate((el) => el.scrollIntoView({ block: "center" }));
	} },
	"project-rollback": { ...project(), steps: async (page) => {
		await page.locator(".release", { hasText: "First release" }).getByRole("button", { name: "Roll back…" }).click();
		await page.locator("dialog[open]").waitFor();
	} },
	"project-logs": { ...project("#logs"), steps: async (page) => page.locator(".log-line").first().waitFor() },
	"project-sessions": { ...project("#sessions"), steps: async (page) => page.locator(".session").first().waitFor() },
	"project-config": { ...project("#config"), steps: async (page) => page.locator(".names").waitFor() },
	"project-new": { path: "/projects/waits-for-its-first-push", steps: async (page) => page.locator(".commands").waitFor() },
	"project-keyless": { path: "/projects/keyless", steps: async (page) => page.locator(".warn-note").waitFor() },
	"project-folder": { path: "/projects/folder", steps: async (page) => page.getByText("No releases").waitFor() },
	"project-failed": { path: "/projects/letters", steps: async (page) => page.locator(".release").first().waitFor() },
	"project-long": { path: `/projects/${LONG}`, steps: async (page) => page.locator(".release").first().waitFor() },
	"project-none": { path: "/projects/nothing-of-this-name", steps: async (page) => page.getByText("There is no such project").waitFor() },
	"sign-in": { path: "/", signed: false, steps: async (page) => page.locator("#form:not([hidden])").waitFor() },
	"sign-in-wrong": { path: "/", signed: false, steps: async (page) => {
		await page.fill("#key", "kt_live_wrong");
		await page.keyboard.press("Enter");
		await page.locator("#said.bad").waitFor();
	} },
	"sign-in-help": { path: "/", signed: false, steps: async (page) => { await page.locator("#form:not([hidden])").waitFor(); await page.locator("summary").click(); } },
	"sign-in-over": { path: "/sign-in#code=aaaaaaaaaaaaaaaaaaaaaa.b", host: "support-bot.", steps: async (page) => page.locator("#over:not([hidden])").waitFor() },
	"device": { path: "/device", steps: async (page) => page.locator("#who button").waitFor() },
	"device-asked": { path: "/device", steps: asksFor },
	"device-approved": { path: "/device", steps: async (page, all) => {
		await asksFor(page, all);
		await page.click("#approve");
		await page.getByText("Approved.").waitFor();
	} },
	"device-expired": { path: "/device?code=BCDF-GHJK", steps: async (page) => {
		await page.keyboard.press("Enter");
		await page.locator("#said.bad").waitFor();
	} },
	"wrong-path": { path: "/nowhere" },
	"unknown-host": { path: "/", host: "127.0.0.1.nip.", raw: true },
	"no-release": { path: "/", host: "waits-for-its-first-push.", steps: async (page) => page.locator(".commands").waitFor() },
	"no-release-local": { path: "/v1/projects/nothing/", server: "local", signed: false, steps: async (page) => page.locator(".commands").waitFor() },
	"no-project": { path: "/", host: "nothing.", steps: async (page) => page.getByText("There is no such project").waitFor() },
	"hosted-signed-out": { path: "/", host: "support-bot.", steps: async (page) => {
		await page.locator("#sessions .row").first().waitFor({ state: "attached" });
		await page.context().clearCookies();
		await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
		await page.locator("#signed-out").waitFor();
	} },
	"hosted-chat": { path: "/", host: "support-bot.", steps: async (page) => page.locator("#pin:not(:empty)").waitFor() },
	"hosted-missing": { path: "/", host: "keyless.", steps: async (page) => page.locator("#notice").waitFor() },
};

/* The address of a state. */
export function addressOf(state, servers) {
	const server = servers[state.server ?? "full"];
	return at(server, state.path, state.raw ? "127-0-0-1.other." : state.host ?? "");
}
