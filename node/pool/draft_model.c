/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/draft_model.h"

#include <stdlib.h>

#include "compute/layers.h"
#include "node/loop.h"

/* What is kept of a session. */
struct cache {
	uint64_t session;
	uint64_t used;    /* the model's turn when it was asked for last; 0: free */
	struct kv *kv;    /* of the first kv_length tokens */
	uint32_t *tokens; /* [max_tokens] */
};

struct draft_model {
	struct gguf *gguf;
	struct tokenizer *tokenizer;
	struct team *team;
	const struct kernels *kernels;
	struct model *model;
	struct layers *layers;
	enum kv_type kv;
	uint32_t max_tokens;
	float *activations; /* DRAFT_MODEL_CHUNK x d_model */
	float *row;         /* vocabulary: the logits behind the last token fed */
	float *scratch;     /* vocabulary */
	uint64_t turn, computed;
	struct cache caches[DRAFT_MODEL_SESSIONS];
};

static int load(struct draft_model *m, const struct draft_model_options *o, struct error *err)
{
	struct model_sizes sizes;
	int rc;

	m->kernels = kernels_best();
	if ((rc = model_sizes_read(m->gguf, &sizes, err)) != AYNI_OK ||
	    (rc = tokenizer_new(m->gguf, &m->tokenizer, err)) != AYNI_OK ||
	    (rc = team_new(o->threads, &m->team, err)) != AYNI_OK ||
	    (rc = model_load_for(
	         m->gguf, 0, sizes.n_layers, m->kernels, m->team, &m->model, err)) != AYNI_OK ||
	    (rc = layers_new(m->model, m->kernels, m->team, DRAFT_MODEL_CHUNK, &m->layers, err)) !=
	        AYNI_OK)
		return rc;
	m->kv = kv_type_suits(o->kv, &sizes) ? o->kv : KV_F16;
	m->max_tokens = sizes.context_tokens < o->max_tokens ? sizes.context_tokens : o->max_tokens;
	m->activations = calloc((size_t)DRAFT_MODEL_CHUNK * sizes.d_model, sizeof(float));
	m->row = calloc(sizes.n_vocabulary, sizeof(float));
	m->scratch = calloc(sizes.n_vocabulary, sizeof(float));
	if (m->activations == NULL || m->row == NULL || m->scratch == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "draft model: out of memory");
	return AYNI_OK;
}

int draft_model_open(const char *path, const struct draft_model_options *o,
    struct draft_model **out, struct error *err)
{
	struct draft_model *m = calloc(1, sizeof *m);
	int rc;

	if (m == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "draft model: out of memory");
	if ((rc = gguf_open(path, &m->gguf, err)) == AYNI_OK)
		rc = load(m, o, err);
	if (rc == AYNI_OK)
		*out = m;
	else
		draft_model_free(m);
	return rc;
}

static void forget(const struct draft_model *m, struct cache *c)
{
	if (c->tokens != NULL)
		explicit_bzero(c->tokens, m->max_tokens * sizeof *c->tokens);
	free(c->tokens);
	kv_free(c->kv);
	*c = (struct cache){0};
}

void draft_model_forget(struct draft_model *m, uint64_t session)
{
	for (size_t i = 0; i < DRAFT_MODEL_SESSIONS; i++) {
		if (m->caches[i].used > 0 && m->caches[i].session == session)
			forget(m, &m->caches[i]);
	}
}

void draft_model_forget_all(struct draft_model *m)
{
	for (size_t i = 0; i < DRAFT_MODEL_SESSIONS; i++)
		forget(m, &m->caches[i]);
}

/* What the last computing left is as private as the tokens. */
static void free_scratch(float *scratch, size_t n)
{
	if (scratch != NULL)
		explicit_bzero(scratch, n * sizeof *scratch);
	free(scratch);
}

void draft_model_free(struct draft_model *m)
{
	if (m == NULL)
		return;
	draft_model_forget_all(m);
	if (m->model != NULL) {
		const struct model_sizes *s = &m->model->sizes;

		free_scratch(m->activations, (size_t)DRAFT_MODEL_CHUNK * s->d_model);
		free_scratch(m->row, s->n_vocabulary);
		free_scratch(m->scratch, s->n_vocabulary);
	}
	layers_free(m->layers);
	team_free(m->team);
	model_free(m->model);
	tokenizer_free(m->tokenizer);
	gguf_free(m->gguf);
	free(m);
}

static bool same_token(const struct tokenizer *a, const struct tokenizer *b, uint32_t id)
{
	struct span x = tokenizer_spelling(a, id), y = tokenizer_spelling(b, id);

	return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}

bool draft_model_knows(const struct draft_model *m, const struct tokenizer *served)
{
	uint32_t a = tokenizer_size(m->tokenizer), b = tokenizer_size(served);
	uint32_t both = a < b ? a : b;

	if (a + b - 2 * both > DRAFT_MODEL_FILLING)
		return false;
	for (uint32_t id = 0; id < both; id++) {
		if (!same_token(m->tokenizer, served, id))
			return false;
	}
	return true;
}

/* ---- sessions ----------------------------------------------------------------------------- */

static int begin(struct draft_model *m, struct cache *c, uint64_t session, struct error *err)
{
	int rc;

	forget(m, c);
	c->tokens = calloc(m->max_tokens, sizeof *c->tokens);
	if (c->tokens == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "draft model: out of memory");
	rc = kv_new(m->model, m->max_tokens, m->kv, &c->kv, err);
	if (rc == AYNI_OK) {
		c->session = session;
		c->used = ++m->turn;
	} else {
		forget(m, c);
	}
	return rc;
}

/* The session's, or instead of the one that was not asked for the longest. */
static int find(struct draft_model *m, uint64_t session, struct cache **out, struct error *err)
{
	struct cache *oldest = &m->caches[0];

	for (size_t i = 0; i < DRAFT_MODEL_SESSIONS; i++) {
		struct cache *c = &m->caches[i];

		if (c->used > 0 && c->session == session) {
			c->used = ++m->turn;
			*out = c;
			return AYNI_OK;
		}
		if (c->used < oldest->used)
			oldest = c;
	}
	*out = oldest;
	return begin(m, oldest, session, err);
}

static uint32_t in_common(const struct cache *c, const struct draft_job *job)
{
	uint32_t most = kv_length(c->kv) < job->n_tokens ? kv_length(c->kv) : job->n_tokens;
	uint32_t n = 0;

	while (n < most && c->tokens[n] == job->tokens[n])
		n++;
	return n;
}

static int compute(struct draft_model *m, struct cache *c, uint32_t position,
    const uint32_t *tokens, uint32_t n, struct error *err)
{
	struct layers_span span = {.kv = c->kv, .position = position, .n_tokens = n, .n_logits = 1};
	int rc;

	memmove(c->tokens + position, tokens, n * sizeof *tokens);
	rc = layers_run(m->layers, &span, 1, c->tokens + position, m->activations, m->row, err);
	if (rc == AYNI_OK)
		m->computed += n;
	else
		forget(m, c);
	return rc;
}

int draft_model_feed(
    struct draft_model *m, const struct draft_job *job, uint32_t *left, struct error *err)
{
	struct cache *c;
	uint32_t known, n;
	int rc;

	*left = 0;
	if (job->n_tokens == 0 || job->n_tokens > m->max_tokens)
		return error_set(err, AYNI_ERR_ARGUMENT, "draft model: %u tokens of at most %u",
		    job->n_tokens, m->max_tokens);
	if ((rc = find(m, job->session, &c, err)) != AYNI_OK)
		return rc;
	known = in_common(c, job);
	if (known == 0 || kv_wire(c->kv) != job->wire) {
		known = 0;
		kv_filled(c->kv, 0);
		kv_set_wire(c->kv, job->wire);
	}
	if (known == job->n_tokens && job->most > 0)
		known--; /* for the logits behind it */
	n = job->n_tokens - known;
	n = n < DRAFT_MODEL_CHUNK ? n : DRAFT_MODEL_CHUNK;
	if (n == 0)
		return AYNI_OK;
	rc = compute(m, c, known, job->tokens + known, n, err);
	*left = job->n_tokens - known - n;
	return rc;
}

static uint32_t draw(const struct draft_model *m, const struct cache *c,
    const struct sampler_settings *s, uint32_t n_history)
{
	struct logit candidates[SAMPLER_CANDIDATES];
	uint32_t n = m->model->sizes.n_vocabulary;
	uint32_t few = n < SAMPLER_CANDIDATES ? n : SAMPLER_CANDIDATES;
	float lse;

	logits_top(m->kernels, m->row, n, few, m->scratch, candidates, &lse);
	return sampler_draw(s, candidates, few, lse, c->tokens, n_history);
}

uint32_t draft_model_guess(struct draft_model *m, const struct draft_job *job, uint32_t *out)
{
	uint32_t at = job->n_tokens, n = 0;
	uint64_t last_us = 0, began_us;
	struct cache *c;

	if (job->most == 0 || find(m, job->session, &c, NULL) != AYNI_OK || kv_length(c->kv) < at)
		return 0;
	for (;;) {
		began_us = job->until_us > 0 ? loop_now_us() : 0;
		if (job->until_us > 0 && began_us + last_us > job->until_us)
			break;
		out[n] = draw(m, c, &job->sampling, at);
		n++;
		if (n == job->most || at == m->max_tokens ||
		    (!job->ignore_end && tokenizer_is_end(m->tokenizer, out[n - 1])) ||
		    compute(m, c, at, &out[n - 1], 1, NULL) != AYNI_OK)
			break;
		at++;
		if (job->until_us > 0)
			last_us = loop_now_us() - began_us;
	}
	return n;
}

uint64_t draft_model_computed(const struct draft_model *m)
{
	return m->computed;
}
