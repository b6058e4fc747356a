/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/pairs.h"

#include <stdlib.h>
#include <uthash.h>

enum pair_state { PAIR_WANTED, PAIR_DIALLED, PAIR_UP, PAIR_FAILED };

struct ends {
	int low, high;
};

struct pair {
	struct ends ends; /* key */
	enum pair_state state;
	bool low_dials, may_swap;
	uint32_t losses, kept; /* kept: since the last loss, or since one was made up for */
	uint64_t blocked_until_us;
	UT_hash_handle hh;
};

struct pairs {
	struct pair *all;
	size_t n_wanted;
};

int pairs_new(struct pairs **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "pairs: out of memory");
}

static void drop(struct pairs *l, struct pair *k)
{
	l->n_wanted -= k->state == PAIR_WANTED;
	HASH_DEL(l->all, k);
	free(k);
}

void pairs_free(struct pairs *l)
{
	struct pair *k, *next;

	if (l == NULL)
		return;
	HASH_ITER(hh, l->all, k, next)
	drop(l, k);
	free(l);
}

static struct pair *find(const struct pairs *l, int a, int b)
{
	struct ends ends = {a < b ? a : b, a < b ? b : a};
	struct pair *k = NULL;

	HASH_FIND(hh, l->all, &ends, sizeof ends, k);
	return k;
}

static struct pair *add(struct pairs *l, int a, int b)
{
	struct pair *k = HASH_COUNT(l->all) < PAIRS_MOST ? calloc(1, sizeof *k) : NULL;

	if (k == NULL)
		return NULL;
	k->ends = (struct ends){a < b ? a : b, a < b ? b : a};
	HASH_ADD(hh, l->all, ends, sizeof k->ends, k);
	return k;
}

void pairs_want(struct pairs *l, int a, bool a_listens, int b, bool b_listens)
{
	struct pair *k =
	    a != b && (a_listens || b_listens) && find(l, a, b) == NULL ? add(l, a, b) : NULL;

	if (k == NULL)
		return;                                 /* known, or the pool carries it */
	k->low_dials = (k->ends.low == a) == b_listens; /* a, if it can */
	k->may_swap = a_listens && b_listens;
	l->n_wanted++;
}

bool pairs_tell(struct pairs *l, int *dials, int *listens)
{
	struct pair *k, *next;

	if (l->n_wanted == 0)
		return false;
	HASH_ITER(hh, l->all, k, next)
	{
		if (k->state != PAIR_WANTED)
			continue;
		k->state = PAIR_DIALLED;
		l->n_wanted--;
		*dials = k->low_dials ? k->ends.low : k->ends.high;
		*listens = k->low_dials ? k->ends.high : k->ends.low;
		return true;
	}
	return false;
}

void pairs_heard(struct pairs *l, int dials, int listens, bool up)
{
	struct pair *k = find(l, dials, listens);

	if (k == NULL || k->state == PAIR_WANTED || k->low_dials != (k->ends.low == dials))
		return;
	if (up) {
		k->state = PAIR_UP;
	} else if (k->state == PAIR_UP) {
		k->state = PAIR_DIALLED; /* it tries again by itself */
	} else if (k->may_swap) {
		k->low_dials = !k->low_dials;
		k->may_swap = false;
		k->state = PAIR_WANTED;
		l->n_wanted++;
	} else {
		k->state = PAIR_FAILED;
	}
}

void pairs_lost(struct pairs *l, int a, int b, uint64_t now_us)
{
	struct pair *k = find(l, a, b);
	uint64_t us = PAIR_BLOCKED_US;

	if (k == NULL && a == b && (k = add(l, a, b)) != NULL)
		k->state = PAIR_UP;
	if (k == NULL)
		return;
	for (uint32_t i = 0; i < k->losses && us < PAIR_BLOCKED_MOST_US; i++)
		us *= 2;
	k->losses++;
	k->kept = 0;
	k->blocked_until_us = now_us + us;
}

void pairs_kept(struct pairs *l, int a, int b)
{
	struct pair *k = find(l, a, b);

	if (k == NULL || k->losses == 0 || ++k->kept < PAIR_MAKES_UP)
		return;
	k->kept = 0;
	k->losses--;
}

void pairs_forget(struct pairs *l, int donor)
{
	struct pair *k, *next;

	HASH_ITER(hh, l->all, k, next)
	{
		if (k->ends.low == donor || k->ends.high == donor)
			drop(l, k);
	}
}

bool pairs_up(const struct pairs *l, int a, int b, uint64_t now_us)
{
	const struct pair *k = find(l, a, b);

	if (k == NULL)
		return a == b;
	return k->state == PAIR_UP && now_us >= k->blocked_until_us;
}
