/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for the whole capacity are taken at once, without memory, and made usable block by
 * block. A page holds KV_PAGE_TOKENS positions of all layers, layer after layer, head after head:
 *
 *   layer 0, head 0: keys, values, scales of keys, of values;  head 1: the same; ...  layer 1: ...
 */
#include "compute/kv.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
	READ_PAST = 64,             /* bytes that kernels may read behind the last row */
	BLOCK_BYTES = 2 << 20,      /* a huge page */
	HUGE_FROM = 4 * BLOCK_BYTES /* huge pages begin here: short sessions take what they need */
};

struct kv {
	uint32_t layer_first, layer_last;
	struct attention_shape shape;
	enum kv_type type;
	enum wire_type wire;
	uint32_t capacity; /* positions */
	uint32_t length;   /* positions that hold data */
	uint32_t reserved; /* positions that may be written */
	size_t head_bytes, page_bytes;
	uint8_t *data; /* begins with a block */
	size_t usable; /* bytes of data that have memory */
	uint8_t *mapping;
	size_t mapping_bytes;
};

static const char *const type_names[KV_TYPE_END] = {"f16", "int8"};

const char *kv_type_name(enum kv_type type)
{
	return type_names[type];
}

bool kv_type_find(const char *name, enum kv_type *out)
{
	for (int i = 0; i < KV_TYPE_END; i++)
		if (strcmp(name, type_names[i]) == 0) {
			*out = (enum kv_type)i;
			return true;
		}
	return false;
}

bool kv_type_suits(enum kv_type type, const struct model_sizes *sizes)
{
	struct attention_shape a = model_attention_shape(sizes);

	return type == KV_F16 || (a.d_key % KV_PART == 0 && a.d_value % KV_PART == 0);
}

int kv_type_check(
    enum kv_type type, const struct model_sizes *sizes, const char *name, struct error *err)
{
	if (kv_type_suits(type, sizes))
		return AYNI_OK;
	return error_set(err, AYNI_ERR_UNSUPPORTED,
	    "%s: its heads are not multiples of %d wide, so keys and values cannot be kept in %s; "
	    "choose f16",
	    name, KV_PART, kv_type_name(type));
}

/* Model sizes are bounded (MODEL_MAX_WIDTH), so none of these can overflow. */
static uint64_t bytes_of(enum kv_type type, uint64_t n_elements)
{
	uint64_t scales = type == KV_F16 ? 0 : n_elements / KV_PART * sizeof(float);

	return n_elements * kv_element_bytes(type) + scales;
}

uint32_t kv_pages(uint32_t n_tokens)
{
	return n_tokens / KV_PAGE_TOKENS + (n_tokens % KV_PAGE_TOKENS != 0);
}

uint64_t kv_bytes_per_token(const struct model_sizes *sizes, enum kv_type type, uint32_t n_layers)
{
	struct attention_shape a = model_attention_shape(sizes);

	return bytes_of(type, (uint64_t)a.key_width + a.value_width) * n_layers;
}

/* The addresses, with a block more so that the first block can begin where a huge page does. */
static bool map(struct kv *kv, uint64_t n_pages)
{
	uint64_t bytes;
	uint8_t *end;

	if (__builtin_mul_overflow(kv->page_bytes, n_pages, &bytes) ||
	    __builtin_add_overflow(bytes, READ_PAST + 2 * (uint64_t)BLOCK_BYTES, &bytes))
		return false;
	kv->mapping_bytes = bytes / BLOCK_BYTES * BLOCK_BYTES;
	kv->mapping = mmap(NULL, kv->mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kv->mapping == MAP_FAILED)
		return false;
	kv->data = kv->mapping + (-(uintptr_t)kv->mapping & (BLOCK_BYTES - 1));
	end = kv->mapping + kv->mapping_bytes;
	if (kv->data + HUGE_FROM < end) /* without them it is slower, and as right */
		(void)madvise(
		    kv->data + HUGE_FROM, (size_t)(end - kv->data) - HUGE_FROM, MADV_HUGEPAGE);
	return true;
}

int kv_new(const struct model *m, uint32_t capacity_tokens, enum kv_type type, struct kv **out,
    struct error *err)
{
	uint32_t n_layers = m->layer_last - m->layer_first;
	struct kv *kv;

	if (capacity_tokens == 0 || capacity_tokens > LIMIT_CONTEXT_TOKENS)
		return error_set(err, AYNI_ERR_LIMIT,
		    "kv: a capacity of %u positions is not between 1 and %d", capacity_tokens,
		    LIMIT_CONTEXT_TOKENS);
	if (kv_type_check(type, &m->sizes, "the model", err) != AYNI_OK)
		return AYNI_ERR_UNSUPPORTED;
	kv = calloc(1, sizeof *kv);
	if (kv == NULL)
		goto err0;
	kv->layer_first = m->layer_first;
	kv->layer_last = m->layer_last;
	kv->shape = model_attention_shape(&m->sizes);
	kv->type = type;
	kv->capacity = capacity_tokens;
	kv->page_bytes = kv_bytes_per_token(&m->sizes, type, n_layers) * KV_PAGE_TOKENS;
	kv->head_bytes = kv->page_bytes / n_layers / kv->shape.n_kv_heads;
	if (!map(kv, kv_pages(capacity_tokens)))
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
	(void)munmap(kv->mapping, kv->mapping_bytes);
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

enum kv_type kv_type(const struct kv *kv)
{
	return kv->type;
}

void kv_set_wire(struct kv *kv, enum wire_type wire)
{
	assert(kv->length == 0);
	kv->wire = wire;
}

enum wire_type kv_wire(const struct kv *kv)
{
	return kv->wire;
}

bool kv_fits(const struct kv *kv, const struct model *m)
{
	struct attention_shape a = model_attention_shape(&m->sizes);

	return kv->layer_first == m->layer_first && kv->layer_last == m->layer_last &&
	       kv->shape.n_kv_heads == a.n_kv_heads && kv->shape.d_key == a.d_key &&
	       kv->shape.value_width == a.value_width;
}

/* Memory for the first n positions. */
static bool grow(struct kv *kv, uint32_t n)
{
	size_t n_pages = kv_pages(n);
	size_t end = n_pages * kv->page_bytes + READ_PAST;

	end = (end + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
	if (end <= kv->usable)
		return true;
	if (mprotect(kv->data + kv->usable, end - kv->usable, PROT_READ | PROT_WRITE) != 0)
		return false;
	kv->usable = end;
	return true;
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
	if (!grow(kv, position + n))
		return error_set(err, AYNI_ERR_MEMORY,
		    "kv: no memory for %u positions of %zu bytes", position + n,
		    kv->page_bytes / KV_PAGE_TOKENS);
	kv->length = position;
	kv->reserved = position + n;
	return AYNI_OK;
}

int kv_copy(struct kv *to, const struct kv *from, uint32_t n, struct error *err)
{
	size_t n_pages = kv_pages(n);

	if (to == from || to->layer_first != from->layer_first ||
	    to->layer_last != from->layer_last || to->type != from->type ||
	    to->wire != from->wire || to->page_bytes != from->page_bytes || n > from->length)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "kv: %u positions cannot be copied from a cache of %u", n, from->length);
	if (kv_reserve(to, 0, n, err) != AYNI_OK)
		return err->code;
	memcpy(to->data, from->data, n_pages * to->page_bytes);
	kv_filled(to, n);
	return AYNI_OK;
}

struct kv_head kv_head(const struct kv *kv, uint32_t layer, uint32_t head, uint32_t position)
{
	const struct attention_shape *a = &kv->shape;
	const size_t element = kv_element_bytes(kv->type) * KV_PAGE_TOKENS;
	const size_t d_value = a->value_width / a->n_kv_heads;
	uint8_t *at = kv->data + position / KV_PAGE_TOKENS * kv->page_bytes +
	              ((size_t)layer * a->n_kv_heads + head) * kv->head_bytes;
	struct kv_head h;

	assert(layer < kv->layer_last - kv->layer_first && position < kv->reserved);
	assert(head < a->n_kv_heads);
	h.keys = at;
	h.values = at + a->d_key * element;
	h.key_scales = (float *)(void *)(at + (a->d_key + d_value) * element);
	h.value_scales = h.key_scales + a->d_key / KV_PART * KV_PAGE_TOKENS;
	return h;
}

void kv_filled(struct kv *kv, uint32_t length)
{
	assert(length <= kv->reserved);
	kv->length = length;
	if (length < kv->reserved)
		kv->reserved = length;
}
