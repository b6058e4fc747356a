/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/donor/chains.h"
#include "protocol/identity.h"

enum { LAYERS = 3 };

static const struct hash model = {{7}};
static const struct layer_range layers = {2, 2 + LAYERS};
static struct chains chains;
static struct hash values[LIMIT_UNIT_SPANS];

static int tear_down(void **state)
{
	(void)state;
	chains_forget(&chains);
	return 0;
}

/* One span of a session at a donor, in which every number is of `seed`. */
static int feed_with(const struct unit_span *span, uint8_t seed)
{
	static struct hash hashes[(LAYERS + 1) * 16];
	struct msg_work_unit u = {.model = model, .n_spans = 1, .spans = (struct unit_span *)span};
	size_t n = work_n_parts(&u);
	struct chain_unit unit = {.work = &u,
	    .layers = layers,
	    .inputs = hashes,
	    .after = hashes + n,
	    .outputs = hashes + LAYERS * n};

	memset(hashes, seed, sizeof hashes);
	return chains_ran(&chains, &unit, 0, values);
}

static struct hash feed(uint64_t session, uint32_t position, uint32_t n, uint8_t seed)
{
	const struct unit_span span = {.session = session, .position = position, .n_tokens = n};

	assert_int_equal(feed_with(&span, seed), AYNI_OK);
	return values[0];
}

static struct hash fork(uint64_t session, uint64_t from, uint32_t position, uint8_t seed)
{
	const struct unit_span span = {
	    .session = session, .from = from, .position = position, .n_tokens = 1};

	assert_int_equal(feed_with(&span, seed), AYNI_OK);
	return values[0];
}

static void assert_same(struct hash a, struct hash b)
{
	assert_memory_equal(&a, &b, sizeof a);
}

static void assert_other(struct hash a, struct hash b)
{
	assert_memory_not_equal(&a, &b, sizeof a);
}

/* ---- values ------------------------------------------------------------------------------- */

static void every_field_of_a_part_changes_the_value(void **state)
{
	static const struct hash after[LAYERS - 1] = {{{1}}, {{2}}};
	const struct chain_item item = {.position = 3,
	    .n_rows = 2,
	    .n_logits = 1,
	    .top = 4,
	    .wire = 1,
	    .after = after,
	    .n_after = LAYERS - 1,
	    .stride = 1};
	struct hash other[LAYERS - 1] = {{{1}}, {{2}}};
	struct hash start, want, got;

	(void)state;
	chain_start(&model, layers, 0, &start);
	want = start;
	chain_step(&want, &item);
	for (int field = 0; field < 9; field++) {
		struct chain_item changed = item;

		changed.position += field == 0;
		changed.n_rows += field == 1;
		changed.n_logits += field == 2;
		changed.top += field == 3;
		changed.wire += field == 4;
		changed.input.bytes[31] ^= field == 5;
		changed.output.bytes[31] ^= field == 6;
		other[1].bytes[0] ^= field == 7;
		changed.after = other;
		got = start;
		got.bytes[0] ^= field == 8;
		chain_step(&got, &changed);
		other[1] = after[1];
		assert_other(got, want);
	}
}

static void model_layers_and_type_of_keys_and_values_are_in_it(void **state)
{
	const struct hash another = {{8}};
	struct hash want, got;

	(void)state;
	chain_start(&model, layers, 0, &want);
	chain_start(&another, layers, 0, &got);
	assert_other(got, want);
	chain_start(&model, (struct layer_range){1, 5}, 0, &got);
	assert_other(got, want);
	chain_start(&model, (struct layer_range){2, 4}, 0, &got);
	assert_other(got, want);
	chain_start(&model, layers, 1, &got);
	assert_other(got, want);
}

/* Parts of one page are in order whatever span they came in. */
static void rows_of_logits_are_of_the_part_that_has_their_positions(void **state)
{
	struct unit_span span = {.position = 60, .n_tokens = 70, .n_logits = 3};
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = 5};
	struct hash hashes[3] = {{{1}}, {{2}}, {{3}}}, rows[2] = {{{8}}, {{9}}};
	struct chain_item items[WORK_PARTS_MAX];
	struct chain_unit unit = {.work = &u,
	    .layers = {0, 1},
	    .logits = true,
	    .inputs = hashes,
	    .after = hashes,
	    .outputs = rows};

	(void)state;
	assert_int_equal(chain_items(&unit, items), 3);
	assert_int_equal(items[0].n_logits + items[0].top, 0);
	assert_int_equal(items[1].n_logits, 1); /* position 127 */
	assert_int_equal(items[1].output.bytes[0], 8);
	assert_int_equal(items[2].n_logits, 2);
	assert_int_equal(items[2].top, 5);
	assert_int_equal(items[2].output.bytes[0], 9);
}

/* ---- sessions ----------------------------------------------------------------------------- */

static void a_session_that_begins_anew_has_a_new_chain(void **state)
{
	struct hash first, again;

	(void)state;
	first = feed(1, 0, 5, 1);
	assert_other(feed(1, 5, 1, 1), first);
	again = feed(1, 0, 5, 1);
	assert_same(again, first);
}

static void what_was_fed_again_stays_in_the_chain(void **state)
{
	struct hash once;

	(void)state;
	(void)feed(1, 0, 5, 1);
	once = feed(1, 5, 1, 3);
	(void)feed(2, 0, 5, 1);
	(void)feed(2, 5, 1, 2); /* a guess that was wrong */
	assert_other(feed(2, 5, 1, 3), once);
}

static void who_begins_with_a_page_has_the_chain_up_to_its_end(void **state)
{
	struct hash want;

	(void)state;
	(void)feed(1, 0, 128, 1);
	want = feed(1, 128, 1, 2);
	(void)feed(1, 129, 60, 3);
	assert_same(fork(2, 1, 128, 2), want);
	assert_same(fork(3, 2, 128, 2), want);
	(void)feed(4, 0, 128, 1); /* the last of its tokens gives the next */
	want = feed(4, 127, 1, 2);
	assert_same(fork(5, 1, 127, 2), want);
}

/* Or it would stand for keys and values that are there no more. */
static void a_page_that_was_fed_again_in_part_is_not_taken_for_whole(void **state)
{
	struct hash before;

	(void)state;
	(void)feed(1, 0, 64, 1);
	before = fork(2, 1, 63, 5);
	(void)feed(1, 60, 3, 9);
	assert_other(fork(3, 1, 63, 5), before);
	(void)feed(1, 63, 1, 9);
	assert_other(fork(4, 1, 63, 5), before);
}

static void a_session_that_is_not_there_has_no_chain(void **state)
{
	const struct unit_span later = {.session = 9, .position = 3, .n_tokens = 1};
	const struct unit_span begins = {.session = 9, .from = 8, .position = 3, .n_tokens = 1};

	(void)state;
	assert_int_equal(feed_with(&later, 1), AYNI_ERR_STATE);
	assert_int_equal(feed_with(&begins, 1), AYNI_ERR_STATE);
	(void)feed(9, 0, 3, 1);
	chains_failed(
	    &chains, &(struct msg_work_unit){.n_spans = 1, .spans = (struct unit_span *)&later});
	assert_int_equal(feed_with(&later, 1), AYNI_ERR_STATE);
}

static void a_session_that_is_closed_is_a_source_until_then(void **state)
{
	struct unit_span span = {.session = 2, .from = 1, .position = 4, .n_tokens = 1};
	uint64_t closed[] = {1};
	static struct hash hashes[LAYERS + 1];
	struct msg_work_unit u = {
	    .model = model, .n_spans = 1, .spans = &span, .n_closed = 1, .closed = closed};
	struct chain_unit unit = {.work = &u,
	    .layers = layers,
	    .inputs = hashes,
	    .after = hashes + 1,
	    .outputs = hashes + LAYERS};

	(void)state;
	(void)feed(1, 0, 4, 1);
	assert_int_equal(chains_ran(&chains, &unit, 0, values), AYNI_OK);
	span.session = 3;
	assert_int_equal(chains_ran(&chains, &unit, 0, values), AYNI_ERR_STATE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(every_field_of_a_part_changes_the_value),
	    TEST(model_layers_and_type_of_keys_and_values_are_in_it),
	    TEST(rows_of_logits_are_of_the_part_that_has_their_positions),
	    TEST(a_session_that_begins_anew_has_a_new_chain),
	    TEST(what_was_fed_again_stays_in_the_chain),
	    TEST(who_begins_with_a_page_has_the_chain_up_to_its_end),
	    TEST(a_page_that_was_fed_again_in_part_is_not_taken_for_whole),
	    TEST(a_session_that_is_not_there_has_no_chain),
	    TEST(a_session_that_is_closed_is_a_source_until_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
