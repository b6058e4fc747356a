/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles by the examples of C2SP tlog-tiles; the tree in the database by the one of its leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/sums.h"
#include "storage/tree.h"
#include "tests/support/scratch.h"

enum { TWO_LEVELS = 65536 + 300 };

static struct scratch scratch;
static struct error err;
static struct db *db;
static struct ledger *ledger;
static struct tree *tree;

static int try_open(void)
{
	int rc;

	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(ledger_new(db, &ledger, &err), AYNI_OK);
	rc = tree_new(db, ledger, &tree, &err);
	return rc;
}

static void close_tree(void)
{
	tree_free(tree);
	ledger_free(ledger);
	db_free(db);
	tree = NULL;
}

static void reopen(void)
{
	close_tree();
	assert_int_equal(try_open(), AYNI_OK);
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	return try_open();
}

static int tear_down(void **state)
{
	(void)state;
	close_tree();
	scratch_remove(&scratch);
	return 0;
}

/* ---- tiles -------------------------------------------------------------------------------- */

static void names_tiles_as_the_specification_does(void **state)
{
	char path[TILE_PATH_BYTES];

	(void)state;
	tile_path(0, 1234067, TILE_WIDTH, path);
	assert_string_equal(path, "tile/0/x001/x234/067");
	tile_path(3, 7, 112, path);
	assert_string_equal(path, "tile/3/007.p/112");
	tile_entries_path(1000, 1, path);
	assert_string_equal(path, "tile/entries/x001/000.p/1");
	tile_signatures_path(999, path);
	assert_string_equal(path, "signatures/999");
	tile_path(7, UINT64_MAX >> 8, 255, path);
	assert_string_equal(path, "tile/7/x072/x057/x594/x037/x927/935.p/255");
}

static void a_tree_of_70000_has_the_tiles_of_the_specification(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 273; i++)
		assert_int_equal(tile_width(0, i, 70000), 256);
	assert_int_equal(tile_width(0, 273, 70000), 112);
	assert_int_equal(tile_width(0, 274, 70000), 0);
	assert_int_equal(tile_width(1, 0, 70000), 256);
	assert_int_equal(tile_width(1, 1, 70000), 17);
	assert_int_equal(tile_width(1, 2, 70000), 0);
	assert_int_equal(tile_width(2, 0, 70000), 1);
	assert_int_equal(tile_width(3, 0, 70000), 0);
	assert_int_equal(tile_width(0, 0, 256), 256);
	assert_int_equal(tile_width(1, 0, 256), 1);
	assert_int_equal(tile_width(0, UINT64_MAX, 256), 0);
	assert_int_equal(tile_width(8, 0, MERKLE_SIZE_MAX), 0);
}

static void a_bundle_is_read_whole_or_not_at_all(void **state)
{
	static const uint8_t a[] = "one", b[300] = {7};
	uint8_t data[600];
	struct bundle out;
	size_t len = 0;

	(void)state;
	len += bundle_put(data + len, (struct span){a, 3});
	len += bundle_put(data + len, (struct span){NULL, 0});
	len += bundle_put(data + len, (struct span){b, sizeof b});
	assert_int_equal(bundle_parse(data, len, 3, &out), AYNI_OK);
	assert_int_equal(out.entries[0].len, 3);
	assert_memory_equal(out.entries[0].data, "one", 3);
	assert_int_equal(out.entries[1].len, 0);
	assert_int_equal(out.entries[2].len, 300);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(bundle_parse(data, cut, 3, &out), AYNI_ERR_FORMAT);
	assert_int_equal(bundle_parse(data, len, 2, &out), AYNI_ERR_FORMAT);
	assert_int_equal(bundle_parse(data, len, 4, &out), AYNI_ERR_FORMAT);
	assert_int_equal(bundle_parse(data, len, 257, &out), AYNI_ERR_FORMAT);
}

/* ---- the tree ----------------------------------------------------------------------------- */

static struct span receipt(uint64_t number)
{
	static uint8_t bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	return (struct span){bytes, sizeof bytes};
}

static int append_to(struct tree *t, uint64_t number)
{
	struct ledger_entry e = {.number = number,
	    .pool = {{1}},
	    .donor = {{2}},
	    .model = {{3}},
	    .units = (number % 7 + 1) << 30,
	    .tokens = number,
	    .cost = {number * 77777777}, /* allowed: a made-up amount */
	    .first_ms = 1000000 - number,
	    .last_ms = 1000000 + number,
	    .receipt = receipt(number)};
	int rc = ledger_append(ledger, &e, &err);

	return rc == AYNI_OK && t != NULL ? tree_append(t, number, e.receipt, &err) : rc;
}

static void append(struct tree *t, uint64_t first, uint64_t last)
{
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	for (uint64_t i = first; i <= last; i++)
		assert_int_equal(append_to(t, i), AYNI_OK);
	assert_int_equal(db_commit(db, &err), AYNI_OK);
}

/* The root over the receipts 1 to n by themselves. */
static struct hash root_of(uint64_t n)
{
	struct merkle m = {0};
	struct hash h;

	for (uint64_t i = 1; i <= n; i++) {
		struct span r = receipt(i);

		merkle_leaf(r.data, r.len, &h);
		assert_int_equal(merkle_append(&m, &h, NULL, NULL), AYNI_OK);
	}
	merkle_root(&m, &h);
	return h;
}

static void assert_root(uint64_t n)
{
	struct hash root, wanted = root_of(n);

	assert_int_equal(tree_size(tree), n);
	tree_root(tree, &root);
	assert_memory_equal(root.bytes, wanted.bytes, HASH_BYTES);
	assert_int_equal(merkle_root_at(n, tree_hash, tree, &root), AYNI_OK);
	assert_memory_equal(root.bytes, wanted.bytes, HASH_BYTES);
}

static void grows_with_the_ledger_and_is_the_same_when_opened_again(void **state)
{
	static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 700};
	uint64_t done = 0;

	(void)state;
	assert_root(0);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		append(tree, done + 1, sizes[i]);
		done = sizes[i];
		assert_root(done);
		reopen();
		assert_root(done);
	}
}

static int compare_total(void *context, const struct sums_row *t)
{
	struct sums_row *other = context;

	if (other->receipts != 0) {
		assert_int_equal(t->giga, other->giga);
		assert_int_equal(t->flop, other->flop);
		assert_int_equal(t->receipts, other->receipts);
		assert_int_equal(t->waiting, other->waiting);
		assert_int_equal(t->units, other->units);
		assert_int_equal(t->tokens, other->tokens);
		assert_int_equal(t->first_ms, other->first_ms);
		assert_int_equal(t->last_ms, other->last_ms);
	}
	*other = *t;
	return 0;
}

/* By the sums of whole blocks, and from the receipts alone. */
static void assert_totals(uint64_t receipts)
{
	static const struct public_key donor = {{2}};
	const struct sums_filter filters[] = {{.by = SUMS_BY_DONOR},
	    {.by = SUMS_BY_DONOR, .since_ms = 1}, {.by = SUMS_BY_DONOR, .donor = &donor}};
	struct sums_row t = {.receipts = 0};
	struct sums *sums;

	assert_int_equal(sums_new(db, &sums, &err), AYNI_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(sums_each(sums, &filters[i], compare_total, &t, &err), AYNI_OK);
	sums_free(sums);
	assert_int_equal(t.receipts, receipts);
}

static void makes_the_tree_of_a_ledger_that_had_none(void **state)
{
	struct tile_source source = {.size = TWO_LEVELS, .read = tree_tile, .context = NULL};
	struct merkle_proof p;
	struct hash leaf, root;

	(void)state;
	append(NULL, 1, TWO_LEVELS);
	assert_totals(TWO_LEVELS);
	reopen();
	assert_root(TWO_LEVELS);
	assert_totals(TWO_LEVELS);
	reopen();
	assert_root(TWO_LEVELS);
	tree_root(tree, &root);
	source.context = tree;
	for (uint64_t i = 0; i < TWO_LEVELS; i += 4999) {
		struct span r = receipt(i + 1);

		merkle_leaf(r.data, r.len, &leaf);
		assert_int_equal(
		    merkle_prove_inclusion(i, TWO_LEVELS, tile_source_hash, &source, &p), AYNI_OK);
		assert_true(merkle_check_inclusion(i, TWO_LEVELS, &leaf, &p, &root));
	}
	assert_int_equal(merkle_prove_inclusion(0, TWO_LEVELS + 1, tile_source_hash, &source, &p),
	    AYNI_ERR_ARGUMENT);
	append(tree, TWO_LEVELS + 1, TWO_LEVELS + 5000);
	assert_totals(TWO_LEVELS + 5000);
	reopen();
	append(tree, TWO_LEVELS + 5001, TWO_LEVELS + 9000);
	assert_totals(TWO_LEVELS + 9000);
}

static void a_transaction_that_is_rolled_back_leaves_the_tree_as_it_was(void **state)
{
	(void)state;
	append(tree, 1, 250);
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	for (uint64_t i = 251; i <= 600; i++)
		assert_int_equal(append_to(tree, i), AYNI_OK);
	db_rollback(db);
	assert_int_equal(tree_reload(tree, &err), AYNI_OK);
	assert_root(250);
	append(tree, 251, 600);
	assert_root(600);
}

static void refuses_a_receipt_that_is_not_the_next(void **state)
{
	(void)state;
	append(tree, 1, 3);
	assert_int_equal(tree_append(tree, 5, receipt(5), &err), AYNI_ERR_STATE);
	assert_int_equal(tree_append(tree, 3, receipt(3), &err), AYNI_ERR_STATE);
	assert_root(3);
}

static void refuses_a_ledger_with_a_gap(void **state)
{
	(void)state;
	append(NULL, 1, 3);
	append(NULL, 5, 6);
	close_tree();
	assert_int_equal(try_open(), AYNI_ERR_STATE);
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static void sign(uint64_t size)
{
	struct tree_checkpoint c = {.size = size, .root = root_of(size), .signed_ms = size};

	assert_int_equal(tree_checkpoint_add(tree, &c, &err), AYNI_OK);
}

static void keeps_every_checkpoint_and_none_that_goes_back(void **state)
{
	struct tree_checkpoint c = {.size = 4}, last;

	(void)state;
	assert_int_equal(tree_checkpoint_last(tree, &last, &err), AYNI_ERR_NOT_FOUND);
	append(tree, 1, 5);
	sign(3);
	sign(5);
	assert_int_equal(tree_checkpoint_last(tree, &last, &err), AYNI_OK);
	assert_int_equal(last.size, 5);
	assert_int_equal(last.signed_ms, 5);
	assert_int_equal(tree_checkpoint_add(tree, &c, &err), AYNI_ERR_STATE);
	c.size = 6;
	assert_int_equal(tree_checkpoint_add(tree, &c, &err), AYNI_ERR_STATE);
	reopen();
	assert_root(5);
}

static void sql(const char *text)
{
	assert_int_equal(sqlite3_exec(db_handle(db), text, NULL, NULL, NULL), SQLITE_OK);
}

static void refuses_a_database_that_lost_what_was_signed_for(void **state)
{
	(void)state;
	append(tree, 1, 300);
	sign(300);
	sql("DROP TRIGGER receipts_never_deleted; DELETE FROM receipts WHERE number = 300");
	close_tree();
	assert_int_equal(try_open(), AYNI_ERR_STATE);
}

static void refuses_a_database_in_which_a_receipt_was_rewritten(void **state)
{
	(void)state;
	append(tree, 1, 300);
	sign(300);
	sql("DROP TRIGGER receipts_never_changed;"
	    "UPDATE receipts SET receipt = x'00' WHERE number = 299");
	close_tree();
	assert_int_equal(try_open(), AYNI_ERR_STATE);
}

static void neither_tree_nor_checkpoints_can_be_changed(void **state)
{
	static const char *const texts[] = {"DELETE FROM tree",
	    "UPDATE tree SET hash = zeroblob(32)", "DELETE FROM checkpoints", "DELETE FROM sums",
	    "UPDATE sums SET giga = 0", "UPDATE checkpoints SET signed_ms = 1"};

	(void)state;
	append(tree, 1, 4096);
	sign(4096);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(sqlite3_exec(db_handle(db), texts[i], NULL, NULL, NULL),
		    SQLITE_CONSTRAINT_TRIGGER);
}

static void remembers_whose_countersignatures_are_not_published(void **state)
{
	static const struct public_key donor = {{2}};
	struct signature s = {{9}};
	uint64_t bundles[4];
	size_t n;

	(void)state;
	append(tree, 1, 600);
	assert_int_equal(tree_unpublished(tree, bundles, 4, &n, &err), AYNI_OK);
	assert_int_equal(n, 0);
	assert_int_equal(ledger_countersign(ledger, 600, &donor, &s, &err), AYNI_OK);
	assert_int_equal(ledger_countersign(ledger, 256, &donor, &s, &err), AYNI_OK);
	assert_int_equal(ledger_countersign(ledger, 1, &donor, &s, &err), AYNI_OK);
	reopen();
	assert_int_equal(tree_unpublished(tree, bundles, 4, &n, &err), AYNI_OK);
	assert_int_equal(n, 2);
	assert_int_equal(bundles[0], 0);
	assert_int_equal(bundles[1], 2);
	assert_int_equal(tree_published(tree, 0, &err), AYNI_OK);
	assert_int_equal(tree_unpublished(tree, bundles, 4, &n, &err), AYNI_OK);
	assert_int_equal(n, 1);
	assert_int_equal(bundles[0], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_tiles_as_the_specification_does),
	    cmocka_unit_test(a_tree_of_70000_has_the_tiles_of_the_specification),
	    cmocka_unit_test(a_bundle_is_read_whole_or_not_at_all),
	    TEST(grows_with_the_ledger_and_is_the_same_when_opened_again),
	    TEST(makes_the_tree_of_a_ledger_that_had_none),
	    TEST(a_transaction_that_is_rolled_back_leaves_the_tree_as_it_was),
	    TEST(refuses_a_receipt_that_is_not_the_next),
	    TEST(refuses_a_ledger_with_a_gap),
	    TEST(keeps_every_checkpoint_and_none_that_goes_back),
	    TEST(refuses_a_database_that_lost_what_was_signed_for),
	    TEST(refuses_a_database_in_which_a_receipt_was_rewritten),
	    TEST(neither_tree_nor_checkpoints_can_be_changed),
	    TEST(remembers_whose_countersignatures_are_not_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
