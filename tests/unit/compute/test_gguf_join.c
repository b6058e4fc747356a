/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/gguf_join.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/split_model.h"
#include "tests/support/tiny_model.h"

enum { PARTS = 3 };

struct fixture {
	struct gguf *whole, *parts[PARTS];
	uint8_t *bytes, *part_bytes[PARTS];
};

static struct gguf *parse(const uint8_t *bytes, size_t len)
{
	struct gguf *g;
	struct error err;

	if (gguf_parse(bytes, len, len, &g, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return g;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	size_t len;

	assert_non_null(f);
	f->bytes = tiny_model_bytes(NULL, &len);
	f->whole = parse(f->bytes, len);
	for (uint32_t i = 0; i < PARTS; i++) {
		f->part_bytes[i] = split_model_part(f->whole, i, PARTS, &len);
		f->parts[i] = parse(f->part_bytes[i], len);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < PARTS; i++) {
		gguf_free(f->parts[i]);
		free(f->part_bytes[i]);
	}
	gguf_free(f->whole);
	free(f->bytes);
	free(f);
	return 0;
}

static int join(
    const struct gguf *const parts[], size_t n, char **bytes, size_t *len, struct error *err)
{
	FILE *f = open_memstream(bytes, len);
	int rc;

	assert_non_null(f);
	rc = gguf_join(parts, n, f, NULL, NULL, err);
	assert_int_equal(fclose(f), 0);
	return rc;
}

static void parts_become_the_whole_again(void **state)
{
	const struct fixture *f = *state;
	struct error err = {0};
	struct gguf *g;
	uint64_t value;
	char *bytes;
	size_t len;

	assert_int_equal(
	    join((const struct gguf *const *)f->parts, PARTS, &bytes, &len, &err), AYNI_OK);
	g = parse((const uint8_t *)bytes, len);
	assert_int_equal(gguf_n_keys(g), gguf_n_keys(f->whole));
	assert_int_equal(gguf_get_u64(g, "split.count", &value), AYNI_ERR_NOT_FOUND);
	assert_int_equal(gguf_n_tensors(g), gguf_n_tensors(f->whole));
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *a = gguf_tensor_at(g, i);
		const struct gguf_tensor *b = gguf_tensor_at(f->whole, i);

		assert_string_equal(a->name, b->name);
		assert_int_equal(a->type, b->type);
		assert_memory_equal(a->dims, b->dims, sizeof a->dims);
		assert_memory_equal(
		    gguf_tensor_data(g, a), gguf_tensor_data(f->whole, b), (size_t)b->size_bytes);
	}
	gguf_free(g);
	free(bytes);
}

static void refuse(const struct gguf *const parts[], size_t n, const char *word)
{
	struct error err = {0};
	char *bytes;
	size_t len;

	assert_int_equal(join(parts, n, &bytes, &len, &err), AYNI_ERR_FORMAT);
	assert_non_null(strstr(err.text, word));
	free(bytes);
}

static void refuses_parts_that_do_not_belong_together(void **state)
{
	const struct fixture *f = *state;
	const struct gguf *swapped[] = {f->parts[1], f->parts[0], f->parts[2]};
	const struct gguf *twice[] = {f->parts[0], f->parts[1], f->parts[1]};
	const struct gguf *unsplit[] = {f->whole};

	refuse(swapped, PARTS, "part 1 of 3");
	refuse(twice, PARTS, "part 3 of 3");
	refuse((const struct gguf *const *)f->parts, 2, "part 1 of 2");
	refuse(unsplit, 1, "part 1 of 1");
}

static void refuses_a_part_that_lacks_tensors_or_has_anothers(void **state)
{
	const struct fixture *f = *state;
	const struct gguf *parts[] = {f->parts[0], f->parts[1], NULL};
	struct gguf *other;
	uint8_t *other_model, *part;
	struct gguf *model;
	size_t len;

	other_model = tiny_model_bytes(&(struct tiny_model_options){.n_layers = 2}, &len);
	model = parse(other_model, len);
	part = split_model_part(model, 2, PARTS, &len);
	other = parse(part, len);
	parts[2] = other;
	refuse(parts, PARTS, "tensors, not");
	gguf_free(other);
	gguf_free(model);
	free(part);
	free(other_model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_become_the_whole_again),
	    cmocka_unit_test(refuses_parts_that_do_not_belong_together),
	    cmocka_unit_test(refuses_a_part_that_lacks_tensors_or_has_anothers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
