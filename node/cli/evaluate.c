/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/evaluate.h"

#include <stdlib.h>

#include "node/cli/answer.h"

enum { JOIN_MS = 15000 };

void evaluation_free(struct evaluation *e)
{
	free(e->tokens);
	free(e->logits);
	free(e->greedy);
	e->tokens = NULL;
	e->logits = NULL;
	e->greedy = NULL;
}

static int allocate(struct evaluation *e, struct error *err)
{
	e->logits = calloc(e->n_tokens, (size_t)e->top * sizeof *e->logits);
	e->greedy = calloc(e->n_greedy + 1, sizeof *e->greedy);
	if (e->logits == NULL || e->greedy == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	return AYNI_OK;
}

/* ---- on this machine ---------------------------------------------------------------------- */

/* A row at a time, so that memory stays small however long the prompt is. */
static int feed_prompt(struct evaluation *e, struct local *l, float *rows, struct error *err)
{
	enum { PIECE = 32 };
	uint32_t n_vocabulary = local_sizes(l)->n_vocabulary;

	for (size_t at = 0; at < e->n_tokens; at += PIECE) {
		uint32_t n = e->n_tokens - at < PIECE ? (uint32_t)(e->n_tokens - at) : PIECE;
		int rc = local_feed(l, e->tokens + at, n, rows, n, err);
		float lse;

		if (rc != AYNI_OK)
			return rc;
		for (uint32_t i = 0; i < n; i++)
			local_top(l, rows + (size_t)i * n_vocabulary, e->top,
			    e->logits + (at + i) * e->top, &lse);
		if (at + n == e->n_tokens && n > 1)
			memmove(rows, rows + (size_t)(n - 1) * n_vocabulary,
			    n_vocabulary * sizeof *rows);
	}
	return AYNI_OK;
}

static int draw_local(struct evaluation *e, struct local *l, float *row, struct error *err)
{
	int rc = AYNI_OK;

	while (e->n_drawn < e->n_greedy && rc == AYNI_OK) {
		struct logit best;
		float lse;

		local_top(l, row, 1, &best, &lse);
		e->greedy[e->n_drawn++] = best.id;
		if (local_fed(l) == local_sizes(l)->context_tokens)
			break;
		if (e->n_drawn < e->n_greedy)
			rc = local_feed(l, &best.id, 1, row, 1, err);
	}
	return rc;
}

static int evaluate_local(struct evaluation *e, struct error *err)
{
	struct local *l = NULL;
	const struct model_sizes *s;
	float *rows = NULL;
	int rc = local_open(e->file, &e->local, &l, err);

	if (rc != AYNI_OK)
		return rc;
	s = local_sizes(l);
	e->top = e->top < s->n_vocabulary ? e->top : s->n_vocabulary;
	rows = calloc(32, (size_t)s->n_vocabulary * sizeof *rows);
	if (e->n_tokens > s->context_tokens)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the prompt has %zu tokens; %u fit",
		    e->n_tokens, s->context_tokens);
	else if (rows == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	else
		rc = allocate(e, err);
	if (rc == AYNI_OK)
		rc = feed_prompt(e, l, rows, err);
	if (rc == AYNI_OK)
		rc = draw_local(e, l, rows, err);
	free(rows);
	local_free(l);
	return rc;
}

/* ---- by a pool ---------------------------------------------------------------------------- */

/* Rows are in order of position; there may be more than the prompt's. */
static int take_rows(struct evaluation *e, const struct answer *a, struct error *err)
{
	size_t row_bytes = a->n_rows > 0 ? a->rows_len / a->n_rows : 0;
	int rc;

	if (a->n_rows < e->n_tokens || row_bytes < 4 || (row_bytes - 4) % 8 != 0)
		return error_set(err, AYNI_ERR_FORMAT, "the pool sent too few logits");
	e->top = (uint32_t)((row_bytes - 4) / 8);
	rc = allocate(e, err);
	for (size_t i = 0; rc == AYNI_OK && i < e->n_tokens; i++) {
		const uint8_t *row = a->rows + i * row_bytes + 4;

		for (uint32_t k = 0; k < e->top; k++) {
			struct logit *l = &e->logits[i * e->top + k];

			payload_get_u32(row + (size_t)k * 8, &l->id, 1);
			payload_get_f32(row + (size_t)k * 8 + 4, &l->value, 1);
		}
	}
	return rc;
}

static int evaluate_pool(struct evaluation *e, struct error *err)
{
	struct msg_generate g = {.request = 1,
	    .tokens = e->tokens,
	    .n_tokens = e->n_tokens,
	    .top = e->top,
	    .max_tokens = e->n_greedy > 0 ? e->n_greedy : 1,
	    .ignore_end = true,
	    .wire = e->local.wire,
	    .sampling = {.top_p = 1, .repeat_penalty = 1}};
	struct client *c = NULL;
	struct answer a = {0};
	int rc = client_open(e->pool, JOIN_MS, &c, err);

	if (rc == AYNI_OK) {
		(void)snprintf(g.model, sizeof g.model, "%s", e->model);
		rc = answer_get(c, &g, NULL, NULL, NULL, &a, err);
	}
	if (rc == AYNI_OK)
		rc = take_rows(e, &a, err);
	if (rc == AYNI_OK) {
		e->n_drawn = a.n_tokens < e->n_greedy ? (uint32_t)a.n_tokens : e->n_greedy;
		memcpy(e->greedy, a.tokens, e->n_drawn * sizeof *e->greedy);
	}
	answer_free(&a);
	client_free(c);
	return rc;
}

int evaluate(struct evaluation *e, struct error *err)
{
	return e->pool != NULL ? evaluate_pool(e, err) : evaluate_local(e, err);
}
