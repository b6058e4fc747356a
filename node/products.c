/* SPDX-License-Identifier: Apache-2.0 */
#include "node/products.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "compute/kernels/panels.h"
#include "node/loop.h"

enum {
	COLS = 2048,
	LEAST_ROW_BYTES = COLS / QUANT_SUPER * (int)sizeof(struct block_q2_k),
	MAX_ROUNDS = 1024
};

struct products {
	size_t matrix_bytes;
	size_t at;        /* where in it the next round begins */
	uint8_t *weights; /* matrix_bytes */
	float *x;         /* PRODUCTS_VECTORS x COLS */
	int8_t *quants;
	struct quant_terms *terms;
	float *
	    out; /* PRODUCTS_VECTORS x the rows of a round: pages that are not used are not there */
	uint64_t took_us[MAX_ROUNDS];
};

static void *new_pages(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return pages != MAP_FAILED ? pages : NULL;
}

static size_t out_bytes(const struct products *p)
{
	return p->matrix_bytes / LEAST_ROW_BYTES * PRODUCTS_VECTORS * sizeof(float);
}

int products_new(size_t matrix_bytes, struct products **out, struct error *err)
{
	const size_t n = (size_t)PRODUCTS_VECTORS * COLS;
	struct products *p = calloc(1, sizeof *p);

	*out = NULL;
	if (p == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "products: out of memory");
	p->matrix_bytes = matrix_bytes;
	p->weights = new_pages(matrix_bytes);
	p->out = new_pages(out_bytes(p));
	p->x = malloc(n * sizeof *p->x);
	p->quants = malloc(n);
	p->terms = malloc(n / QUANT_BLOCK * sizeof *p->terms);
	if (p->weights == NULL || p->out == NULL || p->x == NULL || p->quants == NULL ||
	    p->terms == NULL) {
		products_free(p);
		return error_set(err, AYNI_ERR_MEMORY, "products: no memory for a matrix");
	}
	(void)madvise(p->weights, matrix_bytes, MADV_HUGEPAGE); /* a wish: it works without */
	/* A pattern that is a moderate number in every type, whatever the layout. */
	memset(p->weights, 0x29, matrix_bytes);
	for (size_t i = 0; i < n; i++)
		p->x[i] = (float)((uint32_t)i * 2654435761U >> 8) * 0x1p-23f - 1.0f;
	*out = p;
	return AYNI_OK;
}

void products_free(struct products *p)
{
	if (p == NULL)
		return;
	if (p->weights != NULL)
		(void)munmap(p->weights, p->matrix_bytes);
	if (p->out != NULL)
		(void)munmap(p->out, out_bytes(p));
	free(p->x);
	free(p->quants);
	free(p->terms);
	free(p);
}

struct work {
	const struct kernels *kernels;
	struct matrix w;
	struct activations x;
	float *out;
};

/* Items are panels of rows. */
static void work_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct work *work = context;

	(void)thread;
	work->kernels->matmul(&work->w, (uint32_t)first * PANEL_ROWS, (uint32_t)end * PANEL_ROWS,
	    &work->x, work->out, work->w.n_rows);
}

/* Of a round: whole panels, one at least. */
static uint32_t rows_of(size_t bytes, size_t row_bytes)
{
	size_t panels = bytes / (row_bytes * PANEL_ROWS);

	return (uint32_t)(panels > 0 ? panels : 1) * PANEL_ROWS;
}

static uint64_t run_round(struct products *p, struct team *team, struct work *work)
{
	size_t bytes = work->w.n_rows * work->w.row_bytes;
	uint64_t begun_us;

	if (p->at + bytes > p->matrix_bytes)
		p->at = 0;
	work->w.data = p->weights + p->at;
	p->at += bytes;
	begun_us = loop_now_us();
	team_run(team, work->w.n_rows / PANEL_ROWS, 1, work_part, work);
	return loop_now_us() - begun_us + 1;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void products_measure(
    struct products *p, const struct product *what, double seconds, struct product_speed *out)
{
	const struct kernels *k = what->kernels;
	const struct tensor_type_info *info = tensor_type_info(what->type);
	struct work work = {.kernels = k,
	    .w = {.type = what->type, .n_cols = COLS, .panels = k->panels && info->quantised},
	    .x = {COLS, what->n_vectors, p->x, p->quants, p->terms},
	    .out = p->out};
	uint64_t begun_us = loop_now_us();
	size_t n = 0, middle;

	assert(what->n_vectors > 0 && what->n_vectors <= PRODUCTS_VECTORS);
	work.w.row_bytes = (size_t)COLS / info->block_elements * info->block_bytes;
	work.w.n_rows = rows_of(what->round_bytes, work.w.row_bytes);
	assert(work.w.n_rows * work.w.row_bytes <= p->matrix_bytes);
	kernels_quantise(k, p->x, COLS, what->n_vectors, p->quants, p->terms);
	do
		p->took_us[n++] = run_round(p, what->team, &work);
	while (n < MAX_ROUNDS && (double)(loop_now_us() - begun_us) < seconds * 1e6);
	middle = n / 2;
	qsort(p->took_us, n, sizeof p->took_us[0], by_size);
	*out = (struct product_speed){.bytes = (double)work.w.n_rows * (double)work.w.row_bytes,
	    .multiply_adds = (double)work.w.n_rows * COLS * what->n_vectors,
	    .best_s = (double)p->took_us[0] * 1e-6,
	    .median_s = (double)p->took_us[middle] * 1e-6};
}
