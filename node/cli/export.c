/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/export.h"

#include <stdlib.h>

#include "protocol/identity.h"

enum { WEEKS = 8 }; /* of an average: what is older is below 1/256 of it */

static const uint64_t week_ms = UINT64_C(7) * SUMS_DAY_MS;

void export_free(struct export *e)
{
	free(e->users);
	*e = (struct export){0};
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct export_user *)a)->id, y = ((const struct export_user *)b)->id;

	return x < y ? -1 : x > y ? 1 : 0;
}

static uint32_t team_id(const char *team)
{
	struct hash h;
	uint32_t id;

	if (team[0] == '\0')
		return 0;
	hash_bytes((const uint8_t *)team, strlen(team), &h);
	memcpy(&id, h.bytes, sizeof id);
	return id >> 1 != 0 ? id >> 1 : 1;
}

static double gflop_of(const struct sums_row *r)
{
	return (double)r->giga + (double)r->flop / 1e9;
}

static int add_user(void *context, const struct sums_row *r)
{
	struct export *e = context;
	struct export_user *users, *u;

	if (r->receipts == 0)
		return 0;
	users = reallocarray(e->users, e->n + 1, sizeof *users);
	if (users == NULL)
		return AYNI_ERR_MEMORY;
	e->users = users;
	u = &users[e->n++];
	*u = (struct export_user){.id = r->id,
	    .key = r->key,
	    .team_id = team_id(r->team),
	    .gflop = gflop_of(r),
	    .first_ms = r->first_ms,
	    .last_ms = r->last_ms};
	(void)snprintf(u->name, sizeof u->name, "%s", r->name);
	(void)snprintf(u->team, sizeof u->team, "%s", r->team);
	return 0;
}

/*
 * An average that forgets half in a week: of work done s days ago, GFLOP a day, 2^(-s/7) ln 2 / 7
 * counts. Of w GFLOP evenly over the week that began 7 (k + 1) days ago that comes to
 * w / 7 * 2^-(k+1), and so with what was done since then, c(k + 1), to the sum over k of
 * (c(k + 1) - c(k)) / 7 * 2^-(k+1) = sum of c(k) / 7 * 2^-(k+1), k from 1, the last one twice.
 */
static double weight(unsigned weeks)
{
	return 1.0 / 7 / (double)(1U << (weeks == WEEKS ? weeks : weeks + 1));
}

struct averaging {
	struct export *export;
	unsigned weeks;
};

static int add_weeks(void *context, const struct sums_row *r)
{
	const struct averaging *a = context;
	struct export_user key = {.id = r->id}, *u;

	u = bsearch(&key, a->export->users, a->export->n, sizeof key, by_id);
	if (u != NULL)
		u->gflop_a_day += gflop_of(r) * weight(a->weeks);
	return 0;
}

static int read_all(struct export *e, struct sums *sums, struct error *err)
{
	struct sums_filter f = {.by = SUMS_BY_DONOR};
	uint64_t end_ms = (e->now_ms / SUMS_DAY_MS + 1) * SUMS_DAY_MS;
	int rc = sums_each(sums, &f, add_user, e, err);

	if (e->n > 0)
		qsort(e->users, e->n, sizeof *e->users, by_id);
	for (unsigned weeks = 1; rc == AYNI_OK && weeks <= WEEKS; weeks++) {
		struct averaging a = {e, weeks};

		f.since_ms = end_ms > weeks * week_ms ? end_ms - weeks * week_ms : 1;
		rc = sums_each(sums, &f, add_weeks, &a, err);
	}
	return rc;
}

int export_read(const char *db_path, uint64_t now_ms, struct export *out, struct error *err)
{
	struct sums *sums = NULL;
	struct db *db = NULL;
	int rc;

	*out = (struct export){.now_ms = now_ms};
	rc = db_open(db_path, DB_READ_ONLY, &db, err);
	if (rc == AYNI_OK)
		rc = sums_new(db, &sums, err);
	if (rc == AYNI_OK)
		rc = read_all(out, sums, err);
	sums_free(sums);
	db_free(db);
	if (rc != AYNI_OK)
		export_free(out);
	return rc;
}
