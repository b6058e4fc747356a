// SPDX-License-Identifier: Apache-2.0
// What the page decides and computes, without a browser.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Alerts, END_S, ESCALATE_S, RAISE_S } from "../../node/gateway/web/alerts.mjs";
import en from "../../node/gateway/web/en.mjs";
import { eventData } from "../../node/gateway/web/events.mjs";
import * as figures from "../../node/gateway/web/figures.mjs";
import * as language from "../../node/gateway/web/language.mjs";
import { pack } from "../../node/gateway/web/pipeline.mjs";
import { watch } from "../../node/gateway/web/signals.mjs";
import zh from "../../node/gateway/web/zh.mjs";

const waits = (value) => ({ value, side: 1, floor: 1, details: { value } });

// Seconds of a series, from `start` on; the time behind.
function play(alerts, start, values) {
	values.forEach((value, i) => alerts.observe("waiting", waits(value), start + i));
	return start + values.length;
}
const some = (n, value) => Array(n).fill(value);
const busy = Array.from({ length: 300 }, (_, i) => 20 + 10 * Math.sin(i));

describe("alerts", () => {
	it("raise what is out of its own normal, after some seconds, and say what that is", () => {
		const alerts = new Alerts();
		let now = play(alerts, 0, some(100, 0));
		now = play(alerts, now, some(RAISE_S, 30));
		assert.deepEqual(alerts.list(), []);
		play(alerts, now, [30]);
		const [alert] = alerts.list();
		assert.equal(alert.level, 1);
		assert.equal(alert.details.value, 30);
		assert.ok(alert.details.normal < 15);
	});

	it("leave alone what is as ever, though it would be much elsewhere", () => {
		const alerts = new Alerts();
		play(alerts, play(alerts, 0, busy), some(RAISE_S * 4, 30));
		assert.deepEqual(alerts.list(), []);
	});

	it("say nothing before they know what is normal, nor of a moment, nor of the good side", () => {
		const alerts = new Alerts();
		let now = play(alerts, 0, [0, 0, 0, ...some(RAISE_S * 2, 50)]);
		assert.deepEqual(alerts.list(), []);
		now = play(alerts, now, some(2000, 0));
		now = play(alerts, now, [...some(RAISE_S - 1, 50), 0, ...some(RAISE_S - 1, 50), 0]);
		assert.deepEqual(alerts.list(), []);
		play(alerts, play(alerts, now, some(2000, 50)), some(RAISE_S * 4, 0));
		assert.deepEqual(alerts.list(), []);
	});

	it("become more urgent until somebody acknowledges them", () => {
		const alerts = new Alerts();
		for (let now = 0; now <= RAISE_S + ESCALATE_S; now++)
			alerts.state("gone", true, {}, now);
		assert.equal(alerts.list()[0].level, 2);
		alerts.acknowledge("gone");
		for (let now = 0; now <= 5 * ESCALATE_S; now++)
			alerts.state("gone", true, {}, RAISE_S + ESCALATE_S + now);
		assert.equal(alerts.list()[0].level, 2);
	});

	it("go no further than the last level", () => {
		const alerts = new Alerts();
		for (let now = 0; now <= 9 * ESCALATE_S; now++)
			alerts.state("gone", true, {}, now);
		assert.equal(alerts.list()[0].level, 3);
	});

	it("end when it was normal for some seconds, not when it seems so", () => {
		const alerts = new Alerts();
		let now = play(alerts, 0, [...some(100, 0), ...some(RAISE_S + 1, 30)]);
		now = play(alerts, now, [...some(END_S - 1, 0), 30]);
		assert.equal(alerts.list().length, 1);
		play(alerts, now, some(END_S + 1, 0));
		assert.deepEqual(alerts.list(), []);
	});

	it("take what lasts as the new normal, in the end", () => {
		const alerts = new Alerts();
		play(alerts, 0, [...some(100, 0), ...some(5000, 30)]);
		assert.deepEqual(alerts.list(), []);
	});

	it("are of the pool: missing layers, lies, a donor that is slower than it was", () => {
		const alerts = new Alerts();
		const donor = { key: "d", name: "ana", state: "ready", round_trip_us: 9000, lies: 0, cost_flop: 0 };
		const model = { id: "m", name: "demo", missing: [], layers: 8, tokens: 0, tokens_per_s: 20, sessions: 0, waiting: 0 };
		const status = { models: [model], donors: [donor], refusals: {}, uptime_ms: 1 };
		for (let now = 0; now < 100; now++)
			watch(alerts, status, null, now);
		assert.deepEqual(alerts.list(), []);
		Object.assign(donor, { round_trip_us: 90000, lies: 1 });
		model.missing = [[2, 4]];
		for (let now = 100; now < 110; now++)
			watch(alerts, status, null, now);
		assert.deepEqual(alerts.list().map((a) => a.key).sort(), ["lies:d", "missing:m", "round_trip:d"]);
		for (let now = 110; now < 120; now++)
			watch(alerts, null, null, now);
		assert.ok(alerts.list().some((a) => a.key === "gone"));
		for (let now = 120; now < 400; now++)
			watch(alerts, { ...status, models: [], donors: [] }, null, now);
		assert.deepEqual(alerts.list().filter((a) => a.key.includes(":")), []);
	});
});

describe("figures", () => {
	const status = (uptime_ms, tokens, donors) => ({
		uptime_ms, refusals: { replay: 2 }, models: [{ id: "m", tokens }],
		donors: donors.map(([key, cost_flop]) => ({ key, cost_flop })),
	});

	it("are differences a second; donors that come and go change nothing", () => {
		const older = status(1000, 10, [["a", 1e9], ["b", 5e9]]);
		assert.deepEqual(figures.rates(older, status(3000, 30, [["a", 3e9], ["c", 2e9]])),
			{ tokens: 10, gflop: 2, refused: 0 });
	});

	it("are unknown over a restart of the pool", () => {
		assert.equal(figures.rates(status(5000, 10, []), status(100, 0, [])), null);
	});

	it("count layers that nobody holds", () => {
		const models = [{ layers: 8, missing: [[0, 2]] }, { layers: 8, missing: [[6, 8]] }];
		assert.equal(figures.coverage({ models }), 0.75);
		assert.equal(figures.coverage({ models: [] }), 0);
	});
});

describe("pipeline", () => {
	it("puts bars side by side where they fit, and below each other where not", () => {
		const rows = pack([{ first: 4, last: 8 }, { first: 0, last: 4 }, { first: 2, last: 6 }]);
		assert.deepEqual(rows.map(({ first, row }) => [first, row]), [[0, 0], [2, 1], [4, 0]]);
	});

	it("is bounded", () => {
		assert.equal(pack(Array.from({ length: 1000 }, () => ({ first: 0, last: 9 }))).length, 24);
	});
});

describe("language", () => {
	it("has the same texts, with the same places in them, in each dictionary", () => {
		const places = (text) => (text.match(/\{\w+\}/g) ?? []).sort();
		assert.deepEqual(Object.keys(zh), Object.keys(en));
		for (const key of Object.keys(en))
			assert.deepEqual(places(zh[key]), places(en[key]), key);
	});

	it("is the first wanted one that there is", () => {
		assert.equal(language.chooseLanguage(["", "de-CH", "zh-Hans-CN", "en"]), "zh");
		assert.equal(language.t("page.donors"), "捐献者");
		assert.equal(language.chooseLanguage(["de"]), "en");
	});

	it("writes what people read", () => {
		language.chooseLanguage(["en"]);
		assert.equal(language.duration(3 * 86400e3 + 7200e3 + 5e3), "3 days 2 hr");
		assert.equal(language.duration(400), "0 sec");
		assert.equal(language.layers([0, 4]), "0–3");
		assert.equal(language.word("state", "ready"), "ready");
		assert.equal(language.word("state", "something new"), "something new");
	});
});

describe("events", () => {
	it("are found however the network cuts them, also within a character", async () => {
		const bytes = new TextEncoder().encode("data: {\"a\":\"余\"}\n\n: comment\ndata: [DONE]\n\n");
		for (let step = 1; step < 9; step++) {
			const found = [];
			const body = new ReadableStream({ start(c) {
				for (let at = 0; at < bytes.length; at += step)
					c.enqueue(bytes.slice(at, at + step));
				c.close();
			} });
			for await (const data of eventData(body))
				found.push(data);
			assert.deepEqual(found, ["{\"a\":\"余\"}", "[DONE]"]);
		}
	});
});
