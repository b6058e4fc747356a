/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a path beside the plainest search, and how long it takes among many donors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "node/pool/path.h"
#include "node/pool/placement.h"

enum {
	N_LAYERS = 8,
	FEW = 8, /* donors, at most */
	NOW_US = 1000000,
	INSTANCES = 500,
	SEARCH_MOST_MS = 500
};

static struct roster *roster;
static struct pairs *pairs;
static struct path path;
static uint32_t n_joined;

static int set_up(void **state)
{
	(void)state;
	n_joined = 0;
	return roster_new(&roster, NULL) != AYNI_OK || pairs_new(&pairs, NULL) != AYNI_OK;
}

static int tear_down(void **state)
{
	(void)state;
	pairs_free(pairs);
	roster_free(roster);
	return 0;
}

/* A donor that has these layers, and whatever else the test says of it. */
static struct roster_donor *ready(uint32_t first, uint32_t last)
{
	struct public_key key = {{0}};
	struct msg_offer offer = {0};
	struct donor_assignment a = {.number = ++n_joined, .layers = {first, last}, .pages = 9};
	int slot;

	memcpy(key.bytes, &n_joined, sizeof n_joined);
	assert_int_equal(roster_join(roster, &key, "", n_joined, 1, &slot), AYNI_OK);
	assert_int_equal(roster_offer(roster, slot, &offer), AYNI_OK);
	assert_int_equal(roster_assign(roster, slot, &a), AYNI_OK);
	assert_int_equal(roster_progress(roster, slot, n_joined, PROGRESS_READY, 0), AYNI_OK);
	return roster_get(roster, slot);
}

static enum path_search find(uint32_t n_layers)
{
	const struct path_donors all = {.roster = roster, .pairs = pairs, .now_us = NOW_US};

	return path_find(&all, 0, n_layers, 1, &path);
}

static void pair(int a, int b, uint64_t round_trip_us)
{
	int dials, listens;

	pairs_want(pairs, a, true, b, true);
	assert_true(pairs_tell(pairs, &dials, &listens));
	pairs_heard(pairs, dials, listens, true, round_trip_us);
}

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % n;
}

static void make_donors(uint64_t seed, uint32_t n, uint32_t n_layers)
{
	random_state = seed * 0x9e3779b97f4a7c15ULL;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t first = i == 0 ? 0 : below(n_layers);
		uint32_t last = i == 0 ? n_layers : first + 1 + below(n_layers - first);
		struct roster_donor *d = ready(first, last);

		d->assignment.token_us = 1 + below(90000);
		d->round_trip_us = 1 + below(60000);
		d->assignment.head_us = last == n_layers ? below(d->assignment.token_us) : 0;
		d->assignment.transfer_us = below(5000);
		d->sessions = below(3);
		d->bound_layers = d->sessions * (1 + below(last - first));
	}
}

static void make_ways(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int a = (int)below(n_joined), b = (int)below(n_joined);
		uint64_t us;

		if (a != b && !pairs_trip(pairs, a, b, NOW_US, &us))
			pair(a, b, below(40000));
	}
}

static struct placement_line line_of(int slot)
{
	const struct roster_donor *d = roster_get(roster, slot);

	return (struct placement_line){(double)d->round_trip_us, d->assignment.transfer_us};
}

static uint64_t half(int slot)
{
	return (uint64_t)(line_of(slot).trip_us + line_of(slot).transfer_us) / 2;
}

/* From one stage to the next, over the pool if that is faster. */
static uint64_t between(int a, int b)
{
	uint64_t over_pool = half(a) + half(b), us;
	struct placement_line hop;

	if (a == b || !pairs_trip(pairs, a, b, NOW_US, &us))
		return over_pool;
	hop = placement_hop(line_of(a), line_of(b), us);
	us = (uint64_t)(hop.trip_us + hop.transfer_us);
	return us < over_pool ? us : over_pool;
}

static uint64_t at_stage(int slot, uint32_t first, uint32_t last)
{
	const struct roster_donor *d = roster_get(roster, slot);

	return path_wait_us(d) + path_compute_us(d, (struct layer_range){first, last});
}

/* From a layer on, with the token at a donor that takes it. */
static uint64_t best[N_LAYERS][FEW];

/* The best way on from a donor that is done at a layer. */
static uint64_t onward_us(int slot, uint32_t layer)
{
	uint64_t least = UINT64_MAX / 2;

	if (layer == N_LAYERS)
		return half(slot);
	for (int k = 0; k < (int)n_joined; k++) {
		uint64_t us = between(slot, k) + best[layer][k];

		least = us < least ? us : least;
	}
	return least;
}

static uint64_t from_us(int slot, uint32_t layer)
{
	const struct layer_range *has = &roster_get(roster, slot)->assignment.layers;
	uint64_t least = UINT64_MAX / 2;

	for (uint32_t to = layer + 1; has->first <= layer && to <= has->last; to++) {
		uint64_t us = at_stage(slot, layer, to) + onward_us(slot, to);

		least = us < least ? us : least;
	}
	return least;
}

/* Over any cuts, a donor as often as one likes. */
static uint64_t least_us(void)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t l = N_LAYERS; l-- > 0;) {
		for (int i = 0; i < (int)n_joined; i++)
			best[l][i] = from_us(i, l);
	}
	for (int i = 0; i < (int)n_joined; i++)
		least = half(i) + best[0][i] < least ? half(i) + best[0][i] : least;
	return least;
}

static uint64_t found_us(void)
{
	uint64_t us = half(path.stages[0].donor) + half(path.stages[path.n_stages - 1].donor);

	for (uint32_t k = 0; k < path.n_stages; k++) {
		const struct path_stage *s = &path.stages[k];

		us += at_stage(s->donor, s->layers.first, s->layers.last);
		us += k > 0 ? between(s[-1].donor, s->donor) : 0;
	}
	return us;
}

/* But where that one goes back to a donor, which no path does. */
static void no_other_path_is_faster(void **state)
{
	uint32_t fastest = 0;

	for (uint64_t seed = 1; seed <= INSTANCES; seed++) {
		uint64_t least;

		(void)tear_down(state);
		assert_int_equal(set_up(state), 0);
		make_donors(seed, 1 + (uint32_t)seed % FEW, N_LAYERS);
		make_ways((uint32_t)seed % 3 * 8);
		least = least_us();
		assert_int_equal(find(N_LAYERS), PATH_FOUND);
		assert_true(found_us() >= least);
		fastest += found_us() == least;
	}
	print_message("%u of %d paths are the fastest\n", fastest, INSTANCES);
	assert_true(fastest >= INSTANCES * 95 / 100);
}

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Some milliseconds; looking at each end from each beginning, it would be seconds. */
static void thousands_of_donors_with_as_many_cuts_are_searched_soon(void **state)
{
	static const uint32_t layers[] = {128, LIMIT_LAYERS};

	for (size_t i = 0; i < 2; i++) {
		double begun;

		(void)tear_down(state);
		assert_int_equal(set_up(state), 0);
		make_donors(1, ROSTER_MAX_DONORS, layers[i]);
		for (int ways = 0; ways < 2; ways++) {
			make_ways((uint32_t)ways * PAIRS_MOST / 8);
			begun = seconds();
			assert_int_equal(find(layers[i]), PATH_FOUND);
			begun = (seconds() - begun) * 1e3;
			print_message("%d donors, %u layers%s: %.2f ms\n", ROSTER_MAX_DONORS,
			    layers[i], ways > 0 ? ", ways" : "", begun);
			assert_true(begun < SEARCH_MOST_MS);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(no_other_path_is_faster),
	    TEST(thousands_of_donors_with_as_many_cuts_are_searched_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
