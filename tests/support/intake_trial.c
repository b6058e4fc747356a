/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/intake_trial.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/kv.h"

const struct intake_assignment intake_whole = {.number = NUMBER,
    .model = {{1, 2, 3}},
    .layers = {0, LAYERS},
    .n_layers = LAYERS,
    .d_model = WIDTH,
    .n_vocabulary = VOCABULARY,
    .kv_tokens = CONTEXT,
    .max_sessions = SESSIONS * KV_PAGE_TOKENS / CONTEXT};

struct intake_assignment intake_trial_part(uint32_t first, uint32_t last)
{
	struct intake_assignment a = intake_whole;

	a.layers = (struct layer_range){first, last};
	return a;
}

int intake_trial_set_up(void **state)
{
	struct intake_trial *f = calloc(1, sizeof *f);

	assert_non_null(f);
	assert_int_equal(intake_new(&f->intake, NULL), AYNI_OK);
	intake_assign(f->intake, &intake_whole);
	*state = f;
	return 0;
}

int intake_trial_tear_down(void **state)
{
	struct intake_trial *f = *state;

	intake_free(f->intake);
	free(f);
	return 0;
}

struct intake_unit *intake_trial_begin(
    struct intake_trial *f, struct intake_unit *unit, const struct intake_assignment *a)
{
	memset(unit, 0, sizeof *unit);
	unit->u = (struct msg_work_unit){.unit = ++f->last_unit,
	    .assignment = a->number,
	    .model = a->model,
	    .layer_first = a->layers.first,
	    .layer_last = a->layers.last,
	    .spans = unit->spans,
	    .closed = unit->closed};
	return unit;
}

void intake_trial_add(
    struct intake_unit *unit, uint64_t session, uint32_t position, uint32_t n_tokens)
{
	unit->spans[unit->u.n_spans++] = (struct unit_span){session, position, n_tokens, 0, 0, 0};
	unit->u.n_tokens += n_tokens;
	unit->payload_bytes += (size_t)n_tokens * (unit->u.layer_first == 0 ? 1 : WIDTH) * 4;
}

void intake_trial_close(struct intake_unit *unit, uint64_t session)
{
	assert_true(unit->u.n_closed < MAX_CLOSED);
	unit->closed[unit->u.n_closed++] = session;
}

static enum refusal admit(struct intake_trial *f, const struct intake_unit *unit, struct error *why)
{
	static const uint8_t payload[LIMIT_UNIT_TOKENS * WIDTH * 4 + 4];

	return intake_admit(f->intake, &unit->u, (struct span){payload, unit->payload_bytes}, why);
}

void intake_trial_assert_admitted(struct intake_trial *f, const struct intake_unit *unit)
{
	struct error why = {0};

	if (admit(f, unit, &why) != REFUSAL_NONE)
		fail_msg("%s", why.text);
}

void intake_trial_assert_refused(
    struct intake_trial *f, const struct intake_unit *unit, enum refusal reason, const char *words)
{
	uint32_t queued = intake_queued(f->intake), sessions = intake_sessions(f->intake);
	struct error why = {0};

	assert_int_equal(admit(f, unit, &why), reason);
	assert_string_equal(why.text, words);
	assert_int_equal(intake_queued(f->intake), queued);
	assert_int_equal(intake_sessions(f->intake), sessions);
}

struct intake_unit *intake_trial_one(struct intake_trial *f, struct intake_unit *unit,
    uint64_t session, uint32_t position, uint32_t n_tokens)
{
	intake_trial_add(intake_trial_begin(f, unit, &intake_whole), session, position, n_tokens);
	return unit;
}

void intake_trial_run(
    struct intake_trial *f, uint64_t session, uint32_t position, uint32_t n_tokens)
{
	struct intake_unit unit;

	intake_trial_assert_admitted(f, intake_trial_one(f, &unit, session, position, n_tokens));
	intake_done(f->intake, &unit.u, false);
}
