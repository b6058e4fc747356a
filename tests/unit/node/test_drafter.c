/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/drafter.h"
#include "tests/support/tiny_model.h"

enum { PROMPT = 200, MOST = 4 };

static const struct draft_model_options options = {.kv = KV_F16, .max_tokens = 512, .threads = 1};

static char *path;
static struct drafter *drafter;
static uint32_t text[512];

static struct draft_job job_of(uint64_t session, uint32_t n_tokens)
{
	struct draft_job job = {.session = session,
	    .tokens = text,
	    .n_tokens = n_tokens,
	    .most = MOST,
	    .ignore_end = true};

	job.sampling = (struct sampler_settings){
	    .temperature = 0.8f, .top_p = 1.0f, .repeat_penalty = 1.0f, .seed = session};
	for (uint32_t i = 0; i < n_tokens; i++)
		text[i] = (uint32_t)(session * 37 + i * i) % 256;
	return job;
}

static bool ask(uint64_t session, uint32_t n_tokens)
{
	struct draft_job job = job_of(session, n_tokens);

	return drafter_ask(drafter, &job);
}

/* As the loop does: when the descriptor is readable. */
static struct drafted wait_for_one(void)
{
	struct pollfd p = {.fd = drafter_fd(drafter), .events = POLLIN};
	struct drafted out;

	while (!drafter_take(drafter, &out))
		assert_int_equal(poll(&p, 1, -1), 1);
	return out;
}

static void assert_right(const struct drafted *answer)
{
	struct draft_job job = job_of(answer->session, answer->at);
	uint32_t guesses[DRAFT_MAX], left;
	struct draft_model *m;

	assert_int_equal(draft_model_open(path, &options, &m, NULL), AYNI_OK);
	do
		assert_int_equal(draft_model_feed(m, &job, &left, NULL), AYNI_OK);
	while (left > 0);
	assert_int_equal(draft_model_guess(m, &job, guesses), answer->n);
	assert_memory_equal(guesses, answer->tokens, answer->n * sizeof *guesses);
	draft_model_free(m);
}

static void each_job_is_answered_once_and_as_the_model_says(void **state)
{
	bool answered[DRAFTER_JOBS + 1] = {false};
	struct drafted none;

	(void)state;
	for (uint64_t session = 1; session <= DRAFTER_JOBS; session++)
		assert_true(ask(session, session % 2 > 0 ? PROMPT : 20));
	for (int i = 0; i < DRAFTER_JOBS; i++) {
		struct drafted got = wait_for_one();

		assert_in_range(got.session, 1, DRAFTER_JOBS);
		assert_false(answered[got.session]);
		answered[got.session] = true;
		assert_int_equal(got.at, got.session % 2 > 0 ? PROMPT : 20);
		assert_int_equal(got.n, MOST);
		if (got.session <= 4)
			assert_right(&got);
	}
	assert_false(drafter_take(drafter, &none));
}

static void more_jobs_than_it_can_keep_are_refused(void **state)
{
	uint64_t session = 1;

	(void)state;
	while (session <= DRAFTER_JOBS && ask(session, PROMPT))
		session++;
	assert_int_equal(session, DRAFTER_JOBS + 1);
	assert_false(ask(session, PROMPT)); /* whatever is answered by now is not taken yet */
	(void)wait_for_one();
	assert_true(ask(session, PROMPT));
}

static void a_text_that_does_not_suit_the_model_gets_no_guesses(void **state)
{
	struct draft_job job = job_of(1, 20);
	struct drafted got;

	(void)state;
	text[3] = TINY_MODEL_VOCABULARY;
	assert_true(drafter_ask(drafter, &job));
	got = wait_for_one();
	assert_int_equal(got.session, 1);
	assert_int_equal(got.n, 0);
	assert_true(ask(1, 20));
	got = wait_for_one();
	assert_int_equal(got.n, MOST);
}

static void a_session_that_ended_gets_no_answer(void **state)
{
	struct drafted got;

	(void)state;
	for (uint64_t session = 1; session <= 10; session++)
		assert_true(ask(session, PROMPT));
	for (uint64_t session = 1; session < 10; session++)
		drafter_forget(drafter, session); /* waiting, being computed, or answered */
	got = wait_for_one();
	assert_int_equal(got.session, 10);
	assert_false(drafter_take(drafter, &got));
}

static void more_sessions_may_end_than_can_be_named(void **state)
{
	struct drafted got;

	(void)state;
	assert_true(ask(1, PROMPT));
	got = wait_for_one();
	for (uint64_t session = 2; session < 1000; session++)
		drafter_forget(drafter, session);
	assert_true(ask(1, PROMPT));
	got = wait_for_one();
	assert_int_equal(got.session, 1);
	assert_right(&got);
}

static void it_can_be_stopped_with_work_left(void **state)
{
	(void)state;
	for (uint64_t session = 1; session <= 20; session++)
		assert_true(ask(session, PROMPT));
}

static int set_up(void **state)
{
	struct draft_model *m;

	(void)state;
	if (draft_model_open(path, &options, &m, NULL) != AYNI_OK)
		return -1;
	return drafter_new(m, &drafter, NULL) == AYNI_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	drafter_free(drafter);
	return 0;
}

static int write_model(void **state)
{
	(void)state;
	path = tiny_model_temporary(NULL);
	return 0;
}

static int remove_model(void **state)
{
	(void)state;
	tiny_model_remove(path);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_job_is_answered_once_and_as_the_model_says),
	    TEST(more_jobs_than_it_can_keep_are_refused),
	    TEST(a_text_that_does_not_suit_the_model_gets_no_guesses),
	    TEST(a_session_that_ended_gets_no_answer),
	    TEST(more_sessions_may_end_than_can_be_named),
	    TEST(it_can_be_stopped_with_work_left),
	};

	return cmocka_run_group_tests(tests, write_model, remove_model);
}
