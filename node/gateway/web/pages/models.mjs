// SPDX-License-Identifier: Apache-2.0
// Each model: whether donors hold all of it, how busy it is, and the path that a new session would take.
import { missing } from "../figures.mjs";
import { count, layers, number, t } from "../language.mjs";
import { el, keep, setText, table } from "../ui.mjs";

function row(m) {
	const lacking = missing(m);
	return {
		key: m.id,
		cells: [
			m.name,
			{ text: count(m.layers), sort: m.layers },
			lacking === 0
				? { text: t("models.whole"), sort: 0, className: "good" }
				: { text: t("models.missing", { n: lacking, layers: m.missing.map(layers).join(", ") }), sort: lacking, className: "bad" },
			{ text: count(m.sessions), sort: m.sessions },
			{ text: count(m.waiting), sort: m.waiting },
			{ text: m.tokens_per_s > 0 ? number(m.tokens_per_s) : "–", sort: m.tokens_per_s },
			{ text: count(m.tokens), sort: m.tokens },
		],
	};
}

const stageRow = (stage) => ({
	key: `${stage.layers} ${stage.donor}`,
	cells: [
		{ text: layers(stage.layers), sort: stage.layers[0] },
		stage.name || stage.donor.slice(0, 8),
		{ text: number(stage.token_us / 1000), sort: stage.token_us },
		{ text: number(stage.round_trip_us / 1000), sort: stage.round_trip_us },
		{ text: count(stage.replicas), sort: stage.replicas },
		t(stage.direct ? "yes" : "no"),
	],
});

export function models(live) {
	const paths = new Map();
	const all = table(t("page.models"), [
		{ label: t("models.name") }, { label: t("layers"), number: true }, { label: t("models.coverage") },
		{ label: t("tile.sessions"), number: true }, { label: t("tile.waiting"), number: true },
		{ label: t("models.speed"), number: true }, { label: t("models.tokens"), number: true },
	]);
	const details = el("div");

	function makeDetails(m) {
		const path = table(t("models.path", { name: m.name }), [
			{ label: t("layers") }, { label: t("donors.name") }, { label: t("models.token_ms"), number: true },
			{ label: t("models.trip_ms"), number: true }, { label: t("models.replicas"), number: true },
			{ label: t("models.direct") },
		]);
		paths.set(m.id, path);
		return el("article", {}, el("h2", {}, m.name), el("p", { class: "mono" }, m.id), el("p"), path.node);
	}

	return {
		node: el("div", { class: "titled" }, all.node, details),
		update() {
			if (live.status === null)
				return;
			all.update(live.status.models.map(row));
			keep(details, live.status.models, (m) => m.id, makeDetails, (node, m) => {
				setText(node.children[2], m.limit === "" ? "" : t("models.limit", { limit: m.limit }));
				paths.get(m.id).node.hidden = m.path.length === 0;
				paths.get(m.id).update(m.path.map(stageRow));
			});
		},
	};
}
