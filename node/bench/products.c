/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/products.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "compute/kernels/panels.h"
#include "node/loop.h"

enum {
	MATRIX_BYTES = 128 << 20,
	COLS = 2048,
	MANY_ROWS = 2048, /* that many vectors meet in a round */
	MAX_ROWS = MATRIX_BYTES / (COLS / QUANT_SUPER * (int)sizeof(struct block_q2_k))
};

struct products {
	uint8_t *weights; /* MATRIX_BYTES */
	float *x;         /* PRODUCTS_VECTORS x COLS */
	int8_t *quants;
	struct quant_terms *terms;
	float *out; /* MAX_ROWS, or PRODUCTS_VECTORS x MANY_ROWS */
};

int products_new(struct products **out, struct error *err)
{
	const size_t n = (size_t)PRODUCTS_VECTORS * COLS;
	size_t n_out = (size_t)PRODUCTS_VECTORS * MANY_ROWS;
	struct products *p = calloc(1, sizeof *p);

	n_out = n_out > MAX_ROWS ? n_out : MAX_ROWS;
	*out = NULL;
	if (p == NULL)
		goto err0;
	p->weights =
	    mmap(NULL, MATRIX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->weights == MAP_FAILED)
		goto err1;
	p->x = malloc(n * sizeof *p->x);
	p->quants = malloc(n);
	p->terms = malloc(n / QUANT_BLOCK * sizeof *p->terms);
	p->out = malloc(n_out * sizeof *p->out);
	if (p->x == NULL || p->quants == NULL || p->terms == NULL || p->out == NULL) {
		products_free(p);
		goto err0;
	}
	(void)madvise(p->weights, MATRIX_BYTES, MADV_HUGEPAGE); /* a wish: it works without */
	/* A pattern that is a moderate number in every type, whatever the layout. */
	memset(p->weights, 0x29, MATRIX_BYTES);
	for (size_t i = 0; i < n; i++)
		p->x[i] = (float)((uint32_t)i * 2654435761U >> 8) * 0x1p-23f - 1.0f;
	*out = p;
	return AYNI_OK;

err1:
	free(p);
err0:
	return error_set(err, AYNI_ERR_MEMORY, "bench: no memory for a matrix");
}

void products_free(struct products *p)
{
	if (p == NULL)
		return;
	(void)munmap(p->weights, MATRIX_BYTES);
	free(p->x);
	free(p->quants);
	free(p->terms);
	free(p->out);
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

void products_measure(struct products *p, const struct kernels *k, struct team *team,
    enum tensor_type type, uint32_t n_vectors, double seconds, struct demand *demand, double *took)
{
	const struct tensor_type_info *info = tensor_type_info(type);
	const size_t row_bytes = (size_t)COLS / info->block_elements * info->block_bytes;
	const uint32_t all = (uint32_t)(MATRIX_BYTES / row_bytes) / PANEL_ROWS * PANEL_ROWS;
	const uint32_t rows = n_vectors > 1 ? MANY_ROWS : all;
	const struct matrix w = {.type = type,
	    .n_rows = all,
	    .n_cols = COLS,
	    .row_bytes = row_bytes,
	    .data = p->weights,
	    .panels = k->panels && info->quantised};
	struct work work = {.kernels = k, .out = p->out};
	uint64_t start = loop_now_us(), before;
	uint32_t row = 0;

	work.x = (struct activations){COLS, n_vectors, p->x, p->quants, p->terms};
	kernels_quantise(k, p->x, COLS, n_vectors, p->quants, p->terms);
	*demand = (struct demand){.weight_bytes = (double)rows * (double)row_bytes,
	    .multiply_adds = (double)rows * COLS * n_vectors};
	*took = 0.0;
	do {
		double now;

		row = row + rows > all ? 0 : row;
		work.w = matrix_rows(&w, row, rows);
		row += rows;
		before = loop_now_us();
		team_run(team, rows / PANEL_ROWS, 1, work_part, &work);
		now = (double)(loop_now_us() - before + 1) * 1e-6;
		*took = *took == 0.0 || now < *took ? now : *took;
	} while ((double)(before - start) < seconds * 1e6);
}
