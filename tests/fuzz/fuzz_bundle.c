/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle of entries: [how many, less one][bytes]. What parses lies within the input, one entry
 * behind the other, and is written as it was read. */
#include <stdlib.h>

#include "storage/tiles.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bundle b;
	uint8_t *again;
	size_t len = 0;

	if (size == 0)
		return 0;
	if (bundle_parse(data + 1, size - 1, data[0] + 1U, &b) != AYNI_OK)
		return 0;
	assert(b.n == data[0] + 1U);
	again = malloc(size);
	assert(again != NULL);
	for (unsigned i = 0; i < b.n; i++) {
		assert(b.entries[i].data == data + 1 + len + 2);
		assert(b.entries[i].len + 2 <= size - 1 - len);
		len += bundle_put(again + len, b.entries[i]);
	}
	assert(len == size - 1 && memcmp(again, data + 1, len) == 0);
	free(again);
	return 0;
}
