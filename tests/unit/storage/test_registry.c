/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/registry.h"
#include "tests/support/scratch.h"

enum { DONOR = 1, MEMBER = 2, NOW = 1000 };

static struct scratch scratch;
static struct error err;
static struct db *db;
static struct registry *registry;

static const struct public_key ana = {{1}}, ben = {{2}};
static const struct hash token = {{7}}, model = {{5}};

static void open_registry(void)
{
	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(registry_new(db, &registry, &err), AYNI_OK);
}

static void close_registry(void)
{
	registry_free(registry);
	db_free(db);
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	memset(&err, 0, sizeof err);
	open_registry();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_registry();
	scratch_remove(&scratch);
	return 0;
}

static void invite(uint32_t uses, uint64_t expires_ms)
{
	struct registry_invite in = {.token_hash = token,
	    .uses_left = uses,
	    .expires_ms = expires_ms,
	    .note = "for a friend"};

	assert_int_equal(registry_invite_add(registry, &in, NOW, &err), AYNI_OK);
}

static int admit(const struct public_key *key, int role, const char *name, const struct hash *t)
{
	return registry_admit(registry, key, role, name, t, NOW, &err);
}

static int64_t number(const char *sql)
{
	sqlite3_stmt *s;
	int64_t value;

	assert_int_equal(db_prepare(db, sql, &s, &err), AYNI_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	value = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return value;
}

static int64_t uses_left(void)
{
	return number("SELECT uses_left FROM invites");
}

static void nobody_unknown_enters_without_an_invite(void **state)
{
	(void)state;
	assert_int_equal(admit(&ana, DONOR, "Ana", NULL), AYNI_ERR_NOT_FOUND);
	assert_int_equal(admit(&ana, DONOR, "Ana", &token), AYNI_ERR_NOT_FOUND);
	assert_int_equal(number("SELECT count(*) FROM donors"), 0);
	assert_int_equal(number("SELECT count(*) FROM names"), 0);
}

static void a_known_key_does_not_use_up_an_invite(void **state)
{
	(void)state;
	invite(2, 0);
	assert_int_equal(admit(&ana, DONOR, "Ana", &token), AYNI_OK);
	assert_int_equal(uses_left(), 1);
	assert_int_equal(admit(&ana, DONOR, "Ana", &token), AYNI_OK);
	assert_int_equal(admit(&ana, DONOR, "Ana", NULL), AYNI_OK);
	assert_int_equal(uses_left(), 1);
}

static void a_role_is_admitted_by_itself(void **state)
{
	(void)state;
	invite(2, 0);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_OK);
	assert_int_equal(admit(&ana, MEMBER, "", NULL), AYNI_ERR_NOT_FOUND);
	assert_int_equal(admit(&ana, MEMBER, "", &token), AYNI_OK);
	assert_int_equal(uses_left(), 0);
	assert_int_equal(admit(&ana, 3, "", &token), AYNI_ERR_ARGUMENT);
	assert_int_equal(admit(&ana, 0, "", &token), AYNI_ERR_ARGUMENT);
}

static void an_invite_ends_when_used_up(void **state)
{
	(void)state;
	invite(1, 0);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_OK);
	assert_int_equal(admit(&ben, DONOR, "", &token), AYNI_ERR_LIMIT);
	assert_int_equal(uses_left(), 0);
	assert_int_equal(number("SELECT count(*) FROM donors"), 1);
}

static void an_invite_ends_at_its_time(void **state)
{
	(void)state;
	invite(5, NOW + 1);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_OK);
	assert_int_equal(
	    registry_admit(registry, &ben, DONOR, "", &token, NOW + 1, &err), AYNI_ERR_TIMEOUT);
	assert_int_equal(registry_admit(registry, &ana, DONOR, "", &token, NOW + 1, &err), AYNI_OK);
	assert_int_equal(uses_left(), 4);
}

static void an_invite_is_added_once_and_for_someone(void **state)
{
	struct registry_invite in = {.token_hash = token, .uses_left = 9, .note = ""};

	(void)state;
	invite(1, 0);
	assert_int_equal(registry_invite_add(registry, &in, NOW, &err), AYNI_ERR_EXISTS);
	assert_int_equal(uses_left(), 1);
	in.uses_left = 0;
	assert_int_equal(registry_invite_add(registry, &in, NOW, &err), AYNI_ERR_ARGUMENT);
}

static void admit_and_exit(const struct public_key *key)
{
	int rc;

	open_registry();
	rc = admit(key, DONOR, "", &token);
	close_registry();
	_exit(rc == AYNI_OK ? 0 : rc == AYNI_ERR_LIMIT ? 1 : 2);
}

static void two_processes_do_not_share_the_last_use(void **state)
{
	pid_t children[2];
	int n_of[3] = {0, 0, 0};

	(void)state;
	invite(1, 0);
	close_registry();
	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0)
			admit_and_exit(i == 0 ? &ana : &ben);
	}
	for (int i = 0; i < 2; i++) {
		int status;

		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 2);
		n_of[WEXITSTATUS(status)]++;
	}
	open_registry();
	assert_int_equal(n_of[0], 1);
	assert_int_equal(n_of[1], 1);
	assert_int_equal(uses_left(), 0);
	assert_int_equal(number("SELECT count(*) FROM donors"), 1);
}

static void a_banned_key_stays_out_under_each_transport_key(void **state)
{
	const uint8_t first[32] = {11}, second[32] = {12}, other[32] = {13};

	(void)state;
	invite(5, 0);
	assert_int_equal(admit(&ana, DONOR, "Ana", &token), AYNI_OK);
	assert_int_equal(registry_ban(registry, &ana, first, "lied", NOW, &err), AYNI_OK);
	assert_int_equal(registry_ban(registry, &ana, second, "lied", NOW, &err), AYNI_OK);
	assert_int_equal(registry_ban(registry, &ana, second, "lied twice", NOW, &err), AYNI_OK);
	assert_int_equal(admit(&ana, DONOR, "Ana", &token), AYNI_ERR_STATE);
	assert_int_equal(admit(&ana, MEMBER, "Ana", &token), AYNI_ERR_STATE);
	assert_true(registry_curve_banned(registry, first));
	assert_true(registry_curve_banned(registry, second));
	assert_false(registry_curve_banned(registry, other));
	assert_int_equal(uses_left(), 4);
}

static void a_ban_needs_no_transport_key(void **state)
{
	const uint8_t zero[32] = {0};

	(void)state;
	invite(1, 0);
	assert_int_equal(registry_ban(registry, &ana, NULL, NULL, NOW, &err), AYNI_OK);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_ERR_STATE);
	assert_false(registry_curve_banned(registry, zero));
}

static void the_ban_list_is_asked_by_index(void **state)
{
	sqlite3_stmt *s;

	(void)state;
	assert_int_equal(
	    db_prepare(
	        db, "EXPLAIN QUERY PLAN SELECT 1 FROM bans WHERE curve_key = ? LIMIT 1", &s, &err),
	    AYNI_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	assert_non_null(strstr((const char *)sqlite3_column_text(s, 3), "bans_curve_key"));
	(void)sqlite3_finalize(s);
}

static void a_name_is_renewed_but_not_by_an_empty_one(void **state)
{
	char text[LIMIT_NAME_BYTES];

	(void)state;
	invite(1, 0);
	assert_int_equal(registry_donor_name(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "");
	assert_int_equal(admit(&ana, DONOR, "Ana", &token), AYNI_OK);
	assert_int_equal(admit(&ana, DONOR, "", NULL), AYNI_OK);
	assert_int_equal(registry_donor_name(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "Ana");
	assert_int_equal(admit(&ana, DONOR, "Anna", NULL), AYNI_OK);
	assert_int_equal(registry_donor_name(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "Anna");
	assert_int_equal(registry_donor_name(registry, &ana, text, 4), AYNI_ERR_LIMIT);
	assert_string_equal(text, "");
}

static void a_donor_is_of_the_team_that_it_named_last_or_of_none(void **state)
{
	char text[LIMIT_NAME_BYTES];

	(void)state;
	assert_int_equal(registry_donor_team_set(registry, &ana, "", &err), AYNI_OK);
	assert_int_equal(registry_donor_team(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "");
	assert_int_equal(registry_donor_team_set(registry, &ana, "Otters", &err), AYNI_OK);
	assert_int_equal(registry_donor_team_set(registry, &ana, "Lynxes", &err), AYNI_OK);
	assert_int_equal(registry_donor_team_set(registry, &ana, "\x1b[2J", &err), AYNI_ERR_FORMAT);
	assert_int_equal(registry_donor_team(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "Lynxes");
	assert_int_equal(registry_donor_team_set(registry, &ana, "", &err), AYNI_OK);
	assert_int_equal(registry_donor_team(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "");
	assert_int_equal(number("SELECT count(*) FROM teams"), 0);
}

static void refuses_names_that_harm_a_terminal_or_are_too_long(void **state)
{
	char name[LIMIT_NAME_BYTES + 1];

	(void)state;
	invite(1, 0);
	memset(name, 'a', sizeof name);
	name[LIMIT_NAME_BYTES] = '\0';
	assert_int_equal(admit(&ana, DONOR, name, &token), AYNI_ERR_LIMIT);
	assert_int_equal(admit(&ana, DONOR, "\x1b[2J", &token), AYNI_ERR_FORMAT);
	assert_int_equal(uses_left(), 1);
	name[LIMIT_NAME_BYTES - 1] = '\0';
	assert_int_equal(admit(&ana, DONOR, name, &token), AYNI_OK);
}

/* In the bytes of a file of the database, which may not be there. */
static bool file_has(const char *file, const char *text)
{
	FILE *f = fopen(scratch_path(&scratch, file), "rb");
	static char bytes[1 << 20];
	size_t n = f != NULL ? fread(bytes, 1, sizeof bytes, f) : 0;

	if (f != NULL)
		(void)fclose(f);
	return memmem(bytes, n, text, strlen(text)) != NULL;
}

static void an_erased_name_leaves_the_donor(void **state)
{
	static const char name[] = "Ana of the long way";
	char text[LIMIT_NAME_BYTES];
	struct public_key found;

	(void)state;
	invite(2, 0);
	assert_int_equal(admit(&ana, DONOR, name, &token), AYNI_OK);
	assert_int_equal(registry_donor_named(registry, "Anna", &found, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(registry_donor_named(registry, name, &found, &err), AYNI_OK);
	assert_true(public_key_equal(&found, &ana));
	assert_int_equal(admit(&ben, DONOR, name, &token), AYNI_OK);
	assert_int_equal(registry_donor_named(registry, name, &found, &err), AYNI_ERR_STATE);
	assert_true(file_has("a.db", name) || file_has("a.db-wal", name));
	assert_int_equal(registry_donor_forget(registry, &ben, &err), AYNI_OK);
	assert_int_equal(registry_donor_forget(registry, &ana, &err), AYNI_OK);
	assert_false(file_has("a.db", name) || file_has("a.db-wal", name));
	assert_int_equal(registry_donor_forget(registry, &ana, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(registry_donor_name(registry, &ana, text, sizeof text), AYNI_OK);
	assert_string_equal(text, "");
	assert_int_equal(admit(&ana, DONOR, "", NULL), AYNI_OK);
}

static void the_last_sign_of_life_never_goes_back(void **state)
{
	(void)state;
	invite(1, 0);
	assert_int_equal(registry_seen(registry, &ana, DONOR, NOW, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_OK);
	assert_int_equal(registry_seen(registry, &ana, DONOR, NOW + 9, &err), AYNI_OK);
	assert_int_equal(registry_seen(registry, &ana, DONOR, NOW + 5, &err), AYNI_OK);
	assert_int_equal(number("SELECT seen_ms FROM donors"), NOW + 9);
}

static void put_model(void)
{
	assert_int_equal(registry_model_put(registry, &model, "tiny", 1000, 4, NOW, &err), AYNI_OK);
}

static void an_assignments_number_is_never_given_twice(void **state)
{
	uint64_t first, second;

	(void)state;
	invite(1, 0);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_OK);
	put_model();
	put_model(); /* again is fine */
	assert_int_equal(
	    registry_assignment_add(registry, &ana, &model, 0, 4, NOW, &first, &err), AYNI_OK);
	assert_int_equal(
	    sqlite3_exec(db_handle(db), "DELETE FROM assignments", NULL, NULL, NULL), SQLITE_OK);
	close_registry();
	open_registry();
	assert_int_equal(
	    registry_assignment_add(registry, &ana, &model, 0, 4, NOW, &second, &err), AYNI_OK);
	assert_true(second > first);
}

static void an_assignment_ends_once(void **state)
{
	uint64_t a, b;

	(void)state;
	invite(1, 0);
	assert_int_equal(admit(&ana, DONOR, "", &token), AYNI_OK);
	put_model();
	assert_int_equal(
	    registry_assignment_add(registry, &ana, &model, 0, 2, NOW, &a, &err), AYNI_OK);
	assert_int_equal(
	    registry_assignment_add(registry, &ana, &model, 2, 4, NOW, &b, &err), AYNI_OK);
	assert_int_equal(registry_assignment_end(registry, a, NOW + 1, &err), AYNI_OK);
	assert_int_equal(registry_assignment_end(registry, a, NOW + 2, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(registry_assignments_end_all(registry, NOW + 3, &err), AYNI_OK);
	assert_int_equal(registry_assignment_end(registry, b, NOW + 4, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(number("SELECT sum(ended_ms) FROM assignments"), 2 * NOW + 4);
}

static void only_known_donors_and_models_are_assigned(void **state)
{
	uint64_t n;

	(void)state;
	put_model();
	assert_int_equal(
	    registry_assignment_add(registry, &ben, &model, 0, 4, NOW, &n, &err), AYNI_ERR_IO);
	assert_int_equal(n, 0);
}

static void a_session_is_kept_as_counts(void **state)
{
	uint64_t n;

	(void)state;
	put_model();
	assert_int_equal(registry_session_add(registry, &ana, &model, NOW, &n, &err), AYNI_OK);
	assert_int_equal(registry_session_end(registry, n, 12, 34, 1, NOW + 5, &err), AYNI_OK);
	assert_int_equal(
	    registry_session_end(registry, n, 0, 0, 0, NOW + 6, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(number("SELECT prompt_tokens * 100 + answer_tokens FROM sessions"), 1234);
	assert_int_equal(number("SELECT ended_ms - begun_ms FROM sessions"), 5);
}

static int note_habit(void *context, const struct registry_habit *h)
{
	struct registry_habit *last = context;

	*last = *h;
	return 0;
}

static int stop_at_once(void *context, const struct registry_habit *h)
{
	(void)context;
	return h->donor.bytes[0];
}

static void habits_are_kept_and_replaced(void **state)
{
	struct registry_habit put = {ana, 3600, 1500, 7, 8, 9, 10}, got = {0};

	(void)state;
	assert_int_equal(
	    registry_habits_each(registry, 10, stop_at_once, NULL, &err), AYNI_OK); /* none */
	assert_int_equal(registry_habit_put(registry, &put, NOW, &err), AYNI_OK);
	put.stay_s = 60;
	assert_int_equal(registry_habit_put(registry, &put, NOW, &err), AYNI_OK);
	close_registry();
	open_registry();
	assert_int_equal(registry_habits_each(registry, 10, note_habit, &got, &err), AYNI_OK);
	assert_memory_equal(&got, &put, sizeof put);
	assert_int_equal(number("SELECT count(*) FROM habits"), 1);
}

static void the_habits_noted_last_are_read_first(void **state)
{
	struct registry_habit h = {.donor = ben}, got = {0};

	(void)state;
	assert_int_equal(registry_habit_put(registry, &h, NOW + 1, &err), AYNI_OK);
	h.donor = ana;
	assert_int_equal(registry_habit_put(registry, &h, NOW, &err), AYNI_OK);
	assert_int_equal(registry_habits_each(registry, 1, note_habit, &got, &err), AYNI_OK);
	assert_memory_equal(&got.donor, &ben, sizeof ben);
	assert_int_equal(registry_habits_each(registry, 9, stop_at_once, NULL, &err), ben.bytes[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(nobody_unknown_enters_without_an_invite),
	    TEST(a_known_key_does_not_use_up_an_invite),
	    TEST(a_role_is_admitted_by_itself),
	    TEST(an_invite_ends_when_used_up),
	    TEST(an_invite_ends_at_its_time),
	    TEST(an_invite_is_added_once_and_for_someone),
	    TEST(two_processes_do_not_share_the_last_use),
	    TEST(a_banned_key_stays_out_under_each_transport_key),
	    TEST(a_ban_needs_no_transport_key),
	    TEST(the_ban_list_is_asked_by_index),
	    TEST(a_name_is_renewed_but_not_by_an_empty_one),
	    TEST(a_donor_is_of_the_team_that_it_named_last_or_of_none),
	    TEST(refuses_names_that_harm_a_terminal_or_are_too_long),
	    TEST(an_erased_name_leaves_the_donor),
	    TEST(the_last_sign_of_life_never_goes_back),
	    TEST(an_assignments_number_is_never_given_twice),
	    TEST(an_assignment_ends_once),
	    TEST(only_known_donors_and_models_are_assigned),
	    TEST(a_session_is_kept_as_counts),
	    TEST(habits_are_kept_and_replaced),
	    TEST(the_habits_noted_last_are_read_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
