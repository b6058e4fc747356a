/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scheduler_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

struct scheduler_trial play;

static struct scratch scratch;
static struct identity *publisher;
static struct catalog *catalog;
static uint64_t n_sessions;

int scheduler_trial_set_up_model(void **state)
{
	struct tiny_model_options o = {.n_layers = 4, .d_model = 16, .d_ff = 16, .n_heads = 2};
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_path(&scratch, "tiny.gguf");
	if (tiny_model_write(path, &o) != 0 || identity_generate(&publisher, NULL) != AYNI_OK ||
	    catalog_new(&catalog, NULL) != AYNI_OK ||
	    catalog_add(catalog, path, publisher, &(struct catalog_kv){KV_TOKENS, KV_F16}, NULL) !=
	        AYNI_OK)
		return -1;
	play.model = catalog_at(catalog, 0);
	return 0;
}

int scheduler_trial_tear_down_model(void **state)
{
	(void)state;
	catalog_free(catalog);
	identity_free(publisher);
	scratch_remove(&scratch);
	return 0;
}

int scheduler_trial_set_up(void **state)
{
	struct scheduler_limits limits = {.max_sessions = 4,
	    .max_waiting = 2,
	    .wait_us = WAIT_US,
	    .unit_timeout_us = TIMEOUT_US,
	    .first_unit = 100,
	    .trails = true};

	(void)state;
	n_sessions = 0;
	if (roster_new(&play.roster, NULL) != AYNI_OK)
		return -1;
	return scheduler_new(catalog, play.roster, &limits, &play.scheduler, NULL);
}

void play_clear(void)
{
	for (size_t i = 0; i < play.actions.n; i++) {
		if (play.actions.list[i].kind == ACTION_FINISH)
			session_free(play.actions.list[i].finish.session);
	}
	actions_clear(&play.actions);
}

int scheduler_trial_tear_down(void **state)
{
	(void)state;
	play_clear();
	actions_free(&play.actions);
	for (size_t i = 0; i < MAX_DONORS; i++)
		fake_donor_forget(&play.fakes[i]);
	scheduler_free(play.scheduler);
	roster_free(play.roster);
	return 0;
}

int play_ready(uint32_t first, uint32_t last, uint32_t pages)
{
	int slot = roster_slots(play.roster);
	struct public_key key = {{(uint8_t)(slot + 1)}};
	struct msg_offer offer = {0};
	struct donor_assignment a = {
	    .number = (uint64_t)slot + 1, .layers = {first, last}, .pages = pages};

	assert_int_equal(roster_join(play.roster, &key, "d", 1, 1, &slot), AYNI_OK);
	assert_int_equal(roster_offer(play.roster, slot, &offer), AYNI_OK);
	assert_int_equal(roster_assign(play.roster, slot, &a), AYNI_OK);
	assert_int_equal(roster_progress(play.roster, slot, a.number, PROGRESS_READY, 0), AYNI_OK);
	play.fakes[slot].layers = a.layers;
	play.fakes[slot].pages = pages;
	return slot;
}

int play_submit(uint32_t n_prompt, uint32_t max_tokens)
{
	uint64_t number = ++n_sessions;
	struct session_request r = {.id = number,
	    .peer = PEER,
	    .request = number,
	    .n_tokens = n_prompt,
	    .kv_tokens = KV_TOKENS,
	    .n_vocabulary = play.model->sizes.n_vocabulary,
	    .max_tokens = max_tokens,
	    .ignore_end = true};

	sampler_defaults(&r.sampling);
	r.tokens = calloc(n_prompt > 0 ? n_prompt : 1, sizeof *r.tokens);
	assert_non_null(r.tokens);
	for (uint32_t i = 0; i < n_prompt; i++)
		r.tokens[i] = (uint32_t)(number * 16 + i) % 256;
	return scheduler_submit(play.scheduler, &r, 1, &play.err);
}

void play_run(uint64_t now_us)
{
	scheduler_run(play.scheduler, now_us, &play.actions);
}

const struct action *play_nth(enum action_kind kind, size_t n)
{
	for (size_t i = 0; i < play.actions.n; i++) {
		if (play.actions.list[i].kind == kind && n-- == 0)
			return &play.actions.list[i];
	}
	return NULL;
}

size_t play_count(enum action_kind kind)
{
	size_t n = 0;

	while (play_nth(kind, n) != NULL)
		n++;
	return n;
}

struct taken play_take(size_t n)
{
	struct action *a = (struct action *)play_nth(ACTION_UNIT, n);
	struct taken t;

	assert_non_null(a);
	t = (struct taken){a->unit.donor, a->unit.unit, a->unit.payload};
	a->unit.unit.spans = NULL;
	a->unit.unit.closed = NULL;
	a->unit.payload = NULL;
	return t;
}

void play_drop(struct taken *t)
{
	free(t->unit.spans);
	free(t->unit.closed);
	free(t->payload);
}

enum refusal play_answer(struct taken *t, uint64_t lie)
{
	struct msg_result r;
	uint8_t *out;
	size_t len;
	enum refusal refused;

	assert_int_equal(fake_donor_compute(&play.fakes[t->donor], &play.model->sizes, &t->unit,
	                     t->payload, &r, &out, &len),
	    REFUSAL_NONE);
	assert_int_equal(flop_from(flop_count(r.cost) + lie, &r.cost), AYNI_OK);
	refused = scheduler_result(
	    play.scheduler, t->donor, &r, (struct span){out, len}, 2, &play.actions, &play.err);
	free(out);
	play_drop(t);
	return refused;
}

void play_give_up(struct taken *t, enum refusal reason)
{
	struct msg_unit_failed f = {.unit = t->unit.unit, .reason = reason};

	scheduler_unit_failed(play.scheduler, t->donor, &f, 2, &play.actions);
	play_drop(t);
}
