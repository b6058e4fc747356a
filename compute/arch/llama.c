/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Llama family (Touvron et al., "LLaMA" and its successors): pre-norm blocks with RMS norms,
 * rotary positions on interleaved pairs, grouped-query attention and a SwiGLU feed-forward, without
 * biases. Keys and tensor names as in ggml-org/ggml docs/gguf.md.
 */
#include <stdlib.h>

#include "compute/arch/arch.h"

/* ---- sizes ---------------------------------------------------------------------------------- */

static int refuse(struct error *err, const char *key, const char *why)
{
	return error_set(err, AYNI_ERR_UNSUPPORTED, "model: %s: %s is not supported", key, why);
}

/* A key's number, whole or not; a missing key leaves `*out`. */
static int read_any_number(const struct gguf *g, const char *key, double *out)
{
	int rc = gguf_get_f64(g, key, out);
	uint64_t whole;

	if (rc == AYNI_ERR_FORMAT && gguf_get_u64(g, key, &whole) == AYNI_OK) {
		*out = (double)whole;
		rc = AYNI_OK;
	}
	return rc == AYNI_ERR_NOT_FOUND ? AYNI_OK : rc;
}

/* Numbers that change the arithmetic unless they are missing or have a neutral value. */
static int refuse_numbers(const struct gguf *g, struct error *err)
{
	static const struct {
		const char *key, *why;
		double neutral, also_neutral;
	} numbers[] = {
	    {"llama.expert_count", "a mixture of experts", 0, 0},
	    {"llama.rope.scale_linear", "linear scaling of positions", 0, 1},
	    {"llama.attention.sliding_window", "a sliding window", 0, 0},
	    {"llama.attention.scale", "another scale of attention scores", 0, 0},
	    {"llama.attention.clamp_kqv", "clamping of queries, keys and values", 0, 0},
	    {"llama.attn_logit_softcapping", "capping of attention scores", 0, 0},
	    {"llama.final_logit_softcapping", "capping of logits", 0, 0},
	    {"llama.logit_scale", "scaling of logits", 0, 1},
	    {"llama.residual_scale", "scaling of the residual", 0, 1},
	    {"llama.embedding_scale", "scaling of the embedding", 0, 1},
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		double value = numbers[i].neutral;

		if (read_any_number(g, numbers[i].key, &value) != AYNI_OK ||
		    (value != numbers[i].neutral && value != numbers[i].also_neutral))
			return refuse(err, numbers[i].key, numbers[i].why);
	}
	return AYNI_OK;
}

static int refuse_words(const struct gguf *g, struct error *err)
{
	static const char type_key[] = "llama.rope.scaling.type";
	static const char factor_key[] = "llama.rope.scaling.factor";
	static const char causal_key[] = "llama.attention.causal";
	char text[MODEL_WORD_BYTES];
	struct span type;
	double factor = 1.0;
	bool causal = true;
	int rc = gguf_get_string(g, type_key, &type);

	if (rc == AYNI_ERR_FORMAT)
		return error_set(err, AYNI_ERR_FORMAT, "model: %s is not a string", type_key);
	if (rc == AYNI_OK && !(type.len == 4 && memcmp(type.data, "none", 4) == 0))
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "model: %s: scaling of positions by \"%s\" is not supported (supported: none)",
		    type_key, model_word(type, text));
	/* A factor without a type means linear scaling to those who wrote such files. */
	if (rc == AYNI_ERR_NOT_FOUND && (read_any_number(g, factor_key, &factor) != AYNI_OK ||
	                                    (factor != 0.0 && factor != 1.0)))
		return refuse(err, factor_key, "linear scaling of positions");
	if (gguf_get_bool(g, causal_key, &causal) == AYNI_ERR_FORMAT || !causal)
		return refuse(err, causal_key, "attention to later positions");
	return AYNI_OK;
}

/* A number in [min, max]. If the key is missing: `*out` as it was when optional, else an error. */
static int read_number(const struct gguf *g, const char *key, double min, double max, bool optional,
    double *out, struct error *err)
{
	double value;
	int rc = gguf_get_f64(g, key, &value);

	if (rc == AYNI_ERR_NOT_FOUND && optional)
		return AYNI_OK;
	if (rc != AYNI_OK)
		return error_set(err, AYNI_ERR_FORMAT, "model: %s is %s", key,
		    rc == AYNI_ERR_NOT_FOUND ? "missing" : "not a number");
	if (!(value >= min && value <= max))
		return error_set(err, AYNI_ERR_LIMIT, "model: %s is %g, not between %g and %g", key,
		    value, min, max);
	*out = value;
	return AYNI_OK;
}

static int check_widths(const struct model_sizes *s, struct error *err)
{
	uint64_t queries = (uint64_t)s->n_heads * s->d_head;
	uint64_t values = (uint64_t)s->n_heads * s->d_value;

	if (s->n_kv_heads > s->n_heads || s->n_heads % s->n_kv_heads != 0)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: %u query heads cannot share %u key heads evenly", s->n_heads,
		    s->n_kv_heads);
	if (s->d_rope % 2 != 0 || s->d_rope > s->d_head)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: llama.rope.dimension_count is %u, not an even number up to the %u "
		    "elements "
		    "of a head",
		    s->d_rope, s->d_head);
	if (queries > MODEL_MAX_WIDTH || values > MODEL_MAX_WIDTH)
		return error_set(err, AYNI_ERR_LIMIT,
		    "model: %u heads of %u and %u elements are wider than %d", s->n_heads,
		    s->d_head, s->d_value, MODEL_MAX_WIDTH);
	return AYNI_OK;
}

static int read_heads(const struct gguf *g, struct model_sizes *s, struct error *err)
{
	const struct model_key keys[] = {
	    {"llama.attention.head_count_kv", 1, MODEL_MAX_HEADS, true},
	    {"llama.attention.key_length", 1, MODEL_MAX_WIDTH, s->d_model % s->n_heads == 0},
	    {"llama.attention.value_length", 1, MODEL_MAX_WIDTH, s->d_model % s->n_heads == 0},
	    {"llama.rope.dimension_count", 2, MODEL_MAX_WIDTH, true},
	};
	int rc;

	s->n_kv_heads = s->n_heads;
	rc = model_read_u32(g, &keys[0], &s->n_kv_heads, err);
	if (rc != AYNI_OK)
		return rc;
	s->d_head = s->d_value = s->d_model / s->n_heads;
	rc = model_read_u32(g, &keys[1], &s->d_head, err);
	if (rc != AYNI_OK)
		return rc;
	rc = model_read_u32(g, &keys[2], &s->d_value, err);
	if (rc != AYNI_OK)
		return rc;
	s->d_rope = s->d_head;
	rc = model_read_u32(g, &keys[3], &s->d_rope, err);
	return rc != AYNI_OK ? rc : check_widths(s, err);
}

/* The vocabulary is as large as the embedding; a key that says otherwise is an error. */
static int read_vocabulary(const struct gguf *g, struct model_sizes *s, struct error *err)
{
	const struct gguf_tensor *t = gguf_tensor_find(g, "token_embd.weight");
	const struct model_key key = {"llama.vocab_size", 1, LIMIT_VOCABULARY, true};
	uint32_t stated;
	int rc;

	if (t == NULL)
		return error_set(
		    err, AYNI_ERR_FORMAT, "model: tensor token_embd.weight is missing");
	if (t->dims[1] < 1 || t->dims[1] > LIMIT_VOCABULARY)
		return error_set(err, AYNI_ERR_LIMIT,
		    "model: token_embd.weight has %llu rows, not between 1 and %d",
		    (unsigned long long)t->dims[1], LIMIT_VOCABULARY);
	s->n_vocabulary = stated = (uint32_t)t->dims[1];
	rc = model_read_u32(g, &key, &stated, err);
	if (rc != AYNI_OK)
		return rc;
	if (stated != s->n_vocabulary)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: llama.vocab_size is %u, but token_embd.weight has %u rows", stated,
		    s->n_vocabulary);
	return AYNI_OK;
}

static int refuse_tensors(const struct gguf *g, const struct model_sizes *s, struct error *err);

static int read_sizes(const struct gguf *g, struct model_sizes *out, struct error *err)
{
	struct model_sizes s = {.rope_base = 10000.0};
	const struct {
		struct model_key key;
		uint32_t *out;
	} numbers[] = {
	    {{"llama.block_count", 1, LIMIT_LAYERS, false}, &s.n_layers},
	    {{"llama.context_length", 1, UINT32_MAX, false}, &s.context_tokens},
	    {{"llama.embedding_length", 1, MODEL_MAX_WIDTH, false}, &s.d_model},
	    {{"llama.feed_forward_length", 1, MODEL_MAX_WIDTH, false}, &s.d_ff},
	    {{"llama.attention.head_count", 1, MODEL_MAX_HEADS, false}, &s.n_heads},
	};
	double epsilon;
	int rc = refuse_numbers(g, err);

	if (rc == AYNI_OK)
		rc = refuse_words(g, err);
	for (size_t i = 0; rc == AYNI_OK && i < sizeof numbers / sizeof numbers[0]; i++)
		rc = model_read_u32(g, &numbers[i].key, numbers[i].out, err);
	if (rc == AYNI_OK)
		rc = read_heads(g, &s, err);
	if (rc == AYNI_OK)
		rc = read_number(
		    g, "llama.attention.layer_norm_rms_epsilon", 1e-30, 1.0, false, &epsilon, err);
	if (rc == AYNI_OK)
		rc = read_number(g, "llama.rope.freq_base", 1.0, 1e15, true, &s.rope_base, err);
	if (rc == AYNI_OK)
		rc = read_vocabulary(g, &s, err);
	if (rc == AYNI_OK)
		rc = refuse_tensors(g, &s, err);
	if (rc != AYNI_OK)
		return rc;
	if (s.context_tokens > LIMIT_CONTEXT_TOKENS)
		s.context_tokens = LIMIT_CONTEXT_TOKENS;
	s.norm_epsilon = (float)epsilon;
	*out = s;
	return AYNI_OK;
}

/* ---- weights -------------------------------------------------------------------------------- */

enum width { ONE, D_MODEL, D_FF, QUERIES, KEYS, VALUES, MIXED };

static uint32_t width_of(const struct model_sizes *s, enum width w)
{
	switch (w) {
	case ONE:
		return 1;
	case D_MODEL:
		return s->d_model;
	case D_FF:
		return s->d_ff;
	case QUERIES:
		return s->n_heads * s->d_head;
	case KEYS:
		return s->n_kv_heads * s->d_head;
	case VALUES:
		return s->n_kv_heads * s->d_value;
	case MIXED:
		return s->n_heads * s->d_value;
	}
	assert(false);
	return 0;
}

/* The tensors "blk.<layer>.<suffix>"; a vector has one row. */
static const struct layer_tensor {
	const char *suffix;
	enum width rows, cols;
	size_t field; /* of struct layer_weights */
} layer_tensors[] = {
    {"attn_norm.weight", ONE, D_MODEL, offsetof(struct layer_weights, attention_norm)},
    {"attn_q.weight", QUERIES, D_MODEL, offsetof(struct layer_weights, query)},
    {"attn_k.weight", KEYS, D_MODEL, offsetof(struct layer_weights, key)},
    {"attn_v.weight", VALUES, D_MODEL, offsetof(struct layer_weights, value)},
    {"attn_output.weight", D_MODEL, MIXED, offsetof(struct layer_weights, attention_out)},
    {"ffn_norm.weight", ONE, D_MODEL, offsetof(struct layer_weights, ff_norm)},
    {"ffn_gate.weight", D_FF, D_MODEL, offsetof(struct layer_weights, ff_gate)},
    {"ffn_up.weight", D_FF, D_MODEL, offsetof(struct layer_weights, ff_up)},
    {"ffn_down.weight", D_MODEL, D_FF, offsetof(struct layer_weights, ff_down)},
};

enum { N_LAYER_TENSORS = sizeof layer_tensors / sizeof layer_tensors[0] };

static int load_layers(const struct gguf *g, struct model *m, struct error *err)
{
	char name[GGUF_MAX_NAME_BYTES];
	int rc = AYNI_OK;

	for (uint32_t layer = m->layer_first; layer < m->layer_last; layer++) {
		char *weights = (char *)&m->layers[layer - m->layer_first];

		for (size_t i = 0; rc == AYNI_OK && i < N_LAYER_TENSORS; i++) {
			const struct layer_tensor *t = &layer_tensors[i];
			uint32_t cols = width_of(&m->sizes, t->cols);
			void *field = weights + t->field;

			(void)snprintf(name, sizeof name, "blk.%u.%s", layer, t->suffix);
			if (t->rows == ONE)
				rc = model_read_vector(g, name, cols, field, err);
			else
				rc = model_read_matrix(
				    g, name, width_of(&m->sizes, t->rows), cols, field, err);
		}
	}
	return rc;
}

/* "blk.<layer>.<suffix>" with a suffix of the table, the number written the only way it can be. */
static bool layer_of(const char *tensor_name, uint32_t *layer)
{
	unsigned long number;
	char *rest;

	if (strncmp(tensor_name, "blk.", 4) != 0 || tensor_name[4] < '0' || tensor_name[4] > '9')
		return false;
	number = strtoul(tensor_name + 4, &rest, 10);
	if (*rest != '.' || number >= LIMIT_LAYERS ||
	    (tensor_name[4] == '0' && tensor_name[5] != '.'))
		return false;
	for (size_t i = 0; i < N_LAYER_TENSORS; i++)
		if (strcmp(rest + 1, layer_tensors[i].suffix) == 0) {
			*layer = (uint32_t)number;
			return true;
		}
	return false;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), n_end = strlen(end);

	return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/*
 * A tensor of a layer that the table does not name (a bias, an expert, a scale) would have to be
 * used: without it the model would be another one.
 */
static int refuse_tensors(const struct gguf *g, const struct model_sizes *s, struct error *err)
{
	char text[MODEL_WORD_BYTES];

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const char *name = gguf_tensor_at(g, i)->name;
		bool of_layer = strncmp(name, "blk.", 4) == 0;
		uint32_t layer;

		if ((of_layer && !(layer_of(name, &layer) && layer < s->n_layers)) ||
		    ends_with(name, ".bias"))
			return error_set(err, AYNI_ERR_UNSUPPORTED,
			    "model: tensor %s is not one that this family uses, and leaving it out "
			    "would change the results",
			    model_word((struct span){(const uint8_t *)name, strlen(name)}, text));
	}
	return AYNI_OK;
}

/* ---- the layer ------------------------------------------------------------------------------ */

static void run_layer(struct batch *b, uint32_t layer)
{
	const struct layer_weights *w = &b->model->layers[layer];
	const struct batch_product heads[] = {
	    {&w->query, b->query}, {&w->key, b->key}, {&w->value, b->value}};
	const struct batch_product attention_out = {&w->attention_out, b->update};
	const struct batch_product gate_up[] = {{&w->ff_gate, b->gate}, {&w->ff_up, b->up}};
	const struct batch_product down = {&w->ff_down, b->update};

	batch_norm(b, w->attention_norm);
	batch_products(b, b->normed, b->n_tokens, heads, 3);
	batch_rotate(b);
	batch_remember(b, layer);
	batch_attend(b, layer);
	batch_products(b, b->mixed, b->n_tokens, &attention_out, 1);
	batch_add(b);

	batch_norm(b, w->ff_norm);
	batch_products(b, b->normed, b->n_tokens, gate_up, 2);
	batch_gate(b);
	batch_products(b, b->gate, b->n_tokens, &down, 1);
	batch_add(b);
}

const struct arch arch_llama = {
    .name = "llama",
    .read_sizes = read_sizes,
    .load_layers = load_layers,
    .layer_of = layer_of,
    .run_layer = run_layer,
};
