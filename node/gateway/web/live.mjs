// SPDX-License-Identifier: Apache-2.0
// The pool as it is now, by server-sent events, and what it was in the last minutes.
import { Alerts } from "./alerts.mjs";
import * as figures from "./figures.mjs";
import { watch } from "./signals.mjs";

export const KEPT_S = 600; // of history
const RATE_EVENTS = 5; // rates are over so many events
const AGAIN_MS = 5000; // to a server that refused

export class Live extends EventTarget {
	status = null; // as `ayni status --json`; null: not known yet
	state = "connecting"; // "live", "gone" (the gateway has no pool), "lost" (no gateway)
	rates = null;
	alerts = new Alerts();
	history = { time: [], tokens: [], gflop: [], sessions: [], waiting: [] };
	#recent = [];

	start() {
		const events = new EventSource("room/events");
		events.addEventListener("message", (event) => this.#take("live", JSON.parse(event.data)));
		events.addEventListener("gone", () => this.#take("gone", null));
		events.addEventListener("error", () => {
			this.#take("lost", null);
			if (events.readyState === EventSource.CLOSED)
				setTimeout(() => this.start(), AGAIN_MS);
		});
	}

	#take(state, status) {
		const now = Date.now() / 1000;
		this.state = state;
		if (status === null) {
			this.#recent = [];
			this.rates = null;
		} else {
			this.status = status;
			this.#recent = [...this.#recent, status].slice(-RATE_EVENTS - 1);
			this.rates = this.#recent.length > 1 ? figures.rates(this.#recent[0], status) : null;
			if (this.#recent.length > 1 && this.rates === null)
				this.#recent = [status];
		}
		this.#remember(now);
		watch(this.alerts, status, this.rates, now);
		this.dispatchEvent(new Event("change"));
	}

	// A gap in a chart, null, is where nothing is known.
	#remember(now) {
		const known = this.state === "live";
		const values = {
			time: now,
			tokens: this.rates?.tokens ?? null,
			gflop: this.rates?.gflop ?? null,
			sessions: known ? figures.sessions(this.status) : null,
			waiting: known ? figures.waiting(this.status) : null,
		};
		const stale = this.history.time.findIndex((time) => time >= now - KEPT_S);
		for (const [name, list] of Object.entries(this.history)) {
			list.splice(0, stale < 0 ? list.length : stale);
			list.push(values[name]);
		}
	}

	acknowledge(key) {
		this.alerts.acknowledge(key);
		this.dispatchEvent(new Event("change"));
	}
}
