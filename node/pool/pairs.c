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
	uint64_t round_trip_us; /* as the end that dials says; 0: not known */
	struct pair *next[2];   /* in the list of the low end's pairs, and of the high end's */
	UT_hash_handle hh;
};

struct pairs {
	struct pair *all;
	size_t n_wanted;
	struct pair **first; /* [n_first] of each donor's; a donor and itself are in no list */
	size_t n_first;
};

int pairs_new(struct pairs **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "pairs: out of memory");
}

/* ---- the pairs of each donor -------------------------------------------------------------- */

static struct pair **next_of(struct pair *k, int donor)
{
	return &k->next[donor == k->ends.high];
}

static bool list_room(struct pairs *l, int donor)
{
	size_t n = (size_t)donor + 1;
	struct pair **first;

	if (n <= l->n_first)
		return true;
	n = n < 2 * l->n_first ? 2 * l->n_first : n;
	first = reallocarray(l->first, n, sizeof *first);
	if (first == NULL)
		return false;
	for (size_t i = l->n_first; i < n; i++)
		first[i] = NULL;
	l->first = first;
	l->n_first = n;
	return true;
}

static void list_add(struct pairs *l, struct pair *k)
{
	int ends[2] = {k->ends.low, k->ends.high};

	for (int e = 0; e < 2 && ends[0] != ends[1]; e++) {
		k->next[e] = l->first[ends[e]];
		l->first[ends[e]] = k;
	}
}

static void list_remove(struct pairs *l, struct pair *k)
{
	int ends[2] = {k->ends.low, k->ends.high};

	for (int e = 0; e < 2 && ends[0] != ends[1]; e++) {
		struct pair **at = &l->first[ends[e]];

		while (*at != k)
			at = next_of(*at, ends[e]);
		*at = k->next[e];
	}
}

/* ---- all pairs ---------------------------------------------------------------------------- */

static void drop(struct pairs *l, struct pair *k)
{
	list_remove(l, k);
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
	{
		HASH_DEL(l->all, k);
		free(k);
	}
	free(l->first);
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
	bool room = HASH_COUNT(l->all) < PAIRS_MOST && list_room(l, a > b ? a : b);
	struct pair *k = room ? calloc(1, sizeof *k) : NULL;

	if (k == NULL)
		return NULL;
	k->ends = (struct ends){a < b ? a : b, a < b ? b : a};
	HASH_ADD(hh, l->all, ends, sizeof k->ends, k);
	list_add(l, k);
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

void pairs_heard(struct pairs *l, int dials, int listens, bool up, uint64_t round_trip_us)
{
	struct pair *k = find(l, dials, listens);

	if (k == NULL || k->state == PAIR_WANTED || k->low_dials != (k->ends.low == dials))
		return;
	if (up) {
		k->state = PAIR_UP;
		k->round_trip_us = round_trip_us;
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
	struct pair *itself = find(l, donor, donor);

	while ((size_t)donor < l->n_first && l->first[donor] != NULL)
		drop(l, l->first[donor]);
	if (itself != NULL)
		drop(l, itself);
}

size_t pairs_count(const struct pairs *l)
{
	return HASH_COUNT(l->all);
}

static bool is_up(const struct pair *k, uint64_t now_us)
{
	return k->state == PAIR_UP && now_us >= k->blocked_until_us;
}

bool pairs_up(const struct pairs *l, int a, int b, uint64_t now_us)
{
	uint64_t round_trip_us;

	return pairs_trip(l, a, b, now_us, &round_trip_us);
}

bool pairs_trip(const struct pairs *l, int a, int b, uint64_t now_us, uint64_t *round_trip_us)
{
	const struct pair *k = find(l, a, b);

	*round_trip_us = k != NULL ? k->round_trip_us : 0;
	return k != NULL ? is_up(k, now_us) : a == b;
}

bool pairs_next(const struct pairs *l, int donor, uint64_t now_us, struct pair_way *way)
{
	struct pair *k = way->pair;

	if (k == NULL && (size_t)donor < l->n_first)
		k = l->first[donor];
	else if (k != NULL)
		k = *next_of(k, donor);
	while (k != NULL && !is_up(k, now_us))
		k = *next_of(k, donor);
	if (k == NULL)
		return false;
	way->pair = k;
	way->other = k->ends.low == donor ? k->ends.high : k->ends.low;
	way->round_trip_us = k->round_trip_us;
	return true;
}
