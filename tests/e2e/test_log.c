/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a real pool with real donors: audited, proven, watched, witnessed and reconciled by
 * the program, and looked at once more by log_verify.py, which shares nothing with it but the
 * formats.
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

#include "protocol/identity.h"
#include "tests/support/network.h"
#include "tests/support/tiny_model.h"

static const char *const settings[] = {
    "stages=2", "receipt_units=4", "draft_tokens=0", "statistics_h=24", NULL};

static struct network net;
static char *model;
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
static char log_folder[NETWORK_PATH * 2], state[NETWORK_PATH * 2];

/* `ayni ARGS`; fails the test unless it ends so. */
static void ayni(int status, const char *const *args)
{
	int rc = network_run(&net, args, NULL, out, err);

	if (rc != status)
		fail_msg("%s %s: status %d\n%s%s", args[0], args[1], rc, out, err);
}

static void ask(void)
{
	const char *args[] = {
	    "chat", "--raw", "-v", "--pool", net.invite, "--max-tokens", "200", "hello", NULL};

	ayni(0, args);
}

/* What the last answer is called in the log. */
static void read_session(char session[33])
{
	const char *at = strstr(err, "; session ");

	assert_non_null(at);
	memcpy(session, at + strlen("; session "), 32);
	session[32] = '\0';
}

/* Who computed it: each half by one donor, and the pool did so once more. */
static void show(const char *session)
{
	char books[NETWORK_PATH * 2];
	const char *args[] = {"ledger", "show", session, "--db", books, "--json", NULL};
	json_int_t layers[4] = {0};
	json_t *root, *receipts;

	(void)snprintf(books, sizeof books, "%s/pool/pool.db", net.folder);
	ayni(0, args);
	root = json_loads(out, 0, NULL);
	assert_true(json_is_false(json_object_get(root, "doubtful")));
	receipts = json_object_get(root, "receipts");
	assert_int_equal(json_array_size(receipts), 2);
	for (size_t i = 0; i < 2; i++) {
		json_t *r = json_array_get(receipts, i), *l = json_object_get(r, "layers");

		assert_string_equal(json_string_value(json_object_get(r, "verification")), "right");
		assert_true(json_integer_value(json_object_get(r, "tokens")) >= 200);
		layers[json_integer_value(json_array_get(l, 0))] +=
		    json_integer_value(json_array_get(l, 1));
	}
	assert_true(layers[0] == 2 && layers[2] == 4);
	json_decref(root);
}

/* The whole folder of the log, as one text. */
static char *log_bytes(void)
{
	char command[NETWORK_PATH * 4];
	static char text[1 << 16];
	FILE *f;

	(void)snprintf(command, sizeof command,
	    "cd '%s' && find . -type f | sort | xargs sha256sum", log_folder);
	f = popen(command, "r"); /* allowed: a test looks at files */
	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	assert_int_equal(pclose(f), 0);
	return strdup(text);
}

/* Its name is gone, and the log is what it was, byte for byte. */
static void forget(const char *name)
{
	char books[NETWORK_PATH * 2];
	const char *args[] = {"ledger", "forget", name, "--db", books, NULL};
	const char *totals[] = {"ledger", "--db", books, "--csv", NULL};
	const char *audit[] = {"ledger", "audit", log_folder, "--csv", NULL};
	char *before = log_bytes(), *after, *audited;

	(void)snprintf(books, sizeof books, "%s/pool/pool.db", net.folder);
	ayni(0, totals);
	assert_non_null(strstr(out, name));
	ayni(0, audit);
	audited = strdup(out);
	ayni(0, args);
	ayni(1, args);
	ayni(0, totals);
	assert_null(strstr(out, name));
	ayni(0, audit);
	assert_string_equal(out, audited);
	after = log_bytes();
	assert_string_equal(after, before);
	free(before);
	free(after);
	free(audited);
}

/* The pool ends as it should, and signs what is left. */
static void end_pool(void)
{
	assert_int_equal(kill(net.pool, SIGTERM), 0);
	assert_int_equal(network_wait_end(net.pool), 0);
	net.pool = 0;
}

static void write_file(const char *name, const char *text)
{
	char path[NETWORK_PATH * 2];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", net.folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void verify_independently(void)
{
	char command[NETWORK_PATH * 8];

	(void)snprintf(command, sizeof command,
	    "/usr/bin/python3 tests/tools/log_verify.py '%s' '%s/1.tlog-proof' '%s/w.cosigned' < "
	    "'%s/w.key'",
	    log_folder, net.folder, net.folder, net.folder);
	assert_int_equal(system(command), 0); /* allowed: another program is the test's oracle */
}

static void witness(void)
{
	const char *args[] = {
	    "ledger", "witness", log_folder, "--whole", "--name", "witness.example/w", NULL};

	ayni(0, args);
	assert_int_equal(strncmp(err, "key: ", 5), 0);
	write_file("w.key", err + 5);
	write_file("w.cosigned", out);
}

static void prove(const char *number, const char *file)
{
	const char *args[] = {"ledger", "prove", number, log_folder, NULL};
	char path[NETWORK_PATH * 2];
	const char *check[] = {"ledger", "check", path, NULL};

	ayni(0, args);
	write_file(file, out);
	(void)snprintf(path, sizeof path, "%s/%s", net.folder, file);
	ayni(0, check);
	assert_non_null(strstr(out, "is in its log"));
}

/* Whoever has somebody's receipts, rightly signed, has not done the work. */
static void others_receipts_count_for_nobody(
    const char *books, const char *const *mine, const char *const *reconcile)
{
	char key[NETWORK_PATH * 2];
	struct identity *thief = NULL;

	(void)snprintf(key, sizeof key, "%.*s/key", (int)(strrchr(books, '/') - books), books);
	assert_int_equal(unlink(key), 0);
	assert_int_equal(identity_open(key, &thief, NULL, NULL), AYNI_OK);
	identity_free(thief);
	ayni(1, mine);
	assert_null(strchr(strchr(out, '\n') + 1, '\n')); /* a headline, and no total */
	assert_non_null(strstr(err, "are of other donors, and not counted"));
	ayni(3, reconcile);
	assert_non_null(strstr(out, "NOT YOURS receipt "));
}

static void the_log_of_a_pool_holds_before_everybody(void **context)
{
	const struct tiny_model_options options = {
	    .n_layers = 4, .context_tokens = 2048, .seed = 7};
	const char *audit[] = {"ledger", "audit", log_folder, "--signatures", "--json", NULL};
	const char *watch[] = {"ledger", "watch", log_folder, "--once", "--state", state, NULL};
	char books[NETWORK_PATH * 2], session[33], statistics[NETWORK_PATH * 2];
	const char *reconcile[] = {"ledger", "reconcile", log_folder, "--db", books, NULL};
	const char *mine[] = {"ledger", "mine", "--db", books, NULL};

	(void)context;
	model = tiny_model_temporary(&options);
	network_start(&net, model, settings);
	(void)snprintf(log_folder, sizeof log_folder, "%s/pool/log", net.folder);
	(void)snprintf(state, sizeof state, "%s/watch.json", net.folder);
	network_donor(&net, 0, NULL, NULL);
	network_donor(&net, 1, NULL, NULL);
	network_wait_ready(&net);
	ayni(0, watch); /* an empty log is signed from the first moment */
	ask();
	read_session(session);
	end_pool();
	show(session);
	ayni(0, watch);
	assert_non_null(strstr(out, "from 0 to "));
	(void)snprintf(statistics, sizeof statistics, "%s/stats/tables.xml", log_folder);
	assert_int_equal(access(statistics, R_OK), 0);
	network_restart_pool(&net, model, settings);
	network_wait_ready(&net);
	ask();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kill(net.donors[i], SIGTERM), 0);
		assert_int_equal(network_wait_end(net.donors[i]), 0);
		net.donors[i] = 0;
	}
	end_pool();
	ayni(0, watch);
	assert_non_null(strstr(out, "consistent"));
	ayni(0, audit);
	assert_non_null(strstr(out, "\"standing\":\"trusted\"")); /* both, by now */
	prove("1", "1.tlog-proof");
	witness();
	for (int i = 0; i < 2; i++) {
		(void)snprintf(books, sizeof books, "%s/donor%d/donor.db", net.folder, i);
		ayni(0, reconcile);
		ayni(0, mine);
	}
	others_receipts_count_for_nobody(books, mine, reconcile);
	verify_independently();
	forget("donor0");
	network_stop(&net);
	tiny_model_remove(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_log_of_a_pool_holds_before_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
