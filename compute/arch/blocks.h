/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The halves that layers are made of, each from the residual stream back to it. They read like the
 * papers; what a layer has no weights for is left out. Names and shapes in compute/model.h.
 */
#ifndef AYNI_COMPUTE_BLOCKS_H
#define AYNI_COMPUTE_BLOCKS_H

#include "compute/batch.h"

/* Grouped-query attention with rotary positions (Ainslie et al., "GQA"). */
void block_attention(struct batch *b, uint32_t layer);
/* Multi-head latent attention (DeepSeek-AI, "DeepSeek-V2"), in its absorbed form. */
void block_latent_attention(struct batch *b, uint32_t layer);
/* A gated feed-forward (Shazeer, "GLU Variants"), or in layers that have them experts. */
void block_feed_forward(struct batch *b, uint32_t layer);

#endif
