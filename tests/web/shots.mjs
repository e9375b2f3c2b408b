/* SPDX-License-Identifier: MIT */
/*
 * Pictures of every page and state, wide and narrow, light and dark: the chat's with the scripted server, those of a
 * hosting server with real ones.
 *
 *   node tests/web/shots.mjs FOLDER [NAME...]       KARTA names the program, WIDTHS (1280,390) the widths
 *
 * Each is FOLDER/NAME-WIDTH-SCHEME.png; the chat's begin with "chat-". NAME may end in "*". A state that is wider than
 * the screen is said, what is too small for a finger, and what axe finds serious. To look at, not to compare: no test reads them.
 */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { BROWSER } from "../api/lib.mjs";
import { MockServer } from "./mock-server.mjs";
import { PAGES, addressOf, hosting, signedIn } from "./shots-hosting.mjs";

const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

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
	long: async (page) => say(page, "long: a line that does not end", "done"),
	rtl: async (page) => say(page, "rtl: \u0645\u0631\u062d\u0628\u0627\u060c \u0623\u064a\u0646 \u0637\u0644\u0628\u064a NB-1042\u061f", "done"),
	picture: async (page) => say(page, "picture: show me the mug", "done"),
	focus: async (page) => {
		await say(page, "tool: how many orders are there?", "done");
		await page.locator(".tool-head").first().focus();
		await page.keyboard.press("Shift+Tab");
		await page.keyboard.press("Tab");
	},
	offline: async (page, mock) => {
		await say(page, "stream: what can you do?", "done");
		await mock.stop();
		await page.locator("#conn[data-state=lost]").waitFor();
	},
};

const TITLES = ["Which roast is the mildest?", "Return of order 1041", "Compare Harbor and Ember roasts for a French press, with prices", "Round prices up to five cents",
	"Write a letter to the roaster", "How long does a bag keep?", "Plan the week's deliveries", "Grind for a moka pot"];

const wanted = (name) => names.length === 0 || names.some((one) => (one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one));
const widths = (process.env.WIDTHS ?? "1280,390").split(",").map(Number);
const heightOf = (width) => (width < 600 ? 844 : 800);

/* Both schemes of a page as it stands. */
async function shoot(page, name, width) {
	for (const colorScheme of ["light", "dark"]) {
		await page.emulateMedia({ colorScheme });
		await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) });
		await page.evaluate(AXE);
		const { violations } = await page.evaluate("axe.run()");
		for (const one of violations.filter((v) => v.impact === "serious" || v.impact === "critical"))
			console.error(`${name} ${width} ${colorScheme}: ${one.id}: ${one.nodes.map((node) => node.html).join(" ").slice(0, 200)}`);
	}
	const [is, fits] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
	if (is > fits)
		console.error(`${name} ${width}: the page is ${is - fits} px too wide`);
	for (const small of width < 600 ? await page.evaluate(smallTargets) : [])
		console.error(`${name} ${width}: small: ${small}`);
}

/* What a finger has to hit and is lower than 40 px; links in the midst of text may be. */
function smallTargets() {
	const out = [];
	for (const el of document.querySelectorAll("a[href], button, input, select, summary, [role=button]")) {
		const { width, height, top, left } = el.getBoundingClientRect();
		const at = document.elementFromPoint(left + width / 2, top + height / 2);
		if (width === 0 || !at || !(el === at || el.contains(at)) || (el.tagName === "A" && el.closest("p, li.message, .md, .soft")))
			continue;
		const more = getComputedStyle(el, "::after");
		const grown = more.position === "absolute" && more.content !== "none" ? -2 * parseFloat(more.top) : 0;
		if (height + grown < 39.5)
			out.push(`${el.tagName.toLowerCase()}.${el.className} ${Math.round(width)}x${Math.round(height + grown)} ${el.textContent.trim().slice(0, 30)}`);
	}
	return [...new Set(out)];
}

async function state(browser, name, width, options, steps) {
	const context = await browser.newContext({ viewport: { width, height: heightOf(width) }, reducedMotion: "reduce", ...options });
	const page = await context.newPage();
	page.setDefaultTimeout(30000);
	page.on("pageerror", (err) => console.error(`${name} ${width}: ${err}`));
	try {
		await steps(page);
		await shoot(page, name, width);
	} catch (err) {
		console.error(`${name} ${width}: ${String(err).split("\n").slice(0, 4).join(" ")}`);
		process.exitCode = 1;
		await page.screenshot({ path: join(folder, `failed-${name}-${width}.png`) }).catch(() => {});
	}
	await context.close();
}

async function chat(browser) {
	const mock = new MockServer();
	const base = await mock.start(0);
	for (const [name, steps] of Object.entries(STATES).filter(([one]) => wanted(`chat-${one}`))) {
		for (const width of widths) {
			mock.sessions.clear();
			mock.missing = name === "missing" ? ["ANTHROPIC_API_KEY"] : [];
			for (let n = name === "empty" ? 2 : 30; n > 0; n--) {
				const session = mock.create();
				session.title = TITLES[n % TITLES.length];
				session.created = new Date(Date.now() - n * n * 3600000).toISOString();
				session.updated = new Date(Date.now() - n * n * 3600000).toISOString();
			}
			await state(browser, `chat-${name}`, width, {}, async (page) => {
				await page.goto(base);
				await page.locator("#side-project").waitFor({ state: "attached" });
				await steps(page, mock);
			});
			if (!mock.http.listening)
				await mock.start();
		}
	}
	await mock.stop();
}

async function pages(browser) {
	const mine = Object.entries(PAGES).filter(([one]) => wanted(one));
	if (mine.length === 0)
		return;
	const ends = [];
	try {
		const servers = await hosting((end) => ends.unshift(end));
		const signed = { full: await signedIn(browser, servers.full), bare: await signedIn(browser, servers.bare) };
		for (const [name, page] of mine) {
			for (const width of widths) {
				await state(browser, name, width, page.signed === false ? {} : { storageState: signed[page.server ?? "full"] }, async (tab) => {
					await page.before?.(tab);
					await tab.goto(addressOf(page, servers));
					await page.steps?.(tab, servers);
				});
			}
		}
	} finally {
		for (const end of ends)
			await end();
	}
}

const browser = await chromium.launch({ executablePath: BROWSER, timeout: 120000, args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.localhost 127.0.0.1"] });
try {
	await pages(browser);
	await chat(browser);
} finally {
	await browser.close();
}
process.exit();
