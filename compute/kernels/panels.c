/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/kernels/panels.h"

/* A block's fields in the file's order: numbers before the quants, 4-byte units, numbers behind. */
struct units {
	uint16_t before, before_unit; /* bytes of all such fields together; bytes of one */
	uint16_t after, after_unit;
};

static struct units units_of(enum tensor_type type)
{
	switch (type) {
	case TENSOR_MXFP4:
		return (struct units){.before = 1, .before_unit = 1};
	case TENSOR_Q8_0:
	case TENSOR_Q4_0:
	case TENSOR_Q5_0:
	case TENSOR_IQ4_NL:
		return (struct units){.before = 2, .before_unit = 2};
	case TENSOR_Q4_1:
	case TENSOR_Q5_1:
	case TENSOR_Q4_K:
	case TENSOR_Q5_K:
	case TENSOR_IQ4_XS:
		return (struct units){.before = 4, .before_unit = 2};
	case TENSOR_Q3_K:
	case TENSOR_Q6_K:
		return (struct units){.after = 2, .after_unit = 2};
	case TENSOR_Q2_K:
		return (struct units){.after = 4, .after_unit = 2};
	default:
		assert(false && "type without panels");
		return (struct units){0};
	}
}

enum { QUANT_UNIT = 4 };

/* Units of [from, to) of the blocks of n_rows rows, row_bytes apart, into their turns. */
static void interleave(const uint8_t *rows, size_t row_bytes, size_t n_rows, size_t from, size_t to,
    size_t unit, uint8_t *out)
{
	for (size_t at = from; at < to; at += unit)
		for (size_t r = 0; r < n_rows; r++)
			memcpy(out + at * PANEL_ROWS + r * unit, rows + r * row_bytes + at, unit);
}

/* The units of one row back from their turns. */
static void gather(
    const uint8_t *block, size_t row, size_t from, size_t to, size_t unit, uint8_t *out)
{
	for (size_t at = from; at < to; at += unit)
		memcpy(out + at, block + at * PANEL_ROWS + row * unit, unit);
}

size_t panels_bytes(const struct matrix *m)
{
	return (size_t)panels_of(m->n_rows) * PANEL_ROWS * m->row_bytes;
}

void panel_pack(const struct matrix *m, uint32_t i, uint8_t *out)
{
	const size_t bytes = tensor_type_info(m->type)->block_bytes;
	const struct units u = units_of(m->type);
	const uint8_t *rows = m->data + (size_t)i * PANEL_ROWS * m->row_bytes;
	size_t left = m->n_rows - (size_t)i * PANEL_ROWS;
	size_t n = left < PANEL_ROWS ? left : PANEL_ROWS;

	assert(!m->panels && i < panels_of(m->n_rows));
	if (n < PANEL_ROWS)
		memset(out, 0, PANEL_ROWS * m->row_bytes);
	for (size_t at = 0; at < m->row_bytes; at += bytes) {
		const uint8_t *blocks = rows + at;
		uint8_t *to = out + at * PANEL_ROWS;

		interleave(blocks, m->row_bytes, n, 0, u.before, u.before_unit, to);
		interleave(blocks, m->row_bytes, n, u.before, bytes - u.after, QUANT_UNIT, to);
		interleave(blocks, m->row_bytes, n, bytes - u.after, bytes, u.after_unit, to);
	}
}

struct matrix matrix_in_panels(const struct matrix *m, const uint8_t *panels)
{
	struct matrix packed = *m;

	packed.data = panels;
	packed.panels = true;
	packed.first_row = 0;
	return packed;
}

const uint8_t *matrix_block(
    const struct matrix *m, uint32_t row, size_t b, uint8_t copy[QUANT_MAX_BLOCK_BYTES])
{
	const size_t bytes = tensor_type_info(m->type)->block_bytes;

	if (!m->panels)
		return m->data + row * m->row_bytes + b * bytes;

	const struct units u = units_of(m->type);
	uint32_t r = m->first_row + row;
	const uint8_t *panel = m->data + (size_t)(r / PANEL_ROWS) * PANEL_ROWS * m->row_bytes;
	const uint8_t *block = panel + b * PANEL_ROWS * bytes;

	gather(block, r % PANEL_ROWS, 0, u.before, u.before_unit, copy);
	gather(block, r % PANEL_ROWS, u.before, bytes - u.after, QUANT_UNIT, copy);
	gather(block, r % PANEL_ROWS, bytes - u.after, bytes, u.after_unit, copy);
	return copy;
}

void matrix_decode_row(const struct matrix *m, uint32_t row, float *out)
{
	const size_t n = tensor_type_info(m->type)->block_elements;
	uint8_t copy[QUANT_MAX_BLOCK_BYTES];

	if (!m->panels) {
		tensor_decode_row(m->type, m->data + row * m->row_bytes, m->n_cols, out);
		return;
	}
	for (size_t b = 0; b < m->n_cols / n; b++)
		tensor_decode_row(m->type, matrix_block(m, row, b, copy), n, out + b * n);
}
