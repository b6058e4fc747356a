/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/deviate.h"

#include <jansson.h>
#include <stdlib.h>

#include "compute/deviation.h"
#include "node/models.h"

enum { BATCH = 128, LOGIT_ROWS = 16 };

struct run {
	const struct deviate *d;
	struct gguf *gguf;
	struct team *team;
	struct model_sizes sizes;
	struct deviation_side claimed, own;
	struct deviation_sequence sequence;
	json_t *lines; /* of JSON, or NULL */
	uint32_t n_wrong;
};

static int prepare(struct run *r, struct error *err)
{
	const struct deviate *d = r->d;
	struct deviation_sequence *s = &r->sequence;
	int rc;

	if ((rc = local_find_kernels(d->local.kernels, &r->claimed.kernels, err)) != AYNI_OK ||
	    (rc = local_find_kernels(d->against, &r->own.kernels, err)) != AYNI_OK ||
	    (rc = models_open(d->file, &r->gguf, err)) != AYNI_OK ||
	    (rc = model_sizes_read(r->gguf, &r->sizes, err)) != AYNI_OK ||
	    (rc = local_make_team(&d->local, &r->team, err)) != AYNI_OK)
		return rc;
	if (d->n_tokens > r->sizes.context_tokens)
		return error_set(err, AYNI_ERR_ARGUMENT, "the prompt has %zu tokens; %u fit",
		    d->n_tokens, r->sizes.context_tokens);
	*s = (struct deviation_sequence){.tokens = d->tokens, .n = (uint32_t)d->n_tokens};
	s->n_logits = s->n < LOGIT_ROWS ? s->n : LOGIT_ROWS;
	s->rows = calloc(s->n, (size_t)r->sizes.d_model * sizeof *s->rows);
	s->logits = calloc(s->n_logits, (size_t)r->sizes.n_vocabulary * sizeof *s->logits);
	r->lines = d->json ? json_array() : NULL;
	if (s->rows == NULL || s->logits == NULL || (d->json && r->lines == NULL))
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	r->claimed.gguf = r->own.gguf = r->gguf;
	r->claimed.team = r->own.team = r->team;
	r->claimed.batch = r->own.batch = BATCH;
	r->claimed.kv = r->own.kv = d->local.kv;
	return AYNI_OK;
}

/* "logits", or a layer's number; agrees is null where there are no bounds. */
static int say(struct run *r, const char *what, const struct agreement *a,
    const struct agreement_bounds *b, struct error *err)
{
	bool agrees = b != NULL && agreement_holds(a, b);
	double mean = a->loss_sum / (double)a->n_rows;
	json_t *line;

	r->n_wrong += b != NULL && !agrees;
	if (r->lines == NULL) {
		(void)printf("%-8s %6llu   %9.1e %9.1e %9.4f   %s\n", what,
		    (unsigned long long)a->n_rows, mean, a->loss_max, a->error_max,
		    b == NULL ? "cannot be told: it has experts"
		    : agrees  ? "agrees"
		              : "does not agree");
		return AYNI_OK;
	}
	line = json_pack("{sssIsfsfsfso}", "what", what, "rows", (json_int_t)a->n_rows, "mean_loss",
	    mean, "row_loss", a->loss_max, "row_error", a->error_max, "agrees",
	    b == NULL ? json_null() : json_boolean(agrees));
	return json_array_append_new(r->lines, line) == 0
	           ? AYNI_OK
	           : error_set(err, AYNI_ERR_NUMERIC, "layer %s cannot be shown", what);
}

static int measure(struct run *r, struct error *err)
{
	int rc = AYNI_OK;

	if (r->lines == NULL)
		(void)printf("%s, checked by %s: 1 - cosine, and the largest error of an element, "
		             "in root mean squares\n%-8s %6s   %9s %9s %9s\n",
		    r->claimed.kernels->name, r->own.kernels->name, "layer", "rows", "mean",
		    "largest", "error");
	for (uint32_t layer = 0; rc == AYNI_OK && layer < r->sizes.n_layers; layer++) {
		struct deviation_bounds bounds;
		struct deviation d;
		char name[16];

		(void)snprintf(name, sizeof name, "%u", layer);
		rc = deviation_measure(&r->claimed, &r->own, layer, &r->sequence, &d, &bounds, err);
		if (rc == AYNI_OK)
			rc = say(r, name, &d.rows, bounds.rows, err);
		if (rc == AYNI_OK && d.logits.n_rows > 0)
			rc = say(r, "logits", &d.logits, bounds.logits, err);
	}
	return rc;
}

static int print_json(const struct run *r, struct error *err)
{
	int rc = json_dumpf(r->lines, stdout, JSON_COMPACT);

	(void)printf("\n");
	return rc == 0 ? AYNI_OK : error_set(err, AYNI_ERR_IO, "cannot write the result");
}

int deviate(const struct deviate *d, struct error *err)
{
	struct run r = {.d = d};
	int rc = prepare(&r, err);

	if (rc == AYNI_OK)
		rc = measure(&r, err);
	if (rc == AYNI_OK && r.lines != NULL)
		rc = print_json(&r, err);
	if (rc == AYNI_OK && r.n_wrong > 0)
		rc = error_set(err, AYNI_ERR_STATE, "%u of these do not agree", r.n_wrong);
	json_decref(r.lines);
	free(r.sequence.rows);
	free(r.sequence.logits);
	team_free(r.team);
	gguf_free(r.gguf);
	return rc;
}
