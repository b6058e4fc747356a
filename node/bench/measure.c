/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/measure.h"

#include <stdlib.h>

#include "node/bench/touched.h"
#include "node/loop.h"

enum {
	CHUNK = 128, /* tokens of a prompt that run together, as in a pool and in `ayni run` */
	MAX_SESSIONS = 16,
	MIN_ROUNDS = 3,
	MAX_ROUNDS = 1000
};

struct subject {
	struct gguf *gguf;
	struct model *model;
	struct layers *layers;
	const struct kernels *kernels;
	struct team *team;
	float *activations; /* CHUNK x d_model */
	float *logits;      /* MAX_SESSIONS x n_vocabulary */
	uint32_t random;
};

/* ---- a model -------------------------------------------------------------------------------- */

/* Of this process, or 0 where the system does not say. */
static uint64_t resident_bytes(void)
{
	unsigned long long kib = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[128];

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, "Rss:", 4) == 0)
			kib = strtoull(line + 4, NULL, 10);
	if (f != NULL)
		(void)fclose(f);
	return (uint64_t)kib << 10;
}

static int load(struct subject *s, const struct kernels *k, struct team *team, struct error *err)
{
	struct model_sizes sizes;
	int rc = model_sizes_read(s->gguf, &sizes, err);

	s->kernels = k;
	s->team = team;
	if (rc == AYNI_OK)
		rc = model_load_for(s->gguf, 0, sizes.n_layers, k, team, &s->model, err);
	if (rc == AYNI_OK)
		rc = layers_new(s->model, k, team, CHUNK, &s->layers, err);
	if (rc != AYNI_OK)
		return rc;
	s->activations = calloc((size_t)CHUNK * sizes.d_model, sizeof(float));
	s->logits = calloc((size_t)MAX_SESSIONS * sizes.n_vocabulary, sizeof(float));
	return s->activations != NULL && s->logits != NULL
	           ? AYNI_OK
	           : error_set(err, AYNI_ERR_MEMORY, "bench: out of memory");
}

static uint32_t random_token(struct subject *s)
{
	s->random = s->random * 1664525U + 1013904223U;
	return (uint32_t)((uint64_t)s->random * s->model->sizes.n_vocabulary >> 32);
}

/* The next n_tokens of each session, from `position` on, with n_logits rows each. */
static int step(
    struct subject *s, struct kv **sessions, const struct demand_batch *b, struct error *err)
{
	struct layers_span spans[MAX_SESSIONS];
	uint32_t tokens[CHUNK];

	assert(b->sessions * b->n_tokens <= CHUNK && b->sessions * b->n_logits <= MAX_SESSIONS);
	for (uint32_t i = 0; i < b->sessions; i++)
		spans[i] = (struct layers_span){sessions[i], b->position, b->n_tokens, b->n_logits};
	for (uint32_t i = 0; i < b->sessions * b->n_tokens; i++)
		tokens[i] = random_token(s);
	return layers_run(s->layers, spans, b->sessions, tokens, s->activations, s->logits, err);
}

static int first_token(struct subject *s, struct error *err)
{
	struct kv *kv = NULL;
	int rc = kv_new(s->model, 1, KV_F16, &kv, err);

	if (rc == AYNI_OK)
		rc = step(s, &kv, &(struct demand_batch){KV_F16, 1, 0, 1, 1}, err);
	kv_free(kv);
	return rc;
}

int subject_new(subject_open_fn *open, void *context, const struct kernels *k, struct team *team,
    struct subject **out, struct loading *loading, struct error *err)
{
	struct subject *s = calloc(1, sizeof *s);
	uint64_t before = resident_bytes(), start = loop_now_us(), opened = 0;
	int rc;

	*out = NULL;
	if (s == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "bench: out of memory");
	rc = open(context, &s->gguf, err);
	if (rc == AYNI_OK) {
		opened = loop_now_us() - start;
		loading->new_memory = new_memory_seconds(team, gguf_file_bytes(s->gguf));
		start = loop_now_us();
		rc = load(s, k, team, err);
	}
	if (rc == AYNI_OK)
		rc = first_token(s, err);
	if (rc != AYNI_OK) {
		subject_free(s);
		return rc;
	}
	loading->seconds = (double)(opened + loop_now_us() - start) * 1e-6;
	loading->file_bytes = gguf_file_bytes(s->gguf);
	loading->resident_bytes = resident_bytes() - before;
	*out = s;
	return AYNI_OK;
}

void subject_free(struct subject *s)
{
	if (s == NULL)
		return;
	free(s->activations);
	free(s->logits);
	layers_free(s->layers);
	model_free(s->model);
	gguf_free(s->gguf);
	free(s);
}

const struct gguf *subject_gguf(const struct subject *s)
{
	return s->gguf;
}

const struct model_sizes *subject_sizes(const struct subject *s)
{
	return &s->model->sizes;
}

/* ---- a case --------------------------------------------------------------------------------- */

static void free_sessions(struct kv **sessions)
{
	for (uint32_t i = 0; i < MAX_SESSIONS; i++)
		kv_free(sessions[i]);
}

/* Sessions with `past` positions filled, and room for n more. */
static int make_sessions(struct subject *s, const struct bench_case *c, uint32_t past, uint32_t n,
    struct kv **sessions, struct error *err)
{
	int rc = AYNI_OK;

	for (uint32_t i = 0; rc == AYNI_OK && i < c->sessions; i++) {
		rc = kv_new(s->model, past + n, c->kv, &sessions[i], err);
		if (rc == AYNI_OK)
			rc = kv_reserve(sessions[i], 0, past, err);
		if (rc == AYNI_OK)
			kv_filled(sessions[i], past);
	}
	return rc;
}

/* A round as batches: the one whose first token is at `at`; no sessions when there is none. */
static struct demand_batch batch_at(const struct bench_case *c, uint32_t at)
{
	uint32_t end = c->phase == PHASE_DECODE ? c->tokens + 1 : c->tokens;
	uint32_t n = end - at < CHUNK ? end - at : CHUNK;

	return (struct demand_batch){c->kv, at < end ? c->sessions : 0, at, n, at + n == end};
}

static uint32_t first_position(const struct bench_case *c)
{
	return c->phase == PHASE_DECODE ? c->tokens : 0;
}

static int run_round(struct subject *s, const struct bench_case *c, struct kv **sessions,
    const struct pace *pace, struct error *err)
{
	struct demand_batch b = batch_at(c, first_position(c));
	int rc = AYNI_OK;

	for (; rc == AYNI_OK && b.sessions > 0; b = batch_at(c, b.position + b.n_tokens)) {
		rc = step(s, sessions, &b, err);
		if (rc == AYNI_OK && *pace->stop)
			rc = error_set(err, AYNI_ERR_STATE, "stopped");
	}
	return rc;
}

struct demand subject_demand(const struct subject *s, const struct bench_case *c)
{
	struct demand_batch b = batch_at(c, first_position(c));
	struct demand demand = {0};

	for (; b.sessions > 0; b = batch_at(c, b.position + b.n_tokens))
		demand_add(s->gguf, &s->model->sizes, &b, &demand);
	return demand;
}

uint32_t case_rounds(const struct bench_case *c)
{
	return c->phase == PHASE_PREFILL ? 1 : MIN_ROUNDS; /* a prompt is long */
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void between(const struct pace *pace)
{
	if (pace->between != NULL)
		pace->between(pace->context);
}

static int run_rounds(struct subject *s, const struct bench_case *c, struct kv **sessions,
    const struct pace *pace, struct measurement *out, struct error *err)
{
	const uint32_t least = case_rounds(c);
	const uint64_t end_us = loop_now_us() + (uint64_t)(pace->seconds * 1e6);
	double took[MAX_ROUNDS] = {0.0};
	uint32_t n = 0;

	between(pace);
	while (n < MAX_ROUNDS && (n < least || loop_now_us() < end_us)) {
		uint64_t start = loop_now_us();
		int rc = run_round(s, c, sessions, pace, err);

		if (rc != AYNI_OK)
			return rc;
		took[n++] = (double)(loop_now_us() - start + 1) * 1e-6;
		between(pace);
	}
	qsort(took, n, sizeof took[0], by_size);
	out->n_rounds = n;
	out->seconds = took[0];
	out->median_seconds = took[n / 2];
	return AYNI_OK;
}

/* One more round, whose kernels count. */
static int count_touched(struct subject *s, const struct bench_case *c, struct kv **sessions,
    const struct pace *pace, struct measurement *out, struct error *err)
{
	struct layers *timed = s->layers;
	int rc = layers_new(
	    s->model, touched_kernels(s->kernels), s->team, MAX_SESSIONS, &s->layers, err);

	if (rc == AYNI_OK) {
		rc = run_round(s, c, sessions, pace, err);
		out->touched_bytes = (double)touched_bytes();
		layers_free(s->layers);
	}
	s->layers = timed;
	return rc;
}

int subject_measure(struct subject *s, const struct bench_case *c, const struct pace *pace,
    struct measurement *out, struct error *err)
{
	bool decode = c->phase == PHASE_DECODE;
	struct kv *sessions[MAX_SESSIONS] = {NULL};
	int rc;

	assert(c->sessions <= MAX_SESSIONS && (decode || c->sessions == 1));
	if (c->tokens >= s->model->sizes.context_tokens)
		return error_set(err, AYNI_ERR_LIMIT,
		    "bench: %u positions are more than the %u "
		    "that the model knows",
		    c->tokens + 1, s->model->sizes.context_tokens);
	*out = (struct measurement){
	    .tokens = decode ? c->sessions : c->tokens, .demand = subject_demand(s, c)};
	rc = make_sessions(s, c, decode ? c->tokens : 0, decode ? 1 : c->tokens, sessions, err);
	if (rc == AYNI_OK)
		rc = run_rounds(s, c, sessions, pace, out, err);
	if (rc == AYNI_OK && decode)
		rc = count_touched(s, c, sessions, pace, out, err);
	free_sessions(sessions);
	return rc;
}
