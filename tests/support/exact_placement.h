/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least time of a token over any path of few donors, by going through all sets of donors: what
 * the planner is measured against. Held and Karp's dynamic programme: the least time in which the
 * donors of a set, one of them the last, can have passed the layers below one. No bound, no
 * dominance and no code of the planner but the time of one stage and of one hop.
 */
#ifndef AYNI_TESTS_SUPPORT_EXACT_PLACEMENT_H
#define AYNI_TESTS_SUPPORT_EXACT_PLACEMENT_H

#include "node/pool/placement.h"

enum { EXACT_MAX_DONORS = 8, EXACT_MAX_LAYERS = 16 };

/* Microseconds; infinite if no path covers the model. */
double exact_token_us(
    const struct placement_model *m, const struct placement_donor *donors, size_t n_donors);

#endif
