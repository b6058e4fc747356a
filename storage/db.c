/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/schema.h"

enum { BUSY_TIMEOUT_MS = 5000 };

struct db {
	sqlite3 *handle;
	enum db_mode mode;
};

/* The folder of path with mode 0700, if there is none; its parent must be there. */
static int make_folder(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int rc = AYNI_OK;

	if (slash == NULL || slash == path)
		return AYNI_OK;
	folder = strndup(path, (size_t)(slash - path));
	if (folder == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "db: out of memory");
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		rc = error_set(
		    err, AYNI_ERR_IO, "db: cannot make folder %s: %s", folder, strerror(errno));
	free(folder);
	return rc;
}

/*
 * An empty file with mode 0600, if there is none; SQLite gives its side files the same mode. One
 * that is there is not opened: closing it would drop the POSIX locks of this process's other
 * connections to it.
 */
static int make_file(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	else if (errno != EEXIST)
		return error_set(err, AYNI_ERR_IO, "db: cannot make %s: %s", path, strerror(errno));
	return AYNI_OK;
}

static int run(struct db *d, const char *sql, const char *doing, struct error *err)
{
	return sqlite3_exec(d->handle, sql, NULL, NULL, NULL) == SQLITE_OK
	           ? AYNI_OK
	           : db_error(d, doing, err);
}

static int read_number(struct db *d, const char *sql, int64_t *out, struct error *err)
{
	sqlite3_stmt *s;
	int rc = AYNI_OK;

	if (sqlite3_prepare_v2(d->handle, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		*out = sqlite3_column_int64(s, 0);
	else if (sqlite3_errcode(d->handle) == SQLITE_NOTADB)
		rc = error_set(err, AYNI_ERR_FORMAT, "db: not an ayni database");
	else
		rc = db_error(d, "db: reading the file's version", err);
	(void)sqlite3_finalize(s);
	return rc;
}

/* The file's version, 0 if it is empty; an error if it is not ours or newer than this program. */
static int identify(struct db *d, const char *path, size_t *version, struct error *err)
{
	int64_t id = 0, user_version = 0, n_objects = 0;
	int rc = read_number(d, "PRAGMA application_id", &id, err);

	if (rc == AYNI_OK)
		rc = read_number(d, "PRAGMA user_version", &user_version, err);
	if (rc == AYNI_OK)
		rc = read_number(d, "SELECT count(*) FROM sqlite_schema", &n_objects, err);
	if (rc == AYNI_ERR_FORMAT)
		return error_set(err, AYNI_ERR_FORMAT, "db: %s is not an ayni database", path);
	if (rc != AYNI_OK)
		return rc;
	*version = 0;
	if (id == 0 && user_version == 0 && n_objects == 0)
		return AYNI_OK;
	if (id != SCHEMA_APPLICATION_ID || user_version < 1)
		return error_set(err, AYNI_ERR_FORMAT, "db: %s is not an ayni database", path);
	if ((uint64_t)user_version > schema_n_migrations)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "db: %s has version %lld, this program knows %zu: use a newer ayni", path,
		    (long long)user_version, schema_n_migrations);
	*version = (size_t)user_version;
	return AYNI_OK;
}

/* One migration a transaction; another process may have been quicker, so look again inside. */
static int migrate_one(struct db *d, const char *path, size_t *version, struct error *err)
{
	const struct schema_migration *m;
	int rc = db_begin(d, err);

	if (rc != AYNI_OK)
		return rc;
	rc = identify(d, path, version, err);
	if (rc == AYNI_OK && *version < schema_n_migrations) {
		m = &schema_migrations[*version];
		rc = run(d, m->sql, m->name, err);
		*version += 1;
	}
	if (rc == AYNI_OK)
		rc = db_commit(d, err);
	db_rollback(d);
	return rc;
}

static int migrate(struct db *d, const char *path, size_t version, struct error *err)
{
	while (version < schema_n_migrations) {
		int rc = migrate_one(d, path, &version, err);

		if (rc != AYNI_OK)
			return rc;
	}
	return AYNI_OK;
}

/* Nothing is written to the file before it is known to be ours. */
static int set_up(struct db *d, const char *path, struct error *err)
{
	size_t version;
	int rc;

	(void)sqlite3_busy_timeout(d->handle, BUSY_TIMEOUT_MS);
	(void)sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(d->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	rc = identify(d, path, &version, err);
	if (rc != AYNI_OK)
		return rc;
	/* recursive_triggers: else INSERT OR REPLACE would delete past the ledger's trigger. */
	rc =
	    run(d, "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON", "db: settings", err);
	if (rc != AYNI_OK)
		return rc;
	if (d->mode == DB_READ_ONLY) {
		if (version < schema_n_migrations)
			return error_set(err, AYNI_ERR_STATE,
			    "db: %s has version %zu, %zu is needed: start its pool or donor once",
			    path, version, schema_n_migrations);
		return run(d, "PRAGMA query_only = ON", "db: settings", err);
	}
	/* A batch of receipts touches a page for each donor: with SQLite's 1000 pages of WAL and 2
	 * MB of cache most of the time would go into copying them back and forth. */
	rc = run(d,
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	    "PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16000",
	    "db: settings", err);
	return rc == AYNI_OK ? migrate(d, path, version, err) : rc;
}

int db_open(const char *path, enum db_mode mode, struct db **out, struct error *err)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	struct db *d;
	int rc = AYNI_OK;

	*out = NULL;
	if (mode == DB_READ_WRITE) {
		rc = make_folder(path, err);
		if (rc == AYNI_OK)
			rc = make_file(path, err);
	} else if (access(path, F_OK) != 0) {
		rc = error_set(err, errno == ENOENT ? AYNI_ERR_NOT_FOUND : AYNI_ERR_IO,
		    "db: cannot open %s: %s", path, strerror(errno));
	}
	if (rc != AYNI_OK)
		return rc;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "db: out of memory");
	d->mode = mode;
	flags |= mode == DB_READ_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
	if (sqlite3_open_v2(path, &d->handle, flags, NULL) != SQLITE_OK)
		rc = db_error(d, "db: opening", err);
	else
		rc = set_up(d, path, err);
	if (rc != AYNI_OK) {
		(void)sqlite3_close(d->handle);
		free(d);
		return rc;
	}
	*out = d;
	return AYNI_OK;
}

void db_free(struct db *d)
{
	int rc;

	if (d == NULL)
		return;
	db_rollback(d);
	/* Readers may hold it up; then the next open or checkpoint does it. */
	if (d->mode == DB_READ_WRITE)
		(void)sqlite3_wal_checkpoint_v2(
		    d->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	rc = sqlite3_close(d->handle);
	assert(rc == SQLITE_OK); /* else a module's statements outlive it */
	(void)rc;
	free(d);
}

sqlite3 *db_handle(const struct db *d)
{
	return d->handle;
}

int db_prepare(struct db *d, const char *sql, sqlite3_stmt **out, struct error *err)
{
	if (sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) !=
	    SQLITE_OK)
		return db_error(d, "db: preparing a statement", err);
	return AYNI_OK;
}

int db_error(const struct db *d, const char *doing, struct error *err)
{
	return error_set(err, AYNI_ERR_IO, "%s: %s", doing,
	    d->handle == NULL ? "out of memory" : sqlite3_errmsg(d->handle));
}

int db_begin(struct db *d, struct error *err)
{
	return run(d, "BEGIN IMMEDIATE", "db: beginning a transaction", err);
}

int db_commit(struct db *d, struct error *err)
{
	int rc = run(d, "COMMIT", "db: committing", err);

	if (rc != AYNI_OK)
		db_rollback(d);
	return rc;
}

void db_rollback(struct db *d)
{
	if (sqlite3_get_autocommit(d->handle) == 0)
		(void)sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
}

int db_erasing(struct db *d, bool on, struct error *err)
{
	if (on)
		return run(d, "PRAGMA secure_delete = ON", "db: settings", err);
	(void)sqlite3_wal_checkpoint_v2(d->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return run(d, "PRAGMA secure_delete = OFF", "db: settings", err);
}
