/* SPDX-License-Identifier: MIT */
/*
 * The chat page in a real browser. Environment:
 *   CHROMIUM            the browser, default the chromium or google-chrome that is installed
 *   KARTA_URL           a running server; without it the scripted server of mock-server.mjs is used
 *   KARTA_PROMPT_TEXT   a prompt answered with text, slowly enough to reload in the middle (default "count")
 *   KARTA_PROMPT_TOOL   a prompt that leads to one approval (default "approve")
 *   KARTA_SHOTS         a folder to save screenshots to
 */

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test as nodeTest } from "node:test";
import { chromium } from "playwright-core";
import { BROWSER, PATIENCE_MS } from "../api/lib.mjs";
import { COUNT, longReply, MockServer } from "./mock-server.mjs";

const TEXT = process.env.KARTA_PROMPT_TEXT ?? "count";
const TOOL = process.env.KARTA_PROMPT_TOOL ?? "approve";
const SHOTS = process.env.KARTA_SHOTS ?? "";
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const LIMIT = PATIENCE_MS;

const mock = process.env.KARTA_URL ? null : new MockServer();
const mockOnly = mock ? {} : { skip: "only with the scripted server" };
let base = process.env.KARTA_URL?.replace(/\/$/, "");
let browser;

/* Not every release has a browser as a package; without one, each test is counted as skipped. */
const test = BROWSER ? telling : (title) => nodeTest(title, { skip: "no browser is installed" }, () => {});
const pages = new Set();

/* A test whose failure says what its pages showed then. */
function telling(title, options, body) {
	nodeTest(title, options, async (t) => {
		try {
			await (body ?? options)(t);
		} catch (err) {
			for (const page of pages)
				err.message += `\n--- ${page.url()} ${JSON.stringify(page.seen)}\n${(await page.locator("body").ariaSnapshot({ timeout: 5000 }).catch(String)).slice(-6000)}`;
			throw err;
		}
	});
}

before(async () => {
	if (!BROWSER)
		return;
	assert.ok(existsSync(BROWSER), `no browser at ${BROWSER}`);
	if (mock)
		base = await mock.start(0);
	if (SHOTS)
		mkdirSync(SHOTS, { recursive: true });
	browser = await chromium.launch({
		executablePath: BROWSER,
		timeout: LIMIT,
		args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync"],
	});
});

after(async () => {
	await browser?.close();
	if (base)
		await mock?.stop();
});

/* Opens the page in a context of its own and watches it for what must never happen. */
async function openPage(t, { path = "/", ...options } = {}) {
	const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, reducedMotion: "reduce", ...options });
	const page = await context.newPage();
	pages.add(page);
	t.after(() => {
		pages.delete(page);
		return context.close();
	});
	page.setDefaultTimeout(LIMIT);
	page.seen = { foreign: [], dialogs: [], errors: [] };
	page.on("request", (req) => {
		if (!req.url().startsWith(base + "/") && !req.url().startsWith("data:"))
			page.seen.foreign.push(req.url());
	});
	page.on("dialog", (dialog) => {
		page.seen.dialogs.push(dialog.message());
		dialog.dismiss();
	});
	page.on("pageerror", (err) => page.seen.errors.push(String(err)));
	page.on("console", (message) => {
		if (message.type() === "error" && /Content Security Policy|Uncaught/.test(message.text()))
			page.seen.errors.push(message.text());
	});
	await page.goto(base + path);
	return page;
}

/* A card is opened, and what it shows is made. */
async function opened(head) {
	await head.click();
	await head.locator("xpath=..").locator(".tool-body > *").first().waitFor({ state: "attached" });
}

/* Sends a message and waits until it is shown. */
async function say(page, text) {
	const turns = await page.locator(".turn").count();
	await page.locator("#composer-text").fill(text);
	await page.locator("#composer-text").press("Enter");
	await page.locator(".turn").nth(turns).waitFor();
}

const lastTurn = (page) => page.locator(".turn").last();

/* Waits until the last turn is over. */
async function finished(page, state = "done") {
	await page.locator(`.turn:last-child[data-state="${state}"]`).waitFor();
}

/* The words of the last reply, as a reader sees them. */
async function words(page) {
	return (await lastTurn(page).locator(".reply").innerText()).replace(/\s+/g, " ").trim();
}

async function shot(page, name) {
	if (SHOTS)
		await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

/* Asserts that axe finds nothing serious. */
async function accessible(page, where) {
	const session = await page.context().newCDPSession(page);
	await session.send("Page.setBypassCSP", { enabled: true });
	await page.addScriptTag({ path: AXE }).catch(async () => page.evaluate(await import("node:fs").then((fs) => fs.readFileSync(AXE, "utf8"))));
	const found = await page.evaluate(() => globalThis.axe.run());
	const bad = found.violations.filter((one) => one.impact === "serious" || one.impact === "critical")
		.map((one) => `${where}: ${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(", ")}`);
	assert.deepEqual(bad, []);
}

function clean(page) {
	assert.deepEqual(page.seen, { foreign: [], dialogs: [], errors: [] });
}

test("a reply streams in", async (t) => {
	const page = await openPage(t);
	await page.locator("#composer-text").waitFor();
	await say(page, TEXT);
	await page.locator(".turn .user-text").first().waitFor();
	await page.waitForFunction(() => document.querySelector(".turn:last-child .md")?.textContent.length > 0);
	const early = await words(page);
	await finished(page);
	const late = await words(page);
	assert.ok(late.length > early.length, "text arrived in more than one piece");
	assert.match(page.url(), /#.+/);
	assert.match(await lastTurn(page).locator(".foot-text").innerText(), /\d/);
	if (mock)
		assert.equal(late, COUNT);
	assert.equal(await page.locator(".row-link[aria-current]").count(), 1);
	clean(page);
});

test("an approval is clicked and the turn goes on", async (t) => {
	const page = await openPage(t);
	await say(page, TOOL);
	const card = page.locator(".input.is-open");
	await card.waitFor();
	assert.match(await card.locator(".input-row").innerText(), /Approve once[\s\S]*Deny/);
	const other = await openPage(t, { path: `/${new URL(page.url()).hash}` });
	await other.locator(".input.is-open").waitFor();
	await card.locator("[data-decision=approve_once]").click();
	await page.locator(".input.is-closed").first().waitFor({ state: "attached" });
	await finished(page);
	assert.match(await page.locator(".input.is-closed").first().textContent(), /Approved once/);
	assert.notEqual((await lastTurn(page).locator(".md").last().innerText()).trim(), "");
	await other.locator(".input.is-closed").first().waitFor({ state: "attached" });
	assert.equal(await other.locator(".input.is-open").count(), 0, "the other page's buttons are gone, too");
	await shot(page, "approved-light");
	clean(page);
	clean(other);
});

test("what is remembered is said before it is chosen, and is no choice without words", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "approve");
	const card = page.locator(".input.is-open");
	await card.waitFor();
	assert.match(await card.innerText(), /Approve for session, from now on in this session: this exact call of Bash: \{\\u202e\}/);
	assert.match(await card.innerText(), /Asked by default, for a message from ci at 192\.0\.2\.7\./);
	assert.equal(await card.locator("[data-decision=approve_session]").count(), 1);
	assert.equal(await card.locator("[data-decision=approve_folder]").count(), 0);
	await card.locator("[data-decision=deny]").click();
	await finished(page);
	clean(page);
});

test("an approval takes the focus and has keys; what is held, or typed or clicked ahead, presses nothing", mockOnly, async (t) => {
	const page = await openPage(t);
	const card = page.locator(".input.is-open");
	const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.className);
	await page.waitForFunction(() => document.activeElement?.id === "composer-text");
	await page.keyboard.type("approve");
	/* The second press of a key that is down is a repetition. */
	await page.keyboard.down("Enter");
	await page.waitForFunction(() => document.activeElement?.matches(".input.is-open"));
	for (let i = 0; i < 5; i++)
		await page.keyboard.down("Enter");
	await page.keyboard.up("Enter");
	assert.match(await card.locator("[data-decision=approve_once]").innerText(), /Approve once\s*1/);
	await card.locator("[data-decision=approve_once]:enabled").focus();
	for (let i = 0; i < 5; i++)
		await page.keyboard.down("Enter");
	await page.keyboard.up("Enter");
	await finished(page);
	assert.equal(await focused(), "composer-text");
	assert.equal(await card.count(), 0, "pressed once, by the first of them");

	/* In the very moment it is shown. */
	await page.evaluate(() => new MutationObserver((_, observer) => {
		const open = document.querySelector(".input.is-open");
		if (!open)
			return;
		observer.disconnect();
		open.querySelector("[data-decision=approve_once]").click();
		open.dispatchEvent(new KeyboardEvent("keydown", { key: "1", bubbles: true }));
		globalThis.ahead = { at: document.activeElement.id, disabled: open.querySelector("[data-decision=approve_once]").disabled };
	}).observe(document.getElementById("turns"), { childList: true, subtree: true }));
	await say(page, "approve");
	await page.waitForFunction(() => globalThis.ahead);
	assert.deepEqual(await page.evaluate(() => globalThis.ahead), { at: "composer-text", disabled: true });
	await card.locator("[data-decision=deny]:enabled").waitFor();
	await page.keyboard.type("no 1");
	assert.equal(await page.locator("#composer-text").inputValue(), "no 1");
	await page.locator("#waiting button").click();
	await page.keyboard.press("x");
	assert.equal(await page.locator("#composer-text").inputValue(), "no 1x", "letters are meant for the message box");
	await page.locator("#waiting button").click();
	await page.keyboard.press("3");
	await finished(page);
	assert.match(await words(page), /Then I leave it\./);

	/* Whoever writes keeps the focus. */
	await page.locator("#composer-text").fill("later");
	await page.locator("#composer-text").press("Enter");
	await page.locator("#composer-text").fill("in the middle of");
	await card.waitFor();
	assert.equal(await focused(), "composer-text");
	await card.locator("[data-decision=deny]").click();
	await finished(page);
	clean(page);
});

test("what is approved is shown whole, with hidden characters spelled out", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "approve");
	const card = page.locator(".input.is-open");
	await card.waitFor();
	const shown = await card.locator("dd").first().innerText();
	assert.ok(shown.includes("jq '.items[]' > orders.csv\n# \\u202etxt.exe\\u202c has"), shown);
	assert.ok(shown.includes("\\u200bthis one a gap\\e[2K"), shown);
	assert.doesNotMatch(await card.innerHTML(), /[\u202e\u200b\u001b]/);
	assert.match(await card.innerText(), /Complete input: \d+ lines, \d+ characters/);
	await card.locator("[data-decision=deny]").click();
	await finished(page);
	assert.match(await lastTurn(page).innerText(), /Bash[\s\S]*Denied[\s\S]*Then I leave it\./);
	clean(page);
});

test("a large input is shown in part, with its digest, and whole when asked for", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "large");
	const card = page.locator(".input.is-open");
	await card.waitFor();
	assert.match(await card.innerText(), /1,190,041 bytes, shown in part\. sha256 (ab){32}/);
	assert.match(await card.locator("code").first().innerText(), /Write/);
	const shown = () => card.locator("dd").last().evaluate((dd) => dd.textContent.length);
	assert.ok(await shown() < 2000);
	await shot(page, "large-input");
	await card.getByRole("button", { name: "Show all of it" }).click();
	await page.waitForFunction(() => /Complete input: [\d,]+ lines/.test(document.querySelector(".input.is-open").innerText));
	assert.equal(await shown(), 16 * 70000);
	await card.locator("[data-decision=approve_once]").click();
	await finished(page);
	assert.match(await lastTurn(page).innerText(), /Written\./);
	clean(page);
});

test("a page reloaded in mid-turn ends with the same text", async (t) => {
	const page = await openPage(t);
	const other = await openPage(t);
	await say(page, TEXT);
	await page.waitForFunction(() => document.querySelector(".turn:last-child .md")?.textContent.length > 8);
	await other.goto(page.url());
	await page.reload();
	await page.waitForFunction(() => document.querySelector(".turn:last-child .md")?.textContent.length > 0);
	await finished(page);
	await finished(other);
	const text = await words(page);
	assert.equal(text, await words(other));
	if (mock)
		assert.equal(text, COUNT);
	const fresh = await openPage(t, { path: new URL(page.url()).hash ? `/${new URL(page.url()).hash}` : "/" });
	await finished(fresh);
	assert.equal(await words(fresh), text);
	clean(page);
});

test("a reload while an approval waits brings the approval back", async (t) => {
	const page = await openPage(t);
	await say(page, TOOL);
	await page.locator(".input.is-open").waitFor();
	await page.reload();
	await page.locator(".input.is-open [data-decision=deny]").click();
	await page.locator(".input.is-closed").first().waitFor({ state: "attached" });
	await page.locator(".turn:last-child:not([data-state=running]):not([data-state=waiting])").waitFor();
	clean(page);
});

test("a server restart loses and doubles no word", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "count");
	for (let round = 0; round < 3; round++) {
		const had = await page.waitForFunction((n) => {
			const text = document.querySelector(".turn:last-child .md")?.textContent ?? "";
			return text.length > n ? text.length : 0;
		}, 20 + round * 60).then((handle) => handle.jsonValue());
		assert.ok(had < COUNT.length, "the turn still runs");
		await mock.stop();
		await page.locator("#conn[data-state=lost]").waitFor();
		assert.equal(await page.locator("#conn").innerText(), "Reconnecting…");
		if (round === 0)
			await shot(page, "reconnecting-light");
		await mock.start();
	}
	await finished(page);
	assert.equal(await words(page), COUNT);
	await page.locator("#conn[data-state=open]").waitFor({ state: "attached" });
	assert.equal(await page.locator(".turn").count(), 1);
	clean(page);
});

test("a message written while the server is away is sent once when it is back", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "count");
	await finished(page);
	await mock.stop();
	await say(page, "count again");
	await page.locator(".turn[data-state=sending]").waitFor();
	await mock.start();
	await page.locator(".turn:nth-child(2)[data-state=done]").waitFor();
	assert.equal(await page.locator(".turn").count(), 2);
	assert.equal(await words(page), COUNT);
	clean(page);
});

test("a message whose answer was lost is not sent twice", mockOnly, async (t) => {
	const page = await openPage(t);
	mock.dropAnswers = 2;
	await say(page, "count");
	await finished(page);
	assert.equal(mock.dropAnswers, 0);
	assert.equal(await words(page), COUNT);
	await page.waitForTimeout(400);
	assert.equal(await page.locator(".turn").count(), 1);
	clean(page);
});

test("Markdown is rendered: tables, code with a copy button, links to a new tab", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "stream");
	await finished(page);
	const look = await page.evaluate(() => ({
		right: getComputedStyle(document.querySelector(".md td:last-child")).textAlign,
		strong: document.querySelector(".md strong").textContent,
		link: document.querySelector(".md a").rel + " " + document.querySelector(".md a").target,
		code: document.querySelector(".code pre").textContent,
		thinking: document.querySelector(".reasoning").open,
	}));
	assert.deepEqual(look, {
		right: "right", strong: "Beans", link: "noopener noreferrer _blank", thinking: false,
		code: "curl -s http://localhost:8000/v1/sessions \\\n  | jq '.data[] | .id'",
	});
	await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
	await page.locator(".code .copy").click();
	await page.locator(".code .copy", { hasText: "Copied" }).waitFor();
	assert.equal(await page.evaluate(() => navigator.clipboard.readText()), look.code);
	await page.locator(".reasoning summary").click();
	assert.match(await page.locator(".reasoning-text").innerText(), /I introduce the shop/);
	clean(page);
});

test("blocks of raw markup are shown as the text they are", mockOnly, async (t) => {
	const page = await openPage(t);
	const seen = await page.evaluate(async (texts) => {
		const { markdownView } = await import(new URL("assets/markdown.js", location.href).href);
		return texts.map((text) => {
			const view = markdownView();
			view.update(text, true);
			document.body.append(view.el);
			return { text: view.el.innerText, tags: [...view.el.querySelectorAll("*")].map((el) => el.localName) };
		});
	}, ["<kbd>\nX\n</kbd>", "<code>", "<b>\n\nafter", "<details>\n<summary>More</summary>\n\n**x**\n\n</details>", "<script>\nwindow.pwned=1\n</script>",
		"<!-- c -->", "Press <kbd>Ctrl</kbd> and <code>x</code>", "<style>\nbody{display:none}\n</style>", "<iframe src=x>\n</iframe>"]);
	assert.deepEqual(seen.map((s) => s.text.replace(/\s+/g, " ").trim()), ["<kbd> X </kbd>", "<code>", "<b> after", "<details> <summary>More</summary> x </details>",
		"<script> window.pwned=1 </script>", "<!-- c -->", "Press Ctrl and x", "<style> body{display:none} </style>", "<iframe src=x> </iframe>"]);
	for (const s of seen)
		assert.deepEqual(s.tags.filter((tag) => !["div", "p", "br", "strong", "kbd", "code"].includes(tag)), []);
	assert.ok(seen[6].tags.includes("kbd") && seen[6].tags.includes("code"));
	assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
});

test("hostile Markdown executes nothing and loads nothing", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "hostile");
	await finished(page);
	await page.waitForTimeout(300);
	assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
	const found = await page.evaluate(() => {
		const reply = document.querySelector(".reply");
		const all = [...reply.querySelectorAll("*")];
		return {
			tags: all.filter((el) => /^(script|style|iframe|img|svg|math|form|link|base|object|embed|meta)$/.test(el.localName) ||
				(el.localName === "input")).map((el) => el.outerHTML),
			attributes: all.flatMap((el) => [...el.attributes]).filter((one) => /^on|^style$|^id$|^name$|^srcdoc$/.test(one.name)).map((one) => one.name),
			links: [...reply.querySelectorAll("a[href]")].map((a) => [a.protocol, a.target, a.rel].join(" ")),
		};
	});
	assert.deepEqual(found.tags, []);
	assert.deepEqual(found.attributes, []);
	assert.ok(found.links.length >= 3);
	for (const link of found.links)
		assert.match(link, /^https?: _blank noopener noreferrer$/);
	const text = await words(page);
	assert.ok(text.includes("<script>window.pwned = 1; alert(1)</script>"), "markup is shown as text");
	assert.ok(longReply().split(/\s+/).length > 2000);
	assert.ok(text.endsWith("The end of the long reply."));
	assert.ok(await page.evaluate(() => {
		const el = document.getElementById("log");
		return el.scrollHeight - el.scrollTop - el.clientHeight < 4;
	}), "the log followed the reply to its end");
	const covered = await page.evaluate(async () => {
		document.getElementById("log").scrollTop = 0;
		for (let frame = 0; frame < 2; frame++)
			await new Promise(requestAnimationFrame);
		return document.getElementById("jump").checkVisibility();
	});
	assert.equal(covered, false, "nothing comes under the pointer of who scrolls and clicks");
	await page.locator("#jump").waitFor();
	await shot(page, "hostile-light");
	clean(page);
});

test("reading further up is not disturbed by new text", mockOnly, async (t) => {
	const page = await openPage(t, { viewport: { width: 900, height: 420 } });
	await say(page, "hostile");
	await page.waitForFunction(() => document.getElementById("log").scrollHeight > 2000);
	await page.locator("#log").hover();
	await page.mouse.wheel(0, -1200);
	await page.locator("#jump").waitFor();
	await page.waitForFunction(() => {
		const { scrollTop } = document.getElementById("log");
		const settled = globalThis.lastTop === scrollTop;
		globalThis.lastTop = scrollTop;
		return settled;
	}, null, { polling: 150 });
	const top = await page.evaluate(() => {
		globalThis.anchor = document.elementFromPoint(450, 180);
		return globalThis.anchor.getBoundingClientRect().top;
	});
	await finished(page);
	assert.equal(await page.evaluate(() => globalThis.anchor.getBoundingClientRect().top), top);
	await page.locator("#jump").click();
	await page.locator("#jump").waitFor({ state: "hidden" });
	clean(page);
});

test("tool calls, sub-agents, questions and errors are cards", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "tool");
	await finished(page);
	const heads = await page.locator(".tool-head").evaluateAll((all) => all.map((head) => head.innerText.replace(/\s+/g, " ").trim()));
	assert.deepEqual(heads.map((line) => line.replace(/ [\d.]+ s$/, "")), ["Read orders.csv lines 1–200 41 lines", "Bash cat missing.txt Failed: cat: missing.txt: No such file or directory"]);
	assert.equal(await page.locator(".tool-body > *").count(), 0, "what is closed is not made");
	await opened(page.locator(".tool-head").first());
	const more = page.locator(".tool-output .text-button").first();
	assert.match(await more.innerText(), /^Show all \(41 lines/);
	await more.click();
	assert.match(await page.locator(".tool-output pre").first().innerText(), /1040,Harbor/);
	await page.locator(".tool-head").nth(1).focus();
	await page.keyboard.press("Enter");
	await page.locator(".tool-details[open] .tool-output").nth(1).waitFor();
	await shot(page, "tools-light");
	await say(page, "subagent");
	await finished(page);
	assert.equal(await page.locator(".tool .nested .tool").count(), 0);
	await opened(page.locator(".tool-head", { hasText: "Sub-agent" }));
	assert.equal(await page.locator(".tool .nested .tool[data-state=completed]").count(), 1);
	assert.match(await page.locator(".tool .nested .md").innerText(), /price list/);
	await shot(page, "subagent-light");
	await say(page, "question");
	const card = page.locator(".input.is-open");
	await card.waitFor();
	await shot(page, "question-light");
	await card.locator(".choice", { hasText: "Espresso" }).click();
	await finished(page);
	assert.match(await words(page), /You chose: Espresso\./);
	await say(page, "question");
	await card.locator(".other").fill("Turkish");
	await card.locator(".other").press("Enter");
	await finished(page);
	assert.match(await words(page), /You chose: Turkish\./);
	await say(page, "questions");
	await card.locator(".choice", { hasText: "1 kg" }).click();
	await card.locator(".button.primary").click();
	assert.match(await card.locator(".input-error").innerText(), /Each question/);
	await card.locator(".choice", { hasText: "Cup" }).click();
	await card.locator(".choice", { hasText: "Filters" }).click();
	await card.locator(".choice", { hasText: "Cup" }).click();
	await card.locator(".other").nth(1).fill("Sugar");
	await shot(page, "questions-light");
	await card.locator(".button.primary").click();
	await finished(page);
	assert.match(await words(page), /Size 1 kg; extras Filters, Sugar\./);
	await say(page, "error");
	await finished(page, "failed");
	assert.match(await page.locator(".error").innerText(), /overloaded/);
	await shot(page, "error-light");
	const before = await page.locator(".turn").count();
	await page.locator(".again").click();
	await page.locator(".turn").nth(before).waitFor();
	await finished(page, "failed");
	assert.equal(await lastTurn(page).locator(".user-text").innerText(), "error");
	assert.deepEqual(await page.locator(".again").evaluateAll((all) => all.map((one) => one.checkVisibility())), [false, true]);
	clean(page);
});

test("an approval of very many lines is shown whole, as one text", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "longedit");
	const card = page.locator(".input.is-open");
	await card.waitFor();
	assert.equal(await card.locator(".diff-row").count(), 0);
	assert.equal(await card.locator(".input-scroll dd").last().evaluate((el) => el.textContent), `${"\n".repeat(6000)}the end`);
	await card.locator("[data-decision=deny]").click();
	clean(page);
});

test("an edit is a diff, in its approval and in its card, and nothing is said twice", mockOnly, async (t) => {
	const page = await openPage(t);
	const rows = (within) => page.locator(`${within} .diff-row`).evaluateAll((all) => all.map((row) =>
		`${row.querySelector(".diff-number")?.dataset.n ?? ""}${row.querySelector(".diff-sign").textContent}${row.querySelector(".diff-text").textContent}`));
	await say(page, "edit");
	const card = page.locator(".input.is-open");
	await card.waitFor();
	assert.deepEqual(await rows(".input.is-open"), [" \tif (grams < 250)", "-\t\treturn 0;", "+\t\treturn \\u202e1;", " \treturn price;"]);
	assert.match(await card.innerText(), /Complete input: 8 lines/);
	assert.equal(await page.locator(".tool-head").isVisible(), false, "the call is shown by its approval alone");
	await shot(page, "diff-approval-light");
	await card.locator("[data-decision=approve_once]").click();
	await finished(page);
	const head = page.locator(".tool-head").first();
	assert.match((await head.innerText()).replace(/\s+/g, " "), /^Edit src\/ ?price\.c 1 line added, 1 removed \+1 ?−1/);
	assert.equal(await page.locator(".tool").count(), 2, "one card a call");
	await opened(head);
	assert.deepEqual(await rows(".tool >> nth=0 >>"), ["41 \tif (grams < 250)", "42-\t\treturn 0;", "42+\t\treturn \\u202e1;", "43 \treturn price;"]);
	assert.equal(await page.locator(".tool-output:visible").count(), 0);
	assert.ok(await page.locator(".diff-text .t-key").count() > 0, "with colors");
	await opened(page.locator(".tool-head").nth(1));
	assert.deepEqual(await rows(".tool >> nth=1 >>"), ["1+# Prices", "2+in dollars"]);
	await shot(page, "diff-light");
	clean(page);
});

test("messages sent during a turn are queued, and Escape stops the turn", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "count");
	await page.locator(".turn[data-state=running] .md").waitFor();
	await say(page, "tool");
	await page.locator(".turn[data-state=queued]").waitFor();
	await shot(page, "queued-light");
	await page.keyboard.press("Escape");
	await page.locator(".turn:first-child[data-state=interrupted]").waitFor();
	await page.locator(".turn:last-child[data-state=done]").waitFor();
	assert.equal(await page.locator(".turn").count(), 2);
	clean(page);
});

test("sessions are listed, chosen and deleted", async (t) => {
	const page = await openPage(t);
	await say(page, TEXT);
	await finished(page);
	const first = new URL(page.url()).hash;
	await page.locator("#new-session").click();
	assert.equal(new URL(page.url()).hash, "");
	await page.locator("#welcome").waitFor();
	await shot(page, "welcome-light");
	await say(page, TEXT);
	await finished(page);
	const second = new URL(page.url()).hash;
	assert.notEqual(first, second);
	await page.locator(`.row-link[href="${first}"]`).click();
	await page.locator(`.row-link[href="${first}"][aria-current]`).waitFor();
	await finished(page);
	const row = page.locator(".row", { has: page.locator(`[href="${first}"]`) });
	await row.hover();
	await row.locator(".row-rename").click();
	await page.keyboard.type("Cups and saucers");
	await page.keyboard.press("Escape");
	assert.doesNotMatch(await row.innerText(), /saucers/);
	await row.hover();
	await row.locator(".row-rename").click();
	await page.keyboard.type("Cups \u202e and saucers");
	await page.keyboard.press("Enter");
	await page.locator("#top-title", { hasText: "Cups" }).waitFor();
	assert.match(await row.innerText(), /Cups \\u202e and saucers/);
	await page.keyboard.press("Control+k");
	await page.keyboard.type("SAUCERS cup");
	await page.locator(`.row-link[href="${second}"]`).waitFor({ state: "detached" });
	assert.equal(await page.locator(".row").count(), 1);
	await shot(page, "search-light");
	await page.keyboard.type("x");
	await page.getByText("No session is called that.").waitFor();
	await page.keyboard.press("Escape");
	await page.locator(`.row-link[href="${second}"]`).waitFor();
	await page.reload();
	await row.getByText("saucers").waitFor();
	await row.hover();
	await row.locator(".row-delete").click();
	await page.locator("#confirm-no").click();
	assert.equal(await row.count(), 1);
	await row.hover();
	await row.locator(".row-delete").click();
	await shot(page, "delete-light");
	await page.locator("#confirm-yes").click();
	await row.waitFor({ state: "detached" });
	assert.equal(new URL(page.url()).hash, "");
	await page.goto(`${base}/${first}`);
	await page.getByText("This session is not here").waitFor();
	clean(page);
});

test("a new session has starters, and what is in the way of an answer is said", mockOnly, async (t) => {
	mock.missing = ["ANTHROPIC_API_KEY"];
	t.after(() => { mock.missing = []; });
	const page = await openPage(t);
	await page.getByText("ANTHROPIC_API_KEY is not set").waitFor();
	assert.match(await page.locator("#notice").innerText(), /karta config set ANTHROPIC_API_KEY=- <FILE/);
	await page.getByRole("button", { name: "Count to a hundred" }).click();
	await finished(page);
	assert.equal(await lastTurn(page).locator(".user-text").innerText(), "Count to a hundred");
	assert.equal(await page.locator("#welcome").isVisible(), false);
	clean(page);
});

test("the whole way by keyboard", async (t) => {
	const page = await openPage(t);
	await page.waitForFunction(() => document.activeElement?.id === "composer-text");
	await page.keyboard.type(TOOL);
	await page.keyboard.press("Shift+Enter");
	await page.keyboard.press("Backspace");
	await page.keyboard.press("Enter");
	await page.locator(".input.is-open [data-decision=approve_once]:enabled").waitFor();
	let found = false;
	for (let presses = 0; presses < 12 && !found; presses++) {
		await page.keyboard.press("Tab");
		found = await page.evaluate(() => document.activeElement?.dataset?.decision === "approve_once");
	}
	assert.ok(found, "the approval has the focus, and its buttons come next");
	const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
	assert.notEqual(outline, "none", "the focus is visible");
	await page.keyboard.press("Enter");
	await page.locator(".input.is-closed").first().waitFor({ state: "attached" });
	await finished(page);
	assert.equal(await page.evaluate(() => document.activeElement?.id), "composer-text");
	clean(page);
});

test("dark mode, and nothing serious for axe in light or dark", async (t) => {
	for (const colorScheme of ["light", "dark"]) {
		const page = await openPage(t, { colorScheme });
		await page.locator("#welcome h2").waitFor();
		await accessible(page, `${colorScheme}, welcome`);
		await say(page, mock ? "stream" : TEXT);
		await finished(page);
		await shot(page, `reply-${colorScheme}`);
		if (mock) {
			await say(page, "tool");
			await finished(page);
			await shot(page, `tools-${colorScheme}`);
			await say(page, "work short");
			await finished(page);
			await page.locator(".tool-details:not([open]) > .tool-head").evaluateAll((all) => all.forEach((head) => head.click()));
			await page.locator(".diff-row .t-key").first().waitFor();
			await say(page, "code");
			await finished(page);
			await page.locator(".code .t-fn").first().waitFor();
			await say(page, "error");
			await finished(page, "failed");
		}
		await say(page, TOOL);
		await page.locator(".input.is-open").waitFor();
		await shot(page, `approval-${colorScheme}`);
		await accessible(page, `${colorScheme}, conversation`);
		const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0]);
		assert.ok(colorScheme === "dark" ? back < 60 : back > 200);
		await page.locator(".input.is-open [data-decision=approve_once]").click();
		await finished(page);
		assert.deepEqual([page.seen.foreign, page.seen.dialogs], [[], []]);
	}
});

test("each paragraph goes its own way; a conversation on paper is all of it", mockOnly, async (t) => {
	const page = await openPage(t);
	await say(page, "rtl: \u0645\u0631\u062d\u0628\u0627");
	await page.locator(".turn[data-state=done]").waitFor();
	const ways = await page.locator(".md").last().evaluate((md) => [getComputedStyle(md.querySelector("ul")).direction, ...[...md.querySelectorAll("p")].map((p) => {
		const range = document.createRange();
		range.selectNodeContents(p);
		const [text, box] = [range.getBoundingClientRect(), p.getBoundingClientRect()];
		return text.left - box.left > box.right - text.right ? "right" : "left";
	})]);
	assert.deepEqual(ways, ["rtl", "right", "right", "left"]);
	await page.emulateMedia({ media: "print" });
	const paper = await page.evaluate(() => [document.querySelector(".side"), document.querySelector(".dock")].map((el) => getComputedStyle(el).display).concat(getComputedStyle(document.getElementById("log")).overflowY));
	assert.deepEqual(paper, ["none", "none", "visible"]);
});

test("usable at 360 pixels", async (t) => {
	const page = await openPage(t, { viewport: { width: 360, height: 720 }, hasTouch: true, isMobile: true });
	assert.equal(await page.locator("#side").isVisible(), false);
	await say(page, mock ? "stream" : TEXT);
	await finished(page);
	await shot(page, "phone-reply");
	await say(page, TOOL);
	await page.locator(".input.is-open").waitFor();
	await shot(page, "phone-approval");
	const wide = await page.evaluate(() => document.documentElement.scrollWidth);
	assert.ok(wide <= 360, `the page is ${wide} pixels wide`);
	for (const button of await page.locator(".input-row .button").all()) {
		const box = await button.boundingBox();
		assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.height >= 40);
	}
	await page.locator(".input.is-open [data-decision=deny]").tap();
	await page.locator(".input.is-closed").first().waitFor({ state: "attached" });
	await page.locator("#side-open").tap();
	await page.locator("#sessions .row").first().waitFor();
	await page.waitForTimeout(250);
	await shot(page, "phone-drawer");
	await accessible(page, "phone, drawer");
	await page.keyboard.press("Escape");
	await page.locator("#side").waitFor({ state: "hidden" });
	assert.deepEqual([page.seen.foreign, page.seen.dialogs], [[], []]);
});
