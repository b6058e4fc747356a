/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page holds KV_PAGE_TOKENS positions of all layers, layer after layer:
 *
 *   layer 0: keys [64][key_width], values [64][value_width];  layer 1: keys, values; ...
 */
#include "compute/kv.h"

#include <stdlib.h>

struct kv {
	uint32_t layer_first, layer_last;
	uint32_t key_width, value_width; /* of struct attention_shape */
	uint32_t capacity;               /* positions */
	uint32_t length;                 /* positions that hold data */
	uint32_t reserved; /* positions that pages exist for and that may be written */
	uint32_t n_pages;  /* pages allocated; pages[0..n_pages) */
	size_t page_bytes;
	float **pages;
};

uint64_t kv_bytes_per_token(const struct model_sizes *sizes, uint32_t n_layers)
{
	/* Model sizes are bounded (MODEL_MAX_WIDTH), so this cannot overflow. */
	struct attention_shape a = model_attention_shape(sizes);

	return ((uint64_t)a.key_width + a.value_width) * n_layers * sizeof(float);
}

int kv_new(const struct model *m, uint32_t capacity_tokens, struct kv **out, struct error *err)
{
	struct attention_shape a = model_attention_shape(&m->sizes);
	uint32_t n_layers = m->layer_last - m->layer_first;
	size_t max_pages = ((size_t)capacity_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
	struct kv *kv;

	if (capacity_tokens == 0 || capacity_tokens > LIMIT_CONTEXT_TOKENS)
		return error_set(err, AYNI_ERR_LIMIT,
		    "kv: a capacity of %u positions is not between 1 and %d", capacity_tokens,
		    LIMIT_CONTEXT_TOKENS);
	kv = calloc(1, sizeof *kv);
	if (kv == NULL)
		goto err0;
	kv->layer_first = m->layer_first;
	kv->layer_last = m->layer_last;
	kv->key_width = a.key_width;
	kv->value_width = a.value_width;
	kv->capacity = capacity_tokens;
	if (__builtin_mul_overflow(
	        kv_bytes_per_token(&m->sizes, n_layers), KV_PAGE_TOKENS, &kv->page_bytes))
		goto err1;
	kv->pages = calloc(max_pages, sizeof *kv->pages);
	if (kv->pages == NULL)
		goto err1;
	*out = kv;
	return AYNI_OK;

err1:
	free(kv);
err0:
	return error_set(
	    err, AYNI_ERR_MEMORY, "kv: no memory for a cache of %u positions", capacity_tokens);
}

void kv_free(struct kv *kv)
{
	if (kv == NULL)
		return;
	for (uint32_t i = 0; i < kv->n_pages; i++) {
		explicit_bzero(kv->pages[i], kv->page_bytes);
		free(kv->pages[i]);
	}
	free(kv->pages);
	free(kv);
}

uint32_t kv_length(const struct kv *kv)
{
	return kv->length;
}

uint32_t kv_capacity(const struct kv *kv)
{
	return kv->capacity;
}

bool kv_fits(const struct kv *kv, const struct model *m)
{
	struct attention_shape a = model_attention_shape(&m->sizes);

	return kv->layer_first == m->layer_first && kv->layer_last == m->layer_last &&
	       kv->key_width == a.key_width && kv->value_width == a.value_width;
}

int kv_reserve(struct kv *kv, uint32_t position, uint32_t n, struct error *err)
{
	if (position > kv->length)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "kv: position %u leaves a gap after the %u that are filled", position,
		    kv->length);
	if (n > kv->capacity - position)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "kv: %u positions from %u on do not fit a capacity of %u", n, position,
		    kv->capacity);
	while ((uint64_t)kv->n_pages * KV_PAGE_TOKENS < (uint64_t)position + n) {
		/* Zeroed, so that no freed secret of this process ever shows up here. */
		float *page = calloc(1, kv->page_bytes);

		if (page == NULL)
			return error_set(err, AYNI_ERR_MEMORY,
			    "kv: no memory for %zu bytes at position %u", kv->page_bytes,
			    kv->n_pages * KV_PAGE_TOKENS);
		kv->pages[kv->n_pages++] = page;
	}
	kv->length = position;
	kv->reserved = position + n;
	return AYNI_OK;
}

/* Layer `layer`'s keys in the page that holds a position. */
static float *layer_keys(const struct kv *kv, uint32_t layer, uint32_t position)
{
	size_t layer_floats = (size_t)KV_PAGE_TOKENS * (kv->key_width + kv->value_width);

	assert(layer < kv->layer_last - kv->layer_first && position < kv->reserved);
	return kv->pages[position / KV_PAGE_TOKENS] + layer * layer_floats;
}

float *kv_key(struct kv *kv, uint32_t layer, uint32_t position)
{
	return layer_keys(kv, layer, position) +
	       (size_t)(position % KV_PAGE_TOKENS) * kv->key_width;
}

float *kv_value(struct kv *kv, uint32_t layer, uint32_t position)
{
	return layer_keys(kv, layer, position) + (size_t)KV_PAGE_TOKENS * kv->key_width +
	       (size_t)(position % KV_PAGE_TOKENS) * kv->value_width;
}

void kv_filled(struct kv *kv, uint32_t length)
{
	assert(length <= kv->reserved);
	kv->length = length;
	if (length < kv->reserved)
		kv->reserved = length;
}
