/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Template text to tokens, with whitespace control done here as Jinja's lexer does it:
 * - one newline at the end of the template is dropped, and CR and CR LF are read as LF;
 * - `-` beside a tag removes all white space on that side;
 * - the newline after a block or comment is dropped (trim_blocks) unless the tag ends in `+`;
 * - spaces from the start of a line to a block or comment are dropped (lstrip_blocks) unless the
 * tag begins with `+`.
 */
#include "compute/template_parser.h"

#include "compute/template_text.h"

struct lexer {
	const char *text;
	size_t len;
	size_t at;
	size_t line_counted; /* `line` is right for this offset */
	uint32_t line;
	bool line_starting; /* the tag before ended with a newline, or there was none */
	struct arena *arena;
	struct arena *scratch;
	struct token *tokens;
	size_t n_tokens;
	size_t capacity;
	struct token ignored; /* written to instead, after an error */
	int code;
	struct error *err;
};

static const struct {
	const char *text;
	enum op op;
} operators[] = {
    {"**", OP_POW},
    {"//", OP_FLOOR_DIV},
    {"==", OP_EQ},
    {"!=", OP_NE},
    {"<=", OP_LE},
    {">=", OP_GE},
    {"+", OP_ADD},
    {"-", OP_SUB},
    {"*", OP_MUL},
    {"/", OP_DIV},
    {"%", OP_MOD},
    {"~", OP_TILDE},
    {"<", OP_LT},
    {">", OP_GT},
    {"=", OP_ASSIGN},
    {".", OP_DOT},
    {",", OP_COMMA},
    {":", OP_COLON},
    {"|", OP_PIPE},
    {"(", OP_LPAREN},
    {")", OP_RPAREN},
    {"[", OP_LBRACKET},
    {"]", OP_RBRACKET},
    {"{", OP_LBRACE},
    {"}", OP_RBRACE},
};

static uint32_t line_at(struct lexer *l, size_t offset)
{
	while (l->line_counted < offset) {
		const char *from = l->text + l->line_counted;
		const char *newline = memchr(from, '\n', offset - l->line_counted);

		if (newline == NULL) {
			l->line_counted = offset;
			break;
		}
		l->line_counted += (size_t)(newline - from) + 1;
		l->line++;
	}
	return l->line;
}

static void fail(struct lexer *l, enum ayni_error code, const char *what)
{
	if (l->code == AYNI_OK)
		l->code = error_set(
		    l->err, code, "template line %u: %s", (unsigned)line_at(l, l->at), what);
	l->at = l->len;
}

static bool looking_at(const struct lexer *l, size_t at, const char *s)
{
	size_t n = strlen(s);

	return at < l->len && l->text[at] == s[0] && l->len - at >= n &&
	       memcmp(l->text + at, s, n) == 0;
}

/* The first tag at or after `at`, or the end. */
static size_t find_tag(const struct lexer *l, size_t at)
{
	while (at < l->len) {
		const char *brace = memchr(l->text + at, '{', l->len - at);

		if (brace == NULL)
			break;
		at = (size_t)(brace - l->text);
		if (at + 1 < l->len && (brace[1] == '{' || brace[1] == '%' || brace[1] == '#'))
			return at;
		at++;
	}
	return l->len;
}

static size_t skip_space(const struct lexer *l, size_t at)
{
	struct text rest = {l->text + at, l->len - at};

	return at + (rest.len - text_lstrip(rest).len);
}

static struct token *push(struct lexer *l, enum token_type type, size_t from, size_t to)
{
	struct token *t;

	if (l->n_tokens == l->capacity) {
		size_t capacity = l->capacity == 0 ? 64 : l->capacity * 2;
		struct token *more = arena_alloc(l->scratch, capacity, sizeof *more);

		if (more == NULL) {
			fail(l, AYNI_ERR_MEMORY, "out of memory");
			return &l->ignored;
		}
		if (l->n_tokens > 0)
			memcpy(more, l->tokens, l->n_tokens * sizeof *more);
		l->tokens = more;
		l->capacity = capacity;
	}
	t = &l->tokens[l->n_tokens++];
	t->type = type;
	t->op = OP_NONE;
	t->line = line_at(l, from);
	t->text = (struct text){l->text + from, to - from};
	return t;
}

/* Text from l->at to a tag at `to`, which begins with '{', a kind, and perhaps a sign. */
static void push_data(struct lexer *l, size_t to, bool is_output)
{
	struct text data = {l->text + l->at, to - l->at};
	char sign = to + 2 < l->len ? l->text[to + 2] : '\0';

	if (sign == '-') {
		data = text_rstrip(data);
	} else if (sign != '+' && !is_output) {
		const char *newline = memrchr(data.data, '\n', data.len);
		size_t start = newline == NULL ? 0 : (size_t)(newline - data.data) + 1;
		struct text indent = {data.data + start, data.len - start};

		if ((start > 0 || l->line_starting) && text_lstrip(indent).len == 0)
			data.len = start;
	}
	if (data.len > 0)
		push(l, TOKEN_DATA, l->at, l->at + data.len);
}

/* Past the end of a block or comment, "%}" or "#}" at `at`, perhaps a sign before. 0: not there. */
static size_t match_end(const struct lexer *l, size_t at, const char *end, bool trim_newline)
{
	if (looking_at(l, at, "-") && looking_at(l, at + 1, end))
		return skip_space(l, at + 1 + strlen(end));
	if (trim_newline && looking_at(l, at, "+") && looking_at(l, at + 1, end))
		return at + 1 + strlen(end);
	if (!looking_at(l, at, end))
		return 0;
	at += strlen(end);
	return trim_newline && looking_at(l, at, "\n") ? at + 1 : at;
}

static void finish_tag(struct lexer *l, size_t end)
{
	l->at = end;
	l->line_starting = l->text[end - 1] == '\n';
}

static void lex_comment(struct lexer *l)
{
	for (size_t at = l->at; at < l->len; at++) {
		size_t end = match_end(l, at, "#}", true);

		if (end != 0) {
			finish_tag(l, end);
			return;
		}
	}
	fail(l, AYNI_ERR_FORMAT, "comment without an end");
}

/* At "raw %}" after "{%": hand over everything up to "{% endraw %}" as data. */
static bool lex_raw(struct lexer *l)
{
	size_t at = skip_space(l, l->at);
	size_t start;

	if (!looking_at(l, at, "raw"))
		return false;
	at = skip_space(l, at + 3);
	start = match_end(l, at, "%}", false);
	if (start == 0)
		return false;
	finish_tag(l, start);
	for (at = start; at < l->len; at++) {
		size_t end;

		if (!looking_at(l, at, "{%"))
			continue;
		end = at + 2;
		if (looking_at(l, end, "-") || looking_at(l, end, "+"))
			end++;
		end = skip_space(l, end);
		if (!looking_at(l, end, "endraw"))
			continue;
		end = match_end(l, skip_space(l, end + 6), "%}", true);
		if (end == 0)
			continue;
		push_data(l, at, false);
		finish_tag(l, end);
		return true;
	}
	fail(l, AYNI_ERR_FORMAT, "raw block without an end");
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

/* Past the digits at `at`, single underscores between them allowed. */
static size_t skip_digits(const struct lexer *l, size_t at)
{
	while (at < l->len && (is_digit(l->text[at]) || (l->text[at] == '_' && at + 1 < l->len &&
	                                                    is_digit(l->text[at + 1]))))
		at++;
	return at;
}

static void lex_number(struct lexer *l)
{
	size_t end = skip_digits(l, l->at);
	size_t exponent;
	enum token_type type = TOKEN_INTEGER;

	/* In `a.0.b` the 0 is an integer. */
	if (l->at == 0 || l->text[l->at - 1] != '.') {
		if (looking_at(l, end, ".") && end + 1 < l->len && is_digit(l->text[end + 1])) {
			type = TOKEN_FLOAT;
			end = skip_digits(l, end + 1);
		}
		exponent = end;
		if (looking_at(l, exponent, "e") || looking_at(l, exponent, "E")) {
			exponent++;
			if (looking_at(l, exponent, "+") || looking_at(l, exponent, "-"))
				exponent++;
			if (exponent < l->len && is_digit(l->text[exponent])) {
				type = TOKEN_FLOAT;
				end = skip_digits(l, exponent);
			}
		}
	}
	push(l, type, l->at, end);
	l->at = end;
}

/* `digits` hexadecimal digits at `at`; -1 if they are not there. */
static int64_t hex_value(struct text s, size_t at, size_t digits)
{
	int64_t v = 0;

	if (at + digits > s.len)
		return -1;
	for (size_t i = at; i < at + digits; i++) {
		char c = s.data[i];

		if (is_digit(c))
			v = v * 16 + (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v * 16 + ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* Decode the escape after the backslash at s[*at - 1] as Python does; -1 not valid, -2 unknown. */
static int64_t decode_escape(struct text s, size_t *at)
{
	static const char simple[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
	char c = s.data[(*at)++];
	size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	int64_t code;

	for (size_t i = 0; i + 1 < sizeof simple; i += 2) {
		if (simple[i] == c)
			return simple[i + 1];
	}
	if (c >= '0' && c <= '7') {
		code = c - '0';
		for (int i = 0; i < 2 && *at < s.len && s.data[*at] >= '0' && s.data[*at] <= '7';
		     i++)
			code = code * 8 + (s.data[(*at)++] - '0');
		return code;
	}
	if (digits == 0)
		return c == 'N' ? -1 : -2;
	code = hex_value(s, *at, digits);
	*at += digits;
	return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? -1 : code;
}

static struct text unescape(struct lexer *l, struct text s)
{
	char *out = arena_alloc(l->arena, s.len + 1, 1);
	size_t n = 0;

	if (out == NULL) {
		fail(l, AYNI_ERR_MEMORY, "out of memory");
		return (struct text){"", 0};
	}
	for (size_t at = 0; at < s.len;) {
		int64_t code;

		if (s.data[at] != '\\') {
			out[n++] = s.data[at++];
			continue;
		}
		if (s.data[++at] == '\n') {
			at++;
			continue;
		}
		code = decode_escape(s, &at);
		if (code == -1) {
			fail(l, AYNI_ERR_FORMAT, "string with an escape that is no character");
			break;
		}
		if (code == -2) {
			out[n++] = '\\';
			out[n++] = s.data[at - 1];
		} else {
			n += utf8_encode((uint32_t)code, out + n);
		}
	}
	return (struct text){out, n};
}

static void lex_string(struct lexer *l)
{
	char quote = l->text[l->at];
	size_t end = l->at + 1;
	bool escaped = false;
	struct token *t;

	while (end < l->len && l->text[end] != quote) {
		escaped = escaped || l->text[end] == '\\';
		end += l->text[end] == '\\' ? 2 : 1;
	}
	if (end >= l->len) {
		fail(l, AYNI_ERR_FORMAT, "string without an end");
		return;
	}
	t = push(l, TOKEN_STRING, l->at + 1, end);
	if (escaped)
		t->text = unescape(l, t->text);
	if (l->code == AYNI_OK)
		l->at = end + 1;
}

static void lex_operator(struct lexer *l, size_t *open)
{
	/* the operators' first characters, in their order */
	static const char first[] = "*/=!<>+-*/%~<>=.,:|()[]{}";
	const char *found = memchr(first, l->text[l->at], sizeof first - 1);
	size_t i = found != NULL ? (size_t)(found - first) : sizeof first;

	static_assert(sizeof first - 1 == sizeof operators / sizeof operators[0], "one each");
	for (; i < sizeof operators / sizeof operators[0]; i++) {
		enum op op = operators[i].op;

		if (!looking_at(l, l->at, operators[i].text))
			continue;
		if (op == OP_LPAREN || op == OP_LBRACKET || op == OP_LBRACE)
			++*open;
		else if ((op == OP_RPAREN || op == OP_RBRACKET || op == OP_RBRACE) && *open > 0)
			--*open;
		push(l, TOKEN_OPERATOR, l->at, l->at + strlen(operators[i].text))->op = op;
		if (l->code == AYNI_OK)
			l->at += strlen(operators[i].text);
		return;
	}
	fail(l, AYNI_ERR_FORMAT, "unexpected character");
}

/* The inside of a tag up to its end, which does not count inside brackets: {{ {'a': {}} }}. */
static void lex_tag(struct lexer *l, bool is_output)
{
	size_t open = 0;

	for (l->at = skip_space(l, l->at); l->at < l->len; l->at = skip_space(l, l->at)) {
		char c = l->text[l->at];
		size_t end = 0;

		if (c == '}' || c == '%' || c == '-' || c == '+')
			end = is_output ? match_end(l, l->at, "}}", false)
			                : match_end(l, l->at, "%}", true);

		if (end != 0 && open == 0) {
			push(l, is_output ? TOKEN_OUTPUT_END : TOKEN_BLOCK_END, l->at, end);
			finish_tag(l, end);
			return;
		}
		if (is_digit(c)) {
			lex_number(l);
		} else if (is_name_char(c)) {
			end = l->at;
			while (end < l->len && is_name_char(l->text[end]))
				end++;
			push(l, TOKEN_NAME, l->at, end);
			l->at = end;
		} else if (c == '\'' || c == '"') {
			lex_string(l);
		} else {
			lex_operator(l, &open);
		}
	}
	fail(l, AYNI_ERR_FORMAT, is_output ? "'{{' without '}}'" : "'{%' without '%}'");
}

static void lex_all(struct lexer *l)
{
	while (l->at < l->len) {
		size_t tag = find_tag(l, l->at);
		char kind;

		if (tag == l->len) {
			push(l, TOKEN_DATA, l->at, l->len);
			break;
		}
		kind = l->text[tag + 1];
		push_data(l, tag, kind == '{');
		l->at = tag + 2;
		if (looking_at(l, l->at, "-") || looking_at(l, l->at, "+"))
			l->at++;
		if (kind == '#') {
			lex_comment(l);
		} else if (kind == '{') {
			push(l, TOKEN_OUTPUT_BEGIN, tag, l->at);
			lex_tag(l, true);
		} else if (!lex_raw(l)) {
			push(l, TOKEN_BLOCK_BEGIN, tag, l->at);
			lex_tag(l, false);
		}
	}
	push(l, TOKEN_END, l->len, l->len);
}

int template_lex(const char *text, size_t len, struct arena *arena, struct arena *scratch,
    struct token **tokens, struct error *err)
{
	struct lexer l = {.line = 1, .line_starting = true, .arena = arena, .scratch = scratch};
	char *copy = arena_alloc(arena, len + 1, 1);
	const char *cr;

	l.err = err;
	if (copy == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "template: out of memory");
	cr = len == 0 ? NULL : memchr(text, '\r', len);
	l.len = cr == NULL ? len : (size_t)(cr - text);
	if (l.len > 0)
		memcpy(copy, text, l.len);
	for (size_t i = l.len; i < len; i++) {
		if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
			continue;
		copy[l.len++] = text[i] == '\r' ? '\n' : text[i];
	}
	if (l.len > 0 && copy[l.len - 1] == '\n')
		l.len--;
	l.text = copy;
	lex_all(&l);
	*tokens = l.tokens;
	return l.code;
}
