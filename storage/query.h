/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One use of a prepared statement: bind its parameters in order, step, read columns, end.
 *
 * A value that SQLite cannot hold, or a stored one that does not fit where it is read, poisons the
 * query: later calls do nothing and query_step or query_end reports it, so callers check once.
 * For this room's modules.
 */
#ifndef AYNI_STORAGE_QUERY_H
#define AYNI_STORAGE_QUERY_H

#include "storage/db.h"

struct query {
	struct db *db;
	sqlite3_stmt *statement;
	const char *doing; /* for error texts: "ledger: appending" */
	int n_bound;
	int failed; /* 0 or the error that poisoned it */
};

enum { QUERY_DONE = 0, QUERY_ROW = 1 };

/* Prepare n texts into out; on error none is left. */
int statements_prepare(
    struct db *d, const char *const *texts, size_t n, sqlite3_stmt **out, struct error *err);
void statements_finalize(sqlite3_stmt **s, size_t n);

struct query query_begin(struct db *d, sqlite3_stmt *s, const char *doing);
void query_u64(struct query *q, uint64_t value);
void query_int(struct query *q, int value);
void query_blob(struct query *q, const void *data, size_t len); /* borrowed until query_end */
void query_text(struct query *q, const char *text);             /* borrowed until query_end */

/* QUERY_ROW, QUERY_DONE or an error. */
int query_step(struct query *q, struct error *err);
uint64_t query_get_u64(struct query *q, int column);
uint32_t query_get_u32(struct query *q, int column);
void query_get_bytes(struct query *q, int column, void *out, size_t len); /* exactly len */
struct span query_get_span(const struct query *q, int column); /* borrowed until the next step */
/* Resets the statement for its next use; the poison, if any. */
int query_end(struct query *q, struct error *err);

/* Step a statement that returns no rows, and end it. */
int query_run(struct query *q, struct error *err);

#endif
