// SPDX-License-Identifier: Apache-2.0
// The Merkle tree of a transparency log: RFC 9162, section 2.1. Sizes stay below 2^53, so that they are
// exact; 32-bit operators are not used on them.
import { concat, equal, sha256 } from "./bytes.mjs";

export const leafHash = (entry) => sha256(concat([0], entry));
export const nodeHash = (left, right) => sha256(concat([1], left, right));

// The largest power of two below n.
function split(n) {
	let k = 1;
	while (k * 2 < n)
		k *= 2;
	return k;
}

// The root of leaves first to first + n. subtree(level, index) gives that of a full one of 2^level.
async function rangeHash(first, n, subtree) {
	const level = Math.log2(n);
	if (Number.isInteger(level) && first % n === 0)
		return subtree(level, first / n);
	const k = split(n);
	return nodeHash(await rangeHash(first, k, subtree), await rangeHash(first + k, n - k, subtree));
}

// The hashes that lead from leaf `index` to the root of the first `size` leaves: section 2.1.3.1.
export async function proveInclusion(index, size, subtree) {
	const proof = [];
	let first = 0, n = size;
	while (n > 1) {
		const k = split(n);
		if (index < first + k) {
			proof.unshift(await rangeHash(first + k, n - k, subtree));
			n = k;
		} else {
			proof.unshift(await rangeHash(first, k, subtree));
			first += k;
			n -= k;
		}
	}
	return proof;
}

// Section 2.1.3.2. Each step's hash, the root that follows from them, and whether it is the right one.
export async function checkInclusion(index, size, leaf, proof, root) {
	let at = index, last = size - 1, hash = leaf;
	const steps = [];
	for (const sibling of proof) {
		if (last === 0)
			return { steps, holds: false };
		const onLeft = at % 2 === 1 || at === last;
		hash = onLeft ? await nodeHash(sibling, hash) : await nodeHash(hash, sibling);
		if (onLeft) {
			while (at % 2 === 0 && at !== 0) {
				at /= 2;
				last = Math.floor(last / 2);
			}
		}
		steps.push({ sibling, onLeft, hash });
		at = Math.floor(at / 2);
		last = Math.floor(last / 2);
	}
	return { steps, holds: last === 0 && equal(hash, root) };
}
