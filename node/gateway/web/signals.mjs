// SPDX-License-Identifier: Apache-2.0
// Which figures are watched for alerts, and what is wrong whatever was normal before.
import * as figures from "./figures.mjs";

const GONE_S = 120; // after that, what is not there any more is forgotten

function series(status, rates) {
	const list = [
		["waiting", { value: figures.waiting(status), side: 1, floor: 1 }],
		["ready", { value: figures.ready(status), side: -1, floor: 0.2 }],
	];
	if (rates !== null)
		list.push(["refused", { value: rates.refused, side: 1, floor: 0.2 }]);
	for (const m of status.models)
		if (m.tokens_per_s > 0)
			list.push([`token:${m.id}`, { value: 1000 / m.tokens_per_s, side: 1, floor: 2, name: m.name }]);
	for (const d of status.donors)
		if (d.state === "ready")
			list.push([`round_trip:${d.key}`, { value: d.round_trip_us / 1000, side: 1, floor: 5, name: d.name }]);
	return list;
}

function states(status) {
	const list = [];
	for (const m of status.models)
		list.push([`missing:${m.id}`, m.missing.length > 0, { name: m.name, value: figures.missing(m) }]);
	for (const d of status.donors) {
		list.push([`silent:${d.key}`, d.state === "silent" || d.state === "stalled", { name: d.name }]);
		list.push([`lies:${d.key}`, d.lies > 0, { name: d.name, value: d.lies }]);
	}
	return list;
}

// status: null if the pool is not there.
export function watch(alerts, status, rates, now) {
	alerts.state("gone", status === null, {}, now);
	if (status === null)
		return;
	for (const [key, { value, side, floor, name }] of series(status, rates))
		alerts.observe(key, { value, side, floor, details: { name, value } }, now);
	for (const [key, holds, details] of states(status))
		alerts.state(key, holds, details, now);
	alerts.forget(now - GONE_S);
}
