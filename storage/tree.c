/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/tree.h"

#include <stdlib.h>

#include "storage/query.h"
#include "storage/sums.h"

enum statement { PUT, READ, LAST, SETTLED, ADD, EACH, UNPUBLISHED, PUBLISHED, N_STATEMENTS };

#define CHECKPOINT "SELECT size, root, signed_ms FROM checkpoints ORDER BY size"

static const char *const texts[N_STATEMENTS] = {
    [PUT] = "INSERT INTO tree VALUES (?, ?, ?)",
    [READ] = "SELECT hash FROM tree WHERE level = ? AND number >= ? ORDER BY number LIMIT ?",
    [LAST] = CHECKPOINT " DESC LIMIT 1",
    [SETTLED] = "SELECT size FROM checkpoints WHERE signed_ms <= ? ORDER BY size DESC LIMIT 1",
    [ADD] = "INSERT INTO checkpoints VALUES (?, ?, ?)",
    [EACH] = CHECKPOINT,
    [UNPUBLISHED] = "SELECT bundle FROM unpublished ORDER BY bundle LIMIT ?",
    [PUBLISHED] = "DELETE FROM unpublished WHERE bundle = ?",
};

struct tree {
	struct db *db;
	struct ledger *ledger;
	struct sums *sums; /* owned */
	struct merkle merkle;
	struct error *err; /* of the call that is being carried out */
	sqlite3_stmt *statements[N_STATEMENTS];
};

/* ---- growing ------------------------------------------------------------------------------ */

static int put_hash(struct tree *t, unsigned level, uint64_t index, const struct hash *root)
{
	struct query q = query_begin(t->db, t->statements[PUT], "tree: growing");

	query_u64(&q, level / TILE_HEIGHT);
	query_u64(&q, index);
	query_blob(&q, root->bytes, HASH_BYTES);
	return query_run(&q, t->err);
}

/* A merkle_full_fn: hashes are kept of whole tiles only. */
static int on_full(void *context, unsigned level, uint64_t index, const struct hash *root)
{
	struct tree *t = context;
	int rc = AYNI_OK;

	if (level % TILE_HEIGHT == 0)
		rc = put_hash(t, level, index, root);
	if (rc == AYNI_OK && sums_has_level(level))
		rc = sums_add(t->sums, level, index, t->err);
	return rc;
}

int tree_append(struct tree *t, uint64_t number, struct span receipt, struct error *err)
{
	struct hash leaf;
	int rc;

	if (number != t->merkle.size + 1)
		return error_set(err, AYNI_ERR_STATE,
		    "tree: receipt %llu is the next, but %llu came: the ledger lacks receipts",
		    (unsigned long long)(t->merkle.size + 1), (unsigned long long)number);
	merkle_leaf(receipt.data, receipt.len, &leaf);
	t->err = err;
	rc = merkle_append(&t->merkle, &leaf, on_full, t);
	t->err = NULL;
	return rc;
}

struct walk {
	struct tree *tree;
	struct error *err;
};

static int append_entry(void *context, const struct ledger_entry *e)
{
	struct walk *w = context;

	return tree_append(w->tree, e->number, e->receipt, w->err);
}

/* Rows of one level from the first-th on, `n` at most; how many there are. */
static int read_rows(struct tree *t, unsigned level, uint64_t first, unsigned n, struct hash *out,
    unsigned *n_read, struct error *err)
{
	struct query q = query_begin(t->db, t->statements[READ], "tree: reading");
	int rc = QUERY_DONE, end;

	*n_read = 0;
	query_u64(&q, level);
	query_u64(&q, first);
	query_u64(&q, n);
	while (*n_read < n && (rc = query_step(&q, err)) == QUERY_ROW)
		query_get_bytes(&q, 0, out[(*n_read)++].bytes, HASH_BYTES);
	end = query_end(&q, rc < 0 ? NULL : err);
	return rc < 0 ? rc : end;
}

/* From the largest subtrees down: whole tiles by their rows, a level after the other. */
static int load_rows(struct tree *t, struct error *err)
{
	struct hash rows[TILE_WIDTH];

	t->merkle = (struct merkle){0};
	for (unsigned level = TILE_LEVELS - 1; level > 0; level--) {
		unsigned n, shift = TILE_HEIGHT * level;
		int rc = read_rows(t, level, t->merkle.size >> shift, TILE_WIDTH, rows, &n, err);

		for (unsigned i = 0; rc == AYNI_OK && i < n; i++)
			rc = merkle_append_subtree(&t->merkle, shift, &rows[i]);
		if (rc != AYNI_OK)
			return rc;
	}
	return AYNI_OK;
}

int tree_reload(struct tree *t, struct error *err)
{
	struct walk w = {t, err};
	int rc = load_rows(t, err);

	if (rc == AYNI_OK)
		rc = ledger_each(t->ledger, t->merkle.size, UINT32_MAX, append_entry, &w, err);
	return rc;
}

/* A database that had receipts before it had a tree gets its rows here, all or none. */
static int load_first(struct tree *t, struct error *err)
{
	int rc;

	if (sqlite3_db_readonly(db_handle(t->db), NULL) != 0)
		return tree_reload(t, err);
	rc = db_begin(t->db, err);
	if (rc == AYNI_OK)
		rc = tree_reload(t, err);
	if (rc == AYNI_OK)
		return db_commit(t->db, err);
	db_rollback(t->db);
	return rc;
}

static int check_last(struct tree *t, struct error *err)
{
	struct tree_checkpoint last = {0};
	struct hash root;
	int rc = tree_checkpoint_last(t, &last, err);

	if (rc == AYNI_ERR_NOT_FOUND)
		return AYNI_OK;
	if (rc == AYNI_OK && last.size > t->merkle.size)
		return error_set(err, AYNI_ERR_STATE,
		    "tree: %llu receipts were signed for, %llu are there",
		    (unsigned long long)last.size, (unsigned long long)t->merkle.size);
	if (rc == AYNI_OK)
		rc = merkle_root_at(last.size, tree_hash, t, &root);
	if (rc == AYNI_OK && !hash_equal(&root, &last.root))
		rc = error_set(err, AYNI_ERR_STATE,
		    "tree: the receipts up to %llu are not those that were signed for",
		    (unsigned long long)last.size);
	return rc;
}

int tree_new(struct db *d, struct ledger *l, struct tree **out, struct error *err)
{
	struct tree *t = calloc(1, sizeof *t);
	int rc;

	*out = NULL;
	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "tree: out of memory");
	t->db = d;
	t->ledger = l;
	rc = statements_prepare(d, texts, N_STATEMENTS, t->statements, err);
	if (rc == AYNI_OK)
		rc = sums_new(d, &t->sums, err);
	if (rc == AYNI_OK)
		rc = load_first(t, err);
	if (rc == AYNI_OK)
		rc = check_last(t, err);
	if (rc != AYNI_OK) {
		tree_free(t);
		return rc;
	}
	*out = t;
	return AYNI_OK;
}

void tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	statements_finalize(t->statements, N_STATEMENTS);
	sums_free(t->sums);
	free(t);
}

uint64_t tree_size(const struct tree *t)
{
	return t->merkle.size;
}

void tree_root(const struct tree *t, struct hash *out)
{
	merkle_root(&t->merkle, out);
}

/* ---- reading ------------------------------------------------------------------------------ */

struct leaves {
	uint64_t first;
	unsigned n;
	struct hash *out;
};

static int read_leaf(void *context, const struct ledger_entry *e)
{
	struct leaves *l = context;

	if (e->number != l->first + l->n + 1)
		return AYNI_ERR_FORMAT;
	merkle_leaf(e->receipt.data, e->receipt.len, &l->out[l->n++]);
	return AYNI_OK;
}

/* n hashes of a tile level, from the first-th on. */
static int read_hashes(struct tree *t, unsigned level, uint64_t first, unsigned n, struct hash *out)
{
	struct leaves l = {.first = first, .out = out};
	int rc;

	if (level > 0)
		rc = read_rows(t, level, first, n, out, &l.n, NULL);
	else
		rc = ledger_each(t->ledger, first, n, read_leaf, &l, NULL);
	if (rc == AYNI_OK && l.n != n)
		rc = AYNI_ERR_ARGUMENT;
	return rc;
}

int tree_tile(void *tree, unsigned level, uint64_t index, unsigned width, struct hash *out)
{
	if (width > TILE_WIDTH || index > UINT64_MAX / TILE_WIDTH)
		return AYNI_ERR_ARGUMENT;
	return read_hashes(tree, level, index * TILE_WIDTH, width, out);
}

int tree_hash(void *tree, unsigned level, uint64_t index, struct hash *out)
{
	struct hash hashes[TILE_WIDTH];
	unsigned n = 1U << level % TILE_HEIGHT;
	int rc;

	if (level >= MERKLE_LEVELS || index > (MERKLE_SIZE_MAX - 1) >> level)
		return AYNI_ERR_ARGUMENT;
	rc = read_hashes(tree, level / TILE_HEIGHT, index * n, n, hashes);
	if (rc == AYNI_OK)
		tile_root(hashes, n, out);
	return rc;
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static void read_checkpoint(struct query *q, struct tree_checkpoint *c)
{
	c->size = query_get_u64(q, 0);
	query_get_bytes(q, 1, c->root.bytes, HASH_BYTES);
	c->signed_ms = query_get_u64(q, 2);
}

int tree_checkpoint_last(struct tree *t, struct tree_checkpoint *out, struct error *err)
{
	struct query q = query_begin(t->db, t->statements[LAST], "tree: the last checkpoint");
	int rc = query_step(&q, err), end;

	if (rc == QUERY_ROW)
		read_checkpoint(&q, out);
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc == QUERY_DONE)
		return AYNI_ERR_NOT_FOUND;
	return rc < 0 ? rc : end;
}

int tree_checkpoint_settled(struct tree *t, uint64_t age_ms, uint64_t *size, struct error *err)
{
	struct tree_checkpoint last = {0};
	struct query q;
	int rc = tree_checkpoint_last(t, &last, err), end;

	*size = 0;
	if (rc != AYNI_OK || last.signed_ms < age_ms)
		return rc == AYNI_ERR_NOT_FOUND ? AYNI_OK : rc;
	q = query_begin(t->db, t->statements[SETTLED], "tree: reading checkpoints");
	query_u64(&q, last.signed_ms - age_ms);
	rc = query_step(&q, err);
	if (rc == QUERY_ROW)
		*size = query_get_u64(&q, 0);
	end = query_end(&q, rc < 0 ? NULL : err);
	return rc < 0 ? rc : end;
}

int tree_checkpoint_add(struct tree *t, const struct tree_checkpoint *c, struct error *err)
{
	struct tree_checkpoint last = {0};
	struct query q;
	int rc = tree_checkpoint_last(t, &last, err);

	if (rc != AYNI_OK && rc != AYNI_ERR_NOT_FOUND)
		return rc;
	if ((rc == AYNI_OK && c->size <= last.size) || c->size > t->merkle.size)
		return error_set(err, AYNI_ERR_STATE,
		    "tree: a checkpoint of %llu receipts after %llu", (unsigned long long)c->size,
		    (unsigned long long)last.size);
	q = query_begin(t->db, t->statements[ADD], "tree: adding a checkpoint");
	query_u64(&q, c->size);
	query_blob(&q, c->root.bytes, HASH_BYTES);
	query_u64(&q, c->signed_ms);
	return query_run(&q, err);
}

int tree_checkpoint_each(struct tree *t, tree_checkpoint_fn *fn, void *context, struct error *err)
{
	struct query q = query_begin(t->db, t->statements[EACH], "tree: reading checkpoints");
	int rc = QUERY_DONE, end, stop = 0;

	while (stop == 0 && (rc = query_step(&q, err)) == QUERY_ROW) {
		struct tree_checkpoint c;

		read_checkpoint(&q, &c);
		if (q.failed != AYNI_OK)
			break;
		stop = fn(context, &c);
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc < 0)
		return rc;
	return stop != 0 ? stop : end;
}

/* ---- countersignatures -------------------------------------------------------------------- */

int tree_unpublished(struct tree *t, uint64_t *bundles, size_t max, size_t *n, struct error *err)
{
	struct query q = query_begin(t->db, t->statements[UNPUBLISHED], "tree: unpublished");
	int rc = QUERY_DONE, end;

	*n = 0;
	query_u64(&q, max);
	while (*n < max && (rc = query_step(&q, err)) == QUERY_ROW)
		bundles[(*n)++] = query_get_u64(&q, 0);
	end = query_end(&q, rc < 0 ? NULL : err);
	return rc < 0 ? rc : end;
}

int tree_published(struct tree *t, uint64_t bundle, struct error *err)
{
	struct query q = query_begin(t->db, t->statements[PUBLISHED], "tree: published");

	query_u64(&q, bundle);
	return query_run(&q, err);
}
