/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenBLAS: the `fast` numeric class and the measuring stick. Its last bits differ between
 * processors, so nothing here may be used where a result must be equal to the bit; it serves large
 * products with F32 weights whose results are compared by tolerance, as an independent oracle in
 * tests, and to measure what a processor could do at best.
 *
 * OpenBLAS is held to one thread: how many cores work is decided by compute/team.h alone.
 */
#ifndef AYNI_COMPUTE_KERNELS_BLAS_H
#define AYNI_COMPUTE_KERNELS_BLAS_H

#include "compute/kernels/kernels.h"

/*
 * out[v*out_stride + r] = row r of w . vector v, for all rows. AYNI_ERR_UNSUPPORTED unless w is
 * F32, its rows lie one after another and its data is aligned as floats are; AYNI_ERR_LIMIT if a
 * size is past what OpenBLAS takes.
 */
int blas_matmul_f32(
    const struct matrix *w, const struct activations *x, float *out, size_t out_stride);

/*
 * The same for a piece of a matrix: n_cols columns of n_rows rows, which lie w_stride floats apart,
 * and the same columns of n_vectors vectors. All buffers are aligned as floats are, and borrowed.
 */
struct blas_piece {
	size_t n_rows, n_cols, n_vectors;
	const float *w;
	size_t w_stride;
	const float *x;
	size_t x_stride;
	float *out;
	size_t out_stride;
	bool add; /* to what out holds, else out is written */
};

/* AYNI_ERR_LIMIT if a size is past what OpenBLAS takes; out is then as it was. */
int blas_multiply(const struct blas_piece *p);

/*
 * Multiply square matrices for about `seconds` on the calling thread (once at least) and give the
 * best rate reached, in 10^9 floating point operations a second.
 */
int blas_peak_gflops(double seconds, double *gflops, struct error *err);

#endif
