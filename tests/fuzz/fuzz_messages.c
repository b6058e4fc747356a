/* SPDX-License-Identifier: Apache-2.0 */
/* Header of any type: what decodes must encode again, to bytes that decode and encode alike. */
#include <stdlib.h>

#include "protocol/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message *first, *second;
	struct error err;
	uint8_t *once, *twice;
	size_t once_len, twice_len;
	uint16_t type;

	if (size < 1)
		return 0;
	type = data[0];
	if (message_decode(type, data + 1, size - 1, &first, &err) != AYNI_OK)
		return 0;
	assert(message_encode(first, &once, &once_len, &err) == AYNI_OK);
	assert(message_decode(type, once, once_len, &second, &err) == AYNI_OK);
	assert(message_encode(second, &twice, &twice_len, &err) == AYNI_OK);
	assert(once_len == twice_len && memcmp(once, twice, once_len) == 0);
	message_free(first);
	message_free(second);
	free(once);
	free(twice);
	return 0;
}
