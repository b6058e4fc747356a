/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How well a model foretells a text: exp of the mean negative log likelihood of its tokens. Lower
 * is better, and two files of one model may be compared if window and stride are the same.
 *
 * The text is read through a window that slides: each window holds at most `window` tokens (with
 * the beginning token that the vocabulary asks for), is computed from nothing, and only tokens that
 * no window before it has scored are counted, so that all but the first have at least window -
 * stride tokens before them.
 */
#ifndef AYNI_NODE_CLI_PERPLEXITY_H
#define AYNI_NODE_CLI_PERPLEXITY_H

#include "node/cli/local.h"

struct perplexity {
	const char *file, *text; /* model, text file */
	struct local_options local;
	uint32_t window; /* 0: 512, or the model's context if that is less */
	uint32_t stride; /* 0: half of the window */
	uint64_t limit;  /* tokens of the text to read; 0: all */
	const volatile bool *stop;
	void (*progress)(void *context, const struct perplexity *p); /* may be NULL */
	void *context;

	/* results; window and stride are those used */
	uint64_t n_text_tokens;  /* of the text, up to the limit */
	uint64_t n_text_bytes;   /* that they stand for, if the whole text was read, else 0 */
	uint64_t n_counted;      /* tokens scored so far */
	double nll, nll_squared; /* sums over them, natural logarithms */
};

/* AYNI_ERR_STATE when stopped. */
int perplexity_measure(struct perplexity *p, struct error *err);
/* exp(mean), and its standard error (of the mean, carried over to first order). */
double perplexity_value(const struct perplexity *p);
double perplexity_error(const struct perplexity *p);

#endif
