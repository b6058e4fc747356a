/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/split_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/gguf_write.h"

uint8_t *split_model_part(const struct gguf *g, uint32_t part, uint32_t n, size_t *len)
{
	size_t n_tensors = gguf_n_tensors(g);
	size_t first = n_tensors * part / n, end = n_tensors * (part + 1) / n;
	struct gguf_head *h;
	struct span head;
	uint8_t *bytes;

	assert_int_equal(gguf_head_new(&h, NULL), AYNI_OK);
	for (size_t i = 0; part == 0 && i < gguf_n_keys(g); i++)
		assert_int_equal(gguf_head_copy_key(h, g, gguf_key_at(g, i, NULL)), AYNI_OK);
	(void)gguf_head_set_u32(h, "split.no", part);
	(void)gguf_head_set_u32(h, "split.count", n);
	(void)gguf_head_set_u32(h, "split.tensors.count", (uint32_t)n_tensors);
	for (size_t i = first; i < end; i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		assert_int_equal(gguf_head_add_tensor(h, t, t->type, NULL), AYNI_OK);
	}
	assert_int_equal(gguf_head_finish(h, &head, NULL), AYNI_OK);
	*len = (size_t)gguf_head_file_bytes(h);
	bytes = calloc(1, *len);
	assert_non_null(bytes);
	memcpy(bytes, head.data, head.len);
	for (size_t i = first; i < end; i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		memcpy(bytes + gguf_head_tensor_offset(h, i - first), gguf_tensor_data(g, t),
		    (size_t)t->size_bytes);
	}
	gguf_head_free(h);
	return bytes;
}
