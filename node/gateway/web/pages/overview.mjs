// SPDX-License-Identifier: Apache-2.0
// How the pool is doing, at one glance.
import { alertList } from "../alert_list.mjs";
import { chart } from "../chart.mjs";
import * as figures from "../figures.mjs";
import { count, duration, number, t } from "../language.mjs";
import { pipeline } from "../pipeline.mjs";
import { el, keep, section, setText } from "../ui.mjs";

const rate = (value) => (typeof value === "number" ? number(value) : "–");

// What is in large digits: name, and its text.
const tiles = {
	tokens: (live) => rate(live.rates?.tokens),
	gflop: (live) => rate(live.rates?.gflop),
	sessions: ({ status }) => count(figures.sessions(status)),
	waiting: ({ status }) => count(figures.waiting(status)),
	donors: ({ status }) => `${count(figures.ready(status))} / ${count(status.donors.length)}`,
	coverage: ({ status }) => `${number(Math.floor(figures.coverage(status) * 100))} %`,
	done: ({ status }) => count(status.requests_done),
	receipts: ({ status }) => count(status.receipts),
	uptime: ({ status }) => duration(status.uptime_ms),
};

export function overview(live) {
	const alerts = alertList(live);
	const values = Object.fromEntries(Object.keys(tiles).map((name) => [name, el("dd", { id: `tile-${name}` }, "–")]));
	const models = el("div");
	const strips = new Map();
	const charts = [
		["chart.tokens", "tokens"], ["chart.work", "gflop"], ["chart.queue", "sessions", "waiting"],
	].map(([title, ...names]) => chart(t(title), names.map((name) => ({ label: t(`tile.${name}`), name })), live.history));

	function makeModel(model) {
		const strip = pipeline();
		strips.set(model.id, strip);
		return el("article", {}, el("h3", {}, model.name), strip.node);
	}

	function update() {
		alerts.update();
		charts.forEach((c) => c.update());
		if (live.status === null)
			return;
		for (const [name, text] of Object.entries(tiles))
			setText(values[name], text(live));
		keep(models, live.status.models, (m) => m.id, makeModel, (_, m) =>
			strips.get(m.id).update(m, live.status.models.indexOf(m), live.status.donors));
	}

	return {
		node: el("div", {},
			section(t("alerts"), alerts.node),
			el("dl", { class: "tiles" }, ...Object.keys(tiles).map((name) =>
				el("div", {}, el("dt", {}, t(`tile.${name}`)), values[name]))),
			section(t("pipeline"), el("p", { class: "quiet" }, t("pipeline.help")), models),
			el("div", { class: "charts" }, ...charts.map((c) => c.node))),
		update,
		end: () => charts.forEach((c) => c.end()),
	};
}
