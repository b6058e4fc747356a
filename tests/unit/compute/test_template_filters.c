/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of chat templates. What is expected was worked out with jinja2 under Hugging Face's
 * settings.
 */
#include "tests/support/template_check.h"

#include <setjmp.h>

#include <cmocka.h>

/* What the templates see. */
static const char variables[] =
    "{\"s\": \"Hello World\", \"u\": \"Gr\303\274\303\237e "
    "\344\270\226\347\225\214\", \"n\": 7, \"f\": 2.5, \"none\": null, \"yes\": "
    "true, \"l\": [3, 1, 2], \"w\": [\"b\", \"A\", \"c\"], \"d\": {\"b\": 1, \"a\": "
    "\"two\"}, \"ms\": [{\"role\": \"user\", \"content\": \"U1\", \"x\": {\"y\": "
    "3}}, {\"role\": \"tool\", \"content\": null}, {\"role\": \"user\", \"content\": "
    "\"U2\"}]}";

#define CHECK(table) expect_renderings(table, sizeof(table) / sizeof((table)[0]), variables)

static void filters_text(void **state)
{
	static const struct rendering r[] = {
	    {"{{ ' a '|trim ~ '|' }}", "a|"},
	    {"{{ 'xax'|trim('x') }}", "a"},
	    {"{{ s|upper }}", "HELLO WORLD"},
	    {"{{ s|lower }}", "hello world"},
	    {"{{ 'hELLO wORLD'|capitalize }}", "Hello world"},
	    {"{{ \"it's a b-c\"|title }}", "It's A B-C"},
	    {"{{ 'aXbX'|replace('X', '-') }}", "a-b-"},
	    {"{{ 'aXbX'|replace('X', '-', 1) }}", "a-bX"},
	    {"{{ 1|string ~ none|string }}", "1None"},
	    {"{{ u|length }}", "8"},
	    {"{{ '<a & \"b\">'|e }}", "&lt;a &amp; &#34;b&#34;&gt;"},
	    {"{{ '<a>'|safe }}", "<a>"},
	    {"{{ '<b>'|safe + '<i>' }}", "<b>&lt;i&gt;"},
	    {"{{ '%s-%s'|format(1, 2) }}", "1-2"},
	    {"{{ missing|upper }}", ""},
	    {"{{ none|trim }}", "None"},
	};

	(void)state;
	CHECK(r);
}

static void indents_text(void **state)
{
	static const struct rendering r[] = {
	    {"{{ 'a\\nb\\n\\nc'|indent }}", "a\n"
	                                    "    b\n"
	                                    "\n"
	                                    "    c"},
	    {"{{ 'a\\nb'|indent(2) }}", "a\n"
	                                "  b"},
	    {"{{ 'a\\nb'|indent(2, true) }}", "  a\n"
	                                      "  b"},
	    {"{{ 'a\\n\\nb'|indent(2, blank=true) }}", "a\n"
	                                               "  \n"
	                                               "  b"},
	    {"{{ 'a\\nb'|indent('> ', first=true) }}", "> a\n"
	                                               "> b"},
	    {"{{ 'a\\n'|indent }}", "a\n"},
	};

	(void)state;
	CHECK(r);
}

static void turns_values_into_numbers(void **state)
{
	static const struct rendering r[] = {
	    {"{{ '42'|int }}", "42"},
	    {"{{ ' 7 '|int }}", "7"},
	    {"{{ 'x'|int }}", "0"},
	    {"{{ 'x'|int(-1) }}", "-1"},
	    {"{{ '3.9'|int }}", "3"},
	    {"{{ 3.9|int }}", "3"},
	    {"{{ 'ff'|int(base=16) }}", "255"},
	    {"{{ '2.5'|float }}", "2.5"},
	    {"{{ 'x'|float }}", "0.0"},
	    {"{{ 'x'|float(1.5) }}", "1.5"},
	    {"{{ 1|float }}", "1.0"},
	    {"{{ -5|abs }}", "5"},
	    {"{{ (-5)|abs }}", "5"},
	    {"{{ -2.5|abs }}", "2.5"},
	    {"{{ 2.5|round }}", "2.0"},
	    {"{{ 3.5|round }}", "4.0"},
	    {"{{ 2.345|round(2) }}", "2.35"},
	    {"{{ 2.1|round(0, 'ceil') }}", "3.0"},
	    {"{{ 2.9|round(0, 'floor') }}", "2.0"},
	    {"{{ 7|round }}", "7"},
	    {"{{ 1234|round(-2) }}", "1200"},
	    {"{{ true|int }}", "1"},
	};

	(void)state;
	CHECK(r);
}

static void writes_json_as_hugging_face_does(void **state)
{
	static const struct rendering r[] = {
	    {"{{ d|tojson }}", "{\"b\": 1, \"a\": \"two\"}"},
	    {"{{ none|tojson }}", "null"},
	    {"{{ true|tojson }}", "true"},
	    {"{{ [1, 2.0, 'a']|tojson }}", "[1, 2.0, \"a\"]"},
	    {"{{ u|tojson }}", "\"Gr\303\274\303\237e \344\270\226\347\225\214\""},
	    {"{{ u|tojson(ensure_ascii=true) }}", "\"Gr\\u00fc\\u00dfe \\u4e16\\u754c\""},
	    {"{{ '\\U0001f389'|tojson(ensure_ascii=true) }}", "\"\\ud83c\\udf89\""},
	    {"{{ '\"\\\\/\\n\\t\\r\\b\\f\\x01\\x7f<&>'|tojson }}",
	        "\"\\\"\\\\/\\n\\t\\r\\b\\f\\u0001<&>\""},
	    {"{{ {'b': 1, 'a': [1, {'c': []}], 'e': {}}|tojson(indent=2) }}", "{\n"
	                                                                      "  \"b\": 1,\n"
	                                                                      "  \"a\": [\n"
	                                                                      "    1,\n"
	                                                                      "    {\n"
	                                                                      "      \"c\": []\n"
	                                                                      "    }\n"
	                                                                      "  ],\n"
	                                                                      "  \"e\": {}\n"
	                                                                      "}"},
	    {"{{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }}", "{\"a\": 2, \"b\": 1}"},
	    {"{{ {1: 'a', none: 'b', true: 'c', 1.5: 'd'}|tojson }}",
	        "{\"1\": \"c\", \"null\": \"b\", \"1.5\": \"d\"}"},
	    {"{{ (1, 2)|tojson }}", "[1, 2]"},
	    {"{{ []|tojson(indent=4) }}", "[]"},
	    {"{{ 1e100|tojson }}", "1e+100"},
	};

	(void)state;
	CHECK(r);
}

static void gives_defaults(void **state)
{
	static const struct rendering r[] = {
	    {"{{ missing|default('x') }}", "x"},
	    {"{{ missing|d('x') }}", "x"},
	    {"{{ none|default('x') }}", "None"},
	    {"{{ none|default('x', true) }}", "x"},
	    {"{{ ''|default('x', boolean=true) }}", "x"},
	    {"{{ missing|default ~ '|' }}", "|"},
	    {"{{ d.x|default(d.b) }}", "1"},
	};

	(void)state;
	CHECK(r);
}

static void picks_from_sequences(void **state)
{
	static const struct rendering r[] = {
	    {"{{ l|first }}", "3"},
	    {"{{ l|last }}", "2"},
	    {"{{ s|first ~ s|last }}", "Hd"},
	    {"{{ []|first is defined }}", "False"},
	    {"{{ l|length }}", "3"},
	    {"{{ d|length }}", "2"},
	    {"{{ d|count }}", "2"},
	    {"{{ l|min }}", "1"},
	    {"{{ l|max }}", "3"},
	    {"{{ []|max is defined }}", "False"},
	    {"{{ l|sum }}", "6"},
	    {"{{ ms|map(attribute='content')|list }}", "['U1', None, 'U2']"},
	    {"{{ l|join }}", "312"},
	    {"{{ l|join('-') }}", "3-1-2"},
	    {"{{ ms|join(',', attribute='role') }}", "user,tool,user"},
	    {"{{ d|join(',') }}", "b,a"},
	    {"{{ s|list|length }}", "11"},
	    {"{{ missing|list }}", "[]"},
	    {"{{ l|reverse|list }}", "[2, 1, 3]"},
	    {"{{ s|reverse }}", "dlroW olleH"},
	    {"{{ d|items|list }}", "[('b', 1), ('a', 'two')]"},
	    {"{{ missing|items|list }}", "[]"},
	};

	(void)state;
	CHECK(r);
}

static void maps_and_selects(void **state)
{
	static const struct rendering r[] = {
	    {"{{ w|map('upper')|join }}", "BAC"},
	    {"{{ w|map('replace', 'b', 'x')|list }}", "['x', 'A', 'c']"},
	    {"{{ ms|map(attribute='x.y', default=0)|list }}", "[3, 0, 0]"},
	    {"{{ l|select('gt', 1)|list }}", "[3, 2]"},
	    {"{{ l|reject('odd')|list }}", "[2]"},
	    {"{{ [0, 1, '', 'a']|select|list }}", "[1, 'a']"},
	    {"{{ [0, 1]|reject|list }}", "[0]"},
	    {"{{ ms|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }}",
	        "['U1', 'U2']"},
	    {"{{ ms|rejectattr('role', 'equalto', 'user')|list }}",
	        "[{'role': 'tool', 'content': None}]"},
	    {"{{ ms|selectattr('x')|list|length }}", "1"},
	    {"{{ ms|selectattr('x', 'defined')|list|length }}", "1"},
	    {"{{ ms|selectattr('role', 'in', ['tool'])|list|length }}", "1"},
	    {"{{ none|selectattr('a')|list }}", "[]"},
	    {"{{ none|map('upper')|list }}", "[]"},
	};

	(void)state;
	CHECK(r);
}

static void sorts(void **state)
{
	static const struct rendering r[] = {
	    {"{{ l|sort }}", "[1, 2, 3]"},
	    {"{{ l|sort(reverse=true) }}", "[3, 2, 1]"},
	    {"{{ w|sort }}", "['A', 'b', 'c']"},
	    {"{{ w|sort(case_sensitive=true) }}", "['A', 'b', 'c']"},
	    {"{{ ms|sort(attribute='role')|map(attribute='content')|list }}", "[None, 'U1', 'U2']"},
	    {"{{ d|dictsort }}", "[('a', 'two'), ('b', 1)]"},
	    {"{{ d|dictsort(reverse=true) }}", "[('b', 1), ('a', 'two')]"},
	    {"{{ {'a': 2, 'b': 1}|dictsort(by='value') }}", "[('b', 1), ('a', 2)]"},
	    {"{{ ['a', 'B', 'A', 'b']|unique|list }}", "['a', 'B']"},
	    {"{{ ['a', 'A']|unique(true)|list }}", "['a', 'A']"},
	    {"{{ [1, 1.0, 2]|unique|list }}", "[1, 2]"},
	    {"{{ [3, 1, 2, 1]|sort|unique|join }}", "123"},
	};

	(void)state;
	CHECK(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(filters_text),
	    cmocka_unit_test(indents_text),
	    cmocka_unit_test(turns_values_into_numbers),
	    cmocka_unit_test(writes_json_as_hugging_face_does),
	    cmocka_unit_test(gives_defaults),
	    cmocka_unit_test(picks_from_sequences),
	    cmocka_unit_test(maps_and_selects),
	    cmocka_unit_test(sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
