// SPDX-License-Identifier: Apache-2.0
// Entries and hashes of a log from its files: C2SP tlog-tiles, as storage/tiles.h has it.
import { nodeHash } from "./merkle.mjs";

const WIDTH = 256, HEIGHT = 8, HASH_BYTES = 32;

// 1234067 is x001/x234/067.
function numberPath(n) {
	const parts = [];
	do {
		parts.unshift(String(n % 1000).padStart(3, "0"));
		n = Math.floor(n / 1000);
	} while (n > 0);
	return parts.map((part, i) => (i < parts.length - 1 ? `x${part}` : part)).join("/");
}

// The first n entries of a bundle, each after its length in two bytes.
export function parseBundle(data, n) {
	const entries = [];
	let at = 0;
	while (at < data.length && entries.length < n) {
		const end = at + 2 + data[at] * 256 + data[at + 1];
		if (!(end <= data.length))
			break;
		entries.push(data.slice(at + 2, end));
		at = end;
	}
	if (entries.length !== n)
		throw new Error("a bundle of the log is cut off");
	return entries;
}

export class Tiles {
	#read; // a path to its bytes, null if there is no such file
	#size; // leaves, as a checkpoint says
	#kept = new Map();

	constructor(read, size) {
		this.#read = read;
		this.#size = size;
	}

	// A file of `width` things. Where a partial one is gone since the log grew, the full one has them.
	async #file(kind, index, width) {
		const path = `tile/${kind}/${numberPath(index)}`;
		const data = (width < WIDTH && (await this.#read(`${path}.p/${width}`))) || (await this.#read(path));
		if (!data)
			throw new Error(`the log lacks ${path}`);
		return data;
	}

	#width(level, index) {
		return Math.min(WIDTH, Math.floor(this.#size / WIDTH ** level) - index * WIDTH);
	}

	#once(key, make) {
		if (!this.#kept.has(key))
			this.#kept.set(key, make());
		return this.#kept.get(key);
	}

	// Entries of bundle `index`: those from 256 * index on.
	bundle(index) {
		const width = this.#width(0, index);
		return this.#once(`entries/${index}`, async () => {
			const data = await this.#file("entries", index, width);
			return parseBundle(data, width);
		});
	}

	async entry(index) {
		return (await this.bundle(Math.floor(index / WIDTH)))[index % WIDTH];
	}

	// The root of the index-th full subtree of 2^level leaves.
	async subtree(level, index) {
		const above = level % HEIGHT, tile = Math.floor((level - above) / HEIGHT);
		if (above > 0)
			return nodeHash(await this.subtree(level - 1, index * 2), await this.subtree(level - 1, index * 2 + 1));
		const number = Math.floor(index / WIDTH), at = (index % WIDTH) * HASH_BYTES;
		const data = await this.#once(`${tile}/${number}`,
			() => this.#file(tile, number, this.#width(tile, number)));
		if (data.length < at + HASH_BYTES)
			throw new Error("a tile of the log is cut off");
		return data.slice(at, at + HASH_BYTES);
	}
}
