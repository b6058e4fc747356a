/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/model.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/tiny_model.h"

/* A model's bytes and what was read of them. */
struct file {
	uint8_t *data;
	size_t len;
	struct gguf *g;
};

static struct file file_new(const struct tiny_model_options *options)
{
	struct error err = {0};
	struct file f = {0};

	f.data = tiny_model_bytes(options, &f.len);
	if (gguf_parse(f.data, f.len, f.len, &f.g, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return f;
}

static void file_free(struct file *f)
{
	gguf_free(f->g);
	free(f->data);
}

/* ---- what is read --------------------------------------------------------------------------- */

static void reads_the_sizes_that_a_file_names(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){.n_layers = 5,
	    .d_model = 96,
	    .d_ff = 160,
	    .n_heads = 8,
	    .n_kv_heads = 4,
	    .d_head = 20,
	    .d_value = 8,
	    .d_rope = 6,
	    .context_tokens = 300});
	struct model_sizes s;

	(void)state;
	assert_int_equal(model_sizes_read(f.g, &s, NULL), AYNI_OK);
	assert_int_equal(s.n_layers, 5);
	assert_int_equal(s.n_vocabulary, TINY_MODEL_VOCABULARY);
	assert_int_equal(s.d_model, 96);
	assert_int_equal(s.d_ff, 160);
	assert_int_equal(s.n_heads, 8);
	assert_int_equal(s.n_kv_heads, 4);
	assert_int_equal(s.d_head, 20);
	assert_int_equal(s.d_value, 8);
	assert_int_equal(s.d_rope, 6);
	assert_int_equal(s.context_tokens, 300);
	assert_true(s.norm_epsilon == 1e-5f);
	assert_true(s.rope.base == 10000.0);
	file_free(&f);
}

static void sizes_that_a_file_does_not_name_have_their_defaults(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){
	    .d_model = 96, .n_heads = 4, .without = "llama.rope.freq_base"});
	struct file g = file_new(&(struct tiny_model_options){
	    .n_heads = 4, .n_kv_heads = 4, .without = "llama.attention.head_count_kv"});
	struct model_sizes s;

	(void)state;
	assert_int_equal(model_sizes_read(f.g, &s, NULL), AYNI_OK);
	assert_int_equal(s.d_head, 24);
	assert_int_equal(s.d_value, 24);
	assert_int_equal(s.d_rope, 24);
	assert_true(s.rope.base == 10000.0);
	assert_int_equal(model_sizes_read(g.g, &s, NULL), AYNI_OK);
	assert_int_equal(s.n_kv_heads, 4);
	file_free(&f);
	file_free(&g);
}

static void a_context_past_the_limit_is_cut_to_it(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){.context_tokens = 10000000});
	struct model_sizes s;

	(void)state;
	assert_int_equal(model_sizes_read(f.g, &s, NULL), AYNI_OK);
	assert_int_equal(s.context_tokens, LIMIT_CONTEXT_TOKENS);
	file_free(&f);
}

static struct model *load(const struct file *f, uint32_t first, uint32_t last)
{
	struct error err = {0};
	struct model *m = NULL;

	if (model_load(f->g, first, last, &m, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return m;
}

static void a_range_holds_the_ends_that_it_touches(void **state)
{
	struct file f = file_new(NULL);
	struct model *front = load(&f, 0, 2), *middle = load(&f, 1, 2), *back = load(&f, 2, 3);

	(void)state;
	assert_non_null(front->embedding.data);
	assert_null(front->output.data);
	assert_null(middle->embedding.data);
	assert_null(middle->output_norm);
	assert_null(back->embedding.data);
	assert_non_null(back->output.data);
	assert_non_null(back->output_norm);
	assert_int_equal(back->output.n_rows, TINY_MODEL_VOCABULARY);
	assert_int_equal(back->output.n_cols, back->sizes.d_model);
	model_free(front);
	model_free(middle);
	model_free(back);
	file_free(&f);
}

static void a_tied_model_has_the_embedding_as_its_output(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){.tied = true});
	struct model *whole = load(&f, 0, 3), *back = load(&f, 2, 3);

	(void)state;
	assert_ptr_equal(whole->embedding.data, whole->output.data);
	assert_ptr_equal(back->output.data, whole->output.data);
	assert_null(back->embedding.data);
	model_free(whole);
	model_free(back);
	file_free(&f);
}

static void frequencies_fall_from_one_by_the_base_and_the_factors(void **state)
{
	struct file plain = file_new(&(struct tiny_model_options){.d_head = 64, .d_rope = 40});
	struct file scaled = file_new(
	    &(struct tiny_model_options){.d_head = 64, .d_rope = 40, .rope_factors = true});
	struct model *a = load(&plain, 1, 2), *b = load(&scaled, 1, 2);

	(void)state;
	const double *plain_waves = a->rope.tables[ROPE_ALL].frequencies;
	const double *scaled_waves = b->rope.tables[ROPE_ALL].frequencies;
	const float *factors = (const float *)(const void *)gguf_tensor_data(
	    scaled.g, gguf_tensor_find(scaled.g, "rope_freqs.weight"));

	assert_true(plain_waves[0] == 1.0);
	for (uint32_t i = 0; i < 20; i++) {
		double expected = pow(10000.0, -2.0 * i / 40.0);

		assert_true(fabs(plain_waves[i] / expected - 1.0) < 1e-14);
		expected /= (double)factors[i];
		assert_true(fabs(scaled_waves[i] / expected - 1.0) < 1e-14);
	}
	model_free(a);
	model_free(b);
	file_free(&plain);
	file_free(&scaled);
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* Inaccessible memory in place of all tensors that a range does not need: touching one ends us. */
static void loading_a_range_touches_only_the_tensors_it_needs(void **state)
{
	struct tiny_model_options wide = {.d_model = 1024, .d_ff = 1024};
	struct file f = file_new(&wide);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (f.len + page - 1) / page * page;
	uint8_t *image =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct model_sizes s;
	struct gguf *g;
	struct model *m;
	size_t closed = 0;

	(void)state;
	assert_true(image != MAP_FAILED);
	memcpy(image, f.data, f.len);
	assert_int_equal(gguf_parse(image, f.len, f.len, &g, NULL), AYNI_OK);
	assert_int_equal(model_sizes_read(g, &s, NULL), AYNI_OK);
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		size_t first = (t->offset + page - 1) / page * page;
		size_t end = (t->offset + t->size_bytes) / page * page;

		if (model_range_needs(g, &s, 1, 2, t) || first >= end)
			continue;
		assert_int_equal(mprotect(image + first, end - first, PROT_NONE), 0);
		closed += end - first;
	}
	assert_true(closed > f.len / 2);
	assert_int_equal(model_load(g, 1, 2, &m, NULL), AYNI_OK);
	model_free(m);
	gguf_free(g);
	(void)munmap(image, bytes);
	file_free(&f);
}

static bool needs(const struct file *f, uint32_t first, uint32_t last, const char *name)
{
	const struct gguf_tensor *t = gguf_tensor_find(f->g, name);
	struct model_sizes s;

	assert_int_equal(model_sizes_read(f->g, &s, NULL), AYNI_OK);
	assert_non_null(t);
	return model_range_needs(f->g, &s, first, last, t);
}

static void a_range_needs_its_layers_and_the_ends_it_touches(void **state)
{
	struct file f =
	    file_new(&(struct tiny_model_options){.n_layers = 12, .rope_factors = true});

	(void)state;
	assert_true(needs(&f, 0, 1, "token_embd.weight"));
	assert_false(needs(&f, 1, 12, "token_embd.weight"));
	assert_true(needs(&f, 11, 12, "output.weight"));
	assert_true(needs(&f, 11, 12, "output_norm.weight"));
	assert_false(needs(&f, 0, 11, "output.weight"));
	assert_false(needs(&f, 0, 11, "output_norm.weight"));
	assert_true(needs(&f, 4, 5, "rope_freqs.weight"));
	assert_true(needs(&f, 1, 2, "blk.1.ffn_down.weight"));
	assert_false(needs(&f, 1, 2, "blk.10.ffn_down.weight"));
	assert_false(needs(&f, 1, 2, "blk.2.attn_norm.weight"));
	assert_true(needs(&f, 1, 3, "blk.2.attn_norm.weight"));
	file_free(&f);
}

static void the_end_of_a_tied_model_needs_the_embedding(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){.tied = true});

	(void)state;
	assert_true(needs(&f, 2, 3, "token_embd.weight"));
	assert_false(needs(&f, 1, 2, "token_embd.weight"));
	file_free(&f);
}

static void no_range_needs_a_tensor_that_nothing_names(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){.extra_tensor = "notes.weight"});

	(void)state;
	assert_false(needs(&f, 0, 3, "notes.weight"));
	file_free(&f);
}

static void each_tensor_is_needed_by_some_layer(void **state)
{
	struct file f = file_new(&(struct tiny_model_options){.rope_factors = true});

	(void)state;
	for (size_t i = 0; i < gguf_n_tensors(f.g); i++) {
		const char *name = gguf_tensor_at(f.g, i)->name;

		assert_true(
		    needs(&f, 0, 1, name) || needs(&f, 1, 2, name) || needs(&f, 2, 3, name));
	}
	file_free(&f);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* Loading all layers fails with `code` and a line that has both words. */
static void assert_refused(const struct tiny_model_options *options, enum ayni_error code,
    const char *word, const char *other_word)
{
	struct file f = file_new(options);
	struct error err = {0};
	struct model *m = NULL;

	assert_int_not_equal(model_load(f.g, 0, 3, &m, &err), AYNI_OK);
	assert_null(m);
	if (err.code != code || strstr(err.text, word) == NULL ||
	    strstr(err.text, other_word) == NULL)
		fail_msg("%d \"%s\" is not %d with \"%s\" and \"%s\"", err.code, err.text, code,
		    word, other_word);
	assert_null(strchr(err.text, '\n'));
	file_free(&f);
}

static void assert_key_refused(const char *name, enum gguf_type type, double number,
    const char *text, enum ayni_error code, const char *word)
{
	struct tiny_model_key key = {name, type, number, text};

	assert_refused(&(struct tiny_model_options){.key = &key}, code, name, word);
}

static void refuses_another_architecture_and_names_those_it_knows(void **state)
{
	struct tiny_model_key key = {"general.architecture", GGUF_STRING, 0, "qwen\n2"};

	(void)state;
	assert_refused(&(struct tiny_model_options){.key = &key}, AYNI_ERR_UNSUPPORTED,
	    "\"qwen?2\" is not supported", "supported: llama");
	assert_refused(&(struct tiny_model_options){.without = "general.architecture"},
	    AYNI_ERR_FORMAT, "no architecture", "general.architecture");
	assert_non_null(strstr(model_architectures(), "deepseek2"));
}

static void refuses_a_missing_size(void **state)
{
	const char *keys[] = {"llama.block_count", "llama.context_length", "llama.embedding_length",
	    "llama.feed_forward_length", "llama.attention.head_count",
	    "llama.attention.layer_norm_rms_epsilon"};

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		assert_refused(&(struct tiny_model_options){.without = keys[i]}, AYNI_ERR_FORMAT,
		    keys[i], "missing");
}

static void refuses_a_size_that_is_no_number(void **state)
{
	(void)state;
	assert_key_refused(
	    "llama.block_count", GGUF_STRING, 0, "three", AYNI_ERR_FORMAT, "not one whole number");
	assert_key_refused("llama.attention.layer_norm_rms_epsilon", GGUF_STRING, 0, "small",
	    AYNI_ERR_FORMAT, "not a number");
}

static void refuses_sizes_out_of_their_bounds(void **state)
{
	(void)state;
	assert_key_refused("llama.block_count", GGUF_U32, 0, NULL, AYNI_ERR_LIMIT, "between 1");
	assert_key_refused(
	    "llama.block_count", GGUF_U32, LIMIT_LAYERS + 1, NULL, AYNI_ERR_LIMIT, "1024");
	assert_key_refused("llama.context_length", GGUF_U32, 0, NULL, AYNI_ERR_LIMIT, "between 1");
	assert_key_refused(
	    "llama.embedding_length", GGUF_U32, 1e9, NULL, AYNI_ERR_LIMIT, "1000000000");
	assert_key_refused("llama.feed_forward_length", GGUF_U32, 0, NULL, AYNI_ERR_LIMIT, "is 0");
	assert_key_refused("llama.attention.head_count", GGUF_U32, 0, NULL, AYNI_ERR_LIMIT, "is 0");
	assert_key_refused(
	    "llama.attention.head_count_kv", GGUF_U32, 0, NULL, AYNI_ERR_LIMIT, "is 0");
	assert_key_refused("llama.rope.freq_base", GGUF_F32, 0.5, NULL, AYNI_ERR_LIMIT, "0.5");
	assert_key_refused("llama.rope.freq_base", GGUF_F32, NAN, NULL, AYNI_ERR_LIMIT, "nan");
	assert_key_refused("llama.rope.freq_base", GGUF_F32, INFINITY, NULL, AYNI_ERR_LIMIT, "inf");
	assert_key_refused(
	    "llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0, NULL, AYNI_ERR_LIMIT, "is 0");
}

static void refuses_sizes_that_contradict_each_other(void **state)
{
	const struct tiny_model_key wide = {"llama.attention.key_length", GGUF_U32, 1 << 18, NULL};

	(void)state;
	assert_refused(&(struct tiny_model_options){.n_heads = 4, .n_kv_heads = 3}, AYNI_ERR_FORMAT,
	    "4 query heads", "3 key heads");
	assert_refused(&(struct tiny_model_options){.n_heads = 4, .n_kv_heads = 8}, AYNI_ERR_FORMAT,
	    "4 query heads", "8 key heads");
	assert_refused(&(struct tiny_model_options){.d_rope = 7}, AYNI_ERR_FORMAT,
	    "dimension_count is 7", "even");
	assert_refused(&(struct tiny_model_options){.d_rope = 18}, AYNI_ERR_FORMAT,
	    "dimension_count is 18", "16 elements");
	assert_refused(&(struct tiny_model_options){.d_rope = 2, .key = &wide}, AYNI_ERR_LIMIT,
	    "4 heads", "wider than 262144");
	/* Heads that do not divide the model must be named. */
	assert_refused(&(struct tiny_model_options){.n_heads = 6, .n_kv_heads = 2}, AYNI_ERR_FORMAT,
	    "llama.attention.key_length", "missing");
}

static void refuses_a_vocabulary_that_the_embedding_does_not_have(void **state)
{
	(void)state;
	assert_key_refused(
	    "llama.vocab_size", GGUF_U32, 300, NULL, AYNI_ERR_FORMAT, "has 259 rows");
}

static void refuses_by_name_what_would_change_the_numbers(void **state)
{
	const struct {
		const char *key;
		enum gguf_type type;
		double number;
		const char *text;
	} keys[] = {
	    {"llama.rope.scaling.type", GGUF_STRING, 0, "ntk"},
	    {"llama.attention.clamp_kqv", GGUF_F32, 8, NULL},
	    {"llama.attention.causal", GGUF_BOOL, 0, NULL},
	    {"llama.attention.causal", GGUF_STRING, 0, "no"},
	    {"llama.final_logit_softcapping", GGUF_F32, 30, NULL},
	    {"llama.attn_logit_softcapping", GGUF_F32, 50, NULL},
	    {"llama.logit_scale", GGUF_F32, 0.5, NULL},
	    {"llama.residual_scale", GGUF_F32, NAN, NULL},
	    {"llama.embedding_scale", GGUF_STRING, 0, "large"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		assert_key_refused(keys[i].key, keys[i].type, keys[i].number, keys[i].text,
		    AYNI_ERR_UNSUPPORTED, "not supported");
	assert_key_refused(
	    "llama.rope.scaling.type", GGUF_U32, 2, NULL, AYNI_ERR_FORMAT, "not a string");
	assert_key_refused(
	    "llama.rope.scaling.factor", GGUF_STRING, 0, "four", AYNI_ERR_FORMAT, "not a number");
	assert_key_refused(
	    "llama.rope.scaling.factor", GGUF_F32, 0.5, NULL, AYNI_ERR_LIMIT, "between 1");
	assert_key_refused("llama.attention.scale", GGUF_F32, -1, NULL, AYNI_ERR_LIMIT, "-1");
}

static void accepts_the_same_keys_where_they_change_nothing(void **state)
{
	const struct tiny_model_key keys[] = {
	    {"llama.expert_count", GGUF_U32, 0, NULL},
	    {"llama.rope.scaling.type", GGUF_STRING, 0, "none"},
	    {"llama.rope.scaling.factor", GGUF_F32, 1, NULL},
	    {"llama.attention.causal", GGUF_BOOL, 1, NULL},
	    {"llama.logit_scale", GGUF_F32, 1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct file f = file_new(&(struct tiny_model_options){.key = &keys[i]});

		model_free(load(&f, 0, 3));
		file_free(&f);
	}
}

static void refuses_tensors_of_a_layer_that_it_would_leave_out(void **state)
{
	const char *names[] = {"blk.0.attn_rot.bias", "blk.2.ffn_gate_exps.weight",
	    "blk.1.attn_q_norm.weight", "blk.3.attn_norm.weight", "blk.01.attn_norm.weight",
	    "blk.x", "output.bias"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_refused(&(struct tiny_model_options){.extra_tensor = names[i]},
		    AYNI_ERR_UNSUPPORTED, names[i], "change the results");
}

static const char *const each_tensor[] = {"token_embd.weight", "rope_freqs.weight",
    "output_norm.weight", "output.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight",
    "blk.1.attn_k.weight", "blk.1.attn_v.weight", "blk.1.attn_output.weight",
    "blk.2.ffn_norm.weight", "blk.2.ffn_gate.weight", "blk.2.ffn_up.weight",
    "blk.2.ffn_down.weight"};

enum { N_EACH = sizeof each_tensor / sizeof each_tensor[0] };

static void refuses_a_missing_tensor_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_EACH; i++) {
		/* Without these a model is another one: no factors, or tied. */
		if (strcmp(each_tensor[i], "rope_freqs.weight") == 0 ||
		    strcmp(each_tensor[i], "output.weight") == 0)
			continue;
		assert_refused(&(struct tiny_model_options){.without = each_tensor[i]},
		    AYNI_ERR_FORMAT, each_tensor[i], "missing");
	}
}

static void refuses_a_misshapen_tensor_with_both_shapes(void **state)
{
	(void)state;
	/* The embedding says how large the vocabulary is, so that the output contradicts it. */
	assert_refused(&(struct tiny_model_options){.misshapen = each_tensor[0]}, AYNI_ERR_FORMAT,
	    "output.weight is [64, 259, 1, 1]", "expected [64, 258, 1]");
	for (size_t i = 1; i < N_EACH; i++)
		assert_refused(
		    &(struct tiny_model_options){.misshapen = each_tensor[i], .rope_factors = true},
		    AYNI_ERR_FORMAT, each_tensor[i], "expected [");
	assert_refused(&(struct tiny_model_options){.misshapen = "blk.1.ffn_down.weight"},
	    AYNI_ERR_FORMAT, "[96, 63, 1, 1]", "[96, 64, 1]");
}

static void refuses_a_type_it_has_no_products_for(void **state)
{
	enum { IQ2_XXS = 16, I32 = 26 };

	(void)state;
	assert_refused(
	    &(struct tiny_model_options){
	        .d_model = 256, .mistyped = "blk.1.attn_k.weight", .raw_type = IQ2_XXS},
	    AYNI_ERR_UNSUPPORTED, "blk.1.attn_k.weight", "supported: F32, F16");
	assert_refused(&(struct tiny_model_options){.mistyped = "output.weight", .raw_type = I32},
	    AYNI_ERR_UNSUPPORTED, "output.weight", "type 26");
}

static void refuses_a_norm_that_is_not_binary32(void **state)
{
	(void)state;
	assert_refused(&(struct tiny_model_options){.mistyped = "blk.1.attn_norm.weight",
	                   .raw_type = TENSOR_F16},
	    AYNI_ERR_UNSUPPORTED, "blk.1.attn_norm.weight", "expected F32");
}

static void refuses_factors_that_no_frequency_can_be_divided_by(void **state)
{
	const float bad[] = {0.0f, -1.0f, NAN, INFINITY, 1e-20f};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct file f = file_new(&(struct tiny_model_options){.rope_factors = true});
		uint64_t at = gguf_tensor_find(f.g, "rope_freqs.weight")->offset;
		struct error err = {0};
		struct model *m;

		memcpy(f.data + at + sizeof bad[0], &bad[i], sizeof bad[0]);
		assert_int_equal(model_load(f.g, 0, 1, &m, &err), AYNI_ERR_FORMAT);
		assert_non_null(strstr(err.text, "element 1 of the rotary factors"));
		file_free(&f);
	}
}

static void refuses_a_range_that_the_model_does_not_have(void **state)
{
	const uint32_t ranges[][2] = {{0, 0}, {2, 1}, {0, 4}, {3, 3}, {3, 4}, {0, UINT32_MAX}};
	struct file f = file_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		struct model *m;

		assert_int_equal(
		    model_load(f.g, ranges[i][0], ranges[i][1], &m, NULL), AYNI_ERR_ARGUMENT);
	}
	file_free(&f);
}

static void refuses_tensors_past_the_bytes_that_are_here(void **state)
{
	struct file f = file_new(NULL);
	struct error err = {0};
	struct gguf *head;
	struct model *m;

	(void)state;
	assert_int_equal(gguf_parse(f.data, gguf_head_bytes(f.g), f.len, &head, NULL), AYNI_OK);
	assert_int_equal(model_load(head, 0, 1, &m, &err), AYNI_ERR_FORMAT);
	assert_non_null(strstr(err.text, "past the part of the file"));
	gguf_free(head);
	file_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_the_sizes_that_a_file_names),
	    cmocka_unit_test(sizes_that_a_file_does_not_name_have_their_defaults),
	    cmocka_unit_test(a_context_past_the_limit_is_cut_to_it),
	    cmocka_unit_test(a_range_holds_the_ends_that_it_touches),
	    cmocka_unit_test(a_tied_model_has_the_embedding_as_its_output),
	    cmocka_unit_test(frequencies_fall_from_one_by_the_base_and_the_factors),
	    cmocka_unit_test(loading_a_range_touches_only_the_tensors_it_needs),
	    cmocka_unit_test(a_range_needs_its_layers_and_the_ends_it_touches),
	    cmocka_unit_test(the_end_of_a_tied_model_needs_the_embedding),
	    cmocka_unit_test(no_range_needs_a_tensor_that_nothing_names),
	    cmocka_unit_test(each_tensor_is_needed_by_some_layer),
	    cmocka_unit_test(refuses_another_architecture_and_names_those_it_knows),
	    cmocka_unit_test(refuses_a_missing_size),
	    cmocka_unit_test(refuses_a_size_that_is_no_number),
	    cmocka_unit_test(refuses_sizes_out_of_their_bounds),
	    cmocka_unit_test(refuses_sizes_that_contradict_each_other),
	    cmocka_unit_test(refuses_a_vocabulary_that_the_embedding_does_not_have),
	    cmocka_unit_test(refuses_by_name_what_would_change_the_numbers),
	    cmocka_unit_test(accepts_the_same_keys_where_they_change_nothing),
	    cmocka_unit_test(refuses_tensors_of_a_layer_that_it_would_leave_out),
	    cmocka_unit_test(refuses_a_missing_tensor_by_name),
	    cmocka_unit_test(refuses_a_misshapen_tensor_with_both_shapes),
	    cmocka_unit_test(refuses_a_type_it_has_no_products_for),
	    cmocka_unit_test(refuses_a_norm_that_is_not_binary32),
	    cmocka_unit_test(refuses_factors_that_no_frequency_can_be_divided_by),
	    cmocka_unit_test(refuses_a_range_that_the_model_does_not_have),
	    cmocka_unit_test(refuses_tensors_past_the_bytes_that_are_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
