/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a chat template: parsing, and rendering with a conversation that has every kind of
 * value, must end within the limits.
 */
#include "compute/template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Longer templates find nothing that short ones do not, several times slower. */
enum { TEMPLATE_BYTES = 576 };

static json_t *conversation(void)
{
	static const char text[] =
	    "{\"messages\": [{\"role\": \"system\", \"content\": \" Be brief.\\n\"},"
	    " {\"role\": \"user\", \"content\": \"Gr\\u00fc\\u00dfe \\ud83c\\udf89 <|x|>\"},"
	    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"c1\","
	    "   \"function\": {\"name\": \"f\", \"arguments\": {\"n\": 1, \"x\": 2.5, \"b\": "
	    "true}}}]},"
	    " {\"role\": \"tool\", \"content\": [{\"type\": \"text\", \"text\": \"20\"}]}],"
	    " \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\":"
	    "   {\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}}}}}],"
	    " \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_generation_prompt\": true,"
	    " \"n\": -3, \"f\": 0.1, \"s\": \"a b\\n\\nc\", \"l\": [3, 1, 2, \"b\", null], "
	    "\"none\": null}";

	return json_loads(text, 0, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static json_t *context;
	struct template *t;
	struct error err = {0};
	char *out;
	size_t out_len;

	if (len > TEMPLATE_BYTES)
		return -1; /* not to be kept */
	if (context == NULL)
		context = conversation();
	assert(context != NULL);
	if (template_parse((const char *)data, len, &t, &err) != AYNI_OK)
		return 0;
	if (template_render(t, context, &out, &out_len, &err) == AYNI_OK) {
		assert(out_len <= TEMPLATE_MAX_OUTPUT_BYTES && out[out_len] == '\0');
		/* What comes out is UTF-8, as the tokenizer wants it. */
		json_t *checked = json_stringn(out, out_len);

		assert(checked != NULL);
		json_decref(checked);
	} else {
		assert(out == NULL && err.text[0] != '\0');
	}
	free(out);
	template_free(t);
	return 0;
}
