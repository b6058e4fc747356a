/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sizes that all families name alike. Keys as in ggml-org/ggml docs/gguf.md.
 */
#include <math.h>

#include "compute/arch/arch.h"

/* A key's number, whole or not; a missing key leaves `*out`. */
static int read_any_number(const struct arch_keys *k, const char *suffix, double *out)
{
	char name[GGUF_MAX_NAME_BYTES];
	int rc = gguf_get_f64(k->g, key_name(k, suffix, name), out);
	uint64_t whole;

	if (rc == AYNI_ERR_FORMAT && gguf_get_u64(k->g, name, &whole) == AYNI_OK) {
		*out = (double)whole;
		rc = AYNI_OK;
	}
	return rc == AYNI_ERR_NOT_FOUND ? AYNI_OK : rc;
}

static bool understands(const struct arch *a, const char *suffix)
{
	for (const char *const *u = a->understands; *u != NULL; u++)
		if (strcmp(*u, suffix) == 0)
			return true;
	return false;
}

/* Numbers that change the arithmetic unless they are missing or have a neutral value. */
static int refuse_numbers(const struct arch *a, const struct arch_keys *k)
{
	static const struct {
		const char *suffix, *why;
		double neutral, also_neutral;
	} numbers[] = {
	    {"expert_count", "a mixture of experts", 0, 0},
	    {"attention.sliding_window", "a sliding window", 0, 0},
	    {"attention.clamp_kqv", "clamping of queries, keys and values", 0, 0},
	    {"attention.temperature_scale", "a temperature that grows with the position", 0, 0},
	    {"attn_logit_softcapping", "capping of attention scores", 0, 0},
	    {"final_logit_softcapping", "capping of logits", 0, 0},
	    {"logit_scale", "scaling of logits", 0, 1},
	    {"residual_scale", "scaling of the residual", 0, 1},
	    {"embedding_scale", "scaling of the embedding", 0, 1},
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		double value = numbers[i].neutral;

		if (understands(a, numbers[i].suffix))
			continue;
		if (read_any_number(k, numbers[i].suffix, &value) != AYNI_OK ||
		    (value != numbers[i].neutral && value != numbers[i].also_neutral))
			return key_refuse(k, numbers[i].suffix, numbers[i].why);
	}
	return AYNI_OK;
}

static int refuse_unmasked_attention(const struct arch_keys *k)
{
	bool causal = true;
	char name[GGUF_MAX_NAME_BYTES];

	if (gguf_get_bool(k->g, key_name(k, "attention.causal", name), &causal) ==
	        AYNI_ERR_FORMAT ||
	    !causal)
		return key_refuse(k, "attention.causal", "attention to later positions");
	return AYNI_OK;
}

/* ---- positions ------------------------------------------------------------------------------ */

static int read_scaling_type(const struct arch_keys *k, struct rope_sizes *r)
{
	char text[MODEL_WORD_BYTES];
	struct span type;
	int rc = key_word(k, "rope.scaling.type", &type);

	if (rc != AYNI_OK)
		return rc;
	/* A factor without a type means linear scaling to those who wrote such files. */
	if (type.data == NULL || word_is(type, "linear"))
		r->scaling = ROPE_LINEAR;
	else if (word_is(type, "none"))
		r->scaling = ROPE_UNSCALED;
	else if (word_is(type, "yarn"))
		r->scaling = ROPE_YARN;
	else if (word_is(type, "longrope"))
		r->scaling = ROPE_LONG;
	else
		return error_set(k->err, AYNI_ERR_UNSUPPORTED,
		    "model: %s.rope.scaling.type: scaling of positions by \"%s\" is not supported "
		    "(supported: none, linear, yarn, longrope)",
		    k->arch, model_word(type, text));
	return AYNI_OK;
}

static int read_factor(const struct arch_keys *k, struct rope_sizes *r)
{
	double factor = 1.0;

	if (read_any_number(k, "rope.scale_linear", &factor) != AYNI_OK ||
	    read_any_number(k, "rope.scaling.factor", &factor) != AYNI_OK)
		return error_set(k->err, AYNI_ERR_FORMAT,
		    "model: %s.rope.scaling.factor is not a number", k->arch);
	if (factor == 0.0)
		factor = 1.0;
	if (!(factor >= 1.0 && factor <= 1e6))
		return error_set(k->err, AYNI_ERR_LIMIT,
		    "model: %s.rope.scaling.factor is %g, not between 1 and 1e6", k->arch, factor);
	r->factor = factor;
	if (r->scaling == ROPE_LINEAR && factor == 1.0)
		r->scaling = ROPE_UNSCALED;
	return AYNI_OK;
}

static int read_rope(const struct arch_keys *k, struct model_sizes *s)
{
	struct rope_sizes *r = &s->rope;
	uint32_t original = s->context_tokens;
	int rc = read_scaling_type(k, r);

	r->extrapolation = r->attention_factor = 1.0;
	r->beta_fast = 32.0;
	r->beta_slow = 1.0;
	if (rc == AYNI_OK)
		rc = read_factor(k, r);
	if (rc == AYNI_OK)
		rc = key_number(k, "rope.freq_base", 1.0, 1e15, KEY_OPTIONAL, &r->base);
	if (rc == AYNI_OK)
		rc = key_u32(k, "rope.scaling.original_context_length", 1, UINT32_MAX, KEY_OPTIONAL,
		    &original);
	if (rc == AYNI_OK)
		rc = key_number(k, "rope.scaling.attn_factor", 0x1p-20, 0x1p20, KEY_OPTIONAL,
		    &r->attention_factor);
	if (rc == AYNI_OK && r->scaling == ROPE_YARN) {
		const struct {
			const char *suffix;
			double min, max, *out;
		} numbers[] = {
		    {"rope.scaling.yarn_ext_factor", 0.0, 1.0, &r->extrapolation},
		    {"rope.scaling.yarn_attn_factor", 0x1p-20, 0x1p20, &r->attention_factor},
		    {"rope.scaling.yarn_beta_fast", 0x1p-20, 0x1p20, &r->beta_fast},
		    {"rope.scaling.yarn_beta_slow", 0x1p-20, 0x1p20, &r->beta_slow},
		    {"rope.scaling.yarn_log_multiplier", 0.0, 0x1p10, &r->log_multiplier},
		};

		for (size_t i = 0; rc == AYNI_OK && i < sizeof numbers / sizeof numbers[0]; i++)
			rc = key_number(k, numbers[i].suffix, numbers[i].min, numbers[i].max,
			    KEY_OPTIONAL, numbers[i].out);
	}
	r->original = (double)original;
	return rc;
}

int sizes_read_window(const struct arch_keys *k, uint32_t period, struct model_sizes *s)
{
	static const char pattern[] = "attention.sliding_window_pattern";
	char name[GGUF_MAX_NAME_BYTES];
	enum gguf_type type;
	size_t n;
	int rc = key_u32(k, "attention.sliding_window", 0, UINT32_MAX, KEY_OPTIONAL, &s->window);

	s->window_period = period;
	if (rc != AYNI_OK || !key_exists(k, pattern))
		return rc;
	if (gguf_get_array(k->g, key_name(k, pattern, name), &type, &n) != AYNI_OK)
		return key_u32(k, pattern, 0, LIMIT_LAYERS, KEY_OPTIONAL, &s->window_period);
	/* An array says it layer by layer; known models are regular. */
	for (size_t i = 0; i < n && i < s->n_layers; i++) {
		uint64_t windowed;

		if (gguf_array_u64(k->g, name, i, &windowed) != AYNI_OK ||
		    (windowed != 0) != model_layer_is_windowed(s, (uint32_t)i))
			return key_refuse(k, pattern, "this order of windowed layers");
	}
	return AYNI_OK;
}

int sizes_read_temperature(const struct arch_keys *k, struct model_sizes *s)
{
	double temperature = 0.0;
	int rc =
	    key_number(k, "attention.temperature_scale", 0.0, 100.0, KEY_OPTIONAL, &temperature);

	s->temperature = (float)temperature;
	s->temperature_tokens = (uint32_t)s->rope.original;
	return rc != AYNI_OK ? rc
	                     : key_u32(k, "attention.temperature_length", 1, UINT32_MAX,
	                           KEY_OPTIONAL, &s->temperature_tokens);
}

/* ---- experts -------------------------------------------------------------------------------- */

static int check_groups(const struct arch_keys *k, const struct expert_sizes *e)
{
	if (e->n_groups == 0)
		return AYNI_OK;
	if (e->n % e->n_groups != 0 || e->n_groups_used > e->n_groups ||
	    (uint64_t)e->n_used * e->n_groups > (uint64_t)e->n * e->n_groups_used ||
	    e->n / e->n_groups < 2)
		return error_set(k->err, AYNI_ERR_FORMAT,
		    "model: %u of %u experts cannot be chosen from %u of %u groups", e->n_used,
		    e->n, e->n_groups_used, e->n_groups);
	return AYNI_OK;
}

int sizes_read_experts(const struct arch_keys *k, struct model_sizes *s)
{
	struct expert_sizes *e = &s->experts;
	uint32_t d_ff = s->d_ff;
	double scale = 0.0;
	int rc = key_u32(k, "expert_count", 0, MODEL_MAX_EXPERTS, KEY_OPTIONAL, &e->n);

	if (rc != AYNI_OK || e->n == 0)
		return rc;
	rc = key_u32(k, "expert_used_count", 1,
	    e->n < MODEL_MAX_EXPERTS_USED ? e->n : MODEL_MAX_EXPERTS_USED, KEY_REQUIRED,
	    &e->n_used);
	if (rc == AYNI_OK)
		rc = key_u32(k, "expert_feed_forward_length", 1, MODEL_MAX_WIDTH,
		    d_ff > 0 ? KEY_OPTIONAL : KEY_REQUIRED, &d_ff);
	if (rc == AYNI_OK)
		rc = key_number(k, "expert_weights_scale", 0.0, 1e6, KEY_OPTIONAL, &scale);
	if (rc == AYNI_OK)
		rc = key_bool(k, "expert_weights_norm", &e->normalised);
	if (rc == AYNI_OK)
		rc = key_u32(k, "expert_group_count", 0, e->n, KEY_OPTIONAL, &e->n_groups);
	if (rc == AYNI_OK && e->n_groups == 1)
		e->n_groups = 0;
	if (rc == AYNI_OK && e->n_groups > 0)
		rc = key_u32(
		    k, "expert_group_used_count", 1, e->n_groups, KEY_REQUIRED, &e->n_groups_used);
	e->d_ff = d_ff;
	e->scale = scale > 0.0 ? (float)scale : 1.0f;
	return rc != AYNI_OK ? rc : check_groups(k, e);
}

/* ---- widths --------------------------------------------------------------------------------- */

static int check_widths(const struct arch_keys *k, const struct model_sizes *s)
{
	uint64_t queries = (uint64_t)s->n_heads * s->d_head;
	uint64_t values = (uint64_t)s->n_heads * s->d_value;
	uint64_t latent = (uint64_t)s->n_heads * ((uint64_t)s->d_latent + s->d_rope);

	if (s->n_kv_heads > s->n_heads || s->n_heads % s->n_kv_heads != 0)
		return error_set(k->err, AYNI_ERR_FORMAT,
		    "model: %u query heads cannot share %u key heads evenly", s->n_heads,
		    s->n_kv_heads);
	if (s->d_rope % 2 != 0 || s->d_rope > s->d_head)
		return error_set(k->err, AYNI_ERR_FORMAT,
		    "model: %s.rope.dimension_count is %u, not an even number up to the %u "
		    "elements of a head",
		    k->arch, s->d_rope, s->d_head);
	if (queries > MODEL_MAX_WIDTH || values > MODEL_MAX_WIDTH ||
	    (s->d_latent > 0 && latent > (uint64_t)MODEL_MAX_WIDTH * 4))
		return error_set(k->err, AYNI_ERR_LIMIT,
		    "model: %u heads of %u and %u elements are wider than %d", s->n_heads,
		    s->d_head, s->d_value, MODEL_MAX_WIDTH);
	return AYNI_OK;
}

static int read_heads(const struct arch_keys *k, struct model_sizes *s)
{
	int even = s->d_model % s->n_heads == 0 ? KEY_OPTIONAL : KEY_REQUIRED;
	int rc;

	s->n_kv_heads = s->n_heads;
	rc =
	    key_u32(k, "attention.head_count_kv", 1, MODEL_MAX_HEADS, KEY_OPTIONAL, &s->n_kv_heads);
	s->d_head = s->d_value = s->d_model / s->n_heads;
	if (rc == AYNI_OK)
		rc = key_u32(k, "attention.key_length", 1, MODEL_MAX_WIDTH, even, &s->d_head);
	if (rc == AYNI_OK)
		rc = key_u32(k, "attention.value_length", 1, MODEL_MAX_WIDTH, even, &s->d_value);
	s->d_rope = s->d_head;
	if (rc == AYNI_OK)
		rc = key_u32(
		    k, "rope.dimension_count", 2, MODEL_MAX_WIDTH, KEY_OPTIONAL, &s->d_rope);
	return rc;
}

/* The vocabulary is as large as the embedding; a key that says otherwise is an error. */
static int read_vocabulary(const struct arch_keys *k, struct model_sizes *s)
{
	const struct gguf_tensor *t = gguf_tensor_find(k->g, "token_embd.weight");
	uint32_t stated;
	int rc;

	if (t == NULL)
		return error_set(
		    k->err, AYNI_ERR_FORMAT, "model: tensor token_embd.weight is missing");
	if (t->dims[1] < 1 || t->dims[1] > LIMIT_VOCABULARY)
		return error_set(k->err, AYNI_ERR_LIMIT,
		    "model: token_embd.weight has %llu rows, not between 1 and %d",
		    (unsigned long long)t->dims[1], LIMIT_VOCABULARY);
	s->n_vocabulary = stated = (uint32_t)t->dims[1];
	rc = key_u32(k, "vocab_size", 1, LIMIT_VOCABULARY, KEY_OPTIONAL, &stated);
	if (rc == AYNI_OK && stated != s->n_vocabulary)
		rc = error_set(k->err, AYNI_ERR_FORMAT,
		    "model: %s.vocab_size is %u, but token_embd.weight has %u rows", k->arch,
		    stated, s->n_vocabulary);
	return rc;
}

static int read_widths(const struct arch_keys *k, struct model_sizes *s)
{
	const struct {
		const char *suffix;
		uint64_t min, max;
		int need;
		uint32_t *out;
	} numbers[] = {
	    {"block_count", 1, LIMIT_LAYERS, KEY_REQUIRED, &s->n_layers},
	    {"context_length", 1, UINT32_MAX, KEY_REQUIRED, &s->context_tokens},
	    {"embedding_length", 1, MODEL_MAX_WIDTH, KEY_REQUIRED, &s->d_model},
	    {"feed_forward_length", 1, MODEL_MAX_WIDTH,
	        key_exists(k, "expert_feed_forward_length") ? KEY_OPTIONAL : KEY_REQUIRED,
	        &s->d_ff},
	    {"attention.head_count", 1, MODEL_MAX_HEADS, KEY_REQUIRED, &s->n_heads},
	};
	double epsilon, scale = 0.0;
	int rc = AYNI_OK;

	for (size_t i = 0; rc == AYNI_OK && i < sizeof numbers / sizeof numbers[0]; i++)
		rc = key_u32(k, numbers[i].suffix, numbers[i].min, numbers[i].max, numbers[i].need,
		    numbers[i].out);
	if (rc == AYNI_OK)
		rc = read_heads(k, s);
	if (rc == AYNI_OK)
		rc = key_number(
		    k, "attention.layer_norm_rms_epsilon", 1e-30, 1.0, KEY_REQUIRED, &epsilon);
	if (rc == AYNI_OK)
		rc = key_number(k, "attention.scale", 0.0, 1e6, KEY_OPTIONAL, &scale);
	if (rc != AYNI_OK)
		return rc;
	s->norm_epsilon = (float)epsilon;
	s->attention_scale = (float)scale; /* 0: the usual one, from d_head */
	return AYNI_OK;
}

/* ---- what cannot be left out ---------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), n_end = strlen(end);

	return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/*
 * A tensor of a layer that the family's tables do not name (a bias, an adapter, a scale) would have
 * to be used: without it the model would be another one. Layers past the last one are those that
 * guess further tokens (nextn_predict_layers); the model is whole without them.
 */
static int refuse_tensors(
    const struct arch *a, const struct arch_keys *k, const struct model_sizes *s)
{
	bool guesses = key_exists(k, "nextn_predict_layers");
	char text[MODEL_WORD_BYTES];

	for (size_t i = 0; i < gguf_n_tensors(k->g); i++) {
		const char *name = gguf_tensor_at(k->g, i)->name;
		uint32_t layer;
		bool of_layer = strncmp(name, "blk.", 4) == 0;

		if (guesses && model_tensor_layer(name, &layer) && layer >= s->n_layers)
			continue;
		if ((of_layer && !arch_uses_tensor(a, k->g, s, name, &layer)) ||
		    (!of_layer && ends_with(name, ".bias")))
			return error_set(k->err, AYNI_ERR_UNSUPPORTED,
			    "model: tensor %s is not one that family %s uses, and leaving it out "
			    "would change the results",
			    model_word((struct span){(const uint8_t *)name, strlen(name)}, text),
			    a->name);
	}
	return AYNI_OK;
}

static int leave_out_guessing_layers(const struct arch_keys *k, struct model_sizes *s)
{
	uint32_t n = 0;
	int rc = key_u32(k, "nextn_predict_layers", 0, s->n_layers - 1, KEY_OPTIONAL, &n);

	s->n_layers -= n;
	return rc;
}

int arch_read_sizes(
    const struct arch *a, const struct gguf *g, struct model_sizes *out, struct error *err)
{
	const struct arch_keys k = {g, a->name, err};
	struct model_sizes s = {.rope = {.base = 10000.0}};
	int rc = refuse_numbers(a, &k);

	if (rc == AYNI_OK)
		rc = refuse_unmasked_attention(&k);
	if (rc == AYNI_OK)
		rc = read_widths(&k, &s);
	if (rc == AYNI_OK)
		rc = leave_out_guessing_layers(&k, &s);
	if (rc == AYNI_OK)
		rc = read_rope(&k, &s);
	if (rc == AYNI_OK)
		rc = read_vocabulary(&k, &s);
	if (rc == AYNI_OK && a->read_sizes != NULL)
		rc = a->read_sizes(&k, &s);
	if (rc == AYNI_OK)
		rc = check_widths(&k, &s);
	if (rc == AYNI_OK)
		rc = refuse_tensors(a, &k, &s);
	if (rc != AYNI_OK)
		return rc;
	if (s.attention_scale == 0.0f)
		s.attention_scale = 1.0f / sqrtf((float)s.d_head);
	if (s.context_tokens > LIMIT_CONTEXT_TOKENS)
		s.context_tokens = LIMIT_CONTEXT_TOKENS;
	*out = s;
	return AYNI_OK;
}
