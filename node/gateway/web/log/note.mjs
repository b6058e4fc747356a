// SPDX-License-Identifier: Apache-2.0
// What a pool says of its log, signed: C2SP signed-note and tlog-checkpoint, as protocol/note.h and
// protocol/checkpoint.h have them.
import { concat, equal, fromBase64, fromHex, sha256 } from "./bytes.mjs";

const ORIGIN = "ayni.pool/"; // and the pool's key
const ED25519 = 1; // the algorithm's byte

// Throws if it is not a checkpoint of a pool's log.
export function parseCheckpoint(note) {
	const end = note.lastIndexOf("\n\n");
	const text = note.slice(0, end + 1);
	const [origin, size, root] = text.split("\n");
	if (end < 0 || !origin.startsWith(ORIGIN) || !/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
		throw new Error("this is not a checkpoint of a pool's log");
	const checkpoint = {
		text, origin,
		key: fromHex(origin.slice(ORIGIN.length)),
		size: Number(size),
		root: fromBase64(root),
		signatures: note.slice(end + 2).split("\n").slice(0, -1).map(parseSignature),
	};
	if (checkpoint.key.length !== 32 || checkpoint.root.length !== 32)
		throw new Error("the checkpoint's key or root is not 32 bytes");
	return checkpoint;
}

function parseSignature(line) {
	const [dash, name, base64] = line.split(" ");
	const bytes = fromBase64(base64 ?? "");
	if (dash !== "—" || bytes.length <= 4)
		throw new Error("a line of the checkpoint is not a signature");
	return { name, id: bytes.slice(0, 4), signature: bytes.slice(4) };
}

// true, false, or null where this browser has no Ed25519.
export async function isSignedByPool({ text, origin, key, signatures }) {
	const id = (await sha256(concat(new TextEncoder().encode(origin), [10, ED25519], key))).slice(0, 4);
	const own = signatures.find((s) => s.name === origin && equal(s.id, id));
	if (!own)
		return false;
	try {
		const imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
		return await crypto.subtle.verify("Ed25519", imported, own.signature, new TextEncoder().encode(text));
	} catch (error) {
		if (error.name === "NotSupportedError")
			return null;
		return false; // not a key, say
	}
}
