/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/standing.h"

#include <stdlib.h>

#include "storage/query.h"

enum statement { PUT, EACH, N_STATEMENTS };

#define COLUMNS "donor, state, right_units, verified_units, lies, seen_ms, reason"

static const char *const texts[N_STATEMENTS] = {
    [PUT] = "INSERT INTO standing (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET state = excluded.state,"
            " right_units = excluded.right_units, verified_units = excluded.verified_units,"
            " lies = excluded.lies, seen_ms = excluded.seen_ms, reason ="
            " CASE excluded.reason WHEN '' THEN reason ELSE excluded.reason END",
    [EACH] = "SELECT " COLUMNS " FROM standing ORDER BY seen_ms DESC, donor",
};

struct standing_store {
	struct db *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

int standing_new(struct db *d, struct standing_store **out, struct error *err)
{
	struct standing_store *s = calloc(1, sizeof *s);
	int rc;

	*out = NULL;
	if (s == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "standing: out of memory");
	s->db = d;
	rc = statements_prepare(d, texts, N_STATEMENTS, s->statements, err);
	if (rc != AYNI_OK) {
		free(s);
		return rc;
	}
	*out = s;
	return AYNI_OK;
}

void standing_free(struct standing_store *s)
{
	if (s == NULL)
		return;
	statements_finalize(s->statements, N_STATEMENTS);
	free(s);
}

int standing_put(struct standing_store *s, const struct standing *standing, struct error *err)
{
	struct query q = query_begin(s->db, s->statements[PUT], "standing: writing");

	query_blob(&q, standing->donor.bytes, PUBLIC_KEY_BYTES);
	query_u64(&q, standing->state);
	query_u64(&q, standing->right_units);
	query_u64(&q, standing->verified_units);
	query_u64(&q, standing->lies);
	query_u64(&q, standing->seen_ms);
	query_text(&q, standing->reason);
	return query_run(&q, err);
}

static void read_standing(struct query *q, struct standing *s)
{
	struct span reason;
	size_t len;

	memset(s, 0, sizeof *s);
	query_get_bytes(q, 0, s->donor.bytes, PUBLIC_KEY_BYTES);
	s->state = query_get_u32(q, 1);
	s->right_units = query_get_u64(q, 2);
	s->verified_units = query_get_u64(q, 3);
	s->lies = query_get_u64(q, 4);
	s->seen_ms = query_get_u64(q, 5);
	reason = query_get_span(q, 6);
	len = reason.len < sizeof s->reason ? reason.len : sizeof s->reason - 1;
	if (len > 0)
		memcpy(s->reason, reason.data, len);
}

int standing_each(struct standing_store *s, standing_fn *fn, void *context, struct error *err)
{
	struct query q = query_begin(s->db, s->statements[EACH], "standing: reading");
	int rc = QUERY_DONE, end, stop = 0;

	while (stop == 0 && (rc = query_step(&q, err)) == QUERY_ROW) {
		struct standing standing;

		read_standing(&q, &standing);
		if (q.failed != AYNI_OK)
			break;
		stop = fn(context, &standing);
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc < 0)
		return rc;
	return stop != 0 ? stop : end;
}
