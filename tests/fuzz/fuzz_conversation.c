/* SPDX-License-Identifier: Apache-2.0 */
/* A saved conversation: what is read is written and read again as the same. */
#include <stdlib.h>

#include "node/cli/conversation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *json_of(const struct conversation *c)
{
	char *json;

	if (conversation_json(c, "", &json, NULL) != AYNI_OK)
		abort();
	return json;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conversation *c;

	if (conversation_new(&c, NULL) != AYNI_OK)
		abort();
	if (conversation_parse(c, (const char *)data, size, NULL) == AYNI_OK) {
		char *first = json_of(c), *second;

		if (conversation_parse(c, first, strlen(first), NULL) != AYNI_OK)
			abort();
		second = json_of(c);
		if (strcmp(first, second) != 0)
			abort();
		free(first);
		free(second);
	}
	conversation_free(c);
	return 0;
}
