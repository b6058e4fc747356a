// SPDX-License-Identifier: Apache-2.0
// Alerts: what deviates from its own normal is raised, and becomes more urgent if nobody acknowledges it
// (the algedonic signals of Beer's Cybersyn). Time is given, in seconds; nothing here reads a clock.
//
//   quiet --out of normal for RAISE_S--> raised, level 1 --every ESCALATE_S--> 2 --> 3
//   raised --acknowledged--> stays at its level --back to normal for END_S--> quiet
import { Normal } from "./normal.mjs";

export const RAISE_S = 5, END_S = 10, ESCALATE_S = 60, LEVELS = 3;
const FAR = 4, NEAR = 2; // deviations: to be raised, and to be over
const LEARN_RAISED = 1 / 8;

export class Alerts {
	#series = new Map(); // key: { normal, seen }
	#alerts = new Map(); // key: { key, details, since, level, acknowledged, changing }

	// A value of a series. side: 1 if only high ones are bad, -1 low ones; floor: the least deviation
	// that matters. details are what is shown.
	observe(key, { value, side, floor, details }, now) {
		const series = this.#series.get(key) ?? { normal: new Normal() };
		const raised = this.#raised(key);
		const distance = series.normal.distance(value, floor) * side;
		series.seen = now;
		this.#series.set(key, series);
		this.#step(key, distance > (raised ? NEAR : FAR), { ...details, normal: series.normal.mean }, now);
		series.normal.learn(value, raised ? LEARN_RAISED : 1);
	}

	// What is bad whenever it holds.
	state(key, holds, details, now) {
		this.#step(key, holds, details, now);
	}

	acknowledge(key) {
		const alert = this.#alerts.get(key);
		if (alert)
			alert.acknowledged = true;
	}

	// Those raised, the most urgent first, then the oldest.
	list() {
		return [...this.#alerts.values()].filter((a) => a.level > 0)
			.sort((a, b) => a.acknowledged - b.acknowledged || b.level - a.level || a.since - b.since);
	}

	// Series and alerts that nothing was said of since then are of donors and models that are gone.
	forget(before) {
		for (const [key, series] of this.#series)
			if (series.seen < before)
				this.#series.delete(key);
		for (const [key, alert] of this.#alerts)
			if (alert.seen < before)
				this.#alerts.delete(key);
	}

	#raised(key) {
		return (this.#alerts.get(key)?.level ?? 0) > 0;
	}

	#step(key, bad, details, now) {
		let alert = this.#alerts.get(key);
		if (!alert && !bad)
			return;
		if (!alert) {
			alert = { key, since: now, level: 0, acknowledged: false, changing: now };
			this.#alerts.set(key, alert);
		}
		alert.seen = now;
		alert.details = details;
		if (bad === (alert.level > 0))
			alert.changing = now;
		if (alert.level === 0 && (!bad || now - alert.changing >= RAISE_S))
			this.#turn(alert, bad, now);
		else if (alert.level > 0 && !bad && now - alert.changing >= END_S)
			this.#alerts.delete(key);
		else if (alert.level > 0 && !alert.acknowledged)
			alert.level = Math.min(LEVELS, 1 + Math.floor((now - alert.since) / ESCALATE_S));
	}

	// One that was about to be raised: now it is, or it was nothing.
	#turn(alert, bad, now) {
		if (!bad) {
			this.#alerts.delete(alert.key);
			return;
		}
		alert.level = 1;
		alert.since = now;
		alert.changing = now;
	}
}
