/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to share a model: one stream through two donors with half of the layers each,
 * against the same model in one process. All on this machine, real processes over loopback, two
 * threads wherever something is computed; the shape is Llama-3.2-1B's, the weights are Q4_0. Rounds
 * of both alternate and draw the same tokens. The goal is at least 90 % of the speed.
 *
 * Other work on the machine disturbs both. So each round is compared with its neighbour alone, who
 * goes first changes from pair to pair, and the median of the pairs is the result. Best rounds, and
 * the fastest tenth of tokens, were tried and vary more: the memory's speed drifts between them.
 *
 * The pool's log says of each unit how long it was away, and how much of that the donor computed;
 * the rest of a token's time is the pool's. All of it as medians over single tokens. What a way
 * consists of is measured apart, by bench_transport.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/cli/answer.h"
#include "node/cli/local.h"
#include "node/loop.h"
#include "tests/support/network.h"
#include "tests/support/pool_bench.h"
#include "tests/support/scratch.h"

enum {
	THREADS = 2,
	N_LAYERS = 16,
	PROMPT = 16, /* tokens */
	ANSWER = 16, /* few, and many rounds: machines have moods of seconds */
	ROUNDS = 21,
	GAPS = ANSWER - 1, /* from token to token */
	ALL_TOKENS = ROUNDS * GAPS,
	N_DONORS = 2
};

static const struct sampler_settings settings = {
    .temperature = 0.8f, .top_p = 1.0f, .repeat_penalty = 1.0f, .seed = 1};

static uint32_t prompt[PROMPT];

/* Tokens of an answer, and when each was there. */
struct decoded {
	uint32_t tokens[ANSWER];
	uint64_t at_us[ANSWER];
	size_t n;
};

static void take(struct decoded *d, uint32_t token)
{
	assert_true(d->n < ANSWER);
	d->at_us[d->n] = loop_now_us();
	d->tokens[d->n++] = token;
}

/* Of one side: each round's mean, and each token. */
struct times {
	size_t n;
	double round_us[ROUNDS], token_us[ALL_TOKENS];
};

static void add_round(struct times *t, const struct decoded *d)
{
	assert_int_equal(d->n, ANSWER);
	assert_true(t->n < ROUNDS);
	for (size_t i = 0; i < GAPS; i++)
		t->token_us[t->n * GAPS + i] = (double)(d->at_us[i + 1] - d->at_us[i]);
	t->round_us[t->n++] = (double)(d->at_us[GAPS] - d->at_us[0]) / GAPS;
}

/* ---- one process ---------------------------------------------------------------------------- */

static void decode_here(struct local *l, struct decoded *out)
{
	uint32_t history[PROMPT + ANSWER];
	float *row = calloc(local_sizes(l)->n_vocabulary, sizeof *row);

	assert_non_null(row);
	*out = (struct decoded){0};
	memcpy(history, prompt, sizeof prompt);
	local_rewind(l);
	assert_int_equal(local_feed(l, prompt, PROMPT, row, 1, NULL), AYNI_OK);
	while (out->n < ANSWER) {
		uint32_t *next = &history[PROMPT + out->n];

		*next = local_draw(l, &settings, row, history, PROMPT + out->n);
		take(out, *next);
		assert_int_equal(local_feed(l, next, 1, row, 1, NULL), AYNI_OK);
	}
	free(row);
}

/* ---- the pool ------------------------------------------------------------------------------- */

static void on_piece(void *context, const struct msg_piece *piece)
{
	for (size_t i = 0; i < piece->n_tokens; i++)
		take(context, piece->tokens[i]);
}

static void decode_there(const char *invite, struct decoded *out)
{
	const struct msg_generate g = {.request = 1,
	    .n_tokens = PROMPT,
	    .tokens = prompt,
	    .max_tokens = ANSWER,
	    .ignore_end = true,
	    .sampling = {.temperature = settings.temperature,
	        .top_p = settings.top_p,
	        .repeat_penalty = settings.repeat_penalty,
	        .seed = settings.seed}};
	struct client *c;
	struct answer a;
	struct error err = {0};

	*out = (struct decoded){0};
	assert_int_equal(client_open(invite, 10000, &c, NULL), AYNI_OK);
	if (answer_get(c, &g, on_piece, out, NULL, &a, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	answer_free(&a);
	client_free(c);
}

static void start(struct network *n, const char *model)
{
	network_start(n, model,
	    (const char *const[]){"stages=2", "kv_tokens=1024", "max_sessions=4",
	        "heartbeat_ms=1000", "draft_tokens=0", "recheck=none", "log=debug", NULL});
	for (int i = 0; i < N_DONORS; i++)
		network_donor(
		    n, i, NULL, (const char *const[]){"memory_mib=2048", "cores=2", NULL});
	network_wait_ready(n);
}

/* ---- where the time goes -------------------------------------------------------------------- */

/* Of each unit of one token. */
struct stage {
	size_t n;
	double compute_us[GAPS + ALL_TOKENS], way_us[GAPS + ALL_TOKENS];
};

static void read_stages(const struct network *n, struct stage stages[N_DONORS])
{
	struct unit_log log;

	unit_log_read(n, &log);
	for (size_t i = 0; i < log.n; i++) {
		const struct unit_record *r = &log.records[i];
		struct stage *s = &stages[r->layer_first == 0 ? 0 : 1];

		if (r->tokens != 1)
			continue;
		assert_true(s->n < sizeof s->way_us / sizeof s->way_us[0]);
		s->compute_us[s->n] = r->compute_us;
		s->way_us[s->n++] = r->away_us - r->compute_us;
	}
	for (int i = 0; i < N_DONORS; i++)
		assert_int_equal(stages[i].n, GAPS + ALL_TOKENS);
	unit_log_free(&log);
}

/* What is left of each token's time beside its units; the log has the warm-up's units first. */
static double median_left_us(const struct times *there, const struct stage stages[N_DONORS])
{
	static double left_us[ALL_TOKENS];

	for (size_t i = 0; i < ALL_TOKENS; i++) {
		left_us[i] = there->token_us[i];
		for (int k = 0; k < N_DONORS; k++)
			left_us[i] -= stages[k].compute_us[GAPS + i] + stages[k].way_us[GAPS + i];
	}
	return median(left_us, ALL_TOKENS);
}

static void print_stages(const struct network *n, struct times *here, struct times *there)
{
	static struct stage stages[N_DONORS];
	double left_us;

	read_stages(n, stages);
	left_us = median_left_us(there, stages);
	printf("a token takes %.2f ms in one process, %.2f ms with two donors, of which\n",
	    median(here->token_us, ALL_TOKENS) / 1e3, median(there->token_us, ALL_TOKENS) / 1e3);
	for (int i = 0; i < N_DONORS; i++) {
		struct stage *s = &stages[i];

		printf("  stage %d: computed %6.2f ms, on the way and checked %.2f ms\n", i,
		    median(s->compute_us, s->n) / 1e3, median(s->way_us, s->n) / 1e3);
	}
	printf("  at the pool and the member %.2f ms\n", left_us / 1e3);
}

static void print_ratio(struct times *here, struct times *there)
{
	double ratios[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++)
		ratios[i] = here->round_us[i] / there->round_us[i];
	printf("one process %.2f tokens/s, two donors %.2f tokens/s; of %d rounds of %d tokens the "
	       "median is %.1f %% of one process's speed (quarters %.1f, %.1f)\n",
	    1e6 / median(here->round_us, ROUNDS), 1e6 / median(there->round_us, ROUNDS), ROUNDS,
	    ANSWER, median(ratios, ROUNDS) * 100.0, quantile(ratios, ROUNDS, 0.25) * 100.0,
	    quantile(ratios, ROUNDS, 0.75) * 100.0);
}

static void decode_both(struct local *l, const char *invite, bool here_first, struct decoded *here,
    struct decoded *there)
{
	if (here_first)
		decode_here(l, here);
	decode_there(invite, there);
	if (!here_first)
		decode_here(l, here);
	assert_memory_equal(here->tokens, there->tokens, sizeof here->tokens);
}

static void one_stream_through_two_donors(void **unused)
{
	const struct local_options options = {.threads = THREADS};
	static struct times here_times, there_times;
	static struct decoded here, there;
	struct scratch folder;
	struct network n;
	struct local *l;
	char path[1100];

	(void)unused;
	for (uint32_t i = 0; i < PROMPT; i++)
		prompt[i] = 1000 + 97 * i;
	scratch_make(&folder);
	(void)snprintf(path, sizeof path, "%s", scratch_path(&folder, "model.gguf"));
	pool_bench_model(path);
	start(&n, path);
	(void)setenv("AYNI_HOME", n.folder, 1);
	assert_int_equal(local_open(path, &options, &l, NULL), AYNI_OK);
	decode_both(l, n.invite, true, &here, &there); /* warms up */
	for (int i = 0; i < ROUNDS; i++) {
		decode_both(l, n.invite, i % 2 == 0, &here, &there);
		add_round(&here_times, &here);
		add_round(&there_times, &there);
	}
	print_stages(&n, &here_times, &there_times);
	print_ratio(&here_times, &there_times);
	local_free(l);
	network_stop(&n);
	scratch_remove(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_stream_through_two_donors)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
