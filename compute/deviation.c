/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/deviation.h"

#include <stdlib.h>

#include "compute/layers.h"

struct alone {
	struct model *model;
	struct layers *layers;
	struct kv *kv;
};

static void alone_close(struct alone *a)
{
	kv_free(a->kv);
	layers_free(a->layers);
	model_free(a->model);
}

static int alone_open(const struct deviation_side *side, uint32_t layer, uint32_t n_tokens,
    struct alone *a, struct error *err)
{
	int rc =
	    model_load_for(side->gguf, layer, layer + 1, side->kernels, side->team, &a->model, err);

	if (rc == AYNI_OK)
		rc = layers_new(a->model, side->kernels, side->team, side->batch, &a->layers, err);
	return rc == AYNI_OK ? kv_new(a->model, n_tokens, side->kv, &a->kv, err) : rc;
}

static int alone_run(
    struct alone *a, uint32_t batch, const struct deviation_sequence *s, struct error *err)
{
	const struct model_sizes *sizes = &a->model->sizes;
	bool first = a->model->layer_first == 0, last = a->model->layer_last == sizes->n_layers;
	uint32_t without_logits = last ? s->n - s->n_logits : s->n;
	float *logits = s->logits;
	int rc = AYNI_OK;

	for (uint32_t at = 0; at < s->n && rc == AYNI_OK;) {
		struct layers_span span = {.kv = a->kv, .position = at};

		span.n_tokens = s->n - at < batch ? s->n - at : batch;
		if (at + span.n_tokens > without_logits)
			span.n_logits =
			    at + span.n_tokens - (at > without_logits ? at : without_logits);
		rc = layers_run(a->layers, &span, 1, first ? s->tokens + at : NULL,
		    s->rows + (size_t)at * sizes->d_model, span.n_logits > 0 ? logits : NULL, err);
		logits += (size_t)span.n_logits * sizes->n_vocabulary;
		at += span.n_tokens;
	}
	return rc;
}

int deviation_layer(const struct deviation_side *side, uint32_t layer,
    const struct deviation_sequence *s, struct deviation_bounds *bounds, struct error *err)
{
	struct alone a = {0};
	int rc = alone_open(side, layer, s->n, &a, err);

	if (rc == AYNI_OK)
		rc = alone_run(&a, side->batch, s, err);
	if (rc == AYNI_OK && bounds != NULL) {
		const struct layer_weights *w = &a.model->layers[0];

		bounds->rows = agreement_bounds(w, NULL, side->kv);
		bounds->logits = agreement_bounds(w, &a.model->output, side->kv);
	}
	alone_close(&a);
	return rc;
}

/* ---- two of them ---------------------------------------------------------------------------- */

static int compare_logits(uint32_t n_vocabulary, const struct deviation_sequence *claimed,
    const float *own, struct agreement *out, struct error *err)
{
	uint32_t k = n_vocabulary < DEVIATION_TOP ? n_vocabulary : DEVIATION_TOP;
	float *scratch = calloc(n_vocabulary, sizeof *scratch), lse;
	struct logit top[DEVIATION_TOP];

	if (scratch == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "deviation: out of memory");
	for (uint32_t i = 0; i < claimed->n_logits; i++) {
		size_t at = (size_t)i * n_vocabulary;

		logits_top(
		    kernels_best(), claimed->logits + at, n_vocabulary, k, scratch, top, &lse);
		agreement_logits(out, top, k, lse, own + at, n_vocabulary);
	}
	free(scratch);
	return AYNI_OK;
}

int deviation_compare(const struct model_sizes *sizes, uint32_t layer, const float *in,
    const struct deviation_sequence *claimed, const struct deviation_sequence *own,
    struct deviation *out, struct error *err)
{
	assert(claimed->n == own->n && claimed->n_logits == own->n_logits);
	*out = (struct deviation){0};
	for (uint32_t i = 0; i < claimed->n; i++) {
		size_t at = (size_t)i * sizes->d_model;

		agreement_row(&out->rows, in != NULL ? in + at : NULL, claimed->rows + at,
		    own->rows + at, sizes->d_model);
	}
	if (layer + 1 < sizes->n_layers || claimed->n_logits == 0)
		return AYNI_OK;
	return compare_logits(sizes->n_vocabulary, claimed, own->logits, &out->logits, err);
}

int deviation_measure(const struct deviation_side *claimed, const struct deviation_side *own,
    uint32_t layer, const struct deviation_sequence *s, struct deviation *out,
    struct deviation_bounds *bounds, struct error *err)
{
	struct deviation_sequence right = *s;
	struct model_sizes sizes;
	float *in = NULL;
	size_t n;
	int rc = model_sizes_read(own->gguf, &sizes, err);

	if (rc != AYNI_OK)
		return rc;
	n = (size_t)s->n * sizes.d_model;
	in = calloc(2 * n, sizeof *in);
	right.rows = in != NULL ? in + n : NULL;
	right.logits = calloc((size_t)s->n_logits + 1, sizes.n_vocabulary * sizeof *right.logits);
	if (in == NULL || right.logits == NULL) {
		rc = error_set(err, AYNI_ERR_MEMORY, "deviation: out of memory");
	} else {
		memcpy(in, s->rows, n * sizeof *in);
		memcpy(right.rows, s->rows, n * sizeof *in);
		rc = deviation_layer(claimed, layer, s, NULL, err);
	}
	if (rc == AYNI_OK)
		rc = deviation_layer(own, layer, &right, bounds, err);
	if (rc == AYNI_OK)
		rc = deviation_compare(&sizes, layer, layer > 0 ? in : NULL, s, &right, out, err);
	free(in);
	free(right.logits);
	return rc;
}
