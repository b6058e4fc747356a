/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree by the reference vectors of Certificate Transparency (the eight leaves that the tests of
 * its implementations share, RFC 6962), and by the RFC's recursive definition on all small sizes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>

#include "storage/merkle.h"

enum { N_VECTORS = 8, N_SMALL = 70, N_LARGE = 400 };

static const struct {
	const char *hex, *root; /* the leaf, and the root of all leaves up to it */
} vectors[N_VECTORS] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static const char empty_hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static struct hash unhex(const char *hex)
{
	struct hash h;

	assert_int_equal(
	    sodium_hex2bin(h.bytes, sizeof h.bytes, hex, strlen(hex), NULL, NULL, NULL), 0);
	return h;
}

static void assert_hash(const struct hash *h, const char *hex)
{
	struct hash wanted = unhex(hex);

	assert_memory_equal(h->bytes, wanted.bytes, HASH_BYTES);
}

/* ---- the definition, as the RFC writes it ---------------------------------------------------- */

static struct hash leaves[N_LARGE];

static struct hash mth(size_t from, size_t to)
{
	struct hash left, right, out;
	size_t k = 1;

	if (to - from == 1)
		return leaves[from];
	while (k * 2 < to - from)
		k *= 2;
	left = mth(from, from + k);
	right = mth(from + k, to);
	merkle_node(&left, &right, &out);
	return out;
}

static void path(size_t m, size_t from, size_t to, struct merkle_proof *p)
{
	size_t k = 1;

	if (to - from <= 1)
		return;
	while (k * 2 < to - from)
		k *= 2;
	if (m < k) {
		path(m, from, from + k, p);
		p->hashes[p->n++] = mth(from + k, to);
	} else {
		path(m - k, from + k, to, p);
		p->hashes[p->n++] = mth(from, from + k);
	}
}

static void subproof(size_t m, size_t from, size_t to, bool known, struct merkle_proof *p)
{
	size_t k = 1;

	if (m == to - from) {
		if (!known)
			p->hashes[p->n++] = mth(from, to);
		return;
	}
	while (k * 2 < to - from)
		k *= 2;
	if (m <= k) {
		subproof(m, from, from + k, known, p);
		p->hashes[p->n++] = mth(from + k, to);
	} else {
		subproof(m - k, from + k, to, false, p);
		p->hashes[p->n++] = mth(from, from + k);
	}
}

static int read_defined(void *context, unsigned level, uint64_t index, struct hash *out)
{
	(void)context;
	*out = mth((size_t)index << level, (size_t)(index + 1) << level);
	return AYNI_OK;
}

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_LARGE; i++)
		merkle_leaf((const uint8_t *)&i, sizeof i, &leaves[i]);
	return 0;
}

static void use_vectors(void)
{
	for (size_t i = 0; i < N_VECTORS; i++) {
		uint8_t data[16];
		size_t len = 0;

		assert_int_equal(sodium_hex2bin(data, sizeof data, vectors[i].hex,
		                     strlen(vectors[i].hex), NULL, &len, NULL),
		    0);
		merkle_leaf(data, len, &leaves[i]);
	}
}

/* ---- tests -------------------------------------------------------------------------------- */

static void gives_the_roots_of_the_reference_vectors(void **state)
{
	struct merkle m = {0};
	struct hash root;

	(void)state;
	use_vectors();
	merkle_root(&m, &root);
	assert_hash(&root, empty_hex);
	for (size_t i = 0; i < N_VECTORS; i++) {
		assert_int_equal(merkle_append(&m, &leaves[i], NULL, NULL), AYNI_OK);
		merkle_root(&m, &root);
		assert_hash(&root, vectors[i].root);
	}
}

static void gives_the_proofs_of_the_reference_vectors(void **state)
{
	static const struct {
		uint64_t index, size;
		size_t n;
		const char *hashes[3];
	} inclusion[] =
	    {
	        {0, 8, 3,
	            {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
	                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
	                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
	        {5, 8, 3,
	            {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
	                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
	                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
	        {2, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
	        {1, 5, 3,
	            {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
	                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
	    },
	  consistency[] = {
	      {6, 8, 3,
	          {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
	              "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
	              "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
	      {2, 5, 2,
	          {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
	              "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
	      {6, 7, 3,
	          {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
	              "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
	              "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
	  };
	struct merkle_proof p;

	(void)state;
	use_vectors();
	for (size_t i = 0; i < sizeof inclusion / sizeof *inclusion; i++) {
		assert_int_equal(merkle_prove_inclusion(
		                     inclusion[i].index, inclusion[i].size, read_defined, NULL, &p),
		    AYNI_OK);
		assert_int_equal(p.n, inclusion[i].n);
		for (size_t k = 0; k < p.n; k++)
			assert_hash(&p.hashes[k], inclusion[i].hashes[k]);
	}
	for (size_t i = 0; i < sizeof consistency / sizeof *consistency; i++) {
		assert_int_equal(merkle_prove_consistency(consistency[i].index, consistency[i].size,
		                     read_defined, NULL, &p),
		    AYNI_OK);
		assert_int_equal(p.n, consistency[i].n);
		for (size_t k = 0; k < p.n; k++)
			assert_hash(&p.hashes[k], consistency[i].hashes[k]);
	}
}

static void inclusion_proofs_are_those_of_the_definition(void **state)
{
	(void)state;
	for (size_t size = 1; size <= N_SMALL; size++) {
		struct hash root = mth(0, size);

		for (size_t i = 0; i < size; i++) {
			struct merkle_proof wanted = {0}, p;

			path(i, 0, size, &wanted);
			assert_int_equal(
			    merkle_prove_inclusion(i, size, read_defined, NULL, &p), AYNI_OK);
			assert_int_equal(p.n, wanted.n);
			assert_memory_equal(p.hashes, wanted.hashes, p.n * sizeof *p.hashes);
			assert_true(merkle_check_inclusion(i, size, &leaves[i], &p, &root));
		}
	}
}

static void consistency_proofs_are_those_of_the_definition(void **state)
{
	(void)state;
	for (size_t newer = 1; newer <= N_SMALL; newer++) {
		struct hash newer_root = mth(0, newer);

		for (size_t older = 1; older <= newer; older++) {
			struct hash older_root = mth(0, older);
			struct merkle_proof wanted = {0}, p;

			subproof(older, 0, newer, true, &wanted);
			assert_int_equal(
			    merkle_prove_consistency(older, newer, read_defined, NULL, &p),
			    AYNI_OK);
			assert_int_equal(p.n, wanted.n);
			assert_memory_equal(p.hashes, wanted.hashes, p.n * sizeof *p.hashes);
			assert_true(
			    merkle_check_consistency(older, newer, &older_root, &newer_root, &p));
		}
	}
}

static void refuses_every_proof_with_something_changed(void **state)
{
	(void)state;
	for (size_t size = 2; size <= 20; size++) {
		struct hash root = mth(0, size), other = mth(0, size - 1);

		for (size_t i = 0; i < size; i++) {
			struct merkle_proof p, q;

			assert_int_equal(
			    merkle_prove_inclusion(i, size, read_defined, NULL, &p), AYNI_OK);
			for (size_t k = 0; k < p.n; k++) {
				q = p;
				q.hashes[k].bytes[k] ^= 8;
				assert_false(
				    merkle_check_inclusion(i, size, &leaves[i], &q, &root));
			}
			q = p;
			q.n--;
			assert_false(merkle_check_inclusion(i, size, &leaves[i], &q, &root));
			q.n += 2;
			q.hashes[p.n] = root;
			assert_false(merkle_check_inclusion(i, size, &leaves[i], &q, &root));
			assert_false(merkle_check_inclusion(i, size, &leaves[i], &p, &other));
			assert_false(
			    merkle_check_inclusion(i, size, &leaves[(i + 1) % size], &p, &root));
			assert_false(
			    merkle_check_inclusion((i + 1) % size, size, &leaves[i], &p, &root));
			assert_false(merkle_check_inclusion(i + size, size, &leaves[i], &p, &root));
		}
	}
}

static void refuses_a_history_that_was_rewritten(void **state)
{
	struct hash was[21], root;
	struct merkle_proof p;

	(void)state;
	for (size_t size = 1; size <= 20; size++)
		was[size] = mth(0, size);
	for (size_t changed = 0; changed < 20; changed++) {
		leaves[changed].bytes[0] ^= 1;
		root = mth(0, 20);
		for (size_t older = 1; older < 20; older++) {
			assert_int_equal(
			    merkle_prove_consistency(older, 20, read_defined, NULL, &p), AYNI_OK);
			assert_int_equal(
			    merkle_check_consistency(older, 20, &was[older], &root, &p),
			    changed >= older);
		}
		leaves[changed].bytes[0] ^= 1;
	}
}

static void the_same_size_needs_no_proof_and_the_empty_tree_begins_all(void **state)
{
	struct hash one = mth(0, 1), two = mth(0, 2), empty = unhex(empty_hex);
	struct merkle_proof none = {0}, some = {.n = 1};

	(void)state;
	assert_true(merkle_check_consistency(2, 2, &two, &two, &none));
	assert_false(merkle_check_consistency(2, 2, &two, &one, &none));
	assert_false(merkle_check_consistency(2, 2, &two, &two, &some));
	assert_true(merkle_check_consistency(0, 2, &empty, &two, &none));
	assert_false(merkle_check_consistency(0, 2, &one, &two, &none));
	assert_false(merkle_check_consistency(0, 2, &empty, &two, &some));
	assert_false(merkle_check_consistency(2, 1, &two, &one, &none));
	assert_false(merkle_check_consistency(1, 2, &one, &two, &none));
	assert_false(merkle_check_inclusion(0, 0, &one, &none, &empty));
	assert_int_equal(
	    merkle_prove_inclusion(2, 2, read_defined, NULL, &none), AYNI_ERR_ARGUMENT);
	assert_int_equal(
	    merkle_prove_consistency(3, 2, read_defined, NULL, &none), AYNI_ERR_ARGUMENT);
}

static size_t n_full;

static int on_full(void *context, unsigned level, uint64_t index, const struct hash *root)
{
	struct hash wanted = mth((size_t)index << level, (size_t)(index + 1) << level);

	(void)context;
	assert_true(hash_equal(root, &wanted));
	n_full++;
	return AYNI_OK;
}

static int refuse_full(void *context, unsigned level, uint64_t index, const struct hash *root)
{
	(void)context;
	(void)level;
	(void)index;
	(void)root;
	return AYNI_ERR_IO;
}

static void a_growing_tree_has_the_root_of_each_size_and_tells_what_is_full(void **state)
{
	struct merkle m = {0}, by_parts, before;
	struct hash root, wanted;

	(void)state;
	n_full = 0;
	for (size_t size = 1; size <= N_LARGE; size++) {
		before = m;
		if (size % 2 == 0) {
			assert_int_equal(
			    merkle_append(&m, &leaves[size - 1], refuse_full, NULL), AYNI_ERR_IO);
			assert_memory_equal(&m, &before, sizeof m);
		}
		assert_int_equal(merkle_append(&m, &leaves[size - 1], on_full, NULL), AYNI_OK);
		merkle_root(&m, &root);
		wanted = mth(0, size);
		assert_true(hash_equal(&root, &wanted));
		assert_int_equal(merkle_root_at(size, read_defined, NULL, &wanted), AYNI_OK);
		assert_true(hash_equal(&root, &wanted));
	}
	assert_int_equal(n_full, 200 + 100 + 50 + 25 + 12 + 6 + 3 + 1);
	by_parts = (struct merkle){0};
	for (size_t i = 0; i < N_LARGE / 16; i++) {
		wanted = mth(i * 16, (i + 1) * 16);
		assert_int_equal(merkle_append_subtree(&by_parts, 4, &wanted), AYNI_OK);
	}
	merkle_root(&by_parts, &wanted);
	assert_true(hash_equal(&root, &wanted));
	assert_int_equal(by_parts.size, N_LARGE);
	assert_int_equal(merkle_append_subtree(&by_parts, 5, &wanted), AYNI_ERR_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(gives_the_roots_of_the_reference_vectors, set_up),
	    cmocka_unit_test_setup(gives_the_proofs_of_the_reference_vectors, set_up),
	    cmocka_unit_test_setup(inclusion_proofs_are_those_of_the_definition, set_up),
	    cmocka_unit_test_setup(consistency_proofs_are_those_of_the_definition, set_up),
	    cmocka_unit_test_setup(refuses_every_proof_with_something_changed, set_up),
	    cmocka_unit_test_setup(refuses_a_history_that_was_rewritten, set_up),
	    cmocka_unit_test_setup(
	        the_same_size_needs_no_proof_and_the_empty_tree_begins_all, set_up),
	    cmocka_unit_test_setup(
	        a_growing_tree_has_the_root_of_each_size_and_tells_what_is_full, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
