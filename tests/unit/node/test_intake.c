/* SPDX-License-Identifier: Apache-2.0 */
/* Which units a donor admits: each refusal by its reason, and what sessions reach meanwhile. */
#include "node/donor/intake.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
	NUMBER = 5, /* of the assignment */
	LAYERS = 8,
	WIDTH = 64,
	VOCABULARY = 1000,
	CONTEXT = 128,
	SESSIONS = 4,
	MAX_CLOSED = 16
};

/* ---- an intake and units for it ------------------------------------------------------------- */

struct fixture {
	struct intake *intake;
	uint64_t last_unit; /* number of the last unit made */
};

/* A unit with room for all that a test may put in. */
struct unit {
	struct msg_work_unit u;
	struct unit_span spans[LIMIT_UNIT_SPANS];
	uint64_t closed[MAX_CLOSED];
	size_t payload_bytes;
};

static const struct intake_assignment whole = {.number = NUMBER,
    .model = {{1, 2, 3}},
    .layers = {0, LAYERS},
    .n_layers = LAYERS,
    .d_model = WIDTH,
    .n_vocabulary = VOCABULARY,
    .kv_tokens = CONTEXT,
    .max_sessions = SESSIONS};

static struct intake_assignment part(uint32_t first, uint32_t last)
{
	struct intake_assignment a = whole;

	a.layers = (struct layer_range){first, last};
	return a;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	assert_int_equal(intake_new(&f->intake, NULL), AYNI_OK);
	intake_assign(f->intake, &whole);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	intake_free(f->intake);
	free(f);
	return 0;
}

/* The next unit by number, without sessions. */
static struct unit *unit_begin(
    struct fixture *f, struct unit *unit, const struct intake_assignment *a)
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

static void add(struct unit *unit, uint64_t session, uint32_t position, uint32_t n_tokens)
{
	unit->spans[unit->u.n_spans++] = (struct unit_span){session, position, n_tokens, 0};
	unit->u.n_tokens += n_tokens;
	unit->payload_bytes += (size_t)n_tokens * (unit->u.layer_first == 0 ? 1 : WIDTH) * 4;
}

static void close_session(struct unit *unit, uint64_t session)
{
	assert_true(unit->u.n_closed < MAX_CLOSED);
	unit->closed[unit->u.n_closed++] = session;
}

static enum refusal admit(struct fixture *f, const struct unit *unit, struct error *why)
{
	static const uint8_t payload[LIMIT_UNIT_TOKENS * WIDTH * 4 + 4];

	return intake_admit(f->intake, &unit->u, (struct span){payload, unit->payload_bytes}, why);
}

static void assert_admitted(struct fixture *f, const struct unit *unit)
{
	struct error why = {0};

	if (admit(f, unit, &why) != REFUSAL_NONE)
		fail_msg("%s", why.text);
}

/* Refused for this reason, with words, and as if it had not come. */
static void assert_refused(
    struct fixture *f, const struct unit *unit, enum refusal reason, const char *words)
{
	uint32_t queued = intake_queued(f->intake), sessions = intake_sessions(f->intake);
	struct error why = {0};

	assert_int_equal(admit(f, unit, &why), reason);
	assert_string_equal(why.text, words);
	assert_int_equal(intake_queued(f->intake), queued);
	assert_int_equal(intake_sessions(f->intake), sessions);
}

/* One session's tokens in a unit of their own, which is not done yet. */
static struct unit *one(
    struct fixture *f, struct unit *unit, uint64_t session, uint32_t position, uint32_t n_tokens)
{
	add(unit_begin(f, unit, &whole), session, position, n_tokens);
	return unit;
}

static void run(struct fixture *f, uint64_t session, uint32_t position, uint32_t n_tokens)
{
	struct unit unit;

	assert_admitted(f, one(f, &unit, session, position, n_tokens));
	intake_done(f->intake, &unit.u, false);
}

#define NOT_REACHED       "the session does not reach that position here"
#define PAST_CONTEXT      "a session past its context"
#define NO_ASSIGNMENT     "no such assignment here, or not ready"
#define WRONG_SIZE        "the payload's size does not fit the tokens"
#define TOO_MANY_SESSIONS "more sessions than were agreed"
#define NO_LOGITS         "logits that these layers cannot give"
#define REPLAYED          "a unit of this or a higher number was here before"

/* ---- numbers and assignment ----------------------------------------------------------------- */

static void admits_a_unit_and_counts_it_until_it_is_done(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	assert_int_equal(intake_queued(f->intake), 0);
	assert_admitted(f, one(f, &unit, 1, 0, 10));
	assert_int_equal(intake_queued(f->intake), 1);
	assert_int_equal(intake_sessions(f->intake), 1);
	intake_done(f->intake, &unit.u, false);
	assert_int_equal(intake_queued(f->intake), 0);
	assert_int_equal(intake_sessions(f->intake), 1);
}

static void refuses_a_unit_number_that_was_here_and_any_below(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	f->last_unit = 40;
	run(f, 1, 0, 1);
	one(f, &unit, 1, 1, 1);
	unit.u.unit = 41;
	assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
	unit.u.unit = 7;
	assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
	unit.u.unit = 0;
	assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
	unit.u.unit = 42;
	assert_admitted(f, &unit);
	assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
}

static void a_refused_unit_does_not_use_up_its_number(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 3, 1);
	assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	unit.spans[0].position = 0;
	assert_admitted(f, &unit);
}

static void a_new_assignment_does_not_admit_old_numbers(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, 1);
	intake_unassign(f->intake);
	intake_assign(f->intake, &whole);
	one(f, &unit, 1, 0, 1);
	unit.u.unit = 1;
	assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
}

static void refuses_work_that_was_not_assigned(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 0, 1);
	unit.u.assignment = NUMBER + 1;
	assert_refused(f, &unit, REFUSAL_ASSIGNMENT, NO_ASSIGNMENT);
	unit.u.assignment = NUMBER;
	intake_unassign(f->intake);
	assert_refused(f, &unit, REFUSAL_ASSIGNMENT, NO_ASSIGNMENT);
}

static void refuses_any_work_before_an_assignment_even_for_number_0(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 0, 1);
	unit.u.assignment = 0;
	intake_unassign(f->intake);
	assert_refused(f, &unit, REFUSAL_ASSIGNMENT, NO_ASSIGNMENT);
}

static void refuses_another_model_than_the_assigned_one(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 0, 1);
	unit.u.model.bytes[HASH_BYTES - 1] ^= 1;
	assert_refused(f, &unit, REFUSAL_ASSIGNMENT, "another model than the assigned one");
}

static void refuses_other_layers_than_the_assigned_ones(void **state)
{
	static const struct layer_range wrong[] = {{0, LAYERS - 1}, {1, LAYERS}, {0, LAYERS + 1},
	    {LAYERS, 0}, {0, 0}, {UINT32_MAX, UINT32_MAX}};
	struct fixture *f = *state;
	struct unit unit;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		one(f, &unit, 1, 0, 1);
		unit.u.layer_first = wrong[i].first;
		unit.u.layer_last = wrong[i].last;
		assert_refused(f, &unit, REFUSAL_ASSIGNMENT, "other layers than the assigned ones");
	}
}

static void refuses_work_once_it_is_leaving(void **state)
{
	struct fixture *f = *state;
	struct unit before, after;

	assert_admitted(f, one(f, &before, 1, 0, 1));
	intake_leave(f->intake);
	assert_refused(f, one(f, &after, 1, 1, 1), REFUSAL_LEAVING, "the donor is leaving");
	intake_done(f->intake, &before.u, false); /* what was admitted is finished */
	intake_assign(f->intake, &whole);
	assert_refused(f, &after, REFUSAL_LEAVING, "the donor is leaving");
}

static void refuses_more_units_than_the_queue_holds(void **state)
{
	struct fixture *f = *state;
	struct unit first, unit;

	assert_admitted(f, one(f, &first, 1, 0, 1));
	for (uint32_t i = 1; i < INTAKE_MAX_QUEUE; i++)
		assert_admitted(f, one(f, &unit, 1, i, 1));
	one(f, &unit, 1, INTAKE_MAX_QUEUE, 1);
	assert_refused(f, &unit, REFUSAL_BUSY, "the queue is full");
	intake_done(f->intake, &first.u, false);
	assert_admitted(f, &unit);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void refuses_units_without_tokens_or_sessions_or_with_too_many(void **state)
{
	static const char words[] = "too many tokens or sessions, or none";
	struct fixture *f = *state;
	struct unit unit;

	assert_refused(f, unit_begin(f, &unit, &whole), REFUSAL_BOUNDS, words);
	one(f, &unit, 1, 0, 1);
	unit.u.n_spans = 0;
	assert_refused(f, &unit, REFUSAL_BOUNDS, words);
	unit.u.n_spans = LIMIT_UNIT_SPANS + 1;
	assert_refused(f, &unit, REFUSAL_BOUNDS, words);
	one(f, &unit, 1, 0, LIMIT_UNIT_TOKENS + 1);
	assert_refused(f, &unit, REFUSAL_BOUNDS, words);
}

static void refuses_a_payload_whose_size_does_not_fit_the_tokens(void **state)
{
	static const size_t wrong[] = {0, 39, 41, 44, 10 * WIDTH * 4};
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 0, 10);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		unit.payload_bytes = wrong[i];
		assert_refused(f, &unit, REFUSAL_BOUNDS, WRONG_SIZE);
	}
	unit.payload_bytes = 40;
	assert_admitted(f, &unit);
}

static void later_stages_take_activations_instead_of_tokens(void **state)
{
	struct intake_assignment middle = part(2, 5);
	struct fixture *f = *state;
	struct unit unit;

	intake_assign(f->intake, &middle);
	add(unit_begin(f, &unit, &middle), 1, 0, 10);
	unit.payload_bytes = 40;
	assert_refused(f, &unit, REFUSAL_BOUNDS, WRONG_SIZE);
	unit.payload_bytes = 10 * WIDTH * 4;
	assert_admitted(f, &unit);
}

static void refuses_a_session_without_tokens_or_past_its_context(void **state)
{
	static const struct unit_span wrong[] = {{1, 0, 0, 0}, {1, CONTEXT, 1, 0},
	    {1, 0, CONTEXT + 1, 0}, {1, CONTEXT - 1, 2, 0}, {1, UINT32_MAX, 1, 0}};
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, CONTEXT);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		one(f, &unit, 1, wrong[i].position, wrong[i].n_tokens);
		if (wrong[i].n_tokens == 0)
			add(&unit, 2, 0, 1); /* the unit as a whole is not empty */
		assert_refused(f, &unit, REFUSAL_BOUNDS, PAST_CONTEXT);
	}
	run(f, 1, CONTEXT - 1, 1);
}

static void refuses_a_span_whose_end_wraps_around(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 1, 1);
	unit.spans[0].n_tokens = UINT32_MAX; /* 1 + this is 0 */
	assert_refused(f, &unit, REFUSAL_BOUNDS, PAST_CONTEXT);
}

static void refuses_more_rows_of_logits_than_tokens(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 0, 3);
	unit.u.top = 1;
	unit.u.n_logits = unit.spans[0].n_logits = 4;
	assert_refused(f, &unit, REFUSAL_BOUNDS, PAST_CONTEXT);
	unit.u.n_logits = unit.spans[0].n_logits = 3;
	assert_admitted(f, &unit);
}

static void refuses_logits_where_the_layers_do_not_end_the_model(void **state)
{
	struct intake_assignment first = part(0, 5);
	struct fixture *f = *state;
	struct unit unit;

	intake_assign(f->intake, &first);
	add(unit_begin(f, &unit, &first), 1, 0, 1);
	unit.u.top = 1;
	unit.u.n_logits = unit.spans[0].n_logits = 1;
	assert_refused(f, &unit, REFUSAL_BOUNDS, NO_LOGITS);
	unit.u.n_logits = unit.spans[0].n_logits = 0;
	assert_admitted(f, &unit);
}

static void refuses_rows_of_no_logits_or_of_more_than_the_vocabulary(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	one(f, &unit, 1, 0, 1);
	unit.u.n_logits = unit.spans[0].n_logits = 1;
	unit.u.top = 0;
	assert_refused(f, &unit, REFUSAL_BOUNDS, NO_LOGITS);
	unit.u.top = VOCABULARY + 1;
	assert_refused(f, &unit, REFUSAL_BOUNDS, NO_LOGITS);
	unit.u.top = VOCABULARY;
	assert_admitted(f, &unit);
}

static void refuses_more_logits_than_a_result_may_hold(void **state)
{
	struct intake_assignment large = whole;
	struct fixture *f = *state;
	struct unit unit;

	large.n_vocabulary = LIMIT_VOCABULARY;
	intake_assign(f->intake, &large);
	one(f, &unit, 1, 0, 8);
	unit.u.n_logits = unit.spans[0].n_logits = 8;
	unit.u.top = LIMIT_VOCABULARY; /* 8 x (4 + 8 x 2^20) is 32 past 64 MiB */
	assert_refused(f, &unit, REFUSAL_BOUNDS, "more logits than a result may hold");
	unit.u.top = LIMIT_VOCABULARY - 1;
	assert_admitted(f, &unit);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void refuses_an_unknown_session_past_position_0(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, 5);
	assert_refused(f, one(f, &unit, 2, 1, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void refuses_a_position_past_what_is_held(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, 5);
	assert_refused(f, one(f, &unit, 1, 6, 1), REFUSAL_SESSION, NOT_REACHED);
	run(f, 1, 5, 1);
}

static void sessions_go_on_over_units_that_are_queued(void **state)
{
	struct fixture *f = *state;
	struct unit a, b, c;

	assert_admitted(f, one(f, &a, 1, 0, 5));
	assert_admitted(f, one(f, &b, 1, 5, 3));
	assert_refused(f, one(f, &c, 1, 9, 1), REFUSAL_SESSION, NOT_REACHED);
	assert_admitted(f, one(f, &c, 1, 8, 1));
	assert_int_equal(intake_queued(f->intake), 3);
	assert_int_equal(intake_sessions(f->intake), 1);
}

static void a_session_that_went_back_holds_no_more_than_that(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, 20);
	run(f, 1, 4, 2);
	assert_refused(f, one(f, &unit, 1, 7, 1), REFUSAL_SESSION, NOT_REACHED);
	run(f, 1, 6, 1);
	run(f, 1, 0, 1); /* begun anew */
	assert_refused(f, one(f, &unit, 1, 2, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void refuses_a_session_that_comes_twice_in_a_unit(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	unit_begin(f, &unit, &whole);
	add(&unit, 1, 0, 2);
	add(&unit, 2, 0, 2);
	add(&unit, 1, 2, 2);
	assert_refused(f, &unit, REFUSAL_BOUNDS, "one session twice in a unit");
}

static void refuses_more_sessions_than_were_agreed(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	unit_begin(f, &unit, &whole);
	for (uint64_t s = 0; s <= SESSIONS; s++)
		add(&unit, s, 0, 1);
	assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	for (uint64_t s = 0; s < SESSIONS; s++)
		run(f, s, 0, 1);
	assert_refused(f, one(f, &unit, 99, 0, 1), REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	run(f, 0, 1, 1); /* those that are held go on */
}

static void a_closed_session_makes_room_for_another_in_the_same_unit(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		run(f, s, 0, 3);
	one(f, &unit, 99, 0, 1);
	close_session(&unit, 2);
	assert_admitted(f, &unit);
	assert_int_equal(intake_sessions(f->intake), SESSIONS);
	assert_refused(f, one(f, &unit, 2, 3, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void a_session_closed_several_times_makes_room_once(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		run(f, s, 0, 3);
	unit_begin(f, &unit, &whole);
	for (uint64_t s = 0; s < SESSIONS; s++) {
		add(&unit, 100 + s, 0, 1);
		close_session(&unit, 2);
	}
	assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	one(f, &unit, 99, 0, 1); /* nor is the count below none */
	for (uint64_t s = 0; s < SESSIONS + 2; s++)
		close_session(&unit, 2);
	assert_admitted(f, &unit);
}

static void closing_what_is_not_held_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		run(f, s, 0, 1);
	one(f, &unit, 99, 0, 1);
	close_session(&unit, 77);
	assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
}

static void a_session_closed_and_reopened_in_a_unit_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		run(f, s, 0, 10);
	one(f, &unit, 1, 10, 1);
	close_session(&unit, 1);
	assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	one(f, &unit, 1, 0, 2);
	close_session(&unit, 1);
	assert_admitted(f, &unit);
	assert_int_equal(intake_sessions(f->intake), SESSIONS);
	assert_refused(f, one(f, &unit, 1, 3, 1), REFUSAL_SESSION, NOT_REACHED);
	assert_admitted(f, one(f, &unit, 1, 2, 1));
}

static void a_refused_unit_closes_nothing(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, 3);
	one(f, &unit, 2, 7, 1);
	close_session(&unit, 1);
	assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	run(f, 1, 3, 1);
}

static void a_failed_unit_forgets_its_sessions_and_no_others(void **state)
{
	struct fixture *f = *state;
	struct unit unit, other;

	run(f, 1, 0, 3);
	run(f, 2, 0, 3);
	unit_begin(f, &unit, &whole);
	add(&unit, 2, 3, 1);
	add(&unit, 3, 0, 1);
	assert_admitted(f, &unit);
	intake_done(f->intake, &unit.u, true);
	assert_int_equal(intake_sessions(f->intake), 1);
	assert_refused(f, one(f, &other, 2, 3, 1), REFUSAL_SESSION, NOT_REACHED);
	assert_refused(f, one(f, &other, 3, 1, 1), REFUSAL_SESSION, NOT_REACHED);
	run(f, 1, 3, 1);
	run(f, 2, 0, 4);
}

static void assigning_and_unassigning_forget_all_sessions(void **state)
{
	struct fixture *f = *state;
	struct unit unit;

	run(f, 1, 0, 3);
	intake_assign(f->intake, &whole);
	assert_int_equal(intake_sessions(f->intake), 0);
	assert_refused(f, one(f, &unit, 1, 3, 1), REFUSAL_SESSION, NOT_REACHED);
	run(f, 1, 0, 3);
	intake_unassign(f->intake);
	assert_int_equal(intake_sessions(f->intake), 0);
}

static void units_of_an_assignment_that_ended_may_still_be_done(void **state)
{
	struct fixture *f = *state;
	struct unit a, b;

	assert_admitted(f, one(f, &a, 1, 0, 3));
	assert_admitted(f, one(f, &b, 1, 3, 1));
	intake_unassign(f->intake);
	intake_done(f->intake, &a.u, true);
	intake_done(f->intake, &b.u, true);
	assert_int_equal(intake_queued(f->intake), 0);
}

static void takes_as_many_sessions_in_a_unit_as_the_limit(void **state)
{
	struct intake_assignment many = whole;
	struct fixture *f = *state;
	struct unit unit;

	many.max_sessions = LIMIT_UNIT_SPANS;
	intake_assign(f->intake, &many);
	unit_begin(f, &unit, &whole);
	for (uint64_t s = 0; s < LIMIT_UNIT_SPANS; s++)
		add(&unit, s * UINT64_C(0x9e3779b97f4a7c15), 0, 2);
	assert_admitted(f, &unit);
	assert_int_equal(intake_sessions(f->intake), LIMIT_UNIT_SPANS);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(admits_a_unit_and_counts_it_until_it_is_done),
	    TEST(refuses_a_unit_number_that_was_here_and_any_below),
	    TEST(a_refused_unit_does_not_use_up_its_number),
	    TEST(a_new_assignment_does_not_admit_old_numbers),
	    TEST(refuses_work_that_was_not_assigned),
	    TEST(refuses_any_work_before_an_assignment_even_for_number_0),
	    TEST(refuses_another_model_than_the_assigned_one),
	    TEST(refuses_other_layers_than_the_assigned_ones),
	    TEST(refuses_work_once_it_is_leaving),
	    TEST(refuses_more_units_than_the_queue_holds),
	    TEST(refuses_units_without_tokens_or_sessions_or_with_too_many),
	    TEST(refuses_a_payload_whose_size_does_not_fit_the_tokens),
	    TEST(later_stages_take_activations_instead_of_tokens),
	    TEST(refuses_a_session_without_tokens_or_past_its_context),
	    TEST(refuses_a_span_whose_end_wraps_around),
	    TEST(refuses_more_rows_of_logits_than_tokens),
	    TEST(refuses_logits_where_the_layers_do_not_end_the_model),
	    TEST(refuses_rows_of_no_logits_or_of_more_than_the_vocabulary),
	    TEST(refuses_more_logits_than_a_result_may_hold),
	    TEST(refuses_an_unknown_session_past_position_0),
	    TEST(refuses_a_position_past_what_is_held),
	    TEST(sessions_go_on_over_units_that_are_queued),
	    TEST(a_session_that_went_back_holds_no_more_than_that),
	    TEST(refuses_a_session_that_comes_twice_in_a_unit),
	    TEST(refuses_more_sessions_than_were_agreed),
	    TEST(a_closed_session_makes_room_for_another_in_the_same_unit),
	    TEST(a_session_closed_several_times_makes_room_once),
	    TEST(closing_what_is_not_held_changes_nothing),
	    TEST(a_session_closed_and_reopened_in_a_unit_begins_anew),
	    TEST(a_refused_unit_closes_nothing),
	    TEST(a_failed_unit_forgets_its_sessions_and_no_others),
	    TEST(assigning_and_unassigning_forget_all_sessions),
	    TEST(units_of_an_assignment_that_ended_may_still_be_done),
	    TEST(takes_as_many_sessions_in_a_unit_as_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
