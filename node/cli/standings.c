/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/standings.h"

#include <stdlib.h>
#include <uthash.h>

struct standing_of {
	struct public_key donor;
	enum standing_state first, last;
	UT_hash_handle hh;
};

void standings_free(struct standings *s)
{
	struct standing_of *o, *next;

	HASH_ITER(hh, s->by_donor, o, next)
	{
		HASH_DEL(s->by_donor, o);
		free(o);
	}
	*s = (struct standings){0};
}

static struct standing_of *find(const struct standings *s, const struct public_key *donor)
{
	struct standing_of *o;

	HASH_FIND(hh, s->by_donor, donor, sizeof *donor, o);
	return o;
}

int standings_follow(struct standings *s, const struct public_key *donor, enum standing_state from,
    enum standing_state to, struct error *err)
{
	struct standing_of *o = find(s, donor);

	if (o != NULL) {
		s->bad += o->last != from;
		o->last = to;
		return AYNI_OK;
	}
	o = calloc(1, sizeof *o);
	if (o == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	o->donor = *donor;
	o->first = from;
	o->last = to;
	HASH_ADD(hh, s->by_donor, donor, sizeof o->donor, o);
	return AYNI_OK;
}

int standings_merge(struct standings *s, const struct standings *later, struct error *err)
{
	int rc = AYNI_OK;

	s->bad += later->bad;
	for (const struct standing_of *o = later->by_donor; o != NULL && rc == AYNI_OK;
	     o = o->hh.next)
		rc = standings_follow(s, &o->donor, o->first, o->last, err);
	return rc;
}

void standings_each(const struct standings *s, standings_fn *fn, void *context)
{
	for (const struct standing_of *o = s->by_donor; o != NULL; o = o->hh.next)
		fn(context, &o->donor, o->last);
}
