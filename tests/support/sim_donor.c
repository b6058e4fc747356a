/* SPDX-License-Identifier: Apache-2.0 */
/* What a donor of the simulation does with its units. */
#include "tests/support/sim_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/work.h"
#include "protocol/messages.h"

static void spoil(struct sim_world *w, struct msg_result *r, uint8_t *payload, size_t *len)
{
	static const uint8_t nan[4] = {0, 0, 0xc0, 0x7f};

	uint32_t how = sim_below(w, 3);

	w->played->wrong++;
	switch (*len > 0 ? how : 0) { /* a prompt's part gives no logits: nothing there to spoil */
	case 0:
		r->cost.count++; /* allowed: a lie about the cost */
		break;
	case 1:
		*len -= 4;
		break;
	default:
		memcpy(payload, nan, sizeof nan);
		break;
	}
}

void sim_fail_head(struct sim_world *w, struct sim_donor *d, enum refusal reason)
{
	struct msg_unit_failed f = {.unit = d->queue[0].unit.unit, .reason = reason};

	sim_drop_unit(d);
	scheduler_unit_failed(w->scheduler, d->slot, &f, w->now_us, &w->actions);
}

/* A session that another is to begin with may end, or be given up, on the way of that one's unit.
 */
static bool begins_with_another(struct sim_world *w, const struct msg_work_unit *u)
{
	bool any = false;

	for (size_t i = 0; i < u->n_spans; i++)
		any = any || u->spans[i].from != 0;
	w->played->alike += any;
	return any;
}

/* What it hands over is lost at times, or is not what its result says. */
static void deliver(
    struct sim_world *w, const struct transfer *to, uint8_t *payload, size_t len, float wrong)
{
	uint8_t *sent;

	if (!w->calm && sim_chance(w, 2)) {
		w->played->not_handed++;
		return;
	}
	sent = malloc(len);
	assert_non_null(sent);
	memcpy(sent, payload, len);
	if (!w->calm && sim_chance(w, 1)) {
		memcpy(sent, &wrong, sizeof wrong);
		w->played->wrongly_handed++;
	}
	w->played->handed += sim_hand_over(w, &to->donor, to->ticket, (struct span){sent, len});
	free(sent);
}

static void hand_on_token(struct sim_world *w, const struct msg_work_unit *u, const uint8_t *row)
{
	uint32_t token = work_draw(u, row);
	uint8_t payload[4];

	assert_int_equal(u->n_spans, 1);
	payload_put_u32(payload, &token, 1);
	deliver(w, &u->next, payload, sizeof payload, 0); /* token 0 */
}

/* To the next donor directly, or at times to the pool after all. Returns the bytes for the pool. */
static size_t hand_on(struct sim_world *w, const struct msg_work_unit *u, struct msg_result *r,
    uint8_t *out, size_t len)
{
	if (u->next.ticket == 0)
		return len;
	if (u->draws) {
		hand_on_token(w, u, out);
		return len;
	}
	r->handed = !sim_chance(w, 5);
	if (!r->handed)
		return len;
	deliver(w, &u->next, out, len, 7.0f);
	return 0;
}

void sim_compute_head(struct sim_world *w, struct sim_donor *d)
{
	struct sim_unit *q = &d->queue[0];
	struct msg_result r;
	struct error why = {0};
	uint8_t *out;
	size_t len;
	bool lie = !w->calm && sim_chance(w, 1), alike;
	enum refusal refused;

	if (!sim_next_unit(d))
		return;
	if (q->stale || q->unit.assignment != d->assignment) {
		sim_fail_head(w, d, q->stale ? REFUSAL_SESSION : REFUSAL_ASSIGNMENT);
		return;
	}
	alike = begins_with_another(w, &q->unit);
	refused =
	    fake_donor_compute(&d->fake, &w->model->sizes, &q->unit, q->payload, &r, &out, &len);
	if (alike && refused == REFUSAL_SESSION) {
		w->played->alike_lost++;
		sim_fail_head(w, d, REFUSAL_SESSION);
		return;
	}
	assert_int_equal(refused, REFUSAL_NONE);
	r.has_input = q->unit.input.ticket != 0;
	r.input_hash = q->input;
	if (lie) {
		spoil(w, &r, out, &len);
	} else {
		len = hand_on(w, &q->unit, &r, out, len);
		w->bookable = r.unit;
	}
	sim_drop_unit(d);
	refused = scheduler_result(
	    w->scheduler, d->slot, &r, (struct span){out, len}, w->now_us, &w->actions, &why);
	assert_true(!lie || refused != REFUSAL_NONE);
	assert_true(lie || refused == REFUSAL_NONE || refused == REFUSAL_REPLAY);
	if (sim_chance(w, 5)) /* twice */
		assert_int_equal(scheduler_result(w->scheduler, d->slot, &r,
		                     (struct span){out, len}, w->now_us, &w->actions, &why),
		    REFUSAL_REPLAY);
	sim_carry_out(w);
	assert_true(refused != REFUSAL_NONE || w->bookable == 0);
	w->bookable = 0;
	free(out);
}
