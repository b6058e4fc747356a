/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions of chat templates. What is expected was worked out with jinja2 under Hugging Face's
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

static void prints_values_as_python_does(void **state)
{
	static const struct rendering r[] = {
	    {"{{ none }}", "None"},
	    {"{{ None }}", "None"},
	    {"{{ true }}", "True"},
	    {"{{ False }}", "False"},
	    {"{{ missing }}", ""},
	    {"{{ n }}", "7"},
	    {"{{ -n }}", "-7"},
	    {"{{ f }}", "2.5"},
	    {"{{ 1e3 }}", "1000.0"},
	    {"{{ 1e16 }}", "1e+16"},
	    {"{{ 1e-5 }}", "1e-05"},
	    {"{{ 0.1 + 0.2 }}", "0.30000000000000004"},
	    {"{{ 1.0 }}", "1.0"},
	    {"{{ 123456789.0 }}", "123456789.0"},
	    {"{{ 100 / 3 }}", "33.333333333333336"},
	    {"{{ [1, 'a', none, true, 1.5] }}", "[1, 'a', None, True, 1.5]"},
	    {"{{ (1,) }}", "(1,)"},
	    {"{{ (1, 2) }}", "(1, 2)"},
	    {"{{ () }}", "()"},
	    {"{{ {'a': [1], 2: 'b'} }}", "{'a': [1], 2: 'b'}"},
	    {"{{ \"it's\" }}", "it's"},
	    {"{{ ['it\\'s', 'a\"b', 'both\\'\"', 'tab\\t\\x01\303\274\\u200b'] }}",
	        "[\"it's\", 'a\"b', 'both\\'\"', 'tab\\t\\x01\303\274\\u200b']"},
	    {"{{ {} }}", "{}"},
	    {"{{ [missing] }}", "[Undefined]"},
	};

	(void)state;
	CHECK(r);
}

static void decodes_escapes_in_strings(void **state)
{
	static const struct rendering r[] = {
	    {"{{ 'a\\tb\\\\c\\'d\\\"e' }}", "a\tb\\c'd\"e"},
	    {"{{ '\\x41\\u00fc\\U0001f389\\101\\q' }}", "A\303\274\360\237\216\211A\\q"},
	    {"{{ 'a' 'b' \"c\" }}", "abc"},
	    {"{{ 'one\\ntwo' }}", "one\n"
	                          "two"},
	};

	(void)state;
	CHECK(r);
}

static void calculates_as_python_does(void **state)
{
	static const struct rendering r[] = {
	    {"{{ 7 // 2 }}", "3"},
	    {"{{ -7 // 2 }}", "-4"},
	    {"{{ 7 % 3 }}", "1"},
	    {"{{ -7 % 3 }}", "2"},
	    {"{{ 7 % -3 }}", "-2"},
	    {"{{ 7 / 2 }}", "3.5"},
	    {"{{ 6 / 3 }}", "2.0"},
	    {"{{ 2 ** 10 }}", "1024"},
	    {"{{ 2 ** -1 }}", "0.5"},
	    {"{{ -2 ** 2 }}", "4"},
	    {"{{ 2 ** 3 ** 2 }}", "64"},
	    {"{{ 1 + 2 * 3 - 4 }}", "3"},
	    {"{{ 7.5 // 2 }}", "3.0"},
	    {"{{ -7.5 % 2 }}", "0.5"},
	    {"{{ 1_000 + 1 }}", "1001"},
	    {"{{ +n }}", "7"},
	    {"{{ - -n }}", "7"},
	    {"{{ true + 1 }}", "2"},
	    {"{{ 10 - 2 - 3 }}", "5"},
	    {"{{ 5 * 'ab' }}", "ababababab"},
	    {"{{ [1] * 2 + [2] }}", "[1, 1, 2]"},
	    {"{{ 'a' + 'b' }}", "ab"},
	    {"{{ 1 ~ 2 ~ none }}", "12None"},
	    {"{{ 'a' + 1 ~ 2 }}", "a12"},
	    {"{{ '%s is %d' % ('a', 3) }}", "a is 3"},
	    {"{{ '%.2f%%' % 1.5 }}", "1.50%"},
	    {"{{ '%05d' % 42 }}", "00042"},
	};

	(void)state;
	CHECK(r);
}

static void compares_as_python_does(void **state)
{
	static const struct rendering r[] = {
	    {"{{ 1 == 1.0 }}", "True"},
	    {"{{ 1 == true }}", "True"},
	    {"{{ '1' == 1 }}", "False"},
	    {"{{ 1 < 2 < 3 }}", "True"},
	    {"{{ 1 < 2 > 3 }}", "False"},
	    {"{{ 'a' < 'b' }}", "True"},
	    {"{{ [1, 2] < [1, 3] }}", "True"},
	    {"{{ (1, 2) == [1, 2] }}", "False"},
	    {"{{ d == {'a': 'two', 'b': 1} }}", "True"},
	    {"{{ 'lo' in s }}", "True"},
	    {"{{ 'x' not in s }}", "True"},
	    {"{{ 1 in l }}", "True"},
	    {"{{ 'a' in d }}", "True"},
	    {"{{ 5 in (1, 2) }}", "False"},
	    {"{{ none == none }}", "True"},
	    {"{{ missing == missing }}", "True"},
	    {"{{ 'x' in missing }}", "False"},
	};

	(void)state;
	CHECK(r);
}

static void joins_conditions_by_their_values(void **state)
{
	static const struct rendering r[] = {
	    {"{{ 0 or 'a' }}", "a"},
	    {"{{ 1 and 'b' }}", "b"},
	    {"{{ '' or none }}", "None"},
	    {"{{ not 0 }}", "True"},
	    {"{{ not 1 == 2 }}", "True"},
	    {"{{ 1 and not none or 2 }}", "True"},
	    {"{{ 'a' if n else 'b' }}", "a"},
	    {"{{ 'a' if missing else 'b' if n else 'c' }}", "b"},
	    {"{{ 'a' if none }}", ""},
	    {"{{ (1 if n) is defined }}", "True"},
	    {"{{ none or [] or 'x' }}", "x"},
	};

	(void)state;
	CHECK(r);
}

static void treats_empty_values_as_false(void **state)
{
	static const struct rendering r[] = {
	    {"{% for x in [none, false, 0, 0.0, '', [], (), {}, missing, 1, -1, 0.1, 'a', ' "
	     "', [0], {'a': 0}] %}{{ 'T' if x else 'F' }}{% endfor %}",
	        "FFFFFFFFFTTTTTTT"},
	};

	(void)state;
	CHECK(r);
}

static void finds_attributes_and_items(void **state)
{
	static const struct rendering r[] = {
	    {"{{ d.a }}", "two"},
	    {"{{ d['a'] }}", "two"},
	    {"{{ d.b }}", "1"},
	    {"{{ d.missing }}", ""},
	    {"{{ d['missing'] is defined }}", "False"},
	    {"{{ ms[0].x.y }}", "3"},
	    {"{{ ms[-1]['content'] }}", "U2"},
	    {"{{ l[0] + l[-1] }}", "5"},
	    {"{{ l[5] is defined }}", "False"},
	    {"{{ s[0] ~ s[-1] }}", "Hd"},
	    {"{{ u[1] ~ u[2:4] }}", "r\303\274\303\237"},
	    {"{{ l.0 }}", "3"},
	    {"{{ d.items()|list }}", "[('b', 1), ('a', 'two')]"},
	    {"{{ ms[0]['x']['y'] }}", "3"},
	    {"{{ n.missing is defined }}", "False"},
	    {"{{ none.x is defined }}", "False"},
	    {"{{ s['upper']() }}", "HELLO WORLD"},
	};

	(void)state;
	CHECK(r);
}

static void cuts_slices_with_negative_bounds_and_steps(void **state)
{
	static const struct rendering r[] = {
	    {"{{ l[1:] }}", "[1, 2]"},
	    {"{{ l[:-1] }}", "[3, 1]"},
	    {"{{ l[::-1] }}", "[2, 1, 3]"},
	    {"{{ l[::2] }}", "[3, 2]"},
	    {"{{ l[5:] }}", "[]"},
	    {"{{ l[-2:] }}", "[1, 2]"},
	    {"{{ l[2:1] }}", "[]"},
	    {"{{ s[:5] }}", "Hello"},
	    {"{{ s[-5:] }}", "World"},
	    {"{{ s[::-1] }}", "dlroW olleH"},
	    {"{{ s[1:8:3] }}", "eoo"},
	    {"{{ u[::-1] }}", "\347\225\214\344\270\226 e\303\237\303\274rG"},
	    {"{{ u[-2:] }}", "\344\270\226\347\225\214"},
	    {"{{ (1, 2, 3)[1:] }}", "(2, 3)"},
	    {"{{ [][:] }}{{ [][0:0] }}{{ ()[::] }}", "[][]()"},
	    {"{{ l[none:2] }}", "[3, 1]"},
	    {"{{ s[8:2:-2] }}", "rWo"},
	};

	(void)state;
	CHECK(r);
}

static void asks_tests(void **state)
{
	static const struct rendering r[] = {
	    {"{{ n is defined }}", "True"},
	    {"{{ missing is defined }}", "False"},
	    {"{{ missing is undefined }}", "True"},
	    {"{{ none is none }}", "True"},
	    {"{{ none is not none }}", "False"},
	    {"{{ n is number }}", "True"},
	    {"{{ f is float }}", "True"},
	    {"{{ n is integer }}", "True"},
	    {"{{ true is integer }}", "False"},
	    {"{{ true is boolean }}", "True"},
	    {"{{ true is number }}", "True"},
	    {"{{ yes is true }}", "True"},
	    {"{{ 0 is false }}", "False"},
	    {"{{ s is string }}", "True"},
	    {"{{ d is mapping }}", "True"},
	    {"{{ l is sequence }}", "True"},
	    {"{{ s is sequence }}", "True"},
	    {"{{ d is sequence }}", "True"},
	    {"{{ n is sequence }}", "False"},
	    {"{{ s is iterable }}", "True"},
	    {"{{ n is iterable }}", "False"},
	    {"{{ missing is iterable }}", "True"},
	    {"{{ 3 is odd }}", "True"},
	    {"{{ 4 is even }}", "True"},
	    {"{{ 9 is divisibleby 3 }}", "True"},
	    {"{{ 9 is divisibleby(2) }}", "False"},
	    {"{{ n is eq 7 }}", "True"},
	    {"{{ n is equalto(8) }}", "False"},
	    {"{{ n is ne 8 }}", "True"},
	    {"{{ n is gt 5 }}", "True"},
	    {"{{ n is le(6) }}", "False"},
	    {"{{ 1 is in l }}", "True"},
	    {"{{ 'a' is in(d) }}", "True"},
	    {"{{ n is sameas n }}", "True"},
	    {"{{ 1 is sameas true }}", "False"},
	    {"{{ 'a' is lower }}", "True"},
	    {"{{ 'A' is upper }}", "True"},
	    {"{{ not n is none }}", "True"},
	    {"{{ n is not none and 1 }}", "1"},
	    {"{{ range is callable }}", "True"},
	    {"{{ 'upper' is filter }}", "True"},
	    {"{{ 'odd' is test }}", "True"},
	};

	(void)state;
	CHECK(r);
}

static void calls_methods_of_strings(void **state)
{
	static const struct rendering r[] = {
	    {"{{ '  a b '.strip() }}", "a b"},
	    {"{{ 'xxaxx'.strip('x') }}", "a"},
	    {"{{ ' a '.lstrip() ~ '|' }}", "a |"},
	    {"{{ 'a  '.rstrip() ~ '|' }}", "a|"},
	    {"{{ 'abcba'.lstrip('ab') }}", "cba"},
	    {"{{ 'a,b,c'.split(',') }}", "['a', 'b', 'c']"},
	    {"{{ 'a,b,c'.split(',', 1) }}", "['a', 'b,c']"},
	    {"{{ 'a,b,c'.rsplit(',', 1) }}", "['a,b', 'c']"},
	    {"{{ ' a  b '.split() }}", "['a', 'b']"},
	    {"{{ 'a b c'.split(none, 1) }}", "['a', 'b c']"},
	    {"{{ 'a</think>b'.split('</think>')[-1] }}", "b"},
	    {"{{ 'a\\nb\\r\\nc\\n'.splitlines() }}", "['a', 'b', 'c']"},
	    {"{{ s.startswith('He') }}", "True"},
	    {"{{ s.startswith(('x', 'H')) }}", "True"},
	    {"{{ s.endswith('x') }}", "False"},
	    {"{{ s.startswith('W', 6) }}", "True"},
	    {"{{ s.endswith('o', 0, 5) }}", "True"},
	    {"{{ 'a\\nb'.splitlines(true) }}", "['a\\n', 'b']"},
	    {"{{ s.upper() ~ s.lower() }}", "HELLO WORLDhello world"},
	    {"{{ 'hello wORLD'.title() }}", "Hello World"},
	    {"{{ 'hELLO'.capitalize() }}", "Hello"},
	    {"{{ 'aaa'.replace('a', 'b', 2) }}", "bba"},
	    {"{{ 'ab'.replace('', '-') }}", "-a-b-"},
	    {"{{ s.find('o') }}", "4"},
	    {"{{ s.find('o', 5) }}", "7"},
	    {"{{ s.rfind('o') }}", "7"},
	    {"{{ s.find('z') }}", "-1"},
	    {"{{ u.find('\344\270\226') }}", "6"},
	    {"{{ s.index('W') }}", "6"},
	    {"{{ s.count('l') }}", "3"},
	    {"{{ '-'.join(['a', 'b']) }}", "a-b"},
	    {"{{ '{} {}'.format(1, 'a') }}", "1 a"},
	    {"{{ '{1}{0}{x}{{}}'.format(1, 2, x=3) }}", "213{}"},
	    {"{{ '12'.isdigit() }}", "True"},
	    {"{{ 'ab'.isalpha() }}", "True"},
	    {"{{ 'a1'.isalnum() }}", "True"},
	    {"{{ ' '.isspace() }}", "True"},
	    {"{{ 'ab'.removeprefix('a') }}", "b"},
	    {"{{ 'ab'.removesuffix('b') }}", "a"},
	    {"{{ 'A'.isupper() }}", "True"},
	    {"{{ '\\u3000a\\u00a0'.strip() }}", "a"},
	};

	(void)state;
	CHECK(r);
}

static void calls_methods_of_dicts_and_lists(void **state)
{
	static const struct rendering r[] = {
	    {"{{ d.get('a') }}", "two"},
	    {"{{ d.get('x') }}", "None"},
	    {"{{ d.get('x', 5) }}", "5"},
	    {"{{ d.keys()|list }}", "['b', 'a']"},
	    {"{{ d.values()|list }}", "[1, 'two']"},
	    {"{{ d.items()|list }}", "[('b', 1), ('a', 'two')]"},
	    {"{{ l.index(1) }}", "1"},
	    {"{{ l.count(3) }}", "1"},
	    {"{{ d.copy() }}", "{'b': 1, 'a': 'two'}"},
	    {"{{ dict(a=1, b=2) }}", "{'a': 1, 'b': 2}"},
	    {"{{ dict(d, a=1) }}", "{'b': 1, 'a': 1}"},
	    {"{{ dict([('x', 1)]) }}", "{'x': 1}"},
	    {"{{ range(3)|list }}", "[0, 1, 2]"},
	    {"{{ range(1, 7, 2)|list }}", "[1, 3, 5]"},
	    {"{{ range(3, 0, -1)|list }}", "[3, 2, 1]"},
	    {"{{ {'items': 1}['items'] }}", "1"},
	    {"{{ {'items': 1}.items()|list }}", "[('items', 1)]"},
	};

	(void)state;
	CHECK(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prints_values_as_python_does),
	    cmocka_unit_test(decodes_escapes_in_strings),
	    cmocka_unit_test(calculates_as_python_does),
	    cmocka_unit_test(compares_as_python_does),
	    cmocka_unit_test(joins_conditions_by_their_values),
	    cmocka_unit_test(treats_empty_values_as_false),
	    cmocka_unit_test(finds_attributes_and_items),
	    cmocka_unit_test(cuts_slices_with_negative_bounds_and_steps),
	    cmocka_unit_test(asks_tests),
	    cmocka_unit_test(calls_methods_of_strings),
	    cmocka_unit_test(calls_methods_of_dicts_and_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
