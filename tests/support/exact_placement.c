/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/exact_placement.h"

#include <assert.h>
#include <math.h>

double exact_token_us(
    const struct placement_model *m, const struct placement_donor *donors, size_t n_donors)
{
	static double best[EXACT_MAX_LAYERS + 1][1U << EXACT_MAX_DONORS];
	uint32_t n = m->n_layers, sets = 1U << n_donors;
	double least = INFINITY;

	assert(n <= EXACT_MAX_LAYERS && n_donors <= EXACT_MAX_DONORS);
	for (uint32_t l = 0; l <= n; l++) {
		for (uint32_t set = 0; set < sets; set++)
			best[l][set] = l == 0 && set == 0 ? 0 : INFINITY;
	}
	for (uint32_t first = 0; first < n; first++) {
		for (uint32_t set = 0; set < sets; set++) {
			for (uint32_t i = 0; i < n_donors && best[first][set] < INFINITY; i++) {
				uint32_t with = set | 1U << i;

				for (uint32_t last = first + 1; last <= n && with != set; last++) {
					struct layer_range r = {first, last};
					double us;

					if (placement_sessions(m, &donors[i], r, 1) == 0)
						continue;
					us =
					    best[first][set] + placement_stage_us(m, &donors[i], r);
					best[last][with] = fmin(best[last][with], us);
				}
			}
		}
	}
	for (uint32_t set = 0; set < sets; set++)
		least = fmin(least, best[n][set]);
	return least;
}
