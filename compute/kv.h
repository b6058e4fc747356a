/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys and values of one session in one range of layers; in latent attention the compressed
 * vector and the rotated key that all heads share (struct attention_shape).
 *
 * A cache is one stretch of addresses for its whole capacity, of which memory is taken as positions
 * are reached; KV_PAGE_TOKENS positions lie together. Positions are written in order; running a
 * position that is already filled first forgets everything from it on (a replay after a failure, or
 * a changed draft). Memory stays until kv_free, so that going back and forth allocates nothing.
 * One thread at a time.
 */
#ifndef AYNI_COMPUTE_KV_H
#define AYNI_COMPUTE_KV_H

#include "compute/kernels/kernels.h"
#include "compute/model.h"
#include "compute/wire.h"

enum { KV_PAGE_TOKENS = 64 };

struct kv;

/*
 * capacity_tokens is 1 to LIMIT_CONTEXT_TOKENS. AYNI_ERR_UNSUPPORTED for int8 if the model's heads
 * are not whole parts of KV_PART. The model is not kept.
 */
int kv_new(const struct model *m, uint32_t capacity_tokens, enum kv_type type, struct kv **out,
    struct error *err);
void kv_free(struct kv *kv);             /* the memory goes back to the system, which wipes it */
uint32_t kv_length(const struct kv *kv); /* positions filled */
uint32_t kv_capacity(const struct kv *kv);
enum kv_type kv_type(const struct kv *kv);
/* What the session's activations go through between layers; WIRE_F32 unless set, while it is empty.
 */
void kv_set_wire(struct kv *kv, enum wire_type wire);
enum wire_type kv_wire(const struct kv *kv);
/* True if it was made for this range of layers, of a model of these widths. */
bool kv_fits(const struct kv *kv, const struct model *m);

/*
 * Make positions [position, position + n) writable; forgets what was at `position` and after.
 * AYNI_ERR_ARGUMENT past the capacity or where a gap would be left. On error the length stays.
 */
int kv_reserve(struct kv *kv, uint32_t position, uint32_t n, struct error *err);

/*
 * Begin `to` with the first n positions of `from`, a cache made for the same range of layers, of
 * the same types: what it held is forgotten. AYNI_ERR_ARGUMENT if the two do not fit each other or
 * n is past what `from` holds, AYNI_ERR_MEMORY; then `to` is as before.
 */
int kv_copy(struct kv *to, const struct kv *from, uint32_t n, struct error *err);

/*
 * What a layer keeps of one head for the KV_PAGE_TOKENS positions of a page: elements of the
 * cache's type, and in int8 what each part of KV_PART of them is multiplied by. Latent attention
 * has keys alone: its values are their beginnings.
 */
struct kv_head {
	void *keys;          /* [d_key][KV_PAGE_TOKENS] */
	void *values;        /* [KV_PAGE_TOKENS][d_value] */
	float *key_scales;   /* [d_key / KV_PART][KV_PAGE_TOKENS] */
	float *value_scales; /* [d_value / KV_PART][KV_PAGE_TOKENS] */
};
/* Of `layer`, counted from the range's first, and the page that holds a reserved position p, which
 * is number p % KV_PAGE_TOKENS in it. Pages of one head follow each other at equal distances. */
struct kv_head kv_head(const struct kv *kv, uint32_t layer, uint32_t head, uint32_t position);

/* Positions [0, length) now hold data; they must be reserved. A smaller length forgets the rest. */
void kv_filled(struct kv *kv, uint32_t length);

/* Pages that so many positions take: a begun one counts whole. */
uint32_t kv_pages(uint32_t n_tokens);
/* Bytes that one position takes in n_layers layers of a model of these sizes. */
uint64_t kv_bytes_per_token(const struct model_sizes *sizes, enum kv_type type, uint32_t n_layers);
/* True if a cache of this type can be had for a model of these sizes. */
bool kv_type_suits(enum kv_type type, const struct model_sizes *sizes);
/* The same as an error, AYNI_ERR_UNSUPPORTED, which names the model and says what to do. */
int kv_type_check(
    enum kv_type type, const struct model_sizes *sizes, const char *name, struct error *err);

/* "f16", "int8". */
const char *kv_type_name(enum kv_type type);
bool kv_type_find(const char *name, enum kv_type *out);

#endif
