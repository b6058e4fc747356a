// SPDX-License-Identifier: Apache-2.0
// What the page believes of a log, without a browser; browser.test.mjs shows it a real one.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";

import { concat, equal, fromHex, hex, sha256 } from "../../node/gateway/web/log/bytes.mjs";
import { checkInclusion, leafHash, proveInclusion } from "../../node/gateway/web/log/merkle.mjs";
import { isSignedByPool, parseCheckpoint } from "../../node/gateway/web/log/note.mjs";
import { parseReceipt } from "../../node/gateway/web/log/receipt.mjs";
import { parseBundle, Tiles } from "../../node/gateway/web/log/tiles.mjs";

const entryOf = (i) => new TextEncoder().encode(`entry ${i}`);

const hash = (...parts) => new Uint8Array(createHash("sha256").update(concat(...parts)).digest());

// Levels of full subtrees over so many leaves.
function tree(size) {
	const levels = [Array.from({ length: size }, (_, i) => hash([0], entryOf(i)))];
	while (levels.at(-1).length > 1) {
		const below = levels.at(-1);
		levels.push(Array.from({ length: below.length >> 1 }, (_, i) => hash([1], below[2 * i], below[2 * i + 1])));
	}
	return levels;
}

// The root by its definition, RFC 9162, section 2.1.1.
function rootOf(leaves) {
	if (leaves.length === 1)
		return leaves[0];
	let k = 1;
	while (2 * k < leaves.length)
		k *= 2;
	return hash([1], rootOf(leaves.slice(0, k)), rootOf(leaves.slice(k)));
}

describe("Merkle trees", () => {
	it("prove each leaf of each size, and nothing else", async () => {
		for (let size = 1; size <= 40; size++) {
			const levels = tree(size), root = rootOf(levels[0]);
			for (let i = 0; i < size; i++) {
				const proof = await proveInclusion(i, size, (level, k) => levels[level][k]);
				const check = (index, leaf, hashes) => checkInclusion(index, size, leaf, hashes, root);
				assert.ok((await check(i, levels[0][i], proof)).holds, `${i} of ${size}`);
				assert.ok(!(await check(i, await leafHash(entryOf(-1)), proof)).holds);
				assert.ok(!(await check(i, levels[0][i], [...proof, root])).holds);
				if (size > 1) {
					assert.ok(!(await check((i + 1) % size, levels[0][i], proof)).holds);
					assert.ok(!(await check(i, levels[0][i], proof.slice(1))).holds);
				}
			}
		}
	});

	it("have the root that the RFC's test vectors have", async () => {
		// of a single empty leaf, and of the eight of certificate transparency's reference tests
		assert.equal(hex(await leafHash(new Uint8Array())), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
		const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
		assert.equal(hex(rootOf(await Promise.all(leaves.map((l) => leafHash(fromHex(l)))))),
			"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
	});
});

describe("tiles", () => {
	const SIZE = 66000; // a level above those of 256
	const path = (n) => (n < 1000 ? String(n).padStart(3, "0") : `x${String(Math.floor(n / 1000)).padStart(3, "0")}/${String(n % 1000).padStart(3, "0")}`);

	function files(levels, size) {
		const all = new Map();
		for (let tile = 0; 8 * tile < levels.length; tile++) {
			const hashes = levels[8 * tile];
			for (let n = 0; n * 256 < hashes.length; n++) {
				const part = hashes.slice(n * 256, n * 256 + 256);
				all.set(`tile/${tile}/${path(n)}${part.length < 256 ? `.p/${part.length}` : ""}`, concat(...part));
			}
		}
		for (let n = 0; n * 256 < size; n++) {
			const part = Array.from({ length: Math.min(256, size - n * 256) }, (_, i) => entryOf(n * 256 + i));
			all.set(`tile/entries/${path(n)}${part.length < 256 ? `.p/${part.length}` : ""}`,
				concat(...part.flatMap((e) => [[e.length >> 8, e.length & 255], e])));
		}
		return all;
	}

	it("give entries and the hashes of a proof", async () => {
		const levels = tree(SIZE), all = files(levels, SIZE), root = rootOf(levels[0]);
		const tiles = new Tiles(async (name) => all.get(name) ?? null, SIZE);
		for (const i of [0, 255, 256, 40000, 65535, 65536, SIZE - 1]) {
			assert.ok(equal(await tiles.entry(i), entryOf(i)));
			const proof = await proveInclusion(i, SIZE, (level, k) => tiles.subtree(level, k));
			assert.ok((await checkInclusion(i, SIZE, levels[0][i], proof, root)).holds, String(i));
		}
	});

	it("are read whole where the log has grown since", async () => {
		const levels = tree(256), all = files(levels, 256);
		const tiles = new Tiles(async (name) => all.get(name) ?? null, 200);
		assert.ok(equal(await tiles.entry(199), entryOf(199)));
		assert.ok(equal(await tiles.subtree(0, 199), levels[0][199]));
	});

	it("that are cut off, or missing, are errors", async () => {
		assert.throws(() => parseBundle(Uint8Array.of(0, 2, 1), 1), /cut off/);
		assert.throws(() => parseBundle(Uint8Array.of(0), 1), /cut off/);
		assert.throws(() => parseBundle(Uint8Array.of(0, 1, 7), 2), /cut off/);
		await assert.rejects(new Tiles(async () => new Uint8Array(31), 1).subtree(0, 0), /cut off/);
		await assert.rejects(new Tiles(async () => null, 1).entry(0), /lacks/);
	});
});

describe("checkpoints", () => {
	const { publicKey, privateKey } = generateKeyPairSync("ed25519");
	const key = new Uint8Array(publicKey.export({ type: "spki", format: "der" }).subarray(-32));
	const origin = `ayni.pool/${hex(key)}`;

	async function signed(text, by = privateKey) {
		const id = (await sha256(concat(new TextEncoder().encode(origin), [10, 1], key))).slice(0, 4);
		return `${text}\n— ${origin} ${Buffer.from(concat(id, sign(null, Buffer.from(text), by))).toString("base64")}\n`;
	}
	const text = (size) => `${origin}\n${size}\n${Buffer.alloc(32, 7).toString("base64")}\n`;

	it("are signed by the key in their name, or not", async () => {
		const note = await signed(text(12));
		assert.equal(parseCheckpoint(note).size, 12);
		assert.equal(await isSignedByPool(parseCheckpoint(note)), true);
		assert.equal(await isSignedByPool(parseCheckpoint(note.replace("\n12\n", "\n13\n"))), false);
		assert.equal(await isSignedByPool(parseCheckpoint(await signed(text(12), generateKeyPairSync("ed25519").privateKey))), false);
		assert.equal(await isSignedByPool(parseCheckpoint(note.replaceAll(origin.slice(-2), "00"))).catch(() => false), false);
	});

	it("that are none are errors", async () => {
		for (const note of ["", "\n\n", await signed(text("007")), await signed(text(-1)), await signed(text("9007199254740993")),
			(await signed(text(1))).replace("—", "-"), (await signed(text(1))).replace("ayni.pool/", "other/"), text(1)])
			assert.throws(() => parseCheckpoint(note), Error, note);
	});
});

describe("receipts", () => {
	it("are read, with fields that are not known left out", () => {
		const r = parseReceipt(Uint8Array.of(8, 0xac, 2, 26, 2, 0xab, 0xcd, 0x98, 6, 5, 0xa5, 6, 1, 2, 3, 4));
		assert.equal(r.number, 300);
		assert.equal(hex(r.donor), "abcd");
		assert.equal(r.units, 0);
	});

	it("of any bytes give a receipt or an error", () => {
		let seed = 1, read = 0;
		const random = () => (seed = (seed * 48271) % 2147483647) % 256;
		for (let i = 0; i < 20000; i++) {
			try {
				parseReceipt(Uint8Array.from({ length: random() % 24 }, random));
				read++;
			} catch (error) {
				assert.match(error.message, /entry/);
			}
		}
		assert.ok(read > 100 && read < 19900);
	});
});
