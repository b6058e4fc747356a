/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger at size: how fast receipts go in, how many bytes each takes, how long an audit of all
 * and the questions of a ledger's pages take. AYNI_BENCH_RECEIPTS says how many (1,000,000).
 * Of more than a million, donors' signatures are random bytes: SQLite does not know.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "node/cli/log_audit.h"
#include "node/loop.h"
#include "node/pool/public_log.h"
#include "node/receipts.h"
#include "protocol/receipt.h"
#include "storage/sums.h"
#include "tests/support/scratch.h"

enum {
	N_DONORS = 500,
	BATCH = 1000,
	SIGNED = 20000,
	PAGE = 256,
	REPEAT = 5,
	SIGNATURES_MAX = 1000000
};

static struct scratch scratch;
static struct identity *pool;
static struct identity *identities[N_DONORS];
static struct public_key donors[N_DONORS];
static struct hash models[3];
static struct db *db;
static struct ledger *ledger;
static struct tree *tree;
static struct sums *sums;
static struct error err;

static void must(int rc)
{
	if (rc == AYNI_OK)
		return;
	(void)fprintf(stderr, "bench_ledger: %s\n", err.text);
	exit(1);
}

static double seconds_since(uint64_t us)
{
	return (double)(loop_now_us() - us) / 1e6;
}

/* Not in turn: neighbours in the ledger are far from each other among donors. */
static size_t donor_of(uint64_t number)
{
	return (size_t)(number * UINT64_C(2654435761) >> 7) % N_DONORS;
}

static uint64_t time_of(uint64_t number)
{
	return UINT64_C(1790000000000) + number * 900;
}

/* Windows of 256 units, as a pool of some hundred donors has them over some months. */
static struct receipt receipt_of(uint64_t number)
{
	struct receipt r = {.number = number,
	    .pool = *identity_public(pool),
	    .donor = donors[donor_of(number)],
	    .model = models[number % 3],
	    .layer_first = (uint32_t)(number % 4 * 8),
	    .layer_last = (uint32_t)(number % 4 * 8 + 8),
	    .units = 256,
	    .tokens = 300 + number % 700,
	    .first_ms = time_of(number),
	    .last_ms = time_of(number) + 14000,
	    .merge_delay_s = PUBLIC_LOG_MERGE_DELAY_S};

	for (unsigned i = 0; i < 4; i++) /* as books_name makes it; four windows a session */
		r.session.bytes[i] = (uint8_t)(number / 4 >> (8 * (4 - i)));
	random_bytes(r.session.bytes + 4, PSEUDONYM_BYTES - 4);
	r.verification = number % 10 == 0 ? VERIFICATION_RIGHT : VERIFICATION_NONE;
	must(flop_from(UINT64_C(400000000000) + number * 1000003 % 900000000000, &r.cost));
	random_bytes(r.units_hash.bytes, HASH_BYTES);
	return r;
}

static void append(const struct receipt *r, const struct signed_receipt *s)
{
	struct ledger_entry e = receipts_entry(r, s);

	must(ledger_append(ledger, &e, &err));
	must(tree_append(tree, r->number, e.receipt, &err));
}

/* In batches, each durable when it is committed. Signed before, so that only storage is measured.
 */
static void append_signed(uint64_t n)
{
	struct receipt *receipts = calloc(n, sizeof *receipts);
	struct signed_receipt *signed_receipts = calloc(n, sizeof *signed_receipts);
	uint64_t begin = loop_now_us();

	assert(receipts != NULL && signed_receipts != NULL);
	for (uint64_t i = 0; i < n; i++) {
		receipts[i] = receipt_of(i + 1);
		must(receipt_issue(&receipts[i], pool, &signed_receipts[i], &err));
	}
	printf("  sign                 %9.0f receipts/s\n", (double)n / seconds_since(begin));
	begin = loop_now_us();
	for (uint64_t i = 0; i < n; i++) {
		if (i % BATCH == 0)
			must(db_begin(db, &err));
		append(&receipts[i], &signed_receipts[i]);
		if ((i + 1) % BATCH == 0)
			must(db_commit(db, &err));
	}
	printf("  into SQLite and tree %9.0f receipts/s, commits of %d, synchronous=FULL\n",
	    (double)n / seconds_since(begin), BATCH);
	free(receipts);
	free(signed_receipts);
}

/* As a pool that closes many windows at once. */
static void append_batch(uint64_t first, size_t n)
{
	static struct receipt receipts[BATCH];
	static struct signed_receipt issued[BATCH];

	for (size_t i = 0; i < n; i++)
		receipts[i] = receipt_of(first + i);
	must(receipts_issue(receipts, n, pool, issued, &err));
	must(db_begin(db, &err));
	for (size_t i = 0; i < n; i++)
		append(&receipts[i], &issued[i]);
	must(db_commit(db, &err));
}

static void append_rest(uint64_t first, uint64_t last)
{
	uint64_t begin = loop_now_us();

	for (uint64_t i = first; i <= last; i += BATCH)
		append_batch(i, last - i + 1 < BATCH ? (size_t)(last - i + 1) : BATCH);
	printf("  both                 %9.0f receipts/s\n",
	    (double)(last - first + 1) / seconds_since(begin));
}

struct countersigning {
	size_t n;
	struct signature signatures[BATCH];
};

static int countersign(void *context, const struct ledger_entry *e)
{
	struct countersigning *c = context;
	struct signed_receipt s;

	must(receipts_signed(e, &s));
	receipt_countersign(&s, identities[donor_of(e->number)]);
	c->signatures[c->n++] = s.donor_signature;
	return 0;
}

/* In the order of the receipts. Only storing is measured; of very many the signatures are random.
 */
static void countersign_all(uint64_t n)
{
	static struct countersigning c;
	uint64_t spent = 0;

	for (uint64_t done = 0; done < n; done += c.n) {
		uint64_t begin;

		c.n = 0;
		if (n <= SIGNATURES_MAX)
			must(ledger_each(ledger, done, BATCH, countersign, &c, &err));
		else
			c.n = n - done < BATCH ? (size_t)(n - done) : BATCH;
		if (n > SIGNATURES_MAX)
			random_bytes(c.signatures, sizeof c.signatures);
		begin = loop_now_us();
		must(db_begin(db, &err));
		for (size_t i = 0; i < c.n; i++) {
			uint64_t number = done + i + 1;
			struct public_key key = donors[donor_of(number)];

			must(ledger_countersign(ledger, number, &key, &c.signatures[i], &err));
		}
		must(db_commit(db, &err));
		spent += loop_now_us() - begin;
	}
	printf("  countersignatures    %9.0f receipts/s\n", (double)n * 1e6 / (double)spent);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int on_row(void *context, const struct sums_row *r)
{
	(void)r;
	++*(uint64_t *)context;
	return 0;
}

static int on_entry(void *context, const struct ledger_entry *e)
{
	*(uint64_t *)context += e->units;
	return 0;
}

static void measure_view(const char *what, const struct sums_filter *filter)
{
	uint64_t rows = 0, begin = loop_now_us();

	for (int i = 0; i < REPEAT; i++)
		must(sums_each(sums, filter, on_row, &rows, &err));
	printf("  %-20s %9.2f ms, %llu rows\n", what, seconds_since(begin) * 1e3 / REPEAT,
	    (unsigned long long)rows / REPEAT);
}

/* All, and since days on which the last 1, 10, 50 and 90 % of the receipts began. */
static void measure_views(uint64_t n)
{
	static const char *const names[] = {[SUMS_BY_DONOR] = "by donor",
	    [SUMS_BY_MODEL] = "by model",
	    [SUMS_BY_DAY] = "by day",
	    [SUMS_BY_TEAM] = "by team"};
	static const unsigned percent[] = {1, 10, 50, 90};
	struct sums_filter one = {.by = SUMS_BY_DONOR, .donor = &donors[7]};
	char text[40];

	for (int by = SUMS_BY_DONOR; by <= SUMS_BY_TEAM; by++) {
		struct sums_filter f = {.by = (enum sums_by)by};

		measure_view(names[by], &f);
		for (size_t i = 0; i < sizeof percent / sizeof *percent; i++) {
			f.since_ms = time_of(n - n / 100 * percent[i]) / SUMS_DAY_MS * SUMS_DAY_MS;
			(void)snprintf(text, sizeof text, "%s, last %u %%", names[by], percent[i]);
			measure_view(text, &f);
		}
	}
	measure_view("of one donor", &one);
}

static void measure_pages(uint64_t n)
{
	uint64_t sum = 0, begin = loop_now_us();

	for (int i = 0; i < REPEAT; i++)
		must(ledger_each(ledger, n / REPEAT * (uint64_t)i, PAGE, on_entry, &sum, &err));
	printf("  a page of %d        %9.2f ms\n", PAGE, seconds_since(begin) * 1e3 / REPEAT);
}

/* And which table or index takes how much of it. */
static void measure_size(const char *file, uint64_t n)
{
	sqlite3_stmt *parts;
	struct stat st;

	must(sqlite3_exec(db_handle(db), "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL));
	if (stat(file, &st) == 0)
		printf("  the file             %9.1f bytes a receipt, %.1f MB\n",
		    (double)st.st_size / (double)n, (double)st.st_size / 1e6);
	if (sqlite3_prepare_v2(db_handle(db),
	        "SELECT name, sum(pgsize), sum(payload) FROM dbstat GROUP BY 1"
	        " HAVING sum(pgsize) > 100000 ORDER BY 2 DESC",
	        -1, &parts, NULL) != SQLITE_OK)
		return; /* a SQLite without dbstat */
	while (sqlite3_step(parts) == SQLITE_ROW)
		printf("    %-18s %9.1f bytes a receipt, %.1f without what is free in pages\n",
		    (const char *)sqlite3_column_text(parts, 0),
		    (double)sqlite3_column_int64(parts, 1) / (double)n,
		    (double)sqlite3_column_int64(parts, 2) / (double)n);
	(void)sqlite3_finalize(parts);
}

static void measure_log(const char *folder, uint64_t n)
{
	struct log_audit_options o = {.pool = identity_public(pool)};
	struct public_log *log;
	struct log_audit a;
	uint64_t begin = loop_now_us();

	must(public_log_new(pool, db, tree, ledger, folder, &log, &err));
	must(public_log_publish(log, 1, &err));
	printf("  publish all          %9.2f s\n", seconds_since(begin));
	for (unsigned i = 0; i < (n <= SIGNATURES_MAX ? 4 : 2); i++) {
		o.threads = 1 + i % 2;
		o.signatures = i >= 2;
		/* The log gets some bundles of countersignatures at a time. */
		for (uint64_t k = 0; i == 2 && k < n / PAGE / 60 + 2; k++)
			must(public_log_publish(log, 1, &err));
		begin = loop_now_us();
		must(log_audit_run(folder, &o, &a, &err));
		printf("  audit, %u thread%s     %9.2f s, %llu faults%s\n", o.threads,
		    o.threads == 1 ? " " : "s", seconds_since(begin),
		    (unsigned long long)a.n_faults, o.signatures ? ", with countersignatures" : "");
		log_audit_free(&a);
	}
	begin = loop_now_us();
	append_batch(n + 1, 1);
	must(public_log_publish(log, 1, &err));
	printf("  publish one more     %9.2f ms\n", seconds_since(begin) * 1e3);
	public_log_free(log);
}

int main(void)
{
	const char *text = getenv("AYNI_BENCH_RECEIPTS");
	uint64_t n = text != NULL ? strtoull(text, NULL, 10) : 1000000;
	char file[700], folder[700];

	if (n < 2 * SIGNED)
		n = 2 * SIGNED;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	scratch_make(&scratch);
	(void)snprintf(file, sizeof file, "%s", scratch_path(&scratch, "pool.db"));
	(void)snprintf(folder, sizeof folder, "%s", scratch_path(&scratch, "log"));
	must(identity_generate(&pool, &err));
	for (size_t i = 0; i < N_DONORS; i++) {
		must(identity_generate(&identities[i], &err));
		donors[i] = *identity_public(identities[i]);
	}
	random_bytes(models, sizeof models);
	must(db_open(file, DB_READ_WRITE, &db, &err));
	must(ledger_new(db, &ledger, &err));
	must(tree_new(db, ledger, &tree, &err));
	must(sums_new(db, &sums, &err));
	printf("ledger, %llu receipts of %d donors\n", (unsigned long long)n, N_DONORS);
	append_signed(SIGNED);
	append_rest(SIGNED + 1, n);
	countersign_all(n);
	measure_size(file, n);
	measure_views(n);
	measure_pages(n);
	measure_log(folder, n);
	sums_free(sums);
	tree_free(tree);
	ledger_free(ledger);
	db_free(db);
	identity_free(pool);
	for (size_t i = 0; i < N_DONORS; i++)
		identity_free(identities[i]);
	scratch_remove(&scratch);
	return 0;
}
