/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/kernels/blas.h"

#include <cblas.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Three matrices of this side fit most last-level caches, and one product takes milliseconds. */
enum { PEAK_SIDE = 512 };

static pthread_once_t configured = PTHREAD_ONCE_INIT;

static void configure(void)
{
	openblas_set_num_threads(1);
}

static bool is_too_large(size_t n)
{
	return n > INT_MAX;
}

int blas_multiply(const struct blas_piece *p)
{
	if (is_too_large(p->n_rows) || is_too_large(p->n_cols) || is_too_large(p->n_vectors) ||
	    is_too_large(p->w_stride) || is_too_large(p->x_stride) || is_too_large(p->out_stride))
		return AYNI_ERR_LIMIT;
	pthread_once(&configured, configure);
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->n_vectors, (int)p->n_rows,
	    (int)p->n_cols, 1.0f, p->x, (int)p->x_stride, p->w, (int)p->w_stride,
	    p->add ? 1.0f : 0.0f, p->out, (int)p->out_stride);
	return AYNI_OK;
}

int blas_matmul_f32(
    const struct matrix *w, const struct activations *x, float *out, size_t out_stride)
{
	if (w->type != TENSOR_F32 || w->row_bytes != w->n_cols * sizeof(float) ||
	    (uintptr_t)w->data % _Alignof(float) != 0)
		return AYNI_ERR_UNSUPPORTED;
	assert(x->n == w->n_cols && out_stride >= w->n_rows);
	return blas_multiply(&(struct blas_piece){.n_rows = w->n_rows,
	    .n_cols = w->n_cols,
	    .n_vectors = x->n_vectors,
	    .w = (const float *)(const void *)w->data,
	    .w_stride = w->n_cols,
	    .x = x->f32,
	    .x_stride = x->n,
	    .out = out,
	    .out_stride = out_stride});
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int blas_peak_gflops(double seconds, double *gflops, struct error *err)
{
	const size_t n = PEAK_SIDE;
	const double flop = 2.0 * (double)(n * n * n);
	float *m = malloc(3 * n * n * sizeof *m);
	double start, best = 0.0;

	if (m == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "blas: out of memory");
	pthread_once(&configured, configure);
	for (size_t i = 0; i < 3 * n * n; i++)
		m[i] = (float)(i % 7) - 3.0f;
	start = seconds_now();
	do {
		double before = seconds_now();

		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, PEAK_SIDE, PEAK_SIDE,
		    PEAK_SIDE, 1.0f, m, PEAK_SIDE, m + n * n, PEAK_SIDE, 0.0f, m + 2 * n * n,
		    PEAK_SIDE);

		double took = seconds_now() - before;

		if (took > 0.0 && flop / took * 1e-9 > best)
			best = flop / took * 1e-9;
	} while (seconds_now() - start < seconds);
	free(m);
	*gflops = best;
	return AYNI_OK;
}
