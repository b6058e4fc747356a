/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks of a file are needed, asked for and here, over a manifest made by the test. */
#include "node/donor/shards.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CHUNK = 100, AGAIN_US = 1000, MANY = 200 };

/* ---- manifests ------------------------------------------------------------------------------ */

static struct hash content_named(uint32_t name)
{
	struct hash h = {{0}};

	memcpy(h.bytes + 7, &name, sizeof name);
	return h;
}

/* n chunks of CHUNK bytes, one after the other, each of its own content. */
static struct manifest even(size_t n)
{
	struct manifest m = {.file_bytes = n * CHUNK, .n_chunks = n};

	m.chunks = calloc(n + 1, sizeof *m.chunks);
	assert_non_null(m.chunks);
	for (size_t i = 0; i < n; i++)
		m.chunks[i] = (struct manifest_chunk){
		    i * CHUNK, CHUNK, content_named((uint32_t)(n - i) * 7919)};
	return m;
}

static struct shards *take(struct manifest *m)
{
	struct shards *s = NULL;

	assert_int_equal(shards_new(m, &s, NULL), AYNI_OK);
	assert_null(m->chunks);
	return s;
}

static struct shards *even_shards(size_t n)
{
	struct manifest m = even(n);

	return take(&m);
}

/* Everything needed whose presence is not known is missing. Returns how many that were. */
static size_t all_missing(struct shards *s)
{
	size_t n = 0, i;

	while (shards_unknown(s, &i)) {
		shards_missing(s, i);
		n++;
	}
	return n;
}

/* The chunks in [first, last) and no others are needed, and not known. */
static void assert_needed(struct shards *s, size_t first, size_t last)
{
	uint64_t here, needed;
	size_t i;

	shards_progress(s, &here, &needed);
	assert_int_equal(here, 0);
	assert_int_equal(needed, (last - first) * CHUNK);
	for (size_t want = first; want < last; want++) {
		assert_true(shards_unknown(s, &i));
		assert_int_equal(i, want);
		shards_missing(s, i);
	}
	assert_false(shards_unknown(s, &i));
}

/* ---- parts ---------------------------------------------------------------------------------- */

static void chunks_of_an_earlier_part_come_first_wherever_they_stand(void **state)
{
	static const size_t order[] = {4, 5, 0, 1, 2};
	struct shards *s = even_shards(6);
	struct hash asked[6];
	size_t i;

	(void)state;
	shards_want(s, 0, 3 * CHUNK, 2);
	shards_want(s, 4 * CHUNK, 2 * CHUNK, 1);
	for (size_t k = 0; k < 5; k++) {
		assert_true(shards_unknown(s, &i));
		assert_int_equal(i, order[k]);
		shards_missing(s, i);
	}
	assert_int_equal(shards_ask(s, asked, 6, 0, AGAIN_US), 5);
	for (size_t k = 0; k < 5; k++)
		assert_true(hash_equal(&asked[k], &shards_chunk(s, order[k])->hash));
	shards_free(s);
}

static void a_part_is_complete_when_its_chunks_are_here(void **state)
{
	struct shards *s = even_shards(6);

	(void)state;
	shards_want(s, 0, 2 * CHUNK, 0);
	shards_want(s, CHUNK, 3 * CHUNK, 1); /* the first of these is of part 0 */
	(void)all_missing(s);
	shards_here(s, 2);
	shards_here(s, 3);
	assert_true(shards_part_complete(s, 1));
	assert_false(shards_part_complete(s, 0));
	shards_here(s, 1);
	shards_here(s, 1);
	assert_false(shards_part_complete(s, 0));
	shards_here(s, 0);
	assert_true(shards_part_complete(s, 0));
	assert_true(shards_complete(s));
	shards_free(s);
}

/* A file need not hold its layers in order, nor end a chunk where a layer ends. */
static void a_chunk_that_two_parts_share_is_of_the_first(void **state)
{
	struct shards *s = even_shards(3);
	size_t i;

	(void)state;
	shards_want(s, 0, CHUNK + 1, 2); /* the second chunk has the beginning of part 0 */
	(void)all_missing(s);
	shards_here(s, 0);
	shards_want(s, CHUNK + 1, 2 * CHUNK - 1, 0);
	assert_true(shards_unknown(s, &i));
	assert_int_equal(i, 2);
	shards_here(s, 2);
	assert_false(shards_part_complete(s, 0));
	assert_true(shards_part_complete(s, 2)); /* but for what is of an earlier one */
	shards_here(s, 1);
	assert_true(shards_part_complete(s, 0));
	assert_true(shards_complete(s));
	shards_free(s);
}

/* ---- wanting -------------------------------------------------------------------------------- */

static void a_range_of_bytes_needs_exactly_the_chunks_it_overlaps(void **state)
{
	static const struct {
		uint64_t offset, len;
		size_t first, last;
	} cases[] = {
	    {0, 1, 0, 1},
	    {0, CHUNK, 0, 1},
	    {0, CHUNK + 1, 0, 2},
	    {CHUNK - 1, 1, 0, 1},
	    {CHUNK - 1, 2, 0, 2},
	    {CHUNK, 1, 1, 2},
	    {2 * CHUNK, 3 * CHUNK, 2, 5},
	    {2 * CHUNK + 1, 3 * CHUNK - 2, 2, 5},
	    {2 * CHUNK + 1, 3 * CHUNK, 2, 6},
	    {0, 10 * CHUNK, 0, 10},
	    {9 * CHUNK, CHUNK, 9, 10},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct shards *s = even_shards(10);

		shards_want(s, cases[i].offset, cases[i].len, 0);
		assert_needed(s, cases[i].first, cases[i].last);
		shards_free(s);
	}
}

static void an_empty_range_needs_nothing(void **state)
{
	struct shards *s = even_shards(4);

	(void)state;
	shards_want(s, 0, 0, 0);
	shards_want(s, CHUNK + 1, 0, 0);
	shards_want(s, 4 * CHUNK, 0, 0);
	assert_needed(s, 0, 0);
	assert_true(shards_complete(s));
	shards_free(s);
}

static void a_range_past_the_end_needs_what_there_is(void **state)
{
	struct shards *s = even_shards(4);

	(void)state;
	shards_want(s, 4 * CHUNK, 1, 0);
	shards_want(s, UINT64_MAX, 1, 0);
	assert_needed(s, 0, 0);
	shards_want(s, 3 * CHUNK, UINT64_MAX, 0); /* whose end wraps around */
	assert_needed(s, 3, 4);
	shards_free(s);
}

static void ranges_that_overlap_need_a_chunk_once(void **state)
{
	struct shards *s = even_shards(10);

	(void)state;
	shards_want(s, 5 * CHUNK, 2 * CHUNK, 0);
	shards_want(s, 3 * CHUNK, 3 * CHUNK, 0);
	shards_want(s, 4 * CHUNK, 1, 0);
	assert_needed(s, 3, 7);
	shards_free(s);
}

static void chunks_need_not_touch_each_other(void **state)
{
	struct manifest m = even(3);
	struct shards *s;
	size_t i;

	(void)state;
	m.chunks[1].length = 10; /* 110 .. 200 is in no chunk */
	s = take(&m);
	shards_want(s, 150, 50, 0);
	assert_true(shards_complete(s));
	shards_want(s, 150, 51, 0);
	assert_true(shards_unknown(s, &i));
	assert_int_equal(i, 2);
	shards_free(s);
}

static void wanting_more_later_leaves_what_is_here(void **state)
{
	struct shards *s = even_shards(4);
	uint64_t here, needed;
	size_t i;

	(void)state;
	shards_want(s, 2 * CHUNK, CHUNK, 0);
	shards_here(s, 2);
	assert_true(shards_complete(s));
	shards_want(s, 0, 4 * CHUNK, 0);
	assert_false(shards_complete(s));
	shards_progress(s, &here, &needed);
	assert_int_equal(here, CHUNK);
	assert_int_equal(needed, 4 * CHUNK);
	assert_true(shards_unknown(s, &i));
	assert_int_equal(i, 0);
	assert_int_equal(all_missing(s), 3);
	shards_free(s);
}

static void a_manifest_without_chunks_is_complete(void **state)
{
	struct shards *s = even_shards(0);
	struct hash h = content_named(1), out;
	size_t i = 0;

	(void)state;
	shards_want(s, 0, UINT64_MAX, 0);
	assert_true(shards_complete(s));
	assert_false(shards_find(s, &h, &i));
	assert_int_equal(shards_ask(s, &out, 1, 0, AGAIN_US), 0);
	shards_free(s);
}

/* ---- finding by content --------------------------------------------------------------------- */

static void finds_each_chunk_of_one_content(void **state)
{
	struct hash twin = content_named(3), other = content_named(4), none = content_named(5);
	struct manifest m = even(8);
	struct shards *s;
	size_t i = 0;

	(void)state;
	m.chunks[1].hash = m.chunks[4].hash = m.chunks[7].hash = twin;
	m.chunks[5].hash = other;
	s = take(&m);
	assert_false(shards_find(s, &twin, &i)); /* none is needed */
	shards_want(s, 0, 6 * CHUNK, 0);
	assert_true(shards_find(s, &twin, &i));
	assert_int_equal(i, 1);
	i++;
	assert_true(shards_find(s, &twin, &i));
	assert_int_equal(i, 4);
	i++;
	assert_false(shards_find(s, &twin, &i)); /* 7 is not needed */
	shards_here(s, 1);
	i = 0;
	assert_true(shards_find(s, &twin, &i));
	assert_int_equal(i, 4);
	i = 0;
	assert_true(shards_find(s, &other, &i));
	assert_int_equal(i, 5);
	i = 0;
	assert_false(shards_find(s, &none, &i));
	shards_free(s);
}

static void finds_any_content_among_many(void **state)
{
	struct shards *s = even_shards(MANY);

	(void)state;
	shards_want(s, 0, MANY * CHUNK, 0);
	for (size_t want = 0; want < MANY; want++) {
		struct hash h = shards_chunk(s, want)->hash;
		size_t i = 0;

		assert_true(shards_find(s, &h, &i));
		assert_int_equal(i, want);
		i = want + 1;
		assert_false(shards_find(s, &h, &i));
	}
	shards_free(s);
}

/* ---- asking --------------------------------------------------------------------------------- */

static void asks_for_what_is_missing_in_order_and_no_more_than_told(void **state)
{
	struct shards *s = even_shards(10);
	struct hash out[10];

	(void)state;
	shards_want(s, 0, 10 * CHUNK, 0);
	assert_int_equal(shards_ask(s, out, 10, 0, AGAIN_US), 0); /* nothing is known yet */
	shards_here(s, 2);
	assert_int_equal(all_missing(s), 9);
	assert_int_equal(shards_ask(s, out, 0, 0, AGAIN_US), 0);
	assert_int_equal(shards_ask(s, out, 3, 0, AGAIN_US), 3);
	assert_memory_equal(&out[0], &shards_chunk(s, 0)->hash, HASH_BYTES);
	assert_memory_equal(&out[1], &shards_chunk(s, 1)->hash, HASH_BYTES);
	assert_memory_equal(&out[2], &shards_chunk(s, 3)->hash, HASH_BYTES);
	assert_int_equal(shards_ask(s, out, 10, 0, AGAIN_US), 6);
	assert_int_equal(shards_ask(s, out, 10, 0, AGAIN_US), 0);
	shards_free(s);
}

static void asks_for_a_bounded_number_at_a_time(void **state)
{
	struct shards *s = even_shards(MANY);
	struct hash out[MANY];
	size_t i = 0;

	(void)state;
	shards_want(s, 0, MANY * CHUNK, 0);
	(void)all_missing(s);
	assert_int_equal(shards_ask(s, out, MANY, 0, AGAIN_US), SHARDS_MAX_ASKED);
	assert_int_equal(shards_ask(s, out, MANY, 1, AGAIN_US), 0);
	assert_true(shards_find(s, &out[5], &i));
	shards_here(s, i);
	assert_int_equal(shards_ask(s, out, MANY, 2, AGAIN_US), 1);
	assert_memory_equal(&out[0], &shards_chunk(s, SHARDS_MAX_ASKED)->hash, HASH_BYTES);
	shards_free(s);
}

static void asks_again_when_the_time_has_passed_and_not_before(void **state)
{
	struct shards *s = even_shards(2);
	struct hash out[2], first;

	(void)state;
	shards_want(s, 0, 2 * CHUNK, 0);
	(void)all_missing(s);
	assert_int_equal(shards_ask(s, &first, 1, 100, AGAIN_US), 1);
	assert_int_equal(shards_ask(s, out, 2, 150, AGAIN_US), 1);
	assert_int_equal(shards_ask(s, out, 2, 100 + AGAIN_US - 1, AGAIN_US), 0);
	assert_int_equal(shards_ask(s, out, 2, 100 + AGAIN_US, AGAIN_US), 1);
	assert_memory_equal(&out[0], &first, HASH_BYTES);
	assert_int_equal(shards_ask(s, out, 2, 150 + AGAIN_US - 1, AGAIN_US), 0);
	assert_int_equal(shards_ask(s, out, 2, 150 + AGAIN_US, AGAIN_US), 1);
	assert_int_equal(shards_ask(s, out, 2, 100 + 2 * AGAIN_US, AGAIN_US), 1);
	shards_free(s);
}

static void a_lost_chunk_is_asked_for_again_while_others_wait(void **state)
{
	struct shards *s = even_shards(MANY);
	struct hash out[MANY];

	(void)state;
	shards_want(s, 0, MANY * CHUNK, 0);
	(void)all_missing(s);
	assert_int_equal(shards_ask(s, out, 4, 0, AGAIN_US), 4);
	shards_here(s, 0);
	shards_here(s, 2);
	shards_here(s, 3);
	assert_int_equal(shards_ask(s, out, 4, AGAIN_US, AGAIN_US), 4);
	assert_memory_equal(&out[0], &shards_chunk(s, 1)->hash, HASH_BYTES);
	assert_memory_equal(&out[1], &shards_chunk(s, 4)->hash, HASH_BYTES);
	shards_free(s);
}

static void what_was_asked_over_a_connection_that_is_lost_is_asked_for_at_once(void **state)
{
	struct shards *s = even_shards(4);
	struct hash asked[4];

	(void)state;
	shards_want(s, 0, 4 * CHUNK, 0);
	assert_int_equal(all_missing(s), 4);
	assert_int_equal(shards_ask(s, asked, 3, 0, AGAIN_US), 3);
	shards_here(s, 1);
	shards_all_lost(s);
	assert_int_equal(shards_ask(s, asked, 4, 1, AGAIN_US), 3);
	assert_true(hash_equal(&asked[0], &shards_chunk(s, 0)->hash));
	assert_true(hash_equal(&asked[1], &shards_chunk(s, 2)->hash));
	shards_free(s);
}

static void what_came_late_is_not_asked_for_again(void **state)
{
	struct shards *s = even_shards(2);
	struct hash out[2];

	(void)state;
	shards_want(s, 0, 2 * CHUNK, 0);
	(void)all_missing(s);
	assert_int_equal(shards_ask(s, out, 2, 0, AGAIN_US), 2);
	shards_here(s, 0);
	assert_int_equal(shards_ask(s, out, 2, AGAIN_US, AGAIN_US), 1);
	assert_memory_equal(&out[0], &shards_chunk(s, 1)->hash, HASH_BYTES);
	shards_free(s);
}

/* ---- arriving ------------------------------------------------------------------------------- */

static void what_is_here_counts_once_and_only_if_it_is_needed(void **state)
{
	struct shards *s = even_shards(4);
	uint64_t here, needed;

	(void)state;
	shards_want(s, CHUNK, 2 * CHUNK, 0);
	shards_here(s, 0); /* not needed */
	shards_here(s, 1);
	shards_here(s, 1);
	shards_progress(s, &here, &needed);
	assert_int_equal(here, CHUNK);
	assert_int_equal(needed, 2 * CHUNK);
	assert_false(shards_complete(s));
	(void)all_missing(s);
	shards_here(s, 2); /* missing, and never asked for */
	assert_true(shards_complete(s));
	shards_free(s);
}

/* ---- any manifest, any fate ----------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % n;
}

/* Chunks of any length with holes between them; some have the same content. */
static struct manifest random_manifest(void)
{
	size_t n = 1 + random_below(MANY);
	struct manifest m = even(n);
	uint64_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t content = random_below((uint32_t)n);

		at += random_below(4) == 0 ? random_below(50) : 0;
		m.chunks[i].offset = at;
		m.chunks[i].length = 1 + content % 13; /* same content, same length */
		m.chunks[i].hash = content_named(content);
		at += m.chunks[i].length;
	}
	m.file_bytes = at;
	return m;
}

/* Which chunks must be needed, told the slow way. */
static uint64_t want_some(struct shards *s, const struct manifest *m, bool *needed)
{
	uint64_t bytes = 0;

	for (uint32_t k = random_below(6); k > 0; k--) {
		uint64_t offset = random_below((uint32_t)m->file_bytes);
		uint64_t len = random_below((uint32_t)m->file_bytes);

		shards_want(s, offset, len, 0);
		for (size_t i = 0; i < m->n_chunks; i++) {
			const struct manifest_chunk *c = shards_chunk(s, i);

			if (len == 0 || c->offset >= offset + len ||
			    c->offset + c->length <= offset)
				continue;
			bytes += needed[i] ? 0 : c->length;
			needed[i] = true;
		}
	}
	return bytes;
}

/* A chunk came: every place that needs it is served. */
static void arrive(struct shards *s, const struct hash *content, const bool *needed, bool *here)
{
	for (size_t i = 0; shards_find(s, content, &i); i++) {
		assert_true(needed[i]);
		assert_false(here[i]);
		here[i] = true;
		shards_here(s, i);
	}
}

/* Ask; each content asked for comes, is lost, or comes twice. Returns how many were asked for. */
static size_t ask_once(struct shards *s, uint64_t now, const bool *needed, bool *here)
{
	struct hash out[BLOB_REQUEST_MAX];
	size_t n = shards_ask(s, out, BLOB_REQUEST_MAX, now, AGAIN_US);

	for (size_t k = 0; k < n; k++) {
		for (uint32_t copies = random_below(3); copies > 0; copies--)
			arrive(s, &out[k], needed, here);
	}
	return n;
}

static void fetch_a_random_manifest(void)
{
	struct manifest m = random_manifest();
	uint64_t needed_bytes, all, now = 1, done;
	bool needed[MANY] = {false}, here[MANY] = {false};
	struct shards *s = take(&m);
	size_t i;

	needed_bytes = want_some(s, &m, needed);
	shards_progress(s, &done, &all);
	assert_int_equal(all, needed_bytes);
	while (shards_unknown(s, &i)) {
		assert_true(needed[i]);
		here[i] = random_below(3) == 0;
		if (here[i])
			shards_here(s, i);
		else
			shards_missing(s, i);
	}
	for (unsigned round = 0; !shards_complete(s); round++) {
		assert_true(round < 10000);
		while (ask_once(s, now, needed, here) > 0)
			;
		now += random_below(AGAIN_US);
	}
	shards_progress(s, &done, &all);
	assert_int_equal(done, all);
	assert_int_equal(all, needed_bytes);
	for (i = 0; i < m.n_chunks; i++)
		assert_int_equal(here[i], needed[i]);
	assert_int_equal(ask_once(s, now + 10 * AGAIN_US, needed, here), 0);
	shards_free(s);
}

static void any_manifest_is_completed_whatever_is_lost_or_comes_twice(void **state)
{
	(void)state;
	for (random_state = 1; random_state <= 300; random_state++) {
		uint64_t seed = random_state;

		fetch_a_random_manifest();
		random_state = seed;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_range_of_bytes_needs_exactly_the_chunks_it_overlaps),
	    cmocka_unit_test(an_empty_range_needs_nothing),
	    cmocka_unit_test(chunks_of_an_earlier_part_come_first_wherever_they_stand),
	    cmocka_unit_test(a_part_is_complete_when_its_chunks_are_here),
	    cmocka_unit_test(a_chunk_that_two_parts_share_is_of_the_first),
	    cmocka_unit_test(a_range_past_the_end_needs_what_there_is),
	    cmocka_unit_test(ranges_that_overlap_need_a_chunk_once),
	    cmocka_unit_test(chunks_need_not_touch_each_other),
	    cmocka_unit_test(wanting_more_later_leaves_what_is_here),
	    cmocka_unit_test(a_manifest_without_chunks_is_complete),
	    cmocka_unit_test(finds_each_chunk_of_one_content),
	    cmocka_unit_test(finds_any_content_among_many),
	    cmocka_unit_test(asks_for_what_is_missing_in_order_and_no_more_than_told),
	    cmocka_unit_test(asks_for_a_bounded_number_at_a_time),
	    cmocka_unit_test(asks_again_when_the_time_has_passed_and_not_before),
	    cmocka_unit_test(a_lost_chunk_is_asked_for_again_while_others_wait),
	    cmocka_unit_test(what_was_asked_over_a_connection_that_is_lost_is_asked_for_at_once),
	    cmocka_unit_test(what_came_late_is_not_asked_for_again),
	    cmocka_unit_test(what_is_here_counts_once_and_only_if_it_is_needed),
	    cmocka_unit_test(any_manifest_is_completed_whatever_is_lost_or_comes_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
