/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of compute/template.h: render a template with variables given as JSON, and fail the
 * test if the outcome is another than expected.
 */
#ifndef AYNI_TESTS_SUPPORT_TEMPLATE_CHECK_H
#define AYNI_TESTS_SUPPORT_TEMPLATE_CHECK_H

#include "compute/template.h"

/* Render, or give back the error of parsing or rendering. *out is freed by the caller. */
int template_check_render(const char *text, const char *json, char **out, struct error *err);

/* `json` may be NULL: no variables. */
void expect_render(const char *text, const char *json, const char *expected);
void expect_error(const char *text, const char *json, int code, const char *words);

/* A table of templates without variables of their own, each with what it renders to. */
struct rendering {
	const char *text;
	const char *expected;
};
void expect_renderings(const struct rendering *r, size_t n, const char *json);

#endif
