/* SPDX-License-Identifier: Apache-2.0 */
/* What the donors of the simulation stood for, computed once more by others. */
#include "tests/support/sim_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"

enum { MAX_STAGES = FAKE_MAX_LAYERS, ONE_IN = 4 /* sessions: it takes as long as their answers */ };

/* One stage's part of a span: its result takes the input's place. */
static void replay_stage(const struct sim_world *w, const struct trail *t,
    const struct trail_span *span, uint32_t stage, struct fake_donor *fake, uint8_t **payload)
{
	const struct model_sizes *m = &w->model->sizes;
	bool last = stage + 1 == t->n_stages;
	struct unit_span one = {.session = 1,
	    .position = span->position,
	    .n_tokens = span->n_tokens,
	    .n_logits = last ? span->n_logits : 0,
	    .wire = t->wire};
	struct msg_work_unit u = {.layer_first = t->stages[stage].layers.first,
	    .layer_last = t->stages[stage].layers.last,
	    .n_spans = 1,
	    .spans = &one,
	    .n_tokens = one.n_tokens,
	    .n_logits = one.n_logits,
	    .top = last ? span->top : 0};
	size_t n = trail_parts(t, span, u.layer_last - 1), len;
	struct msg_result r;
	uint8_t *out;

	assert_int_equal(fake_donor_compute(fake, m, &u, *payload, &r, &out, &len), REFUSAL_NONE);
	free(*payload);
	*payload = out;
	assert_int_equal(r.n_parts, n > 1 ? n : 0);
	if (r.n_layer_hashes > 0)
		assert_memory_equal(trail_after(t, span, u.layer_first), r.layer_hashes,
		    r.n_layer_hashes * sizeof *r.layer_hashes);
	if (n > 0)
		assert_memory_equal(trail_after(t, span, u.layer_last - 1),
		    n > 1 ? r.parts : &r.handed_hash, n * sizeof *r.parts);
}

static void replay(struct sim_world *w, const struct trail *t)
{
	struct fake_donor *fakes = calloc(MAX_STAGES, sizeof *fakes);

	assert_non_null(fakes);
	assert_true(t->n_stages <= MAX_STAGES);
	for (uint32_t i = 0; i < t->n_spans; i++) {
		const struct trail_span *span = &t->spans[i];
		uint8_t *payload = calloc(span->n_tokens, 4);

		assert_non_null(payload);
		payload_put_u32(payload, t->tokens + span->first_token, span->n_tokens);
		for (uint32_t k = 0; k < t->n_stages; k++) {
			fakes[k].layers = t->stages[k].layers;
			fakes[k].pages = UINT32_MAX;
			replay_stage(w, t, span, k, &fakes[k], &payload);
		}
		free(payload);
	}
	for (uint32_t k = 0; k < t->n_stages; k++)
		fake_donor_forget(&fakes[k]);
	free(fakes);
}

void sim_check_trails(struct sim_world *w)
{
	struct trail *t;

	while ((t = scheduler_take_trail(w->scheduler)) != NULL) {
		assert_int_equal(t->n_missed, 0);
		if (t->session % ONE_IN == 0) {
			replay(w, t);
			w->played->traced += t->n_spans - t->n_inherited;
			w->played->inherited += t->n_inherited;
		}
		trail_release(t);
	}
}
