/* SPDX-License-Identifier: Apache-2.0 */
#include "node/hub.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static struct error err;

static void references_are_owner_name_and_file(void **state)
{
	static const char *const bad[] = {"", "a", "/b", "a/", "a/b/c", "a/b:", "../b", "a/..",
	    "a b/c", "a/b?c", "a\n/b", ":x", "http://x/y"};
	struct hub_reference r;

	(void)state;
	assert_int_equal(hub_reference_parse("Qwen/Qwen3-8B.GGUF", &r, &err), AYNI_OK);
	assert_string_equal(r.repository, "Qwen/Qwen3-8B.GGUF");
	assert_string_equal(r.wanted, "");
	assert_int_equal(hub_reference_parse("a/b:Q4_K_M", &r, &err), AYNI_OK);
	assert_string_equal(r.repository, "a/b");
	assert_string_equal(r.wanted, "Q4_K_M");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(hub_reference_parse(bad[i], &r, &err), AYNI_ERR_ARGUMENT);
}

static struct hub_files listing(const char *json)
{
	struct hub_files f;

	if (hub_listing_parse(json, strlen(json), &f, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return f;
}

static void listings_give_model_files_with_size_and_hash(void **state)
{
	struct hub_files f = listing(
	    "[{\"type\":\"directory\",\"path\":\"x.gguf\"},"
	    "{\"type\":\"file\",\"path\":\"README.md\",\"size\":3},"
	    "{\"type\":\"file\",\"path\":\"sub/"
	    "b.gguf\",\"size\":130,\"lfs\":{\"size\":5000000000,\"oid\":"
	    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}},"
	    "{\"type\":\"file\",\"path\":\"a.GGUF\",\"size\":7,\"lfs\":{\"oid\":\"short\"}}]");

	(void)state;
	assert_int_equal(f.n, 2);
	assert_string_equal(f.list[0].name, "a.GGUF");
	assert_int_equal(f.list[0].bytes, 7);
	assert_string_equal(f.list[0].sha256, "");
	assert_string_equal(f.list[1].name, "sub/b.gguf");
	assert_int_equal(f.list[1].bytes, 5000000000);
	assert_int_equal(strlen(f.list[1].sha256), 64);
	hub_files_free(&f);
}

static void names_that_lead_elsewhere_are_left_out(void **state)
{
	struct hub_files f = listing(
	    "[{\"type\":\"file\",\"path\":\"../a.gguf\"},{\"type\":\"file\",\"path\":\"/a.gguf\"},"
	    "{\"type\":\"file\",\"path\":\"a\\u001b[2J.gguf\"},{\"type\":\"file\",\"path\":\"\"},"
	    "{\"type\":\"file\",\"path\":7},{\"type\":\"file\"},7,null,"
	    "{\"type\":\"file\",\"path\":\"a%2f.gguf\"},{\"type\":\"file\",\"path\":\"a?b.gguf\"},"
	    "{\"type\":\"file\",\"path\":\"a.gguf\",\"size\":-5}]");

	(void)state;
	assert_int_equal(f.n, 1);
	assert_string_equal(f.list[0].name, "a.gguf");
	assert_int_equal(f.list[0].bytes, 0);
	hub_files_free(&f);
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const bad[] = {"", "{}", "[", "[}", "nonsense", "\"a\""};
	struct hub_files f;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(
		    hub_listing_parse(bad[i], strlen(bad[i]), &f, &err), AYNI_ERR_FORMAT);
		hub_files_free(&f);
	}
}

static int choose(const char *wanted, size_t *first, size_t *n)
{
	struct hub_files f =
	    listing("[{\"type\":\"file\",\"path\":\"m-Q4_K_M.gguf\"},{\"type\":\"file\",\"path\":"
	            "\"m-Q8_0.gguf\"},"
	            "{\"type\":\"file\",\"path\":\"m-Q4_K.gguf\"},"
	            "{\"type\":\"file\",\"path\":\"big/m-F16-00001-of-00002.gguf\"},"
	            "{\"type\":\"file\",\"path\":\"big/m-F16-00002-of-00002.gguf\"},"
	            "{\"type\":\"file\",\"path\":\"half-00001-of-00003.gguf\"},"
	            "{\"type\":\"file\",\"path\":\"half-00003-of-00003.gguf\"}]");
	int rc = hub_choose(&f, wanted, first, n, &err);

	hub_files_free(&f);
	return rc;
}

static void a_part_of_a_name_chooses_if_it_is_of_one_file(void **state)
{
	size_t first, n;

	(void)state;
	assert_int_equal(choose("q8_0", &first, &n), AYNI_OK);
	assert_int_equal(n, 1);
	assert_int_equal(choose("Q4_K", &first, &n), AYNI_ERR_ARGUMENT);
	assert_non_null(strstr(err.text, "m-Q4_K.gguf, m-Q4_K_M.gguf"));
	assert_int_equal(choose("m-Q4_K.gguf", &first, &n), AYNI_OK);
	assert_int_equal(choose("f16", &first, &n), AYNI_OK);
	assert_int_equal(n, 2);
	assert_int_equal(choose("", &first, &n), AYNI_ERR_ARGUMENT);
	assert_int_equal(choose("Q2", &first, &n), AYNI_ERR_NOT_FOUND);
	assert_int_equal(choose("half-00001", &first, &n), AYNI_ERR_FORMAT); /* one is missing */
}

static void parts_are_told_by_the_end_of_their_names(void **state)
{
	static const char *const whole[] = {"-00001-of-00003.gguf", "a-00000-of-00003.gguf",
	    "a-00004-of-00003.gguf", "a-0001-of-00003.gguf", "a-00001-of-00003.bin",
	    "a-00001_of-00003.gguf", "a-+0001-of-00003.gguf", "a.gguf"};
	unsigned part, of;

	(void)state;
	assert_true(hub_is_part("a-00002-of-00003.gguf", &part, &of));
	assert_int_equal(part, 2);
	assert_int_equal(of, 3);
	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
		assert_false(hub_is_part(whole[i], &part, &of));
}

static void local_names_have_neither_folder_nor_part(void **state)
{
	char name[HUB_NAME_BYTES];

	(void)state;
	assert_int_equal(hub_local_name("a/b/c-00001-of-00002.gguf", name, &err), AYNI_OK);
	assert_string_equal(name, "c.gguf");
	assert_int_equal(hub_local_name("c d.gguf", name, &err), AYNI_OK);
	assert_int_equal(hub_local_name("a/.gguf", name, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(hub_local_name("a/b.bin", name, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(hub_local_name("a/", name, &err), AYNI_ERR_ARGUMENT);
}

static void addresses_are_encoded(void **state)
{
	char url[HUB_URL_BYTES];

	(void)state;
	assert_int_equal(hub_file_url("https://h", "a/b", "c d+e/f@1=2.gguf", url, &err), AYNI_OK);
	assert_string_equal(url, "https://h/a/b/resolve/main/c%20d%2Be/f%401%3D2.gguf");
	assert_int_equal(hub_listing_url("https://h", "a/b", url, &err), AYNI_OK);
	assert_string_equal(url, "https://h/api/models/a/b/tree/main?recursive=true");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(references_are_owner_name_and_file),
	    cmocka_unit_test(listings_give_model_files_with_size_and_hash),
	    cmocka_unit_test(names_that_lead_elsewhere_are_left_out),
	    cmocka_unit_test(what_is_no_list_is_refused),
	    cmocka_unit_test(a_part_of_a_name_chooses_if_it_is_of_one_file),
	    cmocka_unit_test(parts_are_told_by_the_end_of_their_names),
	    cmocka_unit_test(local_names_have_neither_folder_nor_part),
	    cmocka_unit_test(addresses_are_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
