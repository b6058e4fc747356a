/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/crowd.h"

#include <malloc.h>
#include <stdlib.h>

#include <setjmp.h> /* cmocka.h wants it first */
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/tiny_model.h"

enum { LAYERS = 2, MEMBER = 1 };

void crowd_open(struct crowd *c, uint32_t max_sessions, uint32_t max_waiting)
{
	const struct tiny_model_options o = {.n_layers = LAYERS,
	    .d_model = 16,
	    .d_ff = 16,
	    .n_heads = 2,
	    .context_tokens = CROWD_KV_TOKENS};
	const struct scheduler_limits limits = {.max_sessions = max_sessions,
	    .max_waiting = max_waiting,
	    .wait_us = 60000000,
	    .unit_timeout_us = 60000000,
	    .first_unit = 1};
	const char *path;

	*c = (struct crowd){0};
	scratch_make(&c->folder);
	path = scratch_path(&c->folder, "tiny.gguf");
	assert_int_equal(tiny_model_write(path, &o), 0);
	assert_int_equal(identity_generate(&c->publisher, NULL), AYNI_OK);
	assert_int_equal(catalog_new(&c->catalog, NULL), AYNI_OK);
	assert_int_equal(catalog_add(c->catalog, path, c->publisher,
	                     &(struct catalog_kv){CROWD_KV_TOKENS, KV_F16}, NULL),
	    AYNI_OK);
	assert_int_equal(roster_new(&c->roster, NULL), AYNI_OK);
	assert_int_equal(
	    scheduler_new(c->catalog, c->roster, &limits, &c->scheduler, NULL), AYNI_OK);
}

/* The ends of answers are counted, and their sessions freed as the pool's loop does. */
static void forget(struct crowd *c, struct actions *q)
{
	for (size_t i = 0; i < q->n; i++) {
		if (q->list[i].kind != ACTION_FINISH)
			continue;
		c->ended[q->list[i].finish.reason]++;
		session_free(q->list[i].finish.session);
	}
	actions_clear(q);
}

void crowd_close(struct crowd *c)
{
	fake_donor_forget(&c->donor);
	scheduler_free(c->scheduler);
	roster_free(c->roster);
	catalog_free(c->catalog);
	identity_free(c->publisher);
	scratch_remove(&c->folder);
}

void crowd_donor(struct crowd *c, uint32_t n_sessions)
{
	const struct public_key key = {{1}};
	const struct msg_offer offer = {0};
	const struct donor_assignment a = {.number = 1, .layers = {0, LAYERS}, .pages = n_sessions};
	int slot;

	assert_int_equal(roster_join(c->roster, &key, "d", 1, 1, &slot), AYNI_OK);
	assert_int_equal(roster_offer(c->roster, slot, &offer), AYNI_OK);
	assert_int_equal(roster_assign(c->roster, slot, &a), AYNI_OK);
	assert_int_equal(roster_progress(c->roster, slot, a.number, PROGRESS_READY, 0), AYNI_OK);
	c->donor.layers = a.layers;
	c->donor.pages = a.pages;
}

int crowd_submit(struct crowd *c, struct error *err)
{
	uint64_t number = ++c->submitted;
	struct session_request r = {.id = number,
	    .peer = MEMBER,
	    .request = number,
	    .n_tokens = CROWD_PROMPT,
	    .kv_tokens = CROWD_KV_TOKENS,
	    .n_vocabulary = catalog_at(c->catalog, 0)->sizes.n_vocabulary,
	    .max_tokens = 1,
	    .ignore_end = true};

	sampler_defaults(&r.sampling);
	r.tokens = calloc(CROWD_PROMPT, sizeof *r.tokens);
	assert_non_null(r.tokens);
	for (uint32_t i = 0; i < CROWD_PROMPT; i++)
		r.tokens[i] = (uint32_t)(number * 16 + i) % 256;
	return scheduler_submit(c->scheduler, &r, c->now_us, err);
}

/* The donor computes a unit, and the scheduler hears of it. */
static void compute(struct crowd *c, const struct action_unit *a)
{
	const struct model_sizes *sizes = &catalog_at(c->catalog, 0)->sizes;
	struct actions q = {0};
	struct error err = {0};
	struct msg_result r;
	uint8_t *out;
	size_t len;

	assert_int_equal(fake_donor_compute(&c->donor, sizes, &a->unit, a->payload, &r, &out, &len),
	    REFUSAL_NONE);
	if (scheduler_result(c->scheduler, a->donor, &r, (struct span){out, len}, c->now_us, &q,
	        &err) != REFUSAL_NONE)
		fail_msg("%s", err.text);
	free(out);
	forget(c, &q);
	actions_free(&q);
}

void crowd_run(struct crowd *c, bool answered)
{
	struct actions q = {0};

	c->now_us += 1000;
	scheduler_run(c->scheduler, c->now_us, &q);
	for (size_t i = 0; answered && i < q.n; i++) {
		if (q.list[i].kind == ACTION_UNIT)
			compute(c, &q.list[i].unit);
	}
	forget(c, &q);
	actions_free(&q);
}

void crowd_serve(struct crowd *c)
{
	do
		crowd_run(c, true);
	while (binding_sessions(c->scheduler) > 0);
}

void crowd_give_up(struct crowd *c)
{
	struct actions q = {0};

	scheduler_cancel(c->scheduler, MEMBER, NULL, &q);
	forget(c, &q);
	actions_free(&q);
}

size_t crowd_heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}
