/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface of the chat template engine, each of its limits, and what it says of errors. The
 * language is tested by test_template_statements.c, _expressions.c and _filters.c, whole prompt
 * formats by test_template_families.c.
 */
#include "tests/support/template_check.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- helpers --------------------------------------------------------------------------------- */

/* `piece` n times between `before` and `after`; freed by the caller. */
static char *repeated(const char *before, const char *piece, size_t n, const char *after)
{
	size_t len = strlen(piece);
	char *text = malloc(strlen(before) + n * len + strlen(after) + 1);
	char *at;

	assert_non_null(text);
	memcpy(text, before, strlen(before));
	at = text + strlen(before);
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(at, piece, len);
	memcpy(at, after, strlen(after) + 1);
	return text;
}

/* A tag with 1000 times `open`, then `middle`, then 1000 times `close`. */
static char *enclosed(const char *tag, const char *open, const char *middle, const char *close)
{
	enum { TIMES = 1000 };
	char *half = repeated(tag, open, TIMES, middle);
	char *whole = repeated(half, close, TIMES, tag[1] == '%' ? " %}" : " }}");

	free(half);
	return whole;
}

/* Frees the text. */
static void expect_error_of(char *text, int code, const char *words)
{
	expect_error(text, NULL, code, words);
	free(text);
}

static const char chat[] = "{{ bos_token }}{% for m in messages %}[{{ m.role }}:{{ m.content }}]"
                           "{{ eos_token }}{% endfor %}{{ '>' if add_generation_prompt }}"
                           "{{ tools is none }}{{ documents is none }}";

static int render_chat(const struct chat_message *m, size_t n, const char *bos, char **out)
{
	struct template *t;
	struct error err = {0};
	size_t len;
	int rc = template_parse(chat, strlen(chat), &t, &err);

	assert_int_equal(rc, AYNI_OK);
	rc = template_render_chat(
	    t, &(struct chat){.messages = m, .n = n}, true, bos, NULL, out, &len, &err);
	template_free(t);
	return rc;
}

/* ---- interface ------------------------------------------------------------------------------- */

static void renders_messages_with_none_for_tools_and_documents(void **state)
{
	const struct chat_message messages[] = {{.role = "user", .content = "Gr\303\274\303\237e"},
	    {.role = "assistant", .content = ""}};
	char *out;

	(void)state;
	assert_int_equal(render_chat(messages, 2, "<s>", &out), AYNI_OK);
	assert_string_equal(out, "<s>[user:Gr\303\274\303\237e][assistant:]>TrueTrue");
	free(out);
	assert_int_equal(render_chat(NULL, 0, NULL, &out), AYNI_OK);
	assert_string_equal(out, ">TrueTrue");
	free(out);
}

static void refuses_messages_that_are_not_utf_8(void **state)
{
	const struct chat_message message = {.role = "user", .content = "\xff"};
	char *out;

	(void)state;
	assert_int_equal(render_chat(&message, 1, "", &out), AYNI_ERR_FORMAT);
	assert_null(out);
	assert_int_equal(render_chat(NULL, 0, "\xc0", &out), AYNI_ERR_FORMAT);
	assert_null(out);
}

static void renders_the_same_template_many_times(void **state)
{
	static const char text[] = "{% set ns.x = x %}{{ ns.x }}";
	static const char program[] = "{% set ns = namespace() %}{% set ns.x = x %}{{ ns.x }}";
	struct template *t;

	(void)state;
	expect_error(text, "{\"x\": 1}", AYNI_ERR_FORMAT, "attributes of a namespace");
	assert_int_equal(template_parse(program, strlen(program), &t, NULL), AYNI_OK);
	for (int i = 0; i < 3; i++) {
		json_t *context = json_pack("{s:i}", "x", i);
		char expected[] = {(char)('0' + i), '\0'};
		char *out;
		size_t len;

		assert_int_equal(template_render(t, context, &out, &len, NULL), AYNI_OK);
		assert_string_equal(out, expected);
		assert_int_equal(len, 1);
		free(out);
		json_decref(context);
	}
	template_free(t);
}

static void keeps_nuls_in_counted_text(void **state)
{
	static const char text[] = "a\0{{ 'b\\0c' }}";
	struct template *t;
	json_t *context = json_object();
	char *out;
	size_t len;

	(void)state;
	assert_int_equal(template_parse(text, sizeof text - 1, &t, NULL), AYNI_OK);
	assert_int_equal(template_render(t, context, &out, &len, NULL), AYNI_OK);
	assert_int_equal(len, 5);
	assert_memory_equal(out, "a\0b\0c", 6);
	free(out);
	json_decref(context);
	template_free(t);
}

static void refuses_variables_that_are_no_object(void **state)
{
	(void)state;
	expect_error("a", "[1]", AYNI_ERR_ARGUMENT, "no JSON object");
}

static void frees_nothing_gladly(void **state)
{
	(void)state;
	template_free(NULL);
}

static void tells_the_time_in_the_format_asked_for(void **state)
{
	(void)state;
	expect_render("{{ strftime_now('%Y-%m-%d')|length }}{{ strftime_now('%d %b %Y')|length }}",
	    NULL, "1011");
	expect_render("{{ strftime_now('%%') }}", NULL, "%");
	expect_error("{{ strftime_now('%99999999d') }}", NULL, AYNI_ERR_UNSUPPORTED, "time format");
	expect_error("{{ strftime_now('%') }}", NULL, AYNI_ERR_UNSUPPORTED, "time format");
	expect_error("{{ strftime_now('%Y' * 100) }}", NULL, AYNI_ERR_LIMIT, "128 bytes");
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void refuses_a_template_past_its_length(void **state)
{
	char *text = repeated("", "a", TEMPLATE_MAX_BYTES, "");
	char *longer = repeated("", "a", TEMPLATE_MAX_BYTES + 1, "");

	(void)state;
	expect_render(text, NULL, text);
	free(text);
	expect_error_of(longer, AYNI_ERR_LIMIT, "262145 bytes");
}

static void refuses_to_nest_without_end(void **state)
{
	(void)state;
	expect_error_of(enclosed("{{ ", "(", "1", ")"), AYNI_ERR_LIMIT, "nested more than 128");
	expect_error_of(enclosed("{{ ", "[", "1", "]"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(enclosed("{{ ", "a[", "1", "]"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(enclosed("{{ ", "{1: ", "1", "}"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(enclosed("{{ ", "f(", "1", ")"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(enclosed("{% set ", "(", "a", ")"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(repeated("{{ ", "-", 1000, "1 }}"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(repeated("{{ ", "not ", 1000, "1 }}"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(repeated("{{ 1", " if 1 else 2", 1000, "}}"), AYNI_ERR_LIMIT, "nested");
	expect_error_of(repeated("", "{% if a %}", 1000, ""), AYNI_ERR_LIMIT, "nested");
	expect_error_of(repeated("{{ 1", " + 1", 1000, " }}"), AYNI_ERR_LIMIT, "inside each other");
	expect_error_of(repeated("{{ 1", "|int", 1000, " }}"), AYNI_ERR_LIMIT, "inside each other");
	expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", NULL, AYNI_ERR_LIMIT,
	    "inside each other");
}

static void refuses_data_that_holds_itself(void **state)
{
	(void)state;
	expect_error("{% set l = [] %}{{ l.append(l) }}{{ l }}", NULL, AYNI_ERR_LIMIT, "inside");
	expect_error(
	    "{% set l = [] %}{{ l.append(l) }}{{ l|tojson }}", NULL, AYNI_ERR_LIMIT, "inside");
	expect_error(
	    "{% set l = [] %}{% set m = [] %}{{ l.append(l) }}{{ m.append(m) }}{{ l == m }}", NULL,
	    AYNI_ERR_LIMIT, "inside");
	expect_error("{% set l = [1] %}{% for x in l %}{{ l.append(x) }}{% endfor %}", NULL,
	    AYNI_ERR_MEMORY, "128 MiB");
}

static void refuses_variables_that_nest_too_deeply(void **state)
{
	char *json = repeated("{\"a\": ", "[", 100, "");
	char *whole = repeated(json, "]", 100, "}");

	(void)state;
	free(json);
	expect_error("{{ a }}", whole, AYNI_ERR_LIMIT, "nest more than 64");
	free(whole);
}

static void ends_after_its_steps(void **state)
{
	(void)state;
	expect_error(
	    "{% set r = range(100000) %}{% for i in r %}{% if -1 in r %}{% endif %}{% endfor %}",
	    NULL, AYNI_ERR_LIMIT, "more than 10000000 steps");
	expect_error("{% set s = 'ab' * 100000 %}{% for i in range(100000) %}"
	             "{% if s.rfind('ba' * 50000 ~ 'b') %}{% endif %}{% endfor %}",
	    NULL, AYNI_ERR_LIMIT, "steps");
}

static void ends_at_its_memory_and_output(void **state)
{
	(void)state;
	expect_error("{% set ns = namespace(s='a') %}{% for i in range(99) %}"
	             "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
	    NULL, AYNI_ERR_LIMIT, "more than 16 MiB of text");
	expect_error("{% for i in range(100000) %}{{ 'abcdefgh' * 1000 }}{% endfor %}", NULL,
	    AYNI_ERR_LIMIT, "more than 16 MiB of text");
	expect_error("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}"
	             "{% set ns.l = ns.l + ns.l %}{% endfor %}",
	    NULL, AYNI_ERR_MEMORY, "128 MiB");
	expect_error("{{ [0] * 9999999999 }}", NULL, AYNI_ERR_MEMORY, "128 MiB");
	expect_error("{{ range(100001) }}", NULL, AYNI_ERR_LIMIT, "range of more than 100000");
}

/* Nothing but flags, width and precision reaches the C library. */
static void refuses_formats_that_are_none(void **state)
{
	static const char *const bad[] = {"{{ '%.  2f' % 1.5 }}", "{{ '%. 2d' % 1 }}",
	    "{{ '%1-2d' % 1 }}", "{{ '%..2f' % 1.5 }}", "{{ '%2.+2f' % 1.5 }}", "{{ '%n' % 1 }}",
	    "{{ '%ld' % 1 }}", "{{ '%*d' % 1 }}"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		expect_error(bad[i], NULL, AYNI_ERR_FORMAT, "'%' cannot format");
}

static void refuses_integers_past_64_bits(void **state)
{
	(void)state;
	expect_error("{{ 9223372036854775808 }}", NULL, AYNI_ERR_LIMIT, "64 bits");
	expect_error("{{ 9223372036854775807 + 1 }}", NULL, AYNI_ERR_LIMIT, "64 bits");
	expect_error("{{ 3037000500 * 3037000500 }}", NULL, AYNI_ERR_LIMIT, "64 bits");
	expect_error("{{ 2 ** 64 }}", NULL, AYNI_ERR_LIMIT, "64 bits");
	expect_error("{{ (-9223372036854775807 - 1) // -1 }}", NULL, AYNI_ERR_LIMIT, "64 bits");
	expect_render("{{ (-9223372036854775807 - 1) % -1 }}", NULL, "0");
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void names_the_line_of_a_syntax_error(void **state)
{
	(void)state;
	expect_error("a\n{{ 1 + }}", NULL, AYNI_ERR_FORMAT, "line 2: an expression is missing");
	expect_error(
	    "\n\n{% if a %}", NULL, AYNI_ERR_FORMAT, "line 3: endif is missing before the end");
	expect_error("{% endif %}", NULL, AYNI_ERR_FORMAT, "unexpected 'endif'");
	expect_error("{% frob %}", NULL, AYNI_ERR_FORMAT, "unexpected 'frob'");
	expect_error("{% %}", NULL, AYNI_ERR_FORMAT, "name of a statement");
	expect_error(
	    "{% for x on l %}{% endfor %}", NULL, AYNI_ERR_FORMAT, "'in' is missing before 'on'");
	expect_error("{{ a b }}", NULL, AYNI_ERR_FORMAT, "'}}' is missing before 'b'");
	expect_error("{{ a", NULL, AYNI_ERR_FORMAT, "'{{' without '}}'");
	expect_error("{% if", NULL, AYNI_ERR_FORMAT, "'{%' without '%}'");
	expect_error("{# a", NULL, AYNI_ERR_FORMAT, "comment without an end");
	expect_error("{% raw %}a", NULL, AYNI_ERR_FORMAT, "raw block without an end");
	expect_error("{{ 'a }}", NULL, AYNI_ERR_FORMAT, "string without an end");
	expect_error("{{ '\\ud800' }}", NULL, AYNI_ERR_FORMAT, "escape");
	expect_error("{{ a ? b }}", NULL, AYNI_ERR_FORMAT, "unexpected character");
	expect_error("{{ f(a=1, 2) }}", NULL, AYNI_ERR_FORMAT, "after one with a name");
	expect_error("{{ a is defined is none }}", NULL, AYNI_ERR_FORMAT, "chained");
	expect_error(
	    "{% macro m(a=1, b) %}{% endmacro %}", NULL, AYNI_ERR_FORMAT, "without a default");
	expect_error("{% call m %}{% endcall %}", NULL, AYNI_ERR_FORMAT, "call of a macro");
	expect_error("\xff", NULL, AYNI_ERR_FORMAT, "not UTF-8");
}

static void refuses_statements_that_reach_outside(void **state)
{
	(void)state;
	expect_error("{% include 'a' %}", NULL, AYNI_ERR_UNSUPPORTED, "'include' is not supported");
	expect_error("{% import 'a' as b %}", NULL, AYNI_ERR_UNSUPPORTED, "'import'");
	expect_error("{% extends 'a' %}", NULL, AYNI_ERR_UNSUPPORTED, "'extends'");
	expect_error(
	    "{% for x in l recursive %}{% endfor %}", NULL, AYNI_ERR_UNSUPPORTED, "recursive");
	expect_error("{{ f(*a) }}", NULL, AYNI_ERR_UNSUPPORTED, "* and **");
}

static void names_what_is_undefined_where_it_is_used(void **state)
{
	(void)state;
	expect_render(
	    "{{ a }}{{ a is defined }}{{ a ~ 'b' }}{% for x in a %}{% endfor %}", NULL, "Falseb");
	expect_error("x\n{{ a.b }}", NULL, AYNI_ERR_FORMAT, "line 2: 'a' is undefined");
	expect_error("{{ a['b'] }}", NULL, AYNI_ERR_FORMAT, "'a' is undefined");
	expect_error("{{ a[1:] }}", NULL, AYNI_ERR_FORMAT, "'a' is undefined");
	expect_error("{{ {}.b.c }}", NULL, AYNI_ERR_FORMAT, "'b' is undefined");
	expect_error("{{ a + 'b' }}", NULL, AYNI_ERR_FORMAT, "'a' is undefined");
	expect_error("{{ a < 1 }}", NULL, AYNI_ERR_FORMAT, "'a' is undefined");
	expect_error("{{ a() }}", NULL, AYNI_ERR_FORMAT, "'a' is undefined");
	expect_error("{{ a|tojson }}", NULL, AYNI_ERR_FORMAT, "Undefined has no form in JSON");
}

static void names_the_values_that_do_not_fit(void **state)
{
	(void)state;
	expect_error("{{ 'a' + 1 }}", NULL, AYNI_ERR_FORMAT, "str + int is not possible");
	expect_error("{{ 'a' + none }}", NULL, AYNI_ERR_FORMAT, "str + None");
	expect_error("{{ 1 / 0 }}", NULL, AYNI_ERR_FORMAT, "division by zero");
	expect_error("{{ 1 < 'a' }}", NULL, AYNI_ERR_FORMAT, "int and str have no order");
	expect_error("{{ 1 in 'a' }}", NULL, AYNI_ERR_FORMAT, "needs a string");
	expect_error(
	    "{% for x in 5 %}{% endfor %}", NULL, AYNI_ERR_FORMAT, "int cannot be gone through");
	expect_error(
	    "{% for a, b in [[1]] %}{% endfor %}", NULL, AYNI_ERR_FORMAT, "cannot spread 1");
	expect_error("{{ 5|length }}", NULL, AYNI_ERR_FORMAT, "int has no length");
	expect_error("{{ 5() }}", NULL, AYNI_ERR_FORMAT, "int cannot be called");
	expect_error("{{ {[]: 1} }}", NULL, AYNI_ERR_FORMAT, "list cannot be a key");
	expect_error("{{ 'a'.startswith(1) }}", NULL, AYNI_ERR_FORMAT, "argument 1 is int");
	expect_error("{{ 'a'.strip(1, 2) }}", NULL, AYNI_ERR_FORMAT, "strip() takes at most 1");
	expect_error("{{ 'a'|trim(x=1) }}", NULL, AYNI_ERR_FORMAT, "does not take argument 'x'");
	expect_error(
	    "{{ 'a'|replace('b') }}", NULL, AYNI_ERR_FORMAT, "replace() lacks an argument");
	expect_error(
	    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", NULL, AYNI_ERR_FORMAT, "macro 'm'");
	expect_error("{% set d = {} %}{% set d.x = 1 %}", NULL, AYNI_ERR_FORMAT, "namespace");
	expect_error("{% break %}", NULL, AYNI_ERR_FORMAT, "outside of a loop");
	expect_error("{{ 1|frob }}", NULL, AYNI_ERR_UNSUPPORTED, "no filter 'frob'");
	expect_error("{{ 1 is frob }}", NULL, AYNI_ERR_UNSUPPORTED, "no test 'frob'");
}

static void hands_on_the_message_of_raise_exception_on_one_line(void **state)
{
	(void)state;
	expect_error("a\n\n{{ raise_exception('Roles must\nalternate!\\x07') }}", NULL,
	    AYNI_ERR_ARGUMENT, "line 3: Roles must alternate! ");
	expect_error("{{ raise_exception('ab' * 1000) }}", NULL, AYNI_ERR_ARGUMENT, "abab");
	expect_render(
	    "{% if false %}{{ raise_exception('no') }}{{ 1|frob }}{% endif %}a", NULL, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(renders_messages_with_none_for_tools_and_documents),
	    cmocka_unit_test(refuses_messages_that_are_not_utf_8),
	    cmocka_unit_test(renders_the_same_template_many_times),
	    cmocka_unit_test(keeps_nuls_in_counted_text),
	    cmocka_unit_test(refuses_variables_that_are_no_object),
	    cmocka_unit_test(frees_nothing_gladly),
	    cmocka_unit_test(tells_the_time_in_the_format_asked_for),
	    cmocka_unit_test(refuses_a_template_past_its_length),
	    cmocka_unit_test(refuses_to_nest_without_end),
	    cmocka_unit_test(refuses_data_that_holds_itself),
	    cmocka_unit_test(refuses_variables_that_nest_too_deeply),
	    cmocka_unit_test(ends_after_its_steps),
	    cmocka_unit_test(ends_at_its_memory_and_output),
	    cmocka_unit_test(refuses_formats_that_are_none),
	    cmocka_unit_test(refuses_integers_past_64_bits),
	    cmocka_unit_test(names_the_line_of_a_syntax_error),
	    cmocka_unit_test(refuses_statements_that_reach_outside),
	    cmocka_unit_test(names_what_is_undefined_where_it_is_used),
	    cmocka_unit_test(names_the_values_that_do_not_fit),
	    cmocka_unit_test(hands_on_the_message_of_raise_exception_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
