/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding of arguments to builtins, attributes and items of values, the tests (`is ...`), and the
 * global functions.
 */
#include "compute/template_builtins.h"

#include "compute/template_text.h"

const struct builtin *builtin_find(const struct builtin *table, struct text name)
{
	for (; table->name != NULL; table++) {
		if (text_is(name, table->name))
			return table;
	}
	return NULL;
}

/* The index of `name` among "a b c" and their number; the number if it is not there. */
static size_t parameter_index(const char *parameters, struct text name, size_t *n)
{
	size_t found = SIZE_MAX;

	*n = 0;
	while (*parameters != '\0') {
		size_t len = strcspn(parameters, " ");

		if (text_equal(name, (struct text){parameters, len}))
			found = *n;
		++*n;
		parameters += len + (parameters[len] == ' ');
	}
	return found;
}

struct value builtin_run(
    struct render *r, const struct builtin *b, struct value self, const struct call *call)
{
	struct value args[BUILTIN_MAX_PARAMETERS] = {
	    {.type = VALUE_UNDEFINED, .as = {.text = {"", 0}}}};
	struct call bound = {.args = args, .n_args = BUILTIN_MAX_PARAMETERS};
	size_t n;

	if (!render_charge(r, 1))
		return args[0];
	if (b->parameters == NULL)
		return b->run(r, self, call);
	parameter_index(b->parameters, (struct text){"", 0}, &n);
	if (call->n_args > n)
		return render_fail(
		    r, AYNI_ERR_FORMAT, "%s() takes at most %zu arguments", b->name, n);
	for (size_t i = 0; i < call->n_args; i++) {
		args[i] = call->args[i];
		bound.given |= 1U << i;
	}
	for (size_t i = 0; i < call->n_keywords; i++) {
		struct text name = call->keywords[i].name;
		size_t at = parameter_index(b->parameters, name, &n);

		if (at == SIZE_MAX || arg_given(&bound, at))
			return render_fail(r, AYNI_ERR_FORMAT, "%s() does not take argument '%.*s'",
			    b->name, (int)(name.len < 64 ? name.len : 64), name.data);
		args[at] = call->keywords[i].value;
		bound.given |= 1U << at;
	}
	for (size_t i = 0; i < b->required; i++) {
		if (!arg_given(&bound, i))
			return render_fail(r, AYNI_ERR_FORMAT, "%s() lacks an argument", b->name);
	}
	return b->run(r, self, &bound);
}

struct text arg_text(struct render *r, const struct call *call, size_t i)
{
	if (call->args[i].type == VALUE_STRING)
		return call->args[i].as.text;
	render_fail(r, AYNI_ERR_FORMAT, "argument %zu is %s where a string is needed", i + 1,
	    value_type_name(call->args[i]));
	return (struct text){"", 0};
}

int64_t arg_int(struct render *r, const struct call *call, size_t i, int64_t otherwise)
{
	struct value v = call->args[i];

	if (!arg_given(call, i))
		return otherwise;
	if (v.type == VALUE_INT || v.type == VALUE_BOOL)
		return value_integer(v);
	render_fail(r, AYNI_ERR_FORMAT, "argument %zu is %s where an integer is needed", i + 1,
	    value_type_name(v));
	return otherwise;
}

bool arg_bool(const struct call *call, size_t i, bool otherwise)
{
	return arg_given(call, i) ? value_truth(call->args[i]) : otherwise;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static const struct builtin *method_of(struct value obj, struct text name)
{
	if (obj.type == VALUE_STRING)
		return builtin_find(template_string_methods, name);
	if (obj.type == VALUE_DICT)
		return builtin_find(template_dict_methods, name);
	if (value_is_list(obj))
		return builtin_find(template_list_methods, name);
	return obj.type == VALUE_LOOP ? builtin_find(template_loop_methods, name) : NULL;
}

static struct value loop_attribute(const struct loop *l, struct text name)
{
	static const struct text no_item = {"no such item", 12};
	int64_t i = (int64_t)l->index;
	int64_t n = (int64_t)l->items->n;

	if (text_is(name, "index"))
		return value_int(i + 1);
	if (text_is(name, "index0"))
		return value_int(i);
	if (text_is(name, "revindex"))
		return value_int(n - i);
	if (text_is(name, "revindex0"))
		return value_int(n - i - 1);
	if (text_is(name, "first"))
		return value_bool(i == 0);
	if (text_is(name, "last"))
		return value_bool(i == n - 1);
	if (text_is(name, "length"))
		return value_int(n);
	if (text_is(name, "depth")) /* of recursion, which there is not */
		return value_int(1);
	if (text_is(name, "depth0"))
		return value_int(0);
	if (text_is(name, "previtem"))
		return i > 0 ? l->items->items[i - 1] : value_undefined(no_item);
	if (text_is(name, "nextitem"))
		return i + 1 < n ? l->items->items[i + 1] : value_undefined(no_item);
	return value_undefined(name);
}

struct value attribute_of(struct render *r, struct value obj, struct text name)
{
	const struct builtin *method = method_of(obj, name);
	const struct value *found;

	if (obj.type == VALUE_UNDEFINED)
		return render_fail(r, AYNI_ERR_FORMAT, "'%.*s' is undefined, so it has no '%.*s'",
		    (int)(obj.as.text.len < 64 ? obj.as.text.len : 64), obj.as.text.data,
		    (int)(name.len < 64 ? name.len : 64), name.data);
	if (method != NULL)
		return value_function(r, (struct function){.builtin = method, .self = obj});
	if (obj.type == VALUE_LOOP)
		return loop_attribute(obj.as.loop, name);
	if (obj.type == VALUE_DICT || obj.type == VALUE_NAMESPACE) {
		found = dict_find(r, obj.as.dict, value_string(name));
		if (found != NULL)
			return *found;
	}
	return value_undefined(name);
}

struct value item_of(struct render *r, struct value obj, struct value key)
{
	struct value v;

	if (obj.type == VALUE_UNDEFINED)
		return attribute_of(
		    r, obj, key.type == VALUE_STRING ? key.as.text : (struct text){"item", 4});
	v = value_index(r, obj, key);
	if (v.type == VALUE_UNDEFINED && key.type == VALUE_STRING && r->code == AYNI_OK)
		return attribute_of(r, obj, key.as.text);
	return v;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static struct value test_type(enum value_type type, struct value self)
{
	return value_bool(self.type == type);
}

#define TEST(name)                                                                                 \
	static struct value test_##name(                                                           \
	    struct render *r, struct value self, const struct call *call)

TEST(defined)
{
	(void)r, (void)call;
	return value_bool(self.type != VALUE_UNDEFINED);
}

TEST(undefined)
{
	(void)r, (void)call;
	return test_type(VALUE_UNDEFINED, self);
}

TEST(none)
{
	(void)r, (void)call;
	return test_type(VALUE_NONE, self);
}

TEST(boolean)
{
	(void)r, (void)call;
	return test_type(VALUE_BOOL, self);
}

TEST(true)
{
	(void)r, (void)call;
	return value_bool(self.type == VALUE_BOOL && self.as.boolean);
}

TEST(false)
{
	(void)r, (void)call;
	return value_bool(self.type == VALUE_BOOL && !self.as.boolean);
}

TEST(integer)
{
	(void)r, (void)call;
	return test_type(VALUE_INT, self);
}

TEST(float)
{
	(void)r, (void)call;
	return test_type(VALUE_FLOAT, self);
}

TEST(number)
{
	(void)r, (void)call;
	return value_bool(value_is_number(self));
}

TEST(string)
{
	(void)r, (void)call;
	return test_type(VALUE_STRING, self);
}

TEST(mapping)
{
	(void)r, (void)call;
	return test_type(VALUE_DICT, self);
}

TEST(sequence)
{
	(void)r, (void)call;
	return value_bool(self.type == VALUE_UNDEFINED || self.type == VALUE_STRING ||
	                  self.type == VALUE_DICT || value_is_list(self));
}

TEST(iterable)
{
	(void)r, (void)call;
	return value_bool(value_length(self) >= 0);
}

TEST(callable)
{
	(void)r, (void)call;
	return test_type(VALUE_FUNCTION, self);
}

TEST(odd)
{
	(void)call;
	return value_bool(value_equal(r, arithmetic(r, OP_MOD, self, value_int(2)), value_int(1)));
}

TEST(even)
{
	(void)call;
	return value_bool(value_equal(r, arithmetic(r, OP_MOD, self, value_int(2)), value_int(0)));
}

TEST(divisibleby)
{
	return value_bool(value_equal(r, arithmetic(r, OP_MOD, self, call->args[0]), value_int(0)));
}

TEST(eq)
{
	return value_bool(value_equal(r, self, call->args[0]));
}

TEST(ne)
{
	return value_bool(!value_equal(r, self, call->args[0]));
}

TEST(lt)
{
	return value_bool(value_compare(r, self, call->args[0]) < 0);
}

TEST(le)
{
	return value_bool(value_compare(r, self, call->args[0]) <= 0);
}

TEST(gt)
{
	return value_bool(value_compare(r, self, call->args[0]) > 0);
}

TEST(ge)
{
	return value_bool(value_compare(r, self, call->args[0]) >= 0);
}

TEST(in)
{
	return value_bool(value_contains(r, call->args[0], self));
}

TEST(sameas)
{
	struct value other = call->args[0];

	return value_bool(self.type == other.type && value_equal(r, self, other));
}

static bool has_case(struct text s, char from, char to)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] >= from && s.data[i] <= to)
			return true;
	}
	return false;
}

TEST(lower)
{
	struct text s = format_str(r, self);

	(void)call;
	return value_bool(has_case(s, 'a', 'z') && !has_case(s, 'A', 'Z'));
}

TEST(upper)
{
	struct text s = format_str(r, self);

	(void)call;
	return value_bool(has_case(s, 'A', 'Z') && !has_case(s, 'a', 'z'));
}

TEST(filter)
{
	(void)r, (void)call;
	return value_bool(self.type == VALUE_STRING &&
	                  (builtin_find(template_filters, self.as.text) != NULL ||
	                      builtin_find(template_list_filters, self.as.text) != NULL));
}

TEST(test)
{
	(void)r, (void)call;
	return value_bool(
	    self.type == VALUE_STRING && builtin_find(template_tests, self.as.text) != NULL);
}

const struct builtin template_tests[] = {
    {"defined", "", 0, test_defined},
    {"undefined", "", 0, test_undefined},
    {"none", "", 0, test_none},
    {"boolean", "", 0, test_boolean},
    {"true", "", 0, test_true},
    {"false", "", 0, test_false},
    {"integer", "", 0, test_integer},
    {"float", "", 0, test_float},
    {"number", "", 0, test_number},
    {"string", "", 0, test_string},
    {"mapping", "", 0, test_mapping},
    {"sequence", "", 0, test_sequence},
    {"iterable", "", 0, test_iterable},
    {"callable", "", 0, test_callable},
    {"odd", "", 0, test_odd},
    {"even", "", 0, test_even},
    {"divisibleby", "num", 1, test_divisibleby},
    {"eq", "other", 1, test_eq},
    {"==", "other", 1, test_eq},
    {"equalto", "other", 1, test_eq},
    {"ne", "other", 1, test_ne},
    {"!=", "other", 1, test_ne},
    {"lt", "other", 1, test_lt},
    {"<", "other", 1, test_lt},
    {"lessthan", "other", 1, test_lt},
    {"le", "other", 1, test_le},
    {"<=", "other", 1, test_le},
    {"gt", "other", 1, test_gt},
    {">", "other", 1, test_gt},
    {"greaterthan", "other", 1, test_gt},
    {"ge", "other", 1, test_ge},
    {">=", "other", 1, test_ge},
    {"in", "seq", 1, test_in},
    {"sameas", "other", 1, test_sameas},
    {"lower", "", 0, test_lower},
    {"upper", "", 0, test_upper},
    {"filter", "", 0, test_filter},
    {"test", "", 0, test_test},
    {NULL, NULL, 0, NULL},
};

bool test_run(struct render *r, struct text name, struct value self, const struct call *call)
{
	const struct builtin *b = builtin_find(template_tests, name);

	if (b == NULL) {
		render_fail(r, AYNI_ERR_UNSUPPORTED, "there is no test '%.*s'",
		    (int)(name.len < 64 ? name.len : 64), name.data);
		return false;
	}
	return value_truth(builtin_run(r, b, self, call));
}
