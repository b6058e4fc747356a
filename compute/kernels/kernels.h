/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations that a model's layers are made of, as a table of functions, one table for each
 * instruction set. README.md beside this file states what each computes, to the bit; scalar.c is
 * that definition in C, and every other table must equal it bit for bit (dispatch.c checks each
 * against it before it may be used; tests/unit/compute/test_kernels.c does so at length). Only
 * "fast" (fast.h) does not, and is used where somebody asks for it alone.
 *
 * All functions are pure, take non-overlapping buffers unless said, and may run in any thread.
 * Lengths are in elements. Buffers need no alignment.
 */
#ifndef AYNI_COMPUTE_KERNELS_H
#define AYNI_COMPUTE_KERNELS_H

#include "compute/quant.h"
#include "protocol/base.h"

/*
 * A weight matrix: n_rows rows of n_cols elements, as the file stores them, or in panels
 * (kernels/panels.h) where a quantised one was packed for vector kernels.
 */
struct matrix {
	enum tensor_type type;
	uint32_t n_rows;
	uint32_t n_cols;
	size_t row_bytes;
	const uint8_t *data; /* borrowed */
	bool panels;
	uint32_t first_row; /* of the panels: where this matrix begins */
};

/* Rows [first, first + n) of it. */
static inline struct matrix matrix_rows(const struct matrix *m, uint32_t first, uint32_t n)
{
	struct matrix rows = *m;

	rows.n_rows = n;
	if (m->panels)
		rows.first_row += first;
	else
		rows.data += (size_t)first * m->row_bytes;
	return rows;
}

/*
 * What a product needs of 32 quantised activations beside the quants themselves. Vector kernels
 * raise weights to unsigned bytes; -128 times the activations' sum takes a raise by 128 off again.
 */
struct quant_terms {
	float scale;
	float scaled_sum;         /* (float)(sum of the 32 quants) * scale: for minima */
	float half_scaled_sum[2]; /* of the first and the last 16 */
	int32_t lowering;         /* -128 * the sum */
	int32_t half_lowering[2];
};

/*
 * A batch of activation vectors in the form that a matrix type wants: binary32 (vector v is f32 +
 * v*n), and for quantised types the int8 form.
 *
 * In the int8 form groups of ACTIVATION_GROUP vectors (fewer in the last) lie interleaved, as
 * kernels meet the same part of all of them together: [group][part][vector of the group], 32 quants
 * and one quant_terms each. activations_at says where.
 */
struct activations {
	size_t n; /* elements of a vector */
	size_t n_vectors;
	const float *f32;
	const int8_t *quants; /* NULL unless a quantised type follows */
	const struct quant_terms *terms;
};

enum { ACTIVATION_GROUP = 16 };

/* Where a vector's int8 form lies: part p is element first + p * stride, of 32 quants, and of
 * terms. */
struct activation_place {
	size_t first;
	size_t stride;
};

static inline struct activation_place activation_place(size_t n, size_t n_vectors, size_t v)
{
	size_t group = v / ACTIVATION_GROUP * ACTIVATION_GROUP;
	size_t left = n_vectors - group;
	size_t stride = left < ACTIVATION_GROUP ? left : ACTIVATION_GROUP;

	return (struct activation_place){group * (n / QUANT_BLOCK) + v - group, stride};
}

enum { MAX_QUERIES = 16 }; /* that attention takes together */

/* How a cache keeps keys and values: README.md, "Attention". */
enum kv_type { KV_F16, KV_INT8, KV_TYPE_END };

enum { KV_PART = QUANT_BLOCK }; /* elements of int8 that share a scale */

static inline size_t kv_element_bytes(enum kv_type type)
{
	return type == KV_F16 ? sizeof(uint16_t) : sizeof(int8_t);
}

/* Rows of keys or values, which begin `stride` elements apart. Each may be read up to 64 bytes past
 * its n-th element. int8 stands for its integer: what it is scaled by is in the weights. */
struct kv_rows {
	enum kv_type type;
	const void *data;
	size_t stride;
	size_t n_rows, n;  /* n elements of each row count */
	const void *ahead; /* rows alike that are wanted next, to be asked for; or NULL */
};

struct kernels {
	const char *name;        /* "scalar", "avx2", ... */
	bool (*supported)(void); /* by this processor */
	bool panels;             /* quantised matrices are best in panels */
	bool fast;               /* numeric class: `fast` (kernels/fast.h), else `exact` */

	/* int8 form of a vector of n (multiple of 32) elements, part p at place p * stride. */
	void (*quantise)(
	    const float *x, size_t n, size_t stride, int8_t *quants, struct quant_terms *terms);

	/* out[v*out_stride + r] = row r of w . vector v, for rows [row_first, row_end). Any table
	 * takes either layout of quantised weights; the one it is not made for is slow. */
	void (*matmul)(const struct matrix *w, uint32_t row_first, uint32_t row_end,
	    const struct activations *x, float *out, size_t out_stride);

	/* To binary16, nearest even. */
	void (*to_halves)(const float *x, size_t n, uint16_t *out);
	/*
	 * What attention does with keys and values: for each of n_queries q (at most MAX_QUERIES)
	 * and each j < n, out[q][j] = fma(weights[q][i], row i's element j, out[q][j]) for
	 * i = 0 .. n_rows - 1 in order.
	 */
	void (*add_rows)(const struct kv_rows *rows, const float *const weights[],
	    float *const out[], size_t n_queries);
	/*
	 * The same along the rows, MAX_QUERIES queries side by side: for each row j,
	 * out[j][q] = fma(weights[i][q], its element i, out[j][q]) for i = 0 .. n - 1 in order. n
	 * is at most 64.
	 */
	void (*add_columns)(const struct kv_rows *rows, const float weights[][MAX_QUERIES],
	    float out[][MAX_QUERIES]);

	float (*dot)(const float *a, const float *b, size_t n);
	void (*add)(float *x, const float *y, size_t n); /* x += y */
	void (*accumulate)(
	    float *acc, float weight, const float *x, size_t n); /* acc=fma(weight,x,acc) */
	void (*scale)(float *x, float factor, size_t n);         /* x *= factor */
	void (*multiply)(const float *a, const float *b, size_t n, float *out); /* out = a * b */
	void (*add_product)(
	    float *acc, const float *a, const float *b, size_t n); /* acc += a * b, rounded twice */
	float (*max)(const float *x, size_t n);                    /* n > 0; passes NaN over */
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

	/* For measuring what the processor could do at best: nothing but the integer dot product
	 * of the products above, on data at hand. Returns the multiply-adds of so many rounds. */
	uint64_t (*peak)(size_t rounds);
};

extern const struct kernels kernels_scalar;
extern const struct kernels kernels_avx2, kernels_avxvnni, kernels_avx512; /* only on x86-64 */
extern const struct kernels kernels_neon_dotprod, kernels_neon_i8mm;       /* only on aarch64 */

/* int8 form of n_vectors vectors of n elements that follow each other. */
void kernels_quantise(const struct kernels *k, const float *x, size_t n, size_t n_vectors,
    int8_t *quants, struct quant_terms *terms);

/* The fastest table that this processor supports and that equals the definition, chosen once. */
const struct kernels *kernels_best(void);
/* The i-th table that this processor supports, fastest first, the definition last; then NULL. */
const struct kernels *kernels_at(size_t i);
/* By name ("scalar", "avx2", "avxvnni", "avx512", "neon_dotprod", "neon_i8mm", and "fast", which is
 * not one of the tables above); NULL if unknown or unsupported here. */
const struct kernels *kernels_by_name(const char *name);
/* For messages: all names of exact tables, whether this machine has them or not. */
#define KERNELS_NAMES "scalar, avx2, avxvnni, avx512, neon_dotprod, neon_i8mm"
/* The name of the numeric class that a table computes in: "exact" or "fast". */
static inline const char *kernels_class(const struct kernels *k)
{
	return k->fast ? "fast" : "exact";
}

/* True if `k` equals kernels_scalar on a set of trial inputs (a few milliseconds). */
bool kernels_equal_definition(const struct kernels *k);

#endif
