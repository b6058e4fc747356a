// SPDX-License-Identifier: Apache-2.0
// The page of a real pool in a real browser, as people use it: with a mouse, a keyboard, a telephone, in
// the dark, in Chinese. run.sh starts the pool, and leaves screenshots in FOLDER/screens.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, beforeEach, afterEach, describe, it } from "node:test";

const require = createRequire(`${process.env.AYNI_CLIENTS}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const url = process.env.AYNI_URL;
const screens = `${process.env.AYNI_CLIENTS}/screens`;
const names = ["overview", "models", "donors", "ledger", "chat", "policy"];
const hash = (name) => `#/${name === "overview" ? "" : name}`;
const question = { messages: [{ role: "user", content: "What is 27 + 48?" }] };
const long = { ...question, ignore_eos: true, temperature: 1.5, seed: 11 };

let browser, context, page, complaints, expected;

const ask = async (request) => (await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(request) })).json();
const status = async () => (await fetch(`${url}/room/status`)).json();

async function open(name, options = {}) {
	context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 900 }, ...options });
	page = await context.newPage();
	page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
	page.on("pageerror", (error) => complaints.push(String(error)));
	page.on("request", (r) => r.url().startsWith(`${url}/`) || complaints.push(`asked ${r.url()}`));
	await page.goto(`${url}/${hash(name)}`);
	await page.locator("#connection[data-state=live]").waitFor();
}

// A receipt of a question asked now, in the log and on the page.
async function openLedger() {
	await ask(question);
	await open("ledger");
	while (await page.locator("form").isHidden()) {
		await page.getByRole("button", { name: "Read the log again" }).click();
		await page.waitForResponse(/checkpoint/);
	}
}

async function check(number = 1) {
	await page.getByLabel("Number of the receipt").fill(String(number));
	await page.getByRole("button", { name: "Check" }).click();
	await page.locator("#verdict").waitFor();
	return page.locator("#verdict");
}

before(async () => {
	browser = await chromium.launch({ executablePath: process.env.AYNI_BROWSER ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
	while (!(await fetch(`${url}/readyz`)).ok);
});
after(() => browser?.close());
beforeEach(() => {
	complaints = [];
	expected = [];
});
afterEach(async () => {
	await context?.close();
	assert.deepEqual(complaints.filter((text) => !expected.some((e) => text.includes(e))), []);
});

describe("every page", () => {
	const looks = {
		light: {}, dark: { colorScheme: "dark" }, phone: { viewport: { width: 360, height: 740 }, hasTouch: true },
		chinese: { locale: "zh-CN", colorScheme: "dark", viewport: { width: 360, height: 740 } },
	};
	for (const [look, options] of Object.entries(looks)) {
		it(`has no errors and no barriers, and fits: ${look}`, async () => {
			await ask(question);
			await open("overview", options);
			for (const name of names) {
				await page.goto(`${url}/${hash(name)}`);
				await page.locator("main h1").waitFor();
				await page.locator("main table tbody tr, main .pipeline li, main form, main .prose").first().waitFor({ state: "attached" });
				const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
				assert.ok(wide <= 0, `${name} is ${wide} pixels too wide`);
				await page.evaluate(axe);
				const { violations } = await page.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
				assert.deepEqual(violations.map((v) => [name, v.id, v.nodes.map((n) => n.html)]), []);
				await page.screenshot({ path: `${screens}/${name}-${look}.png`, fullPage: true });
			}
			assert.equal(await page.locator("html").getAttribute("lang"), look === "chinese" ? "zh" : "en");
		});
	}

	it("is reached by the keyboard, and the content too", async () => {
		await open("overview");
		await page.keyboard.press("Tab");
		assert.equal(await page.evaluate(() => document.activeElement.id), "skip");
		await page.keyboard.press("Enter");
		assert.equal(await page.evaluate(() => document.activeElement.id), "main");
		for (const title of ["Overview", "Models", "Donors", "Ledger", "Chat", "Policy"]) {
			await page.getByRole("link", { name: title, exact: true }).press("Enter");
			await page.getByRole("heading", { level: 1, name: title }).waitFor();
			assert.equal(await page.locator("[aria-current=page]").textContent(), title);
		}
	});

	it("keeps the language and the colours that were chosen", async () => {
		await open("donors");
		await page.getByRole("button", { name: "中文" }).click();
		await page.getByRole("heading", { level: 1, name: "捐献者" }).waitFor();
		await page.getByRole("button", { name: "配色：跟随系统" }).click();
		await page.getByRole("button", { name: "配色：浅色" }).click();
		await page.reload();
		await page.getByRole("heading", { level: 1, name: "捐献者" }).waitFor();
		assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
	});
});

describe("the pool", () => {
	it("is seen live: a request elsewhere raises sessions, tokens and units", async () => {
		await open("donors");
		const units = async () => (await page.locator("tbody tr td:nth-child(6)").allTextContents())
			.reduce((sum, text) => sum + Number(text.replaceAll(",", "")), 0);
		await page.locator("tbody tr").nth(1).waitFor();
		const before = await units(), done = (await status()).requests_done;
		await ask({ ...long, max_tokens: 40 });
		while (await units() <= before)
			await page.waitForTimeout(50);
		await page.getByRole("link", { name: "Overview" }).click();
		await page.waitForFunction((n) => Number(document.getElementById("tile-done").textContent) > n, done);
		assert.equal(await page.locator("#tile-donors").textContent(), "2 / 2");
		assert.equal(await page.locator("#tile-coverage").textContent(), "100 %");
		assert.equal(await page.locator(".pipeline li[data-kind=path]").count(), 2);
	});

	it("shows tokens a second while somebody asks", async () => {
		await open("overview");
		const stop = new AbortController();
		const stream = fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ ...long, stream: true, n: 8 }), signal: stop.signal })
			.then((answer) => answer.text()).catch(() => {});
		await page.waitForFunction(() => parseFloat(document.getElementById("tile-tokens").textContent) > 0
			&& parseFloat(document.getElementById("tile-gflop").textContent) > 0);
		await page.screenshot({ path: `${screens}/overview-busy.png`, fullPage: true });
		stop.abort();
		await stream;
	});

	it("is not as it should be while a donor stands still: an alert says so until it is back", async () => {
		await open("overview");
		const donor = Number(process.env.AYNI_DONORS.trim().split(" ")[0]);
		process.kill(donor, "SIGSTOP");
		try {
			await page.locator(".alerts").getByText(/does not respond|Nobody holds/).first().waitFor();
			assert.equal(await page.locator(".pipeline li[data-kind=path]").count() < 2, true);
			await page.screenshot({ path: `${screens}/overview-silent.png`, fullPage: true });
		} finally {
			process.kill(donor, "SIGCONT");
		}
		while (!(await fetch(`${url}/readyz`)).ok);
		await page.locator(".alerts li").first().waitFor({ state: "detached" });
	});

	it("is said to be away, as an alert that can be acknowledged, when the gateway is", async () => {
		await open("overview");
		expected = ["ERR_", "Failed to load"];
		await page.route("**/room/events", (route) => route.fulfill({ status: 503, body: "" }));
		await page.reload();
		await page.locator("#connection[data-state=lost]").waitFor();
		await page.getByText("Notice: The pool is not there.").waitFor();
		assert.match(await page.title(), /^\(1\)/);
		await page.screenshot({ path: `${screens}/overview-alert.png` });
		await page.getByRole("button", { name: "Acknowledge" }).click();
		await page.waitForFunction(() => !document.title.startsWith("("));
	});
});

describe("the chat", () => {
	it("answers, and goes on from what was said", async () => {
		await open("chat");
		for (let n = 1; n <= 2; n++) {
			await page.getByLabel("Question").fill("What is 27 + 48?");
			await page.getByLabel("Question").press("Enter");
			await page.getByText(/^\d+ tokens in/).waitFor();
			assert.equal(await page.locator("[data-role=assistant]").count(), n);
		}
		assert.equal(await page.locator("[data-role=assistant] > .said").first().textContent(), "27 + 48 = 75");
		await page.screenshot({ path: `${screens}/chat-answered.png` });
	});

	it("stops, and the session is free again", async () => {
		await open("chat");
		await page.route("**/v1/chat/completions", (route) =>
			route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), ignore_eos: true, temperature: 1.5, n: 8 }) }));
		await page.getByLabel("Question").fill(question.messages[0].content);
		await page.getByRole("button", { name: "Send" }).click();
		await page.waitForFunction(() => document.querySelector("[data-role=assistant] > .said").textContent.length > 5);
		await page.getByRole("button", { name: "Stop" }).click();
		await page.getByText("Stopped.").waitFor();
		while ((await status()).models[0].sessions > 0);
		assert.ok(await page.getByRole("button", { name: "Send" }).isVisible());
	});

	it("says what is wrong", async () => {
		await open("chat");
		expected = ["status of 400"];
		await page.getByLabel("Question").fill("word ".repeat(20000));
		await page.getByRole("button", { name: "Send" }).click();
		await page.getByText(/^No answer: /).waitFor();
	});
});

describe("the ledger", () => {
	it("proves that a receipt is in the log, and shows the steps", async () => {
		await openLedger();
		await page.getByText("signed by this key", { exact: true }).waitFor();
		const verdict = await check();
		assert.match(await verdict.textContent(), /Receipt 1 is in the log of \d+, and the pool has signed that/);
		assert.match(await verdict.getAttribute("class"), /good/);
		await page.getByText(/^The proof/).click();
		await page.screenshot({ path: `${screens}/ledger-proven.png`, fullPage: true });
	});

	it("shows a receipt of which one bit was changed in red", async () => {
		await openLedger();
		await page.getByLabel(/change one bit/).check();
		const verdict = await check();
		assert.match(await verdict.textContent(), /NOT receipt 1/);
		assert.match(await verdict.getAttribute("class"), /bad/);
		const [red, green] = await verdict.evaluate((node) => getComputedStyle(node.firstChild).color.match(/\d+/g).map(Number));
		assert.ok(red > 2 * green);
		await page.screenshot({ path: `${screens}/ledger-changed.png`, fullPage: true });
	});

	it("shows it in red too if the server gives out other receipts, or another checkpoint", async () => {
		await openLedger();
		expected = ["status of 404"]; // there may be no tiles of that size
		await page.route("**/log/tile/entries/**", async (route) => {
			const body = await (await route.fetch()).body();
			body[10] ^= 1; // in the pool's key
			await route.fulfill({ body });
		});
		await page.reload();
		assert.match(await (await check()).textContent(), /NOT receipt 1/);
		await page.unroute("**/log/tile/entries/**");
		await page.route("**/log/checkpoint", async (route) => {
			const text = await (await route.fetch()).text();
			await route.fulfill({ body: text.replace(/\n(\d+)\n/, (_, n) => `\n${n - 1}\n`) });
		});
		await page.reload();
		await page.getByText("NOT signed by this key: do not believe this log", { exact: true }).first().waitFor();
	});

	it("proves nothing that is not there", async () => {
		await openLedger();
		expected = ["status of 404"];
		await page.route("**/log/tile/**", (route) => route.fulfill({ status: 404, body: "" }));
		await page.reload();
		await page.getByText(/^Not proven: the log lacks/).waitFor();
	});
});
