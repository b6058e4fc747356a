/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/local.h"

#include <stdlib.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/sampling.h"
#include "node/models.h"

enum { CHUNK = 128 };

struct local {
	struct gguf *gguf;
	struct model *model;
	struct team *team;
	const struct kernels *kernels;
	struct layers *layers;
	struct kv *kv;
	float *activations; /* CHUNK x d_model */
	float *scratch;     /* vocabulary */
};

int local_find_kernels(const char *name, const struct kernels **out, struct error *err)
{
	*out = name == NULL || strcmp(name, "auto") == 0 ? kernels_best() : kernels_by_name(name);
	return *out != NULL ? AYNI_OK
	                    : error_set(err, AYNI_ERR_ARGUMENT,
	                          "no kernels \"%.20s\" on this machine: auto, " KERNELS_NAMES
	                          ", fast are known",
	                          name);
}

static unsigned choose_threads(unsigned wanted)
{
	long n = wanted > 0 ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > TEAM_MAX_THREADS ? TEAM_MAX_THREADS : (unsigned)n;
}

int local_make_team(const struct local_options *o, struct team **out, struct error *err)
{
	int rc = team_new(choose_threads(o->threads), out, err);

	return rc == AYNI_OK && o->pinned ? team_pin(*out, err) : rc;
}

static int start(
    struct local *l, const struct local_options *o, const struct model_sizes *s, struct error *err)
{
	int rc;

	if ((rc = local_find_kernels(o->kernels, &l->kernels, err)) != AYNI_OK ||
	    (rc = local_make_team(o, &l->team, err)) != AYNI_OK ||
	    (rc = model_load_for(l->gguf, 0, s->n_layers, l->kernels, l->team, &l->model, err)) !=
	        AYNI_OK ||
	    (rc = layers_new(l->model, l->kernels, l->team, CHUNK, &l->layers, err)) != AYNI_OK ||
	    (rc = kv_new(l->model, s->context_tokens, o->kv, &l->kv, err)) != AYNI_OK)
		return rc;
	kv_set_wire(l->kv, o->wire);
	l->activations = calloc((size_t)CHUNK * s->d_model, sizeof(float));
	l->scratch = calloc(s->n_vocabulary, sizeof(float));
	if (l->activations == NULL || l->scratch == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	return AYNI_OK;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct local_options *o = state->input;

	switch (key) {
	case 't':
		o->threads = (unsigned)option_u64(state, "--threads", arg, 1, TEAM_MAX_THREADS);
		return 0;
	case 'k':
		o->kernels = arg;
		return 0;
	case 'c':
		if (!kv_type_find(arg, &o->kv))
			argp_error(state, "--kv %.20s: f16, int8 are known", arg);
		return 0;
	case 'w':
		o->wire = option_wire(state, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option local_argp_options[] = {
    {"threads", 't', "N", 0, "threads (default: one a processor)", 0},
    {"kernels", 'k', "NAME", 0, CLI_KERNELS_DOC, 0},
    {"kv", 'c', "TYPE", 0,
        "how keys and values are kept: f16, or int8 in little more than half the memory (default "
        "f16)",
        0},
    {"wire", 'w', "TYPE", 0, CLI_WIRE_DOC, 0},
    {0},
};

const struct argp local_argp = {.options = local_argp_options, .parser = parse};

int local_open(
    const char *name, const struct local_options *o, struct local **out, struct error *err)
{
	struct local *l = calloc(1, sizeof *l);
	struct model_sizes sizes;
	int rc;

	if (l == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if ((rc = models_open(name, &l->gguf, err)) == AYNI_OK &&
	    (rc = model_sizes_read(l->gguf, &sizes, err)) == AYNI_OK)
		rc = start(l, o, &sizes, err);
	if (rc == AYNI_OK)
		*out = l;
	else
		local_free(l);
	return rc;
}

void local_free(struct local *l)
{
	if (l == NULL)
		return;
	free(l->activations);
	free(l->scratch);
	kv_free(l->kv);
	layers_free(l->layers);
	team_free(l->team);
	model_free(l->model);
	gguf_free(l->gguf);
	free(l);
}

const struct gguf *local_gguf(const struct local *l)
{
	return l->gguf;
}

const struct model_sizes *local_sizes(const struct local *l)
{
	return &l->model->sizes;
}

unsigned local_threads(const struct local *l)
{
	return team_size(l->team);
}

const char *local_kernels(const struct local *l)
{
	return l->kernels->name;
}

uint32_t local_fed(const struct local *l)
{
	return kv_length(l->kv);
}

void local_rewind(struct local *l)
{
	kv_filled(l->kv, 0);
}

int local_feed(struct local *l, const uint32_t *tokens, uint32_t n, float *rows, uint32_t n_rows,
    struct error *err)
{
	size_t n_vocabulary = l->model->sizes.n_vocabulary;

	assert(n_rows <= n);
	for (uint32_t at = 0; at < n;) {
		uint32_t now = n - at < CHUNK ? n - at : CHUNK;
		uint32_t before_rows = n - n_rows; /* tokens from here on give a row */
		struct layers_span span = {
		    .kv = l->kv, .position = kv_length(l->kv), .n_tokens = now};
		int rc;

		if (at + now > before_rows)
			span.n_logits = at + now - (at > before_rows ? at : before_rows);
		rc = layers_run(l->layers, &span, 1, tokens + at, l->activations, rows, err);
		if (rc != AYNI_OK)
			return rc;
		rows += span.n_logits * n_vocabulary;
		at += now;
	}
	return AYNI_OK;
}

void local_top(struct local *l, const float *row, uint32_t top, struct logit *out, float *lse)
{
	logits_top(l->kernels, row, l->model->sizes.n_vocabulary, top, l->scratch, out, lse);
}

uint32_t local_draw(struct local *l, const struct sampler_settings *s, const float *row,
    const uint32_t *history, size_t n_history)
{
	struct logit candidates[SAMPLER_CANDIDATES];
	uint32_t n = l->model->sizes.n_vocabulary;
	float lse;

	n = n < SAMPLER_CANDIDATES ? n : SAMPLER_CANDIDATES;
	local_top(l, row, n, candidates, &lse);
	return sampler_draw(s, candidates, n, lse, history, n_history);
}
