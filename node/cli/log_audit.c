/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/log_audit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* One thread's share: bundles [first, last). */
struct part {
	struct log_reader *reader;
	const struct log_head *head;
	bool signatures;
	uint64_t first, last;
	uint64_t pruned;     /* bundles without entries, from the first on */
	struct hash *roots;  /* of all whole bundles; this part fills its own */
	struct merkle *tail; /* the last bundle's leaves, if it is partial and ours */
	struct log_audit found;
	struct signature countersignatures[TILE_WIDTH];
	struct error err;
	int rc;
};

__attribute__((format(printf, 2, 3))) static void fault(struct log_audit *a, const char *fmt, ...)
{
	if (a->n_faults < LOG_AUDIT_FAULTS_KEPT) {
		va_list ap;

		va_start(ap, fmt);
		(void)vsnprintf(a->faults[a->n_faults], sizeof a->faults[0], fmt, ap);
		va_end(ap);
	}
	a->n_faults++;
}

/* ---- bundles ------------------------------------------------------------------------------ */

static bool is_countersigned(struct part *p, uint64_t number, struct span entry,
    const struct receipt *r, const struct signature *s)
{
	static const struct signature none;

	if (memcmp(s, &none, sizeof none) == 0)
		return false;
	if (receipt_countersigned(entry, &r->donor, s)) {
		p->found.countersigned++;
		return true;
	}
	fault(&p->found, "receipt %" PRIu64 ": the countersignature is not its donor's", number);
	return false;
}

static int check_entry(struct part *p, uint64_t index, struct span entry)
{
	uint64_t number = index + 1;
	struct receipt r;
	bool counts = true;

	if (receipt_read(entry, &r, NULL) != AYNI_OK) {
		fault(&p->found, "receipt %" PRIu64 ": is not a receipt", number);
		return AYNI_OK;
	}
	if (r.number != number) {
		fault(&p->found, "receipt %" PRIu64 ": says that it is number %" PRIu64, number,
		    r.number);
		return AYNI_OK;
	}
	if (!public_key_equal(&r.pool, &p->head->pool)) {
		fault(&p->found, "receipt %" PRIu64 ": is of another pool", number);
		return AYNI_OK;
	}
	if (p->signatures && !r.is_standing)
		counts = is_countersigned(
		    p, number, entry, &r, &p->countersignatures[index % TILE_WIDTH]);
	return audit_count(&p->found.totals, &r, counts, &p->err);
}

static void keep_leaves(struct part *p, uint64_t index, unsigned width, const struct hash *leaves)
{
	if (width == TILE_WIDTH) {
		tile_root(leaves, width, &p->roots[index]);
		return;
	}
	for (unsigned i = 0; i < width; i++)
		(void)merkle_append(p->tail, &leaves[i], NULL, NULL); /* 255 at most */
}

/* What is missing or no bundle is a fault; what cannot be read now ends the audit. */
static bool is_fault(int rc)
{
	return rc == AYNI_ERR_NOT_FOUND || rc == AYNI_ERR_FORMAT || rc == AYNI_ERR_LIMIT;
}

static int check_bundle(struct part *p, uint64_t index)
{
	unsigned width = tile_width(0, index, p->head->checkpoint.size);
	struct hash tile[TILE_WIDTH], leaves[TILE_WIDTH] = {0};
	bool has_tile = false;
	struct bundle b;
	int rc = log_reader_tile(p->reader, 0, index, width, tile);

	if (rc == AYNI_OK)
		has_tile = true;
	else if (is_fault(rc))
		fault(&p->found, "%.150s", log_reader_why(p->reader));
	else
		return error_set(&p->err, (enum ayni_error)rc, "%s", log_reader_why(p->reader));
	if (has_tile && index < p->pruned) {
		keep_leaves(p, index, width, tile);
		return AYNI_OK;
	}
	if (p->signatures)
		rc = log_reader_signatures(p->reader, index, p->countersignatures, &p->err);
	if (!is_fault(rc) && rc != AYNI_OK)
		return rc;
	rc = log_reader_bundle(p->reader, index, width, &b, &p->err);
	if (is_fault(rc)) {
		fault(&p->found, "receipts %" PRIu64 " to %" PRIu64 ": %.100s",
		    index * TILE_WIDTH + 1, index * TILE_WIDTH + width, p->err.text);
		keep_leaves(p, index, width, has_tile ? tile : leaves);
		return AYNI_OK;
	}
	for (unsigned i = 0; rc == AYNI_OK && i < width; i++) {
		uint64_t at = index * TILE_WIDTH + i;

		merkle_leaf(b.entries[i].data, b.entries[i].len, &leaves[i]);
		if (has_tile && !hash_equal(&leaves[i], &tile[i]))
			fault(&p->found, "receipt %" PRIu64 ": is not the one of the tree", at + 1);
		else
			rc = check_entry(p, at, b.entries[i]);
	}
	keep_leaves(p, index, width, leaves);
	return rc;
}

static void *check_part(void *context)
{
	struct part *p = context;

	for (uint64_t i = p->first; p->rc == AYNI_OK && i < p->last; i++)
		p->rc = check_bundle(p, i);
	return NULL;
}

/* ---- the tree above ----------------------------------------------------------------------- */

static int check_tile(struct log_audit *a, struct log_reader *r, unsigned level, uint64_t index,
    const struct hash *wanted, struct error *err)
{
	unsigned width = tile_width(level, index, a->head.checkpoint.size);
	struct hash tile[TILE_WIDTH];
	int rc = log_reader_tile(r, level, index, width, tile);

	if (is_fault(rc))
		fault(a, "%.150s", log_reader_why(r));
	else if (rc != AYNI_OK)
		return error_set(err, (enum ayni_error)rc, "%s", log_reader_why(r));
	else if (memcmp(tile, wanted, width * sizeof *tile) != 0)
		fault(a, "tile %" PRIu64 " of level %u is not that of the receipts", index, level);
	return AYNI_OK;
}

/* Of each level above the leaves: its tiles, then the roots of the whole ones are the next. */
static int check_levels(
    struct log_audit *a, struct log_reader *r, struct hash *roots, uint64_t n, struct error *err)
{
	int rc = AYNI_OK;

	for (unsigned level = 1; rc == AYNI_OK && n > 0; level++) {
		for (uint64_t i = 0; rc == AYNI_OK && i * TILE_WIDTH < n; i++)
			rc = check_tile(a, r, level, i, &roots[i * TILE_WIDTH], err);
		n /= TILE_WIDTH;
		for (uint64_t i = 0; i < n; i++)
			tile_root(&roots[i * TILE_WIDTH], TILE_WIDTH, &roots[i]);
	}
	return rc;
}

static void check_root(struct log_audit *a, const struct hash *roots, const struct merkle *tail)
{
	uint64_t whole = a->head.checkpoint.size / TILE_WIDTH;
	struct merkle m = {0};
	struct hash root;

	for (uint64_t i = 0; i < whole; i++)
		(void)merkle_append_subtree(&m, TILE_HEIGHT, &roots[i]);
	for (unsigned level = TILE_HEIGHT; level-- > 0;) {
		if ((tail->size >> level & 1) != 0)
			(void)merkle_append_subtree(&m, level, &tail->peak[level]);
	}
	merkle_root(&m, &root);
	if (!hash_equal(&root, &a->head.checkpoint.root))
		fault(a, "the tree over the receipts has another root than the pool signed");
}

/* ---- all ---------------------------------------------------------------------------------- */

static unsigned n_parts(const struct log_audit_options *o, uint64_t bundles)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = o->threads > 0 ? o->threads : processors > 0 ? (uint64_t)processors : 1;

	n = n < LOG_AUDIT_THREADS_MAX ? n : LOG_AUDIT_THREADS_MAX;
	n = n < bundles ? n : bundles;
	return n > 0 ? (unsigned)n : 1;
}

static int add_part(struct log_audit *a, const struct part *p, struct error *err)
{
	a->countersigned += p->found.countersigned;
	for (uint64_t i = 0; i < p->found.n_faults; i++)
		fault(a, "%s", i < LOG_AUDIT_FAULTS_KEPT ? p->found.faults[i] : "");
	if (p->rc != AYNI_OK)
		return error_set(err, (enum ayni_error)p->rc, "%s", p->err.text);
	return audit_merge(&a->totals, &p->found.totals, err);
}

/* Start what can be started; what cannot is done here. */
static void run_parts(struct part *parts, unsigned n)
{
	pthread_t threads[LOG_AUDIT_THREADS_MAX];
	bool started[LOG_AUDIT_THREADS_MAX] = {false};

	for (unsigned i = 1; i < n; i++)
		started[i] = pthread_create(&threads[i], NULL, check_part, &parts[i]) == 0;
	for (unsigned i = 0; i < n; i++) {
		if (!started[i])
			(void)check_part(&parts[i]);
	}
	for (unsigned i = 1; i < n; i++) {
		if (started[i])
			(void)pthread_join(threads[i], NULL);
	}
}

static int audit_bundles(struct log_audit *a, const char *where, const struct log_audit_options *o,
    uint64_t pruned, struct hash *roots, struct merkle *tail, struct error *err)
{
	uint64_t bundles = (a->head.checkpoint.size + TILE_WIDTH - 1) / TILE_WIDTH;
	unsigned n = n_parts(o, bundles);
	struct part *parts = calloc(n, sizeof *parts);
	int rc = parts != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "out of memory");

	for (unsigned i = 0; rc == AYNI_OK && i < n; i++) {
		struct part *p = &parts[i];

		p->head = &a->head;
		p->signatures = o->signatures;
		p->pruned = pruned;
		p->first = bundles * i / n;
		p->last = bundles * (i + 1) / n;
		p->roots = roots;
		p->tail = tail;
		p->found.totals.since_ms = o->since_ms;
		p->found.totals.by = o->by;
		rc = log_reader_open(where, &p->reader, err);
	}
	if (rc == AYNI_OK)
		run_parts(parts, n);
	for (unsigned i = 0; parts != NULL && i < n; i++) {
		if (rc == AYNI_OK)
			rc = add_part(a, &parts[i], err);
		log_reader_free(parts[i].reader);
		audit_free(&parts[i].found.totals);
	}
	free(parts);
	return rc;
}

int log_audit_run(const char *where, const struct log_audit_options *options, struct log_audit *out,
    struct error *err)
{
	struct log_reader *r = NULL;
	struct hash *roots = NULL;
	struct merkle tail = {0};
	uint64_t whole, pruned = 0;
	int rc;

	memset(out, 0, sizeof *out);
	rc = log_reader_open(where, &r, err);
	if (rc == AYNI_OK)
		rc = log_reader_head(r, options->pool, &out->head, err);
	if (rc != AYNI_OK)
		goto out;
	whole = out->head.checkpoint.size / TILE_WIDTH;
	roots = calloc(whole + 1, sizeof *roots);
	if (roots == NULL) {
		rc = error_set(err, AYNI_ERR_MEMORY, "no memory for so large a log");
		goto out;
	}
	if (options->pruned)
		rc = log_reader_first(r, out->head.checkpoint.size, &pruned, err);
	out->unread = pruned <= whole ? pruned * TILE_WIDTH : out->head.checkpoint.size;
	if (rc == AYNI_OK)
		rc = audit_bundles(out, where, options, pruned, roots, &tail, err);
	if (rc == AYNI_OK) {
		check_root(out, roots, &tail);
		rc = check_levels(out, r, roots, whole, err);
	}
	if (out->totals.bad_standing > 0)
		fault(out, "%" PRIu64 " changes of standing do not follow from those before",
		    out->totals.bad_standing);
	out->totals.by = options->by;
	if (rc == AYNI_OK)
		rc = audit_finish(&out->totals, err);
out:
	free(roots);
	log_reader_free(r);
	return rc;
}

void log_audit_free(struct log_audit *a)
{
	audit_free(&a->totals);
	log_head_free(&a->head);
}
