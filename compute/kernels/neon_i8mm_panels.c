/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with quantised weights in panels, for aarch64 with smmla (Armv8.6's i8mm); elsewhere
 * this file is empty.
 *
 * The instruction adds to four sums: two rows times two vectors, eight weights and activations
 * each. So eight weights of two rows must stand in a register, where a panel has four of four rows.
 * To bring a part of a panel into that order pays when many vectors use it: it is done once for a
 * group of vectors, which pass over it in pairs. A vector alone is left to the dot product.
 */
#include "compute/kernels/neon_lanes.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)

#include "compute/kernels/vector_weights.inc"

enum { EIGHTS = QUANT_BLOCK / 8, QUADS = PANEL_ROWS / HALF_LANES };

/* Part of a panel: for each four rows, eight weights of the first two and of the other two in a
 * register; their scales and minima, of halves where the type has them. */
struct panel_part {
	int8x16_t weights[QUADS][2][EIGHTS];
	float32x4_t scale[QUADS][2], minimum[QUADS][2];
};

/* A vector's sums with all rows of a panel. */
struct panel_sums {
	float32x4_t rows[QUADS];
};

INLINE void arrange(uint32x4_t first, uint32x4_t second, int8x16_t *low, int8x16_t *high)
{
	*low = vreinterpretq_s8_u32(vzip1q_u32(first, second));
	*high = vreinterpretq_s8_u32(vzip2q_u32(first, second));
}

/* Part p of a block of a panel. */
INLINE void part_of(enum tensor_type type, const uint8_t *block, size_t p, struct panel_part *part)
{
	const size_t stretches = stretches_of(type);

	UNROLL
	for (size_t q = 0; q < QUADS; q += 2) {
		struct rows_at r = rows_from(block, q * HALF_LANES);

		UNROLL
		for (size_t i = 0; i < EIGHTS; i++) {
			const ints a = unpack(type, r, p, 2 * i);
			const ints b = unpack(type, r, p, 2 * i + 1);

			arrange(a.low, b.low, &part->weights[q][0][i], &part->weights[q][1][i]);
			arrange(a.high, b.high, &part->weights[q + 1][0][i],
			    &part->weights[q + 1][1][i]);
		}
		UNROLL
		for (size_t h = 0; h < stretches; h++) {
			const struct scales s = scales_of(type, r, block_scales(type, r), p, h);

			part->scale[q][h] = s.scale.low;
			part->scale[q + 1][h] = s.scale.high;
			if (!has_minima(type))
				continue;
			part->minimum[q][h] = s.minimum.low;
			part->minimum[q + 1][h] = s.minimum.high;
		}
	}
}

/* ---- a tile: sixteen rows, two vectors ------------------------------------------------------ */

/* Add the products of stretch h, summed for four rows, to their accumulators. */
INLINE float32x4_t add_stretch(enum tensor_type type, float32x4_t acc, int32x4_t isum,
    const struct panel_part *part, size_t q, size_t h, const struct quant_terms *t)
{
	const int32_t lowering = has_halves(type) ? t->half_lowering[h] : t->lowering;
	const int raise = raise_of(type);

	if (raise > 0)
		isum = vaddq_s32(isum, vdupq_n_s32(lowering >> lowering_shift(raise)));
	acc = vfmaq_f32(acc, vcvtq_f32_s32(isum), vmulq_n_f32(part->scale[q][h], t->scale));
	if (!has_minima(type))
		return acc;
	return vfmaq_n_f32(
	    acc, part->minimum[q][h], has_halves(type) ? t->half_scaled_sum[h] : t->scaled_sum);
}

/* Four rows times two vectors: x[i] are eight activations of both. */
INLINE void add_quad(enum tensor_type type, const struct panel_part *part, size_t q,
    const int8x16_t x[EIGHTS], const struct quant_terms *const terms[2], struct panel_sums sums[2])
{
	const size_t stretches = stretches_of(type), n = EIGHTS / stretches;

	UNROLL
	for (size_t h = 0; h < stretches; h++) {
		int32x4_t first = vdupq_n_s32(0), last = first;

		UNROLL
		for (size_t i = h * n; i < (h + 1) * n; i++) {
			first = vmmlaq_s32(first, part->weights[q][0][i], x[i]);
			last = vmmlaq_s32(last, part->weights[q][1][i], x[i]);
		}
		const int32x4_t isums[2] = {vuzp1q_s32(first, last), vuzp2q_s32(first, last)};

		UNROLL
		for (size_t v = 0; v < 2; v++)
			sums[v].rows[q] =
			    add_stretch(type, sums[v].rows[q], isums[v], part, q, h, terms[v]);
	}
}

INLINE void add_pair(enum tensor_type type, const struct panel_part *part,
    const int8_t *const quants[2], const struct quant_terms *const terms[2],
    struct panel_sums sums[2])
{
	int8x16_t x[EIGHTS];

	UNROLL
	for (size_t i = 0; i < EIGHTS; i += 2) {
		int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(quants[0] + 8 * i));
		int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(quants[1] + 8 * i));

		x[i] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
		x[i + 1] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
	}
	UNROLL
	for (size_t q = 0; q < QUADS; q++)
		add_quad(type, part, q, x, terms, sums);
}

/* ---- a product ------------------------------------------------------------------------------ */

/* A panel times the vectors of a group, which begins with v. An odd one is paired with itself. */
INLINE void panel_times(enum tensor_type type, const uint8_t *block, const struct activations *x,
    size_t v, struct panel_sums sums[ACTIVATION_GROUP])
{
	const size_t parts = parts_of(type), n_blocks = x->n / (parts * QUANT_BLOCK);
	const size_t block_bytes = tensor_type_info(type)->block_bytes;
	const struct activation_place at = activation_place(x->n, x->n_vectors, v);
	const size_t n = at.stride;
	const int8_t *quants = x->quants + at.first * QUANT_BLOCK;
	const struct quant_terms *terms = x->terms + at.first;

	memset(sums, 0, ACTIVATION_GROUP * sizeof *sums);
	for (size_t b = 0; b < n_blocks; b++, block += PANEL_ROWS * block_bytes) {
		UNROLL
		for (size_t p = 0; p < parts; p++, quants += n * QUANT_BLOCK, terms += n) {
			struct panel_part part;

			part_of(type, block, p, &part);
			for (size_t k = 0; k < n; k += 2) {
				const size_t other = k + 1 < n ? k + 1 : k;
				const int8_t *const q[2] = {
				    quants + k * QUANT_BLOCK, quants + other * QUANT_BLOCK};
				const struct quant_terms *const t[2] = {terms + k, terms + other};

				add_pair(type, &part, q, t, sums + k);
			}
		}
	}
}

/* Rows [first, end) of a panel's sums. */
static void store_rows(const struct panel_sums *sums, size_t first, size_t end, float *out)
{
	float rows[PANEL_ROWS];

	UNROLL
	for (size_t q = 0; q < QUADS; q++)
		vst1q_f32(rows + q * HALF_LANES, sums->rows[q]);
	memcpy(out, rows + first, (end - first) * sizeof *out);
}

INLINE void panel_matmul(enum tensor_type type, const struct matrix *w, uint32_t row_first,
    uint32_t row_end, const struct activations *x, float *out, size_t out_stride)
{
	const size_t first = (size_t)w->first_row + row_first;
	const size_t end = (size_t)w->first_row + row_end;

	for (size_t row = first, next; row < end; row = next) {
		const size_t begin = row / PANEL_ROWS * PANEL_ROWS;

		next = at_most(end, begin + PANEL_ROWS);
		for (size_t v = 0; v < x->n_vectors; v += ACTIVATION_GROUP) {
			struct panel_sums sums[ACTIVATION_GROUP];
			size_t n = at_most(x->n_vectors - v, ACTIVATION_GROUP);

			panel_times(type, w->data + begin * w->row_bytes, x, v, sums);
			for (size_t k = 0; k < n; k++)
				store_rows(sums + k, row - begin, next - begin,
				    out + (v + k) * out_stride + (row - w->first_row));
		}
	}
}

void neon_i8mm_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	if (x->n_vectors == 1) {
		neon_dotprod_matmul_panels(w, row_first, row_end, x, out, out_stride);
		return;
	}
	switch (w->type) {
#define PRODUCT(type)                                                                              \
	case type:                                                                                 \
		panel_matmul(type, w, row_first, row_end, x, out, out_stride);                     \
		return
		PRODUCT(TENSOR_Q8_0);
		PRODUCT(TENSOR_Q4_0);
		PRODUCT(TENSOR_Q4_1);
		PRODUCT(TENSOR_Q5_0);
		PRODUCT(TENSOR_Q5_1);
		PRODUCT(TENSOR_IQ4_NL);
		PRODUCT(TENSOR_MXFP4);
		PRODUCT(TENSOR_Q2_K);
		PRODUCT(TENSOR_Q3_K);
		PRODUCT(TENSOR_Q4_K);
		PRODUCT(TENSOR_Q5_K);
		PRODUCT(TENSOR_Q6_K);
		PRODUCT(TENSOR_IQ4_XS);
#undef PRODUCT
	default:
		assert(false && "type without panels");
	}
}

#else

typedef int neon_i8mm_panels_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
