// SPDX-License-Identifier: Apache-2.0
// What is normal for a figure: its mean and deviation, weighted exponentially so that old values count
// less (Finch, "Incremental calculation of weighted mean and variance", 2009, section 9). Pure.

const HALF_LIFE = 300; // observations
const WEIGHT = 1 - 2 ** (-1 / HALF_LIFE);
const WARM_UP = 60; // observations before anything is said to be unusual

export class Normal {
	#n = 0;
	#mean = 0;
	#variance = 0;

	get mean() {
		return this.#mean;
	}

	// How far off a value is, in deviations, of which `floor` is the least; 0 while too little is known.
	distance(value, floor) {
		return this.#n < WARM_UP ? 0 : (value - this.#mean) / Math.max(floor, Math.sqrt(this.#variance));
	}

	// `share` of the usual weight: what is unusual shall become normal slowly.
	learn(value, share = 1) {
		this.#n++;
		const weight = Math.max(WEIGHT * share, this.#n <= HALF_LIFE ? share / this.#n : 0);
		const off = value - this.#mean;
		this.#mean += weight * off;
		this.#variance = (1 - weight) * (this.#variance + weight * off * off);
	}
}
