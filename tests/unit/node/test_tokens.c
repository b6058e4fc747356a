/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/tokenizer.h"

enum { N = 300 };

static struct tokenizer *made_up(uint32_t n)
{
	struct gguf_head *h;
	struct gguf *g;
	struct span bytes;
	struct tokenizer *t;

	assert_int_equal(gguf_head_new(&h, NULL), AYNI_OK);
	assert_int_equal(tokens_make_up(h, n, NULL), AYNI_OK);
	assert_int_equal(gguf_head_finish(h, &bytes, NULL), AYNI_OK);
	assert_int_equal(gguf_parse(bytes.data, bytes.len, bytes.len, &g, NULL), AYNI_OK);
	assert_int_equal(tokenizer_new(g, &t, NULL), AYNI_OK);
	gguf_free(g);
	gguf_head_free(h);
	return t;
}

static void a_tokenizer_takes_the_vocabulary(void **unused)
{
	struct tokenizer *t = made_up(N);

	(void)unused;
	assert_int_equal(tokenizer_size(t), N);
	for (uint32_t i = 0; i < N; i++)
		assert_false(tokenizer_is_end(t, i));
	tokenizer_free(t);
}

static void any_byte_has_a_token(void **unused)
{
	struct tokenizer *t = made_up(N);

	(void)unused;
	for (int b = 0; b < 256; b++) {
		const char text = (char)b;
		uint32_t *ids;
		size_t n;

		assert_int_equal(tokenizer_encode(t, &text, 1, 0, &ids, &n, NULL), AYNI_OK);
		assert_int_equal(n, 1);
		assert_int_equal(ids[0], b);
		free(ids);
	}
	tokenizer_free(t);
}

static void merges_reach_the_first_word(void **unused)
{
	struct tokenizer *t = made_up(N);
	const struct span second = tokenizer_spelling(t, 257);
	uint32_t *ids;
	size_t n;

	(void)unused;
	assert_int_equal(tokenizer_encode(t, "aaaa", 4, 0, &ids, &n, NULL), AYNI_OK);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], 256);
	assert_int_equal(second.len, 4);
	assert_memory_equal(second.data, "aaab", 4);
	free(ids);
	tokenizer_free(t);
}

static void refuses_numbers_of_tokens_it_has_no_words_for(void **unused)
{
	struct gguf_head *h;

	(void)unused;
	assert_int_equal(gguf_head_new(&h, NULL), AYNI_OK);
	assert_int_equal(tokens_make_up(h, 256, NULL), AYNI_ERR_ARGUMENT);
	assert_int_equal(tokens_make_up(h, 500000, NULL), AYNI_ERR_ARGUMENT);
	gguf_head_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_tokenizer_takes_the_vocabulary),
	    cmocka_unit_test(any_byte_has_a_token),
	    cmocka_unit_test(merges_reach_the_first_word),
	    cmocka_unit_test(refuses_numbers_of_tokens_it_has_no_words_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
