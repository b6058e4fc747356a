// SPDX-License-Identifier: Apache-2.0
// A model's layers over the donors that have them: a column a layer, a bar a donor, in as few rows as
// there is room for; what nobody holds is a bar of its own.
import { layers, t, word } from "./language.mjs";
import { el, keep, setText } from "./ui.mjs";

const ROWS_MAX = 24;

// Bars to rows, so that those of a row do not overlap; those that find none are left out. Pure.
export function pack(bars) {
	const ends = [];
	const placed = [];
	for (const bar of [...bars].sort((a, b) => a.first - b.first || b.last - a.last)) {
		let row = ends.findIndex((end) => end <= bar.first);
		if (row < 0)
			row = ends.length;
		if (row === ROWS_MAX)
			continue;
		ends[row] = bar.last;
		placed.push({ ...bar, row });
	}
	return placed;
}

// What a donor with layers is for; one that could be on a path, where there is none, is just ready.
function purpose(donor, path) {
	if (donor.state === "ready" && path.has(donor.key))
		return word("role", "path");
	return donor.state === "ready" && donor.role !== "path" && donor.role !== "" ? word("role", donor.role) : word("state", donor.state);
}

function bars(model, index, donors) {
	const path = new Set(model.path.map((stage) => stage.donor));
	const missing = model.missing.map(([first, last]) => ({
		key: `missing ${first}`, first, last, kind: "missing",
		text: t("pipeline.missing", { layers: layers([first, last]) }),
	}));
	const held = donors.filter((d) => d.model === index + 1 && d.layers[1] > d.layers[0]).map((d) => ({
		key: d.key, first: d.layers[0], last: d.layers[1],
		kind: d.state !== "ready" ? "unready" : path.has(d.key) ? "path" : "replica",
		text: t("pipeline.donor", {
			name: d.name || d.key.slice(0, 8), layers: layers(d.layers), what: purpose(d, path),
		}),
	}));
	return [...missing, ...held];
}

export function pipeline() {
	const list = el("ul", { class: "pipeline" });
	const more = el("p", { class: "quiet" });
	return {
		node: el("div", {}, list, more),
		update(model, index, donors) {
			const all = bars(model, index, donors), shown = pack(all);
			list.style.gridTemplateColumns = `repeat(${model.layers}, minmax(2px, 1fr))`;
			keep(list, shown, (bar) => bar.key, () => el("li"), (node, bar) => {
				node.style.gridColumn = `${bar.first + 1} / ${bar.last + 1}`;
				node.style.gridRow = String(bar.row + 1);
				node.dataset.kind = bar.kind;
				node.title = bar.text;
				setText(node, bar.text);
			});
			more.hidden = shown.length === all.length;
			setText(more, t("pipeline.more", { n: all.length - shown.length }));
		},
	};
}
