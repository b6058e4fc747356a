/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vocabulary for models without a language: byte-level BPE that can spell any text, as large as a
 * real one. No token ends a generation.
 */
#ifndef AYNI_NODE_BENCH_TOKENS_H
#define AYNI_NODE_BENCH_TOKENS_H

#include "compute/gguf_write.h"

/* Set the tokenizer's keys: the 256 bytes, then words of four letters, n tokens in all. Of the
 * words, merges reach the first. AYNI_ERR_ARGUMENT if n is below 257 or there are not so many. */
int tokens_make_up(struct gguf_head *h, uint32_t n, struct error *err);

#endif
