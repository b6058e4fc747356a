/* SPDX-License-Identifier: Apache-2.0 */
/* Trails of a real model, as donors compute them, a unit at a time, computed once more. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "node/pool/auditor.h"
#include "tests/support/tiny_model.h"
#include "tests/support/trail_trial.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { LAYERS = 4, STAGES = 2, D = 64, V = TINY_MODEL_VOCABULARY, CONTEXT = 256, TOP = 5 };

/* One layer of the donors'. */
struct layer {
	struct model *model;
	struct layers *layers;
	struct kv *kv;
};

static char *path;
static struct gguf *gguf;
static struct team *team;
static struct recheck *recheck;
static struct layer layers[LAYERS];
static struct trail_budget budget;
static struct trail *trail;
static enum wire_type wire;
static atomic_bool stop;
static struct error err;

static int open_model(void **state)
{
	static const struct tiny_model_options options = {
	    .n_layers = LAYERS, .n_heads = 2, .n_kv_heads = 1};

	(void)state;
	path = tiny_model_temporary(&options);
	if (gguf_open(path, &gguf, &err) != AYNI_OK || team_new(1, &team, &err) != AYNI_OK)
		return -1;
	return 0;
}

static int close_model(void **state)
{
	(void)state;
	team_free(team);
	gguf_free(gguf);
	tiny_model_remove(path);
	return 0;
}

static struct trail *new_trail(void)
{
	static const struct trail_stage list[STAGES] = {
	    {.donor = 0, .key = {{1}}, .layers = {0, 1}},
	    {.donor = 1, .key = {{2}}, .layers = {1, LAYERS}}};
	struct trail *t = trail_new(7, 0, wire, list, STAGES, &budget);

	assert_non_null(t);
	return t;
}

static void start(enum wire_type type, enum kv_type kv)
{
	wire = type;
	trail = new_trail();
	for (uint32_t k = 0; k < LAYERS; k++) {
		struct layer *s = &layers[k];

		assert_int_equal(model_load(gguf, k, k + 1, &s->model, &err), AYNI_OK);
		assert_int_equal(
		    layers_new(s->model, kernels_best(), team, LIMIT_UNIT_TOKENS, &s->layers, &err),
		    AYNI_OK);
		assert_int_equal(kv_new(s->model, CONTEXT, kv, &s->kv, &err), AYNI_OK);
		kv_set_wire(s->kv, type);
	}
}

static int set_up(void **state)
{
	(void)state;
	budget = (struct trail_budget){.most_bytes = 1 << 20};
	atomic_store(&stop, false);
	return recheck_new(kernels_best(), team, &recheck, &err);
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t k = 0; k < LAYERS; k++) {
		kv_free(layers[k].kv);
		layers_free(layers[k].layers);
		model_free(layers[k].model);
		layers[k] = (struct layer){0};
	}
	trail_release(trail);
	trail = NULL;
	recheck_free(recheck);
	assert_int_equal(budget.used_bytes, 0);
	return 0;
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
enum { HONEST = -1 };
static int lies_in = HONEST;
static float between[LIMIT_UNIT_TOKENS * D]; /* activations after a layer, which go on */
static uint8_t sent[LIMIT_UNIT_TOKENS * D * 4];

static struct unit_span span;

/* What a layer gave, as its donor stands for it, and as it goes on. */
static struct hash *commit_layer(int layer, float *rows, struct hash *to)
{
	struct msg_work_unit u = {.n_spans = 1, .spans = &span};
	size_t row = wire_row_bytes(wire, D);
	struct hash list[WORK_PARTS_MAX], whole;
	size_t n;

	for (uint32_t i = 0; i < span.n_tokens; i++)
		wire_encode(wire, rows + i * D, D, sent + i * row);
	sent[0] ^= layer == lies_in;
	for (uint32_t i = 0; i < span.n_tokens; i++)
		wire_decode(wire, sent + i * row, D, rows + i * D);
	n = work_commit(D, &u, false, sent, list, &whole);
	memcpy(to, n > 0 ? list : &whole, (n > 0 ? n : 1) * sizeof *to);
	return to + (n > 0 ? n : 1);
}

/* One unit of all layers, each by itself, so that what one gives can be changed. */
static void feed(uint32_t position, uint32_t n, uint32_t n_logits, int liar)
{
	static float logits[LIMIT_UNIT_TOKENS * V];
	static struct hash hashes[LAYERS * WORK_PARTS_MAX];
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = TOP};
	struct hash whole, list[WORK_PARTS_MAX], *to = hashes;
	uint32_t tokens[LIMIT_UNIT_TOKENS];
	size_t rows;

	span = (struct unit_span){
	    .position = position, .n_tokens = n, .n_logits = n_logits, .wire = wire};
	lies_in = liar;
	for (uint32_t i = 0; i < n; i++)
		tokens[i] = (position + i) * 7 % 250;
	for (int k = 0; k < LAYERS; k++) {
		bool last = k + 1 == LAYERS;
		struct layers_span one = {layers[k].kv, position, n, last ? n_logits : 0};

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
	trail_trial_add(trail,
	    &(struct trail_feed){.span = span, .top = TOP, .tokens = tokens, .hashes = hashes});
	assert_int_equal(trail->n_missed, 0);
}

/* A prompt over two pages, then tokens. */
static void feed_session(uint32_t n_tokens)
{
	feed(0, 100, 0, -1);
	feed(100, 10, 1, -1);
	for (uint32_t i = 0; i < n_tokens; i++)
		feed(110 + i, 1, 1, -1);
}

static struct recheck_finding find(enum kv_type kv)
{
	struct recheck_model m = {.gguf = gguf, .kv = kv};
	struct recheck_finding f;

	if (recheck_run(recheck, &m, trail, &stop, &f, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return f;
}

static void assert_right(void)
{
	assert_false(find(KV_F16).wrong);
}

static void assert_liar(uint32_t layer, uint32_t index, uint32_t position)
{
	struct recheck_finding f = find(KV_F16);

	assert_true(f.wrong);
	assert_int_equal(f.layer, layer);
	assert_int_equal(f.stage, layer > 0);
	assert_int_equal(f.span, index);
	assert_int_equal(f.position, position);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void what_honest_donors_gave_is_right_in_every_wire_type(void **state)
{
	(void)state;
	for (int type = 0; type < WIRE_TYPE_END; type++) {
		start((enum wire_type)type, KV_F16);
		feed_session(40);
		assert_right();
		tear_down(NULL);
		set_up(NULL);
	}
}

static void a_session_that_keeps_its_values_in_int8_is_computed_so(void **state)
{
	(void)state;
	start(WIRE_F32, KV_INT8);
	feed_session(5);
	assert_false(find(KV_INT8).wrong);
	assert_true(find(KV_F16).wrong);
}

static void guesses_that_were_wrong_are_fed_as_they_were(void **state)
{
	(void)state;
	start(WIRE_F32, KV_F16);
	feed(0, 60, 1, -1);
	feed(60, 8, 8, -1); /* over the end of a page; of these two were right */
	feed(62, 3, 3, -1);
	feed(63, 1, 1, -1);
	assert_right();
}

static void one_bit_names_its_layer_and_its_part(void **state)
{
	(void)state;
	start(WIRE_F32, KV_F16);
	feed_session(3);
	feed(113, 1, 1, 0);
	feed(114, 1, 1, -1);
	assert_liar(0, 5, 113);
}

static void a_lie_in_the_middle_of_a_stage_names_that_layer(void **state)
{
	(void)state;
	start(WIRE_F16, KV_F16);
	feed(0, 100, 0, -1);
	feed(100, 10, 1, 2);
	feed(110, 1, 1, -1);
	assert_liar(2, 1, 100);
}

/* Each was given only right numbers, so both lied; one is enough. */
static void of_two_liars_the_one_in_the_lower_layer_is_named(void **state)
{
	(void)state;
	start(WIRE_F32, KV_F16);
	feed(0, 100, 0, 2);
	feed(100, 10, 1, 1);
	assert_liar(1, 1, 100);
}

/* The next stage's keys and values are made of it, and it gives what the model does not ever after:
 * it is not the one that lied. */
static void who_was_given_wrong_input_is_not_blamed(void **state)
{
	(void)state;
	start(WIRE_F32, KV_F16);
	feed(0, 100, 0, 0);
	feed(100, 10, 1, -1);
	assert_liar(0, 0, 0);
}

static void the_last_stage_is_caught_by_its_rows(void **state)
{
	(void)state;
	start(WIRE_Q8, KV_F16);
	feed_session(2);
	feed(112, 1, 1, LAYERS - 1);
	assert_liar(LAYERS - 1, 4, 112);
}

static void a_session_that_began_with_another_is_checked_from_its_first_position(void **state)
{
	struct trail *other;

	(void)state;
	start(WIRE_F32, KV_F16);
	feed(0, 100, 0, -1);
	feed(100, 40, 1, -1);
	other = trail;
	trail = new_trail();
	trail_begin_with(trail, other, 128);
	assert_int_equal(trail->n_inherited, 2);
	assert_int_equal(trail->spans[1].n_tokens, 28);
	feed(128, 20, 1, -1);
	assert_right();
	trail_release(trail);
	trail = new_trail(); /* the liar was at work in the other one */
	((struct hash *)trail_after(other, &other->spans[0], 0))->bytes[3] ^= 4;
	trail_begin_with(trail, other, 128);
	feed(128, 20, 1, -1);
	assert_liar(0, 0, 0);
	trail_release(other);
}

static void what_cannot_be_computed_says_nothing_of_the_donors(void **state)
{
	struct recheck_model m = {.gguf = gguf, .kv = KV_F16};
	struct recheck_finding f;

	(void)state;
	start(WIRE_F32, KV_F16);
	feed_session(1);
	trail->stages[1].layers.last--; /* not the whole model */
	assert_int_equal(recheck_run(recheck, &m, trail, &stop, &f, &err), AYNI_ERR_ARGUMENT);
	trail->stages[1].layers.last++;
	atomic_store(&stop, true);
	assert_int_equal(recheck_run(recheck, &m, trail, &stop, &f, &err), AYNI_ERR_AGAIN);
	atomic_store(&stop, false);
	assert_right();
}

/* ---- the thread --------------------------------------------------------------------------- */

static struct audited wait_for(struct auditor *a)
{
	struct audited out;

	while (!auditor_take(a, &out)) {
		struct pollfd ready = {.fd = auditor_fd(a), .events = POLLIN};

		assert_int_equal(poll(&ready, 1, 60000), 1);
	}
	return out;
}

static void findings_come_in_the_order_of_their_trails(void **state)
{
	struct recheck_model m = {.gguf = gguf, .kv = KV_F16};
	const struct trail *open[AUDITOR_JOBS];
	struct auditor *a;
	struct trail *wrong, *right;

	(void)state;
	start(WIRE_F32, KV_F16);
	feed_session(2);
	right = trail;
	trail = new_trail();
	feed(0, 5, 1, 2);
	wrong = trail;
	trail = NULL;
	assert_int_equal(auditor_new(1, &a, &err), AYNI_OK);
	assert_true(auditor_ask(a, &m, right));
	assert_true(auditor_ask(a, &m, wrong));
	assert_int_equal(auditor_open(a, open), 2);
	for (int i = 0; i < 2; i++) {
		struct audited done = wait_for(a);

		assert_int_equal(done.rc, AYNI_OK);
		assert_ptr_equal(done.trail, i == 0 ? right : wrong);
		assert_int_equal(done.finding.wrong, i == 1);
		trail_release(done.trail);
	}
	assert_int_equal(auditor_open(a, open), 0);
	auditor_free(a);
}

static void an_auditor_takes_no_more_than_it_has_room_for_and_may_end_at_any_time(void **state)
{
	struct recheck_model m = {.gguf = gguf, .kv = KV_F16};
	struct auditor *a;

	(void)state;
	start(WIRE_F32, KV_F16);
	feed_session(1);
	assert_int_equal(auditor_new(1, &a, &err), AYNI_OK);
	for (int i = 0; i < AUDITOR_JOBS; i++)
		assert_true(auditor_ask(a, &m, trail_hold(trail)));
	assert_false(auditor_ask(a, &m, trail)); /* none was taken, whatever is done */
	auditor_free(a);
	assert_int_equal(trail->holders, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_honest_donors_gave_is_right_in_every_wire_type),
	    TEST(a_session_that_keeps_its_values_in_int8_is_computed_so),
	    TEST(guesses_that_were_wrong_are_fed_as_they_were),
	    TEST(one_bit_names_its_layer_and_its_part),
	    TEST(a_lie_in_the_middle_of_a_stage_names_that_layer),
	    TEST(of_two_liars_the_one_in_the_lower_layer_is_named),
	    TEST(who_was_given_wrong_input_is_not_blamed),
	    TEST(the_last_stage_is_caught_by_its_rows),
	    TEST(a_session_that_began_with_another_is_checked_from_its_first_position),
	    TEST(what_cannot_be_computed_says_nothing_of_the_donors),
	    TEST(findings_come_in_the_order_of_their_trails),
	    TEST(an_auditor_takes_no_more_than_it_has_room_for_and_may_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, open_model, close_model);
}
