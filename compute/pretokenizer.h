/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts text into words before byte pairs are merged, by the regular expressions that a vocabulary's
 * tokenizer.ggml.pre names. Each expression cuts every piece that the one before left into its
 * matches and the gaps between them.
 *
 * Immutable after creation, any thread; those of the same rules are one and the same. Time is
 * bounded by PCRE2's match limit.
 */
#ifndef AYNI_COMPUTE_PRETOKENIZER_H
#define AYNI_COMPUTE_PRETOKENIZER_H

#include "protocol/base.h"

struct pretokenizer;

/* AYNI_ERR_UNSUPPORTED for a name that is not known; the message lists the known ones. */
int pretokenizer_new(struct span name, struct pretokenizer **out, struct error *err);
void pretokenizer_free(struct pretokenizer *p);

/* What else goes with the name. */
bool pretokenizer_ignores_merges(const struct pretokenizer *p);
bool pretokenizer_adds_bos(const struct pretokenizer *p); /* where the file does not say */

/* Called for each word, in order; a negative return ends the splitting and is handed back. */
typedef int (*word_fn)(void *arg, const uint8_t *word, size_t len);

/* text: valid UTF-8. */
int pretokenizer_split(const struct pretokenizer *p, const uint8_t *text, size_t len, word_fn fn,
    void *arg, struct error *err);

#endif
