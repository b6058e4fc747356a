/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renders the chat template of a model (GGUF key `tokenizer.chat_template`): conversation in,
 * prompt text out.
 *
 * The language is the part of Jinja (jinja.palletsprojects.com, "Template Designer Documentation")
 * that published chat templates use, with the settings of Hugging Face's renderer: trim_blocks and
 * lstrip_blocks on, autoescape off, break and continue, `generation` blocks, raise_exception(),
 * strftime_now(), and a tojson that keeps non-ASCII text. Values behave as in Python (truth, str(),
 * slices, string methods); strings are counted in code points. Differences:
 * - integers have 64 bits; what does not fit is an error;
 * - upper(), lower(), title() and capitalize() change only ASCII letters;
 * - lazy sequences (range, map, select, items...) are lists;
 * - include, import, extends, block, autoescape and recursive loops are refused.
 *
 * A template is hostile input: whatever its bytes are, parsing and rendering end within the limits
 * below with a result or with one error that names the line.
 *
 * A parsed template is immutable: any number of threads may render it at once.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_H
#define AYNI_COMPUTE_TEMPLATE_H

#include "protocol/base.h"

#include <jansson.h>

enum {
	TEMPLATE_MAX_BYTES = 256 << 10, /* of template text */
	TEMPLATE_MAX_NESTING = 128,     /* statements and (twice) brackets inside each other */
	TEMPLATE_MAX_DEPTH = 512,       /* evaluations inside each other, rendering */
	TEMPLATE_MAX_DATA_DEPTH = 64,   /* lists and objects inside each other */
	TEMPLATE_MAX_STEPS = 10000000,  /* evaluations, loop turns, pieces of text copied */
	TEMPLATE_MAX_RANGE = 100000,    /* length of a range(), as in Jinja's sandbox */
	TEMPLATE_MAX_OUTPUT_BYTES = 16 << 20,  /* of rendered text */
	TEMPLATE_MAX_MEMORY_BYTES = 128 << 20, /* of one parsed template, and of one rendering */
};

struct template;

/* One turn of a conversation: UTF-8, NUL-terminated, borrowed during the call. */
struct chat_message {
	const char *role; /* "system", "user", "assistant", "tool" */
	const char *content;
	const json_t *tool_calls;        /* a list, of an assistant; NULL: none */
	const char *tool_call_id, *name; /* of a tool; NULL: none */
};

struct chat {
	const struct chat_message *messages;
	size_t n;
	const json_t *tools; /* a list; NULL: none */
};

/*
 * Parse text[0..len), which must be UTF-8. The text is not needed afterwards. Errors:
 * AYNI_ERR_FORMAT syntax or encoding, AYNI_ERR_UNSUPPORTED a statement that is refused,
 * AYNI_ERR_LIMIT too long or nested too deeply, AYNI_ERR_MEMORY.
 */
int template_parse(const char *text, size_t len, struct template **out, struct error *err);
void template_free(struct template *t);

/*
 * Render with the members of the object `context` as variables (messages, tools, bos_token,
 * add_generation_prompt, enable_thinking, ...). *out is NUL-terminated, may hold NULs inside, and
 * is freed by the caller with free(). Errors: AYNI_ERR_ARGUMENT the template called raise_exception
 * (the text is its message), AYNI_ERR_FORMAT an operation that its values do not allow,
 * AYNI_ERR_UNSUPPORTED an unknown filter or test, AYNI_ERR_LIMIT, AYNI_ERR_MEMORY.
 */
int template_render(const struct template *t, const json_t *context, char **out, size_t *out_len,
    struct error *err);

/*
 * Render a conversation: messages, tools, add_generation_prompt, bos_token and eos_token (NULL
 * reads as empty), and documents set to none, as Hugging Face's renderer does. The content of a
 * message that calls tools and says nothing is none. AYNI_ERR_FORMAT if a string is not UTF-8.
 */
int template_render_chat(const struct template *t, const struct chat *chat,
    bool add_generation_prompt, const char *bos_token, const char *eos_token, char **out,
    size_t *out_len, struct error *err);

#endif
