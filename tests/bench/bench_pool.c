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

#include "node/cli/local.h"
#include "node/client.h"
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
/* Below 1 the penalty favours what was said already; no donor can draw so, without the text. */
static const struct sampler_settings repeating = {
    .top_p = 1.0f, .repeat_penalty = 0.8f, .repeat_last_n = 64};

static struct scratch folder;
static char model_path[1100];

/* ---- the pool ---------------------------------------------------------------------------------
 */

/* With `draft_model`, a file, unless that is "". */
static void start_pool(
    struct network *n, const char *model, const char *draft, const char *draft_model)
{
	char drafter[NETWORK_PATH];

	(void)snprintf(drafter, sizeof drafter, "draft_model=%s", draft_model);
	network_start(n, model,
	    (const char *const[]){"stages=2", "kv_tokens=512", "max_sessions=16", draft, drafter,
	        "keep_s=0", "heartbeat_ms=1000", "log=debug", NULL});
	(void)setenv("AYNI_HOME", n->folder, 1);
}

static void start_donor(
    struct network *n, int i, const char *invite, const char *listen, const char *announce)
{
	network_donor(n, i, invite,
	    (const char *const[]){
	        "memory_mib=2048", "cores=1", "log=warning", listen, announce, NULL});
}

static void start(struct network *n, const char *model, const char *draft)
{
	start_pool(n, model, draft, "");
	start_donor(n, 0, NULL, "listen=auto", "announce=");
	start_donor(n, 1, NULL, "listen=auto", "announce=");
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

/* Both donors 10 ms from the pool and from each other: 20 ms there and back. */
struct lines {
	struct wan *to_pool[2], *to_donor[2];
};

static struct wan *far(const char *to)
{
	return wan_start(&(struct wan_options){.to = to, .delay_us = 10000});
}

static void start_far_donor(struct network *n, int i, bool direct, struct lines *l)
{
	char pool[NETWORK_PATH], invite[NETWORK_PATH], at[64], listen[64], announce[NETWORK_PATH];
	unsigned port = network_free_port();

	network_endpoint(n, pool);
	l->to_pool[i] = far(pool);
	network_invite_through(n, wan_endpoint(l->to_pool[i]), invite);
	(void)snprintf(at, sizeof at, "tcp://127.0.0.1:%u", port);
	l->to_donor[i] = far(at);
	(void)snprintf(listen, sizeof listen, "listen=127.0.0.1:%u", port);
	(void)snprintf(announce, sizeof announce, "announce=%s",
	    wan_endpoint(l->to_donor[i]) + strlen("tcp://"));
	start_donor(n, i, invite, direct ? listen : "listen=none", direct ? announce : "announce=");
}

/* How a far network is tried. */
struct far_trial {
	bool direct; /* from donor to donor */
	const char *draft;
	int drafter; /* 1: the model guesses for itself; -1: another guesses, wrongly; 0: none */
	const struct sampler_settings *sampling;
};

static void start_far(
    struct network *n, const char *model, const struct far_trial *t, struct lines *l)
{
	const struct tiny_model_options options = {.n_layers = 2, .seed = 8};
	char *other = tiny_model_temporary(&options);

	start_pool(n, model, t->draft, t->drafter > 0 ? model : t->drafter < 0 ? other : "");
	for (int i = 0; i < 2; i++)
		start_far_donor(n, i, t->direct, l);
	network_wait_ready(n);
	tiny_model_remove(other);
}

static void stop_far(struct network *n, struct lines *l)
{
	network_stop(n);
	for (int i = 0; i < 2; i++) {
		wan_stop(l->to_pool[i]);
		wan_stop(l->to_donor[i]);
	}
}

static double computed_us(const struct network *n)
{
	struct unit_log log;
	double us = 0;

	unit_log_read(n, &log);
	for (size_t i = 0; i < log.n; i++)
		us += log.records[i].compute_us;
	unit_log_free(&log);
	return us;
}

/* A small model, so that the way is nearly all there is. Milliseconds a token takes beside its
 * computing. */
static double run_far(const struct far_trial *t, struct streams *out)
{
	const struct tiny_model_options options = {.n_layers = 4, .seed = 7};
	char *path = tiny_model_temporary(&options);
	struct lines lines;
	struct network n;
	double us;

	start_far(&n, path, t, &lines);
	run(&n, 1, 1, "hello", t->sampling, out);
	if (t->direct) /* they got to know each other */
		network_wait_status(&n, "\"direct\":true");
	us = computed_us(&n);
	run(&n, 1, LONG_ANSWER, "hello", t->sampling, out);
	us = out->at_us[out->n - 1] - out->began_us - (computed_us(&n) - us);
	stop_far(&n, &lines);
	tiny_model_remove(path);
	return us / (double)out->n / 1e3;
}

static void two_stages_of_20_ms_there_and_back(void **unused)
{
	static struct streams around, direct, plain, guessed;
	double around_ms =
	    run_far(&(struct far_trial){false, "draft_tokens=0", 0, &drawing}, &around);
	double direct_ms =
	    run_far(&(struct far_trial){true, "draft_tokens=0", 0, &drawing}, &direct);
	double plain_ms =
	    run_far(&(struct far_trial){true, "draft_tokens=0", 0, &repeating}, &plain);

	(void)unused;
	(void)run_far(&(struct far_trial){true, "draft_tokens=16", 0, &repeating}, &guessed);
	assert_memory_equal(around.tokens, direct.tokens, sizeof direct.tokens);
	assert_memory_equal(plain.tokens, guessed.tokens, sizeof plain.tokens);
	printf("2 stages, each way 20 ms there and back, beside computing a token: %.1f ms from "
	       "donor to donor, %.1f through the pool, %.1f where only the pool can draw\n",
	    direct_ms, around_ms, plain_ms);
	printf("guessing on text that repeats itself: %.2f times the speed of donor to donor, "
	       "%llu of %llu guesses right\n",
	    tokens_a_second(&guessed) / tokens_a_second(&direct), (unsigned long long)guessed.right,
	    (unsigned long long)guessed.guessed);
}

/* The best that a draft model can be: it is the model itself. */
static void a_draft_model_at_20_ms_there_and_back(void **unused)
{
	static struct streams without, with, vainly;

	(void)unused;
	for (int direct = 0; direct <= 1; direct++) {
		(void)run_far(
		    &(struct far_trial){direct, "draft_tokens=16", 0, &drawing}, &without);
		(void)run_far(&(struct far_trial){direct, "draft_tokens=16", 1, &drawing}, &with);
		(void)run_far(
		    &(struct far_trial){direct, "draft_tokens=16", -1, &drawing}, &vainly);
		assert_memory_equal(with.tokens, without.tokens, sizeof with.tokens);
		assert_memory_equal(vainly.tokens, without.tokens, sizeof vainly.tokens);
		printf("a draft model, 2 stages at 20 ms %s: %.1f tokens/s instead of %.1f, %.2f "
		       "times; %llu of %llu guesses right\n",
		    direct ? "from donor to donor" : "through the pool", tokens_a_second(&with),
		    tokens_a_second(&without), tokens_a_second(&with) / tokens_a_second(&without),
		    (unsigned long long)with.right, (unsigned long long)with.guessed);
		printf("one that is of no use: %.2f times; %llu of %llu guesses right\n",
		    tokens_a_second(&vainly) / tokens_a_second(&without),
		    (unsigned long long)vainly.right, (unsigned long long)vainly.guessed);
	}
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
	    cmocka_unit_test(a_draft_model_at_20_ms_there_and_back),
	};

	return cmocka_run_group_tests(tests, write_model, remove_model);
}
