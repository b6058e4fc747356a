/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/habits.h"

#include <stdlib.h>

#include <uthash.h>

struct entry {
	struct public_key donor;
	struct habit habit;
	UT_hash_handle hh;
};

struct habits {
	struct entry *by_donor;
};

struct habits *habits_new(void)
{
	return calloc(1, sizeof(struct habits));
}

void habits_free(struct habits *h)
{
	struct entry *e, *next;

	if (h == NULL)
		return;
	HASH_ITER(hh, h->by_donor, e, next)
	{
		HASH_DEL(h->by_donor, e);
		free(e);
	}
	free(h);
}

static struct entry *find(const struct habits *h, const struct public_key *donor)
{
	struct entry *e;

	HASH_FIND(hh, h->by_donor, donor, sizeof *donor, e);
	return e;
}

const struct habit *habits_find(const struct habits *h, const struct public_key *donor)
{
	struct entry *e = find(h, donor);

	return e != NULL ? &e->habit : NULL;
}

void habits_put(struct habits *h, const struct public_key *donor, const struct habit *habit)
{
	struct entry *e = find(h, donor);

	if (e == NULL && HASH_COUNT(h->by_donor) < HABITS_MAX) {
		e = calloc(1, sizeof *e);
		if (e == NULL)
			return;
		e->donor = *donor;
		HASH_ADD(hh, h->by_donor, donor, sizeof e->donor, e);
	}
	if (e != NULL)
		e->habit = *habit;
}

uint64_t habit_stay_s(const struct habit *known, uint64_t here_s)
{
	if (known == NULL || known->stay_s == 0)
		return 0;
	return here_s > known->stay_s ? here_s : known->stay_s;
}

void habit_out(struct habit *h, uint64_t now_us, uint64_t first_s)
{
	uint64_t us = first_s * UINT64_C(1000000);
	uint64_t most = HABIT_OUT_MOST_S * UINT64_C(1000000);

	if (h->out_until_us + HABIT_OUT_DAY_S * UINT64_C(1000000) < now_us)
		h->outs = 0;
	for (uint32_t i = 0; i < h->outs && us < most; i++)
		us *= 2;
	h->outs++;
	h->out_until_us = now_us + (us < most ? us : most);
}

uint64_t habit_stayed_s(const struct habit *known, uint64_t here_s)
{
	if (known == NULL || known->stay_s == 0)
		return here_s > 0 ? here_s : 1;
	return (3 * known->stay_s + here_s + 3) / 4;
}
