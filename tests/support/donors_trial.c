/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/donors_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "node/publish.h"
#include "protocol/envelope.h"
#include "tests/support/tiny_model.h"
#include "tests/support/trail_trial.h"

enum {
	LAYERS = DONORS_LAYERS,
	D = DONORS_D,
	V = TINY_MODEL_VOCABULARY,
	CONTEXT = DONORS_CONTEXT,
	TOP = 5
};

/* One layer of the donors'. */
struct layer {
	struct model *model;
	struct layers *layers;
	struct kv *kv;
};

struct donors_trial donors;

static char *path;
static struct layer layers[LAYERS];
static struct hash model;
static struct error err;

static int make_manifest(void)
{
	struct identity *publisher = NULL;
	struct manifest m;
	int rc = publish_cut(donors.gguf, "tiny", &m, &err);

	if (rc == AYNI_OK)
		rc = identity_generate(&publisher, &err);
	if (rc == AYNI_OK)
		rc = manifest_sign(&m, publisher, &donors.manifest, &donors.manifest_len, &err);
	if (rc == AYNI_OK)
		hash_bytes(donors.manifest, donors.manifest_len, &model);
	identity_free(publisher);
	manifest_free(&m);
	return rc;
}

int donors_open(void **state)
{
	static const struct tiny_model_options options = {
	    .n_layers = LAYERS, .n_heads = 2, .n_kv_heads = 1};

	(void)state;
	path = tiny_model_temporary(&options);
	if (gguf_open(path, &donors.gguf, &err) != AYNI_OK ||
	    team_new(1, &donors.team, &err) != AYNI_OK || make_manifest() != AYNI_OK ||
	    identity_generate(&donors.pool, &err) != AYNI_OK)
		return -1;
	for (int i = 0; i < DONORS; i++) {
		if (identity_generate(&donors.keys[i], &err) != AYNI_OK)
			return -1;
	}
	return 0;
}

int donors_close(void **state)
{
	(void)state;
	for (int i = 0; i < DONORS; i++)
		identity_free(donors.keys[i]);
	identity_free(donors.pool);
	free(donors.manifest);
	team_free(donors.team);
	gguf_free(donors.gguf);
	tiny_model_remove(path);
	return 0;
}

struct recheck_model donors_model(void)
{
	return (struct recheck_model){.gguf = donors.gguf,
	    .kv = donors.kv,
	    .manifest = {donors.manifest, donors.manifest_len}};
}

struct trail *donors_new_trail(void)
{
	struct trail_stage list[DONORS] = {
	    {.donor = 0, .key = *identity_public(donors.keys[0]), .layers = {0, 1}},
	    {.donor = 1, .key = *identity_public(donors.keys[1]), .layers = {1, LAYERS}}};
	struct trail *t = trail_new(7, 0, donors.wire, list, DONORS, &donors.budget);

	assert_non_null(t);
	return t;
}

void donors_start(enum wire_type type, enum kv_type kv)
{
	donors.budget = (struct trail_budget){.most_bytes = 1 << 20};
	donors.wire = type;
	donors.kv = kv;
	donors.trail = donors_new_trail();
	for (uint32_t k = 0; k < LAYERS; k++) {
		struct layer *s = &layers[k];

		assert_int_equal(model_load(donors.gguf, k, k + 1, &s->model, &err), AYNI_OK);
		assert_int_equal(layers_new(s->model, kernels_best(), donors.team,
		                     LIMIT_UNIT_TOKENS, &s->layers, &err),
		    AYNI_OK);
		assert_int_equal(kv_new(s->model, CONTEXT, kv, &s->kv, &err), AYNI_OK);
		kv_set_wire(s->kv, type);
	}
}

void donors_stop(void)
{
	for (uint32_t k = 0; k < LAYERS; k++) {
		kv_free(layers[k].kv);
		layers_free(layers[k].layers);
		model_free(layers[k].model);
		layers[k] = (struct layer){0};
		free(donors.given[k]);
		donors.given[k] = NULL;
		donors.given_len[k] = 0;
	}
	trail_release(donors.trail);
	donors.trail = NULL;
	assert_int_equal(donors.budget.used_bytes, 0);
}

/* ---- signing ------------------------------------------------------------------------------ */

static struct statement *sign(const struct identity *key, const struct hash *chain)
{
	struct envelope_channel channel;
	struct message m = {.type = MSG_RESULT};
	uint8_t envelope[FRAME_BYTES], *header;
	struct statement *s;
	size_t header_len;

	m.result.n_chains = 1;
	m.result.chains = (struct hash *)chain;
	envelope_channel_init(&channel, key, identity_public(donors.pool), 1);
	assert_int_equal(
	    envelope_seal(&channel, &m, 0, NULL, 0, envelope, &header, &header_len, &err), AYNI_OK);
	s = statement_new(&donors.budget, (struct span){envelope, sizeof envelope},
	    (struct span){header, header_len});
	assert_non_null(s);
	free(header);
	return s;
}

void donors_sign(void)
{
	for (uint32_t k = 0; k < DONORS; k++) {
		struct statement *s = sign(donors.keys[k], &donors.trail->stages[k].chain.now);

		trail_vouch(donors.trail, k, s);
		statement_release(s);
	}
}

/* ---- what donors do ----------------------------------------------------------------------- */

static size_t put_rows(const float *logits, uint32_t n, uint8_t *out)
{
	float scratch[V], lse;
	struct logit top[TOP];

	for (uint32_t i = 0; i < n; i++) {
		logits_top(kernels_best(), logits + i * V, V, TOP, scratch, top, &lse);
		logit_row_write(out + i * logit_row_bytes(TOP), top, TOP, lse);
	}
	return n * logit_row_bytes(TOP);
}

/* Where somebody lies: a bit of what this layer gives, and all that follows is made of that. */
static int lies_in = HONEST;
static float between[LIMIT_UNIT_TOKENS * D]; /* activations after a layer, which go on */
static uint8_t sent[LIMIT_UNIT_TOKENS * D * 4];

static struct unit_span span;

/* What a layer gave, as its donor stands for it, and as it goes on. */
static struct hash *commit_layer(int layer, float *rows, struct hash *to)
{
	struct msg_work_unit u = {.n_spans = 1, .spans = &span};
	size_t row = wire_row_bytes(donors.wire, D);
	struct hash list[WORK_PARTS_MAX], whole;
	size_t n;

	for (uint32_t i = 0; i < span.n_tokens; i++)
		wire_encode(donors.wire, rows + i * D, D, sent + i * row);
	sent[0] ^= layer == lies_in;
	for (uint32_t i = 0; i < span.n_tokens; i++)
		wire_decode(donors.wire, sent + i * row, D, rows + i * D);
	n = work_commit(D, &u, false, sent, list, &whole);
	memcpy(to, n > 0 ? list : &whole, (n > 0 ? n : 1) * sizeof *to);
	return to + (n > 0 ? n : 1);
}

/* What a layer takes, for who asks what it was given. */
static void note_given(int layer)
{
	size_t row = wire_row_bytes(donors.wire, D), len = donors.given_len[layer];
	uint8_t *to = realloc(donors.given[layer], len + span.n_tokens * row);

	assert_non_null(to);
	memcpy(to + len, sent, span.n_tokens * row);
	donors.given[layer] = to;
	donors.given_len[layer] = len + span.n_tokens * row;
}

/* One unit of all layers, each by itself, so that what one gives can be changed. */
void donors_feed(uint32_t position, uint32_t n, uint32_t n_logits, int liar)
{
	static float logits[LIMIT_UNIT_TOKENS * V];
	static struct hash hashes[LAYERS * WORK_PARTS_MAX];
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = TOP};
	struct hash whole, list[WORK_PARTS_MAX], *to = hashes;
	uint32_t tokens[LIMIT_UNIT_TOKENS];
	size_t rows;

	span = (struct unit_span){
	    .position = position, .n_tokens = n, .n_logits = n_logits, .wire = donors.wire};
	lies_in = liar;
	for (uint32_t i = 0; i < n; i++)
		tokens[i] = (position + i) * 7 % 250;
	for (int k = 0; k < LAYERS; k++) {
		bool last = k + 1 == LAYERS;
		struct layers_span one = {layers[k].kv, position, n, last ? n_logits : 0};

		if (k > 0)
			note_given(k);
		assert_int_equal(layers_run(layers[k].layers, &one, 1, k == 0 ? tokens : NULL,
		                     between, last ? logits : NULL, &err),
		    AYNI_OK);
		if (!last)
			to = commit_layer(k, between, to);
	}
	(void)put_rows(logits, n_logits, sent);
	sent[0] ^= liar == LAYERS - 1;
	rows = work_commit(D, &u, true, sent, list, &whole);
	memcpy(to, rows > 0 ? list : &whole, (rows > 0 ? rows : 1) * sizeof *to);
	trail_trial_add(donors.trail, &(struct trail_feed){.model = model,
	                                  .kv_type = (uint32_t)donors.kv,
	                                  .span = span,
	                                  .top = TOP,
	                                  .tokens = tokens,
	                                  .hashes = hashes});
	assert_int_equal(donors.trail->n_missed, 0);
}

/* A prompt over two pages, then tokens. */
void donors_feed_session(uint32_t n_tokens)
{
	donors_feed(0, 100, 0, -1);
	donors_feed(100, 10, 1, -1);
	for (uint32_t i = 0; i < n_tokens; i++)
		donors_feed(110 + i, 1, 1, -1);
}
