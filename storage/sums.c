/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sums.h"

#include <stdlib.h>

#include <uthash.h>

#include "storage/query.h"

/* Levels that have sums: subtrees of 2^12 receipts, and each of four of those below. */
enum { LEVEL_FIRST = 12, LEVEL_LAST = 24, LEVEL_STEP = 2, LEVEL_CHILDREN = 1 << LEVEL_STEP };
/* The tree has hashes of subtrees of 2^8, and from their number one knows the others'. */
enum { LEVEL_TREE = 8 };

enum statement {
	BEGIN,
	END,
	ADD,
	ADD_UP,
	SIZE,
	DAYS,
	BLOCK,
	BLOCK_OF,
	RECEIPTS,
	WAITING_DONOR,
	WAITING_MODEL,
	WAITING_DAY,
	KEY_ID,
	WHO,
	TEAMS,
	N_STATEMENTS
};

/*
 * Sums in two parts, so that no sum of 64-bit values overflows and none depends on the order of
 * rows: cost in whole GFLOP and the rest, counts in high and low 32 bits.
 */
#define COLUMNS                                                                                    \
	"id, receipts, giga, rest, units_high, units_low, tokens_high, tokens_low, first_ms,"      \
	" last_ms"

/* What is not countersigned, in the same columns. */
#define WAITING                                                                                    \
	" count(*), sum(cost / 1000000000), sum(cost % 1000000000), sum(units >> 32),"             \
	" sum(units & 4294967295), sum(tokens >> 32), sum(tokens & 4294967295), min(first_ms),"    \
	" max(last_ms) FROM receipts INDEXED BY receipts_waiting"                                  \
	" WHERE donor_signature = zeroblob(64) AND last_ms >= ? AND units > 0 GROUP BY 1"

static const char *const texts[N_STATEMENTS] = {
    [BEGIN] = "SAVEPOINT sums",
    [END] = "RELEASE sums",
    [ADD] = "INSERT INTO sums WITH kinds (kind) AS (VALUES (1), (2), (3)) SELECT ?1, ?2, kind,"
            " CASE kind WHEN 1 THEN donor WHEN 2 THEN model ELSE last_ms / 86400000 END,"
            " count(*), sum(cost / 1000000000), sum(cost % 1000000000),"
            " sum(units >> 32), sum(units & 4294967295),"
            " sum(tokens >> 32), sum(tokens & 4294967295), min(first_ms), max(last_ms)"
            " FROM receipts NOT INDEXED, kinds WHERE number > (?2 << ?1)"
            " AND number <= (?2 + 1 << ?1) AND units > 0 GROUP BY 3, 4",
    [ADD_UP] = "INSERT INTO sums SELECT ?1, ?2, kind, id, sum(receipts), sum(giga), sum(rest),"
               " sum(units_high), sum(units_low), sum(tokens_high), sum(tokens_low),"
               " min(first_ms), max(last_ms) FROM sums"
               " WHERE level = ?1 - 2 AND block >= ?2 * 4 AND block < ?2 * 4 + 4"
               " GROUP BY kind, id",
    [SIZE] = "SELECT coalesce(max(number) + 1, 0) FROM tree WHERE level = 1",
    [DAYS] = "SELECT min(id), max(id) FROM sums WHERE level = ? AND block = ? AND kind = 3",
    [BLOCK] = "SELECT " COLUMNS " FROM sums WHERE level = ? AND block = ? AND kind = ?",
    [BLOCK_OF] = "SELECT " COLUMNS " FROM sums WHERE level = ? AND block = ? AND kind = ?"
                 " AND id = ?",
    [RECEIPTS] = "SELECT donor, model, cost, units, tokens, first_ms, last_ms FROM receipts"
                 " NOT INDEXED WHERE number > ? AND number <= ?",
    [WAITING_DONOR] = "SELECT donor," WAITING,
    [WAITING_MODEL] = "SELECT model," WAITING,
    [WAITING_DAY] = "SELECT last_ms / 86400000," WAITING,
    [KEY_ID] = "SELECT id FROM keys WHERE key = ?",
    [WHO] = "SELECT key, coalesce((SELECT name FROM names WHERE role = 1 AND key = k.key),"
            " (SELECT name FROM models WHERE model = k.key)),"
            " (SELECT team FROM teams WHERE donor = k.key) FROM keys AS k WHERE id = ?",
    [TEAMS] = "SELECT k.id, t.team FROM teams AS t JOIN keys AS k ON k.key = t.donor"
              " ORDER BY t.team",
};

struct sums {
	struct db *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

int sums_new(struct db *d, struct sums **out, struct error *err)
{
	struct sums *s = calloc(1, sizeof *s);
	int rc;

	*out = NULL;
	if (s == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "sums: out of memory");
	s->db = d;
	rc = statements_prepare(d, texts, N_STATEMENTS, s->statements, err);
	if (rc != AYNI_OK) {
		free(s);
		return rc;
	}
	*out = s;
	return AYNI_OK;
}

void sums_free(struct sums *s)
{
	if (s == NULL)
		return;
	statements_finalize(s->statements, N_STATEMENTS);
	free(s);
}

static struct query start(struct sums *s, enum statement which)
{
	return query_begin(s->db, s->statements[which], "sums: adding up");
}

bool sums_has_level(unsigned level)
{
	return level >= LEVEL_FIRST && level <= LEVEL_LAST && level % LEVEL_STEP == 0;
}

int sums_add(struct sums *s, unsigned level, uint64_t block, struct error *err)
{
	struct query q = start(s, level == LEVEL_FIRST ? ADD : ADD_UP);

	query_u64(&q, level);
	query_u64(&q, block);
	return query_run(&q, err);
}

/* ---- groups ------------------------------------------------------------------------------- */

/* What a group's receipts come to, in the parts that SQL adds up. */
struct parts {
	uint64_t receipts, giga, rest, units_high, units_low, tokens_high, tokens_low;
	uint64_t first_ms, last_ms;
};

struct group {
	uint64_t id; /* as in `sums`; of a team: the how manieth by name, 0 for none */
	struct parts parts;
	uint64_t waiting;
	char *team; /* owned; by team only */
	UT_hash_handle hh;
};

/* One question: the groups so far. */
struct view {
	struct sums *sums;
	const struct sums_filter *filter;
	enum sums_by kind; /* what is added up: by team it is by donor first */
	uint64_t only;     /* this donor's id */
	struct group *groups;
	struct error *err;
};

static struct group *group_of(struct view *v, uint64_t id)
{
	struct group *g;

	HASH_FIND(hh, v->groups, &id, sizeof id, g);
	if (g != NULL)
		return g;
	g = calloc(1, sizeof *g);
	if (g == NULL)
		return NULL;
	g->id = id;
	HASH_ADD(hh, v->groups, id, sizeof g->id, g);
	return g;
}

static void free_groups(struct view *v)
{
	struct group *g, *next;

	HASH_ITER(hh, v->groups, g, next)
	{
		HASH_DEL(v->groups, g);
		free(g->team);
		free(g);
	}
}

static void merge_parts(struct parts *to, const struct parts *from)
{
	if (to->last_ms == 0 || from->first_ms < to->first_ms)
		to->first_ms = from->first_ms;
	if (from->last_ms > to->last_ms)
		to->last_ms = from->last_ms;
	to->receipts += from->receipts;
	to->giga += from->giga;
	to->rest += from->rest;
	to->units_high += from->units_high;
	to->units_low += from->units_low;
	to->tokens_high += from->tokens_high;
	to->tokens_low += from->tokens_low;
}

/* Out of what has them. Times stay. */
static void take_parts(struct parts *to, const struct parts *from)
{
	to->receipts -= from->receipts;
	to->giga -= from->giga;
	to->rest -= from->rest;
	to->units_high -= from->units_high;
	to->units_low -= from->units_low;
	to->tokens_high -= from->tokens_high;
	to->tokens_low -= from->tokens_low;
}

/* From a row of COLUMNS. */
static struct parts read_parts(struct query *q)
{
	return (struct parts){.receipts = query_get_u64(q, 1),
	    .giga = query_get_u64(q, 2),
	    .rest = query_get_u64(q, 3),
	    .units_high = query_get_u64(q, 4),
	    .units_low = query_get_u64(q, 5),
	    .tokens_high = query_get_u64(q, 6),
	    .tokens_low = query_get_u64(q, 7),
	    .first_ms = query_get_u64(q, 8),
	    .last_ms = query_get_u64(q, 9)};
}

static int add(struct view *v, uint64_t id, const struct parts *p)
{
	struct group *g = group_of(v, id);

	if (g == NULL)
		return error_set(v->err, AYNI_ERR_MEMORY, "sums: out of memory");
	merge_parts(&g->parts, p);
	return AYNI_OK;
}

/* ---- subtrees and receipts ---------------------------------------------------------------- */

static int add_block(struct view *v, unsigned level, uint64_t block)
{
	bool one = v->filter->donor != NULL;
	struct query q = start(v->sums, one ? BLOCK_OF : BLOCK);
	int rc = QUERY_DONE, end, added = AYNI_OK;

	query_u64(&q, level);
	query_u64(&q, block);
	query_u64(&q, v->kind);
	if (one)
		query_u64(&q, v->only);
	while (added == AYNI_OK && (rc = query_step(&q, v->err)) == QUERY_ROW) {
		struct parts p = read_parts(&q);

		added = add(v, query_get_u64(&q, 0), &p);
	}
	end = query_end(&q, rc < 0 ? NULL : v->err);
	if (added != AYNI_OK)
		return added;
	return rc < 0 ? rc : end;
}

static int add_receipt(struct view *v, struct query *q)
{
	uint64_t cost = query_get_u64(q, 2), units = query_get_u64(q, 3),
	         tokens = query_get_u64(q, 4), last_ms = query_get_u64(q, 6);
	uint64_t donor = query_get_u64(q, 0);
	uint64_t id = v->kind == SUMS_BY_DONOR   ? donor
	              : v->kind == SUMS_BY_MODEL ? query_get_u64(q, 1)
	                                         : last_ms / SUMS_DAY_MS;
	struct parts p = {.receipts = 1,
	    .giga = cost / 1000000000,
	    .rest = cost % 1000000000,
	    .units_high = units >> 32,
	    .units_low = units & UINT32_MAX,
	    .tokens_high = tokens >> 32,
	    .tokens_low = tokens & UINT32_MAX,
	    .first_ms = query_get_u64(q, 5),
	    .last_ms = last_ms};

	if (units == 0 || last_ms < v->filter->since_ms ||
	    (v->filter->donor != NULL && donor != v->only))
		return AYNI_OK;
	return add(v, id, &p);
}

/* Those with numbers past `first`, up to `last`. */
static int add_receipts(struct view *v, uint64_t first, uint64_t last)
{
	struct query q = start(v->sums, RECEIPTS);
	int rc = QUERY_DONE, end, added = AYNI_OK;

	query_u64(&q, first);
	query_u64(&q, last);
	while (added == AYNI_OK && (rc = query_step(&q, v->err)) == QUERY_ROW)
		added = add_receipt(v, &q);
	end = query_end(&q, rc < 0 ? NULL : v->err);
	if (added != AYNI_OK)
		return added;
	return rc < 0 ? rc : end;
}

enum place { OUTSIDE, PARTLY, WHOLLY };

/* By the days on which a subtree's windows ended. One without work has none. */
static int place(struct view *v, unsigned level, uint64_t block, enum place *out)
{
	uint64_t since = v->filter->since_ms, first, last;
	struct query q;
	int rc, end;

	*out = WHOLLY;
	if (since == 0)
		return AYNI_OK;
	q = start(v->sums, DAYS);
	query_u64(&q, level);
	query_u64(&q, block);
	rc = query_step(&q, v->err);
	*out = OUTSIDE;
	if (rc == QUERY_ROW && sqlite3_column_type(q.statement, 0) == SQLITE_INTEGER) {
		first = query_get_u64(&q, 0);
		last = query_get_u64(&q, 1);
		if (first * SUMS_DAY_MS >= since)
			*out = WHOLLY;
		else if (last >= since / SUMS_DAY_MS)
			*out = PARTLY;
	}
	end = query_end(&q, rc < 0 ? NULL : v->err);
	return rc < 0 ? rc : end;
}

static int add_subtree(struct view *v, unsigned level, uint64_t block)
{
	enum place where;
	int rc = place(v, level, block, &where);

	if (rc != AYNI_OK || where == OUTSIDE)
		return rc;
	if (where == WHOLLY)
		return add_block(v, level, block);
	if (level == LEVEL_FIRST)
		return add_receipts(v, block << level, (block + 1) << level);
	for (uint64_t i = 0; rc == AYNI_OK && i < LEVEL_CHILDREN; i++)
		rc = add_subtree(v, level - LEVEL_STEP, block * LEVEL_CHILDREN + i);
	return rc;
}

static int get_u64(struct view *v, struct query *q, uint64_t *out)
{
	int rc = query_step(q, v->err), end;

	*out = 0;
	if (rc == QUERY_ROW)
		*out = query_get_u64(q, 0);
	end = query_end(q, rc < 0 ? NULL : v->err);
	return rc < 0 ? rc : end;
}

/* The largest subtrees first, then the smaller ones behind them, then single receipts. */
static int add_all(struct view *v)
{
	uint64_t tiles, done = 0; /* receipts */
	struct query q = start(v->sums, SIZE);
	int rc = get_u64(v, &q, &tiles);

	for (unsigned level = LEVEL_LAST; level >= LEVEL_FIRST; level -= LEVEL_STEP) {
		uint64_t blocks = tiles >> (level - LEVEL_TREE);

		for (uint64_t i = done >> level; rc == AYNI_OK && i < blocks; i++)
			rc = add_subtree(v, level, i);
		done = blocks << level;
	}
	return rc == AYNI_OK ? add_receipts(v, done, INT64_MAX) : rc;
}

/* What waits for its donor's signature is in the sums, which are older than most signatures, and
 * does not count. */
static int take_waiting(struct view *v)
{
	static const enum statement by[] = {[SUMS_BY_DONOR] = WAITING_DONOR,
	    [SUMS_BY_MODEL] = WAITING_MODEL,
	    [SUMS_BY_DAY] = WAITING_DAY};
	struct query q = start(v->sums, by[v->kind]);
	int rc, end;

	query_u64(&q, v->filter->since_ms);
	while ((rc = query_step(&q, v->err)) == QUERY_ROW) {
		uint64_t id = query_get_u64(&q, 0);
		struct parts p = read_parts(&q);
		struct group *g;

		HASH_FIND(hh, v->groups, &id, sizeof id, g);
		if (g == NULL) /* of another donor than the one asked for */
			continue;
		take_parts(&g->parts, &p);
		g->waiting = p.receipts;
	}
	end = query_end(&q, rc < 0 ? NULL : v->err);
	return rc < 0 ? rc : end;
}

/* ---- teams -------------------------------------------------------------------------------- */

/* All that a donor's group has into its team's. */
static int join_team(struct view *teams, uint64_t id, const char *name, const struct group *donor)
{
	struct group *g = group_of(teams, id);

	if (g != NULL && g->team == NULL)
		g->team = strdup(name);
	if (g == NULL || g->team == NULL)
		return error_set(teams->err, AYNI_ERR_MEMORY, "sums: out of memory");
	merge_parts(&g->parts, &donor->parts);
	g->waiting += donor->waiting;
	return AYNI_OK;
}

/* A donor with a team; they come team by team. */
static int join_next(struct view *v, struct view *teams, struct query *q, uint64_t *n)
{
	uint64_t id = query_get_u64(q, 0);
	const char *name = (const char *)sqlite3_column_text(q->statement, 1);
	struct group *donor, *team;
	int rc;

	HASH_FIND(hh, v->groups, &id, sizeof id, donor);
	if (donor == NULL || name == NULL)
		return AYNI_OK;
	HASH_FIND(hh, teams->groups, n, sizeof *n, team);
	if (team == NULL || strcmp(team->team, name) != 0)
		++*n;
	rc = join_team(teams, *n, name, donor);
	HASH_DEL(v->groups, donor);
	free(donor);
	return rc;
}

/* Donors with a team into its group, then all others into one without a name. */
static int by_team(struct view *v)
{
	struct view teams = {.sums = v->sums, .filter = v->filter, .err = v->err};
	struct query q = start(v->sums, TEAMS);
	struct group *g, *next;
	uint64_t n = 0;
	int rc = QUERY_DONE, end, joined = AYNI_OK;

	while (joined == AYNI_OK && (rc = query_step(&q, v->err)) == QUERY_ROW)
		joined = join_next(v, &teams, &q, &n);
	end = query_end(&q, rc < 0 || joined != AYNI_OK ? NULL : v->err);
	HASH_ITER(hh, v->groups, g, next)
	{
		if (joined == AYNI_OK)
			joined = join_team(&teams, 0, "", g);
	}
	free_groups(v);
	v->groups = teams.groups;
	if (joined != AYNI_OK)
		return joined;
	return rc < 0 ? rc : end;
}

/* ---- giving out --------------------------------------------------------------------------- */

static uint64_t whole_giga(const struct parts *p)
{
	return p->giga + p->rest / 1000000000;
}

static int by_cost(const struct group *a, const struct group *b)
{
	uint64_t x = whole_giga(&a->parts), y = whole_giga(&b->parts);

	if (x == y) {
		x = a->parts.rest % 1000000000;
		y = b->parts.rest % 1000000000;
	}
	if (x != y)
		return x < y ? 1 : -1;
	return a->id < b->id ? -1 : 1;
}

static int by_id(const struct group *a, const struct group *b)
{
	return a->id < b->id ? -1 : 1;
}

/* The sum of high and low 32-bit parts; what does not fit shows as the largest value. */
static uint64_t join_parts(uint64_t high, uint64_t low)
{
	uint64_t sum;

	if (high > UINT32_MAX || __builtin_add_overflow(high << 32, low, &sum))
		return UINT64_MAX;
	return sum;
}

static const char *text_of(const struct query *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q->statement, column);

	return text != NULL ? text : "";
}

static int give(struct view *v, const struct group *g, sums_row_fn *fn, void *context)
{
	const struct parts *p = &g->parts;
	struct sums_row r = {.name = "",
	    .team = g->team != NULL ? g->team : "",
	    .giga = whole_giga(p),
	    .flop = p->rest % 1000000000,
	    .receipts = p->receipts,
	    .waiting = g->waiting,
	    .units = join_parts(p->units_high, p->units_low),
	    .tokens = join_parts(p->tokens_high, p->tokens_low),
	    .first_ms = p->first_ms,
	    .last_ms = p->last_ms};
	struct query q;
	int rc, end, stop = 0;

	if (v->filter->by == SUMS_BY_DAY)
		r.day_ms = g->id * SUMS_DAY_MS;
	if (v->filter->by == SUMS_BY_DAY || v->filter->by == SUMS_BY_TEAM)
		return fn(context, &r);
	q = start(v->sums, WHO);
	query_u64(&q, g->id);
	rc = query_step(&q, v->err);
	if (rc == QUERY_ROW) {
		query_get_bytes(&q, 0, r.key.bytes, HASH_BYTES);
		r.id = g->id;
		r.name = text_of(&q, 1);
		r.team = text_of(&q, 2);
		if (q.failed == AYNI_OK)
			stop = fn(context, &r);
	}
	end = query_end(&q, rc < 0 ? NULL : v->err);
	if (rc < 0)
		return rc;
	return stop != 0 ? stop : end;
}

/* All of one moment, whatever another process commits meanwhile. */
static int collect(struct view *v)
{
	struct query q = start(v->sums, BEGIN);
	int rc = query_run(&q, v->err), end;

	if (rc != AYNI_OK)
		return rc;
	if (v->filter->donor != NULL) {
		q = start(v->sums, KEY_ID);
		query_blob(&q, v->filter->donor->bytes, PUBLIC_KEY_BYTES);
		rc = get_u64(v, &q, &v->only);
	}
	if (rc == AYNI_OK)
		rc = add_all(v);
	if (rc == AYNI_OK)
		rc = take_waiting(v);
	if (rc == AYNI_OK && v->filter->by == SUMS_BY_TEAM)
		rc = by_team(v);
	q = start(v->sums, END);
	end = query_run(&q, rc == AYNI_OK ? v->err : NULL);
	return rc == AYNI_OK ? end : rc;
}

int sums_each(struct sums *s, const struct sums_filter *filter, sums_row_fn *fn, void *context,
    struct error *err)
{
	struct view v = {.sums = s, .filter = filter, .kind = filter->by, .err = err};
	struct group *g, *next;
	int rc;

	if (filter->by == SUMS_BY_TEAM)
		v.kind = SUMS_BY_DONOR;
	rc = collect(&v);
	if (filter->by == SUMS_BY_DAY)
		HASH_SORT(v.groups, by_id);
	else
		HASH_SORT(v.groups, by_cost);
	HASH_ITER(hh, v.groups, g, next)
	{
		if (rc == AYNI_OK)
			rc = give(&v, g, fn, context);
	}
	free_groups(&v);
	return rc;
}
