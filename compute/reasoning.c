/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/reasoning.h"

#include <stdlib.h>

enum {
	HELD_BYTES = 32,   /* of a text that may become a tag, white space before it included */
	NAME_BYTES = 32,   /* of a channel */
	PROMPT_TOKENS = 16 /* at the prompt's end, where a block may have been opened */
};

static const struct {
	const char *open, *close;
} tags[] = {{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}};

enum { N_TAGS = sizeof tags / sizeof tags[0] };

enum place {
	BEGINNING, /* nothing but white space so far */
	THINKING,
	BETWEEN, /* white space after the block */
	ANSWER,
	HEADER, /* of a message: its text is dropped */
	CHANNEL /* its channel's name */
};

struct buffer {
	char *bytes;
	size_t len, capacity;
};

struct reasoning {
	const struct tokenizer *tokenizer;
	struct tokenizer_stream *stream;
	enum place place;
	enum tool_format shown; /* whose signs are text */
	bool channels;
	unsigned tag;                          /* the block's */
	bool begun;                            /* something but white space stands in the block */
	uint32_t start, channel, message, end; /* tokens of channels */
	size_t n_held, n_name;
	char held[HELD_BYTES], name[NAME_BYTES];
	struct buffer thought, said;
};

/* ---- output --------------------------------------------------------------------------------- */

/* What is said and thought is private: it is left nowhere. */
static void wipe(struct buffer *b)
{
	if (b->bytes != NULL)
		explicit_bzero(b->bytes, b->capacity);
	free(b->bytes);
}

static int put(struct buffer *b, const char *bytes, size_t n)
{
	if (n > b->capacity - b->len) {
		size_t capacity = 2 * (b->len + n);
		char *more = malloc(capacity);

		if (more == NULL)
			return AYNI_ERR_MEMORY;
		if (b->len > 0)
			memcpy(more, b->bytes, b->len);
		wipe(b);
		b->bytes = more;
		b->capacity = capacity;
	}
	if (n > 0)
		memcpy(b->bytes + b->len, bytes, n);
	b->len += n;
	return AYNI_OK;
}

static int put_held(struct reasoning *r, struct buffer *b)
{
	int rc = put(b, r->held, r->n_held);

	r->n_held = 0;
	return rc;
}

/* ---- tags ------------------------------------------------------------------------------------ */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Whether text[0..n) is a beginning of `whole`, and if so whether it is all of it. */
static bool begins(const char *whole, const char *text, size_t n, bool *complete)
{
	*complete = n == strlen(whole);
	return n <= strlen(whole) && memcmp(whole, text, n) == 0;
}

/* One more byte while nothing has been said: white space, a tag, or the answer. */
static int at_beginning(struct reasoning *r, char c)
{
	size_t spaces = 0;

	if (r->n_held == HELD_BYTES) {
		r->place = ANSWER;
		return put_held(r, &r->said) == AYNI_OK ? put(&r->said, &c, 1) : AYNI_ERR_MEMORY;
	}
	r->held[r->n_held++] = c;
	while (spaces < r->n_held && is_space(r->held[spaces]))
		spaces++;
	if (spaces == r->n_held)
		return AYNI_OK;
	for (unsigned i = 0; i < N_TAGS; i++) {
		bool complete;

		if (!begins(tags[i].open, r->held + spaces, r->n_held - spaces, &complete))
			continue;
		if (complete) {
			r->tag = i;
			r->n_held = 0;
			r->begun = false;
			r->place = THINKING;
		}
		return AYNI_OK;
	}
	r->place = ANSWER;
	return put_held(r, &r->said);
}

/* One more byte of a block: what may be its closing tag is held back. */
static int in_block(struct reasoning *r, char c)
{
	const char *close = tags[r->tag].close;
	int rc = AYNI_OK;
	bool complete;

	r->held[r->n_held++] = c;
	while (r->n_held > 0 && !begins(close, r->held, r->n_held, &complete) && rc == AYNI_OK) {
		r->begun = r->begun || !is_space(r->held[0]);
		rc = put(&r->thought, r->held, r->begun ? 1 : 0);
		memmove(r->held, r->held + 1, --r->n_held);
	}
	if (r->n_held > 0 && complete) {
		r->n_held = 0;
		r->place = BETWEEN;
	}
	return rc;
}

static int take_byte(struct reasoning *r, char c)
{
	switch (r->place) {
	case BEGINNING:
		return at_beginning(r, c);
	case THINKING:
		return in_block(r, c);
	case BETWEEN:
		if (is_space(c))
			return AYNI_OK;
		r->place = ANSWER;
		return put(&r->said, &c, 1);
	case ANSWER:
		return put(&r->said, &c, 1);
	case HEADER:
	case CHANNEL:
		break;
	}
	return AYNI_OK;
}

static int take_text(struct reasoning *r, const char *text, size_t len)
{
	int rc = AYNI_OK;

	for (size_t i = 0; i < len && rc == AYNI_OK; i++) {
		if (r->place == ANSWER)
			return put(&r->said, text + i, len - i);
		rc = take_byte(r, text[i]);
	}
	return rc;
}

static bool is_tag(struct span spelling)
{
	for (unsigned i = 0; i < N_TAGS; i++)
		if ((spelling.len == strlen(tags[i].open) &&
		        memcmp(spelling.data, tags[i].open, spelling.len) == 0) ||
		    (spelling.len == strlen(tags[i].close) &&
		        memcmp(spelling.data, tags[i].close, spelling.len) == 0))
			return true;
	return false;
}

/* ---- channels -------------------------------------------------------------------------------- */

static bool is_final(const struct reasoning *r)
{
	static const char final[] = "final";

	return r->n_name == 0 ||
	       (r->n_name >= sizeof final - 1 && memcmp(r->name, final, sizeof final - 1) == 0);
}

static int take_channel_text(struct reasoning *r, const char *text, size_t len)
{
	size_t room = NAME_BYTES - r->n_name;

	switch (r->place) {
	case CHANNEL:
		memcpy(r->name + r->n_name, text, len < room ? len : room);
		r->n_name += len < room ? len : room;
		return AYNI_OK;
	case THINKING:
		return put(&r->thought, text, len);
	case BEGINNING:
	case BETWEEN:
	case ANSWER:
		return put(&r->said, text, len);
	case HEADER:
		break;
	}
	return AYNI_OK;
}

static bool is_frame(const struct reasoning *r, uint32_t token)
{
	return r->channels &&
	       (token == r->start || token == r->end || token == r->channel || token == r->message);
}

/* Whether the token belongs to a message's frame. */
static bool take_frame(struct reasoning *r, uint32_t token)
{
	if (token == r->start || token == r->end) {
		r->place = HEADER;
		r->n_name = 0;
	} else if (token == r->channel) {
		r->place = CHANNEL;
		r->n_name = 0;
	} else if (token == r->message) {
		r->place = is_final(r) ? ANSWER : THINKING;
	} else {
		return false;
	}
	return true;
}

static void find_channels(struct reasoning *r)
{
	const struct {
		const char *spelling;
		uint32_t *id;
	} wanted[] = {{"<|start|>", &r->start}, {"<|channel|>", &r->channel},
	    {"<|message|>", &r->message}, {"<|end|>", &r->end}};
	unsigned found = 0;

	for (size_t k = 0; k < sizeof wanted / sizeof wanted[0]; k++) {
		*wanted[k].id = tokenizer_find(r->tokenizer, wanted[k].spelling);
		found += *wanted[k].id != (uint32_t)TOKENIZER_NONE;
	}
	r->channels = found == sizeof wanted / sizeof wanted[0];
}

/* ---- a session ------------------------------------------------------------------------------- */

/* Take a token's text into the buffers; *silent if it has none and is no tag. */
static int take_token(struct reasoning *r, uint32_t token, bool *silent)
{
	struct span spelling = tokenizer_spelling(r->tokenizer, token);
	const char *text;
	size_t len;
	int rc = tokenizer_stream_feed(r->stream, token, &text, &len);

	*silent = false;
	if (rc != AYNI_OK)
		return rc;
	if (r->channels)
		return take_frame(r, token) ? AYNI_OK : take_channel_text(r, text, len);
	if (len == 0 && (is_tag(spelling) || tool_format_is_sign(r->shown, spelling)))
		/* a control token: without text otherwise */
		return take_text(r, (const char *)spelling.data, spelling.len);
	*silent = len == 0;
	return take_text(r, text, len);
}

/* Whether these tokens, the prompt's last, are a block's beginning and nothing else. */
static int opens_block(struct reasoning *r, const uint32_t *tokens, size_t n, bool *opens)
{
	bool silent = false;
	int rc = AYNI_OK;

	r->place = BEGINNING;
	r->n_held = r->thought.len = 0;
	for (size_t i = 0; i < n && rc == AYNI_OK && !silent; i++)
		rc = take_token(r, tokens[i], &silent);
	*opens = rc == AYNI_OK && !silent && r->place == THINKING && !r->begun && r->n_held == 0;
	return rc;
}

/* A prompt may have opened a block, or a message. */
static int read_prompt(struct reasoning *r, const uint32_t *prompt, size_t n)
{
	size_t from = n > PROMPT_TOKENS ? n - PROMPT_TOKENS : 0;
	bool opens = false;
	int rc = AYNI_OK;

	r->place = r->channels ? HEADER : BEGINNING;
	for (; r->channels && from < n && rc == AYNI_OK; from++)
		rc = take_token(r, prompt[from], &opens);
	for (; from < n && rc == AYNI_OK && !opens; from++)
		rc = opens_block(r, prompt + from, n - from, &opens);
	if (!r->channels && !opens)
		r->place = BEGINNING;
	r->n_held = 0;
	return rc;
}

int reasoning_new(const struct tokenizer *t, const uint32_t *prompt, size_t n_prompt, bool plain,
    struct reasoning **out)
{
	struct reasoning *r = calloc(1, sizeof *r);
	int rc = AYNI_ERR_MEMORY;

	*out = NULL;
	if (r == NULL)
		return rc;
	r->tokenizer = t;
	if (!plain)
		find_channels(r);
	rc = tokenizer_stream_new(t, &r->stream);
	if (rc == AYNI_OK && plain)
		r->place = ANSWER;
	else if (rc == AYNI_OK)
		rc = read_prompt(r, prompt, n_prompt);
	if (rc == AYNI_OK) { /* the prompt's own text is nobody's */
		tokenizer_stream_free(r->stream);
		r->stream = NULL;
		rc = tokenizer_stream_new(t, &r->stream);
		r->thought.len = r->said.len = 0;
	}
	if (rc != AYNI_OK) {
		reasoning_free(r);
		return rc;
	}
	*out = r;
	return AYNI_OK;
}

void reasoning_free(struct reasoning *r)
{
	if (r == NULL)
		return;
	tokenizer_stream_free(r->stream);
	wipe(&r->thought);
	wipe(&r->said);
	explicit_bzero(r, sizeof *r);
	free(r);
}

static enum reasoning_part part_of(const struct reasoning *r, uint32_t token)
{
	switch (r->place) {
	case BEGINNING:
		return REASONING_OPEN;
	case ANSWER:
		return is_frame(r, token) ? REASONING_APART : REASONING_ANSWER;
	case THINKING:
	case BETWEEN:
	case HEADER:
	case CHANNEL:
		break;
	}
	return REASONING_APART;
}

void reasoning_show(struct reasoning *r, enum tool_format signs)
{
	r->shown = signs;
}

static void hand_out(const struct reasoning *r, struct reasoning_text *out)
{
	out->reasoning = (struct span){(const uint8_t *)r->thought.bytes, r->thought.len};
	out->answer = (struct span){(const uint8_t *)r->said.bytes, r->said.len};
}

int reasoning_feed(struct reasoning *r, uint32_t token, struct reasoning_text *out)
{
	bool silent;
	int rc;

	r->thought.len = r->said.len = 0;
	rc = take_token(r, token, &silent);
	hand_out(r, out);
	out->part = part_of(r, token);
	return rc;
}

int reasoning_finish(struct reasoning *r, struct reasoning_text *out)
{
	const char *text;
	size_t len;
	int rc;

	r->thought.len = r->said.len = 0;
	rc = tokenizer_stream_finish(r->stream, &text, &len);
	if (rc == AYNI_OK)
		rc = r->channels ? take_channel_text(r, text, len) : take_text(r, text, len);
	if (rc == AYNI_OK) /* an unfinished tag was none */
		rc = put_held(r, r->place == THINKING ? &r->thought : &r->said);
	hand_out(r, out);
	out->part = REASONING_ANSWER;
	return rc;
}
