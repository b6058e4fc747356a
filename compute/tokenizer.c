/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/tokenizer.h"

#include <stdlib.h>

#include "compute/tokenizer_internal.h"

/* Texts shorter than this do not repeat words enough to pay for the cache. */
enum { CACHE_FROM_BYTES = 4096 };

static int spellings_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	const char *key = "tokenizer.ggml.tokens";
	enum gguf_type type;
	struct span text;
	size_t n, total = 0;

	if (gguf_get_array(g, key, &type, &n) < 0 || type != GGUF_STRING)
		return error_set(
		    err, AYNI_ERR_FORMAT, "tokenizer: %s is not an array of strings", key);
	if (n == 0 || n > LIMIT_VOCABULARY)
		return error_set(err, n == 0 ? AYNI_ERR_FORMAT : AYNI_ERR_LIMIT,
		    "tokenizer: %zu tokens; 1 to %d are possible", n, LIMIT_VOCABULARY);
	t->n = (uint32_t)n;
	t->spelling_at = malloc((n + 1) * sizeof *t->spelling_at);
	if (t->spelling_at == NULL)
		return AYNI_ERR_MEMORY;
	for (size_t i = 0; i < n; i++) {
		if (gguf_array_string(g, key, i, &text) < 0)
			return error_set(
			    err, AYNI_ERR_FORMAT, "tokenizer: token %zu is unreadable", i);
		if (text.len > TOKENIZER_MAX_TOKEN_BYTES)
			return error_set(err, AYNI_ERR_LIMIT,
			    "tokenizer: token %zu is %zu bytes long; at most %d", i, text.len,
			    TOKENIZER_MAX_TOKEN_BYTES);
		if (text.len > t->max_bytes)
			t->max_bytes = (uint32_t)text.len;
		t->spelling_at[i] = (uint32_t)total;
		total += text.len;
		if (total > VOCABULARY_MAX_BYTES)
			return error_set(err, AYNI_ERR_LIMIT,
			    "tokenizer: the tokens exceed %d bytes", VOCABULARY_MAX_BYTES);
	}
	t->spelling_at[n] = (uint32_t)total;
	t->spellings = malloc(total + 1);
	if (t->spellings == NULL)
		return AYNI_ERR_MEMORY;
	for (size_t i = 0; i < n; i++)
		if (gguf_array_string(g, key, i, &text) == AYNI_OK && text.len > 0)
			memcpy(t->spellings + t->spelling_at[i], text.data, text.len);
	return AYNI_OK;
}

static int types_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	const char *key = "tokenizer.ggml.token_type";
	enum gguf_type type;
	size_t n;
	int rc = gguf_get_array(g, key, &type, &n);

	t->types = malloc(t->n);
	if (t->types == NULL)
		return AYNI_ERR_MEMORY;
	memset(t->types, TOKEN_NORMAL, t->n);
	if (rc == AYNI_ERR_NOT_FOUND)
		return AYNI_OK;
	if (rc < 0)
		return error_set(err, AYNI_ERR_FORMAT, "tokenizer: %s is not an array", key);
	if (n != t->n)
		return error_set(
		    err, AYNI_ERR_FORMAT, "tokenizer: %u tokens, but %zu token types", t->n, n);
	for (uint32_t i = 0; i < t->n; i++) {
		uint64_t value;

		if (gguf_array_u64(g, key, i, &value) < 0 || value > TOKEN_BYTE)
			return error_set(err, AYNI_ERR_FORMAT,
			    "tokenizer: the type of token %u is not one of 0 to 6", i);
		t->types[i] = (uint8_t)value;
	}
	return AYNI_OK;
}

int tokenizer_id_load(const struct tokenizer *t, const struct gguf *g, const char *key,
    uint32_t *id, struct error *err)
{
	uint64_t value;
	int rc = gguf_get_u64(g, key, &value);

	if (rc == AYNI_ERR_NOT_FOUND)
		return AYNI_OK;
	if (rc < 0)
		return error_set(err, AYNI_ERR_FORMAT, "tokenizer: %s is not a token id", key);
	if (value >= t->n)
		return error_set(err, AYNI_ERR_FORMAT,
		    "tokenizer: %s is %llu; the vocabulary has %u tokens", key,
		    (unsigned long long)value, t->n);
	*id = (uint32_t)value;
	return AYNI_OK;
}

/* The usual id where the file names none, if that token can be meant. */
static uint32_t usual_id(const struct tokenizer *t, uint32_t id)
{
	return id < t->n && t->types[id] == TOKEN_CONTROL ? id : (uint32_t)TOKENIZER_NONE;
}

/* The boolean under `key`; without the key *value stays. */
static int bool_load(const struct gguf *g, const char *key, bool *value, struct error *err)
{
	int rc = gguf_get_bool(g, key, value);

	if (rc < 0 && rc != AYNI_ERR_NOT_FOUND)
		return error_set(err, AYNI_ERR_FORMAT, "tokenizer: %s is not a boolean", key);
	return AYNI_OK;
}

static int special_ids_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	bool spm = t->model == MODEL_SPM;
	int rc;

	t->bos = usual_id(t, spm ? 1 : 11);
	t->eos = usual_id(t, spm ? 2 : 11);
	t->unknown = spm && t->types[0] == TOKEN_UNKNOWN ? 0 : (uint32_t)TOKENIZER_NONE;
	rc = tokenizer_id_load(t, g, "tokenizer.ggml.bos_token_id", &t->bos, err);
	if (rc == AYNI_OK)
		rc = tokenizer_id_load(t, g, "tokenizer.ggml.eos_token_id", &t->eos, err);
	if (rc == AYNI_OK)
		rc = tokenizer_id_load(t, g, "tokenizer.ggml.unknown_token_id", &t->unknown, err);
	if (rc < 0)
		return rc;
	rc = bool_load(g, "tokenizer.ggml.add_bos_token", &t->adds_bos, err);
	if (rc == AYNI_OK)
		rc = bool_load(g, "tokenizer.ggml.add_eos_token", &t->adds_eos, err);
	if (rc < 0)
		return rc;
	t->adds_bos = t->adds_bos && t->bos != (uint32_t)TOKENIZER_NONE;
	t->adds_eos = t->adds_eos && t->eos != (uint32_t)TOKENIZER_NONE;
	return ends_load(t, g, err);
}

static int model_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	struct span name;

	if (gguf_get_string(g, "tokenizer.ggml.model", &name) < 0)
		return error_set(err, AYNI_ERR_FORMAT,
		    "tokenizer: tokenizer.ggml.model is missing or not a string");
	if (name.len == 4 && memcmp(name.data, "gpt2", 4) == 0) {
		t->model = MODEL_BPE;
		return bpe_load(t, g, err);
	}
	if (name.len == 5 && memcmp(name.data, "llama", 5) == 0) {
		t->model = MODEL_SPM;
		return spm_load(t, g, err);
	}
	return error_set(err, AYNI_ERR_UNSUPPORTED,
	    "tokenizer: only the models 'gpt2' and 'llama' are known; this file has another");
}

int tokenizer_new(const struct gguf *g, struct tokenizer **out, struct error *err)
{
	struct tokenizer *t = calloc(1, sizeof *t);
	int rc = AYNI_ERR_MEMORY;

	*out = NULL;
	if (t == NULL)
		goto out;
	rc = spellings_load(t, g, err);
	if (rc == AYNI_OK)
		rc = types_load(t, g, err);
	if (rc == AYNI_OK)
		rc = model_load(t, g, err);
	if (rc == AYNI_OK)
		rc = special_ids_load(t, g, err);
	if (rc == AYNI_OK)
		rc = specials_load(t, g, err);
out:
	if (rc == AYNI_ERR_MEMORY)
		error_set(err, rc, "tokenizer: no memory for the vocabulary");
	if (rc < 0) {
		tokenizer_free(t);
		return rc;
	}
	*out = t;
	return AYNI_OK;
}

void tokenizer_free(struct tokenizer *t)
{
	if (t == NULL)
		return;
	pretokenizer_free(t->pre);
	pieces_clear(&t->pieces);
	free(t->spellings);
	free(t->spelling_at);
	free(t->types);
	free(t->ends);
	free(t->rules);
	free(t->score_rank);
	free(t->special);
	free(t);
}

uint32_t tokenizer_size(const struct tokenizer *t)
{
	return t->n;
}

uint32_t tokenizer_bos(const struct tokenizer *t)
{
	return t->bos;
}

uint32_t tokenizer_eos(const struct tokenizer *t)
{
	return t->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
	return t->adds_bos;
}

bool tokenizer_adds_eos(const struct tokenizer *t)
{
	return t->adds_eos;
}

bool tokenizer_is_end(const struct tokenizer *t, uint32_t id)
{
	return id < t->n && t->ends[id];
}

struct span tokenizer_spelling(const struct tokenizer *t, uint32_t id)
{
	if (id >= t->n)
		return (struct span){t->spellings, 0};
	return (struct span){
	    t->spellings + t->spelling_at[id], t->spelling_at[id + 1] - t->spelling_at[id]};
}

static int on_stretch(void *arg, const uint8_t *text, size_t len, uint32_t id)
{
	struct encoder *e = arg;
	bool after_special = e->after_special;

	e->after_special = id != (uint32_t)TOKENIZER_NONE;
	if (e->after_special)
		return ids_append(&e->ids, id);
	if (e->t->model == MODEL_BPE)
		return bpe_encode(e, text, len);
	return spm_encode(e, text, len, after_special);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
    uint32_t **ids, size_t *n_ids, struct error *err)
{
	struct encoder e = {.t = t, .err = err, .after_special = true};
	int rc = AYNI_OK;

	*ids = NULL;
	*n_ids = 0;
	if (len > TOKENIZER_MAX_TEXT_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "tokenizer: a text of %zu bytes; at most %d",
		    len, TOKENIZER_MAX_TEXT_BYTES);
	if (len >= CACHE_FROM_BYTES)
		e.cache = calloc(CACHE_SLOTS, sizeof *e.cache); /* without it: slower */
	if ((flags & TOKENIZER_BOS) != 0 && t->bos != (uint32_t)TOKENIZER_NONE)
		rc = ids_append(&e.ids, t->bos);
	if (rc == AYNI_OK)
		rc = specials_cut(t, (const uint8_t *)text, len, (flags & TOKENIZER_SPECIAL) != 0,
		    on_stretch, &e, err);
	if (rc == AYNI_OK && (flags & TOKENIZER_EOS) != 0 && t->eos != (uint32_t)TOKENIZER_NONE)
		rc = ids_append(&e.ids, t->eos);
	if (rc == AYNI_OK) {
		*ids = e.ids.at;
		*n_ids = e.ids.n;
		e.ids.at = NULL;
	} else if (rc == AYNI_ERR_MEMORY) {
		error_set(err, rc, "tokenizer: no memory for a text of %zu bytes", len);
	}
	encoder_clear(&e);
	return rc;
}
