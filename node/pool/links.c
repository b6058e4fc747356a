/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/links.h"

#include <stdlib.h>
#include <uthash.h>

enum link_state { LINK_WANTED, LINK_DIALLED, LINK_UP, LINK_FAILED };

struct ends {
	int low, high;
};

struct link {
	struct ends ends; /* key */
	enum link_state state;
	bool low_dials, may_swap;
	uint32_t losses, kept; /* kept: since the last loss, or since one was made up for */
	uint64_t blocked_until_us;
	UT_hash_handle hh;
};

struct links {
	struct link *all;
	size_t n_wanted;
};

int links_new(struct links **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "links: out of memory");
}

static void drop(struct links *l, struct link *k)
{
	l->n_wanted -= k->state == LINK_WANTED;
	HASH_DEL(l->all, k);
	free(k);
}

void links_free(struct links *l)
{
	struct link *k, *next;

	if (l == NULL)
		return;
	HASH_ITER(hh, l->all, k, next)
	drop(l, k);
	free(l);
}

static struct link *find(const struct links *l, int a, int b)
{
	struct ends ends = {a < b ? a : b, a < b ? b : a};
	struct link *k = NULL;

	HASH_FIND(hh, l->all, &ends, sizeof ends, k);
	return k;
}

void links_want(struct links *l, int a, bool a_listens, int b, bool b_listens)
{
	struct link *k;

	if (a == b || (!a_listens && !b_listens) || find(l, a, b) != NULL ||
	    HASH_COUNT(l->all) >= LINKS_MOST)
		return;
	k = calloc(1, sizeof *k);
	if (k == NULL)
		return; /* the pool carries it */
	k->ends = (struct ends){a < b ? a : b, a < b ? b : a};
	k->low_dials = (k->ends.low == a) == b_listens; /* a, if it can */
	k->may_swap = a_listens && b_listens;
	l->n_wanted++;
	HASH_ADD(hh, l->all, ends, sizeof k->ends, k);
}

bool links_tell(struct links *l, int *dials, int *listens)
{
	struct link *k, *next;

	if (l->n_wanted == 0)
		return false;
	HASH_ITER(hh, l->all, k, next)
	{
		if (k->state != LINK_WANTED)
			continue;
		k->state = LINK_DIALLED;
		l->n_wanted--;
		*dials = k->low_dials ? k->ends.low : k->ends.high;
		*listens = k->low_dials ? k->ends.high : k->ends.low;
		return true;
	}
	return false;
}

void links_heard(struct links *l, int dials, int listens, bool up)
{
	struct link *k = find(l, dials, listens);

	if (k == NULL || k->state == LINK_WANTED || k->low_dials != (k->ends.low == dials))
		return;
	if (up) {
		k->state = LINK_UP;
	} else if (k->state == LINK_UP) {
		k->state = LINK_DIALLED; /* it tries again by itself */
	} else if (k->may_swap) {
		k->low_dials = !k->low_dials;
		k->may_swap = false;
		k->state = LINK_WANTED;
		l->n_wanted++;
	} else {
		k->state = LINK_FAILED;
	}
}

void links_lost(struct links *l, int a, int b, uint64_t now_us)
{
	struct link *k = find(l, a, b);
	uint64_t us = LINK_BLOCKED_US;

	if (k == NULL)
		return;
	for (uint32_t i = 0; i < k->losses && us < LINK_BLOCKED_MOST_US; i++)
		us *= 2;
	k->losses++;
	k->kept = 0;
	k->blocked_until_us = now_us + us;
}

void links_kept(struct links *l, int a, int b)
{
	struct link *k = find(l, a, b);

	if (k == NULL || k->losses == 0 || ++k->kept < LINK_MAKES_UP)
		return;
	k->kept = 0;
	k->losses--;
}

void links_forget(struct links *l, int donor)
{
	struct link *k, *next;

	HASH_ITER(hh, l->all, k, next)
	{
		if (k->ends.low == donor || k->ends.high == donor)
			drop(l, k);
	}
}

bool links_up(const struct links *l, int a, int b, uint64_t now_us)
{
	const struct link *k = a != b ? find(l, a, b) : NULL;

	return a == b || (k != NULL && k->state == LINK_UP && now_us >= k->blocked_until_us);
}
