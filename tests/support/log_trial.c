/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/log_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/receipts.h"

enum { WALL_MS = 1 };

static void open_files(struct log_trial *t)
{
	struct error err = {0};

	if (db_open(t->file, DB_READ_WRITE, &t->db, &err) != AYNI_OK ||
	    ledger_new(t->db, &t->ledger, &err) != AYNI_OK ||
	    tree_new(t->db, t->ledger, &t->tree, &err) != AYNI_OK ||
	    public_log_new(t->pool, t->db, t->tree, t->ledger, t->folder, &t->log, &err) != AYNI_OK)
		fail_msg("%s", err.text);
}

void log_trial_pause(struct log_trial *t)
{
	public_log_free(t->log);
	tree_free(t->tree);
	ledger_free(t->ledger);
	db_free(t->db);
}

void log_trial_open(struct log_trial *t, const char *folder, const struct log_trial *keys)
{
	memset(t, 0, sizeof *t);
	if (keys != NULL) {
		t->pool = keys->pool;
		memcpy(t->donors, keys->donors, sizeof t->donors);
	} else {
		t->owns_keys = true;
		assert_int_equal(identity_generate(&t->pool, NULL), AYNI_OK);
		for (int i = 0; i < LOG_TRIAL_DONORS; i++)
			assert_int_equal(identity_generate(&t->donors[i], NULL), AYNI_OK);
	}
	(void)snprintf(t->file, sizeof t->file, "%s/pool.db", folder);
	(void)snprintf(t->folder, sizeof t->folder, "%s/log", folder);
	open_files(t);
}

void log_trial_free_keys(struct log_trial *t)
{
	if (!t->owns_keys)
		return;
	identity_free(t->pool);
	for (int i = 0; i < LOG_TRIAL_DONORS; i++)
		identity_free(t->donors[i]);
}

void log_trial_close(struct log_trial *t)
{
	log_trial_pause(t);
	log_trial_free_keys(t);
}

void log_trial_reopen(struct log_trial *t)
{
	log_trial_pause(t);
	open_files(t);
}

static struct receipt content(const struct log_trial *t, uint64_t number)
{
	/* Long past, so that what receipts promise is due; 2020. */
	const uint64_t begin_ms = UINT64_C(1577836800000);
	struct receipt r = {.number = number,
	    .pool = *identity_public(t->pool),
	    .donor = *identity_public(t->donors[(number - 1) % LOG_TRIAL_DONORS]),
	    .model = {{7}},
	    .layer_last = 16,
	    .units = 32,
	    .tokens = 64 + t->salt,
	    .first_ms = begin_ms + 1000 * number,
	    .last_ms = begin_ms + 1000 * number + 999,
	    .merge_delay_s = PUBLIC_LOG_MERGE_DELAY_S};

	assert_int_equal(flop_from(1000000 * number, &r.cost), AYNI_OK);
	hash_bytes((const uint8_t *)&number, sizeof number, &r.units_hash);
	return r;
}

struct signed_receipt log_trial_receipt(const struct log_trial *t, uint64_t number)
{
	struct receipt r = content(t, number);
	struct signed_receipt s;

	assert_int_equal(receipt_issue(&r, t->pool, &s, NULL), AYNI_OK);
	receipt_countersign(&s, t->donors[(number - 1) % LOG_TRIAL_DONORS]);
	return s;
}

void log_trial_add(struct log_trial *t, uint64_t n)
{
	struct error err = {0};

	assert_int_equal(db_begin(t->db, &err), AYNI_OK);
	for (uint64_t i = 0; i < n; i++) {
		struct receipt r = content(t, tree_size(t->tree) + 1);
		struct signed_receipt s;
		struct ledger_entry e;

		assert_int_equal(receipt_issue(&r, t->pool, &s, &err), AYNI_OK);
		e = receipts_entry(&r, &s);
		assert_int_equal(ledger_append(t->ledger, &e, &err), AYNI_OK);
		assert_int_equal(tree_append(t->tree, r.number, e.receipt, &err), AYNI_OK);
	}
	assert_int_equal(db_commit(t->db, &err), AYNI_OK);
}

void log_trial_countersign(struct log_trial *t, uint64_t first, uint64_t last)
{
	struct error err = {0};

	assert_int_equal(db_begin(t->db, &err), AYNI_OK);
	for (uint64_t i = first; i <= last; i++) {
		struct signed_receipt s = log_trial_receipt(t, i);
		const struct identity *donor = t->donors[(i - 1) % LOG_TRIAL_DONORS];

		assert_int_equal(ledger_countersign(t->ledger, i, identity_public(donor),
		                     &s.donor_signature, &err),
		    AYNI_OK);
	}
	assert_int_equal(db_commit(t->db, &err), AYNI_OK);
}

void log_trial_publish(struct log_trial *t)
{
	struct error err = {0};

	if (public_log_publish(t->log, WALL_MS, &err) != AYNI_OK)
		fail_msg("%s", err.text);
}

void log_trial_donor_books(
    const struct log_trial *t, unsigned donor, uint64_t last, const char *file)
{
	struct error err = {0};
	struct ledger *ledger;
	struct db *db;

	assert_int_equal(db_open(file, DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(ledger_new(db, &ledger, &err), AYNI_OK);
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	for (uint64_t i = donor + 1; i <= last; i += LOG_TRIAL_DONORS) {
		struct signed_receipt s = log_trial_receipt(t, i);
		struct receipt r = content(t, i);
		struct ledger_entry e = receipts_entry(&r, &s);

		assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	}
	assert_int_equal(db_commit(db, &err), AYNI_OK);
	ledger_free(ledger);
	db_free(db);
}
