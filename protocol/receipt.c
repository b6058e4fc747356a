/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/receipt.h"

#include "protocol/messages_internal.h"

#include <sodium.h>
#include <stdlib.h>

#define RECEIPT_POOL_DOMAIN  "ayni v1 receipt by pool"
#define RECEIPT_DONOR_DOMAIN "ayni v1 receipt by donor"
#define MANIFEST_DOMAIN      "ayni v1 manifest"

/* Chunks of at most 1 MiB: models of up to 4 TiB, in manifests that fit a payload. */
enum { MANIFEST_CHUNKS_MAX = 4 << 20 };

enum { MERGE_DELAY_S_MAX = 366 * 86400 };

/* Of one manifest being packed or unpacked; the densest valid one takes about 4 times its bytes. */
#define MANIFEST_BYTES_MAX ((size_t)1 << 30)

/* Pack into new memory of at most `limit` bytes. */
static int pack(
    struct conversion *c, const ProtobufCMessage *wire, size_t limit, uint8_t **out, size_t *len)
{
	if (c->code != AYNI_OK)
		return c->code;
	*len = protobuf_c_message_get_packed_size(wire);
	check_range(c, "encoded size", *len, 1, limit);
	if (c->code != AYNI_OK)
		return c->code;
	*out = malloc(*len);
	if (*out == NULL)
		conversion_fail(c, AYNI_ERR_MEMORY, "memory", "none left for it");
	else
		(void)protobuf_c_message_pack(wire, *out);
	return c->code;
}

/* ---- receipts ----------------------------------------------------------------------------- */

const char *standing_state_name(enum standing_state s)
{
	static const char *const names[STANDING_STATE_END] = {
	    "new", "probation", "trusted", "quarantined", "banned"};

	return (unsigned)s < STANDING_STATE_END ? names[s] : "unknown";
}

/* It counts no work of anything. */
static void check_standing(struct conversion *c, const struct receipt *r)
{
	static const struct hash none;
	const struct standing_change *s = &r->standing;

	check_range(c, "standing.from", s->from, STANDING_NEW, STANDING_BANNED);
	check_range(c, "standing.to", s->to, STANDING_NEW, STANDING_BANNED);
	if (s->from == s->to)
		conversion_fail(c, AYNI_ERR_FORMAT, "standing.to", "is what it was");
	check_line(c, "standing.reason", s->reason, sizeof s->reason);
	check_range(
	    c, "standing.reason", strnlen(s->reason, sizeof s->reason), 1, STANDING_LINE_BYTES - 1);
	check_range(c, "layer_last", r->layer_last, 0, 0);
	check_range(c, "units", r->units, 0, 0);
	check_range(c, "tokens", r->tokens, 0, 0);
	check_range(c, "cost_flop", flop_count(r->cost), 0, 0);
	check_range(c, "verification", r->verification, VERIFICATION_NONE, VERIFICATION_NONE);
	if (!hash_equal(&r->model, &none) || !hash_equal(&r->units_hash, &none) ||
	    pseudonym_is_set(&r->session))
		conversion_fail(c, AYNI_ERR_FORMAT, "standing", "is no work of a session");
}

static void check_work(struct conversion *c, const struct receipt *r)
{
	check_layers(c, r->layer_first, r->layer_last, false);
	check_range(c, "units", r->units, 1, INT64_MAX);
	check_range(c, "verification", r->verification, VERIFICATION_NONE, VERIFICATION_RIGHT);
}

static void check_receipt(struct conversion *c, const struct receipt *r)
{
	check_range(c, "number", r->number, 1, INT64_MAX);
	check_layers(c, r->layer_first, r->layer_last, true);
	if (r->is_standing)
		check_standing(c, r);
	else
		check_work(c, r);
	check_range(c, "tokens", r->tokens, 0, INT64_MAX);
	check_range(c, "cost_flop", flop_count(r->cost), 0, FLOP_MAX);
	check_range(c, "last_ms", r->last_ms, 0, INT64_MAX);
	check_range(c, "first_ms", r->first_ms, 0, r->last_ms);
	check_range(c, "merge_delay_s", r->merge_delay_s, 0, MERGE_DELAY_S_MAX);
}

static void store_standing(const struct standing_change *s, Ayni__Standing *out)
{
	ayni__standing__init(out);
	out->from = s->from;
	out->to = s->to;
	out->reason = store_line(s->reason);
	out->evidence = store_bytes(s->evidence.bytes, s->has_evidence ? HASH_BYTES : 0);
}

int receipt_issue(const struct receipt *r, const struct identity *pool, struct signed_receipt *out,
    struct error *err)
{
	struct arena arena = {.budget_bytes = 4096};
	struct conversion c = {.message = "receipt", .arena = &arena, .err = err};
	Ayni__Receipt wire = AYNI__RECEIPT__INIT;
	Ayni__Standing standing;
	size_t len;

	check_receipt(&c, r);
	if (!public_key_equal(&r->pool, identity_public(pool)))
		conversion_fail(&c, AYNI_ERR_ARGUMENT, "pool", "is not the key that signs");
	if (c.code != AYNI_OK)
		return c.code;
	wire.number = r->number;
	wire.pool = store_bytes(r->pool.bytes, PUBLIC_KEY_BYTES);
	wire.donor = store_bytes(r->donor.bytes, PUBLIC_KEY_BYTES);
	wire.model = store_bytes(r->model.bytes, HASH_BYTES);
	wire.layer_first = r->layer_first;
	wire.layer_last = r->layer_last;
	wire.units = r->units;
	wire.tokens = r->tokens;
	wire.cost_flop = flop_count(r->cost);
	wire.units_hash = store_bytes(r->units_hash.bytes, HASH_BYTES);
	wire.first_ms = r->first_ms;
	wire.last_ms = r->last_ms;
	wire.merge_delay_s = r->merge_delay_s;
	wire.session = store_pseudonym(&r->session);
	wire.verification = r->verification;
	if (r->is_standing) {
		store_standing(&r->standing, &standing);
		wire.standing = &standing;
	}

	len = protobuf_c_message_get_packed_size(&wire.base);
	assert(len <= RECEIPT_BYTES_MAX); /* 5 hashes, 10 numbers, a line: at most 460 bytes */
	memset(out, 0, sizeof *out);
	out->receipt_len = protobuf_c_message_pack(&wire.base, out->receipt);
	return identity_sign(
	    pool, RECEIPT_POOL_DOMAIN, out->receipt, out->receipt_len, &out->pool_signature);
}

static void load_standing(
    struct conversion *c, const Ayni__Standing *in, struct standing_change *out)
{
	check_range(c, "standing.from", in->from, STANDING_NEW, STANDING_BANNED);
	check_range(c, "standing.to", in->to, STANDING_NEW, STANDING_BANNED);
	out->from = (enum standing_state)in->from;
	out->to = (enum standing_state)in->to;
	load_line(c, "standing.reason", in->reason, out->reason, sizeof out->reason);
	out->has_evidence = in->evidence.len > 0;
	if (out->has_evidence)
		load_bytes(c, "standing.evidence", in->evidence, out->evidence.bytes, HASH_BYTES);
}

static void load_receipt(struct conversion *c, const Ayni__Receipt *in, struct receipt *out)
{
	*out = (struct receipt){.number = in->number,
	    .layer_first = in->layer_first,
	    .layer_last = in->layer_last,
	    .units = in->units,
	    .tokens = in->tokens,
	    .first_ms = in->first_ms,
	    .last_ms = in->last_ms,
	    .merge_delay_s = in->merge_delay_s};
	load_bytes(c, "pool", in->pool, out->pool.bytes, PUBLIC_KEY_BYTES);
	load_bytes(c, "donor", in->donor, out->donor.bytes, PUBLIC_KEY_BYTES);
	load_bytes(c, "model", in->model, out->model.bytes, HASH_BYTES);
	load_bytes(c, "units_hash", in->units_hash, out->units_hash.bytes, HASH_BYTES);
	load_flop(c, "cost_flop", in->cost_flop, &out->cost);
	load_pseudonym(c, in->session, &out->session);
	check_range(c, "verification", in->verification, VERIFICATION_NONE, VERIFICATION_RIGHT);
	out->verification = (enum verification)in->verification;
	out->is_standing = in->standing != NULL;
	if (out->is_standing)
		load_standing(c, in->standing, &out->standing);
}

int receipt_read(struct span bytes, struct receipt *out, struct error *err)
{
	struct arena arena = {0};
	struct conversion c = {.message = "receipt", .arena = &arena, .err = err};
	const ProtobufCMessage *wire =
	    wire_unpack(&c, &ayni__receipt__descriptor, bytes.data, bytes.len, RECEIPT_BYTES_MAX);
	struct receipt r;

	if (wire != NULL)
		load_receipt(&c, (const Ayni__Receipt *)wire, &r);
	arena_release(&arena);
	if (c.code == AYNI_OK)
		check_receipt(&c, &r);
	if (c.code == AYNI_OK)
		*out = r;
	return c.code;
}

bool receipt_countersigned(
    struct span bytes, const struct public_key *donor, const struct signature *signature)
{
	return identity_verify(donor, RECEIPT_DONOR_DOMAIN, bytes.data, bytes.len, signature);
}

int receipt_check(const struct signed_receipt *s, struct receipt *out, struct error *err)
{
	struct conversion c = {.message = "receipt", .err = err};
	struct span bytes = {s->receipt, s->receipt_len};
	struct receipt r;
	int rc;

	check_signed_receipt(&c, s);
	rc = c.code == AYNI_OK ? receipt_read(bytes, &r, err) : c.code;
	if (rc != AYNI_OK)
		return rc;
	if (!identity_verify(
	        &r.pool, RECEIPT_POOL_DOMAIN, bytes.data, bytes.len, &s->pool_signature))
		return error_set(
		    err, AYNI_ERR_SIGNATURE, "receipt: the pool's signature is not right");
	if (s->countersigned && !receipt_countersigned(bytes, &r.donor, &s->donor_signature))
		return error_set(
		    err, AYNI_ERR_SIGNATURE, "receipt: the donor's signature is not right");
	*out = r;
	return AYNI_OK;
}

void receipt_countersign(struct signed_receipt *s, const struct identity *donor)
{
	int rc = identity_sign(
	    donor, RECEIPT_DONOR_DOMAIN, s->receipt, s->receipt_len, &s->donor_signature);

	assert(rc == AYNI_OK); /* so few bytes need no memory */
	s->countersigned = true;
}

int receipt_to_text(const struct signed_receipt *s, char out[RECEIPT_TEXT_BYTES], struct error *err)
{
	struct message m = {.type = MSG_RECEIPT, .receipt = *s};
	uint8_t *packed;
	size_t len;
	int rc = message_encode(&m, &packed, &len, err);

	if (rc != AYNI_OK)
		return rc;
	assert(len <= RECEIPT_PACKED_MAX);
	(void)sodium_bin2base64(
	    out, RECEIPT_TEXT_BYTES, packed, len, sodium_base64_VARIANT_ORIGINAL);
	free(packed);
	return AYNI_OK;
}

int receipt_from_text(struct span text, struct signed_receipt *out, struct error *err)
{
	uint8_t packed[RECEIPT_PACKED_MAX];
	struct message *m;
	size_t len;
	int rc;

	if (sodium_base642bin(packed, sizeof packed, (const char *)text.data, text.len, NULL, &len,
	        NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return error_set(err, AYNI_ERR_FORMAT, "receipt: is not base64, or too long");
	rc = message_decode(MSG_RECEIPT, packed, len, &m, err);
	if (rc != AYNI_OK)
		return rc;
	*out = m->receipt;
	message_free(m);
	return AYNI_OK;
}

void receipt_chain(struct hash *h, uint64_t unit, const struct hash *result)
{
	uint8_t link[2 * HASH_BYTES + 8];

	memcpy(link, h->bytes, HASH_BYTES);
	for (unsigned i = 0; i < 8; i++)
		link[HASH_BYTES + i] = (uint8_t)(unit >> (8 * i));
	memcpy(link + HASH_BYTES + 8, result->bytes, HASH_BYTES);
	hash_bytes(link, sizeof link, h);
}

/* ---- manifests ---------------------------------------------------------------------------- */

/* Chunks ascend without overlap inside the file, and the first ones cover its head completely. */
static void check_chunks(struct conversion *c, const struct manifest *m)
{
	uint64_t end = 0;        /* of the chunks so far */
	uint64_t head_until = 0; /* the file is covered from 0 to here */

	for (size_t i = 0; c->code == AYNI_OK && i < m->n_chunks; i++) {
		const struct manifest_chunk *chunk = &m->chunks[i];

		check_range(c, "chunks.length", chunk->length, 1, LIMIT_CHUNK_BYTES);
		check_range(c, "chunks.offset", chunk->offset, end, INT64_MAX);
		if (c->code != AYNI_OK)
			return;
		end = chunk->offset + chunk->length; /* below 2^63 + 2^20 */
		check_range(c, "chunks.length", end, 0, m->file_bytes);
		if (chunk->offset == head_until)
			head_until = end;
	}
	if (head_until < m->head_bytes)
		conversion_fail(c, AYNI_ERR_FORMAT, "chunks", "do not cover the head of the file");
}

static void check_manifest(struct conversion *c, const struct manifest *m)
{
	check_line(c, "name", m->name, sizeof m->name);
	check_range(c, "file_bytes", m->file_bytes, 1, INT64_MAX);
	check_range(c, "head_bytes", m->head_bytes, 1, m->file_bytes);
	check_range(c, "chunks", m->n_chunks, 1, MANIFEST_CHUNKS_MAX);
	check_chunks(c, m);
}

static Ayni__Manifest *store_manifest(struct conversion *c, const struct manifest *m)
{
	Ayni__Manifest *wire = wire_new(c, &ayni__manifest__descriptor);
	Ayni__ManifestChunk *chunks = conversion_take(c, m->n_chunks, sizeof *chunks);

	if (wire == NULL || chunks == NULL)
		return NULL;
	wire->chunks = conversion_take(c, m->n_chunks, sizeof *wire->chunks);
	if (wire->chunks == NULL)
		return NULL;
	wire->name = store_line(m->name);
	wire->file_bytes = m->file_bytes;
	wire->head_bytes = m->head_bytes;
	for (size_t i = 0; i < m->n_chunks; i++) {
		ayni__manifest_chunk__init(&chunks[i]);
		chunks[i].offset = m->chunks[i].offset;
		chunks[i].length = m->chunks[i].length;
		chunks[i].hash = store_bytes(m->chunks[i].hash.bytes, HASH_BYTES);
		wire->chunks[wire->n_chunks++] = &chunks[i];
	}
	return wire;
}

int manifest_sign(const struct manifest *m, const struct identity *publisher, uint8_t **out,
    size_t *len, struct error *err)
{
	struct arena arena = {.budget_bytes = MANIFEST_BYTES_MAX};
	struct conversion c = {.message = "manifest", .arena = &arena, .err = err};
	Ayni__SignedManifest wrap = AYNI__SIGNED_MANIFEST__INIT;
	Ayni__Manifest *wire = NULL;
	struct signature signature;
	uint8_t *inner = NULL;
	size_t inner_len = 0;

	check_manifest(&c, m);
	if (c.code == AYNI_OK)
		wire = store_manifest(&c, m);
	if (wire == NULL ||
	    pack(&c, &wire->base, LIMIT_PAYLOAD_BYTES, &inner, &inner_len) != AYNI_OK)
		goto out;
	if (identity_sign(publisher, MANIFEST_DOMAIN, inner, inner_len, &signature) != AYNI_OK) {
		conversion_fail(&c, AYNI_ERR_MEMORY, "signature", "no memory to sign");
		goto out;
	}
	wrap.manifest = store_bytes(inner, inner_len);
	wrap.publisher = store_bytes(identity_public(publisher)->bytes, PUBLIC_KEY_BYTES);
	wrap.signature = store_bytes(signature.bytes, SIGNATURE_BYTES);
	(void)pack(&c, &wrap.base, LIMIT_PAYLOAD_BYTES, out, len);
out:
	free(inner);
	arena_release(&arena);
	return c.code;
}

static void load_manifest(struct conversion *c, const Ayni__Manifest *in, struct manifest *out)
{
	load_line(c, "name", in->name, out->name, sizeof out->name);
	out->file_bytes = in->file_bytes;
	out->head_bytes = in->head_bytes;
	check_range(c, "chunks", in->n_chunks, 1, MANIFEST_CHUNKS_MAX);
	if (c->code != AYNI_OK)
		return;
	out->chunks = calloc(in->n_chunks, sizeof *out->chunks);
	if (out->chunks == NULL) {
		conversion_fail(c, AYNI_ERR_MEMORY, "chunks", "no memory for them");
		return;
	}
	out->n_chunks = in->n_chunks;
	for (size_t i = 0; i < in->n_chunks; i++) {
		out->chunks[i].offset = in->chunks[i]->offset;
		out->chunks[i].length = in->chunks[i]->length;
		load_bytes(
		    c, "chunks.hash", in->chunks[i]->hash, out->chunks[i].hash.bytes, HASH_BYTES);
	}
}

/* The outer message: who signed what. The signature is checked before the inner one is read. */
static void open_wrap(struct conversion *c, const Ayni__SignedManifest *wrap, struct manifest *m)
{
	struct signature signature;

	load_bytes(c, "publisher", wrap->publisher, m->publisher.bytes, PUBLIC_KEY_BYTES);
	load_bytes(c, "signature", wrap->signature, signature.bytes, SIGNATURE_BYTES);
	if (c->code == AYNI_OK && !identity_verify(&m->publisher, MANIFEST_DOMAIN,
	                              wrap->manifest.data, wrap->manifest.len, &signature))
		conversion_fail(c, AYNI_ERR_SIGNATURE, "signature", "is not the publisher's");
}

int manifest_open(const uint8_t *data, size_t len, struct manifest *out, struct error *err)
{
	struct arena outer = {0}, inner = {0};
	struct conversion c = {.message = "manifest", .arena = &outer, .err = err};
	struct manifest m = {0};
	const Ayni__SignedManifest *wrap = NULL;
	const ProtobufCMessage *wire = NULL;

	wrap = (const Ayni__SignedManifest *)wire_unpack(
	    &c, &ayni__signed_manifest__descriptor, data, len, LIMIT_PAYLOAD_BYTES);
	if (wrap != NULL)
		open_wrap(&c, wrap, &m);
	c.arena = &inner;
	if (c.code == AYNI_OK)
		wire = wire_unpack(&c, &ayni__manifest__descriptor, wrap->manifest.data,
		    wrap->manifest.len, LIMIT_PAYLOAD_BYTES);
	if (wire != NULL)
		load_manifest(&c, (const Ayni__Manifest *)wire, &m);
	arena_release(&inner);
	arena_release(&outer);
	if (c.code == AYNI_OK)
		check_manifest(&c, &m);
	if (c.code != AYNI_OK) {
		manifest_free(&m);
		return c.code;
	}
	*out = m;
	return AYNI_OK;
}

void manifest_free(struct manifest *m)
{
	if (m == NULL)
		return;
	free(m->chunks);
	m->chunks = NULL;
	m->n_chunks = 0;
}
