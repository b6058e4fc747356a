/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors of very different speed that run a model which fits none of them, and what a fifth, slow
 * one changes for a single stream: before it comes, while it is there, and after it left.
 * tests/bench/README.md has figures.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/answer.h"
#include "tests/support/network.h"
#include "tests/support/pool_bench.h"
#include "tests/support/scratch.h"
#include "tests/support/throttle.h"

enum { DONORS = 4, SLOW = DONORS, PROMPT = 16, ANSWER = 20, ROUNDS = 5 };

/* Of a core; the last is the slow one that comes later. */
static const unsigned percents[DONORS + 1] = {100, 60, 35, 20, 10};

static struct scratch folder;

/* With memory for a third of the model's weights. Waits until it holds layers, so that the next one
 * measures its speed while nobody else does anything. */
static void start_donor(struct network *n, struct throttle *t, int i)
{
	network_donor(
	    n, i, NULL, (const char *const[]){"memory_mib=256", "cores=1", "log=warning", NULL});
	throttle_add(t, n->donors[i], percents[i]);
	network_wait_donors(n, (unsigned)i + 1);
}

static void stop_donor(struct network *n, struct throttle *t, int i)
{
	throttle_release(t, n->donors[i]);
	(void)kill(n->donors[i], SIGTERM);
	assert_int_equal(network_wait_end(n->donors[i]), 0);
	n->donors[i] = 0;
}

/* Tokens a second of one answer, from its first token to its last. */
static double answer_speed(struct client *c)
{
	uint32_t prompt[PROMPT];
	struct msg_generate g = {.request = 1,
	    .n_tokens = PROMPT,
	    .tokens = prompt,
	    .max_tokens = ANSWER,
	    .ignore_end = true,
	    .sampling = {.temperature = 0.9f, .top_p = 1, .repeat_penalty = 1, .seed = 7}};
	struct error err = {0};
	struct answer a;
	double speed;

	for (uint32_t i = 0; i < PROMPT; i++)
		prompt[i] = i * 7 % 256;
	if (answer_get(c, &g, NULL, NULL, NULL, &a, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	speed = (double)(a.n_tokens - 1) * 1e6 / (double)a.finished.decode_us;
	answer_free(&a);
	return speed;
}

static double measure(const struct network *n, const char *when)
{
	double speeds[ROUNDS];
	struct client *c;
	double m;

	assert_int_equal(client_open(n->invite, 10000, &c, NULL), AYNI_OK);
	(void)answer_speed(c); /* warms up */
	for (int i = 0; i < ROUNDS; i++)
		speeds[i] = answer_speed(c);
	client_free(c);
	m = median(speeds, ROUNDS);
	printf("%s: %.2f tokens/s (quarters %.2f, %.2f)\n", when, m, quantile(speeds, ROUNDS, 0.25),
	    quantile(speeds, ROUNDS, 0.75));
	return m;
}

static void print_status(const struct network *n)
{
	static char out[NETWORK_OUTPUT];

	assert_int_equal(network_run(n, (const char *const[]){"status", "--pool", n->invite, NULL},
	                     NULL, out, NULL),
	    0);
	printf("%s", out);
}

static void a_slow_fifth_donor_beside_four(void **unused)
{
	struct throttle *t = throttle_start();
	double before, beside, after;
	struct network n;

	(void)unused;
	network_start(&n, scratch_path(&folder, "model.gguf"),
	    (const char *const[]){"kv_tokens=256", "max_sessions=2", "keep_s=0", "recheck=none",
	        "draft_tokens=0", "heartbeat_ms=1000", "log=debug", NULL});
	(void)setenv("AYNI_HOME", n.folder, 1);
	for (int i = 0; i < DONORS; i++)
		start_donor(&n, t, i);
	network_wait_ready(&n);
	before = measure(&n, "4 donors");
	start_donor(&n, t, SLOW);
	print_status(&n);
	beside = measure(&n, "and a slow fifth");
	stop_donor(&n, t, SLOW);
	after = measure(&n, "the 4 again");
	printf(
	    "with the fifth: %.1f %% of the speed without it\n", beside * 200 / (before + after));
	throttle_stop(t);
	network_stop(&n);
}

static int write_model(void **unused)
{
	(void)unused;
	scratch_make(&folder);
	pool_bench_model(scratch_path(&folder, "model.gguf"));
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_slow_fifth_donor_beside_four)};

	return cmocka_run_group_tests(tests, write_model, remove_model);
}
