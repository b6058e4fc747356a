// SPDX-License-Identifier: Apache-2.0
// The pool's transparency log: what it says of itself, its latest receipts, and proofs that single ones
// are in it, which this browser checks by itself. The gateway is not believed: it only gives out files.
import { count, layers, number, t, time } from "../language.mjs";
import { hex } from "../log/bytes.mjs";
import { checkInclusion, leafHash, proveInclusion } from "../log/merkle.mjs";
import { isSignedByPool, parseCheckpoint } from "../log/note.mjs";
import { parseReceipt } from "../log/receipt.mjs";
import { Tiles } from "../log/tiles.mjs";
import { el, section, setText, table } from "../ui.mjs";

const BUNDLE = 256;

async function read(path) {
	const answer = await fetch(`log/${path}`);
	if (answer.status === 404)
		return null;
	if (!answer.ok)
		throw new Error(`log/${path}: ${answer.status}`);
	return new Uint8Array(await answer.arrayBuffer());
}

// Its log as it is now: { checkpoint, signed, tiles }.
async function open() {
	const note = await read("checkpoint");
	if (note === null)
		return null;
	const checkpoint = parseCheckpoint(new TextDecoder("utf-8", { fatal: true }).decode(note));
	return { checkpoint, signed: await isSignedByPool(checkpoint), tiles: new Tiles(read, checkpoint.size) };
}

// The proof that entry `index` is in the log, looked at here.
async function prove({ checkpoint, tiles }, index, changed) {
	const entry = (await tiles.entry(index)).slice();
	if (changed)
		entry[entry.length - 1] ^= 1;
	const leaf = await leafHash(entry);
	const proof = await proveInclusion(index, checkpoint.size, (level, i) => tiles.subtree(level, i));
	return { entry, leaf, ...await checkInclusion(index, checkpoint.size, leaf, proof, checkpoint.root) };
}

const facts = (pairs) => el("dl", { class: "facts" }, ...pairs.map(([name, value, className]) =>
	el("div", {}, el("dt", {}, name), el("dd", { class: className ?? null }, value))));

function checkpointFacts({ checkpoint, signed }) {
	const verdict = { true: "ledger.signed", false: "ledger.unsigned", null: "ledger.noEd25519" }[signed];
	return facts([
		[t("ledger.key"), hex(checkpoint.key), "mono"],
		[t("ledger.size"), count(checkpoint.size)],
		[t("ledger.root"), hex(checkpoint.root), "mono"],
		[t("ledger.signature"), t(verdict), signed === true ? "good" : signed === false ? "bad" : "unknown"],
		[t("ledger.others"), count(checkpoint.signatures.length - 1)],
	]);
}

function receiptFacts(entry, names) {
	const r = parseReceipt(entry), donor = hex(r.donor);
	const work = r.standing.length > 0 ? [[t("ledger.kind"), t("ledger.standing")]] : [
		[t("layers"), layers([r.layer_first, r.layer_last])],
		[t("donors.units"), count(r.units)], [t("ledger.tokens"), count(r.tokens)],
		[t("donors.gflop"), number(r.cost_flop / 1e9, 6)],
	];
	return facts([[t("ledger.number"), count(r.number)],
		[t("donors.name"), `${names.get(donor) ?? ""} ${donor}`.trim(), "mono"], ...work,
		[t("ledger.time"), `${time(r.first_ms)} – ${time(r.last_ms)}`]]);
}

// Colour is not all: the verdict says it, and is what a screen reader hears.
function verdictNode(log, index, proof, names) {
	const bad = !proof.holds || log.signed === false;
	const verdict = !proof.holds ? "ledger.broken" : { true: "ledger.holds", false: "ledger.unsigned", null: "ledger.holdsUnsigned" }[log.signed];
	return el("div", { class: `verdict ${bad ? "bad" : log.signed === null ? "unknown" : "good"}`, id: "verdict" },
		el("p", { role: "status" }, t(verdict, { n: count(index + 1), size: count(log.checkpoint.size) })),
		receiptFacts(proof.entry, names),
		el("details", {}, el("summary", {}, t("ledger.steps", { n: proof.steps.length })),
			el("ol", { class: "mono" }, el("li", {}, `SHA-256(0x00 ‖ …) = ${hex(proof.leaf)}`),
				...proof.steps.map((step) => el("li", {}, step.onLeft
					? `SHA-256(0x01 ‖ ${hex(step.sibling)} ‖ …) = ${hex(step.hash)}`
					: `SHA-256(0x01 ‖ … ‖ ${hex(step.sibling)}) = ${hex(step.hash)}`)))));
}

function receiptRow(entry, names) {
	const r = parseReceipt(entry), donor = hex(r.donor);
	return {
		key: r.number,
		cells: [
			{ text: count(r.number), sort: r.number },
			`${names.get(donor) ?? ""} ${donor.slice(0, 8)}`.trim(),
			r.standing.length > 0 ? t("ledger.standing") : layers([r.layer_first, r.layer_last]),
			{ text: count(r.units), sort: r.units }, { text: count(r.tokens), sort: r.tokens },
			{ text: number(r.cost_flop / 1e9, 4), sort: r.cost_flop }, { text: time(r.last_ms), sort: r.last_ms },
		],
	};
}

export function ledger(live) {
	const status = el("p", { role: "status" }), about = el("div"), proof = el("div");
	const wanted = el("input", { id: "number", type: "number", min: "1", required: true, inputmode: "numeric" });
	const changed = el("input", { id: "changed", type: "checkbox" });
	const receipts = table(t("ledger.latest"), [
		{ label: t("ledger.number"), number: true }, { label: t("donors.name") }, { label: t("layers") },
		{ label: t("donors.units"), number: true }, { label: t("ledger.tokens"), number: true },
		{ label: t("donors.gflop"), number: true }, { label: t("ledger.time") },
	]);
	const form = el("form", { onsubmit: (event) => {
		event.preventDefault();
		attempt(check);
	} }, el("label", { for: "number" }, t("ledger.ask")), wanted, el("button", { type: "submit" }, t("ledger.check")),
		el("label", { for: "changed" }, changed, " ", t("ledger.change")));
	const names = () => new Map((live.status?.donors ?? []).map((d) => [d.key, d.name]));
	let log = null;

	async function attempt(what) {
		try {
			setText(status, "");
			await what();
		} catch (error) {
			proof.replaceChildren(el("p", { class: "verdict bad", id: "verdict", role: "status" },
				t("ledger.failed", { why: error.message })));
		}
	}

	async function load() {
		log = await open();
		form.hidden = log === null || log.checkpoint.size === 0;
		if (log === null) {
			setText(status, t("ledger.none"));
			return;
		}
		about.replaceChildren(checkpointFacts(log), el("p", { class: "quiet" }, t("ledger.compare")));
		wanted.max = String(log.checkpoint.size);
		if (log.checkpoint.size === 0)
			return;
		const last = await log.tiles.bundle(Math.floor((log.checkpoint.size - 1) / BUNDLE));
		receipts.update(last.map((entry) => receiptRow(entry, names())).reverse());
	}

	async function check() {
		const index = Number(wanted.value) - 1;
		const result = await prove(log, index, changed.checked);
		proof.replaceChildren(verdictNode(log, index, result, names()));
	}

	if (globalThis.crypto?.subtle === undefined)
		setText(status, t("ledger.insecure"));
	else
		attempt(load);
	form.hidden = true;
	return {
		node: el("div", {}, el("p", { class: "quiet" }, t("ledger.help")), status, about,
			section(t("ledger.proof"), form, proof),
			el("p", {}, el("button", { type: "button", onclick: () => attempt(load) }, t("ledger.reload"))),
			receipts.node),
	};
}
