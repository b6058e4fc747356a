/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that is killed at random moments of its work: its books count nothing twice, nothing that
 * was not returned, and lack no more than was booked since they were written down last.
 * AYNI_FAILURES says how often it is killed (3), AYNI_FAILURES_SEED at which moments.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "node/cli/answer.h"
#include "node/loop.h"
#include "tests/support/network.h"
#include "tests/support/tiny_model.h"

enum {
	N_DONORS = 2,
	ANSWER = 1500, /* tokens */
	LOST_MS =
	    1000, /* of work, a kill: ten times what it should be, for machines that are busy */
	LOST_UNITS = 16 /* and on their way */
};

/* Without guesses each token takes each donor one unit. */
static const char *const pool_settings[] = {"stages=2", "keep_s=0", "draft_tokens=0", NULL};

static struct network net;
static char *model;
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

struct books {
	json_int_t units, tokens, flop, not_countersigned;
};

/* What a ledger counts for a donor, known by its name's number; in a donor's own, for itself. */
static struct books read_books(const char *owner, int donor)
{
	char db[NETWORK_PATH * 2], name[32];
	const char *args[] = {"ledger", "--db", db, "--json", NULL};
	struct books b = {0};
	json_t *root, *donors;

	(void)snprintf(db, sizeof db, "%s/%s", net.folder, owner);
	(void)snprintf(name, sizeof name, "donor%d", donor);
	if (network_run(&net, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	root = json_loads(out, 0, NULL);
	assert_non_null(root);
	donors = json_object_get(root, "donors");
	for (size_t i = 0; i < json_array_size(donors); i++) {
		const json_t *d = json_array_get(donors, i);
		const char *whose = json_string_value(json_object_get(d, "name"));

		if (strncmp(owner, "donor", 5) != 0 && strcmp(whose, name) != 0)
			continue;
		b.units = json_integer_value(json_object_get(d, "units"));
		b.tokens = json_integer_value(json_object_get(d, "tokens"));
		b.flop = json_integer_value(json_object_get(d, "flop"));
		b.not_countersigned = json_integer_value(json_object_get(d, "not_countersigned"));
	}
	json_decref(root);
	return b;
}

/* Returned and in no receipt, as the donor says when it leaves. */
static json_int_t missing_of(int donor)
{
	char file[32], *text, *line;
	json_int_t n = 0;

	(void)snprintf(file, sizeof file, "donor%d.err", donor);
	text = network_read(&net, file);
	assert_null(strstr(text, "receipt refused")); /* for more than it returned */
	line = strstr(text, " units that were returned are in no receipt yet");
	while (line != NULL && line > text && line[-1] >= '0' && line[-1] <= '9')
		line--;
	if (line != NULL)
		n = strtoll(line, NULL, 10);
	free(text);
	return n;
}

/* ---- answers ------------------------------------------------------------------------------ */

static void on_piece(void *context, const struct msg_piece *piece)
{
	const int *fd = context;

	if (piece->n_tokens > 0)
		(void)write(*fd, piece->tokens, piece->n_tokens * sizeof *piece->tokens);
}

static int get_answer(int tokens_to)
{
	uint32_t prompt[] = {104, 101, 108, 108, 111};
	struct msg_generate g = {.request = 1,
	    .tokens = prompt,
	    .n_tokens = sizeof prompt / sizeof *prompt,
	    .max_tokens = ANSWER,
	    .ignore_end = true,
	    .sampling = {.temperature = 0.9f, .top_p = 1, .repeat_penalty = 1, .seed = 7}};
	struct error why = {0};
	struct client *c;
	struct answer a;
	int rc = client_open(net.invite, 20000, &c, &why);

	if (rc == AYNI_OK)
		rc = answer_get(c, &g, on_piece, &tokens_to, NULL, &a, &why);
	if (rc != AYNI_OK)
		(void)fprintf(stderr, "%s\n", why.text);
	return rc == AYNI_OK ? 0 : 1;
}

/* A member that gives each token to us as it comes. */
static pid_t ask(int *tokens_from)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(get_answer(ends[1]));
	(void)close(ends[1]);
	*tokens_from = ends[0];
	return pid;
}

static void read_tokens(int fd, uint32_t *tokens, size_t n)
{
	size_t have = 0;

	while (have < n * sizeof *tokens) {
		ssize_t got = read(fd, (uint8_t *)tokens + have, n * sizeof *tokens - have);

		assert_true(got > 0);
		have += (size_t)got;
	}
}

/* Calls `between` (or nothing) when so many tokens have come. */
static void get_tokens(uint32_t *tokens, size_t n_before, void (*between)(void))
{
	int fd;
	pid_t member = ask(&fd);

	read_tokens(fd, tokens, n_before);
	if (between != NULL)
		between();
	read_tokens(fd, tokens + n_before, ANSWER - n_before);
	assert_int_equal(network_wait_end(member), 0);
	(void)close(fd);
}

static void kill_pool(void)
{
	assert_int_equal(kill(net.pool, SIGKILL), 0);
	(void)network_wait_end(net.pool);
	network_restart_pool(&net, model, pool_settings);
}

static void end_donors(void)
{
	for (int i = 0; i < N_DONORS; i++) {
		assert_int_equal(kill(net.donors[i], SIGTERM), 0);
		assert_int_equal(network_wait_end(net.donors[i]), 0);
		net.donors[i] = 0;
	}
}

static void books_count_what_was_returned_once_and_lack_little(json_int_t most_missing)
{
	for (int i = 0; i < N_DONORS; i++) {
		char own[32];
		struct books pool = read_books("pool/pool.db", i), donor;
		json_int_t missing = missing_of(i);

		(void)snprintf(own, sizeof own, "donor%d/donor.db", i);
		donor = read_books(own, i);
		print_message("donor%d: %lld units in receipts, %lld in none\n", i,
		    (long long)pool.units, (long long)missing);
		assert_true(pool.units > 0);
		assert_int_equal(pool.units, donor.units);
		assert_int_equal(pool.tokens, donor.tokens);
		assert_int_equal(pool.flop, donor.flop);
		assert_int_equal(pool.not_countersigned, 0);
		assert_true(missing <= most_missing);
	}
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void start(void)
{
	const struct tiny_model_options options = {
	    .n_layers = 4, .context_tokens = 2048, .seed = 7};

	model = tiny_model_temporary(&options);
	network_start(&net, model, pool_settings);
	(void)setenv("AYNI_HOME", net.folder, 1);
	network_donor(&net, 0, NULL, NULL);
	network_donor(&net, 1, NULL, NULL);
	network_wait_ready(&net);
}

/* Within an answer, or just after it: then the last windows are still open. */
static void a_pool_killed_at_any_moment_counts_nothing_twice_and_loses_little(void **state)
{
	static uint32_t undisturbed[ANSWER], tokens[ANSWER];
	uint64_t seed = number_from("AYNI_FAILURES_SEED", loop_now_us()), us;
	int kills = (int)number_from("AYNI_FAILURES", 3);

	(void)state;
	print_message("AYNI_FAILURES_SEED=%llu\n", (unsigned long long)seed);
	start();
	us = loop_now_us();
	get_tokens(undisturbed, ANSWER, NULL);
	us = loop_now_us() - us;
	for (int i = 0; i < kills; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		get_tokens(tokens, (size_t)(seed >> 33) % (ANSWER + 1), kill_pool);
		assert_memory_equal(tokens, undisturbed, sizeof tokens);
	}
	network_wait_donors(&net, N_DONORS); /* they countersign what the new pool found */
	end_donors();
	print_message("killed %d times; undisturbed, an answer of %d units takes %.0f ms\n", kills,
	    ANSWER, (double)us / 1e3);
	books_count_what_was_returned_once_and_lack_little(
	    kills * (ANSWER * LOST_MS * 1000 / (json_int_t)us + LOST_UNITS));
	network_stop(&net);
	tiny_model_remove(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pool_killed_at_any_moment_counts_nothing_twice_and_loses_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
