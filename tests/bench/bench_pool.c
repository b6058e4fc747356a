/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool under load, on one machine: two donors of one core each beside one process with one core,
 * many streams at once, what a stage costs beside its computing, and what guessing gains.
 * tests/bench/README.md has figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/client.h"
#include "node/cli/local.h"
#include "node/loop.h"
#include "tests/support/network.h"
#include "tests/support/pool_bench.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wan.h"

enum {
	PROMPT = 16, /* tokens */
	STREAMS = 16,
	ANSWER = 32,
	LONG_ANSWER = 128, /* to guess in */
	MAX_TOKENS = STREAMS * LONG_ANSWER,
	ROUNDS = 7
};

static const struct sampler_settings drawing = {
    .temperature = 0.8f, .top_p = 1.0f, .repeat_penalty = 1.0f, .seed = 1};
/* Below 1 the penalty favours what was said already. */
static const struct sampler_settings repeating = {
    .top_p = 1.0f, .repeat_penalty = 0.8f, .repeat_last_n = 64};

static struct scratch folder;
static char model_path[1100];

/* ---- the pool ---------------------------------------------------------------------------------
 */

static void start_pool(struct network *n, const char *model, const char *draft)
{
	network_start(n, model,
	    (const char *const[]){"stages=2", "kv_tokens=512", "max_sessions=16", draft, "keep_s=0",
	        "heartbeat_ms=1000", "log=debug", NULL});
	(void)setenv("AYNI_HOME", n->folder, 1);
}

static void start_donor(struct network *n, int i, const char *invite)
{
	network_donor(
	    n, i, invite, (const char *const[]){"memory_mib=2048", "cores=1", "log=warning", NULL});
}

static void start(struct network *n, const char *model, const char *draft)
{
	start_pool(n, model, draft);
	start_donor(n, 0, NULL);
	start_donor(n, 1, NULL);
	network_wait_ready(n);
}

/* Tokens of all streams, and when each was there. */
struct streams {
	size_t n;
	double began_us, at_us[MAX_TOKENS];
	uint32_t tokens[MAX_TOKENS];
	uint64_t guessed, right;
};

/* `text`, or if that is NULL some tokens. */
static void ask(struct client *c, uint64_t request, uint32_t n_answer, const char *text,
    const struct sampler_settings *s)
{
	struct message m = {.type = MSG_GENERATE};
	uint32_t prompt[PROMPT];

	for (uint32_t i = 0; i < PROMPT; i++)
		prompt[i] = (uint32_t)(request * 31 + i * 7) % 256;
	m.generate = (struct msg_generate){.request = request,
	    .prompt = (char *)text,
	    .n_tokens = text != NULL ? 0 : PROMPT,
	    .tokens = prompt,
	    .max_tokens = n_answer,
	    .ignore_end = true,
	    .sampling = {.temperature = s->temperature,
	        .top_p = s->top_p,
	        .repeat_penalty = s->repeat_penalty,
	        .repeat_last_n = s->repeat_last_n,
	        .seed = s->seed}};
	assert_int_equal(client_send(c, &m, NULL), AYNI_OK);
}

static void take(struct streams *out, const struct message *m)
{
	if (m->type == MSG_FINISHED) {
		if (m->finished.reason != FINISH_LENGTH)
			fail_msg("%s", m->finished.text);
		out->guessed += m->finished.guessed;
		out->right += m->finished.guessed_right;
		return;
	}
	for (size_t i = 0; m->type == MSG_PIECE && i < m->piece.n_tokens; i++) {
		assert_true(out->n < MAX_TOKENS);
		out->at_us[out->n] = (double)loop_now_us();
		out->tokens[out->n++] = m->piece.tokens[i];
	}
}

/* So many answers at once. */
static void run(const struct network *n, uint32_t n_streams, uint32_t n_answer, const char *text,
    const struct sampler_settings *s, struct streams *out)
{
	struct client *c;
	struct error err = {0};

	*out = (struct streams){0};
	assert_int_equal(client_open(n->invite, 10000, &c, NULL), AYNI_OK);
	out->began_us = (double)loop_now_us();
	for (uint32_t i = 0; i < n_streams; i++)
		ask(c, i + 1, n_answer, text, s);
	for (uint32_t left = n_streams; left > 0;) {
		const struct message *m;

		if (client_receive(c, 60000, &m, &err) != AYNI_OK)
			fail_msg("%s", err.text);
		take(out, m);
		left -= m->type == MSG_FINISHED;
	}
	client_free(c);
}

/* From the first token to the last. */
static double tokens_a_second(const struct streams *s)
{
	return (double)(s->n - 1) * 1e6 / (s->at_us[s->n - 1] - s->at_us[0]);
}

/* ---- one stream -------------------------------------------------------------------------------
 */

static double decode_here(struct local *l)
{
	uint32_t history[PROMPT + ANSWER];
	float *row = calloc(local_sizes(l)->n_vocabulary, sizeof *row);
	double first_us = 0;

	assert_non_null(row);
	for (uint32_t i = 0; i < PROMPT; i++)
		history[i] = (31 + i * 7) % 256;
	local_rewind(l);
	assert_int_equal(local_feed(l, history, PROMPT, row, 1, NULL), AYNI_OK);
	for (uint32_t i = 0; i < ANSWER; i++) {
		uint32_t *next = &history[PROMPT + i];

		*next = local_draw(l, &drawing, row, history, PROMPT + i);
		first_us = i == 0 ? (double)loop_now_us() : first_us;
		assert_int_equal(local_feed(l, next, 1, row, 1, NULL), AYNI_OK);
	}
	free(row);
	return ANSWER * 1e6 / ((double)loop_now_us() - first_us);
}

static void one_stream_beside_one_process_with_one_core(void **unused)
{
	const struct local_options options = {.threads = 1};
	static struct streams there;
	double ratios[ROUNDS];
	struct network n;
	struct local *l;

	(void)unused;
	start(&n, model_path, "draft_tokens=0");
	assert_int_equal(local_open(model_path, &options, &l, NULL), AYNI_OK);
	for (int i = -1; i < ROUNDS; i++) { /* the first warms up */
		double here = decode_here(l);

		run(&n, 1, ANSWER, NULL, &drawing, &there);
		if (i >= 0)
			ratios[i] = tokens_a_second(&there) / here;
	}
	printf("1 stream through 2 donors of one core: %.1f %% of one process with one core "
	       "(quarters %.1f, %.1f)\n",
	    median(ratios, ROUNDS) * 100, quantile(ratios, ROUNDS, 0.25) * 100,
	    quantile(ratios, ROUNDS, 0.75) * 100);
	local_free(l);
	network_stop(&n);
}

/* ---- many streams -----------------------------------------------------------------------------
 */

static void both_stages_are_busy_with_many_streams(void **unused)
{
	static struct streams there;
	struct unit_log log;
	struct network n;
	double computed_us[2] = {0}, all_us, tokens = 0;

	(void)unused;
	start(&n, model_path, "draft_tokens=0");
	run(&n, STREAMS, LONG_ANSWER, NULL, &drawing, &there);
	unit_log_read(&n, &log);
	all_us = there.at_us[there.n - 1] - there.began_us;
	for (size_t i = 0; i < log.n; i++) {
		computed_us[log.records[i].layer_first > 0] += log.records[i].compute_us;
		tokens += log.records[i].tokens;
	}
	printf("%d streams: %.1f tokens/s; stages busy %.1f and %.1f %% of the time; %.1f tokens "
	       "a unit\n",
	    STREAMS, tokens_a_second(&there), computed_us[0] / all_us * 100,
	    computed_us[1] / all_us * 100, tokens / (double)log.n);
	unit_log_free(&log);
	network_stop(&n);
}

/* ---- a stage ----------------------------------------------------------------------------------
 */

static void what_a_stage_costs_beside_its_computing(void **unused)
{
	const struct tiny_model_options options = {.type = TENSOR_Q8_0,
	    .n_layers = 2,
	    .d_model = 4096,
	    .d_ff = 64,
	    .n_heads = 32,
	    .n_kv_heads = 2,
	    .context_tokens = 512};
	static struct streams there;
	static double beside_us[2 * LONG_ANSWER];
	char *path = tiny_model_temporary(&options);
	struct unit_log log;
	struct network n;
	size_t n_units = 0;

	(void)unused;
	start(&n, path, "draft_tokens=0");
	run(&n, 1, LONG_ANSWER, NULL, &drawing, &there);
	unit_log_read(&n, &log);
	for (size_t i = 0; i < log.n; i++) {
		const struct unit_record *r = &log.records[i];

		if (r->tokens == 1)
			beside_us[n_units++] = r->away_us - r->compute_us;
	}
	printf("a stage of a token of d 4096: %.2f ms beside its computing (quarters %.2f, %.2f)\n",
	    median(beside_us, n_units) / 1e3, quantile(beside_us, n_units, 0.25) / 1e3,
	    quantile(beside_us, n_units, 0.75) / 1e3);
	unit_log_free(&log);
	network_stop(&n);
	tiny_model_remove(path);
}

/* ---- the Internet -----------------------------------------------------------------------------
 */

/* Both donors 10 ms from the pool: 20 ms there and back. */
static void start_far(struct network *n, const char *model, const char *draft, struct wan *lines[2])
{
	char pool[NETWORK_PATH];

	start_pool(n, model, draft);
	network_endpoint(n, pool);
	for (int i = 0; i < 2; i++) {
		char invite[NETWORK_PATH];

		lines[i] = wan_start(&(struct wan_options){.to = pool, .delay_us = 10000});
		network_invite_through(n, wan_endpoint(lines[i]), invite);
		start_donor(n, i, invite);
	}
	network_wait_ready(n);
}

/* Milliseconds a token takes beside its computing. */
static double beside_ms(const struct network *n, const struct streams *s)
{
	struct unit_log log;
	double computed_us = 0;

	unit_log_read(n, &log);
	for (size_t i = 0; i < log.n; i++)
		computed_us += log.records[i].compute_us;
	unit_log_free(&log);
	return (s->at_us[s->n - 1] - s->began_us - computed_us) / (double)s->n / 1e3;
}

/* A small model, so that the way is nearly all there is; its likeliest tokens soon repeat
 * themselves. */
static void run_far(const char *draft, struct streams *out, double *ms)
{
	const struct tiny_model_options options = {.n_layers = 4, .seed = 7};
	char *path = tiny_model_temporary(&options);
	struct wan *lines[2];
	struct network n;

	start_far(&n, path, draft, lines);
	run(&n, 1, LONG_ANSWER, "hello", &repeating, out);
	*ms = beside_ms(&n, out);
	network_stop(&n);
	wan_stop(lines[0]);
	wan_stop(lines[1]);
	tiny_model_remove(path);
}

static void two_stages_of_20_ms_there_and_back(void **unused)
{
	static struct streams plain, guessed;
	double plain_ms, guessed_ms;

	(void)unused;
	run_far("draft_tokens=0", &plain, &plain_ms);
	run_far("draft_tokens=16", &guessed, &guessed_ms);
	assert_memory_equal(plain.tokens, guessed.tokens, sizeof plain.tokens);
	printf("2 stages, each 20 ms there and back: %.1f ms a token beside its computing\n",
	    plain_ms);
	printf("guessing on text that repeats itself: %.2f times the speed, %llu of %llu guesses "
	       "right\n",
	    tokens_a_second(&guessed) / tokens_a_second(&plain), (unsigned long long)guessed.right,
	    (unsigned long long)guessed.guessed);
}

static int write_model(void **unused)
{
	(void)unused;
	scratch_make(&folder);
	(void)snprintf(model_path, sizeof model_path, "%s", scratch_path(&folder, "model.gguf"));
	pool_bench_model(model_path);
	return 0;
}

static int remove_model(void **unused)
{
	(void)unused;
	scratch_remove(&folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_stream_beside_one_process_with_one_core),
	    cmocka_unit_test(both_stages_are_busy_with_many_streams),
	    cmocka_unit_test(what_a_stage_costs_beside_its_computing),
	    cmocka_unit_test(two_stages_of_20_ms_there_and_back),
	};

	return cmocka_run_group_tests(tests, write_model, remove_model);
}
