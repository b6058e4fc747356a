/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page holds KV_PAGE_TOKENS positions of all layers, layer after layer, head after head:
 *
 *   layer 0, head 0: keys [d_key][64], values [64][d_value];  head 1: keys, values; ...  layer 1:
 * ...
 */
#include "compute/kv.h"

#include <stdlib.h>

enum {
	ALIGN_BYTES = 64,
	READ_PAST = 64 /* bytes that kernels may read behind the last row */
};

struct kv {
	uint32_t layer_first, layer_last;
	struct attention_shape shape;
	uint32_t capacity; /* positions */
	uint32_t length;   /* positions that hold data */
	uint32_t reserved; /* positions that pages exist for and that may be written */
	uint32_t n_pages;  /* pages allocated; pages[0..n_pages) */
	size_t page_bytes;
	uint16_t **pages;
};

uint64_t kv_bytes_per_token(const struct model_sizes *sizes, uint32_t n_layers)
{
	/* Model sizes are bounded (MODEL_MAX_WIDTH), so this cannot overflow. */
	struct attention_shape a = model_attention_shape(sizes);

	return ((uint64_t)a.key_width + a.value_width) * n_layers * sizeof(uint16_t);
}

int kv_new(const struct model *m, uint32_t capacity_tokens, struct kv **out, struct error *err)
{
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
	kv->shape = model_attention_shape(&m->sizes);
	kv->capacity = capacity_tokens;
	if (__builtin_mul_overflow(
	        kv_bytes_per_token(&m->sizes, n_layers), KV_PAGE_TOKENS, &kv->page_bytes) ||
	    __builtin_add_overflow(kv->page_bytes, READ_PAST, &kv->page_bytes))
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
	       kv->shape.n_kv_heads == a.n_kv_heads && kv->shape.d_key == a.d_key &&
	       kv->shape.value_width == a.value_width;
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
		uint16_t *page = aligned_alloc(ALIGN_BYTES, kv->page_bytes);

		if (page != NULL)
			memset(page, 0, kv->page_bytes);
		else
			return error_set(err, AYNI_ERR_MEMORY,
			    "kv: no memory for %zu bytes at position %u", kv->page_bytes,
			    kv->n_pages * KV_PAGE_TOKENS);
		kv->pages[kv->n_pages++] = page;
	}
	kv->length = position;
	kv->reserved = position + n;
	return AYNI_OK;
}

uint16_t *kv_keys(struct kv *kv, uint32_t layer, uint32_t head, uint32_t position)
{
	const struct attention_shape *a = &kv->shape;
	size_t row = (size_t)a->key_width + a->value_width;

	assert(layer < kv->layer_last - kv->layer_first && position < kv->reserved);
	assert(head < a->n_kv_heads);
	return kv->pages[position / KV_PAGE_TOKENS] +
	       (layer * row + head * (row / a->n_kv_heads)) * KV_PAGE_TOKENS;
}

uint16_t *kv_values(struct kv *kv, uint32_t layer, uint32_t head, uint32_t position)
{
	return kv_keys(kv, layer, head, position) + (size_t)kv->shape.d_key * KV_PAGE_TOKENS;
}

void kv_filled(struct kv *kv, uint32_t length)
{
	assert(length <= kv->reserved);
	kv->length = length;
	if (length < kv->reserved)
		kv->reserved = length;
}
