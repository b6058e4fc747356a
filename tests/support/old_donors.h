/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network's donors as if they had been right for long: known to their pool since 1970, and
 * trusted, so that those of different invites may check each other (node/pool/checkers.h).
 */
#ifndef AYNI_TESTS_SUPPORT_OLD_DONORS_H
#define AYNI_TESTS_SUPPORT_OLD_DONORS_H

#include "tests/support/network.h"

/*
 * Donors 0 to `count`, which were not started yet: the last one with another invite, the others
 * with the network's own. Writes them into the pool's books, and starts the pool again with these
 * settings. `other` is the other invite, with many uses.
 */
void old_donors_make(struct network *n, int count, const char *model, const char *const *settings,
    char other[NETWORK_PATH]);

#endif
