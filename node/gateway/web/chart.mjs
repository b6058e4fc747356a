// SPDX-License-Identifier: Apache-2.0
// Lines over the last minutes, drawn by uPlot (vendor/). Colours are those of style.css.
import { clock, number, t } from "./language.mjs";
import { KEPT_S } from "./live.mjs";
import { el } from "./ui.mjs";

const HEIGHT = 180;
const MIN_WIDTH = 240;

// lines: [{ label, name (in history) }], two at most.
export function chart(title, lines, history) {
	const style = getComputedStyle(document.documentElement);
	const colour = (name) => style.getPropertyValue(name).trim();
	const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
	const node = el("figure", {}, el("figcaption", {}, title));
	const data = () => [history.time, ...lines.map((line) => history[line.name])];
	const plot = new uPlot({
		width: MIN_WIDTH, height: HEIGHT,
		axes: [{ ...axis, space: 80, values: (_, times) => times.map(clock) }, { ...axis, size: 60, values: (_, values) => values.map((v) => number(v)) }],
		cursor: { drag: { x: false, y: false } },
		scales: {
			x: { range: (_, min, max) => [(max ?? 0) - KEPT_S, max ?? 0] },
			y: { range: (_, min, max) => [0, Math.max(max ?? 0, 1) * 1.1] },
		},
		series: [{ label: t("time"), value: (_, at) => (at === null ? "–" : clock(at)) }, ...lines.map((line, i) => ({
			label: line.label, stroke: colour(`--line${i + 1}`), width: 2, dash: i > 0 ? [6, 4] : [],
			points: { show: false }, value: (_, v) => (v === null ? "–" : number(v)),
		}))],
	}, data(), node);
	plot.root.setAttribute("role", "img");
	const fit = new ResizeObserver(() => plot.setSize({ width: Math.max(MIN_WIDTH, node.clientWidth), height: HEIGHT }));
	fit.observe(node);
	return {
		node,
		update() {
			plot.setData(data());
			plot.root.setAttribute("aria-label", `${title}: ${lines.map((line) => {
				const last = history[line.name].at(-1);
				return `${line.label} ${typeof last === "number" ? number(last) : "–"}`;
			}).join(", ")}`);
		},
		end() {
			fit.disconnect();
			plot.destroy();
		},
	};
}
