/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/db.h"
#include "storage/schema.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	memset(&err, 0, sizeof err);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

static struct db *open_new(void)
{
	struct db *d;

	assert_int_equal(db_open(scratch_path(&scratch, "a.db"), DB_READ_WRITE, &d, &err), AYNI_OK);
	return d;
}

/* A file made behind db.c's back. */
static void raw(const char *name, const char *sql)
{
	sqlite3 *s;

	assert_int_equal(sqlite3_open(scratch_path(&scratch, name), &s), SQLITE_OK);
	assert_int_equal(sqlite3_exec(s, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(s), SQLITE_OK);
}

static int64_t number(sqlite3 *s, const char *sql)
{
	sqlite3_stmt *st;
	int64_t value;

	assert_int_equal(sqlite3_prepare_v2(s, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	value = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return value;
}

static int execute(struct db *d, const char *sql)
{
	return sqlite3_exec(db_handle(d), sql, NULL, NULL, NULL);
}

/* SQL without comments, and each run of blanks as one. malloc'd. */
static char *normalised(const char *sql)
{
	char *out = malloc(strlen(sql) + 1), *o = out;

	assert_non_null(out);
	for (const char *p = sql; *p != '\0'; p++) {
		if (p[0] == '-' && p[1] == '-')
			p += strcspn(p, "\n");
		if (*p == '\0')
			break;
		if (strchr(" \t\n", *p) == NULL)
			*o++ = *p;
		else if (o > out && o[-1] != ' ')
			*o++ = ' ';
	}
	*o = '\0';
	return out;
}

static void migrations_from_empty_give_the_schema(void **state)
{
	static const char list[] = "SELECT type || ' ' || name || ' ' || tbl_name,"
	                           " coalesce(sql, '') FROM sqlite_schema ORDER BY type, name";
	struct db *d = open_new();
	sqlite3_stmt *a, *b;
	sqlite3 *truth;
	int n = 0;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &truth), SQLITE_OK);
	assert_int_equal(sqlite3_exec(truth, schema_sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(truth, list, -1, &a, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db_handle(d), list, -1, &b, NULL), SQLITE_OK);
	for (; sqlite3_step(a) == SQLITE_ROW; n++) {
		char *sql_a = normalised((const char *)sqlite3_column_text(a, 1)), *sql_b;

		assert_int_equal(sqlite3_step(b), SQLITE_ROW);
		sql_b = normalised((const char *)sqlite3_column_text(b, 1));
		assert_string_equal(sqlite3_column_text(a, 0), sqlite3_column_text(b, 0));
		assert_string_equal(sql_a, sql_b);
		free(sql_a);
		free(sql_b);
	}
	assert_int_equal(sqlite3_step(b), SQLITE_DONE);
	assert_true(n > 10);
	(void)sqlite3_finalize(a);
	(void)sqlite3_finalize(b);
	assert_int_equal(number(truth, "PRAGMA user_version"), (int64_t)schema_n_migrations);
	assert_int_equal(number(db_handle(d), "PRAGMA user_version"), (int64_t)schema_n_migrations);
	assert_int_equal(number(truth, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	assert_int_equal(number(db_handle(d), "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	(void)sqlite3_close(truth);
	db_free(d);
}

static void every_table_is_strict(void **state)
{
	struct db *d = open_new();

	(void)state;
	assert_int_equal(number(db_handle(d), "SELECT count(*) FROM pragma_table_list"
	                                      " WHERE type = 'table' AND strict = 0"
	                                      " AND name NOT LIKE 'sqlite%'"),
	    0);
	db_free(d);
}

static void writes_are_durable_and_keys_are_checked(void **state)
{
	struct db *d = open_new();
	sqlite3_stmt *s;

	(void)state;
	assert_int_equal(number(db_handle(d), "PRAGMA synchronous"), 2);
	assert_int_equal(number(db_handle(d), "PRAGMA foreign_keys"), 1);
	assert_int_equal(number(db_handle(d), "PRAGMA trusted_schema"), 0);
	assert_int_equal(db_prepare(d, "PRAGMA journal_mode", &s, &err), AYNI_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(s, 0), "wal");
	(void)sqlite3_finalize(s);
	db_free(d);
}

static void file_and_folder_are_the_owners_only(void **state)
{
	struct stat st;
	struct db *d;

	(void)state;
	assert_int_equal(
	    db_open(scratch_path(&scratch, "new/a.db"), DB_READ_WRITE, &d, &err), AYNI_OK);
	assert_int_equal(stat(scratch_path(&scratch, "new"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(scratch_path(&scratch, "new/a.db"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(scratch_path(&scratch, "new/a.db-wal"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db_free(d);
}

static void refuses_a_file_of_a_newer_version(void **state)
{
	struct db *d = open_new();

	(void)state;
	assert_int_equal(execute(d, "PRAGMA user_version = 1000"), SQLITE_OK);
	db_free(d);
	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_WRITE, &d, &err), AYNI_ERR_UNSUPPORTED);
	assert_null(d);
	assert_non_null(strstr(err.text, "1000"));
	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_ONLY, &d, &err), AYNI_ERR_UNSUPPORTED);
}

static void refuses_and_leaves_alone_another_programs_database(void **state)
{
	struct db *d;
	sqlite3 *s;

	(void)state;
	raw("other.db", "CREATE TABLE t (x); INSERT INTO t VALUES (7)");
	assert_int_equal(
	    db_open(scratch_path(&scratch, "other.db"), DB_READ_WRITE, &d, &err), AYNI_ERR_FORMAT);
	assert_non_null(strstr(err.text, "not an ayni database"));
	assert_int_equal(sqlite3_open(scratch_path(&scratch, "other.db"), &s), SQLITE_OK);
	assert_int_equal(number(s, "SELECT x FROM t"), 7);
	assert_int_equal(number(s, "SELECT count(*) FROM sqlite_schema"), 1);
	assert_int_equal(number(s, "SELECT count(*) FROM pragma_journal_mode"
	                           " WHERE journal_mode = 'delete'"),
	    1);
	(void)sqlite3_close(s);
}

static void refuses_a_file_that_is_no_database(void **state)
{
	static const char text[] =
	    "a text of more than a hundred bytes, so that it is not taken for "
	    "an empty file, nor for anything with a header of a database.";
	int fd = open(scratch_path(&scratch, "text"), O_WRONLY | O_CREAT, 0600);
	struct db *d;

	(void)state;
	assert_int_equal(write(fd, text, sizeof text), sizeof text);
	(void)close(fd);
	assert_int_equal(
	    db_open(scratch_path(&scratch, "text"), DB_READ_WRITE, &d, &err), AYNI_ERR_FORMAT);
	assert_non_null(strstr(err.text, "not an ayni database"));
}

static void read_only_neither_makes_nor_changes_a_file(void **state)
{
	struct db *d;

	(void)state;
	assert_int_equal(
	    db_open(scratch_path(&scratch, "none.db"), DB_READ_ONLY, &d, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(access(scratch_path(&scratch, "none.db"), F_OK), -1);
	db_free(open_new());
	assert_int_equal(db_open(scratch_path(&scratch, "a.db"), DB_READ_ONLY, &d, &err), AYNI_OK);
	assert_int_not_equal(execute(d, "DELETE FROM meta"), SQLITE_OK);
	assert_int_not_equal(execute(d, "PRAGMA query_only = OFF; DELETE FROM meta"), SQLITE_OK);
	assert_int_equal(number(db_handle(d), "SELECT count(*) FROM meta"), 1);
	db_free(d);
}

static void read_only_refuses_a_file_that_was_never_set_up(void **state)
{
	struct db *d;

	(void)state;
	assert_int_equal(close(open(scratch_path(&scratch, "a.db"), O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_ONLY, &d, &err), AYNI_ERR_STATE);
}

static void a_reader_sees_the_last_commit_while_another_writes(void **state)
{
	struct db *writer = open_new(), *reader;

	(void)state;
	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_ONLY, &reader, &err), AYNI_OK);
	assert_int_equal(db_begin(writer, &err), AYNI_OK);
	assert_int_equal(execute(writer, "INSERT INTO meta VALUES ('x', 1)"), SQLITE_OK);
	assert_int_equal(number(db_handle(reader), "SELECT count(*) FROM meta"), 1);
	assert_int_equal(db_commit(writer, &err), AYNI_OK);
	assert_int_equal(number(db_handle(reader), "SELECT count(*) FROM meta"), 2);
	db_free(reader);
	db_free(writer);
}

static void closing_in_a_transaction_rolls_it_back(void **state)
{
	struct db *d = open_new();

	(void)state;
	assert_int_equal(db_begin(d, &err), AYNI_OK);
	assert_int_equal(db_begin(d, &err), AYNI_ERR_IO);
	assert_int_equal(execute(d, "INSERT INTO meta VALUES ('x', 1)"), SQLITE_OK);
	db_free(d);
	d = open_new();
	assert_int_equal(number(db_handle(d), "SELECT count(*) FROM meta"), 1);
	db_free(d);
}

/* Dies before, inside or after the transaction: `rows` of three are written, then maybe commit. */
static void die_writing(int rows, bool commit)
{
	struct db *d;

	if (db_open(scratch_path(&scratch, "a.db"), DB_READ_WRITE, &d, NULL) != AYNI_OK ||
	    db_begin(d, NULL) != AYNI_OK)
		_exit(1);
	for (int i = 0; i < rows; i++)
		if (execute(d, "INSERT INTO meta SELECT 'row' || count(*), 1 FROM meta") !=
		    SQLITE_OK)
			_exit(1);
	if (commit && db_commit(d, NULL) != AYNI_OK)
		_exit(1);
	(void)raise(SIGKILL);
}

static void a_process_killed_in_the_middle_of_a_batch_leaves_all_or_nothing(void **state)
{
	(void)state;
	db_free(open_new());
	for (int point = 0; point <= 4; point++) {
		bool commit = point == 4;
		struct db *d;
		int status;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			die_writing(point < 3 ? point : 3, commit);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		d = open_new();
		assert_int_equal(
		    number(db_handle(d), "SELECT count(*) FROM meta WHERE key LIKE 'row%'"),
		    commit ? 3 : 0);
		assert_int_equal(number(db_handle(d), "SELECT count(*) FROM pragma_integrity_check"
		                                      " WHERE integrity_check = 'ok'"),
		    1);
		db_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        migrations_from_empty_give_the_schema, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_table_is_strict, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        writes_are_durable_and_keys_are_checked, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(file_and_folder_are_the_owners_only, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_a_file_of_a_newer_version, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        refuses_and_leaves_alone_another_programs_database, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_a_file_that_is_no_database, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        read_only_neither_makes_nor_changes_a_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        read_only_refuses_a_file_that_was_never_set_up, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        a_reader_sees_the_last_commit_while_another_writes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        closing_in_a_transaction_rolls_it_back, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        a_process_killed_in_the_middle_of_a_batch_leaves_all_or_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
