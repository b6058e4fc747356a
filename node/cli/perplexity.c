/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/perplexity.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PIECE = 32, WINDOW = 512 };

struct reading {
	struct perplexity *p;
	struct local *local;
	struct tokenizer *tokenizer;
	uint32_t *tokens; /* of the whole text */
	size_t n;
	uint32_t *window; /* the tokens of one */
	float *rows;      /* PIECE x vocabulary */
};

static int read_text(const char *path, char **text, size_t *len, struct error *err)
{
	FILE *f = fopen(path, "re");
	struct stat s;
	int rc = AYNI_OK;

	if (f == NULL || fstat(fileno(f), &s) != 0)
		rc = error_set(err, AYNI_ERR_IO, "cannot read %s: %s", path, strerror(errno));
	else if (!S_ISREG(s.st_mode))
		rc = error_set(err, AYNI_ERR_IO, "%s is not a file", path);
	else if ((*text = malloc((size_t)s.st_size + 1)) == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	else if ((*len = fread(*text, 1, (size_t)s.st_size, f)) != (size_t)s.st_size)
		rc = error_set(err, AYNI_ERR_IO, "cannot read %s to its end", path);
	if (f != NULL)
		(void)fclose(f);
	return rc;
}

static int read_tokens(struct reading *r, struct error *err)
{
	struct perplexity *p = r->p;
	char *text = NULL;
	size_t len = 0;
	int rc = read_text(p->text, &text, &len, err);

	if (rc == AYNI_OK)
		rc = tokenizer_encode(r->tokenizer, text, len, 0, &r->tokens, &r->n, err);
	free(text);
	if (rc != AYNI_OK)
		return rc;
	p->n_text_bytes = len;
	if (p->limit > 0 && r->n > p->limit) {
		r->n = (size_t)p->limit;
		p->n_text_bytes = 0;
	}
	p->n_text_tokens = r->n;
	for (size_t i = 0; i < r->n; i++)
		if (r->tokens[i] >= local_sizes(r->local)->n_vocabulary)
			return error_set(err, AYNI_ERR_FORMAT,
			    "the tokenizer's token %u is none of the model's", r->tokens[i]);
	return r->n >= 2
	           ? AYNI_OK
	           : error_set(err, AYNI_ERR_ARGUMENT, "%s has fewer than two tokens", p->text);
}

static int choose_window(struct perplexity *p, uint32_t context, struct error *err)
{
	if (p->window == 0)
		p->window = context < WINDOW ? context : WINDOW;
	if (p->stride == 0)
		p->stride = p->window / 2;
	if (p->window < 2 || p->window > context)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "a window of %u tokens: from 2 to %u are possible", p->window, context);
	if (p->stride < 1 || p->stride >= p->window)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "a stride of %u: from 1 to %u are possible with this window", p->stride,
		    p->window - 1);
	return AYNI_OK;
}

static void count(struct perplexity *p, float lse, float logit)
{
	double nll = (double)lse - (double)logit;

	p->nll += nll;
	p->nll_squared += nll * nll;
	p->n_counted++;
}

/*
 * Score the window's tokens from `scored` on; rows say what follows each of its tokens. It has
 * n tokens.
 */
static int score_window(struct reading *r, uint32_t n, uint32_t scored, struct error *err)
{
	size_t n_vocabulary = local_sizes(r->local)->n_vocabulary;
	uint32_t first = scored - 1; /* the row that foretells token `scored` */
	int rc = AYNI_OK;

	local_rewind(r->local);
	if (first > 0)
		rc = local_feed(r->local, r->window, first, NULL, 0, err);
	for (uint32_t at = first; rc == AYNI_OK && at + 1 < n; at += PIECE) {
		uint32_t now = n - 1 - at < PIECE ? n - 1 - at : PIECE;

		rc = local_feed(r->local, r->window + at, now, r->rows, now, err);
		for (uint32_t i = 0; rc == AYNI_OK && i < now; i++) {
			const float *row = r->rows + i * n_vocabulary;
			struct logit best;
			float lse;

			local_top(r->local, row, 1, &best, &lse);
			count(r->p, lse, row[r->window[at + i + 1]]);
		}
		if (rc == AYNI_OK && r->p->stop != NULL && *r->p->stop)
			rc = error_set(err, AYNI_ERR_STATE, "stopped");
	}
	return rc;
}

/* Windows begin at multiples of the stride; the last one ends with the text. */
static int slide(struct reading *r, struct error *err)
{
	struct perplexity *p = r->p;
	uint32_t n_bos = tokenizer_adds_bos(r->tokenizer) ? 1 : 0;
	size_t room = p->window - n_bos, scored = n_bos > 0 ? 0 : 1;
	int rc = AYNI_OK;

	if (p->stride >= room)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "a stride of %u leaves nothing of a window of %u with its beginning token",
		    p->stride, p->window);
	for (size_t begin = 0; rc == AYNI_OK && scored < r->n; begin += p->stride) {
		size_t n = r->n - begin < room ? r->n - begin : room;

		if (n_bos > 0)
			r->window[0] = tokenizer_bos(r->tokenizer);
		memcpy(r->window + n_bos, r->tokens + begin, n * sizeof *r->tokens);
		rc = score_window(r, (uint32_t)n + n_bos, (uint32_t)(scored - begin) + n_bos, err);
		scored = begin + n;
		if (rc == AYNI_OK && p->progress != NULL)
			p->progress(p->context, p);
	}
	return rc;
}

static int prepare(struct reading *r, struct error *err)
{
	struct perplexity *p = r->p;
	int rc = local_open(p->file, &p->local, &r->local, err);

	if (rc == AYNI_OK)
		rc = tokenizer_new(local_gguf(r->local), &r->tokenizer, err);
	if (rc == AYNI_OK)
		rc = choose_window(p, local_sizes(r->local)->context_tokens, err);
	if (rc == AYNI_OK)
		rc = read_tokens(r, err);
	if (rc != AYNI_OK)
		return rc;
	r->window = calloc(p->window, sizeof *r->window);
	r->rows = calloc(PIECE, local_sizes(r->local)->n_vocabulary * sizeof *r->rows);
	return r->window != NULL && r->rows != NULL
	           ? AYNI_OK
	           : error_set(err, AYNI_ERR_MEMORY, "out of memory");
}

int perplexity_measure(struct perplexity *p, struct error *err)
{
	struct reading r = {.p = p};
	int rc = prepare(&r, err);

	if (rc == AYNI_OK)
		rc = slide(&r, err);
	free(r.rows);
	free(r.window);
	free(r.tokens);
	tokenizer_free(r.tokenizer);
	local_free(r.local);
	return rc;
}

double perplexity_value(const struct perplexity *p)
{
	return exp(p->nll / (double)p->n_counted);
}

double perplexity_error(const struct perplexity *p)
{
	double n = (double)p->n_counted, mean = p->nll / n;
	double variance = p->nll_squared / n - mean * mean;

	return variance > 0.0 && n > 1.0 ? perplexity_value(p) * sqrt(variance / (n - 1.0)) : 0.0;
}
