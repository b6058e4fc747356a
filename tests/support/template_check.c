/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/template_check.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

int template_check_render(const char *text, const char *json, char **out, struct error *err)
{
	struct template *t = NULL;
	size_t len = 0;
	json_error_t where;
	json_t *context = json_loads(json == NULL ? "{}" : json, 0, &where);
	int rc = template_parse(text, strlen(text), &t, err);

	*out = NULL;
	if (context == NULL)
		fail_msg("the test's JSON is wrong: %s at %d", where.text, where.position);
	if (rc == AYNI_OK)
		rc = template_render(t, context, out, &len, err);
	if (rc == AYNI_OK)
		assert_int_equal(len, strlen(*out));
	template_free(t);
	json_decref(context);
	return rc;
}

void expect_render(const char *text, const char *json, const char *expected)
{
	struct error err = {0};
	char *out = NULL;

	if (template_check_render(text, json, &out, &err) != AYNI_OK)
		fail_msg("%s\n  fails with: %s", text, err.text);
	if (strcmp(out, expected) != 0)
		fail_msg("%s\n  gives: \"%s\"\n  not:   \"%s\"", text, out, expected);
	free(out);
}

void expect_error(const char *text, const char *json, int code, const char *words)
{
	struct error err = {0};
	char *out = NULL;
	int rc = template_check_render(text, json, &out, &err);

	if (rc == AYNI_OK)
		fail_msg("%s\n  gives: \"%s\"", text, out);
	if (rc != code || err.code != (enum ayni_error)code || strstr(err.text, words) == NULL)
		fail_msg("%s\n  fails with %d: %s\n  not %d: %s", text, rc, err.text, code, words);
	free(out);
}

void expect_renderings(const struct rendering *r, size_t n, const char *json)
{
	for (size_t i = 0; i < n; i++)
		expect_render(r[i].text, json, r[i].expected);
}
