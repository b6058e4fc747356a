/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That a token's result depends on nothing but the model and the tokens before it, to the bit, and
 * that errors change nothing. test_reference.c tests that the result is right.
 */
#include "compute/layers.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/emulated/tables.h"
#include "tests/support/tiny_model.h"

enum { N = 70 /* tokens of the session: more than a page of the cache */ };
enum { D = 64, V = TINY_MODEL_VOCABULARY, N_LAYERS = 3, CAPACITY = 96 };

/* Nothing is as wide as something else, so that no two widths can be confused. */
static const struct tiny_model_options uneven = {.n_layers = N_LAYERS,
    .d_model = D,
    .d_ff = 96,
    .n_heads = 8,
    .n_kv_heads = 2,
    .d_head = 24,
    .d_value = 20,
    .d_rope = 16,
    .rope_factors = true,
    .seed = 7};

static const enum tensor_type types[] = {
    TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0};

/* ---- a range of a model, ready to run ------------------------------------------------------- */

struct stage {
	struct model *model;
	struct team *team;
	struct layers *layers;
};

static struct gguf *open_model(const struct tiny_model_options *options, enum tensor_type type)
{
	struct tiny_model_options o = *options;
	struct error err = {0};
	struct gguf *g = NULL;
	char *path;

	o.type = type;
	path = tiny_model_temporary(&o);
	assert_non_null(path);
	if (gguf_open(path, &g, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	tiny_model_remove(path); /* the mapping stays */
	return g;
}

static struct stage stage_new(const struct gguf *g, uint32_t first, uint32_t last,
    const struct kernels *k, unsigned n_threads)
{
	struct error err = {0};
	struct stage s;

	if (team_new(n_threads, &s.team, &err) != AYNI_OK ||
	    model_load_for(g, first, last, k, s.team, &s.model, &err) != AYNI_OK ||
	    layers_new(s.model, k, s.team, 2 * N, &s.layers, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return s;
}

static void stage_free(struct stage *s)
{
	layers_free(s->layers);
	team_free(s->team);
	model_free(s->model);
}

static struct kv *new_kv(const struct stage *s)
{
	struct kv *kv;

	assert_int_equal(kv_new(s->model, CAPACITY, KV_F16, &kv, NULL), AYNI_OK);
	return kv;
}

static uint32_t session_token(uint32_t session, uint32_t position)
{
	return (position * 37 + session * 101 + 11) % V;
}

/* What a run gives for a session's tokens: all logits and the residual stream. */
struct output {
	float residual[N][D];
	float logits[N][V];
};

static void run_spans(struct stage *s, const struct layers_span *spans, size_t n,
    const uint32_t *tokens, float *residual, float *logits)
{
	struct error err = {0};

	if (layers_run(s->layers, spans, n, tokens, residual, logits, &err) != AYNI_OK)
		fail_msg("%s", err.text);
}

/* Session 0's positions [first, end) in pieces of `chunk` tokens. */
static void run_from(struct stage *s, struct kv *kv, uint32_t first, uint32_t end, uint32_t chunk,
    struct output *out)
{
	for (uint32_t p = first; p < end; p += chunk) {
		uint32_t n = chunk < end - p ? chunk : end - p;
		struct layers_span span = {kv, p, n, n};
		uint32_t tokens[N];

		for (uint32_t i = 0; i < n; i++)
			tokens[i] = session_token(0, p + i);
		run_spans(s, &span, 1, tokens, out->residual[p], out->logits[p]);
		assert_int_equal(kv_length(kv), p + n);
	}
}

static void run_session(const struct gguf *g, const struct kernels *k, unsigned n_threads,
    uint32_t chunk, struct output *out)
{
	struct stage s = stage_new(g, 0, N_LAYERS, k, n_threads);
	struct kv *kv = new_kv(&s);

	run_from(&s, kv, 0, N, chunk, out);
	kv_free(kv);
	stage_free(&s);
}

static struct output whole, other;

static void assert_same_output(void)
{
	assert_memory_equal(&whole, &other, sizeof whole);
}

/* Run a test's body for each type of weights, with the session in one piece as what to equal. */
static void for_each_type(void (*body)(const struct gguf *g))
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct gguf *g = open_model(&uneven, types[i]);

		memset(&other, 0, sizeof other);
		run_session(g, kernels_best(), 1, N, &whole);
		body(g);
		gguf_free(g);
	}
}

/* ---- sameness ------------------------------------------------------------------------------- */

static void run_in_chunks(const struct gguf *g)
{
	uint32_t chunks[] = {1, 2, 7, 63, 64, 65};

	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		run_session(g, kernels_best(), 1, chunks[i], &other);
		assert_same_output();
	}
}

static void a_prompt_gives_the_same_bits_in_one_piece_and_in_any_chunks(void **state)
{
	(void)state;
	for_each_type(run_in_chunks);
}

static void run_with_threads(const struct gguf *g)
{
	for (unsigned n = 2; n <= 5; n++) {
		run_session(g, kernels_best(), n, N, &other);
		assert_same_output();
		run_session(g, kernels_best(), n, 9, &other);
		assert_same_output();
	}
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
	(void)state;
	for_each_type(run_with_threads);
}

static void run_with_each_table(const struct gguf *g)
{
	const struct kernels *k = &kernels_scalar;

	for (size_t i = 0; k != NULL; k = table_at(i++)) {
		run_session(g, k, 1, N, &other);
		assert_same_output();
		run_session(g, k, 1, 1, &other);
		assert_same_output();
	}
}

static void any_instruction_set_gives_the_same_bits(void **state)
{
	(void)state;
	for_each_type(run_with_each_table);
}

/* Session 0 in chunks of 10, between sessions that have begun earlier and later. */
static void run_among_others(const struct gguf *g)
{
	enum { OWN = 10 };
	struct stage s = stage_new(g, 0, N_LAYERS, kernels_best(), 2);
	struct kv *own = new_kv(&s), *long_one = new_kv(&s), *fresh = new_kv(&s);
	static float residual[2 * N][D], logits[2 * N][V];
	uint32_t tokens[2 * N];
	uint32_t before = 0;

	for (uint32_t p = 0; p < N; p += OWN) {
		uint32_t ahead = p == 0 ? 13 : 3;
		struct layers_span spans[] = {
		    {long_one, before, ahead, 1}, {own, p, OWN, OWN}, {fresh, 0, 5 + p / OWN, 0}};
		uint32_t n = 0;

		for (uint32_t i = 0; i < 3; i++)
			for (uint32_t t = 0; t < spans[i].n_tokens; t++)
				tokens[n++] =
				    session_token(i == 1 ? 0 : i + 1, spans[i].position + t);
		run_spans(&s, spans, 3, tokens, residual[0], logits[0]);
		before += ahead;
		memcpy(other.residual[p], residual[ahead], OWN * sizeof residual[0]);
		memcpy(other.logits[p], logits[1], OWN * sizeof logits[0]);
	}
	assert_same_output();
	kv_free(own);
	kv_free(long_one);
	kv_free(fresh);
	stage_free(&s);
}

static void a_session_gives_the_same_bits_alone_and_among_others(void **state)
{
	(void)state;
	for_each_type(run_among_others);
}

static void run_in_two_stages(const struct gguf *g)
{
	for (uint32_t k = 1; k < N_LAYERS; k++) {
		struct stage front = stage_new(g, 0, k, kernels_best(), 1);
		struct stage back = stage_new(g, k, N_LAYERS, kernels_best(), 2);
		struct kv *front_kv = new_kv(&front), *back_kv = new_kv(&back);

		for (uint32_t p = 0; p < N; p += 14) {
			struct layers_span span = {front_kv, p, 14, 0};
			uint32_t tokens[14];

			for (uint32_t i = 0; i < 14; i++)
				tokens[i] = session_token(0, p + i);
			run_spans(&front, &span, 1, tokens, other.residual[p], NULL);
			span.kv = back_kv;
			span.n_logits = 14;
			run_spans(&back, &span, 1, NULL, other.residual[p], other.logits[p]);
		}
		assert_same_output();
		kv_free(front_kv);
		kv_free(back_kv);
		stage_free(&front);
		stage_free(&back);
	}
}

static void two_ranges_give_the_same_bits_as_the_whole(void **state)
{
	(void)state;
	for_each_type(run_in_two_stages);
}

/* Other tokens first, then back to each of some positions. */
static void run_again_from(const struct gguf *g)
{
	uint32_t from[] = {0, 1, 63, 64, 69};
	struct stage s = stage_new(g, 0, N_LAYERS, kernels_best(), 1);

	for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
		struct kv *kv = new_kv(&s);
		struct layers_span draft = {kv, from[i], N - from[i] + 5, 0};
		static float residual[2 * N][D];
		uint32_t tokens[2 * N];

		run_from(&s, kv, 0, N, N, &other);
		for (uint32_t t = 0; t < draft.n_tokens; t++)
			tokens[t] = session_token(5, from[i] + t);
		run_spans(&s, &draft, 1, tokens, residual[0], NULL);
		assert_int_equal(kv_length(kv), N + 5);
		memset(other.logits[from[i]], 0, (N - from[i]) * sizeof other.logits[0]);
		run_from(&s, kv, from[i], N, 3, &other);
		assert_same_output();
		kv_free(kv);
	}
	stage_free(&s);
}

static void a_session_that_went_back_gives_the_same_bits(void **state)
{
	(void)state;
	for_each_type(run_again_from);
}

static void run_wanting_few_rows(const struct gguf *g)
{
	uint32_t wanted[] = {0, 1, 3, N};
	struct stage s = stage_new(g, 0, N_LAYERS, kernels_best(), 1);
	uint32_t tokens[N];

	for (uint32_t t = 0; t < N; t++)
		tokens[t] = session_token(0, t);
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		struct kv *kv = new_kv(&s);
		struct layers_span span = {kv, 0, N, wanted[i]};

		memset(&other, 0, sizeof other);
		run_spans(&s, &span, 1, tokens, other.residual[0], other.logits[0]);
		assert_memory_equal(
		    other.logits, whole.logits[N - wanted[i]], wanted[i] * sizeof whole.logits[0]);
		for (size_t p = wanted[i]; p < N; p++)
			for (size_t j = 0; j < V; j++)
				assert_true(other.logits[p][j] == 0.0f);
		kv_free(kv);
	}
	stage_free(&s);
}

static void logits_are_those_of_the_last_tokens_and_no_more(void **state)
{
	(void)state;
	for_each_type(run_wanting_few_rows);
}

/* Past the scores that layers_new makes room for, and many pages of the cache. */
static void a_long_context_gives_the_same_bits_in_any_chunks(void **state)
{
	enum { LONG = 1200, WIDTH = 32 };
	const uint32_t chunks[2] = {60, 2 * N};
	static float out[2][LONG][WIDTH];
	struct gguf *g = open_model(
	    &(struct tiny_model_options){.n_layers = 1, .d_model = WIDTH, .d_ff = 32}, TENSOR_F32);
	struct stage s = stage_new(g, 0, 1, kernels_best(), 2);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct kv *kv;

		assert_int_equal(kv_new(s.model, LONG, KV_F16, &kv, NULL), AYNI_OK);
		for (uint32_t p = 0; p < LONG; p += chunks[i]) {
			uint32_t n = chunks[i] < LONG - p ? chunks[i] : LONG - p;
			uint32_t tokens[2 * N];

			for (uint32_t t = 0; t < n; t++)
				tokens[t] = session_token(0, p + t);
			run_spans(
			    &s, &(struct layers_span){kv, p, n, 0}, 1, tokens, out[i][p], NULL);
		}
		kv_free(kv);
	}
	assert_memory_equal(out[0], out[1], sizeof out[0]);
	stage_free(&s);
	gguf_free(g);
}

/* ---- errors --------------------------------------------------------------------------------- */

enum { FILLED = 10 };

/* The first and last range of a model, each with a session of FILLED positions. */
struct errors {
	struct gguf *g;
	struct stage front, back;
	struct kv *front_kv, *back_kv, *second;
	uint32_t tokens[2 * N + 1];
	float residual[2 * N + 1][D];
	float logits[N][V];
};

static int errors_set_up(void **state)
{
	struct errors *e = calloc(1, sizeof *e);
	struct layers_span span = {NULL, 0, FILLED, 0};

	assert_non_null(e);
	e->g = open_model(&uneven, TENSOR_Q8_0);
	e->front = stage_new(e->g, 0, 2, kernels_best(), 1);
	e->back = stage_new(e->g, 2, N_LAYERS, kernels_best(), 1);
	e->front_kv = span.kv = new_kv(&e->front);
	run_spans(&e->front, &span, 1, e->tokens, e->residual[0], NULL);
	e->second = new_kv(&e->front);
	e->back_kv = span.kv = new_kv(&e->back);
	run_spans(&e->back, &span, 1, NULL, e->residual[0], NULL);
	*state = e;
	return 0;
}

static int errors_tear_down(void **state)
{
	struct errors *e = *state;

	kv_free(e->front_kv);
	kv_free(e->back_kv);
	kv_free(e->second);
	stage_free(&e->front);
	stage_free(&e->back);
	gguf_free(e->g);
	free(e);
	return 0;
}

static void assert_refused(struct errors *e, bool front, const struct layers_span *spans, size_t n,
    enum ayni_error code, const char *word)
{
	struct stage *s = front ? &e->front : &e->back;
	struct error err = {0};
	int rc = layers_run(s->layers, spans, n, front ? e->tokens : NULL, e->residual[0],
	    front ? NULL : e->logits[0], &err);

	assert_int_equal(rc, code);
	assert_int_equal(err.code, code);
	if (strstr(err.text, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
	assert_int_equal(kv_length(e->front_kv), FILLED);
	assert_int_equal(kv_length(e->back_kv), FILLED);
	assert_int_equal(kv_length(e->second), 0);
}

static void refuses_an_empty_batch_and_an_empty_span(void **state)
{
	struct errors *e = *state;
	struct layers_span empty = {e->front_kv, FILLED, 0, 0};

	assert_refused(e, true, NULL, 0, AYNI_ERR_ARGUMENT, "without spans");
	assert_refused(e, true, &empty, 1, AYNI_ERR_ARGUMENT, "0 tokens");
}

static void refuses_more_tokens_than_it_has_room_for(void **state)
{
	struct errors *e = *state;
	struct layers_span spans[] = {{e->front_kv, FILLED, N, 0}, {e->second, 0, N + 1, 0}};
	struct layers_span huge = {e->front_kv, FILLED, UINT32_MAX, 0};

	assert_refused(e, true, spans, 2, AYNI_ERR_ARGUMENT, "fit this batch");
	assert_refused(e, true, &huge, 1, AYNI_ERR_ARGUMENT, "fit this batch");
}

static void refuses_a_gap_in_the_positions_and_those_past_the_capacity(void **state)
{
	struct errors *e = *state;
	struct layers_span gap[] = {{e->second, 0, 1, 0}, {e->front_kv, FILLED + 1, 1, 0}};
	struct layers_span past = {e->front_kv, FILLED, CAPACITY - FILLED + 1, 0};

	assert_refused(e, true, gap, 2, AYNI_ERR_ARGUMENT, "does not fit a cache");
	assert_refused(e, true, &past, 1, AYNI_ERR_ARGUMENT, "does not fit a cache");
}

static void refuses_a_session_named_twice(void **state)
{
	struct errors *e = *state;
	struct layers_span spans[] = {
	    {e->front_kv, FILLED, 1, 0}, {e->second, 0, 1, 0}, {e->front_kv, FILLED, 1, 0}};

	assert_refused(e, true, spans, 3, AYNI_ERR_ARGUMENT, "one session");
}

static void refuses_the_cache_of_another_range_or_none(void **state)
{
	struct errors *e = *state;
	struct layers_span span = {e->back_kv, FILLED, 1, 0};

	assert_refused(e, true, &span, 1, AYNI_ERR_ARGUMENT, "another range");
	span.kv = NULL;
	assert_refused(e, true, &span, 1, AYNI_ERR_ARGUMENT, "another range");
}

static void refuses_a_token_outside_the_vocabulary(void **state)
{
	struct errors *e = *state;
	struct layers_span span = {e->front_kv, 4, 3, 0};

	e->tokens[2] = V;
	assert_refused(e, true, &span, 1, AYNI_ERR_ARGUMENT, "token 2 is 259");
}

static void refuses_rows_of_logits_that_cannot_be_had(void **state)
{
	struct errors *e = *state;
	struct layers_span not_the_end = {e->front_kv, FILLED, 1, 1};
	struct layers_span too_many = {e->back_kv, FILLED, 2, 3};

	assert_refused(e, true, &not_the_end, 1, AYNI_ERR_ARGUMENT, "rows of logits");
	assert_refused(e, false, &too_many, 1, AYNI_ERR_ARGUMENT, "rows of logits");
}

static void refuses_a_batch_without_its_tokens_or_a_place_for_its_logits(void **state)
{
	struct errors *e = *state;
	struct layers_span front = {e->front_kv, FILLED, 1, 0}, back = {e->back_kv, FILLED, 2, 1};
	float *x = e->residual[0];

	assert_int_equal(
	    layers_run(e->front.layers, &front, 1, NULL, x, NULL, NULL), AYNI_ERR_ARGUMENT);
	assert_int_equal(
	    layers_run(e->back.layers, &back, 1, NULL, x, NULL, NULL), AYNI_ERR_ARGUMENT);
	assert_int_equal(kv_length(e->front_kv), FILLED);
	assert_int_equal(kv_length(e->back_kv), FILLED);
}

static void refuses_an_input_that_is_not_finite(void **state)
{
	struct errors *e = *state;
	struct layers_span span = {e->back_kv, 3, 4, 1};
	const float bad[] = {NAN, INFINITY, -INFINITY};

	for (size_t i = 0; i < 3; i++) {
		memset(e->residual, 0, sizeof e->residual);
		e->residual[3][D - 1] = bad[i];
		assert_refused(e, false, &span, 1, AYNI_ERR_NUMERIC, "input");
	}
	/* What lies past the batch is not its input. */
	memset(e->residual, 0, sizeof e->residual);
	e->residual[4][0] = NAN;
	run_spans(&e->back, &span, 1, NULL, e->residual[0], e->logits[0]);
}

static void refuses_an_output_that_is_not_finite(void **state)
{
	struct errors *e = *state;
	struct layers_span span = {e->back_kv, FILLED, 2, 1};
	const float *kept = e->back.model->layers[0].ff_norm;
	float huge[D];

	for (size_t i = 0; i < D; i++)
		huge[i] = 3e38f;
	e->back.model->layers[0].ff_norm = huge;
	assert_refused(e, false, &span, 1, AYNI_ERR_NUMERIC, "output");
	e->back.model->layers[0].ff_norm = kept;
}

static void refuses_batches_of_none_or_past_the_limit(void **state)
{
	const struct stage *s = &((struct errors *)*state)->front;
	const struct kernels *k = kernels_best();
	struct layers *l;

	assert_int_equal(layers_new(s->model, k, s->team, 0, &l, NULL), AYNI_ERR_LIMIT);
	assert_int_equal(layers_new(s->model, k, s->team, UINT32_MAX, &l, NULL), AYNI_ERR_LIMIT);
}

static void goes_on_after_an_error_as_if_nothing_had_been(void **state)
{
	struct errors *e = *state;
	struct layers_span bad[] = {{e->front_kv, FILLED, 3, 0}, {e->second, 1, 1, 0}};
	struct kv *fresh = new_kv(&e->front);
	struct layers_span span = {fresh, 0, FILLED + 3, 0};
	static float expected[FILLED + 3][D];

	assert_refused(e, true, bad, 2, AYNI_ERR_ARGUMENT, "does not fit a cache");
	run_spans(&e->front, &span, 1, e->tokens, expected[0], NULL);
	run_spans(&e->front, bad, 1, e->tokens, e->residual[0], NULL);
	assert_memory_equal(expected[FILLED], e->residual[0], 3 * sizeof expected[0]);
	kv_free(fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_prompt_gives_the_same_bits_in_one_piece_and_in_any_chunks),
	    cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
	    cmocka_unit_test(any_instruction_set_gives_the_same_bits),
	    cmocka_unit_test(a_session_gives_the_same_bits_alone_and_among_others),
	    cmocka_unit_test(two_ranges_give_the_same_bits_as_the_whole),
	    cmocka_unit_test(a_session_that_went_back_gives_the_same_bits),
	    cmocka_unit_test(logits_are_those_of_the_last_tokens_and_no_more),
	    cmocka_unit_test(a_long_context_gives_the_same_bits_in_any_chunks),
#define ERRORS(test) cmocka_unit_test_setup_teardown(test, errors_set_up, errors_tear_down)
	    ERRORS(refuses_an_empty_batch_and_an_empty_span),
	    ERRORS(refuses_more_tokens_than_it_has_room_for),
	    ERRORS(refuses_a_gap_in_the_positions_and_those_past_the_capacity),
	    ERRORS(refuses_a_session_named_twice),
	    ERRORS(refuses_the_cache_of_another_range_or_none),
	    ERRORS(refuses_a_token_outside_the_vocabulary),
	    ERRORS(refuses_rows_of_logits_that_cannot_be_had),
	    ERRORS(refuses_a_batch_without_its_tokens_or_a_place_for_its_logits),
	    ERRORS(refuses_an_input_that_is_not_finite),
	    ERRORS(refuses_an_output_that_is_not_finite),
	    ERRORS(refuses_batches_of_none_or_past_the_limit),
	    ERRORS(goes_on_after_an_error_as_if_nothing_had_been),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
