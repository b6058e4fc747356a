/* SPDX-License-Identifier: Apache-2.0 */
#include "node/prompt.h"

#include <stdlib.h>

int prompt_template(const struct gguf *g, struct template **out, struct error *err)
{
	struct span text;

	*out = NULL;
	if (gguf_get_string(g, "tokenizer.chat_template", &text) != AYNI_OK)
		return AYNI_OK;
	return template_parse((const char *)text.data, text.len, out, err);
}

enum tool_format prompt_tool_format(const struct gguf *g, bool *has_tools)
{
	struct span text = {0};

	if (gguf_get_string(g, "tokenizer.chat_template", &text) != AYNI_OK)
		text = (struct span){0};
	*has_tools = tool_format_has_tools(text);
	return tool_format_of(text);
}

static char *spelling(const struct tokenizer *t, uint32_t id)
{
	struct span s = tokenizer_spelling(t, id);

	return strndup(s.len > 0 ? (const char *)s.data : "", s.len);
}

static int render(const struct template *t, const struct tokenizer *tokenizer,
    const struct chat *chat, char **text, size_t *len, struct error *err)
{
	char *bos = spelling(tokenizer, tokenizer_bos(tokenizer));
	char *eos = spelling(tokenizer, tokenizer_eos(tokenizer));
	int rc;

	if (bos == NULL || eos == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	else
		rc = template_render_chat(t, chat, true, bos, eos, text, len, err);
	free(bos);
	free(eos);
	return rc;
}

int prompt_encode_chat(const struct template *t, const struct tokenizer *tokenizer,
    const struct chat *chat, uint32_t **ids, size_t *n_ids, struct error *err)
{
	struct span bos = tokenizer_spelling(tokenizer, tokenizer_bos(tokenizer));
	unsigned flags = TOKENIZER_SPECIAL;
	char *text = NULL;
	size_t len = 0;
	int rc;

	if (t == NULL)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "the model has no chat template: send a raw prompt instead of messages");
	rc = render(t, tokenizer, chat, &text, &len, err);
	if (rc != AYNI_OK)
		return rc;
	/* most templates write BOS themselves */
	if (tokenizer_adds_bos(tokenizer) &&
	    !(bos.len > 0 && len >= bos.len && memcmp(text, bos.data, bos.len) == 0))
		flags |= TOKENIZER_BOS;
	rc = tokenizer_encode(tokenizer, text, len, flags, ids, n_ids, err);
	free(text);
	return rc;
}

int prompt_encode_text(const struct tokenizer *tokenizer, const char *text, uint32_t **ids,
    size_t *n_ids, struct error *err)
{
	return tokenizer_encode(tokenizer, text, strlen(text),
	    tokenizer_adds_bos(tokenizer) ? TOKENIZER_BOS : 0, ids, n_ids, err);
}
