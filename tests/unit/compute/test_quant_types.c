/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every tensor type against tests/tools/gguf_types.py, which says from the format's description
 * where each bit lies: random blocks must decode to its values. That tool needs numpy; without it
 * these tests are skipped.
 */
#include "compute/quant.h"
#include "tests/support/random_models.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCKS = 300, MAX_TYPES = 64 };

struct listed {
	char name[16];
	unsigned id, elements, bytes;
};

static struct listed listed[MAX_TYPES];
static size_t n_listed; /* 0: no numpy */

static int read_list(void **state)
{
	FILE *pipe = tool_open("/usr/bin/python3 tests/tools/gguf_types.py --list");
	struct listed *l = listed;

	(void)state;
	while (n_listed < MAX_TYPES &&
	       fscanf(pipe, "%15s %u %u %u", l->name, &l->id, &l->elements, &l->bytes) == 4) {
		l++;
		n_listed++;
	}
	if (!tool_close(pipe))
		n_listed = 0;
	return 0;
}

static void both_know_the_same_types_and_sizes(void **state)
{
	size_t n = 0;

	(void)state;
	if (n_listed == 0)
		skip();
	for (size_t i = 0; i < n_listed; i++) {
		const struct tensor_type_info *info = tensor_type_info(listed[i].id);

		if (info == NULL)
			fail_msg("%s is not known", listed[i].name);
		assert_string_equal(info->name, listed[i].name);
		assert_int_equal(info->block_elements, listed[i].elements);
		assert_int_equal(info->block_bytes, listed[i].bytes);
	}
	for (uint32_t type = 0; type < TENSOR_TYPE_END; type++)
		n += tensor_type_info(type) != NULL;
	assert_int_equal(n, n_listed);
}

/* Random blocks and their values, as the tool has them. */
static void read_vectors(const struct listed *l, unsigned seed, uint8_t *blocks, float *values)
{
	size_t n = (size_t)BLOCKS * l->elements;
	char command[128];
	FILE *pipe;

	(void)snprintf(command, sizeof command,
	    "/usr/bin/python3 tests/tools/gguf_types.py --vectors %.15s %d %u", l->name, BLOCKS,
	    seed);
	pipe = tool_open(command);
	assert_int_equal(fread(blocks, l->bytes, BLOCKS, pipe), BLOCKS);
	assert_int_equal(fread(values, sizeof *values, n, pipe), n);
	assert_true(tool_close(pipe));
}

static void random_blocks_decode_to_the_values_of_the_description(void **state)
{
	(void)state;
	if (n_listed == 0)
		skip();
	for (size_t i = 0; i < n_listed; i++) {
		const struct listed *l = &listed[i];
		size_t n = (size_t)BLOCKS * l->elements;
		uint8_t *blocks = malloc((size_t)BLOCKS * l->bytes);
		float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);

		assert_true(blocks != NULL && want != NULL && got != NULL);
		read_vectors(l, (unsigned)i + 1, blocks, want);
		tensor_decode_row((enum tensor_type)l->id, blocks, n, got);
		for (size_t k = 0; k < n; k++)
			if (!(got[k] == want[k])) /* none is a NaN; -0 is 0 */
				fail_msg("%s: value %zu of block %zu is %a, not %a", l->name,
				    k % l->elements, k / l->elements, (double)got[k],
				    (double)want[k]);
		free(blocks);
		free(want);
		free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_know_the_same_types_and_sizes),
	    cmocka_unit_test(random_blocks_decode_to_the_values_of_the_description),
	};

	return cmocka_run_group_tests(tests, read_list, NULL);
}
