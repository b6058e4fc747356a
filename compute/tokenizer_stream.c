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
static void feed_byte_token(struct tokenizer_stream *s, struct span text)
{
	if (text.len == 6 && memcmp(text.data, "<0x", 3) == 0 && text.data[5] == '>') {
		int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);

		if (high >= 0 && low >= 0)
			s->raw[s->n_raw++] = (uint8_t)(high * 16 + low);
	} else if (text.len == 1) {
		s->raw[s->n_raw++] = text.data[0];
	}
}

/* U+2581 becomes a space; the space that encoding put before the text goes. */
static void feed_marked(struct tokenizer_stream *s, struct span text)
{
	static const uint8_t mark[3] = {0xe2, 0x96, 0x81};
	bool strip = !s->started && s->t->space_prefix;

	for (size_t i = 0; i < text.len;) {
		if (text.len - i < sizeof mark || memcmp(text.data + i, mark, sizeof mark) != 0) {
			s->raw[s->n_raw++] = text.data[i++];
			continue;
		}
		if (!(strip && i == 0))
			s->raw[s->n_raw++] = ' ';
		i += sizeof mark;
	}
}

static void feed_text(struct tokenizer_stream *s, struct span text)
{
	size_t n;

	if (s->t->model == MODEL_SPM) {
		feed_marked(s, text);
	} else if (alphabet_decode(text.data, text.len, s->raw + s->n_raw, &n)) {
		s->n_raw += n;
	} else if (text.len > 0) {
		memcpy(s->raw + s->n_raw, text.data, text.len);
		s->n_raw += text.len;
	}
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
	struct span spelling = tokenizer_spelling(s->t, id);

	if (id >= s->t->n) {
		s->text[0] = '\0';
		*text = s->text;
		*len = 0;
		return AYNI_ERR_ARGUMENT;
	}
	switch (s->t->types[id]) {
	case TOKEN_CONTROL:
	case TOKEN_UNKNOWN:
		break;
	case TOKEN_USER:
		if (spelling.len > 0)
			memcpy(s->raw + s->n_raw, spelling.data, spelling.len);
		s->n_raw += spelling.len;
		s->started = true;
		break;
	case TOKEN_BYTE:
		feed_byte_token(s, spelling);
		s->started = true;
		break;
	default:
		feed_text(s, spelling);
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
