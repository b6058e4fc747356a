/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/merkle.h"

#include <sodium.h>

static_assert(HASH_BYTES == crypto_hash_sha256_BYTES, "SHA-256");

/* What is hashed begins with one of these, so that no leaf can pass for a node. */
enum { LEAF_PREFIX = 0, NODE_PREFIX = 1 };

void merkle_leaf(const uint8_t *data, size_t len, struct hash *out)
{
	static const uint8_t prefix = LEAF_PREFIX;
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	(void)crypto_hash_sha256_update(&state, &prefix, 1);
	if (len > 0)
		(void)crypto_hash_sha256_update(&state, data, len);
	(void)crypto_hash_sha256_final(&state, out->bytes);
}

void merkle_node(const struct hash *left, const struct hash *right, struct hash *out)
{
	uint8_t both[1 + 2 * HASH_BYTES] = {NODE_PREFIX};

	memcpy(both + 1, left->bytes, HASH_BYTES);
	memcpy(both + 1 + HASH_BYTES, right->bytes, HASH_BYTES);
	(void)crypto_hash_sha256(out->bytes, both, sizeof both);
}

static void empty_root(struct hash *out)
{
	(void)crypto_hash_sha256(out->bytes, (const uint8_t *)"", 0);
}

/* ---- growing ------------------------------------------------------------------------------ */

int merkle_append(struct merkle *m, const struct hash *leaf, merkle_full_fn *full, void *context)
{
	struct hash root = *leaf;
	unsigned level = 0;

	if (m->size >= MERKLE_SIZE_MAX)
		return AYNI_ERR_LIMIT;
	/* As in counting: a carry joins two subtrees. Peaks below the last carry are of no use
	 * then. */
	for (; (m->size >> level & 1) != 0; level++) {
		int rc = AYNI_OK;

		merkle_node(&m->peak[level], &root, &root);
		if (full != NULL)
			rc = full(context, level + 1, m->size >> (level + 1), &root);
		if (rc != AYNI_OK)
			return rc;
	}
	m->peak[level] = root;
	m->size++;
	return AYNI_OK;
}

int merkle_append_subtree(struct merkle *m, unsigned level, const struct hash *root)
{
	uint64_t leaves = UINT64_C(1) << (level < MERKLE_LEVELS ? level : 0);
	struct hash sum = *root;
	unsigned at = level;

	if (level >= MERKLE_LEVELS || leaves > MERKLE_SIZE_MAX - m->size || m->size % leaves != 0)
		return AYNI_ERR_ARGUMENT;
	for (; (m->size >> at & 1) != 0; at++)
		merkle_node(&m->peak[at], &sum, &sum);
	m->peak[at] = sum;
	m->size += leaves;
	return AYNI_OK;
}

void merkle_root(const struct merkle *m, struct hash *out)
{
	bool any = false;

	if (m->size == 0)
		empty_root(out);
	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		if ((m->size >> level & 1) == 0)
			continue;
		if (any)
			merkle_node(&m->peak[level], out, out);
		else
			*out = m->peak[level];
		any = true;
	}
}

/* ---- proofs ------------------------------------------------------------------------------- */

/* The largest power of two that is smaller than n, as its exponent; n at least 2. */
static unsigned split_level(uint64_t n)
{
	return 63 - (unsigned)__builtin_clzll(n - 1);
}

/* MTH(D[begin : begin + n]) of RFC 9162, n at least 1; begin is a multiple of a power of two that
 * is no smaller than n. */
static int subtree(
    uint64_t begin, uint64_t n, merkle_read_fn *read, void *context, struct hash *out)
{
	struct hash right;
	unsigned level;
	int rc;

	if ((n & (n - 1)) == 0) {
		level = (unsigned)__builtin_ctzll(n);
		return read(context, level, begin >> level, out);
	}
	level = split_level(n);
	rc = read(context, level, begin >> level, out);
	if (rc == AYNI_OK)
		rc = subtree(begin + (UINT64_C(1) << level), n - (UINT64_C(1) << level), read,
		    context, &right);
	if (rc == AYNI_OK)
		merkle_node(out, &right, out);
	return rc;
}

int merkle_root_at(uint64_t size, merkle_read_fn *read, void *context, struct hash *out)
{
	if (size > MERKLE_SIZE_MAX)
		return AYNI_ERR_ARGUMENT;
	if (size == 0) {
		empty_root(out);
		return AYNI_OK;
	}
	return subtree(0, size, read, context, out);
}

/* Turn the order round: proofs list what is deepest first. */
static void reverse(struct merkle_proof *p)
{
	for (size_t i = 0; i < p->n / 2; i++) {
		struct hash h = p->hashes[i];

		p->hashes[i] = p->hashes[p->n - 1 - i];
		p->hashes[p->n - 1 - i] = h;
	}
}

/* From the root down to the leaf: at each fork the side where it is not goes into the proof. */
int merkle_prove_inclusion(
    uint64_t index, uint64_t size, merkle_read_fn *read, void *context, struct merkle_proof *out)
{
	uint64_t begin = 0, n = size;
	int rc = AYNI_OK;

	out->n = 0;
	if (index >= size || size > MERKLE_SIZE_MAX)
		return AYNI_ERR_ARGUMENT;
	while (n > 1 && rc == AYNI_OK) {
		uint64_t left = UINT64_C(1) << split_level(n);
		struct hash *h = &out->hashes[out->n++];

		if (index - begin < left) {
			rc = subtree(begin + left, n - left, read, context, h);
			n = left;
		} else {
			rc = subtree(begin, left, read, context, h);
			begin += left;
			n -= left;
		}
	}
	reverse(out);
	return rc;
}

/* SUBPROOF: down along the border of the older tree, until a subtree lies wholly in it. Where that
 * is the whole older tree, whoever checks knows its root already. */
int merkle_prove_consistency(
    uint64_t older, uint64_t newer, merkle_read_fn *read, void *context, struct merkle_proof *out)
{
	uint64_t begin = 0, n = newer;
	int rc = AYNI_OK;

	out->n = 0;
	if (older > newer || newer > MERKLE_SIZE_MAX)
		return AYNI_ERR_ARGUMENT;
	if (older == 0)
		return AYNI_OK;
	while (older - begin < n && rc == AYNI_OK) {
		uint64_t left = UINT64_C(1) << split_level(n);
		struct hash *h = &out->hashes[out->n++];

		if (older - begin <= left) {
			rc = subtree(begin + left, n - left, read, context, h);
			n = left;
		} else {
			rc = subtree(begin, left, read, context, h);
			begin += left;
			n -= left;
		}
	}
	if (rc == AYNI_OK && begin > 0)
		rc = subtree(begin, n, read, context, &out->hashes[out->n++]);
	reverse(out);
	return rc;
}

/* ---- checking ----------------------------------------------------------------------------- */

bool merkle_check_inclusion(uint64_t index, uint64_t size, const struct hash *leaf,
    const struct merkle_proof *proof, const struct hash *root)
{
	uint64_t fn = index, sn = size - 1; /* the names of RFC 9162 */
	struct hash r = *leaf;

	if (size > MERKLE_SIZE_MAX || index >= size)
		return false;
	for (size_t i = 0; i < proof->n; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) != 0 || fn == sn) {
			merkle_node(&proof->hashes[i], &r, &r);
			for (; (fn & 1) == 0 && fn != 0; sn >>= 1)
				fn >>= 1;
		} else {
			merkle_node(&r, &proof->hashes[i], &r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && hash_equal(&r, root);
}

/* Sizes that need no hashes to be compared. */
static bool same_or_empty(uint64_t older, uint64_t newer, const struct hash *older_root,
    const struct hash *newer_root, const struct merkle_proof *proof)
{
	struct hash empty;

	if (proof->n != 0)
		return false;
	empty_root(&empty);
	if (older == 0 && !hash_equal(older_root, &empty))
		return false;
	return older != newer || hash_equal(older_root, newer_root);
}

bool merkle_check_consistency(uint64_t older, uint64_t newer, const struct hash *older_root,
    const struct hash *newer_root, const struct merkle_proof *proof)
{
	uint64_t fn = older - 1, sn = newer - 1;
	struct hash fr, sr;
	size_t i = 0;

	if (older > newer || newer > MERKLE_SIZE_MAX)
		return false;
	if (older == 0 || older == newer)
		return same_or_empty(older, newer, older_root, newer_root, proof);
	if (proof->n == 0)
		return false;
	fr = (older & (older - 1)) == 0 ? *older_root : proof->hashes[i++];
	sr = fr;
	for (; (fn & 1) != 0; sn >>= 1)
		fn >>= 1;
	for (; i < proof->n; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) != 0 || fn == sn) {
			merkle_node(&proof->hashes[i], &fr, &fr);
			merkle_node(&proof->hashes[i], &sr, &sr);
			for (; (fn & 1) == 0 && fn != 0; sn >>= 1)
				fn >>= 1;
		} else {
			merkle_node(&sr, &proof->hashes[i], &sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && hash_equal(&fr, older_root) && hash_equal(&sr, newer_root);
}
