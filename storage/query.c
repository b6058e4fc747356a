/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/query.h"

int statements_prepare(
    struct db *d, const char *const *texts, size_t n, sqlite3_stmt **out, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		out[i] = NULL;
	for (size_t i = 0; i < n; i++) {
		int rc = db_prepare(d, texts[i], &out[i], err);

		if (rc != AYNI_OK) {
			statements_finalize(out, n);
			return rc;
		}
	}
	return AYNI_OK;
}

void statements_finalize(sqlite3_stmt **s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)sqlite3_finalize(s[i]);
		s[i] = NULL;
	}
}

struct query query_begin(struct db *d, sqlite3_stmt *s, const char *doing)
{
	struct query q = {.db = d, .statement = s, .doing = doing};

	/* A walk's callback that starts the same walk would pull the statement from under it. */
	if (sqlite3_stmt_busy(s) != 0)
		q.failed = AYNI_ERR_STATE;
	return q;
}

static void poison(struct query *q, int code)
{
	if (q->failed == AYNI_OK)
		q->failed = code;
}

static void bound(struct query *q, int sqlite_code)
{
	if (sqlite_code == SQLITE_NOMEM)
		poison(q, AYNI_ERR_MEMORY);
	else if (sqlite_code != SQLITE_OK)
		poison(q, AYNI_ERR_LIMIT);
}

void query_u64(struct query *q, uint64_t value)
{
	if (q->failed != AYNI_OK)
		return;
	if (value > INT64_MAX)
		poison(q, AYNI_ERR_LIMIT);
	else
		bound(q, sqlite3_bind_int64(q->statement, ++q->n_bound, (sqlite3_int64)value));
}

void query_int(struct query *q, int value)
{
	if (q->failed == AYNI_OK)
		bound(q, sqlite3_bind_int(q->statement, ++q->n_bound, value));
}

void query_blob(struct query *q, const void *data, size_t len)
{
	if (q->failed != AYNI_OK)
		return;
	/* NULL would bind SQL's NULL. */
	bound(q, sqlite3_bind_blob64(
	             q->statement, ++q->n_bound, data == NULL ? "" : data, len, SQLITE_STATIC));
}

void query_text(struct query *q, const char *text)
{
	if (q->failed == AYNI_OK)
		bound(q, sqlite3_bind_text(q->statement, ++q->n_bound, text, -1, SQLITE_STATIC));
}

static int report(const struct query *q, struct error *err)
{
	const char *what = "a value does not fit";

	if (q->failed == AYNI_ERR_STATE)
		what = "already under way";
	else if (q->failed == AYNI_ERR_FORMAT)
		what = "a stored value is damaged";
	else if (q->failed == AYNI_ERR_MEMORY)
		what = "out of memory";
	return error_set(err, (enum ayni_error)q->failed, "%s: %s", q->doing, what);
}

int query_step(struct query *q, struct error *err)
{
	if (q->failed != AYNI_OK)
		return report(q, err);
	switch (sqlite3_step(q->statement)) {
	case SQLITE_ROW:
		return QUERY_ROW;
	case SQLITE_DONE:
		return QUERY_DONE;
	default:
		return db_error(q->db, q->doing, err);
	}
}

uint64_t query_get_u64(struct query *q, int column)
{
	sqlite3_int64 value = sqlite3_column_int64(q->statement, column);

	if (value < 0) {
		poison(q, AYNI_ERR_FORMAT);
		return 0;
	}
	return (uint64_t)value;
}

uint32_t query_get_u32(struct query *q, int column)
{
	uint64_t value = query_get_u64(q, column);

	if (value > UINT32_MAX) {
		poison(q, AYNI_ERR_FORMAT);
		return 0;
	}
	return (uint32_t)value;
}

struct span query_get_span(const struct query *q, int column)
{
	/* In this order: SQLite may convert, and then the length is the converted one's. */
	const uint8_t *data = sqlite3_column_blob(q->statement, column);
	int len = sqlite3_column_bytes(q->statement, column);

	return (struct span){.data = data, .len = (size_t)len};
}

void query_get_bytes(struct query *q, int column, void *out, size_t len)
{
	struct span s = query_get_span(q, column);

	if (s.len == len && s.data != NULL) {
		memcpy(out, s.data, len);
	} else {
		memset(out, 0, len);
		poison(q, AYNI_ERR_FORMAT);
	}
}

int query_end(struct query *q, struct error *err)
{
	/* A busy statement is another query's. */
	if (q->failed != AYNI_ERR_STATE) {
		(void)sqlite3_reset(q->statement);
		(void)sqlite3_clear_bindings(q->statement);
	}
	return q->failed == AYNI_OK ? AYNI_OK : report(q, err);
}

int query_run(struct query *q, struct error *err)
{
	int rc = query_step(q, err);
	int end = query_end(q, rc < 0 ? NULL : err);

	return rc < 0 ? rc : end;
}
