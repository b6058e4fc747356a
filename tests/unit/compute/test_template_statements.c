/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of chat templates, and what happens to the white space around tags. What is expected
 * was worked out with jinja2 under Hugging Face's settings.
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

static void drops_the_newline_after_a_block_and_the_indent_before_it(void **state)
{
	static const struct rendering r[] = {
	    {"a\n"
	     "  {% if yes %}\n"
	     "  b\n"
	     "  {% endif %}\n"
	     "c",
	        "a\n"
	        "  b\n"
	        "c"},
	    {"{% if yes %}\n"
	     "\n"
	     "x{% endif %}\n",
	        "\n"
	        "x"},
	    {"  {# note #}\n"
	     "  x",
	        "  x"},
	    {"a {% if yes %} b {% endif %} c", "a  b  c"},
	    {"{{ n }}\n"
	     "  {{ n }}\n",
	        "7\n"
	        "  7"},
	    {"\t{% set a = 1 %}\n"
	     "{{ a }}",
	        "1"},
	};

	(void)state;
	CHECK(r);
}

static void strips_white_space_beside_a_minus(void **state)
{
	static const struct rendering r[] = {
	    {"a \n"
	     " {%- if yes %} b {% endif -%} \n"
	     " c",
	        "a b c"},
	    {"a {{- n -}} b", "a7b"},
	    {" {#- note -#} x", "x"},
	    {"a \n"
	     "\n"
	     " {{- '\\n' }}\n"
	     "\n"
	     " b",
	        "a\n"
	        "\n"
	        "\n"
	        " b"},
	};

	(void)state;
	CHECK(r);
}

static void keeps_white_space_beside_a_plus(void **state)
{
	static const struct rendering r[] = {
	    {"a\n"
	     "  {%+ if yes %}\n"
	     "b{% endif +%}\n"
	     "c",
	        "a\n"
	        "  b\n"
	        "c"},
	    {"a {{+ n }} b", "a 7 b"},
	    {"a {#+ note +#}\n"
	     "b",
	        "a \n"
	        "b"},
	};

	(void)state;
	CHECK(r);
}

static void reads_any_line_end_and_drops_the_last(void **state)
{
	static const struct rendering r[] = {
	    {"a\r\n"
	     "b\rc\n",
	        "a\n"
	        "b\n"
	        "c"},
	    {"a\n"
	     "\n",
	        "a\n"},
	    {"\n", ""},
	    {"", ""},
	    {"{{ 'x\r\n"
	     "y' }}",
	        "x\n"
	        "y"},
	};

	(void)state;
	CHECK(r);
}

static void keeps_raw_blocks_as_they_are(void **state)
{
	static const struct rendering r[] = {
	    {"{% raw %}{{ n }} {% if {% endraw %}|", "{{ n }} {% if |"},
	    {"a {%- raw -%} {{ x }} {%- endraw -%} b", "a{{ x }}b"},
	};

	(void)state;
	CHECK(r);
}

static void finds_the_end_of_a_tag_outside_of_brackets_only(void **state)
{
	static const struct rendering r[] = {
	    {"{{ {'a': {'b': 1}}['a']['b'] }}", "1"},
	    {"{{ {} }}", "{}"},
	    {"{{ [1, '}}'] }}", "[1, '}}']"},
	    {"{% set x = '%}' %}{{ x }}", "%}"},
	};

	(void)state;
	CHECK(r);
}

static void chooses_a_branch(void **state)
{
	static const struct rendering r[] = {
	    {"{% if n > 9 %}a{% elif n > 5 %}b{% elif n > 1 %}c{% else %}d{% endif %}", "b"},
	    {"{% if missing %}a{% else %}b{% endif %}", "b"},
	    {"{% if none %}a{% endif %}", ""},
	};

	(void)state;
	CHECK(r);
}

static void loops_over_lists_dicts_and_strings(void **state)
{
	static const struct rendering r[] = {
	    {"{% for x in l %}{{ x }},{% endfor %}", "3,1,2,"},
	    {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "b=1;a=two;"},
	    {"{% for k in d %}{{ k }}{% endfor %}", "ba"},
	    {"{% for c in 'a\303\274' %}{{ c }}.{% endfor %}", "a.\303\274."},
	    {"{% for x in missing %}a{% else %}none{% endfor %}", "none"},
	    {"{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"},
	};

	(void)state;
	CHECK(r);
}

static void filters_the_items_of_a_loop(void **state)
{
	static const struct rendering r[] = {
	    {"{% for m in ms if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}:{{ "
	     "m.content }} {% endfor %}",
	        "1/2:U1 2/2:U2 "},
	    {"{% for x in l if x > 9 %}a{% else %}b{% endfor %}", "b"},
	};

	(void)state;
	CHECK(r);
}

static void tells_a_loop_where_it_is(void **state)
{
	static const struct rendering r[] = {
	    {"{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ "
	     "loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}|{% endfor %}",
	        "1032TrueFalse3|2121FalseFalse3|3210FalseTrue3|"},
	    {"{% for x in l %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }} {% endfor %}",
	        "<3<1 3<1<2 1<2< "},
	    {"{% for x in l %}{{ loop.previtem is defined }} {% endfor %}", "False True True "},
	    {"{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "aba"},
	    {"{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% "
	     "endfor %}",
	        "1231 1232 1233 "},
	};

	(void)state;
	CHECK(r);
}

static void leaves_a_loop_with_break_and_a_turn_with_continue(void **state)
{
	static const struct rendering r[] = {
	    {"{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "3"},
	    {"{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "32"},
	    {"{% for x in l %}{% for y in l %}{% break %}{% endfor %}{{ x }}{% endfor %}", "312"},
	};

	(void)state;
	CHECK(r);
}

static void keeps_what_a_loop_sets_inside_of_it(void **state)
{
	static const struct rendering r[] = {
	    {"{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
	        "4 2 3 1"},
	    {"{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor "
	     "%}{{ ns.x }}",
	        "7"},
	    {"{% if yes %}{% set x = 5 %}{% endif %}{{ x }}", "5"},
	};

	(void)state;
	CHECK(r);
}

static void sets_values_tuples_and_blocks(void **state)
{
	static const struct rendering r[] = {
	    {"{% set a, b = 1, 'x' %}{{ a }}{{ b }}", "1x"},
	    {"{% set x %}a {{ n }}{% endset %}{{ x }}{{ x|length }}", "a 73"},
	    {"{% set x | upper | trim %} abc {% endset %}{{ x }}", "ABC"},
	    {"{% set t = 1, 2 %}{{ t }}", "(1, 2)"},
	    {"{% set ns = namespace(d, c=3) %}{{ ns.a }}{{ ns.c }}{{ ns.e }}", "two3"},
	};

	(void)state;
	CHECK(r);
}

static void calls_macros_with_defaults_and_names(void **state)
{
	static const struct rendering r[] = {
	    {"{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}|{% endmacro %}{{ m(1) }}{{ m(1, "
	     "c=3) }}{{ m(b=1, a=0) }}{{ m() }}",
	        "121|123|010|2|"},
	    {"{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ "
	     "m(3) }}",
	        "321"},
	    {"{% set g = 1 %}{% macro m() %}{{ g }}{{ n }}{% endmacro %}{% set g = 2 %}{{ m() }}",
	        "27"},
	    {"{% macro m() %} x {% endmacro %}{{ m()|trim ~ m()|length }}", "x3"},
	};

	(void)state;
	CHECK(r);
}

static void hands_a_block_to_a_macro(void **state)
{
	static const struct rendering r[] = {
	    {"{% macro box(t) %}[{{ t }}:{{ caller() }}]{% endmacro %}{% call box('a') %}in "
	     "{{ n }}{% endcall %}",
	        "[a:in 7]"},
	    {"{% macro each(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% "
	     "call(x) each(l) %}<{{ x }}>{% endcall %}",
	        "<3><1><2>"},
	};

	(void)state;
	CHECK(r);
}

static void filters_blocks_and_scopes_variables_with_with(void **state)
{
	static const struct rendering r[] = {
	    {"{% filter upper %}a{{ s }}{% endfilter %}", "AHELLO WORLD"},
	    {"{% filter replace('a', 'b') | upper %}aa{% endfilter %}", "BB"},
	    {"{% with a = 1, b = n %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a }}{{ c }}",
	        "17"},
	};

	(void)state;
	CHECK(r);
}

static void ignores_generation_blocks(void **state)
{
	static const struct rendering r[] = {
	    {"{% generation %}a{{ n }}{% endgeneration %}b", "a7b"},
	};

	(void)state;
	CHECK(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(drops_the_newline_after_a_block_and_the_indent_before_it),
	    cmocka_unit_test(strips_white_space_beside_a_minus),
	    cmocka_unit_test(keeps_white_space_beside_a_plus),
	    cmocka_unit_test(reads_any_line_end_and_drops_the_last),
	    cmocka_unit_test(keeps_raw_blocks_as_they_are),
	    cmocka_unit_test(finds_the_end_of_a_tag_outside_of_brackets_only),
	    cmocka_unit_test(chooses_a_branch),
	    cmocka_unit_test(loops_over_lists_dicts_and_strings),
	    cmocka_unit_test(filters_the_items_of_a_loop),
	    cmocka_unit_test(tells_a_loop_where_it_is),
	    cmocka_unit_test(leaves_a_loop_with_break_and_a_turn_with_continue),
	    cmocka_unit_test(keeps_what_a_loop_sets_inside_of_it),
	    cmocka_unit_test(sets_values_tuples_and_blocks),
	    cmocka_unit_test(calls_macros_with_defaults_and_names),
	    cmocka_unit_test(hands_a_block_to_a_macro),
	    cmocka_unit_test(filters_blocks_and_scopes_variables_with_with),
	    cmocka_unit_test(ignores_generation_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
