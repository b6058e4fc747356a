/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys and values of one session in one range of layers; in latent attention the compressed
 * vector and the rotated key that all heads share (struct attention_shape).
 *
 * Memory is taken in pages of KV_PAGE_TOKENS positions when a position is first reached, up to the
 * capacity named at creation. Positions are written in order; running a position that is already
 * filled first forgets everything from it on (a replay after a failure, or a changed draft).
 * Pages stay until kv_free, so that going back and forth allocates nothing.
 * One thread at a time.
 */
#ifndef AYNI_COMPUTE_KV_H
#define AYNI_COMPUTE_KV_H

#include "compute/model.h"

enum { KV_PAGE_TOKENS = 64 };

struct kv;

/* capacity_tokens is 1 to LIMIT_CONTEXT_TOKENS. The model is not kept. */
int kv_new(const struct model *m, uint32_t capacity_tokens, struct kv **out, struct error *err);
void kv_free(struct kv *kv);             /* wipes the memory: it tells what was said */
uint32_t kv_length(const struct kv *kv); /* positions filled */
uint32_t kv_capacity(const struct kv *kv);
/* True if it was made for this range of layers, of a model of these widths. */
bool kv_fits(const struct kv *kv, const struct model *m);

/*
 * Make positions [position, position + n) writable; forgets what was at `position` and after.
 * AYNI_ERR_ARGUMENT past the capacity or where a gap would be left. On error the length stays.
 */
int kv_reserve(struct kv *kv, uint32_t position, uint32_t n, struct error *err);
/*
 * What `layer` (counted from the range's first) keeps of one head for the KV_PAGE_TOKENS positions
 * of the page that holds a reserved position p, which is number p % KV_PAGE_TOKENS among them.
 * Binary16: keys [d_key][KV_PAGE_TOKENS], values [KV_PAGE_TOKENS][d_value]. Latent attention has
 * keys alone: its values are their beginnings.
 */
uint16_t *kv_keys(struct kv *kv, uint32_t layer, uint32_t head, uint32_t position);
uint16_t *kv_values(struct kv *kv, uint32_t layer, uint32_t head, uint32_t position);
/* Positions [0, length) now hold data; they must be reserved. A smaller length forgets the rest. */
void kv_filled(struct kv *kv, uint32_t length);

/* Bytes that one position takes in n_layers layers of a model of these sizes. */
uint64_t kv_bytes_per_token(const struct model_sizes *sizes, uint32_t n_layers);

#endif
