/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SQLite file a role: WAL, foreign keys, STRICT tables, synchronous=FULL, a busy timeout.
 *
 * Tables are in schema.sql, every column commented; migrations/NNNN_name.sql bring an older file up
 * (PRAGMA user_version counts them), and from empty they give exactly schema.sql. A file of a newer
 * version than this program is refused. One connection, one thread.
 */
#ifndef AYNI_STORAGE_DB_H
#define AYNI_STORAGE_DB_H

#include <sqlite3.h>

#include "protocol/base.h"

struct db;

enum db_mode { DB_READ_WRITE, DB_READ_ONLY };

/* Creates the file with mode 0600 (and its folder, 0700) unless read-only. */
int db_open(const char *path, enum db_mode mode, struct db **out, struct error *err);
void db_free(struct db *d); /* checkpoints the WAL */

/* For this room's modules. */
sqlite3 *db_handle(const struct db *d);
int db_prepare(struct db *d, const char *sql, sqlite3_stmt **out, struct error *err);
int db_error(
    const struct db *d, const char *doing, struct error *err); /* AYNI_ERR_IO with SQLite's text */
/* Transactions; begin is IMMEDIATE. */
int db_begin(struct db *d, struct error *err);
int db_commit(struct db *d, struct error *err);
void db_rollback(struct db *d);
/* From now on what is deleted is overwritten in the file; at the end what the WAL still has of it
 * is gone too, unless another connection is reading. */
int db_erasing(struct db *d, bool on, struct error *err);

#endif
