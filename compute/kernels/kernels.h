/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations that a model's layers are made of, as a table of functions, one table for each
 * instruction set. README.md beside this file states what each computes, to the bit; scalar.c is
 * that definition in C, and every other table must equal it bit for bit (dispatch.c checks each
 * against it before it may be used; tests/unit/compute/test_kernels.c does so at length).
 *
 * All functions are pure, take non-overlapping buffers unless said, and may run in any thread.
 * Lengths are in elements. Buffers need no alignment.
 */
#ifndef AYNI_COMPUTE_KERNELS_H
#define AYNI_COMPUTE_KERNELS_H

#include "compute/quant.h"
#include "protocol/base.h"

/* A weight matrix as the file stores it: n_rows rows of n_cols elements. */
struct matrix {
	enum tensor_type type;
	uint32_t n_rows;
	uint32_t n_cols;
	size_t row_bytes;
	const uint8_t *data; /* borrowed */
};

/* Rows [first, first + n) of it. */
static inline struct matrix matrix_rows(const struct matrix *m, uint32_t first, uint32_t n)
{
	struct matrix rows = *m;

	rows.n_rows = n;
	rows.data += (size_t)first * m->row_bytes;
	return rows;
}

/*
 * A batch of activation vectors in the form that a matrix type wants: binary32, and for quantised
 * types the int8 form made by `quantise`. Vector v is f32 + v*n, quants + v*n, scales + v*(n/32),
 * sums + v*(n/16).
 */
struct activations {
	size_t n; /* elements of a vector */
	size_t n_vectors;
	const float *f32;
	const int8_t *quants; /* NULL unless a quantised type follows */
	const float *scales;
	const int16_t *sums; /* of each 16 quants, for types with minima */
};

struct kernels {
	const char *name;        /* "scalar", "avx2" */
	bool (*supported)(void); /* by this processor */

	/* int8 form of n (multiple of 32) activations. */
	void (*quantise)(const float *x, size_t n, int8_t *quants, float *scales, int16_t *sums);

	/* out[v*out_stride + r] = row r of w . vector v, for rows [row_first, row_end). */
	void (*matmul)(const struct matrix *w, uint32_t row_first, uint32_t row_end,
	    const struct activations *x, float *out, size_t out_stride);

	float (*dot)(const float *a, const float *b, size_t n);
	void (*add)(float *x, const float *y, size_t n); /* x += y */
	void (*accumulate)(
	    float *acc, float weight, const float *x, size_t n); /* acc=fma(weight,x,acc) */
	void (*scale)(float *x, float factor, size_t n);         /* x *= factor */
	float (*max)(const float *x, size_t n);                  /* n > 0; passes NaN over */
	/* x[i] = exp(x[i] - shift); returns the sum in the order of the definition. */
	float (*exp_sum)(float *x, float shift, size_t n);
	/* `out` may be x. */
	void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t n, float *out);
	void (*silu_mul)(float *gate, const float *up, size_t n); /* gate = silu(gate) * up */
	void (*gelu_mul)(float *gate, const float *up, size_t n); /* gate = gelu(gate) * up */
	/* gpt-oss: gate at most 7, up within 7; gate = gate * sigmoid(1.702 gate) * (up + 1) */
	void (*clamped_mul)(float *gate, const float *up, size_t n);
	void (*soft_cap)(float *x, float cap, size_t n); /* x = cap * tanh(x / cap) */
	/* Rotate n_pairs pairs (x[2i], x[2i+1]) by the angles whose cosines and sines are given. */
	void (*rope_pairs)(float *x, const float *cosines, const float *sines, size_t n_pairs);
	/* The same with the pairs (x[i], x[i + n_pairs]). */
	void (*rope_halves)(float *x, const float *cosines, const float *sines, size_t n_pairs);
	bool (*all_finite)(const float *x, size_t n);
};

extern const struct kernels kernels_scalar;
extern const struct kernels kernels_avx2; /* only on x86-64 */

/* The fastest table that this processor supports and that equals the definition, chosen once. */
const struct kernels *kernels_best(void);
/* By name ("scalar", "avx2"); NULL if unknown or unsupported here. */
const struct kernels *kernels_by_name(const char *name);
/* True if `k` equals kernels_scalar on a set of trial inputs (a few milliseconds). */
bool kernels_equal_definition(const struct kernels *k);

#endif
