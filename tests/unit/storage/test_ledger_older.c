/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts in a file of version 3, in which each had its keys in itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/ledger.h"
#include "storage/schema.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct error err;
static struct db *db;
static struct ledger *ledger;

static const struct public_key pool_a = {{0xa}}, pool_b = {{0xb}};
static const struct public_key ana = {{1}};

struct seen {
	struct ledger_entry last;
	uint8_t bytes[128];
	size_t len;
};

static int see(void *context, const struct ledger_entry *e)
{
	struct seen *s = context;

	assert_true(e->receipt.len <= sizeof s->bytes);
	memcpy(s->bytes, e->receipt.data, e->receipt.len);
	s->len = e->receipt.len;
	s->last = *e;
	return 0;
}

static void bind(sqlite3_stmt *s, int at, const void *data, int len)
{
	assert_int_equal(sqlite3_bind_blob(s, at, data, len, SQLITE_STATIC), SQLITE_OK);
}

/* A receipt as protobuf has it: number, three keys, and what follows. */
static size_t old_receipt(uint8_t out[128], const struct public_key *donor)
{
	static const uint8_t tail[] = {0x30, 9, 0x38, 3};
	size_t len = 0;

	out[len++] = 0x08;
	out[len++] = 7;
	for (int i = 0; i < 3; i++) {
		const struct public_key *key = i == 0 ? &pool_a : i == 1 ? donor : &pool_b;

		out[len++] = (uint8_t)(0x12 + 8 * i);
		out[len++] = 32;
		memcpy(out + len, key->bytes, 32);
		len += 32;
	}
	memcpy(out + len, tail, sizeof tail);
	return len + sizeof tail;
}

static void insert_as_version_3(sqlite3 *file, int number, const uint8_t *receipt, size_t len,
    const struct signature *donor_signature)
{
	static const struct signature signature = {{0xff, 0, 0x80}};
	sqlite3_stmt *s;

	assert_int_equal(sqlite3_prepare_v2(file,
	                     "INSERT INTO receipts VALUES (?1, ?2, ?3, ?4, 1, 9, 3, 4, 5, 6, 7, ?5,"
	                     " ?6, ?7)",
	                     -1, &s, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_bind_int(s, 1, number), SQLITE_OK);
	bind(s, 2, pool_a.bytes, 32);
	bind(s, 3, ana.bytes, 32);
	bind(s, 4, pool_b.bytes, 32);
	bind(s, 5, receipt, (int)len);
	bind(s, 6, signature.bytes, 64);
	if (donor_signature != NULL)
		bind(s, 7, donor_signature->bytes, 64);
	assert_int_equal(sqlite3_step(s), SQLITE_DONE);
	(void)sqlite3_finalize(s);
}

static void receipts_of_an_older_file_stay_what_they_were(void **state)
{
	static const struct signature countersignature = {{0x80, 0, 0xc3, 0x28}};
	static const uint8_t odd[] = {0, 0xff, 0x12, 0x20};
	struct ledger_entry e;
	struct seen s = {.len = 0};
	uint8_t receipt[128];
	size_t len = old_receipt(receipt, &ana);
	sqlite3 *file;

	(void)state;
	scratch_make(&scratch);
	assert_int_equal(sqlite3_open(scratch_path(&scratch, "old.db"), &file), SQLITE_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    sqlite3_exec(file, schema_migrations[i].sql, NULL, NULL, NULL), SQLITE_OK);
	insert_as_version_3(file, 1, receipt, len, &countersignature);
	insert_as_version_3(file, 2, odd, sizeof odd, NULL);
	assert_int_equal(sqlite3_close(file), SQLITE_OK);

	assert_int_equal(
	    db_open(scratch_path(&scratch, "old.db"), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(ledger_new(db, &ledger, &err), AYNI_OK);
	assert_int_equal(ledger_each(ledger, 0, 1, see, &s, &err), AYNI_OK);
	assert_int_equal(s.len, len);
	assert_memory_equal(s.bytes, receipt, len);
	assert_true(public_key_equal(&s.last.donor, &ana));
	assert_true(s.last.countersigned);
	assert_memory_equal(&s.last.donor_signature, &countersignature, sizeof countersignature);
	assert_int_equal(ledger_each(ledger, 1, 1, see, &s, &err), AYNI_OK);
	assert_int_equal(s.len, sizeof odd);
	assert_memory_equal(s.bytes, odd, sizeof odd);
	assert_false(s.last.countersigned);
	e = s.last; /* with all keys known, under another number */
	e.number = 3;
	e.receipt = (struct span){receipt, len};
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK); /* the same again */
	receipt[1] = 8;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_EXISTS);
	ledger_free(ledger);
	db_free(db);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(receipts_of_an_older_file_stay_what_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
