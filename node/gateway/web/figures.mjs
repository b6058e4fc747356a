// SPDX-License-Identifier: Apache-2.0
// Figures of the whole pool, from what it says of itself (`ayni status --json`). Pure.

const sum = (list, of) => list.reduce((n, item) => n + of(item), 0);

export const sessions = (status) => sum(status.models, (m) => m.sessions);
export const waiting = (status) => sum(status.models, (m) => m.waiting);
export const ready = (status) => status.donors.filter((d) => d.state === "ready").length;
export const missing = (model) => sum(model.missing, ([first, last]) => last - first);
export const refused = (status) => sum(Object.values(status.refusals), (n) => n);

// The part of all models' layers that ready donors hold, 0 to 1; of no model: 0.
export function coverage(status) {
	const all = sum(status.models, (m) => m.layers);
	return all > 0 ? 1 - sum(status.models, missing) / all : 0;
}

// Counters that belong to names; one that is gone counts no more, one that is new began at 0.
function grown(older, newer, key, value) {
	const before = new Map(older.map((item) => [item[key], value(item)]));
	return sum(newer, (item) => Math.max(0, value(item) - (before.get(item[key]) ?? 0)));
}

// What was done between two of the pool's answers, a second; null if it was started anew between.
export function rates(older, newer) {
	const seconds = (newer.uptime_ms - older.uptime_ms) / 1000;
	if (seconds <= 0)
		return null;
	return {
		tokens: grown(older.models, newer.models, "id", (m) => m.tokens) / seconds,
		gflop: grown(older.donors, newer.donors, "key", (d) => d.cost_flop) / 1e9 / seconds,
		refused: Math.max(0, refused(newer) - refused(older)) / seconds,
	};
}
