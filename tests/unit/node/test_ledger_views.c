/* SPDX-License-Identifier: Apache-2.0 */
/* What the receipts of a pool's file come to: checked one by one, and by the file's own sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/cli/audit.h"
#include "storage/registry.h"
#include "tests/support/log_trial.h"
#include "tests/support/scratch.h"

enum { RECEIPTS = 600, SIGNED = 500 };

static struct scratch scratch;
static struct log_trial trial;
static struct error err;

static int set_up(void **state)
{
	struct registry *r;

	(void)state;
	scratch_make(&scratch);
	log_trial_open(&trial, scratch.folder, NULL);
	log_trial_add(&trial, RECEIPTS);
	log_trial_countersign(&trial, 1, SIGNED);
	assert_int_equal(registry_new(trial.db, &r, &err), AYNI_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    registry_donor_team_set(r, identity_public(trial.donors[i]), "Otters", &err),
		    AYNI_OK);
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

static void assert_same(const struct audit_total *a, const struct audit_total *b)
{
	assert_string_equal(a->team, b->team);
	assert_int_equal(a->giga, b->giga);
	assert_int_equal(a->flop, b->flop);
	assert_int_equal(a->receipts, b->receipts);
	assert_int_equal(a->unsigned_receipts, b->unsigned_receipts);
	assert_int_equal(a->units, b->units);
	assert_int_equal(a->tokens, b->tokens);
	assert_int_equal(a->first_ms, b->first_ms);
}

static size_t compare(enum sums_by by, uint64_t since_ms)
{
	struct audit checked = {.by = by, .since_ms = since_ms};
	struct audit own = {.by = by, .since_ms = since_ms};
	size_t n;

	assert_int_equal(audit_file(&checked, trial.file, &err), AYNI_OK);
	assert_int_equal(audit_finish(&checked, &err), AYNI_OK);
	assert_int_equal(audit_sums(&own, trial.file, &err), AYNI_OK);
	assert_int_equal(checked.bad, 0);
	assert_int_equal(checked.n_totals, own.n_totals);
	assert_int_equal(checked.last_number, own.last_number);
	for (size_t i = 0; i < own.n_totals; i++) {
		assert_same(&checked.totals[i], &own.totals[i]);
		if (by != SUMS_BY_TEAM)
			assert_memory_equal(&checked.totals[i].key, &own.totals[i].key, HASH_BYTES);
	}
	n = own.n_totals;
	audit_free(&checked);
	audit_free(&own);
	return n;
}

static void checked_one_by_one_and_by_sums_they_come_to_the_same(void **state)
{
	static const size_t rows[] = {[SUMS_BY_DONOR] = LOG_TRIAL_DONORS,
	    [SUMS_BY_MODEL] = 1,
	    [SUMS_BY_DAY] = 1,
	    [SUMS_BY_TEAM] = 2};

	(void)state;
	for (int by = SUMS_BY_DONOR; by <= SUMS_BY_TEAM; by++)
		assert_int_equal(compare((enum sums_by)by, 0), rows[by]);
	assert_int_equal(compare(SUMS_BY_TEAM, UINT64_C(1577836800000) + 300000), 2);
	assert_int_equal(compare(SUMS_BY_DAY, UINT64_C(1577836800000) + 86400000), 0);
}

static void a_day_is_the_one_on_which_a_window_ended(void **state)
{
	struct audit a = {.by = SUMS_BY_DAY};

	(void)state;
	assert_int_equal(audit_sums(&a, trial.file, &err), AYNI_OK);
	assert_int_equal(a.n_totals, 1);
	assert_int_equal(audit_day_ms(&a.totals[0]), UINT64_C(1577836800000));
	assert_int_equal(a.totals[0].receipts, SIGNED);
	assert_int_equal(a.totals[0].unsigned_receipts, RECEIPTS - SIGNED);
	audit_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(checked_one_by_one_and_by_sums_they_come_to_the_same),
	    cmocka_unit_test(a_day_is_the_one_on_which_a_window_ended),
	};

	return cmocka_run_group_tests_name("ledger_views", tests, set_up, tear_down);
}
