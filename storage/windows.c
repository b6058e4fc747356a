/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/windows.h"

#include <stdlib.h>

#include "storage/query.h"

enum statement { PUT, DROP, EACH, N_STATEMENTS };

#define COLUMNS                                                                                    \
	"number, donor, session, model, layer_first, layer_last, units, tokens, cost, "            \
	"units_hash, first_ms, "                                                                   \
	"last_ms"

static const char *const texts[N_STATEMENTS] = {
    [PUT] = "INSERT OR REPLACE INTO windows (" COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    [DROP] = "DELETE FROM windows WHERE number = ?",
    [EACH] = "SELECT " COLUMNS " FROM windows ORDER BY number",
};

struct windows {
	struct db *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

int windows_new(struct db *d, struct windows **out, struct error *err)
{
	struct windows *w = calloc(1, sizeof *w);
	int rc;

	*out = NULL;
	if (w == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "windows: out of memory");
	w->db = d;
	rc = statements_prepare(d, texts, N_STATEMENTS, w->statements, err);
	if (rc != AYNI_OK) {
		free(w);
		return rc;
	}
	*out = w;
	return AYNI_OK;
}

void windows_free(struct windows *w)
{
	if (w == NULL)
		return;
	statements_finalize(w->statements, N_STATEMENTS);
	free(w);
}

int windows_put(struct windows *w, const struct window *window, struct error *err)
{
	struct query q = query_begin(w->db, w->statements[PUT], "windows: writing");

	query_u64(&q, window->number);
	query_blob(&q, window->donor.bytes, PUBLIC_KEY_BYTES);
	query_blob(&q, window->session.bytes, PSEUDONYM_BYTES);
	query_blob(&q, window->model.bytes, HASH_BYTES);
	query_u64(&q, window->layer_first);
	query_u64(&q, window->layer_last);
	query_u64(&q, window->units);
	query_u64(&q, window->tokens);
	query_u64(&q, flop_count(window->cost));
	query_blob(&q, window->units_hash.bytes, HASH_BYTES);
	query_u64(&q, window->first_ms);
	query_u64(&q, window->last_ms);
	return query_run(&q, err);
}

int windows_drop(struct windows *w, uint64_t number, struct error *err)
{
	struct query q = query_begin(w->db, w->statements[DROP], "windows: dropping");

	query_u64(&q, number);
	return query_run(&q, err);
}

static void read_window(struct query *q, struct window *w)
{
	memset(w, 0, sizeof *w);
	w->number = query_get_u64(q, 0);
	query_get_bytes(q, 1, w->donor.bytes, PUBLIC_KEY_BYTES);
	query_get_bytes(q, 2, w->session.bytes, PSEUDONYM_BYTES);
	query_get_bytes(q, 3, w->model.bytes, HASH_BYTES);
	w->layer_first = query_get_u32(q, 4);
	w->layer_last = query_get_u32(q, 5);
	w->units = query_get_u64(q, 6);
	w->tokens = query_get_u64(q, 7);
	(void)flop_from(query_get_u64(q, 8), &w->cost); /* SQLite's integers all fit */
	query_get_bytes(q, 9, w->units_hash.bytes, HASH_BYTES);
	w->first_ms = query_get_u64(q, 10);
	w->last_ms = query_get_u64(q, 11);
}

int windows_each(struct windows *w, window_fn *fn, void *context, struct error *err)
{
	struct query q = query_begin(w->db, w->statements[EACH], "windows: reading");
	int rc = QUERY_DONE, end, stop = 0;

	while (stop == 0 && (rc = query_step(&q, err)) == QUERY_ROW) {
		struct window window;

		read_window(&q, &window);
		if (q.failed != AYNI_OK)
			break;
		stop = fn(context, &window);
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc < 0)
		return rc;
	return stop != 0 ? stop : end;
}
