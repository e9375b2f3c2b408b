/* SPDX-License-Identifier: MIT */
/*
 * Pictures of every state of the chat page, wide and narrow, light and dark, with the scripted server:
 *
 *   node tests/web/shots.mjs FOLDER [NAME...]
 *
 * Each is FOLDER/chat-NAME-WIDTH-SCHEME.png. To look at, not to compare: no test reads them.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { BROWSER } from "../api/lib.mjs";
import { MockServer } from "./mock-server.mjs";

const [folder, ...names] = process.argv.slice(2);
if (!folder || !BROWSER) {
	console.error(folder ? "no browser is installed" : "usage: node tests/web/shots.mjs FOLDER [NAME...]");
	process.exit(2);
}
mkdirSync(folder, { recursive: true });

async function say(page, text, state) {
	const turns = await page.locator(".turn").count();
	await page.locator("#composer-text").fill(text);
	await page.locator("#composer-text").press("Enter");
	await page.locator(".turn").nth(turns).waitFor();
	if (state)
		await page.locator(`.turn:last-child[data-state="${state}"]`).waitFor();
}

const asked = (page) => page.locator(".input.is-open .input-row button:enabled").first().waitFor();
const openAll = (page) => page.locator("details:not([open]) > .tool-head").evaluateAll((all) => all.forEach((head) => head.click()));
const drawer = async (page) => {
	if (await page.locator("#side-open").isVisible())
		await page.locator("#side-open").click();
};

/* What leads to each state. */
const STATES = {
	empty: async (page) => page.locator("#welcome h2").waitFor(),
	streaming: async (page) => {
		await say(page, "count to a hundred and twenty, please");
		await page.waitForFunction(() => document.querySelector(".turn:last-child .md")?.textContent.length > 200);
	},
	answer: async (page) => say(page, "stream: what can you do?", "done"),
	queued: async (page) => {
		await say(page, "count to a hundred");
		await page.locator(".turn[data-state=running] .md").waitFor();
		await say(page, "tool: and then look at the orders");
		await page.locator(".turn[data-state=queued]").waitFor();
	},
	running: async (page) => {
		await say(page, "work: round prices up to five cents");
		await page.locator(".tool[data-state=running]").waitFor();
		await page.waitForTimeout(1200);
	},
	tools: async (page) => say(page, "tool: how many orders are there?", "done"),
	open: async (page) => {
		await say(page, "tool: how many orders are there?", "done");
		await openAll(page);
	},
	diff: async (page) => {
		await say(page, "work short: round prices up to five cents", "done");
		await openAll(page);
		await page.evaluate(() => { document.getElementById("log").scrollTop = 0; });
	},
	subagent: async (page) => {
		await say(page, "subagent: compare the roasts", "done");
		await openAll(page);
	},
	approval: async (page) => {
		await say(page, "approve: fetch order 1041");
		await asked(page);
	},
	"approval-edit": async (page) => {
		await say(page, "edit: mend the price of small bags");
		await asked(page);
	},
	question: async (page) => {
		await say(page, "question: order a bag for me");
		await asked(page);
	},
	questions: async (page) => {
		await say(page, "questions: order a bag for me");
		await asked(page);
	},
	missing: async (page) => page.locator("#notice").waitFor(),
	error: async (page) => say(page, "error: hello", "failed"),
	code: async (page) => {
		await say(page, "code: how does the server work?", "done");
		await page.evaluate(() => { document.getElementById("log").scrollTop = 0; });
		await page.locator("#jump").waitFor();
	},
	table: async (page) => {
		await say(page, "code: how does the server work?", "done");
		await page.locator(".table").evaluate((table) => table.scrollIntoView({ block: "center" }));
	},
	sessions: async (page) => {
		await say(page, "stream: what can you do?", "done");
		await drawer(page);
		await page.waitForTimeout(300);
	},
	search: async (page) => {
		await drawer(page);
		await page.locator("#side-search").fill("roast");
		await page.waitForTimeout(300);
	},
	rename: async (page) => {
		await drawer(page);
		await page.locator(".row").nth(2).hover();
		await page.locator(".row .row-rename").nth(2).click();
	},
	delete: async (page) => {
		await drawer(page);
		await page.locator(".row").nth(2).hover();
		await page.locator(".row .row-delete").nth(2).click();
	},
	offline: async (page, mock) => {
		await say(page, "stream: what can you do?", "done");
		await mock.stop();
		await page.locator("#conn[data-state=lost]").waitFor();
	},
};

const TITLES = ["Which roast is the mildest?", "Return of order 1041", "Compare Harbor and Ember roasts for a French press, with prices", "Round prices up to five cents",
	"Write a letter to the roaster", "How long does a bag keep?", "Plan the week's deliveries", "Grind for a moka pot"];

const mock = new MockServer();
const base = await mock.start(0);
const browser = await chromium.launch({ executablePath: BROWSER, timeout: 120000, args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync"] });
try {
	for (const [name, steps] of Object.entries(STATES)) {
		if (names.length > 0 && !names.includes(name))
			continue;
		for (const width of [1280, 390]) {
			for (const colorScheme of ["light", "dark"]) {
				mock.sessions.clear();
				mock.missing = name === "missing" ? ["ANTHROPIC_API_KEY"] : [];
				for (let n = name === "empty" ? 2 : 30; n > 0; n--) {
					const session = mock.create();
					session.title = TITLES[n % TITLES.length];
					session.created = new Date(Date.now() - n * n * 3600000).toISOString();
					session.updated = new Date(Date.now() - n * n * 3600000).toISOString();
				}
				const context = await browser.newContext({ viewport: { width, height: width === 390 ? 844 : 800 }, colorScheme, reducedMotion: "reduce" });
				const page = await context.newPage();
				page.setDefaultTimeout(20000);
				try {
					await page.goto(base);
					await page.locator("#side-project").waitFor({ state: "attached" });
					await steps(page, mock);
					await page.screenshot({ path: join(folder, `chat-${name}-${width}-${colorScheme}.png`) });
				} catch (err) {
					console.error(`${name} ${width} ${colorScheme}: ${String(err).split("\n")[0]}`);
					process.exitCode = 1;
				}
				if (!mock.http.listening)
					await mock.start();
				await context.close();
			}
		}
	}
} finally {
	await browser.close();
	await mock.stop();
}
process.exit();
