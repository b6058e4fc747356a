/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "compute/tokenizer_internal.h"

static const uint8_t replacement[3] = {0xef, 0xbf, 0xbd}; /* U+FFFD */

struct tokenizer_stream {
	const struct tokenizer *t;
	uint8_t
	    *raw; /* bytes not yet given out: the beginning of a character, then the new token's */
	size_t n_raw;
	char *text;   /* three times as long: each byte may become a U+FFFD */
	bool started; /* some text token has come */
};

enum { CHARACTER_BYTES = 4 };

int tokenizer_stream_new(const struct tokenizer *t, struct tokenizer_stream **out)
{
	struct tokenizer_stream *s = calloc(1, sizeof *s);
	size_t max = t->max_bytes + CHARACTER_BYTES;

	*out = NULL;
	if (s == NULL)
		return AYNI_ERR_MEMORY;
	s->t = t;
	s->raw = malloc(max);
	s->text = malloc(sizeof replacement * max + 1);
	if (s->raw == NULL || s->text == NULL) {
		tokenizer_stream_free(s);
		return AYNI_ERR_MEMORY;
	}
	*out = s;
	return AYNI_OK;
}

void tokenizer_stream_free(struct tokenizer_stream *s)
{
	if (s == NULL)
		return;
	free(s->raw);
	free(s->text);
	free(s);
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* <0x41>, or the byte itself. */
static size_t byte_token(struct span text, uint8_t *out)
{
	if (text.len == 6 && memcmp(text.data, "<0x", 3) == 0 && text.data[5] == '>') {
		int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);

		if (high >= 0 && low >= 0)
			*out = (uint8_t)(high * 16 + low);
		return high >= 0 && low >= 0;
	}
	if (text.len == 1)
		*out = text.data[0];
	return text.len == 1;
}

/* U+2581 becomes a space; the space that encoding put before the text goes. */
static size_t marked(struct span text, bool strip, uint8_t *out)
{
	static const uint8_t mark[3] = {0xe2, 0x96, 0x81};
	size_t n = 0;

	for (size_t i = 0; i < text.len;) {
		if (text.len - i < sizeof mark || memcmp(text.data + i, mark, sizeof mark) != 0) {
			out[n++] = text.data[i++];
			continue;
		}
		if (!(strip && i == 0))
			out[n++] = ' ';
		i += sizeof mark;
	}
	return n;
}

static size_t copy(struct span text, uint8_t *out)
{
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	return text.len;
}

/* Of a token that is text, its bytes; `first`: nothing stands before it. */
static size_t token_bytes(const struct tokenizer *t, uint32_t id, bool first, uint8_t *out)
{
	struct span text = tokenizer_spelling(t, id);
	size_t n;

	if (t->types[id] == TOKEN_USER)
		return copy(text, out);
	if (t->types[id] == TOKEN_BYTE)
		return byte_token(text, out);
	if (t->model == MODEL_SPM)
		return marked(text, first && t->space_prefix, out);
	return alphabet_decode(text.data, text.len, out, &n) ? n : copy(text, out);
}

static bool is_text(const struct tokenizer *t, uint32_t id)
{
	return t->types[id] != TOKEN_CONTROL && t->types[id] != TOKEN_UNKNOWN;
}

size_t tokenizer_bytes(
    const struct tokenizer *t, uint32_t id, uint8_t out[TOKENIZER_MAX_TOKEN_BYTES])
{
	if (id >= t->n)
		return 0;
	return is_text(t, id) ? token_bytes(t, id, false, out)
	                      : copy(tokenizer_spelling(t, id), out);
}

/* Give out whole characters; at the end, also what never became one. */
static void emit(struct tokenizer_stream *s, bool end, const char **text, size_t *len)
{
	size_t i = 0, n = 0;

	while (i < s->n_raw) {
		int step = utf8_step(s->raw + i, s->n_raw - i);

		if (step == 0 && !end)
			break;
		if (step > 0) {
			memcpy(s->text + n, s->raw + i, (size_t)step);
			n += (size_t)step;
			i += (size_t)step;
		} else {
			memcpy(s->text + n, replacement, sizeof replacement);
			n += sizeof replacement;
			i += step == 0 ? s->n_raw - i : (size_t)-step;
		}
	}
	memmove(s->raw, s->raw + i, s->n_raw - i);
	s->n_raw -= i;
	assert(s->n_raw < CHARACTER_BYTES);
	s->text[n] = '\0';
	*text = s->text;
	*len = n;
}

int tokenizer_stream_feed(struct tokenizer_stream *s, uint32_t id, const char **text, size_t *len)
{
	if (id >= s->t->n) {
		s->text[0] = '\0';
		*text = s->text;
		*len = 0;
		return AYNI_ERR_ARGUMENT;
	}
	if (is_text(s->t, id)) {
		s->n_raw += token_bytes(s->t, id, !s->started, s->raw + s->n_raw);
		s->started = true;
	}
	emit(s, false, text, len);
	return AYNI_OK;
}

int tokenizer_stream_finish(struct tokenizer_stream *s, const char **text, size_t *len)
{
	emit(s, true, text, len);
	return AYNI_OK;
}
