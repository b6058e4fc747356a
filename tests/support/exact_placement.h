/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least time of a token over any path of few donors, by going through all sets of donors: what
 * the planner is measured against. best[layer][set] is the least time in which the donors of a set
 * can have passed the layers below `layer` (Held and Karp's dynamic programme); no bound, no
 * dominance and no code of the planner but the time of one stage.
 */
#ifndef AYNI_TESTS_SUPPORT_EXACT_PLACEMENT_H
#define AYNI_TESTS_SUPPORT_EXACT_PLACEMENT_H

#include "node/pool/placement.h"

enum { EXACT_MAX_DONORS = 8, EXACT_MAX_LAYERS = 16 };

/* Microseconds; infinite if no path covers the model. */
double exact_token_us(
    const struct placement_model *m, const struct placement_donor *donors, size_t n_donors);

#endif
