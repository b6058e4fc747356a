/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/stays.h"

#include <stdlib.h>

#include <uthash.h>

struct stay {
	struct public_key donor;
	uint64_t mean_s;
	UT_hash_handle hh;
};

struct stays {
	struct stay *by_donor;
};

struct stays *stays_new(void)
{
	return calloc(1, sizeof(struct stays));
}

void stays_free(struct stays *s)
{
	struct stay *stay, *next;

	if (s == NULL)
		return;
	HASH_ITER(hh, s->by_donor, stay, next)
	{
		HASH_DEL(s->by_donor, stay);
		free(stay);
	}
	free(s);
}

void stays_ended(struct stays *s, const struct public_key *donor, uint64_t seconds)
{
	struct stay *stay;

	HASH_FIND(hh, s->by_donor, donor, sizeof *donor, stay);
	if (stay != NULL) {
		stay->mean_s = (3 * stay->mean_s + seconds + 3) / 4;
		return;
	}
	if (HASH_COUNT(s->by_donor) == STAYS_MAX)
		return;
	stay = calloc(1, sizeof *stay);
	if (stay == NULL)
		return;
	stay->donor = *donor;
	stay->mean_s = seconds > 0 ? seconds : 1;
	HASH_ADD(hh, s->by_donor, donor, sizeof stay->donor, stay);
}

uint64_t stays_usual(const struct stays *s, const struct public_key *donor, uint64_t here_s)
{
	const struct stay *stay;

	HASH_FIND(hh, s->by_donor, donor, sizeof *donor, stay);
	if (stay == NULL)
		return 0;
	return here_s > stay->mean_s ? here_s : stay->mean_s;
}
