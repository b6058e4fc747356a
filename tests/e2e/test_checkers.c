/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors that compute once more what others did, as real processes: three, each with the whole
 * model, the last of another invite than the rest. It is honest with members and gives something
 * else only where it checks others; or it gives always the same as a liar of the other invite.
 *
 * AYNI_ADVERSARIES=all plays both and says what became of them (`make test-adversary`).
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

enum { DONORS = 3, LIAR = DONORS - 1, AT_ONCE = 4, MOST_CHATS = 160 };

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
static char cheap_model[NETWORK_PATH];
static unsigned n_chats, n_wrong, n_flagged;

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
	char name[32];
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

/* lies: of each donor, or NULL. */
static void start(struct network *n, const char *const lies[DONORS])
{
	static const char *const one_core[] = {"cores=1", NULL};
	char other[NETWORK_PATH];

	n_chats = n_wrong = n_flagged = 0;
	network_start(n, DEMO_MODEL, settings);
	old_donors_make(n, DONORS, DEMO_MODEL, settings, other);
	(void)setenv("AYNI_LIE_MODEL", cheap_model, 1);
	for (int i = 0; i < DONORS; i++) {
		n->donor_program = lies[i] != NULL ? network_self() : NULL;
		(void)setenv("AYNI_LIE", lies[i] != NULL ? lies[i] : "", 1);
		network_donor(n, i, i == LIAR ? other : NULL, one_core);
	}
	n->donor_program = NULL;
	(void)unsetenv("AYNI_LIE");
	network_wait_donors(n, DONORS);
}

/* Several at once, so that they go over several donors. */
static void chat(struct network *n)
{
	const char *args[] = {"chat", "--pool", n->invite, QUESTION, NULL};
	pid_t chats[AT_ONCE];
	char names[AT_ONCE][32], file[48];

	for (unsigned i = 0; i < AT_ONCE; i++) {
		(void)snprintf(names[i], sizeof names[i], "chat%u", n_chats++);
		chats[i] = network_spawn(n, names[i], args);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		char *text;

		assert_int_equal(network_wait_end(chats[i]), 0);
		(void)snprintf(file, sizeof file, "%s.out", names[i]);
		text = network_read(n, file);
		n_wrong += strcmp(text, RIGHT) != 0;
		n_flagged += network_count_log(n, names[i], "RECHECKED AND WRONG") > 0;
		free(text);
	}
}

static void who_lies_only_when_it_checks_others_is_found(void **state)
{
	static const char *const lies[DONORS] = {[LIAR] = LIE_CHECKS};
	struct network n;

	(void)state;
	start(&n, lies);
	while (!is_quarantined(&n, LIAR)) {
		assert_true(n_chats < MOST_CHATS);
		chat(&n);
	}
	for (int i = 0; i < DONORS; i++)
		assert_true(is_quarantined(&n, i) == (i == LIAR));
	assert_true(checks(&n, "by_donors") > 0 && checks(&n, "wrong") > 0);
	assert_true(network_count_log(&n, "pool", "others gave something else") > 0);
	print_message("  lies only to others' rechecks: found in %u answers, all right; %lld "
	              "rechecks by donors; honest punished 0\n",
	    n_chats, (long long)checks(&n, "by_donors"));
	chat(&n);
	assert_int_equal(n_wrong + n_flagged, 0); /* whoever was wrong, the answers were right */
	network_stop(&n);
}

/* Two of them, unrelated as far as the pool can tell, run the same cheaper model: each calls the
 * other right. What the pool computes itself finds them. */
static void who_copies_a_liars_answer_is_found_with_it(void **state)
{
	static const char *const lies[DONORS] = {[0] = LIE_OTHER_MODEL, [LIAR] = LIE_OTHER_MODEL};
	const char *all = getenv("AYNI_ADVERSARIES");
	struct network n;

	(void)state;
	if (all == NULL || strcmp(all, "all") != 0)
		return;
	start(&n, lies);
	while (!is_quarantined(&n, 0) || !is_quarantined(&n, LIAR)) {
		assert_true(n_chats < MOST_CHATS);
		chat(&n);
	}
	assert_false(is_quarantined(&n, 1));
	print_message(
	    "  answer copied from a colluder: both found in %u answers, of these %u wrong, "
	    "%u flagged at their end; honest punished 0\n",
	    n_chats, n_wrong, n_flagged);
	n_wrong = 0;
	chat(&n);
	assert_int_equal(n_wrong, 0);
	network_stop(&n);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(cheap_model, sizeof cheap_model, "/tmp/ayni-copied-%d.gguf", (int)getpid());
	liar_cheap_model(DEMO_MODEL, cheap_model);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(cheap_model);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_lies_only_when_it_checks_others_is_found),
	    cmocka_unit_test(who_copies_a_liars_answer_is_found_with_it),
	};
	int rc = liar_main(argc, argv);

	if (rc >= 0)
		return rc;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
