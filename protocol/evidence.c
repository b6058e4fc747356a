/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/evidence.h"

#include <stdlib.h>

#include "protocol/frame.h"
#include "protocol/messages_internal.h"

/* For wire structs and plain ones beside the bytes themselves. */
#define MEMORY_BYTES_MAX ((size_t)1 << 30)

static void check_part(struct conversion *c, const struct evidence_part *p)
{
	uint32_t page = p->position / EVIDENCE_PART_ROWS;

	check_range(c, "parts.position", p->position, 0, LIMIT_CONTEXT_TOKENS - 1);
	check_range(c, "parts.rows", p->n_rows, 1, EVIDENCE_PART_ROWS);
	if (c->code == AYNI_OK)
		check_range(c, "parts: its page",
		    (p->position + p->n_rows - 1) / EVIDENCE_PART_ROWS, page, page);
	check_range(c, "parts.logits", p->n_logits, 0, p->n_rows);
	check_range(
	    c, "parts.top", p->top, p->n_logits > 0, p->n_logits > 0 ? LIMIT_VOCABULARY : 0);
}

static void check(struct conversion *c, const struct evidence *e)
{
	uint32_t reached = 0;

	check_layers(c, e->layers.first, e->layers.last, false);
	check_range(c, "kv_type", e->kv_type, 0, LIMIT_KV_TYPES - 1);
	check_range(c, "wire", e->wire, 0, LIMIT_WIRE_TYPES - 1);
	check_range(c, "envelope", e->envelope.len, FRAME_BYTES, FRAME_BYTES);
	check_range(c, "header", e->header.len, 1, LIMIT_HEADER_BYTES);
	check_range(c, "parts", e->n_parts, 1, EVIDENCE_PARTS_MAX);
	check_range(c, "layer", e->layer, e->layers.first, (uint64_t)e->layers.last - 1);
	check_range(c, "part", e->part, 0, e->n_parts - 1);
	for (size_t i = 0; i < e->n_parts && c->code == AYNI_OK; i++) {
		check_part(c, &e->parts[i]);
		/* none leaves positions out, and the first begins */
		check_range(c, "parts.position", e->parts[i].position, 0, reached);
		reached = e->parts[i].position + e->parts[i].n_rows;
	}
}

/* ---- writing ------------------------------------------------------------------------------ */

static Ayni__EvidencePart *store_part(
    struct conversion *c, const struct evidence_part *p, size_t n_after)
{
	Ayni__EvidencePart *wire = wire_new(c, &ayni__evidence_part__descriptor);

	if (wire == NULL)
		return NULL;
	wire->position = p->position;
	wire->rows = p->n_rows;
	wire->logits = p->n_logits;
	wire->top = p->top;
	wire->input = store_bytes(p->input.bytes, HASH_BYTES);
	wire->after = store_bytes(p->after, n_after * HASH_BYTES);
	wire->output = store_bytes(p->output.bytes, HASH_BYTES);
	return wire;
}

static Ayni__Evidence *store(struct conversion *c, const struct evidence *e)
{
	Ayni__Evidence *wire = wire_new(c, &ayni__evidence__descriptor);

	if (wire == NULL)
		return NULL;
	wire->parts = conversion_take(c, e->n_parts, sizeof *wire->parts);
	for (size_t i = 0; i < e->n_parts && wire->parts != NULL; i++) {
		wire->parts[i] = store_part(c, &e->parts[i], e->layers.last - e->layers.first - 1);
		if (wire->parts[i] == NULL)
			return NULL;
		wire->n_parts++;
	}
	wire->manifest = store_bytes(e->manifest.data, e->manifest.len);
	wire->layer_first = e->layers.first;
	wire->layer_last = e->layers.last;
	wire->kv_type = e->kv_type;
	wire->wire = e->wire;
	wire->envelope = store_bytes(e->envelope.data, e->envelope.len);
	wire->header = store_bytes(e->header.data, e->header.len);
	wire->layer = e->layer;
	wire->part = e->part;
	wire->rows = store_bytes(e->rows.data, e->rows.len);
	return c->code == AYNI_OK ? wire : NULL;
}

int evidence_encode(const struct evidence *e, uint8_t **out, size_t *len, struct error *err)
{
	struct arena arena = {.budget_bytes = MEMORY_BYTES_MAX};
	struct conversion c = {.message = "evidence", .arena = &arena, .err = err};
	const Ayni__Evidence *wire = NULL;

	check(&c, e);
	if (c.code == AYNI_ERR_LIMIT)
		c.code = AYNI_ERR_ARGUMENT;
	if (c.code == AYNI_OK)
		wire = store(&c, e);
	if (wire != NULL) {
		*len = protobuf_c_message_get_packed_size(&wire->base);
		*out = *len <= EVIDENCE_BYTES_MAX ? malloc(*len) : NULL;
		if (*len > EVIDENCE_BYTES_MAX)
			conversion_fail(&c, AYNI_ERR_LIMIT, "encoded size", "is past its limit");
		else if (*out == NULL)
			conversion_fail(&c, AYNI_ERR_MEMORY, "file", "no memory for it");
		else
			(void)protobuf_c_message_pack(&wire->base, *out);
	}
	arena_release(&arena);
	return c.code;
}

/* ---- reading ------------------------------------------------------------------------------ */

static struct span span_of(ProtobufCBinaryData in)
{
	return (struct span){in.data, in.len};
}

static void load_part(
    struct conversion *c, const Ayni__EvidencePart *in, size_t n_after, struct evidence_part *out)
{
	*out = (struct evidence_part){.position = in->position,
	    .n_rows = in->rows,
	    .n_logits = in->logits,
	    .top = in->top,
	    .after = (const struct hash *)in->after.data};
	load_bytes(c, "parts.input", in->input, out->input.bytes, HASH_BYTES);
	load_bytes(c, "parts.output", in->output, out->output.bytes, HASH_BYTES);
	check_range(c, "parts.after", in->after.len, n_after * HASH_BYTES, n_after * HASH_BYTES);
}

static void load(struct conversion *c, const Ayni__Evidence *in, struct evidence *e)
{
	check_layers(c, in->layer_first, in->layer_last, false);
	check_range(c, "parts", in->n_parts, 1, EVIDENCE_PARTS_MAX);
	if (c->code != AYNI_OK)
		return;
	e->layers = (struct layer_range){in->layer_first, in->layer_last};
	e->parts = conversion_take(c, in->n_parts, sizeof *e->parts);
	for (size_t i = 0; i < in->n_parts && e->parts != NULL; i++)
		load_part(c, in->parts[i], in->layer_last - in->layer_first - 1, &e->parts[i]);
	e->n_parts = in->n_parts;
	e->manifest = span_of(in->manifest);
	e->kv_type = in->kv_type;
	e->wire = in->wire;
	e->envelope = span_of(in->envelope);
	e->header = span_of(in->header);
	e->layer = in->layer;
	e->part = in->part;
	e->rows = span_of(in->rows);
}

int evidence_decode(const uint8_t *data, size_t len, struct evidence *out, struct error *err)
{
	struct arena *arena = calloc(1, sizeof *arena);
	struct conversion c = {.message = "evidence", .arena = arena, .err = err};
	const ProtobufCMessage *wire;
	struct evidence e = {.memory = arena};

	if (arena == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "evidence: out of memory");
	wire = wire_unpack(&c, &ayni__evidence__descriptor, data, len, EVIDENCE_BYTES_MAX);
	if (wire != NULL)
		load(&c, (const Ayni__Evidence *)wire, &e);
	if (c.code == AYNI_OK)
		check(&c, &e);
	if (c.code != AYNI_OK) {
		evidence_free(&e);
		return c.code;
	}
	*out = e;
	return AYNI_OK;
}

void evidence_free(struct evidence *e)
{
	if (e->memory != NULL)
		arena_release(e->memory);
	free(e->memory);
	*e = (struct evidence){0};
}
