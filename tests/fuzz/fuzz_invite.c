/* SPDX-License-Identifier: Apache-2.0 */
/* Invites: what parses must format to text that parses to the same. */
#include <stdlib.h>

#include "protocol/invite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[INVITE_TEXT_BYTES], endpoint[INVITE_TEXT_BYTES];
	struct invite first = {0}, second = {0};
	struct error err;

	assert(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (invite_parse(text, &first, &err) == AYNI_OK) {
		assert(invite_format(&first, again, sizeof again, &err) == AYNI_OK);
		assert(invite_parse(again, &second, &err) == AYNI_OK);
		assert(strcmp(first.host, second.host) == 0 && first.port == second.port);
		assert(public_key_equal(&first.pool, &second.pool));
		assert(first.has_token == second.has_token);
		assert(memcmp(first.token, second.token, sizeof first.token) == 0);
		assert(invite_endpoint(&first, endpoint, sizeof endpoint) == AYNI_OK);
	}
	free(text);
	return 0;
}
