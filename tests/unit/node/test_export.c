/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics files, read back by the libraries that wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <libxml/parser.h>
#include <zlib.h>

#include "node/cli/export.h"
#include "node/cli/ledger.h"
#include "storage/files.h"
#include "storage/registry.h"
#include "tests/support/log_trial.h"
#include "tests/support/scratch.h"

enum { RECEIPTS = 90, ROOM = 1 << 20 };

/* As the trial has it: receipt n costs n million FLOP and is of the first day of 2020. */
static const double gflop = RECEIPTS * (RECEIPTS + 1) / 2 * 1e-3;
static const uint64_t day_ms = UINT64_C(1577836800000);

static struct scratch scratch;
static struct log_trial trial;
static struct error err;
static char text[ROOM];

static void name(struct registry *r, int donor, const char *display, const char *team)
{
	struct registry_invite in = {.token_hash = {{(uint8_t)donor}}, .uses_left = 1, .note = ""};
	const struct public_key *key = identity_public(trial.donors[donor]);

	assert_int_equal(registry_invite_add(r, &in, 1, &err), AYNI_OK);
	assert_int_equal(registry_admit(r, key, 1, display, &in.token_hash, 1, &err), AYNI_OK);
	assert_int_equal(registry_donor_team_set(r, key, team, &err), AYNI_OK);
}

static int set_up(void **state)
{
	struct registry *r;

	(void)state;
	scratch_make(&scratch);
	log_trial_open(&trial, scratch.folder, NULL);
	log_trial_add(&trial, RECEIPTS);
	log_trial_countersign(&trial, 1, RECEIPTS);
	assert_int_equal(registry_new(trial.db, &r, &err), AYNI_OK);
	name(r, 0, "A<n>a & \"Co\" \xc3\xa4", "Otters & <Lynxes>");
	name(r, 1, "", "Otters & <Lynxes>");
	name(r, 2, "odd\xef\xbf\xbf", "");
	registry_free(r);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_trial_close(&trial);
	scratch_remove(&scratch);
	return 0;
}

/* ---- reading back ------------------------------------------------------------------------- */

static void export(void)
{
	char folder[700];
	char *argv[] = {"export", folder, "--db", trial.file, NULL};

	(void)snprintf(folder, sizeof folder, "%s", scratch_path(&scratch, "stats"));
	assert_int_equal(ledger_export(4, argv), CLI_OK);
}

/* Plain or compressed: gzread takes both. */
static size_t read_file(const char *file)
{
	char path[1200];
	gzFile f;
	int n;

	(void)snprintf(path, sizeof path, "%s/stats/%s", scratch.folder, file);
	f = gzopen(path, "rb");
	assert_non_null(f);
	n = gzread(f, text, ROOM - 1);
	assert_true(n > 0);
	assert_int_equal(gzclose(f), Z_OK);
	text[n] = '\0';
	return (size_t)n;
}

static xmlDocPtr parse(const char *file, const char *root)
{
	size_t n = read_file(file);
	xmlDocPtr d = xmlReadMemory(text, (int)n, file, NULL, XML_PARSE_NOBLANKS | XML_PARSE_NONET);

	assert_non_null(d);
	assert_string_equal((const char *)xmlDocGetRootElement(d)->name, root);
	return d;
}

static const char *field(xmlNodePtr of, const char *wanted)
{
	static char value[256];

	for (xmlNodePtr n = of->children; n != NULL; n = n->next) {
		if (strcmp((const char *)n->name, wanted) != 0)
			continue;
		(void)snprintf(value, sizeof value, "%s",
		    n->children != NULL ? (const char *)n->children->content : "");
		return value;
	}
	return NULL;
}

static double real(xmlNodePtr of, const char *wanted)
{
	const char *value = field(of, wanted);

	assert_non_null(value);
	return strtod(value, NULL);
}

static void assert_near(double a, double b)
{
	assert_true(a - b < 2e-6 && b - a < 2e-6);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void credit_of_users_hosts_and_tables_is_that_of_the_ledger(void **state)
{
	static const char *const files[][2] = {{"user.gz", "users"}, {"host.gz", "hosts"}};
	xmlDocPtr d;

	(void)state;
	export();
	for (size_t i = 0; i < 2; i++) {
		double sum = 0;
		int n = 0;

		d = parse(files[i][0], files[i][1]);
		for (xmlNodePtr u = xmlDocGetRootElement(d)->children; u != NULL; u = u->next, n++)
			sum += real(u, "total_credit");
		assert_int_equal(n, LOG_TRIAL_DONORS);
		assert_near(sum, gflop / 432);
		xmlFreeDoc(d);
	}
	d = parse("tables.xml", "tables");
	assert_near(real(xmlDocGetRootElement(d), "total_credit"), gflop / 432);
	assert_string_equal(field(xmlDocGetRootElement(d), "nusers_total"), "3");
	assert_string_equal(field(xmlDocGetRootElement(d), "nhosts_total"), "3");
	assert_string_equal(field(xmlDocGetRootElement(d), "nteams_total"), "1");
	xmlFreeDoc(d);
}

static xmlNodePtr user_of(xmlDocPtr d, int donor)
{
	char hex[HEX32_CHARS];

	hex32(identity_public(trial.donors[donor])->bytes, hex);
	hex[32] = '\0';
	for (xmlNodePtr u = xmlDocGetRootElement(d)->children; u != NULL; u = u->next) {
		if (strcmp(field(u, "cpid"), hex) == 0)
			return u;
	}
	fail_msg("no user %s", hex);
	return NULL;
}

static void names_come_back_as_they_were_or_as_a_key(void **state)
{
	char hex[HEX32_CHARS];
	xmlDocPtr d;

	(void)state;
	export();
	d = parse("user.gz", "users");
	assert_string_equal(field(user_of(d, 0), "name"), "A<n>a & \"Co\" \xc3\xa4");
	for (int i = 1; i <= 2; i++) { /* none, and one that XML cannot hold */
		hex32(identity_public(trial.donors[i])->bytes, hex);
		hex[8] = '\0';
		assert_string_equal(field(user_of(d, i), "name"), hex);
	}
	assert_null(field(user_of(d, 2), "teamid"));
	xmlFreeDoc(d);
}

static void a_team_is_the_sum_of_its_users(void **state)
{
	char id[32];
	double sum;
	xmlDocPtr d;
	xmlNodePtr t;

	(void)state;
	export();
	d = parse("user.gz", "users");
	sum = real(user_of(d, 0), "total_credit") + real(user_of(d, 1), "total_credit");
	(void)snprintf(id, sizeof id, "%s", field(user_of(d, 1), "teamid"));
	xmlFreeDoc(d);
	d = parse("team.gz", "teams");
	t = xmlDocGetRootElement(d)->children;
	assert_null(t->next);
	assert_string_equal(field(t, "id"), id);
	assert_string_equal(field(t, "name"), "Otters & <Lynxes>");
	assert_string_equal(field(t, "nusers"), "2");
	assert_near(real(t, "total_credit"), sum);
	xmlFreeDoc(d);
}

static double average(uint64_t days_later)
{
	struct export e;
	double sum = 0;

	assert_int_equal(
	    export_read(trial.file, day_ms + days_later * SUMS_DAY_MS, &e, &err), AYNI_OK);
	for (size_t i = 0; i < e.n; i++)
		sum += e.users[i].gflop_a_day;
	export_free(&e);
	return sum;
}

/* All of it in one week: a seventh a day, of which half is forgotten, then half a week later. */
static void an_average_forgets_half_in_a_week(void **state)
{
	(void)state;
	assert_near(average(0), gflop / 7 / 2);
	assert_near(average(6), gflop / 7 / 2);
	assert_near(average(7), gflop / 7 / 4);
	assert_near(average(21), gflop / 7 / 16);
	assert_near(average(8 * 7), 0);
}

static void every_view_is_in_the_lines_exactly(void **state)
{
	static const char *const keys[] = {"donor", "model", "day", "team"};
	json_int_t flop[4] = {0};
	char *rest;

	(void)state;
	export();
	(void)read_file("ledger.jsonl.gz");
	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		json_t *row = json_loads(line, 0, NULL);
		int by = 0;

		assert_non_null(row);
		while (json_object_get(row, keys[by]) == NULL)
			assert_true(++by < 4);
		flop[by] += json_integer_value(json_object_get(row, "flop"));
		json_decref(row);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(flop[i], INT64_C(1000000) * RECEIPTS * (RECEIPTS + 1) / 2);
}

static void a_later_export_replaces_the_earlier_one(void **state)
{
	char path[1200];
	xmlDocPtr d;

	(void)state;
	export();
	log_trial_add(&trial, 30);
	log_trial_countersign(&trial, RECEIPTS + 1, RECEIPTS + 30);
	export();
	d = parse("tables.xml", "tables");
	assert_near(real(xmlDocGetRootElement(d), "total_credit"), 120 * 121 / 2 * 1e-3 / 432);
	xmlFreeDoc(d);
	(void)snprintf(path, sizeof path, "%s/stats/unfinished", scratch.folder);
	assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(credit_of_users_hosts_and_tables_is_that_of_the_ledger),
	    TEST(names_come_back_as_they_were_or_as_a_key),
	    TEST(a_team_is_the_sum_of_its_users),
	    TEST(an_average_forgets_half_in_a_week),
	    TEST(every_view_is_in_the_lines_exactly),
	    TEST(a_later_export_replaces_the_earlier_one),
	};

	return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
