// SPDX-License-Identifier: Apache-2.0
// Each donor: what it has, what it gave, and how far the pool believes it. Names are pseudonyms that
// donors give themselves; the key is who they are.
import { count, layers, number, t, word } from "../language.mjs";
import { el, table } from "../ui.mjs";

const STATES = { ready: "good", silent: "bad", stalled: "bad" };
const TRUST = { trusted: "good", quarantined: "bad", banned: "bad" };

function trust(d) {
	if (d.trust === "")
		return "–";
	return t(d.lies > 0 ? "donors.lied" : "donors.verified",
		{ trust: word("trust", d.trust), n: count(d.verified_units), lies: count(d.lies) });
}

function row(d, models) {
	return {
		key: d.key,
		cells: [
			{ text: `${d.name || t("nameless")} ${d.key.slice(0, 8)}`, sort: d.name },
			{ text: word("state", d.state), className: STATES[d.state] },
			d.model > 0 ? models[d.model - 1].name : "–",
			{ text: layers(d.layers), sort: d.layers[0] },
			{ text: [d.role && word("role", d.role), d.note].filter(Boolean).join(": ") || "–" },
			{ text: count(d.units), sort: d.units },
			{ text: number(d.cost_flop / 1e9, 4), sort: d.cost_flop },
			{ text: number(d.flop_per_s / 1e9), sort: d.flop_per_s },
			{ text: number(d.round_trip_us / 1000), sort: d.round_trip_us },
			{ text: d.link_bytes_per_s > 0 ? number(d.link_bytes_per_s / 1e6) : "–", sort: d.link_bytes_per_s },
			{ text: trust(d), sort: d.verified_units, className: TRUST[d.trust] },
		],
	};
}

export function donors(live) {
	const all = table(t("page.donors"), [
		{ label: t("donors.name") }, { label: t("donors.state") }, { label: t("models.name") },
		{ label: t("layers") }, { label: t("donors.role") }, { label: t("donors.units"), number: true },
		{ label: t("donors.gflop"), number: true }, { label: t("donors.speed"), number: true },
		{ label: t("donors.trip"), number: true }, { label: t("donors.link"), number: true },
		{ label: t("donors.trust") },
	]);
	return {
		node: el("div", { class: "titled" }, el("p", { class: "quiet" }, t("donors.help")), all.node),
		update() {
			if (live.status !== null)
				all.update(live.status.donors.map((d) => row(d, live.status.models)));
		},
	};
}
