// SPDX-License-Identifier: Apache-2.0
// An entry of the log as people can read it: message Receipt of protocol/ayni.proto. Only what is shown;
// that the bytes are in the log is shown by their hash, whatever is in them.

const FIELDS = {
	1: ["number", "integer"], 2: ["pool", "bytes"], 3: ["donor", "bytes"], 4: ["model", "bytes"],
	5: ["layer_first", "integer"], 6: ["layer_last", "integer"], 7: ["units", "integer"],
	8: ["tokens", "integer"], 9: ["cost_flop", "integer"], 11: ["first_ms", "integer"], 12: ["last_ms", "integer"],
	23: ["standing", "bytes"],
};

// Protocol Buffers' wire format. Numbers above 2^53 lose their last digits, which nobody is shown.
class Reader {
	#data;
	#at = 0;

	constructor(data) {
		this.#data = data;
	}

	get done() {
		return this.#at === this.#data.length;
	}

	varint() {
		let value = 0, scale = 1;
		for (let i = 0; i < 10; i++) {
			const byte = this.bytes(1)[0];
			value += (byte % 128) * scale;
			scale *= 128;
			if (byte < 128)
				return value;
		}
		throw new Error("a number of the entry does not end");
	}

	bytes(n) {
		if (n > this.#data.length - this.#at)
			throw new Error("the entry is cut off");
		return this.#data.slice(this.#at, (this.#at += n));
	}

	// [number, "integer" or "bytes", value]
	field() {
		const tag = this.varint(), number = Math.floor(tag / 8);
		switch (tag % 8) {
		case 0:
			return [number, "integer", this.varint()];
		case 1:
			return [number, "fixed", this.bytes(8)];
		case 2:
			return [number, "bytes", this.bytes(this.varint())];
		case 5:
			return [number, "fixed", this.bytes(4)];
		default:
			throw new Error("the entry has a field of an unknown kind");
		}
	}
}

// Throws if it is no message. What is not there is 0, or empty.
export function parseReceipt(data) {
	const receipt = Object.fromEntries(Object.values(FIELDS).map(([name, kind]) =>
		[name, kind === "integer" ? 0 : new Uint8Array(0)]));
	const reader = new Reader(data);
	while (!reader.done) {
		const [number, kind, value] = reader.field();
		const [name, wanted] = FIELDS[number] ?? [];
		if (name && kind !== wanted)
			throw new Error(`the entry's ${name} is of another kind`);
		if (name)
			receipt[name] = value;
	}
	return receipt;
}
