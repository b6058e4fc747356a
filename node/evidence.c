/* SPDX-License-Identifier: Apache-2.0 */
#include "node/evidence.h"

#include <stdlib.h>

#include "node/chain.h"
#include "node/publish.h"
#include "node/work.h"
#include "protocol/envelope.h"

static int bad(struct error *err, const char *what)
{
	return error_set(err, AYNI_ERR_SIGNATURE, "evidence: %s", what);
}

/* ---- what was signed ---------------------------------------------------------------------- */

static struct chain_item item_of(const struct evidence *e, const struct evidence_part *p)
{
	return (struct chain_item){.position = p->position,
	    .n_rows = p->n_rows,
	    .n_logits = p->n_logits,
	    .top = p->top,
	    .wire = e->wire,
	    .input = p->input,
	    .output = p->output,
	    .after = p->after,
	    .n_after = e->layers.last - e->layers.first - 1,
	    .stride = 1};
}

static bool names(const struct msg_result *r, const struct hash *value)
{
	for (size_t i = 0; i < r->n_chains; i++) {
		if (hash_equal(&r->chains[i], value))
			return true;
	}
	return false;
}

/* The chain over all parts is one that the donor signed. */
static int check_statement(const struct evidence *e, struct evidence_finding *f, struct error *err)
{
	struct message *m = NULL;
	struct frame frame;
	struct hash value;
	int rc = envelope_read(e->envelope, e->header, &frame, &m, err);

	if (rc == AYNI_ERR_MEMORY)
		return rc;
	if (rc != AYNI_OK)
		return bad(err, "what it shows was not signed by anybody");
	f->donor = frame.signer;
	f->pool = frame.recipient;
	hash_bytes(e->manifest.data, e->manifest.len, &f->model);
	chain_start(&f->model, e->layers, e->kv_type, &value);
	for (size_t i = 0; i < e->n_parts; i++) {
		const struct chain_item item = item_of(e, &e->parts[i]);

		chain_step(&value, &item);
	}
	if (m->type != MSG_RESULT || !names(&m->result, &value))
		rc = bad(err, "what was signed is not for these numbers");
	message_free(m);
	return rc;
}

/* ---- the model ---------------------------------------------------------------------------- */

static bool same_chunks(const struct manifest *a, const struct manifest *b)
{
	if (a->file_bytes != b->file_bytes || a->head_bytes != b->head_bytes ||
	    a->n_chunks != b->n_chunks)
		return false;
	for (size_t i = 0; i < a->n_chunks; i++) {
		if (a->chunks[i].offset != b->chunks[i].offset ||
		    a->chunks[i].length != b->chunks[i].length ||
		    !hash_equal(&a->chunks[i].hash, &b->chunks[i].hash))
			return false;
	}
	return true;
}

/* The file is what the manifest lists, whose hash the donor signed. */
static int check_model(const struct evidence *e, const struct gguf *gguf,
    struct evidence_finding *f, struct error *err)
{
	struct manifest said = {0}, cut = {0};
	int rc = manifest_open(e->manifest.data, e->manifest.len, &said, err);

	if (rc == AYNI_ERR_MEMORY)
		return rc;
	if (rc != AYNI_OK)
		return bad(err, "it names no model");
	memcpy(f->model_name, said.name, sizeof f->model_name);
	rc = publish_cut(gguf, said.name, &cut, err);
	if (rc == AYNI_OK && !same_chunks(&said, &cut))
		rc = error_set(err, AYNI_ERR_ARGUMENT,
		    "evidence: it is about %.100s, and the file is another model", said.name);
	manifest_free(&said);
	manifest_free(&cut);
	return rc;
}

/* ---- the layer ---------------------------------------------------------------------------- */

/* What the donor says the layer was given, and gave. */
static const struct hash *input_of(const struct evidence *e, const struct evidence_part *p)
{
	uint32_t k = e->layer - e->layers.first;

	return k == 0 ? &p->input : &p->after[k - 1];
}

static const struct hash *output_of(const struct evidence *e, const struct evidence_part *p)
{
	return e->layer + 1 == e->layers.last ? &p->output : &p->after[e->layer - e->layers.first];
}

static int check_rows(const struct evidence *e, size_t row_bytes, struct error *err)
{
	size_t at = 0;

	for (size_t i = 0; i <= e->part; i++) {
		size_t bytes = e->parts[i].n_rows * row_bytes;
		struct hash is;

		if (bytes > e->rows.len - at)
			return bad(err, "rows are missing");
		hash_bytes(e->rows.data + at, bytes, &is);
		if (!hash_equal(&is, input_of(e, &e->parts[i])))
			return bad(err, "its rows are not those that the layer was given");
		at += bytes;
	}
	return at == e->rows.len ? AYNI_OK : bad(err, "it has rows of nothing");
}

struct last_part {
	size_t index, bytes;
	bool seen;
	struct hash right;
};

static bool hash_last(void *context, size_t span, const uint8_t *rows)
{
	struct last_part *l = context;

	if (span != l->index)
		return true;
	hash_bytes(rows, l->bytes, &l->right);
	l->seen = true;
	return false;
}

/* From here on memory: rows as the machine has them. */
struct buffers {
	uint32_t *tokens;
	uint8_t *out;
	struct replay_span *spans;
};

static bool take_buffers(
    const struct evidence *e, size_t n_rows, size_t out_bytes, struct buffers *b)
{

	b->spans = calloc(e->part + (size_t)1, sizeof *b->spans);
	b->tokens = calloc(n_rows, sizeof *b->tokens);
	b->out = calloc(n_rows, out_bytes);
	return b->spans != NULL && b->tokens != NULL && b->out != NULL;
}

static void fill_spans(const struct evidence *e, bool last, struct replay_span *spans)
{
	for (size_t i = 0; i <= e->part; i++)
		spans[i] = (struct replay_span){.position = e->parts[i].position,
		    .n_tokens = e->parts[i].n_rows,
		    .n_logits = last ? e->parts[i].n_logits : 0,
		    .top = last ? e->parts[i].top : 0};
}

static int compute(const struct evidence *e, const struct gguf *gguf, const struct model_sizes *m,
    struct replay *r, struct last_part *last, struct error *err)
{
	size_t out_bytes = wire_row_bytes((enum wire_type)e->wire, m->d_model);
	size_t in_bytes = e->layer == 0 ? 4 : out_bytes;
	struct buffers b = {0};
	struct replay_job job = {.gguf = gguf,
	    .kv = (enum kv_type)e->kv_type,
	    .wire = (enum wire_type)e->wire,
	    .layer = e->layer,
	    .n_spans = e->part + (size_t)1,
	    .in = e->rows.data};
	int rc = check_rows(e, in_bytes, err);

	if (rc != AYNI_OK)
		return rc;
	if (!take_buffers(e, e->rows.len / in_bytes, out_bytes, &b))
		rc = error_set(err, AYNI_ERR_MEMORY, "evidence: out of memory");
	if (rc == AYNI_OK) {
		fill_spans(e, e->layer + 1 == m->n_layers, b.spans);
		if (e->layer == 0)
			payload_get_u32(e->rows.data, b.tokens, e->rows.len / 4);
		job.spans = b.spans;
		job.tokens = b.tokens;
		job.out = b.out;
		rc = replay_layer(r, &job, hash_last, last, err);
	}
	free(b.spans);
	free(b.tokens);
	free(b.out);
	return rc;
}

static int check_layer(const struct evidence *e, const struct gguf *gguf, struct replay *r,
    struct evidence_finding *f, struct error *err)
{
	const struct evidence_part *p = &e->parts[e->part];
	struct last_part last = {.index = e->part};
	struct model_sizes m;
	int rc = model_sizes_read(gguf, &m, err);

	if (rc != AYNI_OK)
		return rc;
	if (e->layers.last > m.n_layers)
		return bad(err, "the model has no such layers");
	f->logits = e->layer + 1 == m.n_layers;
	f->layer = e->layer;
	f->n_rows = f->logits ? p->n_logits : p->n_rows;
	f->position = p->position + p->n_rows - f->n_rows;
	f->given = *output_of(e, p);
	last.bytes = f->logits ? p->n_logits * logit_row_bytes(p->top)
	                       : p->n_rows * wire_row_bytes((enum wire_type)e->wire, m.d_model);
	rc = compute(e, gguf, &m, r, &last, err);
	f->right = last.right;
	f->proven = rc == AYNI_OK && last.seen && !hash_equal(&f->given, &f->right);
	return rc;
}

int evidence_check(const struct evidence *e, const struct gguf *gguf, struct replay *r,
    struct evidence_finding *out, struct error *err)
{
	struct evidence_finding f = {0};
	int rc = check_statement(e, &f, err);

	if (rc == AYNI_OK)
		rc = check_model(e, gguf, &f, err);
	if (rc == AYNI_OK)
		rc = check_layer(e, gguf, r, &f, err);
	*out = f;
	return rc;
}
