/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/pardons.h"
#include "storage/files.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

static void what_is_asked_is_taken_once(void **state)
{
	const struct pardon asked = {
	    .donor = {{7}}, .has_evidence = true, .evidence = {{9}}, .reason = "a good one"};
	struct pardon taken;

	(void)state;
	assert_int_equal(pardons_take(scratch.folder, &taken, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(pardons_ask(scratch.folder, &asked, &err), AYNI_OK);
	assert_int_equal(pardons_take(scratch.folder, &taken, &err), AYNI_OK);
	assert_true(public_key_equal(&taken.donor, &asked.donor));
	assert_true(taken.has_evidence);
	assert_true(hash_equal(&taken.evidence, &asked.evidence));
	assert_string_equal(taken.reason, "a good one");
	assert_int_equal(pardons_take(scratch.folder, &taken, &err), AYNI_ERR_NOT_FOUND);
}

static void a_reason_of_several_lines_becomes_one(void **state)
{
	const struct pardon asked = {.donor = {{1}}, .reason = "one\ntwo"};
	struct pardon taken;

	(void)state;
	assert_int_equal(pardons_ask(scratch.folder, &asked, &err), AYNI_OK);
	assert_int_equal(pardons_take(scratch.folder, &taken, &err), AYNI_OK);
	assert_string_equal(taken.reason, "one?two");
	assert_false(taken.has_evidence);
}

static void what_is_no_pardon_is_an_error_and_taken_away(void **state)
{
	static const char *const names[] = {
	    "0100000000000000000000000000000000000000000000000000000000000000",
	    "this is as long as a key but it is none, so that it is refused..",
	};
	static const char *const texts[] = {"no hash\nwhy\n", "-\nwhy\n"};
	struct pardon taken;
	int fd;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(
		    files_open_folder(scratch_path(&scratch, "pardons"), &fd, &err), AYNI_OK);
		assert_int_equal(files_write(fd, names[i],
		                     (struct span){(const uint8_t *)texts[i], strlen(texts[i])},
		                     FILES_LATER, &err),
		    AYNI_OK);
		(void)close(fd);
		assert_int_equal(pardons_take(scratch.folder, &taken, &err), AYNI_ERR_FORMAT);
		assert_int_equal(pardons_take(scratch.folder, &taken, &err), AYNI_ERR_NOT_FOUND);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(what_is_asked_is_taken_once),
	    TEST(a_reason_of_several_lines_becomes_one),
	    TEST(what_is_no_pardon_is_an_error_and_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
