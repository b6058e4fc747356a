/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/kernels/fast.h"

#include <limits.h>
#include <pthread.h>

#include "compute/kernels/blas.h"
#include "compute/kernels/panels.h"

static_assert(FAST_TILE_COLS % QUANT_SUPER == 0, "a tile has whole blocks of every type");

/* Written once, under fast_once. */
static struct kernels fast;
static const struct kernels *exact;
static pthread_once_t fast_once = PTHREAD_ONCE_INIT;

struct tile {
	uint32_t row, n_rows, col, n_cols;
};

/* n_cols columns of a row, from whole blocks; of floats any number. */
static void decode_columns(
    const struct matrix *m, uint32_t row, uint32_t col, uint32_t n_cols, float *out)
{
	const struct tensor_type_info *info = tensor_type_info(m->type);
	const size_t n = info->block_elements, first = col / n;
	uint8_t copy[QUANT_MAX_BLOCK_BYTES];

	if (!m->panels) {
		tensor_decode_row(
		    m->type, m->data + row * m->row_bytes + first * info->block_bytes, n_cols, out);
		return;
	}
	for (size_t b = 0; b < n_cols / n; b++)
		tensor_decode_row(m->type, matrix_block(m, row, first + b, copy), n, out + b * n);
}

static void multiply_tile(const struct matrix *w, const struct tile *t, const struct activations *x,
    float *out, size_t out_stride)
{
	_Alignas(64) float weights[FAST_TILE_ROWS * FAST_TILE_COLS];
	int rc;

	for (uint32_t r = 0; r < t->n_rows; r++)
		decode_columns(w, t->row + r, t->col, t->n_cols, weights + (size_t)r * t->n_cols);
	rc = blas_multiply(&(struct blas_piece){.n_rows = t->n_rows,
	    .n_cols = t->n_cols,
	    .n_vectors = x->n_vectors,
	    .w = weights,
	    .w_stride = t->n_cols,
	    .x = x->f32 + t->col,
	    .x_stride = x->n,
	    .out = out + t->row,
	    .out_stride = out_stride,
	    .add = t->col > 0});
	assert(rc == AYNI_OK);
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
	return n < most ? n : most;
}

static void multiply_decoded(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	struct tile t;

	for (t.row = row_first; t.row < row_end; t.row += t.n_rows) {
		t.n_rows = at_most(row_end - t.row, FAST_TILE_ROWS);
		for (t.col = 0; t.col < w->n_cols; t.col += t.n_cols) {
			t.n_cols = at_most(w->n_cols - t.col, FAST_TILE_COLS);
			multiply_tile(w, &t, x, out, out_stride);
		}
	}
}

static void fast_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	struct matrix rows;

	assert(row_end <= w->n_rows && x->n == w->n_cols);
	if (x->n_vectors < FAST_MIN_VECTORS || x->n_vectors > INT_MAX || x->n > INT_MAX ||
	    out_stride > INT_MAX) {
		exact->matmul(w, row_first, row_end, x, out, out_stride);
		return;
	}
	rows = matrix_rows(w, row_first, row_end - row_first);
	if (blas_matmul_f32(&rows, x, out + row_first, out_stride) != AYNI_OK)
		multiply_decoded(w, row_first, row_end, x, out, out_stride);
}

static void make_fast(void)
{
	exact = kernels_best();
	fast = *exact;
	fast.name = "fast";
	fast.fast = true;
	fast.matmul = fast_matmul;
}

const struct kernels *kernels_fast(void)
{
	pthread_once(&fast_once, make_fast);
	return &fast;
}
