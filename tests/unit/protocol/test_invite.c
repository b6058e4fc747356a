/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/invite.h"

#define KEY   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define TOKEN "0123456789abcdef0123456789abcdef"

static void survives(const char *text, const char *host, uint16_t port, const char *endpoint)
{
	struct invite in;
	struct error err = {0};
	char back[INVITE_TEXT_BYTES];

	if (invite_parse(text, &in, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	assert_string_equal(in.host, host);
	assert_int_equal(in.port, port);
	assert_int_equal(invite_format(&in, back, sizeof back, &err), AYNI_OK);
	assert_string_equal(back, text);
	assert_int_equal(invite_endpoint(&in, back, sizeof back), AYNI_OK);
	assert_string_equal(back, endpoint);
}

static void names_and_addresses_survive_a_round_trip(void **state)
{
	(void)state;
	survives("ayni://pool.example.org:7411?key=" KEY "&token=" TOKEN, "pool.example.org", 7411,
	    "tcp://pool.example.org:7411");
	survives("ayni://192.0.2.1:1?key=" KEY, "192.0.2.1", 1, "tcp://192.0.2.1:1");
	survives("ayni://[2001:db8::1]:65535?key=" KEY "&token=" TOKEN, "2001:db8::1", 65535,
	    "tcp://[2001:db8::1]:65535");
	survives("ayni://[::ffff:192.0.2.1]:80?key=" KEY, "::ffff:192.0.2.1", 80,
	    "tcp://[::ffff:192.0.2.1]:80");
}

static void reads_key_and_token(void **state)
{
	struct invite in;

	(void)state;
	assert_int_equal(invite_parse("ayni://h:1?key=" KEY "&token=" TOKEN, &in, NULL), AYNI_OK);
	assert_true(in.has_token);
	assert_int_equal(in.pool.bytes[1], 0x11);
	assert_int_equal(in.token[15], 0xef);
	assert_int_equal(invite_parse("ayni://h:1?key=" KEY, &in, NULL), AYNI_OK);
	assert_false(in.has_token);
}

static void refuses_every_malformed_form(void **state)
{
	static const char *const bad[] = {"", "ayni", "ayni:/", "http://h:1?key=" KEY,
	    "AYNI://h:1?key=" KEY, " ayni://h:1?key=" KEY, "ayni://", "ayni://:1?key=" KEY,
	    "ayni://h?key=" KEY, "ayni://h:?key=" KEY, "ayni://h:0?key=" KEY,
	    "ayni://h:65536?key=" KEY, "ayni://h:99999999999999999999?key=" KEY,
	    "ayni://h:-1?key=" KEY, "ayni://h:+1?key=" KEY, "ayni://h:1x?key=" KEY, "ayni://h:1",
	    "ayni://h:1?", "ayni://h:1?key=", "ayni://h:1?key=00", "ayni://h:1?key=" KEY "0",
	    "ayni://h:1?key=" KEY "&",
	    "ayni://h:1?key=" KEY "&token=", "ayni://h:1?key=" KEY "&token=00",
	    "ayni://h:1?key=" KEY "&token=" TOKEN "0", "ayni://h:1?key=" KEY "&token=" TOKEN " ",
	    "ayni://h:1?key=" KEY "&key=" KEY, "ayni://h:1?token=" TOKEN "&key=" KEY,
	    "ayni://h:1?key=" KEY "#x",
	    "ayni://h:1?key=0g112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	    "ayni://a b:1?key=" KEY, "ayni://a%20b:1?key=" KEY, "ayni://%s%n:1?key=" KEY,
	    "ayni://u@h:1?key=" KEY, "ayni://h/x:1?key=" KEY, "ayni://-h:1?key=" KEY,
	    "ayni://.h:1?key=" KEY, "ayni://h\n:1?key=" KEY, "ayni://\xc3\xb1:1?key=" KEY,
	    "ayni://2001:db8::1:7411?key=" KEY, "ayni://[]:1?key=" KEY, "ayni://[::1:1?key=" KEY,
	    "ayni://[::1]1?key=" KEY, "ayni://[h]:1?key=" KEY, "ayni://[::1%eth0]:1?key=" KEY,
	    "ayni://[::1%25eth0]:1?key=" KEY, "ayni://::1]:1?key=" KEY};
	struct invite in = {.port = 77};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (invite_parse(bad[i], &in, &err) != AYNI_ERR_FORMAT)
			fail_msg("accepted %s", bad[i]);
		assert_int_equal(err.code, AYNI_ERR_FORMAT);
	}
	assert_int_equal(in.port, 77); /* left alone */
}

static void refuses_every_truncation(void **state)
{
	static const char whole[] = "ayni://[2001:db8::1]:7411?key=" KEY "&token=" TOKEN;
	struct invite in;

	(void)state;
	for (size_t len = 0; len < sizeof whole - 1; len++) {
		char *cut = strndup(whole, len);
		/* without its token it is whole as well */
		bool whole_without = len == sizeof whole - 1 - strlen("&token=" TOKEN);

		assert_int_equal(invite_parse(cut, &in, NULL) == AYNI_OK, whole_without);
		free(cut);
	}
}

static void refuses_what_is_huge(void **state)
{
	size_t len = 1 << 20;
	char *text = malloc(len + 1);
	struct invite in;

	(void)state;
	memset(text, 'h', len);
	memcpy(text, "ayni://", 7);
	text[len] = '\0';
	assert_int_equal(invite_parse(text, &in, NULL), AYNI_ERR_LIMIT);
	text[7 + INVITE_HOST_BYTES] = '\0';
	assert_int_equal(invite_parse(text, &in, NULL), AYNI_ERR_FORMAT);
	free(text);
}

static void formats_only_what_could_be_parsed(void **state)
{
	struct invite in = {.host = "h", .port = 1};
	char text[INVITE_TEXT_BYTES];

	(void)state;
	assert_int_equal(invite_format(&in, text, 20, NULL), AYNI_ERR_LIMIT);
	in.port = 0;
	assert_int_equal(invite_format(&in, text, sizeof text, NULL), AYNI_ERR_ARGUMENT);
	in.port = 1;
	memcpy(in.host, "a b", 4);
	assert_int_equal(invite_format(&in, text, sizeof text, NULL), AYNI_ERR_ARGUMENT);
	in.host[0] = '\0';
	assert_int_equal(invite_format(&in, text, sizeof text, NULL), AYNI_ERR_ARGUMENT);
	assert_int_equal(invite_endpoint(&in, text, 5), AYNI_ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_and_addresses_survive_a_round_trip),
	    cmocka_unit_test(reads_key_and_token),
	    cmocka_unit_test(refuses_every_malformed_form),
	    cmocka_unit_test(refuses_every_truncation),
	    cmocka_unit_test(refuses_what_is_huge),
	    cmocka_unit_test(formats_only_what_could_be_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
