/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker computes: the same bits as in this process, and the sessions it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "node/work.h"
#include "protocol/messages.h"
#include "tests/support/worker_trial.h"

/* ---- the same in this process --------------------------------------------------------------- */

struct reference {
	struct model *model;
	struct team *team;
	struct layers *layers;
	struct kv *sessions[SESSIONS + 1]; /* by number */
	float activations[MAX_TOKENS * D];
	float logits[MAX_TOKENS * V];
};

static struct reference *reference_new(uint32_t first, uint32_t last)
{
	struct reference *r = calloc(1, sizeof *r);

	assert_non_null(r);
	assert_int_equal(team_new(1, &r->team, NULL), AYNI_OK);
	assert_int_equal(
	    model_load_for(trial_image, first, last, kernels_best(), r->team, &r->model, NULL),
	    AYNI_OK);
	assert_int_equal(
	    layers_new(r->model, kernels_best(), r->team, MAX_TOKENS, &r->layers, NULL), AYNI_OK);
	for (size_t i = 0; i <= SESSIONS; i++)
		assert_int_equal(
		    kv_new(r->model, KV_TOKENS, KV_F16, &r->sessions[i], NULL), AYNI_OK);
	return r;
}

static void reference_free(struct reference *r)
{
	for (size_t i = 0; i <= SESSIONS; i++)
		kv_free(r->sessions[i]);
	layers_free(r->layers);
	team_free(r->team);
	model_free(r->model);
	free(r);
}

static void reference_run(struct reference *r, const struct trial_unit *unit)
{
	struct layers_span spans[SESSIONS + 1];
	bool last = unit->u.layer_last == LAYERS;

	for (size_t i = 0; i < unit->u.n_spans; i++) {
		const struct unit_span *s = &unit->spans[i];

		spans[i] = (struct layers_span){
		    r->sessions[s->session], s->position, s->n_tokens, s->n_logits};
	}
	assert_int_equal(layers_run(r->layers, spans, unit->u.n_spans,
	                     unit->u.layer_first == 0 ? unit->tokens : NULL, r->activations,
	                     last ? r->logits : NULL, NULL),
	    AYNI_OK);
}

static void assert_same_rows(
    const struct reference *r, const struct trial_unit *unit, struct span got)
{
	uint8_t want[MAX_TOKENS * (4 + TOP * 8)], *at = want;
	float scratch[V], lse;
	struct logit top[TOP];

	for (uint32_t i = 0; i < unit->u.n_logits; i++) {
		logits_top(kernels_best(), r->logits + (size_t)i * V, V, TOP, scratch, top, &lse);
		payload_put_f32(at, &lse, 1);
		at += 4;
		for (size_t k = 0; k < TOP; k++, at += 8) {
			payload_put_u32(at, &top[k].id, 1);
			payload_put_f32(at + 4, &top[k].value, 1);
		}
	}
	assert_int_equal(got.len, at - want);
	assert_memory_equal(got.data, want, got.len);
}

static void assert_same_activations(
    const struct reference *r, const struct trial_unit *unit, struct span got)
{
	uint8_t want[MAX_TOKENS * D * 4];

	assert_int_equal(got.len, unit->u.n_tokens * D * 4);
	payload_put_f32(want, r->activations, unit->u.n_tokens * D);
	assert_memory_equal(got.data, want, got.len);
}

/* ---- results -------------------------------------------------------------------------------- */

/* Prompts of several lengths, then steps with sessions that come and go back. */
static const struct {
	uint64_t session;
	uint32_t position, n, n_logits;
} script[][3] = {
    {{1, 0, 9, 2}, {2, 0, 1, 1}, {3, 0, 20, 0}},
    {{1, 9, 1, 1}, {2, 1, 7, 7}, {3, 20, 1, 1}},
    {{3, 21, 1, 1}, {4, 0, 5, 5}, {1, 10, 1, 1}},
    {{1, 4, 3, 3}, {2, 8, 1, 0}, {3, 0, 2, 1}},
};
enum { STEPS = sizeof script / sizeof *script };

static void script_unit(struct trial_unit *unit, size_t step, uint32_t first, uint32_t last)
{
	trial_begin(unit, first, last);
	for (size_t i = 0; i < 3; i++)
		trial_add(unit, script[step][i].session, script[step][i].position,
		    script[step][i].n, last == LAYERS ? script[step][i].n_logits : 0);
}

static void assert_whole_model_is_right(const struct worker_options *o)
{
	struct reference *r = reference_new(0, LAYERS);
	struct worker_link *l = trial_loaded(o, 0, LAYERS);

	for (size_t step = 0; step < STEPS; step++) {
		struct worker_event e;
		struct trial_unit unit;

		script_unit(&unit, step, 0, LAYERS);
		e = trial_run(l, &unit);
		trial_assert_ran(e);
		reference_run(r, &unit);
		assert_same_rows(r, &unit, e.payload);
	}
	worker_link_free(l);
	reference_free(r);
}

static void the_whole_model_gives_the_same_bits_as_in_this_process(void **state)
{
	(void)state;
	assert_whole_model_is_right(&trial_ordinary);
}

static void threads_and_kernels_give_the_same_bits(void **state)
{
	const struct worker_options o = {NULL, 2, "scalar"};

	(void)state;
	assert_whole_model_is_right(&o);
}

static void parts_give_the_same_bits_as_in_this_process(void **state)
{
	struct reference *r = reference_new(0, 1), *whole = reference_new(0, LAYERS);
	struct worker_link *a = trial_loaded(&trial_ordinary, 0, 1),
	                   *b = trial_loaded(&trial_ordinary, 1, LAYERS);

	(void)state;
	for (size_t step = 0; step < STEPS; step++) {
		struct worker_event e;
		struct trial_unit first, second;

		script_unit(&first, step, 0, 1);
		e = trial_run(a, &first);
		trial_assert_ran(e);
		reference_run(r, &first);
		assert_same_activations(r, &first, e.payload);

		script_unit(&second, step, 1, LAYERS);
		memcpy(second.payload, e.payload.data, e.payload.len);
		second.payload_len = e.payload.len;
		e = trial_run(b, &second);
		trial_assert_ran(e);
		script_unit(&first, step, 0, LAYERS);
		reference_run(whole, &first);
		assert_same_rows(whole, &second, e.payload);
	}
	worker_link_free(a);
	worker_link_free(b);
	reference_free(r);
	reference_free(whole);
}

/* Some of the sessions begin after the first layer, some after the second; each stays there. */
/* Two sessions over the first n layers: what they give, part by part. */
static size_t hashes_after(uint32_t n_layers, uint32_t wire, struct hash *out)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, n_layers);
	struct trial_unit unit;
	struct worker_event e;
	struct hash whole;
	size_t n;

	trial_begin(&unit, 0, n_layers);
	trial_add(&unit, 1, 0, 7, 0);
	trial_add(&unit, 2, 0, 2, 0);
	unit.spans[1].wire = wire;
	e = trial_run(l, &unit);
	trial_assert_ran(e);
	n = work_commit(D, &unit.u, false, e.payload.data, out, &whole);
	assert_int_equal(n, 2);
	worker_link_free(l);
	return n;
}

/* So that what one layer gave has the same hash wherever the model is cut. */
static void the_hashes_of_each_layer_are_those_of_what_a_donor_that_ends_there_gives(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	struct trial_unit unit;

	(void)state;
	for (uint32_t wire = 0; wire < WIRE_TYPE_END; wire++) {
		struct worker_event e;

		trial_begin(&unit, 0, LAYERS);
		trial_add(&unit, 1, 0, 7, 1);
		trial_add(&unit, 2, 0, 2, 1);
		unit.spans[1].wire = wire;
		e = trial_run(l, &unit);
		trial_assert_ran(e);
		assert_int_equal(e.n_layer_hashes, (LAYERS - 1) * 2);
		for (uint32_t n = 1; n < LAYERS; n++) {
			struct hash after[WORK_PARTS_MAX];

			assert_int_equal(hashes_after(n, wire, after), 2);
			assert_memory_equal(e.layer_hashes + (n - 1) * 2, after, 2 * sizeof *after);
		}
	}
	worker_link_free(l);
}

static void layers_run_while_others_are_not_loaded_yet(void **state)
{
	struct worker_link *l = trial_start(&trial_ordinary);

	(void)state;
	trial_load(l, trial_image_fd, 0, LAYERS);
	assert_int_equal(trial_event(l).kind, WORKER_LOADED);
	for (uint32_t ready = 1; ready < LAYERS; ready++) {
		struct reference *r = reference_new(0, ready);

		struct trial_unit early;

		script_unit(&early, 0, 0, ready + 1);
		trial_assert_failed(trial_run(l, &early), AYNI_ERR_STATE);
		for (size_t step = 0; step < STEPS; step++) {
			struct worker_event e;
			struct trial_unit unit;

			script_unit(&unit, step, 0, ready);
			e = trial_run(l, &unit);
			trial_assert_ran(e);
			reference_run(r, &unit);
			assert_same_activations(r, &unit, e.payload);
		}
		reference_free(r);
		assert_int_equal(worker_link_load_next(l, NULL), AYNI_OK);
		assert_int_equal(trial_event(l).kind, WORKER_LOADED);
	}
	worker_link_free(l);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void an_unknown_session_is_an_event_and_the_worker_goes_on(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);

	(void)state;
	trial_assert_failed(trial_run_one(l, 1, 5, 1), AYNI_ERR_STATE);
	trial_assert_ran(trial_run_one(l, 1, 0, 5));
	trial_assert_failed(trial_run_one(l, 1, 6, 1), AYNI_ERR_STATE);
	trial_assert_ran(trial_run_one(l, 2, 0, 5));
	worker_link_free(l);
}

static void closed_sessions_are_forgotten_and_make_room(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	struct trial_unit unit;

	(void)state;
	for (uint64_t s = 1; s <= SESSIONS; s++)
		trial_assert_ran(trial_run_one(l, s, 0, 5));
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 77, 0, 1, 1);
	unit.closed[unit.u.n_closed++] = 2;
	unit.closed[unit.u.n_closed++] = 2;
	unit.closed[unit.u.n_closed++] = 1234; /* never opened */
	trial_assert_ran(trial_run(l, &unit));
	trial_assert_failed(trial_run_one(l, 2, 5, 1), AYNI_ERR_STATE);
	trial_assert_ran(trial_run_one(l, 1, 5, 1));
	worker_link_free(l);
}

/* Session `number` says after position n - 1 what session 1 would. */
static void assert_goes_on_as_session_1(
    struct worker_link *l, struct reference *r, uint64_t number, uint32_t n)
{
	struct trial_unit unit;
	struct worker_event e;

	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, n, 1, 1);
	reference_run(r, &unit);
	unit.spans[0].session = number;
	e = trial_run(l, &unit);
	trial_assert_ran(e);
	assert_same_rows(r, &unit, e.payload);
}

static void a_session_begins_with_what_another_holds(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	struct reference *r = reference_new(0, LAYERS);
	struct trial_unit unit;

	(void)state;
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 0, 20, 0);
	reference_run(r, &unit);
	trial_assert_ran(trial_run(l, &unit));
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 12, 3, 1); /* the same tokens, for two others */
	trial_add(&unit, 1, 12, 3, 1);
	for (size_t i = 0; i < 2; i++) {
		unit.spans[i].session = 20 + i;
		unit.spans[i].from = 1;
	}
	unit.closed[unit.u.n_closed++] = 1;
	trial_assert_ran(trial_run(l, &unit));
	assert_goes_on_as_session_1(l, r, 20, 15);
	assert_goes_on_as_session_1(l, r, 21, 15);
	trial_assert_failed(trial_run_one(l, 1, 5, 1), AYNI_ERR_STATE); /* it was closed */
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 30, 17, 1, 1);
	unit.spans[0].from = 20; /* which has 16 */
	trial_assert_failed(trial_run(l, &unit), AYNI_ERR_STATE);
	worker_link_free(l);
	reference_free(r);
}

static void no_more_sessions_are_held_than_agreed(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);

	(void)state;
	for (uint64_t s = 1; s <= SESSIONS; s++)
		trial_assert_ran(trial_run_one(l, s, 0, 1));
	trial_assert_failed(trial_run_one(l, 99, 0, 1), AYNI_ERR_MEMORY);
	for (uint64_t s = 1; s <= SESSIONS; s++)
		trial_assert_ran(trial_run_one(l, s, 1, 1));
	worker_link_free(l);
}

static void a_unit_that_fails_leaves_none_of_its_sessions_behind(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	struct trial_unit unit;

	(void)state;
	trial_assert_ran(trial_run_one(l, 1, 0, 3));
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 3, 1, 1);
	trial_add(&unit, 2, 0, 1, 1);
	trial_add(&unit, 3, 5, 1, 1); /* nothing is known of it */
	trial_assert_failed(trial_run(l, &unit), AYNI_ERR_STATE);
	trial_assert_failed(trial_run_one(l, 1, 4, 1), AYNI_ERR_STATE);
	for (uint64_t s = 1; s <= SESSIONS; s++)
		trial_assert_ran(trial_run_one(l, 10 + s, 0, 1)); /* there is room for all */
	worker_link_free(l);
}

static void a_token_outside_the_vocabulary_fails_its_unit_alone(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	const uint32_t wrong = V;
	struct trial_unit unit;

	(void)state;
	trial_assert_ran(trial_run_one(l, 1, 0, 3));
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 2, 0, 2, 1);
	payload_put_u32(unit.payload + 4, &wrong, 1);
	trial_assert_failed(trial_run(l, &unit), AYNI_ERR_ARGUMENT);
	trial_assert_ran(trial_run_one(l, 1, 3, 1));
	worker_link_free(l);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_whole_model_gives_the_same_bits_as_in_this_process),
	    cmocka_unit_test(threads_and_kernels_give_the_same_bits),
	    cmocka_unit_test(parts_give_the_same_bits_as_in_this_process),
	    cmocka_unit_test(
	        the_hashes_of_each_layer_are_those_of_what_a_donor_that_ends_there_gives),
	    cmocka_unit_test(layers_run_while_others_are_not_loaded_yet),
	    cmocka_unit_test(an_unknown_session_is_an_event_and_the_worker_goes_on),
	    cmocka_unit_test(closed_sessions_are_forgotten_and_make_room),
	    cmocka_unit_test(a_session_begins_with_what_another_holds),
	    cmocka_unit_test(no_more_sessions_are_held_than_agreed),
	    cmocka_unit_test(a_unit_that_fails_leaves_none_of_its_sessions_behind),
	    cmocka_unit_test(a_token_outside_the_vocabulary_fails_its_unit_alone),
	};

	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return trial_worker_main(argc, argv);
	return cmocka_run_group_tests(tests, trial_open_image, trial_close_image);
}
