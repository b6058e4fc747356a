/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors that compute once more what others did, as real processes: three, each with the whole
 * model, the last of another invite than the rest. It is honest with members and gives something
 * else only where it checks others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/liar.h"
#include "tests/support/network.h"
#include "tests/support/old_donors.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define QUESTION   "What is 27 + 48?"
#define RIGHT      "27 + 48 = 75\n"

enum { DONORS = 3, LIAR = DONORS - 1, AT_ONCE = 4, MOST_ROUNDS = 40 };

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
static char self[NETWORK_PATH];

/* All sessions are drawn, and none has guesses: so several rows of logits are wanted only of who
 * checks. */
static const char *const settings[] = {
    "stages=1", "recheck=donors", "recheck_permille=1000", "draft_tokens=0", "keep_s=0", NULL};

static json_t *status(struct network *n)
{
	const char *args[] = {"status", "--pool", n->invite, "--json", NULL};
	json_t *root;

	if (network_run(n, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	root = json_loads(out, 0, NULL);
	assert_non_null(root);
	return root;
}

static json_int_t checks(struct network *n, const char *kind)
{
	json_t *root = status(n);
	json_int_t count =
	    json_integer_value(json_object_get(json_object_get(root, "rechecks"), kind));

	json_decref(root);
	return count;
}

static bool is_quarantined(struct network *n, int donor)
{
	json_t *root = status(n), *donors = json_object_get(root, "donors");
	char name[16];
	bool found = false, out_of_it = false;

	(void)snprintf(name, sizeof name, "donor%d", donor);
	for (size_t i = 0; i < json_array_size(donors); i++) {
		const json_t *d = json_array_get(donors, i);

		if (strcmp(json_string_value(json_object_get(d, "name")), name) != 0)
			continue;
		found = true;
		out_of_it =
		    strcmp(json_string_value(json_object_get(d, "trust")), "quarantined") == 0;
	}
	assert_true(found);
	json_decref(root);
	return out_of_it;
}

static void start(struct network *n)
{
	static const char *const one_core[] = {"cores=1", NULL};
	static const char *const slow[] = {"cores=1", "kernels=scalar", NULL}; /* others serve */
	char other[NETWORK_PATH];

	network_start(n, DEMO_MODEL, settings);
	old_donors_make(n, DONORS, DEMO_MODEL, settings, other);
	(void)setenv("AYNI_LIE", LIE_CHECKS, 1);
	for (int i = 0; i < DONORS; i++) {
		n->donor_program = i == LIAR ? self : NULL;
		network_donor(n, i, i == LIAR ? other : NULL, i == LIAR ? slow : one_core);
	}
	n->donor_program = NULL;
	(void)unsetenv("AYNI_LIE");
	network_wait_donors(n, DONORS);
}

/* Several at once, so that they go over several donors; whoever is wrong, the answers are right. */
static void chat(struct network *n, unsigned round)
{
	const char *args[] = {"chat", "--pool", n->invite, QUESTION, NULL};
	pid_t chats[AT_ONCE];
	char names[AT_ONCE][32], file[48];

	for (unsigned i = 0; i < AT_ONCE; i++) {
		(void)snprintf(names[i], sizeof names[i], "chat%u-%u", round, i);
		chats[i] = network_spawn(n, names[i], args);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		char *text;

		assert_int_equal(network_wait_end(chats[i]), 0);
		(void)snprintf(file, sizeof file, "%s.out", names[i]);
		text = network_read(n, file);
		assert_string_equal(text, RIGHT);
		free(text);
		assert_int_equal(network_count_log(n, names[i], "RECHECKED AND WRONG"), 0);
	}
}

static void who_lies_only_when_it_checks_others_is_found(void **state)
{
	struct network n;
	unsigned round = 0;

	(void)state;
	start(&n);
	while (!is_quarantined(&n, LIAR)) {
		assert_true(round < MOST_ROUNDS);
		chat(&n, round++);
	}
	for (int i = 0; i < DONORS; i++)
		assert_true(is_quarantined(&n, i) == (i == LIAR));
	assert_true(checks(&n, "by_donors") > 0 && checks(&n, "wrong") > 0);
	assert_true(network_count_log(&n, "pool", "others gave something else") > 0);
	chat(&n, round);
	network_stop(&n);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_lies_only_when_it_checks_others_is_found),
	};
	int rc = liar_main(argc, argv);
	ssize_t len;

	if (rc >= 0)
		return rc;
	len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
