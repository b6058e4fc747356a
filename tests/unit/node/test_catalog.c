/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/catalog.h"
#include "node/publish.h"
#include "protocol/receipt.h"
#include "tests/support/random_models.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

static struct scratch scratch;
static struct error err;
static struct identity *publisher;
static struct catalog *catalog;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	memset(&err, 0, sizeof err);
	if (identity_generate(&publisher, NULL) != AYNI_OK)
		return -1;
	return catalog_new(&catalog, &err);
}

static int tear_down(void **state)
{
	(void)state;
	catalog_free(catalog);
	identity_free(publisher);
	scratch_remove(&scratch);
	return 0;
}

static int add_with(const char *name, const struct tiny_model_options *o, uint64_t kv_tokens)
{
	const char *path = scratch_path(&scratch, name);

	assert_int_equal(tiny_model_write(path, o), 0);
	return catalog_add(catalog, path, publisher, &(struct catalog_kv){kv_tokens, KV_F16}, &err);
}

static const struct catalog_kv kv64 = {64, KV_F16};

static void add(const char *name, uint64_t seed)
{
	struct tiny_model_options o = {.seed = seed};

	assert_int_equal(add_with(name, &o, 64), AYNI_OK);
}

static void open_manifest(const struct catalog_model *m, struct manifest *out)
{
	struct span content;

	assert_true(catalog_blob(catalog, &m->id, &content));
	assert_int_equal(manifest_open(content.data, content.len, out, &err), AYNI_OK);
}

static void a_model_is_described_by_its_file(void **state)
{
	const struct catalog_model *m;

	(void)state;
	add("tiny-3.gguf", 0);
	assert_int_equal(catalog_size(catalog), 1);
	m = catalog_at(catalog, 0);
	assert_string_equal(m->name, "tiny-3");
	assert_int_equal(m->sizes.n_layers, 3);
	assert_int_equal(m->kv_tokens, 64);
	assert_int_equal(tokenizer_size(m->tokenizer), TINY_MODEL_VOCABULARY);
	assert_non_null(m->chat_template);
}

static void the_context_is_the_smaller_of_the_models_and_the_pools(void **state)
{
	struct tiny_model_options o = {.context_tokens = 100};

	(void)state;
	assert_int_equal(add_with("a.gguf", &o, 4096), AYNI_OK);
	assert_int_equal(catalog_at(catalog, 0)->kv_tokens, 100);
}

static void int8_is_refused_for_heads_that_are_not_whole_parts(void **state)
{
	const struct catalog_kv int8 = {64, KV_INT8};
	const struct tiny_model_options narrow = {.d_head = 24},
	                                wide = {.d_head = 32, .d_value = 32};
	const char *path = scratch_path(&scratch, "a.gguf");

	(void)state;
	assert_int_equal(tiny_model_write(path, &narrow), 0);
	assert_int_equal(catalog_add(catalog, path, publisher, &int8, &err), AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "a: its heads are not multiples of 32 wide"));
	assert_int_equal(catalog_size(catalog), 0);
	assert_int_equal(tiny_model_write(path, &wide), 0);
	assert_int_equal(catalog_add(catalog, path, publisher, &int8, &err), AYNI_OK);
	assert_int_equal(catalog_at(catalog, 0)->kv_type, KV_INT8);
}

static void the_manifest_is_signed_by_the_publisher(void **state)
{
	const struct catalog_model *m;
	struct manifest manifest;

	(void)state;
	add("a.gguf", 0);
	m = catalog_at(catalog, 0);
	open_manifest(m, &manifest);
	assert_string_equal(manifest.name, "a");
	assert_true(public_key_equal(&manifest.publisher, identity_public(publisher)));
	assert_int_equal(manifest.file_bytes, gguf_file_bytes(m->gguf));
	assert_int_equal(manifest.head_bytes, gguf_head_bytes(m->gguf));
	manifest_free(&manifest);
}

/* ---- published by somebody else ----------------------------------------------------------------
 */

/* Write a.gguf with a manifest beside it, signed by another key than the pool's. */
static const char *publish_other(struct public_key *key)
{
	const char *path = scratch_path(&scratch, "a.gguf");
	struct identity *other = NULL;
	struct manifest m;
	struct gguf *g;

	assert_int_equal(tiny_model_write(path, NULL), 0);
	assert_int_equal(identity_generate(&other, NULL), AYNI_OK);
	assert_int_equal(gguf_open(path, &g, &err), AYNI_OK);
	assert_int_equal(publish_cut(g, "a", &m, &err), AYNI_OK);
	assert_int_equal(publish_write(&m, path, other, &err), AYNI_OK);
	*key = *identity_public(other);
	manifest_free(&m);
	gguf_free(g);
	identity_free(other);
	return path;
}

static void a_manifest_beside_the_file_is_served_as_it_is(void **state)
{
	struct manifest manifest;
	struct public_key key;
	const char *path = publish_other(&key);

	(void)state;
	assert_int_equal(catalog_add(catalog, path, publisher, &kv64, &err), AYNI_OK);
	assert_true(public_key_equal(&catalog_at(catalog, 0)->publisher, &key));
	open_manifest(catalog_at(catalog, 0), &manifest);
	assert_true(public_key_equal(&manifest.publisher, &key));
	manifest_free(&manifest);
}

static void flip(const char *path, long at)
{
	FILE *f = fopen(path, "r+e");
	int c;

	assert_non_null(f);
	assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	c = fgetc(f);
	assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	assert_int_equal(fputc(c ^ 1, f), c ^ 1);
	assert_int_equal(fclose(f), 0);
}

static void a_file_that_changed_since_it_was_signed_is_refused(void **state)
{
	struct public_key key;

	(void)state;
	flip(publish_other(&key), -100);
	assert_int_equal(
	    catalog_add(catalog, scratch_path(&scratch, "a.gguf"), publisher, &kv64, &err),
	    AYNI_ERR_SIGNATURE);
	assert_non_null(strstr(err.text, "another file"));
	assert_int_equal(catalog_size(catalog), 0);
}

static void a_manifest_that_nobody_signed_is_refused(void **state)
{
	const long places[] = {0, 20, 60, -1, -40};
	struct public_key key;

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		(void)publish_other(&key);
		flip(scratch_path(&scratch, "a.gguf.manifest"), places[i]);
		assert_int_equal(
		    catalog_add(catalog, scratch_path(&scratch, "a.gguf"), publisher, &kv64, &err),
		    AYNI_ERR_SIGNATURE);
	}
}

/* The head first, then tensors; nothing twice, nothing left out, each within the limit. */
static void chunks_cover_the_head_and_every_tensor_exactly(void **state)
{
	struct tiny_model_options large = {
	    .d_model = 256, .d_ff = 1536}; /* tensors of two chunks */
	const struct catalog_model *m;
	struct manifest manifest;
	uint8_t *covered;
	size_t split = 0;

	(void)state;
	assert_int_equal(add_with("a.gguf", &large, 64), AYNI_OK);
	m = catalog_at(catalog, 0);
	open_manifest(m, &manifest);
	covered = calloc(1, manifest.file_bytes);
	assert_non_null(covered);
	for (size_t i = 0; i < manifest.n_chunks; i++) {
		const struct manifest_chunk *c = &manifest.chunks[i];

		assert_in_range(c->length, 1, LIMIT_CHUNK_BYTES);
		assert_true(c->offset + c->length <= manifest.file_bytes);
		for (uint64_t at = c->offset; at < c->offset + c->length; at++)
			assert_int_equal(covered[at]++, 0);
	}
	for (uint64_t at = 0; at < manifest.head_bytes; at++)
		assert_int_equal(covered[at]--, 1);
	for (size_t t = 0; t < gguf_n_tensors(m->gguf); t++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(m->gguf, t);

		split += tensor->size_bytes > LIMIT_CHUNK_BYTES;
		for (uint64_t at = 0; at < tensor->size_bytes; at++)
			assert_int_equal(covered[tensor->offset + at]--, 1);
	}
	for (uint64_t at = 0; at < manifest.file_bytes; at++)
		assert_int_equal(covered[at], 0); /* not the padding between them */
	assert_true(split > 0);
	free(covered);
	manifest_free(&manifest);
}

static uint64_t elements(const struct gguf_tensor *t)
{
	return t->dims[0] * t->dims[1] * t->dims[2];
}

/* What there is of a type in a layer, or in the head, and what a token takes of it. */
static void assert_part(const struct catalog_model *m, uint32_t layer, enum tensor_type type)
{
	struct placement_part expected = {.type = type}, part = {0};

	for (uint32_t k = m->part_at[layer]; k < m->part_at[layer + 1]; k++)
		part = m->parts[k].type == type ? m->parts[k] : part;
	for (size_t i = 0; i < gguf_n_tensors(m->gguf); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(m->gguf, i);
		bool head = strcmp(t->name, "output.weight") == 0;
		uint64_t share = strstr(t->name, "_exps.") != NULL ? 4 : 1;
		uint32_t of;

		if (t->n_dims < 2 || t->type != type ||
		    !(model_tensor_layer(t->name, &of) ? of == layer
		                                       : head && layer == m->sizes.n_layers))
			continue;
		expected.most_bytes += t->size_bytes;
		expected.bytes += t->size_bytes / share;
		expected.flop += 2 * elements(t) / share;
	}
	assert_int_equal(part.bytes, expected.bytes);
	assert_int_equal(part.most_bytes, expected.most_bytes);
	assert_int_equal(part.flop, expected.flop);
}

static void what_a_token_takes_is_known_by_layer_and_type(void **state)
{
	const char *path = scratch_path(&scratch, "moe.gguf");
	const struct catalog_model *m;

	(void)state;
	if (!random_model_write("llama-moe", "Q8_0", path))
		skip();
	assert_int_equal(catalog_add(catalog, path, publisher, &kv64, &err), AYNI_OK);
	m = catalog_at(catalog, 0);
	assert_int_equal(m->sizes.experts.n, 4 * m->sizes.experts.n_used);
	assert_int_equal(m->part_at[0], 0);
	for (uint32_t l = 0; l <= m->sizes.n_layers; l++) {
		assert_part(m, l, TENSOR_Q8_0);
		assert_part(m, l, TENSOR_F32);
	}
}

static void each_chunk_is_found_by_its_hash(void **state)
{
	struct manifest manifest;

	(void)state;
	add("a.gguf", 1);
	add("b.gguf", 2); /* the first one's blobs must stay findable */
	for (size_t k = 0; k < 2; k++) {
		const struct catalog_model *m = catalog_at(catalog, k);

		open_manifest(m, &manifest);
		for (size_t i = 0; i < manifest.n_chunks; i++) {
			const struct manifest_chunk *c = &manifest.chunks[i];
			struct span content;
			struct hash h;

			assert_true(catalog_blob(catalog, &c->hash, &content));
			assert_int_equal(content.len, c->length);
			hash_bytes(content.data, content.len, &h);
			assert_true(hash_equal(&h, &c->hash));
			assert_memory_equal(
			    content.data, gguf_data(m->gguf) + c->offset, content.len);
		}
		manifest_free(&manifest);
	}
}

static void an_unknown_hash_is_not_found(void **state)
{
	struct hash h = {{1, 2, 3}};
	struct span content;

	(void)state;
	assert_false(catalog_blob(catalog, &h, &content)); /* nothing here yet */
	add("a.gguf", 0);
	assert_false(catalog_blob(catalog, &h, &content));
	memset(&h, 0xff, sizeof h);
	assert_false(catalog_blob(catalog, &h, &content));
}

static void the_weight_of_layers_is_that_of_their_tensors(void **state)
{
	const struct catalog_model *m;
	uint64_t sum, tensors = 0;

	(void)state;
	add("a.gguf", 0);
	m = catalog_at(catalog, 0);
	sum = m->first_bytes + m->last_bytes;
	for (uint32_t l = 0; l < m->sizes.n_layers; l++) {
		assert_int_equal(m->layer_bytes[l], m->layer_bytes[0]);
		sum += m->layer_bytes[l];
	}
	for (size_t t = 0; t < gguf_n_tensors(m->gguf); t++)
		tensors += gguf_tensor_at(m->gguf, t)->size_bytes;
	assert_int_equal(sum, tensors);
	assert_int_equal(m->first_bytes, TINY_MODEL_VOCABULARY * 64 * 4);
	assert_int_equal(m->last_bytes, TINY_MODEL_VOCABULARY * 64 * 4 + 64 * 4);
}

static void a_tied_embedding_weighs_at_both_ends(void **state)
{
	struct tiny_model_options o = {.tied = true};
	const struct catalog_model *m;

	(void)state;
	assert_int_equal(add_with("a.gguf", &o, 64), AYNI_OK);
	m = catalog_at(catalog, 0);
	assert_int_equal(m->first_bytes, TINY_MODEL_VOCABULARY * 64 * 4);
	assert_int_equal(m->last_bytes, TINY_MODEL_VOCABULARY * 64 * 4 + 64 * 4);
}

static void models_are_found_by_name_and_the_first_by_none(void **state)
{
	uint32_t index = 99;

	(void)state;
	add("ana.gguf", 1);
	add("ben", 2);
	assert_int_equal(catalog_find(catalog, "ben", &index, &err), AYNI_OK);
	assert_int_equal(index, 1);
	assert_int_equal(catalog_find(catalog, "", &index, &err), AYNI_OK);
	assert_int_equal(index, 0);
	assert_int_equal(catalog_find(catalog, "ana.gguf", &index, &err), AYNI_ERR_NOT_FOUND);
	assert_string_equal(err.text, "no model \"ana.gguf\" here; this pool has: ana, ben");
}

static void a_name_is_taken_once(void **state)
{
	struct tiny_model_options o = {.seed = 7};

	(void)state;
	add("a.gguf", 1);
	assert_int_equal(add_with("a", &o, 64), AYNI_ERR_EXISTS);
	assert_int_equal(catalog_size(catalog), 1);
}

static void a_file_that_is_no_model_is_refused_and_the_others_stay(void **state)
{
	struct tiny_model_options o = {.without = "blk.1.attn_q.weight"};
	const struct catalog_model *m;
	struct manifest manifest;
	struct span content;

	(void)state;
	add("a.gguf", 1);
	assert_int_not_equal(add_with("b.gguf", &o, 64), AYNI_OK);
	assert_int_not_equal(
	    catalog_add(catalog, scratch_path(&scratch, "none"), publisher, &kv64, &err), AYNI_OK);
	assert_int_equal(catalog_size(catalog), 1);
	m = catalog_at(catalog, 0);
	open_manifest(m, &manifest);
	for (size_t i = 0; i < manifest.n_chunks; i++)
		assert_true(catalog_blob(catalog, &manifest.chunks[i].hash, &content));
	manifest_free(&manifest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_model_is_described_by_its_file),
	    TEST(the_context_is_the_smaller_of_the_models_and_the_pools),
	    TEST(int8_is_refused_for_heads_that_are_not_whole_parts),
	    TEST(the_manifest_is_signed_by_the_publisher),
	    TEST(a_manifest_beside_the_file_is_served_as_it_is),
	    TEST(a_file_that_changed_since_it_was_signed_is_refused),
	    TEST(a_manifest_that_nobody_signed_is_refused),
	    TEST(chunks_cover_the_head_and_every_tensor_exactly),
	    TEST(each_chunk_is_found_by_its_hash),
	    TEST(an_unknown_hash_is_not_found),
	    TEST(the_weight_of_layers_is_that_of_their_tensors),
	    TEST(what_a_token_takes_is_known_by_layer_and_type),
	    TEST(a_tied_embedding_weighs_at_both_ends),
	    TEST(models_are_found_by_name_and_the_first_by_none),
	    TEST(a_name_is_taken_once),
	    TEST(a_file_that_is_no_model_is_refused_and_the_others_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
