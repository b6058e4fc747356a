/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/conversation.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/scratch.h"

static struct scratch scratch;
static struct conversation *c;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	err = (struct error){0};
	return conversation_new(&c, &err);
}

static int tear_down(void **state)
{
	(void)state;
	conversation_free(c);
	scratch_remove(&scratch);
	return 0;
}

static void add(const char *role, const char *content)
{
	assert_int_equal(conversation_add(c, role, content, &err), AYNI_OK);
}

/* All turns as "role:content" with a bar between. */
static void assert_said(const char *wanted)
{
	char said[256] = "";
	size_t n, at = 0;
	const struct turn *t = conversation_turns(c, &n);

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(said + at, sizeof said - at, "%s%s:%s", i > 0 ? "|" : "",
		    t[i].role, t[i].content);
	assert_string_equal(said, wanted);
}

static int parse(const char *json)
{
	return conversation_parse(c, json, strlen(json), &err);
}

static void the_system_message_is_first_whenever_it_is_set(void **state)
{
	(void)state;
	assert_null(conversation_system(c));
	add("user", "a");
	add("assistant", "b");
	conversation_interrupted(c);
	assert_int_equal(conversation_set_system(c, "s", &err), AYNI_OK);
	assert_said("system:s|user:a|assistant:b");
	assert_int_equal(conversation_set_system(c, "t", &err), AYNI_OK);
	assert_said("system:t|user:a|assistant:b");
	assert_string_equal(conversation_system(c), "t");
	assert_int_equal(conversation_set_system(c, "", &err), AYNI_OK);
	assert_int_equal(conversation_set_system(c, "", &err), AYNI_OK);
	assert_said("user:a|assistant:b");
}

static void clearing_keeps_the_system_message(void **state)
{
	(void)state;
	add("user", "a");
	conversation_clear(c);
	assert_said("");
	assert_int_equal(conversation_set_system(c, "s", &err), AYNI_OK);
	add("user", "a");
	conversation_clear(c);
	assert_said("system:s");
}

static void a_turn_can_be_taken_back(void **state)
{
	(void)state;
	add("user", "a");
	add("assistant", "b");
	conversation_take_back(c);
	assert_said("user:a");
}

static void turns_are_bounded_and_utf8(void **state)
{
	(void)state;
	assert_int_equal(conversation_add(c, "user", "\xff", &err), AYNI_ERR_FORMAT);
	assert_int_equal(conversation_set_system(c, "\xff", &err), AYNI_ERR_FORMAT);
	for (size_t i = 0; i < CONVERSATION_MAX_TURNS; i++)
		add("user", "a");
	assert_int_equal(conversation_add(c, "user", "a", &err), AYNI_ERR_LIMIT);
	assert_int_equal(conversation_set_system(c, "s", &err), AYNI_ERR_LIMIT);
}

static void json_gives_the_same_turns_and_marks_again(void **state)
{
	char *first, *second;

	(void)state;
	add("system", "s");
	add("user", "a \"quoted\"\nline \xe4\xbd\xa0");
	add("assistant", "b");
	conversation_interrupted(c);
	add("user", "d");
	assert_int_equal(conversation_json(c, "m", &first, &err), AYNI_OK);
	assert_non_null(strstr(first, "\"interrupted\": true"));
	assert_non_null(strstr(first, "\"model\": \"m\""));
	assert_int_equal(parse(first), AYNI_OK);
	assert_said("system:s|user:a \"quoted\"\nline \xe4\xbd\xa0|assistant:b|user:d");
	assert_int_equal(conversation_json(c, "m", &second, &err), AYNI_OK);
	assert_string_equal(first, second);
	free(first);
	free(second);
	assert_int_equal(conversation_json(c, "", &first, &err), AYNI_OK);
	assert_null(strstr(first, "model"));
	free(first);
}

static void an_array_of_messages_is_understood_too(void **state)
{
	(void)state;
	assert_int_equal(parse("[{\"role\":\"user\",\"content\":\"a\"}]"), AYNI_OK);
	assert_said("user:a");
}

static void what_is_not_a_conversation_changes_nothing(void **state)
{
	static const char *const wrong[] = {"", "{", "3", "{}", "{\"messages\":3}", "[3]",
	    "[{\"role\":\"user\"}]", "[{\"role\":\"tool\",\"content\":\"a\"}]",
	    "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":[]}]",
	    "[{\"role\":\"user\",\"content\":\"\\u0000\"}]"};

	(void)state;
	add("user", "a");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(parse(wrong[i]), AYNI_ERR_FORMAT);
		assert_said("user:a");
	}
}

static void a_file_of_somebody_else_is_not_overwritten(void **state)
{
	struct stat st;
	FILE *f;

	(void)state;
	f = fopen(scratch_path(&scratch, "theirs"), "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	add("user", "a");
	assert_int_equal(
	    conversation_save(c, scratch_path(&scratch, "theirs"), "", &err), AYNI_ERR_EXISTS);
	assert_int_equal(stat(scratch_path(&scratch, "theirs"), &st), 0);
	assert_int_equal(st.st_size, 0);
	/* A link is not followed either. */
	assert_int_equal(symlink("nowhere", scratch_path(&scratch, "link")), 0);
	assert_int_equal(
	    conversation_save(c, scratch_path(&scratch, "link"), "", &err), AYNI_ERR_EXISTS);
}

static void its_own_file_is_replaced_and_is_its_owners_alone(void **state)
{
	const char *path = scratch_path(&scratch, "own");
	struct stat st;

	(void)state;
	add("user", "a");
	assert_int_equal(conversation_save(c, path, "", &err), AYNI_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	add("assistant", "b");
	assert_int_equal(conversation_save(c, path, "", &err), AYNI_OK);
	assert_int_equal(conversation_save(c, path, "", &err), AYNI_OK);
	conversation_clear(c);
	assert_int_equal(conversation_load(c, path, &err), AYNI_OK);
	assert_said("user:a|assistant:b");
	assert_int_equal(access(scratch_path(&scratch, "own.part"), F_OK), -1);
}

static void what_cannot_be_read_is_said(void **state)
{
	(void)state;
	assert_int_equal(conversation_load(c, scratch_path(&scratch, "none"), &err), AYNI_ERR_IO);
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(conversation_load(c, scratch.folder, &err), AYNI_ERR_LIMIT);
	assert_int_equal(mkfifo(scratch_path(&scratch, "fifo"), 0600), 0);
	assert_int_equal(
	    conversation_load(c, scratch_path(&scratch, "fifo"), &err), AYNI_ERR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_system_message_is_first_whenever_it_is_set),
	    TEST(clearing_keeps_the_system_message),
	    TEST(a_turn_can_be_taken_back),
	    TEST(turns_are_bounded_and_utf8),
	    TEST(json_gives_the_same_turns_and_marks_again),
	    TEST(an_array_of_messages_is_understood_too),
	    TEST(what_is_not_a_conversation_changes_nothing),
	    TEST(a_file_of_somebody_else_is_not_overwritten),
	    TEST(its_own_file_is_replaced_and_is_its_owners_alone),
	    TEST(what_cannot_be_read_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
