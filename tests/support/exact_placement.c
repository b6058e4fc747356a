/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/exact_placement.h"

#include <assert.h>
#include <math.h>

/* What a token takes to a donor after the one before it: by hand, or over the pool. The end of a
 * path is NULL. */
static double between_us(const struct placement_model *m, const struct placement_donor *from,
    const struct placement_donor *to)
{
	double us = 0, hop = from != NULL && to != NULL ? placement_hop_us(m, from, to) : -1;

	if (from != NULL)
		us += placement_trip_us(m, from) / 2 * placement_loss_factor(from);
	if (to != NULL)
		us += placement_trip_us(m, to) / 2 * placement_loss_factor(to);
	return hop >= 0 ? fmin(us, hop * placement_loss_factor(to)) : us;
}

/* best[layer][set][last] is the least time in which the donors of a set, `last` being the last of
 * them, can have computed the layers below `layer`; of the empty set, `last` is EXACT_MAX_DONORS.
 */
static double best[EXACT_MAX_LAYERS + 1][1U << EXACT_MAX_DONORS][EXACT_MAX_DONORS + 1];

static void go_on(const struct placement_model *m, const struct placement_donor *donors,
    uint32_t first, uint32_t set, uint32_t from, uint32_t to)
{
	const struct placement_donor *d = &donors[to];
	double us = best[first][set][from] +
	            between_us(m, from < EXACT_MAX_DONORS ? &donors[from] : NULL, d);

	for (uint32_t last = first + 1; last <= m->n_layers; last++) {
		struct layer_range r = {first, last};
		double *at = &best[last][set | 1U << to][to];

		if (placement_sessions(m, d, r, 1) > 0)
			*at = fmin(
			    *at, us + placement_compute_us(m, d, r) * placement_loss_factor(d));
	}
}

double exact_token_us(
    const struct placement_model *m, const struct placement_donor *donors, size_t n_donors)
{
	uint32_t n = m->n_layers, sets = 1U << n_donors;
	double least = INFINITY;

	assert(n <= EXACT_MAX_LAYERS && n_donors <= EXACT_MAX_DONORS);
	for (uint32_t l = 0; l <= n; l++) {
		for (uint32_t set = 0; set < sets; set++) {
			for (uint32_t last = 0; last <= EXACT_MAX_DONORS; last++)
				best[l][set][last] = INFINITY;
		}
	}
	best[0][0][EXACT_MAX_DONORS] = 0;
	for (uint32_t first = 0; first < n; first++) {
		for (uint32_t set = 0; set < sets; set++) {
			for (uint32_t from = 0; from <= EXACT_MAX_DONORS; from++) {
				for (uint32_t to = 0;
				     to < n_donors && best[first][set][from] < INFINITY; to++) {
					if ((set & 1U << to) == 0)
						go_on(m, donors, first, set, from, to);
				}
			}
		}
	}
	for (uint32_t set = 0; set < sets; set++) {
		for (uint32_t last = 0; last < n_donors; last++)
			least =
			    fmin(least, best[n][set][last] + between_us(m, &donors[last], NULL));
	}
	return least;
}
